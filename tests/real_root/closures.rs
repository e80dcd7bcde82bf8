//! The closures of real programs, against what rtld itself says, and whether they are enough and no more.

use crate::fixture::{alone, end_within, forget, jailrun, profile, sh, world};
use jailrun::closure::finder::System;
use jailrun::closure::graph::How;
use jailrun::closure::{Closure, Wanted, find};
use jailrun::kernel::freebsd::FreeBsd;
use jailrun::trust::walk::Walker;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const DIRECTORIES: [&str; 6] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/libexec",
    "/usr/local/bin",
];
const ENOUGH: usize = 60;

pub fn closure(program: &str) -> Result<Closure, String> {
    let sysctl = |name: &str| sh(&format!("sysctl -n {name}"));
    let wanted = Wanted {
        programs: vec![program.to_string()],
        libraries: Vec::new(),
        modules: Vec::new(),
        system: System {
            machine: sysctl("hw.machine"),
            name: sysctl("kern.ostype"),
            release: sysctl("kern.osrelease"),
        },
    };
    let mut kernel = FreeBsd;
    let mut walker = Walker::new(&mut kernel);
    find(&mut walker, &wanted).map_err(|refusal| refusal.to_string())
}

/// Programs of the base system that have a run-time linker, each file once, by their closures.
fn dynamic_programs() -> BTreeMap<String, Closure> {
    let mut seen = BTreeSet::new();
    let mut programs = BTreeMap::new();
    for directory in DIRECTORIES {
        let Ok(entries) = std::fs::read_dir(directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let meta = path.metadata().unwrap();
            let is_program =
                meta.is_file() && meta.mode() & 0o111 != 0 && !meta.file_type().is_fifo();
            // Many names of one file say the same.
            if !is_program || meta.mode() & 0o001 == 0 || !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            let path = path.to_string_lossy().into_owned();
            match closure(&path) {
                Ok(found) if found.linkers.len() == 1 && !is_script(&found) => {
                    programs.insert(path, found);
                }
                Ok(_) => {}
                Err(words) => panic!("{words}"),
            }
        }
    }
    assert!(
        programs.len() >= ENOUGH,
        "only {} dynamic programs",
        programs.len()
    );
    programs
}

fn is_script(closure: &Closure) -> bool {
    closure
        .graph
        .edges()
        .iter()
        .any(|edge| edge.how == How::Script)
}

/// The paths that `ldd -a` prints for a program: "name => path (address)", or the path alone where the
/// name is one.
pub fn by_rtld(program: &str) -> BTreeSet<String> {
    let output = Command::new("/usr/bin/ldd")
        .args(["-a", program])
        .output()
        .unwrap();
    assert!(output.status.success(), "ldd -a {program}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix('\t'))
        .map(|line| line.split_once(" => ").map_or(line, |(_, path)| path))
        .filter(|line| line.starts_with('/') || line.starts_with("not found"))
        .map(|line| line.split_once(" (").map_or(line, |(path, _)| path))
        .map(str::to_string)
        .collect()
}

#[test]
fn closures_agree_with_what_rtld_says() {
    let _alone = alone();
    let programs = dynamic_programs();
    let mut differing = Vec::new();
    for (program, closure) in &programs {
        // By ldd a library has the name that it was found by; here it has its own.
        let real = |path: &String| {
            std::fs::canonicalize(path)
                .unwrap()
                .to_string_lossy()
                .into_owned()
        };
        let said: BTreeSet<String> = by_rtld(program).iter().map(real).collect();
        let needed = closure
            .graph
            .edges()
            .iter()
            .filter(|edge| matches!(edge.how, How::Needed(_)));
        let found: BTreeSet<String> = needed.map(|edge| edge.to.clone()).collect();
        if said != found {
            differing.push(format!("{program}: rtld {said:?}, here {found:?}"));
        }
        // Beyond these: the program, the linker, and what filters may bring in.
        for path in closure.files.keys().filter(|path| !said.contains(*path)) {
            let edges = closure.graph.edges().iter().filter(|edge| edge.to == *path);
            let ways: Vec<&How> = edges.map(|edge| &edge.how).collect();
            assert!(
                ways.iter().any(|how| {
                    matches!(
                        how,
                        How::Program | How::Interpreter | How::Filter(_) | How::Auxiliary(_)
                    )
                }),
                "{program}: {path} by {ways:?}"
            );
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    println!("{} closures agree with ldd -a", programs.len());
}

/// How a program began: what it said if it couldn't. It may run on, or end as it likes.
fn trouble(name: &str) -> Option<String> {
    let mut command = jailrun(name, &[]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = end_within(command.spawn().unwrap(), 10)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let is_linkers = said.contains("ld-elf.so.1:");
    let is_ours = said.lines().any(|line| line.starts_with("jailrun:"));
    let is_aborted = output.status.signal() == Some(6);
    (is_linkers || is_ours || is_aborted).then_some(format!("{:?}: {said}", output.status))
}

#[test]
fn each_program_starts_in_its_computed_root() {
    let _alone = alone();
    let before = world();
    let programs = dynamic_programs();
    let mut failing = Vec::new();
    for program in programs.keys() {
        profile(
            "jrtest-start",
            &format!("program = \"{program}\"\nargs = [\"--help\"]\n[supervise]\nstop_timeout = 1"),
        );
        failing.extend(trouble("jrtest-start").map(|words| format!("{program}: {words}")));
    }
    forget("jrtest-start");
    assert!(failing.is_empty(), "{}", failing.join("\n"));
    assert_eq!(before, world());
    println!("{} programs start in their computed roots", programs.len());
}

#[test]
fn without_any_one_needed_library_its_user_fails() {
    let _alone = alone();
    let programs = dynamic_programs();
    let mut superfluous = Vec::new();
    let mut tried = 0;
    // Each library of each kind once would do; these have the most.
    let mut by_size: Vec<(&String, &Closure)> = programs.iter().collect();
    by_size.sort_by_key(|(_, closure)| std::cmp::Reverse(closure.files.len()));
    let mut known: BTreeSet<String> = BTreeSet::new();
    for (program, closure) in by_size {
        let edges = closure.graph.edges().iter();
        let needed: BTreeSet<&String> = edges
            .filter(|edge| matches!(edge.how, How::Needed(_)))
            .map(|edge| &edge.to)
            .collect();
        for missing in needed {
            // The same library by the same needers says nothing new.
            let users = closure
                .graph
                .edges()
                .iter()
                .filter(|edge| edge.to == *missing);
            let users: Vec<String> = users
                .map(|edge| edge.from.clone().unwrap_or_default())
                .collect();
            if !known.insert(format!("{missing} {users:?}")) {
                continue;
            }
            let ro: Vec<&String> = closure
                .files
                .keys()
                .filter(|path| *path != missing)
                .collect();
            // Nothing is worked out here, links neither: the program is named where it really is.
            let real = &closure.graph.edges().first().unwrap().to;
            let lines = format!(
                "program = \"{real}\"\nargs = [\"--help\"]\n[supervise]\nstop_timeout = 1\n\
                 [root]\nclosure = \"off\"\nro = {ro:?}"
            );
            profile("jrtest-less", &lines);
            tried += 1;
            let name = missing.rsplit('/').next().unwrap();
            match trouble("jrtest-less") {
                Some(words) if words.contains(name) && words.contains("not found") => {}
                other => superfluous.push(format!("{program} without {missing}: {other:?}")),
            }
        }
    }
    forget("jrtest-less");
    assert!(superfluous.is_empty(), "{}", superfluous.join("\n"));
    println!("{tried} libraries were each missed by their users");
}
