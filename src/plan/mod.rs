//! What a launch will do, as data: a list of steps, each with its one wording, and what the child does
//! once it is inside. Made from a permit and from what was found on the host; nothing is changed here.

pub mod capability;
pub mod child;
mod jail;
pub mod listing;
pub mod report;
pub mod socket;
pub mod tree;
pub mod writable;

use crate::closure::Closure;
use crate::error::Error;
use crate::kernel::Pid;
use crate::kernel::{Alias, Filesystem, JailParameters, Nmount, Stat};
use crate::login_conf::LoginClass;
use crate::permit::Permit;
use crate::profile::values::cpus;
use crate::profile::{Network, Profile, Supervise};
use capability::Capable;
pub use child::{ChildPlan, Then};
use socket::Socket;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tree::Tree;

/// Below it every instance has a directory of its own (0700).
pub const STATE: &str = "/var/run/jailrun";

/// What was found on the host, before anything was changed.
pub struct Host {
    /// What the programs need; `None` where the profile lists all of it.
    pub closure: Option<Closure>,
    /// Everything that the profile names and that must be there, by the profile's own paths.
    pub sources: BTreeMap<String, Granted>,
    /// File systems in granted directories.
    pub submounts: Vec<Submount>,
    /// What the files of `files` hold.
    pub contents: BTreeMap<String, Made>,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub user: String,
    /// The owners that tmpfs entries name, by name.
    pub owners: BTreeMap<String, u32>,
    /// allow.* parameters that the running kernel knows, without "allow.".
    pub allow_known: Vec<String>,
    /// A jail can carry words of ours.
    pub has_meta: bool,
    /// The ruleset that shows the profile's devices and nothing else.
    pub ruleset: u16,
    pub environment: BTreeMap<String, String>,
    /// What the profile's class of login.conf(5) says.
    pub login_class: Option<LoginClass>,
    /// Rules are added: there are some, and racct is on.
    pub rctl: bool,
    /// How the program runs in capability mode, where the profile says so.
    pub capable: Option<Capable>,
    /// Where libjailrun_preopen.so is, where the profile wants it.
    pub shim: Option<String>,
}

/// Something on the host that the profile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Where it really is.
    pub path: String,
    /// Links that lead there from the profile's path, each with its text.
    pub links: Vec<(String, String)>,
    pub stat: Stat,
    /// Whether every user of the host can get there, or could once its owner has opened it.
    pub is_enterable: bool,
}

/// A file system that is mounted in a granted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submount {
    pub path: String,
    /// The directory, by the profile's path.
    pub of: String,
    pub stat: Stat,
}

/// A file that is made in the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub content: Arc<[u8]>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Made {
    /// By everybody, and written by nobody.
    pub fn readable(content: Vec<u8>) -> Made {
        Made {
            content: content.into(),
            mode: 0o444,
            uid: 0,
            gid: 0,
        }
    }
}

/// Whether a path lies below another one, and isn't it.
pub fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
}

/// One thing to do. Its Display is the only wording there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The place of the skeleton.
    Root {
        path: String,
    },
    /// A directory in the skeleton; goes with the skeleton.
    Directory {
        path: String,
        mode: u32,
    },
    /// An empty file in the skeleton, to mount a file on; goes with the skeleton.
    MountPoint {
        path: String,
    },
    /// A file in the skeleton, with its content; goes with the skeleton.
    File {
        path: String,
        made: Made,
    },
    /// A socket of ours in the skeleton, that syslog(3) finds; its name goes with the skeleton.
    Socket {
        path: String,
    },
    /// A symbolic link in the skeleton; goes with the skeleton.
    Link {
        path: String,
        text: String,
    },
    /// A file of the skeleton that was needed to mount it elsewhere loses its name.
    Unlink {
        path: String,
    },
    Mount {
        mount: Nmount,
        source: Option<Source>,
    },
    /// The skeleton becomes read-only.
    Seal {
        mount: Nmount,
    },
    Address(Alias),
    /// Bound, and kept open through all starts of the service.
    Listen(Socket),
    Rctl {
        rule: String,
        filter: String,
    },
    Jail {
        name: String,
        parameters: JailParameters,
    },
    /// An empty file (0600) beside the journal, for the kernel to report into.
    Report {
        path: String,
    },
    /// The jail's processes run on these CPUs alone; the first comes after.
    Cpuset {
        cpus: Vec<u32>,
    },
}

