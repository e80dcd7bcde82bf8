//! What an intruder tries, against the rules that the simulated kernel has. What it hasn't (memory,
//! tracing, descriptors in flight, what address a socket ends up with) it says it
//! can't show.

use super::Sim;
use super::lookup::{EXECUTE, Last, READ, WRITE};
use super::world::{Description, Res, World};
use crate::kernel::attack::{Access, Attack, Memory, Socket};
use crate::kernel::{
    At, Errno, Failure, Fd, FileKind, JAIL_SYS_DISABLE, JAIL_SYS_INHERIT, JailValue, Outcome, Pid,
};
use std::net::{Ipv4Addr, SocketAddr};

/// What it has no model of.
const UNSHOWN: [(&str, &str); 10] = [
    (
        "passed-directory",
        "the simulated kernel passes no descriptors",
    ),
    (
        "message-buffer",
        "the simulated kernel has no message buffer",
    ),
    ("lock-memory", "the simulated kernel has no memory"),
    ("debug-sibling", "the simulated kernel traces nobody"),
    ("write-and-execute", "the simulated kernel has no memory"),
    (
        "foreign-address",
        "the simulated kernel has no addresses of sockets",
    ),
    ("host-loopback", "the simulated kernel connects nobody"),
    ("process-limit", "the simulated kernel counts no processes"),
    ("memory-limit", "the simulated kernel has no memory"),
    (
        "capability-parent",
        "the simulated kernel looks nothing up in capability mode",
    ),
];

impl World {
    fn attack_socket(&mut self, pid: i32, socket: Socket) -> Res<Fd> {
        let family = match socket {
            Socket::Tcp4 | Socket::Raw4 => "ip4",
            Socket::Tcp6 | Socket::Raw6 => "ip6",
            Socket::Route => "",
        };
        if !family.is_empty() {
            self.need_family(pid, family)?;
        }
        let jail = self.process(pid)?.jail.and_then(|id| self.jails.get(&id));
        if matches!(socket, Socket::Raw4 | Socket::Raw6) {
            let is_allowed = jail.is_none_or(|jail| jail.allow.contains("raw_sockets"));
            if !is_allowed || !self.is_privileged(pid) {
                return Err(Errno::EPERM.into());
            }
        }
        let socket = Description::end(false, None);
        self.install(pid, socket, 0)
    }

    /// EPERM before anything is looked for.
    fn host_roots(&self, pid: i32, otherwise: Errno) -> Res<()> {
        self.need_host_root(pid)?;
        Err(otherwise.into())
    }

    fn attack_link(&mut self, pid: i32, from: (At, &str), to: (At, &str)) -> Res<()> {
        let source = self.find(pid, from.0, from.1, Last::NoFollow)?.existing()?;
        let found = self.find(pid, to.0, to.1, Last::NoFollow)?;
        if found.place.is_some() {
            return Err(Errno::EEXIST.into());
        }
        if self.mount(found.parent.mount)?.flags.read_only {
            return Err(Errno::EROFS.into());
        }
        // namei() asks the directory before kern_linkat_vp() compares the mounts.
        self.permit(pid, found.parent.inode, WRITE | EXECUTE)?;
        if source.mount != found.parent.mount {
            return Err(Errno::EXDEV.into());
        }
        if self.inode(source.inode)?.kind == FileKind::Directory {
            return Err(Errno::EPERM.into());
        }
        self.need_root(pid)?;
        self.need_room(found.parent)?;
        let above = self.inode_mut(found.parent.inode)?;
        above.children.insert(found.name.clone(), source.inode);
        self.inode_mut(source.inode)?.links += 1;
        Ok(())
    }

    /// EROFS before permissions, as vn_access(9) has it.
    fn attack_access(&self, pid: i32, path: &str, access: Access) -> Res<()> {
        let place = self.find(pid, At::Cwd, path, Last::Follow)?.existing()?;
        let wanted = match access {
            Access::Read => READ,
            Access::Write => WRITE,
            Access::Execute => EXECUTE,
            Access::ReadAndSearch => READ | EXECUTE,
            Access::WriteAndSearch => WRITE | EXECUTE,
        };
        let kind = self.inode(place.inode)?.kind;
        let is_kept = matches!(
            kind,
            FileKind::Regular | FileKind::Directory | FileKind::Symlink
        );
        if wanted & WRITE != 0 && is_kept {
            self.need_writable(place)?;
        }
        self.permit(pid, place.inode, wanted)
    }

    /// The host has one segment. Keys are a jail's own, ids are not (shm_find_segment in
    /// sys/kern/sysv_shm.c).
    fn attack_shm_stat(&self, pid: i32) -> Res<()> {
        let jail = self.process(pid)?.jail.and_then(|id| self.jails.get(&id));
        match jail.map(|jail| jail.parameters.get("sysvshm")) {
            None | Some(Some(JailValue::Int(JAIL_SYS_INHERIT))) => Ok(()),
            Some(Some(JailValue::Int(JAIL_SYS_DISABLE))) => Err(Errno::ENOSYS.into()),
            _ => Err(Errno::EINVAL.into()),
        }
    }
}

