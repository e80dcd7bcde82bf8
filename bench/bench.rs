//! Measures a launch with its teardown against the least that it can cost, and against jail(8) with the
//! same mounts, in turn, in one run. FreeBSD, as root: `bench/run`, or
//!
//!   bench JAILRUN [ROUNDS [JAILS]]     the table; JAILS further jails are up while it is made
//!   bench floor                        one launch with the system calls alone
//!
//! The floor makes the same mounts, one jail, attaches, drops to nobody, runs /usr/bin/true, waits and
//! unmounts: no checks, no journal, no profile, no log.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "it measures programs")
)]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit)]

#[cfg(not(target_os = "freebsd"))]
fn main() {
    eprintln!("bench: runs on FreeBSD only");
    std::process::exit(69);
}

#[cfg(target_os = "freebsd")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["floor"] => std::process::exit(freebsd::floor()),
        [jailrun] => freebsd::compare(jailrun, 31, 0),
        [jailrun, rounds] => freebsd::compare(jailrun, rounds.parse().unwrap(), 0),
        [jailrun, rounds, jails] => {
            freebsd::compare(jailrun, rounds.parse().unwrap(), jails.parse().unwrap());
        }
        _ => {
            eprintln!("usage: bench JAILRUN [ROUNDS [JAILS]] | bench floor");
            std::process::exit(64);
        }
    }
}

#[cfg(target_os = "freebsd")]
mod freebsd {
    use jailrun::kernel::freebsd::FreeBsd;
    use jailrun::kernel::*;
    use std::process::{Command, Stdio};
    use std::time::Instant;

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
    const NAME: &str = "bench";
    const RULESET: u16 = 0x4bff;

