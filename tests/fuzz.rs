//! The fuzzers' bodies (fuzz/) on fixed seeds: what is good, cut at every byte, and mutated the same way in
//! every run. And what a cleanup makes of journals like that.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../fuzz/bodies.rs"]
mod bodies;

use jailrun::launch::cleanup;
use jailrun::launch::journal::{Unreadable, parse};
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::image::Elf;
use jailrun::sim::{Faults, Sim, Start, World};
use std::collections::BTreeMap;

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % below.max(1)
    }
}

/// One to four changes: a byte, a bit, a piece left out, doubled or moved in from another seed.
fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.next(seeds.len())].clone();
    for _ in 0..=random.next(4) {
        let (from, length) = (random.next(bytes.len()), random.next(40));
        let end = (from + length).min(bytes.len());
        match random.next(6) {
            _ if bytes.is_empty() => bytes = seeds[random.next(seeds.len())].clone(),
            0 => bytes[from] = u8::try_from(random.next(256)).unwrap(),
            1 => bytes[from] ^= 1 << random.next(8),
            2 => drop(bytes.drain(from..end)),
            3 => {
                let piece = bytes[from..end].to_vec();
                let place = random.next(bytes.len());
                bytes.splice(place..place, piece);
            }
            4 => {
                let other = &seeds[random.next(seeds.len())];
                let first = random.next(other.len());
                let piece = other[first..(first + length).min(other.len())].to_vec();
                bytes.splice(from..from, piece);
            }
            _ => bytes.truncate(from),
        }
    }
    bytes
}

/// The body, on every seed, on every seed cut at every byte, and on mutations. How many of those it took.
fn exercise(body: fn(&[u8]), seeds: &[Vec<u8>], mutations: usize) {
    for seed in seeds {
        (0..=seed.len().min(8192)).for_each(|end| body(&seed[..end]));
        body(seed);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..mutations).for_each(|_| body(&mutated(&mut random, seeds)));
}

#[test]
fn any_text_of_login_conf_is_a_class_or_is_refused_in_one_line() {
    let seeds = [
        "default:\\\n\t:cputime=1h30m:openfiles#100:umask=022:\n",
        "daemon|Daemons:mail@:memorylocked=128M:priority=-5:tc=default:\ndefault:openfiles-max=0x20:\n",
        "a:tc=b:tc=b:\nb:tc=a:tc@:\n# comment\\\na:x:\n",
        "pinned:cpumask=0-1,3:umask=inherit:datasize=1g5k:\n",
    ];
    exercise(
        bodies::login_conf,
        &seeds.map(|seed| seed.as_bytes().to_vec()),
        4000,
    );
}

#[test]
fn any_command_line_is_a_request_or_is_refused_in_one_line() {
    let seeds = [
        "-d\0www@blue",
        "--status-fd\x003\0www\0/bin/ls\0-l",
        "www\0-d\0--version",
        "--help",
        "-x\0www",
    ];
    exercise(
        bodies::argv,
        &seeds.map(|seed| seed.as_bytes().to_vec()),
        4000,
    );
}

#[test]
fn any_profile_reads_or_has_errors_that_say_where() {
    let mut seeds = Vec::new();
    for folder in ["profiles", "tests/profiles/good", "tests/profiles/bad"] {
        let top =
            std::env::var_os("CARGO_MANIFEST_DIR").map_or(".".into(), std::path::PathBuf::from);
        let Ok(files) = std::fs::read_dir(top.join(folder)) else {
            continue;
        };
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
        seeds.extend(paths.iter().map(|path| std::fs::read(path).unwrap()));
    }
    if seeds.is_empty() {
        println!("SKIP profiles: the checkout isn't on this host");
        return;
    }
    seeds.sort_by_key(Vec::len);
    exercise(bodies::profile, &seeds[..12], 3000);
}

