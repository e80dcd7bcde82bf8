//! Names of every kind: in each tree, between them, of nothing, of what may only be read, too long, none.

use super::{CLOSED, Fuzz, Held};
use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt;

/// What may be written to, each a file system of its own, the last below the first.
pub const TREES: [&str; 3] = ["/g1", "/g2", "/g1/nest"];

/// What the program gives for a name.
pub struct Name(Option<CString>);

impl Name {
    pub fn new(text: &str) -> Self {
        Self(Some(CString::new(text).unwrap()))
    }

    pub fn pointer(&self) -> *const c_char {
        self.0
            .as_ref()
            .map_or(std::ptr::null(), |text| text.as_ptr())
    }

    pub fn text(&self) -> &str {
        let text = self.0.as_ref().and_then(|text| text.to_str().ok());
        text.unwrap_or_default()
    }

    /// Whether it ends in "." or "..": see `excuses`.
    pub fn ends_in_dots(&self) -> bool {
        let last = self.text().trim_end_matches('/').rsplit('/').next();
        matches!(last, Some("." | ".."))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => write!(to, "null"),
            Some(_) if self.text().len() > 200 => {
                let text = self.text();
                write!(to, "{:?}..{} bytes", &text[..40], text.len())
            }
            Some(_) => write!(to, "{:?}", self.text()),
        }
    }
}

const OWN: [&str; 13] = [
    "a", "b", "c", "d", "e", "f", "a", "b", "c", ".", "..", "", "a",
];
const READ_ONLY: [&str; 15] = [
    "file", "dir", "deep", "link", "abs", "up", "loop", "into", "dangling", "closed", "secret",
    "..", ".", "file", "none",
];
/// Those of them that lead to the first thread's directories.
const FIRST: [&str; 3] = ["up", "into", "dangling"];
const FIXED: [&str; 22] = [
    "/",
    "//",
    "/.",
    "/..",
    "/g1",
    "/g2/",
    "/g1/nest",
    "/g1/nest/..",
    "/ro",
    "/etc/passwd",
    "/dev/null",
    "/dev/none",
    "/dev",
    "/bin/sh",
    "/bin/sh/x",
    "/none",
    "/none/x",
    "/g1/../ro/file",
    "/ro/into/../../ro",
    "/lib/libc.so.7",
    "/g1/none/../..",
    ".",
];

/// Whether an absolute name is that of a link or a file which can't be removed, or leads to what can't: see
/// `excuses`.
fn is_followed_or_refused(name: &str) -> bool {
    let mut name = name.to_string();
    for _ in 0..8 {
        let Some((above, _)) = name.rsplit_once('/') else {
            return false;
        };
        let folder = CString::new(format!("{above}/.")).unwrap();
        let is_closed = unsafe { libc::eaccess(folder.as_ptr(), libc::W_OK) } != 0;
        let Ok(target) = std::fs::read_link(&name) else {
            let found = std::fs::symlink_metadata(&name);
            return is_closed && found.is_ok_and(|found| !found.is_dir());
        };
        let target = target.to_string_lossy().trim_end_matches('/').to_string();
        let is_dots = matches!(target.rsplit('/').next(), Some("." | ".."));
        if is_dots || is_closed {
            return true;
        }
        name = if target.starts_with('/') {
            target
        } else {
            format!("{above}/{target}")
        };
    }
    true
}

fn device(fd: c_int) -> Option<libc::dev_t> {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    (unsafe { libc::fstat(fd, &raw mut stat) } == 0).then_some(stat.st_dev)
}

fn device_of(path: &CStr) -> Option<libc::dev_t> {
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    (unsafe { libc::stat(path.as_ptr(), &raw mut stat) } == 0).then_some(stat.st_dev)
}

pub fn is_in_devfs(path: &CStr) -> bool {
    device_of(path).is_some_and(|own| Some(own) == device_of(c"/dev"))
}

impl Held {
    fn is_where_it_was(&self) -> bool {
        let (mut there, mut here): (libc::stat, libc::stat) = unsafe { std::mem::zeroed() };
        let path = CString::new(self.path.as_str()).unwrap();
        let is_known = unsafe {
            libc::stat(path.as_ptr(), &raw mut there) == 0
                && libc::fstat(self.fd, &raw mut here) == 0
        };
        is_known && (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
    }
}

impl Fuzz {
    pub fn path(&mut self) -> Name {
        match self.random.next(120) {
            0 => Name(None),
            1 => Name::new(""),
            2 => {
                let length = self.random.of(&[254, 255, 256, 257]);
                let name = format!("{}{}", self.base(), "n".repeat(length));
                Name::new(&name)
            }
            3 => self.long(),
            4..=8 => {
                let fixed = self.random.of(&FIXED);
                Name::new(fixed)
            }
            _ => {
                let path = self.usual();
                Name::new(&path)
            }
        }
    }

    /// One that is there, if there can be one.
    pub fn file(&self) -> Option<Name> {
        let path = format!("/g1/{}/made", self.top);
        std::fs::write(&path, b"made")
            .ok()
            .map(|()| Name::new(&path))
    }

    /// Near the most bytes that the kernel takes, and beyond.
    fn long(&mut self) -> Name {
        let mut path = self.base();
        let last = self.random.of(&["a", "b", "none", "../a"]);
        let length = 990 + self.random.next(50);
        while path.len() + last.len() + 2 <= length {
            path.push_str("./");
        }
        path.push_str(last);
        Name::new(&path)
    }

