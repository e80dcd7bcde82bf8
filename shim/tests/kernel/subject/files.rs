//! Every function that takes a path.

use super::directories::{below_descriptors, working_directory};
use super::{c, errno, make, say, say_opened, stat_of, tell, text};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY};
use std::ffi::{c_char, c_int};
use std::ptr::{null, null_mut};

unsafe extern "C" {
    fn lchmod(path: *const c_char, mode: libc::mode_t) -> c_int;
    fn chflags(path: *const c_char, flags: u64) -> c_int;
    fn eaccess(path: *const c_char, mode: c_int) -> c_int;
    fn lpathconf(path: *const c_char, name: c_int) -> i64;
    fn remove(path: *const c_char) -> c_int;
}

pub fn opened(path: &str, flags: c_int) {
    let fd = say_opened(&format!("open {path} {flags:x}"), unsafe {
        libc::open(c(path).as_ptr(), flags, 0o600)
    });
    if fd >= 0 {
        say("close", unsafe { libc::close(fd) });
    }
}

fn link_text(path: &str) {
    let mut into = [0_u8; 1024];
    let length = say(&format!("readlink {path}"), unsafe {
        libc::readlink(c(path).as_ptr(), into.as_mut_ptr().cast(), into.len())
    } as i64);
    if length > 0 {
        tell("  text", String::from_utf8_lossy(&into[..length as usize]));
    }
}

fn resolved(path: &str) {
    let found = unsafe { libc::realpath(c(path).as_ptr(), null_mut()) };
    tell(&format!("realpath {path}"), text(found));
    unsafe { libc::free(found.cast()) };
    let mut place = [0 as c_char; 1024];
    let found = unsafe { libc::realpath(c(path).as_ptr(), place.as_mut_ptr()) };
    tell(
        "  into a buffer",
        if found.is_null() {
            "null".to_string()
        } else {
            text(found)
        },
    );
}

pub fn listing(path: &str) {
    let directory = unsafe { libc::opendir(c(path).as_ptr()) };
    if directory.is_null() {
        return tell(&format!("opendir {path}"), errno());
    }
    let mut names = Vec::new();
    loop {
        let entry = unsafe { libc::readdir(directory) };
        if entry.is_null() {
            break;
        }
        names.push(text(unsafe { (*entry).d_name.as_ptr() }));
    }
    names.sort();
    tell(&format!("opendir {path}"), names.join(" "));
    say("closedir", unsafe { libc::closedir(directory) });
}

