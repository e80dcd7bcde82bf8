//! The program that is run with the library and without: this executable itself, told by SUBJECT what to
//! do. It prints what each call gave, so that two runs can be compared. Everything happens before main,
//! in a constructor, where the library has to work too.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::LazyLock;

use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    let place = std::env::var("SUBJECT_PLACE").unwrap_or_default();
    match std::env::var("SUBJECT").as_deref() {
        Ok("files") => files(&place, ""),
        Ok("threads") => threads(&place),
        Ok("forked") => forked(&place),
        Ok("programs") => programs(&place),
        Ok("names") => names(),
        Ok("sockets") => sockets(&place),
        Ok("signals") => signals(&place),
        Ok("closing") => closing(&place),
        Ok("refused") => refused(&place),
        Ok("routes") => routes(&place),
        Ok("children") => children(),
        Ok("serve") => serve(),
        Ok("syslog") => unsafe {
            libc::openlog(c"subject".as_ptr(), libc::LOG_PID, libc::LOG_DAEMON);
            libc::syslog(
                libc::LOG_NOTICE,
                c"a line of %s".as_ptr(),
                c"the subject".as_ptr(),
            );
        },
        Ok("fuzz") => super::fuzz::run(),
        Ok(law) if super::laws::act(law) => {}
        _ => return,
    }
    // What std prints through isn't flushed by _exit, and lines are.
    unsafe { libc::_exit(0) };
}

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

pub fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// One line: what was called, what it gave, and errno where that was an error.
pub fn say(call: &str, result: impl Into<i64>) -> i64 {
    let errno = errno();
    let result = result.into();
    if result < 0 {
        println!("{call}: error {errno}");
    } else {
        println!("{call}: {result}");
    }
    result
}

/// A line of a call that gives a descriptor. Beside threads its number is decided by theirs.
fn say_opened(call: &str, fd: c_int) -> c_int {
    static IS_BESIDE_THREADS: LazyLock<bool> =
        LazyLock::new(|| std::env::var("SUBJECT").as_deref() == Ok("threads"));
    let errno = errno();
    if fd >= 0 && *IS_BESIDE_THREADS {
        println!("{call}: open");
        return fd;
    }
    super::fuzz::set_errno(errno);
    say(call, fd);
    fd
}

pub fn tell(call: &str, what: impl std::fmt::Display) {
    println!("{call}: {what}");
}

fn text(string: *const c_char) -> String {
    if string.is_null() {
        return format!("null, errno {}", errno());
    }
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}

unsafe extern "C" {
    fn lchmod(path: *const c_char, mode: libc::mode_t) -> c_int;
    fn chflags(path: *const c_char, flags: u64) -> c_int;
    fn eaccess(path: *const c_char, mode: c_int) -> c_int;
    fn lpathconf(path: *const c_char, name: c_int) -> i64;
    fn closefrom(low: c_int);
    fn remove(path: *const c_char) -> c_int;
    fn posix_spawn_file_actions_addchdir_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        path: *const c_char,
    ) -> c_int;
    static environ: *const *mut c_char;
}

fn stat_line(call: &str, status: c_int, stat: &libc::stat) {
    if say(call, status) == 0 {
        let size = if stat.st_mode & libc::S_IFMT == libc::S_IFREG {
            stat.st_size
        } else {
            0
        };
        println!(
            "  mode {:o} size {size} links {}",
            stat.st_mode, stat.st_nlink
        );
    }
}

fn stat_of(path: &str) {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let name = c(path);
    let result = unsafe { libc::stat(name.as_ptr(), &raw mut stat) };
    stat_line(&format!("stat {path}"), result, &stat);
    let result = unsafe { libc::lstat(name.as_ptr(), &raw mut stat) };
    stat_line(&format!("lstat {path}"), result, &stat);
    let result = unsafe { libc::fstatat(libc::AT_FDCWD, name.as_ptr(), &raw mut stat, 0) };
    stat_line(&format!("fstatat {path}"), result, &stat);
}

fn make(path: &str, contents: &str) {
    let fd = say_opened(&format!("open {path}"), unsafe {
        libc::open(c(path).as_ptr(), O_WRONLY | O_CREAT | O_TRUNC, 0o640)
    });
    if fd >= 0 {
        say(
            "write",
            unsafe { libc::write(fd, contents.as_ptr().cast(), contents.len()) } as i64,
        );
        say("close", unsafe { libc::close(fd) });
    }
}

