//! Opening, with what can be read and written then.

use super::paths::Name;
use super::{Anything, Fuzz, Op, errno, function, op, set_errno};
use libc::{
    O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR,
    O_TRUNC, O_WRONLY, S_IFDIR, S_IFIFO, S_IFMT,
};
use std::ffi::{CStr, c_char, c_int};

const O_RESOLVE_BENEATH: c_int = 0x0080_0000;
const O_PATH: c_int = 0x40_0000;
const O_EMPTY_PATH: c_int = 0x0200_0000;
const O_SEARCH: c_int = 0x4_0000;

pub const OPS: &[Op] = &[
    op(&["open", "_open"], 40, open),
    op(&["openat", "_openat"], 34, openat),
    op(&["creat"], 6, creat),
    // Made of the above by libc.
    op(&["opendir"], 12, opendir),
    op(&["fopen"], 6, fopen),
];

/// What is at the end of a name, links followed: 0 is nothing.
pub fn kind(path: &Name) -> libc::mode_t {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let found = unsafe { libc::stat(path.pointer(), &raw mut stat) };
    if found == 0 { stat.st_mode & S_IFMT } else { 0 }
}

impl Fuzz {
    fn open_flags(&mut self) -> c_int {
        let access = self
            .random
            .of(&[O_RDONLY, O_RDONLY, O_RDONLY, O_WRONLY, O_RDWR, O_SEARCH]);
        let more = [
            0,
            0,
            O_CREAT,
            O_CREAT,
            O_CREAT | O_EXCL,
            O_TRUNC,
            O_CREAT | O_TRUNC,
            O_APPEND,
            O_NOFOLLOW,
            O_DIRECTORY,
            O_DIRECTORY,
            O_DIRECTORY | O_CREAT,
            O_DIRECTORY | O_NOFOLLOW,
            O_CLOEXEC,
            O_PATH,
            O_PATH | O_NOFOLLOW,
            O_RESOLVE_BENEATH,
            O_RESOLVE_BENEATH | O_CREAT,
            O_EMPTY_PATH,
            3,
        ];
        // Fifos would be waited for.
        access | self.random.of(&more) | O_NONBLOCK
    }

    fn mode(&mut self) -> c_int {
        self.random
            .of(&[0o644, 0o600, 0o640, 0o444, 0o200, 0, 0o4711, 0o777])
    }

    /// A descriptor of something: what it is, what it holds; and it is kept, or closed.
    fn opened(&mut self, fd: c_int, start: c_int, path: &Name) {
        if fd < 0 {
            return;
        }
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        if unsafe { libc::fstat(fd, &raw mut stat) } != 0 {
            self.tell(&format!("fstat: {}", errno()));
        }
        self.tell_stat(&stat);
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        let mut into = [0_u8; 24];
        let is_device = stat.st_mode & S_IFMT == libc::S_IFCHR;
        let read = unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) };
        let read = if read < 0 {
            -i64::from(errno())
        } else {
            read as i64
        };
        let held = if is_device {
            &[]
        } else {
            &into[..read.max(0) as usize]
        };
        let text = String::from_utf8_lossy(held).into_owned();
        let word = self.random.of(&["x", "yz", "a longer text"]);
        // What may only be read can't be written to, for another reason: see `excuses`.
        let is_reading = flags & libc::O_ACCMODE == O_RDONLY;
        let written = if is_device || is_reading {
            0
        } else {
            unsafe { libc::write(fd, word.as_ptr().cast(), word.len()) }
        };
        let written = if written < 0 {
            -i64::from(errno())
        } else {
            written as i64
        };
        self.tell(&format!(
            "flags {flags:x} read {read} {text:?} wrote {written}"
        ));
        let is_kept = stat.st_mode & S_IFMT == S_IFDIR && !self.random.once_in(3);
        let path = is_kept.then(|| self.absolute(start, path.text())).flatten();
        self.hold(fd, path);
    }
}

type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
type Openat = unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int;

/// Flags by which the kernel asks for what a directory allows: see `excuses`.
fn asking(start: c_int, path: &Name, flags: c_int) -> c_int {
    let access = libc::R_OK | libc::X_OK;
    let is_allowed =
        || unsafe { libc::faccessat(start, path.pointer(), access, libc::AT_EACCESS) } == 0;
    if flags & (O_CREAT | O_DIRECTORY) == O_CREAT | O_DIRECTORY && !is_allowed() {
        return flags & !O_CREAT;
    }
    flags
}

