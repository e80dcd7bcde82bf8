//! `plan`: the steps of a launch, in the words that errors and journal use, what the child does, and how
//! the service is looked after. All that a profile says shows here, but for who may run it.

use super::args::{text, texts};
use super::described;
use super::json::Json;
use super::source::Sources;
use super::{Trouble, print};
use crate::error::Error;
use crate::host::{self, Purpose};
use crate::kernel::{
    JAIL_SYS_DISABLE, JAIL_SYS_INHERIT, JAIL_SYS_NEW, JailParameters, JailValue, Kernel, Limit,
    Procctl, Rlimit, UNLIMITED, signal,
};
use crate::package;
use crate::permit::Caller;
use crate::plan::{self, ChildPlan, Host, Plan, Step};
use crate::profile::values::facility_name;
use crate::profile::{Output, Profile, Ready, Restart, Socket};
use crate::request::Request;
use crate::sim::{Faults, Sim, Start, World};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;

/// A plan, and what else there is to tell of the launch.
pub struct Prepared {
    pub plan: Plan,
    pub profile: Profile,
    pub host: Host,
}

pub fn run(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    let word = text(found, "profile").unwrap_or_default();
    let sources = Sources::find(&word)?;
    // All errors of the text, rather than the first that a launch would meet.
    sources.read(text(found, "instance").as_deref())?;
    let asked = request(&sources.name, found);
    let host = text(found, "host");
    let real = here(&asked, &word, host.as_deref());
    let is_described = real.is_none();
    let prepared = match real {
        Some(prepared) => prepared,
        None => simulated(described::world(host.as_deref(), &sources)?, &asked),
    };
    let prepared = prepared.map_err(|error| Trouble::about(&sources.name, &error))?;
    if is_described {
        let _ = writeln!(err, "jailrunctl: {}", described::said("planned", &host));
    }
    if found.get_flag("files") {
        return super::files::show(&prepared, found, out, err);
    }
    match found.get_flag("json") {
        true => print(out, json(&prepared))?,
        false => print(out, listing(&prepared))?,
    }
    Ok(0)
}

pub fn request(profile: &str, found: &ArgMatches) -> Request {
    let command = texts(found, "command");
    Request {
        profile: profile.to_string(),
        instance: text(found, "instance"),
        command: (!command.is_empty()).then_some(command),
        ..Request::default()
    }
}

/// On FreeBSD, for an installed profile, the host is the one we are on.
#[cfg(target_os = "freebsd")]
fn here(asked: &Request, word: &str, host: Option<&str>) -> Option<Result<Prepared, Error>> {
    is_here(word, host).then(|| prepare(&mut crate::kernel::freebsd::FreeBsd, asked))
}

/// Whether the host is the one we are on, where that can be.
#[cfg(target_os = "freebsd")]
pub fn is_here(word: &str, host: Option<&str>) -> bool {
    host.is_none() && !word.contains('/') && !word.ends_with(".toml")
}

#[cfg(not(target_os = "freebsd"))]
fn here(_: &Request, _: &str, _: Option<&str>) -> Option<Result<Prepared, Error>> {
    None
}

/// The plan for a described host.
pub fn simulated(world: World, asked: &Request) -> Result<Prepared, Error> {
    let mut prepared = Err(Error::Stopped);
    Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        prepared = prepare(kernel, asked);
        0
    });
    prepared
}

/// For whom a profile is planned.
pub fn root() -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        name: "root".to_string(),
    }
}

/// The road of a launch up to the plan. Nothing is changed: a devfs ruleset is only looked for.
pub fn prepare<K: Kernel>(kernel: &mut K, asked: &Request) -> Result<Prepared, Error> {
    let permit = crate::run::permit(kernel, asked, &root())?;
    let one_off = permit.is_one_off().then(|| kernel.getpid());
    let label = plan::label(&asked.profile, permit.instance(), one_off);
    let host = host::survey(kernel, &permit, BTreeMap::new(), Purpose::Look)?;
    Ok(Prepared {
        plan: Plan::new(&permit, &label, &host)?,
        profile: permit.profile().clone(),
        host,
    })
}

/// The whole plan, for people.
pub fn listing(prepared: &Prepared) -> String {
    let mut lines = Vec::new();
    let kept = prepared.plan.kept();
    if !kept.is_empty() {
        lines.push("first, and kept while it is started again:".to_string());
        lines.extend(kept.iter().map(|step| format!("     {step}")));
        lines.push("then, at each start:".to_string());
    }
    for (index, step) in prepared.plan.steps().iter().enumerate() {
        lines.push(format!("{:>3}  {step}", index + 1));
        let details = details(step, &prepared.profile);
        lines.extend(details.iter().map(|detail| format!("       {detail}")));
    }
    for (title, more) in [
        ("then, in a process of its own:", child(prepared)),
        ("and while it runs:", watch(prepared)),
    ] {
        lines.push(title.to_string());
        lines.extend(more.iter().map(|line| format!("     {line}")));
    }
    lines.join("\n")
}

