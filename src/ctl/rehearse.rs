//! `rehearse`: the whole launch in the simulated kernel, then again with every call refused, and with
//! its maker killed at every call. What is left after a cleanup is a leak, and so is what a launch
//! leaves without saying so; the first is told.

use super::args::text;
use super::described;
use super::json::Json;
use super::plan::{request, simulated};
use super::source::Sources;
use super::{Trouble, print};
use crate::host;
use crate::kernel::{Ids, Limit, Rlimit};
use crate::launch::cleanup;
use crate::pkg::PKG;
use crate::plan::child::FIRST;
use crate::plan::{ChildPlan, Plan, jail_name};
use crate::request::Request;
use crate::run::run as launch;
use crate::sim::sweep::{Outcome, Remedy, Sweep};
use crate::sim::{Behaviour, Executed, Report, Sim, Start, World};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;

pub fn run(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    let word = text(found, "profile").unwrap_or_default();
    let sources = Sources::find(&word)?;
    sources.read(text(found, "instance").as_deref())?;
    let asked = request(&sources.name, found);
    let host = text(found, "host");
    let base = described::world(host.as_deref(), &sources)?;
    let (mut world, is_copy) = match copy(&word, host.as_deref(), &base, &asked)? {
        Some(world) => (world, true),
        None => (base, false),
    };
    let planned = simulated(world.clone(), &asked);
    let plan = planned
        .map_err(|error| Trouble::about(&sources.name, &error))?
        .plan;
    live(&mut world, &asked, &plan);
    let start = |kernel: &mut Sim| launch(kernel, &asked, &BTreeMap::new()).code();
    let sweep = Sweep {
        world: &world,
        launch: &start,
        start: &Start::root(),
        objection: &|executed| objection(&plan, executed),
        remedies: &[Remedy::Act(&cleanup_all), Remedy::Launch],
    };
    let calm = sweep.undisturbed();
    let ran = calm.world.executed.iter().skip(world.executed.len());
    if ran.filter(|executed| !is_pkg(executed)).count() == 0 {
        return Err(failed(&calm));
    }
    let is_json = found.get_flag("json");
    if !is_json {
        timeline(out, &calm, found.get_flag("verbose"))?;
    }
    let outcome = sweep.run();
    match is_json {
        true => print(out, json(&sources.name, &outcome))?,
        false => print(out, format!("{}: {}", sources.name, verdict(&outcome)))?,
    }
    let said = match is_copy {
        true => "rehearsed for a copy of this host".to_string(),
        false => described::said("rehearsed", &host),
    };
    let _ = writeln!(err, "jailrunctl: {said}");
    Ok(i32::from(outcome.leak.is_some()))
}

/// On FreeBSD, for an installed profile: the host that we are on.
#[cfg(target_os = "freebsd")]
fn copy(
    word: &str,
    host: Option<&str>,
    base: &World,
    asked: &Request,
) -> Result<Option<World>, Trouble> {
    if !super::plan::is_here(word, host) {
        return Ok(None);
    }
    let mut kernel = crate::kernel::freebsd::FreeBsd;
    let prepared = super::plan::prepare(&mut kernel, asked)
        .map_err(|error| Trouble::about(&asked.profile, &error))?;
    super::copied::copy(&mut kernel, base.clone(), &prepared, asked).map(Some)
}

#[cfg(not(target_os = "freebsd"))]
fn copy(_: &str, _: Option<&str>, _: &World, _: &Request) -> Result<Option<World>, Trouble> {
    Ok(None)
}

/// A command ends by itself. A service runs until it is told to stop, unless the description says what
/// it does.
fn live(world: &mut World, asked: &Request, plan: &Plan) {
    let program = &plan.child().program;
    if asked.command.is_none() && !world.behaviours.contains_key(program) {
        world.behaviour(program, Behaviour::UntilSignal);
    }
    world.stops_when_idle = true;
}

/// The launch never came to its program: it has said why.
fn failed(calm: &Report) -> Trouble {
    let said = calm.world.stderr.last().cloned().unwrap_or_default();
    let status = match calm.ending {
        crate::kernel::Ending::Exited(status) => status,
        crate::kernel::Ending::Signalled(number) => 128 + number,
    };
    Trouble::new(status, said.trim_start_matches("jailrun: "))
}

/// As `jailrunctl cleanup --all` does it.
fn cleanup_all(kernel: &mut Sim) -> i32 {
    let is_clean = cleanup::sweep(kernel, "").is_empty();
    i32::from(!(is_clean && host::forget_rulesets(kernel).is_ok()))
}

/// pkg(8), which is asked what a package's directories are before there is a plan.
fn is_pkg(executed: &Executed) -> bool {
    executed.program == PKG && executed.jail.is_none()
}

/// It runs as root on the host: with nothing that a caller has, or that is ours.
fn objection_to_pkg(executed: &Executed) -> Option<String> {
    let is_clean = executed.environment.is_empty()
        && executed.fds.iter().all(|(number, _)| *number < FIRST)
        && executed.cwd == "/"
        && !executed.signals_blocked;
    (!is_clean).then(|| "with something of ours".to_string())
}

