//! The root of a service: what a profile says and a host holds becomes steps, in the simulated kernel.
// A helper outside #[test] that can't go on ends the test that called it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod cache;
mod closure;
mod grants;
mod launches;
mod listing;
mod log;
mod package;
mod presets;
mod setid;
mod stale;
mod writable;

use jailrun::host::{Purpose, survey};
use jailrun::kernel::Ending;
use jailrun::permit::{Caller, Wish, authorize};
use jailrun::plan::{Host, Made, Plan, Step, tree::Tree};
use jailrun::profile::Profile;
use jailrun::profile::parse::Source;
use jailrun::sim::{Faults, Sim, Start, World};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const END: &str = "\n[capsicum]\nmode = \"off\"\n";

/// A profile with the given lines, and those that every profile has.
fn profile(lines: &str) -> Profile {
    let main = Source {
        name: "www.toml".to_string(),
        text: format!("{lines}{END}"),
    };
    Profile::from_sources(&main, &[], None).unwrap_or_else(|errors| panic!("{errors}"))
}

type Surveyed = Result<(Host, Vec<Step>), String>;

/// Looks a world over for a profile, as root or as somebody, with a command or none.
fn look(world: &World, lines: &str, uid: u32, command: Option<&str>) -> Surveyed {
    let profile = profile(lines);
    let caller = Caller {
        uid,
        gid: uid,
        name: "alice".to_string(),
        groups: Vec::new(),
    };
    let wish = Wish {
        by_link: false,
        command: command.map(|command| vec![command.to_string()]),
        ..Wish::default()
    };
    let permit = authorize(profile, caller, wish, &[]).unwrap();
    let answer = Arc::new(Mutex::new(None));
    let told = Arc::clone(&answer);
    let report = Sim::run(
        world.clone(),
        &Start::root(),
        Faults::none(),
        move |kernel| {
            let outcome =
                survey(kernel, &permit, BTreeMap::new(), Purpose::Launch).and_then(|host| {
                    let plan = Plan::new(&permit, "www", &host)?;
                    let steps = plan.steps().to_vec();
                    Ok((host, steps))
                });
            *told.lock().unwrap() = Some(outcome.map_err(|error| error.to_string()));
            0
        },
    );
    assert_eq!(report.ending, Ending::Exited(0));
    let open = |call: &&jailrun::sim::Call| call.name == "openat" && call.refused.is_none();
    let closed = report.calls.iter().filter(|call| call.name == "close");
    assert_eq!(
        report.calls.iter().filter(open).count(),
        closed.count(),
        "descriptors are left open"
    );
    answer.lock().unwrap().take().unwrap()
}

/// The steps that make the inside of the root, in words, with paths as they are inside.
fn steps(world: &World, lines: &str) -> Vec<String> {
    let (_, steps) = look(world, lines, 0, None).unwrap_or_else(|error| panic!("{error}"));
    let words: Vec<String> = steps.iter().map(Step::to_string).collect();
    let first = words
        .iter()
        .position(|step| step.starts_with("mount a tmpfs of "));
    let seal = steps
        .iter()
        .position(|step| matches!(step, Step::Seal { .. }));
    words[first.unwrap() + 1..seal.unwrap()]
        .iter()
        .map(|step| step.replace("/var/run/jailrun/www/jail/root", ""))
        .collect()
}

fn refusal(world: &World, lines: &str) -> String {
    look(world, lines, 0, None).err().unwrap()
}

/// A file that is made.
fn made_file(world: &World, lines: &str, path: &str) -> Made {
    let (_, steps) = look(world, lines, 0, None).unwrap_or_else(|error| panic!("{error}"));
    let path = format!("/var/run/jailrun/www/jail/root{path}");
    let found = steps.iter().find_map(|step| match step {
        Step::File { path: at, made } if *at == path => Some(made.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{path} isn't made"))
}

/// Its content as text, its mode and its owner.
fn made(world: &World, lines: &str, path: &str) -> (String, u32, u32) {
    let made = made_file(world, lines, path);
    let text = String::from_utf8_lossy(&made.content).into_owned();
    (text, made.mode, made.uid)
}

fn tree(host: &Host, lines: &str) -> Tree {
    Tree::of(&profile(lines), host).unwrap()
}
