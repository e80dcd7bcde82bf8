//! The system calls, by number, and libc's own functions behind ours.
//!
//! By number, because libc's functions of these names are the ones that are replaced here. All of them
//! take integers and addresses. The addresses are the program's: it gave them to libc's function, the
//! kernel checks each and answers EFAULT, and nothing in this file reads or writes through one unless it
//! says so. That is why these functions are safe to call, as far as Rust is concerned: what they may do
//! to the program's memory is what the program asked for, by the contract of libc's function.

use crate::text::{PATH_MAX, Text};
use core::ffi::{c_char, c_int, c_long, c_ulong, c_void};
use core::mem::transmute_copy;
use core::sync::atomic::{AtomicPtr, Ordering};
use libc::{sockaddr, socklen_t, stat, timespec, timeval};

/// Numbers of system calls are part of FreeBSD's ABI: they stay as they are.
mod number {
    use core::ffi::c_int;
    pub const CLOSE: c_int = 6;
    pub const WAIT4: c_int = 7;
    pub const GETPID: c_int = 20;
    pub const KILL: c_int = 37;
    pub const GETPPID: c_int = 39;
    pub const DUP: c_int = 41;
    pub const DUP2: c_int = 90;
    pub const FCNTL: c_int = 92;
    pub const BIND: c_int = 104;
    pub const CONNECT: c_int = 98;
    pub const SYSCTL: c_int = 202;
    pub const SCHED_YIELD: c_int = 331;
    pub const SIGPROCMASK: c_int = 340;
    pub const FACCESSAT: c_int = 489;
    pub const FEXECVE: c_int = 492;
    pub const OPENAT: c_int = 499;
    pub const READLINKAT: c_int = 500;
    pub const BINDAT: c_int = 538;
    pub const CONNECTAT: c_int = 539;
    pub const FSTAT: c_int = 551;
    pub const FSTATAT: c_int = 552;
    pub const CLOSE_RANGE: c_int = 575;
    pub const UNLINKAT: c_int = 503;
    pub const FUNLINKAT: c_int = 568;
    pub const RENAMEAT: c_int = 501;
    pub const RENAMEAT2: c_int = 602;
    pub const MKDIRAT: c_int = 496;
    pub const FCHMODAT: c_int = 490;
    pub const FCHOWNAT: c_int = 491;
    pub const LINKAT: c_int = 495;
    pub const SYMLINKAT: c_int = 502;
    pub const MKFIFOAT: c_int = 497;
    pub const MKNODAT: c_int = 559;
    pub const UTIMENSAT: c_int = 547;
    pub const FUTIMESAT: c_int = 494;
    pub const CHFLAGSAT: c_int = 540;
    pub const INOTIFY_ADD_WATCH_AT: c_int = 593;
    pub const PDKILL: c_int = 519;
    pub const SETPGID: c_int = 82;
    pub const PDWAIT: c_int = 601;
}

unsafe extern "C" {
    fn syscall(number: c_int, ...) -> c_long;
    fn __error() -> *mut c_int;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// `RTLD_NEXT`: the definition after ours.
const NEXT: *mut c_void = usize::MAX as *mut c_void;

pub fn errno() -> c_int {
    // SAFETY: __error(2) takes nothing, and gives this thread's errno, which lives as long as it.
    let place = unsafe { __error() };
    // SAFETY: as above; nobody else writes to it.
    unsafe { *place }
}

pub fn set_errno(errno: c_int) {
    // SAFETY: as in errno().
    let place = unsafe { __error() };
    // SAFETY: as in errno().
    unsafe { *place = errno }
}

/// What C functions give for an error.
pub fn fail(errno: c_int) -> c_int {
    set_errno(errno);
    -1
}

/// A string of the program's. None: no string at all.
pub fn text<'a>(string: *const c_char) -> Option<&'a [u8]> {
    if string.is_null() {
        return None;
    }
    // SAFETY: libc's contract: a string ends in NUL, and stays as it is while the call lasts; no function
    // here keeps it for longer.
    let string = unsafe { core::ffi::CStr::from_ptr(string) };
    Some(string.to_bytes())
}

/// A system call of integers and addresses; see this file's head.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {{
        // SAFETY: syscall(2) passes on what it is given: registers. The kernel checks all of it.
        unsafe { syscall(number::$number $(, $argument)*) }
    }};
}

