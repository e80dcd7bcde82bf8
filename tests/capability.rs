//! Sockets that a service finds open, and capability mode, in the simulated kernel: what the program has,
//! and what is refused before anything is changed. tests/real_capsicum sees the same on FreeBSD.
#![allow(clippy::unwrap_used)]

use jailrun::ctl::plan::simulated;
use jailrun::kernel::{Ending, FileKind, signal};
use jailrun::launch::cleanup;
use jailrun::plan::capability::Use;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::image::Elf;
use jailrun::sim::{Behaviour, Faults, Report, Sim, Start, World};
use std::collections::BTreeMap;

const PROFILES: &str = "/usr/local/etc/jailrun/profiles";
const SHIM: &str = "/usr/local/lib/jailrun/libjailrun_preopen.so";

fn host(profile: &str) -> World {
    let mut world = World::freebsd();
    world.dir(PROFILES, 0o755, 0, 0);
    let text = format!("user = \"www\"\n{profile}");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world
}

fn with_shim(mut world: World) -> World {
    let shim = Elf::library("libjailrun_preopen.so", &["libc.so.7"]).bytes();
    world.file(SHIM, 0o444, 0, 0, &shim);
    world
}

fn asked(command: &[&str]) -> Request {
    Request {
        profile: "x".to_string(),
        command: (!command.is_empty()).then(|| command.iter().map(ToString::to_string).collect()),
        ..Request::default()
    }
}

fn launch(world: &World, command: &[&str]) -> Report {
    launch_with(world, command, Faults::none())
}

fn launch_with(world: &World, command: &[&str], faults: Faults) -> Report {
    let asked = asked(command);
    Sim::run(world.clone(), &Start::root(), faults, move |kernel| {
        run(kernel, &asked, &BTreeMap::new()).code()
    })
}

fn count(report: &Report, call: &str) -> usize {
    let calls = report.calls.iter();
    calls.filter(|made| made.name == call).count()
}

const LISTENING: &str = r#"program = "/bin/sh"
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
[[listen]]
name = "http"
proto = "tcp"
addr = "127.0.0.80:80"
backlog = 7
[[listen]]
name = "control"
proto = "unix"
addr = "/var/run/x.sock"
mode = "0660"
owner = "www"
[capsicum]
mode = "off"
[supervise]
restart = "on-failure"
restart_count = 2
"#;

#[test]
fn a_service_finds_its_sockets_from_3_on_and_is_told_of_them() {
    let report = launch(&host(LISTENING), &[]);
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = &report.world.executed[0];
    let sockets: Vec<_> = executed
        .fds
        .iter()
        .filter(|(number, _)| *number > 2)
        .collect();
    let expected = [
        (3, "socket at 127.0.0.80:80".to_string()),
        (4, "socket at /var/run/x.sock of uid 80".to_string()),
    ];
    assert_eq!(sockets, expected.iter().collect::<Vec<_>>());
    let told = [
        "LISTEN_FDS=2".to_string(),
        "LISTEN_FDNAMES=http:control".to_string(),
        "JAILRUN_LISTEN=3=tcp:127.0.0.80:80\n4=unix:/var/run/x.sock".to_string(),
        format!("LISTEN_PID={}", executed.pid),
    ];
    assert_eq!(executed.environment, told);
    assert!(report.world.place_at("/var/run/x.sock").is_none());
}

#[test]
fn a_one_off_command_gets_no_socket_and_binds_none() {
    let report = launch(&host(LISTENING), &["/bin/echo"]);
    assert_eq!(report.ending, Ending::Exited(0));
    assert_eq!(count(&report, "socket") + count(&report, "bind"), 0);
    let executed = &report.world.executed[0];
    assert!(executed.fds.iter().all(|(number, _)| *number < 3));
    assert!(executed.environment.is_empty());
}

#[test]
fn sockets_and_their_addresses_stay_through_restarts() {
    let mut world = host(LISTENING);
    world.behaviour("/bin/sh", Behaviour::Exit(3));
    let report = launch(&world, &[]);
    assert_eq!(report.world.executed.len(), 3);
    for call in ["add_address", "delete_address"] {
        assert_eq!(count(&report, call), 1, "{call}");
    }
    // For two sockets; on the local one each of the three services listens, as its user.
    assert_eq!(
        (count(&report, "bind"), count(&report, "listen")),
        (2, 1 + 3)
    );
    let last = report
        .calls
        .iter()
        .rposition(|call| call.name == "jail_create");
    let gone = report
        .calls
        .iter()
        .position(|call| call.name == "delete_address");
    assert!(
        last.unwrap() < gone.unwrap(),
        "it went before the last start"
    );
}