/// What the one line of a step doesn't say.
fn details(step: &Step, profile: &Profile) -> Vec<String> {
    match step {
        Step::Mount { mount, .. } => match mount.filesystem {
            crate::kernel::Filesystem::Devfs { .. } => {
                vec![format!("shows {}", profile.root.devices.join(", "))]
            }
            _ => Vec::new(),
        },
        Step::Jail { parameters, .. } => jail(parameters),
        _ => Vec::new(),
    }
}

/// jail(8)'s parameters; those that are off by name come together, since they are many.
fn jail(parameters: &JailParameters) -> Vec<String> {
    let (mut lines, mut off) = (Vec::new(), Vec::new());
    for (name, value) in parameters {
        let leaf = name.rsplit('.').next().unwrap_or_default();
        match value {
            JailValue::Flag if name.starts_with("allow.") && leaf.starts_with("no") => {
                off.push(name.as_str());
            }
            JailValue::Int(number) if is_jailsys(name) => {
                lines.push(format!("{name}={}", jailsys(*number)));
            }
            // Words of several lines stay on one here.
            _ => lines.push(value.assigned_to(name).replace('\n', " ")),
        }
    }
    let mut line = String::new();
    for name in off {
        if line.len() + name.len() > 80 {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(name);
    }
    lines.extend((!line.is_empty()).then_some(line));
    lines
}

fn is_jailsys(name: &str) -> bool {
    ["ip4", "ip6", "sysvmsg", "sysvsem", "sysvshm"].contains(&name)
}

fn jailsys(number: i32) -> &'static str {
    match number {
        JAIL_SYS_DISABLE => "disable",
        JAIL_SYS_NEW => "new",
        JAIL_SYS_INHERIT => "inherit",
        _ => "?",
    }
}

/// From fork to exec, in order.
fn child(prepared: &Prepared) -> Vec<String> {
    let child = prepared.plan.child();
    let mut lines = vec![format!(
        "begin a session as {}, nice {}, fib {}",
        child.user,
        child.nice.unwrap_or(0),
        child.fib.unwrap_or(0)
    )];
    if let Some(class) = &prepared.host.login_class {
        lines.push(format!("login class {}", class.name));
    }
    lines.extend(limits(child));
    lines.push(format!("attach to the jail, enter {}", child.chdir));
    let groups: Vec<String> = child.groups.iter().map(u32::to_string).collect();
    lines.push(format!(
        "become uid {}, gid {}, groups [{}], for good",
        child.uid,
        child.gid,
        groups.join(", ")
    ));
    lines.push(match prepared.plan.may_be_root() {
        false => "lose the superuser of the jail (allow.nosuser)".to_string(),
        true => "keep the superuser of the jail (allow.suser)".to_string(),
    });
    for control in &child.procctl {
        lines.push(format!("proccontrol {}", control_word(*control)));
    }
    lines.push(format!("umask {:04o}", child.umask));
    let environment: Vec<String> = child
        .environment
        .iter()
        .map(|text| one_line(text))
        .collect();
    lines.push(format!("environment [{}]", environment.join(", ")));
    let kept = &prepared.profile.env_keep;
    if !kept.is_empty() {
        lines.push(format!("and, of the caller's, [{}]", kept.join(", ")));
    }
    if child.sockets > 0 {
        lines.push("and LISTEN_PID, its own pid".to_string());
    }
    let words = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    };
    match &child.capability {
        None => lines.push(format!("execute {}", words(&child.arguments))),
        Some(capability) => {
            let descriptors = capability.descriptors.iter();
            lines.extend(descriptors.map(|descriptor| format!("descriptor {descriptor}")));
            lines.push("enter capability mode".to_string());
            let fd = capability.execute.0;
            lines.push(format!("execute {fd}: {}", words(&capability.arguments)));
        }
    }
    lines
}

/// Those that are set to anything but "unlimited", which is what nobody speaks of.
fn limits(child: &ChildPlan) -> Vec<String> {
    let mut lines = Vec::new();
    for limit in Limit::ALL {
        let planned = child.limits.iter().find(|(known, _)| *known == limit);
        let amount = |value: u64| match value {
            UNLIMITED => "unlimited".to_string(),
            _ => value.to_string(),
        };
        let value = match (planned, limit) {
            (Some((_, Rlimit { soft, hard })), _) if soft == hard => amount(*soft),
            (Some((_, Rlimit { soft, hard })), _) => {
                format!("{}, which it may raise to {}", amount(*soft), amount(*hard))
            }
            (None, Limit::Coredumpsize) => "0".to_string(),
            (None, _) => continue,
        };
        lines.push(format!("limit {limit:?} to {value}").to_lowercase());
    }
    lines
}

