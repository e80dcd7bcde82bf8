//! What google/capsicum-test expects of capability mode, inside a jail, of a service in enforce.

use crate::fixture::{Fixture, sh};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::Stdio;

/// What each test's service has: a file and programs to read, two trees to write, a device, a socket.
const ENFORCED: &str = "[root]\nro = [\"/etc/services\", \"/usr/local/libexec/jrtest-script\"]\n\
    programs = [\"/usr/bin/true\"]\ndevices = [\"null\"]\n\
    tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n\
    [jail]\nip4.addr = [\"lo0|127.0.0.93/32\"]\n[[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.1:7719\"\n\
    [capsicum]\nmode = \"enforce\"\n";

fn enforced(name: &str, more: &str) -> Fixture {
    // Made for good: it is a line of the profile.
    sh("printf '#!/bin/sh\\n' > /usr/local/libexec/jrtest-script; \
        chmod 555 /usr/local/libexec/jrtest-script");
    Fixture::new(name, name, &format!("{ENFORCED}{more}"))
}

/// Each line that the probe says, against what it should be.
fn holds(fixture: Fixture, expected: &str) {
    let told = fixture.told().join("\n");
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    assert_eq!(told, expected.join("\n"));
    fixture.nothing_is_left();
}

#[test]
fn capability_mode_refuses_every_name_and_every_other_process() {
    let refused = "access acct chdir chflags chmod chown chroot fchdir fhopen getcwd getfsstat kldload \
        ktrace link mkdir mkfifo nmount open pathconf posix_openpt procctl ptrace readlink __realpathat \
        rename revoke rmdir statfs symlink truncate unlink unmount utimes execve setgroups shmget ksem_open \
        rctl_add_rule jail_attach jail_get jail_set";
    let mut lines = vec!["mode: ok 1".to_string()];
    lines.extend(
        refused
            .split_whitespace()
            .map(|name| format!("{name}: ECAPMODE")),
    );
    for line in [
        "kill the parent: ECAPMODE",
        "kill all: ECAPMODE",
        "kill itself: ok",
        "socket: ok",
        "bind: ECAPMODE",
        "connect: ECAPMODE",
        "sendto: ECAPMODE",
        "raw socket: ECAPMODE",
        "connect to syslogd: ECAPMODE",
        "connectat to syslogd: ENOTCAPABLE",
        "open in a thread: ECAPMODE",
        "open in a child: ECAPMODE",
    ] {
        lines.push(line.to_string());
    }
    holds(enforced("capmode", ""), &lines.join("\n"));
}

#[test]
fn lookups_stay_beneath_their_descriptor_and_have_its_rights() {
    holds(
        enforced("openat", ""),
        "granted: ok
        not granted: ENOENT
        absolute: ENOTCAPABLE
        above the root: ENOTCAPABLE
        by AT_FDCWD: ECAPMODE
        to be written: ENOTCAPABLE
        made in the root: ENOTCAPABLE
        made in a tree: ok
        beneath: ok
        out of a tree, to be written: refused
        out of a tree, to be made: refused
        out of the root: refused
        a directory: ok
        a relative link: ok
        followed: ok
        a link out: ok
        followed out, to be written: refused
        an absolute link: ok
        followed absolutely: ENOTCAPABLE
        back up: ENOTCAPABLE
        stat: ok
        access: ok
        chmod: ENOTCAPABLE
        unlink: ENOTCAPABLE
        rename: ENOTCAPABLE
        rename in a tree: ok
        rename out of a tree: ENOTCAPABLE
        link into a tree: ENOTCAPABLE
        readlink: ok",
    );
}

#[test]
fn rights_only_shrink_and_each_use_needs_its_own() {
    holds(
        enforced("rights", ""),
        "read: ok
        map to read: ok
        map to execute: ok
        sync: ENOTCAPABLE
        less: ok
        read after: ok
        seek after: ENOTCAPABLE
        map after: ENOTCAPABLE
        more: ENOTCAPABLE
        more on the root: ENOTCAPABLE
        more on output: ENOTCAPABLE
        read output: ENOTCAPABLE
        write input: ENOTCAPABLE
        seek in a copy: ENOTCAPABLE
        write: ok
        truncate: ok
        map shared: ok
        chdir by descriptor: ECAPMODE
        map a program: ok
        nothing: ok
        write after: ENOTCAPABLE",
    );
}

#[test]
fn programs_are_executed_by_descriptor_only_and_dynamic_ones_by_their_linker() {
    holds(
        enforced("fexecve", ""),
        "by its linker: status 0
        by itself: signal 6
        a script: ECAPMODE
        execve: ECAPMODE
        without the right: ENOTCAPABLE
        a file of its own: EACCES",
    );
}

