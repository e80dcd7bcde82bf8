//! What a launch will do, as data: a list of steps, each with its one wording, and what the child does
//! once it is inside. Made from a permit and from what was found on the host; nothing is changed here.

mod child;
mod jail;
mod tree;

use crate::error::Error;
use crate::kernel::{Alias, Filesystem, JailParameters, Limit, Nmount, Procctl, Stat};
use crate::permit::Permit;
use crate::profile::Network;
use std::collections::BTreeMap;
use std::fmt;

/// Below it every instance has a directory of its own (0700).
pub const STATE: &str = "/var/run/jailrun";

/// What was found on the host, before anything was changed.
pub struct Host {
    /// Each source of a mount, by its path.
    pub sources: BTreeMap<String, Stat>,
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub user: String,
    /// The owners that tmpfs entries name, by name.
    pub owners: BTreeMap<String, u32>,
    /// allow.* parameters that the running kernel knows, without "allow.".
    pub allow_known: Vec<String>,
    /// The ruleset that shows the profile's devices and nothing else.
    pub ruleset: u16,
    pub environment: BTreeMap<String, String>,
}

/// One thing to do. Its Display is the only wording there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The directory of the instance.
    Instance {
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
    Mount {
        mount: Nmount,
        source: Option<Source>,
    },
    /// The skeleton becomes read-only.
    Seal {
        mount: Nmount,
    },
    Address(Alias),
    Rctl {
        rule: String,
        filter: String,
    },
    Jail {
        name: String,
        parameters: JailParameters,
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
            Step::Instance { path } => write!(formatter, "make the instance's directory {path}"),
            Step::Directory { path, mode } => {
                write!(formatter, "make the directory {path} (mode {mode:04o})")
            }
            Step::MountPoint { path } => write!(formatter, "make the mount point {path}"),
            Step::Mount { mount, .. } => mounting(formatter, mount),
            Step::Seal { mount } => write!(formatter, "make {} read-only", mount.target),
            Step::Address(alias) => write!(
                formatter,
                "add the address {}/{} to {}",
                alias.address, alias.prefix, alias.interface
            ),
            Step::Rctl { rule, .. } => write!(formatter, "add the rctl rule {rule}"),
            Step::Jail { name, .. } => write!(formatter, "create the jail {name}"),
        }
    }
}

fn mounting(formatter: &mut fmt::Formatter<'_>, mount: &Nmount) -> fmt::Result {
    match &mount.filesystem {
        Filesystem::Nullfs { source, .. } => {
            write!(formatter, "mount {source} at {} (nullfs", mount.target)?
        }
        Filesystem::Tmpfs { size, .. } => write!(
            formatter,
            "mount a tmpfs of {size} bytes at {} (tmpfs",
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

/// What the child does between fork and exec.
#[derive(Clone, Debug)]
pub struct ChildPlan {
    pub program: String,
    /// The first is the name that the program is called by.
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    pub user: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
    pub chdir: String,
    pub nice: Option<i32>,
    pub fib: Option<i32>,
    pub limits: Vec<(Limit, u64)>,
    pub procctl: Vec<Procctl>,
}

/// Made by [`Plan::new`] alone, from a permit.
///
/// ```compile_fail
/// use jailrun::plan::Plan;
/// fn skip(profile: jailrun::profile::Profile, host: jailrun::plan::Host) {
///     let _ = Plan::new(&profile, "www", None, &host);
/// }
/// ```
pub struct Plan {
    steps: Vec<Step>,
    child: ChildPlan,
    /// The directory of the instance.
    directory: String,
    may_be_root: bool,
    stop_signal: i32,
    stop_timeout_seconds: u64,
}

impl Plan {
    pub fn new(
        permit: &Permit,
        name: &str,
        instance: Option<&str>,
        host: &Host,
    ) -> Result<Plan, Error> {
        let profile = permit.profile();
        let label = instance.map_or_else(|| name.to_string(), |which| format!("{name}-{which}"));
        let directory = format!("{STATE}/{label}");
        let root = format!("{directory}/root");
        let jail = format!("jailrun-{label}");
        let mut steps = vec![
            Step::Instance {
                path: directory.clone(),
            },
            Step::Directory {
                path: root.clone(),
                mode: 0o755,
            },
            Step::Mount {
                mount: tree::skeleton(&root, false),
                source: None,
            },
        ];
        steps.extend(tree::steps(profile, host, &root)?);
        steps.push(Step::Seal {
            mount: tree::skeleton(&root, true),
        });
        for network in [&profile.jail.ip4, &profile.jail.ip6] {
            if let Network::Addresses(addresses) = network {
                steps.extend(addresses.iter().filter_map(|address| {
                    Some(Step::Address(Alias {
                        interface: address.interface.clone()?,
                        address: address.address,
                        prefix: address.prefix,
                    }))
                }));
            }
        }
        for (resource, amount) in &profile.rctl.rules {
            steps.push(Step::Rctl {
                rule: format!("jail:{jail}:{resource}:deny={amount}"),
                filter: format!("jail:{jail}:{resource}"),
            });
        }
        let parameters = jail::parameters(profile, host, &jail, &root)?;
        steps.push(Step::Jail {
            name: jail,
            parameters,
        });
        Ok(Plan {
            steps,
            child: child::plan(permit, host)?,
            directory,
            may_be_root: profile.jail.allow.iter().any(|word| word == "suser"),
            stop_signal: profile.supervise.stop_signal,
            stop_timeout_seconds: profile.supervise.stop_timeout,
        })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn child(&self) -> &ChildPlan {
        &self.child
    }

    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// False: allow.nosuser is set before the program is executed.
    pub fn may_be_root(&self) -> bool {
        self.may_be_root
    }

    pub fn stop_signal(&self) -> i32 {
        self.stop_signal
    }

    pub fn stop_timeout_ms(&self) -> u64 {
        self.stop_timeout_seconds.saturating_mul(1000)
    }
}
