//! Whole launches with everything that a root can have: nothing is left, whatever happens.

use super::*;
use jailrun::kernel::{At, Errno, FileKind, Filesystem, Kernel, MountFlags, Nmount};
use jailrun::run::{Request, run};
use jailrun::sim::Report;
use jailrun::stale::{self, How, Stale};

const RICH: &str = "program = \"/usr/local/sbin/nginx\"\nuser = \"www\"\n[root]\n\
    ro = [\"/usr/local/etc\", \"/usr/local/www\"]\nrw = [{ path = \"/var/log/www\", owner = \"www\", mode = \"0750\" }]\n\
    mask = [\"/usr/local/etc/key\", \"/usr/local/etc/old\"]\n\
    tmpfs = [{ path = \"/var/run\", size = \"1m\", owner = \"www\" }]\n\
    [root.files]\n\"/etc/passwd\" = \"synthetic\"\n\"/etc/hosts\" = \"host\"\n\"/var/run/text\" = \"x\\n\"\n";

fn host() -> World {
    let mut world = World::freebsd();
    world
        .dir("/var/log/www", 0o750, 80, 80)
        .dir("/usr/local/etc/old", 0o755, 0, 0);
    world.file("/usr/local/etc/key", 0o600, 0, 0, b"secret");
    world.dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0);
    for name in ["www", "other"] {
        let path = format!("/usr/local/etc/jailrun/profiles/{name}.toml");
        world.file(&path, 0o644, 0, 0, format!("{RICH}{END}").as_bytes());
    }
    // Old enough for the record of its closure to be kept.
    world.clock_ms += 10_000;
    launch("www", &world, Faults::none()).world
}

fn launch(name: &'static str, world: &World, faults: Faults) -> Report {
    Sim::run(world.clone(), &Start::root(), faults, |kernel| {
        let request = Request::parse(&[name.to_string()]).unwrap();
        match run(kernel, &request, &BTreeMap::new()) {
            Ok(ended) if ended.leftovers.is_empty() => 0,
            Ok(_) => 71,
            Err(error) => {
                kernel.complain(&error.to_string());
                error.exit_status()
            }
        }
    })
}

#[test]
fn a_root_with_everything_in_it_is_made_and_taken_back() {
    let before = host();
    let report = launch("www", &before, Faults::none());
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    assert_eq!(
        report.world.executed.last().unwrap().program,
        "/usr/local/sbin/nginx"
    );
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
    let count = |name: &str| report.calls.iter().filter(|call| call.name == name).count();
    assert_eq!(
        count("pread"),
        0,
        "an ELF file was read though there is a record"
    );
    // Six files of the closure, two ro, one rw, a tmpfs, two masks, the skeleton twice.
    assert_eq!((count("nmount"), count("unmount")), (14, 13));
    assert_eq!(count("getfsstat"), 2);
}

#[test]
fn whatever_call_fails_in_such_a_launch_nothing_is_left_behind_unsaid() {
    let before = host();
    let calls = launch("www", &before, Faults::none()).calls.len() as u64;
    assert!(calls > 300, "a sweep over {calls} calls proves nothing");
    for call in 1..=calls {
        let report = launch("www", &before, Faults::none().fail(call, Errno::EIO));
        let left = report.world.differences(&before);
        let failed = report.ending != Ending::Exited(0);
        assert!(
            left.is_empty() || failed || !report.world.stderr.is_empty(),
            "call {call}: unsaid: {left:?}"
        );
        let again = launch("other", &report.world, Faults::none());
        let left = again.world.differences(&before);
        assert!(left.is_empty(), "call {call}: {left:?}");
    }
}

#[test]
fn killed_at_any_call_of_such_a_launch_the_next_restores_the_world() {
    let before = host();
    let calls = launch("www", &before, Faults::none()).calls.len() as u64;
    for call in 1..=calls {
        let report = launch("www", &before, Faults::none().kill_after(call));
        let again = launch("other", &report.world, Faults::none());
        assert_eq!(again.ending, Ending::Exited(0), "killed after call {call}");
        let left = again.world.differences(&before);
        assert!(left.is_empty(), "killed after call {call}: {left:?}");
    }
}

/// Between the look and the mount the file is replaced: what is mounted isn't what was read.
#[test]
fn a_library_that_changes_before_it_is_mounted_ends_the_launch() {
    let before = host();
    let calls = launch("www", &before, Faults::none()).calls;
    let first = calls
        .iter()
        .find(|call| call.name == "nmount")
        .unwrap()
        .number;
    let swap = |world: &mut World| {
        let bytes = world.at("/lib/libc.so.7").unwrap().data.clone();
        world
            .remove("/lib/libc.so.7")
            .file("/lib/libc.so.7", 0o444, 0, 0, &bytes);
    };
    let report = launch("www", &before, Faults::none().meddle(first, Arc::new(swap)));
    assert_eq!(report.ending, Ending::Exited(71));
    let said = report.world.stderr.join("\n");
    assert!(said.contains("changed while it was mounted"), "{said}");
    assert_eq!(report.world.executed.len(), before.executed.len());
    assert!(report.world.mounts.len() == before.mounts.len());
}

#[test]
fn files_that_a_running_instance_holds_and_the_host_has_replaced_are_stale() {
    let mut world = World::freebsd();
    world
        .dir("/var/run/jailrun/www/root/lib", 0o755, 0, 0)
        .dir("/srv", 0o755, 0, 0)
        .dir("/srv/d", 0o755, 0, 0);
    for name in ["same", "new", "gone"] {
        world.file(&format!("/srv/{name}"), 0o644, 0, 0, b"");
        world.file(
            &format!("/var/run/jailrun/www/root/{name}"),
            0o444,
            0,
            0,
            b"",
        );
    }
    world
        .dir("/var/run/jailrun/www/root/d", 0o755, 0, 0)
        .file("/mnt/x", 0o644, 0, 0, b"");
    let found = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&found);
    let report = Sim::run(world, &Start::root(), Faults::none(), move |kernel| {
        let nullfs = |from: &str, on: &str| Nmount {
            filesystem: Filesystem::Nullfs {
                source: from.to_string(),
                sockets: false,
            },
            target: on.to_string(),
            flags: MountFlags::default(),
            update: false,
        };
        for name in ["same", "new", "gone", "d"] {
            let on = format!("/var/run/jailrun/www/root/{name}");
            kernel
                .nmount(&nullfs(&format!("/srv/{name}"), &on))
                .unwrap();
        }
        kernel.nmount(&nullfs("/srv/new", "/mnt/x")).unwrap();
        assert_eq!(stale::find(kernel).unwrap(), []);
        for name in ["new", "gone"] {
            kernel
                .unlinkat(
                    At::Cwd,
                    &format!("/srv/{name}"),
                    jailrun::kernel::Unlink::File,
                )
                .unwrap();
        }
        let fd = kernel
            .openat(At::Cwd, "/srv/new", jailrun::kernel::Open::CreateNew(0o644))
            .unwrap();
        kernel.close(fd).unwrap();
        assert_eq!(
            kernel.lstatat(At::Cwd, "/srv/d").unwrap().kind,
            FileKind::Directory
        );
        *told.lock().unwrap() = stale::find(kernel).unwrap();
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
    let stale = |path: &str, how| Stale {
        instance: "www".to_string(),
        path: path.to_string(),
        how,
    };
    assert_eq!(
        *found.lock().unwrap(),
        [
            stale("/srv/new", How::Replaced),
            stale("/srv/gone", How::Gone)
        ]
    );
}
