//! The seam below all logic: one method per system call, named as its manual page names it, with
//! domain types in and a [`Failure`] out. No policy lives below this line: a method that needs an
//! `if` about anything but marshalling or errno belongs above it.
//!
//! Two implementations: `freebsd::FreeBsd`, the only place with `unsafe`, and `crate::sim::Sim`, a
//! simulated kernel for rehearsals and tests. `tests/conformance.rs` holds both to the same facts.

pub mod attack;
pub mod errno;
mod failure;
#[cfg(target_os = "freebsd")]
pub mod freebsd;
mod listener;
mod processors;
pub mod rights;
mod rlimit;
mod socket;

pub use errno::Errno;
pub use failure::{Failure, Outcome};
pub use listener::{Listener, Protocol};
pub use processors::CpusOf;
pub use rights::Rights;
pub use rlimit::Rlimit;
pub use socket::{SocketAddress, SocketKind, SocketOption};

use std::net::IpAddr;
use std::sync::Arc;

/// A descriptor number of the calling process. Copyable on purpose: who closes what is decided by the
/// launch, and the simulated kernel reports every descriptor that outlives its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fd(pub i32);

/// Where a relative path starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// AT_FDCWD; only absolute paths are used with it.
    Cwd,
    Dir(Fd),
}

/// What openat(2) is asked for. All carry O_CLOEXEC; all but `Device` and `Append` carry O_NOFOLLOW.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// O_RDONLY | O_DIRECTORY
    Directory,
    /// O_RDONLY | O_NONBLOCK: a fifo or device that pretends to be a profile never blocks us.
    Read,
    /// O_EXEC: for fexecve(2), of what need not be readable.
    Execute,
    /// O_PATH: names a file for fstat(2) without opening it.
    Path,
    /// O_RDWR | O_CREAT | O_APPEND with a mode: lock files and journals.
    ReadWriteCreate(u32),
    /// O_WRONLY | O_CREAT | O_EXCL with a mode: mount points of files.
    CreateNew(u32),
    /// O_RDWR of a device node such as /dev/null, following links.
    Device,
    /// O_RDWR | O_NOCTTY: the slave of a pseudo-terminal.
    Terminal,
    /// O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK with a mode: a log that a service's output goes to.
    Append(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Fifo,
    Socket,
}

/// The part of struct stat that decisions rest on. `mode` holds the permission bits with set-id and
/// sticky (07777); `ctime` is seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub kind: FileKind,
    pub device: u64,
    pub inode: u64,
    pub mode: u32,
    pub links: u64,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub ctime: (i64, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlink {
    File,
    Directory,
}

/// flock(2), never blocking: EAGAIN when somebody else holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    Shared,
    Exclusive,
}

/// Flags of a mount, as statfs(2) gives them back and nmount(2) takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct MountFlags {
    pub read_only: bool,
    pub nosuid: bool,
    pub noexec: bool,
    pub nosymfollow: bool,
}

impl MountFlags {
    /// Those that are set, in mount(8)'s words.
    pub fn words(&self) -> Vec<&'static str> {
        let all = [
            (self.read_only, "ro"),
            (self.nosuid, "nosuid"),
            (self.noexec, "noexec"),
            (self.nosymfollow, "nosymfollow"),
        ];
        let set = all.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, word)| word).collect()
    }
}

/// One nmount(2). `MNT_IGNORE` is set on all but updates' absence: df(1) needn't list dozens of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nmount {
    pub filesystem: Filesystem,
    /// Absolute.
    pub target: String,
    pub flags: MountFlags,
    /// MNT_UPDATE. The whole flag set is given again, since the kernel drops what isn't repeated.
    pub update: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// `sockets`: what is bound in the source can be connected to. Otherwise `nounixbypass` is asked
    /// for; a kernel that has never heard of it ignores it, as nullfs does with all it doesn't know.
    Nullfs {
        source: String,
        sockets: bool,
    },
    /// Bytes and inode count; `owner` and `group` need a real uid of 0 (sys/fs/tmpfs/tmpfs_vfsops.c).
    Tmpfs {
        size: u64,
        inodes: u64,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    Devfs {
        ruleset: u16,
    },
}

