//! Tries `FreeBsd` on a running kernel, as root. Every test makes its own directory, jail name, ruleset
//! or address, and takes it away again. What could end the test process happens in a forked child, whose
//! exit status is the number of the claim that didn't hold (0: all did).

#![cfg(target_os = "freebsd")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::{
    Alias, At, DevfsAct, DevfsRule, Ending, Errno, Event, Fd, FileKind, Filesystem, Force, Ids,
    JailParameters, JailValue, Kernel, Limit, Lock, MountFlags, Nmount, Open, Procctl, Rlimit,
    Severity, Unlink, Watch, signal,
};

const TIGHT: MountFlags = MountFlags {
    read_only: false,
    nosuid: true,
    noexec: true,
    nosymfollow: true,
};

/// One test at a time: a child that another test forks would inherit this one's descriptors, and keep its
/// jail alive and its file locked.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn directory(name: &str) -> String {
    let path = format!("/tmp/jailrun-kernel.{}.{name}", std::process::id());
    std::fs::create_dir(&path).unwrap();
    path
}

fn tmpfs(target: &str) -> Nmount {
    let filesystem = Filesystem::Tmpfs {
        size: 1 << 20,
        inodes: 100,
        mode: 0o710,
        uid: 65534,
        gid: 65533,
    };
    Nmount {
        filesystem,
        target: target.to_string(),
        flags: TIGHT,
        update: false,
    }
}

/// Runs claims in a child: the first that is false ends it with its number.
fn in_a_child(claims: impl FnOnce(&mut FreeBsd) -> Result<(), i32> + Send + 'static) {
    let mut kernel = FreeBsd;
    let child = move |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        Err(claims(kernel).err().unwrap_or(0))
    };
    let pid = kernel.fork(child).unwrap();
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, Ending::Exited(0)))
    );
}

fn claim(number: i32, holds: bool) -> Result<(), i32> {
    if holds { Ok(()) } else { Err(number) }
}

fn jail(name: &str, more: &[(&str, JailValue)]) -> JailParameters {
    let text = |text: &str| JailValue::Text(text.to_string());
    let mut all = vec![
        ("name".to_string(), text(name)),
        ("path".to_string(), text("/")),
        ("host.hostname".to_string(), text("inside")),
        ("persist".to_string(), JailValue::Flag),
    ];
    all.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_string(), value.clone())),
    );
    all
}

#[test]
fn a_tmpfs_keeps_its_flags_when_it_becomes_read_only() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let path = directory("tmpfs");
    let mut mount = tmpfs(&path);
    kernel.nmount(&mount).unwrap();

    let first = kernel.statfs(&path).unwrap();
    assert_eq!(
        (first.kind.as_str(), first.on.as_str(), first.flags),
        ("tmpfs", path.as_str(), TIGHT)
    );
    assert_eq!(first.from, "tmpfs");
    let root = kernel.lstatat(At::Cwd, &path).unwrap();
    assert_eq!(
        (root.kind, root.mode, root.uid, root.gid),
        (FileKind::Directory, 0o710, 65534, 65533)
    );
    assert!(kernel.getfsstat().unwrap().contains(&first));

    mount.update = true;
    mount.flags.read_only = true;
    kernel.nmount(&mount).unwrap();
    let second = kernel.statfs(&path).unwrap();
    assert_eq!(
        second.flags,
        MountFlags {
            read_only: true,
            ..TIGHT
        }
    );
    assert_eq!(second.fsid, first.fsid);
    let refused = kernel
        .mkdirat(At::Cwd, &format!("{path}/x"), 0o755)
        .unwrap_err();
    assert_eq!((refused.call, refused.errno), ("mkdirat", Errno::EROFS));

    kernel.unmount(first.fsid, Force::No).unwrap();
    assert_ne!(kernel.statfs(&path).unwrap().fsid, first.fsid);
    assert_eq!(
        kernel.unmount(first.fsid, Force::No).unwrap_err().errno,
        Errno::ENOENT
    );
    kernel.unlinkat(At::Cwd, &path, Unlink::Directory).unwrap();
}

