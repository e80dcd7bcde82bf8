//! What a supervisor owes to whoever started its service: to be let go when it runs, to hear what it said
//! until then, and, for an rc.d script, to be told what a command did that was none.

use super::Session;
use super::service::Service;
use super::watch::Ears;
use crate::kernel::{At, Ending, Failure, Fd, Kernel, Open};

impl Session<'_> {
    /// Whoever waits for the ends of the caller's descriptors waits no longer.
    pub(super) fn let_go<K: Kernel>(&self, kernel: &mut K) {
        if let Ok(null) = kernel.openat(At::Cwd, "/dev/null", Open::Device) {
            for number in 0..3 {
                let _ = kernel.dup2(null, Fd(number), true);
            }
            // Their numbers stay taken: what is still written to them must reach nobody else.
            for fd in [self.job.status, self.job.front].into_iter().flatten() {
                let _ = kernel.dup2(null, fd, false);
            }
            let _ = kernel.close(null);
        }
    }
}

impl<K: Kernel> Service<'_, K> {
    /// The first process has ended well: the service runs if it left somebody behind. `nginx -t` doesn't.
    pub(super) fn has_forked(&mut self, session: &Session<'_>) -> Result<bool, Failure> {
        let has_ended_well = self.first == Some(Ending::Exited(0));
        Ok(has_ended_well && (!session.job.permit.is_linked() || self.is_anybody_left()?))
    }

    pub(super) fn tell_ready(&mut self, session: &mut Session<'_>, ears: &mut Ears) {
        if session.job.permit.is_linked() && self.forking {
            // What it said meanwhile is for whoever started it.
            self.pump(ears);
        }
        let (jid, pid) = (self.running.jail.id.0, self.running.pid);
        session.ready(self.kernel, ears, jid, pid);
        if let Some((drain, _)) = &mut self.plumbing.drain {
            drain.echo(false);
        }
    }

    /// A command beside the service ends with its first process. A second daemon, which nobody would find
    /// or stop, ends with it.
    pub(super) fn end_beside(&mut self, session: &Session<'_>) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_beside) && self.is_anybody_left()? {
            let words = "runs already: what the command left in the background was ended";
            session.job.about.complain(self.kernel, words);
            self.first = Some(Ending::Exited(75));
            self.remove()?;
        }
        Ok(())
    }

    fn is_anybody_left(&mut self) -> Result<bool, Failure> {
        let left = self.kernel.procctl_reap_getpids()?;
        Ok(left.iter().any(|process| !process.is_ending))
    }
}
