//! Whole launches in the simulated kernel: behaviours, and sweeps over every call that could fail or be
//! the last. A sweep comes with a canary: something that it must be seen to catch.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Errno};
use jailrun::run::{Request, run};

use jailrun::sim::{Faults, Report, Sim, Start, World};
use std::collections::BTreeMap;

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

fn launch_profile(name: &'static str, world: &World, faults: Faults) -> Report {
    Sim::run(world.clone(), &Start::root(), faults, |kernel| {
        let request = Request::parse(&[name.to_string()]).unwrap();
        match run(kernel, &request, &BTreeMap::new()) {
            Ok(ended) if !ended.leftovers.is_empty() => 71,
            Ok(ended) => match ended.ending {
                Ending::Exited(status) => status,
                Ending::Signalled(number) => 128 + number,
            },
            Err(error) => error.exit_status(),
        }
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
fn a_caller_who_is_not_root_is_refused() {
    let before = host();
    let report = Sim::run(
        before.clone(),
        &Start::user(1001, 1001),
        Faults::none(),
        |kernel| {
            let request = Request::parse(&["www".to_string()]).unwrap();
            match run(kernel, &request, &BTreeMap::new()) {
                Ok(_) => 0,
                Err(error) => error.exit_status(),
            }
        },
    );
    assert_eq!(report.ending, Ending::Exited(77));
    assert_eq!(report.world.executed.len(), before.executed.len());
    assert_eq!(report.world.differences(&before), Vec::<String>::new());
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
    for (path, waived, status) in [
        ("/srv/www", "false", 0),
        ("/srv/alice", "false", 78),
        ("/srv/open", "false", 78),
        ("/srv/alice", "true", 0),
        ("/srv/alice/", "true", 78),
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
