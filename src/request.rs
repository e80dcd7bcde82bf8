//! What was asked for on the command line: options of ours, the profile, and from there on everything
//! is the service's.

use crate::kernel::Fd;
use crate::link::Link;
use crate::profile::values::is_name;
use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsString;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub profile: String,
    pub instance: Option<String>,
    pub command: Option<Vec<String>>,
    pub detach: bool,
    pub status_fd: Option<Fd>,
    /// Called through a link, which named profile and instance.
    pub link: Option<Link>,
}

/// What to do with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Run(Request),
    /// Help or version: to standard output, and done.
    Tell(String),
    /// It makes no sense, for this reason.
    Wrong(String),
}

/// The grammar. Nothing is read from the environment.
pub fn grammar() -> Command {
    Command::new("jailrun")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Runs the program of a profile, or COMMAND in its place, in a jail of its own")
        .after_help(
            "Profiles are /usr/local/etc/jailrun/profiles/NAME.toml and, from packages,\n\
             /usr/local/share/jailrun/profiles/NAME.toml; see jailrun.toml(5) and jailrun(8).",
        )
        .override_usage("jailrun [-d] [--status-fd N] PROFILE[@INSTANCE] [COMMAND [ARG ...]]")
        .disable_help_subcommand(true)
        .arg(
            Arg::new("detach")
                .short('d')
                .long("detach")
                .action(ArgAction::SetTrue)
                .help("Return when the service is ready; root only"),
        )
        .arg(
            Arg::new("status-fd")
                .long("status-fd")
                .value_name("N")
                .value_parser(value_parser!(i32).range(3..1024))
                .help("Write to descriptor N when it runs and how it ended"),
        )
        .arg(
            Arg::new("words")
                .value_name("PROFILE[@INSTANCE] [COMMAND [ARG ...]]")
                .required(true)
                .num_args(1..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .help("The profile, and a command to run in the place of its program"),
        )
}

/// `arguments` without the name of the program.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Asked {
    let words = std::iter::once(OsString::from("jailrun")).chain(arguments);
    let mut found = match grammar().try_get_matches_from(words) {
        Ok(found) => found,
        Err(error) if error.exit_code() == 0 => return Asked::Tell(error.to_string()),
        Err(error) => return Asked::Wrong(one_line(&error.to_string())),
    };
    let words = found.remove_many::<OsString>("words");
    let mut texts = Vec::new();
    for word in words.into_iter().flatten() {
        match word.into_string() {
            Ok(text) => texts.push(text),
            Err(_) => return Asked::Wrong("an argument is not UTF-8".to_string()),
        }
    }
    let mut texts = texts.into_iter();
    let Some(name) = texts.next() else {
        return Asked::Wrong("no profile is named".to_string());
    };
    let (profile, instance) = match name.split_once('@') {
        Some((profile, instance)) => (profile.to_string(), Some(instance.to_string())),
        None => (name.clone(), None),
    };
    if name.starts_with('-') {
        return Asked::Wrong(format!("unknown option {name:?}; see jailrun --help"));
    }
    if let Err(why) = named(&profile, instance.as_deref()) {
        return Asked::Wrong(why);
    }
    let rest: Vec<String> = texts.collect();
    let request = Request {
        profile,
        instance,
        command: (!rest.is_empty()).then_some(rest),
        detach: found.get_flag("detach"),
        status_fd: found.get_one::<i32>("status-fd").copied().map(Fd),
        link: None,
    };
    match request.detach && request.command.is_some() {
        true => Asked::Wrong("-d starts a service: it takes no command".to_string()),
        false => Asked::Run(request),
    }
}

/// Both have names of the same kind: a jail is called by them.
fn named(profile: &str, instance: Option<&str>) -> Result<(), String> {
    for (what, name) in [("a profile", Some(profile)), ("an instance", instance)] {
        if let Some(name) = name.filter(|name| !is_name(name)) {
            return Err(format!(
                "{name:?}: {what} is named by 1 to 32 of A-Z a-z 0-9 _ -, not digits only"
            ));
        }
    }
    Ok(())
}

/// clap's message without its usage and hints, which help has too.
pub fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &[&str]) -> Asked {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_follows_the_profile_is_the_services() {
        let Asked::Run(request) = asked(&["-d", "www@blue"]) else {
            panic!("no request")
        };
        assert!(request.detach && request.command.is_none());
        assert_eq!(
            (request.profile.as_str(), request.instance.as_deref()),
            ("www", Some("blue"))
        );
        for words in [
            ["www", "/bin/ls", "-d", "--help"],
            ["www", "/bin/ls", "--", "-x"],
            ["www", "-d", "--version", "--status-fd"],
        ] {
            let Asked::Run(request) = asked(&words) else {
                panic!("{words:?}")
            };
            assert_eq!(request.command.unwrap(), &words[1..], "{words:?}");
            assert!(!request.detach);
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_in_one_line() {
        for words in [
            &[][..],
            &["--bogus"],
            &["-x", "www"],
            &["../www"],
            &["www@"],
            &["@x"],
            &["123"],
            &["www@12"],
            &["-d", "www", "/bin/ls"],
            &["--status-fd", "2", "www"],
            &["--status-fd", "x", "www"],
            &["--status-fd"],
            &["a b"],
            &[""],
        ] {
            let Asked::Wrong(why) = asked(words) else {
                panic!("{words:?}")
            };
            assert!(!why.is_empty() && !why.contains('\n'), "{words:?}: {why}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_as_the_profiles_or_the_instances() {
        for (word, name, what) in [
            ("www@1", "1", "an instance"),
            ("www@", "", "an instance"),
            ("www@a@b", "a@b", "an instance"),
            ("1@www", "1", "a profile"),
            ("1@1", "1", "a profile"),
            ("a b", "a b", "a profile"),
        ] {
            let why =
                format!("{name:?}: {what} is named by 1 to 32 of A-Z a-z 0-9 _ -, not digits only");
            assert_eq!(asked(&[word]), Asked::Wrong(why));
        }
    }
}
