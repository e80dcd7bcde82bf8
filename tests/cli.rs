//! What the two programs say: golden files in tests/golden (UPDATE_GOLDEN=1 rewrites them). The
//! programs' code runs in this process, so that it is tested wherever the tests run.
#![allow(clippy::unwrap_used)]

use jailrun::ctl;
use jailrun::request::{Asked, Request, parse};
use jailrun::run::run;
use jailrun::sim::sweep::{Remedy, Sweep};
use jailrun::sim::{Sim, Start, World};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The checkout: where cargo, or the runner on another host, says that it is.
fn here(below: &str) -> PathBuf {
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    there
        .map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .join(below)
}

/// The checkout isn't there when a test binary was sent to another host.
fn is_away() -> bool {
    let away = !here("profiles").exists();
    if away {
        println!("SKIP cli: the checkout isn't on this host");
    }
    away
}

/// Status, standard output and standard error of jailrunctl, with paths as seen from the checkout.
fn jailrunctl(words: &[&str]) -> String {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let top = here("").display().to_string();
    let words: Vec<String> = words
        .iter()
        .map(|word| match word.strip_prefix("./") {
            Some(below) => format!("{top}{below}"),
            None => word.to_string(),
        })
        .collect();
    let status = ctl::main(words.iter().map(OsString::from), &mut out, &mut err);
    let text = [out, err]
        .map(|bytes| String::from_utf8(bytes).unwrap())
        .concat();
    format!("{}exit status {status}\n", text.replace(&top, ""))
}

fn is_golden(name: &str, said: &str) {
    let path = here("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, said).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, golden, "{}", path.display());
}

/// Profiles with a program; the others are there to be included.
const RUNNABLE: [&str; 4] = ["fetch", "pkg-script", "shell", "www"];

/// Daemons of packages and filters. Their launches are real ones, in tests/real_daemons; one is rehearsed
/// as well.
const DAEMONS: [&str; 17] = [
    "bc",
    "cron",
    "gzip",
    "inetd",
    "lighttpd",
    "lighttpd-capsicum",
    "memcached",
    "memcached-capsicum",
    "mosquitto",
    "mosquitto-capsicum",
    "nginx",
    "nginx-capsicum",
    "openssl",
    "redis",
    "redis-capsicum",
    "rpcbind",
    "tar",
];

/// The script of a package is that of one that share/host.toml describes.
fn instance(profile: &str) -> &'static [&'static str] {
    match profile {
        "pkg-script" => &["--instance", "example"],
        _ => &[],
    }
}

fn shipped() -> Vec<String> {
    let names = fs::read_dir(here("profiles")).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| Some(file.strip_suffix(".toml")?.to_string()))
        .collect();
    names.sort();
    names
}

#[test]
fn help_is_as_written() {
    if is_away() {
        return;
    }
    is_golden(
        "jailrun-help",
        &jailrun::request::grammar().render_help().to_string(),
    );
    is_golden("jailrunctl-help", &jailrunctl(&["--help"]));
    let grammar = ctl::args::grammar();
    for verb in grammar.get_subcommands().map(|verb| verb.get_name()) {
        is_golden(
            &format!("jailrunctl-{verb}-help"),
            &jailrunctl(&[verb, "--help"]),
        );
    }
}

#[test]
fn every_shipped_profile_is_good_and_its_plan_is_as_written() {
    if is_away() {
        return;
    }
    let mut checks = String::new();
    for name in shipped() {
        let file = format!("./profiles/{name}.toml");
        checks.push_str(&jailrunctl(&[
            "check",
            "--host",
            "./share/host.toml",
            &file,
        ]));
        let said = jailrunctl(&[&["plan"], instance(&name), &[&file]].concat());
        if DAEMONS.contains(&name.as_str()) {
            assert!(said.ends_with("exit status 0\n"), "{said}");
            continue;
        }
        match RUNNABLE.contains(&name.as_str()) {
            true => is_golden(&format!("plan-{name}"), &said),
            false => assert!(said.ends_with("exit status 78\n"), "{said}"),
        }
    }
    is_golden("check-shipped", &checks);
    is_golden("profiles", &jailrunctl(&["profiles", "./profiles"]));
    is_golden(
        "plan-www-json",
        &jailrunctl(&["plan", "--json", "./profiles/www.toml"]),
    );
    for (form, words) in [("", &[][..]), ("-json", &["--json"]), ("-dot", &["--dot"])] {
        let words = [&["plan", "--files", "./profiles/www.toml"], words].concat();
        is_golden(&format!("plan-www-files{form}"), &jailrunctl(&words));
    }
    let graph = jailrunctl(&["plan", "--files", "--dot", "./profiles/shell.toml"]);
    assert!(
        graph.contains("closure = \"off\": nothing is worked out"),
        "{graph}"
    );
    let command = ["plan", "./profiles/shell.toml", "/bin/ls", "-l", "--", "/"];
    is_golden("plan-shell-command", &jailrunctl(&command));
}

