//! The grammar of jailrunctl(8): a verb, and what it takes.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;

/// Verbs of jailrunctl(8) that this version has not; each is refused as that.
pub const NOT_YET: [&str; 1] = ["learn"];

/// Shells that complete by a script.
pub const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

pub fn grammar() -> Command {
    Command::new("jailrunctl")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Looks after profiles and running instances of jailrun(8)")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands(of_profiles())
        .subcommands(of_instances())
        .subcommands(of_services())
}

fn verb(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).disable_help_flag(false)
}

/// Verbs about rc.d scripts.
fn of_services() -> Vec<Command> {
    let service = || {
        Arg::new("service")
            .value_name("SERVICE")
            .help("The name of an rc.d script, as service(8) takes it")
    };
    let as_profile = Arg::new("as-profile")
        .long("profile")
        .value_name("PROFILE")
        .help("Which profile, if not that of the service's name");
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Say what would be written, and write nothing");
    let all = Arg::new("all")
        .long("all")
        .action(ArgAction::SetTrue)
        .conflicts_with("service")
        .help("Of every service that is wrapped, also of those that run");
    vec![
        verb(
            "wrap",
            "Let an rc.d script start its daemon under a profile",
        )
        .args([service().required(true), as_profile, dry_run, json()]),
        verb("unwrap", "Let an rc.d script start its daemon as before")
            .args([service().required_unless_present("all"), all]),
    ]
}

/// Verbs about what is written.
fn of_profiles() -> Vec<Command> {
    let capsicum = Arg::new("capsicum")
        .long("capsicum")
        .value_name("INSTANCE")
        .conflicts_with_all(["profile", "host"])
        .help("Of an instance with mode = \"report\": what capability mode would refuse; exit 1 if some of it remains");
    let check = [
        profile().required(false).help(
            "The name of a profile, or the path of a file; all that are installed if none is given",
        ),
        host(),
        capsicum,
        json(),
    ];
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .required(true)
        .value_parser(clap::builder::PossibleValuesParser::new(SHELLS))
        .help("Which shell");
    let directory = Arg::new("directory")
        .value_name("DIRECTORY")
        .help("Where to look, in the place of what is installed");
    let verbose = flag("verbose", "Print every call of the timeline").short('v');
    vec![
        verb("check", "Read profiles, and say what is wrong with them").args(check),
        verb("plan", "Print what a launch would do, step by step").args([
            profile(),
            instance(),
            host(),
            flag("files", "Print every path that will be inside, and why"),
            flag("dot", "Print who needs whom, for dot(1)")
                .requires("files")
                .conflicts_with("json"),
            json(),
            command(),
        ]),
        verb(
            "completions",
            "Print what a shell needs to complete command lines",
        )
        .arg(shell),
        verb("profiles", "List profiles, and who may run them").args([directory, json()]),
        verb(
            "rehearse",
            "Carry the launch out in a simulated kernel that fails at every call",
        )
        .args([profile(), instance(), host(), verbose, json(), command()]),
    ]
}

/// Verbs about what runs.
fn of_instances() -> Vec<Command> {
    let timeout = Arg::new("timeout")
        .long("timeout")
        .value_name("SECONDS")
        .value_parser(clap::value_parser!(u64).range(1..86_400))
        .default_value("90")
        .help("How long to wait");
    let inside =
        command().help("An absolute path inside, and its arguments; /bin/sh if none is given");
    let all = flag(
        "all",
        "Of every instance that nobody runs, devfs rulesets included",
    )
    .conflicts_with("instance-label");
    vec![
        attest(),
        verb("list", "List running instances").args([json()]),
        verb("show", "Tell of one instance; exit 1 when it isn't running").args([label(), json()]),
        verb(
            "stop",
            "Stop instances, and wait until everything is taken back",
        )
        .args([label().num_args(1..), timeout]),
        verb("enter", "Run a command in a running instance, as its user").args([label(), inside]),
        verb("cleanup", "Take back what killed supervisors left behind")
            .args([label().required(false).required_unless_present("all"), all]),
        verb(
            "stale",
            "List mounted files that were replaced since the launch; exit 1 if there are any",
        )
        .args([json()]),
        why(),
    ]
}

fn why() -> Command {
    let question = Arg::new("question")
        .value_name("QUESTION")
        .required(true)
        .help("An absolute path, tcp:ADDR:PORT, udp:ADDR:PORT, or allow.FLAG");
    let only = |name, help, other| flag(name, help).conflicts_with(other);
    verb(
        "why",
        "Tell why a running instance has something; exit 1 when it hasn't",
    )
    .args([
        label(),
        question,
        only("write", "Whether the path can be written", "exec"),
        flag("exec", "Whether the path can be executed"),
        only("bind", "Whether the address can be bound", "connect"),
        flag("connect", "Whether the address can be connected to"),
        json(),
    ])
}

fn attest() -> Command {
    let target = Arg::new("target")
        .value_name("TARGET")
        .required(true)
        .help("A running instance, or a profile that an instance is made of for it");
    let threshold = Arg::new("threshold")
        .long("threshold")
        .value_name("PERCENT")
        .value_parser(clap::value_parser!(u64).range(1..=100))
        .help("Succeed from this score on; without it, if nothing is open that isn't listed");
    let throwaway = flag(
        "throwaway",
        "Make an instance for it, even beside a running one",
    );
    verb(
        "attest",
        "Try what an intruder would, in the service's place",
    )
    .args([target, threshold, throwaway, json()])
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
    flag("json", "Print JSON")
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
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

/// The verb that a command line begins with, if it is one.
pub fn verb_of(words: &[OsString]) -> Option<String> {
    let word = words.get(1)?.to_str()?;
    let grammar = grammar();
    let known = grammar
        .get_subcommands()
        .any(|verb| verb.get_name() == word);
    known.then(|| word.to_string())
}

/// What is wrong with a command line, and whose help says how it is right.
pub fn wrong(error: &clap::Error, verb: Option<&str>) -> String {
    let line = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "no verb is given".to_string(),
        _ => crate::request::one_line(&error.to_string()),
    };
    match verb {
        Some(verb) => format!("{line}; see jailrunctl {verb} --help"),
        None => format!("{line}; see jailrunctl --help"),
    }
}
