//! What a run left behind: one world compared with how it was before.

use super::world::{Inode, World};
use crate::kernel::FileKind;
use std::collections::BTreeMap;

impl World {
    /// One line for each thing that is here and wasn't, was and isn't, or changed. Empty: no trace.
    pub fn differences(&self, before: &World) -> Vec<String> {
        let mut lines = Vec::new();
        compare(
            &mut lines,
            "mount",
            &before.mount_lines(),
            &self.mount_lines(),
        );
        let jails = |world: &World| {
            world
                .jails
                .values()
                .map(|j| format!("{} ({})", j.name, j.id))
                .collect::<Vec<_>>()
        };
        compare(&mut lines, "jail", &jails(before), &jails(self));
        let processes = |world: &World| {
            world
                .processes
                .keys()
                .map(i32::to_string)
                .collect::<Vec<_>>()
        };
        compare(&mut lines, "process", &processes(before), &processes(self));
        let addresses = |world: &World| {
            let mut all: Vec<String> = world
                .addresses
                .iter()
                .map(|a| format!("{} {}/{}", a.interface, a.address, a.prefix))
                .collect();
            all.sort();
            all
        };
        compare(&mut lines, "address", &addresses(before), &addresses(self));
        compare(
            &mut lines,
            "rctl rule",
            &before.rctl_rules,
            &self.rctl_rules,
        );
        let locks = |world: &World| {
            world
                .locks
                .iter()
                .map(|lock| format!("{lock:?}"))
                .collect::<Vec<_>>()
        };
        compare(&mut lines, "lock", &locks(before), &locks(self));
        let rules = |world: &World| {
            world
                .devfs_rules
                .values()
                .map(|r| format!("{}/{} {:?}", r.ruleset, r.number, r.pattern))
                .collect::<Vec<_>>()
        };
        compare(&mut lines, "devfs rule", &rules(before), &rules(self));
        self.compare_files(before, &mut lines);
        lines
    }

    fn mount_lines(&self) -> Vec<String> {
        self.mounts
            .iter()
            .map(|mount| {
                let flags: String = mount
                    .flags
                    .words()
                    .iter()
                    .map(|w| format!(", {w}"))
                    .collect();
                format!("{} on {} ({}{flags})", mount.from, mount.on, mount.kind)
            })
            .collect()
    }

    fn compare_files(&self, before: &World, lines: &mut Vec<String>) {
        let (old, new) = (before.tree(), self.tree());
        for (path, inode) in &new {
            match old.get(path) {
                None => lines.push(format!("new {path}")),
                Some(was) if !looks_like(was, inode) => lines.push(format!("changed {path}")),
                Some(_) => {}
            }
        }
        lines.extend(
            old.keys()
                .filter(|path| !new.contains_key(*path))
                .map(|path| format!("gone {path}")),
        );
    }

    /// Every file by its path, of the root file system: what is below mounts too, but not in them.
    fn tree(&self) -> BTreeMap<String, &Inode> {
        let mut found = BTreeMap::new();
        let mut rest = vec![(String::new(), 1), ("(devfs)".to_string(), self.devfs_root)];
        while let Some((path, id)) = rest.pop() {
            if let Some(inode) = self.inodes.get(&id) {
                rest.extend(
                    inode
                        .children
                        .iter()
                        .map(|(name, id)| (format!("{path}/{name}"), *id)),
                );
                found.insert(path, inode);
            }
        }
        found
    }
}

fn looks_like(one: &Inode, other: &Inode) -> bool {
    let same_data = one.kind == FileKind::Directory || one.data == other.data;
    (one.kind, one.mode, one.uid, one.gid) == (other.kind, other.mode, other.uid, other.gid)
        && same_data
}

fn compare(lines: &mut Vec<String>, what: &str, before: &[String], after: &[String]) {
    lines.extend(
        after
            .iter()
            .filter(|line| !before.contains(line))
            .map(|line| format!("new {what} {line}")),
    );
    lines.extend(
        before
            .iter()
            .filter(|line| !after.contains(line))
            .map(|line| format!("gone {what} {line}")),
    );
}
