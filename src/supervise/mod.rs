//! Watches a service from its launch to its end, launches it again where the profile says so, and
//! takes everything back. One loop, one thread; whatever it waits for, an order to stop is heard.
//!
//! The service has ended when its jail is empty: a daemon that forks twice is followed, and so is what
//! an administrator started in the jail. The kernel says when (EVFILT_JAILDESC), since the jail goes
//! with its last process.

pub mod held;
pub mod kept;
pub mod output;
mod plumbing;
mod ready;
mod relay;
mod service;
mod starter;
pub mod watch;

use crate::error::Error;
use crate::exit::Exit;
use crate::front;
use crate::host::{self, Purpose};
use crate::instances::seconds;
use crate::kernel::{Ending, Failure, Fd, Kernel, Pid, Severity, signal};
use crate::launch::journal::{self, Head, Journal, State};
use crate::launch::pidfile::{self, Pidfile};
use crate::launch::{self, cleanup, instance, setid, writers};
use crate::permit::Permit;
use crate::plan::{self, Plan};
use crate::profile::{Port, Ready, Restart, Supervise};
use crate::record::{self, About};
use held::{Held, Leave};
use kept::Kept;
use plumbing::Plumbing;
use service::Service;
use std::collections::BTreeMap;
use watch::{Ears, Heard};

/// After this long a service counts as having run, and its restarts are counted anew.
const SETTLED_MS: u64 = 60_000;

/// What one supervisor has to do.
pub struct Job {
    pub permit: Permit,
    pub about: About,
    /// Variables that the profile keeps, with the caller's values.
    pub kept: BTreeMap<String, String>,
    /// The pipe to the front, where there is one.
    pub front: Option<Fd>,
    pub status: Option<Fd>,
    /// A pseudo-terminal's slave, and which of 0 to 2 it is.
    pub terminal: Option<(Fd, [bool; 3])>,
    /// Pipes in the place of the caller's local sockets.
    pub pipes: [Option<Fd>; 3],
}

impl Job {
    /// What has to be open until the service counts as ready.
    fn waits_for_ports(&self) -> Option<&[Port]> {
        let profile = self.permit.profile();
        let waits = profile.supervise.ready == Ready::Ports && !self.permit.is_one_off();
        waits.then_some(profile.test.expect_open.as_slice())
    }
}

/// Runs the job to its end, and tells everybody who wants to know: syslog, standard error, the status
/// descriptor, the front.
pub fn supervise<K: Kernel>(kernel: &mut K, job: &Job) -> Exit {
    let outcome = instance::prepare_state(kernel).and_then(|()| session(kernel, job));
    let (exit, is_program) = match outcome {
        Ok(ended) => {
            for leftover in &ended.leftovers {
                let words = format!("left behind: {leftover}");
                job.about.complain(kernel, &words);
                job.about.audit(kernel, Severity::Warning, &words);
            }
            match ended.leftovers.is_empty() {
                true => (ended.ending.into(), true),
                false => (Exit::Status(71), false),
            }
        }
        Err(error) => {
            let what = format!("outcome=failed reason={:?}", error.to_string());
            job.about.audit(kernel, Severity::Warning, &what);
            job.about.complain(kernel, &error.to_string());
            (error.exit(), false)
        }
    };
    record::status_end(kernel, job.status, exit, is_program);
    if let Some(front) = job.front {
        front::tell(kernel, front, exit, job.terminal.is_some());
    }
    exit
}

/// How a whole session ended.
struct Ended {
    ending: Ending,
    leftovers: Vec<String>,
}

fn session<K: Kernel>(kernel: &mut K, job: &Job) -> Result<Ended, Error> {
    let one_off = match job.permit.is_one_off() {
        true => Some(kernel.getpid()),
        false => None,
    };
    let label = plan::label(&job.about.profile, job.permit.instance(), one_off);
    if job.permit.caller().is_root() {
        for left in cleanup::sweep(kernel, &label) {
            let words = format!("{}: {}", left.step, left.failure);
            job.about.complain(kernel, &words);
        }
    }
    let held = Held::take(kernel, &job.permit, &job.about.profile, &label)?;
    let mut session = Session {
        job,
        label,
        pidfile: None,
        kept: None,
        gave_up: false,
        restarts: 0,
        is_ready: false,
    };
    let outcome = session.run(kernel, held.instance.fd);
    let pidfile = session.pidfile.take();
    let pidfile_left = pidfile.and_then(|pidfile| pidfile.release(kernel));
    let kept = session.kept.take();
    let mut kept_left = kept.map_or(Vec::new(), |kept| kept.release(kernel));
    kept_left.extend(pidfile_left);
    let has_leftovers = !kept_left.is_empty()
        || match &outcome {
            Ok(ended) => !ended.leftovers.is_empty(),
            Err((_, leftovers)) => !leftovers.is_empty(),
        };
    // What couldn't be taken back is found again by the journal.
    let leave = match session.gave_up || has_leftovers {
        true => Leave::Journal,
        false => Leave::Nothing,
    };
    let mut released = held.release(kernel, leave);
    released.extend(kept_left);
    match outcome {
        Ok(mut ended) => {
            ended.leftovers.extend(released);
            Ok(ended)
        }
        Err((error, leftovers)) => {
            for leftover in leftovers.iter().chain(&released) {
                let words = format!("left behind: {leftover}");
                job.about.complain(kernel, &words);
            }
            Err(error)
        }
    }
}

