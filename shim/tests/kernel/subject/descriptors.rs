//! Descriptors that the program closes or replaces without knowing what they are.

use super::{c, say, stat_of};
use libc::O_RDONLY;
use std::ffi::c_int;

unsafe extern "C" {
    fn closefrom(low: c_int);
}

/// What a daemon does to descriptors that it doesn't know.
pub fn closing(place: &str) {
    let look = || stat_of(place);
    look();
    for fd in 3..2000 {
        unsafe { libc::close(fd) };
    }
    look();
    unsafe { closefrom(3) };
    look();
    say("close_range", unsafe { libc::close_range(3, u32::MAX, 0) });
    look();
    replacing_all();
    look();
    for fd in 3..2000 {
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    say("system", unsafe { libc::system(c"ls -d /etc".as_ptr()) });
    say("close", unsafe { libc::close(3) });
    let fd = say("open", unsafe { libc::open(c(place).as_ptr(), O_RDONLY) }) as c_int;
    say("dup2", unsafe { libc::dup2(fd, 50) });
    say("close", unsafe { libc::close(50) });
    say("close", unsafe { libc::close(50) });
    say("fcntl", unsafe { libc::fcntl(fd, libc::F_DUPFD, 10) });
    say("close_range", unsafe { libc::close_range(9, 3, 0) });
}

/// By every call that takes the number of what is replaced.
fn replacing_all() {
    const F_DUP3FD: c_int = 24;
    const CLOSE_ON_EXEC: c_int = 1 << 16;
    for fd in 3..1000 {
        unsafe { libc::dup2(1, fd) };
        for command in [
            libc::F_DUP2FD,
            libc::F_DUP2FD_CLOEXEC,
            F_DUP3FD,
            F_DUP3FD | CLOSE_ON_EXEC,
        ] {
            unsafe { libc::fcntl(1, command, fd) };
        }
        unsafe { libc::close(fd) };
    }
}