#[test]
fn a_socket_that_nobody_has_open_is_replaced_and_one_that_somebody_has_is_not() {
    let mut world = host(LISTENING);
    world.put("/var/run/x.sock", FileKind::Socket, 0o666, 0, 0, &[]);
    assert_eq!(launch(&world, &[]).ending, Ending::Exited(0));

    let mut world = host(LISTENING);
    world.file("/var/run/x.sock", 0o644, 0, 0, b"somebody's");
    let report = launch(&world, &[]);
    assert_eq!(report.ending, Ending::Exited(71));
    assert!(report.world.stderr[0].contains("Address already in use"));
    assert_eq!(
        report.world.content("/var/run/x.sock").unwrap(),
        b"somebody's"
    );
}

#[test]
fn a_socket_is_made_only_where_root_alone_could_have_made_it() {
    let mut world = host(&LISTENING.replace("/var/run/x.sock", "/srv/open/x.sock"));
    world.dir("/srv/open", 0o777, 0, 0);
    let report = launch(&world, &[]);
    assert_eq!(report.ending, Ending::Exited(71));
    let said = &report.world.stderr[0];
    assert!(
        said.contains("/srv/open is writable by others than root"),
        "{said}"
    );
}

#[test]
fn a_killed_supervisors_socket_is_cleaned_up_by_its_journal() {
    let mut world = host(LISTENING);
    world.behaviour("/bin/sh", Behaviour::UntilSignal);
    let calm = launch(&world, &[]);
    let bound = calm.calls.iter().rposition(|call| call.name == "bind");
    let number = calm.calls[bound.unwrap()].number;
    let killed = launch_with(&world, &[], Faults::none().kill_after(number));
    assert!(killed.world.place_at("/var/run/x.sock").is_some());

    let swept = Sim::run(killed.world, &Start::root(), Faults::none(), |kernel| {
        i32::from(!cleanup::sweep(kernel, "").is_empty())
    });

    assert_eq!(swept.ending, Ending::Exited(0));
    assert!(swept.world.place_at("/var/run/x.sock").is_none());
    assert!(
        swept
            .world
            .addresses
            .iter()
            .all(|known| known.address.to_string() != "127.0.0.80")
    );
}

const ENFORCED: &str = r#"program = "/bin/sh"
args = ["-c", "true"]
chdir = "/tmp"
[root]
ro = ["/usr/share"]
rw = [{ path = "/srv/data", noexec = true }]
tmpfs = [{ path = "/tmp", size = "1m" }]
devices = ["null"]
[capsicum]
mode = "enforce"
"#;

fn enforced(more: &str) -> World {
    let mut world = host(&format!("{ENFORCED}{more}"));
    world.dir("/srv/data", 0o750, 80, 80);
    world
}

#[test]
fn a_dynamic_program_is_executed_by_its_linker_with_what_the_plan_lists_and_nothing_else() {
    let world = enforced("");
    let prepared = simulated(world.clone(), &asked(&[])).unwrap();
    let capability = prepared.plan.child().capability.clone().unwrap();
    let report = launch(&world, &[]);
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = &report.world.executed[0];
    assert!(executed.in_capability_mode);
    assert_eq!(
        executed.arguments,
        [
            "/libexec/ld-elf.so.1",
            "-f",
            "901",
            "--",
            "/bin/sh",
            "-c",
            "true"
        ]
    );
    // rtld has closed the program that it mapped.
    let listed = capability.descriptors.iter();
    let listed = listed.filter(|known| known.stays && known.purpose != Use::Program);
    let listed: Vec<i32> = listed.map(|known| known.fd.0).collect();
    let held: Vec<i32> = executed.fds.iter().map(|(number, _)| *number).collect();
    assert_eq!(held, listed);
    let variable = |name: &str| {
        executed
            .environment
            .iter()
            .find(|text| text.starts_with(name))
    };
    assert_eq!(
        variable("LD_LIBRARY_PATH_FDS=").unwrap(),
        "LD_LIBRARY_PATH_FDS=902"
    );
    assert_eq!(
        variable("JAILRUN_DIRS=").unwrap(),
        "JAILRUN_DIRS=903=/\n904=/dev\n905=/srv/data\n906=/tmp"
    );
    assert_eq!(variable("JAILRUN_CWD=").unwrap(), "JAILRUN_CWD=/tmp");
    assert_eq!(variable("LD_PRELOAD"), None);
}

