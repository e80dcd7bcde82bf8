//! What a package's script as root leaves behind where it may write.

use super::grants::mount;
use super::*;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Behaviour, Report};

const SCRIPT: &str = "program = \"/bin/sh\"\nuser = \"root\"\n[jail]\nallow = [\"suser\"]\n\
    [root]\nclosure = \"off\"\nro = [\"/bin\", \"/lib\"]\nroot_writes = true\nrw = [\"/var/db/own\"]\n";

const JOURNAL: &str = "/var/run/jailrun/hook/journal";

fn host(lines: &str) -> World {
    let mut world = World::freebsd();
    world
        .dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0)
        .dir("/var/db/own", 0o755, 0, 0)
        .dir("/var/db/own/sub", 0o2775, 80, 80)
        .file("/var/db/own/sub/kept", 0o640, 80, 80, b"x")
        .file("/etc/tool", 0o4755, 0, 0, b"x")
        .symlink("/var/db/own/link", "/etc/tool")
        .symlink("/var/db/own/sub/up", "/etc");
    let path = "/usr/local/etc/jailrun/profiles/hook.toml";
    world.file(path, 0o644, 0, 0, format!("{lines}{END}").as_bytes());
    let (milliseconds, code) = (1000, 0);
    let behaviour = Behaviour::ExitAfter { milliseconds, code };
    world.behaviour("/bin/sh", behaviour);
    world
}

fn launch(world: &World, faults: Faults) -> Report {
    launch_profile_with("hook", world, faults)
}

fn launch_profile(profile: &'static str, world: &World) -> Report {
    launch_profile_with(profile, world, Faults::none())
}

fn launch_profile_with(profile: &'static str, world: &World, faults: Faults) -> Report {
    Sim::run(world.clone(), &Start::root(), faults, |kernel| {
        let request = Request {
            profile: profile.to_string(),
            ..Request::default()
        };
        run(kernel, &request, &BTreeMap::new()).code()
    })
}

/// A launch whose script makes this of the host, and what was said on standard error.
fn left(world: &World, make: fn(&mut World)) -> (Report, String) {
    let calm = launch(world, Faults::none());
    assert_eq!(calm.ending, Ending::Exited(0), "{:?}", calm.world.stderr);
    let executed = calm.calls.iter().find(|call| call.name == "execve");
    let then = executed.unwrap().number + 2;
    let report = launch(world, Faults::none().meddle(then, Arc::new(make)));
    let said = report.world.stderr.join("\n");
    (report, said)
}

fn mode(report: &mut Report, path: &str) -> u32 {
    report.world.at(path).unwrap().mode
}

#[test]
fn file_systems_below_the_packages_directory_are_searched_as_they_are_granted() {
    let mut world = host(SCRIPT);
    mount(&mut world, "/var/db/own/data", "zfs");
    let (mut report, said) = left(&world, |world| {
        world.file("/var/db/own/data/su", 0o4755, 0, 0, b"x");
    });
    assert_eq!(report.ending, Ending::Exited(0), "{said}");
    assert_eq!(mode(&mut report, "/var/db/own/data/su"), 0o755, "{said}");
    world.file("/var/db/own/data/before", 0o4755, 0, 0, b"x");
    let refused = launch(&world, Faults::none());
    assert_eq!(refused.ending, Ending::Exited(78));
}

#[test]
fn set_id_files_that_a_packages_script_made_are_none_when_it_has_ended() {
    let world = host(SCRIPT);
    let (mut report, said) = left(&world, |world| {
        world
            .file("/var/db/own/su", 0o4755, 0, 0, b"x")
            .dir("/var/db/own/a", 0o700, 0, 0)
            .file("/var/db/own/a/gid", 0o2751, 0, 25, b"x")
            .file("/var/db/own/sub/plain", 0o755, 80, 80, b"x");
    });
    assert_eq!(report.ending, Ending::Exited(0), "{said}");
    let took = |path: &str| format!("took the set-user-ID and set-group-ID bits of {path} away");
    assert!(said.contains(&took("/var/db/own/su")), "{said}");
    assert!(said.contains(&took("/var/db/own/a/gid")), "{said}");
    for (path, expected) in [
        ("/var/db/own/su", 0o755),
        ("/var/db/own/a/gid", 0o751),
        ("/var/db/own/sub/plain", 0o755),
        ("/var/db/own/sub/kept", 0o640),
        // A directory's is no right of anybody's.
        ("/var/db/own/sub", 0o2775),
        // Not through a link.
        ("/etc/tool", 0o4755),
    ] {
        assert_eq!(mode(&mut report, path), expected, "{path}");
    }
}

#[test]
fn set_id_files_of_a_script_whose_supervisor_was_killed_are_none_when_it_is_cleaned_up_after() {
    let mut before = host(SCRIPT);
    let path = "/usr/local/etc/jailrun/profiles/other.toml";
    let other = format!(
        "program = \"/bin/sh\"\n[root]\nclosure = \"off\"\nro = [\"/bin\", \"/lib\"]\n{END}"
    );
    before.file(path, 0o644, 0, 0, other.as_bytes());
    let calm = launch(&before, Faults::none());
    let executed = calm.calls.iter().find(|call| call.name == "execve");
    let mut killed = 0;
    for call in executed.unwrap().number..=calm.calls.len() as u64 {
        let mut report = launch(&before, Faults::none().kill_after(call));
        let is_there = report.world.at(JOURNAL).is_some();
        if report.ending != Ending::Signalled(9) || !is_there {
            continue;
        }
        killed += 1;
        report.world.file("/var/db/own/su", 0o4755, 0, 0, b"x");
        // Of another boot too, where nothing cleans /var/run.
        if call % 2 == 0 {
            let journal = report.world.content(JOURNAL).unwrap();
            let text = String::from_utf8_lossy(&journal).replace("boot 0123", "boot 9999");
            report.world.file(JOURNAL, 0o600, 0, 0, text.as_bytes());
        }
        let mut again = launch_profile("other", &report.world);
        let said = again.world.stderr.join("\n");
        assert_eq!(again.ending, Ending::Exited(0), "call {call}: {said}");
        assert_eq!(
            mode(&mut again, "/var/db/own/su"),
            0o755,
            "call {call}: {said}"
        );
        let words = "hook: took the set-user-ID and set-group-ID bits of /var/db/own/su away";
        assert!(said.contains(words), "call {call}: {said}");
        report.world.at("/var/db/own/su").unwrap().links = 2;
        let left = launch_profile("other", &report.world)
            .world
            .stderr
            .join("\n");
        let words =
            "hook: Operation not permitted (/var/db/own/su is set-user-ID or set-group-ID and has";
        assert!(left.contains(words), "call {call}: {left}");
    }
    assert!(killed > 3, "{killed}");
}

