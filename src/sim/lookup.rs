//! From a path to a vnode, through mounts and symbolic links, with the search permission of the caller.

use super::world::{Credentials, Description, Inode, Mount, Place, ROOT, Res, World};
use crate::kernel::{At, DevfsAct, DevfsRule, Errno, Fd, FileKind};

/// Where a path ends: the directory, the name in it, and what is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub parent: Place,
    pub name: String,
    pub place: Option<Place>,
}

impl Found {
    pub fn existing(&self) -> Res<Place> {
        self.place.ok_or_else(|| Errno::ENOENT.into())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    NoFollow,
}

/// Who looks, and from where.
pub(super) struct View<'a> {
    pub root: Place,
    pub start: Place,
    pub credentials: Option<&'a Credentials>,
}

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const EXECUTE: u32 = 1;

impl World {
    /// A path as the host's root sees it, for tests and meddlers.
    pub fn place_at(&self, path: &str) -> Option<Place> {
        let view = View {
            root: ROOT,
            start: ROOT,
            credentials: None,
        };
        self.lookup(&view, path, Last::NoFollow).ok()?.place
    }

    /// The inode at a path of the host.
    pub fn at(&mut self, path: &str) -> Option<&mut Inode> {
        let place = self.place_at(path)?;
        self.inodes.get_mut(&place.inode)
    }

    pub(super) fn find(&self, pid: i32, at: At, path: &str, last: Last) -> Res<Found> {
        let process = self.process(pid)?;
        let start = match at {
            At::Cwd => process.cwd,
            At::Dir(_) if path.starts_with('/') => process.root,
            At::Dir(fd) => self.directory_of(pid, fd)?,
        };
        let powerless;
        let credentials = if self.is_privileged(pid) {
            None
        } else {
            powerless = &process.credentials;
            Some(powerless)
        };
        self.lookup(
            &View {
                root: process.root,
                start,
                credentials,
            },
            path,
            last,
        )
    }

    pub(super) fn directory_of(&self, pid: i32, fd: Fd) -> Res<Place> {
        match self.description(pid, fd)? {
            Description::Vnode { place, .. }
                if self.inode(place.inode)?.kind == FileKind::Directory =>
            {
                Ok(*place)
            }
            _ => Err(Errno::ENOTDIR.into()),
        }
    }

    pub(super) fn lookup(&self, view: &View<'_>, path: &str, last: Last) -> Res<Found> {
        if path.is_empty() {
            return Err(Errno::ENOENT.into());
        }
        if path.len() >= 1024 {
            return Err(Errno::ENAMETOOLONG.into());
        }
        let mut rest: Vec<String> = components(path);
        let mut here = if path.starts_with('/') {
            view.root
        } else {
            view.start
        };
        let mut found = Found {
            parent: here,
            name: String::new(),
            place: Some(here),
        };
        let mut links = 0;
        while let Some(name) = rest.pop() {
            let directory = self.inode(here.inode)?;
            if directory.kind != FileKind::Directory {
                return Err(Errno::ENOTDIR.into());
            }
            if name.len() > 255 {
                return Err(Errno::ENAMETOOLONG.into());
            }
            self.check(view.credentials, directory, EXECUTE)?;
            if name == ".." {
                here = self.parent_of(here, view.root)?;
                found = Found {
                    parent: here,
                    name: String::new(),
                    place: Some(here),
                };
                continue;
            }
            let Some(child) = self.child(here, &name)? else {
                if rest.is_empty() {
                    return Ok(Found {
                        parent: here,
                        name,
                        place: None,
                    });
                }
                return Err(Errno::ENOENT.into());
            };
            let inode = self.inode(child.inode)?;
            if inode.kind == FileKind::Symlink && (!rest.is_empty() || last == Last::Follow) {
                links += 1;
                if links > 32 {
                    return Err(Errno::ELOOP.into());
                }
                if self.mount(child.mount)?.flags.nosymfollow {
                    return Err(Errno::EACCES.into());
                }
                let target = String::from_utf8_lossy(&inode.data).into_owned();
                if target.starts_with('/') {
                    here = view.root;
                    found = Found {
                        parent: here,
                        name: String::new(),
                        place: Some(here),
                    };
                }
                rest.extend(components(&target));
                continue;
            }
            found = Found {
                parent: here,
                name,
                place: Some(child),
            };
            here = child;
        }
        Ok(found)
    }

