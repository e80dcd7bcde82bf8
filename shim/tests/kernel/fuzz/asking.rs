//! What is there, and what may be done with it.

use super::{Fuzz, Op, function, op};
use std::ffi::{CStr, c_char, c_int, c_long};

type Path = unsafe extern "C" fn(*const c_char, c_int) -> c_int;

pub const AT_RESOLVE_BENEATH: c_int = 0x2000;
pub const AT_EMPTY_PATH: c_int = 0x4000;

pub const OPS: &[Op] = &[
    op(&["stat", "lstat"], 24, stat),
    op(&["fstatat", "_fstatat"], 20, fstatat),
    op(&["access", "_access", "eaccess", "_eaccess"], 12, access),
    op(&["faccessat", "_faccessat"], 10, faccessat),
    op(&["readlink", "_readlink"], 10, readlink),
    op(&["readlinkat", "_readlinkat"], 8, readlinkat),
    op(&["statfs", "_statfs"], 6, statfs),
    op(
        &["pathconf", "_pathconf", "lpathconf", "_lpathconf"],
        8,
        pathconf,
    ),
];

impl Fuzz {
    /// Flags that a call of the `*at` kind takes, or doesn't.
    pub fn flags(&mut self, of: &[c_int]) -> c_int {
        match self.random.next(40) {
            0..=21 => 0,
            22 => 0x10,
            _ => self.random.of(of),
        }
    }

    /// What is the same in two runs: no inode's number, and times only where they were set.
    pub fn tell_stat(&mut self, stat: &libc::stat) {
        let is_file = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
        let size = if is_file { stat.st_size } else { 0 };
        let is_set = (0..1_000_000).contains(&stat.st_mtime);
        let time = if is_set { stat.st_mtime } else { -1 };
        let line = format!(
            "{:o} {}:{} links {} size {size} flags {:x} at {time}",
            stat.st_mode, stat.st_uid, stat.st_gid, stat.st_nlink, stat.st_flags
        );
        self.tell(&line);
    }

    /// What a call has made of a name.
    pub fn look(&mut self, start: c_int, path: *const c_char) {
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let nofollow = libc::AT_SYMLINK_NOFOLLOW;
        if unsafe { libc::fstatat(start, path, &raw mut stat, nofollow) } == 0 {
            self.tell_stat(&stat);
        } else {
            self.tell(&format!("is gone: {}", super::errno()));
        }
    }
}

const LOOKING: [c_int; 5] = [
    libc::AT_SYMLINK_NOFOLLOW,
    libc::AT_SYMLINK_NOFOLLOW,
    AT_RESOLVE_BENEATH,
    AT_RESOLVE_BENEATH | libc::AT_SYMLINK_NOFOLLOW,
    AT_EMPTY_PATH,
];

fn stat(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path();
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let call: unsafe extern "C" fn(*const c_char, *mut libc::stat) -> c_int = function(name);
    let result = fuzz.call(name, &path.to_string(), || {
        unsafe { call(path.pointer(), &raw mut stat) }.into()
    });
    if result == 0 {
        fuzz.tell_stat(&stat);
    }
}

fn fstatat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, *mut libc::stat, c_int) -> c_int;
    let ((fd, start), path, flags) = (fuzz.start(), fuzz.path(), fuzz.flags(&LOOKING));
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let call: Call = function(name);
    let result = fuzz.call(name, &format!("{start} {path} {flags:x}"), || {
        unsafe { call(fd, path.pointer(), &raw mut stat, flags) }.into()
    });
    if result == 0 {
        fuzz.tell_stat(&stat);
    }
}

fn access(fuzz: &mut Fuzz, name: &'static str) {
    let (path, mode) = (fuzz.path(), fuzz.random.next(9) as c_int);
    let call: Path = function(name);
    fuzz.call(name, &format!("{path} {mode}"), || {
        unsafe { call(path.pointer(), mode) }.into()
    });
}

fn faccessat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, c_int, c_int) -> c_int;
    let ((fd, start), path, mode) = (fuzz.start(), fuzz.path(), fuzz.random.next(8) as c_int);
    let flags = fuzz.flags(&[libc::AT_EACCESS, LOOKING[0], LOOKING[2], LOOKING[4]]);
    let call: Call = function(name);
    fuzz.call(name, &format!("{start} {path} {mode} {flags:x}"), || {
        unsafe { call(fd, path.pointer(), mode, flags) }.into()
    });
}

fn link_text(
    fuzz: &mut Fuzz,
    name: &'static str,
    what: &str,
    call: impl Fn(*mut c_char, usize) -> isize,
) {
    let size = fuzz.random.of(&[1024, 1024, 1024, 5, 1, 0]);
    let mut into = [0_u8; 1024];
    let result = fuzz.call(name, &format!("{what} {size}"), || {
        call(into.as_mut_ptr().cast(), size) as i64
    });
    if result > 0 {
        let text = String::from_utf8_lossy(&into[..result as usize]).into_owned();
        fuzz.tell(&text);
    }
}

fn readlink(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path();
    let call: unsafe extern "C" fn(*const c_char, *mut c_char, usize) -> isize = function(name);
    link_text(fuzz, name, &path.to_string(), |into, size| unsafe {
        call(path.pointer(), into, size)
    });
}

fn readlinkat(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(c_int, *const c_char, *mut c_char, usize) -> isize;
    let ((fd, start), path) = (fuzz.start(), fuzz.path());
    let call: Call = function(name);
    link_text(
        fuzz,
        name,
        &format!("{start} {path}"),
        |into, size| unsafe { call(fd, path.pointer(), into, size) },
    );
}

fn statfs(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path();
    let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
    let call: unsafe extern "C" fn(*const c_char, *mut libc::statfs) -> c_int = function(name);
    let result = fuzz.call(name, &path.to_string(), || {
        unsafe { call(path.pointer(), &raw mut fs) }.into()
    });
    if result == 0 {
        let text = |field: &[c_char]| {
            let text = unsafe { CStr::from_ptr(field.as_ptr()) };
            text.to_string_lossy().into_owned()
        };
        let line = format!("{} on {}", text(&fs.f_fstypename), text(&fs.f_mntonname));
        fuzz.tell(&line);
    }
}

fn pathconf(fuzz: &mut Fuzz, name: &'static str) {
    let (path, what) = (fuzz.path(), fuzz.random.next(70) as c_int);
    let call: unsafe extern "C" fn(*const c_char, c_int) -> c_long = function(name);
    // Of access control lists: see `excuses`.
    let is_of_lists = matches!(what, 59 | 64);
    // How much is free changes as it likes; errno tells -1 that is an answer from -1 that is an error.
    fuzz.call(name, &format!("{path} {what}"), || {
        let result = unsafe { call(path.pointer(), what) };
        if is_of_lists { result.min(0) } else { result }
    });
}
