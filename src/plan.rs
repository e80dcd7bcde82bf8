//! What a launch will do, as data: a list of steps, each with its one wording, and what the child does
//! once it is inside. Made from a permit and from what was found on the host; nothing is changed here.

use crate::error::Error;
use crate::kernel::{
    Alias, Filesystem, JAIL_SYS_DISABLE, JAIL_SYS_INHERIT, JAIL_SYS_NEW, JailParameters, JailValue,
    Limit, MountFlags, Nmount, Procctl, Stat,
};
use crate::permit::Permit;
use crate::profile::{Network, Profile};
use std::collections::{BTreeMap, BTreeSet};
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
        Filesystem::Nullfs { source } => {
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
                mount: skeleton(&root, false),
                source: None,
            },
        ];
        steps.extend(tree(profile, host, &root)?);
        steps.push(Step::Seal {
            mount: skeleton(&root, true),
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
        let parameters = jail_parameters(profile, host, &jail, &root)?;
        steps.push(Step::Jail {
            name: jail,
            parameters,
        });
        Ok(Plan {
            steps,
            child: child(permit, host)?,
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

/// The root of the jail itself. It holds directories and mount points only.
fn skeleton(root: &str, sealed: bool) -> Nmount {
    Nmount {
        filesystem: Filesystem::Tmpfs {
            size: 4 << 20,
            inodes: 4096,
            mode: 0o755,
            uid: 0,
            gid: 0,
        },
        target: root.to_string(),
        flags: MountFlags {
            read_only: sealed,
            nosuid: true,
            noexec: true,
            nosymfollow: false,
        },
        update: sealed,
    }
}

/// Directories, mount points and mounts, parents first: sorted by path, so that a mount inside another
/// granted tree comes after it.
fn tree(profile: &Profile, host: &Host, root: &str) -> Result<Vec<Step>, Error> {
    let mut mounts: BTreeMap<String, (Nmount, Option<Source>, bool)> = BTreeMap::new();
    let mut add = |path: &str, filesystem, flags, source: Option<Source>, is_file: bool| {
        let target = format!("{root}{path}");
        let mount = Nmount {
            filesystem,
            target,
            flags,
            update: false,
        };
        mounts.insert(path.to_string(), (mount, source, is_file));
    };
    let source = |path: &str| {
        host.sources
            .get(path)
            .ok_or_else(|| Error::Profile(format!("{path} was not looked at on this host")))
    };
    for path in &profile.root.ro {
        let stat = source(path)?;
        let flags = MountFlags {
            read_only: true,
            nosuid: true,
            ..MountFlags::default()
        };
        let is_file = stat.kind == crate::kernel::FileKind::Regular;
        let seen = Source {
            inode: stat.inode,
            content: Some((stat.size, stat.ctime)),
        };
        add(
            path,
            Filesystem::Nullfs {
                source: path.clone(),
            },
            flags,
            Some(seen),
            is_file,
        );
    }
    for writable in &profile.root.rw {
        let stat = source(&writable.path)?;
        let flags = MountFlags {
            read_only: false,
            nosuid: true,
            noexec: writable.noexec,
            nosymfollow: writable.nosymfollow,
        };
        let from = Filesystem::Nullfs {
            source: writable.path.clone(),
        };
        add(
            &writable.path,
            from,
            flags,
            Some(Source {
                inode: stat.inode,
                content: None,
            }),
            false,
        );
    }
    for tmpfs in &profile.root.tmpfs {
        let uid = match &tmpfs.owner {
            None => 0,
            Some(owner) => *host
                .owners
                .get(owner)
                .ok_or_else(|| Error::Profile(format!("no user {owner} on this host")))?,
        };
        let flags = MountFlags {
            nosuid: true,
            noexec: tmpfs.noexec,
            ..MountFlags::default()
        };
        // One inode for every 4 KiB, as a file system of small files would have.
        let inodes = (tmpfs.size / 4096).max(64);
        let memory = Filesystem::Tmpfs {
            size: tmpfs.size,
            inodes,
            mode: tmpfs.mode,
            uid,
            gid: 0,
        };
        add(&tmpfs.path, memory, flags, None, false);
    }
    if !profile.root.devices.is_empty() {
        let flags = MountFlags {
            nosuid: true,
            noexec: true,
            ..MountFlags::default()
        };
        add(
            "/dev",
            Filesystem::Devfs {
                ruleset: host.ruleset,
            },
            flags,
            None,
            false,
        );
    }
    let mut steps = Vec::new();
    let mut made = BTreeSet::new();
    let paths: Vec<String> = mounts.keys().cloned().collect();
    for (path, (mount, source, is_file)) in mounts {
        // A mount point inside a granted tree must be there already: nothing is ever made in it.
        let inside = paths.iter().any(|outer| {
            outer != &path
                && path.starts_with(outer.as_str())
                && path[outer.len()..].starts_with('/')
        });
        if !inside {
            let mut parents: Vec<usize> = path
                .match_indices('/')
                .map(|(index, _)| index)
                .skip(1)
                .collect();
            if !is_file {
                parents.push(path.len());
            }
            for end in parents {
                let parent = &path[..end];
                if made.insert(parent.to_string()) {
                    steps.push(Step::Directory {
                        path: format!("{root}{parent}"),
                        mode: 0o755,
                    });
                }
            }
            if is_file {
                steps.push(Step::MountPoint {
                    path: mount.target.clone(),
                });
            }
        }
        steps.push(Step::Mount { mount, source });
    }
    Ok(steps)
}

fn jail_parameters(
    profile: &Profile,
    host: &Host,
    name: &str,
    root: &str,
) -> Result<JailParameters, Error> {
    let jail = &profile.jail;
    let flag = |name: &str| (name.to_string(), JailValue::Flag);
    let int = |name: &str, value: i32| (name.to_string(), JailValue::Int(value));
    let text = |name: &str, value: &str| (name.to_string(), JailValue::Text(value.to_string()));
    let mut parameters = vec![
        text("name", name),
        text("path", root),
        flag("persist"),
        text("host.hostname", jail.hostname.as_deref().unwrap_or(name)),
        int("enforce_statfs", jail.enforce_statfs),
        int("children.max", jail.children_max),
    ];
    for (family, network) in [("ip4", &jail.ip4), ("ip6", &jail.ip6)] {
        match network {
            Network::Disable => parameters.push(int(family, JAIL_SYS_DISABLE)),
            Network::Inherit => parameters.push(int(family, JAIL_SYS_INHERIT)),
            Network::Addresses(addresses) => {
                parameters.push(int(family, JAIL_SYS_NEW));
                let list = addresses.iter().map(|address| address.address).collect();
                parameters.push((format!("{family}.addr"), JailValue::Addresses(list)));
            }
        }
    }
    for (word, value) in ["sysvmsg", "sysvsem", "sysvshm"].iter().zip(jail.sysv) {
        parameters.push(int(word, value));
    }
    if let Some(level) = jail.securelevel {
        parameters.push(int("securelevel", level));
    }
    for word in &jail.allow {
        if !host.allow_known.contains(word) {
            return Err(Error::Profile(format!(
                "this kernel has no jail parameter allow.{word}"
            )));
        }
    }
    // suser stays on until the child has given up root: see launch.
    for word in host.allow_known.iter().filter(|word| *word != "suser") {
        if jail.allow.contains(word) {
            parameters.push(flag(&format!("allow.{word}")));
        } else {
            parameters.push(flag(&off(word)));
        }
    }
    Ok(parameters)
}

/// The name that turns a boolean off: "no" goes after the last dot.
fn off(word: &str) -> String {
    match word.rsplit_once('.') {
        Some((node, leaf)) => format!("allow.{node}.no{leaf}"),
        None => format!("allow.no{word}"),
    }
}

fn child(permit: &Permit, host: &Host) -> Result<ChildPlan, Error> {
    let profile = permit.profile();
    let (program, arguments) = match (permit.command(), &profile.program) {
        (Some([program, rest @ ..]), _) => (program.clone(), rest.to_vec()),
        (_, Some(program)) => (program.clone(), profile.args.clone()),
        _ => {
            return Err(Error::Profile(
                "the profile has no program: give a command".to_string(),
            ));
        }
    };
    if !program.starts_with('/') {
        return Err(Error::Usage(format!(
            "{program:?}: a command is an absolute path"
        )));
    }
    let control = &profile.proccontrol;
    let procctl = [
        (control.no_new_privs, Procctl::NoNewPrivs),
        (control.aslr, Procctl::Aslr),
        (control.protmax, Procctl::Protmax),
        (control.no_wxmap, Procctl::NoWxMap),
        (control.no_trace, Procctl::NoTrace),
    ];
    Ok(ChildPlan {
        arguments: std::iter::once(program.clone()).chain(arguments).collect(),
        program,
        environment: host
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        user: host.user.clone(),
        uid: host.uid,
        gid: host.gid,
        groups: host.groups.clone(),
        umask: profile.umask,
        chdir: profile.chdir.clone(),
        nice: profile.nice,
        fib: profile.fib,
        limits: profile.limits.clone(),
        procctl: procctl
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, control)| *control)
            .collect(),
    })
}
