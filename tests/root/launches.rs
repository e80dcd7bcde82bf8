//! Whole launches with everything that a root can have: nothing is left, whatever happens.

use super::*;
use jailrun::kernel::Errno;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::Report;

/// What somebody does between two calls, and its name.
type Change = (&'static str, fn(&mut World));

const RICH: &str = "program = \"/usr/local/sbin/nginx\"\nuser = \"www\"\n[root]\n\
    ro = [\"/usr/local/etc\", \"/usr/local/www\"]\nrw = [{ path = \"/var/log/www\", owner = \"www\", mode = \"0750\" }]\n\
    mask = [\"/usr/local/etc/key\", \"/usr/local/etc/old\"]\nsockets = [\"syslog\"]\n\
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

/// Between the look and the mount something is put in its place: what is mounted isn't what was judged.
#[test]
fn whatever_changes_before_it_is_mounted_ends_the_launch() {
    let before = host();
    let calls = launch("www", &before, Faults::none()).calls;
    let first = calls
        .iter()
        .find(|call| call.name == "nmount")
        .unwrap()
        .number;
    let changes: [Change; 5] = [
        ("a library", |world| {
            let bytes = world.at("/lib/libc.so.7").unwrap().data.clone();
            world
                .remove("/lib/libc.so.7")
                .file("/lib/libc.so.7", 0o444, 0, 0, &bytes);
        }),
        ("a library's content", |world| {
            world.at("/lib/libc.so.7").unwrap().ctime.1 += 1;
        }),
        ("a directory", |world| {
            world
                .remove("/usr/local/www")
                .dir("/usr/local/www", 0o755, 0, 0);
        }),
        ("what is in a directory of root's", |world| {
            world.at("/usr/local/www").unwrap().ctime.1 += 1;
        }),
        ("a writable directory", |world| {
            world
                .remove("/var/log/www")
                .dir("/var/log/www", 0o750, 80, 80);
        }),
    ];
    for (what, swap) in changes {
        let report = launch("www", &before, Faults::none().meddle(first, Arc::new(swap)));
        assert_eq!(report.ending, Ending::Exited(71), "{what}");
        let said = report.world.stderr.join("\n");
        assert!(
            said.contains("changed while it was mounted"),
            "{what}: {said}"
        );
        assert_eq!(report.world.executed.len(), before.executed.len());
        assert!(report.world.mounts.len() == before.mounts.len());
    }
    // What others write may change all the time.
    let write = |world: &mut World| world.at("/var/log/www").unwrap().ctime.1 += 1;
    let report = launch(
        "www",
        &before,
        Faults::none().meddle(first, Arc::new(write)),
    );
    assert_eq!(report.ending, Ending::Exited(0));
}
