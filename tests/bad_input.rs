//! Bad input, and what is said of it: one line, an exit status of the manual, and nothing left behind.
//! In the simulated kernel; tests/real has those again that a kernel decides.
#![allow(clippy::unwrap_used)]

use jailrun::kernel::Ending;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Faults, Sim, Start, StartFd, World};
use std::collections::BTreeMap;

const PROFILES: &str = "/usr/local/etc/jailrun/profiles";
const GOOD: &str = "program = \"/bin/sh\"\nuser = \"www\"\n[root]\nclosure = \"off\"\nro = [\"/bin\"]\n\
    [capsicum]\nmode = \"off\"\n";

fn host() -> World {
    let mut world = World::freebsd();
    world.dir(PROFILES, 0o755, 0, 0);
    world.dir("/var/run/jailrun", 0o755, 0, 0);
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, GOOD.as_bytes());
    world
}

fn with(from: &str, to: &str) -> World {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "{from}");
    let mut world = host();
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world
}

fn changed(change: impl FnOnce(&mut World)) -> World {
    let mut world = host();
    change(&mut world);
    world
}

/// What is said on standard error, without "jailrun: ", and the exit status.
fn told(world: &World, profile: &str, command: Option<&str>, start: &Start) -> (String, Ending) {
    let request = Request {
        profile: profile.to_string(),
        command: command.map(|command| vec![command.to_string()]),
        ..Request::default()
    };
    let report = Sim::run(world.clone(), start, Faults::none(), |kernel| {
        run(kernel, &request, &BTreeMap::new()).code()
    });
    let mut left = report.world.differences(world);
    // What is meant to stay.
    left.retain(|line| {
        !line.contains("/.devfs")
            && !line.contains("/.refused-")
            && !line.contains("/.closures")
            && !line.contains("/.addresses")
            && !line.contains("devfs rule")
    });
    assert_eq!(left, Vec::<String>::new());
    let said: Vec<&str> = report
        .world
        .stderr
        .iter()
        .map(|line| line.trim_start_matches("jailrun: "))
        .collect();
    (said.join("\n"), report.ending)
}

#[test]
fn every_bad_input_is_told_in_one_line_with_its_status() {
    let path = format!("{PROFILES}/x.toml");
    let mut in_jail = host();
    in_jail.sysctl_set("security.jail.jailed", "1");
    let cases: Vec<(World, Option<&str>, i32, &str)> = vec![
        (
            changed(|world| {
                world.remove(&format!("{PROFILES}/x.toml"));
            }),
            None,
            77,
            "x: no such profile",
        ),
        (
            changed(|world| {
                world.file(&format!("{PROFILES}/x.toml"), 0o664, 0, 0, GOOD.as_bytes());
            }),
            None,
            78,
            "x: /usr/local/etc/jailrun/profiles/x.toml is writable by others than root; run: chmod go-w /usr/local/etc/jailrun/profiles/x.toml",
        ),
        (
            changed(|world| {
                world.file(&format!("{PROFILES}/x.toml"), 0o644, 7, 0, GOOD.as_bytes());
            }),
            None,
            78,
            "x: /usr/local/etc/jailrun/profiles/x.toml is not owned by root; run: chown root /usr/local/etc/jailrun/profiles/x.toml",
        ),
        (
            changed(|world| {
                world
                    .at(&format!("{PROFILES}/x.toml"))
                    .unwrap()
                    .extended_acl = true
            }),
            None,
            78,
            "x: /usr/local/etc/jailrun/profiles/x.toml has an ACL; run: setfacl -b /usr/local/etc/jailrun/profiles/x.toml",
        ),
        (
            changed(|world| {
                world.dir("/real", 0o755, 0, 0).remove(PROFILES);
                world.symlink(PROFILES, "/real");
            }),
            None,
            78,
            "x: /usr/local/etc/jailrun/profiles is a symbolic link",
        ),
        (
            changed(|world| {
                world.file(&path, 0o644, 0, 0, &vec![b'#'; 10 << 20]);
            }),
            None,
            78,
            "x: /usr/local/etc/jailrun/profiles/x.toml is larger than 65536 bytes",
        ),
        (
            changed(|world| {
                world.file(&path, 0o644, 0, 0, b"\xff\xfe");
            }),
            None,
            78,
            "x: /usr/local/etc/jailrun/profiles/x.toml is not UTF-8",
        ),
        (
            with("/bin\"]", "/absent\"]"),
            None,
            78,
            "x: /absent: No such file or directory; where a directory is meant: install -d /absent",
        ),
        (
            with("\"www\"", "\"nosuchuser\""),
            None,
            78,
            "x: no user nosuchuser on this host",
        ),
        (
            with("\"www\"", "\"www\"\ngroups = [\"nosuch\"]"),
            None,
            78,
            "x: no group nosuch on this host",
        ),
        (
            with(
                "[capsicum]",
                "[jail]\nip4.addr = [\"192.0.2.9\"]\n[capsicum]",
            ),
            None,
            78,
            "x: no interface has the address 192.0.2.9: name one that it is added to, as in \"lo0|192.0.2.9\"",
        ),
        (
            with(
                "[capsicum]",
                "[jail]\nip4.addr = [\"em9|192.0.2.9\"]\n[capsicum]",
            ),
            None,
            71,
            "x: add the address 192.0.2.9/32 to em9: Device not configured",
        ),
        (
            host(),
            Some("/bin/absent"),
            127,
            "x: exec /bin/absent (inside the jail): No such file or directory",
        ),
        (
            host(),
            Some("/bin"),
            126,
            "x: exec /bin (inside the jail): Permission denied",
        ),
        (
            host(),
            Some("sh"),
            64,
            "x: \"sh\": a command is an absolute path",
        ),
        (
            changed(|world| {
                world.file("/bin/plain", 0o644, 0, 0, b"");
            }),
            Some("/bin/plain"),
            126,
            "x: exec /bin/plain (inside the jail): Permission denied",
        ),
        (
            changed(|world| {
                world.sysctl_set("kern.racct.enable", "0");
                let text = format!("{GOOD}[rctl]\nmaxproc = 5\n");
                world.file(&path, 0o644, 0, 0, text.as_bytes());
            }),
            None,
            71,
            "x: limit the jail by rctl: Function not implemented (racct is off: set kern.racct.enable=1 in \
             loader.conf(5) and boot, or say required = false in [rctl])",
        ),
        (
            changed(|world| {
                world.sysctl_set("kern.osreldate", "1403000");
            }),
            None,
            69,
            "x: jailrun needs FreeBSD 15.0 or later: older kernels have no owning jail descriptors",
        ),
        (
            changed(|world| world.is_full = true),
            None,
            71,
            "x: lock the instance x: No space left on device",
        ),
    ];
    for (world, command, status, words) in cases {
        let (said, ending) = told(&world, "x", command, &Start::root());
        assert_eq!((said.as_str(), ending), (words, Ending::Exited(status)));
    }
}

