//! What goes wrong in a run, and at which call: refusals, kills, others' acts, and others' turns.

use super::World;
use super::world::{Process, State};
use crate::kernel::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Somebody else's act between two calls.
pub type Meddler = Arc<dyn Fn(&mut World) + Send + Sync>;

/// What goes wrong at which call. Numbers count all calls of all processes from 1.
#[derive(Clone, Default)]
pub struct Faults {
    pub(super) fail: BTreeMap<u64, Errno>,
    pub(super) kill: BTreeSet<u64>,
    pub(super) kill_after: BTreeSet<u64>,
    pub(super) meddle: BTreeMap<u64, Meddler>,
    pub(super) give_way: BTreeSet<u64>,
    pub(super) alternates: bool,
}

impl Faults {
    pub fn none() -> Faults {
        Faults::default()
    }

    /// The call is refused; a close takes effect all the same, as on FreeBSD.
    pub fn fail(mut self, call: u64, errno: Errno) -> Faults {
        self.fail.insert(call, errno);
        self
    }

    /// SIGKILL for the caller before the call takes effect.
    pub fn kill(mut self, call: u64) -> Faults {
        self.kill.insert(call);
        self
    }

    /// SIGKILL for the caller right after the call took effect.
    pub fn kill_after(mut self, call: u64) -> Faults {
        self.kill_after.insert(call);
        self
    }

    /// Right before the call, another process that can run has its turn, until it waits or gives way.
    pub fn give_way(mut self, call: u64) -> Faults {
        self.give_way.insert(call);
        self
    }

    /// Every call gives way.
    pub fn alternate(mut self) -> Faults {
        self.alternates = true;
        self
    }

    /// Acts right before the call.
    pub fn meddle(mut self, call: u64, act: Meddler) -> Faults {
        self.meddle.insert(call, act);
        self
    }
}

impl World {
    /// The next process that can run, after this one and in a circle, has its turn; or, after as long a
    /// time as it takes, the next that waits for a moment. False: there is none.
    pub(super) fn give_way(&mut self, pid: i32) -> bool {
        let can_run = |process: &&Process| match process.state {
            State::Ready => process.pid != pid,
            State::Blocked { .. } => self.is_satisfied(process.pid),
            State::Program | State::Ended(_) => false,
        };
        let after = self.processes.range(pid + 1..).map(|(_, process)| process);
        let before = self.processes.range(..pid).map(|(_, process)| process);
        let next = after.chain(before).find(can_run).map(|process| process.pid);
        let sleeper = || {
            let moment = |process: &Process| match process.state {
                State::Blocked { deadline, .. } => deadline.map(|moment| (moment, process.pid)),
                _ => None,
            };
            self.processes.values().filter_map(moment).min()
        };
        let next = match next {
            Some(next) => Some((self.clock_ms, next)),
            None => sleeper(),
        };
        next.is_some_and(|(moment, next)| {
            self.clock_ms = self.clock_ms.max(moment);
            self.resume(next);
            true
        })
    }
}
