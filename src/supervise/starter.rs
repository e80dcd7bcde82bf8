//! What a supervisor owes to whoever started its service: to be let go when it runs, to hear what it said
//! until then, and, for an rc.d script, to be told what a command did that was none.

use super::Session;
use super::service::Service;
use super::watch::Ears;
use crate::error::Error;
use crate::kernel::{At, Ending, Failure, Fd, Kernel, Open, Severity};

impl Session<'_> {
    /// Watches for the pidfile's end, and makes it again where it has come: service(8) knows the supervisor
    /// by nothing else. The service goes on with or without it.
    pub(super) fn keep_pidfile<K: Kernel>(&mut self, kernel: &mut K, ears: &Ears) {
        let Some(pidfile) = &mut self.pidfile else {
            return;
        };
        let step = |failure| Error::step("watch the pidfile", failure);
        let watched = ears.pidfile(kernel, pidfile.fd()).map_err(step);
        let kept = watched.and_then(|()| match pidfile.is_lost(kernel).map_err(step)? {
            true => pidfile
                .renew(kernel)
                .and_then(|()| ears.pidfile(kernel, pidfile.fd()).map_err(step)),
            false => Ok(()),
        });
        if let Err(error) = kept {
            let what = format!("pidfile=lost reason={:?}", error.to_string());
            self.job.about.audit(kernel, Severity::Warning, &what);
        }
    }

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