fn opened(path: &str, flags: c_int) {
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

fn listing(path: &str) {
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
fn files(place: &str, sub: &str) {
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

fn where_am_i() {
    let mut place = [0 as c_char; 1024];
    let found = unsafe { libc::getcwd(place.as_mut_ptr(), 1024) };
    tell("getcwd", text(found));
}

fn working_directory(place: &str) {
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

fn below_descriptors(place: &str) {
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

/// The same in four threads at once. What they print is told apart by their directories.
fn threads(place: &str) {
    let subs = ["/t0", "/t1", "/t2", "/t3"];
    for sub in subs {
        unsafe { libc::mkdir(c(&format!("{place}{sub}")).as_ptr(), 0o755) };
    }
    let run = |sub: &'static str| {
        let place = place.to_string();
        // By a process each for what is printed, with threads beside it that call the same.
        let noise = std::thread::Builder::new().spawn(move || {
            let mut seen = 0;
            for _ in 0..60 {
                let path = c(&format!("{place}{sub}/../t1/../../../../../etc/passwd"));
                let mut stat: libc::stat = unsafe { std::mem::zeroed() };
                seen += i32::from(unsafe { libc::stat(path.as_ptr(), &raw mut stat) } == 0);
                let fd = unsafe { libc::open(path.as_ptr(), O_RDONLY) };
                seen += i32::from(unsafe { libc::close(fd) } == 0);
                let made = c(&format!("{place}{sub}/made"));
                seen += i32::from(unsafe { libc::mkdir(made.as_ptr(), 0o700) } == 0);
                seen += i32::from(unsafe { libc::rmdir(made.as_ptr()) } == 0);
            }
            seen
        });
        noise.unwrap()
    };
    let running: Vec<_> = subs[1..].iter().map(|sub| run(sub)).collect();
    files(place, "/t0");
    for thread in running {
        tell("a thread", thread.join().unwrap());
    }
}

fn child_ended(call: &str, child: c_int) {
    let mut status = 0;
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    tell(call, format!("{} status {status}", waited == child));
}

fn forked(place: &str) {
    say("chdir", unsafe { libc::chdir(c(place).as_ptr()) });
    for level in 0..6 {
        let child = unsafe { libc::fork() };
        if child == 0 {
            let sub = format!("f{level}");
            unsafe { libc::mkdir(c(&sub).as_ptr(), 0o755) };
            say("chdir", unsafe { libc::chdir(c(&sub).as_ptr()) });
            where_am_i();
            let grandchild = unsafe { libc::fork() };
            if grandchild == 0 {
                where_am_i();
                say("chdir", unsafe { libc::chdir(c"..".as_ptr()) });
                where_am_i();
                unsafe { libc::_exit(0) };
            }
            child_ended("grandchild", grandchild);
            where_am_i();
            unsafe { libc::_exit(0) };
        }
        child_ended("child", child);
        where_am_i();
    }
    let child = unsafe { libc::fork() };
    if child == 0 {
        files(place, "/f0");
        unsafe { libc::_exit(0) };
    }
    child_ended("child", child);
}

fn script(path: &str, contents: &str, mode: libc::mode_t) {
    make(path, contents);
    say("chmod", unsafe { libc::chmod(c(path).as_ptr(), mode) });
}

fn execute(path: &str, words: &[&str], environment: &[&str]) {
    let words: Vec<CString> = words.iter().map(|word| c(word)).collect();
    let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(null());
    let variables: Vec<CString> = environment.iter().map(|word| c(word)).collect();
    let mut envp: Vec<*const c_char> = variables.iter().map(|word| word.as_ptr()).collect();
    envp.push(null());
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::execve(c(path).as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        say(&format!("execve {path}"), -1);
        unsafe { libc::_exit(99) };
    }
    child_ended(&format!("execve {path}"), child);
}

/// Also with an environment of its own, and with more arguments than are usual.
fn programs(place: &str) {
    say("chdir", unsafe { libc::chdir(c(place).as_ptr()) });
    let p = |name: &str| format!("{place}/{name}");
    script(
        &p("script"),
        "#!/bin/sh -e\necho \"$0|$*|$-|$X\" | sed 's/h/e/g; s/.*script/script/'\nls -d /etc\n",
        0o755,
    );
    script(&p("plain"), "echo plain \"$@\"\n", 0o755);
    script(&p("forbidden"), "#!/bin/sh\n", 0o644);
    script(&p("empty"), "", 0o755);
    script(&p("nested"), &format!("#!{}\n", p("script")), 0o755);
    script(&p("nowhere"), "#!/no/interpreter\n", 0o755);
    script(&p("env"), "#!/usr/bin/env sh\necho env \"$1\"\n", 0o755);
    execute("/bin/echo", &["echo", "a", "", "b c"], &[]);
    execute(
        "/bin/sh",
        &["-sh", "-c", "echo $0 $X; cat /etc/group | wc -l; pwd"],
        &["X=1"],
    );
    execute(
        "/usr/bin/env",
        &["env", "-i", "/bin/ls", "-d", "/usr"],
        &["X=1"],
    );
    execute("/rescue/echo", &["echo", "static"], &["X=2"]);
    for name in [
        "script",
        "plain",
        "forbidden",
        "empty",
        "nested",
        "nowhere",
        "none",
        "env",
    ] {
        execute(
            &p(name),
            &["zero", "one", "two"],
            &["X=hh", "PATH=/bin:/usr/bin"],
        );
    }
    execute("script", &["zero", "one"], &["PATH=/bin:/usr/bin"]);
    execute("/etc", &["etc"], &[]);
    execute("/etc/passwd/x", &["x"], &[]);
    let many: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    let mut words = vec!["sh", "-c", "echo $#"];
    words.extend(many.iter().map(String::as_str));
    execute("/bin/sh", &words, &[]);
    let variables: Vec<String> = (0..700).map(|number| format!("V{number}=x")).collect();
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    execute(
        "/bin/sh",
        &["sh", "-c", "echo $V0 $V699; cd /usr; ls -d lib"],
        &variables,
    );
    say("system", unsafe {
        libc::system(c"cd / && ls -d etc; exit 3".as_ptr())
    });
    let stream = unsafe { libc::popen(c"echo popen; exit 4".as_ptr(), c"r".as_ptr()) };
    let mut line = [0_u8; 20];
    tell(
        "popen",
        text(unsafe { libc::fgets(line.as_mut_ptr().cast(), 20, stream) }),
    );
    say("pclose", unsafe { libc::pclose(stream) });
    let _ = unsafe { libc::fflush(null_mut()) };
    spawns(place);
    waiting();
}

fn spawns(place: &str) {
    let argv = [
        c"sh".as_ptr(),
        c"-c".as_ptr(),
        c"pwd; exit 7".as_ptr(),
        null(),
    ];
    let mut actions: libc::posix_spawn_file_actions_t = null_mut();
    unsafe { libc::posix_spawn_file_actions_init(&raw mut actions) };
    say("addchdir", unsafe {
        posix_spawn_file_actions_addchdir_np(&raw mut actions, c"/usr/share".as_ptr())
    });
    let output = c(&format!("{place}/spawned"));
    let flags = O_WRONLY | O_CREAT;
    say("addopen", unsafe {
        libc::posix_spawn_file_actions_addopen(&raw mut actions, 7, output.as_ptr(), flags, 0o600)
    });
    for (path, with) in [
        ("/bin/sh", true),
        ("/bin/sh", false),
        ("sh", false),
        ("none", false),
        ("/none", true),
    ] {
        let mut child = 0;
        let actions = if with { &raw const actions } else { null() };
        let arguments = argv.as_ptr().cast::<*mut c_char>();
        let result = unsafe {
            libc::posix_spawnp(
                &raw mut child,
                c(path).as_ptr(),
                actions,
                null(),
                arguments,
                environ,
            )
        };
        say(&format!("posix_spawnp {path}"), result);
        if result == 0 {
            child_ended("spawned", child);
        }
        // The child's directory is its own.
        where_am_i();
    }
    stat_of(&format!("{place}/spawned"));
}

fn waiting() {
    let start = |status: c_int| {
        let child = unsafe { libc::fork() };
        if child == 0 {
            match status {
                0..100 => unsafe { libc::_exit(status) },
                _ => unsafe { libc::abort() },
            }
        }
        child
    };
    for status in [0, 5, 100] {
        let child = start(status);
        for (kind, id) in [(libc::P_PID, child as u32), (libc::P_ALL, 0)] {
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let options = libc::WEXITED;
            say("waitid", unsafe {
                libc::waitid(kind, id.into(), &raw mut info, options)
            });
            let is_dumped = info.si_code == libc::CLD_DUMPED;
            let code = if is_dumped {
                libc::CLD_KILLED
            } else {
                info.si_code
            };
            tell(
                "  info",
                format!(
                    "{} {code} {} {}",
                    info.si_signo,
                    info.si_status,
                    info.si_pid == child
                ),
            );
        }
    }
    let child = start(1);
    let mut status = 0;
    let waited = unsafe { libc::wait(&raw mut status) };
    tell("wait", format!("{} {status}", waited == child));
    say("wait", unsafe { libc::wait(&raw mut status) });
    say("waitpid", unsafe {
        libc::waitpid(-1, &raw mut status, libc::WNOHANG)
    });
}

fn names() {
    unsafe {
        for name in [c"root", c"nobody", c"no such user"] {
            let entry = libc::getpwnam(name.as_ptr());
            tell(
                "getpwnam",
                if entry.is_null() {
                    "null".into()
                } else {
                    text((*entry).pw_dir)
                },
            );
        }
        let entry = libc::getpwuid(0);
        tell(
            "getpwuid",
            if entry.is_null() {
                "null".into()
            } else {
                text((*entry).pw_name)
            },
        );
        let entry = libc::getgrnam(c"wheel".as_ptr());
        tell(
            "getgrnam",
            if entry.is_null() {
                -1
            } else {
                (*entry).gr_gid.cast_signed()
            },
        );
        let entry = libc::getservbyname(c"https".as_ptr(), c"tcp".as_ptr());
        tell(
            "getservbyname",
            if entry.is_null() { -1 } else { (*entry).s_port },
        );
        for host in [c"localhost", c"127.0.0.1", c"::1"] {
            let mut found: *mut libc::addrinfo = null_mut();
            let mut hints: libc::addrinfo = std::mem::zeroed();
            hints.ai_socktype = libc::SOCK_STREAM;
            let result = libc::getaddrinfo(
                host.as_ptr(),
                c"80".as_ptr(),
                &raw const hints,
                &raw mut found,
            );
            tell("getaddrinfo", format!("{result} {}", !found.is_null()));
        }
        for name in [c"kern.ostype", c"no.such.variable"] {
            let (mut value, mut length) = ([0_u8; 64], 64);
            let into = value.as_mut_ptr().cast::<c_void>();
            say(
                "sysctlbyname",
                libc::sysctlbyname(name.as_ptr(), into, &raw mut length, null(), 0),
            );
            tell(
                "  value",
                String::from_utf8_lossy(&value).trim_end_matches('\0'),
            );
        }
        let time = 86400 * 200;
        let mut broken: libc::tm = std::mem::zeroed();
        libc::setenv(c"TZ".as_ptr(), c"Europe/Berlin".as_ptr(), 1);
        libc::localtime_r(&raw const time, &raw mut broken);
        tell(
            "localtime",
            format!("{} {}", broken.tm_hour, text(broken.tm_zone)),
        );
        for library in [c"/lib/libm.so.5", c"libz.so.6", c"/lib/none.so", c"none.so"] {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
            tell("dlopen", format!("{library:?} {}", handle.is_null()));
            if handle.is_null() {
                tell("  dlerror", !libc::dlerror().is_null());
            } else {
                let symbol = if library == c"libz.so.6" {
                    c"zlibVersion"
                } else {
                    c"cos"
                };
                tell("  dlsym", libc::dlsym(handle, symbol.as_ptr()).is_null());
            }
        }
        say("setpgid", libc::setpgid(0, 0));
    }
    semaphores();
}

/// By the names that programs of this system are linked to: a linker that takes another system's symbols
/// may choose an older sem_wait(3), which knows another semaphore than sem_open(3) makes.
fn semaphores() {
    type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> *mut c_void;
    type OfName = unsafe extern "C" fn(*const c_char) -> c_int;
    type Of = unsafe extern "C" fn(*mut c_void) -> c_int;
    let found = |name: &CStr| {
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        found
    };
    unsafe {
        let open: Open = std::mem::transmute(found(c"sem_open"));
        let unlink: OfName = std::mem::transmute(found(c"sem_unlink"));
        let wait: Of = std::mem::transmute(found(c"sem_wait"));
        let name = c"/jailrun-subject";
        unlink(name.as_ptr());
        let semaphore = open(name.as_ptr(), O_CREAT, 0o600, 1);
        tell("sem_open", semaphore.is_null());
        say("sem_wait", wait(semaphore));
        say("sem_unlink", unlink(name.as_ptr()));
    }
}

fn unix_address(path: &str) -> (libc::sockaddr_un, u32) {
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u8;
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from.cast_signed();
    }
    (address, (2 + path.len()) as u32)
}

fn sockets(place: &str) {
    say("chdir", unsafe { libc::chdir(c(place).as_ptr()) });
    for (name, path) in [
        ("absolute", format!("{place}/s1")),
        ("relative", "s2".to_string()),
        ("none", "none/s".into()),
    ] {
        let (address, length) = unix_address(&path);
        let address = (&raw const address).cast::<libc::sockaddr>();
        let server = say("socket", unsafe {
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
        }) as c_int;
        let client = say("socket", unsafe {
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
        }) as c_int;
        say(&format!("connect {name}"), unsafe {
            libc::connect(client, address, length)
        });
        say(&format!("bind {name}"), unsafe {
            libc::bind(server, address, length)
        });
        say("bind twice", unsafe {
            let other = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            let result = libc::bind(other, address, length);
            let errno = errno();
            libc::close(other);
            if result < 0 { -i64::from(errno) } else { 0 }
        });
        say("connect", unsafe { libc::connect(client, address, length) });
        say("listen", unsafe { libc::listen(server, 5) });
        say("connect", unsafe { libc::connect(client, address, length) });
        let accepted = say("accept", unsafe {
            libc::fcntl(server, libc::F_SETFL, libc::O_NONBLOCK);
            libc::accept(server, null_mut(), null_mut())
        }) as c_int;
        say(
            "send",
            unsafe { libc::send(client, b"hello".as_ptr().cast(), 5, 0) } as i64,
        );
        let mut got = [0_u8; 8];
        say(
            "recv",
            unsafe { libc::recv(accepted, got.as_mut_ptr().cast(), 8, 0) } as i64,
        );
        stat_of(&path);
        for fd in [server, client, accepted] {
            unsafe { libc::close(fd) };
        }
        say("unlink", unsafe { libc::unlink(c(&path).as_ptr()) });
    }
}

/// A handler that opens and looks, ten times a millisecond at most, while the same happens outside it.
fn signals(place: &str) {
    static mut PLACE: [u8; 200] = [0; 200];
    static mut WRONG: i32 = 0;
    extern "C" fn look(_: c_int) {
        let before = errno();
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            let path = (&raw const PLACE).cast::<c_char>();
            WRONG += i32::from(libc::stat(path, &raw mut stat) != 0);
            let fd = libc::open(path, O_RDONLY | O_DIRECTORY);
            WRONG += i32::from(fd < 0 || libc::close(fd) != 0);
            WRONG += i32::from(libc::stat(c"link/../d".as_ptr(), &raw mut stat) != 0);
            *libc::__error() = before;
        }
    }
    unsafe {
        for (to, from) in (&raw mut PLACE)
            .as_mut()
            .unwrap()
            .iter_mut()
            .zip(place.bytes())
        {
            *to = from;
        }
        libc::chdir(c(place).as_ptr());
        libc::mkdir(c"d".as_ptr(), 0o700);
        libc::symlink(c(&format!("{place}/d")).as_ptr(), c"link".as_ptr());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = look as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGALRM, &raw const action, null_mut());
        let period = libc::timeval {
            tv_sec: 0,
            tv_usec: 700,
        };
        let timer = libc::itimerval {
            it_interval: period,
            it_value: period,
        };
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, null_mut());
        let mut wrong = 0;
        for _ in 0..3000 {
            let mut stat: libc::stat = std::mem::zeroed();
            wrong += i32::from(libc::chdir(c"link".as_ptr()) != 0);
            wrong += i32::from(libc::chdir(c"..".as_ptr()) != 0);
            wrong += i32::from(libc::stat(c"link/..".as_ptr(), &raw mut stat) != 0);
            wrong += i32::from(
                libc::stat(c"none".as_ptr(), &raw mut stat) == 0 || errno() != libc::ENOENT,
            );
        }
        let off: libc::itimerval = std::mem::zeroed();
        libc::setitimer(libc::ITIMER_REAL, &raw const off, null_mut());
        // In the handler "link/../d" is looked up from `d` too, where it isn't.
        tell("wrong", wrong);
        where_am_i();
    }
}

