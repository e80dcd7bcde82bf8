//! The calls at random, run without the library and with it.
//!
//! JAILRUN_ROUNDS says how many calls at least; JAILRUN_FIRST, the first seed; JAILRUN_SEED, the only one;
//! JAILRUN_KEEP, where both runs of the last seed are written to, as KEEP.bare and KEEP.confined;
//! SUBJECT_TOLD, that each call is written at once.

use super::fuzz::excuses::EXCUSES;
use super::fuzz::{exports, ops};
use super::launcher::{Ended, Launch, Mode};
use super::world::{USER, World};
use super::{alone, first_difference, library};
use std::collections::BTreeMap;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Which kind of program a seed is.
fn subject(seed: u64, rounds: u64) -> impl Fn(Launch) -> Launch {
    let kind = ["alone", "interrupted", "alone", "threads"][seed as usize % 4];
    // Threads keep out of each other's way by what a user may not do.
    let is_user = kind == "threads" || seed / 4 % 2 == 1;
    let is_killing = seed / 8 % 2 == 1;
    move |launch| {
        let launch = launch
            .set("SUBJECT", "fuzz")
            .set("SUBJECT_KIND", kind)
            .set("SUBJECT_SEED", &seed.to_string())
            .set("SUBJECT_ROUNDS", &rounds.to_string())
            .user(is_user.then_some(USER));
        let launch = match std::env::var("SUBJECT_TOLD") {
            Ok(told) => launch.set("SUBJECT_TOLD", &told),
            Err(_) => launch,
        };
        if is_killing {
            launch.set("JAILRUN_KILL_CHILDREN", "1")
        } else {
            launch
        }
    }
}

fn difference(bare: &(Ended, String), confined: &(Ended, String)) -> Option<String> {
    first_difference(&whole(bare), &whole(confined))
}

fn whole((ended, left): &(Ended, String)) -> String {
    let (output, errors, status) = (&ended.output, &ended.errors, ended.status);
    format!("{output}\nerrors: {errors}\nstatus {status:x}\nleft:\n{left}")
}

/// What each process and thread says of how often it called what.
fn add(counts: &mut BTreeMap<String, [u64; 2]>, output: &str) {
    for line in output.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["=", name, good, bad] = words[..] {
            let count = counts.entry(name.to_string()).or_default();
            count[0] += good.parse::<u64>().unwrap();
            count[1] += bad.parse::<u64>().unwrap();
        }
    }
}

#[test]
fn calls_at_random_give_the_same() {
    const SEEDS: u64 = 24;
    let Some(library) = library() else { return };
    let _alone = alone();
    let wanted = number("JAILRUN_ROUNDS").unwrap_or(8000);
    let rounds = (wanted / SEEDS).clamp(300, 4000);
    let world = World::new("world", &library);
    let (mut counts, mut wrong, mut calls) = (BTreeMap::new(), Vec::new(), 0);
    let only = number("JAILRUN_SEED");
    let first = only.or_else(|| number("JAILRUN_FIRST")).unwrap_or(0);
    let is_only = only.is_some();
    let mut seed = first;
    while (is_only && seed == first) || (!is_only && (seed < first + SEEDS || calls < wanted)) {
        let change = subject(seed, rounds);
        let bare = world.run(Mode::Bare, &change);
        assert_eq!(
            bare.0.status, 0,
            "seed {seed}: {}{}",
            bare.0.output, bare.0.errors
        );
        let confined = world.run(Mode::Confined, &change);
        if let Ok(place) = std::env::var("JAILRUN_KEEP") {
            for (run, name) in [(&bare, "bare"), (&confined, "confined")] {
                std::fs::write(format!("{place}.{name}"), whole(run)).unwrap();
            }
        }
        if let Some(difference) = difference(&bare, &confined) {
            println!("seed {seed}: {difference}\n");
            wrong.push(seed);
        }
        add(&mut counts, &bare.0.output);
        calls = counts.values().map(|[good, bad]| good + bad).sum();
        seed += 1;
    }
    println!(
        "{calls} calls of {} functions, seeds {first} to {}",
        counts.len(),
        seed - 1
    );
    for (name, [good, bad]) in &counts {
        println!("  {name}: {good} worked, {bad} failed");
    }
    for (what, why) in EXCUSES {
        println!("excused: {what}: {why}");
    }
    assert!(wrong.is_empty(), "{} seeds differ: {wrong:?}", wrong.len());
    // A generator that isn't reached, or never gets anything done, compares nothing.
    let idle = ops().flat_map(|op| op.names.iter().map(|name| (*name, op.names[0])));
    let idle = idle.filter(|(name, _)| counts.get(*name).is_none_or(|[good, _]| *good == 0));
    let refused = ["setgroups", "setlogin"];
    let idle: Vec<_> = idle.filter(|(_, first)| !refused.contains(first)).collect();
    assert!(is_only || idle.is_empty(), "never worked: {idle:?}");
}

#[test]
fn calls_at_random_see_a_tree_that_is_missing() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let world = World::new("canary", &library);
    let change = subject(0, 300);
    let bare = world.run(Mode::Bare, &change);
    let confined = world.run(Mode::Confined, |launch| {
        let mut launch = change(launch);
        launch.writable.retain(|tree| tree != "/g2");
        launch
    });
    assert!(difference(&bare, &confined).is_some());
}

#[test]
fn every_function_that_is_exported_is_called_at_random() {
    let Some(library) = library() else { return };
    let exported = exports::functions(&std::fs::read(library).unwrap());
    let is_called = |name: &str| ops().any(|op| op.names.contains(&name));
    let is_exempt = |name: &str| exports::EXEMPT.iter().any(|(exempt, _)| *exempt == name);
    let forgotten: Vec<_> = exported
        .iter()
        .filter(|name| !is_called(name) && !is_exempt(name))
        .collect();
    assert!(exported.len() > 120, "{exported:?}");
    assert!(forgotten.is_empty(), "{forgotten:?}");
    for (name, why) in exports::EXEMPT {
        println!("exempt: {name}: {why}");
        assert!(
            exported.iter().any(|exported| exported == name) && !is_called(name),
            "{name}"
        );
    }
}
