//! A service from its first word to the end of its jail: it is listened to, told to stop, and its dead
//! are taken in. What it is made of is taken back by whoever launched it.

use super::plumbing::Plumbing;
use super::ready::{Ports, Seen};
use super::relay::Relay;
use super::watch::{Ears, Heard};
use super::{Job, Session};
use crate::error::Error;
use crate::kernel::{Ending, Errno, Failure, Fd, Kernel, Pid, ProcessInfo, Waited, signal};
use crate::launch::Running;
use crate::launch::journal::{Journal, State};
use crate::plan::Plan;

/// A running service, until its jail is empty.
pub struct Service<'a, K> {
    pub(super) kernel: &'a mut K,
    plan: &'a Plan,
    pub running: Running,
    /// How the first process ended.
    pub first: Option<Ending>,
    /// When patience ends, after an order to stop.
    deadline: Option<u64>,
    pub was_stopped: bool,
    pub plumbing: Plumbing,
    relay: Option<Relay>,
    front: Option<Fd>,
    pub(super) forking: bool,
    /// A command of an rc.d script beside its running service.
    pub(super) is_beside: bool,
    /// What is still waited for, until it is ready.
    ports: Option<Ports>,
    /// Why it was stopped before it was ready.
    pub too_late: Option<Error>,
}

