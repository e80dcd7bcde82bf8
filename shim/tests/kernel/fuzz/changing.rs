//! Modes, owners, flags, times, lengths.

use super::asking::{AT_EMPTY_PATH, AT_RESOLVE_BENEATH};
use super::opening::kind;
use super::paths::Name;
use super::{Fuzz, Op, function, op};
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFCHR, S_IFDIR, S_IFMT, mode_t, timespec, timeval};
use std::ffi::{c_char, c_int, c_ulong};

pub const OPS: &[Op] = &[
    op(&["chmod", "_chmod", "lchmod", "_lchmod"], 10, chmod),
    op(&["fchmodat", "_fchmodat"], 8, fchmodat),
    op(&["chown", "_chown", "lchown", "_lchown"], 8, chown),
    op(&["fchownat", "_fchownat"], 6, fchownat),
    op(
        &["chflags", "_chflags", "lchflags", "_lchflags"],
        6,
        chflags,
    ),
    op(&["chflagsat", "_chflagsat"], 4, chflagsat),
    op(&["utimes", "_utimes", "lutimes", "_lutimes"], 8, utimes),
    op(&["futimesat", "_futimesat"], 4, futimesat),
    op(&["utimensat", "_utimensat"], 8, utimensat),
    op(&["truncate", "_truncate"], 10, truncate),
];

const FLAGS: [c_int; 4] = [
    AT_SYMLINK_NOFOLLOW,
    AT_RESOLVE_BENEATH,
    AT_EMPTY_PATH,
    AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
];

impl Fuzz {
    /// No device's of the system.
    fn path_to_change(&mut self) -> Name {
        let path = self.path();
        if kind(&path) == S_IFCHR || path.text().starts_with("/dev") {
            return Name::new("none");
        }
        path
    }

    /// A directory stays one that its owner may search: see `excuses`.
    fn new_mode(&mut self, fd: c_int, path: &Name) -> mode_t {
        let mode = self.random.next(0o10000) as mode_t;
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let found = unsafe { libc::fstatat(fd, path.pointer(), &raw mut stat, AT_EMPTY_PATH) };
        let is_directory = found == 0 && stat.st_mode & S_IFMT == S_IFDIR;
        if is_directory { mode | 0o100 } else { mode }
    }

    fn changed(&mut self, result: i64, fd: c_int, path: &Name) {
        if result == 0 && !path.text().is_empty() {
            self.look(fd, path.pointer());
        }
    }

    fn owner(&mut self) -> u32 {
        self.random.of(&[u32::MAX, u32::MAX, 0, 1001, 1002])
    }
}

fn chmod(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path_to_change();
    let mode = fuzz.new_mode(AT_FDCWD, &path);
    let call: unsafe extern "C" fn(*const c_char, mode_t) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{path} {mode:o}"), || {
        unsafe { call(path.pointer(), mode) }.into()
    });
    fuzz.changed(result, AT_FDCWD, &path);
}

fn fchmodat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, mode_t, c_int) -> c_int;
    let ((fd, start), path, flags) = (fuzz.start(), fuzz.path_to_change(), fuzz.flags(&FLAGS));
    let mode = fuzz.new_mode(fd, &path);
    let call: Call = function(name);
    let result = fuzz.call(name, &format!("{start} {path} {mode:o} {flags:x}"), || {
        unsafe { call(fd, path.pointer(), mode, flags) }.into()
    });
    fuzz.changed(result, fd, &path);
}

fn chown(fuzz: &mut Fuzz, name: &'static str) {
    let (path, user, group) = (fuzz.path_to_change(), fuzz.owner(), fuzz.owner());
    let call: unsafe extern "C" fn(*const c_char, u32, u32) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{path} {user} {group}"), || {
        unsafe { call(path.pointer(), user, group) }.into()
    });
    fuzz.changed(result, AT_FDCWD, &path);
}

fn fchownat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, u32, u32, c_int) -> c_int;
    let ((fd, start), path, flags) = (fuzz.start(), fuzz.path_to_change(), fuzz.flags(&FLAGS));
    let (user, group) = (fuzz.owner(), fuzz.owner());
    let call: Call = function(name);
    let result = fuzz.call(
        name,
        &format!("{start} {path} {user} {group} {flags:x}"),
        || unsafe { call(fd, path.pointer(), user, group, flags) }.into(),
    );
    fuzz.changed(result, fd, &path);
}