#[test]
fn every_shipped_profile_rehearses_without_a_leak_and_its_timeline_is_as_written() {
    if is_away() {
        return;
    }
    for name in RUNNABLE.into_iter().chain(["memcached"]) {
        let file = format!("./profiles/{name}.toml");
        let said = jailrunctl(&[&["rehearse"], instance(name), &[&file]].concat());
        assert!(said.contains("): nothing is left behind; "), "{said}");
        is_golden(&format!("rehearse-{name}"), &without_numbers(&said));
    }
}

#[test]
fn a_profile_in_capability_mode_rehearses_as_planned() {
    if is_away() {
        return;
    }
    let said = jailrunctl(&["rehearse", "./profiles/gzip.toml"]);
    assert!(said.contains("nothing is left behind"), "{said}");
    assert!(said.contains("exit status 0"), "{said}");
}

#[test]
fn a_command_rehearses_without_a_leak_whatever_number_its_jail_has() {
    if is_away() {
        return;
    }
    let said = jailrunctl(&["rehearse", "./profiles/shell.toml", "/bin/ls"]);
    assert!(said.contains("): nothing is left behind; "), "{said}");
}

/// Numbers of calls and mounts change with every call that a launch makes more or less: what is golden
/// is what is done, and in which order.
fn without_numbers(said: &str) -> String {
    let mut text = String::new();
    for line in said.lines() {
        let is_numeric = |letter: char| letter.is_ascii_digit() || " :-".contains(letter);
        let shown = match line.strip_prefix("  ") {
            Some(call) => call.trim_start_matches(is_numeric).to_string(),
            None => line.replace(|letter: char| letter.is_ascii_digit(), ""),
        };
        let shown = match shown.split_once("FSID:") {
            Some((before, after)) => format!("{before}{}", after.trim_start_matches(is_numeric)),
            None => shown,
        };
        text.push_str(&shown);
        text.push('\n');
    }
    text
}

#[test]
fn a_rehearsal_in_a_kernel_that_forgets_to_unmount_says_what_is_left() {
    let profile = "user = \"www\"\nprogram = \"/bin/sh\"\n[root]\nclosure = \"off\"\n\
                   ro = [\"/bin\"]\n[capsicum]\nmode = \"off\"\n";
    let mut world = World::freebsd();
    let [admin, _] = jailrun::run::profile_places();
    world.dir(&admin, 0o755, 0, 0);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, profile.as_bytes());
    let asked = Request {
        profile: "x".to_string(),
        ..Request::default()
    };
    let launch = |kernel: &mut Sim| run(kernel, &asked, &BTreeMap::new()).code();
    let leak_of = |world: &World| {
        let sweep = Sweep {
            world,
            launch: &launch,
            start: &Start::root(),
            objection: &|_| None,
            remedies: &[Remedy::Launch],
        };
        sweep.run().leak
    };
    assert_eq!(leak_of(&world), None);
    world.lies.insert("unmount");
    let leak = leak_of(&world).unwrap();
    assert!(leak.contains("new mount "), "{leak}");
}

#[test]
fn a_broken_profile_gets_all_its_errors_as_text_and_as_json() {
    if is_away() {
        return;
    }
    let bad = "./tests/profiles/bad/sizes.toml";
    is_golden("check-bad", &jailrunctl(&["check", bad]));
    is_golden("check-bad-json", &jailrunctl(&["check", "--json", bad]));
    let said = jailrunctl(&["plan", bad]);
    assert!(
        said.starts_with("jailrunctl: sizes:\ntests/profiles/bad/sizes.toml:"),
        "{said}"
    );
    assert!(said.ends_with("exit status 78\n"), "{said}");
}