impl<'a, K: Kernel> Service<'a, K> {
    pub fn new(
        kernel: &'a mut K,
        job: &Job,
        plan: &'a Plan,
        running: Running,
        plumbing: Plumbing,
    ) -> Service<'a, K> {
        let wanted = job.waits_for_ports();
        let ports = wanted.map(|wanted| Ports::new(wanted, kernel.monotonic_ms()));
        Service {
            kernel,
            plan,
            relay: Relay::of(&running, plan.supervise(), &job.about.profile),
            running,
            first: None,
            deadline: None,
            was_stopped: false,
            plumbing,
            front: job.front,
            forking: job.permit.profile().forking,
            is_beside: job.permit.is_beside(),
            ports,
            too_late: None,
        }
    }

    /// To the end, and its last words with it.
    pub fn watch(
        &mut self,
        session: &mut Session<'_>,
        journal: &mut Journal,
        ears: &mut Ears,
    ) -> Result<(), Failure> {
        let watched = self.listen(session, journal, ears);
        ears.forget_log(self.kernel);
        if let Some(relay) = &mut self.relay {
            relay.finish(self.kernel);
        }
        watched
    }

    fn listen(
        &mut self,
        session: &mut Session<'_>,
        journal: &mut Journal,
        ears: &mut Ears,
    ) -> Result<(), Failure> {
        if let Some((drain, reader)) = &mut self.plumbing.drain {
            drain.set_pid(self.running.pid);
            drain.echo(session.job.permit.is_linked() && self.forking);
            ears.output(self.kernel, *reader)?;
        }
        if let Some(relay) = &self.relay {
            ears.log(self.kernel, relay.socket())?;
        }
        session.keep_pidfile(self.kernel, ears);
        loop {
            self.reap()?;
            if !session.is_ready && !self.was_stopped && self.looks_ready(session, journal)? {
                self.tell_ready(session, ears);
            }
            if self.is_beside && self.first.is_some() {
                self.end_beside(session)?;
            }
            if ears.jail_is_gone() {
                // Both may have come at once; the rest is reaped when the jail is taken back.
                return self.reap();
            }
            let now = self.kernel.monotonic_ms();
            let next_look = self.ports.as_ref().map(Ports::next_look);
            let next_look = next_look.filter(|_| !session.is_ready && !self.was_stopped);
            let moments = [self.deadline, next_look];
            let patience = moments.iter().flatten().min();
            match ears.hear(self.kernel, patience.map(|end| end.saturating_sub(now)))? {
                Heard::Stop => self.stop(journal)?,
                // An rc.d script stops its service by the signal that the daemon's manual names.
                Heard::Pass(number) if number == self.plan.supervise().stop_signal => {
                    self.stop(journal)?;
                }
                Heard::Pass(number) => self.pass(number, session)?,
                Heard::Output => self.pump(ears),
                Heard::Log => self.relay(),
                Heard::NoPidfile => session.keep_pidfile(self.kernel, ears),
                Heard::Time => self.time()?,
                Heard::Child | Heard::JailGone | Heard::ChildWord => {}
            }
        }
    }

    fn relay(&mut self) {
        if let Some(relay) = &mut self.relay {
            relay.pump(self.kernel);
        }
    }

    /// Executed; its first process ended, where it daemonizes; its ports open, where they count.
    fn looks_ready(
        &mut self,
        session: &Session<'_>,
        journal: &mut Journal,
    ) -> Result<bool, Failure> {
        if self.forking && !self.has_forked(session)? {
            return Ok(false);
        }
        let Some(ports) = &mut self.ports else {
            return Ok(true);
        };
        match ports.look(self.kernel, self.running.jail.id)? {
            Seen::Open => Ok(true),
            Seen::NotYet => Ok(false),
            Seen::TooLate => {
                self.too_late = Some(ports.error());
                self.stop(journal)?;
                Ok(false)
            }
        }
    }

    fn time(&mut self) -> Result<(), Failure> {
        let now = self.kernel.monotonic_ms();
        if self.deadline.is_some_and(|end| end <= now) {
            self.deadline = None;
            return self.remove();
        }
        Ok(())
    }

    pub(super) fn pump(&mut self, ears: &mut Ears) {
        if let Some((drain, reader)) = &mut self.plumbing.drain
            && !drain.pump(self.kernel, *reader)
        {
            ears.forget_output(self.kernel);
        }
    }

    /// Sends SIGKILL to all that is left.
    pub(super) fn remove(&mut self) -> Result<(), Failure> {
        match self.kernel.jail_remove(self.running.jail.descriptor) {
            // It has gone by itself, or an administrator was faster.
            Err(failure) if !matches!(failure.errno, Errno::ENOENT | Errno::EINVAL) => Err(failure),
            _ => Ok(()),
        }
    }

    fn stop(&mut self, journal: &mut Journal) -> Result<(), Failure> {
        if !std::mem::replace(&mut self.was_stopped, true) {
            // The state is for `list`; a full disk must not keep a service alive.
            let _ = journal.state(self.kernel, &State::Stopping);
        }
        let supervise = self.plan.supervise();
        if self.deadline.is_none() {
            let now = self.kernel.monotonic_ms();
            let patience = supervise.stop_timeout.saturating_mul(1000);
            self.deadline = Some(now.saturating_add(patience));
        }
        let number = supervise.stop_signal;
        self.send(number)?;
        // A stopped process takes its signal when it goes on.
        self.send(signal::CONT)
    }

    fn pass(&mut self, number: i32, session: &Session<'_>) -> Result<(), Failure> {
        if number == signal::HUP
            && let Some((drain, _)) = &mut self.plumbing.drain
            && let Err(error) = drain.reopen(self.kernel)
        {
            session.job.about.complain(self.kernel, &error.to_string());
        }
        self.send(number)
    }

    /// To the first process, and when that has gone to our oldest child in the jail. No pid that comes
    /// from inside is believed: the kernel names our own children, and says which jail each is in.
    fn send(&mut self, number: i32) -> Result<(), Failure> {
        let target = match self.first {
            None => Some(self.running.pid),
            Some(_) => self.oldest_child()?,
        };
        let Some(target) = target else {
            return Ok(());
        };
        match self.kernel.kill(target, number) {
            Err(failure) if failure.errno != Errno::ESRCH => Err(failure),
            _ => Ok(()),
        }
    }

    fn oldest_child(&mut self) -> Result<Option<Pid>, Failure> {
        let mut oldest: Option<(i64, Pid)> = None;
        let children = self.kernel.procctl_reap_getpids()?;
        for child in children.iter().filter(|d| d.is_child && !d.is_ending) {
            let Some(ProcessInfo { jail, started_us }) = self.kernel.process_info(child.pid)?
            else {
                continue;
            };
            let is_older = oldest.is_none_or(|(start, _)| started_us < start);
            if jail == self.running.jail.id && is_older {
                oldest = Some((started_us, child.pid));
            }
        }
        Ok(oldest.map(|(_, pid)| pid))
    }

    /// Takes in everybody who has ended. A first process that stopped takes the front with it: its
    /// terminal is the shell's again.
    fn reap(&mut self) -> Result<(), Failure> {
        loop {
            match self.kernel.waitpid_untraced() {
                Ok(Some((pid, waited))) if pid == self.running.pid => match waited {
                    Waited::Ended(ending) => self.first = Some(ending),
                    Waited::Stopped(number) => self.tell_stopped(number),
                },
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(failure) if failure.errno == Errno::ECHILD => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn tell_stopped(&mut self, number: i32) {
        if let Some(front) = self.front {
            // A front that has gone can't stop.
            let _ = self.kernel.write_briefly(front, &[b'z', number as u8]);
        }
    }
}
