//! What fuzzers run, and tests on fixed seeds: bytes in the place of a file that a launch reads as root.

use super::image::Elf;
use super::{Faults, Sim, Start, World};
use crate::closure::finder::System;
use crate::closure::{Wanted, find};
use crate::kernel::Ending;
use crate::trust::walk::Walker;

/// The bytes as a program, and as a library that one needs: no panic, no endless search, no descriptor
/// that stays open, and an answer of one line that holds what was asked for.
pub fn elf(bytes: &[u8]) {
    for place in ["/bin/p", "/lib/libx.so.1"] {
        let mut world = host();
        world.file(place, 0o755, 0, 0, bytes);
        let report = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
            let mut walker = Walker::new(kernel);
            match find(&mut walker, &wanted()) {
                Ok(closure) => assert!(closure.files.contains_key("/bin/p")),
                Err(refusal) => {
                    let words = refusal.to_string();
                    assert!(!words.chars().any(char::is_control), "{words}");
                }
            }
            0
        });
        assert_eq!(report.ending, Ending::Exited(0), "{place}");
        let opened = report.calls.iter();
        let opened = opened.filter(|call| call.name == "openat" && call.refused.is_none());
        let closed = report.calls.iter().filter(|call| call.name == "close");
        assert_eq!(opened.count(), closed.count(), "descriptors are left open");
    }
}

fn wanted() -> Wanted {
    let text = str::to_string;
    Wanted {
        programs: vec![text("/bin/p")],
        libraries: vec![text("/lib/*.so.*")],
        modules: Vec::new(),
        system: System {
            machine: text("amd64"),
            name: text("FreeBSD"),
            release: text("15.1-RELEASE"),
        },
    }
}

fn host() -> World {
    let mut world = World::new();
    for path in ["/bin", "/lib", "/usr/bin", "/libexec", "/etc", "/var/run"] {
        world.dir(path, 0o755, 0, 0);
    }
    for (path, elf) in [
        ("/libexec/ld-elf.so.1", Elf::library("ld-elf.so.1", &[])),
        ("/libexec/ld-elf32.so.1", Elf::library("ld-elf32.so.1", &[])),
        ("/lib/libsys.so.7", Elf::library("libsys.so.7", &[])),
        (
            "/lib/libc.so.7",
            Elf::library("libc.so.7", &["libsys.so.7"]),
        ),
        ("/lib/libx.so.1", Elf::library("libx.so.1", &["libc.so.7"])),
        ("/bin/p", Elf::program(&["libx.so.1"])),
        ("/bin/sh", Elf::program(&["libc.so.7"])),
        ("/usr/bin/env", Elf::program(&["libc.so.7"])),
    ] {
        world.file(path, 0o755, 0, 0, &elf.bytes());
    }
    world
}
