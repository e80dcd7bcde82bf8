//! Jails: jail_set(2) with descriptors, attach, and how a jail dies with its owner's descriptor.

use super::lookup::Last;
use super::world::{Description, Jail, Place, Refusal, Res, State, World};
use crate::kernel::{
    At, Ending, Errno, Fd, FileKind, JailId, JailParameters, JailValue, OwnedJail, signal,
};
use std::collections::BTreeSet;
use std::net::IpAddr;

const DEFAULT_ALLOW: [&str; 5] = [
    "set_hostname",
    "reserved_ports",
    "unprivileged_proc_debug",
    "extattr",
    "suser",
];
const FIXED: [&str; 6] = ["path", "osrelease", "osreldate", "vnet", "ip4", "ip6"];

fn default_allow() -> BTreeSet<String> {
    let names = DEFAULT_ALLOW.iter();
    names.map(|name| (*name).to_string()).collect()
}

fn invalid(text: &str) -> Refusal {
    Refusal(Errno::EINVAL, text.to_string())
}

/// A boolean's name without its "no", and whether it is set.
fn boolean(name: &str) -> (String, bool) {
    let (stem, last) = match name.rsplit_once('.') {
        Some((stem, last)) => (format!("{stem}."), last),
        None => (String::new(), name),
    };
    match last.strip_prefix("no") {
        Some(bare) => (format!("{stem}{bare}"), false),
        None => (name.to_string(), true),
    }
}

impl World {
    fn knows_parameter(&self, name: &str) -> bool {
        self.sysctls
            .contains_key(&format!("security.jail.param.{name}"))
            || self
                .sysctls
                .contains_key(&format!("security.jail.param.{name}."))
    }

    /// Puts the parameters into a jail, or says which one isn't known.
    fn apply(&self, jail: &mut Jail, parameters: &JailParameters) -> Res<()> {
        for (name, value) in parameters {
            let (bare, on) = if self.knows_parameter(name) {
                (name.clone(), true)
            } else {
                boolean(name)
            };
            if !self.knows_parameter(&bare) {
                return Err(Refusal(Errno::EINVAL, format!("unknown parameter: {name}")));
            }
            match (bare.as_str(), value) {
                ("name", JailValue::Text(text)) => jail.name.clone_from(text),
                ("path", JailValue::Text(text)) => jail.path.clone_from(text),
                ("name" | "path", _) => return Err(Errno::EINVAL.into()),
                ("persist", _) => jail.persist = on,
                ("devfs_ruleset", JailValue::Int(number)) if !(0..=65535).contains(number) => {
                    return Err(Errno::EINVAL.into());
                }
                (flag, _) if flag.starts_with("allow.") => {
                    let flag = flag.trim_start_matches("allow.").to_string();
                    if on {
                        jail.allow.insert(flag);
                    } else {
                        jail.allow.remove(&flag);
                    }
                }
                (other, JailValue::Flag) => {
                    jail.parameters
                        .insert(other.to_string(), JailValue::Int(i32::from(on)));
                }
                (other, value) => {
                    jail.parameters.insert(other.to_string(), value.clone());
                }
            }
        }
        Ok(())
    }

