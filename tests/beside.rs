//! Two launches at once in the simulated kernel, with the turn handed from one to the other at every
//! call: of one instance, and of two that share an address.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Kernel, Pid, signal};
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{
    Behaviour, Call, Description, Descriptor, Faults, Meddler, Report, Sim, Start, World,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const PROFILE: &str = r#"program = "/bin/sh"
user = "www"
[root]
closure = "off"
ro = ["/bin"]
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
[capsicum]
mode = "off"
"#;

const ENDS_AT_500: Behaviour = Behaviour::ExitAfter {
    milliseconds: 500,
    code: 0,
};

fn world(behaviour: Behaviour) -> World {
    let mut world = World::freebsd();
    let directory = "/usr/local/etc/jailrun/profiles";
    world.dir(directory, 0o755, 0, 0);
    for name in ["www", "other"] {
        let file = format!("{directory}/{name}.toml");
        world.file(&file, 0o644, 0, 0, PROFILE.as_bytes());
    }
    // What stays for good: the state directory, and a few locks.
    let calm = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        launch(kernel, "www")
    });
    let mut world = calm.world;
    world.behaviour("/bin/sh", behaviour);
    world
}

fn launch(kernel: &mut Sim, profile: &str) -> i32 {
    let request = Request {
        profile: profile.to_string(),
        ..Request::default()
    };
    run(kernel, &request, &BTreeMap::new()).code()
}

