//! Fills the tree: grants first, then what is new, then what programs need and isn't there yet.

use super::super::{Granted, Host, Made, Source, is_below};
use super::{Tree, What, Why};
use crate::closure::hints::{self, directories};
use crate::closure::linker::Linker;
use crate::closure::{Closure, libmap::Libmap};
use crate::error::Error;
use crate::kernel::{FileKind, Filesystem, MountFlags, Stat};
use crate::profile::{Profile, Socket};

/// Compared after the mount where nobody but root writes.
fn unchanging(stat: &Stat) -> Source {
    Source {
        inode: stat.inode,
        content: Some((stat.size, stat.ctime)),
    }
}

/// The size and times of others' directories change.
fn changing(stat: &Stat) -> Source {
    Source {
        inode: stat.inode,
        content: None,
    }
}

fn nullfs(path: &str, sockets: bool) -> Filesystem {
    Filesystem::Nullfs {
        source: path.to_string(),
        sockets,
    }
}

const READ_ONLY: MountFlags = MountFlags {
    read_only: true,
    nosuid: true,
    noexec: false,
    nosymfollow: false,
};

/// Somebody else's directory: sockets are reached in it, and nothing of it is run or followed.
const SOCKETS: MountFlags = MountFlags {
    read_only: true,
    nosuid: true,
    noexec: true,
    nosymfollow: true,
};

impl Tree {
    pub(super) fn add_grants(&mut self, profile: &Profile, host: &Host) -> Result<(), Error> {
        for path in &profile.root.ro {
            let granted = seen(host, path)?;
            let source = unchanging(&granted.stat);
            self.grant(
                granted,
                nullfs(&granted.path, false),
                READ_ONLY,
                source,
                "ro",
            )?;
        }
        for writable in &profile.root.rw {
            let granted = seen(host, &writable.path)?;
            let flags = MountFlags {
                read_only: false,
                nosuid: true,
                noexec: writable.noexec,
                nosymfollow: writable.nosymfollow,
            };
            let source = changing(&granted.stat);
            self.grant(granted, nullfs(&granted.path, false), flags, source, "rw")?;
        }
        for socket in &profile.root.sockets {
            if let Socket::Directory(path) = socket {
                let granted = seen(host, path)?;
                let source = changing(&granted.stat);
                let filesystem = nullfs(&granted.path, true);
                self.grant(granted, filesystem, SOCKETS, source, "sockets")?;
            }
        }
        // Links of one grant may be seen in another: only now is it known which.
        for granted in self.granted_by(profile, host) {
            for (path, text) in &granted.links {
                self.insert_link(path, text, &granted.path)?;
            }
        }
        Ok(())
    }

