//! `jailrunctl why` in the simulated kernel, of an instance that runs: each kind of reason with exactly
//! its words and its line. On a real kernel: tests/real_attest/why.rs.
#![allow(clippy::unwrap_used, clippy::panic)]

mod amended;

use amended::{amended, proposed};
use jailrun::ctl::{args, why};
use jailrun::instances::{self, Status};
use jailrun::kernel::{At, Ending, FileKind, Ids, Kernel, Open, Pid, Procctl, signal};
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{
    Behaviour, Description, Descriptor, Faults, Meddler, Report, Sim, Start, World,
};
use jailrun::why::question::{Act, Question, Told, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const PROFILE: &str = r#"program = "/bin/sh"
user = "www"
[root]
closure = "off"
ro = ["/bin", "/srv/site"]
rw = [{ path = "/srv/data", noexec = true }]
tmpfs = [{ path = "/tmp", size = "1m", mode = "0755", noexec = true, nosymfollow = true }]
mask = ["/srv/site/keys", "/srv/site/old"]
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

/// A host with what the questions are about.
fn host(profile: &str) -> World {
    let mut world = World::freebsd();
    let directory = "/usr/local/etc/jailrun/profiles";
    world.dir(directory, 0o755, 0, 0);
    let file = format!("{directory}/www.toml");
    world.file(&file, 0o644, 0, 0, profile.as_bytes());
    let www = world.users.iter().find(|user| user.name == "www").unwrap();
    let (uid, gid) = (www.uid, www.gid);
    for path in [
        "/srv",
        "/srv/site",
        "/srv/site/keys",
        "/srv/site/old",
        "/srv/other",
    ] {
        world.dir(path, 0o755, 0, 0);
    }
    for path in ["/srv/data", "/srv/more", "/var/db/www"] {
        world.dir(path, 0o750, uid, gid);
    }
    world.file("/srv/site/index", 0o644, 0, 0, b"index");
    world.file("/srv/site/keys/x", 0o644, 0, 0, b"x");
    world.file("/srv/site/private", 0o600, 0, 0, b"private");
    world.file("/srv/site/staff", 0o640, 0, 20, b"staff");
    world.groups.insert("staff".to_string(), 20);
    world.file("/srv/other/file", 0o644, 0, 0, b"file");
    world.file("/srv/other/secret", 0o600, 0, 0, b"secret");
    world.file("/srv/data/script", 0o755, uid, gid, b"#!/bin/sh\n");
    world.file("/etc/hosts", 0o644, 0, 0, b"127.0.0.1 localhost\n");
    world.file("/usr/local/bin/tool", 0o755, 0, 0, b"#!/bin/sh\n");
    world.file("/usr/local/lib/libx.so.1", 0o644, 0, 0, b"x");
    world.symlink("/srv/site/link", "/srv/other/file");
    world.symlink("/srv/site/here", "index");
    world.symlink("/srv/site/round", "round");
    world.symlink("/srv/data/planted", "/srv/other/file");
    world.behaviour(
        "/bin/sh",
        Behaviour::ExitAfter {
            milliseconds: 600_000,
            code: 0,
        },
    );
    world
}

/// Starts the instance, acts while it runs, and stops it.
fn while_it_runs(
    world: World,
    faults: Faults,
    act: impl FnOnce(&mut Sim) -> i32 + Send + 'static,
) -> Report {
    Sim::run(world, &Start::root(), faults, move |kernel| {
        let launched = kernel.fork(|kernel: &mut Sim| {
            let request = Request {
                profile: "www".to_string(),
                ..Request::default()
            };
            Err(run(kernel, &request, &BTreeMap::new()).code())
        });
        let supervisor = launched.unwrap();
        await_start(kernel);
        let status = act(kernel);
        end(kernel, supervisor);
        status
    })
}

fn await_start(kernel: &mut Sim) {
    for _ in 0..1000 {
        let listed = instances::one(kernel, "www").unwrap();
        if listed.is_some_and(|listed| listed.status == Status::Running) {
            return;
        }
        kernel.sleep_ms(10);
    }
    panic!("it doesn't start");
}

fn end(kernel: &mut Sim, supervisor: Pid) {
    // One that was killed is there no more.
    let _ = kernel.kill(supervisor, signal::TERM);
    kernel.waitpid(Some(supervisor), true).unwrap();
}

fn ask(kernel: &mut Sim, words: &[String]) -> (i32, String) {
    let words = ["jailrunctl", "why", "www"]
        .map(str::to_string)
        .into_iter()
        .chain(words.iter().cloned());
    let found = args::grammar().try_get_matches_from(words).unwrap();
    let found = found.subcommand().unwrap().1.clone();
    let mut out = Vec::new();
    match why::on::run(kernel, &found, &mut out) {
        Ok(status) => (status, String::from_utf8(out).unwrap()),
        Err(trouble) => (trouble.status, format!("{}\n", trouble.words)),
    }
}

/// What is said of each question, of one instance.
fn answers(profile: &str, questions: &[&str]) -> Vec<(i32, String)> {
    let world = host(profile);
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&said);
    let questions: Vec<Vec<String>> = questions
        .iter()
        .map(|line| line.split(' ').map(str::to_string).collect())
        .collect();
    let report = while_it_runs(world, Faults::none(), move |kernel| {
        for words in &questions {
            let answer = ask(kernel, words);
            told.lock().unwrap().push(answer);
        }
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
    said.lock().unwrap().clone()
}

/// Each question, and all that is said behind the instance and what was asked.
const GRANTED: &[(&str, &str)] = &[
    ("/bin/sh", "granted: in /bin (directory: read-only), by ro"),
    (
        "/bin/sh --exec",
        "granted: in /bin (directory: read-only), by ro",
    ),
    (
        "/srv/site/index",
        "granted: in /srv/site (directory: read-only), by ro",
    ),
    (
        "/srv/site/here",
        "granted: in /srv/site (directory: read-only), by ro",
    ),
    (
        "/etc/resolv.conf",
        "granted: /etc/resolv.conf (made: 21 bytes, mode 0444, 0:0), by files",
    ),
    (
        "/srv/data --write",
        "granted: /srv/data (directory: writable, noexec), by rw",
    ),
    (
        "/srv/data/new --write",
        "granted: /srv/data/new can be made there: /srv/data (directory: writable, noexec), by rw",
    ),
    (
        "/dev/null",
        "granted: in /dev (devfs: ruleset 18944), by devices",
    ),
    ("/", "granted: it is the jail's root"),
    (
        "/srv/data/script",
        "granted: in /srv/data (directory: writable, noexec), by rw",
    ),
    (
        "tcp:127.0.0.80:80",
        "granted: [[listen]] \"http\" is bound there: the service has it as descriptor 3",
    ),
    ("tcp:127.0.0.80:8080", "granted: ip4.addr lists 127.0.0.80"),
    (
        "tcp:127.0.0.80:80 --connect",
        "granted: it would come from 127.0.0.80: ip4.addr lists 127.0.0.80; whether somebody answers isn't tried",
    ),
    ("allow.chflags", "granted: allow lists it"),
];

const MISSING: &[(&str, &str)] = &[
    (
        "/srv/other/100%it",
        "missing: /srv/other/100%it isn't inside, for /srv/other isn't; no profile can name it: %i in a path is the instance's name",
    ),
    (
        "/srv/site/index --write",
        "missing: /srv/site/index is read-only: /srv/site (directory: read-only), by ro; on the host /srv/site/index has owner 0, group 0 and mode 0644: of no use to www, granted or not",
    ),
    (
        "/srv/site/new --write",
        "missing: /srv/site/new isn't inside, and nothing is made in /srv/site, which is read-only; on the host /srv/site has owner 0, group 0 and mode 0755: of no use to www, granted or not",
    ),
    (
        "/etc/resolv.conf --write",
        "missing: /etc/resolv.conf is read-only: /etc/resolv.conf (made: 21 bytes, mode 0444, 0:0), by files; no line of a profile lets it be written",
    ),
    (
        "/srv/site/private",
        "missing: www may not read /srv/site/private (owner 0, group 0, mode 0600); no line of a profile: the host's chown(8) and chmod(1) decide",
    ),
    (
        "/srv/site/staff",
        "missing: www may not read /srv/site/staff (owner 0, group 20, mode 0640)\n    groups = [\"staff\"]",
    ),
    (
        "/srv/site/keys",
        "missing: /srv/site/keys is masked\n    [root]\n    mask = [\"/srv/site/old\"]",
    ),
    (
        "/srv/site/keys/x",
        "missing: /srv/site/keys is masked\n    [root]\n    mask = [\"/srv/site/old\"]",
    ),
    (
        "/srv/data/script --exec",
        "missing: /srv/data/script is in a mount where nothing is executed: /srv/data (directory: writable, noexec), by rw\n    [root]\n    rw = [{ path = \"/srv/data\" }]",
    ),
    (
        "/tmp/x --write",
        "missing: www may not write /tmp (owner 0, group 0, mode 0755)\n    [root]\n    tmpfs = [{ path = \"/tmp\", size = \"1048576\", mode = \"0755\", owner = \"www\", noexec = true, nosymfollow = true }]",
    ),
    (
        "/tmp --write",
        "missing: www may not write /tmp (owner 0, group 0, mode 0755)\n    [root]\n    tmpfs = [{ path = \"/tmp\", size = \"1048576\", mode = \"0755\", owner = \"www\", noexec = true, nosymfollow = true }]",
    ),
    (
        "/srv/other",
        "missing: /srv/other isn't inside\n    [root]\n    ro = [\"/srv/other\"]\nbeside what that key has already",
    ),
    (
        "/srv/other/file",
        "missing: /srv/other/file isn't inside, for /srv/other isn't\n    [root]\n    ro = [\"/srv/other/file\"]\nbeside what that key has already",
    ),
    (
        "/srv/other/secret",
        "missing: /srv/other/secret isn't inside, for /srv/other isn't; on the host /srv/other/secret has owner 0, group 0 and mode 0600: of no use to www, granted or not",
    ),
    (
        "/srv/site/link",
        "missing: the link /srv/site/link leads to /srv/other/file: /srv/other/file isn't inside, for /srv/other isn't\n    [root]\n    ro = [\"/srv/other/file\"]\nbeside what that key has already",
    ),
    (
        "/srv/data/planted",
        "missing: the link /srv/data/planted leads to /srv/other/file: /srv/other/file isn't inside, for /srv/other isn't; /srv/data/planted lies where the service or others write, so that whoever took it over chooses where it leads: nothing is proposed",
    ),
    (
        "/srv/site/round",
        "missing: /srv/site/round: too many links, one leading to the other",
    ),
    (
        "/srv/site/index/x",
        "missing: /srv/site/index is no directory",
    ),
    (
        "/srv/site/absent",
        "missing: /srv/site/absent isn't inside; /srv/site is the host's, which hasn't it either",
    ),
    (
        "/etc/hosts",
        "missing: /etc/hosts isn't inside\n    [root.files]\n    \"/etc/hosts\" = \"host\"\nbeside what that key has already",
    ),
    (
        "/etc/passwd",
        "missing: /etc/passwd isn't inside\n    [root.files]\n    \"/etc/passwd\" = \"synthetic\"\nbeside what that key has already",
    ),
    (
        "/etc/absent",
        "missing: /etc/absent isn't inside; nor on the host: this makes an empty file\n    [root.files]\n    \"/etc/absent\" = \"\"\nbeside what that key has already",
    ),
    (
        "/usr/local/bin/tool",
        "missing: /usr/local/bin/tool isn't inside, for /usr isn't\n    [root]\n    ro = [\"/usr/local/bin/tool\"]\nbeside what that key has already",
    ),
    (
        "/usr/local/bin/tool --exec",
        "missing: /usr/local/bin/tool isn't inside, for /usr isn't\n    [root]\n    ro = [\"/usr/local/bin/tool\"]\nbeside what that key has already",
    ),
    (
        "/usr/local/lib/libx.so.1",
        "missing: /usr/local/lib/libx.so.1 isn't inside, for /usr isn't\n    [root]\n    ro = [\"/usr/local/lib/libx.so.1\"]\nbeside what that key has already",
    ),
    (
        "/var/run/log",
        "missing: /var/run/log isn't inside, for /var isn't\n    [root]\n    sockets = [\"syslog\"]",
    ),
    (
        "/dev/zero",
        "missing: /dev/zero isn't inside\n    [root]\n    devices = [\"zero\"]\nbeside what that key has already",
    ),
    (
        "/dev/nothing",
        "missing: /dev/nothing isn't inside; the host has no such device",
    ),
    (
        "/srv/more --write",
        "missing: /srv/more isn't inside, and nothing is made in /srv, which is read-only\n    [root]\n    rw = [\"/srv/more\"]\nbeside what that key has already",
    ),
    (
        "/srv/more/x --write",
        "missing: /srv/more/x isn't inside, for /srv/more isn't\n    [root]\n    rw = [\"/srv/more\"]\nbeside what that key has already",
    ),
    (
        "/var/db/www --write",
        "missing: /var/db/www isn't inside, for /var isn't\n    [root]\n    rw = [\"/var/db/www\"]\nbeside what that key has already",
    ),
    (
        "/usr/x --write",
        "missing: /usr/x isn't inside, for /usr isn't; a tmpfs in the place of /usr is the service's own\n    [root]\n    tmpfs = [{ path = \"/usr\", size = \"16m\", owner = \"www\" }]\nbeside what that key has already",
    ),
    (
        "/var/run/www.pid --write",
        "missing: /var/run/www.pid isn't inside, for /var isn't; a tmpfs in the place of /var/run is the service's own\n    [root]\n    tmpfs = [{ path = \"/var/run\", size = \"16m\", owner = \"www\" }]\nbeside what that key has already",
    ),
    (
        "/x --write",
        "missing: /x isn't inside, and nothing is made in /, which is read-only; the root itself is never writable",
    ),
    (
        "/etc/master.passwd",
        "missing: /etc/master.passwd isn't inside; on the host /etc/master.passwd has owner 0, group 0 and mode 0600: of no use to www, granted or not",
    ),
    ("/bin --exec", "missing: /bin is no program"),
    (
        "tcp:127.0.0.80:443",
        "missing: port 443 is for root, and the service is www\n    [[listen]]\n    name = \"tcp-443\"\n    proto = \"tcp\"\n    addr = \"127.0.0.80:443\"",
    ),
    (
        "tcp:127.0.0.1:8080",
        "missing: the jail hasn't 127.0.0.1: the kernel gives it 127.0.0.80 in its place\n    [jail]\n    ip4.addr = [\"127.0.0.1/32\"]\nbeside what that key has already",
    ),
    (
        "tcp:10.1.2.3:8080 --bind",
        "missing: the jail hasn't the address 10.1.2.3\n    [jail]\n    ip4.addr = [\"lo0|10.1.2.3/32\"]\nbeside what that key has already",
    ),
    (
        "udp:127.0.0.80:53",
        "missing: port 53 is for root, and the service is www\n    [[listen]]\n    name = \"udp-53\"\n    proto = \"udp\"\n    addr = \"127.0.0.80:53\"",
    ),
    (
        "tcp:[::1]:8080",
        "missing: the jail has no IPv6 at all\n    [jail]\n    ip6.addr = [\"lo0|::1/128\"]",
    ),
    (
        "tcp:127.0.0.1:80 --connect",
        "missing: the jail hasn't 127.0.0.1: the kernel leads it to 127.0.0.80, its own\n    [jail]\n    ip4.addr = [\"127.0.0.1/32\"]\nbeside what that key has already",
    ),
    (
        "tcp:192.0.2.1:80",
        "missing: it would come from 127.0.0.80, which leaves no host\n    [jail]\n    ip4.addr = [\"192.0.2.10/32\"]\nbeside what that key has already",
    ),
    (
        "tcp:[2001:db8::1]:80",
        "missing: the jail has no IPv6 at all",
    ),
    (
        "allow.raw_sockets",
        "missing: the jail hasn't it: allow doesn't list it\n    [jail]\n    allow = [\"raw_sockets\"]\nbeside what that key has already",
    ),
    (
        "allow.mount.nullfs",
        "missing: the jail hasn't it, and no profile gives it: \"mount.nullfs\" is not supported yet",
    ),
    (
        "allow.suser",
        "missing: the jail hasn't it: allow doesn't list it\n    [jail]\n    allow = [\"suser\"]\nbeside what that key has already",
    ),
];

fn questions(table: &[(&'static str, &str)]) -> Vec<&'static str> {
    table.iter().map(|(question, _)| *question).collect()
}

fn expected(question: &str, said: &str) -> String {
    let asked = question.split(' ').next().unwrap();
    format!("www: {asked}: {said}\n")
}

#[test]
fn what_is_granted_is_said_with_its_reason() {
    let said = answers(PROFILE, &questions(GRANTED));
    for ((question, words), answer) in GRANTED.iter().zip(said) {
        assert_eq!(answer, (0, expected(question, words)));
    }
}

#[test]
fn what_is_missing_is_said_with_the_line_that_grants_it() {
    let said = answers(PROFILE, &questions(MISSING));
    for ((question, words), answer) in MISSING.iter().zip(said) {
        assert_eq!(answer, (1, expected(question, words)));
    }
}

#[test]
fn each_line_that_is_proposed_grants_what_was_asked() {
    let mut seen = 0;
    for (question, words) in MISSING {
        let Some((table, line, is_more)) = proposed(&expected(question, words)) else {
            continue;
        };
        let profile = amended(PROFILE, &table, &line, is_more);
        let (status, said) = answers(&profile, &[question]).remove(0);
        assert_eq!(status, 0, "{question}: {line}: {said}");
        seen += 1;
    }
    assert!(seen > 20, "{seen} lines prove little");
}

#[test]
fn words_that_make_no_sense_or_could_deceive_a_terminal_are_refused_before_anybody_is_asked() {
    let long = format!("/{}", "x".repeat(1100));
    let cases = [
        (
            "etc/hosts",
            "\"etc/hosts\" is no absolute path, tcp:ADDR:PORT, udp:ADDR:PORT or allow.FLAG",
        ),
        (
            "",
            "\"\" is no absolute path, tcp:ADDR:PORT, udp:ADDR:PORT or allow.FLAG",
        ),
        (
            "/a\u{1b}[2J",
            "the path \"/a\\u{1b}[2J\" has a control character",
        ),
        ("/a\nb", "the path \"/a\\nb\" has a control character"),
        (
            "tcp:localhost:80",
            "\"localhost:80\" is no address and port, as in 10.0.0.80:80 or [::1]:80",
        ),
        ("tcp:10.0.0.80:0", "\"10.0.0.80:0\": port 0 is no port"),
        (
            "udp:[::ffff:10.0.0.1]:53",
            "\"[::ffff:10.0.0.1]:53\": write an IPv4 address as one",
        ),
        ("allow.", "\"allow.\" is no parameter of a jail"),
        (
            "allow.raw sockets",
            "\"allow.raw sockets\" is no parameter of a jail",
        ),
        (
            "allow.a\u{7}",
            "\"allow.a\\u{7}\" is no parameter of a jail",
        ),
    ];
    for (word, words) in cases {
        assert_eq!(
            Question::read(word, Told::default()),
            Err(words.to_string())
        );
    }
    assert!(
        Question::read(&long, Told::default())
            .unwrap_err()
            .ends_with("is longer than 1023 bytes")
    );
    let wish = Told {
        wish: Some(Wish::Write),
        act: None,
    };
    for word in ["tcp:10.0.0.80:80", "allow.mlock"] {
        assert!(Question::read(word, wish).is_err(), "{word}");
    }
    let act = Told {
        wish: None,
        act: Some(Act::Bind),
    };
    for word in ["/etc", "allow.mlock"] {
        assert!(Question::read(word, act).is_err(), "{word}");
    }
}

#[test]
fn names_that_the_service_made_reach_no_terminal_as_they_are() {
    let mut world = host(PROFILE);
    world.symlink("/srv/data/evil", "/srv/\u{1b}[2Jgone\nwww: /: granted");
    let said = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&said);
    let report = while_it_runs(world, Faults::none(), move |kernel| {
        let (status, answer) = ask(kernel, &["/srv/data/evil".to_string()]);
        *told.lock().unwrap() = answer;
        status
    });
    assert_eq!(report.ending, Ending::Exited(1));
    let said = said.lock().unwrap().clone();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.trim_end().chars().any(char::is_control), "{said}");
    assert!(said.contains("\\u{1b}[2Jgone\\nwww: /: granted"), "{said}");
}

/// Nobody runs, somebody else asks, or the profile has changed since.
#[test]
fn only_root_asks_and_only_what_runs_as_the_profile_says() {
    let asked = |world: World, ids: Ids| {
        let told = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&told);
        let report = Sim::run(world, &Start::root(), Faults::none(), move |kernel| {
            kernel.setresuid(ids).unwrap();
            let (status, answer) = ask(kernel, &["/bin/sh".to_string()]);
            *heard.lock().unwrap() = answer;
            status
        });
        let told = told.lock().unwrap().clone();
        (report.ending, told)
    };
    assert_eq!(
        asked(host(PROFILE), Ids::all(1001)),
        (Ending::Exited(77), "why: only for root\n".to_string())
    );
    assert_eq!(
        asked(host(PROFILE), Ids::all(0)),
        (
            Ending::Exited(64),
            "www: the instance www isn't running\n".to_string()
        )
    );
    let report = while_it_runs(host(PROFILE), Faults::none(), |kernel| {
        let path = "/usr/local/etc/jailrun/profiles/www.toml";
        let file = kernel.openat(At::Cwd, path, Open::ReadWriteCreate(0o644));
        let file = file.unwrap();
        kernel.ftruncate(file, 0).unwrap();
        let other = PROFILE.replace("\"/bin\", ", "");
        kernel.write(file, other.as_bytes()).unwrap();
        kernel.close(file).unwrap();
        ask(kernel, &["/bin/sh".to_string()]).0
    });
    assert_eq!(report.ending, Ending::Exited(75));
}

/// Its supervisor is killed at each call that an answer is made of, and the jail goes with it.
#[test]
fn an_instance_that_goes_while_it_is_asked_is_told_of_or_said_to_be_gone() {
    let asking = |faults| {
        while_it_runs(host(PROFILE), faults, |kernel| {
            kernel.complain("asking");
            let (status, said) = ask(kernel, &["/srv/site/link".to_string()]);
            kernel.complain(&format!("said {said}"));
            status
        })
    };
    let calm = asking(Faults::none());
    let complaints = calm.calls.iter().filter(|call| call.name == "complain");
    let numbers: Vec<u64> = complaints.map(|call| call.number).collect();
    let [first, last] = numbers[..] else {
        panic!("{numbers:?}")
    };
    assert!(last - first > 100, "{numbers:?}");
    let forked = calm.calls.iter().filter(|call| call.pid != calm.pid);
    let supervisor = forked.map(|call| call.pid).min().unwrap();
    let mut statuses = BTreeSet::new();
    for call in (first + 1..last).step_by(3) {
        let kill: Meddler = Arc::new(move |world: &mut World| {
            world.deliver(supervisor, signal::KILL);
        });
        let report = asking(Faults::none().meddle(call, kill));
        assert!(
            report.stuck.is_empty(),
            "call {call}: somebody waits for ever"
        );
        let Ending::Exited(status) = report.ending else {
            panic!("call {call}: {:?}", report.ending)
        };
        statuses.insert(status);
    }
    // Missing as before; no such instance; it ended while it was asked.
    assert_eq!(statuses, [1, 64, 71].into());
}

/// Whoever is root inside traces what comes in, and with the descriptor anybody changes the jail.
#[test]
fn nobody_inside_can_trace_a_process_that_comes_with_the_jails_descriptor() {
    let asking = |faults| {
        while_it_runs(host(PROFILE), faults, |kernel| {
            ask(kernel, &["/srv/site/index".to_string()]).0
        })
    };
    let calm = asking(Faults::none());
    let attached = calm
        .calls
        .iter()
        .filter(|call| call.name == "jail_attach_jd");
    let attached: Vec<u64> = attached.map(|call| call.number).collect();
    assert_eq!(attached.len(), 1, "{attached:?}");
    let seen = Arc::new(Mutex::new((0, 0)));
    let mut faults = Faults::none();
    for call in attached[0]..attached[0] + 8 {
        let seen = Arc::clone(&seen);
        let look: Meddler = Arc::new(move |world: &mut World| {
            for process in world.processes.values().filter(|one| one.jail.is_some()) {
                let is_jail = |fd: &Descriptor| {
                    let what = world.descriptions.get(&fd.description);
                    matches!(what, Some(Description::Jail { .. }))
                };
                if process.fds.values().any(is_jail) {
                    let mut seen = seen.lock().unwrap();
                    seen.0 += 1;
                    seen.1 += i32::from(!process.procctls.contains(&Procctl::NoTrace));
                }
            }
        });
        faults = faults.meddle(call, look);
    }
    assert_eq!(asking(faults).ending, Ending::Exited(0));
    let (held, traceable) = *seen.lock().unwrap();
    assert!(held > 0);
    assert_eq!(traceable, 0);
}

/// What the service's links lead to, as it is refused: masked, for a group, read-only; and a link on the host.
#[test]
fn nothing_is_proposed_for_where_a_planted_link_leads_whatever_refuses_it() {
    let mut world = host(PROFILE);
    let www = world.users.iter().find(|user| user.name == "www").unwrap();
    let (uid, gid) = (www.uid, www.gid);
    world.dir("/srv/site/own", 0o750, uid, gid);
    world.symlink("/srv/data/keys", "/srv/site/keys/x");
    world.symlink("/srv/data/staff", "/srv/site/staff");
    world.symlink("/srv/data/own", "../site/own");
    world.dir("/tmp", 0o1777, 0, 0);
    world.symlink("/tmp/outside", "/srv/other");
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&said);
    let questions = [
        "/srv/data/keys",
        "/srv/data/staff",
        "/srv/data/own --write",
        "/tmp/outside/file",
    ];
    while_it_runs(world, Faults::none(), move |kernel| {
        for line in questions {
            let words: Vec<String> = line.split(' ').map(str::to_string).collect();
            told.lock().unwrap().push(ask(kernel, &words));
        }
        0
    });
    for (question, (status, said)) in questions.iter().zip(&*said.lock().unwrap()) {
        assert_eq!(*status, 1, "{question}: {said}");
        assert_eq!(proposed(said), None, "{question}: {said}");
        assert!(said.contains("nothing is proposed"), "{question}: {said}");
    }
}

/// dev_clone of tun(4) makes an interface, and autofs mounts what is named.
#[test]
fn a_name_in_a_devfs_or_an_autofs_is_never_looked_up() {
    let mut world = host(PROFILE);
    world.dir("/net", 0o755, 0, 0);
    world.mount_devfs("/net");
    let last = world.mounts.last_mut().unwrap();
    last.kind = "autofs".to_string();
    let before = world.clone();
    let report = while_it_runs(world, Faults::none(), |kernel| {
        for path in ["/dev/tun7", "/net/elsewhere/x", "/dev/null"] {
            ask(kernel, &[path.to_string()]);
        }
        0
    });
    assert_eq!(report.ending, Ending::Exited(0));
    let looked = |name: &str| {
        let calls = report.calls.iter();
        calls
            .filter(|call| call.name == "lstatat" && call.detail.contains(name))
            .count()
    };
    assert_eq!((looked("tun7"), looked("elsewhere")), (0, 0));
    assert!(looked("/dev/null") > 0 && before.mounts.iter().any(|mount| mount.kind == "devfs"));
}

#[test]
fn no_directory_is_proposed_for_sockets_where_others_may_make_them() {
    let mut world = host(PROFILE);
    world.dir("/var/shared", 0o1777, 0, 0);
    for path in ["/var/shared/s", "/srv/other/s"] {
        world.file(path, 0o777, 0, 0, b"");
        world.at(path).unwrap().kind = FileKind::Socket;
    }
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&said);
    while_it_runs(world, Faults::none(), move |kernel| {
        for path in ["/var/shared/s", "/srv/other/s"] {
            told.lock().unwrap().push(ask(kernel, &[path.to_string()]));
        }
        0
    });
    let said = said.lock().unwrap();
    let words = "isn't; others may make sockets beside it";
    assert!(
        said[0].1.contains(words) && proposed(&said[0].1).is_none(),
        "{}",
        said[0].1
    );
    let line = proposed(&said[1].1).unwrap();
    assert!(format!("{line:?}").contains("sockets"), "{line:?}");
}
