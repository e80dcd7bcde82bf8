//! Callers who aren't root, hostile ones among them, and terminals.

use crate::fixture::{ALICE, Fixture, INSTALLED, OPEN, jail_lives, kill, said, sh, until, wait};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn a_user_named_by_access_gets_the_profile_and_nothing_else() {
    let fixture = Fixture::new("alice", OPEN);
    let output = fixture
        .as_alice("id -u; id -G; umask; env; pwd; ps -o jid= -p $$")
        .output()
        .unwrap();
    assert_eq!(said(output), "65534\n65534\n0022\nPWD=/\n/\n0");
    let mut stranger = fixture.shell("id");
    let output = stranger.uid(ALICE + 1).gid(ALICE + 1).output().unwrap();
    assert_eq!(output.status.code(), Some(77));
    let words = format!("jailrun: {}: not permitted", fixture.name);
    assert_eq!(said(output), words);
    fixture.nothing_is_left();
}

#[test]
fn a_copy_without_the_set_user_id_bit_says_what_it_needs() {
    let fixture = Fixture::new("copy", OPEN);
    sh(&format!(
        "cp {INSTALLED} /tmp/jrtest-copy; chmod 555 /tmp/jrtest-copy"
    ));
    let mut command = Command::new("/tmp/jrtest-copy");
    let output = command
        .arg(&fixture.name)
        .uid(ALICE)
        .gid(ALICE)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(77));
    assert!(said(output).contains("set-user-ID root"));
    sh("rm /tmp/jrtest-copy");
    fixture.nothing_is_left();
}

/// Everything that a set-user-ID exec leaves as the caller had it.
#[test]
fn nothing_that_a_caller_sets_beforehand_reaches_the_service() {
    let fixture = Fixture::new("hostile", OPEN);
    let inside = "ulimit -t; ulimit -f; ulimit -c; umask; ps -o nice= -p $$; ls -l /dev/fd 2>/dev/null; \
                  trap; pwd; echo $LD_PRELOAD$EVIL; cpuset -g 2>/dev/null | head -1";
    let plain = said(fixture.as_alice(inside).output().unwrap());
    let script = format!(
        "mkdir /tmp/jrtest-cwd; cd /tmp/jrtest-cwd; rmdir /tmp/jrtest-cwd; umask 000; \
         trap '' HUP INT TERM USR1 CHLD PIPE; ulimit -t 5; ulimit -f 0; ulimit -n 8; \
         exec 5</etc/services 6</ 7>/dev/null; \
         exec nice -n 7 cpuset -l 0 env EVIL=1 LD_PRELOAD=/tmp/evil.so {INSTALLED} {} /bin/sh -c '{inside}'",
        fixture.name
    );
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &script])
        .stdin(Stdio::null())
        .uid(ALICE)
        .gid(ALICE);
    assert_eq!(said(shell.output().unwrap()), plain);
    fixture.nothing_is_left();
}

#[test]
fn closed_standard_descriptors_become_null() {
    let fixture = Fixture::new("closed", OPEN);
    let script = format!(
        "exec {INSTALLED} {} /bin/sh -c 'cat; echo lost; exit 9' <&- >&- 2>&-",
        fixture.name
    );
    let mut shell = Command::new("/bin/sh");
    let output = shell
        .args(["-c", &script])
        .uid(ALICE)
        .gid(ALICE)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(9));
    fixture.nothing_is_left();
}

#[test]
fn a_caller_may_kill_or_stop_his_front_and_nothing_else() {
    let fixture = Fixture::new("front", OPEN);
    let jail = || {
        sh("jls name")
            .lines()
            .find(|name| name.starts_with("jailrun-jrtest-front"))
            .map(str::to_string)
    };
    let mut running = fixture.as_alice("sleep 100").spawn().unwrap();
    until("the jail", || jail().is_some());
    // The supervisor is its child, and root's.
    let supervisor: u32 = sh(&format!("pgrep -P {}", running.id())).parse().unwrap();
    let mut attempt = Command::new("/bin/kill");
    let output = attempt
        .args(["-9", &supervisor.to_string()])
        .uid(ALICE)
        .gid(ALICE)
        .output()
        .unwrap();
    assert!(!output.status.success());
    kill("STOP", running.id());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(jail().is_some());
    kill("CONT", running.id());
    running.kill().unwrap();
    running.wait().unwrap();
    until("the end", || jail().is_none());
    until("the supervisor", || {
        sh(&format!("ps -p {supervisor} -o pid=")).is_empty()
    });
    fixture.nothing_is_left();
}

