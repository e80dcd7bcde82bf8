//! Names: of nothing, of trees, too long, of what may only be read, and what is left of errno.

use super::super::subject::say;
use super::{c, directory, errno, go, make_directory, make_file, make_link, opened, quietly};
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY};
use std::ffi::{c_char, c_int};
use std::ptr::{null, null_mut};

const AT_EMPTY_PATH: c_int = 0x4000;
const AT_RESOLVE_BENEATH: c_int = 0x2000;
const O_EMPTY_PATH: c_int = 0x200_0000;
const NO: u32 = u32::MAX;

unsafe extern "C" {
    fn lchmod(path: *const c_char, mode: libc::mode_t) -> c_int;
}

fn stat(path: &str) -> c_int {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    unsafe { libc::stat(c(path).as_ptr(), &raw mut stat) }
}

fn lstat(path: &str) -> c_int {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    unsafe { libc::lstat(c(path).as_ptr(), &raw mut stat) }
}

fn open(path: &str, flags: c_int) {
    let line = format!("open {path} {flags:x}");
    opened(&line, unsafe { libc::open(c(path).as_ptr(), flags, 0o600) });
}

fn rename(from: &str, to: &str) {
    say(&format!("rename {from} {to}"), unsafe {
        libc::rename(c(from).as_ptr(), c(to).as_ptr())
    });
}

fn realpath(path: &str) -> bool {
    let found = unsafe { libc::realpath(c(path).as_ptr(), null_mut()) };
    let is_found = !found.is_null();
    let errno = errno();
    unsafe { libc::free(found.cast()) };
    super::super::fuzz::set_errno(errno);
    is_found
}

/// Much of it is tried in vain first, by way of links that are absolute.
pub fn errno_is_kept() {
    make_file("/g1/nest/t0/f");
    quietly("stat", || stat("/ro/into/f") == 0);
    quietly("chdir", || unsafe { libc::chdir(c"/ro/abs".as_ptr()) == 0 });
    quietly("chdir up", || unsafe { libc::chdir(c"..".as_ptr()) == 0 });
    quietly("getcwd", || unsafe {
        !libc::getcwd([0; 100].as_mut_ptr(), 100).is_null()
    });
    quietly("realpath", || realpath("abs/deep"));
    let fd = directory("/ro/dir");
    quietly("fchdir", || unsafe { libc::fchdir(fd) == 0 });
    quietly("open what is there", || unsafe {
        libc::open(c"/ro/file".as_ptr(), O_RDONLY | O_CREAT, 0o600) >= 0
    });
    quietly("rename", || unsafe {
        libc::rename(c"/ro/into/f".as_ptr(), c"/ro/into/g".as_ptr()) == 0
    });
    quietly("link", || unsafe {
        libc::link(c"/ro/into/g".as_ptr(), c"/ro/into/h".as_ptr()) == 0
    });
    quietly("unlink", || unsafe {
        libc::unlink(c"/ro/into/h".as_ptr()) == 0
    });
    unsafe { libc::mkfifo(c"/g1/t0/fifo".as_ptr(), 0o600) };
    quietly("truncate a fifo", || unsafe {
        libc::truncate(c"/g1/t0/fifo".as_ptr(), 0) == 0
    });
    quietly("no change", || unsafe {
        libc::chown(c"/ro/file".as_ptr(), NO, NO) == 0
    });
    go("/g1/t0");
    quietly("beneath", || unsafe {
        libc::faccessat(AT_FDCWD, c"fifo".as_ptr(), 0, AT_RESOLVE_BENEATH) == 0
    });
    quietly("waitpid", || {
        let child = unsafe { libc::fork() };
        if child == 0 {
            unsafe { libc::_exit(0) };
        }
        unsafe { libc::waitpid(child, null_mut(), 0) == child }
    });
    quietly("kill what has ended", || {
        let child = unsafe { libc::fork() };
        if child == 0 {
            unsafe { libc::_exit(0) };
        }
        // Until it has, and isn't waited for.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let id = libc::id_t::from(child.unsigned_abs());
        let options = libc::WEXITED | libc::WNOWAIT;
        unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) };
        super::super::fuzz::set_errno(super::UNTOUCHED);
        unsafe { libc::kill(child, 0) == 0 }
    });
    quietly("setpgid", || unsafe { libc::setpgid(0, 0) == 0 });
}

