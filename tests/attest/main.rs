//! Attests in the simulated kernel, for what it models: each hole where it is open, and nothing left
//! behind whatever fails on the way. On a real kernel: tests/real_attest.
#![allow(clippy::unwrap_used)]

mod hidden;
mod scripts;

use jailrun::attest::ladder::climb;
use jailrun::attest::table::{ATTEMPTS, make};
use jailrun::attest::verdict::{Verdict, judge};
use jailrun::attest::{Seen, Shared, Target};
use jailrun::ctl::{args, attest};
use jailrun::kernel::attack::Attack;
use jailrun::kernel::{At, Ending, Errno, Filesystem, JailValue, Kernel, MountFlags, Nmount, Open};
use jailrun::plan::capability::{Capability, Descriptor, Use};
use jailrun::plan::{ChildPlan, Then};
use jailrun::sim::{Faults, Report, Sim, Start, World};
use jailrun::supervise::watch::Ears;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const CLOSED: [&str; 4] = [
    "",
    "tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\", noexec = true }]",
    "",
    "",
];

/// A host with one profile. The four parts: top, [root], [jail], and what comes last.
fn host([top, root, jail, last]: [&str; 4]) -> World {
    let mut world = World::freebsd();
    let text = format!(
        "program = \"/bin/sh\"\nuser = \"www\"\n{top}\n[root]\nclosure = \"off\"\nro = [\"/bin\"]\n\
         devices = [\"null\"]\n{root}\n[jail]\n{jail}\n[capsicum]\nmode = \"off\"\n{last}\n"
    );
    world.file("/etc/master.passwd", 0o600, 0, 0, b"root:x");
    world.dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0);
    let path = "/usr/local/etc/jailrun/profiles/www.toml";
    world.file(path, 0o644, 0, 0, text.as_bytes());
    // What stays for good: the state directory, and locks.
    attested(&world, Faults::none()).0.world
}

fn attested(world: &World, faults: Faults) -> (Report, String) {
    let words = ["jailrunctl", "attest", "--throwaway", "www"];
    let found = args::grammar().try_get_matches_from(words).unwrap();
    let found = found.subcommand().unwrap().1.clone();
    let said = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&said);
    let report = Sim::run(world.clone(), &Start::root(), faults, move |kernel| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = attest::on::run(kernel, &found, &mut out, &mut err);
        let text = [out, err].concat();
        let mut told = told.lock().unwrap();
        told.push_str(&String::from_utf8_lossy(&text));
        status.unwrap_or_else(|trouble| {
            told.push_str(&trouble.words);
            trouble.status
        })
    });
    let said = said.lock().unwrap().clone();
    (report, said)
}

fn holes(said: &str) -> BTreeSet<&str> {
    let is_hole = |line: &&str| {
        line.get(21..)
            .is_some_and(|rest| rest.starts_with("OPEN ") || rest.starts_with("ODD "))
    };
    said.lines()
        .filter(is_hole)
        .map(|line| line[..20].trim())
        .collect()
}

#[test]
fn each_way_that_a_profile_opens_is_found_and_nothing_else_is() {
    let [top, tmpfs, jail, last] = CLOSED;
    let open_tmpfs = "tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]";
    let password = format!("{tmpfs}\n[root.files]\n\"/etc/master.passwd\" = \"root:x\\n\"");
    let cases: [([&str; 4], &[&str]); 6] = [
        (CLOSED, &[]),
        ([top, open_tmpfs, jail, last], &["execute-written"]),
        ([top, &password, jail, last], &["password-file"]),
        (["groups = [\"wheel\"]", tmpfs, jail, last], &["gain-group"]),
        ([top, tmpfs, "enforce_statfs = 1", last], &["see-mounts"]),
        (
            [top, tmpfs, "sysvshm = \"inherit\"", last],
            &["shared-memory"],
        ),
    ];
    for (parts, expected) in cases {
        let world = host(parts);
        let (report, said) = attested(&world, Faults::none());
        assert_eq!(holes(&said), expected.iter().copied().collect(), "{said}");
        let status = i32::from(!expected.is_empty());
        assert_eq!(report.ending, Ending::Exited(status), "{said}");
        assert_eq!(report.world.differences(&world), Vec::<String>::new());
        assert!(
            report.world.executed.is_empty(),
            "nothing of the service runs"
        );
    }
}