/// None, nodump, archive, hidden: what each file system of these tests has.
const FILE_FLAGS: [c_ulong; 5] = [0, 0, 1, 0x800, 0x8000];

fn chflags(fuzz: &mut Fuzz, name: &'static str) {
    let (path, flags) = (fuzz.path_to_change(), fuzz.random.of(&FILE_FLAGS));
    let call: unsafe extern "C" fn(*const c_char, c_ulong) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{path} {flags:x}"), || {
        unsafe { call(path.pointer(), flags) }.into()
    });
    fuzz.changed(result, AT_FDCWD, &path);
}

fn chflagsat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, c_ulong, c_int) -> c_int;
    let ((fd, start), path, at) = (fuzz.start(), fuzz.path_to_change(), fuzz.flags(&FLAGS));
    let flags = fuzz.random.of(&FILE_FLAGS);
    let call: Call = function(name);
    let result = fuzz.call(name, &format!("{start} {path} {flags:x} {at:x}"), || {
        unsafe { call(fd, path.pointer(), flags, at) }.into()
    });
    fuzz.changed(result, fd, &path);
}

impl Fuzz {
    fn times(&mut self) -> Option<[timeval; 2]> {
        if self.random.once_in(4) {
            return None;
        }
        let usec = self.random.of(&[0, 5, 999_999, 1_000_000, -1]);
        let time = timeval {
            tv_sec: self.random.next(900_000) as i64,
            tv_usec: usec,
        };
        Some([time; 2])
    }
}

fn pointer<T>(times: Option<&[T; 2]>) -> *const T {
    times.map_or(std::ptr::null(), |times| times.as_ptr())
}

fn said(times: Option<[timeval; 2]>) -> String {
    times.map_or("now".to_string(), |[time, _]| {
        format!("{}.{}", time.tv_sec, time.tv_usec)
    })
}

fn utimes(fuzz: &mut Fuzz, name: &'static str) {
    let (path, times) = (fuzz.path_to_change(), fuzz.times());
    let call: unsafe extern "C" fn(*const c_char, *const timeval) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{path} {}", said(times)), || {
        unsafe { call(path.pointer(), pointer(times.as_ref())) }.into()
    });
    fuzz.changed(result, AT_FDCWD, &path);
}

fn futimesat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, *const timeval) -> c_int;
    let ((fd, start), path, times) = (fuzz.start(), fuzz.path_to_change(), fuzz.times());
    let call: Call = function(name);
    let result = fuzz.call(name, &format!("{start} {path} {}", said(times)), || {
        unsafe { call(fd, path.pointer(), pointer(times.as_ref())) }.into()
    });
    fuzz.changed(result, fd, &path);
}

fn utimensat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, *const timespec, c_int) -> c_int;
    const OMIT: i64 = -2;
    let ((fd, start), path, flags) = (fuzz.start(), fuzz.path_to_change(), fuzz.flags(&FLAGS));
    let nsec = fuzz.random.of(&[0, 7, OMIT, -1, 1_000_000_000]);
    let time = timespec {
        tv_sec: fuzz.random.next(900_000) as i64,
        tv_nsec: nsec,
    };
    let times = (!fuzz.random.once_in(5)).then_some([time; 2]);
    let shown = times.map_or(-1, |[time, _]| time.tv_sec);
    let call: Call = function(name);
    let result = fuzz.call(
        name,
        &format!("{start} {path} {shown}.{nsec} {flags:x}"),
        || unsafe { call(fd, path.pointer(), pointer(times.as_ref()), flags) }.into(),
    );
    fuzz.changed(result, fd, &path);
}

fn truncate(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path_to_change();
    let length = fuzz.random.of(&[0, 3, 100, 5000, -1]);
    // See `excuses`.
    if fuzz.notify >= 0 && kind(&path) == libc::S_IFIFO {
        return;
    }
    let call: unsafe extern "C" fn(*const c_char, i64) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{path} {length}"), || {
        unsafe { call(path.pointer(), length) }.into()
    });
    fuzz.changed(result, AT_FDCWD, &path);
}