#[test]
fn a_nullfs_covers_a_directory_and_a_file() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let path = directory("nullfs");
    for name in ["from", "to"] {
        std::fs::create_dir(format!("{path}/{name}")).unwrap();
    }
    for name in ["from/seen", "file", "covered"] {
        std::fs::write(format!("{path}/{name}"), name).unwrap();
    }
    let flags = MountFlags {
        read_only: true,
        ..TIGHT
    };
    let pairs = [("from", "to"), ("file", "covered")];
    for (source, target) in pairs {
        let filesystem = Filesystem::Nullfs {
            source: format!("{path}/{source}"),
            sockets: false,
        };
        let target = format!("{path}/{target}");
        kernel
            .nmount(&Nmount {
                filesystem,
                target,
                flags,
                update: false,
            })
            .unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(format!("{path}/to/seen")).unwrap(),
        "from/seen"
    );
    assert_eq!(
        std::fs::read_to_string(format!("{path}/covered")).unwrap(),
        "file"
    );
    for (source, target) in pairs {
        let found = kernel.statfs(&format!("{path}/{target}")).unwrap();
        assert_eq!((found.kind.as_str(), found.flags), ("nullfs", flags));
        assert_eq!(
            (found.from, found.on),
            (format!("{path}/{source}"), format!("{path}/{target}"))
        );
        kernel.unmount(found.fsid, Force::No).unwrap();
    }
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_refused_mount_carries_the_kernels_words() {
    let _alone = alone();
    let mut mount = tmpfs("/nonexistent/target");
    assert_eq!(FreeBsd.nmount(&mount).unwrap_err().errno, Errno::ENOENT);
    mount.target = "/tmp\0/x".to_string();
    assert_eq!(FreeBsd.nmount(&mount).unwrap_err().errno, Errno::EINVAL);
    let unknown = jail("jrk_words", &[("allow.no_such_thing", JailValue::Flag)]);
    let failure = FreeBsd.jail_create(&unknown).unwrap_err();
    assert_eq!((failure.call, failure.errno), ("jail_set", Errno::EINVAL));
    assert_eq!(failure.text, "unknown parameter: allow.no_such_thing");
}

#[test]
fn a_devfs_ruleset_is_written_read_used_and_deleted() {
    let _alone = alone();
    const RULESET: u16 = 0x7a01;
    let mut kernel = FreeBsd;
    let rule = |number, pattern: Option<&str>, act| DevfsRule {
        ruleset: RULESET,
        number,
        pattern: pattern.map(str::to_string),
        act,
    };
    let rules = [
        rule(100, None, DevfsAct::Hide),
        rule(200, Some("null"), DevfsAct::Unhide),
    ];
    assert_eq!(kernel.devfs_rgetnext(RULESET, 0).unwrap(), None);
    rules
        .iter()
        .for_each(|rule| kernel.devfs_radd(rule).unwrap());
    assert_eq!(
        kernel.devfs_radd(&rules[0]).unwrap_err().errno,
        Errno::EEXIST
    );
    assert_eq!(
        kernel.devfs_rgetnext(RULESET, 0).unwrap().as_ref(),
        Some(&rules[0])
    );
    assert_eq!(
        kernel.devfs_rgetnext(RULESET, 100).unwrap().as_ref(),
        Some(&rules[1])
    );
    assert_eq!(kernel.devfs_rgetnext(RULESET, 200).unwrap(), None);

    let path = directory("devfs");
    let filesystem = Filesystem::Devfs { ruleset: RULESET };
    kernel
        .nmount(&Nmount {
            filesystem,
            target: path.clone(),
            flags: TIGHT,
            update: false,
        })
        .unwrap();
    let found = kernel.statfs(&path).unwrap();
    // devfs_statfs hides all flags but MNT_IGNORE (sys/fs/devfs/devfs_vfsops.c): nobody can read these
    // back, in force though they are.
    assert_eq!(
        (found.kind.as_str(), found.flags),
        ("devfs", MountFlags::default())
    );
    kernel
        .devfs_radd(&rule(300, Some("link"), DevfsAct::Unhide))
        .unwrap();
    let link = format!("{path}/link");
    kernel.symlinkat("null", At::Cwd, &link).unwrap();
    assert_eq!(
        kernel
            .openat(At::Cwd, &link, Open::Device)
            .unwrap_err()
            .errno,
        Errno::EACCES
    );
    kernel.unlinkat(At::Cwd, &link, Unlink::File).unwrap();
    kernel.devfs_rdel(RULESET, 300).unwrap();
    let opened = kernel.openat(At::Cwd, &path, Open::Directory).unwrap();
    assert_eq!(kernel.readdir(opened).unwrap(), ["null"]);
    assert_eq!(
        kernel.readdir(opened).unwrap(),
        ["null"],
        "a second reading starts anew"
    );
    kernel.close(opened).unwrap();
    kernel.unmount(found.fsid, Force::No).unwrap();
    kernel.unlinkat(At::Cwd, &path, Unlink::Directory).unwrap();

    kernel.devfs_rdel(RULESET, 100).unwrap();
    kernel.devfs_rdel(RULESET, 200).unwrap();
    assert_eq!(kernel.devfs_rgetnext(RULESET, 0).unwrap(), None);
}