type Failed = (Error, Vec<String>);

fn plainly(error: Error) -> Failed {
    (error, Vec::new())
}

struct Session<'a> {
    job: &'a Job,
    label: String,
    /// Made with the first launch, and kept through all of them.
    pidfile: Option<Pidfile>,
    kept: Option<Kept>,
    gave_up: bool,
    restarts: u32,
    is_ready: bool,
}

impl Session<'_> {
    fn run<K: Kernel>(&mut self, kernel: &mut K, fd: Fd) -> Result<Ended, Failed> {
        let step = |failure| plainly(Error::step("begin to supervise", failure));
        kernel.procctl_reap_acquire().map_err(step)?;
        let head = self.head(kernel).map_err(step)?;
        let mut journal = Journal::new(fd, head);
        let mut ears = Ears::open(kernel, self.job.front).map_err(step)?;
        let outcome = self.launches(kernel, &mut journal, &mut ears);
        ears.close(kernel);
        outcome
    }

    fn head<K: Kernel>(&self, kernel: &mut K) -> Result<Head, Failure> {
        Ok(Head {
            boot: kernel.boot_id()?,
            profile: self.job.about.profile.clone(),
            label: self.label.clone(),
            is_one_off: self.job.permit.is_one_off(),
            caller: self.job.permit.caller().uid,
            pid: kernel.getpid().0,
            started: seconds(kernel),
        })
    }

    /// One launch after another, until one is the last.
    fn launches<K: Kernel>(
        &mut self,
        kernel: &mut K,
        journal: &mut Journal,
        ears: &mut Ears,
    ) -> Result<Ended, Failed> {
        let mut in_a_row = 0;
        loop {
            let began = kernel.monotonic_ms();
            let once = self.launch_once(kernel, journal, ears)?;
            let ran_ms = kernel.monotonic_ms().saturating_sub(began);
            let supervise = once.supervise;
            let ended = Ended {
                ending: once.ending,
                leftovers: once.leftovers,
            };
            // What couldn't be taken back must not pile up.
            // A script waits to be told that its service didn't start, or what its command ended with.
            let never_ran = self.job.permit.is_linked() && !self.is_ready;
            let is_last = once.was_stopped || never_ran || !ended.leftovers.is_empty();
            if is_last || !wants_restart(&supervise, self.job, ended.ending) {
                return Ok(ended);
            }
            in_a_row = if ran_ms >= SETTLED_MS {
                1
            } else {
                in_a_row + 1
            };
            if in_a_row > supervise.restart_count {
                self.gave_up = true;
                let words = format!("gave up after {} restarts", supervise.restart_count);
                self.job.about.audit(kernel, Severity::Warning, &words);
                self.job.about.complain(kernel, &words);
                // The state is for `list`; without room for it there is only the log.
                let _ = journal.state(kernel, &State::GaveUp);
                return Ok(ended);
            }
            self.restarts = self.restarts.saturating_add(1);
            let waiting = journal.state(kernel, &State::Waiting);
            waiting.map_err(|failure| plainly(Error::step("write the journal", failure)))?;
            if self.is_stopped_while_waiting(kernel, ears, supervise.restart_delay)? {
                return Ok(ended);
            }
        }
    }

    fn is_stopped_while_waiting<K: Kernel>(
        &mut self,
        kernel: &mut K,
        ears: &mut Ears,
        seconds: u64,
    ) -> Result<bool, Failed> {
        let end = kernel
            .monotonic_ms()
            .saturating_add(seconds.saturating_mul(1000));
        loop {
            let left = end.saturating_sub(kernel.monotonic_ms());
            let heard = ears.hear(kernel, Some(left));
            match heard.map_err(|failure| plainly(Error::step("wait", failure)))? {
                Heard::Time => return Ok(false),
                Heard::Stop | Heard::Pass(signal::INT | signal::QUIT) => return Ok(true),
                Heard::NoPidfile => self.keep_pidfile(kernel, ears),
                _ => {}
            }
        }
    }

    /// From survey to teardown.
    fn launch_once<K: Kernel>(
        &mut self,
        kernel: &mut K,
        journal: &mut Journal,
        ears: &mut Ears,
    ) -> Result<Once, Failed> {
        let job = self.job;
        // Again at each start: sources may have been replaced meanwhile.
        let host = host::survey(kernel, &job.permit, job.kept.clone(), Purpose::Launch)
            .map_err(plainly)?;
        let plan = Plan::new(&job.permit, &self.label, &host).map_err(plainly)?;
        self.permit_no_set_id(kernel, &plan).map_err(plainly)?;
        let turn = writers::check(kernel, &plan).map_err(plainly)?;
        let records = self.records(&plan);
        let begun = journal.begin(kernel, self.restarts, plan.steps(), &records);
        let released = turn.map_or(Ok(()), |turn| turn.release(kernel));
        begun.map_err(|failure| plainly(Error::step("write the journal", failure)))?;
        released.map_err(plainly)?;
        if self.pidfile.is_none()
            && let Some(path) = pidfile::wanted(&job.permit)
        {
            self.pidfile = Some(Pidfile::take(kernel, path).map_err(plainly)?);
        }
        let sockets = self.keep(kernel, &plan, journal)?;
        let mut plumbing = Plumbing::lay(kernel, job, plan.supervise()).map_err(plainly)?;
        let launched = launch::launch(kernel, &plan, journal, ears, plumbing.given(sockets));
        plumbing.hand_off(kernel);
        let running = match launched {
            Ok(running) => running,
            Err((error, mut leftovers)) => {
                plumbing.close(kernel);
                leftovers.extend(self.take_set_id(kernel, &plan));
                return Err((error, leftovers));
            }
        };
        let mut service = Service::new(kernel, job, &plan, running, plumbing);
        let watched = service.watch(self, journal, ears);
        let Service {
            running,
            first,
            was_stopped,
            plumbing,
            too_late,
            ..
        } = service;
        ears.forget_output(kernel);
        let mut leftovers = launch::unwind(kernel, &running.done);
        leftovers.extend(self.take_set_id(kernel, &plan));
        plumbing.finish(kernel);
        if let Err(failure) = watched {
            return Err((Error::step("watch the service", failure), leftovers));
        }
        if let Some(error) = too_late {
            return Err((error, leftovers));
        }
        // Its last word may have come with the jail's end.
        let ending = first.unwrap_or(Ending::Signalled(signal::KILL));
        let what = format!("outcome={ending:?} jid={}", running.jail.id.0);
        job.about.audit(kernel, Severity::Info, &what);
        Ok(Once {
            ending,
            was_stopped,
            leftovers,
            supervise: plan.supervise().clone(),
        })
    }

    fn permit_no_set_id<K: Kernel>(&self, kernel: &mut K, plan: &Plan) -> Result<(), Error> {
        match self.job.permit.profile().root.root_writes {
            true => setid::refuse(kernel, plan),
            false => Ok(()),
        }
    }

    /// What is still set-id afterwards.
    fn take_set_id<K: Kernel>(&self, kernel: &mut K, plan: &Plan) -> Vec<String> {
        if !self.job.permit.profile().root.root_writes {
            return Vec::new();
        }
        let paths = plan.writes().iter().map(|(path, _)| path.as_str());
        setid::strip(kernel, paths, &self.job.about)
    }

    /// The sockets, which the first launch binds and all later ones find.
    fn keep<K: Kernel>(
        &mut self,
        kernel: &mut K,
        plan: &Plan,
        journal: &mut Journal,
    ) -> Result<Vec<Fd>, Failed> {
        let kept = match self.kept.take() {
            Some(kept) => kept,
            None => Kept::take(kernel, plan, journal)?,
        };
        Ok(self.kept.insert(kept).sockets())
    }

    fn records(&self, plan: &Plan) -> Vec<String> {
        let writes = plan.writes().iter();
        let mut records: Vec<String> = writes
            .map(|(path, is_shared)| journal::writes_record(path, *is_shared))
            .collect();
        let child = plan.child();
        records.push(journal::user_record(child.uid, child.gid, &child.groups));
        records.extend(
            plan.addresses()
                .map(|address| journal::address_record(&address)),
        );
        records.extend(plan.socket_paths().map(journal::socket_record));
        records.extend(pidfile::wanted(&self.job.permit).map(journal::pidfile_record));
        records
    }

    /// Once, however often it is started: whoever waits for it goes on.
    fn ready<K: Kernel>(&mut self, kernel: &mut K, ears: &mut Ears, jid: i32, pid: Pid) {
        if std::mem::replace(&mut self.is_ready, true) {
            return;
        }
        let line = format!("running jid={jid} pid={}", pid.0);
        record::status(kernel, self.job.status, &line);
        if let Some(front) = self.job.front {
            // It may be gone by now, or go when it has heard this: that is no order to stop.
            if self.job.permit.detaches() {
                ears.forget_front(kernel);
            }
            let _ = kernel.write_briefly(front, b"r\0");
        }
        if self.job.permit.detaches() {
            self.let_go(kernel);
        }
    }
}

/// How one launch ended.
struct Once {
    ending: Ending,
    was_stopped: bool,
    leftovers: Vec<String>,
    supervise: Supervise,
}

fn wants_restart(supervise: &Supervise, job: &Job, ending: Ending) -> bool {
    if job.permit.is_one_off() {
        return false;
    }
    match supervise.restart {
        Restart::Never => false,
        Restart::OnFailure => ending != Ending::Exited(0),
        Restart::Always => true,
    }
}
