//! The manual pages say what the programs take and give, and nothing else: every verb, operand, option,
//! exit status and key of a profile, each in its place.
#![allow(clippy::unwrap_used)]

use jailrun::attest::table::ATTEMPTS;
use jailrun::ctl::args;
use jailrun::error::Error;
use jailrun::exit::Exit;
use jailrun::kernel::{Errno, Failure};
use jailrun::profile::schema::{KEYS, SECTIONS, Support};
use jailrun::request;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// `None`: the checkout isn't there, since the test was sent to another host.
fn page(name: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name);
    let text = fs::read_to_string(path).ok();
    if text.is_none() {
        println!("SKIP manual: needs the checkout, which isn't on this host");
    }
    text
}

/// The text of a section, up to the next one.
fn section<'p>(page: &'p str, name: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!(".Sh {name}\n")).unwrap();
    rest.split("\n.Sh ").next().unwrap()
}

/// Items of a list whose line begins with this macro, each with its text.
fn items<'p>(text: &'p str, begin: &str) -> Vec<(&'p str, &'p str)> {
    let mut items = Vec::new();
    for piece in text.split("\n.It ").skip(1) {
        let (line, body) = piece.split_once('\n').unwrap_or((piece, ""));
        if let Some(rest) = line.strip_prefix(begin) {
            items.push((rest, body));
        }
    }
    items
}

/// Long options that a text names.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split_whitespace().collect::<Vec<_>>();
    let after_flag = |pair: &[&str]| pair[0].ends_with("Fl").then(|| pair[1].to_string());
    let named = words.windows(2).filter_map(after_flag);
    named
        .filter_map(|word| Some(word.strip_prefix('-')?.to_string()))
        .collect()
}

#[test]
fn every_verb_and_no_other_has_its_operands_and_options_in_the_manual() {
    let Some(page) = page("jailrunctl.8") else {
        return;
    };
    let described = items(section(&page, "DESCRIPTION"), "Cm ");
    let mut found = Vec::new();
    for (line, _) in &described {
        let (name, synopsis) = line.split_once(' ').unwrap_or((line, ""));
        found.push(name);
        let grammar = args::grammar();
        let verb = grammar.find_subcommand(name).unwrap();
        let known: BTreeSet<String> = verb
            .get_arguments()
            .filter_map(|argument| argument.get_long().map(str::to_string))
            // The page says once for all what these do.
            .filter(|option| option != "json" && option != "help")
            .collect();
        assert_eq!(options(synopsis), known, "{name}");
        for operand in verb.get_positionals() {
            let word = operand.get_value_names().unwrap()[0].to_lowercase();
            let is_named = synopsis.contains(&format!("Ar {word}"));
            assert!(is_named, "{name}: {word} in {synopsis:?}");
        }
    }
    let verbs: BTreeSet<String> = args::grammar()
        .get_subcommands()
        .map(|verb| verb.get_name().to_string())
        .collect();
    let sorted: Vec<String> = verbs.iter().cloned().collect();
    assert_eq!(found, sorted, "each once, in alphabetical order");
    for verb in args::NOT_YET {
        assert!(!page.contains(&format!("Cm {verb}")), "{verb} isn't built");
        assert!(!verbs.contains(verb));
    }
}

#[test]
fn every_attempt_and_no_other_is_in_the_manual_as_the_table_has_it() {
    let Some(page) = page("jailrunctl.8") else {
        return;
    };
    let list = section(&page, "ATTEMPTS").split("\n.El").next().unwrap();
    let described: Vec<(&str, String)> = items(list, "Cm ")
        .iter()
        .map(|(name, text)| (*name, text.trim_end().to_string()))
        .collect();
    let known: Vec<(&str, String)> = ATTEMPTS
        .iter()
        .map(|attempt| (attempt.name, attempt.tries.replace('"', "\\(dq")))
        .collect();
    assert_eq!(described, known);
}

#[test]
fn every_option_of_jailrun_and_no_other_is_in_its_manual() {
    let Some(page) = page("jailrun.8") else {
        return;
    };
    let items = items(section(&page, "DESCRIPTION"), "Fl ");
    let described: BTreeSet<String> = items
        .iter()
        .filter_map(|(line, _)| {
            let long = line
                .split_whitespace()
                .find_map(|word| word.strip_prefix('-'));
            long.map(str::to_string)
        })
        .collect();
    let known: BTreeSet<String> = request::grammar()
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_string))
        .collect();
    assert_eq!(described, known);
}