#[test]
fn a_jail_is_set_read_and_gone_with_its_descriptor() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let addresses = JailValue::Addresses(vec!["127.0.0.1".parse().unwrap()]);
    let parameters = jail(
        "jrk_set",
        &[
            ("ip4.addr", addresses),
            ("ip6", JailValue::Int(0)),
            ("allow.noraw_sockets", JailValue::Flag),
            ("allow.reserved_ports", JailValue::Flag),
        ],
    );
    let owned = kernel.jail_create(&parameters).unwrap();
    assert_eq!(kernel.jail_find("jrk_set").unwrap(), Some(owned.id));
    assert_eq!(
        kernel
            .jail_get_int(owned.descriptor, "allow.suser")
            .unwrap(),
        1
    );
    assert_eq!(
        kernel
            .jail_get_int(owned.descriptor, "allow.raw_sockets")
            .unwrap(),
        0
    );
    assert_eq!(kernel.jail_get_int(owned.descriptor, "host").unwrap(), 1);
    assert_eq!(kernel.jail_get_int(owned.descriptor, "ip6").unwrap(), 0);

    let nosuser = vec![("allow.nosuser".to_string(), JailValue::Flag)];
    kernel.jail_update(owned.descriptor, &nosuser).unwrap();
    assert_eq!(
        kernel
            .jail_get_int(owned.descriptor, "allow.suser")
            .unwrap(),
        0
    );

    in_a_child(move |kernel| {
        kernel.close(owned.descriptor).map_err(|_| 1)?;
        kernel.jail_attach(owned.id).map_err(|_| 2)?;
        let seen = kernel.getifaddrs().map_err(|_| 3)?;
        let seen: Vec<String> = seen.iter().map(|alias| alias.address.to_string()).collect();
        claim(4, seen == ["127.0.0.1"])?;
        claim(5, std::net::UdpSocket::bind("127.0.0.1:0").is_ok())?;
        claim(6, std::net::UdpSocket::bind("[::1]:0").is_err())
    });

    kernel.close(owned.descriptor).unwrap();
    assert_eq!(kernel.jail_find("jrk_set").unwrap(), None);
}

#[test]
fn an_unprivileged_program_runs_in_a_jail() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let owned = kernel.jail_create(&jail("jrk_run", &[])).unwrap();
    let child = move |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        kernel.setsid().map_err(|_| 1)?;
        kernel.setlogin("nobody").map_err(|_| 2)?;
        kernel.setfib(0).map_err(|_| 3)?;
        kernel.setpriority(5).map_err(|_| 4)?;
        kernel
            .setrlimit(Limit::Openfiles, Rlimit::both(64))
            .map_err(|_| 5)?;
        kernel
            .setrlimit(Limit::Coredumpsize, Rlimit::both(0))
            .map_err(|_| 6)?;
        kernel.jail_attach(owned.id).map_err(|_| 7)?;
        claim(8, kernel.sysctl_int("security.jail.jailed") == Ok(1))?;
        claim(
            9,
            kernel.sysctl_text("kern.hostname").as_deref() == Ok("inside"),
        )?;
        kernel.chdir("/").map_err(|_| 10)?;
        kernel.setgroups(&[65534, 65533]).map_err(|_| 11)?;
        kernel.setresgid(Ids::all(65534)).map_err(|_| 12)?;
        kernel.setresuid(Ids::all(65534)).map_err(|_| 13)?;
        claim(14, kernel.getresuid() == Ok(Ids::all(65534)))?;
        claim(15, kernel.getresgid() == Ok(Ids::all(65534)))?;
        let groups = kernel.getgroups().map_err(|_| 16)?;
        claim(
            17,
            groups.contains(&65534) && groups.contains(&65533) && !groups.contains(&0),
        )?;
        claim(18, kernel.setresuid(Ids::all(0)).is_err())?;
        kernel.reset_signals().map_err(|_| 19)?;
        kernel.clear_timers().map_err(|_| 20)?;
        kernel.closefrom(3);
        let test = "test \"$A\" = b && test $(ulimit -n) = 64".to_string();
        kernel
            .execve(
                "/bin/sh",
                &["sh".to_string(), "-c".to_string(), test],
                &["A=b".to_string()],
            )
            .map_err(|_| 21)
    };
    let pid = kernel.fork(child).unwrap();
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, Ending::Exited(0)))
    );

    let child = move |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        kernel.jail_attach(owned.id).map_err(|_| 7)?;
        kernel
            .execve("/usr/bin/true", &["true".to_string()], &[])
            .map_err(|_| 21)
    };
    let pid = kernel.fork(child).unwrap();
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, Ending::Exited(0)))
    );
    kernel.close(owned.descriptor).unwrap();
}

