//! Building worlds, and one that looks like a FreeBSD 15 host.

use super::image::Elf;
use super::world::Inode;
use super::world::{Behaviour, ROOT, World};
use crate::kernel::{Alias, DevfsAct, FileKind, Lock, User};
use std::net::IpAddr;
use std::sync::Arc;

const DIRECTORIES: &str = "/bin /sbin /lib /libexec /usr /usr/bin /usr/lib /usr/lib32 /usr/libexec /usr/sbin /usr/share \
    /usr/share/zoneinfo /usr/local /usr/local/bin /usr/local/etc /usr/local/lib /usr/local/sbin /usr/local/share \
    /usr/local/libexec /usr/local/www /etc /etc/ssl /dev /var /var/run /var/empty /var/db /var/log /home /mnt";

const PROGRAMS: &str = "/bin/sh /bin/echo /bin/sleep /bin/cat /bin/ls /usr/bin/true /usr/bin/false /usr/bin/id /usr/bin/env \
    /usr/sbin/inetd /sbin/ping /libexec/ld-elf.so.1 /usr/local/bin/program /usr/local/sbin/nginx";

const LIBRARIES: &str = "/lib/libc.so.7 /lib/libsys.so.7 /lib/libthr.so.3 /lib/libutil.so.9 /lib/libm.so.5 /usr/lib/libssl.so.35";

const TEXTS: &str = "/etc/passwd /etc/group /etc/pwd.db /etc/hosts /etc/services /etc/protocols /etc/nsswitch.conf \
    /etc/resolv.conf /etc/localtime /etc/login.conf /etc/inetd.conf /etc/ssl/cert.pem /usr/share/zoneinfo/UTC";

const PARAMETERS: &str = "jid name path parent dying children.cur children.max cpuset.id host. host.hostname host.domainname \
    host.hostuuid host.hostid ip4. ip6. ip4.addr ip6.addr ip4.saddrsel ip6.saddrsel vnet securelevel devfs_ruleset \
    enforce_statfs persist osreldate osrelease meta env allow.set_hostname allow.reserved_ports \
    allow.unprivileged_proc_debug allow.suser allow.extattr allow.sysvipc allow.raw_sockets allow.chflags allow.quotas \
    allow.socket_af allow.mlock allow.read_msgbuf allow.nfsd allow.adjtime allow.settime allow.routing allow.setaudit \
    allow.unprivileged_parent_tampering allow.mount. allow.mount.devfs allow.mount.fdescfs allow.mount.fusefs \
    allow.mount.linprocfs allow.mount.linsysfs allow.mount.nullfs allow.mount.procfs allow.mount.tmpfs \
    allow.mount.zfs allow.vmm allow.vmm_ppt sysvmsg sysvsem sysvshm linux. linux.osname linux.osrelease \
    linux.oss_version zfs. zfs.mount_snapshot mac.do. mac.do.rules";

const SYSCTLS: &str = "kern.osreldate=1500068 kern.ostype=FreeBSD kern.osrelease=15.1-RELEASE \
    kern.boot_id=0123456789abcdef0123456789abcdef kern.bootid=0123456789abcdef0123456789abcdef \
    kern.hostname=host.example hw.machine=amd64 kern.securelevel=-1 kern.racct.enable=1 net.fibs=2 security.jail.vnet=0 \
    security.jail.meta_maxbufsize=4096 vfs.usermount=0 security.bsd.allow_tiocsti=1 kern.ipc.maxsockbuf=2097152 \
    vfs.nullfs.cache_vnodes=1 security.bsd.see_jail_proc=1 \
    kern.maxfilesperproc=1000 hw.ncpu=4 kern.ktrace.filesize_limit_signal=0 kern.ipc.shm_allow_removed=1";

impl World {
    /// A directory, with those above it (0755, root) where they are missing.
    pub fn dir(&mut self, path: &str, mode: u32, uid: u32, gid: u32) -> &mut World {
        self.put(path, FileKind::Directory, mode, uid, gid, &[])
    }

    pub fn file(&mut self, path: &str, mode: u32, uid: u32, gid: u32, bytes: &[u8]) -> &mut World {
        self.put(path, FileKind::Regular, mode, uid, gid, bytes)
    }

