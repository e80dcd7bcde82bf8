//! Whole launches in the simulated kernel: behaviours, and sweeps over every call that could fail or be
//! the last. A sweep comes with a canary: something that it must be seen to catch.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Errno, Limit, Pid, signal};
use jailrun::plan;
use jailrun::profile::values::is_name;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Behaviour, Faults, Meddler, Report, Sim, Start, StartFd, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const PROFILE: &str = r#"program = "/bin/sh"
user = "www"
[root]
closure = "off"
ro = ["/bin", "/lib"]
devices = ["null"]
tmpfs = [{ path = "/tmp", size = "1m", mode = "1777" }]
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
[rctl]
maxproc = 32
[capsicum]
mode = "off"
"#;

fn host() -> World {
    let mut world = World::freebsd();
    world.dir("/usr/local/etc/jailrun", 0o755, 0, 0);
    world.dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0);
    for name in ["www", "other"] {
        let path = format!("/usr/local/etc/jailrun/profiles/{name}.toml");
        world.file(&path, 0o644, 0, 0, PROFILE.as_bytes());
    }
    // What stays for good: the state directory, and the lock of the devfs rulesets.
    let first = launch(&world, Faults::none());
    assert_eq!(first.ending, Ending::Exited(0));
    first.world
}

/// What the binary does, with the exit status that it gives.
fn launch(world: &World, faults: Faults) -> Report {
    launch_profile("www", world, faults)
}

fn launch_profile(name: &str, world: &World, faults: Faults) -> Report {
    start(&request(name), &Start::root(), world, faults)
}

fn request(name: &str) -> Request {
    Request {
        profile: name.to_string(),
        ..Request::default()
    }
}

fn start(request: &Request, start: &Start, world: &World, faults: Faults) -> Report {
    Sim::run(world.clone(), start, faults, |kernel| {
        run(kernel, request, &BTreeMap::new()).code()
    })
}

