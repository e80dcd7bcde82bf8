//! Waiting for children, where they have descriptors (`kill_children`).

use super::errno;
use libc::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

extern "C" fn nothing(_: c_int) {}

/// Any but those that the system's own library takes.
const REAL_TIME: c_int = 70;

fn handle(signal: c_int, flags: c_int) {
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    action.sa_flags = flags;
    let set = unsafe { libc::sigaction(signal, &raw const action, null_mut()) };
    assert_eq!(set, 0, "{signal}: {}", errno());
}

/// A child that ends late, and signals meanwhile to the thread that waits for it.
fn interrupted(name: &str, signal: c_int, flags: c_int, wait: impl FnOnce(c_int) -> bool) {
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    handle(signal, flags);
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::usleep(900_000) };
        unsafe { libc::_exit(0) };
    }
    let waiting = unsafe { libc::pthread_self() } as usize;
    IS_OVER.store(false, Ordering::Relaxed);
    let sender = std::thread::Builder::new().spawn(move || {
        // One that comes before the call interrupts nothing.
        while !IS_OVER.load(Ordering::Relaxed) {
            unsafe { libc::usleep(20_000) };
            unsafe { libc::pthread_kill(waiting as libc::pthread_t, signal) };
        }
    });
    let (is_the_childs, errno) = (wait(child), errno());
    IS_OVER.store(true, Ordering::Relaxed);
    sender.unwrap().join().unwrap();
    if is_the_childs {
        println!("{name}: the child's");
    } else {
        println!("{name}: error {errno}");
        let mut status = 0;
        unsafe { libc::waitpid(child, &raw mut status, 0) };
    }
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = libc::SIG_DFL;
    unsafe { libc::sigaction(signal, &raw const action, null_mut()) };
}

pub fn restarting() {
    let waitpid = |child| unsafe { libc::waitpid(child, null_mut(), 0) == child };
    let any = |child| unsafe { libc::wait4(-1, null_mut(), 0, null_mut()) == child };
    let waitid = |child: c_int| unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let id = libc::id_t::from(child.unsigned_abs());
        libc::waitid(libc::P_PID, id, &raw mut info, libc::WEXITED) == 0
    };
    interrupted("SA_RESTART", libc::SIGUSR1, libc::SA_RESTART, waitpid);
    interrupted(
        "SA_RESTART, any child",
        libc::SIGUSR1,
        libc::SA_RESTART,
        any,
    );
    interrupted(
        "SA_RESTART, waitid",
        libc::SIGUSR1,
        libc::SA_RESTART,
        waitid,
    );
    interrupted("none", libc::SIGUSR1, 0, waitpid);
    interrupted("none, any child", libc::SIGUSR2, 0, any);
    interrupted("none, waitid", libc::SIGUSR1, 0, waitid);
    interrupted("none, real-time", REAL_TIME, 0, waitpid);
}

pub fn looked_at() {
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::_exit(7) };
    }
    let id = libc::id_t::from(child.unsigned_abs());
    for (name, options) in [
        ("looked at", libc::WEXITED | libc::WNOWAIT),
        ("looked at again", libc::WEXITED | libc::WNOWAIT),
        ("waited for", libc::WEXITED),
        ("gone", libc::WEXITED),
    ] {
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let waited = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) };
        if waited < 0 {
            println!("{name}: error {}", errno());
        } else {
            println!("{name}: {} {}", info.si_status, info.si_pid == child);
        }
    }
}