    pub fn symlink(&mut self, path: &str, target: &str) -> &mut World {
        self.put(path, FileKind::Symlink, 0o777, 0, 0, target.as_bytes())
    }

    /// Anything: fifos, sockets. What is there already gets the mode, owner and bytes, unless it is
    /// of another kind: then it is replaced.
    pub fn put(
        &mut self,
        path: &str,
        kind: FileKind,
        mode: u32,
        uid: u32,
        gid: u32,
        bytes: &[u8],
    ) -> &mut World {
        let Some((above, name)) = path.trim_end_matches('/').rsplit_once('/') else {
            if let Some(root) = self.inodes.get_mut(&1) {
                (root.mode, root.uid, root.gid) = (mode, uid, gid);
            }
            return self;
        };
        let mut parent = ROOT;
        if !above.is_empty() {
            if self.place_at(above).is_none() {
                self.dir(above, 0o755, 0, 0);
            }
            parent = self.place_at(above).unwrap_or(ROOT);
        }
        let known = self
            .place_at(path)
            .filter(|p| self.inodes.get(&p.inode).is_some_and(|i| i.kind == kind));
        let id = known.map_or_else(|| self.fresh(), |place| place.inode);
        let ctime = self.now();
        let inode = self
            .inodes
            .entry(id)
            .or_insert_with(|| Inode::new(kind, mode, uid, gid, parent.inode));
        (inode.mode, inode.uid, inode.gid, inode.data, inode.ctime) =
            (mode, uid, gid, Arc::new(bytes.to_vec()), ctime);
        if known.is_none()
            && let Some(directory) = self.inodes.get_mut(&parent.inode)
        {
            directory.children.insert(name.to_string(), id);
            directory.ctime = ctime;
        }
        self
    }

    /// Takes a name away, with all below it.
    pub fn remove(&mut self, path: &str) -> &mut World {
        let now = self.now();
        if let Some((above, name)) = path.rsplit_once('/')
            && let Some(parent) = self.at(if above.is_empty() { "/" } else { above })
        {
            let gone = parent.children.remove(name);
            parent.ctime = now;
            if let Some(file) = gone.and_then(|gone| self.inodes.get_mut(&gone)) {
                file.links = file.links.saturating_sub(1);
            }
        }
        self
    }

    /// A file's bytes.
    pub fn content(&self, path: &str) -> Option<Vec<u8>> {
        let place = self.place_at(path)?;
        Some(self.inodes.get(&place.inode)?.data.to_vec())
    }

    /// Somebody who isn't simulated holds the file locked.
    pub fn lock_elsewhere(&mut self, path: &str) -> &mut World {
        self.held_elsewhere(path, Lock::Exclusive)
    }

    pub fn share_elsewhere(&mut self, path: &str) -> &mut World {
        self.held_elsewhere(path, Lock::Shared)
    }

    fn held_elsewhere(&mut self, path: &str, lock: Lock) -> &mut World {
        if let Some(place) = self.place_at(path) {
            self.locks.push((place.inode, u64::MAX, lock));
        }
        self
    }

    pub fn user(&mut self, name: &str, uid: u32, gid: u32, home: &str) -> &mut World {
        self.users.push(User {
            name: name.into(),
            uid,
            gid,
            home: home.into(),
        });
        self
    }

    pub fn group(&mut self, name: &str, gid: u32) -> &mut World {
        self.groups.insert(name.into(), gid);
        self
    }

    pub fn interface(&mut self, name: &str, address: Option<(IpAddr, u8)>) -> &mut World {
        self.interfaces.insert(name.into());
        if let Some((address, prefix)) = address {
            self.addresses.push(Alias {
                interface: name.into(),
                address,
                prefix,
            });
        }
        self
    }

    pub fn sysctl_set(&mut self, name: &str, value: &str) -> &mut World {
        self.sysctls.insert(name.into(), value.into());
        self
    }

    /// What a program does, by the path it is executed as or by its path on the host.
    pub fn behaviour(&mut self, program: &str, behaviour: Behaviour) -> &mut World {
        self.behaviours.insert(program.into(), behaviour);
        self
    }

