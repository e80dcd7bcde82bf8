//! The attempts where nothing confines them: as root on the host each one has to see its hole, or what
//! it says of a jail proves nothing.

use crate::fixture::{alone, sh};
use jailrun::attest::ladder::climb;
use jailrun::attest::table::{ATTEMPTS, by_name, make};
use jailrun::attest::verdict::{Verdict, judge};
use jailrun::attest::{Shared, Target};
use jailrun::kernel::attack::{Attack, Socket};
use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::{
    At, Ending, Fd, Filesystem, Ids, JailId, JailValue, Kernel, MountFlags, Nmount, Open,
    OwnedJail, Pid,
};
use jailrun::plan::capability::{Capability, Descriptor, Use};
use jailrun::plan::{ChildPlan, Then};
use jailrun::supervise::watch::Ears;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Root, where the host is.
pub fn child() -> ChildPlan {
    ChildPlan {
        then: Then::Execute,
        program: "/bin/sh".to_string(),
        arguments: ["sh", "-c", "exit 0"].map(str::to_string).to_vec(),
        environment: Vec::new(),
        user: "root".to_string(),
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        umask: 0o022,
        chdir: "/".to_string(),
        nice: None,
        fib: None,
        login_class: "default".to_string(),
        limits: Vec::new(),
        procctl: Vec::new(),
        capability: None,
        sockets: 0,
        local_listeners: Vec::new(),
    }
}

pub fn mount(path: &str, read_only: bool) -> Nmount {
    let flags = MountFlags {
        read_only,
        ..MountFlags::default()
    };
    Nmount {
        filesystem: Filesystem::Nullfs {
            source: path.to_string(),
            sockets: false,
        },
        target: path.to_string(),
        flags,
        update: false,
    }
}

const PLACE: &str = "/var/db/jrtest-attest";

/// What stands on the host for attempts to reach.
pub struct Outside {
    socket: Fd,
    listener: SocketAddr,
    segment: i32,
    other: OwnedJail,
}

impl Outside {
    pub fn new(kernel: &mut FreeBsd) -> Outside {
        let socket = kernel.make_socket(Socket::Tcp4).unwrap();
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        kernel.bind_to(socket, any).unwrap();
        kernel.listen_on(socket).unwrap();
        let text = |words: &str| JailValue::Text(words.to_string());
        let parameters = vec![
            ("name".to_string(), text("jrtest-other")),
            ("path".to_string(), text("/")),
            ("persist".to_string(), JailValue::Flag),
        ];
        Outside {
            socket,
            listener: kernel.getsockname(socket).unwrap(),
            segment: kernel.shmget(0x6a72_7465).unwrap(),
            other: kernel.jail_create(&parameters).unwrap(),
        }
    }

    /// Where nothing confines.
    pub fn target(&self) -> Target {
        Target {
            child: child(),
            jail: None,
            outside: Pid(1),
            // Said to be read-only, and isn't.
            mounts: vec![mount(PLACE, true), mount(PLACE, false)],
            foreign: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            listeners: vec![self.listener],
            segment: Some(self.segment),
            other: self.other.id,
            passed: None,
            is_throwaway: true,
            most_processes: Some(10),
            most_memory: Some(1 << 20),
        }
    }

    pub fn release(self, kernel: &mut FreeBsd) {
        kernel.shm_remove(self.segment).unwrap();
        kernel.close(self.other.descriptor).unwrap();
        kernel.close(self.socket).unwrap();
    }
}

/// Those need another process than a root that closes everything: see below.
fn is_apart(name: &str) -> bool {
    ["setuid-program", "leftover-descriptors"].contains(&name) || name.starts_with("capability-")
}

