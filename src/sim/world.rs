//! What the simulated kernel knows: inodes, mounts, processes, descriptors, jails, addresses.
//! Plain data that tests may look at and meddlers may change; the rules are in the files beside it.

use crate::kernel::{
    Alias, DevfsRule, Ending, Errno, FileKind, Filesystem, Fsid, Ids, JailValue, Limit, Lock,
    MountFlags, Procctl, Protocol, Rights, Rlimit, Severity, SocketAddress, SocketKind,
    SocketOption, Termios, User, Watch, WindowSize,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a simulated call refuses: an errno, and jail_set(2)'s or nmount(2)'s words.
pub(super) struct Refusal(pub Errno, pub String);

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal(errno, String::new())
    }
}

pub(super) type Res<T> = Result<T, Refusal>;

/// A vnode: an inode as seen through one mount. nullfs shows the same inode in a second place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub mount: i32,
    pub inode: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    pub kind: FileKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
    pub ctime: (i64, i64),
    /// A file's bytes, a symbolic link's target, a device's name. Shared by the copies of a world.
    pub data: Arc<Vec<u8>>,
    pub children: BTreeMap<String, u64>,
    /// A directory's "..".
    pub parent: u64,
    pub extended_acl: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub id: i32,
    /// `None` for "/" only.
    pub covered: Option<Place>,
    pub root: u64,
    /// The place below a nullfs.
    pub lower: Option<Place>,
    pub kind: String,
    pub filesystem: Option<Filesystem>,
    pub flags: MountFlags,
    pub from: String,
    pub on: String,
    /// A devfs: the rules of its ruleset as they were when it was mounted.
    pub rules: Vec<DevfsRule>,
}

impl Mount {
    pub fn fsid(&self) -> Fsid {
        Fsid(self.id, 1)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: Ids,
    pub gid: Ids,
    pub groups: Vec<u32>,
}

#[derive(Clone, Debug)]
pub struct Descriptor {
    pub description: u64,
    pub cloexec: bool,
    /// What it may be used for; `None` for everything.
    pub rights: Option<Rights>,
}

/// An open file description: shared by dup2 and fork.
#[derive(Clone, Debug)]
pub enum Description {
    Vnode {
        place: Place,
        parent: Place,
        name: String,
        offset: usize,
        readable: bool,
        writable: bool,
        appends: bool,
    },
    /// One of a pair, of local sockets or of a pipe's ends (pipe(2): both directions work). `peer` is `None`
    /// once the other end is closed.
    Socket {
        is_pipe: bool,
        is_nonblocking: bool,
        buffer: VecDeque<u8>,
        peer: Option<u64>,
    },
    /// A socket that is, or will be, bound to an address.
    Bound {
        kind: SocketKind,
        address: Option<SocketAddress>,
        /// The file of one that has a path.
        place: Option<Place>,
        options: Vec<SocketOption>,
        /// The uid that called listen(2) last: what getpeereid(3) says of it (uipc_listen).
        listener: Option<u32>,
        /// What was sent to it and isn't read yet.
        messages: VecDeque<Vec<u8>>,
    },
    /// Each watch with how often its signal came.
    Kqueue {
        watches: Vec<(Watch, u32)>,
    },
    Jail {
        id: i32,
        owner: bool,
    },
    Pipe,
    /// The terminal of whoever started the first process.
    Terminal,
    /// One end of a pseudo-terminal.
    Pty {
        number: u64,
        is_master: bool,
    },
}

/// A pseudo-terminal, as far as a launch can see: its attributes, and whose it is.
#[derive(Clone, Debug)]
pub struct Pty {
    pub attributes: Termios,
    pub size: WindowSize,
    /// The session that it controls.
    pub session: Option<i32>,
    /// What was written to the slave, for the master to read.
    pub written: VecDeque<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Readable(u64),
    Child(Option<i32>),
    Queue(u64),
    Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Blocked {
        wait: Wait,
        deadline: Option<u64>,
    },
    /// After execve: acts by its behaviour.
    Program,
    /// A zombie, until somebody waits.
    Ended(Ending),
}

/// What a program does once it was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Exit(i32),
    ExitAfter {
        milliseconds: u64,
        code: i32,
    },
    /// Runs until a signal ends it.
    UntilSignal,
    /// Runs until SIGKILL.
    IgnoreTerm,
    /// Leaves an orphan that runs until a signal ends it, and exits 0.
    Daemonise,
}