#[test]
fn removing_a_jail_kills_what_runs_in_it() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let owned = kernel.jail_create(&jail("jrk_kill", &[])).unwrap();
    let (ours, theirs) = kernel.socketpair().unwrap();
    let child = move |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        kernel.close(owned.descriptor).map_err(|_| 1)?;
        kernel.jail_attach(owned.id).map_err(|_| 2)?;
        kernel.write(theirs, b"in").map_err(|_| 3)?;
        kernel.sleep_ms(60_000);
        Err(4)
    };
    let pid = kernel.fork(child).unwrap();
    assert_eq!(
        kernel.waitpid(Some(pid), false).unwrap(),
        None,
        "it still runs"
    );
    assert_eq!(kernel.read(ours, &mut [0; 8]).unwrap(), 2);
    kernel.jail_remove(owned.descriptor).unwrap();
    let ending = Ending::Signalled(signal::KILL);
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, ending))
    );
    for fd in [ours, theirs, owned.descriptor] {
        kernel.close(fd).unwrap();
    }
}

#[test]
fn aliases_come_and_go() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    for (address, prefix) in [
        ("127.77.77.1", 32),
        ("fd77:77::1", 128),
        ("127.77.78.1", 24),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let alias = Alias {
            interface: "lo0".to_string(),
            address,
            prefix,
        };
        assert!(!kernel.getifaddrs().unwrap().contains(&alias));
        kernel.add_address(&alias).unwrap();
        assert!(
            kernel.getifaddrs().unwrap().contains(&alias),
            "{:?}",
            kernel.getifaddrs()
        );
        std::net::UdpSocket::bind((address, 0)).unwrap();
        kernel.delete_address(&alias).unwrap();
        assert!(!kernel.getifaddrs().unwrap().contains(&alias));
        assert_eq!(
            kernel.delete_address(&alias).unwrap_err().errno,
            Errno::EADDRNOTAVAIL
        );
    }
    let nowhere = Alias {
        interface: "no7".to_string(),
        address: "127.7.7.7".parse().unwrap(),
        prefix: 32,
    };
    assert_eq!(
        kernel.add_address(&nowhere).unwrap_err().errno,
        Errno::ENXIO
    );
    assert!(kernel.if_nametoindex("lo0").unwrap().is_some());
    for name in ["no7", "", "longer-than-an-interface-may-be"] {
        assert_eq!(kernel.if_nametoindex(name).unwrap(), None, "{name:?}");
    }
}