/// Every function that takes a path, in `place`, by absolute names or, with "", from the directory.
pub fn files(place: &str, sub: &str) {
    let p = |name: &str| format!("{place}{sub}/{name}");
    // In threads names are absolute: the working directory is everybody's.
    let is_alone = sub.is_empty();
    say("mkdir", unsafe { libc::mkdir(c(&p("d")).as_ptr(), 0o755) });
    say("mkdir again", unsafe {
        libc::mkdir(c(&p("d")).as_ptr(), 0o755)
    });
    say("mkdir in nothing", unsafe {
        libc::mkdir(c(&p("none/d")).as_ptr(), 0o755)
    });
    say("mkdir with a slash", unsafe {
        libc::mkdir(c(&p("d/e/")).as_ptr(), 0o755)
    });
    make(&p("d/file"), "contents\n");
    for (name, target) in [
        ("relative", "d/file".to_string()),
        ("absolute", p("d/file")),
        ("dir", p("d")),
        ("up", "../../../../../../../../etc/passwd".to_string()),
        ("loop", "loop".to_string()),
        ("dangling", p("new")),
        ("outside", "/etc/passwd".to_string()),
    ] {
        say(&format!("symlink {name}"), unsafe {
            libc::symlink(c(&target).as_ptr(), c(&p(name)).as_ptr())
        });
    }
    for name in [
        "d",
        "d/",
        "d/.",
        "d/..",
        "d/file",
        "d/file/",
        "d/file/x",
        "relative",
        "absolute",
        "dir",
        "dir/",
        "dir/file",
        "dir/../d/file",
        "up",
        "loop",
        "dangling",
        "outside",
        "none",
        "none/x",
        "",
        "//d//.//file",
        "./d/file",
    ] {
        stat_of(&p(name));
        link_text(&p(name));
        resolved(&p(name));
        for mode in [libc::F_OK, libc::R_OK | libc::W_OK, libc::X_OK] {
            say(&format!("access {name}"), unsafe {
                libc::access(c(&p(name)).as_ptr(), mode)
            });
            say("eaccess", unsafe { eaccess(c(&p(name)).as_ptr(), mode) });
            say("faccessat", unsafe {
                libc::faccessat(libc::AT_FDCWD, c(&p(name)).as_ptr(), mode, 0)
            });
        }
        // What lies outside may be read only: how that is refused is another test's.
        let is_outside = name == "up" || name == "outside";
        let last = if is_outside { 3 } else { 5 };
        let flags = [
            O_RDONLY,
            O_RDONLY | O_NOFOLLOW,
            O_RDONLY | O_DIRECTORY,
            O_WRONLY,
            O_RDWR,
        ];
        for flags in &flags[..last] {
            opened(&p(name), *flags);
        }
        say(&format!("pathconf {name}"), unsafe {
            libc::pathconf(c(&p(name)).as_ptr(), libc::_PC_NAME_MAX)
        });
        say("lpathconf", unsafe {
            lpathconf(c(&p(name)).as_ptr(), libc::_PC_NAME_MAX)
        });
        let mut fs: libc::statfs = unsafe { std::mem::zeroed() };
        if say("statfs", unsafe {
            libc::statfs(c(&p(name)).as_ptr(), &raw mut fs)
        }) == 0
        {
            tell("  on", text(fs.f_mntonname.as_ptr()));
        }
    }
    opened(&p("excl"), O_WRONLY | O_CREAT | O_EXCL);
    opened(&p("excl"), O_WRONLY | O_CREAT | O_EXCL);
    opened(&p("dangling"), O_WRONLY | O_CREAT | O_EXCL);
    opened(&p("dangling"), O_WRONLY | O_CREAT);
    stat_of(&p("new"));
    changes(&p);
    names_of_files(&p);
    if is_alone {
        working_directory(place);
        below_descriptors(place);
    }
    for name in ["none", "d", "relative", "d/file", "excl"] {
        say(&format!("remove {name}"), unsafe {
            remove(c(&p(name)).as_ptr())
        });
    }
    listing(&p("."));
}

fn changes(p: &dyn Fn(&str) -> String) {
    let times = [libc::timeval {
        tv_sec: 1000,
        tv_usec: 5,
    }; 2];
    let spec = [libc::timespec {
        tv_sec: 2000,
        tv_nsec: 7,
    }; 2];
    for name in ["d/file", "absolute", "dir", "loop", "none", "dangling"] {
        let path = c(&p(name));
        let path = path.as_ptr();
        let no = u32::MAX;
        say(&format!("chmod {name}"), unsafe {
            libc::chmod(path, 0o751)
        });
        say("lchmod", unsafe { lchmod(path, 0o755) });
        say("fchmodat", unsafe {
            libc::fchmodat(libc::AT_FDCWD, path, 0o750, 0)
        });
        say("chown", unsafe { libc::chown(path, no, no) });
        say("lchown", unsafe { libc::lchown(path, no, no) });
        say("fchownat", unsafe {
            libc::fchownat(libc::AT_FDCWD, path, no, no, 0)
        });
        say("chflags", unsafe { chflags(path, 0) });
        say("truncate", unsafe { libc::truncate(path, 3) });
        say("utimes", unsafe { libc::utimes(path, times.as_ptr()) });
        say("lutimes", unsafe { libc::lutimes(path, times.as_ptr()) });
        say("lutimes, now", unsafe { libc::lutimes(path, null()) });
        say("utimensat", unsafe {
            libc::utimensat(libc::AT_FDCWD, path, spec.as_ptr(), 0)
        });
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        if unsafe { libc::stat(path, &raw mut stat) } == 0 {
            tell("  at", format!("{}.{}", stat.st_mtime, stat.st_mtime_nsec));
        }
        stat_of(&p(name));
    }
}