/// Each child that tries something ends with one write, its word.
#[test]
fn an_attempt_that_is_killed_before_it_says_a_word_is_silenced_and_fails_the_report() {
    let world = host(CLOSED);
    let (report, said) = attested(&world, Faults::none());
    assert_eq!(report.ending, Ending::Exited(0), "{said}");
    let mut last: BTreeMap<i32, (u64, &str)> = BTreeMap::new();
    for call in report.calls.iter().filter(|call| call.pid != report.pid) {
        last.insert(call.pid, (call.number, call.name));
    }
    let words: Vec<u64> = last
        .values()
        .filter(|(_, name)| *name == "write")
        .map(|(number, _)| *number)
        .collect();
    assert!(words.len() > 30, "{words:?}");
    for call in [words[1], words[words.len() / 2], words[words.len() - 1]] {
        let (report, said) = attested(&world, Faults::none().kill(call));
        assert_eq!(report.ending, Ending::Exited(1), "{said}");
        assert_eq!(said.matches(" SILENCED ").count(), 1, "{said}");
        assert!(
            said.contains("signal 9 ended it before it said a word"),
            "{said}"
        );
        assert!(said.contains("1 silenced"), "{said}");
        assert_eq!(report.world.differences(&world), Vec::<String>::new());
    }
}

#[test]
fn what_is_listed_with_its_reason_passes() {
    let [top, _, jail, _] = CLOSED;
    let tmpfs = "tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]";
    let last = "[test.attest_open]\n\"execute-written\" = \"plugins\"";
    let (report, said) = attested(&host([top, tmpfs, jail, last]), Faults::none());
    assert_eq!(report.ending, Ending::Exited(0), "{said}");
    assert!(
        said.contains("open, as listed") && said.contains("(plugins)"),
        "{said}"
    );
}

