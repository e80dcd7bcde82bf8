//! Whether the sweep sees anything: a launch in miniature that is right passes it, and each of its
//! variants that is broken on purpose is caught, by what is wrong with it.

use jailrun::kernel::{
    Alias, At, Ending, Errno, Failure, Filesystem, Force, Ids, JailValue, Kernel, MountFlags,
    Nmount, Open, OwnedJail, Unlink,
};
use jailrun::sim::errnos;
use jailrun::sim::sweep::{Outcome, Remedy, Sweep};
use jailrun::sim::{Executed, Sim, Start, World};

const STATE: &str = "/var/run/jailrun";
const DIRECTORY: &str = "/var/run/jailrun/mini";
const ROOT: &str = "/var/run/jailrun/mini/root";
const RECORD: &str = "/var/run/jailrun/mini/address";

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// When the jail can't be made, one mount is forgotten.
    OneUndoIsSkipped,
    /// The user is given up before the groups, whose failure nobody looks at.
    UserBeforeGroups,
    /// What says that the address is ours is written after the address was added.
    RecordAfterEffect,
    /// What couldn't be taken back isn't told.
    Silence,
    /// The jail's descriptor goes on into the program, which then outlives everybody.
    DescriptorIsKept,
    /// A cleanup that trusts the record, and forgets the mounts.
    CleanupIsLazy,
}

fn alias() -> Alias {
    Alias {
        interface: "lo0".to_string(),
        address: "127.0.0.80".parse().unwrap(),
        prefix: 32,
    }
}

fn mount(filesystem: Filesystem, target: &str) -> Nmount {
    Nmount {
        filesystem,
        target: target.to_string(),
        flags: MountFlags::default(),
        update: false,
    }
}

