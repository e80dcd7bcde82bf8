//! `completions`: a script that completes verbs and options, made from the same grammar that reads them.

use super::args::{grammar, text};
use super::{Trouble, print};
use clap::ArgMatches;
use clap_complete::Shell;
use std::io::Write;

pub fn run(found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    let shell = match text(found, "shell").as_deref() {
        Some("bash") => Shell::Bash,
        Some("fish") => Shell::Fish,
        _ => Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar(), "jailrunctl", &mut script);
    print(out, String::from_utf8_lossy(&script).trim_end())?;
    Ok(0)
}