/// Low numbers are the program's, where its limits leave others. rctl(8) counts the size of the table, so
/// that with a rule for openfiles all are low.
#[test]
fn what_the_program_does_not_know_of_has_the_highest_numbers_that_its_limits_allow() {
    let few = |openfiles: u64| format!("[limits]\nopenfiles = {openfiles}\n");
    for (more, first) in [
        (String::new(), 900),
        (few(4096), 900),
        // Nine may come: without a shim and a log there are two fewer.
        (few(907), 898),
        (few(64), 55),
        ("[rctl]\nopenfiles = 4096\n".to_string(), 4),
    ] {
        let report = launch(&enforced(&more), &[]);
        let said = &report.world.stderr;
        assert_eq!(report.ending, Ending::Exited(0), "{more} {said:?}");
        let executed = &report.world.executed[0];
        let numbers = executed.fds.iter().map(|(number, _)| *number);
        let numbers: Vec<i32> = numbers.filter(|number| *number > 2).collect();
        // The linker and the program are behind it; the libraries, /, /dev, /srv/data and /tmp stay.
        let expected: Vec<i32> = (first + 2..first + 7).collect();
        assert_eq!(numbers, expected, "{more}");
    }
    // Not even the lowest are allowed.
    let report = launch(&enforced(&few(6)), &[]);
    assert_eq!(report.ending, Ending::Exited(71));
    assert!(report.world.executed.is_empty());
}

#[test]
fn nothing_but_a_writable_tree_may_be_written_and_noexec_trees_hold_no_programs() {
    let prepared = simulated(enforced(""), &asked(&[])).unwrap();
    let capability = prepared.plan.child().capability.clone().unwrap();
    for known in &capability.descriptors {
        let words = known.purpose.rights().names();
        let path = known.path.as_deref().unwrap_or_default();
        let is_file_or_root = !matches!(path, "" | "/tmp" | "/srv/data" | "/dev");
        for word in [
            "write",
            "create",
            "unlinkat",
            "ftruncate",
            "bindat",
            "fchmod",
        ] {
            assert!(!(is_file_or_root && words.contains(&word)), "{known}");
        }
        if path == "/srv/data" || path == "/dev" {
            assert!(
                !words.contains(&"fexecve") && !words.contains(&"mmap_x"),
                "{known}"
            );
        }
    }
}

#[test]
fn the_shim_is_loaded_by_descriptor_and_without_capability_mode_by_path() {
    let world = with_shim(enforced("preopen = true\nkill_children = true\n"));
    let report = launch(&world, &[]);
    let executed = &report.world.executed[0];
    let held = |number: i32| executed.fds.iter().find(|(fd, _)| *fd == number);
    for wanted in [
        "LD_PRELOAD_FDS=904",
        "JAILRUN_SHIM=904",
        "JAILRUN_RTLD=900",
        "JAILRUN_KILL_CHILDREN=1",
    ] {
        assert!(
            executed.environment.iter().any(|text| text == wanted),
            "{wanted}"
        );
    }
    assert!(held(904).unwrap().1.ends_with(SHIM));
    assert!(held(900).unwrap().1.ends_with("/libexec/ld-elf.so.1"));

    let off = LISTENING.replace("mode = \"off\"", "mode = \"off\"\npreopen = true");
    let report = launch(&with_shim(host(&off)), &[]);
    let executed = &report.world.executed[0];
    assert!(executed.environment.contains(&format!("LD_PRELOAD={SHIM}")));
    assert!(!executed.in_capability_mode);
    // A one-off has no sockets that could be handed out.
    let report = launch(&with_shim(host(&off)), &["/bin/echo"]);
    assert!(report.world.executed[0].environment.is_empty());
}

#[test]
fn syslogs_relay_is_connected_to_before_capability_mode() {
    let world = with_shim(enforced("preopen = true\n"));
    let text = ENFORCED.replace("[root]", "[root]\nsockets = [\"syslog\"]");
    let text = format!("user = \"www\"\n{text}preopen = true\n");
    let mut world = world;
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    let report = launch(&world, &[]);
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = &report.world.executed[0];
    let told = executed
        .environment
        .iter()
        .find_map(|text| text.strip_prefix("JAILRUN_LOG="));
    let number: i32 = told.unwrap().parse().unwrap();
    assert!(
        executed.fds.contains(&(number, "socket".to_string())),
        "{:?}",
        executed.fds
    );
}

#[test]
fn a_script_runs_by_its_interpreter() {
    let mut world = with_shim(enforced("preopen = true\n"));
    world.file(
        "/usr/local/bin/program",
        0o755,
        0,
        0,
        b"#!/bin/sh -eu\nexit 0\n",
    );
    let report = launch(&world, &["/usr/local/bin/program", "a b"]);
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let executed = &report.world.executed[0];
    assert_eq!(
        executed.arguments[3..],
        ["--", "/bin/sh", "-eu", "/usr/local/bin/program", "a b"]
    );
    assert_eq!(executed.program, "/bin/sh");
}

