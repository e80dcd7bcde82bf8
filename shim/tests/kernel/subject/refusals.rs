//! What must fail: of what may only be read, and of what is not granted by any way.

use super::files::{listing, opened};
use super::{c, say, tell};
use libc::{O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};
use std::ffi::c_int;
use std::ptr::null;

/// Writing where reading alone is granted.
pub fn refused(place: &str) {
    let p = |name: &str| format!("{place}/{name}");
    opened(&p("file"), O_RDONLY);
    for name in ["file", "none", "none/x", "file/x", "absolute"] {
        for flags in [
            O_WRONLY,
            O_RDWR,
            O_WRONLY | O_CREAT,
            O_WRONLY | O_CREAT | O_EXCL,
            O_RDONLY | O_TRUNC,
        ] {
            opened(&p(name), flags);
        }
    }
    let path = |name: &str| c(&p(name));
    unsafe {
        say("mkdir", libc::mkdir(path("new").as_ptr(), 0o700));
        say("mkdir", libc::mkdir(path("file").as_ptr(), 0o700));
        say("mkdir", libc::mkdir(path("none/new").as_ptr(), 0o700));
        say("unlink", libc::unlink(path("file").as_ptr()));
        say("unlink", libc::unlink(path("none").as_ptr()));
        say("rmdir", libc::rmdir(path("d").as_ptr()));
        say(
            "rename",
            libc::rename(path("file").as_ptr(), path("other").as_ptr()),
        );
        say(
            "rename",
            libc::rename(path("none").as_ptr(), path("other").as_ptr()),
        );
        say(
            "link",
            libc::link(path("file").as_ptr(), path("other").as_ptr()),
        );
        say(
            "symlink",
            libc::symlink(c"x".as_ptr(), path("other").as_ptr()),
        );
        say(
            "symlink",
            libc::symlink(c"x".as_ptr(), path("file").as_ptr()),
        );
        say("mkfifo", libc::mkfifo(path("other").as_ptr(), 0o600));
        say("chmod", libc::chmod(path("file").as_ptr(), 0o600));
        say("chmod", libc::chmod(path("none").as_ptr(), 0o600));
        say(
            "chown",
            libc::chown(path("file").as_ptr(), u32::MAX, u32::MAX),
        );
        say("truncate", libc::truncate(path("file").as_ptr(), 0));
        say("utimes", libc::utimes(path("file").as_ptr(), null()));
    }
    listing(place);
}

/// Every way that comes to mind to a file that isn't granted. All must fail.
pub fn routes(secret: &str) {
    let path = c(secret);
    let relative = c(&format!("../../../../../../../..{secret}"));
    let name = path.as_ptr();
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let raw = |what: &str, result: i64| tell(what, if result >= 0 { "REACHED" } else { "refused" });
    unsafe {
        const OPEN: c_int = 5;
        const OPENAT: c_int = 499;
        raw("open(2)", i64::from(libc::syscall(OPEN, name, O_WRONLY, 0)));
        raw(
            "openat, cwd",
            i64::from(libc::syscall(OPENAT, libc::AT_FDCWD, name, O_WRONLY, 0)),
        );
        raw(
            "rename(2)",
            i64::from(libc::syscall(128, name, relative.as_ptr())),
        );
        raw("unlink(2)", i64::from(libc::syscall(10, name)));
        raw("chmod(2)", i64::from(libc::syscall(15, name, 0o777)));
        raw("truncate(2)", i64::from(libc::syscall(479, name, 0_i64)));
        raw("chdir(2)", i64::from(libc::syscall(12, c"/".as_ptr())));
        raw(
            "execve(2)",
            i64::from(libc::syscall(59, c"/bin/sh".as_ptr(), 0, 0)),
        );
        raw(
            "stat",
            i64::from(libc::syscall(552, libc::AT_FDCWD, name, &raw mut stat, 0)),
        );
        raw(
            "connect(2)",
            i64::from(libc::syscall(
                98,
                libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0),
                name,
                16,
            )),
        );
        for fd in 0..1100 {
            for name in [
                path.as_ptr(),
                relative.as_ptr(),
                relative.as_ptr().add(3),
                name.add(1),
            ] {
                for flags in [O_WRONLY, O_RDWR, O_WRONLY | O_CREAT, O_RDONLY | O_TRUNC] {
                    let opened = libc::syscall(OPENAT, fd, name, flags, 0o600);
                    if opened >= 0 {
                        raw(&format!("openat {fd}"), i64::from(opened));
                    }
                }
                if libc::syscall(503, fd, name, 0) >= 0 {
                    raw(&format!("unlinkat {fd}"), 0);
                }
            }
        }
        raw("open", i64::from(libc::open(name, O_WRONLY)));
        raw(
            "open",
            i64::from(libc::open(relative.as_ptr(), O_WRONLY | O_CREAT, 0o600)),
        );
        raw("unlink", i64::from(libc::unlink(name)));
        raw("rename", i64::from(libc::rename(name, relative.as_ptr())));
        raw("chmod", i64::from(libc::chmod(name, 0o777)));
        let shell = c(&format!("echo x >{secret}"));
        raw("sh", i64::from(-libc::system(shell.as_ptr())));
    }
}