#[test]
fn rules_that_are_not_required_are_left_out_where_racct_is_off() {
    let mut world = host();
    world.sysctl_set("kern.racct.enable", "0");
    let text = format!("{GOOD}[rctl]\nmaxproc = 5\nrequired = false\n");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    assert_eq!(
        told(&world, "x", None, &Start::root()),
        (String::new(), Ending::Exited(0))
    );
}

#[test]
fn a_directory_on_a_standard_descriptor_is_named() {
    let start = Start {
        fds: [
            StartFd::Directory("/bin".into()),
            StartFd::Null,
            StartFd::Pipe,
        ],
        ..Start::root()
    };
    let words = "x: standard input is a directory".to_string();
    assert_eq!(
        told(&host(), "x", None, &start),
        (words, Ending::Exited(64))
    );
}

#[test]
fn a_hundred_errors_are_told_at_once_and_the_hundred_and_first_is_counted() {
    let mut world = host();
    let text = GOOD.to_string();
    let lines: String = (0..120)
        .map(|number| format!("bogus{number} = 1\n"))
        .collect();
    let text = format!("{lines}{text}");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    let (said, ending) = told(&world, "x", None, &Start::root());
    assert_eq!(ending, Ending::Exited(78));
    assert!(said.matches("unknown key").count() >= 20, "{said}");
    assert!(said.lines().last().unwrap().starts_with("and "), "{said}");
}

#[test]
fn a_local_socket_of_a_caller_is_no_way_into_the_jail() {
    let mut world = host();
    let text = format!("{GOOD}[access]\nusers = [\"1001\"]\n");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    let fds = [StartFd::Socket, StartFd::Pipe, StartFd::Pipe];
    let start = |start: Start| Start {
        fds: fds.clone(),
        ..start
    };
    for who in [Start::user(1001, 1001), Start::root()] {
        let start = start(who);
        let fine = (String::new(), Ending::Exited(0));
        assert_eq!(told(&world, "x", None, &start), fine);
        let request = Request {
            profile: "x".to_string(),
            ..Request::default()
        };
        let report = Sim::run(world.clone(), &start, Faults::none(), |kernel| {
            run(kernel, &request, &BTreeMap::new()).code()
        });
        let executed = report.world.executed.last().unwrap();
        assert_eq!(executed.fds[0], (0, "pipe".to_string()));
    }
}

#[test]
fn what_lies_below_a_directory_that_is_not_the_callers_to_search_stays_unknown() {
    let mut world = host();
    let text = format!("{GOOD}[access]\nusers = [\"1001\"]\nany_command = true\n");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world.dir("/root", 0o700, 0, 0);
    world.file("/root/tool", 0o755, 0, 0, b"");
    let start = Start::user(1001, 1001);
    for command in [
        "/root/tool",
        "/root/absent",
        "/root/absent/more",
        "/dev/tun31337",
        "/bin/../dev/tun31337",
        "//dev/null",
    ] {
        let words = format!("x: exec {command} (inside the jail): Permission denied");
        assert_eq!(
            told(&world, "x", Some(command), &start),
            (words, Ending::Exited(126))
        );
    }
}

#[test]
fn a_number_among_the_users_is_a_uid_and_no_login_name() {
    let mut world = host();
    let text = format!("{GOOD}[access]\nusers = [\"4242\"]\n");
    world.file(&format!("{PROFILES}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world.user("4242", 1009, 1009, "/");
    let start = Start::user(1009, 1009);
    assert_eq!(
        told(&world, "x", None, &start),
        ("x: not permitted".to_string(), Ending::Exited(77))
    );
}