#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub reaper: i32,
    pub is_reaper: bool,
    pub credentials: Credentials,
    pub fds: BTreeMap<i32, Descriptor>,
    pub cwd: Place,
    pub root: Place,
    pub jail: Option<i32>,
    pub umask: u32,
    pub session: i32,
    pub login: String,
    pub login_class: String,
    pub nice: i32,
    pub fib: i32,
    pub signals_blocked: bool,
    pub signals_ignored: BTreeSet<i32>,
    pub signals_pending: BTreeSet<i32>,
    pub limits: BTreeMap<Limit, Rlimit>,
    pub procctls: BTreeSet<Procctl>,
    pub trace: Option<super::Trace>,
    pub in_capability_mode: bool,
    pub program: Option<(String, Place)>,
    pub(super) began_ms: u64,
    pub behaviour: Behaviour,
    /// When a program acts or, after jail_remove, dies.
    pub(super) acts_at: Option<u64>,
    pub(super) dies_at: Option<u64>,
    pub(super) state: State,
    pub(super) deadlocked: u32,
}

impl Process {
    /// How it ended, if it is a zombie.
    pub fn ending(&self) -> Option<Ending> {
        match self.state {
            State::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    pub fn is_program(&self) -> bool {
        self.state == State::Program
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Jail {
    pub id: i32,
    pub name: String,
    pub path: String,
    pub root: Place,
    pub persist: bool,
    pub dying: bool,
    /// Names without "allow.".
    pub allow: BTreeSet<String>,
    pub parameters: BTreeMap<String, JailValue>,
    /// Of its root set.
    pub cpus: Vec<u32>,
}

/// What execve(2) was given, and the state that the program starts in.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    pub pid: i32,
    pub program: String,
    /// Where it is, seen from the host: "/path/of/mount" plus the rest.
    pub host_path: String,
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    pub uid: Ids,
    pub gid: Ids,
    pub groups: Vec<u32>,
    pub jail: Option<i32>,
    pub jail_name: String,
    pub suser: bool,
    /// What stays open: number and a word or path.
    pub fds: Vec<(i32, String)>,
    pub cwd: String,
    pub umask: u32,
    pub session: i32,
    pub login: String,
    pub login_class: String,
    pub nice: i32,
    pub fib: i32,
    pub cpus: Vec<u32>,
    pub limits: BTreeMap<Limit, Rlimit>,
    pub procctls: BTreeSet<Procctl>,
    pub trace: Option<super::Trace>,
    pub signals_blocked: bool,
    pub signals_ignored: BTreeSet<i32>,
    pub in_capability_mode: bool,
}

#[derive(Clone, Debug)]
pub struct World {
    pub inodes: BTreeMap<u64, Inode>,
    pub mounts: Vec<Mount>,
    pub processes: BTreeMap<i32, Process>,
    pub descriptions: BTreeMap<u64, Description>,
    pub locks: Vec<(u64, u64, Lock)>,
    pub jails: BTreeMap<i32, Jail>,
    pub devfs_rules: BTreeMap<(u16, u16), DevfsRule>,
    pub interfaces: BTreeSet<String>,
    pub addresses: Vec<Alias>,
    pub sysctls: BTreeMap<String, String>,
    pub users: Vec<User>,
    pub groups: BTreeMap<String, u32>,
    pub rctl_rules: Vec<String>,
    pub behaviours: BTreeMap<String, Behaviour>,
    /// What programs say, by their arguments, with the status after it; and what pkg(8) says by itself of.
    pub answers: BTreeMap<Vec<String>, (Vec<u8>, i32)>,
    pub packages: Vec<super::Installed>,
    /// What a program listens on, and how many milliseconds after its start.
    pub listens: BTreeMap<String, Vec<(Protocol, SocketAddr, u64)>>,
    pub executed: Vec<Executed>,
    pub syslog: Vec<(Severity, String)>,
    pub stderr: Vec<String>,
    /// Bytes written to pipes and terminals that were there at the start.
    pub output: Vec<u8>,
    /// The starter's terminal.
    pub terminal: Termios,
    pub ptys: BTreeMap<u64, Pty>,
    /// Calls that report success and do nothing (unmount, jail_update, jail_get_int, setgroups,
    /// cpuset_setaffinity, write to a file): broken on purpose, for tests of what tests see.
    pub lies: BTreeSet<&'static str>,
    /// The root file system has no room left: what would need some is refused with ENOSPC.
    pub is_full: bool,
    /// When nothing can happen any more, the first process is told to stop, as `service X stop` does it.
    pub stops_when_idle: bool,
    pub(super) order: Option<i32>,
    /// The place of every mount there ever was.
    pub(super) mounted: BTreeMap<i32, String>,
    pub clock_ms: u64,
    /// How long a program in a removed jail takes to be gone.
    pub death_delay_ms: u64,
    /// The devices that every devfs shows.
    pub devfs_root: u64,
    /// How processes ended, also those that init reaped.
    pub endings: BTreeMap<i32, Ending>,
    /// Processes that waited for what can't happen.
    pub stuck: Vec<i32>,
    pub(super) current: i32,
    pub(super) next: u64,
    pub(super) next_pid: i32,
    pub(super) next_jail: i32,
}

/// TTYDEF_* of sys/sys/ttydefaults.h, near enough.
pub const COOKED: Termios = Termios {
    input: 0x2b02,
    output: 0x3,
    control: 0x4b00,
    local: 0x5cb,
    characters: [0; 20],
    speeds: (9600, 9600),
};

pub const ROOT: Place = Place { mount: 1, inode: 1 };

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    /// "/" alone, on a file system of its own.
    pub fn new() -> World {
        let mut world = World {
            inodes: BTreeMap::new(),
            mounts: Vec::new(),
            processes: BTreeMap::new(),
            descriptions: BTreeMap::new(),
            locks: Vec::new(),
            jails: BTreeMap::new(),
            devfs_rules: BTreeMap::new(),
            interfaces: BTreeSet::new(),
            addresses: Vec::new(),
            sysctls: BTreeMap::new(),
            users: Vec::new(),
            groups: BTreeMap::new(),
            rctl_rules: Vec::new(),
            behaviours: BTreeMap::new(),
            answers: BTreeMap::new(),
            packages: Vec::new(),
            listens: BTreeMap::new(),
            executed: Vec::new(),
            syslog: Vec::new(),
            stderr: Vec::new(),
            output: Vec::new(),
            terminal: COOKED,
            ptys: BTreeMap::new(),
            lies: BTreeSet::new(),
            is_full: false,
            stops_when_idle: false,
            order: None,
            mounted: BTreeMap::new(),
            clock_ms: 1_000,
            death_delay_ms: 1,
            devfs_root: 2,
            endings: BTreeMap::new(),
            stuck: Vec::new(),
            current: 0,
            next: 10,
            next_pid: 1000,
            next_jail: 1,
        };
        world
            .inodes
            .insert(1, Inode::new(FileKind::Directory, 0o755, 0, 0, 1));
        world
            .inodes
            .insert(2, Inode::new(FileKind::Directory, 0o555, 0, 0, 2));
        world.mounts.push(Mount {
            id: 1,
            covered: None,
            root: 1,
            lower: None,
            kind: "zfs".into(),
            filesystem: None,
            flags: MountFlags::default(),
            from: "zroot/ROOT/default".into(),
            on: "/".into(),
            rules: Vec::new(),
        });
        world
    }

    pub(super) fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn process(&self, pid: i32) -> Res<&Process> {
        self.processes.get(&pid).ok_or_else(|| Errno::ESRCH.into())
    }

    pub(super) fn process_mut(&mut self, pid: i32) -> Res<&mut Process> {
        self.processes
            .get_mut(&pid)
            .ok_or_else(|| Errno::ESRCH.into())
    }

    pub(super) fn inode(&self, id: u64) -> Res<&Inode> {
        self.inodes.get(&id).ok_or_else(|| Errno::ENOENT.into())
    }

    pub(super) fn inode_mut(&mut self, id: u64) -> Res<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| Errno::ENOENT.into())
    }

