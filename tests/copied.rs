//! Copies of hosts that are there: what a launch looks at is in them, and a copy that isn't the same host
//! is no copy. The host that is copied here is a simulated one too.
#![allow(clippy::unwrap_used)]

use jailrun::ctl::copied::copy;
use jailrun::ctl::plan::{listing, prepare, simulated};
use jailrun::kernel::{Alias, Ending};
use jailrun::request::Request;
use jailrun::run::{profile_places, run};
use jailrun::sim::image::Elf;
use jailrun::sim::{Faults, Sim, Start, World};
use std::collections::BTreeMap;

const PROFILE: &str = r#"program = "/opt/app/bin/server"
user = "app"
group = "apps"
pidfile = "/var/run/app/x.pid"
[root]
ro = ["/opt/app/share"]
rw = [{ path = "/var/db/app", owner = "app" }]
tmpfs = [{ path = "/tmp", size = "1m", owner = "app" }]
devices = ["null"]
files = { "/etc/app.conf" = "host", "/etc/passwd" = "synthetic" }
[jail]
ip4.addr = ["em7|198.51.100.7/32"]
[rctl]
maxproc = 5
required = false
[capsicum]
mode = "off"
"#;

fn asked() -> Request {
    Request {
        profile: "x".to_string(),
        ..Request::default()
    }
}

/// What every host has, with the profile.
fn base() -> World {
    let mut world = World::freebsd();
    let [admin, _] = profile_places();
    world.dir(&admin, 0o755, 0, 0);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, PROFILE.as_bytes());
    world
}

/// A host unlike the one that is built in.
fn host() -> World {
    let mut world = base();
    world
        .user("app", 4321, 4322, "/nonexistent")
        .group("apps", 4322)
        .interface("em7", None)
        .sysctl_set("kern.racct.enable", "0")
        .remove("/lib/libm.so.5");
    world.sysctls.remove("security.jail.param.allow.vmm");
    world.addresses.push(Alias {
        interface: "em7".to_string(),
        address: "203.0.113.1".parse().unwrap(),
        prefix: 24,
    });
    let program = Elf {
        runpath: Some("$ORIGIN/../lib"),
        ..Elf::program(&["libapp.so.1", "libc.so.7"])
    };
    world
        .dir("/usr/local/opt/app/share", 0o755, 0, 0)
        .dir("/var/db/app", 0o750, 4321, 4322)
        .dir("/var/run/app", 0o755, 0, 0)
        .symlink("/opt", "/usr/local/opt")
        .file(
            "/usr/local/opt/app/bin/server",
            0o755,
            0,
            0,
            &program.bytes(),
        )
        .file("/etc/app.conf", 0o640, 0, 4322, b"secret = 1\n");
    let library = Elf::library("libapp.so.1", &["libc.so.7"]).bytes();
    world
        .file(
            "/usr/local/opt/app/lib/libapp.so.1.2",
            0o444,
            0,
            0,
            &library,
        )
        .symlink("/usr/local/opt/app/lib/libapp.so.1", "libapp.so.1.2");
    // What is young is never kept; here a look could be.
    world.dir("/var/run/jailrun", 0o755, 0, 0);
    world.clock_ms += 3_600_000;
    world
}

/// The copy of a host, or why there is none; and the plan for the host itself.
fn copied(host: &World) -> (Result<World, String>, String) {
    let mut outcome = None;
    Sim::run(host.clone(), &Start::root(), Faults::none(), |kernel| {
        let prepared = prepare(kernel, &asked()).unwrap();
        let copy = copy(kernel, base(), &prepared, &asked());
        let copy = copy.map_err(|trouble| trouble.words);
        outcome = Some((copy, listing(&prepared)));
        0
    });
    outcome.unwrap()
}

#[test]
fn a_copy_gives_the_plan_of_the_host_and_runs_as_it_would_there() {
    let host = host();
    let (copy, planned) = copied(&host);
    let copy = copy.unwrap();

    assert!(planned.contains("/opt/app/lib/libapp.so.1.2"), "{planned}");
    assert!(
        !planned.contains("novmm") && !planned.contains("rctl"),
        "{planned}"
    );
    let again = simulated(copy.clone(), &asked()).unwrap();
    assert_eq!(listing(&again), planned);
    let report = Sim::run(copy.clone(), &Start::root(), Faults::none(), |kernel| {
        run(kernel, &asked(), &BTreeMap::new()).code()
    });
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = report.world.executed.last().unwrap();
    assert_eq!((executed.uid.real, executed.gid.real), (4321, 4322));
}

#[test]
fn a_copy_has_what_pkg_says_of_the_package_on_the_host_and_of_no_other() {
    let lines = "program = \"/bin/sh\"\nuser = \"root\"\n[root]\nclosure = \"off\"\nro = [\"/bin\"]\n\
        root_writes = true\npackage = \"web\"\n[jail]\nallow = [\"suser\"]\n[capsicum]\nmode = \"off\"\n";
    let [admin, _] = profile_places();
    let mut base = World::freebsd();
    base.dir(&admin, 0o755, 0, 0);
    base.file(&format!("{admin}/x.toml"), 0o644, 0, 0, lines.as_bytes());
    let mut host = base.clone();
    host.dir("/var/db/web", 0o755, 0, 0)
        .dir("/usr/local/share/web", 0o755, 0, 0)
        .package("web", "1", &["/var/db/web"], &["/usr/local/share/web/x"])
        .package("more", "1", &[], &["/usr/local/share/web/y"]);
    let mut outcome = None;
    Sim::run(host, &Start::root(), Faults::none(), |kernel| {
        let prepared = prepare(kernel, &asked()).unwrap();
        let copy = copy(kernel, base.clone(), &prepared, &asked()).unwrap();
        outcome = Some((copy, listing(&prepared)));
        0
    });
    let (copy, planned) = outcome.unwrap();
    assert!(
        planned.contains("it may write /var/db/web, alone"),
        "{planned}"
    );
    assert!(
        planned.contains("/usr/local/share/web is more-1's too"),
        "{planned}"
    );
    assert!(copy.packages.is_empty() && !copy.answers.is_empty());
    assert_eq!(listing(&simulated(copy, &asked()).unwrap()), planned);
}

#[test]
fn nothing_is_changed_on_the_host_by_copying_it() {
    let host = host();
    let report = Sim::run(host.clone(), &Start::root(), Faults::none(), |kernel| {
        let prepared = prepare(kernel, &asked()).unwrap();
        i32::from(copy(kernel, base(), &prepared, &asked()).is_err())
    });

    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(report.world.differences(&host), Vec::<String>::new());
}

#[test]
fn a_copy_that_is_not_the_same_host_is_refused_with_what_differs() {
    let mut host = host();
    // Found by way of what no launch names, and so isn't copied.
    host.file(
        "/etc/libmap.conf",
        0o644,
        0,
        0,
        b"includedir /usr/local/etc/libmap.d\n",
    );
    let map = b"libapp.so.1 libother.so.1\n";
    host.file("/usr/local/etc/libmap.d/x.conf", 0o644, 0, 0, map);
    let library = Elf::library("libother.so.1", &["libc.so.7"]).bytes();
    host.file("/usr/lib/libother.so.1", 0o444, 0, 0, &library);
    let (copy, planned) = copied(&host);

    assert!(planned.contains("libother"), "{planned}");
    let why = copy.err().unwrap();
    assert!(why.contains("x: this host can't be copied ("), "{why}");
    assert!(why.ends_with("describe it, and give --host FILE"), "{why}");
}
