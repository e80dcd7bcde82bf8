//! Sweeps: every call of a launch refused, and its maker killed before and after each; for every kind of
//! caller. And the canaries: launches that are broken on purpose, each of which a sweep must catch.
#![allow(clippy::unwrap_used)]

mod canaries;
mod capability;

use jailrun::host;
use jailrun::kernel::Ids;
use jailrun::launch::cleanup;
use jailrun::request::Request;
use jailrun::run::{profile_places, run};
use jailrun::sim::sweep::{Outcome, Remedy, Sweep};
use jailrun::sim::{Behaviour, Executed, Sim, Start, StartFd, World};
use std::collections::BTreeMap;

const PROFILE: &str = r#"program = "/bin/sh"
user = "www"
login_class = "daemon"
pidfile = "/var/run/x.pid"
[access]
users = ["alice"]
any_command = true
[root]
closure = "off"
ro = ["/bin"]
rw = ["/srv/data"]
devices = ["null"]
files = { "/etc/motd" = "hello\n" }
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
cpuset = "0-1"
[rctl]
maxproc = 32
[capsicum]
mode = "off"
"#;

/// What the profile says besides.
fn world(more: &str) -> World {
    let mut world = World::freebsd();
    let [admin, _] = profile_places();
    let text = format!("{PROFILE}{more}");
    world
        .dir(&admin, 0o755, 0, 0)
        .dir("/srv/data", 0o750, 80, 80);
    let classes = b"daemon:umask=027:tc=default:\ndefault:openfiles=64:\n";
    world.file("/etc/login.conf", 0o644, 0, 0, classes);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world
}

fn asked() -> Request {
    Request {
        profile: "x".to_string(),
        ..Request::default()
    }
}

/// As root does it after something went wrong.
fn cleanup_all(kernel: &mut Sim) -> i32 {
    let left = cleanup::sweep(kernel, "");
    i32::from(!left.is_empty() || host::forget_rulesets(kernel).is_err())
}

fn objection(executed: &Executed) -> Option<String> {
    let is_users =
        executed.uid == Ids::all(80) && executed.gid == Ids::all(80) && executed.groups == [80];
    let is_confined = executed.jail.is_some() && !executed.suser && executed.cpus == [0, 1];
    let is_confined = is_confined && executed.umask == 0o027 && executed.login_class == "daemon";
    let holds = executed.fds.iter().all(|(number, _)| *number < 3);
    let is_terminal = executed.fds.iter().any(|(_, what)| what == "terminal");
    (!(is_users && is_confined && holds) || is_terminal).then(|| format!("as {executed:?}"))
}

fn swept(world: &World, start: &Start, asked: &Request, remedies: &[Remedy<'_>]) -> Outcome {
    let launch = |kernel: &mut Sim| run(kernel, asked, &BTreeMap::new()).code();
    let sweep = Sweep {
        world,
        launch: &launch,
        start,
        objection: &objection,
        remedies,
    };
    let calm = sweep.undisturbed().world;
    assert_eq!(calm.executed.len(), 1, "{:?}", calm.stderr);
    let outcome = sweep.run();
    assert_eq!(outcome.leak, None, "{asked:?} {start:?}");
    assert!(outcome.calls > 300 && outcome.refused > 500 && outcome.killed == 2 * outcome.calls);
    outcome
}

#[test]
fn a_service_of_roots_that_runs_until_it_is_told_to_stop_leaves_nothing() {
    let mut world = world("[supervise]\noutput = \"syslog\"\nrestart = \"always\"\n");
    world.behaviour("/bin/sh", Behaviour::UntilSignal);
    world.stops_when_idle = true;
    let remedies = [Remedy::Act(&cleanup_all), Remedy::Launch];

    let outcome = swept(&world, &Start::root(), &asked(), &remedies);

    assert!(outcome.told > 20, "undo that fails was tried too");
}

#[test]
fn a_command_of_a_callers_on_a_terminal_leaves_nothing() {
    let on_a_terminal = Start {
        fds: [StartFd::Terminal, StartFd::Terminal, StartFd::Terminal],
        ..Start::user(1001, 1001)
    };
    let command = Request {
        command: Some(vec!["/bin/echo".to_string()]),
        ..asked()
    };

    swept(
        &world(""),
        &on_a_terminal,
        &command,
        &[Remedy::Act(&cleanup_all)],
    );
}

#[test]
fn a_detached_service_leaves_nothing() {
    let detached = Request {
        detach: true,
        ..asked()
    };

    swept(
        &world(""),
        &Start::root(),
        &detached,
        &[Remedy::Act(&cleanup_all)],
    );
}
