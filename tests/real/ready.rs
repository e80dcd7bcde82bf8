//! `ready = "ports"`: a detached start returns when the service's sockets are there.

use crate::fixture::{Fixture, INSTALLED, ctl, jail_lives, said, sh};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ADDRESS: &str =
    "[jail]\nip4.addr = [\"lo0|127.0.0.86/32\"]\nip6.addr = [\"lo0|fd00::86/128\"]\n";

fn start(fixture: &Fixture) -> (Output, Duration) {
    let began = Instant::now();
    let mut command = Command::new(INSTALLED);
    let output = command.args(["-d", &fixture.name]).output().unwrap();
    (output, began.elapsed())
}

#[test]
fn a_detached_start_returns_when_the_ports_are_open_in_the_jail() {
    // nc serves one connection: one that came to see whether it is there would be its last.
    let script =
        "(sleep 2; exec nc -l 7003) & (sleep 3; exec nc -u -l 7004) & exec nc -6 -l fd00::86 7005";
    let top = format!("args = [\"-c\", \"{script}\"]");
    let ports = "[\"tcp:127.0.0.86:7003\", \"udp:127.0.0.86:7004\", \"tcp:[fd00::86]:7005\"]";
    let more = format!("{ADDRESS}[supervise]\nready = \"ports\"\n[test]\nexpect_open = {ports}\n");
    let fixture = Fixture::with("ports", &top, &more);
    let (output, took) = start(&fixture);
    assert!(output.status.success(), "{output:?}");
    assert!(took >= Duration::from_secs(3), "{took:?}");
    let listening = sh("sockstat -46l");
    for port in ["127.0.0.86:7003", "127.0.0.86:7004", "[fd00::86]:7005"] {
        assert!(listening.contains(port), "{listening}");
    }
    assert!(ctl(&["stop", &fixture.name]).status.success());
    fixture.nothing_is_left();
}

#[test]
fn a_service_that_ends_before_its_ports_are_open_fails_the_start_at_once() {
    let top = "args = [\"-c\", \"sleep 1; exit 4\"]";
    let more = format!(
        "{ADDRESS}[supervise]\nready = \"ports\"\n[test]\nexpect_open = [\"tcp:127.0.0.86:7003\"]\n"
    );
    let fixture = Fixture::with("unready", top, &more);
    let (output, took) = start(&fixture);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    fixture.nothing_is_left();
}

#[test]
fn a_port_that_is_open_elsewhere_does_not_count_and_a_minute_is_all() {
    let top = "args = [\"-c\", \"sleep 1000\"]";
    let more = "[jail]\nip4 = \"inherit\"\n[supervise]\nready = \"ports\"\n\
                [test]\nexpect_open = [\"tcp:127.0.0.1:7006\"]\n";
    let fixture = Fixture::with("elsewhere", top, more);
    let mut other = Command::new("/usr/bin/nc")
        .args(["-l", "127.0.0.1", "7006"])
        .spawn()
        .unwrap();
    let (output, took) = start(&fixture);
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    assert!(
        took >= Duration::from_secs(59) && took < Duration::from_secs(90),
        "{took:?}"
    );
    assert!(said(output).contains("wait until tcp:127.0.0.1:7006 is open"));
    assert!(!jail_lives(&fixture.jail()));
    fixture.nothing_is_left();
}
