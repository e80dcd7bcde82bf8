//! Whole launches with everything that a root can have: nothing is left, whatever happens.

use super::*;
use jailrun::kernel::{At, Errno, Kernel, Lock, Open, Unlink};
use jailrun::request::Request;
use jailrun::run::run;
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
        let request = Request {
            profile: name.to_string(),
            ..Request::default()
        };
        run(kernel, &request, &BTreeMap::new()).code()
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
    // Six files of the closure, two ro, one rw, a tmpfs, two masks, the skeleton twice, the cloak.
    assert_eq!((count("nmount"), count("unmount")), (15, 14));
    assert_eq!(count("getfsstat"), 1);
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
    for name in ["same", "new", "gone"] {
        world.file(&format!("/srv/{name}"), 0o644, 0, 0, b"");
    }
    world.dir("/var/run/jailrun/www", 0o700, 0, 0);
    let found = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&found);
    let report = Sim::run(world, &Start::root(), Faults::none(), move |kernel| {
        let mut journal =
            "jailrun journal 1\nboot b\ninstance www www service 0 1 1 0\n".to_string();
        for name in ["same", "new", "gone"] {
            let inode = kernel
                .lstatat(At::Cwd, &format!("/srv/{name}"))
                .unwrap()
                .inode;
            journal.push_str(&format!("holds {inode} /srv/{name}\n"));
        }
        journal.push_str("begun\nstate running 5 6 7\n");
        let path = "/var/run/jailrun/www/journal";
        let fd = kernel
            .openat(At::Cwd, path, Open::ReadWriteCreate(0o600))
            .unwrap();
        kernel.write(fd, journal.as_bytes()).unwrap();
        // Nobody runs it: nothing of it can be stale.
        kernel.unlinkat(At::Cwd, "/srv/gone", Unlink::File).unwrap();
        assert_eq!(stale::find(kernel).unwrap(), []);
        kernel.flock(fd, Lock::Exclusive).unwrap();
        kernel.unlinkat(At::Cwd, "/srv/new", Unlink::File).unwrap();
        let new = kernel
            .openat(At::Cwd, "/srv/new", Open::CreateNew(0o644))
            .unwrap();
        kernel.close(new).unwrap();
        *told.lock().unwrap() = stale::find(kernel).unwrap();
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
    let stale = |path: &str, how| Stale {
        instance: "www".to_string(),
        path: path.to_string(),
        how,
    };
    let expected = [
        stale("/srv/new", How::Replaced),
        stale("/srv/gone", How::Gone),
    ];
    assert_eq!(*found.lock().unwrap(), expected);
}
