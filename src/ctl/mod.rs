//! jailrunctl(8): everything but launching. The only place of that program that prints, and that
//! chooses its exit status.

pub mod args;
pub mod attest;
mod check;
mod completions;
pub mod copied;
mod deeper;
mod described;
pub mod doubts;
mod files;
mod instances;
pub mod json;
mod notes;
pub mod plan;
mod profiles;
mod proposed;
pub mod rehearse;
pub mod report;
mod source;
pub mod stale;
pub mod why;
pub mod wrap;

use crate::error::Error;
use clap::ArgMatches;
use std::ffi::OsString;
use std::io::Write;

/// Why a verb failed: its line, without the program's name, and the exit status.
#[derive(Debug)]
pub struct Trouble {
    pub words: String,
    pub status: i32,
}

impl Trouble {
    fn new(status: i32, words: impl Into<String>) -> Trouble {
        Trouble {
            words: words.into(),
            status,
        }
    }

    /// A refusal of the system's where no kernel of ours stands between: its words, without Rust's.
    fn system(what: &str, error: &std::io::Error) -> Trouble {
        let words = error.to_string();
        let words = words.split(" (os error").next().unwrap_or_default();
        Trouble::new(71, format!("{what}: {words}"))
    }

    /// An error of the library's, about a profile or an instance.
    fn about(name: &str, error: &Error) -> Trouble {
        Trouble::new(error.exit().code(), format!("{name}: {error}"))
    }
}

/// Runs a command line to its exit status.
pub fn main(
    words: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> i32 {
    let words: Vec<OsString> = std::iter::once(OsString::from("jailrunctl"))
        .chain(words)
        .collect();
    if let Some(verb) = words.get(1).and_then(|word| word.to_str())
        && args::NOT_YET.contains(&verb)
    {
        let _ = writeln!(err, "jailrunctl: {verb}: not built yet");
        return 64;
    }
    let asked = args::verb_of(&words);
    let found = match args::grammar().try_get_matches_from(words) {
        Ok(found) => found,
        Err(error) if error.exit_code() == 0 => {
            let _ = write!(out, "{error}");
            return 0;
        }
        Err(error) => {
            let _ = writeln!(err, "jailrunctl: {}", args::wrong(&error, asked.as_deref()));
            return 64;
        }
    };
    match verb(&found, out, err) {
        Ok(status) => status,
        Err(trouble) => {
            if !trouble.words.is_empty() {
                let _ = writeln!(err, "jailrunctl: {}", trouble.words);
            }
            trouble.status
        }
    }
}

fn verb(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    match found.subcommand() {
        Some(("attest", found)) => attest::run(found, out, err),
        Some(("check", found)) => check::run(found, out, err),
        Some(("completions", found)) => completions::run(found, out),
        Some(("plan", found)) => plan::run(found, out, err),
        Some(("profiles", found)) => profiles::run(found, out),
        Some(("rehearse", found)) => rehearse::run(found, out, err),
        Some((verb @ ("list" | "show" | "stop" | "enter" | "cleanup"), found)) => {
            instances::run(verb, found, out)
        }
        Some(("stale", found)) => stale::run(found, out, err),
        Some(("why", found)) => why::run(found, out),
        Some((verb @ ("wrap" | "unwrap"), found)) => wrap::run(verb, found, out),
        _ => Err(Trouble::new(64, "no verb; see jailrunctl --help")),
    }
}

/// As a shell tells of a program that SIGPIPE ended.
const UNREAD: i32 = 128 + crate::kernel::signal::PIPE;

/// Output that nobody reads any more ends the program as SIGPIPE would, which Rust ignores.
fn print(out: &mut dyn Write, text: impl std::fmt::Display) -> Result<(), Trouble> {
    writeln!(out, "{text}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Trouble::new(UNREAD, ""),
        _ => Trouble::system("standard output", &error),
    })
}
