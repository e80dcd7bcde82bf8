//! Names that are made, moved and removed.

use super::asking::{AT_EMPTY_PATH, AT_RESOLVE_BENEATH};
use super::paths::Name;
use super::{Fuzz, Op, errno, function, op, set_errno};
use libc::{AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, mode_t};
use std::ffi::{CStr, CString, c_char, c_int};

/// Of a name that ends in "." or "..": one of several errors, or nothing done.
const REFUSED: c_int = 9000;
/// EROFS, ENOTDIR, ELOOP, or where it can be no other's EACCES.
const READ_ONLY: c_int = 9001;

type One = unsafe extern "C" fn(*const c_char) -> c_int;
type Two = unsafe extern "C" fn(*const c_char, *const c_char) -> c_int;
type Make = unsafe extern "C" fn(*const c_char, mode_t) -> c_int;
type MakeAt = unsafe extern "C" fn(c_int, *const c_char, mode_t) -> c_int;

pub const OPS: &[Op] = &[
    op(&["mkdir", "_mkdir"], 30, make),
    op(&["mkdirat", "_mkdirat"], 16, make_at),
    op(&["mkfifo", "_mkfifo"], 4, make),
    op(&["mkfifoat", "_mkfifoat"], 4, make_at),
    op(&["mknod"], 4, mknod),
    op(&["mknodat", "_mknodat"], 4, mknodat),
    op(&["symlink", "_symlink"], 24, symlink),
    op(&["symlinkat", "_symlinkat"], 16, symlinkat),
    op(&["link", "_link"], 14, link),
    op(&["linkat", "_linkat"], 12, linkat),
    op(&["rename", "_rename"], 20, rename),
    op(&["renameat", "_renameat"], 14, renameat),
    op(&["renameat2"], 8, renameat2),
    op(&["unlink", "_unlink"], 12, remove),
    op(&["rmdir", "_rmdir"], 12, remove),
    op(&["unlinkat", "_unlinkat"], 10, unlinkat),
    op(&["funlinkat", "_funlinkat"], 6, funlinkat),
    // Made of the above by libc.
    op(&["remove"], 4, remove),
];

const CLOSED: &CStr = c"/ro/closed";

/// Whether a name is one in the directory that is closed to users, or below it, by a link or without.
fn is_barred(start: c_int, path: &Name) -> bool {
    let path = path.text().trim_end_matches('/');
    let mut end = path.rfind('/');
    while let Some(slash) = end {
        let above = CString::new(&path[..=slash]).unwrap();
        if is_closed(start, &above) {
            return true;
        }
        // What can't be opened may be a name in it, or a link to one.
        let name = CString::new(path[..slash].trim_end_matches('/')).unwrap();
        if link_text(start, &name).starts_with(CLOSED.to_bytes()) {
            return true;
        }
        end = path[..slash].trim_end_matches('/').rfind('/');
    }
    !path.starts_with('/') && is_closed_itself(start)
}

fn is_closed(start: c_int, directory: &CStr) -> bool {
    const O_PATH: c_int = 0x40_0000;
    let flags = O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let fd = unsafe { libc::openat(start, directory.as_ptr(), flags) };
    let is_closed = is_closed_itself(fd);
    if fd >= 0 {
        unsafe { libc::close(fd) };
    }
    is_closed
}

fn is_closed_itself(fd: c_int) -> bool {
    let (mut there, mut closed): (libc::stat, libc::stat) = unsafe { std::mem::zeroed() };
    let is_known = unsafe {
        libc::fstat(fd, &raw mut there) == 0 && libc::stat(CLOSED.as_ptr(), &raw mut closed) == 0
    };
    is_known && (there.st_dev, there.st_ino) == (closed.st_dev, closed.st_ino)
}