#[test]
fn timeout_and_term_end_a_callers_service_by_their_signal() {
    let fixture = Fixture::new("timeout", OPEN);
    let script = format!(
        "timeout 2 {INSTALLED} {} /bin/sleep 100; echo $?",
        fixture.name
    );
    let mut shell = Command::new("/bin/sh");
    let output = shell
        .args(["-c", &script])
        .stdin(Stdio::null())
        .uid(ALICE)
        .gid(ALICE)
        .output()
        .unwrap();
    // timeout(1) complains that it may not signal the supervisor itself, which is root's.
    assert!(said(output).starts_with("124"));
    fixture.nothing_is_left();
}

#[test]
fn a_caller_runs_no_more_than_max_at_once() {
    let fixture = Fixture::new("max", OPEN);
    let first = fixture.as_alice("sleep 4").spawn().unwrap();
    let second = fixture.as_alice("sleep 4").spawn().unwrap();
    until("both", || sh("jls name").matches("jrtest-max").count() == 2);
    let third = fixture.as_alice("true").output().unwrap();
    assert_eq!(third.status.code(), Some(75));
    wait(first);
    wait(second);
    assert!(fixture.as_alice("true").output().unwrap().status.success());
    fixture.nothing_is_left();
}

/// script(1) gives the caller a terminal.
fn on_a_terminal(command: &str, user: u32) -> String {
    let mut script = Command::new("/usr/bin/script");
    script.args(["-q", "/dev/null", "/bin/sh", "-c", command]);
    script.stdin(Stdio::null()).uid(user).gid(user);
    // script(1) shows the end of its own input.
    let shown = said(script.output().unwrap()).replace("^D\u{8}\u{8}", "");
    shown.replace('\r', "").trim().to_string()
}

#[test]
fn a_terminal_never_reaches_the_service_and_a_pseudo_terminal_does() {
    let fixture = Fixture::new("tty", OPEN);
    for user in [0, ALICE] {
        let inside = "test -t 0 && test -t 1 && test -t 2 && echo tty; ps -o tdev= -p \\$\\$";
        let command = format!(
            "ps -o tdev= -p $$; {INSTALLED} {} /bin/sh -c \"{inside}\"",
            fixture.name
        );
        let all = on_a_terminal(&command, user);
        let lines: Vec<&str> = all.lines().map(str::trim).collect();
        let [outer, word, inner] = lines[..] else {
            panic!("{all:?}")
        };
        assert_eq!(word, "tty");
        assert_ne!(outer, inner, "the service has the caller's terminal");
        // A pipe stays one.
        let piped = format!(
            "echo x | {INSTALLED} {} /bin/sh -c \"test -t 0 || cat\"",
            fixture.name
        );
        assert_eq!(on_a_terminal(&piped, user), "x");
    }
    fixture.nothing_is_left();
}

#[test]
fn the_callers_terminal_is_as_it_was_when_the_front_ends_by_a_signal() {
    let fixture = Fixture::new("raw", OPEN);
    let command = format!(
        "stty -a > /tmp/jrtest-before; timeout 2 {INSTALLED} {} /bin/sleep 100; stty -a > /tmp/jrtest-after; \
         cmp /tmp/jrtest-before /tmp/jrtest-after && echo same",
        fixture.name
    );
    assert!(on_a_terminal(&command, 0).ends_with("same"));
    sh("rm -f /tmp/jrtest-before /tmp/jrtest-after");
    fixture.nothing_is_left();
}

#[test]
fn status_fd_tells_the_programs_end_from_ours() {
    let fixture = Fixture::new("statusfd", OPEN);
    let with = |rest: &str| {
        let script = format!(
            "({INSTALLED} --status-fd 4 {} {rest} 4>&1 >/dev/null 2>&1) | cat",
            fixture.name
        );
        let mut shell = Command::new("/bin/sh");
        let output = shell
            .args(["-c", &script])
            .stdin(Stdio::null())
            .uid(ALICE)
            .gid(ALICE)
            .output();
        said(output.unwrap())
    };
    let told = with("/bin/sh -c 'exit 71'");
    assert!(
        told.starts_with("running jid=") && told.ends_with("\nexit=71"),
        "{told:?}"
    );
    assert!(with("/bin/sh -c 'kill -9 $$'").contains("\nsignal=9"));
    assert_eq!(with("/bin/absent"), "failed=127");
    // It is none of the program's descriptors.
    assert_eq!(with("/bin/sh -c 'echo stray >&4'").lines().count(), 2);
    assert!(!jail_lives(&fixture.jail()));
    fixture.nothing_is_left();
}
