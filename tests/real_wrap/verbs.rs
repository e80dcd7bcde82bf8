//! Each verb of service(8) with and without jailrun, for services as they come.

use crate::fixture::{CRON, Host, INETD, MEMCACHED, NGINX, REDIS, RPCBIND};
use crate::installed::{Said, ctl};

/// In this order: stopped, running, and stopped again. What a script doesn't know is refused alike.
const ROUND: [&str; 21] = [
    "rcvar",
    "status",
    "stop",
    "reload",
    "configtest",
    "start",
    "status",
    "start",
    "onestart",
    "configtest",
    "reload",
    "restart",
    "status",
    "onestop",
    "onestart",
    "onestatus",
    "stop",
    "faststart",
    "status",
    "faststop",
    "status",
];

/// What rpcbind says in a jail that may neither load the kernel's RPC nor ask whether it is there, as on kernels
/// that ask PRIV_KLD_STAT of modfind(2); its profile tells of it.
const NO_MODULE: &str = "rpcbind: failed to load krpc module";

/// Pids differ, how often the wait for one is told, and, as `wrap` says, where it is looked for in a
/// directory of the daemon's own.
fn kind(host: &Host, said: &Said, program: &str) -> String {
    let name = program.rsplit('/').next().unwrap_or_default();
    let name = name.trim_end_matches("-server");
    let own = format!("/var/run/{name}/{name}.pid");
    let text = said.text.replace(&host.link(), program);
    let text = text.replace(&own, &format!("/var/run/{name}.pid"));
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("Waiting for PIDS") && !line.starts_with(NO_MODULE));
    let mut kind = format!("{}", said.status);
    for line in lines {
        kind.push('\n');
        let mut before = ' ';
        for letter in line.chars() {
            match (before.is_ascii_digit(), letter.is_ascii_digit()) {
                (true, true) => {}
                (false, true) => kind.push('#'),
                _ => kind.push(letter),
            }
            before = letter;
        }
    }
    kind
}

fn round(host: &Host, program: &str, is_jailed: bool) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    for verb in ROUND {
        let said = host.verb(verb);
        if verb == "status" && said.status == 0 {
            assert_eq!(host.inside().is_empty(), !is_jailed, "{}", host.inside());
            let outside = host.outside();
            assert_eq!(outside.is_empty(), is_jailed, "{outside}");
        }
        told.push((verb, kind(host, &said, program)));
    }
    told
}

fn does_the_same_wrapped(host: Option<Host>) {
    let Some(host) = host else {
        return;
    };
    let program = host.program();
    let plain = round(&host, program, false);
    assert!(plain[1].1.starts_with("1\n") && plain[6].1.starts_with("0\n"));
    host.wrap();
    let wrapped = round(&host, program, true);
    assert_eq!(wrapped, plain);
    host.unwrap();
    // And it starts as ever.
    for (verb, status) in [("start", 0), ("status", 0), ("stop", 0), ("status", 1)] {
        assert_eq!(host.verb(verb).status, status, "{verb}");
    }
    host.is_as_installed();
    host.leaves_nothing();
}

#[test]
fn every_verb_for_inetd_is_the_same_with_and_without_jailrun() {
    does_the_same_wrapped(Host::with(&INETD));
}

#[test]
fn every_verb_for_cron_is_the_same_with_and_without_jailrun() {
    does_the_same_wrapped(Host::with(&CRON));
}

#[test]
fn every_verb_for_rpcbind_is_the_same_with_and_without_jailrun() {
    does_the_same_wrapped(Host::with(&RPCBIND));
}

#[test]
fn every_verb_for_nginx_is_the_same_with_and_without_jailrun() {
    does_the_same_wrapped(Host::with(&NGINX));
}

#[test]
fn every_verb_for_redis_is_the_same_with_and_without_jailrun() {
    does_the_same_wrapped(Host::with(&REDIS));
}

/// A script of the shape that memcached's port has.
const PASSES_ON: &str = "#!/bin/sh
# PROVIDE: memcached
# REQUIRE: DAEMON
. /etc/rc.subr
name=memcached
rcvar=memcached_enable
pidfile=/var/run/memcached/memcached.pid
load_rc_config $name
: ${memcached_enable=NO}
: ${memcached_user=nobody}
command=/usr/local/bin/memcached
command_args=\"-d -u ${memcached_user} -P ${pidfile}\"
unset memcached_user
run_rc_command \"$1\"
";

#[test]
fn every_verb_for_a_memcached_that_is_told_its_pidfile_is_the_same_with_and_without_jailrun() {
    does_the_same_wrapped(Host::with_script(&MEMCACHED, Some(PASSES_ON)));
}

#[test]
fn a_script_that_names_its_pidfile_after_its_settings_is_refused_and_nothing_is_written() {
    let (above, below) = PASSES_ON
        .split_once("pidfile=/var/run/memcached/memcached.pid\n")
        .unwrap();
    let pidfile = "\npidfile=/var/run/memcached/memcached.pid\ncommand=";
    let late = format!("{above}{}", below.replacen("\ncommand=", pidfile, 1));
    let Some(host) = Host::with_script(&MEMCACHED, Some(&late)) else {
        return;
    };
    let said = ctl(&["wrap", "memcached"]);
    assert_eq!(said.status, 78, "{}", said.text);
    let words = "the script names its pidfile after it has read its settings: the profile has to say \
                 pidfile = \"/var/run/memcached/memcached.pid\"";
    assert!(said.text.contains(words), "{}", said.text);
    host.is_as_installed();
    host.does("start");
    assert!(!host.outside().is_empty() && host.inside().is_empty());
    host.does("stop");
    host.leaves_nothing();
}
