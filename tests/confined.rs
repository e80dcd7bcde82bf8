//! What a profile keeps its service to, in the simulated kernel: CPUs.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::Ending;
use jailrun::request::Request;
use jailrun::run::{profile_places, run};
use jailrun::sim::{Faults, Report, Sim, Start, World};
use std::collections::BTreeMap;

/// A host with one profile, which says `top` before its tables and `more` after them.
fn host(top: &str, more: &str) -> World {
    let mut world = World::freebsd();
    let [admin, _] = profile_places();
    let text = format!(
        "program = \"/bin/sh\"\nuser = \"www\"\n{top}\n[root]\nclosure = \"off\"\nro = [\"/bin\"]\n\
         [capsicum]\nmode = \"off\"\n{more}"
    );
    world.dir(&admin, 0o755, 0, 0);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world
}

fn launch(world: World) -> Report {
    let request = Request {
        profile: "x".to_string(),
        ..Request::default()
    };
    Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        run(kernel, &request, &BTreeMap::new()).code()
    })
}

/// The launch was refused with these words, before there was any mount or jail.
fn refused(world: World, words: &str) {
    let report = launch(world);
    assert_eq!(report.world.stderr, [format!("jailrun: x: {words}")]);
    let touched = ["nmount", "jail_create", "fork", "rctl_add_rule"];
    let calls = report.calls.iter().map(|call| call.name);
    let touching: Vec<&str> = calls.filter(|name| touched.contains(name)).collect();
    assert_eq!(touching, Vec::<&str>::new());
    assert!(report.world.executed.is_empty());
}

#[test]
fn a_service_runs_on_the_cpus_that_its_profile_names() {
    let report = launch(host("", "[jail]\ncpuset = \"1,3\"\n"));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    assert_eq!(report.world.executed.last().unwrap().cpus, [1, 3]);

    let free = launch(host("", ""));
    assert_eq!(free.world.executed.last().unwrap().cpus, [0, 1, 2, 3]);
}

#[test]
fn a_cpu_that_the_host_lacks_is_refused_by_name_before_anything_is_done() {
    refused(
        host("", "[jail]\ncpuset = \"2-5\"\n"),
        "cpuset: this host has no CPU 4 for jails: it has 0-3",
    );
}

#[test]
fn a_kernel_that_keeps_other_cpus_is_not_believed() {
    let mut world = host("", "[jail]\ncpuset = \"0\"\n");
    world.lies.insert("cpuset_setaffinity");
    let report = launch(world);
    assert!(report.world.executed.is_empty());
    assert_eq!(
        report.world.stderr,
        ["jailrun: x: keep the jail to the CPUs 0: Invalid argument (the kernel kept other CPUs)"]
    );
    assert!(report.world.jails.is_empty());
}
