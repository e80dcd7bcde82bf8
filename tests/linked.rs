//! Launches through a link of libexec/jailrun, as an rc.d script makes them, in the simulated kernel.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Fd, Kernel, signal};
use jailrun::link::Link;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Behaviour, Faults, Meddler, Report, Sim, Start, World};
use jailrun::supervise::output::Drain;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const PLACE: &str = "/usr/local/etc/jailrun/profiles";

const PROFILE: &str = r#"program = "/bin/sh"
args = ["-x"]
user = "www"
pidfile = "/var/run/web.pid"
forking = true
[root]
closure = "off"
ro = ["/bin"]
[capsicum]
mode = "off"
[supervise]
"#;

fn host(supervise: &str, behaviour: Behaviour) -> World {
    let mut world = World::freebsd();
    world.dir(PLACE, 0o755, 0, 0);
    let text = format!("{PROFILE}{supervise}\n");
    world.file(&format!("{PLACE}/web.toml"), 0o644, 0, 0, text.as_bytes());
    world.behaviour("/bin/sh", behaviour);
    // What stays for good is there: the state directory, and the lock of the rulesets.
    let mut first = launch(&called(&["-v"]), &Start::root(), &world, Faults::none()).world;
    first.executed.clear();
    first.syslog.clear();
    first.stderr.clear();
    first
}

fn called(arguments: &[&str]) -> Request {
    Request {
        profile: "web".to_string(),
        link: Some(Link {
            arguments: arguments.iter().map(ToString::to_string).collect(),
            is_daemon: false,
        }),
        ..Request::default()
    }
}

fn by_daemon(arguments: &[&str]) -> Request {
    let mut request = called(arguments);
    request.link.as_mut().unwrap().is_daemon = true;
    request
}

fn launch(request: &Request, start: &Start, world: &World, faults: Faults) -> Report {
    Sim::run(world.clone(), start, faults, |kernel| {
        run(kernel, request, &BTreeMap::new()).code()
    })
}

fn as_root(request: &Request, world: &World) -> Report {
    launch(request, &Start::root(), world, Faults::none())
}

/// With a signal for the supervisor when it has waited long enough.
fn signalled(request: &Request, world: &World, number: i32) -> Report {
    let endless = as_root(request, world);
    let waits = endless
        .calls
        .iter()
        .filter(|call| call.name == "kevent_wait");
    let last = waits.map(|call| call.number).max().unwrap();
    let order: Meddler = Arc::new(move |world: &mut World| {
        let supervisor = world.processes.values().find(|process| process.is_reaper);
        let pid = supervisor.unwrap().pid;
        world.deliver(pid, number);
    });
    launch(
        request,
        &Start::root(),
        world,
        Faults::none().meddle(last, order),
    )
}

#[test]
fn a_link_is_for_root_and_nothing_is_read_for_anybody_else() {
    let mut before = host("", Behaviour::Exit(0));
    let [there, absent] = ["web", "absent"].map(|name| Request {
        profile: name.to_string(),
        ..called(&["-t"])
    });
    let text = format!("{PROFILE}\n[access]\nusers = [\"alice\"]\nany_command = true\n");
    let file = format!("{PLACE}/web.toml");
    before
        .remove(&file)
        .file(&file, 0o644, 0, 0, text.as_bytes());
    for request in [there, absent] {
        let report = launch(&request, &Start::user(1001, 1001), &before, Faults::none());
        assert_eq!(report.ending, Ending::Exited(77), "{}", request.profile);
        assert_eq!(report.world.executed.len(), 0);
        let line = format!("jailrun: {}: not permitted", request.profile);
        assert_eq!(report.world.stderr, [line]);
        let opened = |call: &&jailrun::sim::Call| call.detail.contains(PLACE);
        assert_eq!(report.calls.iter().filter(opened).count(), 0);
    }
}

