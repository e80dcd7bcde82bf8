//! Starts a program as jailrun does in capability mode: opens what is granted, limits each descriptor,
//! enters capability mode, and executes the run-time linker by descriptor. No jail, no other user.

use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The same descriptors and environment, but neither capability mode nor the library.
    Bare,
    Confined,
    /// Capability mode without the library: what it is that is translated.
    Alone,
    /// The library without capability mode and without trees: only `bind` is translated.
    Off,
}

#[derive(Clone)]
pub struct Launch {
    pub mode: Mode,
    pub shim: String,
    /// Directories that may be written to.
    pub writable: Vec<String>,
    /// As JAILRUN_LISTEN has them.
    pub listen: Vec<String>,
    pub variables: BTreeMap<String, String>,
    pub cwd: String,
    /// What chroot(2) makes the program's root; all other paths are below it, but the library's.
    pub root: String,
    /// Who it runs as, if not as the superuser.
    pub user: Option<u32>,
    /// A connected datagram socket for syslog(3).
    pub log: Option<c_int>,
}

#[derive(Debug)]
pub struct Ended {
    pub output: String,
    pub errors: String,
    /// As wait(2) has it.
    pub status: c_int,
}

const LIBRARIES: [&str; 3] = ["/lib", "/usr/lib", "/usr/local/lib"];

/// The two words of `cap_rights_t`, of version 0 (sys/capsicum.h).
type Rights = [u64; 2];

/// READ, SEEK, MMAP_R and MMAP_X, FEXECVE, LOOKUP, FCNTL, FLOCK, FPATHCONF, FSTAT, FSTATFS, CONNECTAT;
/// EVENT, IOCTL, INOTIFY_ADD and INOTIFY_RM.
const READ: Rights = [1 << 57 | 0x100_001b_84bd, 1 << 58 | 0x60_00a0];
/// Besides: WRITE, MMAP_W, CREATE, FSYNC, FTRUNCATE, FCHFLAGS, FCHMOD, FCHOWN, FUTIMES, and LINKAT_TARGET,
/// MKDIRAT, MKFIFOAT, MKNODAT, RENAMEAT_SOURCE, SYMLINKAT, UNLINKAT, BINDAT, LINKAT_SOURCE,
/// RENAMEAT_TARGET.
const WRITE: Rights = [READ[0] | 0x680_1fe0_7342, READ[1]];

