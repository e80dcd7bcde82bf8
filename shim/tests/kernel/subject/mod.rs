//! The program that is run with the library and without: this executable itself, told by SUBJECT what to
//! do. It prints what each call gave, so that two runs can be compared. Everything happens before main,
//! in a constructor, where the library has to work too.

mod descriptors;
mod directories;
mod files;
mod names;
mod processes;
mod programs;
mod refusals;
pub mod sockets;

use libc::{O_CREAT, O_TRUNC, O_WRONLY};
use std::ffi::{CStr, CString, c_char, c_int};
use std::sync::LazyLock;

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    let place = std::env::var("SUBJECT_PLACE").unwrap_or_default();
    match std::env::var("SUBJECT").as_deref() {
        Ok("files") => files::files(&place, ""),
        Ok("threads") => processes::threads(&place),
        Ok("forked") => processes::forked(&place),
        Ok("programs") => programs::programs(&place),
        Ok("names") => names::names(),
        Ok("sockets") => sockets::sockets(&place),
        Ok("signals") => processes::signals(&place),
        Ok("closing") => descriptors::closing(&place),
        Ok("refused") => refusals::refused(&place),
        Ok("routes") => refusals::routes(&place),
        Ok("children") => processes::children(),
        Ok("serve") => sockets::serve(),
        Ok("syslog") => unsafe {
            libc::openlog(c"subject".as_ptr(), libc::LOG_PID, libc::LOG_DAEMON);
            libc::syslog(
                libc::LOG_NOTICE,
                c"a line of %s".as_ptr(),
                c"the subject".as_ptr(),
            );
        },
        Ok("log") => sockets::to_the_log(),
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
