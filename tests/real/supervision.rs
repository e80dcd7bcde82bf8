//! From launch to end: signals, restarts, detaching, output, and services that don't behave.

use crate::fixture::{Fixture, INSTALLED, jail_lives, kill, said, sh, until, wait};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn an_instance_runs_once_and_a_one_off_beside_it() {
    let fixture = Fixture::with("busy", "args = [\"-c\", \"sleep 4\"]", "");
    let first = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    let second = fixture.command().output().unwrap();
    assert_eq!(second.status.code(), Some(75));
    assert_eq!(fixture.says("echo beside"), "beside");
    wait(first);
    fixture.nothing_is_left();
}

#[test]
fn a_term_ends_the_service_and_its_jail() {
    let top = "args = [\"-c\", \"sleep 100 & sleep 100\"]";
    let fixture = Fixture::with("term", top, "[supervise]\nstop_timeout = 2\n");
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_millis(500));
    kill("TERM", running.id());
    assert_eq!(wait(running).signal(), Some(15));
    fixture.nothing_is_left();
}

#[test]
fn a_service_that_ignores_term_or_is_stopped_is_gone_after_its_time() {
    let top = "args = [\"-c\", \"trap '' TERM HUP INT; while :; do sleep 1; done\"]";
    let fixture = Fixture::with("deaf", top, "[supervise]\nstop_timeout = 2\n");
    for stopped in [false, true] {
        let running = fixture.command().spawn().unwrap();
        until("the jail", || jail_lives(&fixture.jail()));
        std::thread::sleep(Duration::from_millis(500));
        if stopped {
            sh(&format!("pkill -STOP -j {} .", fixture.jail()));
        }
        let began = Instant::now();
        kill("TERM", running.id());
        wait(running);
        let took = began.elapsed();
        assert!(
            took >= Duration::from_secs(2) && took < Duration::from_secs(8),
            "{took:?}"
        );
    }
    fixture.nothing_is_left();
}

#[test]
fn a_daemon_that_forks_twice_is_followed_signalled_and_ended() {
    let daemon = "(trap 'echo hup > /tmp/heard; exit 0' HUP; while :; do sleep 1; done) & exit 0";
    let top = format!("args = [\"-c\", \"(({daemon}) &) ; exit 0\"]");
    let fixture = Fixture::with("daemon", &top, "");
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(
        jail_lives(&fixture.jail()),
        "its first process has ended, it hasn't"
    );
    kill("HUP", running.id());
    assert_eq!(wait(running).code(), Some(0));
    fixture.nothing_is_left();
}

#[test]
fn a_detached_service_is_ready_has_its_pidfile_and_stops_by_it() {
    let pidfile = "/var/run/jrtest-detach.pid";
    let top = format!("args = [\"-c\", \"sleep 100\"]\npidfile = \"{pidfile}\"");
    let fixture = Fixture::with("detach", &top, "");
    let output = Command::new(INSTALLED)
        .args(["-d", &fixture.name])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(jail_lives(&fixture.jail()));
    let pid: u32 = sh(&format!("cat {pidfile}")).parse().unwrap();
    assert_eq!(sh(&format!("ps -o jid= -p {pid}")).trim(), "0");
    let again = Command::new(INSTALLED)
        .args(["-d", &fixture.name])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(75));
    kill("TERM", pid);
    until("the end", || sh(&format!("ps -o pid= -p {pid}")).is_empty());
    assert!(!std::path::Path::new(pidfile).exists());
    // One that can't be executed says so at once.
    fixture.change("program = \"/bin/absent\"", "");
    let output = Command::new(INSTALLED)
        .args(["-d", &fixture.name])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(127));
    fixture.nothing_is_left();
}

#[test]
fn a_failing_service_is_started_again_and_given_up() {
    let top = "args = [\"-c\", \"echo started; exit 3\"]";
    let more = "[supervise]\nrestart = \"on-failure\"\nrestart_delay = 0\nrestart_count = 3\n";
    let fixture = Fixture::with("again", top, more);
    let output = fixture.command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(said(output).matches("started").count(), 4);
    let journal = format!("/var/run/jailrun/{}/journal", fixture.name);
    assert!(sh(&format!("tail -1 {journal}")).contains("gave-up"));
    fixture.change("args = [\"-c\", \"exit 0\"]", "");
    assert!(fixture.command().status().unwrap().success());
    fixture.nothing_is_left();
}