unsafe extern "C" {
    fn cap_rights_limit(fd: c_int, rights: *const Rights) -> c_int;
    fn cap_enter() -> c_int;
    fn fexecve(fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
}

/// Where descriptors that the program doesn't know of lie.
const HIGH: c_int = 900;

struct Opened {
    /// What is to be at which number, in this order.
    numbers: Vec<(OwnedFd, c_int, Option<Rights>)>,
    environment: Vec<CString>,
}

fn open(path: &str, flags: c_int) -> OwnedFd {
    let name = CString::new(path).unwrap();
    let fd = unsafe { libc::open(name.as_ptr(), flags | libc::O_CLOEXEC) };
    assert!(fd >= 0, "{path}: {}", std::io::Error::last_os_error());
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Bound and listening, from "tcp:127.0.0.1:80" and the like.
fn bound(address: &str) -> OwnedFd {
    let (protocol, rest) = address.split_once(':').unwrap();
    match protocol {
        "tcp" => OwnedFd::from(TcpListener::bind(rest.parse::<SocketAddr>().unwrap()).unwrap()),
        "udp" => OwnedFd::from(UdpSocket::bind(rest.parse::<SocketAddr>().unwrap()).unwrap()),
        _ => OwnedFd::from(std::os::unix::net::UnixListener::bind(rest).unwrap()),
    }
}

impl Launch {
    pub fn new(mode: Mode, shim: &str) -> Self {
        let variables = [
            ("PATH", "/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin"),
            ("HOME", "/"),
        ];
        Self {
            mode,
            shim: shim.to_string(),
            writable: Vec::new(),
            listen: Vec::new(),
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            cwd: "/".to_string(),
            root: String::new(),
            user: None,
            log: None,
        }
    }

    pub fn writable(mut self, path: &str) -> Self {
        self.writable.push(path.to_string());
        self
    }

    pub fn listen(mut self, address: &str) -> Self {
        self.listen.push(address.to_string());
        self
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_string(), value.to_string());
        self
    }

    pub fn cwd(mut self, path: &str) -> Self {
        self.cwd = path.to_string();
        self
    }

    pub fn root(mut self, path: &str) -> Self {
        self.root = path.to_string();
        self
    }

    pub fn user(mut self, user: Option<u32>) -> Self {
        self.user = user;
        self
    }

    fn open(&self, program: &str) -> Opened {
        let inside = |path: &str, flags| open(&format!("{}{path}", self.root), flags);
        let mut numbers = Vec::new();
        let mut variables = self.variables.clone();
        let mut next = HIGH;
        let mut add = |fd: OwnedFd, rights: Option<Rights>| {
            numbers.push((fd, next, rights));
            next += 1;
            next - 1
        };
        let is_confined = matches!(self.mode, Mode::Confined | Mode::Alone);
        if is_confined {
            let binary = add(inside(program, libc::O_RDONLY), Some(READ));
            assert_eq!(binary, HIGH);
            let directory = libc::O_RDONLY | libc::O_DIRECTORY;
            let mut trees = vec![format!("{}=/", add(inside("/", directory), Some(READ)))];
            for path in &self.writable {
                trees.push(format!(
                    "{}={path}",
                    add(inside(path, directory), Some(WRITE))
                ));
            }
            let libraries =
                LIBRARIES.map(|path| add(inside(path, directory), Some(READ)).to_string());
            variables.insert("LD_LIBRARY_PATH_FDS".into(), libraries.join(":"));
            let rtld = add(inside("/libexec/ld-elf.so.1", libc::O_RDONLY), Some(READ));
            variables.insert("JAILRUN_RTLD".into(), rtld.to_string());
            variables.insert("JAILRUN_DIRS".into(), trees.join("\n"));
            variables.insert("JAILRUN_CWD".into(), self.cwd.clone());
        }
        match self.mode {
            Mode::Confined => {
                let shim = add(open(&self.shim, libc::O_RDONLY), Some(READ)).to_string();
                variables.insert("JAILRUN_SHIM".into(), shim.clone());
                variables.insert("LD_PRELOAD_FDS".into(), shim);
                if let Some(log) = self.log {
                    let log = unsafe { OwnedFd::from_raw_fd(libc::dup(log)) };
                    variables.insert("JAILRUN_LOG".into(), add(log, None).to_string());
                }
            }
            Mode::Off => {
                variables.insert("LD_PRELOAD".into(), self.shim.clone());
            }
            Mode::Bare | Mode::Alone => {}
        }
        let mut listen = Vec::new();
        for (index, address) in self.listen.iter().enumerate() {
            let fd = 3 + c_int::try_from(index).unwrap();
            // Without the library the program binds it itself.
            if matches!(self.mode, Mode::Confined | Mode::Off) {
                numbers.push((bound(address), fd, None));
                listen.push(format!("{fd}={address}"));
            }
        }
        if !listen.is_empty() {
            variables.insert("JAILRUN_LISTEN".into(), listen.join("\n"));
        }
        let pairs = variables.iter();
        let environment = pairs
            .map(|(name, value)| CString::new(format!("{name}={value}")).unwrap())
            .collect();
        Opened {
            numbers,
            environment,
        }
    }

    /// In the child: another root and another user, where there are.
    fn enter(&self) -> bool {
        let root = CString::new(self.root.as_str()).unwrap();
        if !self.root.is_empty() && unsafe { libc::chroot(root.as_ptr()) } != 0 {
            return false;
        }
        let Some(user) = self.user else { return true };
        unsafe {
            libc::setgroups(1, &raw const user) == 0
                && libc::setgid(user) == 0
                && libc::setuid(user) == 0
        }
    }

    /// In the child: from here to the program.
    fn become_program(&self, opened: &Opened, program: &CString, words: &[*const c_char]) -> c_int {
        if !self.enter() {
            return 119;
        }
        let cwd = CString::new(self.cwd.clone()).unwrap();
        unsafe { libc::chdir(cwd.as_ptr()) };
        // First out of the way of each other.
        let mut moved = Vec::new();
        for (fd, number, rights) in &opened.numbers {
            let high = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, HIGH + 100) };
            moved.push((high, *number, *rights));
        }
        for (from, number, rights) in moved {
            if unsafe { libc::dup2(from, number) } < 0 {
                return 120;
            }
            if let Some(rights) = rights
                && unsafe { cap_rights_limit(number, &raw const rights) } != 0
            {
                return 121;
            }
        }
        let mut environment: Vec<*const c_char> = opened
            .environment
            .iter()
            .map(|entry| entry.as_ptr())
            .collect();
        environment.push(std::ptr::null());
        if matches!(self.mode, Mode::Bare | Mode::Off) {
            unsafe { libc::execve(program.as_ptr(), words[4..].as_ptr(), environment.as_ptr()) };
            return 123;
        }
        let rtld = opened.environment.iter().find_map(|entry| {
            let entry = entry.to_str().ok()?;
            entry.strip_prefix("JAILRUN_RTLD=")?.parse::<c_int>().ok()
        });
        if unsafe { cap_enter() } != 0 {
            return 122;
        }
        unsafe { fexecve(rtld.unwrap(), words.as_ptr(), environment.as_ptr()) };
        124
    }

    /// Starts it, with our standard descriptors or these. Its process.
    pub fn spawn(&self, words: &[&str], standard: Option<[c_int; 3]>) -> c_int {
        let opened = self.open(words[0]);
        let program = CString::new(words[0]).unwrap();
        let head = ["ld-elf.so.1", "-f", "900", "--"];
        let strings = head
            .iter()
            .chain(words)
            .map(|word| CString::new(*word).unwrap());
        let strings: Vec<CString> = strings.collect();
        let mut pointers: Vec<*const c_char> = strings.iter().map(|word| word.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let child = unsafe { libc::fork() };
        if child == 0 {
            for (number, fd) in standard.into_iter().flatten().enumerate() {
                unsafe { libc::dup2(fd, c_int::try_from(number).unwrap()) };
            }
            let status = self.become_program(&opened, &program, &pointers);
            unsafe { libc::_exit(status) };
        }
        assert!(child > 0);
        child
    }

    pub fn run(&self, words: &[&str]) -> Ended {
        self.run_with_input(words, "")
    }

    pub fn run_with_input(&self, words: &[&str], input: &str) -> Ended {
        let pipe = || {
            let mut ends = [0; 2];
            assert_eq!(
                unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
                0
            );
            ends.map(|end| unsafe { std::fs::File::from_raw_fd(end) })
        };
        let ([from, mut to], [mut out, out_end], [mut err, err_end]) = (pipe(), pipe(), pipe());
        let standard = [&from, &out_end, &err_end].map(AsRawFd::as_raw_fd);
        let child = self.spawn(words, Some(standard));
        drop((from, out_end, err_end));
        std::io::Write::write_all(&mut to, input.as_bytes()).unwrap();
        drop(to);
        let read = |file: &mut std::fs::File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (output, errors) = (read(&mut out), read(&mut err));
        Ended {
            output,
            errors,
            status: wait(child),
        }
    }
}

pub fn wait(child: c_int) -> c_int {
    let mut status = 0;
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    status
}
