//! A profile: what a service may have, as checked values. Nothing here touches the system.
//! The only way to one is [`Profile::from_sources`].

pub mod diagnostic;
pub mod parse;
pub mod schema;
pub mod values;

use crate::kernel::{JailValue, Limit, Protocol, SocketAddress, SocketKind};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// What a profile says, after includes, with every default filled in. jailrun.toml(5) has the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub description: String,
    pub program: Option<String>,
    pub args: Vec<String>,
    /// Name or number.
    pub user: String,
    /// The user's own when absent.
    pub group: Option<String>,
    pub groups: Vec<String>,
    /// The class of login.conf(5) whose limits, umask, priority and CPUs hold where the profile has none.
    pub login_class: Option<String>,
    pub umask: Option<u32>,
    /// Inside the root.
    pub chdir: String,
    pub nice: Option<i32>,
    pub fib: Option<i32>,
    pub env: BTreeMap<String, String>,
    pub env_keep: Vec<String>,
    /// On the host, with the supervisor's pid.
    pub pidfile: Option<String>,
    /// The program daemonizes: it is ready when its first process has ended.
    pub forking: bool,
    pub access: Access,
    pub root: Root,
    pub jail: Jail,
    /// Sockets that the service finds open, in the order of their descriptors.
    pub listen: Vec<Listen>,
    /// login.conf(5)'s limits; `u64::MAX >> 1` (kernel::UNLIMITED) is "unlimited".
    pub limits: Vec<(Limit, u64)>,
    pub rctl: Rctl,
    pub proccontrol: Proccontrol,
    pub capsicum: Capsicum,
    pub supervise: Supervise,
    pub test: Test,
}

/// A socket that is bound before anything is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// For LISTEN_FDNAMES.
    pub name: String,
    pub kind: SocketKind,
    pub address: SocketAddress,
    pub backlog: u32,
    pub reuseport: bool,
    pub v6only: bool,
    /// Of the file of one that has a path.
    pub mode: u32,
    pub owner: Option<String>,
}

/// Whether the program runs in capability mode, and what helps it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capsicum {
    pub mode: Mode,
    /// libjailrun_preopen.so is loaded into it.
    pub preopen: bool,
    pub kill_children: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Off,
    /// As off, and what capability mode would refuse is recorded.
    Report,
    Enforce,
}

/// Why a service is refused that would be uid 0.
pub const ROOT: &str = "the service may be root only with \"suser\" in allow, where it writes nothing of the \
                        host's (rw, directories in sockets), for nobody in [access], and with no [[listen]] \
                        socket that others may connect to (mode, owner)";

/// Of a profile in capability mode.
pub const CLOSURE_OFF: &str = "mode = \"enforce\" needs closure = \"auto\": libraries are found by what the \
                               program needs";
pub const LOOKS_UP: &str = "names can't be looked up in capability mode: it refuses outgoing connections; leave \
                            /etc/resolv.conf out, or say mode = \"off\"";
pub const ANSWERS: &str = "a UDP server can't answer in capability mode: it may send to no address; mode = \"off\" \
                           can";
pub const RESOLVER: &str = "/etc/resolv.conf";

impl Profile {
    /// Why its text would be refused with mode = "enforce".
    pub fn against_enforcing(&self) -> Vec<&'static str> {
        let is_udp = |listen: &Listen| matches!(listen.kind, SocketKind::Udp | SocketKind::Udp6);
        let all = [
            (self.root.closure == Closure::Off, CLOSURE_OFF),
            (self.root.files.contains_key(RESOLVER), LOOKS_UP),
            (self.listen.iter().any(is_udp), ANSWERS),
        ];
        let found = all.into_iter().filter(|(is_so, _)| *is_so);
        found.map(|(_, words)| words).collect()
    }

    /// Root in a jail of its own, with nothing of the host to write and nobody to serve it for; what a
    /// package's script may write is checked where the profile is read.
    pub fn may_be_root(&self) -> bool {
        let has_host_sockets = self
            .root
            .sockets
            .iter()
            .any(|socket| *socket != Socket::Syslog);
        self.jail.allow.iter().any(|word| word == "suser")
            && (self.root.rw.is_empty() || self.root.root_writes)
            && !has_host_sockets
            && self.access.users.is_empty()
            && self.access.groups.is_empty()
            && !self.listen.iter().any(Listen::is_open_to_others)
    }
}

impl Listen {
    /// Whether others than root may connect over a path, which lets them hand descriptors in (unix(4),
    /// SCM_RIGHTS): connect(2) needs the permission to write.
    fn is_open_to_others(&self) -> bool {
        let is_of_root = self.owner.as_deref().is_none_or(values::is_root);
        self.kind.is_unix() && (self.mode & 0o022 != 0 || !is_of_root)
    }
}

/// Who besides root may run the profile.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Access {
    pub users: Vec<String>,
    pub groups: Vec<String>,
    pub any_command: bool,
    pub max: u32,
    pub instances: Vec<String>,
}

