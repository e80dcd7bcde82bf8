//! What is refused, and for which of several reasons; and what was refused wrongly.

use super::super::subject::say;
use super::super::subject::sockets::local_address;
use super::{c, directory, errno, go, make_directory, make_file, make_link, opened, quietly};
use libc::{AT_FDCWD, O_CREAT, O_DIRECTORY, O_RDONLY, O_WRONLY};
use std::ffi::{c_char, c_int};
use std::ptr::{null, null_mut};

const AT_EMPTY_PATH: c_int = 0x4000;
const O_RESOLVE_BENEATH: c_int = 0x80_0000;
/// A way to /g1 that the kernel refuses in capability mode, since it may only be read from there.
const ROUND: &str = "/ro/../g1/t0";

fn rename(from: &str, to: &str) {
    say(&format!("rename {from} {to}"), unsafe {
        libc::rename(c(from).as_ptr(), c(to).as_ptr())
    });
}

fn exchange(from: &str, to: &str) {
    const AT_RENAME_EXCHANGE: c_int = 2;
    let (first, second) = (c(from), c(to));
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"renameat2".as_ptr()) };
    assert!(!found.is_null());
    let call: unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, u32) -> c_int =
        unsafe { std::mem::transmute(found) };
    say(&format!("exchange {from} {to}"), unsafe {
        call(
            AT_FDCWD,
            first.as_ptr(),
            AT_FDCWD,
            second.as_ptr(),
            AT_RENAME_EXCHANGE as u32,
        )
    });
}

/// Nothing is opened that is only to be executed.
pub fn no_programs() {
    let (address, length) = local_address("/g1/t0/socket");
    let socket = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    let address = (&raw const address).cast();
    say("bind", unsafe { libc::bind(socket, address, length) });
    unsafe { libc::mkfifo(c"/g1/t0/fifo".as_ptr(), 0o755) };
    unsafe { libc::chmod(c"/g1/t0/socket".as_ptr(), 0o444) };
    say("truncate", unsafe {
        libc::truncate(c"/g1/t0/socket".as_ptr(), 0)
    });
    make_link("/g1/t0/socket", "/g1/t0/link");
    make_file("/g1/t0/empty");
    unsafe { libc::chmod(c"/g1/t0/empty".as_ptr(), 0o001) };
    for path in [
        "/g1/t0/empty",
        "/g1/t0/socket",
        "/g1/t0/link",
        "/g1/t0/fifo",
        "/ro/dir",
        "/dev/null",
        "/ro/none",
    ] {
        let (words, none) = ([c"x".as_ptr(), null()], [null::<c_char>()]);
        say(&format!("execve {path}"), unsafe {
            libc::execve(c(path).as_ptr(), words.as_ptr(), none.as_ptr())
        });
    }
}

/// In children, since one that worked would not come back.
pub fn programs_by_descriptor() {
    make_file("/g1/t0/empty");
    unsafe { libc::chmod(c"/g1/t0/empty".as_ptr(), 0o755) };
    for path in ["/ro/dir", "/ro/file", "/g1/t0/empty", "/bin/echo"] {
        let fd = unsafe { libc::open(c(path).as_ptr(), O_RDONLY) };
        let child = unsafe { libc::fork() };
        if child == 0 {
            let (words, none) = ([c"echo".as_ptr(), null()], [null::<c_char>()]);
            unsafe { libc::fexecve(fd, words.as_ptr(), none.as_ptr()) };
            unsafe { libc::_exit(errno()) };
        }
        let mut status = 0;
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        println!("fexecve {path}: {}", libc::WEXITSTATUS(status));
        unsafe { libc::close(fd) };
    }
}

pub fn kept() {
    let fd = unsafe { libc::open(c"/bin/echo".as_ptr(), O_RDONLY | libc::O_CLOEXEC) };
    // More than all arguments may have.
    let (long, none) = (c(&"x".repeat(1 << 20)), [null::<c_char>()]);
    let words = [long.as_ptr(), null()];
    say("fexecve", unsafe {
        libc::fexecve(fd, words.as_ptr(), none.as_ptr())
    });
    say("flags", unsafe { libc::fcntl(fd, libc::F_GETFD, 0) });
}

