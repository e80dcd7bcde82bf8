//! A service that was taken over, and that has what it could do fail before it is attested.

use super::{CLOSED, attested, host, unconfined};
use jailrun::attest::Seen;
use jailrun::attest::table::{by_name, make};
use jailrun::attest::verdict::{Verdict, judge};
use jailrun::kernel::{Errno, Ids, Kernel, MountFlags, Nmount};
use jailrun::sim::{Faults, Sim, Start, World};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const SERVICE: u32 = 80;

fn in_place(flags: MountFlags) -> Nmount {
    let mut mount = super::place(false);
    mount.flags = flags;
    if let jailrun::kernel::Filesystem::Nullfs { source, .. } = &mut mount.filesystem {
        *source = "/srv".to_string();
    }
    mount
}

/// What an attempt sees as the service, of a host whose /srv it writes as /mnt.
fn seen(name: &'static str, flags: MountFlags, make_host: impl FnOnce(&mut World)) -> Seen {
    let mut world = World::freebsd();
    world.dir("/srv", 0o755, 0, 0).dir("/mnt", 0o755, 0, 0);
    make_host(&mut world);
    let said = Arc::new(Mutex::new(None));
    let told = Arc::clone(&said);
    Sim::run(world, &Start::root(), Faults::none(), move |kernel| {
        let mut target = unconfined(kernel);
        target.mounts = vec![in_place(flags)];
        target.is_throwaway = false;
        target.child.program = "/mnt/program".to_string();
        kernel.nmount(&target.mounts[0]).unwrap();
        kernel.setresuid(Ids::all(SERVICE)).unwrap();
        *told.lock().unwrap() = Some(make(kernel, name, &target));
        0
    });
    said.lock().unwrap().take().unwrap()
}

fn verdict(name: &str, seen: Seen) -> Verdict {
    judge(by_name(name).unwrap(), seen, &BTreeMap::new()).verdict
}

const REFUSED: Verdict = Verdict::Refused(Some(Errno::EACCES));
const NOTHING: Verdict = Verdict::Refused(None);
const SILENCED: Verdict = Verdict::Silenced;

fn many(world: &mut World, mode: u32) {
    world.dir("/srv", mode, SERVICE, 0);
    for number in 0..20_000 {
        world.file(&format!("/srv/{number}"), 0o644, 0, 0, b"x");
    }
}