fn names_of_files(p: &dyn Fn(&str) -> String) {
    let two = |call: &str, from: &str, to: &str| {
        let (from, to) = (c(&p(from)), c(&p(to)));
        let result = match call {
            "link" => unsafe { libc::link(from.as_ptr(), to.as_ptr()) },
            _ => unsafe { libc::rename(from.as_ptr(), to.as_ptr()) },
        };
        say(&format!("{call} {from:?} {to:?}"), result);
    };
    two("link", "d/file", "hard");
    two("link", "absolute", "hard2");
    two("link", "none", "hard3");
    two("link", "d/file", "hard");
    two("link", "d", "hard4");
    two("rename", "hard", "dir/hard");
    two("rename", "d/hard", "none/x");
    two("rename", "none", "d/x");
    two("rename", "outside", "dir/outside");
    two("rename", "d", "d/e/inside");
    two("rename", "d/hard", "d");
    two("rename", "dir/../hard2", "d/../hard5");
    say("mkfifo", unsafe {
        libc::mkfifo(c(&p("fifo")).as_ptr(), 0o600)
    });
    say("mkfifo", unsafe {
        libc::mkfifo(c(&p("dir/fifo")).as_ptr(), 0o600)
    });
    stat_of(&p("fifo"));
    say("truncate a fifo", unsafe {
        libc::truncate(c(&p("fifo")).as_ptr(), 0)
    });
    let (none, one) = ([null()], [c"x".as_ptr(), null()]);
    for path in [c(&p("fifo")), c("/bin/echo")] {
        say("execute with no name", unsafe {
            libc::execve(path.as_ptr(), none.as_ptr(), none.as_ptr())
        });
    }
    let fifo = c(&p("fifo"));
    say("execute a fifo", unsafe {
        libc::execve(fifo.as_ptr(), one.as_ptr(), none.as_ptr())
    });
    for name in ["fifo", "d/fifo", "none", "d", "loop", "loop/x"] {
        say(&format!("unlink {name}"), unsafe {
            libc::unlink(c(&p(name)).as_ptr())
        });
    }
    for name in ["d/e", "none", "excl", "d", "."] {
        say(&format!("rmdir {name}"), unsafe {
            libc::rmdir(c(&p(name)).as_ptr())
        });
    }
    let mut name = c(&p("temporary.XXXXXX")).into_bytes_with_nul();
    let fd = unsafe { libc::mkstemp(name.as_mut_ptr().cast()) };
    say("mkstemp", i64::from(fd.min(0)));
    unsafe { libc::close(fd) };
    say("unlink it", unsafe { libc::unlink(name.as_ptr().cast()) });
    let mut name = c(&p("temporary.XXXXXX")).into_bytes_with_nul();
    let made = unsafe { libc::mkdtemp(name.as_mut_ptr().cast()) };
    tell("mkdtemp", made.is_null());
    say("rmdir it", unsafe { libc::rmdir(name.as_ptr().cast()) });
    let stream = unsafe { libc::fopen(c(&p("dir/file")).as_ptr(), c"r+".as_ptr()) };
    tell("fopen", stream.is_null());
    if !stream.is_null() {
        let mut line = [0_u8; 20];
        let got = unsafe { libc::fgets(line.as_mut_ptr().cast(), 20, stream) };
        tell("fgets", text(got));
        say("fclose", unsafe { libc::fclose(stream) });
    }
    let stream = unsafe { libc::fopen(c(&p("none/file")).as_ptr(), c"w".as_ptr()) };
    tell("fopen", format!("{} {}", stream.is_null(), errno()));
    globbing(&p("*"));
    listing(&p("dir"));
    listing(&p("none"));
    listing(&p("dir/file"));
}

fn globbing(pattern: &str) {
    let mut found: libc::glob_t = unsafe { std::mem::zeroed() };
    say("glob", unsafe {
        libc::glob(c(pattern).as_ptr(), libc::GLOB_MARK, None, &raw mut found)
    });
    for index in 0..found.gl_pathc {
        tell("  name", text(unsafe { *found.gl_pathv.add(index) }));
    }
    unsafe { libc::globfree(&raw mut found) };
}
