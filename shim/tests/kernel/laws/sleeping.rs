//! clock_nanosleep(2), which gives an error's number and leaves errno alone.

use super::errno;
use libc::{c_int, timespec};
use std::time::{Duration, Instant};

const TIMER_ABSTIME: c_int = 1;
const MILLISECOND: i64 = 1_000_000;

unsafe extern "C" {
    fn clock_nanosleep(
        clock: c_int,
        flags: c_int,
        time: *const timespec,
        left: *mut timespec,
    ) -> c_int;
}

const fn time(tv_sec: i64, tv_nsec: i64) -> timespec {
    timespec { tv_sec, tv_nsec }
}

fn after(clock: c_int, nanoseconds: i64) -> timespec {
    let mut now = time(0, 0);
    assert_eq!(unsafe { libc::clock_gettime(clock, &raw mut now) }, 0);
    let all = now.tv_nsec + nanoseconds;
    time(now.tv_sec + all / 1_000_000_000, all % 1_000_000_000)
}

fn sleep(clock: c_int, flags: c_int, time: timespec) -> c_int {
    super::super::fuzz::set_errno(super::UNTOUCHED);
    let slept = unsafe { clock_nanosleep(clock, flags, &raw const time, std::ptr::null_mut()) };
    if slept == 0 {
        assert_eq!(errno(), super::UNTOUCHED);
    }
    slept
}

/// What is interrupted by a handler, and whether it says how long it hadn't slept.
fn interrupted(name: &str, flags: c_int, time_asked: timespec) {
    extern "C" fn nothing(_: c_int) {}
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    let timer = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: 0,
            tv_usec: 50_000,
        },
    };
    let mut left = time(0, 0);
    let slept = unsafe {
        libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
        clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            flags,
            &raw const time_asked,
            &raw mut left,
        )
    };
    let some = if left.tv_sec > 0 { "some" } else { "none" };
    println!("{name}: {slept}, {some} left");
}

pub fn by_clocks() {
    let asked = 30 * MILLISECOND;
    let enough = |start: Instant| {
        if start.elapsed() >= Duration::from_millis(29) {
            "long enough"
        } else {
            "too short"
        }
    };
    for clock in [0, 4, 5, 7, 8, 9, 10, 11, 12, 1, 2, 3, 6, 14, 15, 99, -1] {
        let start = Instant::now();
        match sleep(clock, 0, time(0, asked)) {
            0 => println!("clock {clock}: 0, {}", enough(start)),
            error => println!("clock {clock}: {error}"),
        }
    }
    for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
        let start = Instant::now();
        let slept = sleep(clock, TIMER_ABSTIME, after(clock, asked));
        println!("clock {clock}, until then: {slept}, {}", enough(start));
        let slept = sleep(clock, TIMER_ABSTIME, time(1, 0));
        println!("clock {clock}, until long ago: {slept}");
    }
    println!("flags: {}", sleep(4, 2, time(0, 1)));
    println!("no time: {}", sleep(4, 0, time(0, 1_000_000_000)));
    println!(
        "no time, until then: {}",
        sleep(4, TIMER_ABSTIME, time(0, -1))
    );
    println!("less than none: {}", sleep(4, 0, time(-1, 0)));
    interrupted("interrupted", 0, time(20, 0));
    interrupted(
        "interrupted, until then",
        TIMER_ABSTIME,
        after(4, 20_000 * MILLISECOND),
    );
    // Made of it.
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(30));
    println!("a thread's: {}", enough(start));
}
