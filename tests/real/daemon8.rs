//! The twelve behaviours that daemon(8)'s own tests hold it to (usr.sbin/daemon/tests/daemon_test.sh), one by
//! one and by their names there.

use crate::fixture::{Fixture, INSTALLED, ctl, jail_lives, kill, said, sh, until};
use std::process::Command;

/// A detached service with a pidfile on the host.
struct Daemon {
    fixture: Fixture,
    pidfile: String,
}

impl Daemon {
    fn new(name: &str, script: &str, more: &str) -> Daemon {
        let pidfile = format!("/var/run/jrtest-{name}.pid");
        let top = format!("args = [\"-c\", \"{script}\"]\npidfile = \"{pidfile}\"");
        let fixture = Fixture::with(name, &top, more);
        let started = start(&fixture);
        assert_eq!(started, "", "{name}");
        Daemon { fixture, pidfile }
    }

    fn supervisor(&self) -> u32 {
        sh(&format!("cat {}", self.pidfile)).parse().unwrap()
    }

    /// The pid that `jailrunctl show` gives: no file of ours tells a service's own pid, which others could
    /// take for one of the host's.
    fn child(&self) -> Option<u32> {
        let json = said(ctl(&["show", "--json", &self.fixture.name]));
        let rest = json.split("\"pid\": ").nth(1)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    }

    fn ends(self) {
        assert!(ctl(&["stop", &self.fixture.name]).status.success());
        assert!(!std::path::Path::new(&self.pidfile).exists());
        self.fixture.nothing_is_left();
    }
}

/// What was said against it.
fn start(fixture: &Fixture) -> String {
    let mut command = Command::new(INSTALLED);
    said(command.args(["-d", &fixture.name]).output().unwrap())
}

fn command_of(pid: u32) -> String {
    sh(&format!("ps -o command= -p {pid}"))
}

#[test]
fn both_pidfile() {
    let daemon = Daemon::new("d-both", "exec sleep 300", "");
    assert!(command_of(daemon.supervisor()).contains("jailrun"));
    assert_eq!(command_of(daemon.child().unwrap()), "sleep 300");
    daemon.ends();
}

#[test]
fn chdir() {
    let daemon = Daemon::new("d-chdir", "exec bin/sleep 300", "");
    assert_eq!(command_of(daemon.child().unwrap()), "bin/sleep 300");
    daemon.ends();
}

#[test]
fn child_pidfile() {
    let daemon = Daemon::new("d-child", "exec sleep 300", "");
    let child = daemon.child().unwrap();
    let jail = sh(&format!("jls -j {} jid", daemon.fixture.jail()));
    assert_eq!(sh(&format!("ps -o jid= -p {child}")).trim(), jail);
    daemon.ends();
}

#[test]
fn child_pidfile_lock() {
    let daemon = Daemon::new("d-childlock", "exec sleep 300", "");
    let child = daemon.child();
    assert!(start(&daemon.fixture).contains("is running"));
    assert_eq!(daemon.child(), child);
    daemon.ends();
}

#[test]
fn newsyslog() {
    let log = "/var/log/jrtest-newsyslog.log";
    let script = "trap '' HUP; while :; do echo my output; sleep 0.1; done";
    let more = format!("[supervise]\nstop_timeout = 1\noutput = \"{log}\"\n");
    let daemon = Daemon::new("d-newsyslog", script, &more);
    let has_lines = |path: &str| sh(&format!("cat {path} 2>/dev/null")).contains("my output");
    until("the first lines", || has_lines(log));
    sh(&format!("mv {log} {log}.0"));
    kill("HUP", daemon.supervisor());
    until("lines in the new file", || has_lines(log));
    assert!(has_lines(&format!("{log}.0")));
    sh(&format!("rm {log} {log}.0"));
    daemon.ends();
}