#[test]
fn a_queue_reports_signals_and_readable_sockets() {
    let _alone = alone();
    in_a_child(|kernel| {
        let queue = kernel.kqueue().map_err(|_| 1)?;
        let (near, far) = kernel.socketpair().map_err(|_| 2)?;
        kernel.block_signals().map_err(|_| 3)?;
        kernel
            .kevent_watch(queue, Watch::Signal(signal::USR1))
            .map_err(|_| 4)?;
        kernel
            .kevent_watch(queue, Watch::Signal(signal::CHLD))
            .map_err(|_| 5)?;
        kernel
            .kevent_watch(queue, Watch::Readable(near))
            .map_err(|_| 6)?;
        let before = kernel.monotonic_ms();
        claim(7, kernel.kevent_wait(queue, Some(30)) == Ok(None))?;
        claim(8, kernel.monotonic_ms() >= before + 29)?;
        let us = kernel.getpid();
        kernel.kill(us, signal::USR1).map_err(|_| 9)?;
        claim(
            10,
            kernel.kevent_wait(queue, Some(5000)) == Ok(Some(Event::Signal(signal::USR1))),
        )?;
        claim(21, kernel.kevent_wait(queue, Some(0)) == Ok(None))?;
        kernel.write(far, b"x").map_err(|_| 11)?;
        claim(
            12,
            kernel.kevent_wait(queue, Some(5000)) == Ok(Some(Event::Readable(near))),
        )?;
        kernel
            .kevent_unwatch(queue, Watch::Readable(near))
            .map_err(|_| 13)?;
        claim(14, kernel.kevent_wait(queue, Some(0)) == Ok(None))?;
        let pid = kernel.fork(|_| Err(3)).map_err(|_| 15)?;
        claim(
            16,
            kernel.kevent_wait(queue, None) == Ok(Some(Event::Signal(signal::CHLD))),
        )?;
        claim(
            17,
            kernel.waitpid(None, true) == Ok(Some((pid, Ending::Exited(3)))),
        )?;
        claim(
            18,
            kernel
                .waitpid(None, false)
                .is_err_and(|failure| failure.errno == Errno::ECHILD),
        )
    });
}

#[test]
fn a_raised_signal_ends_us_though_it_was_blocked() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let child = |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        kernel.block_signals().map_err(|_| 1)?;
        kernel.raise_default(signal::TERM);
        Err(2)
    };
    let pid = kernel.fork(child).unwrap();
    let ending = Ending::Signalled(signal::TERM);
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, ending))
    );
}

#[test]
fn ignored_signals_are_default_again_for_a_program() {
    let _alone = alone();
    // Rust's runtime ignores SIGPIPE; block_signals and reset_signals both undo it.
    let mut kernel = FreeBsd;
    let child = |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        kernel.reset_signals().map_err(|_| 1)?;
        let script = "kill -PIPE $$; exit 0".to_string();
        kernel
            .execve(
                "/bin/sh",
                &["sh".to_string(), "-c".to_string(), script],
                &[],
            )
            .map_err(|_| 2)
    };
    let pid = kernel.fork(child).unwrap();
    let ending = Ending::Signalled(signal::PIPE);
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, ending))
    );
}

#[test]
fn confinements_read_back_after_they_are_set() {
    let _alone = alone();
    in_a_child(|kernel| {
        let controls = [
            Procctl::NoNewPrivs,
            Procctl::NoTrace,
            Procctl::Protmax,
            Procctl::NoWxMap,
        ];
        for (number, control) in (1..).zip(controls) {
            claim(number, kernel.procctl_status(control) == Ok(false))?;
            claim(10 + number, kernel.procctl(control) == Ok(()))?;
            claim(20 + number, kernel.procctl_status(control) == Ok(true))?;
        }
        // A kernel built without address space randomization refuses or ignores this one.
        if kernel.sysctl_int("kern.elf64.aslr.enable").is_ok() {
            claim(30, kernel.procctl(Procctl::Aslr) == Ok(()))?;
            claim(31, kernel.procctl_status(Procctl::Aslr) == Ok(true))?;
        }
        Ok(())
    });
}

#[test]
fn a_reaper_gets_orphans() {
    let _alone = alone();
    in_a_child(|kernel| {
        kernel.procctl_reap_acquire().map_err(|_| 1)?;
        let refused = kernel.procctl_reap_acquire();
        claim(
            2,
            refused.is_err_and(|failure| failure.errno == Errno::EBUSY),
        )?;
        let middle = kernel.fork(|kernel| {
            let orphan = kernel.fork(|kernel| {
                kernel.sleep_ms(50);
                Err(7)
            });
            Err(if orphan.is_ok() { 6 } else { 9 })
        });
        let middle = middle.map_err(|_| 3)?;
        claim(
            4,
            kernel.waitpid(Some(middle), true) == Ok(Some((middle, Ending::Exited(6)))),
        )?;
        let orphan = kernel.waitpid(None, true).map_err(|_| 5)?;
        claim(
            6,
            orphan.is_some_and(|(_, ending)| ending == Ending::Exited(7)),
        )
    });
}