pub fn own_directory() {
    for tree in ["/g1", "/g1/nest", "/g2", "/dev"] {
        say(&format!("lstat {tree}"), lstat(tree));
        let flags = O_RDONLY | O_NOFOLLOW | O_DIRECTORY;
        opened(&format!("open {tree} without links"), unsafe {
            libc::open(c(tree).as_ptr(), flags)
        });
        let mut text = [0_u8; 20];
        say(&format!("readlink {tree}"), unsafe {
            libc::readlink(c(tree).as_ptr(), text.as_mut_ptr().cast(), 20)
        } as i64);
        say(&format!("mkdir {tree}"), unsafe {
            libc::mkdir(c(tree).as_ptr(), 0o755)
        });
        say(&format!("symlink {tree}"), unsafe {
            libc::symlink(c"x".as_ptr(), c(tree).as_ptr())
        });
        opened(&format!("creating {tree}"), unsafe {
            libc::open(c(tree).as_ptr(), O_RDONLY | O_CREAT, 0o600)
        });
        opened(&format!("creating {tree} alone"), unsafe {
            libc::open(c(tree).as_ptr(), O_RDONLY | O_CREAT | O_EXCL, 0o600)
        });
    }
    // Beside what may only be read names can't be changed; in a tree that may be written to it is a mount.
    say("lchmod /g1/nest", unsafe {
        lchmod(c"/g1/nest".as_ptr(), 0o750)
    });
    say("fchmodat /g2", unsafe {
        libc::fchmodat(AT_FDCWD, c"/g2".as_ptr(), 0o755, AT_SYMLINK_NOFOLLOW)
    });
    say("rename /g1/nest", unsafe {
        libc::rename(c"/g1/nest".as_ptr(), c"/g1/other".as_ptr())
    });
    say("rmdir /g1/nest", unsafe {
        libc::rmdir(c"/g1/nest".as_ptr())
    });
}

pub fn root() {
    make_directory("/g1/t0/d");
    make_file("/g1/t0/f");
    for root in ["/", "//"] {
        let path = c(root);
        let path = path.as_ptr();
        say(&format!("mkdir {root}"), unsafe {
            libc::mkdir(path, 0o755)
        });
        say("rmdir", unsafe { libc::rmdir(path) });
        say("unlink", unsafe { libc::unlink(path) });
        say("symlink", unsafe { libc::symlink(c"x".as_ptr(), path) });
        say("mkfifo", unsafe { libc::mkfifo(path, 0o600) });
        say("link", unsafe { libc::link(c"/g1/t0/f".as_ptr(), path) });
        for flags in [O_RDONLY, O_CREAT, O_CREAT | O_EXCL, O_CREAT | 3] {
            open(root, flags);
        }
        rename(root, "/g1/t0/x");
        rename("/g1/t0/d", root);
        rename("/g1/t0/f", root);
        rename("/g1/t0/none", root);
    }
}

/// As many bytes in all, that lead to `end` from where one is.
fn padded(length: usize, end: &str) -> String {
    let mut name = String::new();
    while name.len() + end.len() + 2 <= length {
        name.push_str("./");
    }
    if name.len() + end.len() < length {
        name.push('/');
    }
    // An odd byte is a slash more.
    name + end
}

pub fn long() {
    go("/g1/t0");
    make_file("f");
    make_directory("d");
    for length in [1022, 1023, 1024, 1500] {
        let (file, folder) = (padded(length, "f"), padded(length, "d"));
        say(&format!("stat {length}"), stat(&file));
        opened(&format!("open {length}"), unsafe {
            libc::open(c(&file).as_ptr(), O_RDONLY)
        });
        let found = realpath(&file);
        say(&format!("realpath {length}"), i64::from(found) - 1);
        say(&format!("chdir {length}"), unsafe {
            libc::chdir(c(&folder).as_ptr())
        });
        go("/g1/t0");
        say(&format!("link {length}"), unsafe {
            libc::link(c"f".as_ptr(), c(&padded(length, "g")).as_ptr())
        });
        say(&format!("rename {length}"), unsafe {
            libc::rename(c(&padded(length, "g")).as_ptr(), c"h".as_ptr())
        });
        say("unlink", unsafe { libc::unlink(c"h".as_ptr()) });
    }
    say("a component", stat(&"x".repeat(256)));
    // What a link says and what comes after it: the kernel has room for one path.
    let target = format!("/g1/t0/{}", padded(500, "d"));
    make_link(&target, "link");
    for all in [1023, 1024] {
        let after = padded(all - 1 - target.len(), "../f");
        say(
            &format!("link, {all} in all"),
            stat(&format!("link/{after}")),
        );
    }
    deep();
}

/// Where the working directory and a name are longer than a path together.
fn deep() {
    let name = "n".repeat(200);
    for _ in 0..4 {
        make_directory(&name);
        go(&name);
    }
    make_file("f");
    say("deep", stat("f"));
    say("deep, 800 more", stat(&padded(800, "f")));
    rename(&padded(800, "f"), "g");
    let found = realpath(&padded(800, "g"));
    println!("deep, realpath: {found}");
}