    fn base(&mut self) -> String {
        let top = &self.top;
        let relative = if self.is_thread { "../g1/" } else { "" };
        match self.random.next(20) {
            0..=8 if self.is_thread => format!("{relative}{top}/"),
            0..=8 => String::new(),
            9..=12 => format!("/g1/{top}/"),
            13 | 14 => format!("/g2/{top}/"),
            15 => format!("/g1/nest/{top}/"),
            16 => format!("//g1/.//{top}//"),
            17 => format!("/ro/../g2/{top}/"),
            18 => format!("../../../../../../g2/{top}/"),
            _ => "/ro/".to_string(),
        }
    }

    fn usual(&mut self) -> String {
        let mut path = self.base();
        let is_read_only = path == "/ro/";
        let names: &[&str] = if is_read_only { &READ_ONLY } else { &OWN };
        // Mostly short, so that there mostly is something.
        let most = self.random.of(&[1, 1, 1, 2, 2, 4]);
        for index in 0..=self.random.next(most) {
            if index > 0 {
                path.push('/');
            }
            let name = self.random.of(names);
            let is_others = is_read_only && FIRST.contains(&name) && !self.top.starts_with("t0/");
            path.push_str(if is_others { "abs" } else { name });
        }
        match self.random.next(30) {
            0..=2 => path.push('/'),
            3 => path.push_str("/."),
            4 => path.push_str("//"),
            _ => {}
        }
        // An empty name first would make it another absolute one.
        if path.starts_with('/') && !path.contains("/g") && !path.starts_with("/ro") {
            path.insert(0, '.');
        }
        path
    }

    /// Of something that a call may rename or remove: never the directory that everything lies in.
    pub fn path_to_lose(&mut self, start: c_int) -> Name {
        let path = self.path();
        let last = self.top.rsplit('/').next().unwrap_or_default();
        let mut text = path.text().trim_end_matches('/');
        while let Some(rest) = text.strip_suffix("/.") {
            text = rest.trim_end_matches('/');
        }
        if text.ends_with(last) {
            return Name::new(&format!("/g1/{}/a", self.top));
        }
        let whole = self.absolute(start, text);
        if path.text().ends_with('/') && whole.is_none_or(|whole| is_followed_or_refused(&whole)) {
            return Name::new(text);
        }
        path
    }

    /// What a link says.
    pub fn target(&mut self) -> Name {
        // A thread that climbs by one link after another would come to the other threads' directories,
        // which belong to the superuser: it couldn't do anything there, and neither see it.
        match self.random.next(8) {
            0 => Name::new("/ro/dir"),
            1 => {
                let top = self.top.clone();
                let tree = self.random.of(&TREES);
                Name::new(&format!(
                    "{tree}/{top}/{}",
                    self.random.of(&["a", "b", "c", "d/e"])
                ))
            }
            2 => Name::new(
                self.random
                    .of(&["a", "b", "../a", "../b", "c/", "./d", "..", "."]),
            ),
            _ => match self.path() {
                // See `excuses`.
                path if path.text().trim_end_matches('/') == "/dev" => Name::new("/dev/null"),
                path => path,
            },
        }
    }

    /// The descriptor of a call that takes one, and what is said of it.
    pub fn start(&mut self) -> (c_int, &'static str) {
        match self.random.next(12) {
            0..=4 => (libc::AT_FDCWD, "cwd"),
            5 => self
                .random
                .of(&[(-1, "-1"), (CLOSED, "closed"), (1, "pipe")]),
            _ => match self.directory() {
                Some(fd) => (fd, "fd"),
                None => (libc::AT_FDCWD, "cwd"),
            },
        }
    }

    /// One of the directories that are open, if it still is where it was opened: see `excuses`.
    pub fn directory(&mut self) -> Option<c_int> {
        if self.held.is_empty() {
            return None;
        }
        let index = self.random.next(self.held.len());
        if self.held[index].is_where_it_was() {
            return Some(self.held[index].fd);
        }
        let held = self.held.swap_remove(index);
        unsafe { libc::close(held.fd) };
        self.tell("a directory that was open is not where it was");
        None
    }

    /// Whether a descriptor is that of a directory which was moved since.
    pub fn is_moved(&self, start: c_int) -> bool {
        let mut held = self.held.iter();
        held.any(|held| held.fd == start && !held.is_where_it_was())
    }

    /// Keeps a directory that was opened, or closes it.
    pub fn hold(&mut self, fd: c_int, path: Option<String>) {
        const MOST: usize = 6;
        // See `excuses`.
        let is_devfs = device(fd).is_some_and(|own| Some(own) == device_of(c"/dev"));
        match path {
            Some(path) if self.held.len() < MOST && path.len() < 900 && !is_devfs => {
                self.held.push(Held { fd, path });
            }
            _ => {
                unsafe { libc::close(fd) };
            }
        }
    }

    /// The absolute path that a name below a descriptor means, links and all.
    pub fn absolute(&self, start: c_int, name: &str) -> Option<String> {
        if name.starts_with('/') {
            return Some(name.to_string());
        }
        let above = if start == libc::AT_FDCWD {
            let mut place = [0 as c_char; 1024];
            let found = unsafe { libc::getcwd(place.as_mut_ptr(), place.len()) };
            if found.is_null() {
                return None;
            }
            unsafe { CStr::from_ptr(found) }.to_str().ok()?.to_string()
        } else {
            self.held.iter().find(|held| held.fd == start)?.path.clone()
        };
        Some(format!("{above}/{name}"))
    }
}