    pub(super) fn jail_create(&mut self, pid: i32, parameters: &JailParameters) -> Res<OwnedJail> {
        self.need_host_root(pid)?;
        let id = self.next_jail;
        let mut jail = Jail {
            id,
            name: id.to_string(),
            path: "/".to_string(),
            root: self.process(pid)?.root,
            persist: false,
            dying: false,
            allow: default_allow(),
            cpus: self.cpus(),
            parameters: [
                ("ip4", 0),
                ("ip6", 0),
                ("securelevel", -1),
                ("enforce_statfs", 2),
                ("children.max", 0),
            ]
            .iter()
            .map(|(name, value)| ((*name).to_string(), JailValue::Int(*value)))
            .collect(),
        };
        self.apply(&mut jail, parameters)?;
        for family in ["ip4", "ip6"] {
            let address = format!("{family}.addr");
            if jail.parameters.contains_key(&address)
                && !parameters.iter().any(|(name, _)| name == family)
            {
                jail.parameters
                    .insert(family.to_string(), JailValue::Int(1));
            }
        }
        if jail.name.len() > 255 {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if let Some((parent, _)) = jail.name.rsplit_once('.') {
            return Err(Refusal(
                Errno::ENOENT,
                format!("jail \"{parent}\" not found"),
            ));
        }
        if self
            .jails
            .values()
            .any(|other| other.name == jail.name && !other.dying)
        {
            return Err(Refusal(
                Errno::EEXIST,
                format!("jail \"{}\" already exists", jail.name),
            ));
        }
        if !jail.persist {
            return Err(invalid("new jail must persist or attach"));
        }
        let root = self
            .find(pid, At::Cwd, &jail.path, Last::Follow)?
            .existing()?;
        if self.inode(root.inode)?.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        jail.root = root;
        jail.path = self.path_of(root);
        self.check_addresses(&jail)?;
        self.next_jail += 1;
        self.jails.insert(id, jail);
        let descriptor = self.install(pid, Description::Jail { id, owner: true }, 0)?;
        Ok(OwnedJail {
            id: JailId(id),
            descriptor,
        })
    }

    /// Two jails may share an address only if it is the one address of both.
    fn check_addresses(&self, jail: &Jail) -> Res<()> {
        for (name, words) in [
            ("ip4.addr", "IPv4 addresses clash"),
            ("ip6.addr", "IPv6 addresses clash"),
        ] {
            let mine = addresses(jail, name);
            for other in self
                .jails
                .values()
                .filter(|other| !other.dying && other.id != jail.id)
            {
                let theirs = addresses(other, name);
                let alone = mine.len() == 1 && theirs.len() == 1;
                if !alone && mine.iter().any(|address| theirs.contains(address)) {
                    return Err(Refusal(Errno::EADDRINUSE, words.to_string()));
                }
            }
        }
        Ok(())
    }

    fn jail_of(&self, pid: i32, fd: Fd) -> Res<&Jail> {
        match self.description(pid, fd)? {
            Description::Jail { id, .. } => {
                let jail = self.jails.get(id).filter(|jail| !jail.dying);
                jail.ok_or_else(|| Errno::ENOENT.into())
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// The descriptor is the permission; only the ceiling of allow.* is the caller's own.
    pub(super) fn jail_update(&mut self, pid: i32, fd: Fd, parameters: &JailParameters) -> Res<()> {
        let mut jail = self.jail_of(pid, fd)?.clone();
        if self.lies.contains("jail_update") {
            return Ok(());
        }
        for (name, _) in parameters {
            if FIXED.contains(&name.as_str()) {
                return Err(Refusal(
                    Errno::EINVAL,
                    format!("{name} cannot be changed after creation"),
                ));
            }
        }
        let before = jail.allow.clone();
        self.apply(&mut jail, parameters)?;
        if let Some(own) = self.process(pid)?.jail.and_then(|id| self.jails.get(&id))
            && jail
                .allow
                .difference(&before)
                .any(|flag| !own.allow.contains(flag))
        {
            return Err(Errno::EPERM.into());
        }
        self.check_addresses(&jail)?;
        let id = jail.id;
        self.jails.insert(id, jail);
        self.leave_jail(id);
        Ok(())
    }

    pub(super) fn jail_get_int(&self, pid: i32, fd: Fd, name: &str) -> Res<i32> {
        let jail = self.jail_of(pid, fd)?;
        if self.lies.contains("jail_get_int") {
            return Ok(0);
        }
        if !self.knows_parameter(name) {
            return Err(Refusal(Errno::EINVAL, format!("unknown parameter: {name}")));
        }
        match name {
            "persist" => Ok(i32::from(jail.persist)),
            "jid" => Ok(jail.id),
            "dying" => Ok(i32::from(jail.dying)),
            _ => match name.strip_prefix("allow.") {
                Some(flag) => Ok(i32::from(jail.allow.contains(flag))),
                None => match jail.parameters.get(name) {
                    Some(JailValue::Int(value)) => Ok(*value),
                    Some(_) => Err(Errno::EINVAL.into()),
                    None => Ok(0),
                },
            },
        }
    }

    pub(super) fn jail_find(&self, name: &str) -> Option<JailId> {
        self.jails
            .values()
            .find(|jail| jail.name == name && !jail.dying)
            .map(|jail| JailId(jail.id))
    }

    pub(super) fn jail_attach(&mut self, pid: i32, id: JailId) -> Res<()> {
        self.need_host_root(pid)?;
        let jail = self
            .jails
            .get(&id.0)
            .filter(|jail| !jail.dying)
            .ok_or(Errno::EINVAL)?;
        let root = jail.root;
        self.enter_jail(pid, id.0, root)
    }

    fn enter_jail(&mut self, pid: i32, id: i32, root: Place) -> Res<()> {
        let holds_directory = self
            .process(pid)?
            .fds
            .keys()
            .any(|fd| self.directory_of(pid, Fd(*fd)).is_ok());
        if holds_directory {
            return Err(Errno::EPERM.into());
        }
        let process = self.process_mut(pid)?;
        process.jail = Some(id);
        process.root = root;
        process.cwd = root;
        Ok(())
    }

    pub(super) fn jail_open(&mut self, pid: i32, name: &str) -> Res<Option<(JailId, Fd)>> {
        let Some(id) = self.jail_find(name) else {
            return Ok(None);
        };
        let owner = false;
        let descriptor = self.install(pid, Description::Jail { id: id.0, owner }, 0)?;
        Ok(Some((id, descriptor)))
    }

    /// The descriptor's opener was root here: nobody else gets one that may attach.
    pub(super) fn jail_attach_jd(&mut self, pid: i32, jail: Fd) -> Res<()> {
        let jail = self.jail_of(pid, jail)?;
        let (id, root) = (jail.id, jail.root);
        self.enter_jail(pid, id, root)
    }

    pub(super) fn jail_remove(&mut self, pid: i32, fd: Fd) -> Res<()> {
        let id = self.jail_of(pid, fd)?.id;
        self.remove_jail(id);
        Ok(())
    }

    /// Marks it dying and kills what is in it. Programs need a moment to be gone.
    pub fn remove_jail(&mut self, id: i32) {
        let Some(jail) = self.jails.get_mut(&id) else {
            return;
        };
        jail.persist = false;
        jail.dying = true;
        let dies_at = self.clock_ms + self.death_delay_ms;
        let mut ended = Vec::new();
        for process in self
            .processes
            .values_mut()
            .filter(|process| process.jail == Some(id))
        {
            match process.state {
                State::Program => process.dies_at = process.dies_at.or(Some(dies_at)),
                State::Ready | State::Blocked { .. } => ended.push(process.pid),
                State::Ended(_) => {}
            }
        }
        for pid in ended {
            self.end(pid, Ending::Signalled(signal::KILL));
        }
        self.leave_jail(id);
    }

    /// After something left a jail: without persist it dies with its last process, and its root is
    /// held until the last zombie is reaped.
    pub(super) fn leave_jail(&mut self, id: i32) {
        let mut members = self
            .processes
            .values()
            .filter(|process| process.jail == Some(id))
            .peekable();
        let is_empty = members.peek().is_none();
        let has_living = members.any(|process| process.ending().is_none());
        let Some(jail) = self.jails.get_mut(&id) else {
            return;
        };
        if !jail.persist && !has_living {
            jail.dying = true;
        }
        if jail.dying && is_empty {
            self.jails.remove(&id);
        }
    }
}

fn addresses<'a>(jail: &'a Jail, name: &str) -> &'a [IpAddr] {
    match jail.parameters.get(name) {
        Some(JailValue::Addresses(list)) => list,
        _ => &[],
    }
}