#[test]
fn as_root_on_the_host_every_attempt_sees_its_hole() {
    let _alone = alone();
    sh(&format!("mkdir -p {PLACE} /var/run/jailrun"));
    let kernel = &mut FreeBsd;
    let outside = Outside::new(kernel);
    let target = Shared::new(outside.target());
    let mut ears = Ears::open(kernel, None).unwrap();
    let mut unseen = Vec::new();
    for attempt in ATTEMPTS.iter().filter(|attempt| !is_apart(attempt.name)) {
        let seen = climb(kernel, &mut ears, attempt, &target).unwrap();
        let found = judge(attempt, seen.clone(), &BTreeMap::new());
        if found.verdict != Verdict::Open {
            unseen.push((attempt.name, seen));
        }
    }
    ears.close(kernel);
    outside.release(kernel);
    assert_eq!(unseen, Vec::new());
    assert_eq!(sh(&format!("ls -A {PLACE}; rm -r {PLACE}")), "");
}

/// A target for a process that is where it is, and needs nothing of the host.
pub fn nowhere() -> Target {
    let nobody = Outside {
        socket: Fd(-1),
        listener: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1),
        segment: 0,
        other: OwnedJail {
            id: JailId(0),
            descriptor: Fd(-1),
        },
    };
    nobody.target()
}

/// A service that should be in capability mode and isn't: each of what that alone refuses works.
#[test]
fn what_capability_mode_alone_refuses_is_seen_where_it_is_not_entered() {
    let _alone = alone();
    sh("mkdir -p /var/run/jailrun");
    let names = ATTEMPTS.iter().map(|attempt| attempt.name);
    let names = names.filter(|name| name.starts_with("capability-"));
    let mut count = 0;
    for name in names {
        let seen = seen_by(move |kernel| {
            let directory = kernel.openat(At::Cwd, "/usr", Open::Directory).unwrap();
            let mut target = nowhere();
            target.child.capability = Some(Capability {
                descriptors: vec![Descriptor {
                    fd: directory,
                    purpose: Use::Root,
                    path: Some("/usr".to_string()),
                    stays: true,
                }],
                execute: directory,
                arguments: Vec::new(),
                environment: Vec::new(),
            });
            judged(kernel, name, &target)
        });
        assert_eq!(seen, Ending::Exited(0), "{name}");
        count += 1;
    }
    assert_eq!(count, 6);
}

pub fn judged(kernel: &mut FreeBsd, name: &str, target: &Target) -> Verdict {
    let seen = make(kernel, name, target);
    judge(by_name(name).unwrap(), seen, &BTreeMap::new()).verdict
}

/// In a child, so that what it becomes and opens ends with it. 0: the hole was seen.
pub fn seen_by(act: impl FnOnce(&mut FreeBsd) -> Verdict + Send + 'static) -> Ending {
    let kernel = &mut FreeBsd;
    let child = kernel
        .fork(move |kernel| {
            Err(match act(kernel) {
                Verdict::Open => 0,
                Verdict::Silenced => 2,
                Verdict::Refused(_) => 3,
                _ => 1,
            })
        })
        .unwrap();
    kernel.waitpid(Some(child), true).unwrap().unwrap().1
}

#[test]
fn a_set_user_id_program_is_seen_where_nothing_takes_its_power() {
    let _alone = alone();
    let seen = seen_by(|kernel| {
        kernel.setresuid(Ids::all(65534)).unwrap();
        let mut target = nowhere();
        target.mounts = vec![mount("/sbin", true), mount("/usr/bin", true)];
        judged(kernel, "setuid-program", &target)
    });
    assert_eq!(seen, Ending::Exited(0));
}

#[test]
fn a_descriptor_that_was_left_open_is_seen() {
    let _alone = alone();
    let seen = seen_by(|kernel| {
        let file = kernel.openat(At::Cwd, "/dev/null", Open::Device).unwrap();
        kernel.dup2(file, Fd(300), true).unwrap();
        let target = nowhere();
        judged(kernel, "leftover-descriptors", &target)
    });
    assert_eq!(seen, Ending::Exited(0));
}
