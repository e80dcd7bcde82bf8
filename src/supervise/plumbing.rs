//! The service's standard descriptors: the caller's own, a pseudo-terminal, a pipe of the front's, or one
//! whose other end is read here. Laid before a launch, handed off when the child has its copies.

use super::Job;
use super::output::Drain;
use crate::error::Error;
use crate::kernel::{At, Fd, Kernel, Open};
use crate::launch::child::Given;
use crate::profile::{Output, Supervise};

/// What the service's standard descriptors are, and who reads the other ends.
pub struct Plumbing {
    given: Given,
    /// Our copies of what the child gets.
    copies: Vec<Fd>,
    /// Who reads the service's output, and from where.
    pub drain: Option<(Drain, Fd)>,
}

impl Plumbing {
    pub fn lay<K: Kernel>(
        kernel: &mut K,
        job: &Job,
        supervise: &Supervise,
    ) -> Result<Plumbing, Error> {
        let step = |failure| Error::step("lay the service's descriptors", failure);
        let mut plumbing = Plumbing {
            given: Given::default(),
            copies: Vec::new(),
            drain: None,
        };
        plumbing.given.fds = job.pipes;
        if let Some((slave, which)) = job.terminal {
            for (number, is_terminal) in (0..).zip(which) {
                if is_terminal && let Some(place) = plumbing.given.fds.get_mut(number) {
                    *place = Some(slave);
                    plumbing.given.terminal = Some(Fd(i32::try_from(number).unwrap_or(0)));
                }
            }
        }
        let captures = supervise.output != Output::Inherit && !job.permit.is_one_off();
        // An rc.d script's command may end before anything runs: `nginx -t` while nginx doesn't.
        let tells_starter =
            job.permit.is_linked() && job.permit.detaches() && job.permit.profile().forking;
        if job.permit.detaches() {
            let null = kernel
                .openat(At::Cwd, "/dev/null", Open::Device)
                .map_err(step)?;
            plumbing.copies.push(null);
            plumbing.given.fds = [Some(null); 3];
            plumbing.given.terminal = None;
        }
        let drain = match captures {
            true => Drain::open(kernel, supervise, &job.about.profile)?,
            false => tells_starter.then(Drain::to_starter),
        };
        if let Some(drain) = drain {
            let (reader, writer) = kernel.pipe().map_err(step)?;
            plumbing.copies.push(writer);
            plumbing.drain = Some((drain, reader));
            kernel.set_nonblocking(reader).map_err(step)?;
            let [_, output, error] = &mut plumbing.given.fds;
            (*output, *error) = (Some(writer), Some(writer));
            if plumbing.given.terminal != Some(Fd(0)) {
                plumbing.given.terminal = None;
            }
        }
        Ok(plumbing)
    }

    /// With sockets that outlive the service.
    pub fn given(&self, sockets: Vec<Fd>) -> Given {
        Given {
            sockets,
            ..self.given.clone()
        }
    }

    /// The child has its copies: with ours open, no reader would ever see an end.
    pub fn hand_off<K: Kernel>(&mut self, kernel: &mut K) {
        for fd in std::mem::take(&mut self.copies) {
            let _ = kernel.close(fd);
        }
    }

    pub fn close<K: Kernel>(self, kernel: &mut K) {
        if let Some((drain, reader)) = self.drain {
            let _ = kernel.close(reader);
            let _ = drain.close(kernel);
        }
    }

    pub fn finish<K: Kernel>(mut self, kernel: &mut K) {
        if let Some((drain, reader)) = &mut self.drain {
            drain.finish(kernel, *reader);
        }
        self.close(kernel);
    }
}