#[test]
fn children_are_reached_by_their_descriptor_alone() {
    holds(
        enforced("procdesc", ""),
        "pdgetpid: ok
        the same: true
        kill by pid: ECAPMODE
        waitpid of any: ECHILD
        pdkill: ok
        waited for: true 9
        limit: ok
        pdkill without the right: ENOTCAPABLE
        pdgetpid without the right: ENOTCAPABLE",
    );
}

#[test]
fn ioctls_are_those_of_the_plan_and_only_get_fewer() {
    holds(
        enforced("ioctl", ""),
        "FIONREAD of output: ok
        FIOASYNC of output: ENOTCAPABLE
        FIONBIO of the socket: ok
        FIOASYNC of the socket: ENOTCAPABLE
        FIONREAD of a file: ok
        FIOASYNC of a file: ENOTCAPABLE
        FIONBIO of null: ok
        FIOASYNC of null: ENOTCAPABLE
        more: ENOTCAPABLE
        fewer: ok
        FIONBIO of the socket after: ENOTCAPABLE
        none: ok
        FIONREAD of the socket after: ENOTCAPABLE",
    );
}

#[test]
fn fcntls_are_flags_alone_and_only_get_fewer() {
    holds(
        enforced("fcntl", ""),
        "ok ok ENOTCAPABLE ENOTCAPABLE
        ok ok ENOTCAPABLE ENOTCAPABLE
        ok ok ENOTCAPABLE ENOTCAPABLE
        ok ok ENOTCAPABLE ENOTCAPABLE
        more: ENOTCAPABLE
        fewer: ok
        F_SETFL after: ENOTCAPABLE
        none: ok
        F_GETFL after: ENOTCAPABLE
        back: ENOTCAPABLE
        F_GETFD: ok
        F_GETFL of a file: ok
        F_SETOWN of a file: ENOTCAPABLE",
    );
}

#[test]
fn no_route_leads_to_what_is_not_granted() {
    holds(enforced("escape", ""), "reached []");
}

#[test]
fn what_is_accepted_has_no_more_than_the_socket_it_came_from() {
    let fixture = enforced("accepted", "");
    let running = fixture.command(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    crate::fixture::until("the connection", || {
        TcpStream::connect("127.0.0.1:7719").is_ok()
    });
    let _ = TcpStream::connect("127.0.0.1:7719").map(|mut peer| peer.read_to_string(&mut said));
    let told = crate::fixture::told(&running.wait_with_output().unwrap());
    assert_eq!(told, ["F_SETOWN: ENOTCAPABLE", "FIOSETOWN: ENOTCAPABLE"]);
    fixture.nothing_is_left();
}

/// Each number that is in use, as the service itself asks the kernel and as the host sees it, is one of the
/// plan's, and each of the plan's is in use for what it says.
#[test]
fn a_service_has_exactly_the_descriptors_of_its_plan() {
    let shim = crate::shim::has_shim("a_service_has_exactly_the_descriptors, with the shim");
    for more in ["", "preopen = true\n"]
        .into_iter()
        .filter(|more| shim || more.is_empty())
    {
        let fixture = enforced("numbers", more);
        let mut planned = fixture.planned();
        if !more.is_empty() {
            // The shim has the socket a second time, for when the program takes its number (see preopen).
            planned.push((planned[planned.len() - 1].0 + 1, String::new()));
        }
        // Standard descriptors, the socket, and what the program doesn't know.
        let low: Vec<i32> = planned
            .iter()
            .map(|(fd, _)| *fd)
            .filter(|fd| *fd < 900)
            .collect();
        assert_eq!(low, [0, 1, 2, 3]);
        let mut running = fixture.command(&[]).stdout(Stdio::piped()).spawn().unwrap();
        let mut told = String::new();
        let mut lines = BufReader::new(running.stdout.take().unwrap());
        while !told.contains("> all") {
            assert_ne!(lines.read_line(&mut told).unwrap(), 0, "{told}");
        }
        let lines = told.lines().filter_map(|line| line.split_once("> "));
        let own: Vec<&str> = lines.map(|(_, line)| line).collect();
        let mut expected: Vec<String> = planned.iter().map(|(fd, _)| format!("{fd} 0")).collect();
        expected.push("all".to_string());
        assert_eq!(own, expected);
        let list = sh(&format!("procstat -f $(pgrep -j {} .)", fixture.jail()));
        let rows = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        // Number and kind of file: directories and, with the shim, files.
        let seen: Vec<(i32, bool)> = rows
            .filter_map(|row| Some((row[2].parse().ok()?, row[4] == "d")))
            .filter(|(fd, _)| *fd >= 0)
            .collect();
        let is_file = |path: &String| path.contains("ld-elf.so") || path.contains("preopen.so");
        let expected: Vec<(i32, bool)> = planned
            .iter()
            .map(|(fd, path)| (*fd, path.starts_with('/') && !is_file(path)))
            .collect();
        assert_eq!(seen, expected, "{list}");
        sh(&format!("kill {}", running.id()));
        assert!(!running.wait().unwrap().success());
        fixture.nothing_is_left();
    }
}
