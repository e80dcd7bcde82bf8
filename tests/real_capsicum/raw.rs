//! System calls by number (sys/kern/syscalls.master): no library is between these and the kernel.

use std::ffi::CStr;

unsafe extern "C" {
    fn __syscall(number: i64, ...) -> i64;
}

pub const OPEN: i64 = 5;
pub const LINK: i64 = 9;
pub const UNLINK: i64 = 10;
pub const CHDIR: i64 = 12;
pub const FCHDIR: i64 = 13;
pub const CHMOD: i64 = 15;
pub const CHOWN: i64 = 16;
pub const UNMOUNT: i64 = 22;
pub const PTRACE: i64 = 26;
pub const ACCESS: i64 = 33;
pub const CHFLAGS: i64 = 34;
pub const KILL: i64 = 37;
pub const KTRACE: i64 = 45;
pub const ACCT: i64 = 51;
pub const IOCTL: i64 = 54;
pub const REVOKE: i64 = 56;
pub const SYMLINK: i64 = 57;
pub const READLINK: i64 = 58;
pub const EXECVE: i64 = 59;
pub const CHROOT: i64 = 61;
pub const SETGROUPS: i64 = 80;
pub const FCNTL: i64 = 92;
pub const SOCKET: i64 = 97;
pub const CONNECT: i64 = 98;
pub const BIND: i64 = 104;
pub const RENAME: i64 = 128;
pub const MKFIFO: i64 = 132;
pub const SENDTO: i64 = 133;
pub const MKDIR: i64 = 136;
pub const RMDIR: i64 = 137;
pub const UTIMES: i64 = 138;
pub const PATHCONF: i64 = 191;
pub const SHMGET: i64 = 231;
pub const FHOPEN: i64 = 298;
pub const KLDLOAD: i64 = 304;
pub const GETCWD: i64 = 326;
pub const NMOUNT: i64 = 378;
pub const KSEM_OPEN: i64 = 405;
pub const JAIL_ATTACH: i64 = 436;
pub const MMAP: i64 = 477;
pub const TRUNCATE: i64 = 479;
pub const FACCESSAT: i64 = 489;
pub const FCHMODAT: i64 = 490;
pub const FEXECVE: i64 = 492;
pub const LINKAT: i64 = 495;
pub const MKDIRAT: i64 = 496;
pub const OPENAT: i64 = 499;
pub const READLINKAT: i64 = 500;
pub const RENAMEAT: i64 = 501;
pub const SYMLINKAT: i64 = 502;
pub const UNLINKAT: i64 = 503;
pub const POSIX_OPENPT: i64 = 504;
pub const JAIL_GET: i64 = 506;
pub const JAIL_SET: i64 = 507;
pub const CAP_GETMODE: i64 = 517;
pub const PDFORK: i64 = 518;
pub const PDKILL: i64 = 519;
pub const PDGETPID: i64 = 520;
pub const RCTL_ADD_RULE: i64 = 528;
pub const CAP_RIGHTS_LIMIT: i64 = 533;
pub const CAP_IOCTLS_LIMIT: i64 = 534;
pub const CAP_FCNTLS_LIMIT: i64 = 536;
pub const BINDAT: i64 = 538;
pub const CONNECTAT: i64 = 539;
pub const PROCCTL: i64 = 544;
pub const FSTATAT: i64 = 552;
pub const STATFS: i64 = 555;
pub const GETFSSTAT: i64 = 557;
pub const SHM_OPEN2: i64 = 571;
pub const REALPATHAT: i64 = 574;

pub const AT_FDCWD: i64 = -100;

/// One system call; `Err` is its errno.
pub fn call(number: i64, words: &[i64]) -> Result<i64, i32> {
    let word = |index: usize| words.get(index).copied().unwrap_or(0);
    // SAFETY: every pointer that this file and probe.rs hand over is to something that outlives the call
    // and is as large as the call takes it to be, or it is null; __syscall takes them as integers.
    let result = unsafe { __syscall(number, word(0), word(1), word(2), word(3), word(4), word(5)) };
    match result {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        value => Ok(value),
    }
}

pub fn text(text: &CStr) -> i64 {
    text.as_ptr() as i64
}

pub fn at<T>(value: &T) -> i64 {
    std::ptr::from_ref(value) as i64
}

pub fn openat(directory: i64, path: &CStr, flags: i32) -> Result<i64, i32> {
    call(OPENAT, &[directory, text(path), i64::from(flags), 0o644])
}

/// "ok", or the errno's name.
pub fn word(result: Result<i64, i32>) -> String {
    match result {
        Ok(_) => "ok".to_string(),
        Err(errno) => jailrun::kernel::Errno(errno).name().to_string(),
    }
}
