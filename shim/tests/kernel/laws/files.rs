//! What is asked of files and done to them without reading or writing: rights to do that aren't needed.

use super::super::subject::say;
use super::super::subject::sockets::local_address;
use super::{c, errno, go, make_directory, make_file, opened, working_directory};
use libc::{O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY};
use std::ffi::{c_char, c_int};
use std::ptr::null;

const O_PATH: c_int = 0x40_0000;

unsafe extern "C" {
    fn lpathconf(path: *const c_char, name: c_int) -> i64;
}

pub fn asked() {
    unsafe { libc::mkfifo(c"/g1/t0/fifo".as_ptr(), 0o600) };
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    for path in [
        "/g1/t0/socket",
        "",
        "/g1/t0/fifo",
        "/g1",
        "/ro/new",
        "/g1/t0/none/s",
    ] {
        let (address, length) = local_address(path);
        say(&format!("bind {path}"), unsafe {
            libc::bind(socket, (&raw const address).cast(), length)
        });
    }
    for name in [
        "/ro/secret",
        "/ro/file",
        "/ro/dangling",
        "/g1/t0/fifo",
        "/g1/t0/socket",
        "/ro/closed/file",
    ] {
        let path = c(name);
        let path = path.as_ptr();
        let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
        say(&format!("statfs {name}"), unsafe {
            libc::statfs(path, &raw mut stat)
        });
        say(&format!("pathconf {name}"), unsafe {
            libc::pathconf(path, libc::_PC_NAME_MAX)
        });
        say(&format!("lpathconf {name}"), unsafe {
            lpathconf(path, libc::_PC_NAME_MAX)
        });
        for access in [O_RDONLY, O_WRONLY, O_RDWR] {
            opened(&format!("a path {name} {access}"), unsafe {
                libc::open(path, O_PATH | access)
            });
        }
        for length in [-1, 0] {
            say(&format!("truncate {name} {length}"), unsafe {
                libc::truncate(path, length)
            });
        }
        for tv_usec in [-1, 0, 1_000_000] {
            let times = [libc::timeval { tv_sec: 5, tv_usec }; 2];
            say(&format!("lutimes {name} {tv_usec}"), unsafe {
                libc::lutimes(path, times.as_ptr())
            });
        }
    }
    let none = [null::<c_char>()];
    let one = [c"x".as_ptr(), null()];
    say("execve", unsafe {
        libc::execve(null(), one.as_ptr(), none.as_ptr())
    });
}

/// By names that say nothing of what they are of.
pub fn known() {
    make_directory("/g1/t0/x.d");
    make_directory("/g1/t0/x.d/sub");
    make_file("/g1/t0/x.d/file");
    let above = super::directory("/g1/t0");
    for (name, flags) in [
        ("/g1/t0/x.d/sub", O_RDONLY),
        ("/g1/t0/x.d/", O_RDONLY),
        ("/g1/t0/x.d", O_RDONLY | O_DIRECTORY),
        ("/g1/t0/x.d/.", O_RDONLY),
        ("/g1/t0/x.d/..", O_RDONLY),
        ("/ro/dir", O_RDONLY | O_CREAT | O_DIRECTORY),
        ("x.d/sub", O_RDONLY),
    ] {
        let fd = unsafe { libc::openat(above, c(name).as_ptr(), flags, 0o600) };
        go("/");
        let gone = unsafe { libc::fchdir(fd) };
        let gone = if gone < 0 { errno() } else { 0 };
        println!("{name}: {gone} {}", working_directory());
        unsafe { libc::close(fd) };
    }
}
