//! Children that were forked with a process descriptor, where the profile says `kill_children`.

use super::raw;
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, Ordering};
use libc::{F_DUPFD_CLOEXEC, pid_t};

#[derive(Clone, Copy)]
pub struct Child {
    pub pid: pid_t,
    pub fd: c_int,
}

struct Place {
    /// 0: free; -1: being filled.
    pid: AtomicI32,
    fd: AtomicI32,
}

/// Further ones can be waited for, and not signalled.
pub const MOST: usize = 128;

static TABLE: [Place; MOST] = [const {
    Place {
        pid: AtomicI32::new(0),
        fd: AtomicI32::new(0),
    }
}; MOST];

pub fn all() -> impl Iterator<Item = Child> {
    TABLE.iter().filter_map(|place| {
        let pid = place.pid.load(Ordering::Acquire);
        let fd = place.fd.load(Ordering::Relaxed);
        (pid > 0).then_some(Child { pid, fd })
    })
}

pub fn forget(child: Child) {
    for place in &TABLE {
        let freed = place
            .pid
            .compare_exchange(child.pid, 0, Ordering::AcqRel, Ordering::Relaxed);
        if freed.is_ok() {
            raw::close(child.fd);
        }
    }
}

fn remember(pid: pid_t, fd: c_int) {
    for place in &TABLE {
        let taken = place
            .pid
            .compare_exchange(0, -1, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_ok() {
            place.fd.store(fd, Ordering::Relaxed);
            place.pid.store(pid, Ordering::Release);
            return;
        }
    }
}

type Pdfork = unsafe extern "C" fn(*mut c_int, c_int) -> pid_t;

static PDFORK: raw::Behind = raw::Behind::new(c"pdfork");

/// fork(2) with a descriptor. None: the system's C library has no function that does it as fork(2) does,
/// or there is no room, and then fork(2) has to do.
pub fn fork() -> Option<pid_t> {
    /// The child outlives its descriptor, as it would have outlived nothing.
    const PD_DAEMON: c_int = 1;
    const PD_CLOEXEC: c_int = 2;
    if !TABLE
        .iter()
        .any(|place| place.pid.load(Ordering::Relaxed) == 0)
    {
        return None;
    }
    // SAFETY: libc's pdfork(2) has this type. From 15.1 on it runs what pthread_atfork(3) registered.
    let pdfork = unsafe { PDFORK.function::<Pdfork>() }?;
    let mut fd = -1;
    // SAFETY: it writes one number.
    let pid = unsafe { pdfork(&raw mut fd, PD_DAEMON | PD_CLOEXEC) };
    if pid == 0 {
        // The parent's children aren't ours.
        for child in all() {
            forget(child);
        }
    }
    if pid > 0 {
        // Out of the way of the numbers that the program expects.
        let before = raw::errno();
        let high = raw::fcntl(fd, F_DUPFD_CLOEXEC, 600) as c_int;
        if high >= 0 {
            raw::close(fd);
            fd = high;
        } else {
            raw::set_errno(before);
        }
        remember(pid, fd);
    }
    Some(pid)
}
