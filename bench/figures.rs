//! The figures, each with how it comes about: times in turn, system calls by ktrace(1), memory by
//! procstat(1), sizes.

use crate::floor;
use crate::stage::{PROFILE, SLEEPER, Stage, run};
use jailrun::kernel::Kernel;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Result};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Our program of that name: where a variable says, or in the folder above this one's.
pub fn beside(name: &str, variable: &str) -> String {
    let built = || {
        let own = std::env::current_exe().unwrap();
        own.ancestors()
            .nth(2)
            .map_or_else(PathBuf::new, |place| place.join(name))
    };
    let path = std::env::var_os(variable).map_or_else(built, PathBuf::from);
    path.to_string_lossy().into_owned()
}

fn jailrun() -> String {
    beside("jailrun", "JAILRUN_BIN")
}

pub fn about(rounds: usize) -> String {
    let mut kernel = floor::kernel();
    let release = kernel.sysctl_text("kern.osrelease").unwrap();
    let machine = kernel.sysctl_text("hw.model").unwrap();
    format!(
        "FreeBSD {release}, {machine}; {} files mounted, {rounds} rounds (11 at most under load), \
         medians in ms, with least and most\n",
        floor::files().len()
    )
}

pub const HEAD: &str = "\
| beside it | /usr/bin/true | floor | jailrun | jail -c, jail -r | jailrun / floor | jail(8) / jailrun |
|---|---|---|---|---|---|---|";

pub struct Row {
    label: String,
    /// Of /usr/bin/true, the floor, jailrun, and jail(8); each sorted.
    times: [Vec<f64>; 4],
}

impl Row {
    /// A B C D A B C D ..., so that a drifting machine hurts all alike. A first round fills the caches.
    pub fn measure(stage: &Stage, rounds: usize, label: &str) -> Row {
        let (own, jailrun) = (std::env::current_exe().unwrap(), jailrun());
        let own = own.to_string_lossy();
        let mut times = [const { Vec::new() }; 4];
        for round in 0..=rounds {
            let row = [
                timed(|| drop(run("/usr/bin/true", &[]))),
                timed(|| drop(run(&own, &["floor"]))),
                timed(|| drop(run(&jailrun, &[PROFILE]))),
                timed(|| {
                    stage.jail8("-c");
                    stage.jail8("-r");
                }),
            ];
            for (column, time) in times.iter_mut().zip(row).filter(|_| round > 0) {
                column.push(time);
            }
        }
        times
            .iter_mut()
            .for_each(|column| column.sort_by(f64::total_cmp));
        Row {
            label: label.to_string(),
            times,
        }
    }
}

impl Display for Row {
    fn fmt(&self, out: &mut Formatter) -> Result {
        write!(out, "| {} |", self.label)?;
        for column in &self.times {
            let (least, most) = (column[0], column[column.len() - 1]);
            write!(out, " {:.1} ({least:.1}-{most:.1}) |", median(column))?;
        }
        let [_, floor, jailrun, jail8] = &self.times;
        let above = median(jailrun) / median(floor);
        write!(
            out,
            " {above:.2} | {:.1} |",
            median(jail8) / median(jailrun)
        )
    }
}

fn timed(act: impl FnOnce()) -> f64 {
    let began = Instant::now();
    act();
    began.elapsed().as_secs_f64() * 1000.0
}

pub fn median(sorted: &[f64]) -> f64 {
    let (below, above) = ((sorted.len() - 1) / 2, sorted.len() / 2);
    f64::midpoint(sorted[below], sorted[above])
}

/// System calls of the launching process in one launch with its teardown, by name. Not the child's:
/// jailrun refuses to go on in a child that is being traced.
fn traced(program: &str, argument: &str) -> BTreeMap<String, usize> {
    let file = format!("/var/run/{PROFILE}.ktrace");
    run(
        "/usr/bin/ktrace",
        &["-t", "c", "-f", &file, program, argument],
    );
    let text = run("/usr/bin/kdump", &["-f", &file]).stdout;
    std::fs::remove_file(&file).unwrap();
    let mut counts = BTreeMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, "CALL", call, ..] = words[..] {
            let call = call.split('(').next().unwrap_or_default();
            *counts.entry(call.to_string()).or_insert(0) += 1;
        }
    }
    counts
}

/// Both beside each other, the most frequent first. The run-time linker and Rust's runtime are in both.
pub fn calls(_: &Stage) -> String {
    let own = std::env::current_exe().unwrap();
    let floor = traced(&own.to_string_lossy(), "floor");
    let jailrun = traced(&jailrun(), PROFILE);
    let mut names: Vec<&String> = floor.keys().chain(jailrun.keys()).collect();
    let of = |counts: &BTreeMap<String, usize>, name: &str| counts.get(name).copied().unwrap_or(0);
    names.sort_by_key(|name| (usize::MAX - of(&jailrun, name), name.as_str()));
    names.dedup();
    let mut text = "| system call | floor | jailrun |\n|---|---|---|\n".to_string();
    let all: (usize, usize) = (floor.values().sum(), jailrun.values().sum());
    text.push_str(&format!("| all | {} | {} |\n", all.0, all.1));
    for name in names {
        text.push_str(&format!(
            "| {name} | {} | {} |\n",
            of(&floor, name),
            of(&jailrun, name)
        ));
    }
    text
}

/// The pages that only the supervisor has, while its service sleeps.
pub fn memory(_: &Stage) -> String {
    let mut supervisor = Command::new(jailrun())
        .arg(SLEEPER)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut kernel = floor::kernel();
    let jail = format!("jailrun-{SLEEPER}");
    let is_up = (0..200).any(|_| {
        kernel.sleep_ms(50);
        kernel.jail_find(&jail).unwrap().is_some()
    });
    assert!(is_up, "{jail} did not come up");
    // It has its service's first second behind it, and waits.
    kernel.sleep_ms(1000);
    let pid = supervisor.id().to_string();
    let text = run("/usr/bin/procstat", &["-h", "-v", &pid]).stdout;
    run("/bin/kill", &[&pid]);
    supervisor.wait().unwrap();
    // PID START END PRT RES PRES REF SHD FLAG TP PATH; of a file's pages, other processes have the same.
    let private: usize = String::from_utf8_lossy(&text)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| matches!(words.get(9), Some(&"sw" | &"df")))
        .filter_map(|words| words[5].parse::<usize>().ok())
        .sum();
    assert!(private > 0, "procstat shows nothing of {pid}");
    format!("supervisor: {} KiB of private resident memory", private * 4)
}

pub fn size(name: &str, path: &str) -> String {
    let size = std::fs::metadata(path).unwrap().len();
    format!("{name}: {size} bytes, stripped")
}
