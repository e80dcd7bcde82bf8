//! nmount(2), statfs(2), unmount(2) and the rulesets of devfs.

use super::lookup::Last;
use super::world::{Description, Inode, Mount, Place, Refusal, Res, World};
use crate::kernel::{
    At, DevfsAct, DevfsRule, Errno, FileKind, Filesystem, Force, Fsid, JailValue, MountFlags,
    Nmount, Statfs,
};

impl World {
    pub(super) fn nmount(&mut self, pid: i32, wanted: &Nmount) -> Res<()> {
        self.need_host_root(pid)?;
        let found = self.find(pid, At::Cwd, &wanted.target, Last::Follow)?;
        let target = found.existing()?;
        if wanted.update {
            return self.update(target, wanted);
        }
        let (kind, links) = {
            let inode = self.inode(target.inode)?;
            (inode.kind, inode.links)
        };
        let on = if found.name.is_empty() {
            self.path_of(target)
        } else {
            format!(
                "{}/{}",
                self.path_of(found.parent).trim_end_matches('/'),
                found.name
            )
        };
        let mut mount = Mount {
            id: 0,
            covered: Some(target),
            root: 0,
            lower: None,
            kind: wanted.filesystem.name().to_string(),
            filesystem: Some(wanted.filesystem.clone()),
            flags: wanted.flags,
            from: wanted.filesystem.name().to_string(),
            on,
            rules: Vec::new(),
        };
        self.fill(pid, &mut mount, target, (kind, links))?;
        let fresh = self.fresh();
        mount.id = i32::try_from(fresh).map_err(|_| Errno::ENOMEM)?;
        let root = Place {
            mount: mount.id,
            inode: mount.root,
        };
        self.mounted.insert(mount.id, mount.on.clone());
        self.mounts.push(mount);
        // mountcheckdirs(): who stood in the covered directory stands in the new mount.
        for process in self.processes.values_mut() {
            if process.cwd == target {
                process.cwd = root;
            }
            if process.root == target {
                process.root = root;
            }
        }
        Ok(())
    }

    /// What a new file system shows at its root, and whether it goes over what is at the target.
    fn fill(
        &mut self,
        pid: i32,
        mount: &mut Mount,
        target: Place,
        (kind, links): (FileKind, u64),
    ) -> Res<()> {
        match mount.filesystem.clone().ok_or(Errno::EINVAL)? {
            Filesystem::Nullfs { source, .. } => {
                let lower = self.find(pid, At::Cwd, &source, Last::Follow)?.existing()?;
                let below = self.inode(lower.inode)?.kind;
                if below != kind || !matches!(kind, FileKind::Directory | FileKind::Regular) {
                    return Err(Errno::EINVAL.into());
                }
                if kind == FileKind::Regular {
                    if self.mount(target.mount)?.root == target.inode {
                        return Err(Errno::EBUSY.into());
                    }
                    if links != 1 {
                        return Err(Errno::EINVAL.into());
                    }
                }
                if lower == target {
                    return Err(Errno::EDEADLK.into());
                }
                mount.root = lower.inode;
                mount.lower = Some(lower);
                mount.from = source;
            }
            _ if kind != FileKind::Directory => return Err(Errno::ENOTDIR.into()),
            Filesystem::Tmpfs { mode, uid, gid, .. } => {
                let covered = self.inode(target.inode)?;
                // The owner and mode asked for count only for a real uid of 0.
                let is_root = self.process(pid)?.credentials.uid.real == 0;
                let owner = if is_root {
                    (mode, uid, gid)
                } else {
                    (covered.mode, covered.uid, covered.gid)
                };
                let id = self.fresh();
                let mut root = Inode::new(FileKind::Directory, owner.0, owner.1, owner.2, id);
                root.ctime = self.now();
                self.inodes.insert(id, root);
                mount.root = id;
            }
            Filesystem::Devfs { ruleset } => {
                mount.root = self.devfs_root;
                mount.rules = self
                    .devfs_rules
                    .range((ruleset, 0)..=(ruleset, u16::MAX))
                    .map(|r| r.1.clone())
                    .collect();
            }
        }
        Ok(())
    }

    fn update(&mut self, target: Place, wanted: &Nmount) -> Res<()> {
        let is_written = self.descriptions.values().any(|description| {
            matches!(description, Description::Vnode { place, writable: true, .. } if place.mount == target.mount)
        });
        let mount = self
            .mounts
            .iter_mut()
            .find(|mount| mount.id == target.mount)
            .ok_or(Errno::EINVAL)?;
        if mount.root != target.inode || mount.kind != wanted.filesystem.name() {
            return Err(Errno::EINVAL.into());
        }
        match &wanted.filesystem {
            Filesystem::Nullfs { .. } => return Err(Errno::EOPNOTSUPP.into()),
            asked if mount.kind == "tmpfs" && mount.filesystem.as_ref() != Some(asked) => {
                return Err(Errno::EOPNOTSUPP.into());
            }
            _ => {}
        }
        if wanted.flags.read_only && !mount.flags.read_only && is_written {
            return Err(Errno::EBUSY.into());
        }
        mount.flags = wanted.flags;
        Ok(())
    }

    fn statfs_of(&self, pid: i32, mount: &Mount) -> Statfs {
        let fsid = if self.is_privileged(pid) {
            mount.fsid()
        } else {
            Fsid(0, 0)
        };
        let (kind, from, on) = (mount.kind.clone(), mount.from.clone(), mount.on.clone());
        Statfs {
            fsid,
            flags: mount.flags,
            kind,
            from,
            on,
        }
    }

