//! What a program has in capability mode: every descriptor, by number, with what it may be used for.
//! Pure. The numbers are fixed here; the launch opens exactly these, and in this order.

use super::child::FIRST;
use super::tree::{Node, Tree, What};
use crate::kernel::rights::{FLAGS_ONLY, Ioctl};
use crate::kernel::{Fd, Filesystem, Open, Rights};
use std::fmt;

/// The program's file, and how the kernel gets to execute it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capable {
    /// What is executed or loaded: the program, or the interpreter of a script.
    pub image: String,
    /// The run-time linker; `None` for a static program.
    pub linker: Option<String>,
    /// Directories that its libraries are in, in the order that they are looked for.
    pub libraries: Vec<String>,
    /// libjailrun_preopen.so.
    pub shim: Option<String>,
    /// What comes before the program's own arguments, of a script: interpreter and argument.
    pub interpreter: Vec<String>,
}

/// What a descriptor is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    Input,
    Output,
    Socket(String),
    Linker,
    /// Executed, or read by the run-time linker.
    Program,
    Libraries,
    Shim,
    /// Of the jail.
    Root,
    /// `executes`: programs in it too.
    Writable {
        executes: bool,
    },
    Devices,
    /// A directory of sockets of the host's.
    Sockets,
    /// A socket that is connected to the relay of syslog(3).
    Log,
}

/// One descriptor that the program has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub fd: Fd,
    pub purpose: Use,
    /// What is opened; `None` where it is there already.
    pub path: Option<String>,
    pub stays: bool,
}

/// Everything, and what is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    pub descriptors: Vec<Descriptor>,
    pub execute: Fd,
    pub arguments: Vec<String>,
    /// Variables that tell the program, its run-time linker and the shim of them.
    pub environment: Vec<String>,
}

/// What fds of files, sockets and terminals are asked by programs that only read and write them
/// (sys/sys/filio.h, sys/sys/ttycom.h, sys/sys/sockio.h).
const FILE_IOCTLS: &[Ioctl] = &[
    ("FIODTYPE", 0x4004_667a),
    ("FIONREAD", 0x4004_667f),
    ("FIONBIO", 0x8004_667e),
    ("TIOCGETA", 0x402c_7413),
    ("TIOCSETA", 0x802c_7414),
    ("TIOCSETAW", 0x802c_7415),
    ("TIOCSETAF", 0x802c_7416),
    ("TIOCGWINSZ", 0x4008_7468),
];

/// What caph_limit_stdio(3), which many programs of the base system begin with, keeps of whatever their
/// standard descriptors are, and what asks.
const LOOK_IOCTLS: &[Ioctl] = &[
    ("FIODTYPE", 0x4004_667a),
    ("FIONREAD", 0x4004_667f),
    ("FIONBIO", 0x8004_667e),
    ("TIOCGETA", 0x402c_7413),
    ("TIOCGWINSZ", 0x4008_7468),
];

const SOCKET_IOCTLS: &[Ioctl] = &[
    ("FIONREAD", 0x4004_667f),
    ("FIONBIO", 0x8004_667e),
    ("FIONWRITE", 0x4004_6677),
    ("FIONSPACE", 0x4004_6676),
    ("SIOCATMARK", 0x4004_7307),
];

const NO_IOCTLS: &[Ioctl] = &[];

/// For whatever is open: to be waited for and asked about.
const ANY: Rights = Rights::all_of(&[Rights::FSTAT, Rights::FCNTL, Rights::EVENT]);
const SEEK: Rights = Rights::all_of(&[Rights::SEEK_TELL, Rights::SEEK_SET]);
const MAP_TO_RUN: Rights =
    Rights::all_of(&[SEEK, Rights::READ, Rights::MMAP_ANY, Rights::MMAP_EXEC]);
const LOAD: Rights = Rights::all_of(&[MAP_TO_RUN, Rights::FSTAT, Rights::FSTATFS, Rights::FCNTL]);
const LOOK: Rights = Rights::all_of(&[LOAD, ANY, Rights::LOOKUP, Rights::FPATHCONF, Rights::IOCTL]);
const CHANGE: Rights = Rights::all_of(&[
    Rights::LOOKUP,
    ANY,
    SEEK,
    Rights::READ,
    Rights::WRITE,
    Rights::MMAP_ANY,
    Rights::CREATE,
    Rights::FSYNC,
    Rights::FTRUNCATE,
    Rights::FCHFLAGS,
    Rights::FCHMOD,
    Rights::FCHOWN,
    Rights::FLOCK,
    Rights::FPATHCONF,
    Rights::FSTATFS,
    Rights::FUTIMES,
    Rights::LINK_SOURCE,
    Rights::LINK_TARGET,
    Rights::MKDIR,
    Rights::MKFIFO,
    Rights::RENAME_SOURCE,
    Rights::RENAME_TARGET,
    Rights::SYMLINK,
    Rights::UNLINK,
    Rights::BIND_AT,
    Rights::CONNECT_AT,
    Rights::IOCTL,
]);
/// Those of what is accepted from it, too.
const SERVE: Rights = Rights::all_of(&[
    ANY,
    Rights::READ,
    Rights::WRITE,
    Rights::ACCEPT,
    Rights::LISTEN,
    Rights::GETPEERNAME,
    Rights::GETSOCKNAME,
    Rights::GETSOCKOPT,
    Rights::SETSOCKOPT,
    Rights::SHUTDOWN,
    Rights::IOCTL,
]);