#[test]
fn a_set_id_file_that_has_another_name_is_left_alone_and_told_as_left_behind() {
    let world = host(SCRIPT);
    let (mut report, said) = left(&world, |world| {
        world.file("/var/db/own/su", 0o4755, 0, 0, b"x");
        world.at("/var/db/own/su").unwrap().links = 2;
    });
    assert_eq!(report.ending, Ending::Exited(71));
    let words = "left behind: /var/db/own/su is set-user-ID or set-group-ID and has another name";
    assert!(said.contains(words), "{said}");
    assert_eq!(mode(&mut report, "/var/db/own/su"), 0o4755);
}

#[test]
fn a_directory_that_holds_a_set_id_file_or_is_too_deep_is_not_granted_to_a_packages_script() {
    let mut world = host(SCRIPT);
    world.file("/var/db/own/sub/su", 0o4755, 0, 0, b"x");
    let report = launch(&world, Faults::none());
    let words = "root_writes: /var/db/own/sub/su is set-user-ID or set-group-ID: such a directory can't be granted";
    let said = report.world.stderr.join("\n");
    assert_eq!(report.ending, Ending::Exited(78), "{said}");
    assert!(said.contains(words), "{said}");
    assert!(report.calls.iter().all(|call| call.name != "fork"));

    let mut world = host(SCRIPT);
    let mut path = "/var/db/own".to_string();
    for _ in 0..65 {
        path.push_str("/d");
        world.dir(&path, 0o755, 0, 0);
    }
    let report = launch(&world, Faults::none());
    let said = report.world.stderr.join("\n");
    assert_eq!(report.ending, Ending::Exited(78), "{said}");
    assert!(said.contains("can't be looked through"), "{said}");
}

#[test]
fn a_file_of_roots_that_somebody_gave_a_name_in_his_directory_below_is_not_handed_to_a_script() {
    let with = |owner: u32, links: u64| {
        let mut world = host(SCRIPT);
        let path = "/var/db/own/sub/log\u{1b}[2J";
        world.file(path, 0o600, owner, 0, b"x");
        world.at(path).unwrap().links = links;
        let report = launch(&world, Faults::none());
        (report.ending, report.world.stderr.join("\n"))
    };
    let (ending, said) = with(0, 2);
    assert_eq!(ending, Ending::Exited(78), "{said}");
    let words = "root_writes: /var/db/own/sub/log\\u{1b}[2J is a file of root's with another name, in a directory \
                 that isn't root's: such a directory can't be granted";
    assert!(said.contains(words), "{said}");
    for (owner, links) in [(0, 1), (80, 2)] {
        let (ending, said) = with(owner, links);
        assert_eq!(ending, Ending::Exited(0), "{said}");
    }
}

#[test]
fn no_other_services_directory_is_looked_through() {
    let lines = SCRIPT
        .replace("root_writes = true\n", "")
        .replace("user = \"root\"", "user = \"www\"")
        .replace(
            "[\"/var/db/own\"]",
            "[{ path = \"/var/db/own\", untrusted = true }]",
        );
    let mut world = host(&lines);
    world.file("/var/db/own/su", 0o4755, 80, 80, b"x");
    let mut report = launch(&world, Faults::none());
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    assert_eq!(mode(&mut report, "/var/db/own/su"), 0o4755);
}

/// Whatever fails, the file is plain or the launch says that it isn't.
#[test]
fn a_search_that_fails_is_told_as_left_behind() {
    let world = host(SCRIPT);
    let make: fn(&mut World) = |world| {
        world.file("/var/db/own/su", 0o4755, 0, 0, b"x");
    };
    let (whole, _) = left(&world, make);
    let ended = whole
        .calls
        .iter()
        .rfind(|call| call.name == "fchmod")
        .unwrap();
    let executed = whole.calls.iter().find(|call| call.name == "execve");
    let then = executed.unwrap().number + 2;
    let mut failed = 0;
    for call in whole.calls.iter().filter(|call| call.number > then) {
        if !["openat", "fstat", "lstatat", "readdir", "fchmod"].contains(&call.name)
            || call.number > ended.number
        {
            continue;
        }
        let faults = Faults::none()
            .meddle(then, Arc::new(make))
            .fail(call.number, jailrun::kernel::Errno::EIO);
        let mut report = launch(&world, faults);
        let is_plain = mode(&mut report, "/var/db/own/su") == 0o755;
        assert!(
            is_plain || report.ending == Ending::Exited(71),
            "{}: {:?}",
            call.name,
            report.world.stderr
        );
        failed += usize::from(!is_plain);
    }
    assert!(failed >= 4, "{failed}");
}