#[test]
fn any_file_is_a_program_a_script_or_nothing_that_is_understood() {
    let seeds = [
        Elf::program(&["libc.so.7", "libm.so.5"]).bytes(),
        Elf::library("libx.so.1", &["libc.so.7"]).bytes(),
        b"#!/bin/sh -e\n".to_vec(),
    ];
    exercise(bodies::elf, &seeds, 6000);
}

/// A supervisor that was killed when its jail was up, and what its journal said.
fn killed() -> (World, World, Vec<u8>) {
    let mut world = World::freebsd();
    let directory = "/usr/local/etc/jailrun/profiles";
    world
        .dir(directory, 0o755, 0, 0)
        .dir("/srv/data", 0o750, 80, 80);
    let text = "program = \"/bin/sh\"\nuser = \"www\"\npidfile = \"/var/run/www.pid\"\n[root]\nclosure = \"off\"\n\
                ro = [\"/bin\"]\nrw = [\"/srv/data\"]\n[jail]\nip4.addr = [\"lo0|127.0.0.80/32\"]\n\
                [capsicum]\nmode = \"off\"\n";
    world.file(
        &format!("{directory}/www.toml"),
        0o644,
        0,
        0,
        text.as_bytes(),
    );
    let request = Request {
        profile: "www".to_string(),
        ..Request::default()
    };
    let launch = |world: &World, faults| {
        Sim::run(world.clone(), &Start::root(), faults, |kernel| {
            run(kernel, &request, &BTreeMap::new()).code()
        })
    };
    let before = launch(&world, Faults::none()).world;
    let calls = launch(&before, Faults::none()).calls;
    let update = calls.iter().find(|call| call.name == "jail_update");
    let after = launch(&before, Faults::none().kill_after(update.unwrap().number)).world;
    let journal = after.content("/var/run/jailrun/www/journal").unwrap();
    (before, after, journal)
}

#[test]
fn any_journal_is_followed_or_refused() {
    let (_, _, whole) = killed();
    let text = String::from_utf8(whole.clone()).unwrap();
    let older = text.replacen("journal 1", "journal 0", 1);
    assert_eq!(parse(older.as_bytes()), Err(Unreadable::Foreign));
    let other_boot = text.replacen("boot ", "boot f", 1);
    let other = text.replace("/var/run/jailrun/www", "/var/run/jailrun/other%20one");
    let seeds = [text, older, other_boot, other].map(String::into_bytes);
    exercise(bodies::journal, &seeds, 20_000);
}

/// Whatever a journal says, a cleanup takes away nothing but what is below the instance's directory, its
/// address and its pidfile; and what it couldn't, it says.
#[test]
fn a_cleanup_by_any_journal_touches_nothing_that_is_not_the_instances() {
    let (before, stale, whole) = killed();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let (mut clean, mut told) = (0, 0);
    for _ in 0..400 {
        let journal = mutated(&mut random, std::slice::from_ref(&whole));
        let mut world = stale.clone();
        world.file("/var/run/jailrun/www/journal", 0o600, 0, 0, &journal);
        let report = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
            i32::from(!cleanup::sweep(kernel, "").is_empty())
        });
        let left = report.world.differences(&before);
        let said = String::from_utf8_lossy(&journal).into_owned();
        for line in &left {
            let is_ours = line.starts_with("new ")
                && (line.contains("/var/run/jailrun/www") || line.contains("/var/run/www.pid"));
            assert!(is_ours, "{line}: {said:?}");
        }
        // A pidfile that no journal names any more is its supervisor's no longer.
        let is_told = report.ending != jailrun::kernel::Ending::Exited(0);
        let left = left
            .iter()
            .filter(|line| !line.contains("/var/run/www.pid"))
            .count();
        assert!(left == 0 || is_told, "{left} unsaid: {said:?}");
        clean += usize::from(left == 0);
        told += usize::from(is_told);
    }
    // The canary: journals that are all good or all refused would show nothing.
    assert!(clean > 200 && told > 0, "{clean} clean, {told} told");
}