#[test]
fn a_description_of_a_host_says_nothing_that_is_not_read() {
    if is_away() {
        return;
    }
    let file = std::env::temp_dir().join(format!("jailrun-host-{}.toml", std::process::id()));
    for (text, why) in [
        (
            "[[file]]\npath = \"/a\"\nonwer = 1",
            "file: the one with number 1: \"onwer\" is none of path, mode, uid, gid, needs, runs",
        ),
        (
            "[[files]]\npath = \"/a\"",
            "files: is no part of a description",
        ),
        ("sysctl = 1", "sysctl: is no part of a description"),
        (
            "[sysctl]\nx = true",
            "sysctl: x is neither text nor a number",
        ),
        ("file = [1]", "file: a list of tables is wanted"),
        (
            "[[file]]\npath = \"a\"",
            "file: the one with number 1: path \"a\" isn't absolute",
        ),
        (
            "[[file]]\nmode = \"644\"",
            "file: the one with number 1: path is missing",
        ),
        (
            "[[file]]\npath = \"/a\"\nmode = 644",
            "file: the one with number 1: mode is a text",
        ),
        (
            "[[file]]\npath = \"/a\"\nmode = \"9\"",
            "file: the one with number 1: mode is an octal number in a text",
        ),
        (
            "[[file]]\npath = \"/a\"\nneeds = [1]",
            "file: the one with number 1: needs is a list of libraries",
        ),
        (
            "[[file]]\npath = \"/a\"\nruns = \"well\"",
            "file: the one with number 1: runs \"well\": \"for a second\", \"in the background\" or \"until a signal\"",
        ),
        (
            "[[user]]\nname = \"x\"\nuid = -1",
            "user: the one with number 1: uid is a number",
        ),
        (
            "[[user]]\nname = \"x\"",
            "user: the one with number 1: uid is missing",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        let said = jailrunctl(&["plan", "--host", path, "./profiles/shell.toml"]);
        assert_eq!(said, format!("jailrunctl: {path}: {why}\nexit status 78\n"));
    }
    fs::write(&file, "x = [").unwrap();
    let said = jailrunctl(&[
        "plan",
        "--host",
        file.to_str().unwrap(),
        "./profiles/shell.toml",
    ]);
    assert!(
        said.contains(".toml:1: ") && said.ends_with("exit status 78\n"),
        "{said}"
    );
    fs::remove_file(&file).unwrap();
}

#[test]
fn completions_name_every_verb() {
    for shell in ctl::args::SHELLS {
        let said = jailrunctl(&["completions", shell]);
        for verb in ctl::args::grammar().get_subcommands() {
            assert!(
                said.contains(verb.get_name()),
                "{shell}: {}",
                verb.get_name()
            );
        }
    }
}

#[test]
fn output_that_nobody_reads_ends_it_in_silence() {
    if is_away() {
        return;
    }
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut err = Vec::new();
    let file = here("profiles/base.toml").display().to_string();
    let words = ["check", &file].map(OsString::from);
    assert_eq!(ctl::main(words, &mut Closed, &mut err), 141);
    assert_eq!(err, b"");
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line_with_the_status_of_the_manual() {
    if is_away() {
        return;
    }
    let mut all = String::new();
    for words in [
        &["check", "./tests/profiles/absent.toml"][..],
        &["check", "absent"],
        &["check", "/dev/zero"],
        &["completions", "csh"],
        &["profiles", "/absent"],
        &["plan"],
        &["frobnicate"],
        &["learn"],
        &["plan", "./profiles/base.toml"],
        &["plan", "--dot", "./profiles/www.toml"],
        &["plan", "--files", "--dot", "--json", "./profiles/www.toml"],
        &["plan", "./profiles/www.toml", "--bogus"],
        &["plan", "./profiles/www.toml", "--host", "/absent"],
        &["cleanup"],
        &["cleanup", "--all", "www"],
        &["stop"],
        &["stop", "--timeout", "0", "www"],
        &["rehearse", "./profiles/shell.toml", "ls"],
        &["rehearse", "./profiles/shell.toml", "/bin/absent"],
    ] {
        let said = jailrunctl(words);
        assert_eq!(said.lines().count(), 2, "{words:?}: {said}");
        all.push_str(&format!("$ jailrunctl {}\n{said}", words.join(" ")));
    }
    is_golden("jailrunctl-errors", &all);
    let mut all = String::new();
    for words in [
        &[][..],
        &["-x"],
        &["a b"],
        &["123"],
        &["www@"],
        &["-d", "www", "/bin/ls"],
        &["--status-fd", "1", "www"],
    ] {
        let Asked::Wrong(why) = parse(words.iter().map(OsString::from)) else {
            unreachable!("{words:?}")
        };
        all.push_str(&format!("$ jailrun {}\njailrun: {why}\n", words.join(" ")));
    }
    is_golden("jailrun-errors", &all);
}

/// `Sim`, the rehearsals and the reports have no place in a set-user-ID program. The words looked for
/// are in jailrunctl, or this would see nothing.
#[test]
fn the_simulated_kernel_is_not_linked_into_jailrun() {
    let marks = ["a list of tables is wanted", "nothing is left behind"];
    let holds = |program: &Path, mark: &str| {
        let bytes = fs::read(program).unwrap();
        bytes
            .windows(mark.len())
            .any(|window| window == mark.as_bytes())
    };
    let place = |sent: &str, built: &str| {
        std::env::var_os(sent).map_or(PathBuf::from(built), PathBuf::from)
    };
    let launcher = place("JAILRUN_BIN", env!("CARGO_BIN_EXE_jailrun"));
    let other = place("JAILRUNCTL_BIN", env!("CARGO_BIN_EXE_jailrunctl"));
    if !launcher.exists() {
        println!(
            "SKIP the_simulated_kernel_is_not_linked_into_jailrun: the programs aren't on this host"
        );
        return;
    }
    for mark in marks {
        assert!(!holds(&launcher, mark) && holds(&other, mark), "{mark}");
    }
}

#[test]
fn a_profile_without_a_program_and_without_a_user_for_commands_is_listed_as_a_part() {
    let place = std::env::temp_dir().join(format!("jailrun-parts-{}", std::process::id()));
    fs::create_dir_all(&place).unwrap();
    let mode = "[capsicum]\nmode = \"off\"\n";
    for (name, text) in [
        ("commands", format!("user = \"www\"\n{mode}")),
        ("part", format!("description = \"a part\"\n{mode}")),
        (
            "server",
            "include = [\"part\"]\nprogram = \"/bin/sh\"\n".to_string(),
        ),
    ] {
        fs::write(place.join(format!("{name}.toml")), text).unwrap();
    }
    let said = jailrunctl(&["profiles", &place.display().to_string()]);
    fs::remove_dir_all(place).unwrap();
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    let expected = [
        "commands  root",
        "part      (part)               a part",
        "server    root",
        "exit status 0",
    ];
    assert_eq!(lines, expected);
}

/// Of the profile alone: what stands behind "good" is no business of this.
#[test]
fn a_local_socket_that_everybody_may_connect_to_is_noted_and_one_of_a_group_is_not() {
    let place = std::env::temp_dir().join(format!("jailrun-listen-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let file = place.join("listen.toml");
    let notes = |socket: &str| {
        let text = format!(
            "program = \"/bin/sh\"\nuser = \"www\"\n[capsicum]\nmode = \"off\"\n[[listen]]\nname = \"u\"\n{socket}"
        );
        std::fs::write(&file, text).unwrap();
        let said = jailrunctl(&["check", &file.display().to_string()]);
        let lines = said.lines().filter(|line| line.contains("may connect"));
        lines.map(str::to_string).collect::<Vec<String>>()
    };
    let unix = |more: &str| {
        notes(&format!(
            "proto = \"unix\"\naddr = \"/var/run/u.sock\"\n{more}"
        ))
    };
    assert_eq!(
        unix("mode = \"0666\""),
        [
            "listen: note: /var/run/u.sock: everybody on the host may connect (mode 0666), and whoever does can \
          hand the service directories of the host, where it then acts as www outside of the jail: mode = \
          \"0660\" in a directory whose group may connect, or \"0600\""
        ]
    );
    for more in ["", "mode = \"0660\"", "mode = \"0600\"\nowner = \"www\""] {
        assert_eq!(unix(more), Vec::<String>::new(), "{more}");
    }
    assert_eq!(
        notes("proto = \"udp\"\naddr = \"127.0.0.1:5353\"\n"),
        Vec::<String>::new()
    );
    std::fs::remove_dir_all(place).unwrap();
}
