//! The library on a FreeBSD kernel, as root: the same program with it in capability mode and without
//! either has to see the same. The library is where JAILRUN_PREOPEN says, or where cargo put it.

#![cfg(target_os = "freebsd")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::undocumented_unsafe_blocks
)]
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::disallowed_methods)]

mod fuzz;
mod launcher;
mod stock;
mod subject;

use launcher::{Launch, Mode};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// None: SKIP was said.
pub fn library() -> Option<String> {
    let built = std::env::current_exe().ok().and_then(|test| {
        let folder = test.parent()?.parent()?;
        let file = folder.join("libjailrun_preopen.so");
        file.exists().then_some(file)
    });
    let told = std::env::var_os("JAILRUN_PREOPEN").map(PathBuf::from);
    let Some(library) = told.or(built) else {
        println!(
            "SKIP kernel: needs the library (cargo build -p jailrun-preopen; JAILRUN_PREOPEN)"
        );
        return None;
    };
    Some(library.to_str().unwrap().to_string())
}

/// One test at a time: a child that another test forks would inherit this one's descriptors.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory that is there as long as this value.
pub struct Place(pub String);

impl Place {
    pub fn new(name: &str) -> Self {
        let path = format!("/tmp/jailrun-shim.{}.{name}", std::process::id());
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn subject(launch: &Launch, what: &str, place: &str) -> String {
    let launch = launch
        .clone()
        .set("SUBJECT", what)
        .set("SUBJECT_PLACE", place);
    let program = std::env::current_exe().unwrap();
    let ended = launch.run(&[program.to_str().unwrap()]);
    assert_eq!(
        ended.status, 0,
        "{:?} {what}: {}{}",
        launch.mode, ended.output, ended.errors
    );
    format!("{}{}", ended.output, ended.errors)
}

fn first_difference(bare: &str, confined: &str) -> Option<String> {
    let mut last = Vec::new();
    let (mut one, mut two) = (bare.lines(), confined.lines());
    loop {
        match (one.next(), two.next()) {
            (None, None) => return None,
            (first, second) if first == second => last.push(first.unwrap_or_default()),
            (first, second) => {
                let context = last[last.len().saturating_sub(6)..].join("\n");
                return Some(format!("{context}\nwithout: {first:?}\nwith: {second:?}"));
            }
        }
    }
}

/// Runs the subject without and with, each in a fresh directory of the same name.
fn compare(what: &str, change: impl Fn(Launch, &str) -> Launch) {
    let Some(library) = library() else { return };
    let _alone = alone();
    let run = |mode| {
        let place = Place::new(what);
        let launch = Launch::new(mode, &library).writable(&place.0);
        subject(&change(launch, &place.0), what, &place.0)
    };
    let (bare, confined) = (run(Mode::Bare), run(Mode::Confined));
    assert!(bare.lines().count() >= 2, "{bare}");
    if let Some(difference) = first_difference(&bare, &confined) {
        panic!("{what}: {difference}");
    }
}

fn unchanged(launch: Launch, _: &str) -> Launch {
    launch
}

#[test]
fn every_function_of_files_gives_the_same() {
    compare("files", unchanged);
}

#[test]
fn functions_of_files_give_the_same_beside_threads() {
    compare("threads", unchanged);
}

#[test]
fn functions_of_files_give_the_same_in_forked_children() {
    compare("forked", unchanged);
}

#[test]
fn programs_are_executed_the_same() {
    compare("programs", unchanged);
}

#[test]
fn names_libraries_and_semaphores_are_found_the_same() {
    compare("names", |launch, _| launch.writable("/tmp"));
}

#[test]
fn local_sockets_work_the_same() {
    compare("sockets", unchanged);
}

#[test]
fn signal_handlers_may_look_and_open() {
    compare("signals", unchanged);
}

#[test]
fn a_daemon_that_closes_what_it_does_not_know_harms_nothing() {
    compare("closing", unchanged);
}

#[test]
fn children_are_signalled_and_waited_for_where_the_profile_says_so() {
    compare("children", |launch, _| {
        launch.set("JAILRUN_KILL_CHILDREN", "1")
    });
}

#[test]
fn calls_at_random_give_the_same() {
    let rounds = std::env::var("JAILRUN_ROUNDS").unwrap_or("3000".to_string());
    // Few enough to be told one by one, so that the first that differs is seen.
    let is_told = rounds.parse::<u64>().unwrap() <= 20_000;
    for seed in ["1", "2"] {
        compare("fuzz", |launch, _| {
            let launch = launch.set("SUBJECT_ROUNDS", &rounds).set("SUBJECT_SEED", seed);
            if is_told { launch.set("SUBJECT_TOLD", "1") } else { launch }
        });
    }
}
