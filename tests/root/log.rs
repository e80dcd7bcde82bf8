//! `sockets = ["syslog"]`: the socket in the root, and what of the service's words goes on to the host.

use super::*;
use jailrun::kernel::Severity;
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Behaviour, Description, Report};

const LOG: &str = "program = \"/usr/local/sbin/nginx\"\nuser = \"www\"\n\
    [root]\nclosure = \"off\"\nro = [\"/usr/local/sbin/nginx\"]\nsockets = [\"syslog\"]\n";

#[test]
fn the_socket_is_made_in_the_skeleton_or_in_a_tmpfs_and_never_in_a_directory_of_the_host() {
    let world = World::freebsd();
    let bound = |lines: &str| {
        let steps = steps(&world, &format!("{LOG}{lines}"));
        let at = steps.iter().position(|step| step.starts_with("bind"));
        steps[at.unwrap() - 2..=at.unwrap()].to_vec()
    };
    assert_eq!(
        bound(""),
        [
            "make the directory /var (mode 0755)",
            "make the directory /var/run (mode 0755)",
            "bind the socket /var/run/log (mode 0666)"
        ]
    );
    assert_eq!(
        bound("tmpfs = [{ path = \"/var/run\", size = \"1m\", owner = \"www\" }]"),
        [
            "make the directory /var/run (mode 0755)",
            "mount a tmpfs of 1048576 bytes at /var/run (tmpfs, mode 0755, owner 80:0, nosuid)",
            "bind the socket /var/run/log (mode 0666)"
        ]
    );
    let refused = refusal(
        &world,
        &LOG.replace(
            "\"/usr/local/sbin/nginx\"]",
            "\"/usr/local/sbin/nginx\", \"/var/run\"]",
        ),
    );
    assert_eq!(
        refused,
        "sockets: /var/run/log would be made in /var/run, a directory of the host"
    );
}

#[test]
fn nothing_else_is_at_the_place_of_the_socket_or_below_it() {
    let mut world = World::freebsd();
    world.dir("/var/run/log", 0o755, 0, 0);
    for (lines, words) in [
        (
            "[root.files]\n\"/var/run/log/x\" = \"x\\n\"",
            "/var/run/log/x can't be there: /var/run/log is a socket",
        ),
        (
            "[root.files]\n\"/var/run/log\" = \"x\\n\"",
            "/var/run/log is given twice",
        ),
        (
            "rw = [{ path = \"/var/run/log\" }]",
            "/var/run/log is given twice",
        ),
    ] {
        let refused = refusal(&world, &format!("{LOG}{lines}"));
        assert!(refused.starts_with(words), "{lines}: {refused}");
    }
}

/// A launch during which the service sends these, and runs for a second.
fn launch(lines: &str, messages: Vec<Vec<u8>>) -> Report {
    let mut world = World::freebsd();
    world.dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0);
    let text = format!("{LOG}{lines}{END}");
    let path = "/usr/local/etc/jailrun/profiles/www.toml";
    world.file(path, 0o644, 0, 0, text.as_bytes());
    let (milliseconds, code) = (1000, 0);
    let behaviour = Behaviour::ExitAfter { milliseconds, code };
    world.behaviour("/usr/local/sbin/nginx", behaviour);
    let start = |faults: Faults| {
        Sim::run(world.clone(), &Start::root(), faults, |kernel| {
            let request = Request {
                profile: "www".to_string(),
                ..Request::default()
            };
            run(kernel, &request, &BTreeMap::new()).code()
        })
    };
    let calm = start(Faults::none());
    assert_eq!(calm.ending, Ending::Exited(0), "{:?}", calm.world.stderr);
    let executed = calm.calls.iter().find(|call| call.name == "execve");
    let first = executed.unwrap().number + 2;
    let send = move |world: &mut World| {
        for description in world.descriptions.values_mut() {
            if let Description::Bound {
                messages: queue, ..
            } = description
            {
                queue.extend(messages.iter().cloned());
            }
        }
    };
    let report = start(Faults::none().meddle(first, Arc::new(send)));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    assert_eq!(report.world.mounts.len(), world.mounts.len());
    let left = |d: &Description| matches!(d, Description::Bound { .. });
    assert!(!report.world.descriptions.values().any(left));
    report
}

/// Lines of the service's own, with what jailrun says of them.
fn lines(report: &Report) -> Vec<(Severity, &str)> {
    let all = report.world.syslog.iter();
    all.filter(|(_, line)| !line.starts_with("profile="))
        .map(|(severity, line)| (*severity, line.split_once("]: ").unwrap().1))
        .filter(|(_, line)| !line.contains("outcome="))
        .collect()
}

#[test]
fn what_the_service_says_reaches_the_hosts_log_under_our_name() {
    let forged = b"<86>Nov 25 02:40:00 sshd[1]: Accepted\nNov 25 02:40:00 host su: x".to_vec();
    let report = launch(
        "[supervise]\nsyslog_tag = \"web\"\n",
        vec![
            b"<11>1 2026-11-25T02:40:00Z www nginx 7 - - oops".to_vec(),
            Vec::new(),
            forged,
        ],
    );
    let child = report.world.executed.last().unwrap().pid;
    let said: Vec<&str> = report
        .world
        .syslog
        .iter()
        .map(|(_, line)| line.as_str())
        .collect();
    let expected = [
        format!("web[{child}]: nginx[7]: oops"),
        format!("web[{child}]: sshd[1]: Accepted Nov 25 02:40:00 host su: x"),
    ];
    for line in &expected {
        assert!(said.contains(&line.as_str()), "{said:?}");
    }
    assert_eq!(
        said.iter().filter(|line| line.starts_with("web[")).count(),
        2
    );
}

#[test]
fn a_flood_is_cut_short_and_the_rest_is_counted() {
    let flood = (0..5000).map(|number| format!("<30>{number}").into_bytes());
    let report = launch("", flood.collect());
    let said = lines(&report);
    let numbers: Vec<usize> = said
        .iter()
        .filter_map(|(_, line)| line.parse().ok())
        .collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    let told: Vec<&(Severity, &str)> = said
        .iter()
        .filter(|(_, line)| line.ends_with("dropped"))
        .collect();
    assert_eq!(
        told,
        [&(
            Severity::Warning,
            "jailrun: 4000 lines of the log were dropped"
        )]
    );
    // Orders are heard between: no more than some are read at once.
    let calls = report.calls.iter().map(|call| call.name);
    let calls = calls.skip_while(|name| *name != "execve");
    let longest = calls.fold((0, 0), |(longest, now), name| match name {
        "kevent_wait" => (longest, 0),
        "read" => (longest.max(now + 1), now + 1),
        _ => (longest, now),
    });
    assert!((30..=33).contains(&longest.0), "{longest:?}");
}
