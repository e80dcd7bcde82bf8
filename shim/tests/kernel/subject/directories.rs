//! The working directory, and names below descriptors.

use super::files::opened;
use super::{c, say, stat_line, stat_of, tell, text};
use libc::{O_DIRECTORY, O_RDONLY};
use std::ffi::{c_char, c_int};
use std::ptr::null_mut;

pub fn where_am_i() {
    let mut place = [0 as c_char; 1024];
    let found = unsafe { libc::getcwd(place.as_mut_ptr(), 1024) };
    tell("getcwd", text(found));
}

pub fn working_directory(place: &str) {
    let go = |path: &str| {
        say(&format!("chdir {path}"), unsafe {
            libc::chdir(c(path).as_ptr())
        });
        where_am_i();
    };
    where_am_i();
    go(place);
    for path in [
        "d",
        ".",
        "..",
        "dir",
        "../dir/../d",
        "none",
        "file",
        "",
        "/",
        "//usr//share/",
        "../../etc",
        "loop",
    ] {
        go(path);
        stat_of("file");
        opened("relative", O_RDONLY);
    }
    go(place);
    let short = unsafe { libc::getcwd([0 as c_char; 3].as_mut_ptr(), 3) };
    tell("getcwd, no room", text(short));
    let short = unsafe { libc::getcwd([0 as c_char; 3].as_mut_ptr(), 0) };
    tell("getcwd, none", text(short));
    let found = unsafe { libc::getcwd(null_mut(), 0) };
    tell("getcwd, its own", text(found));
    let fd = unsafe { libc::open(c"dir".as_ptr(), O_RDONLY | O_DIRECTORY) };
    go("/");
    say("fchdir", unsafe { libc::fchdir(fd) });
    where_am_i();
    let copy = unsafe { libc::dup(fd) };
    unsafe { libc::close(fd) };
    go("/");
    say("fchdir, a copy", unsafe { libc::fchdir(copy) });
    where_am_i();
    say("fchdir, nothing", unsafe { libc::fchdir(77) });
    unsafe { libc::close(copy) };
    go(place);
    let fd = unsafe { libc::open(c"d/file".as_ptr(), O_RDONLY) };
    say("fchdir, a file", unsafe { libc::fchdir(fd) });
    unsafe { libc::close(fd) };
}

pub fn below_descriptors(place: &str) {
    let fd = unsafe { libc::open(c(place).as_ptr(), O_RDONLY | O_DIRECTORY) };
    say("the directory", fd);
    for name in [
        "d/file",
        "absolute",
        "up",
        "../d",
        "dir/../relative",
        "",
        "/etc/passwd",
        "none",
    ] {
        let path = c(name);
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let result = unsafe { libc::fstatat(fd, path.as_ptr(), &raw mut stat, 0) };
        stat_line(&format!("fstatat fd {name}"), result, &stat);
        let other = say("openat", unsafe {
            libc::openat(fd, path.as_ptr(), O_RDONLY)
        }) as c_int;
        unsafe { libc::close(other) };
        say("faccessat", unsafe {
            libc::faccessat(fd, path.as_ptr(), libc::R_OK, 0)
        });
    }
    say("mkdirat", unsafe {
        libc::mkdirat(fd, c"at".as_ptr(), 0o700)
    });
    say("symlinkat", unsafe {
        libc::symlinkat(c"/etc".as_ptr(), fd, c"at/l".as_ptr())
    });
    say("linkat", unsafe {
        libc::linkat(
            fd,
            c"absolute".as_ptr(),
            fd,
            c"at/h".as_ptr(),
            libc::AT_SYMLINK_FOLLOW,
        )
    });
    say("renameat", unsafe {
        libc::renameat(fd, c"at/h".as_ptr(), libc::AT_FDCWD, c"d/h".as_ptr())
    });
    say("unlinkat", unsafe {
        libc::unlinkat(fd, c"dir/h".as_ptr(), 0)
    });
    say("unlinkat", unsafe {
        libc::unlinkat(fd, c"at/l".as_ptr(), 0)
    });
    say("unlinkat", unsafe {
        libc::unlinkat(fd, c"at".as_ptr(), libc::AT_REMOVEDIR)
    });
    say("mkfifoat", unsafe {
        libc::mkfifoat(fd, c"dir/f".as_ptr(), 0o600)
    });
    say("unlinkat", unsafe {
        libc::unlinkat(fd, c"dir/f".as_ptr(), 0)
    });
    unsafe { libc::close(fd) };
}