/// Both are started by one process, the second after a pause; how they ended, in the order of `profiles`.
fn both(
    world: &World,
    profiles: [&'static str; 2],
    pause_ms: u64,
    faults: Faults,
) -> (Report, [i32; 2]) {
    let codes = Arc::new(Mutex::new([-1, -1]));
    let told = Arc::clone(&codes);
    let report = Sim::run(world.clone(), &Start::root(), faults, move |kernel| {
        let children: Vec<Pid> = profiles
            .into_iter()
            .zip([0, pause_ms])
            .map(|(profile, pause_ms)| {
                let child = move |kernel: &mut Sim| {
                    kernel.sleep_ms(pause_ms);
                    Err(launch(kernel, profile))
                };
                kernel.fork(child).unwrap()
            })
            .collect();
        let mut left = children.len();
        while left > 0 {
            let (pid, ending) = kernel.waitpid(None, true).unwrap().unwrap();
            if let Some(which) = children.iter().position(|child| *child == pid) {
                left -= 1;
                if let Ending::Exited(code) = ending {
                    told.lock().unwrap()[which] = code;
                }
            }
        }
        0
    });
    let codes = *codes.lock().unwrap();
    (report, codes)
}

/// At every call of the first, and then again some calls later, and at all calls.
fn interleavings(calls: u64) -> impl Iterator<Item = (String, Faults)> {
    let pairs = (1..=calls).flat_map(|first| {
        // Not the same distances at every call: together they are nearly all that there are.
        let spread = [31, 67, 131].map(|step| 1 + first * step % 400);
        [0, 5].into_iter().chain(spread).map(move |later| {
            let faults = Faults::none().give_way(first).give_way(first + later);
            (format!("calls {first} and {}", first + later), faults)
        })
    });
    pairs.chain([("every call".to_string(), Faults::none().alternate())])
}

#[test]
fn of_two_launches_of_one_instance_at_once_one_runs_and_nothing_is_left() {
    let before = world(ENDS_AT_500);
    let (calm, _) = both(&before, ["www", "www"], 0, Faults::none());
    let (mut busy, mut trials) = (0, 0);
    for (what, faults) in interleavings(calm.calls.len() as u64) {
        let (report, codes) = both(&before, ["www", "www"], 0, faults);
        let mut sorted = codes;
        sorted.sort_unstable();
        assert!(
            [[0, 75], [0, 0]].contains(&sorted),
            "{what}: {codes:?} {:?}",
            report.world.stderr
        );
        let ran = report.world.executed.len() - before.executed.len();
        assert_eq!(
            ran,
            codes.iter().filter(|code| **code == 0).count(),
            "{what}"
        );
        assert_eq!(
            report.world.differences(&before),
            Vec::<String>::new(),
            "{what}"
        );
        busy += usize::from(sorted == [0, 75]);
        trials += 1;
    }
    // The canary: had they never met, this would be blind.
    assert!(trials > 1000 && busy > trials / 4, "{busy} of {trials}");
}

#[test]
fn two_instances_that_share_an_address_have_it_to_their_ends_and_the_last_takes_it_away() {
    // Both at once, and the start of one at the end of the other.
    for pause_ms in [0, 10_000] {
        let before = world(ENDS_AT_500);
        let (calm, _) = both(&before, ["www", "other"], pause_ms, Faults::none());
        for (what, faults) in interleavings(calm.calls.len() as u64) {
            let (report, codes) = both(&before, ["www", "other"], pause_ms, faults);
            assert_eq!(codes, [0, 0], "{what}: {:?}", report.world.stderr);
            let left = report.world.differences(&before);
            assert_eq!(left, Vec::<String>::new(), "{pause_ms} {what}");
        }
    }
}

#[test]
fn a_start_waits_while_another_launch_cleans_what_its_killed_supervisor_left() {
    let before = world(Behaviour::Exit(0));
    let start = |faults| {
        Sim::run(before.clone(), &Start::root(), faults, |kernel| {
            launch(kernel, "www")
        })
    };
    let calls = start(Faults::none()).calls;
    let update = calls.iter().find(|call| call.name == "jail_update");
    let stale = start(Faults::none().kill(update.unwrap().number)).world;
    assert!(stale.mounts.len() > before.mounts.len() + 2);
    let (calm, _) = both(&stale, ["www", "other"], 0, Faults::none());
    for (what, faults) in interleavings(calm.calls.len() as u64) {
        let (report, codes) = both(&stale, ["www", "other"], 0, faults);
        assert_eq!(codes, [0, 0], "{what}: {:?}", report.world.stderr);
        assert_eq!(
            report.world.differences(&before),
            Vec::<String>::new(),
            "{what}"
        );
    }
}

/// The kernel's net: were the owning descriptor anywhere but in the supervisor, the jail and what runs in
/// it would outlive him.
#[test]
fn no_process_but_the_supervisor_ever_holds_the_jail_and_its_death_ends_it_at_every_call() {
    let before = world(Behaviour::UntilSignal);
    let start = |faults| {
        Sim::run(before.clone(), &Start::root(), faults, |kernel| {
            launch(kernel, "www")
        })
    };
    let calm = start(Faults::none());
    let supervisor = calm.pid;
    let holders = Arc::new(Mutex::new((0, Vec::new())));
    for call in &calm.calls {
        let seen = Arc::clone(&holders);
        let look: Meddler = Arc::new(move |world: &mut World| {
            let mut seen = seen.lock().unwrap();
            for process in world.processes.values() {
                let owns = |fd: &Descriptor| {
                    let what = world.descriptions.get(&fd.description);
                    matches!(what, Some(Description::Jail { owner: true, .. }))
                };
                match process.fds.values().any(owns) {
                    true if process.pid == supervisor => seen.0 += 1,
                    true => seen.1.push(process.pid),
                    false => {}
                }
            }
            // Everybody else stands still at this call, and the supervisor dies.
            world.deliver(supervisor, signal::KILL);
            let lives = world.jails.values().any(|jail| !jail.dying);
            assert!(!lives, "the jail outlives its supervisor");
        });
        let report = start(Faults::none().meddle(call.number, look));
        assert!(
            report
                .world
                .processes
                .values()
                .all(|process| process.jail.is_none())
        );
    }
    let (held, strangers) = &*holders.lock().unwrap();
    assert_eq!(*strangers, Vec::<i32>::new());
    assert!(*held > 20, "it was held at {held} calls only");
}

/// The other's cleaning makes a journal in the directory that is just to be removed.
#[test]
fn a_launch_that_cleans_meets_one_that_ends_at_every_call_of_it() {
    let before = world(ENDS_AT_500);
    let (calm, _) = both(&before, ["www", "other"], 10_000, Faults::none());
    let last =
        |call: &&Call| call.name == "unlinkat" && call.detail.contains("/var/run/jailrun/www");
    let ends: Vec<u64> = calm
        .calls
        .iter()
        .filter(last)
        .map(|call| call.number)
        .collect();
    assert!(ends.len() >= 3, "{ends:?}");
    for first in ends {
        for later in 1..=250 {
            let faults = Faults::none().give_way(first).give_way(first + later);
            let (report, codes) = both(&before, ["www", "other"], 10_000, faults);
            let what = format!("calls {first} and {}", first + later);
            assert_eq!(codes, [0, 0], "{what}: {:?}", report.world.stderr);
            assert_eq!(
                report.world.differences(&before),
                Vec::<String>::new(),
                "{what}"
            );
        }
    }
}
