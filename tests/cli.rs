//! What the two programs say: golden files in tests/golden (UPDATE_GOLDEN=1 rewrites them), and that
//! the manual has every verb, option and status. The programs' code runs in this process, so that it
//! is tested wherever the tests run.
#![allow(clippy::unwrap_used)]

use jailrun::ctl;
use jailrun::request::{Asked, grammar, parse};
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

const SHIPPED: [&str; 4] = ["base", "shell", "fetch", "www"];

#[test]
fn help_is_as_written() {
    if is_away() {
        return;
    }
    is_golden("jailrun-help", &grammar().render_help().to_string());
    is_golden("jailrunctl-help", &jailrunctl(&["--help"]));
    for verb in ["plan", "rehearse", "stop", "enter", "cleanup"] {
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
    for name in SHIPPED {
        let file = format!("./profiles/{name}.toml");
        is_golden(&format!("check-{name}"), &jailrunctl(&["check", &file]));
        if name != "base" {
            is_golden(&format!("plan-{name}"), &jailrunctl(&["plan", &file]));
        }
    }
    is_golden(
        "plan-www-json",
        &jailrunctl(&["plan", "--json", "./profiles/www.toml"]),
    );
    let command = ["plan", "./profiles/shell.toml", "/bin/ls", "-l", "--", "/"];
    is_golden("plan-shell-command", &jailrunctl(&command));
}

#[test]
fn every_shipped_profile_rehearses_without_a_leak() {
    if is_away() {
        return;
    }
    for name in SHIPPED.iter().filter(|name| **name != "base") {
        let said = jailrunctl(&["rehearse", &format!("./profiles/{name}.toml")]);
        assert!(
            said.contains("): nothing is left behind\nexit status 0"),
            "{said}"
        );
        assert!(said.contains("execve(") && said.contains("nmount("));
    }
}

#[test]
fn a_rehearsal_that_leaks_says_what_and_fails() {
    // An administrator's own mount, in the way of the cleanup.
    let sources = "user = \"www\"\nprogram = \"/bin/sh\"\n[root]\nclosure = \"off\"\nro = [\"/bin\"]\n[capsicum]\nmode = \"off\"\n";
    let mut world = jailrun::sim::World::freebsd();
    world.dir("/usr/local/etc/jailrun", 0o755, 0, 0);
    world.dir("/usr/local/etc/jailrun/profiles", 0o755, 0, 0);
    world.file(
        "/usr/local/etc/jailrun/profiles/x.toml",
        0o644,
        0,
        0,
        sources.as_bytes(),
    );
    world.lies.insert("unmount");
    let asked = jailrun::request::Request {
        profile: "x".to_string(),
        ..Default::default()
    };
    let whole = ctl::rehearse::once(&world, &asked, jailrun::sim::Faults::none());
    let outcome = ctl::rehearse::sweep(&world, &asked, &whole);
    let leak = outcome.leak.unwrap();
    assert!(leak.contains("new mount"), "{leak}");
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
        &["check"],
        &["frobnicate"],
        &["learn"],
        &["attest", "www"],
        &["stale"],
        &["plan", "./profiles/base.toml"],
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

#[test]
fn every_verb_option_and_status_is_in_the_manual() {
    if is_away() {
        return;
    }
    let manual = fs::read_to_string(here("man/jailrunctl.8")).unwrap();
    for verb in ctl::args::grammar().get_subcommands() {
        let name = verb.get_name();
        assert!(manual.contains(&format!(".It Cm {name}")), "{name}");
        for option in verb
            .get_arguments()
            .filter_map(|argument| argument.get_long())
        {
            if option != "help" && option != "json" {
                assert!(
                    manual.contains(&format!("Fl -{option}")),
                    "{name} --{option}"
                );
            }
        }
    }
    for verb in ctl::args::NOT_YET {
        assert!(
            !manual.contains(&format!("Cm {verb}")),
            "{verb} isn't built"
        );
    }
    let manual = fs::read_to_string(here("man/jailrun.8")).unwrap();
    for argument in grammar()
        .get_arguments()
        .filter_map(|argument| argument.get_long())
    {
        assert!(
            manual.contains(&format!("Fl -{argument}")) || manual.contains(&format!("-{argument}")),
            "{argument}"
        );
    }
    for status in [64, 69, 71, 75, 77, 78, 126, 127] {
        assert!(manual.contains(&format!(".It {status}\n")), "{status}");
    }
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
