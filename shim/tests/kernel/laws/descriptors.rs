//! What descriptors of directories lead to: names beneath them, their copies, their paths.

use super::super::subject::say;
use super::{c, directory, go, make_directory, make_file, make_link, opened, quietly};
use super::{errno, working_directory};
use libc::{AT_FDCWD, O_RDONLY};
use std::ffi::c_int;

const O_RESOLVE_BENEATH: c_int = 0x80_0000;
const AT_RESOLVE_BENEATH: c_int = 0x2000;
const AT_EMPTY_PATH: c_int = 0x4000;
const FD_RESOLVE_BENEATH: c_int = 2;
/// Nobody: owners that are left as they are.
const NO: u32 = u32::MAX;

/// Something beneath /g1/t0/d, and links that lead out of it.
fn outside_and_inside() {
    make_directory("/g1/t0/d");
    make_directory("/g1/t0/d/sub");
    make_file("/g1/t0/d/inner");
    make_file("/g1/t1/victim");
    make_file("/g2/t0/victim");
    make_link("inner", "/g1/t0/d/in");
    make_link("/g2/t0/victim", "/g1/t0/d/abs");
    make_link("../../t1", "/g1/t0/d/up");
}

const NAMES: [&str; 9] = [
    "inner",
    "in",
    "sub/../inner",
    "none",
    "..",
    "../../t1/victim",
    "up/victim",
    "abs",
    "/g1/t0/d/inner",
];

pub fn beneath() {
    outside_and_inside();
    go("/g1/t0/d");
    let fd = directory(".");
    for (start, from) in [(fd, "fd"), (AT_FDCWD, "cwd")] {
        for name in NAMES {
            let (path, at) = (c(name), AT_RESOLVE_BENEATH);
            let path = path.as_ptr();
            let line = |call: &str| format!("{call} {from} {name}");
            let flags = O_RDONLY | O_RESOLVE_BENEATH;
            opened(&line("openat"), unsafe { libc::openat(start, path, flags) });
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            say(&line("fstatat"), unsafe {
                libc::fstatat(start, path, &raw mut stat, at)
            });
            say(&line("faccessat"), unsafe {
                libc::faccessat(start, path, libc::R_OK, at)
            });
            say(&line("fchmodat"), unsafe {
                libc::fchmodat(start, path, 0o700, at)
            });
            say(&line("fchownat"), unsafe {
                libc::fchownat(start, path, NO, NO, at)
            });
            say(&line("utimensat"), unsafe {
                libc::utimensat(start, path, std::ptr::null(), at)
            });
            let made = libc::O_WRONLY | libc::O_CREAT | O_RESOLVE_BENEATH;
            opened(&line("openat, made"), unsafe {
                libc::openat(start, c(&format!("{name}x")).as_ptr(), made, 0o600)
            });
        }
    }
    let (victim, up, stolen) = (c"../../t1/victim", c"up/victim", c"stolen");
    say("unlinkat ../../t1/victim", unsafe {
        libc::unlinkat(fd, victim.as_ptr(), AT_RESOLVE_BENEATH)
    });
    say("linkat up/victim", unsafe {
        libc::linkat(fd, up.as_ptr(), fd, stolen.as_ptr(), AT_RESOLVE_BENEATH)
    });
    say("victim", unsafe { libc::access(victim.as_ptr(), 0) });
}

pub fn marked() {
    outside_and_inside();
    let fd = directory("/g1/t0/d");
    say("marked", unsafe {
        libc::fcntl(fd, libc::F_SETFD, FD_RESOLVE_BENEATH)
    });
    for name in NAMES {
        opened(&format!("openat {name}"), unsafe {
            libc::openat(fd, c(name).as_ptr(), O_RDONLY)
        });
    }
    say("renameat", unsafe {
        libc::renameat(fd, c"inner".as_ptr(), fd, c"../out".as_ptr())
    });
    say("fchdir", unsafe { libc::fchdir(fd) });
    let copy = unsafe { libc::dup(fd) };
    opened("a copy", unsafe {
        libc::openat(copy, c"../../t1/victim".as_ptr(), O_RDONLY)
    });
}

pub fn refused_beneath() {
    let fd = directory("/ro/dir");
    let at = AT_RESOLVE_BENEATH;
    for (name, flags) in [("deep", at), ("", at | AT_EMPTY_PATH), ("", AT_EMPTY_PATH)] {
        let path = c(name);
        let path = path.as_ptr();
        let line = |call: &str| format!("{call} {name}").trim_end().to_string();
        say(&line("fchmodat"), unsafe {
            libc::fchmodat(fd, path, 0o700, flags)
        });
        quietly(&line("fchownat"), || unsafe {
            libc::fchownat(fd, path, NO, NO, flags) == 0
        });
    }
    go("/ro/dir");
    quietly("fchownat cwd", || unsafe {
        libc::fchownat(AT_FDCWD, c"deep".as_ptr(), NO, NO, at) == 0
    });
}

pub fn copies() {
    for name in ["a", "b"] {
        make_directory(&format!("/g1/t0/{name}"));
    }
    make_file("/g1/t0/b/file");
    // fcntl's: F_DUPFD, F_DUPFD_CLOEXEC, F_DUP2FD, F_DUP2FD_CLOEXEC, dup3(3)'s with FD_CLOEXEC.
    let commands = [
        (0, 0),
        (17, 0),
        (23, 0),
        (10, 60),
        (18, 60),
        (24 | 1 << 16, 60),
    ];
    copied("dup", |fd| unsafe { libc::dup(fd) });
    copied("dup2", |fd| unsafe { libc::dup2(fd, 60) });
    for (command, to) in commands {
        let name = format!("fcntl {}", command & 0xffff);
        copied(&name, |fd| unsafe { libc::fcntl(fd, command, to) });
    }
}

/// The original is closed, and its number is another directory's then.
fn copied(name: &str, copy: impl FnOnce(c_int) -> c_int) {
    let fd = directory("/g1/t0/a");
    let copy = copy(fd);
    unsafe { libc::close(fd) };
    let other = directory("/g1/t0/b");
    assert_eq!(fd, other);
    go("/");
    let gone = unsafe { libc::fchdir(copy) };
    let gone = if gone < 0 { errno() } else { 0 };
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let found = unsafe { libc::fstatat(copy, c"../b/file".as_ptr(), &raw mut stat, 0) };
    let found = if found < 0 { errno() } else { 0 };
    println!("{name}: {gone} {}, ../b/file {found}", working_directory());
    for fd in [copy, other] {
        unsafe { libc::close(fd) };
    }
}

/// The working directory and a name, each as long as may be, are longer than one path.
pub fn too_long_to_keep() {
    make_directory("/g1/t0/a");
    go("/g1/t0");
    let name = "d".repeat(200);
    for _ in 0..4 {
        make_directory(&name);
        go(&name);
    }
    let long = directory(&"./".repeat(400));
    unsafe { libc::close(long) };
    go("/");
    let fd = directory("/g1/t0/a");
    assert_eq!(fd, long);
    say("fchdir", unsafe { libc::fchdir(fd) });
    println!("getcwd: {}", working_directory());
}

pub fn no_places() {
    let file = unsafe { libc::open(c"/ro/file".as_ptr(), O_RDONLY) };
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    for (what, fd) in [
        ("a file", file),
        ("a pipe", ends[0]),
        ("a socket", socket),
        ("none", 77),
    ] {
        say(&format!("fchdir {what}"), unsafe { libc::fchdir(fd) });
    }
}