impl Filesystem {
    /// f_fstypename.
    pub fn name(&self) -> &'static str {
        match self {
            Filesystem::Nullfs { .. } => "nullfs",
            Filesystem::Tmpfs { .. } => "tmpfs",
            Filesystem::Devfs { .. } => "devfs",
        }
    }
}

/// f_fsid: names a mount while it is mounted, and may be used again after (so a delayed unmount also
/// compares type and path).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fsid(pub i32, pub i32);

/// The part of struct statfs that is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statfs {
    pub fsid: Fsid,
    pub flags: MountFlags,
    pub kind: String,
    pub from: String,
    pub on: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// One rule of a devfs ruleset (devfs(8)): `hide` without a pattern hides everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevfsRule {
    pub ruleset: u16,
    pub number: u16,
    /// A node's name or pattern; `None` applies to every node.
    pub pattern: Option<String>,
    pub act: DevfsAct,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DevfsAct {
    Hide,
    Unhide,
    /// Includes, owners, modes: something that no ruleset of ours holds.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JailId(pub i32);

/// A jail that was created: its id, and the owning descriptor whose last close removes it
/// (JAIL_OWN_DESC, sys/kern/kern_jaildesc.c). Close-on-exec is set by the seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnedJail {
    pub id: JailId,
    pub descriptor: Fd,
}

/// A value for jail_set(2). Booleans go by name alone ("allow.noraw_sockets"): their value is ignored
/// by the kernel, so none can be given here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JailValue {
    Flag,
    Int(i32),
    /// unsigned long: host.hostid alone.
    Long(u64),
    Text(String),
    Addresses(Vec<IpAddr>),
}

impl JailValue {
    /// A parameter as jail(8) takes it.
    pub fn assigned_to(&self, name: &str) -> String {
        match self {
            JailValue::Flag => name.to_string(),
            JailValue::Int(number) => format!("{name}={number}"),
            JailValue::Long(number) => format!("{name}={number}"),
            JailValue::Text(text) => format!("{name}={text}"),
            JailValue::Addresses(list) => {
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                format!("{name}={}", list.join(","))
            }
        }
    }
}

pub type JailParameters = Vec<(String, JailValue)>;

/// JAIL_SYS_DISABLE, JAIL_SYS_NEW, JAIL_SYS_INHERIT (sys/sys/jail.h).
pub const JAIL_SYS_DISABLE: i32 = 0;
pub const JAIL_SYS_NEW: i32 = 1;
pub const JAIL_SYS_INHERIT: i32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(pub i32);

/// Real, effective and saved ids, of users or of groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
}

impl Ids {
    pub fn all(id: u32) -> Ids {
        Ids {
            real: id,
            effective: id,
            saved: id,
        }
    }
}

/// How a process ended (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    Signalled(i32),
}

/// What wait4(2) with WUNTRACED reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    Ended(Ending),
    /// Stopped by this signal, and still there.
    Stopped(i32),
}

/// A process as procctl(2)'s PROC_REAP_GETPIDS lists it for its reaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descendant {
    pub pid: Pid,
    /// REAPER_PIDINFO_CHILD: a child of the reaper's own.
    pub is_child: bool,
    /// REAPER_PIDINFO_ZOMBIE or REAPER_PIDINFO_EXITING.
    pub is_ending: bool,
}

/// The part of kinfo_proc (sysctl kern.proc.pid) that signals are sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// 0: not in a jail below ours.
    pub jail: JailId,
    /// When it began, in microseconds since the epoch.
    pub started_us: i64,
}

/// termios(4)'s structure, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Termios {
    pub input: u32,
    pub output: u32,
    pub control: u32,
    pub local: u32,
    pub characters: [u8; 20],
    pub speeds: (u32, u32),
}

/// OPOST of `Termios::output` (sys/sys/_termios.h): output processing.
pub const OPOST: u32 = 1;

/// struct winsize: rows, columns, and pixels of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
    pub x_pixels: u16,
    pub y_pixels: u16,
}

