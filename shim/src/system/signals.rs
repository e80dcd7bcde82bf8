//! Children: waiting for them by waitid(2), which capability mode doesn't have, and, where the profile
//! says `kill_children`, signalling them, which it has by descriptor only. Then fork(2) gives a process
//! descriptor too, which the kernel keeps out of wait(2): waiting is done by descriptor as well.

use super::children::{self, Child};
use super::{raw, state};
use core::ffi::c_int;
use core::ptr::null_mut;
use libc::{
    CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, EAGAIN, ECHILD, EINTR, ESRCH,
    P_ALL, P_PGID, P_PID, SIGCHLD, WEXITED, WNOHANG, WNOWAIT, WTRAPPED, id_t, idtype_t, pid_t,
    pollfd, rusage, siginfo_t,
};

const ECAPMODE: c_int = 94;

type Wait4 = unsafe extern "C" fn(pid_t, *mut c_int, c_int, *mut rusage) -> pid_t;
type Waitid = unsafe extern "C" fn(idtype_t, id_t, *mut siginfo_t, c_int) -> c_int;
type Wait6 = unsafe extern "C" fn(
    idtype_t,
    id_t,
    *mut c_int,
    c_int,
    *mut [rusage; 2],
    *mut siginfo_t,
) -> pid_t;
type Fork = unsafe extern "C" fn() -> pid_t;

static WAIT4: raw::Behind = raw::Behind::new(c"wait4");
static WAITID: raw::Behind = raw::Behind::new(c"waitid");
static WAIT6: raw::Behind = raw::Behind::new(c"wait6");
static FORK: raw::Behind = raw::Behind::new(c"fork");

fn libc_wait4(pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    // SAFETY: libc's wait4(2) has this type.
    let behind = unsafe { WAIT4.function::<Wait4>() };
    match behind {
        // SAFETY: what the program gave, or places of ours.
        Some(wait4) => unsafe { wait4(pid, status, options, usage) },
        None => raw::wait4(pid, status, options, usage.cast()) as pid_t,
    }
}

/// None: not yet.
fn look_at(child: Child, status: *mut c_int, options: c_int) -> Option<pid_t> {
    let options = options | WEXITED | WTRAPPED;
    let mut code = 0;
    match raw::pdwait(child.fd, &raw mut code, options | WNOHANG) {
        0 => {
            let has_ended = libc::WIFEXITED(code) || libc::WIFSIGNALED(code);
            if has_ended && options & WNOWAIT == 0 {
                children::forget(child);
            }
            if !status.is_null() {
                // SAFETY: where the program wants its child's status.
                unsafe { status.write(code) };
            }
            Some(child.pid)
        }
        _ if raw::errno() == EAGAIN => None,
        // Somebody else of this program had it.
        _ => {
            children::forget(child);
            Some(raw::fail(ECHILD))
        }
    }
}

/// Sleeps until one of ours ends or, since others can be asked for only in turn, a moment has passed.
fn doze(has_others: bool) -> bool {
    let mut ends = [pollfd {
        fd: -1,
        events: 0,
        revents: 0,
    }; children::MOST];
    for (end, child) in ends.iter_mut().zip(children::all()) {
        end.fd = child.fd;
    }
    let patience = if has_others { 20 } else { 1000 };
    // SAFETY: as many as there are.
    let result = unsafe { libc::poll(ends.as_mut_ptr(), ends.len() as u32, patience) };
    if result >= 0 || raw::errno() != EINTR || are_all_restarting() {
        return true;
    }
    raw::set_errno(EINTR);
    false
}

/// poll(2) comes back for each signal, wait(2) only for those whose handlers want that. Which one it was
/// isn't told: none of them wants it, or one may have been it.
fn are_all_restarting() -> bool {
    /// SIGRTMAX.
    const LAST: c_int = 126;
    (1..=LAST).all(|signal| {
        // SAFETY: `sigaction` is made of integers: zeros are a value.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        // SAFETY: it writes what is set to `action`, and sets nothing.
        unsafe { libc::sigaction(signal, core::ptr::null(), &raw mut action) };
        let has_handler = action.sa_sigaction > libc::SIG_IGN;
        !has_handler || action.sa_flags & libc::SA_RESTART != 0
    })
}

fn wait(pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    let before = raw::errno();
    let waited = wait_for(pid, status, options, usage);
    if waited >= 0 {
        raw::set_errno(before);
    }
    waited
}

fn wait_for(pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    let is_any = pid == -1 || pid == 0;
    let is_ours = |child: &Child| is_any || child.pid == pid;
    if !children::all().any(|child| is_ours(&child)) {
        return libc_wait4(pid, status, options, usage);
    }
    loop {
        for child in children::all().filter(is_ours) {
            if let Some(pid) = look_at(child, status, options) {
                return pid;
            }
        }
        let mut others = -1;
        if is_any {
            others = libc_wait4(pid, status, options | WNOHANG, usage);
            if others > 0 {
                return others;
            }
        }
        if options & WNOHANG != 0 {
            return 0;
        }
        if !doze(others == 0) {
            return -1;
        }
    }
}