/// What is refused, and why: nothing has been changed by then.
#[test]
fn what_cannot_work_in_capability_mode_is_refused_with_the_reason() {
    let go = [
        Elf::program(&["libc.so.7"]).bytes(),
        b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0".to_vec(),
    ];
    let refusals: [(&str, u32, Vec<u8>, &str); 4] = [
        ("", 0o4755, Elf::program(&[]).bytes(), "set-user-ID"),
        ("", 0o755, go.concat(), "is a Go program"),
        (
            "",
            0o755,
            b"#!/bin/sh\n".to_vec(),
            "only with preopen = true",
        ),
        (
            "preopen = true\n",
            0o755,
            Elf {
                is_static: true,
                ..Elf::default()
            }
            .bytes(),
            "a static program loads no library",
        ),
    ];
    for (more, mode, bytes, reason) in refusals {
        let mut world = with_shim(enforced(more));
        world.file("/usr/local/bin/program", mode, 0, 0, &bytes);
        let report = launch(&world, &["/usr/local/bin/program"]);
        assert_eq!(report.ending, Ending::Exited(78), "{reason}");
        let said = &report.world.stderr[0];
        assert!(said.contains(reason), "{said}");
        assert!(report.world.executed.is_empty());
        assert_eq!(count(&report, "nmount"), 0);
    }
}

#[test]
fn a_shim_that_is_not_installed_is_named() {
    let report = launch(&enforced("preopen = true\n"), &[]);
    assert_eq!(report.ending, Ending::Exited(78));
    let said = &report.world.stderr[0];
    assert!(
        said.contains(&format!(
            "preopen = true needs {SHIM}, which isn't installed"
        )),
        "{said}"
    );
}

#[test]
fn two_libraries_of_one_name_are_refused_since_only_one_would_be_found() {
    let mut world = enforced("");
    for directory in ["/usr/local/lib/a", "/usr/local/lib/b"] {
        let library = Elf::library("libx.so.1", &[]).bytes();
        world.file(&format!("{directory}/libx.so.1"), 0o444, 0, 0, &library);
    }
    let needs = |name: &str, runpath: &'static str| {
        let elf = Elf {
            soname: None,
            runpath: Some(runpath),
            ..Elf::program(&["libx.so.1"])
        };
        (name.to_string(), elf.bytes())
    };
    for (path, bytes) in [
        needs("/usr/local/bin/program", "/usr/local/lib/a"),
        needs("/usr/local/bin/other", "/usr/local/lib/b"),
    ] {
        world.file(&path, 0o755, 0, 0, &bytes);
    }
    let text = ENFORCED.replace("[root]", "[root]\nprograms = [\"/usr/local/bin/other\"]");
    let text = format!("user = \"www\"\n{text}");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    let report = launch(&world, &["/usr/local/bin/program"]);
    assert_eq!(report.ending, Ending::Exited(78));
    assert!(
        report.world.stderr[0].contains("are called libx.so.1"),
        "{:?}",
        report.world.stderr
    );
}

/// What a caller may only name, he learns nothing of.
#[test]
fn a_stranger_is_not_told_what_a_program_is() {
    let mut world = host(&format!(
        "{ENFORCED}[access]\nusers = [\"alice\"]\nany_command = true\n"
    ));
    world.dir("/srv/data", 0o750, 80, 80);
    world.file("/usr/local/bin/program", 0o755, 0, 0, b"#!/bin/sh\n");
    let asked = asked(&["/usr/local/bin/program"]);
    let report = Sim::run(
        world,
        &Start::user(1001, 1001),
        Faults::none(),
        move |kernel| run(kernel, &asked, &BTreeMap::new()).code(),
    );
    assert_eq!(report.ending, Ending::Exited(78));
    let said = report.world.stderr.join("\n");
    assert!(
        said.contains("what the command needs can't be worked out"),
        "{said}"
    );
    assert!(!said.contains("script"), "{said}");
}

#[test]
fn a_dynamic_program_that_is_executed_itself_dies_in_the_simulated_kernel_as_in_the_real_one() {
    use jailrun::kernel::{At, Kernel, Open};
    let report = Sim::run(World::freebsd(), &Start::root(), Faults::none(), |kernel| {
        let fd = kernel.openat(At::Cwd, "/bin/sh", Open::Execute).unwrap();
        kernel.cap_enter().unwrap();
        assert!(kernel.openat(At::Cwd, "/bin/sh", Open::Read).is_err());
        let executed = kernel.fexecve(fd, &["sh".to_string()], &[]);
        i32::from(executed.is_ok())
    });
    assert_eq!(report.ending, Ending::Signalled(signal::ABRT));
}
