//! Which files a program needs: rtld's order, scripts, patterns, links, and what hostile files get.
//! Each world is simulated; the files in it are ELF files that say what their names say.
// A helper outside #[test] that can't go on ends the test that called it.
#![allow(clippy::unwrap_used, clippy::panic)]

use jailrun::closure::finder::System;
use jailrun::closure::{Closure, Refusal, Wanted, find};
use jailrun::kernel::Ending;
use jailrun::sim::image::Elf;
use jailrun::sim::{Faults, Sim, Start, World};
use jailrun::trust::walk::Walker;
use std::sync::{Arc, Mutex};

mod figures;
mod hostile;
mod order;
mod programs;
mod trust;

const LINKER: &str = "/libexec/ld-elf.so.1";

/// A host with a linker and the two libraries that everything has.
fn host() -> World {
    let mut world = World::new();
    for path in
        "/bin /sbin /lib /usr/lib /usr/bin /usr/local/bin /usr/local/lib /libexec /etc /var/run"
            .split(' ')
    {
        world.dir(path, 0o755, 0, 0);
    }
    world.dir("/tmp", 0o1777, 0, 0);
    elf(&mut world, LINKER, Elf::library("ld-elf.so.1", &[]));
    library(&mut world, "/lib/libsys.so.7", &[]);
    elf(
        &mut world,
        "/lib/libc.so.7",
        Elf {
            auxiliaries: &["libsys.so.7"],
            ..Elf::library("libc.so.7", &["libsys.so.7"])
        },
    );
    world
}

fn elf(world: &mut World, path: &str, elf: Elf<'_>) {
    world.file(path, 0o555, 0, 0, &elf.bytes());
}

/// A library whose soname is its file's name.
fn library(world: &mut World, path: &str, needed: &[&str]) {
    let name = path.rsplit('/').next().unwrap();
    elf(world, path, Elf::library(name, needed));
}

fn hints(world: &mut World, directories: &[&str]) {
    let directories: Vec<String> = directories.iter().map(|d| (*d).to_string()).collect();
    let file = jailrun::closure::hints::build(&directories);
    world.file("/var/run/ld-elf.so.hints", 0o444, 0, 0, &file);
}

fn wanted(programs: &[&str], libraries: &[&str]) -> Wanted {
    let strings = |list: &[&str]| list.iter().map(|one| (*one).to_string()).collect();
    Wanted {
        programs: strings(programs),
        libraries: strings(libraries),
        modules: Vec::new(),
        system: System {
            machine: "amd64".to_string(),
            name: "FreeBSD".to_string(),
            release: "15.1-RELEASE".to_string(),
        },
    }
}

fn ask(world: &World, programs: &[&str], libraries: &[&str]) -> Result<Closure, Refusal> {
    let wanted = wanted(programs, libraries);
    let answer = Arc::new(Mutex::new(None));
    let told = Arc::clone(&answer);
    let report = Sim::run(
        world.clone(),
        &Start::root(),
        Faults::none(),
        move |kernel| {
            let mut walker = Walker::new(kernel);
            let closure = find(&mut walker, &wanted);
            drop(walker);
            *told.lock().unwrap() = Some(closure);
            0
        },
    );
    assert_eq!(report.ending, Ending::Exited(0));
    let opened = report
        .calls
        .iter()
        .filter(|call| call.name == "openat" && call.refused.is_none());
    let closed = report.calls.iter().filter(|call| call.name == "close");
    assert_eq!(opened.count(), closed.count(), "descriptors are left open");
    answer.lock().unwrap().take().unwrap()
}

/// The files of a closure, and its links as "path -> text".
fn files(world: &World, program: &str) -> Vec<String> {
    let closure = ask(world, &[program], &[]).unwrap_or_else(|refusal| panic!("{refusal}"));
    shown(&closure)
}

fn shown(closure: &Closure) -> Vec<String> {
    let mut all: Vec<String> = closure.files.keys().cloned().collect();
    all.extend(
        closure
            .links
            .iter()
            .map(|(path, text)| format!("{path} -> {text}")),
    );
    all
}

fn refusal(world: &World, program: &str) -> String {
    ask(world, &[program], &[]).unwrap_err().to_string()
}
