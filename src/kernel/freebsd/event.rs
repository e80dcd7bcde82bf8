//! Signals, timers, clocks and kqueue(2).

use std::ffi::c_int;
use std::mem::MaybeUninit;

use super::wire::{checked, last};
use crate::kernel::{Errno, Event, Fd, Outcome, Watch};

/// sys/sys/_sigset.h: _SIG_MAXSIG.
const LAST_SIGNAL: c_int = 128;

// sys/sys/event.h of 15.0; the libc crate has neither.
const EVFILT_JAILDESC: i16 = -15;
const NOTE_JAIL_REMOVE: u32 = 0x1000_0000;

pub fn monotonic_ms() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a live timespec. The clock exists on every FreeBSD, so the call can't fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

pub fn realtime() -> (i64, i64) {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a live timespec. The clock exists on every FreeBSD, so the call can't fail.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    (now.tv_sec, now.tv_nsec)
}

fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::zeroed();
    // SAFETY: `set` is room for one sigset_t.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset(3) has initialized it, and can't fail.
    unsafe { set.assume_init() }
}

fn only(signal: c_int) -> libc::sigset_t {
    let mut set = no_signals();
    // SAFETY: `set` is initialized; a number out of range changes nothing.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    set
}

fn change_mask(how: c_int, set: &libc::sigset_t) -> Outcome<()> {
    // SAFETY: `set` is a live sigset_t, and null asks for no old mask.
    checked("sigprocmask", unsafe {
        libc::sigprocmask(how, set, std::ptr::null_mut())
    })
    .map(drop)
}

/// Sets a signal's default action. SIGKILL, SIGSTOP and the C library's own signal refuse, with EINVAL,
/// and have no other action.
fn set_default(signal: c_int) {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: null gives no new action, and `action` is room for the old one.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: struct sigaction is integers, and all zeroes is a value of it if the call was refused.
    let action = unsafe { action.assume_init() };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Gives every ignored signal its default action. The kernel names those that it drops, by SIG_IGN or by
/// default, in one call; where it refuses that (in capability mode), each of the 128 is asked for, which
/// are three calls of libthr's for each.
fn stop_ignoring() {
    let dropped = super::process::own().map(|own| own.ki_sigignore);
    let may_be_ignored = |signal: &c_int| match &dropped {
        // SAFETY: `dropped` is an initialized set; a number out of range is no member.
        Ok(dropped) => unsafe { libc::sigismember(dropped, *signal) == 1 },
        Err(_) => true,
    };
    (1..=LAST_SIGNAL)
        .filter(|signal| may_be_ignored(signal) && is_ignored(*signal))
        .for_each(set_default);
}

pub fn block_signals() -> Outcome<()> {
    let mut all = no_signals();
    // SAFETY: `all` is a live sigset_t.
    unsafe { libc::sigfillset(&raw mut all) };
    // Blocked first: what has been ignored so far must not end us between the two.
    change_mask(libc::SIG_SETMASK, &all)?;
    stop_ignoring();
    Ok(())
}

/// For execve(2), which itself gives caught signals their default action.
pub fn reset_signals() -> Outcome<()> {
    stop_ignoring();
    change_mask(libc::SIG_SETMASK, &no_signals())
}

pub fn raise_default(signal: c_int) {
    set_default(signal);
    // SAFETY: integers only; a refusal is a return, as promised.
    unsafe { libc::kill(super::process::getpid().0, signal) };
    // Sent while blocked or not, it ends us here at the latest.
    let _ = change_mask(libc::SIG_UNBLOCK, &only(signal));
}

/// How long a call of `interrupted` may sleep, in microseconds.
const PATIENCE_US: libc::suseconds_t = 500_000;

/// Makes a call whose sleep SIGALRM ends (EINTR), again and again until it has returned. All signals are
/// blocked otherwise, and are so after.
pub fn interrupted<T>(call: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    extern "C" fn nothing(_: c_int) {}
    let handler: extern "C" fn(c_int) = nothing;
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: integers all, of which all zeroes is a value: no flags, so no SA_RESTART.
    let act = unsafe { action.assume_init_mut() };
    act.sa_sigaction = handler as libc::sighandler_t;
    act.sa_mask = no_signals();
    let act: &libc::sigaction = act;
    // SAFETY: the handler does nothing and is there for as long as the program is.
    let set = unsafe { libc::sigaction(libc::SIGALRM, act, std::ptr::null_mut()) };
    checked("sigaction", set)?;
    let pause = libc::timeval {
        tv_sec: 0,
        tv_usec: PATIENCE_US,
    };
    let timer = libc::itimerval {
        it_interval: pause,
        it_value: pause,
    };
    // SAFETY: `timer` is a live itimerval, and null asks for no old value.
    let armed =
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    checked("setitimer", armed)?;
    change_mask(libc::SIG_UNBLOCK, &only(libc::SIGALRM))?;
    let outcome = call();
    change_mask(libc::SIG_BLOCK, &only(libc::SIGALRM))?;
    clear_timers()?;
    outcome
}

pub fn clear_timers() -> Outcome<()> {
    let zero = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    let never = libc::itimerval {
        it_interval: zero,
        it_value: zero,
    };
    for timer in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
        // SAFETY: `never` is a live itimerval, and null asks for no old value.
        let result = unsafe { libc::setitimer(timer, &raw const never, std::ptr::null_mut()) };
        checked("setitimer", result)?;
    }
    Ok(())
}