/// One error of each kind, so that a new kind asks for its place here.
fn errors() -> Vec<Error> {
    let words = String::new;
    let failure = |errno| Failure::new("execve", errno);
    let exec = |errno| Error::Exec {
        program: words(),
        failure: failure(errno),
    };
    let all = vec![
        Error::Usage(words()),
        Error::Profile(words()),
        Error::Unmade(words()),
        Error::Refused(words()),
        Error::Busy(words()),
        Error::step("", failure(Errno::EIO)),
        exec(Errno::ENOENT),
        exec(Errno::EACCES),
        Error::Unavailable(words()),
        Error::Stopped,
    ];
    for error in &all {
        match error {
            Error::Usage(_)
            | Error::Profile(_)
            | Error::Unmade(_)
            | Error::Refused(_)
            | Error::Busy(_)
            | Error::Step { .. }
            | Error::Exec { .. }
            | Error::Unavailable(_)
            | Error::Stopped => {}
        }
    }
    all
}

fn statuses(page: &str) -> BTreeSet<i32> {
    let items = items(section(page, "EXIT STATUS"), "");
    items
        .iter()
        .map(|(line, _)| line.parse().unwrap())
        .collect()
}

#[test]
fn every_exit_status_and_no_other_is_in_the_manual() {
    let (Some(launcher), Some(other)) = (page("jailrun.8"), page("jailrunctl.8")) else {
        return;
    };
    let of_errors: BTreeSet<i32> = errors()
        .iter()
        .filter_map(|error| match error.exit() {
            Exit::Status(status) => Some(status),
            Exit::Signal(_) => None,
        })
        .collect();
    assert_eq!(statuses(&launcher), of_errors);

    // Those of jailrunctl are where it makes them; 126 and 127 are a command's, which `enter` passes on.
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ctl");
    let mut made: BTreeSet<i32> = BTreeSet::from([0, 1]);
    for file in fs::read_dir(top).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for piece in text.split("Trouble::new(").skip(1) {
            let number: String = piece.chars().take_while(char::is_ascii_digit).collect();
            made.extend(number.parse::<i32>());
        }
    }
    assert!(made.len() > 4, "{made:?}");
    let of_programs = BTreeSet::from([126, 127]);
    let all: BTreeSet<i32> = made.union(&of_errors).copied().collect();
    let documented = statuses(&other);
    assert_eq!(documented, all.difference(&of_programs).copied().collect());
}

#[test]
fn every_key_of_a_profile_is_in_the_manual_with_its_type_and_default_in_the_schemas_order() {
    let Some(page) = page("jailrun.toml.5") else {
        return;
    };
    let described: Vec<(String, String)> = items(section(&page, "DESCRIPTION"), "Cm ")
        .iter()
        .map(|(name, body)| (name.to_string(), body.lines().next().unwrap().to_string()))
        .collect();
    let known: Vec<(String, String)> = KEYS
        .iter()
        .filter(|key| key.support == Support::Now)
        .map(|key| {
            let default = key.default.replace('"', "\\(dq");
            let line = format!(".Pq {}; default: {default}", key.kind);
            (key.name.to_string(), line)
        })
        .collect();
    assert_eq!(described, known);
    for section in SECTIONS {
        assert!(page.contains(&format!(".Ss [{section}]\n")), "{section}");
    }
}

#[test]
fn pages_refer_to_each_other_and_have_a_date() {
    for (name, others) in [
        ("jailrun.8", ["jailrunctl 8", "jailrun.toml 5"]),
        ("jailrunctl.8", ["jailrun 8", "jailrun.toml 5"]),
        ("jailrun.toml.5", ["jailrun 8", "jailrunctl 8"]),
    ] {
        let Some(page) = page(name) else {
            return;
        };
        let see_also = section(&page, "SEE ALSO");
        for other in others {
            assert!(
                see_also.contains(&format!(".Xr {other}")),
                "{name}: {other}"
            );
        }
        assert!(
            page.contains("\n.Dd ") || page.starts_with(".Dd "),
            "{name}"
        );
    }
}