#[test]
fn output_goes_to_a_file_that_hup_opens_again_and_a_flood_holds_nothing_up() {
    let log = "/var/log/jrtest-output.log";
    let top =
        "args = [\"-c\", \"trap '' HUP; yes flooding | head -c 3000000; echo end; sleep 100\"]";
    let more = format!("[supervise]\nstop_timeout = 1\noutput = \"{log}\"\n");
    let fixture = Fixture::with("output", top, &more);
    let running = fixture.command().spawn().unwrap();
    until("all of it", || {
        sh(&format!("tail -c 4 {log} 2>/dev/null")) == "end"
    });
    assert_eq!(sh(&format!("wc -c < {log}")).trim(), "3000004");
    sh(&format!("mv {log} {log}.0"));
    kill("HUP", running.id());
    until("the new file", || std::path::Path::new(log).exists());
    kill("TERM", running.id());
    wait(running);
    sh(&format!("rm -f {log} {log}.0"));
    fixture.nothing_is_left();
}

#[test]
fn an_endless_flood_to_syslog_does_not_keep_stop_from_working() {
    let top = "args = [\"-c\", \"exec yes jrtest-flood\"]";
    let more = "[supervise]\nstop_timeout = 1\noutput = \"syslog\"\nsyslog_facility = \"local7\"\n";
    let fixture = Fixture::with("flood", top, more);
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    kill("TERM", running.id());
    wait(running);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    fixture.nothing_is_left();
}

#[test]
fn the_supervisor_stays_small() {
    let fixture = Fixture::with("small", "args = [\"-c\", \"sleep 4\"]", "");
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_millis(500));
    // Private resident pages of its map: column 6 (PRES) counts them.
    let script = format!(
        "procstat -hv {} | awk '$2 ~ /^0x/ && $4 ~ /w/ {{pages += $6}} END {{print pages * 4}}'",
        running.id()
    );
    let kilobytes: u32 = sh(&script).parse().unwrap();
    assert!(kilobytes > 0 && kilobytes <= 2048, "{kilobytes} KiB");
    wait(running);
    fixture.nothing_is_left();
}

#[test]
fn lines_of_output_arrive_in_syslogd_with_facility_priority_tag_and_pid() {
    let (log, conf) = ("/var/log/jrtest-lines.log", "/etc/syslog.d/jrtest.conf");
    let script = "echo to output; echo to error >&2; printf 'two\\\\nlines'; exec sleep 100";
    let top = format!("args = [\"-c\", \"{script}\"]");
    let more = "[supervise]\noutput = \"syslog\"\nsyslog_facility = \"local3\"\nsyslog_tag = \"jrtest-tag\"\n";
    let fixture = Fixture::with("lines", &top, more);
    // This facility at this very level, and nothing else.
    let select = format!("mkdir -p /etc/syslog.d; echo 'local3.=info {log}' > {conf}; touch {log}");
    // By its name: cleanvar takes pidfiles away.
    sh(&format!("{select}; pkill -HUP -o -x syslogd"));
    let lines = || sh(&format!("cat {log}"));
    // It reads its configuration again when it comes to it.
    until("the new configuration", || {
        sh("logger -p local3.info -t jrtest-probe reloaded");
        lines().contains("jrtest-probe")
    });
    let running = fixture.command().spawn().unwrap();
    until("the lines", || lines().contains("two"));
    let pid = sh(&format!("pgrep -j {} sleep", fixture.jail()));
    kill("TERM", running.id());
    wait(running);
    // The last one had no end.
    until("all of them", || lines().contains("]: lines"));
    let all = lines();
    let ours = all.lines().filter(|line| !line.contains("jrtest-probe"));
    let said: Vec<&str> = ours.collect();
    for (line, words) in said.iter().zip(["to output", "to error", "two", "lines"]) {
        assert!(
            line.ends_with(&format!(" jrtest-tag[{pid}]: {words}")),
            "{said:?}"
        );
    }
    assert_eq!(said.len(), 4, "{said:?}");
    sh(&format!("rm {conf} {log}; pkill -HUP -o -x syslogd"));
    fixture.nothing_is_left();
}
