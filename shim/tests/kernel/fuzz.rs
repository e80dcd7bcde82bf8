//! Calls at random, the same ones in each run, in a directory of their own: what each gives is hashed.

use super::subject::{c, errno};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null;

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.next(words.len())]
    }
}

/// Twelve levels below what is granted, so that ".." doesn't lead out of it.
const LEVELS: usize = 12;

struct Fuzz {
    random: Random,
    place: String,
    hash: u64,
    is_told: bool,
}

impl Fuzz {
    fn path(&mut self) -> String {
        const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "a", "b", ".", "..", "", "a"];
        let mut path = match self.random.next(5) {
            0 | 1 => format!("{}/", self.place),
            2 => format!("/{}/./", self.place),
            _ => String::new(),
        };
        for index in 0..=self.random.next(4) {
            if index > 0 {
                path.push('/');
            }
            path.push_str(self.random.of(&NAMES));
        }
        if self.random.next(9) == 0 {
            path.push('/');
        }
        // An empty name first would make it another absolute one.
        if path.starts_with('/') && !path.contains("/L0") {
            path.insert(0, '.');
        }
        path
    }

    fn record(&mut self, call: &str, result: i64, extra: &str) {
        let errno = if result < 0 { errno() } else { 0 };
        let line = format!("{call} {result} {errno} {extra}");
        if self.is_told {
            println!("{line}");
        }
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn home(&self) {
        unsafe { libc::chdir(c(&self.place).as_ptr()) };
    }

    fn step(&mut self) {
        let (first, second) = (self.path(), self.path());
        let (one, two) = (c(&first), c(&second));
        let (p, q) = (one.as_ptr(), two.as_ptr());
        let call = self.random.next(26);
        let name = format!("{call} {first} {second}");
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        let mut extra = String::new();
        // A directory that is the working one may be renamed or removed: its name here stays the old.
        if matches!(call, 5..=8) {
            self.home();
        }
        let result: i64 = unsafe {
            match call {
                0 => self.with(p, libc::O_RDONLY, &mut extra),
                1 => self.with(p, libc::O_WRONLY | libc::O_CREAT, &mut extra),
                2 => self.with(p, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, &mut extra),
                3 => self.with(p, libc::O_RDONLY | libc::O_NOFOLLOW, &mut extra),
                4 => self.with(p, libc::O_RDONLY | libc::O_DIRECTORY, &mut extra),
                5 => libc::rename(p, q).into(),
                6 => libc::rmdir(p).into(),
                7 => libc::unlink(p).into(),
                8 => self.removed(&first).into(),
                9 | 10 => libc::mkdir(p, 0o755).into(),
                11 => libc::symlink(q, p).into(),
                12 => libc::symlink(c(&format!("../{second}")).as_ptr(), p).into(),
                13 => libc::link(p, q).into(),
                14 => libc::stat(p, &raw mut stat).into(),
                15 => libc::lstat(p, &raw mut stat).into(),
                16 => libc::access(p, libc::R_OK).into(),
                17 => self.link_text(p, &mut extra),
                18 => self.real(p, &mut extra),
                19 => self.directory(p, &mut extra),
                20 => libc::chmod(p, 0o700 + self.random.next(64) as libc::mode_t).into(),
                21 => libc::truncate(p, self.random.next(100) as i64).into(),
                22 => libc::utimes(p, null()).into(),
                23 => libc::mkfifo(p, 0o600).into(),
                24 => self.below(p, q, &mut extra),
                _ => self.listing(p, &mut extra),
            }
        };
        // To remove or rename what ".." names is refused: the kernel's quick lookup, which capability mode
        // never takes, says so with other words than its thorough one.
        let is_up = |path: &str| path.trim_end_matches('/').ends_with("..");
        if result < 0 && matches!(call, 5..=8) && (is_up(&first) || is_up(&second)) {
            return self.record(&name, 0, "refused");
        }
        if matches!(call, 14 | 15) && result == 0 {
            let size = if stat.st_mode & libc::S_IFMT == libc::S_IFREG {
                stat.st_size
            } else {
                0
            };
            extra = format!("{:o} {} {size}", stat.st_mode, stat.st_nlink);
        }
        self.record(&name, result, &extra);
    }

    /// Fifos would be waited for.
    fn with(&mut self, path: *const c_char, flags: c_int, extra: &mut String) -> i64 {
        let fd = unsafe { libc::open(path, flags | libc::O_NONBLOCK, 0o640) };
        if fd < 0 {
            return -1;
        }
        if flags & libc::O_ACCMODE != libc::O_RDONLY {
            let written = unsafe { libc::write(fd, b"text".as_ptr().cast(), 4) };
            *extra = written.to_string();
        }
        unsafe { libc::close(fd) };
        fd.into()
    }

    fn removed(&mut self, path: &str) -> c_int {
        let fd = unsafe { libc::open(c(&self.place).as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
        let result = unsafe { libc::unlinkat(fd, c(path).as_ptr(), 0) };
        let before = errno();
        unsafe { libc::close(fd) };
        unsafe { *libc::__error() = before };
        result
    }

    fn link_text(&mut self, path: *const c_char, extra: &mut String) -> i64 {
        let mut into = [0_u8; 1024];
        let length = unsafe { libc::readlink(path, into.as_mut_ptr().cast(), 1024) };
        *extra = String::from_utf8_lossy(&into[..length.max(0) as usize]).into_owned();
        length as i64
    }

    fn real(&mut self, path: *const c_char, extra: &mut String) -> i64 {
        let mut into = [0 as c_char; 1024];
        let found = unsafe { libc::realpath(path, into.as_mut_ptr()) };
        if found.is_null() {
            return -1;
        }
        *extra = unsafe { CStr::from_ptr(found) }
            .to_string_lossy()
            .into_owned();
        0
    }

    fn directory(&mut self, path: *const c_char, extra: &mut String) -> i64 {
        let result = unsafe { libc::chdir(path) };
        let before = errno();
        let mut into = [0 as c_char; 1024];
        let found = unsafe { libc::getcwd(into.as_mut_ptr(), 1024) };
        if found.is_null() {
            *extra = format!("nowhere {}", errno());
            self.home();
        } else {
            *extra = unsafe { CStr::from_ptr(found) }
                .to_string_lossy()
                .into_owned();
            if !extra.starts_with(&self.place) {
                self.home();
            }
        }
        unsafe { *libc::__error() = before };
        result.into()
    }

    fn below(&mut self, path: *const c_char, name: *const c_char, extra: &mut String) -> i64 {
        let fd = unsafe { libc::open(path, libc::O_RDONLY | libc::O_DIRECTORY) };
        if fd < 0 {
            return -1;
        }
        let other = unsafe { libc::openat(fd, name, libc::O_RDONLY | libc::O_NONBLOCK) };
        *extra = if other < 0 {
            errno().to_string()
        } else {
            other.to_string()
        };
        unsafe { libc::close(other) };
        unsafe { libc::close(fd) };
        0
    }

    fn listing(&mut self, path: *const c_char, extra: &mut String) -> i64 {
        let directory = unsafe { libc::opendir(path) };
        if directory.is_null() {
            return -1;
        }
        let mut names = Vec::new();
        loop {
            let entry = unsafe { libc::readdir(directory) };
            if entry.is_null() {
                break;
            }
            let name = unsafe { CStr::from_ptr((*entry).d_name.as_ptr()) };
            names.push(name.to_string_lossy().into_owned());
        }
        unsafe { libc::closedir(directory) };
        names.sort();
        *extra = names.join(" ");
        0
    }

    /// Everything away, by a program, since that is what it would cost to write here.
    fn fresh(&self) {
        unsafe { libc::chdir(c"/".as_ptr()) };
        let first = self.place.split("/L0").next().unwrap();
        let command = format!(
            "chmod -R 777 {first}/L0 2>/dev/null; rm -rf {first}/L0; mkdir -p {}",
            self.place
        );
        unsafe { libc::system(c(&command).as_ptr()) };
        self.home();
    }
}

pub fn run(place: &str) {
    let variable = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
    };
    let rounds: u64 = variable("SUBJECT_ROUNDS").unwrap_or(1000);
    let levels: String = (0..LEVELS).map(|level| format!("/L{level}")).collect();
    let mut fuzz = Fuzz {
        random: Random(variable("SUBJECT_SEED").unwrap_or(1) * 2 + 0x9e37_79b9),
        place: format!("{place}{levels}"),
        hash: 0xcbf2_9ce4_8422_2325,
        is_told: std::env::var("SUBJECT_TOLD").is_ok(),
    };
    for round in 0..rounds {
        if round % 2000 == 0 {
            fuzz.fresh();
            println!("{round} {:x}", fuzz.hash);
        }
        fuzz.step();
    }
    println!("{rounds} {:x}", fuzz.hash);
}
