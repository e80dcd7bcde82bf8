//! The floor: one launch with its teardown, by the system calls alone. The same skeleton, the same mounts,
//! one jail, attach, drop to nobody, run /usr/bin/true, wait, unmount. No checks, nothing read back, no
//! journal, no profile, no log, no lock: what a launcher takes beyond this is its own cost.

use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::*;

/// What /usr/bin/true needs, and as many files more as a small service has.
const FILES: [&str; 17] = [
    "/libexec/ld-elf.so.1",
    "/lib/libc.so.7",
    "/lib/libsys.so.7",
    "/usr/bin/true",
    "/lib/libm.so.5",
    "/lib/libutil.so.10",
    "/lib/libz.so.6",
    "/lib/libthr.so.3",
    "/lib/libkvm.so.7",
    "/lib/libmd.so.7",
    "/lib/libjail.so.1",
    "/lib/libedit.so.8",
    "/usr/bin/id",
    "/usr/bin/env",
    "/usr/bin/wc",
    "/usr/bin/tr",
    "/usr/bin/head",
];
pub const RULESET: u16 = 0x4bff;
const NOBODY: u32 = 65534;

pub fn kernel() -> FreeBsd {
    FreeBsd
}

/// Those of them that this host has: versions of libraries differ between releases.
pub fn files() -> Vec<&'static str> {
    let is_there = |path: &&str| std::fs::metadata(path).is_ok_and(|found| found.is_file());
    FILES.into_iter().filter(is_there).collect()
}

/// Those that hold the files and mounts, parents first.
pub fn directories() -> Vec<String> {
    let mut all: Vec<String> = ["/dev", "/tmp"].map(str::to_string).to_vec();
    for file in files() {
        let ends = file.match_indices('/').skip(1);
        all.extend(ends.map(|(end, _)| file[..end].to_string()));
    }
    all.sort();
    all.dedup();
    all
}

pub fn nullfs(source: &str) -> Filesystem {
    Filesystem::Nullfs {
        source: source.to_string(),
        sockets: true,
    }
}

fn tmpfs() -> Filesystem {
    Filesystem::Tmpfs {
        size: 4 << 20,
        inodes: 4096,
        mode: 0o755,
        uid: 0,
        gid: 0,
    }
}

pub fn mount(kernel: &mut FreeBsd, filesystem: Filesystem, target: &str, read_only: bool) -> Fsid {
    let flags = MountFlags {
        read_only,
        nosuid: true,
        ..MountFlags::default()
    };
    let what = Nmount {
        filesystem,
        target: target.to_string(),
        flags,
        update: false,
    };
    kernel.nmount(&what).unwrap();
    kernel.statfs(target).unwrap().fsid
}

/// The skeleton and all that is mounted in it, the skeleton first.
fn build(kernel: &mut FreeBsd, root: &str) -> Vec<Fsid> {
    kernel.mkdirat(At::Cwd, root, 0o700).unwrap();
    let mut mounted = vec![mount(kernel, tmpfs(), root, false)];
    for directory in directories() {
        let path = format!("{root}{directory}");
        kernel.mkdirat(At::Cwd, &path, 0o755).unwrap();
    }
    for file in files() {
        let target = format!("{root}{file}");
        let made = kernel.openat(At::Cwd, &target, Open::CreateNew(0o444));
        kernel.close(made.unwrap()).unwrap();
        mounted.push(mount(kernel, nullfs(file), &target, true));
    }
    let devices = Filesystem::Devfs { ruleset: RULESET };
    mounted.push(mount(kernel, devices, &format!("{root}/dev"), false));
    mounted.push(mount(kernel, tmpfs(), &format!("{root}/tmp"), false));
    mounted
}

fn become_nobody_and_run(kernel: &mut FreeBsd, jail: JailId) -> Outcome<std::convert::Infallible> {
    kernel.closefrom(3);
    kernel.jail_attach(jail)?;
    kernel.setgroups(&[NOBODY])?;
    kernel.setresgid(Ids::all(NOBODY))?;
    kernel.setresuid(Ids::all(NOBODY))?;
    kernel.execve("/usr/bin/true", &["true".to_string()], &[])
}

pub fn launch(kernel: &mut FreeBsd) -> i32 {
    let name = format!("jailrun-bench-floor-{}", kernel.getpid().0);
    let root = format!("/var/run/{name}");
    let mounted = build(kernel, &root);
    let parameters = vec![
        ("name".to_string(), JailValue::Text(name)),
        ("path".to_string(), JailValue::Text(root.clone())),
        ("persist".to_string(), JailValue::Flag),
        ("ip4".to_string(), JailValue::Int(JAIL_SYS_DISABLE)),
        ("ip6".to_string(), JailValue::Int(JAIL_SYS_DISABLE)),
    ];
    let jail = kernel.jail_create(&parameters).unwrap();
    let child = kernel.fork(move |kernel| become_nobody_and_run(kernel, jail.id).map_err(|_| 71));
    let ending = kernel
        .waitpid(Some(child.unwrap()), true)
        .unwrap()
        .unwrap()
        .1;
    kernel.close(jail.descriptor).unwrap();
    for fsid in mounted.iter().rev() {
        while kernel.unmount(*fsid, Force::No).is_err() {
            kernel.sleep_ms(1);
        }
    }
    kernel.unlinkat(At::Cwd, &root, Unlink::Directory).unwrap();
    match ending {
        Ending::Exited(status) => status,
        Ending::Signalled(_) => 71,
    }
}