#[test]
fn a_lock_is_held_against_a_second_opening() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let path = directory("flock");
    let file = format!("{path}/lock");
    let [first, second] = [(); 2].map(|()| {
        kernel
            .openat(At::Cwd, &file, Open::ReadWriteCreate(0o600))
            .unwrap()
    });
    kernel.flock(first, Lock::Shared).unwrap();
    kernel.flock(second, Lock::Shared).unwrap();
    assert_eq!(
        kernel.flock(first, Lock::Exclusive).unwrap_err().errno,
        Errno::EAGAIN
    );
    kernel.close(second).unwrap();
    kernel.flock(first, Lock::Exclusive).unwrap();
    kernel.close(first).unwrap();
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn files_are_made_judged_and_removed() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let path = directory("files");
    let top = kernel.openat(At::Cwd, &path, Open::Directory).unwrap();
    let at = At::Dir(top);
    kernel.mkdirat(at, "sub", 0o700).unwrap();
    kernel.symlinkat("sub", at, "link").unwrap();
    let file = kernel.openat(at, "file", Open::CreateNew(0o600)).unwrap();
    assert_eq!(
        kernel
            .openat(at, "file", Open::CreateNew(0o600))
            .unwrap_err()
            .errno,
        Errno::EEXIST
    );
    assert_eq!(kernel.write(file, b"12345").unwrap(), 5);
    kernel.ftruncate(file, 3).unwrap();
    kernel.fchown(file, 65534, 65533).unwrap();
    kernel.fchmod(file, 0o4640).unwrap();
    let stat = kernel.fstat(file).unwrap();
    assert_eq!(
        (stat.kind, stat.mode, stat.size),
        (FileKind::Regular, 0o4640, 3)
    );
    assert_eq!((stat.uid, stat.gid, stat.links), (65534, 65533, 1));
    assert!(stat.ctime.0 > 1_600_000_000);
    assert_eq!(kernel.lstatat(at, "file").unwrap(), stat);
    assert_eq!(kernel.lstatat(at, "link").unwrap().kind, FileKind::Symlink);
    assert_eq!(
        kernel.openat(at, "link", Open::Read).unwrap_err().errno,
        Errno::EMLINK
    );
    assert!(kernel.acl_is_trivial(file).unwrap());

    let named = kernel.openat(at, "file", Open::Path).unwrap();
    assert_eq!(kernel.fstat(named).unwrap(), stat);
    assert!(kernel.acl_is_trivial(named).unwrap());
    assert!(kernel.read(named, &mut [0; 8]).is_err());
    let mut names = kernel.readdir(top).unwrap();
    names.sort();
    assert_eq!(names, ["file", "link", "sub"]);

    let high = kernel.dup_from(file, 200).unwrap();
    assert!(high.0 >= 200);
    kernel.dup2(file, Fd(high.0 + 50), true).unwrap();
    assert_eq!(kernel.fstat(Fd(high.0 + 50)).unwrap(), stat);
    let null = kernel.openat(At::Cwd, "/dev/null", Open::Device).unwrap();
    assert_eq!(kernel.fstat(null).unwrap().kind, FileKind::CharacterDevice);
    assert!(!kernel.isatty(null));
    kernel.unlinkat(at, "file", Unlink::File).unwrap();
    kernel.unlinkat(at, "sub", Unlink::Directory).unwrap();
    for fd in [file, named, high, Fd(high.0 + 50), null, top] {
        kernel.close(fd).unwrap();
    }
    assert_eq!(
        kernel.close(Fd(high.0 + 50)).unwrap_err().errno,
        Errno::EBADF
    );
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn descriptors_do_not_survive_execve() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let child = |kernel: &mut FreeBsd| -> Result<Infallible, i32> {
        kernel.closefrom(3);
        let (near, _far) = kernel.socketpair().map_err(|_| 101)?;
        let owned = kernel
            .jail_create(&jail("jrk_exec", &[]))
            .map_err(|_| 102)?;
        kernel
            .openat(At::Cwd, "/etc", Open::Directory)
            .map_err(|_| 103)?;
        kernel.dup_from(near, 8).map_err(|_| 104)?;
        kernel.dup2(near, Fd(9), false).map_err(|_| 105)?;
        kernel.kqueue().map_err(|_| 106)?;
        claim(107, owned.descriptor.0 > 2)?;
        let script =
            "for n in 3 4 5 6 7 8 9; do if { true <&$n; } 2>/dev/null; then exit $n; fi; done";
        kernel
            .execve(
                "/bin/sh",
                &["sh".to_string(), "-c".to_string(), script.to_string()],
                &[],
            )
            .map_err(|_| 108)
    };
    let pid = kernel.fork(child).unwrap();
    assert_eq!(
        kernel.waitpid(Some(pid), true).unwrap(),
        Some((pid, Ending::Exited(0)))
    );
    assert_eq!(
        kernel.jail_find("jrk_exec").unwrap(),
        None,
        "its owning descriptor is closed"
    );
}