/// Lists of descriptors have a line for each.
fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// The key and value that ask for it.
fn control_word(control: Procctl) -> &'static str {
    match control {
        Procctl::NoNewPrivs => "nonewprivs=enable",
        Procctl::NoTrace => "trace=disable",
        Procctl::Aslr => "aslr=enable",
        Procctl::Protmax => "protmax=enable",
        Procctl::NoWxMap => "wxmap=disable",
        Procctl::TrapCap => "trapcap=enable",
        Procctl::LogSigExit => "logsigexit=enable",
    }
}

/// As sh(1) would take it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=+,./:@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_string();
    }
    let shown: String = word.chars().flat_map(char::escape_debug).collect();
    match shown == word {
        true => format!("'{word}'"),
        // With a quote or a control character in it, it is for reading only.
        false => format!("\"{shown}\""),
    }
}

/// What the supervisor does about it.
fn watch(prepared: &Prepared) -> Vec<String> {
    let (plan, profile) = (&prepared.plan, &prepared.profile);
    let supervise = plan.supervise();
    let mut lines = Vec::new();
    if let Some(path) = &profile.pidfile {
        lines.push(format!("hold the pidfile {path}"));
    }
    lines.push(match profile.forking {
        false => "it is ready when it was executed".to_string(),
        true => "it is ready when its first process has ended (forking)".to_string(),
    });
    if supervise.ready == Ready::Ports {
        let ports = profile.test.expect_open.iter().map(ToString::to_string);
        let ports = ports.collect::<Vec<_>>().join(", ");
        lines.push(format!("it is ready when it listens on {ports}"));
    }
    for (path, is_shared) in plan.writes() {
        let whose = if *is_shared { "with others" } else { "alone" };
        lines.push(format!("it may write {path}, {whose}"));
    }
    lines.extend(left_out(profile));
    lines.push(match &supervise.output {
        Output::Inherit => "its output is the caller's".to_string(),
        Output::File(path) => format!("its output is appended to {path}"),
        Output::Syslog => format!(
            "its output goes to syslog, facility {}, as {}",
            facility_name(supervise.syslog_facility),
            supervise.syslog_tag.as_deref().unwrap_or("the profile")
        ),
    });
    if profile.root.sockets.contains(&Socket::Syslog) {
        lines.push(format!(
            "what it says by syslog(3) goes to syslog, facility {}, as {}",
            facility_name(supervise.syslog_facility),
            supervise.syslog_tag.as_deref().unwrap_or("the profile")
        ));
    }
    let starts = format!(
        "after {} s, {} times in a row at most",
        supervise.restart_delay, supervise.restart_count
    );
    lines.push(match supervise.restart {
        Restart::Never => "when it ends, it stays ended".to_string(),
        Restart::OnFailure => format!("when it fails, it is started again {starts}"),
        Restart::Always => format!("when it ends, it is started again {starts}"),
    });
    lines.push(format!(
        "to stop it: SIG{}, and after {} s the jail is removed with all that is in it",
        signal::name(supervise.stop_signal),
        supervise.stop_timeout
    ));
    lines
}

/// Of the package whose directories it may write.
fn left_out(profile: &Profile) -> Vec<String> {
    let package = profile.root.package.iter();
    let lines = package.flat_map(|package| {
        let left_out = package.left_out.iter();
        left_out.map(|(path, why)| {
            let why = package::reason(path, why);
            format!("left out of the package {}: {why}", package.name)
        })
    });
    lines.collect()
}

fn json(prepared: &Prepared) -> Json {
    let plan = &prepared.plan;
    let steps = plan.steps().iter().map(|step| {
        Json::Object(vec![
            ("step", Json::text(step.to_string())),
            ("details", Json::texts(&details(step, &prepared.profile))),
        ])
    });
    let kept: Vec<String> = plan.kept().iter().map(ToString::to_string).collect();
    let process = plan.child();
    Json::Object(vec![
        ("instance", Json::text(plan.label())),
        ("kept", Json::texts(&kept)),
        ("steps", Json::List(steps.collect())),
        ("child", Json::texts(&child(prepared))),
        ("watch", Json::texts(&watch(prepared))),
        ("uid", Json::number(process.uid)),
        ("gid", Json::number(process.gid)),
        ("program", Json::text(&process.program)),
        ("arguments", Json::texts(&process.arguments)),
        ("environment", Json::texts(&process.environment)),
    ])
}