/// What exists inside. Every path is the same inside and on the host.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Root {
    pub closure: Closure,
    /// Further programs, which get all that they need like the one that is run.
    pub programs: Vec<String>,
    /// Patterns of libraries that programs open by themselves.
    pub libraries: Vec<String>,
    pub ro: Vec<String>,
    pub rw: Vec<Writable>,
    pub tmpfs: Vec<Tmpfs>,
    /// Files that are made, by their paths.
    pub files: BTreeMap<String, Content>,
    /// Files and directories of granted trees that are hidden.
    pub mask: Vec<String>,
    pub sockets: Vec<Socket>,
    pub devices: Vec<String>,
    /// Root inside may write what `rw` grants: a package's script, for that package.
    pub root_writes: bool,
    /// Whose directories a launch adds to `rw`.
    pub package: Option<Package>,
}

/// An installed package, by its name without a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    /// What is of it and isn't granted, and why: known when it was looked up.
    pub left_out: BTreeMap<String, String>,
}

/// Whether what programs need is worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Closure {
    #[default]
    Auto,
    Off,
}

/// A host directory that the service may write.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Writable {
    pub path: String,
    pub noexec: bool,
    pub nosymfollow: bool,
    /// Waives ownership of the directory itself, never of what leads to it.
    pub untrusted: bool,
    /// Other instances may hold it at the same time.
    pub shared: bool,
    /// What the directory must have.
    pub owner: Option<String>,
    pub mode: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    pub path: String,
    /// Bytes.
    pub size: u64,
    pub mode: u32,
    /// A user of the host; root when absent.
    pub owner: Option<String>,
    pub noexec: bool,
    pub nosymfollow: bool,
}

/// What a file that is made holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The accounts that the service needs, and no others.
    Synthetic,
    /// What the host's file holds at launch.
    Host,
    Text(String),
}

/// Sockets of the host that the service may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// /var/run/log, by way of a relay.
    Syslog,
    /// All that are in a directory.
    Directory(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Jail {
    pub ip4: Network,
    pub ip6: Network,
    pub hostname: Option<String>,
    /// allow.* names without "allow."; all others are turned off.
    pub allow: Vec<String>,
    pub securelevel: Option<i32>,
    pub enforce_statfs: i32,
    pub children_max: i32,
    /// sysvmsg, sysvsem, sysvshm: a JAIL_SYS_* value each.
    pub sysv: [i32; 3],
    /// The only CPUs that its processes run on, in order; all that the host gives to jails when absent.
    pub cpuset: Option<Vec<u32>>,
    /// Further parameters as jail_set(2) takes them, by the name that jail(8) knows: a kernel may have
    /// them or not.
    pub more: BTreeMap<&'static str, (String, JailValue)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Network {
    #[default]
    Disable,
    Inherit,
    Addresses(Vec<Address>),
}

/// An address, with the interface that it is added to where the profile names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub interface: Option<String>,
    pub address: IpAddr,
    /// 32 or 128 unless given.
    pub prefix: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rctl {
    /// resource=amount; the action is deny. Plain integers.
    pub rules: Vec<(String, u64)>,
    pub required: bool,
}

/// Each `true` is a restriction that is applied and read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proccontrol {
    pub no_new_privs: bool,
    pub no_trace: bool,
    pub aslr: bool,
    pub protmax: bool,
    pub no_wxmap: bool,
}

impl Proccontrol {
    /// Processes of the same user can trace each other.
    pub fn trace_is_open(&self) -> bool {
        !self.no_trace
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervise {
    pub restart: Restart,
    /// Seconds between an end and the next start.
    pub restart_delay: u64,
    /// Starts after the first, in a row, until it is given up. A service that ran for a minute begins
    /// to count anew.
    pub restart_count: u32,
    pub ready: Ready,
    pub stop_signal: i32,
    /// Seconds.
    pub stop_timeout: u64,
    pub output: Output,
    /// The facility of syslog(3), shifted as LOG_DAEMON is.
    pub syslog_facility: u32,
    /// The profile's name when absent.
    pub syslog_tag: Option<String>,
}

/// When a service that was started is ready, at the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// When it was executed.
    Exec,
    /// When processes in its jail listen on all that `Test::expect_open` names.
    Ports,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    Never,
    /// After an exit status other than 0, or a signal.
    OnFailure,
    Always,
}

/// Where standard output and error of the service go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The caller's own; nowhere when detached.
    Inherit,
    Syslog,
    /// Appended to; opened again after SIGHUP.
    File(String),
}

/// What holds of the service once it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Test {
    /// Attempts of `jailrunctl attest` that must succeed, each with the reason.
    pub attest_open: BTreeMap<String, String>,
    pub expect_open: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

impl std::fmt::Display for Port {
    /// As the profile has it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.protocol, self.address)
    }
}
