//! Descriptors that the program doesn't know of. Programs close all that they don't know, or take numbers
//! as they like: ours are, for them, not there.

use super::{places, raw, state};
use core::ffi::{c_int, c_long};
use libc::{EBADF, F_DUP2FD, F_DUP2FD_CLOEXEC, F_DUPFD, F_DUPFD_CLOEXEC, F_SETFD};

fn is_guarded(fd: c_int) -> bool {
    state::get().is_some_and(|state| state.is_guarded(fd))
}

type Close = unsafe extern "C" fn(c_int) -> c_int;
type Fcntl = unsafe extern "C" fn(c_int, c_int, ...) -> c_int;

static CLOSE: raw::Behind = raw::Behind::new(c"close");
static FCNTL: raw::Behind = raw::Behind::new(c"fcntl");

/// dup3(3)'s. What it says of the new descriptor lies above these bits.
const F_DUP3FD: c_int = 24;
const F_DUP3FD_COMMAND: c_int = 0xffff;
const F_DUPFD_CLOFORK: c_int = 23;

/// Whether a command of fcntl(2) makes its argument a copy, whatever was open there.
fn replaces(command: c_int) -> bool {
    let is_dup3 = command & F_DUP3FD_COMMAND == F_DUP3FD;
    is_dup3 || matches!(command, F_DUP2FD | F_DUP2FD_CLOEXEC)
}

fn is_refused(fd: c_int, command: c_int, argument: c_long) -> bool {
    let replaces = replaces(command) && is_guarded(argument as c_int);
    // With close-on-exec the next program would be without.
    replaces || (command == F_SETFD && is_guarded(fd))
}

fn copied(fd: c_int, command: c_int, result: c_int) -> c_int {
    let finds_one = matches!(command, F_DUPFD | F_DUPFD_CLOEXEC | F_DUPFD_CLOFORK);
    if finds_one || replaces(command) {
        places::copy(fd, result);
    }
    result
}

/// All from `low` to `high`, but ours.
fn close_between(low: u32, high: u32, flags: c_int) -> c_int {
    let mut from = low;
    while let Some(state) = state::get() {
        let next = c_int::try_from(from)
            .ok()
            .and_then(|from| state.next_guarded(from));
        let Some(next) = next.map(c_int::unsigned_abs).filter(|next| *next <= high) else {
            break;
        };
        if next > from {
            let result = raw::close_range(from, next - 1, flags);
            if result != 0 {
                return result as c_int;
            }
        }
        from = next + 1;
    }
    if from > high {
        return 0;
    }
    raw::close_range(from, high, flags) as c_int
}

export! {
    fn [close] (fd: c_int) -> c_int {
        if is_guarded(fd) {
            return raw::fail(EBADF);
        }
        // SAFETY: libc's close(2) has this type.
        let behind = unsafe { CLOSE.function::<Close>() };
        // SAFETY: it takes a number.
        behind.map_or_else(|| raw::close(fd) as c_int, |close| unsafe { close(fd) })
    }
    fn [_close] (fd: c_int) -> c_int {
        if is_guarded(fd) {
            return raw::fail(EBADF);
        }
        raw::close(fd) as c_int
    }
    fn [closefrom] (low: c_int) -> () {
        close_between(low.max(0).unsigned_abs(), u32::MAX, 0);
    }
    fn [close_range _close_range] (low: u32, high: u32, flags: c_int) -> c_int {
        if low > high {
            return raw::fail(libc::EINVAL);
        }
        close_between(low, high, flags)
    }
    fn [dup2 _dup2] (from: c_int, to: c_int) -> c_int {
        if is_guarded(to) {
            return raw::fail(EBADF);
        }
        let made = raw::dup2(from, to) as c_int;
        places::copy(from, made);
        made
    }
    fn [dup _dup] (from: c_int) -> c_int {
        let made = raw::dup(from) as c_int;
        places::copy(from, made);
        made
    }
    fn [fcntl] (fd: c_int, command: c_int, argument: c_long) -> c_int {
        if is_refused(fd, command, argument) {
            return raw::fail(EBADF);
        }
        // SAFETY: libc's fcntl(2) has this type.
        let behind = unsafe { FCNTL.function::<Fcntl>() };
        let result = match behind {
            // SAFETY: what the program gave, unchanged.
            Some(fcntl) => unsafe { fcntl(fd, command, argument) },
            None => raw::fcntl(fd, command, argument) as c_int,
        };
        copied(fd, command, result)
    }
    fn [_fcntl] (fd: c_int, command: c_int, argument: c_long) -> c_int {
        if is_refused(fd, command, argument) {
            return raw::fail(EBADF);
        }
        copied(fd, command, raw::fcntl(fd, command, argument) as c_int)
    }
}
