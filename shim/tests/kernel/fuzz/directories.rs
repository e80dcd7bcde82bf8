//! The working directory, and names without links.

use super::{CLOSED, Fuzz, Op, errno, function, op, process_op, set_errno};
use std::ffi::{CStr, c_char, c_int};

pub const OPS: &[Op] = &[
    process_op(&["chdir", "_chdir"], 24, chdir),
    process_op(&["fchdir", "_fchdir"], 16, fchdir),
    op(&["getcwd"], 6, getcwd),
    op(&["__getcwd"], 4, getcwd_call),
    op(&["realpath"], 20, realpath),
];

fn text(found: *const c_char) -> String {
    unsafe { CStr::from_ptr(found) }
        .to_string_lossy()
        .into_owned()
}

impl Fuzz {
    fn where_it_is(&mut self) {
        let mut place = [0 as c_char; 1024];
        let found = unsafe { libc::getcwd(place.as_mut_ptr(), place.len()) };
        let line = if found.is_null() {
            format!("nowhere: {}", errno())
        } else {
            text(found)
        };
        self.tell(&line);
    }
}

fn chdir(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.path();
    let call: unsafe extern "C" fn(*const c_char) -> c_int = function(name);
    fuzz.call(name, &path.to_string(), || {
        unsafe { call(path.pointer()) }.into()
    });
    fuzz.where_it_is();
    // See `excuses`.
    if super::paths::is_in_devfs(c".") {
        fuzz.home();
    }
}

fn fchdir(fuzz: &mut Fuzz, name: &'static str) {
    let fd = match fuzz.random.next(6) {
        0 => fuzz.random.of(&[-1, 1, CLOSED]),
        _ => fuzz.directory().unwrap_or(CLOSED),
    };
    let call: unsafe extern "C" fn(c_int) -> c_int = function(name);
    fuzz.call(name, &fd.to_string(), || unsafe { call(fd) }.into());
    fuzz.where_it_is();
}

fn getcwd(fuzz: &mut Fuzz, name: &'static str) {
    let size = fuzz.random.of(&[1024, 1024, 1024, 60, 11, 3, 2, 1, 0]);
    let is_own = fuzz.random.once_in(3);
    let mut place = [0 as c_char; 1024];
    let into = if is_own {
        std::ptr::null_mut()
    } else {
        place.as_mut_ptr()
    };
    let call: unsafe extern "C" fn(*mut c_char, usize) -> *mut c_char = function(name);
    let mut found = std::ptr::null_mut();
    fuzz.call(name, &format!("{is_own} {size}"), || {
        found = unsafe { call(into, size) };
        let errno = errno();
        set_errno(if found.is_null() {
            errno
        } else {
            super::UNTOUCHED
        });
        if found.is_null() { -1 } else { 0 }
    });
    if !found.is_null() {
        let line = text(found);
        fuzz.tell(&line);
        if is_own {
            unsafe { libc::free(found.cast()) };
        }
    }
}

fn getcwd_call(fuzz: &mut Fuzz, name: &'static str) {
    let size = fuzz.random.of(&[1024, 1024, 60, 11, 3, 2, 1, 0]);
    let mut place = [0 as c_char; 1024];
    let call: unsafe extern "C" fn(*mut c_char, usize) -> c_int = function(name);
    let result = fuzz.call(name, &size.to_string(), || {
        unsafe { call(place.as_mut_ptr(), size) }.into()
    });
    if result == 0 {
        let line = text(place.as_ptr());
        fuzz.tell(&line);
    }
}

fn realpath(fuzz: &mut Fuzz, name: &'static str) {
    let (path, is_own) = (fuzz.path(), fuzz.random.once_in(3));
    let mut place = [0 as c_char; 1024];
    let into = if is_own {
        std::ptr::null_mut()
    } else {
        place.as_mut_ptr()
    };
    let call: unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut c_char = function(name);
    let mut found = std::ptr::null_mut();
    fuzz.call(name, &format!("{path} {is_own}"), || {
        found = unsafe { call(path.pointer(), into) };
        let errno = errno();
        set_errno(if found.is_null() {
            errno
        } else {
            super::UNTOUCHED
        });
        if found.is_null() { -1 } else { 0 }
    });
    if !found.is_null() {
        let line = text(found);
        fuzz.tell(&line);
        if is_own {
            unsafe { libc::free(found.cast()) };
        }
    }
}