pub fn no_sockets() {
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u8;
    let address = (&raw const address).cast();
    let socket = || unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    for (what, fd) in [
        ("a socket", socket()),
        ("a directory", directory("/ro/dir")),
        ("another", directory("/g1/t0")),
        ("none", 700),
    ] {
        for length in [2, 3] {
            say(&format!("connect {what} {length}"), unsafe {
                libc::connect(fd, address, length)
            });
        }
        say(&format!("bind {what}"), unsafe {
            libc::bind(fd, address, 3)
        });
    }
    let mut named: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    named.sun_family = libc::AF_UNIX as u8;
    for (to, from) in named.sun_path.iter_mut().zip(b"/ro/none/x") {
        *to = from.cast_signed();
    }
    let fd = directory("/ro/dir");
    let named = (&raw const named).cast();
    say("connect a directory, by a name", unsafe {
        libc::connect(fd, named, 12)
    });
    say("bind a directory, by a name", unsafe {
        libc::bind(fd, named, 12)
    });
}

/// A child of posix_spawn(3) has its parent's memory, and other descriptors.
pub fn spawned() {
    make_directory("/g1/t0/a");
    make_directory("/g1/t0/b");
    let first = directory("/g1/t0/a");
    let kept = unsafe { libc::dup2(first, 60) };
    unsafe { libc::close(first) };
    let other = directory("/g1/t0/b");
    assert_eq!((kept, first), (60, other));
    unsafe { libc::close(other) };
    let mut actions: libc::posix_spawn_file_actions_t = null_mut();
    let (words, none) = (
        [c"echo".as_ptr().cast_mut(), null_mut()],
        [null_mut::<c_char>()],
    );
    let (out, flags) = (c"/g1/t0/out", O_WRONLY | O_CREAT);
    let mut child = 0;
    let started = unsafe {
        libc::posix_spawn_file_actions_init(&raw mut actions);
        libc::posix_spawn_file_actions_addopen(&raw mut actions, 60, out.as_ptr(), flags, 0o600);
        let path = c"/bin/echo".as_ptr();
        let (argv, envp) = (words.as_ptr(), none.as_ptr());
        libc::posix_spawn(&raw mut child, path, &raw const actions, null(), argv, envp)
    };
    let waited = unsafe { libc::waitpid(child, null_mut(), 0) } == child;
    println!("posix_spawn: {started} {waited}");
    say("fchdir", unsafe { libc::fchdir(kept) });
    println!("getcwd: {}", super::working_directory());
}

/// By somebody who may not take a name away, to names that can't be.
pub fn first_names() {
    make_directory("/g1/t0/shut");
    make_file("/g1/t0/shut/x");
    make_file("/g1/t0/f");
    unsafe { libc::chmod(c"/g1/t0/shut".as_ptr(), 0o555) };
    let shut = format!("{ROUND}/shut/x");
    for to in ["/", "/g1/t0/f/y", "/g1/t0/none/y", "/ro/none"] {
        rename(&shut, to);
    }
    exchange(&format!("{ROUND}/shut/none"), "/g1/t0/f");
    say("renameat none", unsafe {
        libc::renameat(-1, c"x".as_ptr(), AT_FDCWD, c"/".as_ptr())
    });
    say("renameat a pipe", unsafe {
        let mut ends = [0; 2];
        libc::pipe(ends.as_mut_ptr());
        libc::renameat(ends[0], c"x".as_ptr(), AT_FDCWD, c"/ro/into".as_ptr())
    });
    let component = format!("/ro/{}", "n".repeat(256));
    rename(&component, "/g1/t0/y");
    rename("/g1/t0/f", &component);
}

pub fn second_names() {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    make_file("/g1/t0/f");
    make_directory("/g1/t0/shut");
    unsafe { libc::chmod(c"/g1/t0/shut".as_ptr(), 0o555) };
    for (to, name) in [
        (ends[0], "x"),
        (-1, "x"),
        (AT_FDCWD, "/g1/t0/new"),
        (AT_FDCWD, "/g1/t0/new/"),
        (AT_FDCWD, "/g1/t0/f/"),
        (AT_FDCWD, "/g1/t0/shut/new"),
        (AT_FDCWD, "/dev/new"),
    ] {
        let what = if to == ends[0] { "a pipe" } else { name };
        say(&format!("linkat {what} {}", to == -1), unsafe {
            libc::linkat(AT_FDCWD, c"/ro/file".as_ptr(), to, c(name).as_ptr(), 0)
        });
    }
}