fn link_text(start: c_int, name: &CStr) -> Vec<u8> {
    let mut text = vec![0_u8; 1024];
    let length =
        unsafe { libc::readlinkat(start, name.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    text.truncate(usize::try_from(length).unwrap_or_default());
    text
}

impl Fuzz {
    /// A call that renames or removes: see `excuses` for what is said of its errors.
    fn call_to_lose(
        &mut self,
        name: &'static str,
        what: &str,
        paths: &[(c_int, &Name)],
        act: impl FnOnce() -> i64,
    ) -> i64 {
        let is_barred = paths.iter().any(|(start, path)| is_barred(*start, path));
        let is_dots = paths.iter().any(|(_, path)| path.ends_in_dots());
        self.call(name, what, || {
            let mut result = act();
            if is_dots {
                result = -1;
                set_errno(REFUSED);
            } else if result < 0
                && (matches!(errno(), libc::EROFS | libc::ENOTDIR | libc::ELOOP)
                    || (is_barred && errno() == libc::EACCES))
            {
                set_errno(READ_ONLY);
            }
            result
        })
    }

    fn made(&mut self, result: i64, start: c_int, path: &Name) {
        // It may be the directory itself that the name is given to.
        if result == 0 && !self.is_moved(start) {
            self.look(start, path.pointer());
        }
    }

    /// A directory that its owner may search: see `excuses`.
    fn mode_to_make(&mut self) -> mode_t {
        self.random
            .of(&[0o777, 0o755, 0o700, 0o500, 0o311, 0o100, 0o1777])
    }
}

fn make(fuzz: &mut Fuzz, name: &'static str) {
    let (path, mode) = (fuzz.path(), fuzz.mode_to_make());
    let call: Make = function(name);
    let result = fuzz.call(name, &format!("{path} {mode:o}"), || {
        unsafe { call(path.pointer(), mode) }.into()
    });
    fuzz.made(result, AT_FDCWD, &path);
}

fn make_at(fuzz: &mut Fuzz, name: &'static str) {
    let ((fd, start), path, mode) = (fuzz.start(), fuzz.path(), fuzz.mode_to_make());
    let call: MakeAt = function(name);
    let result = fuzz.call(name, &format!("{start} {path} {mode:o}"), || {
        unsafe { call(fd, path.pointer(), mode) }.into()
    });
    fuzz.made(result, fd, &path);
}

impl Fuzz {
    fn node(&mut self) -> (mode_t, u64) {
        let kind = [
            libc::S_IFIFO,
            libc::S_IFIFO,
            libc::S_IFCHR,
            libc::S_IFREG,
            libc::S_IFDIR,
        ];
        let device = self.random.of(&[0, 0, 0x1234]);
        (self.random.of(&kind) | 0o640, device)
    }
}

fn mknod(fuzz: &mut Fuzz, name: &'static str) {
    let (path, (mode, device)) = (fuzz.path(), fuzz.node());
    let call: unsafe extern "C" fn(*const c_char, mode_t, u64) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{path} {mode:o} {device}"), || {
        unsafe { call(path.pointer(), mode, device) }.into()
    });
    fuzz.made(result, AT_FDCWD, &path);
}

fn mknodat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, mode_t, u64) -> c_int;
    let ((fd, start), path, (mode, device)) = (fuzz.start(), fuzz.path(), fuzz.node());
    let call: Call = function(name);
    let result = fuzz.call(name, &format!("{start} {path} {mode:o} {device}"), || {
        unsafe { call(fd, path.pointer(), mode, device) }.into()
    });
    fuzz.made(result, fd, &path);
}

fn symlink(fuzz: &mut Fuzz, name: &'static str) {
    let (text, path) = (fuzz.target(), fuzz.path());
    let call: Two = function(name);
    let result = fuzz.call(name, &format!("{text} {path}"), || {
        unsafe { call(text.pointer(), path.pointer()) }.into()
    });
    fuzz.made(result, AT_FDCWD, &path);
}

fn symlinkat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(*const c_char, c_int, *const c_char) -> c_int;
    let (text, (fd, start), path) = (fuzz.target(), fuzz.start(), fuzz.path());
    let call: Call = function(name);
    let result = fuzz.call(name, &format!("{text} {start} {path}"), || {
        unsafe { call(text.pointer(), fd, path.pointer()) }.into()
    });
    fuzz.made(result, fd, &path);
}

fn link(fuzz: &mut Fuzz, name: &'static str) {
    let (mut old, new) = (fuzz.path(), fuzz.path());
    // By chance alone one of them is hardly ever a file that is there.
    if fuzz.random.next(3) == 0
        && let Some(file) = fuzz.file()
    {
        old = file;
    }
    let call: Two = function(name);
    let result = fuzz.call(name, &format!("{old} {new}"), || {
        unsafe { call(old.pointer(), new.pointer()) }.into()
    });
    fuzz.made(result, AT_FDCWD, &new);
}

fn linkat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, c_int) -> c_int;
    let ((fd, start), old) = (fuzz.start(), fuzz.path());
    let ((other, to), new) = (fuzz.start(), fuzz.path());
    let flags = fuzz.flags(&[
        AT_SYMLINK_FOLLOW,
        AT_SYMLINK_FOLLOW,
        AT_RESOLVE_BENEATH,
        AT_EMPTY_PATH,
    ]);
    let call: Call = function(name);
    let what = format!("{start} {old} {to} {new} {flags:x}");
    let result = fuzz.call(name, &what, || {
        unsafe { call(fd, old.pointer(), other, new.pointer(), flags) }.into()
    });
    fuzz.made(result, other, &new);
}