fn open(fuzz: &mut Fuzz, name: &'static str) {
    let (path, flags, mode) = (fuzz.path(), fuzz.open_flags(), fuzz.mode());
    let flags = asking(libc::AT_FDCWD, &path, flags);
    let call: Open = function(name);
    let fd = fuzz.call_for_fd(name, &format!("{path} {flags:x} {mode:o}"), || {
        unsafe { call(path.pointer(), flags, mode) }.into()
    });
    fuzz.opened(fd, libc::AT_FDCWD, &path);
}

fn openat(fuzz: &mut Fuzz, name: &'static str) {
    let ((start, said), path) = (fuzz.start(), fuzz.path());
    let (flags, mode) = (asking(start, &path, fuzz.open_flags()), fuzz.mode());
    let call: Openat = function(name);
    let fd = fuzz.call_for_fd(name, &format!("{said} {path} {flags:x} {mode:o}"), || {
        unsafe { call(start, path.pointer(), flags, mode) }.into()
    });
    fuzz.opened(fd, start, &path);
}

fn creat(fuzz: &mut Fuzz, name: &'static str) {
    let (path, mode) = (fuzz.path(), fuzz.mode() as libc::mode_t);
    if kind(&path) == S_IFIFO {
        return;
    }
    let call: unsafe extern "C" fn(*const c_char, libc::mode_t) -> c_int = function(name);
    let fd = fuzz.call_for_fd(name, &format!("{path} {mode:o}"), || {
        unsafe { call(path.pointer(), mode) }.into()
    });
    fuzz.opened(fd, libc::AT_FDCWD, &path);
}

/// What can't be opened is told by errno: null is 0, and everything else 1.
fn pointer(found: *const impl Sized) -> i64 {
    if found.is_null() { -1 } else { 0 }
}

fn opendir(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path();
    if path.pointer().is_null() {
        return;
    }
    let call: unsafe extern "C" fn(*const c_char) -> *mut libc::DIR = function(name);
    let mut directory = std::ptr::null_mut();
    fuzz.call(name, &path.to_string(), || {
        directory = unsafe { call(path.pointer()) };
        let errno = errno();
        // Memory may have been had from the kernel, which is the same in two runs only by chance.
        set_errno(if directory.is_null() {
            errno
        } else {
            super::UNTOUCHED
        });
        pointer(directory)
    });
    if directory.is_null() {
        return;
    }
    let mut names = Vec::new();
    loop {
        let entry = unsafe { libc::readdir(directory) };
        if entry.is_null() {
            break;
        }
        let name = unsafe { CStr::from_ptr((*entry).d_name.as_ptr()) };
        names.push(name.to_string_lossy().into_owned());
    }
    unsafe { libc::closedir(directory) };
    names.sort();
    // Of other threads' making.
    if names.len() < 40 && !path.text().starts_with("/dev") {
        fuzz.tell(&names.join(" "));
    }
}

fn fopen(fuzz: &mut Fuzz, name: &'static str) {
    let (path, mode) = (
        fuzz.path(),
        fuzz.random.of(&[c"r", c"w", c"a+", c"r+", c"wx"]),
    );
    if path.pointer().is_null() || kind(&path) == S_IFIFO || path.text().starts_with("/dev") {
        return;
    }
    let call: unsafe extern "C" fn(*const c_char, *const c_char) -> Anything = function(name);
    let mut stream = std::ptr::null_mut();
    fuzz.call(name, &format!("{path} {mode:?}"), || {
        stream = unsafe { call(path.pointer(), mode.as_ptr()) };
        let errno = errno();
        set_errno(if stream.is_null() {
            errno
        } else {
            super::UNTOUCHED
        });
        pointer(stream)
    });
    if !stream.is_null() {
        let mut line = [0_u8; 16];
        let stream = stream.cast::<libc::FILE>();
        let got = unsafe { libc::fgets(line.as_mut_ptr().cast(), 16, stream) };
        let put = unsafe { libc::fputs(c"more".as_ptr(), stream) };
        let closed = unsafe { libc::fclose(stream) };
        fuzz.tell(&format!("{} {} {closed}", got.is_null(), put < 0));
    }
}
