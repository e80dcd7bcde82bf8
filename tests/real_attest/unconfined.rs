//! The attempts where nothing confines them: as root on the host each one has to see its hole, or what
//! it says of a jail proves nothing.

use crate::fixture::{alone, sh};
use jailrun::attest::ladder::climb;
use jailrun::attest::table::{ATTEMPTS, make};
use jailrun::attest::verdict::{Verdict, judge};
use jailrun::attest::{Seen, Shared, Target};
use jailrun::kernel::attack::{Attack, Socket};
use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::{At, Ending, Fd, Filesystem, Ids, Kernel, MountFlags, Nmount, Open, Pid};
use jailrun::plan::{ChildPlan, Then};
use jailrun::supervise::watch::Ears;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Root, where the host is.
fn child() -> ChildPlan {
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
    }
}

fn mount(path: &str, read_only: bool) -> Nmount {
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

fn target(listener: SocketAddr, segment: i32) -> Target {
    Target {
        child: child(),
        jail: None,
        outside: Pid(1),
        // Said to be read-only, and isn't.
        mounts: vec![mount(PLACE, true), mount(PLACE, false)],
        foreign: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        listeners: vec![listener],
        segment: Some(segment),
        passed: None,
        is_throwaway: true,
        most_processes: Some(10),
        most_memory: Some(1 << 20),
    }
}

#[test]
fn as_root_on_the_host_every_attempt_sees_its_hole() {
    let _alone = alone();
    sh(&format!("mkdir -p {PLACE} /var/run/jailrun"));
    let kernel = &mut FreeBsd;
    let socket = kernel.make_socket(Socket::Tcp4).unwrap();
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    kernel.bind_to(socket, any).unwrap();
    kernel.listen_on(socket).unwrap();
    let listener = kernel.getsockname(socket).unwrap();
    let segment = kernel.shmget(0x6a72_7465).unwrap();
    let target = Shared::new(target(listener, segment));
    let mut ears = Ears::open(kernel, None).unwrap();
    let mut unseen = Vec::new();
    // Those two need another process than a root that closes everything: see below.
    let others = ["setuid-program", "leftover-descriptors"];
    for attempt in ATTEMPTS
        .iter()
        .filter(|attempt| !others.contains(&attempt.name))
    {
        let seen = climb(kernel, &mut ears, attempt, &target).unwrap();
        let found = judge(attempt, seen.clone(), &BTreeMap::new());
        if found.verdict != Verdict::Open {
            unseen.push((attempt.name, seen));
        }
    }
    ears.close(kernel);
    kernel.shm_remove(segment).unwrap();
    kernel.close(socket).unwrap();
    assert_eq!(unseen, Vec::new());
    assert_eq!(sh(&format!("ls -A {PLACE}; rm -r {PLACE}")), "");
}

/// In a child, so that what it becomes and opens ends with it. 0: the hole was seen.
fn seen_by(act: fn(&mut FreeBsd) -> Seen) -> Ending {
    let kernel = &mut FreeBsd;
    let child = kernel
        .fork(move |kernel| {
            Err(match act(kernel) {
                Seen::Open(_) => 0,
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
        let mut target = target(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1), 0);
        target.mounts = vec![mount("/sbin", true), mount("/usr/bin", true)];
        make(kernel, "setuid-program", &target)
    });
    assert_eq!(seen, Ending::Exited(0));
}

#[test]
fn a_descriptor_that_was_left_open_is_seen() {
    let _alone = alone();
    let seen = seen_by(|kernel| {
        let file = kernel.openat(At::Cwd, "/dev/null", Open::Device).unwrap();
        kernel.dup2(file, Fd(300), true).unwrap();
        let target = target(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1), 0);
        make(kernel, "leftover-descriptors", &target)
    });
    assert_eq!(seen, Ending::Exited(0));
}