/// passwd(5), without what nobody here may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

/// Something to watch in a kqueue(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// EVFILT_SIGNAL; the signal is blocked, so that it waits for us.
    Signal(i32),
    /// EVFILT_READ.
    Readable(Fd),
    /// EVFILT_WRITE.
    Writable(Fd),
    /// EVFILT_JAILDESC with NOTE_JAIL_REMOVE, which also reports a jail that has gone already.
    Jail(Fd),
    /// EVFILT_VNODE with NOTE_DELETE, once: a file loses a name.
    Unlinked(Fd),
}

/// What kevent(2) reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Signal(i32),
    Readable(Fd),
    Writable(Fd),
    JailGone(Fd),
    Unlinked(Fd),
}

/// RLIMIT_* of setrlimit(2), by login.conf(5)'s word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    Cputime,
    Filesize,
    Datasize,
    Stacksize,
    Coredumpsize,
    Memoryuse,
    Memorylocked,
    Maxproc,
    Openfiles,
    Sbsize,
    Vmemoryuse,
    Pseudoterminals,
    Swapuse,
    Kqueues,
    Umtxp,
    Pipebuf,
}

impl Limit {
    pub const ALL: [Limit; 16] = [
        Limit::Cputime,
        Limit::Filesize,
        Limit::Datasize,
        Limit::Stacksize,
        Limit::Coredumpsize,
        Limit::Memoryuse,
        Limit::Memorylocked,
        Limit::Maxproc,
        Limit::Openfiles,
        Limit::Sbsize,
        Limit::Vmemoryuse,
        Limit::Pseudoterminals,
        Limit::Swapuse,
        Limit::Kqueues,
        Limit::Umtxp,
        Limit::Pipebuf,
    ];
}

/// RLIM_INFINITY.
pub const UNLIMITED: u64 = i64::MAX as u64;

/// procctl(2) commands that confine a process, in proccontrol(1)'s words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Procctl {
    /// PROC_NO_NEW_PRIVS_CTL
    NoNewPrivs,
    /// PROC_TRACE_CTL, PROC_TRACE_CTL_DISABLE_EXEC
    NoTrace,
    /// PROC_ASLR_CTL, PROC_ASLR_FORCE_ENABLE
    Aslr,
    /// PROC_PROTMAX_CTL, PROC_PROTMAX_FORCE_ENABLE
    Protmax,
    /// PROC_WXMAP_CTL, PROC_WX_MAPPINGS_DISALLOW_EXEC
    NoWxMap,
    /// PROC_TRAPCAP_CTL: SIGTRAP on what capability mode refuses.
    TrapCap,
    /// PROC_LOGSIGEXIT_CTL: deaths by signals are logged.
    LogSigExit,
}

/// Flags of an address to add: an IPv6 alias is given IN6_IFF_NODAD, or it couldn't be bound for a
/// second (sys/netinet6/in6_pcb.c).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias {
    pub interface: String,
    pub address: IpAddr,
    pub prefix: u8,
}

/// syslog(3) priorities that are used (LOG_AUTHPRIV).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
}

/// The system calls. Every method may fail with any errno of its manual page; only the surprising
/// ones are named. Descriptors that a method returns are close-on-exec.
pub trait Kernel: Sized {
    /// What a successful execve is: nothing that returns on FreeBSD, a record in the simulator.
    type Executed;

    // Who we are.
    fn getresuid(&mut self) -> Outcome<Ids>;
    fn getresgid(&mut self) -> Outcome<Ids>;
    fn getgroups(&mut self) -> Outcome<Vec<u32>>;
    fn getpid(&mut self) -> Pid;
    /// sysctlbyname(3) of an int; ENOENT where the running kernel has no such node.
    fn sysctl_int(&mut self, name: &str) -> Outcome<i64>;
    /// sysctlbyname(3) of a string, without its NUL.
    fn sysctl_text(&mut self, name: &str) -> Outcome<String>;
    /// sysctlbyname(3) of kern.boot_id, 16 bytes of any value, in hexadecimal. ENXIO before the kernel
    /// has random numbers, EINVAL for another length.
    fn boot_id(&mut self) -> Outcome<String>;
    /// unsetenv(3) of every variable: nothing of a caller's is left for the C library to read.
    fn clear_environment(&mut self);
    /// clock_gettime(CLOCK_MONOTONIC), in milliseconds.
    fn monotonic_ms(&mut self) -> u64;
    /// clock_gettime(CLOCK_REALTIME): seconds and nanoseconds, the clock that file times come from.
    fn realtime(&mut self) -> (i64, i64);

