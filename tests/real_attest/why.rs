//! `jailrunctl why` of instances that run: each kind of reason, and that each line which is proposed
//! grants what was asked. tests/why.rs has the words.

use crate::amended::{amended, proposed};
use crate::fixture::{INSTALLED, PROFILES, alone, ctl, sh, world};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

const NAME: &str = "jrtest-why";
const PLACE: &str = "/srv/jrtest-why";

const PROFILE: &str = r#"program = "/bin/sh"
args = ["-c", "sleep 1000"]
user = "www"
[root]
programs = ["/bin/sleep"]
ro = ["/srv/jrtest-why/site"]
rw = [{ path = "/srv/jrtest-why/data", noexec = true, nosymfollow = true }]
tmpfs = [{ path = "/tmp", size = "1m", mode = "0755", noexec = true }]
mask = ["/srv/jrtest-why/site/keys"]
devices = ["null"]
[root.files]
"/etc/resolv.conf" = "nameserver 127.0.0.1\n"
[jail]
ip4.addr = ["lo0|127.0.0.80/32"]
allow = ["chflags"]
[[listen]]
name = "http"
proto = "tcp"
addr = "127.0.0.80:80"
[capsicum]
mode = "off"
"#;

const GRANTED: &[&str] = &[
    "/bin/sh",
    "/bin/sh --exec",
    "/lib/libc.so.7",
    "/",
    "/dev/null --write",
    "/etc/resolv.conf",
    "/srv/jrtest-why/site",
    "/srv/jrtest-why/site/index",
    "/srv/jrtest-why/site/here",
    "/srv/jrtest-why/data/new --write",
    "tcp:127.0.0.80:80",
    "tcp:127.0.0.80:8080",
    "udp:0.0.0.0:8080",
    "tcp:127.0.0.80:80 --connect",
    "allow.chflags",
];

/// What is missing, and the line; "" where there is none, and then a piece of the words.
const MISSING: &[(&str, &str, &str)] = &[
    ("/srv/jrtest-why/site/index --write", "", "is read-only"),
    ("/srv/jrtest-why/site/private", "", "may not read"),
    (
        "/srv/jrtest-why/site/closed/x",
        "",
        "may not look up names in",
    ),
    ("/srv/jrtest-why/site/staff", "groups = [\"staff\"]", ""),
    ("/srv/jrtest-why/site/keys/x", "mask = []", ""),
    (
        "/srv/jrtest-why/data/script --exec",
        "rw = [{ path = \"/srv/jrtest-why/data\", nosymfollow = true }]",
        "",
    ),
    (
        "/srv/jrtest-why/data/own",
        "rw = [{ path = \"/srv/jrtest-why/data\", noexec = true }]",
        "",
    ),
    (
        "/tmp/x --write",
        "tmpfs = [{ path = \"/tmp\", size = \"1048576\", mode = \"0755\", owner = \"www\", noexec = true }]",
        "",
    ),
    (
        "/srv/jrtest-why/other",
        "ro = [\"/srv/jrtest-why/other\"]",
        "",
    ),
    (
        "/srv/jrtest-why/site/link",
        "ro = [\"/srv/jrtest-why/other/file\"]",
        "",
    ),
    ("/srv/jrtest-why/site/round", "", "too many links"),
    ("/srv/jrtest-why/site/index/x", "", "is no directory"),
    ("/srv/jrtest-why/site/absent", "", "which hasn't it either"),
    ("/etc/hosts", "\"/etc/hosts\" = \"host\"", ""),
    ("/etc/passwd", "\"/etc/passwd\" = \"synthetic\"", ""),
    ("/etc/master.passwd", "", "of no use to www"),
    ("/etc/jrtest-absent", "\"/etc/jrtest-absent\" = \"\"", ""),
    ("/usr/bin/id --exec", "programs = [\"/usr/bin/id\"]", ""),
    ("/lib/libm.so.5", "libraries = [\"/lib/libm.so.5\"]", ""),
    ("/var/run/log", "sockets = [\"syslog\"]", ""),
    (
        "/srv/jrtest-why/run/socket",
        "sockets = [\"/srv/jrtest-why/run\"]",
        "",
    ),
    ("/dev/zero", "devices = [\"zero\"]", ""),
    ("/dev/jrtest", "", "the host has no such device"),
    (
        "/srv/jrtest-why/more/x --write",
        "rw = [\"/srv/jrtest-why/more\"]",
        "",
    ),
    (
        "/var/run/www.pid --write",
        "tmpfs = [{ path = \"/var/run\", size = \"16m\", owner = \"www\" }]",
        "",
    ),
    (
        "tcp:127.0.0.80:443",
        "name = \"tcp-443\"\nproto = \"tcp\"\naddr = \"127.0.0.80:443\"",
        "",
    ),
    ("tcp:127.0.0.1:8080", "ip4.addr = [\"127.0.0.1/32\"]", ""),
    (
        "tcp:127.0.0.1:80 --connect",
        "ip4.addr = [\"127.0.0.1/32\"]",
        "",
    ),
    (
        "udp:10.99.0.1:8080 --bind",
        "ip4.addr = [\"lo0|10.99.0.1/32\"]",
        "",
    ),
    ("tcp:[::1]:8080", "ip6.addr = [\"::1/128\"]", ""),
    ("allow.raw_sockets", "allow = [\"raw_sockets\"]", ""),
    ("allow.set_hostname", "allow = [\"set_hostname\"]", ""),
    ("allow.mount.nullfs", "", "no profile gives it"),
];