    /// What a directory holds under a name, with the mounts on it.
    pub(super) fn child(&self, directory: Place, name: &str) -> Res<Option<Place>> {
        let mount = self.mount(directory.mount)?;
        let Some(inode) = self.inode(directory.inode)?.children.get(name) else {
            return Ok(None);
        };
        if mount.kind == "devfs" && !shows(mount, name) {
            return Ok(None);
        }
        Ok(Some(self.top(Place {
            mount: directory.mount,
            inode: *inode,
        })))
    }

    /// The newest mount on a place, or the place itself.
    pub(super) fn top(&self, mut place: Place) -> Place {
        while let Some(mount) = self
            .mounts
            .iter()
            .rev()
            .find(|mount| mount.covered == Some(place))
        {
            place = Place {
                mount: mount.id,
                inode: mount.root,
            };
        }
        place
    }

    pub(super) fn parent_of(&self, mut place: Place, root: Place) -> Res<Place> {
        if place == root {
            return Ok(place);
        }
        loop {
            let mount = self.mount(place.mount)?;
            match mount.covered {
                Some(covered) if mount.root == place.inode => place = covered,
                _ => break,
            }
        }
        let parent = self.inode(place.inode)?.parent;
        Ok(self.top(Place {
            mount: place.mount,
            inode: parent,
        }))
    }

    /// The absolute path of a directory, from the host's root; "?" where a forced unmount cut it off.
    pub(super) fn path_of(&self, mut place: Place) -> String {
        let mut names: Vec<String> = Vec::new();
        for _ in 0..200 {
            let Ok(mount) = self.mount(place.mount) else {
                return "?".into();
            };
            if mount.root == place.inode {
                match mount.covered {
                    None => break,
                    Some(covered) => {
                        if self
                            .inodes
                            .get(&covered.inode)
                            .is_some_and(|i| i.kind != FileKind::Directory)
                        {
                            return mount.on.clone();
                        }
                        place = covered;
                    }
                }
                continue;
            }
            let Ok(inode) = self.inode(place.inode) else {
                return "?".into();
            };
            let name = self
                .inodes
                .get(&inode.parent)
                .and_then(|parent| parent.children.iter().find(|(_, id)| **id == place.inode));
            let Some((name, _)) = name else {
                return "?".into();
            };
            names.push(name.clone());
            place.inode = inode.parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// EACCES unless the mode grants all of `wanted`; `None` is privileged.
    pub(super) fn check(
        &self,
        credentials: Option<&Credentials>,
        inode: &Inode,
        wanted: u32,
    ) -> Res<()> {
        let Some(who) = credentials else {
            return Ok(());
        };
        let shift = if who.uid.effective == inode.uid {
            6
        } else if who.gid.effective == inode.gid || who.groups.contains(&inode.gid) {
            3
        } else {
            0
        };
        if (inode.mode >> shift) & wanted == wanted {
            Ok(())
        } else {
            Err(Errno::EACCES.into())
        }
    }

    /// `check` for a process.
    pub(super) fn permit(&self, pid: i32, inode: u64, wanted: u32) -> Res<()> {
        let process = self.process(pid)?;
        let who = if self.is_privileged(pid) {
            None
        } else {
            Some(&process.credentials)
        };
        self.check(who, self.inode(inode)?, wanted)
    }

    /// EROFS where this mount, or one that a nullfs shows, is read-only.
    pub(super) fn need_writable(&self, place: Place) -> Res<()> {
        let mut mount = self.mount(place.mount)?;
        loop {
            if mount.flags.read_only {
                return Err(Errno::EROFS.into());
            }
            match mount.lower {
                Some(lower) => mount = self.mount(lower.mount)?,
                None => return Ok(()),
            }
        }
    }
}

/// Last first, so that the next one is popped.
fn components(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .rev()
        .map(str::to_string)
        .collect()
}

/// Whether a devfs shows a node. No rules: everything.
pub(super) fn shows(mount: &Mount, name: &str) -> bool {
    let mut visible = true;
    for rule in &mount.rules {
        if matches(rule, name) {
            match rule.act {
                DevfsAct::Hide => visible = false,
                DevfsAct::Unhide => visible = true,
                DevfsAct::Other => {}
            }
        }
    }
    visible
}

fn matches(rule: &DevfsRule, name: &str) -> bool {
    match rule.pattern.as_deref() {
        None => true,
        Some(pattern) => match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => pattern == name,
        },
    }
}
