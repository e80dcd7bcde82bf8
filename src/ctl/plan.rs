//! `plan`: the steps of a launch, in the words that errors and journal use, and what the child does.

use super::args::{text, texts};
use super::described;
use super::json::Json;
use super::source::Sources;
use super::{Trouble, print};
use crate::error::Error;
use crate::host::{self, Rulesets};
use crate::kernel::Kernel;
use crate::permit::Caller;
use crate::plan::{self, ChildPlan, Plan};
use crate::request::Request;
use crate::sim::{Faults, Sim, Start, World};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;

pub fn run(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    let word = text(found, "profile").unwrap_or_default();
    let sources = Sources::find(&word)?;
    // All errors of the text, rather than the first that a launch would meet.
    sources.read(text(found, "instance").as_deref())?;
    let asked = request(&sources.name, found);
    let host = text(found, "host");
    let real = here(&asked, &word, host.as_deref());
    let is_described = real.is_none();
    let planned = match real {
        Some(planned) => planned,
        None => simulated(described::world(host.as_deref(), &sources)?, &asked),
    };
    let planned = planned.map_err(|error| Trouble::about(&sources.name, &error))?;
    if is_described {
        let _ = writeln!(err, "jailrunctl: {}", described::said("planned", &host));
    }
    match found.get_flag("json") {
        true => print(out, json(&planned))?,
        false => show(out, &planned)?,
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
fn here(asked: &Request, word: &str, host: Option<&str>) -> Option<Result<Plan, Error>> {
    let is_installed = host.is_none() && !word.contains('/') && !word.ends_with(".toml");
    is_installed.then(|| prepare(&mut crate::kernel::freebsd::FreeBsd, asked))
}

#[cfg(not(target_os = "freebsd"))]
fn here(_: &Request, _: &str, _: Option<&str>) -> Option<Result<Plan, Error>> {
    None
}

/// The plan for a described host.
pub fn simulated(world: World, asked: &Request) -> Result<Plan, Error> {
    let mut planned = Err(Error::Stopped);
    Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        planned = prepare(kernel, asked);
        0
    });
    planned
}

/// The road of a launch up to the plan. Nothing is changed: a devfs ruleset is only looked for.
pub fn prepare<K: Kernel>(kernel: &mut K, asked: &Request) -> Result<Plan, Error> {
    let root = Caller {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        name: "root".to_string(),
    };
    let permit = crate::run::permit(kernel, asked, &root)?;
    let one_off = permit.is_one_off().then(|| kernel.getpid());
    let label = plan::label(&asked.profile, permit.instance(), one_off);
    let host = host::survey(kernel, &permit, BTreeMap::new(), Rulesets::Look)?;
    Plan::new(&permit, &label, &host)
}

fn show(out: &mut dyn Write, plan: &Plan) -> Result<(), Trouble> {
    for (index, step) in plan.steps().iter().enumerate() {
        print(out, format!("{:>3}  {step}", index + 1))?;
    }
    let child = plan.child();
    print(out, "then, in a process of its own:")?;
    for line in child_lines(child, plan.may_be_root()) {
        print(out, format!("     {line}"))?;
    }
    Ok(())
}

fn child_lines(child: &ChildPlan, may_be_root: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "begin a session as {}, nice {}, fib {}",
        child.user,
        child.nice.unwrap_or(0),
        child.fib.unwrap_or(0)
    )];
    for (limit, value) in &child.limits {
        lines.push(format!("limit {limit:?} to {value}").to_lowercase());
    }
    lines.push(format!("attach to the jail, enter {}", child.chdir));
    let groups: Vec<String> = child.groups.iter().map(u32::to_string).collect();
    lines.push(format!(
        "become uid {}, gid {}, groups [{}], for good",
        child.uid,
        child.gid,
        groups.join(", ")
    ));
    if !may_be_root {
        lines.push("lose the superuser of the jail (allow.nosuser)".to_string());
    }
    for control in &child.procctl {
        lines.push(format!("procctl {control:?}"));
    }
    lines.push(format!("umask {:04o}", child.umask));
    lines.push(format!("environment [{}]", child.environment.join(", ")));
    lines.push(format!("execute {}", child.arguments.join(" ")));
    lines
}

fn json(plan: &Plan) -> Json {
    let steps = plan.steps().iter().map(|step| Json::text(step.to_string()));
    let child = plan.child();
    Json::Object(vec![
        ("instance", Json::text(plan.label())),
        ("steps", Json::List(steps.collect())),
        (
            "child",
            Json::List(
                child_lines(child, plan.may_be_root())
                    .into_iter()
                    .map(Json::text)
                    .collect(),
            ),
        ),
        ("uid", Json::number(child.uid)),
        ("gid", Json::number(child.gid)),
        ("program", Json::text(&child.program)),
        ("arguments", Json::texts(&child.arguments)),
        ("environment", Json::texts(&child.environment)),
    ])
}