/// What a nullfs mount must show, or the path was changed under us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub inode: u64,
    /// Compared only where nobody else writes: size and ctime of others' directories change.
    pub content: Option<(u64, (i64, i64))>,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Root { path } => write!(formatter, "make the root's directory {path}"),
            Step::Directory { path, mode } => {
                write!(formatter, "make the directory {path} (mode {mode:04o})")
            }
            Step::MountPoint { path } => write!(formatter, "make the mount point {path}"),
            Step::File { path, made } => write!(
                formatter,
                "make the file {path} ({} bytes, mode {:04o}, owner {}:{})",
                made.content.len(),
                made.mode,
                made.uid,
                made.gid
            ),
            Step::Socket { path } => write!(formatter, "bind the socket {path} (mode 0666)"),
            Step::Link { path, text } => write!(formatter, "make the link {path} to {text}"),
            Step::Unlink { path } => write!(formatter, "take the name {path} away"),
            Step::Mount { mount, .. } => mounting(formatter, mount),
            Step::Seal { mount } => write!(formatter, "make {} read-only", mount.target),
            Step::Address(alias) => write!(
                formatter,
                "add the address {}/{} to {}",
                alias.address, alias.prefix, alias.interface
            ),
            Step::Listen(socket) => write!(formatter, "{socket}"),
            Step::Rctl { rule, .. } => write!(formatter, "add the rctl rule {rule}"),
            Step::Jail { name, .. } => write!(formatter, "create the jail {name}"),
            Step::Report { path } => report::words(formatter, path),
            Step::Cpuset { cpus } => {
                write!(formatter, "keep the jail to the CPUs {}", cpus::words(cpus))
            }
        }
    }
}

fn mounting(formatter: &mut fmt::Formatter<'_>, mount: &Nmount) -> fmt::Result {
    match &mount.filesystem {
        Filesystem::Nullfs { source, sockets } => {
            let sockets = if *sockets { ", sockets" } else { "" };
            write!(
                formatter,
                "mount {source} at {} (nullfs{sockets}",
                mount.target
            )?
        }
        Filesystem::Tmpfs {
            size,
            mode,
            uid,
            gid,
            ..
        } => write!(
            formatter,
            "mount a tmpfs of {size} bytes at {} (tmpfs, mode {mode:04o}, owner {uid}:{gid}",
            mount.target
        )?,
        Filesystem::Devfs { ruleset } => write!(
            formatter,
            "mount devfs at {} (ruleset {ruleset}",
            mount.target
        )?,
    }
    let flags = &mount.flags;
    for (is_set, word) in [
        (flags.read_only, "read-only"),
        (flags.nosuid, "nosuid"),
        (flags.noexec, "noexec"),
        (flags.nosymfollow, "nosymfollow"),
    ] {
        if is_set {
            write!(formatter, ", {word}")?;
        }
    }
    formatter.write_str(")")
}

/// Made by [`Plan::new`] alone, from a permit.
///
/// ```compile_fail
/// use jailrun::plan::Plan;
/// fn skip(profile: jailrun::profile::Profile, host: jailrun::plan::Host) {
///     let _ = Plan::new(&profile, "www", &host);
/// }
/// ```
pub struct Plan {
    kept: Vec<Step>,
    steps: Vec<Step>,
    child: ChildPlan,
    label: String,
    may_be_root: bool,
    supervise: Supervise,
    writes: Vec<(String, bool)>,
    beside: Option<String>,
}

/// What an instance is called: its directory, and, behind "jailrun-", its jail. A one-off is told apart
/// by its supervisor's pid, behind a sign that no name may have: whoever may run one can't take the place
/// of an instance. (`a@b` and a profile `a-b` do share a label: only one of them can run.)
pub fn label(profile: &str, instance: Option<&str>, one_off: Option<Pid>) -> String {
    match (one_off, instance) {
        (Some(pid), _) => format!("{profile}+{}", pid.0),
        (None, Some(instance)) => format!("{profile}-{instance}"),
        (None, None) => profile.to_string(),
    }
}

/// Where the root of an instance lies, in a directory of its own that can be covered.
pub fn place(label: &str) -> String {
    format!("{STATE}/{label}/jail")
}

pub fn root(label: &str) -> String {
    format!("{}/root", place(label))
}

pub fn jail_name(label: &str) -> String {
    format!("jailrun-{label}")
}