/// Links with a slash behind them, that lead to "/", and to names that end in dots.
pub fn ends() {
    make_file("/g1/t0/f");
    make_directory("/g1/t0/d");
    make_link("/", "/g1/t0/root");
    for name in ["root", "root/"] {
        rename(&format!("{ROUND}/{name}"), "/g1/t0/new");
        rename("/g1/t0/new", &format!("{ROUND}/{name}"));
    }
    make_link("/", "/g1/t0/again");
    let again = c(&format!("{ROUND}/again/"));
    say("mkdir again/", unsafe {
        libc::mkdir(again.as_ptr(), 0o755)
    });
    say("rmdir again/", unsafe { libc::rmdir(again.as_ptr()) });
    say("link again/", unsafe {
        libc::link(c"/g1/t0/f".as_ptr(), again.as_ptr())
    });
    opened("open /", unsafe {
        libc::open(c"/".as_ptr(), O_CREAT | O_DIRECTORY, 0o600)
    });
    opened("open again", unsafe {
        libc::open(again.as_ptr(), O_CREAT, 0o600)
    });
}

pub fn small_buffers() {
    make_directory("/g1/t0/a");
    make_directory("/g1/t0/a/b");
    go("/g1/t0/a/b");
    unsafe { libc::chmod(c"/g1/t0/a".as_ptr(), 0o311) };
    for size in [1, 2, 3, 10, 11, 100] {
        let mut place = [0 as c_char; 100];
        let found = unsafe { libc::getcwd(place.as_mut_ptr(), size) };
        say(&format!("getcwd {size}"), c_int::from(!found.is_null()) - 1);
    }
    unsafe { libc::chmod(c"/g1/t0/a".as_ptr(), 0o755) };
    for size in [1, 2, 3, 10, 11] {
        let mut place = [0 as c_char; 100];
        let found = unsafe { libc::getcwd(place.as_mut_ptr(), size) };
        say(
            &format!("getcwd {size}, readable"),
            c_int::from(!found.is_null()) - 1,
        );
    }
}

/// What a link says is judged before where it is to be.
pub fn texts() {
    let long = c(&"x".repeat(1100));
    for place in ["/ro/loop/x", "/ro/none/x", "/g1/t0/x"] {
        say(&format!("symlink, too long, {place}"), unsafe {
            libc::symlink(long.as_ptr(), c(place).as_ptr())
        });
        say(&format!("symlink, none, {place}"), unsafe {
            libc::symlink(null(), c(place).as_ptr())
        });
    }
}

/// A directory that may be written to, opened through what may only be read.
pub fn regained() {
    make_directory("/g1/t0/d");
    let fd = directory(&format!("{ROUND}/d"));
    let made = O_WRONLY | O_CREAT | O_RESOLVE_BENEATH;
    opened("openat beneath", unsafe {
        libc::openat(fd, c"./new".as_ptr(), made, 0o600)
    });
    quietly("fchmodat beneath", || unsafe {
        libc::fchmodat(fd, c"new".as_ptr(), 0o640, 0x2000) == 0
    });
    quietly("fchmodat itself", || unsafe {
        libc::fchmodat(fd, c"".as_ptr(), 0o750, AT_EMPTY_PATH) == 0
    });
    // Directories are linked by nobody, wherever to.
    say("linkat", unsafe {
        libc::linkat(fd, c"./".as_ptr(), AT_FDCWD, c"/ro/new".as_ptr(), 0x2000)
    });
    let long = c(&format!("/{}", "./".repeat(511) + "."));
    let found = unsafe { libc::realpath(long.as_ptr(), null_mut()) };
    println!("realpath {}: {}", long.as_bytes().len(), !found.is_null());
    make_link("/g1/t0/d", "/g1/t0/link");
    let fd = directory("/g1/t0/link");
    let long = c(&format!("{}new", "./".repeat(509)));
    say("rename, long", unsafe {
        libc::renameat(
            fd,
            long.as_ptr(),
            AT_FDCWD,
            c"/ro/../g1/t0/d/newer".as_ptr(),
        )
    });
}

/// Without a name, where a name has to be: whatever the descriptor is of.
pub fn nameless() {
    let mut ends = [0; 2];
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let file = unsafe { libc::open(c"/ro/file".as_ptr(), O_RDONLY) };
    for (what, fd) in [
        ("none", -1),
        ("a pipe", ends[0]),
        ("a file", file),
        ("a directory", directory("/ro/dir")),
    ] {
        opened(&format!("openat {what}"), unsafe {
            libc::openat(fd, c"".as_ptr(), O_RDONLY)
        });
        say(&format!("mkdirat {what}"), unsafe {
            libc::mkdirat(fd, c"".as_ptr(), 0o755)
        });
    }
    // As libc does it: "." isn't looked up.
    let found = unsafe { libc::realpath(c"/ro/closed/.".as_ptr(), null_mut()) };
    println!("realpath: {}", !found.is_null());
}
