//! clock_nanosleep(2): not every kernel allows it in capability mode, and what sleeps by it (Rust's standard
//! library does) takes a refusal for impossible, and ends the program. nanosleep(2) is allowed.

use super::{raw, state};
use core::ffi::c_int;
use core::ptr::null_mut;
use libc::{EFAULT, EINVAL, EOPNOTSUPP, clockid_t, timespec};

type ClockNanosleep =
    unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int;

static CLOCK_NANOSLEEP: raw::Behind = raw::Behind::new(c"clock_nanosleep");

const TIMER_ABSTIME: c_int = 1;
const SECOND: i64 = 1_000_000_000;

/// Whether it can be slept by a clock. How long is the same by all of those.
fn counts(clock: clockid_t) -> Result<(), c_int> {
    /// The kernel's newest; not all know it.
    const CLOCK_TAI: clockid_t = 16;
    match clock {
        libc::CLOCK_REALTIME
        | libc::CLOCK_REALTIME_PRECISE
        | libc::CLOCK_REALTIME_FAST
        | libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_PRECISE
        | libc::CLOCK_MONOTONIC_FAST
        | libc::CLOCK_UPTIME
        | libc::CLOCK_UPTIME_PRECISE
        | libc::CLOCK_UPTIME_FAST
        | libc::CLOCK_SECOND
        | CLOCK_TAI => Ok(()),
        libc::CLOCK_VIRTUAL | libc::CLOCK_PROF | libc::CLOCK_PROCESS_CPUTIME_ID => Err(EOPNOTSUPP),
        _ => Err(EINVAL),
    }
}

/// A point at which a thread may be cancelled, as the call that it stands for.
fn nanosleep(time: &timespec, left: *mut timespec) -> Result<(), c_int> {
    // SAFETY: nanosleep(2) reads `time`, and writes where the program's call would have, if anywhere.
    match unsafe { libc::nanosleep(time, left) } {
        0 => Ok(()),
        _ => Err(raw::errno()),
    }
}

/// Until the clock says so. One that is set meanwhile is seen when we wake.
fn sleep_until(clock: clockid_t, end: &timespec) -> Result<(), c_int> {
    loop {
        let mut now = timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: clock_gettime(2) writes to `now`.
        if unsafe { libc::clock_gettime(clock, &raw mut now) } != 0 {
            return Err(raw::errno());
        }
        let mut left = timespec {
            tv_sec: end.tv_sec.saturating_sub(now.tv_sec),
            tv_nsec: end.tv_nsec - now.tv_nsec,
        };
        if left.tv_nsec < 0 {
            left.tv_sec = left.tv_sec.saturating_sub(1);
            left.tv_nsec += SECOND;
        }
        if left.tv_sec < 0 || (left.tv_sec, left.tv_nsec) == (0, 0) {
            return Ok(());
        }
        nanosleep(&left, null_mut())?;
    }
}

fn sleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> Result<(), c_int> {
    if time.is_null() {
        return Err(EFAULT);
    }
    // SAFETY: clock_nanosleep(2) is given a time.
    let time = unsafe { time.read() };
    if !(0..SECOND).contains(&time.tv_nsec) || flags & !TIMER_ABSTIME != 0 {
        return Err(EINVAL);
    }
    counts(clock)?;
    if flags == TIMER_ABSTIME {
        sleep_until(clock, &time)
    } else {
        nanosleep(&time, left)
    }
}

export! {
    fn [clock_nanosleep] (clock: clockid_t, flags: c_int, time: *const timespec, left: *mut timespec) -> c_int {
        let before = raw::errno();
        // SAFETY: libc's clock_nanosleep(2) has this type.
        let behind = unsafe { CLOCK_NANOSLEEP.function::<ClockNanosleep>() };
        // SAFETY: what the program gave, unchanged.
        let result = behind.map_or(-1, |behind| unsafe { behind(clock, flags, time, left) });
        // It gives an error's number, but -1 where the kernel doesn't allow it at all.
        if result != -1 || state::confined().is_none() {
            return result;
        }
        let slept = sleep(clock, flags, time, left);
        raw::set_errno(before);
        slept.err().unwrap_or(0)
    }
}
