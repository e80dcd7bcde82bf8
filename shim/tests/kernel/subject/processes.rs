//! Threads, children, handlers of signals, and waiting.

use super::directories::where_am_i;
use super::files::files;
use super::{c, errno, say, tell};
use libc::{O_DIRECTORY, O_RDONLY};
use std::ffi::{c_char, c_int};
use std::ptr::null_mut;

/// The same in four threads at once. What they print is told apart by their directories.
pub fn threads(place: &str) {
    let subs = ["/t0", "/t1", "/t2", "/t3"];
    for sub in subs {
        unsafe { libc::mkdir(c(&format!("{place}{sub}")).as_ptr(), 0o755) };
    }
    let run = |sub: &'static str| {
        let place = place.to_string();
        // By a process each for what is printed, with threads beside it that call the same.
        let noise = std::thread::Builder::new().spawn(move || {
            let mut seen = 0;
            for _ in 0..60 {
                let path = c(&format!("{place}{sub}/../t1/../../../../../etc/passwd"));
                let mut stat: libc::stat = unsafe { std::mem::zeroed() };
                seen += i32::from(unsafe { libc::stat(path.as_ptr(), &raw mut stat) } == 0);
                let fd = unsafe { libc::open(path.as_ptr(), O_RDONLY) };
                seen += i32::from(unsafe { libc::close(fd) } == 0);
                let made = c(&format!("{place}{sub}/made"));
                seen += i32::from(unsafe { libc::mkdir(made.as_ptr(), 0o700) } == 0);
                seen += i32::from(unsafe { libc::rmdir(made.as_ptr()) } == 0);
            }
            seen
        });
        noise.unwrap()
    };
    let running: Vec<_> = subs[1..].iter().map(|sub| run(sub)).collect();
    files(place, "/t0");
    for thread in running {
        tell("a thread", thread.join().unwrap());
    }
}

pub fn child_ended(call: &str, child: c_int) {
    let mut status = 0;
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    tell(call, format!("{} status {status}", waited == child));
}

pub fn forked(place: &str) {
    say("chdir", unsafe { libc::chdir(c(place).as_ptr()) });
    for level in 0..6 {
        let child = unsafe { libc::fork() };
        if child == 0 {
            let sub = format!("f{level}");
            unsafe { libc::mkdir(c(&sub).as_ptr(), 0o755) };
            say("chdir", unsafe { libc::chdir(c(&sub).as_ptr()) });
            where_am_i();
            let grandchild = unsafe { libc::fork() };
            if grandchild == 0 {
                where_am_i();
                say("chdir", unsafe { libc::chdir(c"..".as_ptr()) });
                where_am_i();
                unsafe { libc::_exit(0) };
            }
            child_ended("grandchild", grandchild);
            where_am_i();
            unsafe { libc::_exit(0) };
        }
        child_ended("child", child);
        where_am_i();
    }
    let child = unsafe { libc::fork() };
    if child == 0 {
        files(place, "/f0");
        unsafe { libc::_exit(0) };
    }
    child_ended("child", child);
}

pub fn waiting() {
    let start = |status: c_int| {
        let child = unsafe { libc::fork() };
        if child == 0 {
            match status {
                0..100 => unsafe { libc::_exit(status) },
                _ => unsafe { libc::abort() },
            }
        }
        child
    };
    for status in [0, 5, 100] {
        let child = start(status);
        for (kind, id) in [(libc::P_PID, child as u32), (libc::P_ALL, 0)] {
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let options = libc::WEXITED;
            say("waitid", unsafe {
                libc::waitid(kind, id.into(), &raw mut info, options)
            });
            let is_dumped = info.si_code == libc::CLD_DUMPED;
            let code = if is_dumped {
                libc::CLD_KILLED
            } else {
                info.si_code
            };
            tell(
                "  info",
                format!(
                    "{} {code} {} {}",
                    info.si_signo,
                    info.si_status,
                    info.si_pid == child
                ),
            );
        }
    }
    let child = start(1);
    let mut status = 0;
    let waited = unsafe { libc::wait(&raw mut status) };
    tell("wait", format!("{} {status}", waited == child));
    say("wait", unsafe { libc::wait(&raw mut status) });
    say("waitpid", unsafe {
        libc::waitpid(-1, &raw mut status, libc::WNOHANG)
    });
}

/// A handler that opens and looks, ten times a millisecond at most, while the same happens outside it.
pub fn signals(place: &str) {
    static mut PLACE: [u8; 200] = [0; 200];
    static mut WRONG: i32 = 0;
    extern "C" fn look(_: c_int) {
        let before = errno();
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            let path = (&raw const PLACE).cast::<c_char>();
            WRONG += i32::from(libc::stat(path, &raw mut stat) != 0);
            let fd = libc::open(path, O_RDONLY | O_DIRECTORY);
            WRONG += i32::from(fd < 0 || libc::close(fd) != 0);
            WRONG += i32::from(libc::stat(c"link/../d".as_ptr(), &raw mut stat) != 0);
            *libc::__error() = before;
        }
    }
    unsafe {
        for (to, from) in (&raw mut PLACE)
            .as_mut()
            .unwrap()
            .iter_mut()
            .zip(place.bytes())
        {
            *to = from;
        }
        libc::chdir(c(place).as_ptr());
        libc::mkdir(c"d".as_ptr(), 0o700);
        libc::symlink(c(&format!("{place}/d")).as_ptr(), c"link".as_ptr());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = look as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &raw const action, null_mut());
        let period = libc::timeval {
            tv_sec: 0,
            tv_usec: 700,
        };
        let timer = libc::itimerval {
            it_interval: period,
            it_value: period,
        };
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, null_mut());
        let mut wrong = 0;
        for _ in 0..3000 {
            let mut stat: libc::stat = std::mem::zeroed();
            wrong += i32::from(libc::chdir(c"link".as_ptr()) != 0);
            wrong += i32::from(libc::chdir(c"..".as_ptr()) != 0);
            wrong += i32::from(libc::stat(c"link/..".as_ptr(), &raw mut stat) != 0);
            wrong += i32::from(
                libc::stat(c"none".as_ptr(), &raw mut stat) == 0 || errno() != libc::ENOENT,
            );
        }
        let off: libc::itimerval = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &raw const off, null_mut());
        // In the handler "link/../d" is looked up from `d` too, where it isn't.
        tell("wrong", wrong);
        where_am_i();
    }
}

pub fn children() {
    unsafe {
        let sleeper = libc::fork();
        if sleeper == 0 {
            libc::sleep(60);
            libc::_exit(0);
        }
        let short = libc::fork();
        if short == 0 {
            libc::_exit(6);
        }
        let mut status = 0;
        tell("wait", libc::wait(&raw mut status) == short);
        tell("  status", status);
        say(
            "wait, no more",
            libc::waitpid(-1, &raw mut status, libc::WNOHANG),
        );
        say("kill", libc::kill(sleeper, 0));
        say("kill", libc::kill(sleeper, libc::SIGTERM));
        tell(
            "waitpid",
            libc::waitpid(sleeper, &raw mut status, 0) == sleeper,
        );
        tell("  status", status);
        say("waitpid", libc::waitpid(sleeper, &raw mut status, 0));
        say("system", libc::system(c"exit 2".as_ptr()));
    }
}
