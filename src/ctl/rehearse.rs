//! `rehearse`: the whole launch in the simulated kernel, then again with every call refused, and with
//! its maker killed at every call. What is left after a cleanup is a leak; the first is told.

use super::args::text;
use super::described;
use super::json::Json;
use super::plan::request;
use super::source::Sources;
use super::{Trouble, print};
use crate::kernel::{Ending, Errno};
use crate::launch::cleanup;
use crate::request::Request;
use crate::run::run as launch;
use crate::sim::{Call, Faults, Report, Sim, Start, World};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;

/// What was tried, and the first leak.
#[derive(Debug, Default)]
pub struct Outcome {
    pub failed: u32,
    pub killed: u32,
    pub leak: Option<String>,
}

pub fn run(found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    let word = text(found, "profile").unwrap_or_default();
    let sources = Sources::find(&word)?;
    sources.read(text(found, "instance").as_deref())?;
    let asked = request(&sources.name, found);
    let world = described::world(text(found, "host").as_deref(), &sources)?;
    // What stays for good: the state directory, the devfs ruleset and its lock.
    let world = once(&world, &asked, Faults::none()).world;
    let whole = once(&world, &asked, Faults::none());
    let is_json = found.get_flag("json");
    if whole.ending != Ending::Exited(0) {
        let said = whole.world.stderr.last().cloned().unwrap_or_default();
        let words = said.trim_start_matches("jailrun: ").to_string();
        let Ending::Exited(status) = whole.ending else {
            return Err(Trouble::new(71, words));
        };
        return Err(Trouble::new(status, words));
    }
    if !is_json {
        timeline(out, &whole.calls, found.get_flag("verbose"))?;
    }
    let outcome = sweep(&world, &asked, &whole);
    let tried = outcome.failed + outcome.killed;
    match (is_json, &outcome.leak) {
        (true, _) => {
            let value = Json::Object(vec![
                ("profile", Json::text(&sources.name)),
                ("calls", Json::number(whole.calls.len())),
                ("failed", Json::number(outcome.failed)),
                ("killed", Json::number(outcome.killed)),
                ("leak", outcome.leak.as_ref().map_or(Json::Null, Json::text)),
            ]);
            print(out, value)?;
        }
        (false, None) => {
            let calls = whole.calls.len();
            print(
                out,
                format!(
                    "{}: {calls} calls; {tried} rehearsals ({} with a call refused, {} with a process \
                     killed): nothing is left behind",
                    sources.name, outcome.failed, outcome.killed
                ),
            )?;
        }
        (false, Some(leak)) => print(out, format!("{}: left behind: {leak}", sources.name))?,
    }
    Ok(i32::from(outcome.leak.is_some()))
}

/// One launch, as root.
pub fn once(world: &World, asked: &Request, faults: Faults) -> Report {
    Sim::run(world.clone(), &Start::root(), faults, |kernel| {
        launch(kernel, asked, &BTreeMap::new()).code()
    })
}

/// `jailrunctl cleanup --all`, as a new process in the world that a run left.
fn cleaned(world: World) -> World {
    let report = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        i32::from(!cleanup::sweep(kernel, "").is_empty())
    });
    report.world
}

/// Every call refused with each errno that it may give, and killed before and after.
pub fn sweep(world: &World, asked: &Request, whole: &Report) -> Outcome {
    let mut outcome = Outcome::default();
    for call in &whole.calls {
        for errno in errnos(call.name) {
            outcome.failed += 1;
            let report = once(world, asked, Faults::none().fail(call.number, *errno));
            let how = format!(
                "when {} ({}) is refused: {}",
                call.name,
                call.number,
                errno.words()
            );
            if judge(&mut outcome, world, report, &how) {
                return outcome;
            }
        }
        for (when, faults) in [
            ("before", Faults::none().kill(call.number)),
            ("after", Faults::none().kill_after(call.number)),
        ] {
            outcome.killed += 1;
            let report = once(world, asked, faults);
            let how = format!("when killed {when} {} ({})", call.name, call.number);
            if judge(&mut outcome, world, report, &how) {
                return outcome;
            }
        }
    }
    outcome
}

/// True for a leak: what is there after a cleanup and wasn't before, or a program that ran with more
/// than it may.
fn judge(outcome: &mut Outcome, before: &World, report: Report, how: &str) -> bool {
    let known = before.executed.len();
    let strong =
        report.world.executed.iter().skip(known).find(|executed| {
            executed.jail.is_none() || executed.uid.effective == 0 || executed.suser
        });
    if let Some(executed) = strong {
        outcome.leak = Some(format!("{} ran with root's power {how}", executed.program));
        return true;
    }
    let left = cleaned(report.world).differences(before);
    if left.is_empty() {
        return false;
    }
    outcome.leak = Some(format!("{} {how}", left.join(", ")));
    true
}

/// The plausible errnos of each call, from its manual page.
fn errnos(call: &str) -> &'static [Errno] {
    match call {
        "write" => &[Errno::ENOSPC, Errno::EIO],
        "openat" => &[Errno::EMFILE, Errno::EACCES, Errno::EIO],
        "mkdirat" => &[Errno::ENOSPC, Errno::EROFS],
        "fork" => &[Errno::EAGAIN, Errno::ENOMEM],
        "nmount" => &[Errno::EPERM, Errno::ENOMEM, Errno::ENAMETOOLONG],
        "unmount" => &[Errno::EBUSY, Errno::EPERM],
        "jail_create" => &[Errno::EEXIST, Errno::EPERM, Errno::EAGAIN],
        "jail_attach" | "jail_update" | "jail_get_int" | "jail_remove" | "jail_find" => {
            &[Errno::EINVAL, Errno::EPERM]
        }
        "flock" => &[Errno::EAGAIN, Errno::EIO],
        "add_address" | "delete_address" => &[Errno::EPERM, Errno::ENXIO],
        "rctl_add_rule" | "rctl_remove_rule" => &[Errno::ENOSYS, Errno::EPERM],
        "execve" => &[Errno::ENOENT, Errno::EACCES, Errno::ENOMEM],
        "kqueue" | "socketpair" | "pipe" => &[Errno::EMFILE, Errno::ENOMEM],
        _ => &[Errno::EPERM, Errno::ENOMEM],
    }
}

/// Calls that change something, in their order; all of them when asked.
fn timeline(out: &mut dyn Write, calls: &[Call], all: bool) -> Result<(), Trouble> {
    const EFFECTS: [&str; 22] = [
        "mkdirat",
        "nmount",
        "unmount",
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
        "chdir",
        "procctl",
        "execve",
        "kill",
        "unlinkat",
        "waitpid",
    ];
    for call in calls
        .iter()
        .filter(|call| all || EFFECTS.contains(&call.name))
    {
        let refused = call
            .refused
            .map_or_else(String::new, |errno| format!(": {}", errno.words()));
        print(
            out,
            format!(
                "{:>4} [{}] {}({}){refused}",
                call.number, call.pid, call.name, call.detail
            ),
        )?;
    }
    Ok(())
}
