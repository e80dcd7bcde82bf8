//! mode = "report": what a service did is told with what grants it, and its report harms nobody.

use crate::fixture::{Fixture, INSTALLED, PROFILES, ctl, said, sh, until};
use std::process::{Command, Output};

/// A shell of the base system's with its closure, and in capability mode's stead its report.
fn fixture(name: &str, script: &str) -> Fixture {
    let fixture = Fixture::new(name, "");
    let text = format!(
        "program = \"/bin/sh\"\nargs = [\"-c\", {script:?}]\nuser = \"nobody\"\n\
         [root]\nprograms = [\"/usr/bin/nc\", \"/bin/cat\", \"/bin/sleep\", \"/usr/bin/true\", \"/usr/bin/ktrace\"]\n\
         ro = [\"/etc/services\"]\ndevices = [\"null\"]\n\
         tmpfs = [{{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }}]\n\
         [jail]\nip4.addr = [\"lo0|127.0.0.83/32\"]\n[capsicum]\nmode = \"report\"\n"
    );
    std::fs::write(format!("{PROFILES}/{}.toml", fixture.name), text).unwrap();
    fixture
}

fn start(fixture: &Fixture) {
    let output = Command::new(INSTALLED)
        .args(["-d", &fixture.name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn stop(fixture: &Fixture) {
    let stopped = ctl(&["stop", &fixture.name]);
    assert!(stopped.status.success(), "{stopped:?}");
}

fn report(fixture: &Fixture) -> Output {
    ctl(&["check", "--capsicum", &fixture.name])
}

fn file(fixture: &Fixture) -> String {
    format!("/var/run/jailrun/{}/ktrace", fixture.name)
}

/// A line of the report, of this kind, with what is below it.
fn told<'a>(text: &'a str, begin: &str) -> &'a str {
    let at = text
        .find(begin)
        .unwrap_or_else(|| panic!("{begin:?} isn't told in\n{text}"));
    let rest = &text[at..];
    let end = rest.match_indices("\njrtest-").next();
    end.map_or(rest, |(end, _)| &rest[..end])
}

#[test]
fn what_capability_mode_would_refuse_is_reported_with_the_line_that_grants_it() {
    let script = "ktrace -c -p $$ 2>/dev/null; cat /etc/services >/tmp/copy; cat /opt/missing /etc/ttys /etc/master.passwd 2>/dev/null; \
                  nc -w 1 127.0.0.83 7 </dev/null; nc -U /nowhere/s </dev/null 2>/dev/null; \
                  nc -U /var/run/log </dev/null 2>/dev/null; (: </dev/zero) 2>/dev/null; \
                  (sleep 100) & kill $!; \
                  nc -l 127.0.0.83 8083 </dev/null >/tmp/end & sleep 100";
    let fixture = fixture("report", script);
    start(&fixture);
    let name = &fixture.name;
    until("all is reported", || {
        let text = said(report(&fixture));
        text.contains("8083") && text.contains("signal 15")
    });
    let output = report(&fixture);
    assert_eq!(output.status.code(), Some(1), "a connection remains");
    let text = said(output);
    let lines = [
        format!("{name}: preopen: openat /etc/services ("),
        format!("{name}: preopen: openat /tmp/copy ("),
        format!("{name}: grant: openat /etc/ttys (1 time): isn't inside, in any mode"),
        format!("{name}: remains: connect 127.0.0.83:7 (1 time): it connects"),
        format!("{name}: grant: connect unix:/var/run/log (1 time): "),
        format!("{name}: kill_children: kill signal 15 ("),
        format!("{name}: listen: bind 127.0.0.83:8083 (1 time): "),
        format!("{name}: preopen: execve /bin/cat ("),
        format!(
            "{name}: same: openat /opt/missing (1 time): isn't inside, in any mode; nor on the host"
        ),
        format!("{name}: same: connect unix:/nowhere/s (1 time): "),
        format!("{name}: grant: openat /dev/zero ("),
    ];
    for line in &lines {
        told(&text, line);
    }
    let grants = [
        (&lines[2], "    [root.files]\n    \"/etc/ttys\" = \"host\""),
        (&lines[4], "    [root]\n    sockets = [\"syslog\"]"),
        (&lines[10], "    [root]\n    devices = [\"zero\"]"),
        (&lines[5], "    [capsicum]\n    kill_children = true"),
        (
            &lines[6],
            "    [[listen]]\n    name = \"tcp-8083\"\n    proto = \"tcp\"\n    addr = \"127.0.0.83:8083\"",
        ),
    ];
    for (line, grant) in grants {
        assert!(told(&text, line).contains(grant), "{}", told(&text, line));
    }
    assert!(
        !text.contains("damaged") && !text.contains("full"),
        "{text}"
    );
    let json = said(ctl(&["check", "--json", "--capsicum", name]));
    assert!(
        json.contains("\"object\": \"127.0.0.83:8083\", \"count\": 1, \"fate\": \"listen\""),
        "{json}"
    );
    let show = said(ctl(&["show", name]));
    assert!(
        show.contains("report") && show.contains("vanish with a [[listen]]"),
        "{show}"
    );
    // What the service could do nothing with is never proposed, however often it asks.
    let secret = told(&text, &format!("{name}: same: openat /etc/master.passwd ("));
    assert!(
        secret.contains("of no use to nobody") && !secret.contains("    ["),
        "{secret}"
    );
    // Root's alone, in root's directory; and it goes on though the service tried to end it.
    told(&text, &format!("{name}: remains: ktrace (1 time): "));
    assert_eq!(
        sh(&format!("stat -f '%Su %Lp' {}", file(&fixture))),
        "root 600"
    );
    stop(&fixture);
    assert!(!std::fs::exists(file(&fixture)).unwrap());
    let gone = report(&fixture);
    assert_eq!(gone.status.code(), Some(64), "{gone:?}");
    fixture.nothing_is_left();
}

#[test]
fn a_service_that_is_refused_without_end_fills_no_file_system() {
    let script =
        "while [ ! -e /tmp/stop ]; do : </etc/services; done; echo lives >/tmp/end; sleep 100";
    let fixture = fixture("reportfull", script);
    start(&fixture);
    let size = || {
        let text = sh(&format!("stat -f %z {}", file(&fixture)));
        text.parse::<u64>().unwrap()
    };
    until("the report is full", || {
        said(report(&fixture)).contains("full: nothing later is in it")
    });
    let most = size();
    assert!(most <= 4 << 20, "{most}");
    // It goes on all the same.
    let inside = ctl(&[
        "enter",
        &fixture.name,
        "/bin/sh",
        "-c",
        "echo >/tmp/stop; while [ ! -e /tmp/end ]; do :; done; cat /tmp/end",
    ]);
    assert_eq!(said(inside), "lives");
    assert_eq!(size(), most);
    stop(&fixture);
    fixture.nothing_is_left();
}

#[test]
fn the_report_of_a_supervisor_that_was_killed_goes_with_the_rest() {
    let fixture = fixture("reportkill", "sleep 100");
    start(&fixture);
    let supervisor = said(ctl(&["show", "--json", &fixture.name]));
    let (_, rest) = supervisor.split_once("\"supervisor\": ").unwrap();
    let pid = rest.split(',').next().unwrap();
    sh(&format!("kill -9 {pid}"));
    until("the jail is gone", || {
        !crate::fixture::jail_lives(&fixture.jail())
    });
    assert!(std::fs::exists(file(&fixture)).unwrap());
    let cleaned = ctl(&["cleanup", "--all"]);
    assert!(cleaned.status.success(), "{cleaned:?}");
    fixture.nothing_is_left();
}
