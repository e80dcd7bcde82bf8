//! Every system call that takes a path, from every descriptor and from none, past the shim: what is not
//! granted is reached by none of them. What runs inside is the second half.

use crate::fixture::{Fixture, PROBE, sh};
use crate::raw::{self, call, text, word};
use crate::shim::has_shim;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};

/// On the host, and in no jail: a directory, a file and a program that are the service's user's own.
const SECRET: &str = "/var/jrtest-secret";
/// Granted to be read: the directory is root's, the files aren't.
const GRANTED: &str = "/var/jrtest-granted";
const SPOOL: &str = "/var/spool/jrtest-sweep";

const ENFORCED: &str = "[root]\nro = [\"/var/jrtest-granted\"]\ndevices = [\"null\"]\n\
    tmpfs = [{ path = \"/tmp\", size = \"4m\", mode = \"1777\" }]\n\
    rw = [{ path = \"/var/spool/jrtest-sweep\", owner = \"nobody\", mode = \"0750\" }]\n\
    [jail]\nip4.addr = [\"lo0|127.0.0.93/32\"]\n\
    [[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.93:7718\"\n\
    [capsicum]\nmode = \"enforce\"\npreopen = true\n";

const PREPARE: &str = "cd /; rm -rf /tmp/link-away /tmp/link-up /tmp/own /tmp/stolen
    rm -rf /var/jrtest-secret /var/jrtest-granted /var/spool/jrtest-sweep
    for d in /var/jrtest-secret /var/jrtest-granted; do
        mkdir -m 755 $d; echo secret >$d/file; cp /usr/bin/true $d/program; chmod 777 $d/*; chown nobody $d/*
    done
    chown nobody /var/jrtest-secret
    install -d -o nobody -m 750 /var/spool/jrtest-sweep";

/// All that there is to know about them but when they were read.
fn state() -> String {
    sh(
        "for d in /var/jrtest-secret /var/jrtest-granted; do cd $d; stat -f '%N %p %u %g %z %m %c %f %l' . *; \
        cat file; done; ls -d /jrtest-new /var/jrtest-new /etc/jrtest-new /var/spool/jrtest-new 2>&1",
    )
}

/// What is said of a kind of path: how often each errno came.
fn errnos<'a>(told: &'a [String], kind: &str) -> BTreeSet<&'a str> {
    let lines = told.iter().filter_map(|line| line.strip_prefix(kind));
    let names: BTreeSet<&str> = lines
        .filter_map(|line| line.strip_prefix(" came to ")?.split(' ').next())
        .collect();
    assert!(!names.is_empty(), "{told:?}");
    names
}

fn reached(told: &[String]) -> BTreeSet<&str> {
    told.iter()
        .filter_map(|line| line.strip_prefix("reached "))
        .collect()
}

#[test]
fn no_system_call_from_any_descriptor_reaches_what_is_not_granted() {
    if !has_shim("no_system_call_from_any_descriptor") {
        return;
    }
    assert_eq!(sh(PREPARE), "");
    let before = state();
    let fixture = Fixture::new("sweep", "sweep", ENFORCED);
    let told = fixture.told();
    println!("{}", told.join("\n"));
    assert_eq!(reached(&told), BTreeSet::new());
    assert_eq!(state(), before);
    assert_eq!(errnos(&told, "named"), BTreeSet::from(["ECAPMODE"]));
    let refused = BTreeSet::from(["EBADF", "ECAPMODE", "ENOENT", "ENOTCAPABLE", "ENOTDIR"]);
    let secret = errnos(&told, "secret");
    assert!(secret.is_subset(&refused), "{secret:?}");
    // What is granted to be read is found, and not changed, by "..", too (see lookups() in the probe).
    let changed = errnos(&told, "granted");
    let as_bare = ["EACCES", "EADDRINUSE", "EEXIST", "EPERM", "EROFS", "EXDEV"];
    let refused = &refused | &BTreeSet::from(as_bare);
    assert!(changed.is_subset(&refused), "{changed:?}");
    fixture.nothing_is_left();
    sh("rm -rf /tmp/link-away /tmp/link-up /tmp/own /tmp/stolen");
    sh(&format!("rm -r {SECRET} {GRANTED} {SPOOL}"));
}

/// So that none of the attempts is one that nobody could succeed with.
#[test]
fn outside_the_same_calls_reach_it_all() {
    let fixture = Fixture::new("sweep", "sweep", "[capsicum]\nmode = \"off\"\n");
    assert_eq!(sh(PREPARE), "");
    let outside =
        "PROBE=sweep LAST=9 JAILRUN_DIRS=\"$(printf '7=/\\n8=/tmp\\n9=/var/spool/jrtest-sweep')\"";
    let said = sh(&format!(
        "cd /; {outside} su -m nobody -c '{PROBE} --exact probe::probe --nocapture' 7</ 8</tmp 9<{SPOOL}"
    ));
    let lines = said.lines().filter_map(|line| line.split_once("> "));
    let told: Vec<String> = lines.map(|(_, line)| line.to_string()).collect();
    println!("{said}");
    let reached: BTreeSet<&str> = reached(&told)
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for name in
        "openat fstatat faccessat __realpathat readlinkat fchmodat fchownat futimesat utimensat \
        chflagsat linkat unlinkat mkdirat mkfifoat funlinkat symlinkat bindat renameat"
            .split_whitespace()
    {
        assert!(reached.contains(name), "{name}: {reached:?}");
    }
    fixture.nothing_is_left();
    sh("rm -rf /tmp/link-away /tmp/link-up /tmp/own /tmp/stolen");
    sh(&format!("rm -r {SECRET} {GRANTED} {SPOOL}"));
}

/// Takes a path first, or two, and no descriptor (sys/kern/syscalls.master): none has a meaning in
/// capability mode.
const NAMED: &[i64] = &[
    5, 9, 10, 12, 15, 16, 21, 22, 33, 34, 45, 51, 56, 57, 58, 59, 61, 85, 128, 132, 136, 137, 138,
    148, 160, 161, 191, 205, 254, 274, 276, 303, 304, 306, 347, 348, 351, 353, 355, 356, 357, 358,
    376, 387, 391, 410, 412, 413, 414, 415, 425, 426, 427, 428, 438, 439, 453, 479, 483, 513, 555,
    565, 572,
];

type Attempt = (&'static str, i64, Vec<i64>);

const O_EXEC: i64 = 0x4_0000;
const O_PATH: i64 = 0x40_0000;
const O_BENEATH: i64 = 0x80_0000;
const AT_NOFOLLOW: i64 = 0x200;
const AT_BENEATH: i64 = 0x2000;

/// What a call may write to, and an address of a socket.
struct Scratch {
    room: [u8; 1024],
    socket: i64,
    watch: i64,
    address: Vec<u8>,
}

impl Scratch {
    fn new(path: &CStr) -> Scratch {
        let path = path.to_bytes();
        let address = [&[path.len() as u8 + 3, 1], path, &[0]].concat();
        Scratch {
            room: [0; 1024],
            socket: call(raw::SOCKET, &[1, 1, 0]).unwrap(),
            watch: call(592, &[0]).unwrap_or(-1),
            address,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for fd in [self.socket, self.watch] {
            let _ = call(6, &[fd]);
        }
    }
}

/// Calls that find a file.
fn looking(fd: i64, path: &CStr, scratch: &mut Scratch) -> Vec<Attempt> {
    let (path, room) = (text(path), scratch.room.as_mut_ptr() as i64);
    let (address, length) = (
        scratch.address.as_ptr() as i64,
        scratch.address.len() as i64,
    );
    let mut all = Vec::new();
    for flags in [0, O_EXEC, O_PATH, O_BENEATH, O_PATH | O_BENEATH, 0x2_0000] {
        all.push(("openat", raw::OPENAT, vec![fd, path, flags, 0]));
    }
    for flags in [0, AT_NOFOLLOW, AT_BENEATH] {
        all.push(("fstatat", raw::FSTATAT, vec![fd, path, room, flags]));
    }
    all.extend([
        ("faccessat", raw::FACCESSAT, vec![fd, path, 0, 0]),
        ("faccessat", raw::FACCESSAT, vec![fd, path, 4, 0x100]),
        ("readlinkat", raw::READLINKAT, vec![fd, path, room, 512]),
        (
            "__realpathat",
            raw::REALPATHAT,
            vec![fd, path, room, 1024, 0],
        ),
        ("getfhat", 564, vec![fd, path, room, 0]),
        (
            "connectat",
            raw::CONNECTAT,
            vec![fd, scratch.socket, address, length],
        ),
        (
            "inotify_add_watch_at",
            593,
            vec![scratch.watch, fd, path, 0xfff],
        ),
    ]);
    all
}

/// Calls that change one, make one, or give one a name where the service may write (`tree`, in which `own`
/// is its file).
fn changing(fd: i64, path: &CStr, tree: i64, scratch: &Scratch) -> Vec<Attempt> {
    let path = text(path);
    let (own, stolen) = (text(c"own"), text(c"stolen"));
    let (address, length) = (
        scratch.address.as_ptr() as i64,
        scratch.address.len() as i64,
    );
    let mut all = Vec::new();
    for flags in [1, 2, 0x201, 0xa01, 0x401, 0x601, O_BENEATH | 1] {
        all.push(("openat", raw::OPENAT, vec![fd, path, flags, 0o644]));
    }
    all.extend([
        ("fchmodat", raw::FCHMODAT, vec![fd, path, 0o644, 0]),
        (
            "fchmodat",
            raw::FCHMODAT,
            vec![fd, path, 0o755, AT_NOFOLLOW],
        ),
        ("fchownat", 491, vec![fd, path, 65534, -1, 0]),
        ("futimesat", 494, vec![fd, path, 0]),
        ("utimensat", 547, vec![fd, path, 0, 0]),
        ("chflagsat", 540, vec![fd, path, 0, 0]),
        ("linkat", raw::LINKAT, vec![fd, path, tree, stolen, 0]),
        ("unlinkat", raw::UNLINKAT, vec![fd, path, 0]),
        ("mkdirat", raw::MKDIRAT, vec![fd, path, 0o755]),
        ("unlinkat", raw::UNLINKAT, vec![fd, path, 0x800]),
        ("mkfifoat", 497, vec![fd, path, 0o644]),
        ("funlinkat", 568, vec![fd, path, raw::AT_FDCWD - 100, 0]),
        ("symlinkat", raw::SYMLINKAT, vec![own, fd, path]),
        ("unlinkat", raw::UNLINKAT, vec![fd, path, 0]),
        (
            "bindat",
            raw::BINDAT,
            vec![fd, scratch.socket, address, length],
        ),
        ("unlinkat", raw::UNLINKAT, vec![fd, path, 0]),
        ("linkat", raw::LINKAT, vec![tree, own, fd, path, 0]),
        ("renameat", raw::RENAMEAT, vec![tree, own, fd, path]),
        ("renameat2", 602, vec![tree, own, fd, path, 0]),
        ("renameat", raw::RENAMEAT, vec![fd, path, tree, stolen]),
        ("renameat2", 602, vec![fd, path, tree, stolen, 0]),
    ]);
    all
}

/// Makes the attempts, and counts what they came to.
#[derive(Default)]
struct Tally(BTreeMap<(&'static str, String), usize>);

impl Tally {
    fn make(&mut self, kind: &'static str, path: &CStr, attempts: Vec<Attempt>) {
        for (name, number, words) in attempts {
            let result = call(number, &words);
            match result {
                Ok(value) => {
                    println!("> reached {name} {words:?} {path:?}");
                    if name == "openat" {
                        let _ = call(6, &[value]);
                    }
                }
                Err(_) => *self.0.entry((kind, word(result))).or_default() += 1,
            }
        }
    }
}

fn paths(below: &str, name: &str) -> Vec<CString> {
    let full = format!("{below}/{name}");
    let last = below.rsplit('/').next().unwrap();
    [
        full.clone(),
        full[1..].to_string(),
        format!("..{full}"),
        format!("../../../../../../../..{full}"),
        format!(".//..{full}"),
        format!("../{last}/{name}"),
        format!("../../{last}/{name}"),
        format!("/dev/..{full}"),
    ]
    .into_iter()
    .map(|path| CString::new(path).unwrap())
    .collect()
}

/// Runs inside: from each descriptor to 1024, and from the directory that it is in.
pub fn probe() {
    // SAFETY: the signal for system calls that this kernel doesn't have; they are ENOSYS then.
    unsafe { libc::signal(libc::SIGSYS, libc::SIG_IGN) };
    let (tmp, spool) = (
        crate::probe::directory("/tmp"),
        crate::probe::directory(SPOOL),
    );
    let mut tally = Tally::default();
    let secret = CString::new(format!("{SECRET}/file")).unwrap();
    for number in NAMED {
        let words = vec![text(&secret), text(&secret), 0, 0];
        tally.make("named", &secret, vec![("named", *number, words)]);
    }
    let links = [c"link-away", c"link-up"];
    for tree in [tmp, spool] {
        for (link, to) in links.iter().zip([&*secret, c"../../jrtest-secret/file"]) {
            let made = call(raw::SYMLINKAT, &[text(to), tree, text(link)]);
            assert_eq!(word(made), "ok");
        }
    }
    let own = || raw::openat(tmp, c"own", 0x201).map(|fd| call(6, &[fd]));
    let last = std::env::var("LAST").map_or(1024, |last| last.parse().unwrap());
    for fd in (-1..=last).chain([raw::AT_FDCWD]) {
        let _ = own();
        for path in links {
            let mut scratch = Scratch::new(path);
            let follow = |attempt: &Attempt| {
                let is_link = ["readlinkat", "inotify_add_watch_at"].contains(&attempt.0);
                !is_link && !(attempt.2.contains(&AT_NOFOLLOW))
            };
            let attempts = looking(fd, path, &mut scratch);
            tally.make(
                "secret",
                path,
                attempts.into_iter().filter(follow).collect(),
            );
        }
        // A number that isn't in use is refused as such, whatever is asked of it.
        let is_open = call(raw::FCNTL, &[fd, 1]).is_ok() || fd == raw::AT_FDCWD;
        let names = if is_open {
            &["file", "program", "new", "."][..]
        } else {
            &["file"]
        };
        for path in names.iter().flat_map(|name| paths(SECRET, name)) {
            let mut scratch = Scratch::new(&path);
            tally.make("secret", &path, looking(fd, &path, &mut scratch));
            tally.make("secret", &path, changing(fd, &path, tmp, &scratch));
        }
        if !is_open {
            continue;
        }
        for path in paths(GRANTED, "file").iter().chain(&paths(GRANTED, "new")) {
            let scratch = Scratch::new(path);
            tally.make("granted", path, changing(fd, path, tmp, &scratch));
        }
    }
    for ((kind, errno), number) in tally.0 {
        println!("> {kind} came to {errno} {number} times");
    }
}