fn mounts() -> [Nmount; 2] {
    let memory = Filesystem::Tmpfs {
        size: 1 << 20,
        inodes: 64,
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
    let tools = Filesystem::Nullfs {
        source: "/bin".to_string(),
        sockets: false,
    };
    [
        mount(memory, ROOT),
        mount(tools, "/var/run/jailrun/mini/root/bin"),
    ]
}

fn start(kernel: &mut Sim, flaw: Flaw) -> Result<OwnedJail, Failure> {
    kernel.mkdirat(At::Cwd, DIRECTORY, 0o700)?;
    kernel.mkdirat(At::Cwd, ROOT, 0o755)?;
    let record = kernel.openat(At::Cwd, RECORD, Open::CreateNew(0o600))?;
    if flaw != Flaw::RecordAfterEffect {
        kernel.write(record, b"ours")?;
    }
    kernel.add_address(&alias())?;
    if flaw == Flaw::RecordAfterEffect {
        kernel.write(record, b"ours")?;
    }
    kernel.close(record)?;
    let [memory, tools] = mounts();
    kernel.nmount(&memory)?;
    kernel.mkdirat(At::Cwd, &tools.target, 0o755)?;
    kernel.nmount(&tools)?;
    let text = |name: &str, value: &str| (name.to_string(), JailValue::Text(value.to_string()));
    let flag = |name: &str| (name.to_string(), JailValue::Flag);
    let parameters = vec![text("name", "mini"), text("path", ROOT), flag("persist")];
    kernel.jail_create(&parameters)
}

fn child(kernel: &mut Sim, flaw: Flaw, jail: OwnedJail) -> Result<Executed, Failure> {
    if flaw == Flaw::DescriptorIsKept {
        kernel.dup2(jail.descriptor, jailrun::kernel::Fd(9), true)?;
    }
    kernel.close(jail.descriptor)?;
    kernel.jail_attach(jail.id)?;
    kernel.chdir("/")?;
    if flaw == Flaw::UserBeforeGroups {
        kernel.setresuid(Ids::all(80))?;
        let _ = kernel.setgroups(&[80]);
        let _ = kernel.setresgid(Ids::all(80));
    } else {
        kernel.setgroups(&[80])?;
        kernel.setresgid(Ids::all(80))?;
        kernel.setresuid(Ids::all(80))?;
    }
    kernel.execve("/bin/sh", &["/bin/sh".to_string()], &[])
}

/// Whatever is there of ours. `is_lazy`: nothing is looked for that the record doesn't say.
fn take_back(kernel: &mut Sim, skips: bool) -> Result<(), Failure> {
    for mount in kernel.getfsstat()?.iter().rev() {
        if mount.on.starts_with(DIRECTORY) && !(skips && mount.kind == "nullfs") {
            kernel.unmount(mount.fsid, Force::Yes)?;
        }
    }
    match kernel.openat(At::Cwd, RECORD, Open::Read) {
        Err(failure) if failure.errno == Errno::ENOENT => {}
        Err(failure) => return Err(failure),
        Ok(record) => {
            let mut word = [0u8; 4];
            let read = kernel.read(record, &mut word);
            kernel.close(record)?;
            if read? == 4 {
                match kernel.delete_address(&alias()) {
                    Err(failure) if failure.errno == Errno::EADDRNOTAVAIL => {}
                    other => other?,
                }
            }
            kernel.unlinkat(At::Cwd, RECORD, Unlink::File)?;
        }
    }
    for directory in [ROOT, DIRECTORY] {
        match kernel.unlinkat(At::Cwd, directory, Unlink::Directory) {
            Err(failure) if failure.errno == Errno::ENOENT => {}
            other => other?,
        }
    }
    Ok(())
}

fn taken_back(kernel: &mut Sim, flaw: Flaw, skips: bool) -> bool {
    match take_back(kernel, skips) {
        Ok(()) => true,
        Err(failure) => {
            if flaw != Flaw::Silence {
                kernel.complain(&format!("mini: left behind: {DIRECTORY}: {failure}"));
            }
            false
        }
    }
}

fn launch(kernel: &mut Sim, flaw: Flaw) -> i32 {
    match kernel.mkdirat(At::Cwd, STATE, 0o755) {
        Err(failure) if failure.errno != Errno::EEXIST => return 71,
        _ => {}
    }
    // As every launch does: what another left is taken back first.
    if !taken_back(kernel, flaw, false) {
        return 71;
    }
    let started = start(kernel, flaw);
    let ran = started.as_ref().is_ok_and(|jail| {
        let jail = *jail;
        let forked = kernel.fork(move |kernel| child(kernel, flaw, jail).map_err(|_| 71));
        forked.is_ok_and(|pid| {
            let waited = kernel.waitpid(Some(pid), true);
            waited.is_ok_and(|ended| ended.is_some_and(|ended| ended.1 == Ending::Exited(0)))
        })
    });
    let skips = flaw == Flaw::OneUndoIsSkipped && started.is_err();
    if let Ok(jail) = started {
        let removed = kernel.jail_remove(jail.descriptor);
        let closed = kernel.close(jail.descriptor);
        while let Ok(Some(_)) = kernel.waitpid(None, true) {}
        if removed.and(closed).is_err() {
            kernel.complain("mini: left behind: the jail, for a moment");
            let _ = taken_back(kernel, flaw, skips);
            return 71;
        }
    }
    match taken_back(kernel, flaw, skips) && ran {
        true => 0,
        false => 71,
    }
}

fn sweep(flaw: Flaw) -> Outcome {
    let world = World::freebsd();
    let start = |kernel: &mut Sim| launch(kernel, flaw);
    let clean = |kernel: &mut Sim| {
        let lazy = flaw == Flaw::CleanupIsLazy;
        i32::from(!taken_back(kernel, flaw, lazy))
    };
    let objection = |executed: &Executed| {
        let right = executed.uid == Ids::all(80)
            && executed.gid == Ids::all(80)
            && executed.groups == [80]
            && executed.fds.iter().all(|(number, _)| *number < 3);
        (!right).then(|| format!("as {:?}", executed.groups))
    };
    Sweep {
        world: &world,
        launch: &start,
        start: &Start::root(),
        objection: &objection,
        remedies: &[Remedy::Act(&clean), Remedy::Launch],
    }
    .run()
}

#[test]
fn a_launch_in_miniature_that_is_right_passes_the_sweep() {
    let outcome = sweep(Flaw::None);

    assert_eq!(outcome.leak, None);
    assert!(outcome.calls > 30 && outcome.refused > 60 && outcome.killed == 2 * outcome.calls);
    assert!(outcome.told > 5, "a sweep in which no undo fails is blind");
}

#[test]
fn the_sweep_catches_each_launch_that_is_broken_on_purpose() {
    for (flaw, words) in [
        (
            Flaw::OneUndoIsSkipped,
            &["new mount /bin on", "jail_create(", "gives: "][..],
        ),
        (
            Flaw::UserBeforeGroups,
            &["/bin/sh was executed as [0]", "when nothing goes wrong"],
        ),
        (
            Flaw::RecordAfterEffect,
            &[
                "new address lo0 127.0.0.80/32",
                "killed after call",
                "add_address(lo0 127.0.0.80/32)",
            ],
        ),
        (
            Flaw::Silence,
            &["left behind: new ", "unsaid, when ", "gives: "],
        ),
        (
            Flaw::DescriptorIsKept,
            &["/bin/sh was executed", "when nothing goes wrong"],
        ),
        (
            Flaw::CleanupIsLazy,
            &["new mount /bin on", "when its maker is killed"],
        ),
    ] {
        let outcome = sweep(flaw);
        let leak = outcome.leak.unwrap_or_default();
        for word in words {
            assert!(leak.contains(word), "{flaw:?}: {word:?} isn't in {leak:?}");
        }
    }
}

/// The order of the trials is that of the calls, whatever the threads do.
#[test]
fn the_leak_that_is_told_is_always_the_first() {
    let told: Vec<Option<String>> = (0..5).map(|_| sweep(Flaw::Silence).leak).collect();

    assert!(told[0].is_some());
    assert!(told.iter().all(|leak| *leak == told[0]), "{told:?}");
}

#[test]
fn every_call_of_the_seam_has_its_errnos() {
    let seam = include_str!("../../src/kernel/mod.rs");
    let trait_begins = seam.find("pub trait Kernel").unwrap();
    let methods: Vec<&str> = seam[trait_begins..]
        .lines()
        .filter_map(|line| line.strip_prefix("    fn "))
        .map(|rest| rest.split(['(', '<']).next().unwrap())
        .collect();

    assert!(methods.len() > 90);
    for method in methods {
        assert!(errnos::of(method).is_some(), "{method} has none");
    }
    assert!(errnos::of("jail_create").unwrap().len() > 3);
    assert_eq!(errnos::of("frobnicate"), None);
}