/// In what a program differs from what the plan says of it. Looked at where the program begins, not where
/// the launch says so.
fn objection(plan: &Plan, executed: &Executed) -> Option<String> {
    if is_pkg(executed) {
        return objection_to_pkg(executed);
    }
    let child = plan.child();
    let mut groups = child.groups.clone();
    groups.push(child.gid);
    let as_set = |groups: &[u32]| {
        groups
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (arguments, environment) = words(child, executed.pid);
    let limited = |(limit, value): &(Limit, Rlimit)| executed.limits.get(limit) == Some(value);
    let facts = [
        (executed.jail.is_some(), "outside any jail"),
        (executed.uid == Ids::all(child.uid), "as another user"),
        (executed.gid == Ids::all(child.gid), "with another group"),
        (
            as_set(&executed.groups) == as_set(&groups),
            "with other groups",
        ),
        (
            !executed.suser || plan.may_be_root(),
            "in a jail that has a superuser",
        ),
        (
            executed.jail_name == jail_name(plan.label()) || is_one_off(plan, executed),
            "in another jail",
        ),
        (
            executed.program == child.program && executed.arguments == arguments,
            "with other arguments",
        ),
        (
            executed.environment == environment,
            "with another environment",
        ),
        (executed.umask == child.umask, "with another umask"),
        (is_planned(child, &executed.fds), "with descriptors of ours"),
        (
            executed.in_capability_mode == child.capability.is_some(),
            "in another mode than capability mode, or in it",
        ),
        (child.limits.iter().all(limited), "with other limits"),
        (
            executed.login_class == child.login_class,
            "in another login class",
        ),
        (
            child.procctl.iter().all(|p| executed.procctls.contains(p)),
            "without a process control",
        ),
        (
            !executed.signals_blocked && executed.signals_ignored.is_empty(),
            "with signals blocked or ignored",
        ),
        (
            executed.session == executed.pid,
            "in a session of somebody else's",
        ),
    ];
    let wrong = facts.iter().find(|(holds, _)| !holds);
    wrong.map(|(_, words)| (*words).to_string())
}

/// Arguments and environment at the exec: in capability mode the run-time linker's, by descriptor; with
/// sockets the program's own pid (sd_listen_fds(3)).
fn words(child: &ChildPlan, pid: i32) -> (&[String], Vec<String>) {
    let capability = child.capability.as_ref();
    let arguments = capability.map_or(&child.arguments, |capability| &capability.arguments);
    let mut environment = child.environment.clone();
    if child.sockets > 0 {
        environment.push(format!("LISTEN_PID={pid}"));
    }
    (arguments, environment)
}

/// Nothing but the standard descriptors, the sockets, and what capability mode is given.
fn is_planned(child: &ChildPlan, fds: &[(i32, String)]) -> bool {
    let sockets = i32::try_from(child.sockets).unwrap_or(0);
    let given = child.capability.iter().flat_map(|all| &all.descriptors);
    let given: Vec<i32> = given.map(|descriptor| descriptor.fd.0).collect();
    let mut numbers = fds.iter().map(|(number, _)| number);
    numbers.all(|number| (0..FIRST + sockets).contains(number) || given.contains(number))
}

/// One-offs are numbered by the pids of their supervisors, which differ from run to run.
fn is_one_off(plan: &Plan, executed: &Executed) -> bool {
    let without_number = |name: &str| {
        let (stem, number) = name.rsplit_once('+')?;
        number.parse::<u32>().is_ok().then(|| stem.to_string())
    };
    let planned = without_number(&jail_name(plan.label()));
    planned.is_some() && planned == without_number(&executed.jail_name)
}

fn verdict(outcome: &Outcome) -> String {
    let Outcome {
        calls,
        refused,
        killed,
        told,
        leak,
    } = outcome;
    match leak {
        Some(leak) => leak.clone(),
        None => format!(
            "{calls} calls; {} rehearsals ({refused} with a call refused, {killed} with a process \
             killed): nothing is left behind; {told} launches that couldn't take everything back \
             said so, and a cleanup did",
            refused + killed
        ),
    }
}

fn json(name: &str, outcome: &Outcome) -> Json {
    Json::Object(vec![
        ("profile", Json::text(name)),
        ("calls", Json::number(outcome.calls)),
        ("refused", Json::number(outcome.refused)),
        ("killed", Json::number(outcome.killed)),
        ("told", Json::number(outcome.told)),
        ("leak", outcome.leak.as_ref().map_or(Json::Null, Json::text)),
    ])
}

/// Calls that change something.
const EFFECTS: [&str; 32] = [
    "mkdirat",
    "symlinkat",
    "bindat",
    "unlinkat",
    "fchown",
    "fchmod",
    "ftruncate",
    "write",
    "nmount",
    "unmount",
    "devfs_radd",
    "devfs_rdel",
    "add_address",
    "delete_address",
    "rctl_add_rule",
    "rctl_remove_rule",
    "fork",
    "jail_create",
    "jail_update",
    "jail_attach",
    "jail_remove",
    "setsid",
    "setgroups",
    "setresgid",
    "setresuid",
    "setpriority",
    "setfib",
    "chdir",
    "procctl",
    "umask",
    "execve",
    "kill",
];

/// What the launch does, in its order; every call of it when asked.
fn timeline(out: &mut dyn Write, calm: &Report, all: bool) -> Result<(), Trouble> {
    let makes_a_file = |detail: &str| detail.contains("Create");
    for call in &calm.calls {
        let is_effect =
            EFFECTS.contains(&call.name) || (call.name == "openat" && makes_a_file(&call.detail));
        if !(all || is_effect && call.refused.is_none()) {
            continue;
        }
        let refused = call
            .refused
            .map_or_else(String::new, |errno| format!(": {}", errno.words()));
        let who = if call.pid == calm.pid {
            "jailrun"
        } else {
            "child"
        };
        let line = match all {
            true => calm.line(call),
            false => cut(&calm.line(call)),
        };
        print(out, format!("{:>5} {who:<7} {line}{refused}", call.number))?;
    }
    Ok(())
}

/// A journal's text is long, and `plan` has a jail's parameters.
fn cut(line: &str) -> String {
    match line.char_indices().nth(WIDTH) {
        None => line.to_string(),
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
    }
}

const WIDTH: usize = 150;