#[test]
fn the_arguments_are_the_services_and_its_starter_goes_when_the_daemon_has_forked() {
    let before = host("", Behaviour::Daemonise);
    let report = signalled(&called(&["-c", "/etc/web.conf"]), &before, signal::TERM);
    assert_eq!(report.ending, Ending::Exited(0));
    let [executed] = &report.world.executed[..] else {
        panic!("{:?}", report.world.executed)
    };
    assert_eq!(executed.arguments, ["/bin/sh", "-c", "/etc/web.conf"]);
    assert_eq!(executed.jail_name, "jailrun-web");
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

#[test]
fn what_leaves_nobody_behind_was_a_command_and_is_not_started_again() {
    for status in [0, 1, 3] {
        let before = host("restart = \"always\"", Behaviour::Exit(status));
        let report = as_root(&called(&["-t"]), &before);
        assert_eq!(report.ending, Ending::Exited(status));
        assert_eq!(report.world.executed.len(), 1, "status {status}");
        assert_eq!(report.world.differences(&before), Vec::<String>::new());
    }
}

#[test]
fn the_signal_that_stops_the_service_is_no_reason_to_start_it_again() {
    let policy = "restart = \"always\"\nstop_signal = \"QUIT\"";
    let before = host(policy, Behaviour::Daemonise);
    let stopped = signalled(&called(&[]), &before, signal::QUIT);
    assert_eq!(stopped.world.executed.len(), 1);
    assert_eq!(stopped.world.differences(&before), Vec::<String>::new());
    // The canary: another signal that ends the service is.
    let ended = signalled(&called(&[]), &before, signal::USR1);
    assert!(ended.world.executed.len() > 1);
}

/// As the kernel sees it while another supervisor holds the instance.
fn running(supervise: &str, behaviour: Behaviour) -> World {
    let mut world = host(supervise, behaviour);
    world.dir("/var/run/jailrun/web", 0o700, 0, 0);
    world.file("/var/run/jailrun/web/journal", 0o600, 0, 0, b"");
    world.lock_elsewhere("/var/run/jailrun/web/journal");
    world
}

#[test]
fn a_command_beside_the_running_service_is_a_one_off_with_its_own_status() {
    for status in [0, 1] {
        let before = running("restart = \"always\"", Behaviour::Exit(status));
        let report = as_root(&called(&["-t"]), &before);
        assert_eq!(report.ending, Ending::Exited(status));
        let [executed] = &report.world.executed[..] else {
            panic!("{:?}", report.world.executed)
        };
        assert_eq!(executed.arguments, ["/bin/sh", "-t"]);
        assert!(executed.jail_name.starts_with("jailrun-web+"));
        let pidfiles = report
            .calls
            .iter()
            .filter(|call| call.detail.contains("web.pid"));
        assert_eq!(pidfiles.count(), 0, "the pidfile is the service's");
        assert_eq!(report.world.differences(&before), Vec::<String>::new());
    }
}

#[test]
fn a_command_beside_the_running_service_may_write_what_that_writes_and_nobody_else_may() {
    beside(None);
    beside(Some("main"));
}

/// Beside an instance, or the profile itself.
fn beside(instance: Option<&str>) {
    let mut before = host("", Behaviour::Daemonise);
    let text = PROFILE.replace("ro = [\"/bin\"]", "ro = [\"/bin\"]\nrw = [\"/var/db/web\"]");
    let text =
        format!("{text}[[listen]]\nname = \"http\"\nproto = \"tcp\"\naddr = \"127.0.0.1:80\"\n");
    before.dir("/var/db/web", 0o755, 80, 80);
    for name in ["web", "other"] {
        let file = format!("{PLACE}/{name}.toml");
        let text = text.replace("web.pid", &format!("{name}.pid"));
        before
            .remove(&file)
            .file(&file, 0o644, 0, 0, text.as_bytes());
    }
    let called = |arguments: &[&str]| Request {
        instance: instance.map(str::to_string),
        ..called(arguments)
    };
    let label = instance.map_or("web".to_string(), |instance| format!("web-{instance}"));
    let state = format!("/var/run/jailrun/{label}");
    // Its journal, as it is while the service runs.
    let waits = as_root(&called(&[]), &before);
    let waits = waits.calls.iter().filter(|call| call.name == "kevent_wait");
    let last = waits.map(|call| call.number).max().unwrap();
    let journal = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&journal);
    let file = format!("{state}/journal");
    let name = file.clone();
    let look: Meddler = Arc::new(move |world: &mut World| {
        *seen.lock().unwrap() = world.content(&name).unwrap();
    });
    let faults = Faults::none().meddle(last, look);
    launch(&called(&[]), &Start::root(), &before, faults);
    let journal = journal.lock().unwrap();
    assert!(!journal.is_empty());
    let mut during = before.clone();
    during.dir(&state, 0o700, 0, 0);
    during.file(&file, 0o600, 0, 0, &journal);
    during.lock_elsewhere(&file);
    during.behaviour("/bin/sh", Behaviour::Exit(0));
    let report = as_root(&called(&["-t"]), &during);
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = &report.world.executed[0];
    assert!(executed.jail_name.starts_with("jailrun-web+"));
    // It gets no socket of the service's, and is told which addresses they have.
    let taken = "JAILRUN_TAKEN=tcp:127.0.0.1:80".to_string();
    assert!(
        executed.environment.contains(&taken),
        "{:?}",
        executed.environment
    );
    assert!(executed.fds.iter().all(|(number, _)| *number <= 2));
    let other = Request {
        profile: "other".to_string(),
        ..called(&[])
    };
    let report = as_root(&other, &during);
    assert_eq!(report.ending, Ending::Exited(75));
    let words = format!("the instance {label} writes /var/db/web");
    assert!(
        report.world.stderr[0].contains(&words),
        "{:?}",
        report.world.stderr
    );
}

