//! The grammar of jailrunctl(8): a verb, and what it takes.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// Verbs of jailrunctl(8) that this version has not; each is refused as that.
pub const NOT_YET: [&str; 6] = ["learn", "why", "attest", "stale", "wrap", "unwrap"];

/// Shells that complete by a script.
pub const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

pub fn grammar() -> Command {
    let verb = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).disable_help_flag(false)
    };
    Command::new("jailrunctl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Looks after profiles and running instances of jailrun(8)")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            verb("check", "Read profiles, and say what is wrong with them").args([
                profile()
                    .required(false)
                    .help("The name of a profile, or the path of a file; all that are installed if none is given"),
                host(),
                json(),
            ]),
        )
        .subcommand(
            verb("plan", "Print what a launch would do, step by step").args([
                profile(),
                instance(),
                host(),
                json(),
                command(),
            ]),
        )
        .subcommand(
            verb("completions", "Print what a shell needs to complete command lines").arg(
                Arg::new("shell")
                    .value_name("SHELL")
                    .required(true)
                    .value_parser(clap::builder::PossibleValuesParser::new(SHELLS))
                    .help("Which shell"),
            ),
        )
        .subcommand(
            verb("profiles", "List profiles, and who may run them").args([
                Arg::new("directory")
                    .value_name("DIRECTORY")
                    .help("Where to look, in the place of what is installed"),
                json(),
            ]),
        )
        .subcommand(
            verb(
                "rehearse",
                "Carry the launch out in a simulated kernel that fails at every call",
            )
            .args([
                profile(),
                instance(),
                host(),
                Arg::new("verbose")
                    .short('v')
                    .long("verbose")
                    .action(ArgAction::SetTrue)
                    .help("Print every call of the timeline"),
                json(),
                command(),
            ]),
        )
        .subcommand(verb("list", "List running instances").args([json()]))
        .subcommand(
            verb("show", "Tell of one instance; exit 1 when it isn't running")
                .args([label(), json()]),
        )
        .subcommand(
            verb(
                "stop",
                "Stop instances, and wait until everything is taken back",
            )
            .args([
                label().num_args(1..),
                Arg::new("timeout")
                    .long("timeout")
                    .value_name("SECONDS")
                    .value_parser(clap::value_parser!(u64).range(1..86_400))
                    .default_value("90")
                    .help("How long to wait"),
            ]),
        )
        .subcommand(
            verb("enter", "Run a command in a running instance, as its user").args([
                label(),
                Arg::new("command")
                    .value_name("COMMAND")
                    .num_args(1..)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .help("An absolute path inside, and its arguments; /bin/sh if none is given"),
            ]),
        )
        .subcommand(
            verb("cleanup", "Take back what killed supervisors left behind").args([
                label().required(false).required_unless_present("all"),
                Arg::new("all")
                    .long("all")
                    .action(ArgAction::SetTrue)
                    .conflicts_with("instance-label")
                    .help("Of every instance that nobody runs, devfs rulesets included"),
            ]),
        )
}

fn profile() -> Arg {
    Arg::new("profile")
        .value_name("PROFILE")
        .required(true)
        .help("The name of a profile, or the path of a file")
}

fn label() -> Arg {
    Arg::new("instance-label")
        .value_name("INSTANCE")
        .required(true)
        .help("PROFILE, PROFILE@INSTANCE, or a one-off as list prints it")
}

fn instance() -> Arg {
    Arg::new("instance")
        .long("instance")
        .value_name("X")
        .help("As jailrun PROFILE@X")
}

fn host() -> Arg {
    Arg::new("host")
        .long("host")
        .value_name("FILE")
        .help("A description of a host, for the simulated kernel")
}

fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print JSON")
}

fn command() -> Arg {
    Arg::new("command")
        .value_name("COMMAND")
        .num_args(1..)
        .trailing_var_arg(true)
        .allow_hyphen_values(true)
        .help("A command in the place of the profile's program")
}

pub fn texts(found: &ArgMatches, name: &str) -> Vec<String> {
    let values = found.get_many::<String>(name);
    values.into_iter().flatten().cloned().collect()
}

pub fn text(found: &ArgMatches, name: &str) -> Option<String> {
    found.get_one::<String>(name).cloned()
}

/// `PROFILE@X` is the label `PROFILE-X`.
pub fn label_of(word: &str) -> String {
    word.replacen('@', "-", 1)
}