    fn granted_by<'h>(&self, profile: &Profile, host: &'h Host) -> Vec<&'h Granted> {
        let root = &profile.root;
        let sockets = root.sockets.iter().filter_map(|socket| match socket {
            Socket::Directory(path) => Some(path),
            Socket::Syslog => None,
        });
        let all = root.ro.iter().chain(root.rw.iter().map(|rw| &rw.path));
        all.chain(sockets)
            .filter_map(|path| host.sources.get(path))
            .collect()
    }

    fn grant(
        &mut self,
        granted: &Granted,
        filesystem: Filesystem,
        flags: MountFlags,
        source: Source,
        key: &'static str,
    ) -> Result<(), Error> {
        let what = What::Granted {
            filesystem,
            flags,
            source,
            is_file: granted.stat.kind == FileKind::Regular,
        };
        self.insert(&granted.path, what, Why::Key(key))
    }

    /// As what they are in.
    pub(super) fn add_submounts(&mut self, profile: &Profile, host: &Host) -> Result<(), Error> {
        for submount in &host.submounts {
            let outer = host.sources.get(&submount.of).map(|granted| &granted.path);
            let outer = outer.and_then(|path| self.nodes.get(path));
            let Some(What::Granted {
                flags, filesystem, ..
            }) = outer.map(|node| &node.what)
            else {
                continue;
            };
            let sockets = matches!(filesystem, Filesystem::Nullfs { sockets: true, .. });
            let is_ro = profile.root.ro.contains(&submount.of);
            let what = What::Granted {
                filesystem: nullfs(&submount.path, sockets),
                flags: *flags,
                source: match is_ro {
                    true => unchanging(&submount.stat),
                    false => changing(&submount.stat),
                },
                is_file: submount.stat.kind == FileKind::Regular,
            };
            self.insert(&submount.path, what, Why::In(submount.of.clone()))?;
        }
        Ok(())
    }

    pub(super) fn add_new(&mut self, profile: &Profile, host: &Host) -> Result<(), Error> {
        for tmpfs in &profile.root.tmpfs {
            let uid = match &tmpfs.owner {
                None => 0,
                Some(owner) => *host
                    .owners
                    .get(owner)
                    .ok_or_else(|| Error::Profile(format!("no user {owner} on this host")))?,
            };
            let what = What::New {
                filesystem: Filesystem::Tmpfs {
                    size: tmpfs.size,
                    // One for every 4 KiB, as a file system of small files would have.
                    inodes: (tmpfs.size / 4096).max(64),
                    mode: tmpfs.mode,
                    uid,
                    gid: 0,
                },
                flags: MountFlags {
                    read_only: false,
                    nosuid: true,
                    noexec: tmpfs.noexec,
                    nosymfollow: tmpfs.nosymfollow,
                },
            };
            // Inside a granted tree it was looked for on the host, and may be elsewhere.
            let inside = host.sources.get(&tmpfs.path);
            if inside.is_some_and(|granted| granted.stat.kind != FileKind::Directory) {
                let words = format!("tmpfs: {} is not a directory", tmpfs.path);
                return Err(Error::Profile(words));
            }
            let path = inside.map_or(&tmpfs.path, |granted| &granted.path);
            self.insert(path, what, Why::Key("tmpfs"))?;
        }
        if !profile.root.devices.is_empty() {
            let what = What::New {
                filesystem: Filesystem::Devfs {
                    ruleset: host.ruleset,
                },
                flags: MountFlags {
                    nosuid: true,
                    noexec: true,
                    ..MountFlags::default()
                },
            };
            self.insert("/dev", what, Why::Key("devices"))?;
        }
        Ok(())
    }

    /// Each file by itself, read-only, unless it is seen already.
    pub(super) fn add_closure(&mut self, closure: &Closure) -> Result<(), Error> {
        for (path, stat) in &closure.files {
            if self.shows(path) {
                continue;
            }
            let what = What::Granted {
                filesystem: nullfs(path, false),
                flags: READ_ONLY,
                source: unchanging(stat),
                is_file: true,
            };
            self.insert(path, what, Why::Closure)?;
        }
        for (path, text) in &closure.links {
            self.insert_link(path, text, text)?;
        }
        Ok(())
    }

    /// What rtld finds libraries by: a hints file of the directories that are there, and libmap.conf(5)
    /// where the host maps anything.
    pub(super) fn add_linkers(&mut self, closure: &Closure) -> Result<(), Error> {
        for linker in &closure.linkers {
            let hints = self.hints(linker);
            if !hints.is_empty() {
                self.insert_unless_seen(linker.abi.hints_file(), hints::build(&hints))?;
            }
            if linker.libmap != Libmap::default() {
                let text = linker.libmap.flattened();
                self.insert_unless_seen(linker.abi.libmap_file(), text.into_bytes())?;
            }
        }
        Ok(())
    }

    /// The profile's own grants and files come before ours.
    fn insert_unless_seen(&mut self, path: &str, content: Vec<u8>) -> Result<(), Error> {
        if self.shows(path) {
            return Ok(());
        }
        let what = What::File(Made::readable(content));
        self.insert(path, what, Why::Linker)
    }

    /// The host's directories, in its order, as far as anything is in them. Empty where the standard ones
    /// are enough.
    fn hints(&self, linker: &Linker) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        for directory in directories(&linker.hints) {
            // What a mapped directory stands for isn't looked up here: all are kept.
            let is_used = linker.libmap != Libmap::default() || self.holds_something(directory);
            if is_used && !seen.iter().any(|known| known == directory) {
                seen.push(directory.to_string());
            }
        }
        let standard = directories(linker.abi.standard_directories());
        let standard: Vec<&str> = standard
            .filter(|directory| self.holds_something(directory))
            .collect();
        // Without hints rtld searches the standard directories, in their order: nothing is lost if the
        // hints say no more.
        match standard == seen || seen.is_empty() {
            true => Vec::new(),
            false => seen,
        }
    }

    /// Whether there is anything at, in or around a directory. What lies behind a link isn't followed here,
    /// but taken to hold something.
    fn holds_something(&self, directory: &str) -> bool {
        let directory = directory.trim_end_matches('/');
        let inside = format!("{directory}/");
        let mut above = self.above(directory);
        self.shows(directory)
            || above.any(|(_, node)| matches!(node.what, What::Link(_)))
            || self.nodes.contains_key(directory)
            || self.nodes.keys().any(|path| path.starts_with(&inside))
    }

    pub(super) fn add_files(&mut self, host: &Host, profile: &Profile) -> Result<(), Error> {
        for (path, made) in &host.contents {
            // A copy of what is seen already would be the same file twice.
            let is_copy = profile.root.files.get(path) == Some(&crate::profile::Content::Host);
            if is_copy && self.shows(path) {
                continue;
            }
            let ours = self
                .nodes
                .get(path)
                .is_some_and(|node| node.why == Why::Linker);
            if ours {
                self.nodes.remove(path);
            }
            self.insert(path, What::File(made.clone()), Why::Key("files"))?;
        }
        Ok(())
    }

    /// Where syslog(3) looks. The host's own can't be mounted by itself, and the directory has others.
    pub(super) fn add_log(&mut self, profile: &Profile) -> Result<(), Error> {
        match profile.root.sockets.contains(&Socket::Syslog) {
            true => self.insert("/var/run/log", What::Socket, Why::Key("sockets")),
            false => Ok(()),
        }
    }

    pub(super) fn add_masks(&mut self, profile: &Profile, host: &Host) -> Result<(), Error> {
        for path in &profile.root.mask {
            let masked = seen(host, path)?;
            let is_file = masked.stat.kind == FileKind::Regular;
            let closure = host.closure.iter().flat_map(|closure| closure.files.keys());
            let mut needed =
                closure.filter(|file| **file == masked.path || is_below(file, &masked.path));
            if let Some(file) = needed.next() {
                let words = format!("mask: {path} would hide {file}, which a program needs");
                return Err(Error::Profile(words));
            }
            if self.nodes.contains_key(&masked.path) {
                let words = format!("mask: {path} is granted by itself");
                return Err(Error::Profile(words));
            }
            self.insert(&masked.path, What::Mask { is_file }, Why::Key("mask"))?;
        }
        Ok(())
    }
}

fn seen<'h>(host: &'h Host, path: &str) -> Result<&'h Granted, Error> {
    host.sources
        .get(path)
        .ok_or_else(|| Error::Profile(format!("{path} was not looked at on this host")))
}
