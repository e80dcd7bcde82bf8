//! What exists inside: the skeleton, its directories and mount points, and the mounts, as steps. Pure.

use super::{Host, Source, Step};
use crate::error::Error;
use crate::kernel::{FileKind, Filesystem, MountFlags, Nmount};
use crate::profile::Profile;
use std::collections::{BTreeMap, BTreeSet};

/// The root of the jail itself. It holds directories and mount points only.
pub fn skeleton(root: &str, sealed: bool) -> Nmount {
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
pub fn steps(profile: &Profile, host: &Host, root: &str) -> Result<Vec<Step>, Error> {
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
        let is_file = stat.kind == FileKind::Regular;
        let seen = Source {
            inode: stat.inode,
            content: Some((stat.size, stat.ctime)),
        };
        add(
            path,
            Filesystem::Nullfs {
                source: path.clone(),
                sockets: false,
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
            sockets: false,
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