fn rename(fuzz: &mut Fuzz, name: &'static str) {
    fuzz.home();
    let (old, new) = (fuzz.path_to_lose(AT_FDCWD), fuzz.path_to_lose(AT_FDCWD));
    let call: Two = function(name);
    let result = fuzz.call_to_lose(
        name,
        &format!("{old} {new}"),
        &[(AT_FDCWD, &old), (AT_FDCWD, &new)],
        || unsafe { call(old.pointer(), new.pointer()) }.into(),
    );
    fuzz.made(result, AT_FDCWD, &new);
}

fn renameat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char) -> c_int;
    fuzz.home();
    let (fd, start) = fuzz.start();
    let old = fuzz.path_to_lose(fd);
    let (other, to) = fuzz.start();
    let new = fuzz.path_to_lose(other);
    let call: Call = function(name);
    let what = format!("{start} {old} {to} {new}");
    let result = fuzz.call_to_lose(name, &what, &[(fd, &old), (other, &new)], || {
        unsafe { call(fd, old.pointer(), other, new.pointer()) }.into()
    });
    fuzz.made(result, other, &new);
}

fn renameat2(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, u32) -> c_int;
    fuzz.home();
    let (fd, start) = fuzz.start();
    let old = fuzz.path_to_lose(fd);
    let (other, to) = fuzz.start();
    let new = fuzz.path_to_lose(other);
    // AT_RENAME_NOREPLACE and AT_RENAME_EXCHANGE, and what is neither.
    let flags = fuzz.random.of(&[0, 1, 1, 2, 2, 3, 4]);
    let call: Call = function(name);
    let what = format!("{start} {old} {to} {new} {flags}");
    // See `excuses`.
    let (mut timer, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
    unsafe {
        libc::sigemptyset(&raw mut timer);
        libc::sigaddset(&raw mut timer, libc::SIGALRM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const timer, &raw mut before);
    }
    let result = fuzz.call_to_lose(name, &what, &[(fd, &old), (other, &new)], || {
        unsafe { call(fd, old.pointer(), other, new.pointer(), flags) }.into()
    });
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    fuzz.made(result, other, &new);
}

fn remove(fuzz: &mut Fuzz, name: &'static str) {
    fuzz.home();
    let path = fuzz.path_to_lose(AT_FDCWD);
    if path.pointer().is_null() && name == "remove" {
        return;
    }
    let call: One = function(name);
    fuzz.call_to_lose(name, &path.to_string(), &[(AT_FDCWD, &path)], || {
        unsafe { call(path.pointer()) }.into()
    });
}

impl Fuzz {
    fn removal(&mut self) -> c_int {
        let flags = self.flags(&[AT_REMOVEDIR, AT_RESOLVE_BENEATH]);
        flags | self.random.of(&[0, AT_REMOVEDIR])
    }
}

fn unlinkat(fuzz: &mut Fuzz, name: &'static str) {
    fuzz.home();
    let (fd, start) = fuzz.start();
    let (path, flags) = (fuzz.path_to_lose(fd), fuzz.removal());
    let call: unsafe extern "C" fn(c_int, *const c_char, c_int) -> c_int = function(name);
    fuzz.call_to_lose(
        name,
        &format!("{start} {path} {flags:x}"),
        &[(fd, &path)],
        || unsafe { call(fd, path.pointer(), flags) }.into(),
    );
}

/// Only what a descriptor is of, or whatever is there.
fn funlinkat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, c_int, c_int) -> c_int;
    const FD_NONE: c_int = -200;
    fuzz.home();
    let (dir, start) = fuzz.start();
    let (path, flags) = (fuzz.path_to_lose(dir), fuzz.removal());
    let own = unsafe {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW;
        libc::openat(dir, path.pointer(), flags)
    };
    let fd = match fuzz.random.next(4) {
        0 | 1 if own >= 0 => own,
        2 => fuzz.directory().unwrap_or(FD_NONE),
        _ => FD_NONE,
    };
    let shown = [(own, "own"), (FD_NONE, "none")].into_iter();
    let mut shown = shown
        .filter(|(known, _)| *known == fd)
        .map(|(_, said)| said);
    let shown = shown.next_back().unwrap_or("another");
    let call: Call = function(name);
    let what = format!("{start} {path} {shown} {flags:x}");
    fuzz.call_to_lose(name, &what, &[(dir, &path)], || {
        unsafe { call(dir, path.pointer(), fd, flags) }.into()
    });
    if own >= 0 {
        unsafe { libc::close(own) };
    }
}
