//! Callers whose standard descriptors are local sockets, as sshd(8) gives them where it was asked for no
//! terminal.

use crate::fixture::{Fixture, INSTALLED, OPEN, ctl, kill, sh, until};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Our end of what becomes standard input and output.
fn both_on_a_socket(command: &mut Command) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap()));
    command.stdout(OwnedFd::from(theirs));
    ours
}

#[test]
fn a_callers_sockets_stay_outside_and_pipes_carry_all_that_they_carry() {
    let fixture = Fixture::new("sockets", OPEN);
    let script = "stat -f %HT; cat; echo last >&2; stat -f %HT <&2";
    carries(fixture.as_alice(script));
    // Root's may be a stranger's, who was let run this by sudo(8).
    carries(fixture.shell(script));
    fixture.nothing_is_left();
}

#[test]
fn a_command_that_enters_an_instance_has_pipes_in_the_place_of_local_sockets_too() {
    let fixture = Fixture::with("entersockets", "args = [\"-c\", \"sleep 100\"]", "");
    let mut starter = Command::new(INSTALLED);
    assert!(
        starter
            .args(["-d", &fixture.name])
            .status()
            .unwrap()
            .success()
    );
    let mut command = Command::new(std::env::var("JAILRUNCTL_BIN").unwrap());
    let script = "stat -f %HT; cat; echo last >&2; stat -f %HT <&2";
    command.args(["enter", &fixture.name, "/bin/sh", "-c", script]);
    carries(command);
    assert!(ctl(&["stop", &fixture.name]).status.success());
    fixture.nothing_is_left();
}

/// Runs what tells its standard input's kind, copies it, and tells its standard error's kind.
fn carries(mut command: Command) {
    let mut ours = both_on_a_socket(&mut command);
    let (mut errors, theirs) = UnixStream::pair().unwrap();
    command.stderr(OwnedFd::from(theirs));
    let mut running = command.spawn().unwrap();
    drop(command);
    let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let mut sender = ours.try_clone().unwrap();
    let copy = sent.clone();
    let sending = std::thread::spawn(move || {
        sender.write_all(&copy).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let (mut back, mut said) = (Vec::new(), String::new());
    ours.read_to_end(&mut back).unwrap();
    sending.join().unwrap();
    errors.read_to_string(&mut said).unwrap();
    assert!(running.wait().unwrap().success());
    assert_eq!(said, "last\n");
    let around = "Fifo File\n".as_bytes();
    assert_eq!(back.len(), sent.len() + 2 * around.len());
    assert!(back == [around, &sent, around].concat());
}

#[test]
fn a_caller_who_takes_nothing_from_his_socket_or_goes_away_holds_nothing_up() {
    let fixture = Fixture::new("unread", OPEN);
    let status = |goes: bool| {
        let mut command = fixture.as_alice("exec yes");
        let ours = both_on_a_socket(&mut command);
        let mut running = command.spawn().unwrap();
        drop(command);
        until("the service", || !sh("pgrep -x yes").is_empty());
        std::thread::sleep(std::time::Duration::from_secs(1));
        if goes {
            drop(ours);
        } else {
            kill("TERM", running.id());
        }
        running.wait().unwrap().signal()
    };
    assert_eq!(status(false), Some(15));
    // As whoever writes to a pipe that nobody reads.
    assert_eq!(status(true), Some(13));
    fixture.nothing_is_left();
}