/// What a daemon does to descriptors that it doesn't know.
fn closing(place: &str) {
    let look = || stat_of(place);
    look();
    for fd in 3..2000 {
        unsafe { libc::close(fd) };
    }
    look();
    unsafe { closefrom(3) };
    look();
    say("close_range", unsafe { libc::close_range(3, u32::MAX, 0) });
    look();
    replacing_all();
    look();
    for fd in 3..2000 {
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    say("system", unsafe { libc::system(c"ls -d /etc".as_ptr()) });
    say("close", unsafe { libc::close(3) });
    let fd = say("open", unsafe { libc::open(c(place).as_ptr(), O_RDONLY) }) as c_int;
    say("dup2", unsafe { libc::dup2(fd, 50) });
    say("close", unsafe { libc::close(50) });
    say("close", unsafe { libc::close(50) });
    say("fcntl", unsafe { libc::fcntl(fd, libc::F_DUPFD, 10) });
    say("close_range", unsafe { libc::close_range(9, 3, 0) });
}

/// By every call that takes the number of what is replaced.
fn replacing_all() {
    const F_DUP3FD: c_int = 24;
    const CLOSE_ON_EXEC: c_int = 1 << 16;
    for fd in 3..1000 {
        unsafe { libc::dup2(1, fd) };
        for command in [
            libc::F_DUP2FD,
            libc::F_DUP2FD_CLOEXEC,
            F_DUP3FD,
            F_DUP3FD | CLOSE_ON_EXEC,
        ] {
            unsafe { libc::fcntl(1, command, fd) };
        }
        unsafe { libc::close(fd) };
    }
}

/// Writing where reading alone is granted.
fn refused(place: &str) {
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
fn routes(secret: &str) {
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

fn children() {
    unsafe {
        let sleeper = libc::fork();
        if sleeper == 0 {
            libc::sleep(60);
            libc::_exit(0);
        }
        let short = libc::fork();
        if short == 0 {
            libc::_exit(6);
        }
        let mut status = 0;
        tell("wait", libc::wait(&raw mut status) == short);
        tell("  status", status);
        say(
            "wait, no more",
            libc::waitpid(-1, &raw mut status, libc::WNOHANG),
        );
        say("kill", libc::kill(sleeper, 0));
        say("kill", libc::kill(sleeper, libc::SIGTERM));
        tell(
            "waitpid",
            libc::waitpid(sleeper, &raw mut status, 0) == sleeper,
        );
        tell("  status", status);
        say("waitpid", libc::waitpid(sleeper, &raw mut status, 0));
        say("system", libc::system(c"exit 2".as_ptr()));
    }
}

/// A server as they are written: it closes what it doesn't know, binds, and answers twice.
fn serve() {
    let address: std::net::SocketAddrV4 =
        std::env::var("SUBJECT_ADDRESS").unwrap().parse().unwrap();
    unsafe {
        closefrom(3);
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        let mut name: libc::sockaddr_in = std::mem::zeroed();
        name.sin_family = libc::AF_INET as u8;
        name.sin_port = address.port().to_be();
        name.sin_addr.s_addr = u32::from(*address.ip()).to_be();
        libc::fcntl(socket, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(socket, libc::F_SETFL, libc::O_NONBLOCK);
        say("bind", libc::bind(socket, (&raw const name).cast(), 16));
        say("listen", libc::listen(socket, 5));
        say("flags", libc::fcntl(socket, libc::F_GETFD, 0));
        say(
            "nonblocking",
            libc::fcntl(socket, libc::F_GETFL, 0) & libc::O_NONBLOCK,
        );
        name.sin_port = (address.port() + 1).to_be();
        let other = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        say(
            "bind elsewhere",
            libc::bind(other, (&raw const name).cast(), 16),
        );
        println!("ready");
        for _ in 0..2 {
            let mut end = libc::pollfd {
                fd: socket,
                events: libc::POLLIN,
                revents: 0,
            };
            libc::poll(&raw mut end, 1, 10_000);
            let client = libc::accept(socket, null_mut(), null_mut());
            libc::write(client, b"hello\n".as_ptr().cast(), 6);
            libc::close(client);
        }
    }
}