fn unshown<T>(call: &'static str) -> Outcome<T> {
    Err(Failure::new(call, Errno::EOPNOTSUPP))
}

impl Attack for Sim {
    fn cannot_show(&self, attempt: &str) -> Option<&'static str> {
        let found = UNSHOWN.iter().find(|(name, _)| *name == attempt);
        found.map(|(_, why)| *why)
    }

    fn make_socket(&mut self, socket: Socket) -> Outcome<Fd> {
        let detail = || format!("{socket:?}");
        self.call("socket", detail, |world, pid| {
            world.attack_socket(pid, socket)
        })
    }

    fn bind_to(&mut self, _: Fd, address: SocketAddr) -> Outcome<()> {
        self.call("bind", || address.to_string(), |_, _| Ok(()))
    }

    fn listen_on(&mut self, _: Fd) -> Outcome<()> {
        self.call("listen", String::new, |_, _| Ok(()))
    }

    fn connect_to(&mut self, _: Fd, _: SocketAddr) -> Outcome<()> {
        unshown("connect")
    }

    fn getsockname(&mut self, socket: Fd) -> Outcome<SocketAddr> {
        self.call("getsockname", String::new, |world, pid| {
            world.getsockname(pid, socket)
        })
    }

    fn route_delete(&mut self, _: Fd, destination: Ipv4Addr) -> Outcome<()> {
        let detail = || destination.to_string();
        let act = |world: &mut World, pid| world.host_roots(pid, Errno::ESRCH);
        self.call("route_delete", detail, act)
    }

    fn mknod(&mut self, path: &str) -> Outcome<()> {
        let act = |world: &mut World, pid| world.host_roots(pid, Errno::ENOENT);
        self.call("mknod", || path.to_string(), act)
    }

    fn access(&mut self, path: &str, access: Access) -> Outcome<()> {
        let act = |world: &mut World, pid| world.attack_access(pid, path, access);
        self.call("access", || path.to_string(), act)
    }

    fn linkat(&mut self, from: At, name: &str, to: At, new: &str) -> Outcome<()> {
        let act = |world: &mut World, pid| world.attack_link(pid, (from, name), (to, new));
        self.call("linkat", || format!("{name}, {new}"), act)
    }

    fn chroot(&mut self, path: &str) -> Outcome<()> {
        self.call(
            "chroot",
            || path.to_string(),
            |world, pid| world.need_root(pid),
        )
    }

    fn fchdir(&mut self, _: Fd) -> Outcome<()> {
        unshown("fchdir")
    }

    fn kldload(&mut self, module: &str) -> Outcome<()> {
        let act = |world: &mut World, pid| world.host_roots(pid, Errno::ENOENT);
        self.call("kldload", || module.to_string(), act)
    }

    fn sysctl_set_int(&mut self, name: &str, value: i32) -> Outcome<()> {
        let detail = || format!("{name}, {value}");
        self.call("sysctl_set_int", detail, |world, pid| {
            world.sysctl(pid, name)?;
            world.need_host_root(pid)
        })
    }

    fn mmap(&mut self, _: u64, _: Memory) -> Outcome<()> {
        unshown("mmap")
    }

    fn mlock(&mut self) -> Outcome<()> {
        unshown("mlock")
    }

    fn shmget(&mut self, key: i32) -> Outcome<i32> {
        self.call("shmget", || key.to_string(), |_, _| Ok(1))
    }

    fn shm_attach(&mut self, segment: i32) -> Outcome<()> {
        self.call("shm_attach", || segment.to_string(), |_, _| Ok(()))
    }

    fn shm_stat(&mut self, segment: i32) -> Outcome<()> {
        let act = |world: &mut World, pid| world.attack_shm_stat(pid);
        self.call("shm_stat", || segment.to_string(), act)
    }

    fn shm_remove(&mut self, _: i32) -> Outcome<()> {
        self.call("shm_remove", String::new, |_, _| Ok(()))
    }

    fn ptrace_me(&mut self) -> Outcome<()> {
        unshown("ptrace")
    }

    fn ptrace_read(&mut self, _: Pid) -> Outcome<()> {
        unshown("ptrace")
    }

    fn saved_uid(&mut self, pid: Pid) -> Outcome<Option<u32>> {
        self.call("saved_uid", String::new, |world, _| {
            Ok(world
                .processes
                .get(&pid.0)
                .map(|process| process.credentials.uid.saved))
        })
    }

    fn send_descriptor(&mut self, _: Fd, _: Fd) -> Outcome<()> {
        unshown("sendmsg")
    }

    fn receive_descriptor(&mut self, _: Fd) -> Outcome<Fd> {
        unshown("recvmsg")
    }
}