#[test]
fn a_second_daemon_beside_the_running_one_ends_and_says_so() {
    let before = running("", Behaviour::Daemonise);
    let report = as_root(&called(&[]), &before);
    assert_eq!(report.ending, Ending::Exited(75));
    let words = "jailrun: web: runs already: what the command left in the background was ended";
    assert_eq!(report.world.stderr, [words]);
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

#[test]
fn what_is_told_to_daemon_is_run_where_the_profile_runs_it() {
    let before = host("", Behaviour::Daemonise);
    let line = [
        "-fr",
        "-P",
        "/var/run/web.pid",
        "-u",
        "www",
        "/bin/sh",
        "-c",
        "x",
    ];
    let report = signalled(&by_daemon(&line), &before, signal::TERM);
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(report.world.executed[0].arguments, ["/bin/sh", "-c", "x"]);
    for (line, status, words) in [
        (
            &["-f", "/bin/cat"][..],
            78,
            "daemon(8) is told to run /bin/cat, and the profile's program is /bin/sh",
        ),
        (&["-f"], 64, "daemon(8) is told no program"),
        (
            &["-Q", "/bin/sh"],
            64,
            "-Q is no option of daemon(8) that jailrun knows",
        ),
    ] {
        let report = as_root(&by_daemon(line), &before);
        assert_eq!(report.ending, Ending::Exited(status), "{line:?}");
        assert_eq!(report.world.stderr, [format!("jailrun: web: {words}")]);
        assert_eq!(report.world.executed.len(), 0);
    }
}

#[test]
fn a_start_that_is_refused_or_killed_at_any_call_leaves_nothing_that_the_next_does_not_take() {
    let before = host("", Behaviour::Exit(0));
    let request = called(&["-t"]);
    let calls = as_root(&request, &before).calls.len() as u64;
    assert!(calls > 100, "a sweep over {calls} calls proves nothing");
    for call in 1..=calls {
        let refused = Faults::none().fail(call, jailrun::kernel::Errno::EPERM);
        for faults in [refused, Faults::none().kill(call)] {
            let report = launch(&request, &Start::root(), &before, faults);
            for executed in &report.world.executed {
                assert!(executed.jail.is_some() && !executed.suser, "call {call}");
            }
            let mut left = report.world;
            left.stderr.clear();
            let again = as_root(&request, &left);
            assert_eq!(
                again.ending,
                Ending::Exited(0),
                "after call {call}: {:?}",
                again.world.stderr
            );
            assert_eq!(
                again.world.differences(&before),
                Vec::<String>::new(),
                "call {call}"
            );
        }
    }
}

/// rc.d/cleanvar empties /var/run.
#[test]
fn a_pidfile_that_is_removed_is_made_again_while_the_service_runs_and_goes_with_it() {
    let before = host("", Behaviour::Daemonise);
    let last_wait = |report: &Report| {
        let waits = report
            .calls
            .iter()
            .filter(|call| call.name == "kevent_wait");
        waits.map(|call| call.number).max().unwrap()
    };
    let request = called(&[]);
    let first = last_wait(&as_root(&request, &before));
    let remove: Meddler = Arc::new(|world: &mut World| {
        world.remove("/var/run/web.pid");
    });
    let removed = Faults::none().meddle(first, remove.clone());
    let second = last_wait(&launch(&request, &Start::root(), &before, removed));
    assert!(second > first);
    let look: Meddler = Arc::new(|world: &mut World| {
        let supervisor = world.processes.values().find(|one| one.is_reaper);
        let pid = supervisor.unwrap().pid;
        let text = world.content("/var/run/web.pid");
        assert_eq!(text, Some(pid.to_string().into_bytes()));
        world.deliver(pid, signal::TERM);
    });
    let both = Faults::none().meddle(first, remove).meddle(second, look);
    let report = launch(&request, &Start::root(), &before, both);
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
}

#[test]
fn what_a_service_says_while_it_starts_steers_no_terminal_of_its_starters() {
    let world = World::freebsd();
    let said = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&said);
    let report = Sim::run(world, &Start::root(), Faults::none(), move |kernel| {
        let (heard, error) = kernel.pipe().unwrap();
        kernel.dup2(error, Fd(2), false).unwrap();
        let (from, to) = kernel.pipe().unwrap();
        let mut drain = Drain::to_starter();
        drain.echo(true);
        for bytes in [&b"one\x1b]0;owned\x07\ntw"[..], b"o\x1b[2J\r\n", b"last"] {
            kernel.write(to, bytes).unwrap();
            assert!(drain.pump(kernel, from));
        }
        // Whoever waited is gone: what comes now is nobody's.
        drain.echo(false);
        kernel.write(to, b"\nlater\n").unwrap();
        kernel.close(to).unwrap();
        drain.finish(kernel, from);
        let mut buffer = [0; 128];
        let length = kernel.read(heard, &mut buffer).unwrap();
        *told.lock().unwrap() = String::from_utf8_lossy(&buffer[..length]).into_owned();
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(*said.lock().unwrap(), "one ]0;owned \ntwo [2J \n");
}
