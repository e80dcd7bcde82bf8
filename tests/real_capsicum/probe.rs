//! What runs inside. Each line that it says is what one attempt came to.

use crate::raw::{self, AT_FDCWD, at, call, openat, text, word};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::FromRawFd;

/// A part of this file that only runs as a service.
#[test]
fn probe() {
    let Ok(name) = std::env::var("PROBE") else {
        return;
    };
    match name.as_str() {
        "serve" => serve(),
        "sockets" => sockets(),
        "capmode" => capmode(),
        "openat" => lookups(),
        "rights" => rights(),
        "fexecve" => fexecve(),
        "procdesc" => procdesc(),
        "ioctl" => ioctl(),
        "fcntl" => fcntl(),
        "escape" => escape(),
        "sweep" => crate::sweep::probe(),
        "accepted" => accepted(),
        "numbers" => numbers(),
        "sleep" => wait_ms(60_000),
        other => panic!("no probe {other}"),
    }
    std::io::stdout().flush().unwrap();
    std::process::exit(0);
}

fn refused(what: &str, result: Result<i64, i32>) {
    println!(
        "> {what}: {}",
        if result.is_ok() { "ok" } else { "refused" }
    );
}

/// By nanosleep(2): the clock_nanosleep(2) that std asks for is refused in capability mode where a kernel's
/// table was made before that was allowed.
fn wait_ms(milliseconds: i64) {
    let time = [milliseconds / 1000, milliseconds % 1000 * 1_000_000];
    assert!(call(240, &[at(&time), 0]).is_ok());
}

fn say(what: &str, result: Result<i64, i32>) {
    println!("> {what}: {}", word(result));
}

/// The descriptor of a granted directory, as the environment tells it.
pub fn directory(path: &str) -> i64 {
    let told = std::env::var("JAILRUN_DIRS").unwrap();
    let all: BTreeMap<&str, i64> = told
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(number, path)| (path, number.parse().unwrap()))
        .collect();
    all[path]
}

/// Says who it is to whoever connects; told "x", it fails.
fn serve() {
    // SAFETY: the launch has put a listening socket there, and nothing else in this process knows it.
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    println!("> serving");
    loop {
        let (mut peer, _) = listener.accept().unwrap();
        let mut word = [0u8; 1];
        peer.read_exact(&mut word).unwrap();
        write!(peer, "{}", std::process::id()).unwrap();
        if word == *b"x" {
            std::process::exit(3);
        }
    }
}

/// One connection, and what may be done with it.
fn accepted() {
    // SAFETY: as above.
    let listener = unsafe { TcpListener::from_raw_fd(3) };
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_nonblocking(true).unwrap();
    peer.set_nonblocking(false).unwrap();
    peer.set_nodelay(true).unwrap();
    peer.write_all(b"served").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&peer);
    say(
        "F_SETOWN",
        call(
            raw::FCNTL,
            &[i64::from(fd), 6, i64::from(std::process::id())],
        ),
    );
    say(
        "FIOSETOWN",
        call(raw::IOCTL, &[i64::from(fd), 0x8004_667c, at(&1i32)]),
    );
}

/// Family, type and state of each socket, and the variables.
fn sockets() {
    let number: i64 = std::env::var("LISTEN_FDS").unwrap().parse().unwrap();
    for fd in 3..3 + number {
        let (kind, accepts) = (option(fd, libc::SO_TYPE), option(fd, libc::SO_ACCEPTCONN));
        let family = option(fd, libc::SO_DOMAIN);
        println!("> {fd} {family} {kind} {}", accepts != 0);
    }
    for (name, value) in std::env::vars() {
        if name == "LISTEN_PID" {
            println!("> {name} {}", value == std::process::id().to_string());
        } else if name.starts_with("LISTEN") {
            println!("> {name} {value}");
        }
    }
    say("no more", call(raw::FCNTL, &[3 + number, 1]));
}

/// Every number that is in use, with its flags (F_GETFD is 1).
fn numbers() {
    for fd in 0..8192 {
        if let Ok(flags) = call(raw::FCNTL, &[fd, 1]) {
            println!("> {fd} {flags}");
        }
    }
    println!("> all");
    std::io::stdout().flush().unwrap();
    wait_ms(60_000);
}

