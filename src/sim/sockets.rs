//! Sockets with addresses: who may bind where, and who is in the way. No data goes through them.

use super::lookup::Last;
use super::world::{Description, Place, Res, World};
use std::collections::VecDeque;

use crate::kernel::{At, Errno, Fd, FileKind, SocketAddress, SocketKind, SocketOption};

impl World {
    pub(super) fn socket(&mut self, pid: i32, kind: SocketKind) -> Res<Fd> {
        let bound = Description::Bound {
            kind,
            address: None,
            place: None,
            options: Vec::new(),
            listens: false,
            messages: VecDeque::new(),
        };
        self.install(pid, bound, 0)
    }

    fn bound(&mut self, pid: i32, fd: Fd) -> Res<&mut Description> {
        let id = self.descriptor(pid, fd)?.description;
        self.descriptions
            .get_mut(&id)
            .filter(|description| matches!(description, Description::Bound { .. }))
            .ok_or_else(|| Errno::EOPNOTSUPP.into())
    }

    pub(super) fn setsockopt(&mut self, pid: i32, fd: Fd, option: SocketOption) -> Res<()> {
        if let Description::Bound { options, .. } = self.bound(pid, fd)? {
            options.push(option);
        }
        Ok(())
    }

    pub(super) fn bind(&mut self, pid: i32, fd: Fd, address: &SocketAddress) -> Res<()> {
        let (kind, shares) = match self.bound(pid, fd)? {
            Description::Bound {
                address: Some(_), ..
            } => return Err(Errno::EINVAL.into()),
            Description::Bound { kind, options, .. } => {
                (*kind, options.contains(&SocketOption::ReusePort))
            }
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        let made = match address {
            SocketAddress::Inet(wanted) => {
                if wanted.port() < 1024 {
                    self.need_root(pid).map_err(|_| Errno::EACCES)?;
                }
                let ip = wanted.ip();
                let is_here = ip.is_unspecified()
                    || ip.is_loopback()
                    || self.addresses.iter().any(|known| known.address == ip);
                if !is_here {
                    return Err(Errno::EADDRNOTAVAIL.into());
                }
                if self.is_taken(kind, address, shares) {
                    return Err(Errno::EADDRINUSE.into());
                }
                None
            }
            SocketAddress::Unix(path) => Some(self.make_name(pid, At::Cwd, path)?),
        };
        if let Description::Bound {
            address: known,
            place,
            ..
        } = self.bound(pid, fd)?
        {
            *known = Some(address.clone());
            *place = made;
        }
        Ok(())
    }

    pub(super) fn bindat(&mut self, pid: i32, at: At, path: &str, fd: Fd) -> Res<()> {
        // SUNPATHLEN, with the NUL.
        if path.len() >= 104 {
            return Err(Errno::ENAMETOOLONG.into());
        }
        if let Description::Bound {
            address: Some(_), ..
        } = self.bound(pid, fd)?
        {
            return Err(Errno::EINVAL.into());
        }
        let made = self.make_name(pid, at, path)?;
        if let Description::Bound { address, place, .. } = self.bound(pid, fd)? {
            *address = Some(SocketAddress::Unix(path.to_string()));
            *place = Some(made);
        }
        Ok(())
    }

    fn make_name(&mut self, pid: i32, at: At, path: &str) -> Res<Place> {
        let found = self.find(pid, at, path, Last::NoFollow)?;
        match found.place {
            Some(_) => Err(Errno::EADDRINUSE.into()),
            None => self.create(pid, &found, FileKind::Socket, 0o777),
        }
    }

    /// By a socket of the same kind, unless both share.
    fn is_taken(&self, wanted: SocketKind, at: &SocketAddress, shares: bool) -> bool {
        self.descriptions
            .values()
            .any(|description| match description {
                Description::Bound {
                    kind,
                    address: Some(address),
                    options,
                    ..
                } => {
                    let both_share = shares && options.contains(&SocketOption::ReusePort);
                    *kind == wanted && address == at && !both_share
                }
                _ => false,
            })
    }

    pub(super) fn listen(&mut self, pid: i32, fd: Fd) -> Res<()> {
        match self.bound(pid, fd)? {
            Description::Bound { kind, .. } if !kind.listens() => Err(Errno::EOPNOTSUPP.into()),
            Description::Bound { listens, .. } => {
                *listens = true;
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    pub(super) fn connect(&mut self, pid: i32, fd: Fd, address: &SocketAddress) -> Res<()> {
        let Description::Bound { kind: own, .. } = *self.bound(pid, fd)? else {
            return Err(Errno::EOPNOTSUPP.into());
        };
        let SocketAddress::Unix(path) = address else {
            return match self.is_taken(own, address, false) {
                true => Ok(()),
                false => Err(Errno::ECONNREFUSED.into()),
            };
        };
        let place = self.find(pid, At::Cwd, path, Last::NoFollow)?.existing()?;
        if self.inode(place.inode)?.kind != FileKind::Socket {
            return Err(Errno::EPROTOTYPE.into());
        }
        self.permit(pid, place.inode, super::lookup::WRITE)?;
        let theirs = self
            .descriptions
            .values()
            .find_map(|description| match description {
                Description::Bound {
                    kind,
                    place: Some(bound),
                    ..
                } if bound.inode == place.inode => Some(*kind),
                _ => None,
            });
        match theirs {
            None => Err(Errno::ECONNREFUSED.into()),
            Some(kind) if kind != own => Err(Errno::EPROTOTYPE.into()),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn lchown(&mut self, pid: i32, path: &str, uid: u32) -> Res<()> {
        self.need_root(pid)?;
        let found = self.find(pid, At::Cwd, path, Last::NoFollow)?;
        self.need_writable(found.parent)?;
        let inode = found.existing()?.inode;
        self.inode_mut(inode)?.uid = uid;
        Ok(())
    }
}