impl Use {
    pub fn rights(&self) -> Rights {
        match self {
            Use::Input => Rights::all_of(&[ANY, SEEK, Rights::READ, Rights::IOCTL]),
            Use::Output => Rights::all_of(&[ANY, SEEK, Rights::WRITE, Rights::IOCTL]),
            Use::Socket(_) => SERVE,
            Use::Linker | Use::Program => Rights::all_of(&[LOAD, Rights::FEXECVE]),
            Use::Shim => LOAD,
            Use::Libraries => Rights::all_of(&[LOAD, Rights::LOOKUP]),
            Use::Root => Rights::all_of(&[LOOK, Rights::FEXECVE]),
            Use::Writable { executes: true } => {
                Rights::all_of(&[CHANGE, Rights::MMAP_EXEC, Rights::FEXECVE])
            }
            Use::Writable { executes: false } => CHANGE,
            // O_CREAT and O_TRUNC, as in `>/dev/null`, need their rights though devfs(4) makes no file.
            Use::Devices => Rights::all_of(&[
                ANY,
                SEEK,
                Rights::LOOKUP,
                Rights::READ,
                Rights::WRITE,
                Rights::CREATE,
                Rights::FTRUNCATE,
                Rights::MMAP_ANY,
                Rights::IOCTL,
            ]),
            Use::Log => Rights::all_of(&[ANY, Rights::WRITE]),
            Use::Sockets => {
                Rights::all_of(&[ANY, Rights::LOOKUP, Rights::READ, Rights::CONNECT_AT])
            }
        }
    }

    /// fcntl(2) commands, where there is the right to any.
    pub fn fcntls(&self) -> u32 {
        FLAGS_ONLY
    }

    /// ioctl(2) commands, where there is the right to any.
    pub fn ioctls(&self) -> &'static [Ioctl] {
        match self {
            Use::Input | Use::Output | Use::Devices => FILE_IOCTLS,
            Use::Root | Use::Writable { .. } => LOOK_IOCTLS,
            Use::Socket(_) => SOCKET_IOCTLS,
            _ => NO_IOCTLS,
        }
    }

    /// How it is opened; `None` for what is connected. A static program need not be readable.
    fn how(&self, is_static: bool) -> Option<Open> {
        match self {
            Use::Program if is_static => Some(Open::Execute),
            Use::Linker | Use::Program | Use::Shim => Some(Open::Read),
            Use::Log => None,
            _ => Some(Open::Directory),
        }
    }
}

impl Descriptor {
    pub fn how(&self, is_static: bool) -> Option<Open> {
        self.purpose.how(is_static)
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_deref().unwrap_or_default();
        write!(formatter, "{}: ", self.fd.0)?;
        match &self.purpose {
            Use::Input => formatter.write_str("standard input"),
            Use::Output => formatter.write_str("standard output or error"),
            Use::Socket(name) => write!(formatter, "the socket {name:?}"),
            Use::Linker => write!(formatter, "the run-time linker {path}"),
            Use::Program => write!(formatter, "the program {path}"),
            Use::Libraries => write!(formatter, "libraries in {path}"),
            Use::Shim => write!(formatter, "the shim {path}"),
            Use::Root => formatter.write_str("everything, to read and execute"),
            Use::Writable { executes: true } => write!(formatter, "{path}, to write and execute"),
            Use::Writable { executes: false } => write!(formatter, "{path}, to write"),
            Use::Devices => write!(formatter, "devices in {path}"),
            Use::Sockets => write!(formatter, "sockets in {path}"),
            Use::Log => write!(formatter, "connected to {path}"),
        }?;
        write!(formatter, " ({}", self.purpose.rights().names().join(" "))?;
        let ioctls: Vec<&str> = self
            .purpose
            .ioctls()
            .iter()
            .map(|(name, _)| *name)
            .collect();
        if !ioctls.is_empty() {
            write!(formatter, "; {}", ioctls.join(" "))?;
        }
        formatter.write_str(if self.stays { ")" } else { "), until it runs" })
    }
}

