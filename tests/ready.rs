//! A service that is ready when its ports are open: in the simulated kernel.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Errno, Protocol};
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Behaviour, Faults, Report, Sim, Start, World};
use std::collections::BTreeMap;

const PROFILE: &str = r#"program = "/bin/sh"
user = "www"
[root]
closure = "off"
ro = ["/bin"]
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
[capsicum]
mode = "off"
[supervise]
ready = "ports"
stop_timeout = 2
[test]
expect_open = ["tcp:127.0.0.80:80", "udp:127.0.0.80:53"]
"#;

/// The program runs until it is told to stop, and listens on these after so many milliseconds.
fn world(listens: &[(Protocol, &str, u64)]) -> World {
    let mut world = World::freebsd();
    let directory = "/usr/local/etc/jailrun/profiles";
    world.dir(directory, 0o755, 0, 0);
    let file = format!("{directory}/www.toml");
    world.file(&file, 0o644, 0, 0, PROFILE.as_bytes());
    world.behaviour("/bin/sh", Behaviour::UntilSignal);
    let listens = listens.iter();
    let listens = listens.map(|(protocol, address, ms)| (*protocol, address.parse().unwrap(), *ms));
    world.listens.insert("/bin/sh".into(), listens.collect());
    world
}

/// The starter's status, and when it came.
fn detached(world: &World) -> (Report, u64) {
    let asked = Request {
        profile: "www".to_string(),
        detach: true,
        ..Request::default()
    };
    let mut came = 0;
    let report = Sim::run(world.clone(), &Start::root(), Faults::none(), |kernel| {
        let code = run(kernel, &asked, &BTreeMap::new()).code();
        came = jailrun::kernel::Kernel::monotonic_ms(kernel);
        code
    });
    (report, came - world.clock_ms)
}

#[test]
fn a_detached_start_returns_when_all_ports_are_open_and_not_before() {
    let tcp = (Protocol::Tcp, "127.0.0.80:80", 1000);
    let (report, took) = detached(&world(&[tcp, (Protocol::Udp, "0.0.0.0:53", 3000)]));
    assert_eq!(report.ending, Ending::Exited(0));
    assert!((3000..3500).contains(&took), "{took}");
}

#[test]
fn a_service_whose_ports_do_not_open_in_a_minute_is_stopped_and_the_start_fails() {
    for other in [
        (Protocol::Tcp, "127.0.0.80:53", 0),
        (Protocol::Udp, "127.0.0.81:53", 0),
        (Protocol::Udp, "127.0.0.80:54", 0),
    ] {
        let before = world(&[(Protocol::Tcp, "127.0.0.80:80", 0), other]);
        let (report, took) = detached(&before);
        assert_eq!(report.ending, Ending::Exited(71), "{other:?}");
        assert!((60_000..61_000).contains(&took), "{other:?}: {took}");
        let said = "jailrun: www: wait until udp:127.0.0.80:53 is open: Operation timed out (stopped after 60 s)";
        assert!(
            report.world.stderr.iter().any(|line| line == said),
            "{:?}",
            report.world.stderr
        );
        assert!(report.world.jails.is_empty() && report.world.mounts.len() == before.mounts.len());
    }
}

#[test]
fn somebody_elses_socket_on_the_same_port_is_not_the_services() {
    let mut before = world(&[(Protocol::Tcp, "127.0.0.80:80", 0)]);
    let open = vec![(Protocol::Udp, "127.0.0.80:53".parse().unwrap(), 0)];
    before.listens.insert(String::new(), open);
    let (report, _) = detached(&before);
    assert_eq!(report.ending, Ending::Exited(71));
}

#[test]
fn a_kernel_that_does_not_say_who_listens_ends_the_start_and_leaves_nothing() {
    let before = world(&[]);
    let asked = Request {
        profile: "www".to_string(),
        ..Request::default()
    };
    let start = |faults| {
        Sim::run(before.clone(), &Start::root(), faults, |kernel| {
            run(kernel, &asked, &BTreeMap::new()).code()
        })
    };
    let calls = start(Faults::none()).calls;
    let look = calls.iter().find(|call| call.name == "listeners").unwrap();
    let report = start(Faults::none().fail(look.number, Errno::EINVAL));
    assert_eq!(report.ending, Ending::Exited(71));
    assert!(report.world.jails.is_empty() && report.world.mounts.len() == before.mounts.len());
}