fn prepare() {
    let said = sh(&format!(
        "rm -rf {PLACE}; mkdir -p {PLACE}/site/keys {PLACE}/site/closed {PLACE}/other {PLACE}/run; cd {PLACE}; \
         install -d -o www -g www -m 0750 data more; \
         for file in site/index site/private site/staff site/keys/x site/closed/x other/file; do echo > $file; done; \
         chmod 600 site/private; chmod 700 site/closed; chgrp staff site/staff; chmod 640 site/staff; \
         ln -s index site/here; ln -s {PLACE}/other/file site/link; ln -s round site/round; \
         ln -s script data/own; printf '#!/bin/sh\\n' > data/script; chmod 755 data/script; chown -h www data/*"
    ));
    assert_eq!(said, "");
}

fn start(profile: &str) {
    std::fs::write(format!("{PROFILES}/{NAME}.toml"), profile).unwrap();
    let mut start = Command::new(INSTALLED);
    let said = start
        .args(["-d", NAME])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(said.status.success(), "{profile}{said:?}");
}

fn stop() {
    assert!(ctl(&["stop", NAME]).status.success());
}

fn ask(question: &str) -> (i32, String) {
    let words: Vec<&str> = ["why", NAME]
        .into_iter()
        .chain(question.split(' '))
        .collect();
    let said = ctl(&words);
    let text = [said.stdout, said.stderr].concat();
    (
        said.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn end() {
    sh(&format!("rm -rf {PLACE} {PROFILES}/{NAME}.toml"));
}

#[test]
fn why_tells_what_is_missing_and_each_line_that_it_proposes_grants_it() {
    let _alone = alone();
    prepare();
    let path = format!("{PLACE}/run/socket");
    let socket = UnixListener::bind(&path).unwrap();
    sh(&format!("chmod 777 {path}"));
    start(PROFILE);
    let before = world();
    for question in GRANTED {
        let (status, said) = ask(question);
        assert_eq!(status, 0, "{said}");
        assert!(said.contains(": granted: "), "{said}");
    }
    let answers: Vec<(i32, String)> = MISSING.iter().map(|(question, ..)| ask(question)).collect();
    assert_eq!(world(), before, "who asks changes nothing");
    stop();
    let mut tried = 0;
    for ((question, line, piece), (status, said)) in MISSING.iter().zip(answers) {
        assert_eq!(status, 1, "{said}");
        assert!(
            said.contains(": missing: ") && said.contains(piece),
            "{said}"
        );
        let proposed = proposed(&said);
        let text = proposed.as_ref().map_or("", |(_, text, _)| text.as_str());
        assert_eq!(text, *line, "{question}: {said}");
        let Some((table, text, is_more)) = proposed else {
            continue;
        };
        start(&amended(PROFILE, &table, &text, is_more));
        let (status, said) = ask(question);
        stop();
        assert_eq!(status, 0, "{question}: {text}: {said}");
        tried += 1;
    }
    assert!(tried > 20, "{tried} lines prove little");
    drop(socket);
    end();
}

#[test]
fn a_socket_in_a_directory_that_is_only_read_is_named_with_the_table_it_belongs_to() {
    let _alone = alone();
    prepare();
    let path = format!("{PLACE}/run/socket");
    let socket = UnixListener::bind(&path).unwrap();
    sh(&format!("chmod 777 {path}"));
    let shown = PROFILE.replace("why/site\"]", "why/site\", \"/srv/jrtest-why/run\"]");
    start(&shown);
    let (status, said) = ask(&path);
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("isn't in sockets rather than in ro"),
        "{said}"
    );
    // Whoever listened notices nothing: nothing is accepted.
    socket.set_nonblocking(true).unwrap();
    assert!(socket.accept().is_err());
    drop(socket);
    let (status, said) = ask(&path);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("nobody listens at the socket"), "{said}");
    stop();
    end();
}