pub fn kqueue() -> Outcome<Fd> {
    // SAFETY: no arguments.
    let queue = Fd(checked("kqueue", unsafe { libc::kqueue() })?);
    super::files::set_close_on_exec(queue, true)?;
    Ok(queue)
}

fn change(queue: Fd, watch: Watch, action: u16) -> Outcome<()> {
    let (ident, filter, fflags) = match watch {
        Watch::Signal(signal) => (signal as usize, libc::EVFILT_SIGNAL, 0),
        Watch::Readable(fd) => (fd.0 as usize, libc::EVFILT_READ, 0),
        Watch::Writable(fd) => (fd.0 as usize, libc::EVFILT_WRITE, 0),
        Watch::Jail(fd) => (fd.0 as usize, EVFILT_JAILDESC, NOTE_JAIL_REMOVE),
        Watch::Unlinked(fd) => (fd.0 as usize, libc::EVFILT_VNODE, libc::NOTE_DELETE),
    };
    let mut event = nothing();
    event.ident = ident;
    event.filter = filter;
    event.flags = action;
    event.fflags = fflags;
    let (none, forever) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: `event` is one live change; there is no room for events, so the kernel writes none.
    let result = unsafe { libc::kevent(queue.0, &raw const event, 1, none, 0, forever) };
    checked("kevent", result).map(drop)
}

fn nothing() -> libc::kevent {
    // SAFETY: struct kevent is integers and a pointer: all zeroes is a value of it.
    unsafe { std::mem::zeroed() }
}

pub fn watch(queue: Fd, watch: Watch) -> Outcome<()> {
    if let Watch::Signal(signal) = watch {
        change_mask(libc::SIG_BLOCK, &only(signal))?;
    }
    let once = match watch {
        Watch::Unlinked(_) => libc::EV_ONESHOT,
        _ => 0,
    };
    change(queue, watch, libc::EV_ADD | once)
}

pub fn unwatch(queue: Fd, watch: Watch) -> Outcome<()> {
    change(queue, watch, libc::EV_DELETE)
}

pub fn wait(queue: Fd, timeout_ms: Option<u64>) -> Outcome<Option<Event>> {
    let timeout = timeout_ms.map(|milliseconds| libc::timespec {
        tv_sec: i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX),
        tv_nsec: (milliseconds % 1000) as i64 * 1_000_000,
    });
    let timeout = timeout
        .as_ref()
        .map_or(std::ptr::null(), std::ptr::from_ref);
    loop {
        let mut event = nothing();
        // SAFETY: `event` is room for the one event asked for; `timeout` is null or a live timespec.
        let count =
            unsafe { libc::kevent(queue.0, std::ptr::null(), 0, &raw mut event, 1, timeout) };
        match count {
            0 => return Ok(None),
            1 => match event.filter {
                libc::EVFILT_SIGNAL => return Ok(Some(Event::Signal(event.ident as i32))),
                libc::EVFILT_WRITE => return Ok(Some(Event::Writable(Fd(event.ident as i32)))),
                EVFILT_JAILDESC => return Ok(Some(Event::JailGone(Fd(event.ident as i32)))),
                libc::EVFILT_VNODE => return Ok(Some(Event::Unlinked(Fd(event.ident as i32)))),
                _ => return Ok(Some(Event::Readable(Fd(event.ident as i32)))),
            },
            _ => {
                let failure = last("kevent");
                if failure.errno != Errno::EINTR {
                    return Err(failure);
                }
            }
        }
    }
}