    /// Those of them that this host has: versions of libraries differ between releases.
    fn files() -> Vec<&'static str> {
        let is_there = |path: &&str| std::fs::metadata(path).is_ok_and(|found| found.is_file());
        FILES.into_iter().filter(is_there).collect()
    }

    fn directories() -> Vec<String> {
        let mut all: Vec<String> = ["/dev", "/tmp"].map(str::to_string).to_vec();
        for file in files() {
            let ends = file.match_indices('/').skip(1);
            all.extend(ends.map(|(end, _)| file[..end].to_string()));
        }
        all.sort();
        all.dedup();
        all
    }

    fn mount(filesystem: Filesystem, target: &str, read_only: bool, update: bool) -> Nmount {
        let flags = MountFlags {
            read_only,
            nosuid: true,
            ..MountFlags::default()
        };
        Nmount {
            filesystem,
            target: target.to_string(),
            flags,
            update,
        }
    }

    fn memory(size: u64) -> Filesystem {
        Filesystem::Tmpfs {
            size,
            inodes: 4096,
            mode: 0o755,
            uid: 0,
            gid: 0,
        }
    }

    pub fn floor() -> i32 {
        let mut kernel = FreeBsd;
        let root = format!("/var/run/bench-floor-{}", kernel.getpid().0);
        kernel.mkdirat(At::Cwd, &root, 0o700).unwrap();
        let mut mounted = Vec::new();
        let mut make = |kernel: &mut FreeBsd, what: Nmount| {
            kernel.nmount(&what).unwrap();
            mounted.push(kernel.statfs(&what.target).unwrap().fsid);
        };
        make(&mut kernel, mount(memory(4 << 20), &root, false, false));
        for directory in directories() {
            kernel
                .mkdirat(At::Cwd, &format!("{root}{directory}"), 0o755)
                .unwrap();
        }
        for file in files() {
            let target = format!("{root}{file}");
            let fd = kernel
                .openat(At::Cwd, &target, Open::CreateNew(0o444))
                .unwrap();
            kernel.close(fd).unwrap();
            let source = file.to_string();
            make(
                &mut kernel,
                mount(
                    Filesystem::Nullfs {
                        source,
                        sockets: true,
                    },
                    &target,
                    true,
                    false,
                ),
            );
        }
        let devices = Filesystem::Devfs { ruleset: RULESET };
        make(
            &mut kernel,
            mount(devices, &format!("{root}/dev"), false, false),
        );
        make(
            &mut kernel,
            mount(memory(4 << 20), &format!("{root}/tmp"), false, false),
        );
        kernel
            .nmount(&mount(memory(4 << 20), &root, true, true))
            .unwrap();
        let parameters = vec![
            (
                "name".to_string(),
                JailValue::Text(format!("bench-floor-{}", kernel.getpid().0)),
            ),
            ("path".to_string(), JailValue::Text(root.clone())),
            ("persist".to_string(), JailValue::Flag),
            ("ip4".to_string(), JailValue::Int(JAIL_SYS_DISABLE)),
            ("ip6".to_string(), JailValue::Int(JAIL_SYS_DISABLE)),
        ];
        let jail = kernel.jail_create(&parameters).unwrap();
        let child = kernel
            .fork(move |kernel| {
                let go = |kernel: &mut FreeBsd| {
                    kernel.closefrom(3);
                    kernel.jail_attach(jail.id)?;
                    kernel.setgroups(&[65534])?;
                    kernel.setresgid(Ids::all(65534))?;
                    kernel.setresuid(Ids::all(65534))?;
                    kernel.execve("/usr/bin/true", &["true".to_string()], &[])
                };
                go(kernel).map_err(|_| 71)
            })
            .unwrap();
        let ending = kernel.waitpid(Some(child), true).unwrap().unwrap().1;
        kernel.jail_remove(jail.descriptor).unwrap();
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

    /// The profile, the jail.conf(5) with its fstab(5), and the devfs ruleset.
    fn prepare() {
        let quoted: Vec<String> = files().iter().map(|file| format!("\"{file}\"")).collect();
        let profile = format!(
            "program = \"/usr/bin/true\"\nuser = \"nobody\"\n[root]\nclosure = \"off\"\nro = [{}]\n\
             devices = [\"null\", \"zero\"]\ntmpfs = [{{ path = \"/tmp\", size = \"4m\" }}]\n[capsicum]\nmode = \"off\"\n",
            quoted.join(", ")
        );
        std::fs::create_dir_all("/usr/local/etc/jailrun/profiles").unwrap();
        std::fs::write(
            format!("/usr/local/etc/jailrun/profiles/{NAME}.toml"),
            profile,
        )
        .unwrap();
        let root = "/var/run/bench-jail";
        let mut fstab = String::new();
        for file in files() {
            fstab.push_str(&format!("{file} {root}{file} nullfs ro,nosuid 0 0\n"));
        }
        fstab.push_str(&format!("tmpfs {root}/tmp tmpfs rw,nosuid,size=4m 0 0\n"));
        std::fs::write("/tmp/bench.fstab", fstab).unwrap();
        let jail = format!(
            "{NAME}jail {{ path = {root}; mount.fstab = /tmp/bench.fstab; mount.devfs; devfs_ruleset = {RULESET}; \
             exec.start = /usr/bin/true; exec.jail_user = nobody; exec.system_jail_user; persist; }}\n"
        );
        std::fs::write("/tmp/bench.jail.conf", jail).unwrap();
        for directory in directories() {
            std::fs::create_dir_all(format!("{root}{directory}")).unwrap();
        }
        for file in files() {
            std::fs::write(format!("{root}{file}"), "").unwrap();
        }
        let mut kernel = FreeBsd;
        for (number, pattern) in [(1, None), (2, Some("null")), (3, Some("zero"))] {
            // It may be there from an earlier run.
            let _ = kernel.devfs_radd(&DevfsRule {
                ruleset: RULESET,
                number,
                pattern: pattern.map(str::to_string),
                act: if number == 1 {
                    DevfsAct::Hide
                } else {
                    DevfsAct::Unhide
                },
            });
        }
    }

    fn run(program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}"
        );
    }

    fn timed(act: impl FnOnce()) -> f64 {
        let began = Instant::now();
        act();
        began.elapsed().as_secs_f64() * 1000.0
    }

    fn median(times: &mut [f64]) -> f64 {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }

    pub fn compare(jailrun: &str, rounds: usize, jails: usize) {
        prepare();
        let mut kernel = FreeBsd;
        // Owned by us: they end with this process.
        for number in 0..jails {
            let parameters = vec![
                (
                    "name".to_string(),
                    JailValue::Text(format!("bench-up-{number}")),
                ),
                ("persist".to_string(), JailValue::Flag),
            ];
            kernel.jail_create(&parameters).unwrap();
        }
        let own = std::env::current_exe()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let conf = ["-f", "/tmp/bench.jail.conf"];
        let jail = format!("{NAME}jail");
        let mut times = [const { Vec::new() }; 4];
        for round in 0..=rounds {
            let row = [
                timed(|| run(&own, &["floor"])),
                timed(|| run(jailrun, &[NAME])),
                timed(|| {
                    run("/usr/sbin/jail", &[conf[0], conf[1], "-c", &jail]);
                    run("/usr/sbin/jail", &[conf[0], conf[1], "-r", &jail]);
                }),
                timed(|| run("/usr/bin/true", &[])),
            ];
            // The first of all fills the caches.
            for (column, time) in times.iter_mut().zip(row).filter(|_| round > 0) {
                column.push(time);
            }
        }
        let [mut floor, mut ours, mut jail8, mut bare] = times;
        let (floor, ours) = (median(&mut floor), median(&mut ours));
        let (jail8, bare) = (median(&mut jail8), median(&mut bare));
        println!(
            "{rounds} rounds, {} files mounted, {jails} other jails up; medians in ms",
            files().len()
        );
        println!(
            "| /usr/bin/true | floor | jailrun | jail -c, jail -r | jailrun / floor | jail(8) / jailrun |"
        );
        println!("|---|---|---|---|---|---|");
        println!(
            "| {bare:.1} | {floor:.1} | {ours:.1} | {jail8:.1} | {:.2} | {:.1} |",
            ours / floor,
            jail8 / ours
        );
        let size = std::fs::metadata(jailrun).unwrap().len();
        println!("{jailrun}: {size} bytes");
    }
}