/// The directories of the tree that are more than read, each with its use, by path.
fn trees(tree: &Tree) -> Vec<(String, Use)> {
    let purpose = |node: &Node| match &node.what {
        What::Granted {
            filesystem: Filesystem::Nullfs { sockets: true, .. },
            ..
        } => Some(Use::Sockets),
        What::Granted { flags, .. }
        | What::New {
            flags,
            filesystem: Filesystem::Tmpfs { .. },
        } if !flags.read_only => Some(Use::Writable {
            executes: !flags.noexec,
        }),
        What::New {
            filesystem: Filesystem::Devfs { .. },
            ..
        } => Some(Use::Devices),
        _ => None,
    };
    let all = tree.nodes();
    all.filter_map(|(path, node)| Some((path.to_string(), purpose(node)?)))
        .collect()
}

impl Capability {
    /// `arguments` are the program's own, its name first; `sockets` the names of those it gets, and
    /// numbers are below `openfiles`.
    pub fn of(
        capable: &Capable,
        tree: &Tree,
        arguments: &[String],
        sockets: &[String],
        openfiles: u64,
    ) -> Capability {
        let trees = trees(tree);
        // Linker, program, shim, root and log, at most.
        let count = 5 + capable.libraries.len() + trees.len();
        let mut numbers = Numbers::after(sockets, count, openfiles);
        let execute = match &capable.linker {
            // The shim executes further programs by it.
            Some(linker) => numbers.open(Use::Linker, linker, capable.shim.is_some()),
            None => numbers.open(Use::Program, &capable.image, false),
        };
        let mut words = Vec::new();
        let mut environment = Vec::new();
        if let Some(linker) = &capable.linker {
            // rtld closes it when it has mapped it.
            let program = numbers.open(Use::Program, &capable.image, true);
            words.extend([
                linker.clone(),
                "-f".to_string(),
                program.0.to_string(),
                "--".to_string(),
            ]);
            let libraries: Vec<String> = capable
                .libraries
                .iter()
                .map(|path| numbers.open(Use::Libraries, path, true).0.to_string())
                .collect();
            environment.push(format!("LD_LIBRARY_PATH_FDS={}", libraries.join(":")));
        }
        if let Some(shim) = &capable.shim {
            let shim = numbers.open(Use::Shim, shim, true).0;
            environment.push(format!("LD_PRELOAD_FDS={shim}"));
            environment.push(format!("JAILRUN_SHIM={shim}"));
            environment.push(format!("JAILRUN_RTLD={}", execute.0));
        }
        let mut directories = vec![format!("{}=/", numbers.open(Use::Root, "/", true).0)];
        for (path, purpose) in trees {
            directories.push(format!("{}={path}", numbers.open(purpose, &path, true).0));
        }
        environment.push(format!("JAILRUN_DIRS={}", directories.join("\n")));
        let log = tree.nodes().find(|(_, node)| node.what == What::Socket);
        // The shim alone knows what to do with it.
        if let Some((path, _)) = log.filter(|_| capable.shim.is_some()) {
            let log = numbers.open(Use::Log, path, true).0;
            environment.push(format!("JAILRUN_LOG={log}"));
        }
        words.extend(capable.interpreter.iter().cloned());
        words.extend(arguments.iter().cloned());
        Capability {
            descriptors: numbers.descriptors,
            execute,
            arguments: words,
            environment,
        }
    }

    /// The program, or the interpreter, is linked to nothing.
    pub fn is_static(&self) -> bool {
        let executed = self
            .descriptors
            .iter()
            .find(|known| known.fd == self.execute);
        executed.is_some_and(|known| known.purpose == Use::Program)
    }
}

/// Where the numbers begin of what the program doesn't know that it has. A shell's `exec 5>file` and
/// programs with numbers of their own take low ones, and what selects (select(2)) ends at 1024.
const HIGH: i32 = 900;

/// Hands numbers out in turn.
struct Numbers {
    descriptors: Vec<Descriptor>,
    next: i32,
}

impl Numbers {
    /// Standard descriptors and sockets; `count` more will be asked for, all below `openfiles` if they can.
    fn after(sockets: &[String], count: usize, openfiles: u64) -> Numbers {
        let mut numbers = Numbers {
            descriptors: Vec::new(),
            next: 0,
        };
        let standard = [Use::Input, Use::Output, Use::Output];
        let all = sockets.iter().map(|name| Use::Socket(name.clone()));
        for purpose in standard.into_iter().chain(all) {
            numbers.add(purpose, None, true);
        }
        debug_assert_eq!(numbers.next, FIRST + sockets.len() as i32);
        // One lower is that of the channel to the supervisor, which ends when the program begins.
        let lowest = numbers.next + 1;
        let highest = openfiles.saturating_sub(count as u64);
        let highest = i32::try_from(highest).unwrap_or(i32::MAX);
        numbers.next = HIGH.min(highest).max(lowest);
        numbers
    }

    fn open(&mut self, purpose: Use, path: &str, stays: bool) -> Fd {
        self.add(purpose, Some(path.to_string()), stays)
    }

    fn add(&mut self, purpose: Use, path: Option<String>, stays: bool) -> Fd {
        let fd = Fd(self.next);
        self.next += 1;
        self.descriptors.push(Descriptor {
            fd,
            purpose,
            path,
            stays,
        });
        fd
    }
}