/// wait4(2) says what waitid(2) asks for, but that it always takes children that have ended.
fn by_wait4(kind: idtype_t, id: id_t, options: c_int) -> Option<(pid_t, c_int)> {
    let pid = match kind {
        P_PID => pid_t::try_from(id).ok()?,
        P_PGID => -pid_t::try_from(id).ok()?,
        P_ALL => -1,
        _ => return None,
    };
    let is_possible = options & WEXITED != 0;
    is_possible.then_some((pid, options & !(WEXITED | WTRAPPED)))
}

fn describe(pid: pid_t, status: c_int, into: *mut siginfo_t) {
    if into.is_null() {
        return;
    }
    // SAFETY: `siginfo_t` is made of integers and an address: zeros are a value.
    let mut info: siginfo_t = unsafe { core::mem::zeroed() };
    if pid > 0 {
        info.si_signo = SIGCHLD;
        info.si_pid = pid;
        (info.si_code, info.si_status) = if libc::WIFEXITED(status) {
            (CLD_EXITED, libc::WEXITSTATUS(status))
        } else if libc::WIFSTOPPED(status) {
            (CLD_STOPPED, libc::WSTOPSIG(status))
        } else if libc::WIFCONTINUED(status) {
            (CLD_CONTINUED, libc::SIGCONT)
        } else if libc::WCOREDUMP(status) {
            (CLD_DUMPED, libc::WTERMSIG(status))
        } else {
            (CLD_KILLED, libc::WTERMSIG(status))
        };
    }
    // SAFETY: where the program wants it.
    unsafe { into.write(info) };
}

/// libc's wait(2), which this file has another function of that name for.
///
/// # Safety
/// As libc's.
#[unsafe(export_name = "wait")]
pub unsafe extern "C" fn wait_any(status: *mut c_int) -> pid_t {
    wait(-1, status, 0, null_mut())
}

export! {
    fn [waitid] (kind: idtype_t, id: id_t, info: *mut siginfo_t, options: c_int) -> c_int {
        if state::confined().is_none() {
            // SAFETY: libc's waitid(2) has this type.
            let behind = unsafe { WAITID.function::<Waitid>() };
            // SAFETY: what the program gave, unchanged.
            return behind.map_or(-1, |waitid| unsafe { waitid(kind, id, info, options) });
        }
        let Some((pid, options)) = by_wait4(kind, id, options) else {
            return raw::fail(ECAPMODE);
        };
        let mut status = 0;
        let waited = wait(pid, &raw mut status, options, null_mut());
        if waited < 0 {
            return -1;
        }
        describe(waited, status, info);
        0
    }
    fn [wait6 _wait6] (
        kind: idtype_t,
        id: id_t,
        status: *mut c_int,
        options: c_int,
        usage: *mut [rusage; 2],
        info: *mut siginfo_t,
    ) -> pid_t {
        if state::confined().is_none() {
            // SAFETY: libc's wait6(2) has this type.
            let behind = unsafe { WAIT6.function::<Wait6>() };
            // SAFETY: what the program gave, unchanged.
            return behind.map_or(-1, |wait6| unsafe { wait6(kind, id, status, options, usage, info) });
        }
        let Some((pid, options)) = by_wait4(kind, id, options) else {
            return raw::fail(ECAPMODE);
        };
        let mut code = 0;
        // The first of the two is the child's own; what its children used isn't told.
        if !usage.is_null() {
            // SAFETY: where the program wants both; they are made of integers.
            unsafe { usage.write_bytes(0, 1) };
        }
        let waited = wait(pid, &raw mut code, options, usage.cast());
        if waited < 0 {
            return -1;
        }
        if waited > 0 && !status.is_null() {
            // SAFETY: where the program wants its child's status.
            unsafe { status.write(code) };
        }
        describe(waited, code, info);
        waited
    }
    fn [wait4 _wait4] (pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
        wait(pid, status, options, usage)
    }
    fn [wait3] (status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
        wait(-1, status, options, usage)
    }
    fn [waitpid _waitpid] (pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
        wait(pid, status, options, null_mut())
    }
    fn [fork _fork] () -> pid_t {
        if state::confined().is_some_and(|state| state.handoff().kill_children)
            && let Some(pid) = children::fork()
        {
            return pid;
        }
        // SAFETY: libc's fork(2) has this type.
        let behind = unsafe { FORK.function::<Fork>() };
        // SAFETY: it takes nothing.
        behind.map_or(-1, |fork| unsafe { fork() })
    }
    fn [kill _kill] (pid: pid_t, signal: c_int) -> c_int {
        let child = children::all().find(|child| child.pid == pid);
        let Some(child) = child else {
            return raw::kill(pid, signal) as c_int;
        };
        let before = raw::errno();
        let result = raw::pdkill(child.fd, signal) as c_int;
        // Ended and not waited for is still there, for kill(2).
        if result != 0 && raw::errno() == ESRCH {
            raw::set_errno(before);
            return 0;
        }
        result
    }
}