#[test]
fn nothing_is_proposed_for_where_a_link_of_the_services_leads() {
    let _alone = alone();
    prepare();
    let writes = PROFILE.replace(", nosymfollow = true", "");
    sh(&format!("ln -s {PLACE}/other/file {PLACE}/data/planted"));
    start(&writes);
    let (status, said) = ask(&format!("{PLACE}/data/planted"));
    stop();
    assert_eq!(status, 1);
    assert!(said.contains("nothing is proposed"), "{said}");
    assert_eq!(proposed(&said), None);
    end();
}

#[test]
fn in_capability_mode_why_tells_what_descriptors_grant() {
    let _alone = alone();
    prepare();
    let enforced = |more: &str| {
        let profile = PROFILE.replace("\"/bin/sh\"", "\"/bin/sleep\"");
        // Names are looked up by nobody in capability mode, and the profile may not pretend it.
        let profile = profile.replace("/etc/resolv.conf", "/etc/motd");
        let profile = profile.replace("[\"-c\", \"sleep 1000\"]", "[\"1000\"]");
        profile.replace("mode = \"off\"", &format!("mode = \"enforce\"\n{more}"))
    };
    start(&enforced(""));
    let index = format!("{PLACE}/site/index");
    let (status, said) = ask(&index);
    assert_eq!(
        (
            status,
            said.contains("\n    [capsicum]\n    preopen = true\n")
        ),
        (1, true),
        "{said}"
    );
    let (status, said) = ask("tcp:127.0.0.80:8080");
    assert_eq!(
        (status, said.contains("\n    [[listen]]\n")),
        (1, true),
        "{said}"
    );
    let (status, said) = ask("tcp:127.0.0.80:8080 --connect");
    assert_eq!(
        (status, said.contains("\n    mode = \"off\"\n")),
        (1, true),
        "{said}"
    );
    let (status, said) = ask("tcp:127.0.0.80:80");
    assert_eq!(status, 0, "{said}");
    stop();
    let Ok(built) = std::env::var("JAILRUN_PREOPEN") else {
        println!(
            "SKIP in_capability_mode_why_tells: the half with a library needs JAILRUN_PREOPEN"
        );
        return end();
    };
    let place = format!("{}/lib/jailrun", jailrun::run::PREFIX);
    sh(&format!(
        "mkdir -p {place} && install -m 444 {built} {place}/libjailrun_preopen.so"
    ));
    start(&enforced("preopen = true"));
    for (question, words) in [
        (index.clone(), "everything, to read and execute"),
        (
            format!("{PLACE}/data/new --write"),
            "jrtest-why/data, to write",
        ),
        ("/dev/null".to_string(), "devices in /dev"),
    ] {
        let (status, said) = ask(&question);
        assert_eq!(status, 0, "{said}");
        assert!(
            said.contains("in capability mode by descriptor ") && said.contains(words),
            "{said}"
        );
    }
    stop();
    end();
}

#[test]
fn only_root_asks_why_and_hears_of_what_is_not_there() {
    let _alone = alone();
    let program = std::env::var("JAILRUNCTL_BIN")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrunctl").to_string());
    sh(&format!(
        "install -m 555 {program} /usr/local/bin/jrtest-ctl"
    ));
    let said = sh(
        "su -m nobody -c '/usr/local/bin/jrtest-ctl why jrtest-why /etc/master.passwd 2>&1'; echo $?",
    );
    sh("rm /usr/local/bin/jrtest-ctl");
    assert_eq!(said, "jailrunctl: why: only for root\n77");
    let (status, said) = ask("/etc/hosts");
    assert_eq!(
        (status, said.as_str()),
        (
            64,
            "jailrunctl: jrtest-why: the instance jrtest-why isn't running\n"
        )
    );
}