    /// ENXIO for what a forced unmount took away.
    pub(super) fn mount(&self, id: i32) -> Res<&Mount> {
        self.mounts
            .iter()
            .find(|mount| mount.id == id)
            .ok_or_else(|| Errno::ENXIO.into())
    }

    /// uid 0, and not in a jail that took its power.
    pub(super) fn is_privileged(&self, pid: i32) -> bool {
        let Some(process) = self.processes.get(&pid) else {
            return false;
        };
        let suser = process
            .jail
            .and_then(|id| self.jails.get(&id))
            .is_none_or(|jail| jail.allow.contains("suser"));
        process.credentials.uid.effective == 0 && suser
    }

    /// For what no jail may do: mounts, jails, addresses, rules.
    pub(super) fn need_host_root(&self, pid: i32) -> Res<()> {
        let jailed = self.process(pid)?.jail.is_some();
        if jailed || !self.is_privileged(pid) {
            Err(Errno::EPERM.into())
        } else {
            Ok(())
        }
    }

    pub(super) fn need_root(&self, pid: i32) -> Res<()> {
        if self.is_privileged(pid) {
            Ok(())
        } else {
            Err(Errno::EPERM.into())
        }
    }
}

impl Inode {
    pub fn new(kind: FileKind, mode: u32, uid: u32, gid: u32, parent: u64) -> Inode {
        let links = if kind == FileKind::Directory { 2 } else { 1 };
        Inode {
            kind,
            mode,
            uid,
            gid,
            links,
            ctime: (1_700_000_000, 0),
            data: Arc::default(),
            children: BTreeMap::new(),
            parent,
            extended_acl: false,
        }
    }
}
