//! openat(2) and its kin: permission bits, read-only mounts, sticky directories, locks.

use super::lookup::{EXECUTE, Found, Last, READ, WRITE};
use super::world::{Description, Inode, Mount, Place, Res, World};
use crate::kernel::{At, Errno, Fd, FileKind, Lock, Open, Stat, Unlink};
use std::sync::Arc;

impl World {
    pub(super) fn openat(&mut self, pid: i32, at: At, path: &str, how: Open) -> Res<Fd> {
        if let Some(number) = path.strip_prefix("/dev/pts/")
            && how == Open::Terminal
        {
            return self.open_slave(pid, number);
        }
        let last = if how == Open::Device {
            Last::Follow
        } else {
            Last::NoFollow
        };
        let found = self.find(pid, at, path, last)?;
        let (readable, writable) = access(how);
        let (place, created) = match (how, found.place) {
            (Open::CreateNew(_), Some(_)) => return Err(Errno::EEXIST.into()),
            (Open::CreateNew(mode) | Open::ReadWriteCreate(mode) | Open::Append(mode), None) => {
                (self.create(pid, &found, FileKind::Regular, mode)?, true)
            }
            (_, None) => return Err(Errno::ENOENT.into()),
            (_, Some(place)) => (place, false),
        };
        let kind = self.inode(place.inode)?.kind;
        if kind == FileKind::Symlink && how != Open::Path {
            return Err(Errno::EMLINK.into());
        }
        if how == Open::Directory && kind != FileKind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        if writable && kind == FileKind::Directory {
            return Err(Errno::EISDIR.into());
        }
        if kind == FileKind::Socket && how != Open::Path {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if how == Open::Execute {
            self.may_execute(pid, place)?;
        }
        if !created {
            if how != Open::Path {
                self.need_a_name(place)?;
            }
            if readable {
                self.permit(pid, place.inode, READ)?;
            }
            if writable {
                self.permit(pid, place.inode, WRITE)?;
                if kind == FileKind::Regular {
                    self.need_writable(place)?;
                }
            }
        }
        let Found { parent, name, .. } = found;
        let offset = match how {
            Open::Append(_) => self.inode(place.inode)?.data.len(),
            _ => 0,
        };
        let description = Description::Vnode {
            place,
            parent,
            name,
            offset,
            readable,
            writable,
            appends: matches!(how, Open::ReadWriteCreate(_) | Open::Append(_)),
        };
        self.install(pid, description, 0)
    }

    /// tmpfs opens nothing whose last name is gone, by whatever way it is reached (tmpfs_open()).
    fn need_a_name(&self, place: Place) -> Res<()> {
        let is_tmpfs = self.lowest(place)?.kind == "tmpfs";
        match is_tmpfs && self.inode(place.inode)?.links == 0 {
            true => Err(Errno::ENOENT.into()),
            false => Ok(()),
        }
    }

    /// ENOSPC on a full root file system, by whatever way it is reached.
    pub(super) fn need_room(&self, place: Place) -> Res<()> {
        match self.is_full && self.lowest(place)?.id == 1 {
            true => Err(Errno::ENOSPC.into()),
            false => Ok(()),
        }
    }

    /// The file system itself, below any nullfs.
    fn lowest(&self, place: Place) -> Res<&Mount> {
        let mut mount = self.mount(place.mount)?;
        while let Some(lower) = mount.lower {
            mount = self.mount(lower.mount)?;
        }
        Ok(mount)
    }

    pub(super) fn create(
        &mut self,
        pid: i32,
        found: &Found,
        kind: FileKind,
        mode: u32,
    ) -> Res<Place> {
        let directory = found.parent.inode;
        self.permit(pid, directory, WRITE | EXECUTE)?;
        self.need_writable(found.parent)?;
        self.need_room(found.parent)?;
        if self.mount(found.parent.mount)?.kind == "devfs" {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let process = self.process(pid)?;
        let (uid, umask) = (process.credentials.uid.effective, process.umask);
        let gid = self.inode(directory)?.gid;
        let id = self.fresh();
        let mut inode = Inode::new(kind, mode & !umask & 0o7777, uid, gid, directory);
        inode.ctime = self.now();
        self.inodes.insert(id, inode);
        let now = self.now();
        let parent = self.inode_mut(directory)?;
        parent.children.insert(found.name.clone(), id);
        parent.ctime = now;
        if kind == FileKind::Directory {
            parent.links += 1;
        }
        Ok(Place {
            mount: found.parent.mount,
            inode: id,
        })
    }

    pub(super) fn now(&self) -> (i64, i64) {
        let ms = i64::try_from(self.clock_ms).unwrap_or(0);
        (1_800_000_000 + ms / 1000, (ms % 1000) * 1_000_000)
    }

    pub(super) fn fstat(&self, pid: i32, fd: Fd) -> Res<Stat> {
        match self.description(pid, fd)? {
            Description::Vnode { place, .. } => self.stat(*place),
            Description::Socket { is_pipe: false, .. } | Description::Bound { .. } => {
                Ok(plain_stat(FileKind::Socket))
            }
            Description::Pipe | Description::Socket { .. } | Description::Kqueue { .. } => {
                Ok(plain_stat(FileKind::Fifo))
            }
            Description::Terminal | Description::Pty { .. } => {
                Ok(plain_stat(FileKind::CharacterDevice))
            }
            Description::Jail { id, .. } => Ok(Stat {
                inode: u64::try_from(*id).unwrap_or(0),
                ..plain_stat(FileKind::Regular)
            }),
        }
    }

    fn stat(&self, place: Place) -> Res<Stat> {
        self.mount(place.mount)?;
        let inode = self.inode(place.inode)?;
        Ok(Stat {
            kind: inode.kind,
            device: u64::try_from(place.mount).unwrap_or(0),
            inode: place.inode,
            mode: inode.mode,
            links: inode.links,
            uid: inode.uid,
            gid: inode.gid,
            size: inode.data.len() as u64,
            ctime: inode.ctime,
        })
    }

    pub(super) fn lstatat(&self, pid: i32, at: At, path: &str) -> Res<Stat> {
        let found = self.find(pid, at, path, Last::NoFollow)?;
        self.stat(found.existing()?)
    }

    pub(super) fn mkdirat(&mut self, pid: i32, at: At, path: &str, mode: u32) -> Res<()> {
        let found = self.find(pid, at, path, Last::NoFollow)?;
        if found.place.is_some() {
            return Err(Errno::EEXIST.into());
        }
        self.create(pid, &found, FileKind::Directory, mode & 0o1777)
            .map(|_| ())
    }

    pub(super) fn symlinkat(&mut self, pid: i32, target: &str, at: At, path: &str) -> Res<()> {
        let found = self.find(pid, at, path, Last::NoFollow)?;
        if found.place.is_some() {
            return Err(Errno::EEXIST.into());
        }
        let place = self.create(pid, &found, FileKind::Symlink, 0o777)?;
        self.inode_mut(place.inode)?.data = Arc::new(target.as_bytes().to_vec());
        Ok(())
    }

    pub(super) fn readlinkat(&self, pid: i32, at: At, path: &str) -> Res<String> {
        let place = self.find(pid, at, path, Last::NoFollow)?.existing()?;
        let inode = self.inode(place.inode)?;
        if inode.kind != FileKind::Symlink {
            return Err(Errno::EINVAL.into());
        }
        String::from_utf8(inode.data.to_vec()).map_err(|_| Errno::EILSEQ.into())
    }

    pub(super) fn pread(&self, pid: i32, fd: Fd, length: usize, offset: u64) -> Res<Vec<u8>> {
        let place = match self.description(pid, fd)? {
            Description::Vnode {
                readable: false, ..
            } => return Err(Errno::EBADF.into()),
            Description::Vnode { place, .. } => *place,
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        let inode = self.inode(place.inode)?;
        if inode.kind == FileKind::Directory {
            return Err(Errno::EISDIR.into());
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(inode.data.iter().skip(from).take(length).copied().collect())
    }

    pub(super) fn unlinkat(&mut self, pid: i32, at: At, path: &str, what: Unlink) -> Res<()> {
        let found = self.find(pid, at, path, Last::NoFollow)?;
        let place = found.existing()?;
        if found.name.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        let is_directory = self.inode(place.inode)?.kind == FileKind::Directory;
        match what {
            Unlink::Directory if !is_directory => return Err(Errno::ENOTDIR.into()),
            Unlink::File if is_directory => return Err(Errno::EPERM.into()),
            _ => {}
        }
        self.permit(pid, found.parent.inode, WRITE | EXECUTE)?;
        self.need_writable(found.parent)?;
        if place.mount != found.parent.mount {
            return Err(Errno::EBUSY.into());
        }
        let inode = self.inode(place.inode)?;
        let directory = self.inode(found.parent.inode)?;
        let caller = self.process(pid)?.credentials.uid.effective;
        let is_owner = caller == directory.uid || caller == inode.uid || self.is_privileged(pid);
        if directory.mode & 0o1000 != 0 && !is_owner {
            return Err(Errno::EPERM.into());
        }
        if !inode.children.is_empty() {
            return Err(Errno::ENOTEMPTY.into());
        }
        // A mount that is shadowed, or made through another nullfs, still holds the directory.
        if self.mounts.iter().any(|mount| mount.covered == Some(place)) {
            return Err(Errno::EBUSY.into());
        }
        let now = self.now();
        let directory = self.inode_mut(found.parent.inode)?;
        directory.children.remove(&found.name);
        directory.ctime = now;
        if is_directory {
            directory.links = directory.links.saturating_sub(1);
        }
        let inode = self.inode_mut(place.inode)?;
        inode.ctime = now;
        inode.links = if is_directory {
            0
        } else {
            inode.links.saturating_sub(1)
        };
        Ok(())
    }

    fn vnode(&self, pid: i32, fd: Fd) -> Res<(Place, u64)> {
        match self.description(pid, fd)? {
            Description::Vnode { place, .. } => Ok((*place, self.descriptor(pid, fd)?.description)),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    pub(super) fn acl_is_trivial(&self, pid: i32, fd: Fd) -> Res<bool> {
        let (place, _) = self.vnode(pid, fd)?;
        Ok(!self.inode(place.inode)?.extended_acl)
    }

    pub(super) fn fchown(&mut self, pid: i32, fd: Fd, uid: u32, gid: u32) -> Res<()> {
        let (place, _) = self.vnode(pid, fd)?;
        self.need_writable(place)?;
        self.need_root(pid)?;
        let now = self.now();
        let inode = self.inode_mut(place.inode)?;
        inode.ctime = now;
        if uid != u32::MAX {
            inode.uid = uid;
        }
        if gid != u32::MAX {
            inode.gid = gid;
        }
        Ok(())
    }

    pub(super) fn fchmod(&mut self, pid: i32, fd: Fd, mode: u32) -> Res<()> {
        let (place, _) = self.vnode(pid, fd)?;
        self.need_writable(place)?;
        let caller = self.process(pid)?.credentials.uid.effective;
        if caller != self.inode(place.inode)?.uid {
            self.need_root(pid)?;
        }
        let now = self.now();
        let inode = self.inode_mut(place.inode)?;
        inode.mode = mode & 0o7777;
        inode.ctime = now;
        Ok(())
    }

    pub(super) fn ftruncate(&mut self, pid: i32, fd: Fd, size: u64) -> Res<()> {
        match self.description(pid, fd)? {
            Description::Vnode {
                place,
                writable: true,
                ..
            } => {
                let place = *place;
                let size = usize::try_from(size).map_err(|_| Errno::EFBIG)?;
                Arc::make_mut(&mut self.inode_mut(place.inode)?.data).resize(size, 0);
                Ok(())
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }

    pub(super) fn readdir(&self, pid: i32, fd: Fd) -> Res<Vec<String>> {
        let place = self.directory_of(pid, fd)?;
        if let Description::Vnode {
            readable: false, ..
        } = self.description(pid, fd)?
        {
            return Err(Errno::EBADF.into());
        }
        let mut names = Vec::new();
        for name in self.inode(place.inode)?.children.keys() {
            if self.child(place, name)?.is_some() {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    pub(super) fn is_locked(&self, pid: i32, fd: Fd) -> Res<bool> {
        let (place, description) = self.vnode(pid, fd)?;
        let mut locks = self.locks.iter();
        Ok(locks.any(|(inode, holder, _)| *inode == place.inode && *holder != description))
    }

    pub(super) fn flock(&mut self, pid: i32, fd: Fd, lock: Lock) -> Res<()> {
        let (place, description) = self.vnode(pid, fd)?;
        let conflict = self.locks.iter().any(|(inode, holder, held)| {
            *inode == place.inode
                && *holder != description
                && (lock == Lock::Exclusive || *held == Lock::Exclusive)
        });
        if conflict {
            return Err(Errno::EAGAIN.into());
        }
        self.locks
            .retain(|(inode, holder, _)| (*inode, *holder) != (place.inode, description));
        self.locks.push((place.inode, description, lock));
        Ok(())
    }

    pub(super) fn chdir(&mut self, pid: i32, path: &str) -> Res<()> {
        let place = self.find(pid, At::Cwd, path, Last::Follow)?.existing()?;
        if self.inode(place.inode)?.kind != FileKind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        self.permit(pid, place.inode, EXECUTE)?;
        self.process_mut(pid)?.cwd = place;
        Ok(())
    }
}

/// Whether it is opened to be read, and to be written.
fn access(how: Open) -> (bool, bool) {
    match how {
        Open::Directory | Open::Read => (true, false),
        Open::Path | Open::Execute => (false, false),
        Open::ReadWriteCreate(_) | Open::Device | Open::Terminal => (true, true),
        Open::CreateNew(_) | Open::Append(_) => (false, true),
    }
}

fn plain_stat(kind: FileKind) -> Stat {
    Stat {
        kind,
        device: 0,
        inode: 0,
        mode: 0o600,
        links: 1,
        uid: 0,
        gid: 0,
        size: 0,
        ctime: (0, 0),
    }
}