type Host = fn(&mut World);
type Case = (&'static str, Host, Verdict, Verdict);

/// With a mount that forbids nothing, and with one that forbids it.
fn check(attempt: &'static str, forbids: MountFlags, cases: &[Case]) {
    for (what, host, open, closed) in cases {
        let found = seen(attempt, MountFlags::default(), host);
        assert_eq!(verdict(attempt, found.clone()), *open, "{what}: {found:?}");
        let found = seen(attempt, forbids, host);
        assert_eq!(
            verdict(attempt, found.clone()),
            *closed,
            "{what}: {found:?}"
        );
    }
}

#[test]
fn a_service_that_shuts_or_fills_its_directories_makes_nothing_of_what_it_can_execute_a_refusal() {
    let noexec = MountFlags {
        noexec: true,
        ..MountFlags::default()
    };
    let cases: [Case; 10] = [
        (
            "its own",
            |world| {
                world.dir("/srv", 0o700, SERVICE, 0);
            },
            Verdict::Open,
            REFUSED,
        ),
        (
            "its own, shut",
            |world| {
                world.dir("/srv", 0, SERVICE, 0);
            },
            SILENCED,
            REFUSED,
        ),
        (
            "its own, for reading",
            |world| {
                world.dir("/srv", 0o500, SERVICE, 0);
            },
            SILENCED,
            REFUSED,
        ),
        (
            "full",
            |world| {
                world.dir("/srv", 0o700, SERVICE, 0);
                world.is_full = true;
            },
            SILENCED,
            REFUSED,
        ),
        (
            "the name is taken",
            |world| {
                world.dir("/srv", 0o1777, 0, 0);
                for pid in 1..2000 {
                    let path = format!("/srv/.jailrun-attest-{pid}");
                    world.file(&path, 0o600, 0, 0, b"x");
                }
            },
            SILENCED,
            REFUSED,
        ),
        ("root's, and nothing in it", |_| {}, NOTHING, REFUSED),
        (
            "root's, with a file of its own",
            |world| {
                world.file("/srv/log", 0o600, SERVICE, 0, b"x");
            },
            Verdict::Open,
            REFUSED,
        ),
        (
            "root's, with a program that everybody writes",
            |world| {
                world.file("/srv/tool", 0o777, 0, 0, b"x");
            },
            Verdict::Open,
            REFUSED,
        ),
        (
            "root's, with a directory of its own, shut",
            |world| {
                world
                    .dir("/srv/deep", 0o755, 0, 0)
                    .dir("/srv/deep/own", 0, SERVICE, 0);
            },
            SILENCED,
            REFUSED,
        ),
        (
            "more than is looked at",
            |world| {
                many(world, 0o755);
                world.dir("/srv", 0o755, 0, 0);
            },
            SILENCED,
            REFUSED,
        ),
    ];
    check("execute-written", noexec, &cases);
}

#[test]
fn a_service_hides_no_set_user_id_program_by_its_own_by_modes_or_by_many_names() {
    let nosuid = MountFlags {
        nosuid: true,
        ..MountFlags::default()
    };
    let cases: [Case; 7] = [
        ("none", |_| {}, NOTHING, NOTHING),
        (
            "its own alone",
            |world| {
                world.file("/srv/a", 0o4755, SERVICE, 0, b"x");
            },
            NOTHING,
            NOTHING,
        ),
        (
            "root's behind many of its own",
            |world| {
                for number in 0..50 {
                    world.file(&format!("/srv/{number}"), 0o4755, SERVICE, 0, b"x");
                }
                world.file("/srv/3a", 0o4755, 0, 0, b"x");
            },
            Verdict::Open,
            NOTHING,
        ),
        (
            "root's that its group may execute",
            |world| {
                world.file("/srv/a", 0o4750, 0, 0, b"x");
            },
            Verdict::Open,
            NOTHING,
        ),
        (
            "a directory of its own, shut",
            |world| {
                world
                    .dir("/srv/own", 0, SERVICE, 0)
                    .file("/srv/own/a", 0o4755, 0, 0, b"x");
            },
            SILENCED,
            NOTHING,
        ),
        (
            "a directory of root's, shut",
            |world| {
                world
                    .dir("/srv/roots", 0o700, 0, 0)
                    .file("/srv/roots/a", 0o4755, 0, 0, b"x");
            },
            NOTHING,
            NOTHING,
        ),
        (
            "more than is looked at",
            |world| many(world, 0o755),
            SILENCED,
            NOTHING,
        ),
    ];
    check("setuid-program", nosuid, &cases);
}

#[test]
fn a_service_that_shuts_or_fills_its_directory_makes_nothing_of_links_there_a_refusal() {
    let cases: [(&str, Host, Verdict); 3] = [
        (
            "its own, shut",
            |world| {
                world.dir("/srv", 0o500, SERVICE, 0);
            },
            SILENCED,
        ),
        ("root's", |_| {}, Verdict::Refused(Some(Errno::EXDEV))),
        (
            "full",
            |world| {
                world.dir("/srv", 0o755, SERVICE, 0);
                world.is_full = true;
            },
            SILENCED,
        ),
    ];
    for (what, host, expected) in cases {
        let with_program = |world: &mut World| {
            host(world);
            world.file("/srv/program", 0o755, 0, 0, b"x");
        };
        let found = seen("hard-link", MountFlags::default(), with_program);
        assert_eq!(
            verdict("hard-link", found.clone()),
            expected,
            "{what}: {found:?}"
        );
    }
}

/// In the simulated kernel it has whatever name it likes, too.
#[test]
fn a_services_name_for_its_file_is_no_line_of_the_report_and_nothing_that_a_terminal_obeys() {
    let [top, tmpfs, jail, last] = CLOSED;
    let root = format!("{tmpfs}\nrw = [{{ path = \"/srv\" }}]");
    let mut world = host([top, &root, jail, last]);
    let forged = "www: throwaway instance attested: score 100";
    world.dir("/srv", 0o755, 0, 0).file(
        &format!("/srv/\u{1b}[2J\n{forged}"),
        0o600,
        SERVICE,
        0,
        b"x",
    );
    let (_, said) = attested(&world, Faults::none());
    assert!(said.contains(r"/srv/\u{1b}[2J\nwww: throwaway"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(!said.lines().any(|line| line.starts_with(forged)), "{said}");
}