    // Accounts of the host, by getpwnam_r(3) and its kin. `None`: no such account.
    fn getpwnam(&mut self, name: &str) -> Outcome<Option<User>>;
    fn getpwuid(&mut self, uid: u32) -> Outcome<Option<User>>;
    /// The gid of a group.
    fn getgrnam(&mut self, name: &str) -> Outcome<Option<u32>>;
    /// The name of a group.
    fn getgrgid(&mut self, gid: u32) -> Outcome<Option<String>>;

    // Files.
    fn openat(&mut self, at: At, path: &str, how: Open) -> Outcome<Fd>;
    fn close(&mut self, fd: Fd) -> Outcome<()>;
    fn fstat(&mut self, fd: Fd) -> Outcome<Stat>;
    /// fstatat(2) with AT_SYMLINK_NOFOLLOW.
    fn lstatat(&mut self, at: At, path: &str) -> Outcome<Stat>;
    /// True when the file's ACL says no more than its mode (acl_is_trivial_np(3)); asked only of
    /// NFSv4 ACLs, since a POSIX.1e ACL's mask shows in the group bits of the mode.
    fn acl_is_trivial(&mut self, fd: Fd) -> Outcome<bool>;
    /// The text of a symbolic link; EILSEQ where it isn't UTF-8.
    fn readlinkat(&mut self, at: At, path: &str) -> Outcome<String>;
    fn read(&mut self, fd: Fd, buffer: &mut [u8]) -> Outcome<usize>;
    fn pread(&mut self, fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize>;
    fn write(&mut self, fd: Fd, bytes: &[u8]) -> Outcome<usize>;
    fn mkdirat(&mut self, at: At, path: &str, mode: u32) -> Outcome<()>;
    fn symlinkat(&mut self, target: &str, at: At, path: &str) -> Outcome<()>;
    fn unlinkat(&mut self, at: At, path: &str, what: Unlink) -> Outcome<()>;
    fn fchown(&mut self, fd: Fd, uid: u32, gid: u32) -> Outcome<()>;
    fn fchmod(&mut self, fd: Fd, mode: u32) -> Outcome<()>;
    fn ftruncate(&mut self, fd: Fd, size: u64) -> Outcome<()>;
    /// Names in a directory, without "." and "..", in no order (getdirentries(2)).
    fn readdir(&mut self, directory: Fd) -> Outcome<Vec<String>>;
    fn flock(&mut self, fd: Fd, lock: Lock) -> Outcome<()>;
    /// fcntl(F_GETLK): whether somebody else holds a lock of any kind on the file; takes none.
    fn is_locked(&mut self, fd: Fd) -> Outcome<bool>;
    fn chdir(&mut self, path: &str) -> Outcome<()>;
    fn umask(&mut self, mask: u32);
    fn isatty(&mut self, fd: Fd) -> bool;

    // Descriptors.
    /// dup2(2); the new one is close-on-exec only as asked.
    fn dup2(&mut self, from: Fd, to: Fd, keep_at_exec: bool) -> Outcome<()>;
    /// fcntl(F_DUPFD_CLOEXEC): the lowest free number that is at least `least`.
    fn dup_from(&mut self, from: Fd, least: i32) -> Outcome<Fd>;
    fn closefrom(&mut self, lowest: i32);
    /// A connected pair of stream sockets (socketpair(2), AF_UNIX).
    fn socketpair(&mut self) -> Outcome<(Fd, Fd)>;
    /// bindat(2) of a local socket: its name has the mode 0777 less the umask. EADDRINUSE where there is
    /// something; ENAMETOOLONG beyond 103 bytes.
    fn bindat(&mut self, at: At, path: &str, socket: Fd) -> Outcome<()>;
    /// pipe2(2): the end to read from, and the one to write to.
    fn pipe(&mut self) -> Outcome<(Fd, Fd)>;
    /// write(2) to what somebody else holds the other end of: EAGAIN where nothing can be written at
    /// once, EINTR where it took longer than half a second after all.
    fn write_briefly(&mut self, fd: Fd, bytes: &[u8]) -> Outcome<usize>;
    /// Whether it is a socket of another family than inet and inet6 (getsockname(2)): over one of those,
    /// whoever holds the other end hands over descriptors.
    fn is_local_socket(&mut self, fd: Fd) -> bool;
    /// fcntl(F_SETFL, O_NONBLOCK): only of a description that nobody else shares.
    fn set_nonblocking(&mut self, fd: Fd) -> Outcome<()>;

    // Sockets.
    fn socket(&mut self, kind: SocketKind) -> Outcome<Fd>;
    fn setsockopt(&mut self, fd: Fd, option: SocketOption) -> Outcome<()>;
    /// Of a path: made with mode 0777 less the umask. EADDRINUSE where something has the name.
    fn bind(&mut self, fd: Fd, address: &SocketAddress) -> Outcome<()>;
    fn listen(&mut self, fd: Fd, backlog: u32) -> Outcome<()>;
    /// ECONNREFUSED where nobody has the socket at a path open any more; EPROTOTYPE where somebody has,
    /// and it is one of another kind (unp_connectat in sys/kern/uipc_usrreq.c).
    fn connect(&mut self, fd: Fd, address: &SocketAddress) -> Outcome<()>;
    /// lchown(2), the group left as it is.
    fn lchown(&mut self, path: &str, uid: u32) -> Outcome<()>;

    // Capability mode (capsicum(4)).
    /// ENOTCAPABLE where the descriptor hasn't all of these.
    fn cap_rights_limit(&mut self, fd: Fd, rights: Rights) -> Outcome<()>;
    /// CAP_FCNTL_*.
    fn cap_fcntls_limit(&mut self, fd: Fd, fcntls: u32) -> Outcome<()>;
    fn cap_ioctls_limit(&mut self, fd: Fd, commands: &[u64]) -> Outcome<()>;
    /// For good, and for whatever is executed after.
    fn cap_enter(&mut self) -> Outcome<()>;
    /// In capability mode, of a file that names an interpreter: no error, but death by SIGABRT
    /// (elf_load_file in sys/kern/imgact_elf.c).
    fn fexecve(
        &mut self,
        program: Fd,
        arguments: &[String],
        environment: &[String],
    ) -> Outcome<Self::Executed>;

    // Terminals (tty(4), pts(4)).
    /// posix_openpt(2): the master of a new pseudo-terminal.
    fn posix_openpt(&mut self) -> Outcome<Fd>;
    /// ptsname(3): the path of its slave.
    fn ptsname(&mut self, master: Fd) -> Outcome<String>;
    fn tcgetattr(&mut self, terminal: Fd) -> Outcome<Termios>;
    /// With TCSADRAIN: what was written before is shown as it was meant.
    fn tcsetattr(&mut self, terminal: Fd, attributes: &Termios) -> Outcome<()>;
    /// cfmakeraw(3).
    fn cfmakeraw(&mut self, attributes: &Termios) -> Termios;
    /// TIOCGWINSZ.
    fn tcgetwinsize(&mut self, terminal: Fd) -> Outcome<WindowSize>;
    /// TIOCSWINSZ: SIGWINCH for the terminal's foreground processes.
    fn tcsetwinsize(&mut self, terminal: Fd, size: WindowSize) -> Outcome<()>;
    /// The foreground process group of the terminal.
    fn tcgetpgrp(&mut self, terminal: Fd) -> Outcome<Pid>;
    fn getpgrp(&mut self) -> Pid;
    /// setpgid(2): a process group of our own.
    fn setpgid(&mut self) -> Outcome<()>;
    /// tcsetpgrp(3): our process group is in the terminal's foreground.
    fn tcsetpgrp(&mut self, terminal: Fd) -> Outcome<()>;
    /// TIOCSCTTY: the terminal becomes the session's, of which we are the leader.
    fn tiocsctty(&mut self, terminal: Fd) -> Outcome<()>;

    // Mounts.
    fn nmount(&mut self, mount: &Nmount) -> Outcome<()>;
    fn statfs(&mut self, path: &str) -> Outcome<Statfs>;
    /// getfsstat(2) with MNT_NOWAIT. Walks every mount of the system: not for the road of a launch.
    fn getfsstat(&mut self) -> Outcome<Vec<Statfs>>;
    /// unmount(2) by MNT_BYFSID.
    fn unmount(&mut self, mount: Fsid, force: Force) -> Outcome<()>;

    // devfs rulesets (sys/fs/devfs/devfs_rule.c), through an open directory of any devfs.
    fn devfs_radd(&mut self, rule: &DevfsRule) -> Outcome<()>;
    /// DEVFSIO_RGETNEXT: the rule after number `after`; `None` at the end (ENOENT).
    fn devfs_rgetnext(&mut self, ruleset: u16, after: u16) -> Outcome<Option<DevfsRule>>;
    fn devfs_rdel(&mut self, ruleset: u16, number: u16) -> Outcome<()>;

    // Jails.
    /// jail_set(2) with JAIL_CREATE | JAIL_OWN_DESC.
    fn jail_create(&mut self, parameters: &JailParameters) -> Outcome<OwnedJail>;
    /// jail_set(2) with JAIL_UPDATE | JAIL_USE_DESC.
    fn jail_update(&mut self, jail: Fd, parameters: &JailParameters) -> Outcome<()>;
    /// jail_get(2) of one boolean or int parameter, by name, of the jail that a descriptor names.
    fn jail_get_int(&mut self, jail: Fd, name: &str) -> Outcome<i32>;
    /// jail_get(2) by name: the id of a jail that isn't dying.
    fn jail_find(&mut self, name: &str) -> Outcome<Option<JailId>>;
    /// jail_get(2) by name with JAIL_GET_DESC: a descriptor of a jail that somebody else owns.
    fn jail_open(&mut self, name: &str) -> Outcome<Option<(JailId, Fd)>>;
    fn jail_attach(&mut self, id: JailId) -> Outcome<()>;
    /// jail_attach_jd(2): the right to attach is that of whoever opened the descriptor, so that a
    /// process can give up root first (sys/kern/kern_jaildesc.c).
    fn jail_attach_jd(&mut self, jail: Fd) -> Outcome<()>;
    /// jail_remove_jd(2): every process in the jail is sent SIGKILL; returns before they are gone.
    fn jail_remove(&mut self, jail: Fd) -> Outcome<()>;
    fn cpuset_getaffinity(&mut self, whose: CpusOf) -> Outcome<Vec<u32>>;
    /// Of a jail's root set (CPU_WHICH_JAIL), now and for whoever attaches later. EINVAL where the host's
    /// hasn't all of them, EDEADLK for none.
    fn cpuset_setaffinity(&mut self, jail: JailId, cpus: &[u32]) -> Outcome<()>;

    // Addresses.
    /// `None`: there is no such interface.
    fn if_nametoindex(&mut self, name: &str) -> Outcome<Option<u32>>;

    /// Every address of every interface (getifaddrs(3)).
    fn getifaddrs(&mut self) -> Outcome<Vec<Alias>>;
    /// SIOCAIFADDR or SIOCAIFADDR_IN6. Adding one that is there changes it and returns no error.
    fn add_address(&mut self, alias: &Alias) -> Outcome<()>;
    /// SIOCDIFADDR or SIOCDIFADDR_IN6. EADDRNOTAVAIL when it isn't there.
    fn delete_address(&mut self, alias: &Alias) -> Outcome<()>;

    /// Who listens where (sysctl net.inet.tcp.pcblist, net.inet.udp.pcblist, kern.file). EINVAL from a
    /// kernel whose lists look otherwise.
    fn listeners(&mut self) -> Outcome<Vec<Listener>>;

    // rctl(4). Rules as text; amounts are plain integers. ENOSYS where racct is off.
    fn rctl_add_rule(&mut self, rule: &str) -> Outcome<()>;
    /// Removes all rules that match a filter; ESRCH when none does.
    fn rctl_remove_rule(&mut self, filter: &str) -> Outcome<()>;
    /// rctl_get_racct(2): what a subject ("jail:NAME") uses, as "resource=amount,...". ENOSYS where
    /// racct is off.
    fn rctl_get_racct(&mut self, subject: &str) -> Outcome<String>;

    // Processes.
    /// fork(2). The child runs `child` and nothing else: it ends with the exit status that `child`
    /// gives back, unless it executed a program. The parent gets the child's pid.
    fn fork<F>(&mut self, child: F) -> Outcome<Pid>
    where
        F: FnOnce(&mut Self) -> Result<Self::Executed, i32> + Send + 'static;
    /// wait4(2) for a child, `None` for any: with WNOHANG when `block` is false (then `Ok(None)` if
    /// none has ended). ECHILD when there is none.
    fn waitpid(&mut self, pid: Option<Pid>, block: bool) -> Outcome<Option<(Pid, Ending)>>;
    /// wait4(2) for any child with WNOHANG | WUNTRACED: `None` if none has ended or stopped.
    fn waitpid_untraced(&mut self) -> Outcome<Option<(Pid, Waited)>>;
    /// PROC_REAP_GETPIDS: every descendant of ours, if we are a reaper.
    fn procctl_reap_getpids(&mut self) -> Outcome<Vec<Descendant>>;
    /// sysctl(3) kern.proc.pid; `None` when there is no such process.
    fn process_info(&mut self, pid: Pid) -> Outcome<Option<ProcessInfo>>;
    fn kill(&mut self, pid: Pid, signal: i32) -> Outcome<()>;
    /// Sets the signal's default action, unblocks it, and sends it to ourselves. Returns only if that
    /// didn't end us.
    fn raise_default(&mut self, signal: i32);
    fn setsid(&mut self) -> Outcome<()>;
    fn setgroups(&mut self, groups: &[u32]) -> Outcome<()>;
    fn setresgid(&mut self, ids: Ids) -> Outcome<()>;
    fn setresuid(&mut self, ids: Ids) -> Outcome<()>;
    fn setlogin(&mut self, name: &str) -> Outcome<()>;
    fn setpriority(&mut self, nice: i32) -> Outcome<()>;
    fn setfib(&mut self, fib: i32) -> Outcome<()>;
    /// For rctl(4)'s rules for login classes.
    fn setloginclass(&mut self, name: &str) -> Outcome<()>;
    /// ENOSYS for a limit that this kernel doesn't know.
    fn getrlimit(&mut self, limit: Limit) -> Outcome<Rlimit>;
    fn setrlimit(&mut self, limit: Limit, amount: Rlimit) -> Outcome<()>;
    /// ktrace(2) by KTROP_SET: what capability mode would refuse of a process and of all that it forks from
    /// now on (KTRFAC_CAPFAIL, KTRFAC_NAMEI, KTRFAC_STRUCT, KTRFAC_INHERIT). Behind a file's end, up to the
    /// caller's own limit of a file's size.
    fn ktrace(&mut self, file: &str, pid: Pid) -> Outcome<()>;
    fn procctl(&mut self, control: Procctl) -> Outcome<()>;
    /// The matching *_STATUS command: true when the control is in force or armed.
    fn procctl_status(&mut self, control: Procctl) -> Outcome<bool>;
    /// Takes back what a caller may have set on himself and we would inherit: the control's command
    /// with its NOFORCE, DISABLE or ENABLE value. EINVAL where the kernel has no such control.
    fn procctl_default(&mut self, control: Procctl) -> Outcome<()>;
    /// rtprio(2) with RTP_PRIO_NORMAL.
    fn rtprio_normal(&mut self) -> Outcome<()>;
    /// cpuset_setid(2): back to the root set of processors, whatever cpuset(1) chose.
    fn cpuset_root(&mut self) -> Outcome<()>;
    /// PROC_REAP_ACQUIRE: orphaned descendants become our children.
    fn procctl_reap_acquire(&mut self) -> Outcome<()>;
    /// Blocks all signals that can be (sigprocmask(2)) and gives ignored ones their default action.
    fn block_signals(&mut self) -> Outcome<()>;
    /// Every signal's default action and an empty mask: what a program expects at its start. Rust's
    /// runtime ignores SIGPIPE, and that would survive execve.
    fn reset_signals(&mut self) -> Outcome<()>;
    /// setitimer(2) zero for all three timers, which survive a set-user-ID exec.
    fn clear_timers(&mut self) -> Outcome<()>;
    fn execve(
        &mut self,
        program: &str,
        arguments: &[String],
        environment: &[String],
    ) -> Outcome<Self::Executed>;

    // Events.
    fn kqueue(&mut self) -> Outcome<Fd>;
    fn kevent_watch(&mut self, queue: Fd, watch: Watch) -> Outcome<()>;
    fn kevent_unwatch(&mut self, queue: Fd, watch: Watch) -> Outcome<()>;
    /// Waits for one event, `timeout_ms` at most; `None` when the time is over.
    fn kevent_wait(&mut self, queue: Fd, timeout_ms: Option<u64>) -> Outcome<Option<Event>>;
    /// Waits, and does nothing (nanosleep(2)).
    fn sleep_ms(&mut self, milliseconds: u64);

    // Words.
    /// One line to syslogd(8), LOG_AUTHPRIV, tag "jailrun", with our pid.
    fn syslog(&mut self, severity: Severity, line: &str) -> Outcome<()>;
    /// One message to syslogd(8) at a priority (facility | severity) of ours, with a tag and a pid.
    /// ENOBUFS when syslogd has no room; never waits.
    fn syslog_line(&mut self, priority: u32, tag: &str, pid: Pid, line: &str) -> Outcome<()>;
    /// One line to our standard error, if it takes it within a second. Never fails: there is nobody
    /// left to tell.
    fn complain(&mut self, line: &str);
}

/// Names of signals without SIG, by FreeBSD's numbers (sys/sys/signal.h).
pub mod signal {
    pub const HUP: i32 = 1;
    pub const INT: i32 = 2;
    pub const QUIT: i32 = 3;
    pub const TRAP: i32 = 5;
    pub const ABRT: i32 = 6;
    pub const KILL: i32 = 9;
    pub const PIPE: i32 = 13;
    pub const ALRM: i32 = 14;
    pub const TERM: i32 = 15;
    pub const STOP: i32 = 17;
    pub const TSTP: i32 = 18;
    pub const CONT: i32 = 19;
    pub const CHLD: i32 = 20;
    pub const WINCH: i32 = 28;
    pub const INFO: i32 = 29;
    pub const USR1: i32 = 30;
    pub const USR2: i32 = 31;

    const NAMES: [(&str, i32); 16] = [
        ("HUP", HUP),
        ("INT", INT),
        ("QUIT", QUIT),
        ("ABRT", ABRT),
        ("KILL", KILL),
        ("PIPE", PIPE),
        ("ALRM", ALRM),
        ("TERM", TERM),
        ("STOP", STOP),
        ("TSTP", TSTP),
        ("CONT", CONT),
        ("CHLD", CHLD),
        ("WINCH", WINCH),
        ("INFO", INFO),
        ("USR1", USR1),
        ("USR2", USR2),
    ];

    /// The number of a signal's name, with or without "SIG".
    pub fn by_name(name: &str) -> Option<i32> {
        let bare = name.strip_prefix("SIG").unwrap_or(name);
        NAMES
            .iter()
            .find(|(known, _)| *known == bare)
            .map(|(_, number)| *number)
    }

    pub fn name(number: i32) -> String {
        match NAMES.iter().find(|(_, known)| *known == number) {
            Some((name, _)) => (*name).to_string(),
            None => number.to_string(),
        }
    }
}

/// Shared by parent and child of a fork, so that nothing is copied twice.
pub type Shared<T> = Arc<T>;
