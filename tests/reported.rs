//! Services with mode = "report" in the simulated kernel: who is traced, into what, and that it goes.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Ids, Limit, Rlimit, UNLIMITED};
use jailrun::launch::cleanup;
use jailrun::report::MOST;
use jailrun::request::Request;
use jailrun::run::{profile_places, run};
use jailrun::sim::sweep::{Remedy, Sweep};
use jailrun::sim::{Executed, Faults, Report, Sim, Start, World};
use std::collections::BTreeMap;

fn host(mode: &str, more: &str) -> World {
    let mut world = World::freebsd();
    let [admin, _] = profile_places();
    let text = format!(
        "program = \"/bin/sh\"\nuser = \"www\"\n[root]\nclosure = \"off\"\nro = [\"/bin\"]\n\
         [capsicum]\nmode = \"{mode}\"\n{more}"
    );
    world.dir(&admin, 0o755, 0, 0);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world
}

fn launch(kernel: &mut Sim) -> i32 {
    let request = Request {
        profile: "x".to_string(),
        ..Request::default()
    };
    run(kernel, &request, &BTreeMap::new()).code()
}

fn launched(world: World) -> Report {
    Sim::run(world, &Start::root(), Faults::none(), launch)
}

#[test]
fn the_program_is_traced_up_to_the_limit_and_has_the_limits_of_its_profile() {
    let report = launched(host("report", "[limits]\nfilesize = \"8g\"\n"));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let program = report.world.executed.last().unwrap();
    let trace = program.trace.clone().unwrap();
    assert_eq!(trace.file, "/var/run/jailrun/x/ktrace");
    assert_eq!(trace.limit, MOST as u64);
    assert!(!program.in_capability_mode);
    assert_eq!(program.limits[&Limit::Filesize], Rlimit::both(8 << 30));
    let removed = report
        .calls
        .iter()
        .rev()
        .find(|call| call.name == "unlinkat" && format!("{call:?}").contains("x/ktrace"));
    assert!(removed.is_some());
    let traces = report.calls.iter().filter(|call| call.name == "ktrace");
    assert_eq!(traces.count(), 1);

    let off = launched(host("off", ""));
    assert_eq!(off.world.executed.last().unwrap().trace, None);
}

/// The last that the supervisor says of its own limit is what it was before.
#[test]
fn the_supervisors_own_limit_is_as_it_was() {
    let report = launched(host("report", ""));
    let own: Vec<_> = report
        .calls
        .iter()
        .skip_while(|call| call.name != "ktrace")
        .filter(|call| call.name == "setrlimit")
        .collect();
    let text = format!("{:?}", own.first().unwrap());
    assert!(text.contains(&UNLIMITED.to_string()), "{text}");
    assert!(!text.contains(&format!("soft: {MOST}")), "{text}");
}

#[test]
fn a_kernel_without_a_harmless_limit_is_refused_before_anything_is_done() {
    const SIGNAL: &str = "kern.ktrace.filesize_limit_signal";
    let mut without = host("report", "");
    without.sysctls.remove(SIGNAL);
    let mut deadly = host("report", "");
    deadly.sysctls.insert(SIGNAL.to_string(), "1".to_string());
    let cases = [
        (
            without,
            "mode = \"report\": this kernel has no ktrace(2) with a limit (options KTRACE)",
        ),
        (
            deadly,
            "mode = \"report\": kern.ktrace.filesize_limit_signal is set, so that a full report would end the \
             service: set it to 0",
        ),
    ];
    for (world, words) in cases {
        let report = launched(world);
        assert_eq!(report.world.stderr, [format!("jailrun: x: {words}")]);
        assert!(report.world.executed.is_empty());
        assert!(report.calls.iter().all(|call| call.name != "nmount"));
    }
}

fn objection(executed: &Executed) -> Option<String> {
    let is_traced = executed
        .trace
        .as_ref()
        .is_some_and(|trace| trace.limit == MOST as u64);
    let is_users = executed.uid == Ids::all(80) && executed.jail.is_some() && !executed.suser;
    (!is_traced || !is_users).then(|| format!("as {executed:?}"))
}

fn cleanup_all(kernel: &mut Sim) -> i32 {
    i32::from(!cleanup::sweep(kernel, "").is_empty())
}

#[test]
fn a_launch_that_reports_leaves_nothing_whatever_is_refused_and_executes_nothing_untraced() {
    let world = host("report", "");
    let sweep = Sweep {
        world: &world,
        launch: &launch,
        start: &Start::root(),
        objection: &objection,
        remedies: &[Remedy::Act(&cleanup_all), Remedy::Launch],
    };
    assert_eq!(sweep.undisturbed().world.executed.len(), 1);
    let outcome = sweep.run();
    assert_eq!(outcome.leak, None);
    assert!(outcome.calls > 150 && outcome.refused > 200, "{outcome:?}");
}