#[test]
fn accounts_and_sysctls_are_found_or_said_to_be_absent() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let nobody = kernel.getpwnam("nobody").unwrap().unwrap();
    assert_eq!(
        (nobody.uid, nobody.gid, nobody.home.as_str()),
        (65534, 65534, "/nonexistent")
    );
    assert_eq!(kernel.getpwuid(65534).unwrap(), Some(nobody));
    assert_eq!(kernel.getpwnam("no-such-user").unwrap(), None);
    assert_eq!(kernel.getgrnam("wheel").unwrap(), Some(0));
    assert_eq!(kernel.getgrnam("no-such-group").unwrap(), None);
    assert_eq!(kernel.sysctl_text("kern.ostype").unwrap(), "FreeBSD");
    // 16 bytes of any value, a zero or a blank among them: a text would end, or not be one.
    let boot = kernel.boot_id().unwrap();
    assert!(boot.len() == 32 && boot.bytes().all(|digit| digit.is_ascii_hexdigit()));
    assert_eq!(kernel.boot_id().unwrap(), boot);
    assert!(kernel.sysctl_int("kern.osreldate").unwrap() >= 1_500_000);
    assert_eq!(
        kernel.sysctl_int("kern.no_such_node").unwrap_err().errno,
        Errno::ENOENT
    );
}

#[test]
fn rctl_rules_are_accepted_where_racct_is_on() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let added = kernel
        .rctl_add_rule("jail:jrk_rctl:maxproc:deny=64")
        .map_err(|failure| failure.errno);
    if kernel.sysctl_int("kern.racct.enable") == Ok(1) {
        assert_eq!(added, Ok(()));
        kernel.rctl_remove_rule("jail:jrk_rctl").unwrap();
        assert_eq!(
            kernel.rctl_remove_rule("jail:jrk_rctl").unwrap_err().errno,
            Errno::ESRCH
        );
    } else {
        assert_eq!(added, Err(Errno::ENOSYS));
    }
}

#[test]
fn a_line_reaches_the_log_or_a_failure_says_so() {
    let _alone = alone();
    let mut kernel = FreeBsd;
    let line = format!("freebsd_kernel test at {}", kernel.monotonic_ms());
    let sent = kernel.syslog(Severity::Info, &line);
    if std::fs::exists("/var/run/log").unwrap() {
        assert_eq!(sent, Ok(()));
    } else {
        eprintln!("no syslogd here: only the failure is tried");
        assert_eq!(sent.unwrap_err().errno, Errno::ENOENT);
    }
}

#[test]
fn a_write_to_somebody_elses_end_sleeps_half_a_second_at_most() {
    // In a child: the timer and the mask of signals are the process's.
    in_a_child(|kernel| {
        kernel.block_signals().map_err(|_| 1)?;
        let (ours, _theirs) = kernel.socketpair().map_err(|_| 2)?;
        let begun = kernel.monotonic_ms();
        // More than fits: poll(2) says yes, and write(2) sleeps.
        match kernel.write_briefly(ours, &vec![b'x'; 1 << 20]) {
            Ok(count) if count < 1 << 20 => {}
            Err(failure) if failure.errno == Errno::EINTR => {}
            _ => return Err(3),
        }
        let passed = kernel.monotonic_ms() - begun;
        if !(300..5000).contains(&passed) {
            return Err(4);
        }
        // Full now: nothing is waited for.
        match kernel.write_briefly(ours, b"x") {
            Err(failure) if failure.errno == Errno::EAGAIN => Ok(()),
            _ => Err(5),
        }
    });
}
