//! Every way in which a launch can go wrong at one call: refused, with each errno that the call may
//! give, or its maker killed right before and right after it. What must hold after each is here; what a
//! launch is, is the caller's.
//!
//! The first launch on a host is the one that goes wrong: it makes what later ones find.

use super::{Executed, Faults, Report, Sim, Start, World, errnos};
use crate::kernel::{Ending, Errno, signal};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Something that root does, as a process of its own; its exit status is what comes back.
pub type Act<'a> = &'a (dyn Fn(&mut Sim) -> i32 + Sync);

pub struct Sweep<'a> {
    /// Nothing was ever launched here.
    pub world: &'a World,
    /// The same each time.
    pub launch: Act<'a>,
    /// Who launches, and from where.
    pub start: &'a Start,
    /// What is wrong with a program that a launch executed, whatever else went wrong.
    pub objection: &'a (dyn Fn(&Executed) -> Option<String> + Sync),
    /// What root does when a launch went wrong. Each alone must put everything right, and each has its
    /// turn.
    pub remedies: &'a [Remedy<'a>],
}

#[derive(Clone, Copy)]
pub enum Remedy<'a> {
    /// Succeeds with 0.
    Act(Act<'a>),
    /// The same launch again, which ends as it does when nothing goes wrong.
    Launch,
}

/// What was tried, and the first thing that was wrong.
#[derive(Debug, Default)]
pub struct Outcome {
    pub calls: usize,
    pub refused: usize,
    pub killed: usize,
    /// Launches that said themselves what they couldn't take back.
    pub told: usize,
    pub leak: Option<String>,
}

/// One fault, at the call with this number.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused(u64, Errno),
    KilledBefore(u64),
    KilledAfter(u64),
}

/// How the launch goes when nothing goes wrong.
struct Calm {
    report: Report,
    executed: Vec<Executed>,
    /// What a launch may leave for the next one: lines of [`World::differences`].
    kept: BTreeSet<String>,
}

/// What became of one trial that held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Silently,
    Told,
}