#[test]
fn a_launch_runs_the_program_as_the_profiles_user_and_leaves_nothing() {
    let before = host();
    let report = launch(&before, Faults::none());
    assert_eq!(report.ending, Ending::Exited(0));
    let executed = report.world.executed.last().unwrap();
    assert_eq!(executed.program, "/bin/sh");
    assert_eq!((executed.uid.real, executed.uid.saved), (80, 80));
    assert!(executed.jail.is_some() && !executed.suser);
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

/// No program may ever have run as root or outside a jail, whatever happened.
fn nothing_ran_with_power(report: &Report, known: usize) {
    for executed in report.world.executed.iter().skip(known) {
        assert_eq!(
            (
                executed.uid.real,
                executed.uid.effective,
                executed.uid.saved
            ),
            (80, 80, 80)
        );
        assert_eq!(executed.gid.effective, 80);
        assert!(executed.jail.is_some() && !executed.suser);
    }
}

#[test]
fn whatever_call_fails_nothing_is_left_behind_unsaid() {
    let before = host();
    let calls = launch(&before, Faults::none()).calls.len() as u64;
    assert!(calls > 50, "a sweep over {calls} calls proves nothing");
    for call in 1..=calls {
        for errno in [Errno::EPERM, Errno::ENOMEM, Errno::EIO, Errno::ENOSPC] {
            let report = launch(&before, Faults::none().fail(call, errno));
            nothing_ran_with_power(&report, before.executed.len());
            let left = report.world.differences(&before);
            let failed = report.ending != Ending::Exited(0);
            let said = failed || !report.world.stderr.is_empty();
            assert!(
                left.is_empty() || said,
                "call {call} {errno:?}: unsaid: {left:?}"
            );
            // Whatever was left, one more launch takes it back.
            let again = launch(&report.world, Faults::none());
            let left = again.world.differences(&before);
            assert!(
                left.is_empty(),
                "call {call} {errno:?}: {:?}: {left:?}",
                report.calls.get(call as usize - 1)
            );
        }
    }
}

#[test]
fn killed_at_any_call_the_next_launch_restores_the_world() {
    let before = host();
    let calls = launch(&before, Faults::none()).calls.len() as u64;
    let mut dirty = 0;
    for call in 1..=calls {
        for faults in [Faults::none().kill(call), Faults::none().kill_after(call)] {
            let report = launch(&before, faults);
            nothing_ran_with_power(&report, before.executed.len());
            dirty += usize::from(!report.world.differences(&before).is_empty());
            // Of another profile: it must find what isn't its own.
            let again = launch_profile("other", &report.world, Faults::none());
            assert_eq!(again.ending, Ending::Exited(0), "killed at call {call}");
            let left = again.world.differences(&before);
            assert!(left.is_empty(), "killed at call {call}: {left:?}");
        }
    }
    // The canary: had no kill left anything, the comparison would be blind.
    assert!(dirty > 20, "only {dirty} kills left anything behind");
}

#[test]
fn a_caller_whom_the_profile_does_not_name_is_refused() {
    let before = host();
    let report = start(
        &request("www"),
        &Start::user(1001, 1001),
        &before,
        Faults::none(),
    );
    assert_eq!(report.ending, Ending::Exited(77));
    assert_eq!(report.world.executed.len(), before.executed.len());
    assert_eq!(unsaid(&report, &before), Vec::<String>::new());
}

#[test]
fn a_writable_directory_of_a_stranger_needs_to_be_called_untrusted() {
    let mut before = host();
    for (path, owner, mode) in [
        ("/srv", 0, 0o755),
        ("/srv/www", 80, 0o755),
        ("/srv/alice", 1001, 0o755),
        ("/srv/open", 0, 0o777),
    ] {
        before.dir(path, mode, owner, 0);
    }
    before.file("/srv/file", 0o666, 1001, 0, b"");
    before
        .symlink("/srv/roots", "alice")
        .symlink("/srv/theirs", "/etc");
    before.at("/srv/theirs").unwrap().uid = 1001;
    for (path, waived, status) in [
        ("/srv/www", "false", 0),
        ("/srv/alice", "false", 78),
        ("/srv/open", "false", 78),
        ("/srv/alice", "true", 0),
        ("/srv/alice/", "true", 78),
        ("/srv/roots", "true", 0),
        // Ownership only, of directories only: no file, and no link of somebody else's.
        ("/srv/theirs", "true", 78),
        ("/srv/file", "true", 78),
    ] {
        let grant = format!("rw = [{{ path = \"{path}\", untrusted = {waived} }}]\ndevices");
        let text = PROFILE.replacen("devices", &grant, 1);
        let file = "/usr/local/etc/jailrun/profiles/www.toml";
        before.remove(file).file(file, 0o644, 0, 0, text.as_bytes());
        let report = launch(&before, Faults::none());
        assert_eq!(
            report.ending,
            Ending::Exited(status),
            "{path} {waived}: {:?}",
            report.world.stderr
        );
    }
}

/// The profile with `more` before its [root], and with `in_root` in it.
fn with(world: &World, more: &str, in_root: &str) -> World {
    let text = format!("{more}{PROFILE}").replacen("devices", &format!("{in_root}\ndevices"), 1);
    let file = "/usr/local/etc/jailrun/profiles/www.toml";
    let mut world = world.clone();
    world.remove(file).file(file, 0o644, 0, 0, text.as_bytes());
    world
}

fn access(words: &str) -> String {
    PROFILE.replacen("[root]", &format!("[access]\n{words}\n[root]"), 1)
}

fn with_access(words: &str) -> World {
    let mut world = host();
    world.user("alice", 1001, 1001, "/home/alice");
    world.group("ops", 2000);
    let file = "/usr/local/etc/jailrun/profiles/www.toml";
    world
        .remove(file)
        .file(file, 0o644, 0, 0, access(words).as_bytes());
    world
}

fn alice() -> Start {
    Start::user(1001, 1001)
}

fn command(words: &[&str]) -> Request {
    Request {
        command: Some(words.iter().map(|word| word.to_string()).collect()),
        ..request("www")
    }
}

#[test]
fn access_decides_who_may_what() {
    let in_ops = Start {
        groups: vec![1001, 2000],
        ..alice()
    };
    let blue = Request {
        instance: Some("blue".into()),
        ..request("www")
    };
    let detached = Request {
        detach: true,
        ..request("www")
    };
    let ls = command(&["/bin/ls"]);
    let cases = [
        ("users = [\"alice\"]", alice(), &request("www"), 0),
        ("users = [\"1001\"]", alice(), &request("www"), 0),
        ("users = [\"bob\"]", alice(), &request("www"), 77),
        ("groups = [\"ops\"]", alice(), &request("www"), 77),
        ("groups = [\"ops\"]", in_ops, &request("www"), 0),
        ("users = [\"alice\"]", alice(), &ls, 77),
        ("users = [\"alice\"]\nany_command = true", alice(), &ls, 0),
        ("users = [\"alice\"]", alice(), &blue, 77),
        (
            "users = [\"alice\"]\ninstances = [\"blue\"]",
            alice(),
            &blue,
            0,
        ),
        ("users = [\"alice\"]", alice(), &detached, 77),
        ("", Start::root(), &ls, 0),
        ("", Start::root(), &detached, 0),
    ];
    for (words, who, asked, status) in cases {
        let before = with_access(words);
        let report = start(asked, &who, &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(status), "{words:?} {asked:?}");
        let ran = report.world.executed.len() - before.executed.len();
        assert_eq!(ran, usize::from(status == 0), "{words:?} {asked:?}");
        nothing_ran_with_power(&report, before.executed.len());
        assert_eq!(unsaid(&report, &before), Vec::<String>::new());
    }
}

#[test]
fn a_package_gives_nobody_access() {
    let mut before = host();
    let text = access("users = [\"alice\"]\nany_command = true");
    for (place, status) in [("share", 77), ("etc", 0)] {
        let directory = format!("/usr/local/{place}/jailrun/profiles");
        before.dir(&directory, 0o755, 0, 0);
        let file = format!("{directory}/package.toml");
        before.file(&file, 0o644, 0, 0, text.as_bytes());
        let report = start(&request("package"), &alice(), &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(status), "{place}");
        let ran = report.world.executed.len() - before.executed.len();
        assert_eq!(ran, usize::from(status == 0), "{place}");
    }
}

/// What is left, but for the count of refusals, which is meant to stay.
fn unsaid(report: &Report, before: &World) -> Vec<String> {
    let mut left = report.world.differences(before);
    left.retain(|line| !line.contains("/.refused-"));
    left
}

#[test]
fn an_unknown_profile_a_broken_one_and_a_forbidden_one_look_the_same_to_a_stranger() {
    let mut before = with_access("users = [\"bob\"]");
    let broken = "/usr/local/etc/jailrun/profiles/broken.toml";
    before.file(broken, 0o644, 0, 0, b"secret = [");
    let open = "/usr/local/etc/jailrun/profiles/open.toml";
    before.file(open, 0o664, 0, 0, PROFILE.as_bytes());
    for name in ["absent", "broken", "open", "www"] {
        let report = start(&request(name), &alice(), &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(77), "{name}");
        let said: Vec<&String> = report
            .world
            .stderr
            .iter()
            .skip(before.stderr.len())
            .collect();
        assert_eq!(said, [&format!("jailrun: {name}: not permitted")]);
        // What he may never do is said of each alike.
        let detached = Request {
            detach: true,
            ..request(name)
        };
        let report = start(&detached, &alice(), &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(77), "{name}");
        let words = "not permitted: only root runs a profile in the background; leave -d out";
        assert_eq!(
            report.world.stderr.last(),
            Some(&format!("jailrun: {name}: {words}"))
        );
    }
}

#[test]
fn refusals_of_one_user_are_logged_ten_times_a_minute_and_counted() {
    let mut world = with_access("users = [\"bob\"]");
    let logged = |world: &World| {
        let lines = world
            .syslog
            .iter()
            .filter(|(_, line)| line.contains("outcome=refused"));
        lines.map(|(_, line)| line.clone()).collect::<Vec<_>>()
    };
    for _ in 0..15 {
        world = start(&request("www"), &alice(), &world, Faults::none()).world;
    }
    assert_eq!(logged(&world).len(), 10);
    world.clock_ms += 61_000;
    world = start(&request("www"), &alice(), &world, Faults::none()).world;
    assert_eq!(logged(&world).len(), 11);
    assert!(
        logged(&world)[10].contains("refusals_not_logged=5"),
        "{:?}",
        logged(&world)
    );
}

#[test]
fn a_command_of_a_callers_must_be_roots_and_executable_by_both() {
    let mut before = with_access("users = [\"alice\"]\nany_command = true");
    before.file("/home/alice/tool", 0o755, 1001, 1001, b"");
    before.file("/bin/private", 0o700, 0, 0, b"");
    before.symlink("/bin/link", "/bin/sh");
    for (path, status) in [
        ("/bin/sh", 0),
        ("/home/alice/tool", 77),
        ("/bin/private", 126),
        ("/bin/link", 77),
        ("/bin/absent", 127),
        ("/bin", 126),
        ("sh", 64),
    ] {
        let report = start(&command(&[path]), &alice(), &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(status), "{path}");
        assert_eq!(report.world.differences(&before), Vec::<String>::new());
    }
}

#[test]
fn a_caller_runs_as_many_as_he_may_and_no_more() {
    let mut before = with_access("users = [\"alice\"]\nany_command = true\nmax = 2");
    for (number, status) in [(0, 0), (1, 75)] {
        // Held by others of his, as far as the kernel knows.
        let held = format!("/var/run/jailrun/.slot-1001-{number}-www");
        before.file(&held, 0o600, 0, 0, b"");
        before.lock_elsewhere(&held);
        let report = start(&command(&["/bin/sh"]), &alice(), &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(status), "{number}");
    }
}

#[test]
fn a_front_that_is_killed_at_any_call_stops_the_service_and_nothing_is_left() {
    let mut before = with_access("users = [\"alice\"]");
    before.behaviour("/bin/sh", Behaviour::UntilSignal);
    // Nobody ends this one: the simulator does, when nothing can happen any more.
    let endless = start(&request("www"), &alice(), &before, Faults::none());
    let fronts = endless.calls.iter().filter(|call| call.pid == endless.pid);
    let calls: Vec<u64> = fronts.map(|call| call.number).collect();
    assert!(calls.len() > 40 && endless.world.executed.len() > before.executed.len());
    for call in calls {
        let report = start(
            &request("www"),
            &alice(),
            &before,
            Faults::none().kill(call),
        );
        nothing_ran_with_power(&report, before.executed.len());
        let left = report.world.differences(&before);
        assert!(left.is_empty(), "killed at call {call}: {left:?}");
    }
}

fn on_a_terminal(who: Start) -> Start {
    Start {
        fds: [StartFd::Terminal, StartFd::Terminal, StartFd::Terminal],
        ..who
    }
}

#[test]
fn no_terminal_of_the_callers_reaches_the_service_and_pipes_stay_pipes() {
    let before = with_access("users = [\"alice\"]");
    let mixed = Start {
        fds: [StartFd::Null, StartFd::Terminal, StartFd::Pipe],
        ..Start::root()
    };
    for (who, words) in [
        (on_a_terminal(Start::root()), ["pseudo-terminal"; 3]),
        (on_a_terminal(alice()), ["pseudo-terminal"; 3]),
        (mixed, ["/dev/null", "pseudo-terminal", "pipe"]),
    ] {
        let report = start(&request("www"), &who, &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(0));
        let fds = &report.world.executed.last().unwrap().fds;
        let kinds: Vec<&str> = fds.iter().map(|(_, kind)| kind.as_str()).collect();
        assert_eq!(kinds, words);
        assert_eq!(
            report.world.terminal, before.terminal,
            "left as it was found"
        );
        assert_eq!(report.world.differences(&before), Vec::<String>::new());
    }
}

#[test]
fn the_service_is_in_a_session_of_its_own_with_nothing_of_the_callers() {
    let before = with_access("users = [\"alice\"]");
    let report = start(&request("www"), &alice(), &before, Faults::none());
    let executed = report.world.executed.last().unwrap();
    assert_eq!(executed.session, executed.pid);
    assert_eq!((executed.login.as_str(), executed.umask), ("www", 0o022));
    assert_eq!(executed.environment, Vec::<String>::new());
    assert_eq!(executed.groups, [80]);
    assert_eq!(executed.limits.len(), 16);
    assert_eq!(executed.limits[&Limit::Coredumpsize].hard, 0);
    assert!(!executed.signals_blocked && executed.signals_ignored.is_empty());
}

#[test]
fn a_detached_service_goes_on_after_its_starter_and_stops_when_told() {
    let mut before = host();
    before.behaviour(
        "/bin/sh",
        Behaviour::ExitAfter {
            milliseconds: 5000,
            code: 0,
        },
    );
    let detached = Request {
        detach: true,
        ..request("www")
    };
    let report = start(&detached, &Start::root(), &before, Faults::none());
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
    // One that can't be executed says so in the starter's status.
    before.remove("/bin/sh");
    let report = start(&detached, &Start::root(), &before, Faults::none());
    assert_eq!(report.ending, Ending::Exited(127));
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

fn supervised(words: &str) -> World {
    let text = format!("{PROFILE}[supervise]\n{words}\n");
    let mut world = host();
    let file = "/usr/local/etc/jailrun/profiles/www.toml";
    world.remove(file).file(file, 0o644, 0, 0, text.as_bytes());
    world
}

#[test]
fn a_service_is_started_again_as_its_policy_says_and_given_up_in_the_open() {
    for (policy, behaviour, starts, ending) in [
        ("never", Behaviour::Exit(1), 1, 1),
        ("on-failure", Behaviour::Exit(0), 1, 0),
        ("on-failure", Behaviour::Exit(3), 4, 3),
        ("always", Behaviour::Exit(0), 4, 0),
    ] {
        let words = format!("restart = \"{policy}\"\nrestart_count = 3\nrestart_delay = 2");
        let mut before = supervised(&words);
        before.behaviour("/bin/sh", behaviour);
        let report = launch(&before, Faults::none());
        assert_eq!(
            report.ending,
            Ending::Exited(ending),
            "{policy}: {:?}",
            report.world.stderr
        );
        let started = report.world.executed.len() - before.executed.len();
        assert_eq!(started, starts, "{policy}");
        nothing_ran_with_power(&report, before.executed.len());
        let jails: BTreeSet<_> = report.world.executed.iter().map(|e| e.jail).collect();
        assert_eq!(
            jails.len(),
            report.world.executed.len(),
            "each start is a new jail"
        );
        let left = report.world.differences(&before);
        let journal = [
            "new /var/run/jailrun/www",
            "new /var/run/jailrun/www/journal",
        ];
        match starts {
            1 => assert_eq!(left, Vec::<String>::new()),
            _ => assert_eq!(left, journal, "what says that it was given up"),
        }
        if starts > 1 {
            assert!(
                report.world.clock_ms >= before.clock_ms + 6000,
                "three delays"
            );
            let text = report
                .world
                .content("/var/run/jailrun/www/journal")
                .unwrap();
            assert!(String::from_utf8_lossy(&text).ends_with("state gave-up\n"));
            // Another profile's launch leaves that alone; the next start of its own takes it away.
            let other = launch_profile("other", &report.world, Faults::none());
            assert_eq!(other.world.differences(&before), journal);
            let mut mended = other.world;
            mended.behaviour("/bin/sh", Behaviour::Exit(0));
            if policy == "on-failure" {
                let again = launch(&mended, Faults::none());
                assert_eq!(again.world.differences(&before), Vec::<String>::new());
            }
        }
    }
}

#[test]
fn a_one_off_is_never_started_again() {
    let mut before = supervised("restart = \"always\"");
    before.behaviour("/bin/echo", Behaviour::Exit(5));
    let report = start(
        &command(&["/bin/echo"]),
        &Start::root(),
        &before,
        Faults::none(),
    );
    assert_eq!(report.ending, Ending::Exited(5));
    assert_eq!(report.world.executed.len(), before.executed.len() + 1);
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

#[test]
fn a_daemon_that_leaves_its_first_process_is_followed() {
    let mut before = host();
    before.behaviour("/bin/sh", Behaviour::Daemonise);
    // Nobody ends the daemon but an order to stop.
    let endless = launch(&before, Faults::none());
    let waits: Vec<u64> = endless
        .calls
        .iter()
        .filter(|call| call.name == "kevent_wait")
        .map(|call| call.number)
        .collect();
    let last = *waits.last().unwrap();
    let order: Meddler = Arc::new(|world: &mut World| {
        let supervisor = world.processes.values().find(|p| p.is_reaper).unwrap().pid;
        world.deliver(supervisor, signal::TERM);
    });
    let report = launch(&before, Faults::none().meddle(last, order));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "the status of the first process"
    );
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

#[test]
fn two_instances_never_write_the_same_or_nested_directories_unless_both_share() {
    let grant =
        |path: &str, shared: bool| format!("rw = [{{ path = \"{path}\", shared = {shared} }}]");
    for (mine, i_share, theirs, they_share, status) in [
        ("/srv/a", false, "/srv/b", false, 0),
        ("/srv/a", false, "/srv/a", false, 75),
        ("/srv", false, "/srv/a", false, 75),
        ("/srv/a/in", true, "/srv/a", false, 75),
        ("/srv/a", true, "/srv/a", true, 0),
    ] {
        let mut before = host();
        for path in ["/srv", "/srv/a", "/srv/a/in", "/srv/b"] {
            before.dir(path, 0o755, 0, 0);
        }
        let before = with(&before, "", &grant(mine, i_share));
        let word = if they_share { "shared" } else { "alone" };
        let mut before = before;
        let journal = format!(
            "jailrun journal 1\nboot 0123456789abcdef0123456789abcdef\n\
             instance other other service 0 1 1 0\nwrites {word} {theirs}\nbegun\n"
        );
        let path = "/var/run/jailrun/other/journal";
        before.file(path, 0o600, 0, 0, journal.as_bytes());
        before.lock_elsewhere(path);
        let report = launch(&before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(status), "{mine} {theirs}");
        let mut left = report.world.differences(&before);
        left.retain(|line| !line.contains("/.writers"));
        assert_eq!(left, Vec::<String>::new());
    }
}

#[test]
fn journals_removed_under_a_live_instance_change_nothing() {
    let mut before = host();
    before.behaviour(
        "/bin/sh",
        Behaviour::ExitAfter {
            milliseconds: 5000,
            code: 0,
        },
    );
    let calm = launch(&before, Faults::none());
    let wait = calm
        .calls
        .iter()
        .rev()
        .find(|call| call.name == "kevent_wait")
        .unwrap()
        .number;
    let cleanvar: Meddler = Arc::new(|world: &mut World| {
        world.remove("/var/run/jailrun/www/journal");
        world.remove("/var/run/jailrun/.address-lo0-127.0.0.80");
    });
    let report = launch(&before, Faults::none().meddle(wait, cleanvar));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

#[test]
fn a_stale_instance_is_cleaned_with_any_journal_and_with_none() {
    let before = host();
    let calls = launch(&before, Faults::none()).calls;
    let update = calls
        .iter()
        .find(|call| call.name == "jail_update")
        .unwrap()
        .number;
    let killed = launch(&before, Faults::none().kill(update));
    let path = "/var/run/jailrun/www/journal";
    let journal = killed.world.content(path).unwrap();
    assert!(killed.world.mounts.len() > before.mounts.len() + 3);
    let other_boot = String::from_utf8_lossy(&journal).replace("boot 0123", "boot 9999");
    let other_format = String::from_utf8_lossy(&journal).replace("journal 1", "journal 0");
    let mut journals = vec![other_boot.into_bytes(), other_format.into_bytes()];
    journals.extend((0..=journal.len()).map(|end| journal[..end].to_vec()));
    for text in journals {
        let mut world = killed.world.clone();
        world.file(path, 0o600, 0, 0, &text);
        let again = launch_profile("other", &world, Faults::none());
        let left = again.world.differences(&before);
        assert!(
            left.is_empty(),
            "{:?}: {left:?}",
            String::from_utf8_lossy(&text)
        );
    }
    let mut lost = killed.world.clone();
    lost.remove(path);
    let again = launch_profile("other", &lost, Faults::none());
    assert_eq!(again.world.differences(&before), Vec::<String>::new());
}

/// What a sweep would see of a launch in a world whose kernel lies.
fn seen(lie: &[&'static str], faults: Faults) -> (bool, bool) {
    let before = host();
    let mut world = before.clone();
    world.lies.extend(lie.iter().copied());
    let report = launch(&world, faults);
    let known = before.executed.len();
    let powerful = report
        .world
        .executed
        .iter()
        .skip(known)
        .any(|e| e.suser || e.jail.is_none());
    let mut after = report.world;
    after.lies.clear();
    let again = launch_profile("other", &after, Faults::none());
    (powerful, !again.world.differences(&before).is_empty())
}

#[test]
fn the_checks_of_the_sweeps_see_what_they_are_there_for() {
    assert_eq!(seen(&[], Faults::none()), (false, false));
    // A superuser that is left in the jail, in a launch that doesn't notice.
    assert!(seen(&["jail_update", "jail_get_int"], Faults::none()).0);
    // The launch's own reading back notices: nothing is executed at all.
    assert_eq!(seen(&["jail_update"], Faults::none()), (false, false));
    // Ownership of an address that wasn't on record before the address was there.
    let calls = launch(&host(), Faults::none()).calls;
    let added = calls
        .iter()
        .find(|call| call.name == "add_address")
        .unwrap()
        .number;
    assert_eq!(seen(&[], Faults::none().kill_after(added)), (false, false));
    assert_eq!(
        seen(&["write"], Faults::none().kill_after(added)),
        (false, true)
    );
    // An unmount that is forgotten, and a world that is compared before anybody cleans it.
    let before = host();
    let mut world = before.clone();
    world.lies.insert("unmount");
    let left = launch(&world, Faults::none()).world.differences(&before);
    assert!(
        left.iter()
            .any(|line| line.contains("mount nullfs") || line.contains("nullfs")),
        "{left:?}"
    );
}

#[test]
fn an_administrator_who_fills_the_disk_or_removes_the_jail_at_any_call_leaves_nothing() {
    let before = host();
    let calls = launch(&before, Faults::none()).calls;
    let fill: Meddler = Arc::new(|world: &mut World| world.is_full = true);
    let remove: Meddler = Arc::new(|world: &mut World| {
        let ours: Vec<i32> = world.jails.values().map(|jail| jail.id).collect();
        ours.into_iter().for_each(|id| world.remove_jail(id));
    });
    let mut stopped = 0;
    for call in 1..=calls.len() as u64 {
        for meddler in [&fill, &remove] {
            let report = launch(&before, Faults::none().meddle(call, Arc::clone(meddler)));
            nothing_ran_with_power(&report, before.executed.len());
            stopped += u32::from(report.ending != Ending::Exited(0));
            let left = report.world.differences(&before);
            assert!(
                left.is_empty(),
                "at call {call}: {left:?} {:?}",
                report.world.stderr
            );
        }
    }
    assert!(stopped > 50, "only {stopped} launches noticed anything");
}

#[test]
fn an_administrator_who_unmounts_at_any_call_leaves_nothing_that_the_next_launch_does_not_take() {
    let before = host();
    let calls = launch(&before, Faults::none()).calls;
    let unmount: Meddler = Arc::new(|world: &mut World| {
        if let Some(last) = world
            .mounts
            .iter()
            .rposition(|mount| mount.on.contains("/var/run/jailrun/"))
        {
            world.mounts.remove(last);
        }
    });
    for call in 1..=calls.len() as u64 {
        let report = launch(&before, Faults::none().meddle(call, Arc::clone(&unmount)));
        nothing_ran_with_power(&report, before.executed.len());
        let again = launch_profile("other", &report.world, Faults::none());
        let left = again.world.differences(&before);
        assert!(
            left.is_empty(),
            "at call {call}: {left:?} {:?}",
            report.world.stderr
        );
    }
}

#[test]
fn a_fault_while_undoing_after_a_fault_leaves_nothing_that_the_next_launch_does_not_take() {
    let before = host();
    let calls = launch(&before, Faults::none()).calls;
    let fails = calls
        .iter()
        .filter(|call| ["nmount", "jail_create", "execve"].contains(&call.name));
    for first in fails.map(|call| call.number) {
        let failed = launch(&before, Faults::none().fail(first, Errno::ENOMEM));
        for second in first + 1..=failed.calls.len() as u64 {
            let faults = Faults::none()
                .fail(first, Errno::ENOMEM)
                .fail(second, Errno::EIO);
            let report = launch(&before, faults);
            nothing_ran_with_power(&report, before.executed.len());
            let again = launch_profile("other", &report.world, Faults::none());
            let left = again.world.differences(&before);
            assert!(left.is_empty(), "calls {first} and {second}: {left:?}");
        }
    }
}

#[test]
fn two_instances_share_an_address_and_the_last_one_takes_it_away() {
    let mut before = host();
    before.behaviour(
        "/bin/sh",
        Behaviour::ExitAfter {
            milliseconds: 500,
            code: 0,
        },
    );
    // The first holds the address and has said that it added it.
    let path = "/var/run/jailrun/.address-lo0-127.0.0.80";
    before.file(path, 0o600, 0, 0, b"ours\n");
    before.share_elsewhere(path);
    before.interface("lo0", Some(("127.0.0.80".parse().unwrap(), 32)));
    let report = launch(&before, Faults::none());
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(
        report.world.differences(&before),
        Vec::<String>::new(),
        "still the other's"
    );
    let mut alone = report.world;
    alone.locks.clear();
    let last = launch(&alone, Faults::none());
    assert!(
        last.world
            .addresses
            .iter()
            .all(|alias| alias.address.to_string() != "127.0.0.80")
    );
}

#[test]
fn no_profile_or_instance_has_the_label_of_a_one_off() {
    let one_off = plan::label("web", None, Some(Pid(4242)));
    assert!(is_name("web-4242") && !is_name(&one_off));
    assert_ne!(plan::label("web-4242", None, None), one_off);
    assert_ne!(plan::label("web", Some("a-4242"), None), one_off);
}