#[test]
fn a_profile_that_lists_an_unknown_attempt_or_no_reason_is_wrong() {
    let [top, tmpfs, jail, _] = CLOSED;
    for (last, words) in [
        (
            "\"unmuont\" = \"x\"",
            "\"unmuont\" is no attempt of jailrunctl attest; did you mean \"unmount\"?",
        ),
        ("\"unmount\" = \" \"", "a reason must be given"),
    ] {
        let last = format!("[test.attest_open]\n{last}");
        let (report, said) = attested(&host([top, tmpfs, jail, &last]), Faults::none());
        assert_eq!(report.ending, Ending::Exited(78), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn an_attest_that_is_killed_or_refused_at_any_call_leaves_nothing_that_a_cleanup_does_not_take() {
    let world = host(CLOSED);
    let calls = attested(&world, Faults::none()).0.calls.len() as u64;
    assert!(calls > 500, "a sweep over {calls} calls proves nothing");
    for call in (1..=calls).step_by(43) {
        for faults in [
            Faults::none().fail(call, Errno::ENOMEM),
            Faults::none().kill(call),
        ] {
            let (report, _) = attested(&world, faults);
            let cleaned = Sim::run(report.world, &Start::root(), Faults::none(), |kernel| {
                let left = jailrun::launch::cleanup::sweep(kernel, "");
                i32::from(!left.is_empty())
            });
            assert_eq!(cleaned.ending, Ending::Exited(0), "call {call}");
            let left = cleaned.world.differences(&world);
            assert_eq!(left, Vec::<String>::new(), "call {call}");
        }
    }
}

fn place(read_only: bool) -> Nmount {
    Nmount {
        filesystem: Filesystem::Nullfs {
            source: "/mnt".to_string(),
            sockets: false,
        },
        target: "/mnt".to_string(),
        flags: MountFlags {
            read_only,
            ..MountFlags::default()
        },
        update: false,
    }
}

fn root_of_the_host() -> ChildPlan {
    ChildPlan {
        then: Then::Execute,
        program: "/bin/sh".to_string(),
        arguments: vec!["sh".to_string()],
        environment: Vec::new(),
        user: "root".to_string(),
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        umask: 0o022,
        chdir: "/".to_string(),
        nice: None,
        fib: None,
        login_class: "default".to_string(),
        limits: Vec::new(),
        procctl: Vec::new(),
        capability: None,
        sockets: 0,
        local_listeners: Vec::new(),
    }
}

/// Where nothing confines.
fn unconfined(kernel: &mut Sim) -> Target {
    let other = kernel
        .jail_create(&vec![
            ("name".to_string(), JailValue::Text("other".to_string())),
            ("path".to_string(), JailValue::Text("/".to_string())),
            ("persist".to_string(), JailValue::Flag),
        ])
        .unwrap();
    Target {
        child: root_of_the_host(),
        jail: None,
        outside: kernel.getpid(),
        mounts: vec![place(true), place(false)],
        foreign: Vec::new(),
        listeners: Vec::new(),
        segment: Some(1),
        other: other.id,
        passed: None,
        is_throwaway: true,
        most_processes: None,
        most_memory: None,
    }
}

/// A process of the tester's closes all that it holds, and capability mode is another matter: below.
fn is_apart(name: &str) -> bool {
    name == "leftover-descriptors" || name == "devices" || name.starts_with("capability-")
}

/// The canary: an attempt that sees no hole here would see none in a jail either.
#[test]
fn as_root_on_the_host_every_attempt_that_is_modelled_sees_its_hole() {
    let mut world = host(CLOSED);
    // Somebody else's, which root runs as somebody else.
    world.file("/mnt/program", 0o4755, 80, 80, b"program");
    let report = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        let target = Shared::new(unconfined(kernel));
        let mut ears = Ears::open(kernel, None).unwrap();
        let mut unseen = Vec::new();
        for attempt in ATTEMPTS.iter().filter(|attempt| !is_apart(attempt.name)) {
            if kernel.cannot_show(attempt.name).is_some() {
                continue;
            }
            let seen = climb(kernel, &mut ears, attempt, &target).unwrap();
            if judge(attempt, seen.clone(), &BTreeMap::new()).verdict != Verdict::Open {
                unseen.push((attempt.name, seen));
            }
        }
        assert_eq!(unseen, Vec::new());
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
}

#[test]
fn a_device_and_a_descriptor_that_was_left_open_are_found() {
    let mut world = host(CLOSED);
    world.file("/dev/pci", 0o644, 0, 0, b"");
    let report = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        let target = unconfined(kernel);
        for name in ["devices", "leftover-descriptors"] {
            let seen = make(kernel, name, &target);
            assert!(matches!(seen, Seen::Open(_)), "{name}: {seen:?}");
        }
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
}

/// What the attempts of capability mode meet, in it or where it should have been entered and wasn't.
fn met(is_entered: bool) -> Vec<(&'static str, Verdict)> {
    let all = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&all);
    let report = Sim::run(
        host(CLOSED),
        &Start::root(),
        Faults::none(),
        move |kernel| {
            let directory = kernel.openat(At::Cwd, "/mnt", Open::Directory).unwrap();
            let mut target = unconfined(kernel);
            let granted = Descriptor {
                fd: directory,
                purpose: Use::Root,
                path: Some("/mnt".to_string()),
                stays: true,
            };
            if is_entered {
                let rights = granted.purpose.rights();
                kernel.cap_rights_limit(directory, rights).unwrap();
                kernel.cap_enter().unwrap();
            }
            target.child.capability = Some(Capability {
                descriptors: vec![granted],
                execute: directory,
                arguments: Vec::new(),
                environment: Vec::new(),
            });
            for attempt in ATTEMPTS {
                let is_shown = kernel.cannot_show(attempt.name).is_none();
                if is_shown && attempt.name.starts_with("capability-") {
                    let seen = make(kernel, attempt.name, &target);
                    let found = judge(attempt, seen, &BTreeMap::new());
                    told.lock().unwrap().push((attempt.name, found.verdict));
                }
            }
            0
        },
    );
    assert_eq!(report.ending, Ending::Exited(0));
    let all = all.lock().unwrap();
    all.clone()
}

#[test]
fn what_capability_mode_alone_refuses_is_open_before_it_is_entered_and_refused_after() {
    let outside = met(false);
    assert_eq!(outside.len(), 5);
    for (name, verdict) in outside {
        assert_eq!(verdict, Verdict::Open, "{name}");
    }
    let refused = |errno| Verdict::Refused(Some(errno));
    assert_eq!(
        met(true),
        [
            ("capability-path", refused(Errno::ECAPMODE)),
            ("capability-rights", refused(Errno::ENOTCAPABLE)),
            ("capability-connect", refused(Errno::ECAPMODE)),
            ("capability-signal", refused(Errno::ECAPMODE)),
            ("capability-sysctl", refused(Errno::EPERM)),
        ]
    );
}