impl Plan {
    pub fn new(permit: &Permit, label: &str, host: &Host) -> Result<Plan, Error> {
        let profile = permit.profile();
        let place = place(label);
        let root = root(label);
        let jail = jail_name(label);
        let tree = Tree::of(profile, host)?;
        let mut steps = vec![
            Step::Root {
                path: place.clone(),
            },
            Step::Root { path: root.clone() },
            Step::Mount {
                mount: tree.skeleton(&root, false),
                source: None,
            },
        ];
        steps.extend(tree.steps(&root));
        steps.push(Step::Seal {
            mount: tree.skeleton(&root, true),
        });
        // Addresses that sockets are bound to stay while the service is started again.
        let sockets = sockets(permit, host);
        let mut kept = addresses(profile);
        match sockets.is_empty() {
            true => steps.append(&mut kept),
            false => kept.extend(sockets.iter().cloned().map(Step::Listen)),
        }
        steps.extend(jail::rules(profile, host, &jail));
        steps.extend(report::step(profile, label));
        let mut parameters = jail::parameters(profile, host, &jail, &root)?;
        parameters.extend(jail::meta(host, label, permit.instance()));
        steps.push(Step::Jail {
            name: jail.clone(),
            parameters,
        });
        steps.extend(cpuset(profile, host));
        // Over the place of the finished root: from the host no path leads into it, so that nothing that
        // walks /var/run (rc.d/cleanvar empties it) reaches a writable directory of the host through it.
        // Not over the root itself: mounted there, it would become the jail's (mountcheckdirs in
        // sys/kern/vfs_mount.c).
        steps.push(Step::Mount {
            mount: tree::cloak(&place),
            source: None,
        });
        Ok(Plan {
            kept,
            steps,
            child: child::plan(permit, host, &tree, &sockets)?,
            label: label.to_string(),
            may_be_root: profile.jail.allow.iter().any(|word| word == "suser"),
            supervise: profile.supervise.clone(),
            beside: permit.is_beside().then(|| {
                let name = label.split('+').next().unwrap_or(label);
                self::label(name, permit.instance(), None)
            }),
            writes: profile
                .root
                .rw
                .iter()
                .map(|writable| {
                    // What is mounted, by whatever link the profile comes to it.
                    let source = host.sources.get(&writable.path);
                    let path = source.map_or(&writable.path, |source| &source.path);
                    (path.clone(), writable.shared)
                })
                .collect(),
        })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same jail with nobody in it: its first process executes nothing.
    pub fn held(mut self) -> Plan {
        self.child.then = Then::Hold;
        self
    }

    /// What is done once, before the first start, and undone after the last.
    pub fn kept(&self) -> &[Step] {
        &self.kept
    }

    pub fn child(&self) -> &ChildPlan {
        &self.child
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// How it is watched, stopped and started again.
    pub fn supervise(&self) -> &Supervise {
        &self.supervise
    }

    /// The addresses that are added, as "IF-ADDRESS".
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.kept
            .iter()
            .chain(&self.steps)
            .filter_map(|step| match step {
                Step::Address(alias) => Some(format!("{}-{}", alias.interface, alias.address)),
                _ => None,
            })
    }

    /// Paths of sockets that are made on the host.
    pub fn socket_paths(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().filter_map(|step| match step {
            Step::Listen(socket) => socket.address.path(),
            _ => None,
        })
    }

    /// Host directories that the service may write, and whether another instance may at once.
    pub fn writes(&self) -> &[(String, bool)] {
        &self.writes
    }

    /// The running service of an rc.d script's command, `nginx -t`: it is the same profile for the same user,
    /// and may write what that writes.
    pub fn is_beside(&self, label: &str) -> bool {
        self.beside.as_deref() == Some(label)
    }

    /// False: allow.nosuser is set before the program is executed.
    pub fn may_be_root(&self) -> bool {
        self.may_be_root
    }
}

fn cpuset(profile: &Profile, host: &Host) -> Option<Step> {
    let of_class = host
        .login_class
        .as_ref()
        .and_then(|class| class.cpus.as_ref());
    let cpus = profile.jail.cpuset.as_ref().or(of_class)?.clone();
    Some(Step::Cpuset { cpus })
}

/// Those that are added to an interface.
fn addresses(profile: &Profile) -> Vec<Step> {
    let networks = [&profile.jail.ip4, &profile.jail.ip6].into_iter();
    let addresses = networks.filter_map(|network| match network {
        Network::Addresses(addresses) => Some(addresses),
        _ => None,
    });
    let added = addresses.flatten().filter_map(|address| {
        Some(Step::Address(Alias {
            interface: address.interface.clone()?,
            address: address.address,
            prefix: address.prefix,
        }))
    });
    added.collect()
}

/// Those of the service's own start: a one-off command would take its connections.
fn sockets(permit: &Permit, host: &Host) -> Vec<Socket> {
    let listen = &permit.profile().listen;
    let wanted = listen.iter().filter(|_| !permit.is_one_off());
    wanted
        .map(|listen| {
            let owner = listen.owner.as_ref();
            Socket::new(
                listen,
                owner.and_then(|name| host.owners.get(name)).copied(),
            )
        })
        .collect()
}
