//! The same for a service with sockets of its own that runs in capability mode.

use super::{asked, cleanup_all};
use jailrun::kernel::Ids;
use jailrun::run::{profile_places, run};
use jailrun::sim::sweep::{Remedy, Sweep};
use jailrun::sim::{Behaviour, Executed, Sim, Start, World};
use std::collections::BTreeMap;

const PROFILE: &str = r#"program = "/bin/sh"
user = "www"
[root]
rw = ["/srv/data"]
devices = ["null"]
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
[[listen]]
name = "http"
proto = "tcp"
addr = "127.0.0.80:80"
[[listen]]
name = "local"
proto = "unix"
addr = "/var/run/x.sock"
mode = "0660"
owner = "www"
[capsicum]
mode = "enforce"
"#;

/// By number and what it is, below the jail's root: all that it may have beside its standard descriptors.
const HELD: [(i32, &str); 6] = [
    (3, "socket at 127.0.0.80:80"),
    (4, "socket at /var/run/x.sock of uid 80"),
    (902, "directory /var/run/jailrun/x/jail/root/lib"),
    (903, "directory /var/run/jailrun/x/jail/root"),
    (904, "directory /var/run/jailrun/x/jail/root/dev"),
    (905, "directory /var/run/jailrun/x/jail/root/srv/data"),
];

fn objection(executed: &Executed) -> Option<String> {
    let is_users = executed.uid == Ids::all(80) && executed.groups == [80];
    let is_confined = executed.jail.is_some() && !executed.suser && executed.in_capability_mode;
    let beside: Vec<(i32, &str)> = executed
        .fds
        .iter()
        .filter(|(number, _)| *number > 2)
        .map(|(number, what)| (*number, what.as_str()))
        .collect();
    (!is_users || !is_confined || beside != HELD).then(|| format!("as {executed:?}"))
}

#[test]
fn a_service_with_sockets_in_capability_mode_leaves_nothing_and_has_what_was_planned() {
    let mut world = World::freebsd();
    let [admin, _] = profile_places();
    world
        .dir(&admin, 0o755, 0, 0)
        .dir("/srv/data", 0o750, 80, 80);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, PROFILE.as_bytes());
    world.behaviour("/bin/sh", Behaviour::UntilSignal);
    world.stops_when_idle = true;
    let launch = |kernel: &mut Sim| run(kernel, &asked(), &BTreeMap::new()).code();
    let sweep = Sweep {
        world: &world,
        launch: &launch,
        start: &Start::root(),
        objection: &objection,
        remedies: &[Remedy::Act(&cleanup_all), Remedy::Launch],
    };
    let calm = sweep.undisturbed().world;
    assert_eq!(calm.executed.len(), 1, "{:?}", calm.stderr);

    let outcome = sweep.run();

    assert_eq!(outcome.leak, None);
    assert!(outcome.calls > 300 && outcome.refused > 500 && outcome.told > 20);
}