    /// Programs and libraries, each as whole as it has to be to be read.
    fn programs(&mut self) {
        let program = Elf::program(&["libc.so.7", "libsys.so.7"]).bytes();
        for path in PROGRAMS.split_whitespace() {
            self.file(path, 0o755, 0, 0, &program);
        }
        self.file("/usr/bin/su", 0o4555, 0, 0, &program);
        let linker = Elf::library("ld-elf.so.1", &[]).bytes();
        self.file("/libexec/ld-elf.so.1", 0o555, 0, 0, &linker);
        let server = Elf::program(&["libssl.so.35", "libthr.so.3", "libc.so.7", "libsys.so.7"]);
        self.file("/usr/local/sbin/nginx", 0o755, 0, 0, &server.bytes());
        for path in LIBRARIES.split_whitespace() {
            let name = path.rsplit('/').next().unwrap_or_default();
            let own = Elf {
                auxiliaries: if name == "libc.so.7" {
                    &["libsys.so.7"]
                } else {
                    &[]
                },
                ..Elf::library(
                    name,
                    if name == "libsys.so.7" {
                        &[]
                    } else {
                        &["libsys.so.7"]
                    },
                )
            };
            self.file(path, 0o444, 0, 0, &own.bytes());
        }
    }

    /// A plausible FreeBSD 15 host.
    pub fn freebsd() -> World {
        let mut world = World::new();
        for path in DIRECTORIES.split_whitespace() {
            world.dir(path, 0o755, 0, 0);
        }
        world
            .dir("/tmp", 0o1777, 0, 0)
            .dir("/var/tmp", 0o1777, 0, 0)
            .dir("/root", 0o750, 0, 0);
        world
            .dir("/var/empty", 0o555, 0, 0)
            .dir("/usr/local/www/site", 0o755, 0, 0);
        world
            .dir("/home/alice", 0o755, 1001, 1001)
            .dir("/home/bob", 0o700, 1002, 1002);
        world.programs();
        for path in TEXTS.split_whitespace() {
            world.file(path, 0o644, 0, 0, b"text\n");
        }
        world.file("/etc/master.passwd", 0o600, 0, 0, b"secret\n");
        world.mount_devfs("/dev");
        for (node, mode) in [
            ("null", 0o666),
            ("zero", 0o666),
            ("random", 0o666),
            ("urandom", 0o666),
            ("full", 0o666),
            ("mem", 0o640),
            ("kmem", 0o640),
            ("console", 0o600),
            ("tty", 0o666),
            ("pf", 0o600),
            ("ada0", 0o640),
            ("klog", 0o600),
            ("stdin", 0o666),
            ("stdout", 0o666),
            ("stderr", 0o666),
        ] {
            world.put(
                &format!("/dev/{node}"),
                FileKind::CharacterDevice,
                mode,
                0,
                0,
                node.as_bytes(),
            );
        }
        world.put("/dev/fd", FileKind::Directory, 0o555, 0, 0, &[]);
        world.devfs_rule(1, 100, None, DevfsAct::Hide);
        for (number, node) in (1..).zip(["null", "zero", "random", "urandom"]) {
            world.devfs_rule(2, number * 100, Some(node), DevfsAct::Unhide);
        }
        for (name, id, home) in [
            ("root", 0, "/root"),
            ("daemon", 1, "/root"),
            ("operator", 2, "/"),
            ("www", 80, "/nonexistent"),
            ("nobody", 65534, "/nonexistent"),
            ("alice", 1001, "/home/alice"),
            ("bob", 1002, "/home/bob"),
        ] {
            world.user(name, id, id, home).group(name, id);
        }
        world
            .group("wheel", 0)
            .group("operator", 5)
            .group("staff", 20);
        world.interface("lo0", Some((IpAddr::from([127, 0, 0, 1]), 8)));
        world.interface("vtnet0", Some((IpAddr::from([192, 0, 2, 10]), 24)));
        for name in PARAMETERS.split_whitespace() {
            world.sysctl_set(&format!("security.jail.param.{name}"), "0");
        }
        for (name, value) in SYSCTLS
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='))
        {
            world.sysctl_set(name, value);
        }
        world
    }
}