#[test]
fn output_file() {
    let log = "/var/log/jrtest-seq.log";
    let more = format!("[supervise]\noutput = \"{log}\"\n");
    let top = "args = [\"-c\", \"exec seq 1 5\"]";
    let fixture = Fixture::with("d-output", top, &more);
    assert_eq!(start(&fixture), "");
    until("the end", || !jail_lives(&fixture.jail()));
    until("its output", || {
        sh(&format!("cat {log}")) == "1\n2\n3\n4\n5"
    });
    sh(&format!("rm {log}"));
    until("the teardown", || {
        !std::path::Path::new(&format!("/var/run/jailrun/{}", fixture.name)).exists()
    });
    fixture.nothing_is_left();
}

const ALWAYS: &str = "[supervise]\nrestart = \"always\"\n";

#[test]
fn restart_child() {
    let more = format!("{ALWAYS}restart_delay = 0\n");
    let daemon = Daemon::new("d-restart", "exec sleep 300", &more);
    let (first, supervisor) = (daemon.child().unwrap(), daemon.supervisor());
    kill("TERM", first);
    until("another child", || {
        daemon.child().is_some_and(|child| child != first)
    });
    assert_eq!(daemon.supervisor(), supervisor);
    daemon.ends();
}

#[test]
fn restart_hang() {
    let more = format!("{ALWAYS}restart_delay = 1000\n");
    let daemon = Daemon::new("d-hang", "exec sleep 300", &more);
    kill("TERM", daemon.child().unwrap());
    until("the wait", || {
        said(ctl(&["show", &daemon.fixture.name])).contains("waiting")
    });
    assert!(!jail_lives(&daemon.fixture.jail()));
    let supervisor = daemon.supervisor();
    kill("TERM", supervisor);
    until("the end", || command_of(supervisor).is_empty());
    assert!(!std::path::Path::new(&daemon.pidfile).exists());
    daemon.fixture.nothing_is_left();
}

#[test]
fn supervisor_pidfile() {
    let daemon = Daemon::new("d-super", "exec sleep 300", "");
    let supervisor = daemon.supervisor();
    assert_eq!(
        sh(&format!("ps -o user= -o jid= -p {supervisor} | xargs")),
        "root 0"
    );
    assert_eq!(
        sh(&format!("stat -f '%Lp %Su' {}", daemon.pidfile)),
        "600 root"
    );
    daemon.ends();
}

#[test]
fn supervisor_pidfile_lock() {
    let daemon = Daemon::new("d-superlock", "exec sleep 300", "");
    // Another program that uses the same pidfile; and another of ours, told so.
    let other = format!("daemon -P {} sleep 300; echo $?", daemon.pidfile);
    assert!(sh(&other).contains("process already running"));
    let supervisor = daemon.supervisor();
    let text = format!(
        "program = \"/bin/sh\"\nargs = [\"-c\", \"exec sleep 300\"]\npidfile = \"{}\"\nuser = \"nobody\"\n\
         [root]\nclosure = \"off\"\nro = [\"/bin\", \"/lib\", \"/libexec\"]\n[capsicum]\nmode = \"off\"\n",
        daemon.pidfile
    );
    let path = format!("{}/jrtest-second.toml", crate::fixture::PROFILES);
    std::fs::write(&path, text).unwrap();
    let told = sh(&format!("{INSTALLED} -d jrtest-second; echo $?"));
    assert!(
        told.contains("holds the pidfile") && told.contains("75"),
        "{told}"
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(daemon.supervisor(), supervisor);
    daemon.ends();
}

#[test]
fn title() {
    let daemon = Daemon::new("d-title", "exec sleep 300", "");
    // The profile's name is the title: it was given on the command line, and stays there.
    let title = command_of(daemon.supervisor());
    assert!(
        title.ends_with(&format!("jailrun -d {}", daemon.fixture.name)),
        "{title}"
    );
    daemon.ends();
}

#[test]
fn user() {
    let daemon = Daemon::new("d-user", "exec sleep 300", "");
    let child = daemon.child().unwrap();
    assert_eq!(
        sh(&format!("ps -o user= -o ruser= -p {child} | xargs")),
        "nobody nobody"
    );
    daemon.ends();
}
