//! Facts about the kernel that the launch rests on, each told once and asked of the simulated kernel
//! everywhere and of a real FreeBSD where the test runs there as root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![expect(clippy::unwrap_used, reason = "a fact that doesn't hold ends the test")]

use jailrun::kernel::*;

fn nullfs<K: Kernel>(kernel: &mut K, source: &str, target: &str, read_only: bool) -> Outcome<Fsid> {
    let flags = MountFlags {
        read_only,
        nosuid: true,
        ..MountFlags::default()
    };
    let filesystem = Filesystem::Nullfs {
        source: source.into(),
        sockets: false,
    };
    kernel.nmount(&Nmount {
        filesystem,
        target: target.into(),
        flags,
        update: false,
    })?;
    Ok(kernel.statfs(target)?.fsid)
}

fn tmpfs_of(target: &str, flags: MountFlags, update: bool) -> Nmount {
    let filesystem = Filesystem::Tmpfs {
        size: 1 << 20,
        inodes: 100,
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    Nmount {
        filesystem,
        target: target.into(),
        flags,
        update,
    }
}

fn tmpfs<K: Kernel>(kernel: &mut K, target: &str) -> Outcome<Fsid> {
    let flags = MountFlags {
        nosuid: true,
        ..MountFlags::default()
    };
    kernel.nmount(&tmpfs_of(target, flags, false))?;
    Ok(kernel.statfs(target)?.fsid)
}

fn dir<K: Kernel>(kernel: &mut K, path: &str) {
    kernel.mkdirat(At::Cwd, path, 0o755).unwrap();
}

fn file<K: Kernel>(kernel: &mut K, path: &str) {
    let fd = kernel
        .openat(At::Cwd, path, Open::CreateNew(0o644))
        .unwrap();
    kernel.close(fd).unwrap();
}

fn errno<T: std::fmt::Debug>(outcome: Outcome<T>) -> Errno {
    outcome.unwrap_err().errno
}

fn jail<K: Kernel>(kernel: &mut K, name: &str, path: &str, more: &[&str]) -> Outcome<OwnedJail> {
    let mut parameters = vec![
        ("name".to_string(), JailValue::Text(name.into())),
        ("path".to_string(), JailValue::Text(path.into())),
        ("persist".to_string(), JailValue::Flag),
    ];
    parameters.extend(more.iter().map(|name| (name.to_string(), JailValue::Flag)));
    kernel.jail_create(&parameters)
}

/// Runs the child to its end and gives back its exit status: the number of the line that went wrong.
fn status<K: Kernel>(kernel: &mut K, child: impl FnOnce(&mut K) -> i32 + Send + 'static) -> Ending {
    let pid = kernel.fork(move |kernel| Err(child(kernel))).unwrap();
    kernel.waitpid(Some(pid), true).unwrap().unwrap().1
}

fn unmounting_a_busy_mount_fails_with_ebusy<K: Kernel>(kernel: &mut K, base: &str) {
    let fsid = tmpfs(kernel, base).unwrap();
    let held = kernel.openat(At::Cwd, base, Open::Directory).unwrap();
    assert_eq!(errno(kernel.unmount(fsid, Force::No)), Errno::EBUSY);
    kernel.close(held).unwrap();
    kernel.unmount(fsid, Force::No).unwrap();
    assert_eq!(errno(kernel.unmount(fsid, Force::No)), Errno::ENOENT);
}

fn a_mount_on_top_keeps_the_lower_one_busy<K: Kernel>(kernel: &mut K, base: &str) {
    let lower = tmpfs(kernel, base).unwrap();
    dir(kernel, &format!("{base}/in"));
    let upper = tmpfs(kernel, &format!("{base}/in")).unwrap();
    assert_eq!(errno(kernel.unmount(lower, Force::No)), Errno::EBUSY);
    kernel.unmount(upper, Force::No).unwrap();
    kernel.unmount(lower, Force::No).unwrap();
}

fn an_update_drops_flags_not_repeated<K: Kernel>(kernel: &mut K, base: &str) {
    let fsid = tmpfs(kernel, base).unwrap();
    assert!(kernel.statfs(base).unwrap().flags.nosuid);
    let flags = MountFlags {
        read_only: true,
        ..MountFlags::default()
    };
    kernel.nmount(&tmpfs_of(base, flags, true)).unwrap();
    assert_eq!(kernel.statfs(base).unwrap().flags, flags);
    assert_eq!(
        errno(kernel.mkdirat(At::Cwd, &format!("{base}/x"), 0o755)),
        Errno::EROFS
    );
    kernel.unmount(fsid, Force::No).unwrap();
}

fn nullfs_cannot_be_updated<K: Kernel>(kernel: &mut K, base: &str) {
    let (from, on) = (format!("{base}/from"), format!("{base}/on"));
    dir(kernel, &from);
    dir(kernel, &on);
    let fsid = nullfs(kernel, &from, &on, false).unwrap();
    let filesystem = Filesystem::Nullfs {
        source: from,
        sockets: false,
    };
    let update = Nmount {
        filesystem,
        target: on,
        flags: MountFlags::default(),
        update: true,
    };
    assert_eq!(errno(kernel.nmount(&update)), Errno::EOPNOTSUPP);
    kernel.unmount(fsid, Force::No).unwrap();
}

fn a_read_only_nullfs_refuses_what_its_source_takes<K: Kernel>(kernel: &mut K, base: &str) {
    let (from, on) = (format!("{base}/from"), format!("{base}/on"));
    dir(kernel, &from);
    dir(kernel, &on);
    let fsid = nullfs(kernel, &from, &on, true).unwrap();
    file(kernel, &format!("{from}/seen"));
    assert!(kernel.lstatat(At::Cwd, &format!("{on}/seen")).is_ok());
    assert_eq!(
        errno(kernel.openat(At::Cwd, &format!("{on}/new"), Open::CreateNew(0o644))),
        Errno::EROFS
    );
    kernel.unmount(fsid, Force::No).unwrap();
}

fn a_file_mount_needs_a_file_and_no_mounted_one<K: Kernel>(kernel: &mut K, base: &str) {
    let (from, on, directory) = (
        format!("{base}/from"),
        format!("{base}/on"),
        format!("{base}/dir"),
    );
    file(kernel, &from);
    file(kernel, &on);
    dir(kernel, &directory);
    assert_eq!(errno(nullfs(kernel, &directory, &on, true)), Errno::EINVAL);
    assert_eq!(
        errno(nullfs(kernel, &from, &format!("{base}/none"), true)),
        Errno::ENOENT
    );
    let fsid = nullfs(kernel, &from, &on, true).unwrap();
    assert_eq!(errno(nullfs(kernel, &from, &on, true)), Errno::EBUSY);
    assert_eq!(kernel.statfs(&on).unwrap().on, on);
    kernel.unmount(fsid, Force::No).unwrap();
}

/// What masks a file is mounted from a file of the skeleton, which loses its name before it is sealed.
fn a_mounted_file_outlives_its_name_and_its_file_system_can_be_sealed<K: Kernel>(
    kernel: &mut K,
    base: &str,
) {
    let skeleton = format!("{base}/skeleton");
    dir(kernel, &skeleton);
    let root = tmpfs(kernel, &skeleton).unwrap();
    let (source, target) = (format!("{skeleton}/mask"), format!("{base}/covered"));
    file(kernel, &source);
    file(kernel, &target);
    let inode = kernel.lstatat(At::Cwd, &source).unwrap().inode;
    let mask = nullfs(kernel, &source, &target, true).unwrap();
    kernel.unlinkat(At::Cwd, &source, Unlink::File).unwrap();
    let sealed = MountFlags {
        read_only: true,
        ..MountFlags::default()
    };
    kernel.nmount(&tmpfs_of(&skeleton, sealed, true)).unwrap();
    let seen = kernel.lstatat(At::Cwd, &target).unwrap();
    assert_eq!((seen.inode, seen.links), (inode, 0));
    // Seen, but opened by nobody: tmpfs has no more use for it.
    assert_eq!(
        errno(kernel.openat(At::Cwd, &target, Open::Read)),
        Errno::ENOENT
    );
    // The file below keeps its file system, until the mount is gone.
    assert_eq!(errno(kernel.unmount(root, Force::No)), Errno::EBUSY);
    kernel.unmount(mask, Force::No).unwrap();
    kernel.unmount(root, Force::No).unwrap();
}

fn a_link_is_not_followed_at_the_end<K: Kernel>(kernel: &mut K, base: &str) {
    kernel
        .symlinkat("/etc", At::Cwd, &format!("{base}/link"))
        .unwrap();
    assert_eq!(
        errno(kernel.openat(At::Cwd, &format!("{base}/link"), Open::Read)),
        Errno::EMLINK
    );
    assert_eq!(
        errno(kernel.mkdirat(At::Cwd, &format!("{base}/link"), 0o755)),
        Errno::EEXIST
    );
    assert_eq!(
        errno(kernel.lstatat(At::Cwd, &format!("{base}/{}", "x".repeat(256)))),
        Errno::ENAMETOOLONG
    );
}

fn a_links_text_is_as_it_was_written<K: Kernel>(kernel: &mut K, base: &str) {
    for text in ["../a//b", "/"] {
        let link = format!("{base}/link-{}", text.len());
        kernel.symlinkat(text, At::Cwd, &link).unwrap();
        assert_eq!(kernel.readlinkat(At::Cwd, &link).as_deref(), Ok(text));
    }
    file(kernel, &format!("{base}/plain"));
    assert_eq!(
        errno(kernel.readlinkat(At::Cwd, &format!("{base}/plain"))),
        Errno::EINVAL
    );
}

fn pread_leaves_the_offset_alone<K: Kernel>(kernel: &mut K, base: &str) {
    let path = format!("{base}/text");
    let fd = kernel
        .openat(At::Cwd, &path, Open::CreateNew(0o644))
        .unwrap();
    kernel.write(fd, b"0123456789").unwrap();
    kernel.close(fd).unwrap();
    let fd = kernel.openat(At::Cwd, &path, Open::Read).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(kernel.pread(fd, &mut buffer, 8), Ok(2));
    assert_eq!(&buffer[..2], b"89");
    assert_eq!(kernel.pread(fd, &mut buffer, 99), Ok(0));
    assert_eq!(kernel.read(fd, &mut buffer), Ok(4));
    assert_eq!(&buffer, b"0123");
    kernel.close(fd).unwrap();
}

/// What a cache of searched directories rests on.
fn a_name_that_comes_or_goes_changes_its_directory<K: Kernel>(kernel: &mut K, base: &str) {
    let (inside, above) = (format!("{base}/d/x"), format!("{base}/d"));
    dir(kernel, &above);
    let ctime = |kernel: &mut K| {
        kernel.sleep_ms(20);
        kernel.lstatat(At::Cwd, &above).unwrap().ctime
    };
    let before = ctime(kernel);
    assert_eq!(ctime(kernel), before);
    file(kernel, &inside);
    let with = ctime(kernel);
    assert!(with > before && kernel.realtime() > with);
    kernel.unlinkat(At::Cwd, &inside, Unlink::File).unwrap();
    assert!(ctime(kernel) > with);
}

fn a_full_directory_stays<K: Kernel>(kernel: &mut K, base: &str) {
    dir(kernel, &format!("{base}/full"));
    file(kernel, &format!("{base}/full/file"));
    assert_eq!(
        errno(kernel.unlinkat(At::Cwd, &format!("{base}/full"), Unlink::Directory)),
        Errno::ENOTEMPTY
    );
    kernel
        .unlinkat(At::Cwd, &format!("{base}/full/file"), Unlink::File)
        .unwrap();
    kernel
        .unlinkat(At::Cwd, &format!("{base}/full"), Unlink::Directory)
        .unwrap();
}

fn jail_name_taken_is_eexist<K: Kernel>(kernel: &mut K, base: &str) {
    let first = jail(kernel, "conformance", base, &[]).unwrap();
    let failure = jail(kernel, "conformance", base, &[]).unwrap_err();
    assert_eq!(
        (failure.errno, failure.text.as_str()),
        (Errno::EEXIST, "jail \"conformance\" already exists")
    );
    kernel.close(first.descriptor).unwrap();
}

fn unknown_parameter_is_einval<K: Kernel>(kernel: &mut K, base: &str) {
    let failure = jail(kernel, "conformance", base, &["allow.bogus"]).unwrap_err();
    assert_eq!(
        (failure.errno, failure.text.as_str()),
        (Errno::EINVAL, "unknown parameter: allow.bogus")
    );
    let path = ("path".to_string(), JailValue::Text(base.into()));
    let failure = kernel.jail_create(&vec![path]).unwrap_err();
    assert_eq!(
        (failure.errno, failure.text.as_str()),
        (Errno::EINVAL, "new jail must persist or attach")
    );
}

fn closing_the_owning_descriptor_removes_the_jail<K: Kernel>(kernel: &mut K, base: &str) {
    let made = jail(kernel, "conformance", base, &["allow.nosuser"]).unwrap();
    assert_eq!(kernel.jail_find("conformance").unwrap(), Some(made.id));
    assert_eq!(
        kernel.jail_get_int(made.descriptor, "allow.suser").unwrap(),
        0
    );
    assert_eq!(
        kernel
            .jail_get_int(made.descriptor, "allow.set_hostname")
            .unwrap(),
        1
    );
    kernel.close(made.descriptor).unwrap();
    assert_eq!(kernel.jail_find("conformance").unwrap(), None);
}

fn removing_a_jail_kills_what_is_in_it<K: Kernel>(kernel: &mut K, base: &str) {
    let made = jail(kernel, "conformance", base, &[]).unwrap();
    let (ours, theirs) = kernel.socketpair().unwrap();
    let child = kernel
        .fork(move |kernel| {
            kernel.jail_attach(made.id).map_err(|_| 1)?;
            kernel.close(made.descriptor).map_err(|_| 2)?;
            kernel.write(theirs, b"x").map_err(|_| 3)?;
            kernel.sleep_ms(60_000);
            Err(4)
        })
        .unwrap();
    assert_eq!(kernel.read(ours, &mut [0; 1]).unwrap(), 1);
    kernel.close(made.descriptor).unwrap();
    let ended = kernel.waitpid(Some(child), true).unwrap();
    assert_eq!(ended, Some((child, Ending::Signalled(signal::KILL))));
    kernel.close(ours).unwrap();
    kernel.close(theirs).unwrap();
}

fn attach_with_a_directory_descriptor_is_refused<K: Kernel>(kernel: &mut K, base: &str) {
    let made = jail(kernel, "conformance", base, &[]).unwrap();
    let ending = status(kernel, move |kernel| {
        let Ok(held) = kernel.openat(At::Cwd, "/", Open::Directory) else {
            return 1;
        };
        if kernel.jail_attach(made.id).map_err(|failure| failure.errno) != Err(Errno::EPERM) {
            return 2;
        }
        if kernel.close(held).is_err() || kernel.jail_attach(made.id).is_err() {
            return 3;
        }
        if kernel.sysctl_int("security.jail.jailed") == Ok(1) {
            0
        } else {
            4
        }
    });
    assert_eq!(ending, Ending::Exited(0));
    kernel.close(made.descriptor).unwrap();
}

fn allow_nosuser_takes_uid_0s_power<K: Kernel>(kernel: &mut K, base: &str) {
    let made = jail(kernel, "conformance", base, &["allow.nosuser"]).unwrap();
    let ending = status(kernel, move |kernel| {
        if kernel.jail_attach(made.id).is_err() {
            return 1;
        }
        let refused = kernel
            .setresuid(Ids::all(65534))
            .map_err(|failure| failure.errno);
        if refused == Err(Errno::EPERM) { 0 } else { 2 }
    });
    assert_eq!(ending, Ending::Exited(0));
    kernel.close(made.descriptor).unwrap();
}

fn an_unreaped_zombie_keeps_the_jails_root_busy<K: Kernel>(kernel: &mut K, base: &str) {
    let fsid = tmpfs(kernel, base).unwrap();
    let made = jail(kernel, "conformance", base, &[]).unwrap();
    let attach = move |kernel: &mut K| Err(i32::from(kernel.jail_attach(made.id).is_err()));
    let child = kernel.fork(attach).unwrap();
    kernel.sleep_ms(100);
    kernel.close(made.descriptor).unwrap();
    assert_eq!(errno(kernel.unmount(fsid, Force::No)), Errno::EBUSY);
    assert_eq!(
        kernel.waitpid(Some(child), true).unwrap(),
        Some((child, Ending::Exited(0)))
    );
    kernel.sleep_ms(100);
    kernel.unmount(fsid, Force::No).unwrap();
}

fn ids_once_dropped_are_gone<K: Kernel>(kernel: &mut K, _base: &str) {
    let ending = status(kernel, |kernel| {
        let dropped = kernel
            .setgroups(&[80])
            .and_then(|()| kernel.setresgid(Ids::all(80)))
            .and_then(|()| kernel.setresuid(Ids::all(80)));
        if dropped.is_err() {
            return 1;
        }
        if kernel.setresuid(Ids::all(0)).map_err(|f| f.errno) != Err(Errno::EPERM) {
            return 2;
        }
        if kernel.setgroups(&[0]).map_err(|f| f.errno) != Err(Errno::EPERM) {
            return 3;
        }
        if kernel.getresuid() == Ok(Ids::all(80)) {
            0
        } else {
            4
        }
    });
    assert_eq!(ending, Ending::Exited(0));
}

fn a_lock_belongs_to_the_open_file<K: Kernel>(kernel: &mut K, base: &str) {
    let path = format!("{base}/lock");
    let first = kernel
        .openat(At::Cwd, &path, Open::ReadWriteCreate(0o600))
        .unwrap();
    let second = kernel
        .openat(At::Cwd, &path, Open::ReadWriteCreate(0o600))
        .unwrap();
    assert!(!kernel.is_locked(second).unwrap());
    kernel.flock(first, Lock::Exclusive).unwrap();
    assert_eq!(errno(kernel.flock(second, Lock::Shared)), Errno::EAGAIN);
    let reader = kernel.openat(At::Cwd, &path, Open::Read).unwrap();
    for other in [second, reader] {
        assert!(kernel.is_locked(other).unwrap());
    }
    kernel.close(reader).unwrap();
    kernel.close(first).unwrap();
    kernel.flock(second, Lock::Shared).unwrap();
    kernel.close(second).unwrap();
    kernel.unlinkat(At::Cwd, &path, Unlink::File).unwrap();
}

fn a_closed_end_is_eof_here_and_epipe_there<K: Kernel>(kernel: &mut K, _base: &str) {
    let (left, right) = kernel.socketpair().unwrap();
    kernel.write(left, b"word").unwrap();
    kernel.close(left).unwrap();
    let mut buffer = [0; 8];
    assert_eq!(kernel.read(right, &mut buffer).unwrap(), 4);
    assert_eq!(kernel.read(right, &mut buffer).unwrap(), 0);
    assert_eq!(errno(kernel.write(right, b"x")), Errno::EPIPE);
    kernel.close(right).unwrap();
}

fn a_bound_socket_holds_its_file_system_and_nobody_waits_for_it<K: Kernel>(
    kernel: &mut K,
    base: &str,
) {
    let fsid = tmpfs(kernel, base).unwrap();
    let at = kernel.openat(At::Cwd, base, Open::Directory).unwrap();
    let socket = kernel.socket(SocketKind::UnixDatagram).unwrap();
    kernel.set_nonblocking(socket).unwrap();
    kernel.umask(0o111);
    kernel.bindat(At::Dir(at), "log", socket).unwrap();
    kernel.umask(0o022);
    let stat = kernel.lstatat(At::Dir(at), "log").unwrap();
    assert_eq!((stat.kind, stat.mode), (FileKind::Socket, 0o666));
    let other = kernel.socket(SocketKind::UnixDatagram).unwrap();
    let taken = kernel.bindat(At::Dir(at), "log", other);
    assert_eq!(errno(taken), Errno::EADDRINUSE);
    let long = kernel.bindat(At::Dir(at), &"x".repeat(104), other);
    assert_eq!(errno(long), Errno::ENAMETOOLONG);
    assert_eq!(errno(kernel.read(socket, &mut [0; 8])), Errno::EAGAIN);
    kernel.close(other).unwrap();
    kernel.close(at).unwrap();
    assert_eq!(errno(kernel.unmount(fsid, Force::No)), Errno::EBUSY);
    kernel.close(socket).unwrap();
    kernel.unmount(fsid, Force::No).unwrap();
}

fn a_sockets_file_says_whether_somebody_has_it_open<K: Kernel>(kernel: &mut K, base: &str) {
    let address = SocketAddress::Unix(format!("{base}/socket"));
    let stream = kernel.socket(SocketKind::UnixStream).unwrap();
    kernel.bind(stream, &address).unwrap();
    let asking = kernel.socket(SocketKind::UnixDatagram).unwrap();
    assert_eq!(errno(kernel.connect(asking, &address)), Errno::EPROTOTYPE);
    let other = kernel.socket(SocketKind::UnixStream).unwrap();
    assert_eq!(errno(kernel.bind(other, &address)), Errno::EADDRINUSE);
    kernel.close(stream).unwrap();
    assert_eq!(errno(kernel.connect(asking, &address)), Errno::ECONNREFUSED);
    assert_eq!(errno(kernel.bind(other, &address)), Errno::EADDRINUSE);
    kernel.close(other).unwrap();
    kernel.close(asking).unwrap();
    let path = address.path().unwrap();
    kernel.unlinkat(At::Cwd, path, Unlink::File).unwrap();
}

fn an_address_is_bound_once_and_only_where_it_is<K: Kernel>(kernel: &mut K, _base: &str) {
    let address = SocketAddress::Inet("127.0.0.1:7731".parse().unwrap());
    let elsewhere = SocketAddress::Inet("192.0.2.77:7731".parse().unwrap());
    let first = kernel.socket(SocketKind::Tcp).unwrap();
    kernel
        .setsockopt(first, SocketOption::ReuseAddress)
        .unwrap();
    assert_eq!(errno(kernel.bind(first, &elsewhere)), Errno::EADDRNOTAVAIL);
    kernel.bind(first, &address).unwrap();
    kernel.listen(first, 5).unwrap();
    let second = kernel.socket(SocketKind::Tcp).unwrap();
    kernel
        .setsockopt(second, SocketOption::ReuseAddress)
        .unwrap();
    assert_eq!(errno(kernel.bind(second, &address)), Errno::EADDRINUSE);
    kernel.close(second).unwrap();
    kernel.close(first).unwrap();
}

fn capability_mode_refuses_names_and_rights_only_shrink<K: Kernel>(kernel: &mut K, base: &str) {
    let held = kernel.openat(At::Cwd, base, Open::Directory).unwrap();
    kernel.cap_rights_limit(held, Rights::FSTAT).unwrap();
    let more = Rights::all_of(&[Rights::FSTAT, Rights::READ]);
    assert_eq!(
        errno(kernel.cap_rights_limit(held, more)),
        Errno::ENOTCAPABLE
    );
    assert_eq!(
        errno(kernel.cap_ioctls_limit(held, &[1])),
        Errno::ENOTCAPABLE
    );
    let path = base.to_string();
    let child = kernel
        .fork(move |kernel| {
            kernel.cap_enter().unwrap();
            let refused = errno(kernel.openat(At::Cwd, &path, Open::Directory));
            let program = kernel.execve(&path, &[], &[]);
            let is_refused = program.err().map(|failure| failure.errno) == Some(Errno::ECAPMODE);
            let still = kernel.fstat(held).is_ok();
            Err(i32::from(refused == Errno::ECAPMODE && is_refused && still))
        })
        .unwrap();
    let ended = kernel.waitpid(Some(child), true).unwrap();
    assert_eq!(ended, Some((child, Ending::Exited(1))));
    kernel.close(held).unwrap();
}

fn a_childs_end_is_an_event<K: Kernel>(kernel: &mut K, _base: &str) {
    let queue = kernel.kqueue().unwrap();
    kernel
        .kevent_watch(queue, Watch::Signal(signal::CHLD))
        .unwrap();
    assert_eq!(kernel.kevent_wait(queue, Some(10)).unwrap(), None);
    let child = kernel.fork(|_| Err(3)).unwrap();
    assert_eq!(
        kernel.kevent_wait(queue, Some(10_000)).unwrap(),
        Some(Event::Signal(signal::CHLD))
    );
    assert_eq!(
        kernel.waitpid(None, false).unwrap(),
        Some((child, Ending::Exited(3)))
    );
    assert_eq!(errno(kernel.waitpid(None, true)), Errno::ECHILD);
    kernel.close(queue).unwrap();
}

type Fact<K> = (&'static str, fn(&mut K, &str));

fn a_jails_cpus_are_set_from_outside_and_not_from_inside<K: Kernel>(kernel: &mut K, base: &str) {
    let host = kernel.cpuset_getaffinity(CpusOf::Host).unwrap();
    let owned = jail(kernel, "conformance-cpus", base, &[]).unwrap();
    let id = owned.id;
    assert_eq!(
        kernel.cpuset_getaffinity(CpusOf::Jail(id)),
        Ok(host.clone())
    );
    kernel.cpuset_setaffinity(id, &host[..1]).unwrap();
    assert_eq!(
        kernel.cpuset_getaffinity(CpusOf::Jail(id)).unwrap(),
        host[..1]
    );
    // One that the host hasn't, with one that it has; and none at all.
    let absent = [host[0], 1023];
    assert_eq!(errno(kernel.cpuset_setaffinity(id, &absent)), Errno::EINVAL);
    assert_eq!(errno(kernel.cpuset_setaffinity(id, &[])), Errno::EDEADLK);
    let inside = status(kernel, move |kernel| {
        if kernel.jail_attach(id).is_err() {
            return 1;
        }
        match kernel
            .cpuset_setaffinity(id, &host)
            .map_err(|failure| failure.errno)
        {
            Err(Errno::ESRCH) => 0,
            _ => 2,
        }
    });
    assert_eq!(inside, Ending::Exited(0));
    kernel.jail_remove(owned.descriptor).unwrap();
    kernel.close(owned.descriptor).unwrap();
    assert_eq!(
        errno(kernel.cpuset_setaffinity(JailId(999_998), &[0])),
        Errno::ESRCH
    );
}

fn a_trace_goes_to_a_file_that_is_there_and_that_the_caller_may_write<K: Kernel>(
    kernel: &mut K,
    base: &str,
) {
    let path = format!("{base}/trace");
    let us = kernel.getpid();
    assert_eq!(errno(kernel.ktrace(&path, us)), Errno::ENOENT);
    assert_eq!(errno(kernel.ktrace(base, us)), Errno::EISDIR);
    kernel
        .symlinkat("trace", At::Cwd, &format!("{base}/link"))
        .unwrap();
    let fd = kernel
        .openat(At::Cwd, &path, Open::CreateNew(0o600))
        .unwrap();
    kernel.close(fd).unwrap();
    let through = kernel.ktrace(&format!("{base}/link"), us);
    assert_eq!(errno(through), Errno::EMLINK);
    assert_eq!(errno(kernel.ktrace(&path, Pid(99_998))), Errno::ESRCH);
    let file = path.clone();
    let traced = status(kernel, move |kernel| {
        let own = kernel.getrlimit(Limit::Filesize).unwrap();
        let lower = Rlimit { soft: 4096, ..own };
        kernel.setrlimit(Limit::Filesize, lower).unwrap();
        if kernel.getrlimit(Limit::Filesize) != Ok(lower) {
            return 1;
        }
        let us = kernel.getpid();
        if kernel.ktrace(&file, us).is_err() || kernel.setrlimit(Limit::Filesize, own).is_err() {
            return 2;
        }
        // Who is traced can't refuse to be.
        match kernel
            .procctl(Procctl::NoTrace)
            .map_err(|failure| failure.errno)
        {
            Err(Errno::EBUSY) => {}
            _ => return 4,
        }
        kernel.setresuid(Ids::all(80)).unwrap();
        match kernel.ktrace(&file, us) {
            Err(failure) if failure.errno == Errno::EACCES => 0,
            _ => 3,
        }
    });
    assert_eq!(traced, Ending::Exited(0));
    for name in ["trace", "link"] {
        let path = format!("{base}/{name}");
        kernel.unlinkat(At::Cwd, &path, Unlink::File).unwrap();
    }
}

macro_rules! facts {
    ($($name:ident),* $(,)?) => {
        fn all<K: Kernel>() -> Vec<Fact<K>> {
            vec![$((stringify!($name), $name::<K>)),*]
        }
    };
}

facts![
    unmounting_a_busy_mount_fails_with_ebusy,
    a_mount_on_top_keeps_the_lower_one_busy,
    an_update_drops_flags_not_repeated,
    nullfs_cannot_be_updated,
    a_read_only_nullfs_refuses_what_its_source_takes,
    a_file_mount_needs_a_file_and_no_mounted_one,
    a_mounted_file_outlives_its_name_and_its_file_system_can_be_sealed,
    a_link_is_not_followed_at_the_end,
    a_links_text_is_as_it_was_written,
    pread_leaves_the_offset_alone,
    a_name_that_comes_or_goes_changes_its_directory,
    a_full_directory_stays,
    jail_name_taken_is_eexist,
    unknown_parameter_is_einval,
    closing_the_owning_descriptor_removes_the_jail,
    removing_a_jail_kills_what_is_in_it,
    attach_with_a_directory_descriptor_is_refused,
    allow_nosuser_takes_uid_0s_power,
    an_unreaped_zombie_keeps_the_jails_root_busy,
    ids_once_dropped_are_gone,
    a_lock_belongs_to_the_open_file,
    a_closed_end_is_eof_here_and_epipe_there,
    a_bound_socket_holds_its_file_system_and_nobody_waits_for_it,
    a_sockets_file_says_whether_somebody_has_it_open,
    an_address_is_bound_once_and_only_where_it_is,
    capability_mode_refuses_names_and_rights_only_shrink,
    a_jails_cpus_are_set_from_outside_and_not_from_inside,
    a_childs_end_is_an_event,
    a_trace_goes_to_a_file_that_is_there_and_that_the_caller_may_write,
];

mod simulated {
    use super::*;
    use jailrun::sim::{Behaviour, Faults, Sim, Start, World};

    fn world() -> World {
        let mut world = World::freebsd();
        world.dir("/var/run/conformance", 0o755, 0, 0);
        world
    }

    #[test]
    fn every_fact_holds_on_the_simulated_kernel() {
        for (name, fact) in all::<Sim>() {
            println!("{name}");
            let report = Sim::run(world(), &Start::root(), Faults::none(), |kernel| {
                fact(kernel, "/var/run/conformance");
                0
            });
            assert_eq!(
                (report.ending, report.stuck),
                (Ending::Exited(0), vec![]),
                "{name}"
            );
            let left = report.world.differences(&world());
            assert!(
                left.iter()
                    .all(|line| line.starts_with("new /var/run/conformance/")),
                "{name}: {left:?}"
            );
        }
    }

    /// A launch in miniature: enough calls of each kind for faults to hit.
    fn launch(kernel: &mut Sim) -> Outcome<i32> {
        let fsid = tmpfs(kernel, "/var/run/conformance")?;
        kernel.mkdirat(At::Cwd, "/var/run/conformance/bin", 0o755)?;
        let bin = nullfs(kernel, "/bin", "/var/run/conformance/bin", true)?;
        let made = jail(kernel, "web", "/var/run/conformance", &[])?;
        let child = kernel.fork(move |kernel| {
            let go = |kernel: &mut Sim| {
                kernel.jail_attach(made.id)?;
                kernel.setresuid(Ids::all(80))?;
                kernel.reset_signals()?;
                kernel.execve("/bin/sleep", &["sleep".into()], &[])
            };
            go(kernel).map_err(|_| 126)
        })?;
        let queue = kernel.kqueue()?;
        kernel.kevent_watch(queue, Watch::Signal(signal::CHLD))?;
        if kernel.kevent_wait(queue, Some(500))?.is_none() {
            kernel.kill(child, signal::TERM)?;
        }
        let ended = kernel.waitpid(Some(child), true)?;
        kernel.close(made.descriptor)?;
        kernel.unmount(bin, Force::No)?;
        kernel.unmount(fsid, Force::No)?;
        kernel.close(queue)?;
        Ok(if ended == Some((child, Ending::Signalled(signal::TERM))) {
            0
        } else {
            1
        })
    }

    fn run(faults: Faults) -> jailrun::sim::Report {
        let mut world = world();
        world.behaviour("/bin/sleep", Behaviour::UntilSignal);
        Sim::run(world, &Start::user(0, 0), faults, |kernel| {
            launch(kernel).unwrap_or(71)
        })
    }

    #[test]
    fn a_small_launch_leaves_nothing_and_repeats_exactly() {
        let (one, two) = (run(Faults::none()), run(Faults::none()));
        assert_eq!(one.ending, Ending::Exited(0));
        assert_eq!(one.calls, two.calls);
        assert_eq!(one.world.differences(&world()), Vec::<String>::new());
        let executed = one.world.executed.first().unwrap();
        assert_eq!(
            (executed.jail_name.as_str(), executed.uid),
            ("web", Ids::all(80))
        );
        assert_eq!(executed.fds.len(), 3);
    }

    #[test]
    fn every_call_may_fail_or_kill_and_no_run_hangs() {
        let calls = run(Faults::none()).calls.len() as u64;
        for number in 1..=calls {
            for faults in [
                Faults::none().fail(number, Errno::EIO),
                Faults::none().kill(number),
                Faults::none().kill_after(number),
            ] {
                let report = run(faults);
                let left = report.world.differences(&world());
                // Whoever dies, the owner's descriptor goes with it, and so does the jail.
                assert!(
                    !left.iter().any(|line| line.starts_with("new jail")),
                    "call {number}: {left:?}"
                );
            }
        }
    }

    #[test]
    fn thousands_of_calls_are_cheap() {
        let start = std::time::Instant::now();
        for _ in 0..200 {
            let report = Sim::run(world(), &Start::root(), Faults::none(), |kernel| {
                for _ in 0..100 {
                    let _ = kernel.lstatat(At::Cwd, "/usr/local/www/site");
                    let _ = kernel.getresuid();
                    let _ = kernel.statfs("/dev");
                }
                0
            });
            assert_eq!(report.calls.len(), 300);
        }
        println!("300 calls: {} us", start.elapsed().as_micros() / 200);
    }
}

#[cfg(target_os = "freebsd")]
mod real {
    use super::*;
    use jailrun::kernel::freebsd::FreeBsd;

    /// To be run with `--test-threads=1`: attach and fork want a process of one thread.
    #[test]
    fn every_fact_holds_on_freebsd() {
        let mut kernel = FreeBsd;
        if kernel.getresuid().unwrap().effective != 0 {
            println!("SKIP conformance on FreeBSD: not root");
            return;
        }
        for (number, (name, fact)) in all::<FreeBsd>().into_iter().enumerate() {
            println!("{name}");
            let base = format!(
                "/var/run/jailrun-conformance-{}-{number}",
                std::process::id()
            );
            dir(&mut kernel, &base);
            fact(&mut kernel, &base);
            let mounts = kernel.getfsstat().unwrap();
            assert!(mounts.iter().all(|mount| !mount.on.starts_with(&base)));
            std::fs::remove_dir_all(&base).unwrap();
        }
    }
}

#[cfg(not(target_os = "freebsd"))]
#[test]
fn every_fact_holds_on_freebsd() {
    println!("SKIP conformance on FreeBSD: not FreeBSD");
}