pub fn dots() {
    for name in [
        "/ro/abs/.",
        "/ro/abs/../file/.",
        "/ro/abs/../file/..",
        "/ro/abs/../closed/.",
        "/ro/abs/../closed/..",
        "/ro/abs/../closed",
    ] {
        say(&format!("stat {name}"), stat(name));
        say("chdir", unsafe { libc::chdir(c(name).as_ptr()) });
    }
}

pub fn empty() {
    make_file("/g1/t0/f");
    go("/g1/t0");
    let (file, ro) = (
        unsafe { libc::open(c"f".as_ptr(), O_RDONLY) },
        directory("/ro/dir"),
    );
    let none = c"".as_ptr();
    for (fd, from) in [(AT_FDCWD, "cwd"), (file, "file"), (ro, "ro")] {
        for (flags, meant) in [(0, ""), (AT_EMPTY_PATH, ", meant")] {
            let line = |call: &str| format!("{call} {from}{meant}");
            let mut stat: libc::stat = unsafe { std::mem::zeroed() };
            say(&line("fstatat"), unsafe {
                libc::fstatat(fd, none, &raw mut stat, flags)
            });
            say(&line("faccessat"), unsafe {
                libc::faccessat(fd, none, libc::R_OK, flags)
            });
            say(&line("fchmodat"), unsafe {
                libc::fchmodat(fd, none, 0o700, flags)
            });
            say(&line("fchownat"), unsafe {
                libc::fchownat(fd, none, NO, NO, flags)
            });
        }
        opened(&format!("openat {from}"), unsafe {
            libc::openat(fd, none, O_RDONLY)
        });
    }
    let ro_file = unsafe { libc::open(c"/ro/file".as_ptr(), O_RDONLY) };
    for (fd, from) in [
        (AT_FDCWD, "cwd"),
        (file, "file"),
        (ro, "ro"),
        (ro_file, "ro file"),
    ] {
        for new in [
            "/g1/t0/made",
            "/ro/made",
            "/ro/dir",
            "/g1/t0/none/made",
            "/",
        ] {
            let made = c(new);
            let linked = unsafe { libc::linkat(fd, none, AT_FDCWD, made.as_ptr(), AT_EMPTY_PATH) };
            if say(&format!("linkat {from}, meant, {new}"), linked) == 0 {
                unsafe { libc::unlink(made.as_ptr()) };
            }
        }
    }
    opened("openat fd, meant", unsafe {
        libc::openat(ro, none, O_RDONLY | O_EMPTY_PATH)
    });
    opened("openat cwd, meant", unsafe {
        libc::openat(AT_FDCWD, none, O_RDONLY | O_EMPTY_PATH)
    });
    for call in [libc::unlink, libc::rmdir, libc::chdir] {
        say("no name", unsafe { call(none) });
    }
    rename("", "x");
    rename("f", "");
}

pub fn no_change() {
    let omit = libc::timespec {
        tv_sec: 0,
        tv_nsec: -2,
    };
    let now = libc::timespec {
        tv_sec: 0,
        tv_nsec: -1,
    };
    for (name, path) in [
        ("", "/ro/file"),
        (" none", "/ro/none"),
        (" link", "/ro/abs"),
    ] {
        let path = c(path);
        let path = path.as_ptr();
        let user = super::USER;
        say(&format!("chown{name}"), unsafe {
            libc::chown(path, NO, NO)
        });
        say(&format!("chown{name} to oneself"), unsafe {
            libc::chown(path, user, NO)
        });
        say("lchown", unsafe { libc::lchown(path, NO, NO) });
        let times = |both: [libc::timespec; 2]| unsafe {
            libc::utimensat(AT_FDCWD, path, both.as_ptr(), 0)
        };
        say(&format!("utimensat{name}"), times([omit, omit]));
        say(&format!("utimensat{name}, one"), times([omit, now]));
        say("utimensat, no times", unsafe {
            libc::utimensat(AT_FDCWD, path, null(), 0)
        });
    }
}

pub fn creating() {
    for name in [
        "/ro/file", "/ro/link", "/ro/dir", "/ro/none", "/ro/abs", "/dev",
    ] {
        for flags in [
            O_CREAT,
            O_CREAT | O_EXCL,
            O_CREAT | O_DIRECTORY,
            O_CREAT | O_NOFOLLOW,
            O_CREAT | libc::O_WRONLY,
            O_CREAT | libc::O_TRUNC,
            O_CREAT | 3,
        ] {
            open(name, flags);
        }
    }
}

pub fn access_control_lists() {
    const ACL_EXTENDED: c_int = 59;
    const ACL_NFS4: c_int = 64;
    for path in [c"/", c"/etc/services"] {
        for name in [ACL_EXTENDED, ACL_NFS4] {
            say(&format!("{path:?} {name}"), unsafe {
                libc::pathconf(path.as_ptr(), name)
            });
        }
    }
}