    pub(super) fn statfs(&self, pid: i32, path: &str) -> Res<Statfs> {
        let place = self.find(pid, At::Cwd, path, Last::Follow)?.existing()?;
        Ok(self.statfs_of(pid, self.mount(place.mount)?))
    }

    pub(super) fn getfsstat(&self, pid: i32) -> Vec<Statfs> {
        self.mounts
            .iter()
            .filter(|mount| self.shows(pid, mount))
            .map(|mount| self.statfs_of(pid, mount))
            .collect()
    }

    /// enforce_statfs: 2 shows a jail the mount of its root alone, 1 those below it too.
    fn shows(&self, pid: i32, mount: &Mount) -> bool {
        let Some(process) = self.processes.get(&pid) else {
            return false;
        };
        let Some(jail) = process.jail.and_then(|id| self.jails.get(&id)) else {
            return true;
        };
        let is_root = mount.id == process.root.mount;
        match jail.parameters.get("enforce_statfs") {
            Some(JailValue::Int(0)) => true,
            Some(JailValue::Int(1)) => is_root || mount.on.starts_with(&format!("{}/", jail.path)),
            _ => is_root,
        }
    }

    pub(super) fn unmount(&mut self, pid: i32, fsid: Fsid, force: Force) -> Res<()> {
        if self.lies.contains("unmount") {
            return Ok(());
        }
        self.need_host_root(pid)?;
        let id = self
            .mounts
            .iter()
            .find(|mount| mount.fsid() == fsid)
            .ok_or(Errno::ENOENT)?
            .id;
        let has_upper = self
            .mounts
            .iter()
            .any(|mount| mount.lower.is_some_and(|lower| lower.mount == id));
        if has_upper || id == 1 || (force == Force::No && self.is_busy(id)) {
            return Err(Errno::EBUSY.into());
        }
        self.mounts.retain(|mount| mount.id != id);
        Ok(())
    }

    /// A mount on top, an open file, a bound socket, a directory somebody stands in, a running program, a jail's root.
    fn is_busy(&self, id: i32) -> bool {
        self.mounts
            .iter()
            .any(|mount| mount.covered.is_some_and(|covered| covered.mount == id))
            || self.descriptions.values().any(|description| {
                matches!(
                    description,
                    Description::Vnode { place, .. } | Description::Bound { place: Some(place), .. }
                        if place.mount == id
                )
            })
            || self
                .processes
                .values()
                .filter(|process| process.ending().is_none())
                .any(|process| {
                    process.cwd.mount == id
                        || process.root.mount == id
                        || process
                            .program
                            .as_ref()
                            .is_some_and(|(_, place)| place.mount == id)
                })
            || self.jails.values().any(|jail| jail.root.mount == id)
    }

    pub(super) fn devfs_radd(&mut self, pid: i32, rule: &DevfsRule) -> Res<()> {
        self.need_host_root(pid)?;
        if rule.ruleset == 0 {
            return Err(Errno::EIO.into());
        }
        let mut rule = rule.clone();
        if rule.number == 0 {
            let last = self
                .devfs_rules
                .range((rule.ruleset, 0)..=(rule.ruleset, u16::MAX))
                .next_back();
            rule.number = last.map_or(100, |((_, number), _)| number.saturating_add(100));
        }
        if self.devfs_rules.contains_key(&(rule.ruleset, rule.number)) {
            return Err(Errno::EEXIST.into());
        }
        self.devfs_rules.insert((rule.ruleset, rule.number), rule);
        Ok(())
    }

    pub(super) fn devfs_rgetnext(
        &self,
        pid: i32,
        ruleset: u16,
        after: u16,
    ) -> Res<Option<DevfsRule>> {
        self.need_host_root(pid)?;
        let Some(least) = after.checked_add(1) else {
            return Ok(None);
        };
        Ok(self
            .devfs_rules
            .range((ruleset, least)..=(ruleset, u16::MAX))
            .next()
            .map(|(_, rule)| rule.clone()))
    }

    pub(super) fn devfs_rdel(&mut self, pid: i32, ruleset: u16, number: u16) -> Res<()> {
        self.need_host_root(pid)?;
        self.devfs_rules
            .remove(&(ruleset, number))
            .map(|_| ())
            .ok_or_else(|| Refusal::from(Errno::ENOENT))
    }

    /// A devfs on a directory, as rc(8) mounts /dev. For building worlds.
    pub fn mount_devfs(&mut self, path: &str) -> &mut World {
        if let Some(covered) = self.place_at(path) {
            let id = i32::try_from(self.fresh()).unwrap_or(i32::MAX);
            self.mounts.push(Mount {
                id,
                covered: Some(covered),
                root: self.devfs_root,
                lower: None,
                kind: "devfs".into(),
                filesystem: Some(Filesystem::Devfs { ruleset: 0 }),
                flags: MountFlags::default(),
                from: "devfs".into(),
                on: path.into(),
                rules: Vec::new(),
            });
        }
        self
    }

    /// A rule of a ruleset, as /etc/defaults/devfs.rules loads them.
    pub fn devfs_rule(
        &mut self,
        ruleset: u16,
        number: u16,
        pattern: Option<&str>,
        act: DevfsAct,
    ) -> &mut World {
        let rule = DevfsRule {
            ruleset,
            number,
            pattern: pattern.map(str::to_string),
            act,
        };
        self.devfs_rules.insert((ruleset, number), rule);
        self
    }
}
