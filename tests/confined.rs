//! What a profile keeps its service to, in the simulated kernel: CPUs, a class of login.conf(5), and what rctl(4) counts.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::{Ending, Limit, Rlimit, UNLIMITED};
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

const CLASSES: &str = "default:\\\n\t:openfiles=100:\\\n\t:coredumpsize=1m:\\\n\t:umask=027:\\\n\t:priority=5:\n\
    web:\\\n\t:openfiles-cur=50:\\\n\t:cpumask=1-2:\\\n\t:tc=default:\n";

fn with_classes(top: &str, more: &str, classes: &str) -> World {
    let mut world = host(top, more);
    world.remove("/etc/login.conf");
    world.file("/etc/login.conf", 0o644, 0, 0, classes.as_bytes());
    world
}

#[test]
fn a_login_class_gives_limits_umask_priority_and_cpus() {
    let report = launch(with_classes("login_class = \"web\"", "", CLASSES));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = report.world.executed.last().unwrap();
    let limit = |limit| executed.limits[&limit];
    let (soft, hard) = (50, 100);
    assert_eq!(limit(Limit::Openfiles), Rlimit { soft, hard });
    assert_eq!(limit(Limit::Coredumpsize), Rlimit::both(1 << 20));
    assert_eq!(limit(Limit::Maxproc), Rlimit::both(UNLIMITED));
    assert_eq!((executed.umask, executed.nice), (0o027, 5));
    assert_eq!(executed.login_class, "web");
    assert_eq!(executed.cpus, [1, 2]);
}

#[test]
fn what_the_profile_says_itself_holds_over_its_login_class() {
    let top = "login_class = \"web\"\numask = \"077\"\nnice = 0";
    let more = "[limits]\nopenfiles = 7\n[jail]\ncpuset = \"0\"\n";
    let report = launch(with_classes(top, more, CLASSES));
    let executed = report.world.executed.last().unwrap();
    assert_eq!(executed.limits[&Limit::Openfiles], Rlimit::both(7));
    assert_eq!((executed.umask, executed.nice), (0o077, 0));
    assert_eq!(executed.cpus, [0]);
}

#[test]
fn without_a_login_class_nothing_of_the_callers_is_left() {
    let report = launch(host("", ""));
    let executed = report.world.executed.last().unwrap();
    assert_eq!(
        (executed.login_class.as_str(), executed.umask),
        ("default", 0o022)
    );
}

#[test]
fn a_login_class_that_is_not_there_or_not_trusted_is_refused_by_name() {
    let of =
        |name: &str, classes: &str| with_classes(&format!("login_class = \"{name}\""), "", classes);
    refused(
        of("www", CLASSES),
        "login_class: /etc/login.conf has no class \"www\"",
    );
    refused(
        of("web", "web:openfiles=many:\n"),
        "login_class: /etc/login.conf: class web: openfiles is \"many\"",
    );
    refused(
        of("web", "web:cpumask=4:\n"),
        "cpuset: this host has no CPU 4 for jails: it has 0-3",
    );
    let mut absent = of("web", CLASSES);
    absent.remove("/etc/login.conf");
    refused(absent, "login_class: there is no /etc/login.conf");
    let mut writable = of("web", CLASSES);
    writable.file("/etc/login.conf", 0o664, 0, 0, CLASSES.as_bytes());
    refused(
        writable,
        "login_class: /etc/login.conf is writable by others than root",
    );
    let mut strangers = of("web", CLASSES);
    strangers.file("/etc/login.conf", 0o644, 1001, 0, CLASSES.as_bytes());
    refused(
        strangers,
        "login_class: /etc/login.conf is not owned by root",
    );
}

#[test]
fn a_database_that_says_something_else_than_the_text_is_refused() {
    let database = |of_web: &str| {
        let mut world = with_classes("login_class = \"web\"", "", CLASSES);
        let bytes = format!("\u{1}hash\0{of_web}\0web\0\0\0");
        world.file("/etc/login.conf.db", 0o644, 0, 0, bytes.as_bytes());
        world
    };
    let record = "web:\t:openfiles-cur=50:\t:cpumask=1-2:\t:\t:openfiles=100:\t:coredumpsize=1m:\t:umask=027:\t:priority=5:";
    let same = launch(database(record));
    assert_eq!(same.ending, Ending::Exited(0), "{:?}", same.world.stderr);
    let other = record.replace("50", "51");
    for other in [other.as_str(), &record[1..], &record[..record.len() - 1]] {
        refused(
            database(other),
            "login_class: /etc/login.conf.db says something else of web than /etc/login.conf: run \
             \"cap_mkdb /etc/login.conf\"",
        );
    }
}

#[test]
fn what_the_kernel_only_counts_kills_and_what_is_a_rate_is_slowed_down() {
    let rules = "cputime = 5\nwallclock = 6\nreadbps = \"1m\"\nwriteiops = 7\nmaxproc = 8\n";
    let report = launch(host("", &format!("[rctl]\n{rules}")));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let added = report
        .calls
        .iter()
        .filter(|call| call.name == "rctl_add_rule");
    let added: Vec<&str> = added.map(|call| call.detail.as_str()).collect();
    let wanted = [
        "cputime:sigkill=5",
        "wallclock:sigkill=6",
        "readbps:throttle=1048576",
        "writeiops:throttle=7",
        "maxproc:deny=8",
    ];
    for rule in wanted {
        assert!(
            added.contains(&format!("\"jail:jailrun-x:{rule}\"").as_str()),
            "{added:?}"
        );
    }
    assert!(report.world.rctl_rules.is_empty());
}