fn option(fd: i64, name: i32) -> i32 {
    let (mut value, mut size) = (0i32, 4u32);
    // SAFETY: an int and its size, both live.
    let result = unsafe {
        libc::getsockopt(
            fd as i32,
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    assert_eq!(result, 0);
    value
}

/// struct sockaddr_in of 127.0.0.1 and a port; struct sockaddr_un of a path.
fn loopback(port: u16) -> [u8; 16] {
    let [high, low] = port.to_be_bytes();
    [16, 2, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

const LOG: &[u8; 15] = b"\x0f\x01/var/run/log\0";
const SERVICES: &CStr = c"/etc/services";

/// capsicum-test's capmode.cc: what is refused, what still works.
fn capmode() {
    let mut mode = 0u32;
    let asked = call(raw::CAP_GETMODE, &[&raw mut mode as i64]);
    println!("> mode: {} {mode}", word(asked));
    let path = text(SERVICES);
    let nobody = std::process::id() as i64;
    // SAFETY: takes nothing.
    let parent = i64::from(unsafe { libc::getppid() });
    for (what, number, words) in [
        ("access", raw::ACCESS, vec![path, 4]),
        ("acct", raw::ACCT, vec![path]),
        ("chdir", raw::CHDIR, vec![path]),
        ("chflags", raw::CHFLAGS, vec![path, 0]),
        ("chmod", raw::CHMOD, vec![path, 0o600]),
        ("chown", raw::CHOWN, vec![path, 1, 1]),
        ("chroot", raw::CHROOT, vec![path]),
        ("fchdir", raw::FCHDIR, vec![directory("/")]),
        ("fhopen", raw::FHOPEN, vec![0, 0]),
        ("getcwd", raw::GETCWD, vec![at(&[0u8; 64]), 64]),
        ("getfsstat", raw::GETFSSTAT, vec![0, 0, 2]),
        ("kldload", raw::KLDLOAD, vec![path]),
        ("ktrace", raw::KTRACE, vec![path, 0, 0, nobody]),
        ("link", raw::LINK, vec![path, path]),
        ("mkdir", raw::MKDIR, vec![path, 0o700]),
        ("mkfifo", raw::MKFIFO, vec![path, 0o600]),
        ("nmount", raw::NMOUNT, vec![0, 0, 0]),
        ("open", raw::OPEN, vec![path, 0, 0]),
        ("pathconf", raw::PATHCONF, vec![path, 1]),
        ("posix_openpt", raw::POSIX_OPENPT, vec![2]),
        ("procctl", raw::PROCCTL, vec![0, nobody, 7, 0]),
        ("ptrace", raw::PTRACE, vec![10, parent, 0, 0]),
        ("readlink", raw::READLINK, vec![path, at(&[0u8; 8]), 8]),
        (
            "__realpathat",
            raw::REALPATHAT,
            vec![AT_FDCWD, path, at(&[0u8; 8]), 8, 0],
        ),
        ("rename", raw::RENAME, vec![path, path]),
        ("revoke", raw::REVOKE, vec![path]),
        ("rmdir", raw::RMDIR, vec![path]),
        ("statfs", raw::STATFS, vec![path, 0]),
        ("symlink", raw::SYMLINK, vec![path, path]),
        ("truncate", raw::TRUNCATE, vec![path, 0]),
        ("unlink", raw::UNLINK, vec![path]),
        ("unmount", raw::UNMOUNT, vec![path, 0]),
        ("utimes", raw::UTIMES, vec![path, 0]),
        ("execve", raw::EXECVE, vec![path, 0, 0]),
        ("setgroups", raw::SETGROUPS, vec![0, 0]),
        ("shmget", raw::SHMGET, vec![0, 4096, 0o600]),
        ("ksem_open", raw::KSEM_OPEN, vec![0, path, 0x200, 0o600, 1]),
        ("rctl_add_rule", raw::RCTL_ADD_RULE, vec![path, 1, 0, 0]),
        ("jail_attach", raw::JAIL_ATTACH, vec![1]),
        ("jail_get", raw::JAIL_GET, vec![0, 0, 0]),
        ("jail_set", raw::JAIL_SET, vec![0, 0, 1]),
        ("kill the parent", raw::KILL, vec![parent, 0]),
        ("kill all", raw::KILL, vec![-1, 0]),
        ("kill itself", raw::KILL, vec![nobody, 0]),
    ] {
        say(what, call(number, &words));
    }
    let socket = call(raw::SOCKET, &[2, 1, 0]);
    say("socket", socket);
    let (socket, address) = (socket.unwrap(), loopback(7722));
    say("bind", call(raw::BIND, &[socket, at(&address), 16]));
    say("connect", call(raw::CONNECT, &[socket, at(&address), 16]));
    let datagrams = call(raw::SOCKET, &[2, 2, 0]).unwrap();
    say(
        "sendto",
        call(raw::SENDTO, &[datagrams, at(b"x"), 1, 0, at(&address), 16]),
    );
    say("raw socket", call(raw::SOCKET, &[2, 3, 1]));
    let unix = call(raw::SOCKET, &[1, 2, 0]).unwrap();
    say(
        "connect to syslogd",
        call(raw::CONNECT, &[unix, at(LOG), 15]),
    );
    say(
        "connectat to syslogd",
        call(raw::CONNECTAT, &[directory("/"), unix, at(LOG), 15]),
    );
    // Threads and children are in it too.
    let thread = std::thread::spawn(|| call(raw::OPEN, &[text(SERVICES), 0, 0]));
    say("open in a thread", thread.join().unwrap());
    // SAFETY: the child makes system calls only.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = call(raw::OPEN, &[text(SERVICES), 0, 0]);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(refused.err().unwrap_or(0)) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and a live int.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    say("open in a child", Err(libc::WEXITSTATUS(status)));
}

/// capsicum-test's openat.cc. The directory is writable: links are planted in it.
fn lookups() {
    let (root, tmp) = (directory("/"), directory("/tmp"));
    let mut room = [0u8; 512];
    let room = room.as_mut_ptr() as i64;
    say("granted", openat(root, c"etc/services", 0));
    say("not granted", openat(root, c"etc/passwd", 0));
    say("absolute", openat(root, SERVICES, 0));
    say("above the root", openat(root, c"../etc/services", 0));
    say("by AT_FDCWD", openat(AT_FDCWD, c"etc/services", 0));
    say("to be written", openat(root, c"etc/services", 1));
    say("made in the root", openat(root, c"new", 0x201));
    say("made in a tree", openat(tmp, c"new", 0x201));
    say("beneath", openat(root, c"etc/../etc/services", 0));
    // Where a tree is a mount, ".." leaves it (vfs_lookup() compares the vnode below the mount with the
    // descriptor's), as far as the jail's root and to be read. On a kernel that has this mended, not at all.
    refused(
        "out of a tree, to be written",
        openat(tmp, c"../etc/services", 1),
    );
    refused(
        "out of a tree, to be made",
        openat(tmp, c"../etc/new", 0x201),
    );
    refused(
        "out of the root",
        openat(tmp, c"../../../etc/services/..", 0),
    );
    say(
        "a directory",
        call(raw::MKDIRAT, &[tmp, text(c"sub"), 0o700]),
    );
    say(
        "a relative link",
        call(raw::SYMLINKAT, &[text(c"../new"), tmp, text(c"sub/in")]),
    );
    say("followed", openat(tmp, c"sub/in", 0));
    say(
        "a link out",
        call(
            raw::SYMLINKAT,
            &[text(c"../../etc/services"), tmp, text(c"sub/out")],
        ),
    );
    refused("followed out, to be written", openat(tmp, c"sub/out", 1));
    say(
        "an absolute link",
        call(raw::SYMLINKAT, &[text(SERVICES), tmp, text(c"abs")]),
    );
    say("followed absolutely", openat(tmp, c"abs", 0));
    let sub = openat(tmp, c"sub", 0x2_0000).unwrap();
    say("back up", openat(sub, c"../new", 0));
    say(
        "stat",
        call(raw::FSTATAT, &[root, text(c"etc/services"), room, 0]),
    );
    say(
        "access",
        call(raw::FACCESSAT, &[root, text(c"etc/services"), 4, 0]),
    );
    say(
        "chmod",
        call(raw::FCHMODAT, &[root, text(c"etc/services"), 0o600, 0]),
    );
    say(
        "unlink",
        call(raw::UNLINKAT, &[root, text(c"etc/services"), 0]),
    );
    say(
        "rename",
        call(
            raw::RENAMEAT,
            &[root, text(c"etc/services"), root, text(c"etc/x")],
        ),
    );
    say(
        "rename in a tree",
        call(raw::RENAMEAT, &[tmp, text(c"new"), tmp, text(c"old")]),
    );
    say(
        "rename out of a tree",
        call(raw::RENAMEAT, &[tmp, text(c"old"), root, text(c"old")]),
    );
    say(
        "link into a tree",
        call(
            raw::LINKAT,
            &[root, text(c"etc/services"), tmp, text(c"x"), 0],
        ),
    );
    say(
        "readlink",
        call(raw::READLINKAT, &[tmp, text(c"abs"), room, 64]),
    );
}

/// A cap_rights_t.
fn set(first: u64, second: u64) -> [u64; 2] {
    [1 << 57 | first, 1 << 58 | second]
}

/// capsicum-test's capability-fd.cc, as far as it is about files.
fn rights() {
    let (root, tmp) = (directory("/"), directory("/tmp"));
    let limit = |fd: i64, first: u64, second: u64| {
        call(raw::CAP_RIGHTS_LIMIT, &[fd, at(&set(first, second))])
    };
    let map = |fd: i64, protection: i64, flags: i64| {
        call(raw::MMAP, &[0, 4096, protection, flags, fd, 0])
    };
    const READ: u64 = 1;
    const WRITE: u64 = 2;
    let file = openat(root, c"etc/services", 0).unwrap();
    let mut byte = [0u8; 1];
    let mut read = |fd: i64| call(3, &[fd, byte.as_mut_ptr() as i64, 1]);
    say("read", read(file));
    say("map to read", map(file, 1, 2));
    say("map to execute", map(file, 4, 2));
    say("sync", call(95, &[file]));
    say("less", limit(file, READ, 0));
    say("read after", read(file));
    say("seek after", call(478, &[file, 0, 0]));
    say("map after", map(file, 1, 2));
    say("more", limit(file, READ | WRITE, 0));
    say("more on the root", limit(root, READ | WRITE, 0));
    say("more on output", limit(1, READ, 0));
    say("read output", read(1));
    say("write input", call(4, &[0, at(b"x"), 1]));
    let copy = call(41, &[file]).unwrap();
    say("seek in a copy", call(478, &[copy, 0, 0]));
    let made = openat(tmp, c"made", 0x202).unwrap();
    say("write", call(4, &[made, at(b"x"), 1]));
    say("truncate", call(480, &[made, 0]));
    say("map shared", map(made, 3, 1));
    say("chdir by descriptor", call(raw::FCHDIR, &[tmp]));
    let bin = openat(root, c"usr/bin/true", 0).unwrap();
    say("map a program", map(bin, 5, 2));
    say("nothing", limit(made, 0, 0));
    say("write after", call(4, &[made, at(b"x"), 1]));
}

/// In a child: what it ends with.
fn child(act: impl FnOnce()) -> String {
    // SAFETY: the child makes system calls only.
    let child = unsafe { libc::fork() };
    if child == 0 {
        act();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(99) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and a live int.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    match libc::WIFSIGNALED(status) {
        true => format!("signal {}", libc::WTERMSIG(status)),
        false => format!("status {}", libc::WEXITSTATUS(status)),
    }
}

/// capsicum-test's fexecve.cc.
fn fexecve() {
    let root = directory("/");
    let linker = openat(root, c"libexec/ld-elf.so.1", 0).unwrap();
    let program = openat(root, c"usr/bin/true", 0).unwrap();
    let script = openat(root, c"usr/local/libexec/jrtest-script", 0).unwrap();
    let libraries = std::env::var("LD_LIBRARY_PATH_FDS").unwrap();
    let libraries = std::ffi::CString::new(format!("LD_LIBRARY_PATH_FDS={libraries}")).unwrap();
    let number = std::ffi::CString::new(program.to_string()).unwrap();
    let empty = [0i64];
    let environment = [text(&libraries), 0];
    let words = [
        text(c"ld"),
        text(c"-f"),
        text(&number),
        text(c"--"),
        text(c"true"),
        0,
    ];
    let plain = [text(c"true"), 0];
    let execute =
        |fd: i64, words: i64, environment: i64| call(raw::FEXECVE, &[fd, words, environment]);
    println!(
        "> by its linker: {}",
        child(|| {
            let _ = execute(linker, at(&words), at(&environment));
        })
    );
    println!(
        "> by itself: {}",
        child(|| {
            let _ = execute(program, at(&plain), at(&empty));
        })
    );
    say("a script", execute(script, at(&plain), at(&empty)));
    say(
        "execve",
        call(
            raw::EXECVE,
            &[text(c"/usr/bin/true"), at(&plain), at(&empty)],
        ),
    );
    let limited = call(41, &[linker]).unwrap();
    // Everything but CAP_FEXECVE.
    call(raw::CAP_RIGHTS_LIMIT, &[limited, at(&set(1, 0))]).unwrap();
    say(
        "without the right",
        execute(limited, at(&words), at(&environment)),
    );
    let tmp = directory("/tmp");
    openat(tmp, c"made", 0x202).unwrap();
    let made = openat(tmp, c"made", 0).unwrap();
    say("a file of its own", execute(made, at(&plain), at(&empty)));
}

/// capsicum-test's procdesc.cc.
fn procdesc() {
    let pdfork = || {
        let mut fd = -1i32;
        let pid = call(raw::PDFORK, &[&raw mut fd as i64, 0]).unwrap();
        if pid == 0 {
            loop {
                // SAFETY: waits, and does nothing.
                unsafe { libc::pause() };
            }
        }
        (pid, i64::from(fd))
    };
    let (pid, fd) = pdfork();
    let mut told = 0i32;
    say("pdgetpid", call(raw::PDGETPID, &[fd, &raw mut told as i64]));
    println!("> the same: {}", i64::from(told) == pid);
    say("kill by pid", call(raw::KILL, &[pid, 9]));
    let mut status = 0;
    // SAFETY: a live int.
    let waited = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    say(
        "waitpid of any",
        if waited < 0 { Err(libc::ECHILD) } else { Ok(0) },
    );
    say("pdkill", call(raw::PDKILL, &[fd, 9]));
    // In capability mode wait4(2) sees such a child only when it has ended.
    let waited = loop {
        // SAFETY: a child of ours, and a live int.
        let waited = unsafe { libc::waitpid(pid as i32, &raw mut status, 0) };
        if waited > 0 {
            break waited;
        }
        wait_ms(20);
    };
    println!(
        "> waited for: {} {}",
        waited as i64 == pid && libc::WIFSIGNALED(status),
        libc::WTERMSIG(status)
    );
    let (_, fd) = pdfork();
    // CAP_FSTAT alone.
    say(
        "limit",
        call(raw::CAP_RIGHTS_LIMIT, &[fd, at(&set(0x8_0000, 0))]),
    );
    say("pdkill without the right", call(raw::PDKILL, &[fd, 9]));
    say(
        "pdgetpid without the right",
        call(raw::PDGETPID, &[fd, &raw mut told as i64]),
    );
}

const FIONREAD: i64 = 0x4004_667f;
const FIONBIO: i64 = 0x8004_667e;
const FIOASYNC: i64 = 0x8004_667d;

/// capsicum-test's ioctl.cc.
fn ioctl() {
    let value = 0i32;
    let ioctl = |fd: i64, command: i64| call(raw::IOCTL, &[fd, command, at(&value)]);
    say("FIONREAD of output", ioctl(1, FIONREAD));
    say("FIOASYNC of output", ioctl(1, FIOASYNC));
    say("FIONBIO of the socket", ioctl(3, FIONBIO));
    say("FIOASYNC of the socket", ioctl(3, FIOASYNC));
    let services = openat(directory("/"), c"etc/services", 0).unwrap();
    say("FIONREAD of a file", ioctl(services, FIONREAD));
    say("FIOASYNC of a file", ioctl(services, FIOASYNC));
    let null = openat(directory("/dev"), c"null", 2).unwrap();
    say("FIONBIO of null", ioctl(null, FIONBIO));
    say("FIOASYNC of null", ioctl(null, FIOASYNC));
    let limit = |fd: i64, list: &[i64]| {
        call(
            raw::CAP_IOCTLS_LIMIT,
            &[fd, list.as_ptr() as i64, list.len() as i64],
        )
    };
    say("more", limit(3, &[FIONBIO, FIOASYNC]));
    say("fewer", limit(3, &[FIONREAD]));
    say("FIONBIO of the socket after", ioctl(3, FIONBIO));
    say("none", limit(3, &[]));
    say("FIONREAD of the socket after", ioctl(3, FIONREAD));
}

/// capsicum-test's fcntl.cc.
fn fcntl() {
    let fcntl = |fd: i64, command: i64, value: i64| call(raw::FCNTL, &[fd, command, value]);
    let own = i64::from(std::process::id());
    for fd in [1, 3, directory("/tmp"), directory("/")] {
        println!(
            "> {} {} {} {}",
            word(fcntl(fd, 3, 0)),
            word(fcntl(fd, 4, 4)),
            word(fcntl(fd, 5, 0)),
            word(fcntl(fd, 6, own))
        );
    }
    let limit = |fd: i64, bits: i64| call(raw::CAP_FCNTLS_LIMIT, &[fd, bits]);
    say("more", limit(3, 0x78));
    say("fewer", limit(3, 0x8));
    say("F_SETFL after", fcntl(3, 4, 0));
    say("none", limit(3, 0));
    say("F_GETFL after", fcntl(3, 3, 0));
    say("back", limit(3, 0x8));
    say("F_GETFD", fcntl(3, 1, 0));
    let file = openat(directory("/"), c"etc/services", 0).unwrap();
    say("F_GETFL of a file", fcntl(file, 3, 0));
    say("F_SETOWN of a file", fcntl(file, 6, own));
}

/// Every way to a file that is there, in the jail's root, and may not be written; and to one that isn't.
/// Each descriptor from 0 to 63 is tried as a start.
fn escape() {
    let mut reached = Vec::new();
    for fd in -100..64 {
        for path in [
            c"/etc/services",
            c"etc/services",
            c"../etc/services",
            c"../../../../../../etc/services",
        ] {
            for flags in [1, 2, 0x201, 0x10_0002] {
                if openat(fd, path, flags).is_ok() {
                    reached.push(format!("openat {fd} {path:?} {flags:x}"));
                }
            }
        }
        // Of the host's, and not of the root's.
        for path in [
            c"/etc/master.passwd",
            c"etc/master.passwd",
            c"../etc/master.passwd",
            c"../../../../../../../../etc/master.passwd",
        ] {
            for flags in [0, 0x40_0000, 0x4_0000] {
                if openat(fd, path, flags).is_ok() {
                    reached.push(format!("openat {fd} {path:?} {flags:x}"));
                }
            }
            if call(raw::FSTATAT, &[fd, text(path), at(&[0u8; 512]), 0]).is_ok() {
                reached.push(format!("fstatat {fd} {path:?}"));
            }
        }
        if call(raw::FCHDIR, &[fd]).is_ok() {
            reached.push(format!("fchdir {fd}"));
        }
        let socket = call(raw::SOCKET, &[1, 1, 0]).unwrap();
        if call(raw::BINDAT, &[fd, socket, at(b"\x0b\x01etc/bound\0"), 12]).is_ok() {
            reached.push(format!("bindat {fd}"));
        }
        call(6, &[socket]).unwrap();
    }
    for (what, number, words) in [
        (
            "shm_open2",
            raw::SHM_OPEN2,
            vec![text(c"/jrtest"), 0x202, 0o600, 0, 0],
        ),
        ("open", raw::OPEN, vec![text(SERVICES), 0, 0]),
    ] {
        if call(number, &words).is_ok() {
            reached.push(what.to_string());
        }
    }
    println!("> reached {reached:?}");
}