pub fn openat(fd: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_long {
    call!(OPENAT, fd, path, flags, mode)
}
pub fn close(fd: c_int) -> c_long {
    call!(CLOSE, fd)
}
pub fn close_range(low: u32, high: u32, flags: c_int) -> c_long {
    call!(CLOSE_RANGE, low, high, flags)
}
pub fn dup(from: c_int) -> c_long {
    call!(DUP, from)
}
pub fn dup2(from: c_int, to: c_int) -> c_long {
    call!(DUP2, from, to)
}
pub fn fcntl(fd: c_int, command: c_int, argument: c_long) -> c_long {
    call!(FCNTL, fd, command, argument)
}
pub fn fstat(fd: c_int, into: *mut stat) -> c_long {
    call!(FSTAT, fd, into)
}
pub fn fstatat(fd: c_int, path: *const c_char, into: *mut stat, flags: c_int) -> c_long {
    call!(FSTATAT, fd, path, into, flags)
}
pub fn faccessat(fd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_long {
    call!(FACCESSAT, fd, path, mode, flags)
}
pub fn readlinkat(fd: c_int, path: *const c_char, into: *mut c_char, size: usize) -> c_long {
    call!(READLINKAT, fd, path, into, size)
}
pub fn bind(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_long {
    call!(BIND, socket, address, length)
}
pub fn bindat(fd: c_int, socket: c_int, address: *const sockaddr, length: socklen_t) -> c_long {
    call!(BINDAT, fd, socket, address, length)
}
pub fn connect(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_long {
    call!(CONNECT, socket, address, length)
}
pub fn connectat(fd: c_int, socket: c_int, address: *const sockaddr, length: socklen_t) -> c_long {
    call!(CONNECTAT, fd, socket, address, length)
}
pub fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_long {
    call!(FEXECVE, fd, argv, envp)
}
pub fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut c_void) -> c_long {
    call!(WAIT4, pid, status, options, usage)
}
pub fn kill(pid: c_int, signal: c_int) -> c_long {
    call!(KILL, pid, signal)
}
pub fn getpid() -> c_int {
    call!(GETPID) as c_int
}
pub fn getppid() -> c_int {
    call!(GETPPID) as c_int
}
pub fn sched_yield() {
    call!(SCHED_YIELD);
}
pub fn unlinkat(fd: c_int, path: *const c_char, flags: c_int) -> c_long {
    call!(UNLINKAT, fd, path, flags)
}
pub fn funlinkat(dir: c_int, path: *const c_char, fd: c_int, flags: c_int) -> c_long {
    call!(FUNLINKAT, dir, path, fd, flags)
}
pub fn renameat(fd: c_int, old: *const c_char, other: c_int, new: *const c_char) -> c_long {
    call!(RENAMEAT, fd, old, other, new)
}
pub fn renameat2(
    fd: c_int,
    old: *const c_char,
    other: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_long {
    call!(RENAMEAT2, fd, old, other, new, flags)
}
pub fn linkat(
    fd: c_int,
    old: *const c_char,
    other: c_int,
    new: *const c_char,
    flags: c_int,
) -> c_long {
    call!(LINKAT, fd, old, other, new, flags)
}
pub fn symlinkat(text: *const c_char, fd: c_int, path: *const c_char) -> c_long {
    call!(SYMLINKAT, text, fd, path)
}
pub fn mkdirat(fd: c_int, path: *const c_char, mode: c_int) -> c_long {
    call!(MKDIRAT, fd, path, mode)
}
pub fn mkfifoat(fd: c_int, path: *const c_char, mode: c_int) -> c_long {
    call!(MKFIFOAT, fd, path, mode)
}
pub fn mknodat(fd: c_int, path: *const c_char, mode: c_int, device: u64) -> c_long {
    call!(MKNODAT, fd, path, mode, device)
}
pub fn fchmodat(fd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_long {
    call!(FCHMODAT, fd, path, mode, flags)
}
pub fn fchownat(fd: c_int, path: *const c_char, user: u32, group: u32, flags: c_int) -> c_long {
    call!(FCHOWNAT, fd, path, user, group, flags)
}
pub fn chflagsat(fd: c_int, path: *const c_char, flags: c_ulong, at: c_int) -> c_long {
    call!(CHFLAGSAT, fd, path, flags, at)
}
pub fn utimensat(fd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_long {
    call!(UTIMENSAT, fd, path, times, flags)
}
pub fn futimesat(fd: c_int, path: *const c_char, times: *const timeval) -> c_long {
    call!(FUTIMESAT, fd, path, times)
}
pub fn inotify_add_watch_at(notify: c_int, fd: c_int, path: *const c_char, mask: u32) -> c_long {
    call!(INOTIFY_ADD_WATCH_AT, notify, fd, path, mask)
}
pub fn pdkill(fd: c_int, signal: c_int) -> c_long {
    call!(PDKILL, fd, signal)
}
pub fn pdwait(fd: c_int, status: *mut c_int, options: c_int) -> c_long {
    let none = core::ptr::null_mut::<c_void>();
    call!(PDWAIT, fd, status, options, none, none)
}
pub fn setpgid(process: c_int, group: c_int) -> c_long {
    call!(SETPGID, process, group)
}
/// Sets what `ps` shows of this process.
pub fn set_arguments(arguments: &[u8]) {
    // CTL_KERN, KERN_PROC, KERN_PROC_ARGS
    let name: [c_int; 4] = [1, 14, 7, getpid()];
    let (none, length) = (core::ptr::null_mut::<c_void>(), arguments.len());
    call!(
        SYSCTL,
        name.as_ptr(),
        4_u32,
        none,
        none,
        arguments.as_ptr(),
        length
    );
}

pub type Signals = [u32; 4];

/// Blocks all signals, and gives those that were blocked before.
pub fn block_signals() -> Signals {
    const SIG_SETMASK: c_int = 3;
    let (all, mut before): (Signals, Signals) = ([u32::MAX; 4], [0; 4]);
    call!(SIGPROCMASK, SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    before
}
pub fn restore_signals(before: &Signals) {
    const SIG_SETMASK: c_int = 3;
    let none = core::ptr::null_mut::<u32>();
    call!(SIGPROCMASK, SIG_SETMASK, before.as_ptr(), none);
}

/// What is at a name below a descriptor, if anything is.
pub fn status(fd: c_int, path: *const c_char, flags: c_int) -> Result<stat, c_int> {
    // SAFETY: `stat` is made of integers: zeros are a value.
    let mut status: stat = unsafe { core::mem::zeroed() };
    match fstatat(fd, path, &raw mut status, flags) {
        0 => Ok(status),
        _ => Err(errno()),
    }
}
pub fn status_of(fd: c_int) -> Result<stat, c_int> {
    // SAFETY: as in status().
    let mut status: stat = unsafe { core::mem::zeroed() };
    match fstat(fd, &raw mut status) {
        0 => Ok(status),
        _ => Err(errno()),
    }
}
pub fn read_link(
    fd: c_int,
    path: *const c_char,
    into: &mut [u8; PATH_MAX],
) -> Result<usize, c_int> {
    match readlinkat(fd, path, into.as_mut_ptr().cast(), PATH_MAX) {
        length @ 0.. => Ok(length as usize),
        _ => Err(errno()),
    }
}

/// Allocated as libc's function would have, since the program frees it. Null, and errno set: no memory.
pub fn allocated(text: &Text, at_least: usize) -> *mut c_char {
    let size = at_least.max(text.bytes().len() + 1);
    // SAFETY: malloc(3) takes any size.
    let place: *mut c_char = unsafe { libc::malloc(size) }.cast();
    if !place.is_null() {
        // SAFETY: `place` has room for the text and its NUL, by `size`.
        unsafe { copy_out(text, place) };
    }
    place
}

/// # Safety
/// `place` has room for the text and a NUL.
pub unsafe fn copy_out(text: &Text, place: *mut c_char) {
    let length = text.bytes().len() + 1;
    // SAFETY: a text is followed by its NUL, and by the caller's word there is room for both.
    unsafe { core::ptr::copy_nonoverlapping(text.from(0), place, length) }
}

/// libc's function behind ours of the same name, looked up at the first call: its own stands for it where
/// it is a point at which a thread can be cancelled, which a system call isn't.
pub struct Behind {
    name: &'static core::ffi::CStr,
    found: AtomicPtr<c_void>,
}

impl Behind {
    pub const fn new(name: &'static core::ffi::CStr) -> Self {
        let found = AtomicPtr::new(core::ptr::null_mut());
        Self { name, found }
    }

    pub fn find(&self) -> Option<*mut c_void> {
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: dlsym(3) takes a handle of its own and a string that ends in NUL.
            found = unsafe { dlsym(NEXT, self.name.as_ptr()) };
            self.found.store(found, Ordering::Relaxed);
        }
        (!found.is_null()).then_some(found)
    }

    /// # Safety
    /// `F` is the type of the function that libc has by this name.
    pub unsafe fn function<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) }
        let found = self.find()?;
        // SAFETY: a function pointer of type F, by the caller's word; sizes were compared when compiled.
        Some(unsafe { transmute_copy(&found) })
    }
}