impl Sweep<'_> {
    /// The undisturbed launch, for its timeline.
    pub fn undisturbed(&self) -> Report {
        self.launched(self.world, Faults::none())
    }

    /// On as many threads as there are processors. Which leak is told doesn't depend on them: it is the
    /// first, by the order of the calls.
    pub fn run(&self) -> Outcome {
        let calm = match self.calm() {
            Ok(calm) => calm,
            Err(leak) => {
                return Outcome {
                    leak: Some(leak),
                    ..Outcome::default()
                };
            }
        };
        let faults = faults(&calm.report);
        let (next, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let first: Mutex<Option<(usize, String)>> = Mutex::new(None);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(fault) = faults.get(index) else {
                    return;
                };
                match self.judge(&calm, index, *fault) {
                    Ok(Held::Silently) => {}
                    Ok(Held::Told) => drop(told.fetch_add(1, Ordering::Relaxed)),
                    Err(leak) => {
                        // No later trial is begun; earlier ones are, and may yet replace this.
                        next.store(faults.len(), Ordering::Relaxed);
                        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                        if first.as_ref().is_none_or(|(known, _)| index < *known) {
                            *first = Some((index, leak));
                        }
                    }
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 1..threads.min(faults.len()) {
                // A thread that can't be had costs time and nothing else.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let leak = first.into_inner().unwrap_or_else(PoisonError::into_inner);
        let is_refusal = |fault: &&Fault| matches!(fault, Fault::Refused(..));
        let refused = faults.iter().filter(is_refusal).count();
        Outcome {
            calls: calm.report.calls.len(),
            refused,
            killed: faults.len() - refused,
            told: told.into_inner(),
            leak: leak.map(|(_, leak)| leak),
        }
    }

    fn launched(&self, world: &World, faults: Faults) -> Report {
        Sim::run(world.clone(), self.start, faults, self.launch)
    }

    /// Twice, since a launch that leaves something once for each time would else look like one that
    /// leaves something for good.
    fn calm(&self) -> Result<Calm, String> {
        let report = self.undisturbed();
        if let Some(stranger) =
            self.stranger(&new_programs(self.world, &report.world), &report.world)
        {
            return Err(format!("{stranger} when nothing goes wrong"));
        }
        let kept: BTreeSet<String> = report.world.differences(self.world).into_iter().collect();
        let left: Vec<String> = kept
            .iter()
            .filter(|line| !stays_for_good(line))
            .cloned()
            .collect();
        if !left.is_empty() {
            return Err(behind(&left, "when nothing goes wrong"));
        }
        let again = self.launched(&report.world, Faults::none());
        let left = again.world.differences(&report.world);
        if !left.is_empty() {
            return Err(behind(&left, "when nothing goes wrong"));
        }
        let executed = new_programs(self.world, &report.world);
        Ok(Calm {
            report,
            executed,
            kept,
        })
    }

    /// What must hold after one fault.
    fn judge(&self, calm: &Calm, index: usize, fault: Fault) -> Result<Held, String> {
        let report = self.launched(self.world, fault.as_faults());
        let wrong = |what: String| format!("{what} {}", fault.words(&report));
        if let Some(stranger) = self.stranger(&calm.executed, &report.world) {
            return Err(wrong(stranger));
        }
        if report.ending == Ending::Signalled(signal::ABRT) {
            return Err(wrong("jailrun panicked".to_string()));
        }
        if !report.stuck.is_empty() {
            return Err(wrong(
                "a process waits for what can't happen any more".to_string(),
            ));
        }
        let left = self.left(calm, &report.world);
        let is_refusal = matches!(fault, Fault::Refused(..));
        if is_refusal && left.is_empty() {
            return Ok(Held::Silently);
        }
        if is_refusal && !self.has_told(calm, &report) {
            return Err(behind(&left, &format!("unsaid, {}", fault.words(&report))));
        }
        let Some(remedy) = self.remedies.get(index % self.remedies.len().max(1)) else {
            return Err(behind(&left, &fault.words(&report)));
        };
        let world = report.world.clone();
        let (after, good) = match remedy {
            Remedy::Act(act) => {
                let after = Sim::run(world, &Start::root(), Faults::none(), act);
                (after, Ending::Exited(0))
            }
            Remedy::Launch => (self.launched(&world, Faults::none()), calm.report.ending),
        };
        let mut again = new_programs(&report.world, &after.world).into_iter();
        if let Some(objection) = again.find_map(|executed| (self.objection)(&executed)) {
            return Err(wrong(format!("the next launch executes {objection}")));
        }
        let left = self.left(calm, &after.world);
        if !left.is_empty() {
            return Err(behind(&left, &fault.words(&report)));
        }
        if after.ending != good {
            let said = after.world.stderr.last().cloned().unwrap_or_default();
            return Err(wrong(format!("what should put it right fails: {said}")));
        }
        match is_refusal {
            true => Ok(Held::Told),
            false => Ok(Held::Silently),
        }
    }

    /// The first program that somebody objects to, or that isn't started exactly as it is when nothing
    /// goes wrong.
    fn stranger(&self, calm: &[Executed], world: &World) -> Option<String> {
        let seen = new_programs(self.world, world);
        seen.iter().enumerate().find_map(|(index, executed)| {
            let objection = (self.objection)(executed);
            // More of them are restarts.
            let expected = calm.get(index).or(calm.last()).map(without_numbers);
            let differs = expected.as_ref() != Some(&without_numbers(executed));
            let why =
                objection.or(differs.then(|| "otherwise than without a fault,".to_string()))?;
            Some(format!("{} was executed {why}", executed.program))
        })
    }

    /// Whether somebody who sees status and standard error, or reads the log, knows that something is
    /// there.
    fn has_told(&self, calm: &Calm, report: &Report) -> bool {
        let mut said = report.world.stderr.iter().skip(self.world.stderr.len());
        let mut logged = report.world.syslog.iter().skip(self.world.syslog.len());
        report.ending != calm.report.ending && said.any(|line| tells(line))
            || logged.any(|(_, line)| tells(line))
    }

    fn left(&self, calm: &Calm, world: &World) -> Vec<String> {
        let mut left = world.differences(self.world);
        left.retain(|line| !calm.kept.contains(line) && !is_meant_to_stay(line));
        left
    }
}

fn behind(left: &[String], when: &str) -> String {
    format!("left behind: {} {when}", left.join(", "))
}

fn tells(line: &str) -> bool {
    line.contains("left behind: ") || line.contains("clean up ")
}

/// A devfs ruleset shows nothing until a mount names it. One that was half made when its maker died is
/// passed over by later launches, and `cleanup --all` removes it. The count of a caller's refusals is
/// kept on purpose.
fn is_meant_to_stay(line: &str) -> bool {
    line.starts_with("new devfs rule ") || line.starts_with("new /var/run/jailrun/.refused-")
}

/// The state directory, and hidden files in it: locks that outlive their holders, but for those of one
/// address or of one caller.
fn stays_for_good(line: &str) -> bool {
    let is_lock = |rest: &str| {
        rest.starts_with("/.") && !rest.starts_with("/.address-") && !rest.starts_with("/.slot-")
    };
    let below = line.strip_prefix("new /var/run/jailrun");
    is_meant_to_stay(line) || below.is_some_and(|rest| rest.is_empty() || is_lock(rest))
}

fn faults(calm: &Report) -> Vec<Fault> {
    let mut faults = Vec::new();
    for call in &calm.calls {
        let known = errnos::of(call.name).unwrap_or(&[Errno::EPERM, Errno::EIO]);
        let makes_a_file = call.name == "openat" && call.detail.contains("Create");
        let more = if makes_a_file { errnos::CREATING } else { &[] };
        let errnos = known.iter().chain(more);
        faults.extend(errnos.map(|errno| Fault::Refused(call.number, *errno)));
        faults.push(Fault::KilledBefore(call.number));
        faults.push(Fault::KilledAfter(call.number));
    }
    faults
}

impl Fault {
    fn as_faults(self) -> Faults {
        match self {
            Fault::Refused(call, errno) => Faults::none().fail(call, errno),
            Fault::KilledBefore(call) => Faults::none().kill(call),
            Fault::KilledAfter(call) => Faults::none().kill_after(call),
        }
    }

    fn words(self, report: &Report) -> String {
        let (Fault::Refused(number, _) | Fault::KilledBefore(number) | Fault::KilledAfter(number)) =
            self;
        let call = report.calls.iter().find(|call| call.number == number);
        let call = call.map_or_else(String::new, |call| {
            format!("call {number}, {}", report.line(call))
        });
        match self {
            Fault::Refused(_, errno) => format!("when {call} gives: {}", errno.words()),
            Fault::KilledBefore(_) => format!("when its maker is killed before {call}"),
            Fault::KilledAfter(_) => format!("when its maker is killed after {call}"),
        }
    }
}

/// What was executed in `after` and not in `before`.
fn new_programs(before: &World, after: &World) -> Vec<Executed> {
    let known = before.executed.len();
    after.executed.iter().skip(known).cloned().collect()
}

/// Two runs number processes and jails alike only as long as they do the same.
fn without_numbers(executed: &Executed) -> Executed {
    Executed {
        pid: 0,
        session: i32::from(executed.session == executed.pid),
        jail: executed.jail.map(|_| 0),
        ..executed.clone()
    }
}
