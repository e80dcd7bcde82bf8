//! Sockets with addresses: who may bind where, and who is in the way. No data goes through them.

use super::lookup::Last;
use super::world::{Description, Place, Res, World};
use std::collections::VecDeque;

use crate::kernel::{
    At, Errno, Fd, FileKind, JAIL_SYS_DISABLE, JAIL_SYS_NEW, JailValue, SocketAddress, SocketKind,
    SocketOption,
};
use std::net::{IpAddr, SocketAddr};

impl World {
    pub(super) fn socket(&mut self, pid: i32, kind: SocketKind) -> Res<Fd> {
        match kind {
            SocketKind::Tcp | SocketKind::Udp => self.need_family(pid, "ip4")?,
            SocketKind::Tcp6 | SocketKind::Udp6 => self.need_family(pid, "ip6")?,
            _ => {}
        }
        let bound = Description::Bound {
            kind,
            address: None,
            place: None,
            options: Vec::new(),
            listener: None,
            messages: VecDeque::new(),
        };
        self.install(pid, bound, 0)
    }

    /// A parameter of the jail that a process is in; `None` on the host.
    fn parameter(&self, pid: i32, name: &str) -> Res<Option<Option<&JailValue>>> {
        let jail = self.process(pid)?.jail.and_then(|id| self.jails.get(&id));
        Ok(jail.map(|jail| jail.parameters.get(name)))
    }

    /// EPROTONOSUPPORT in a jail that has none of the family (prison_check_af in sys/kern/kern_jail.c).
    pub(super) fn need_family(&self, pid: i32, family: &str) -> Res<()> {
        match self.parameter(pid, family)? {
            Some(Some(JailValue::Int(JAIL_SYS_DISABLE))) => Err(Errno::EPROTONOSUPPORT.into()),
            _ => Ok(()),
        }
    }

    /// Addresses of a family that a process may use; `None`: all of the host's.
    fn own_addresses(&self, pid: i32, ip: IpAddr) -> Res<Option<Vec<IpAddr>>> {
        let family = if ip.is_ipv4() { "ip4" } else { "ip6" };
        if self.parameter(pid, family)? != Some(Some(&JailValue::Int(JAIL_SYS_NEW))) {
            return Ok(None);
        }
        Ok(match self.parameter(pid, &format!("{family}.addr"))? {
            Some(Some(JailValue::Addresses(all))) => Some(all.clone()),
            _ => Some(Vec::new()),
        })
    }

    /// What an address stands for: a jail's first, where it is a loopback that the jail hasn't
    /// (prison_local_ip4 in sys/netinet/in_jail.c).
    fn local(&self, pid: i32, ip: IpAddr) -> Res<IpAddr> {
        let refused = Err(Errno::EADDRNOTAVAIL.into());
        let Some(own) = self.own_addresses(pid, ip)? else {
            let is_here = ip.is_unspecified()
                || ip.is_loopback()
                || self.addresses.iter().any(|known| known.address == ip);
            return if is_here { Ok(ip) } else { refused };
        };
        match own.first() {
            _ if own.contains(&ip) || ip.is_unspecified() => Ok(ip),
            Some(first) if ip.is_loopback() => Ok(*first),
            _ => refused,
        }
    }

    pub(super) fn getsockname(&mut self, pid: i32, fd: Fd) -> Res<SocketAddr> {
        match self.bound(pid, fd)? {
            Description::Bound {
                address: Some(SocketAddress::Inet(address)),
                ..
            } => Ok(*address),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// Of a socket that sends messages it is only noted where to; the kernel chooses where from.
    fn choose_source(&mut self, pid: i32, fd: Fd, peer: SocketAddr) -> Res<()> {
        let ip = peer.ip();
        let source = match self.own_addresses(pid, ip)? {
            Some(own) if own.contains(&ip) => Some(ip),
            Some(own) => {
                let mut leaving = own
                    .iter()
                    .filter(|own| ip.is_loopback() || !own.is_loopback());
                leaving.next().or(own.first()).copied()
            }
            None if self.local(pid, ip).is_ok() => Some(ip),
            None => {
                let all = self.addresses.iter().map(|known| known.address);
                let mut other = all.filter(|own| !own.is_loopback());
                other.find(|own| own.is_ipv4() == ip.is_ipv4())
            }
        };
        let source = source.ok_or(Errno::ENETUNREACH)?;
        if let Description::Bound { address, .. } = self.bound(pid, fd)? {
            *address = Some(SocketAddress::Inet(SocketAddr::new(source, 49_152)));
        }
        Ok(())
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
        let mut ip = None;
        let made = match address {
            SocketAddress::Inet(wanted) => {
                if (1..1024).contains(&wanted.port()) {
                    self.need_root(pid).map_err(|_| Errno::EACCES)?;
                }
                ip = Some(self.local(pid, wanted.ip())?);
                if wanted.port() != 0 && self.is_taken(kind, address, shares) {
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
            let mut named = address.clone();
            if let (SocketAddress::Inet(inner), Some(ip)) = (&mut named, ip) {
                inner.set_ip(ip);
            }
            *known = Some(named);
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
        let uid = self.process(pid)?.credentials.uid.effective;
        match self.bound(pid, fd)? {
            Description::Bound { kind, .. } if !kind.listens() => Err(Errno::EOPNOTSUPP.into()),
            Description::Bound { listener, .. } => {
                *listener = Some(uid);
                Ok(())
            }
            _ => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    pub(super) fn connect(&mut self, pid: i32, fd: Fd, address: &SocketAddress) -> Res<()> {
        let Description::Bound { kind: own, .. } = *self.bound(pid, fd)? else {
            return Err(Errno::EOPNOTSUPP.into());
        };
        if let (SocketAddress::Inet(peer), false) = (address, own.listens()) {
            return self.choose_source(pid, fd, *peer);
        }
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
