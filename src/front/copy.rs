//! Local sockets of the caller's: over one, whoever holds the other end hands over descriptors, directories
//! of the host among them, and jails don't stop that (uipc_usrreq.c). So the service has pipes in their
//! place, and the front copies between the two, as `| cat` would. sshd(8) gives such sockets where it was
//! asked for no terminal.

use crate::error::Error;
use crate::kernel::{Errno, Event, Failure, Fd, Kernel, Watch};

/// No socket that is ready for a write takes less at once (SO_SNDLOWAT).
const CHUNK: usize = 2048;

/// The pipes for those of 0 to 2 that are local sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pipes {
    pub fronts: [Option<Fd>; 3],
    pub services: [Option<Fd>; 3],
}

impl Pipes {
    pub fn lay<K: Kernel>(kernel: &mut K, which: [bool; 3]) -> Result<Pipes, Error> {
        let step = |failure| Error::step("make pipes for the caller's sockets", failure);
        let mut pipes = Pipes::default();
        let places = pipes.fronts.iter_mut().zip(&mut pipes.services);
        for (number, (front, service)) in places.enumerate() {
            if which.get(number) != Some(&true) {
                continue;
            }
            let (reader, writer) = kernel.pipe().map_err(step)?;
            // Standard input is read by the service, the others are written by it.
            let (ours, theirs) = match number {
                0 => (writer, reader),
                _ => (reader, writer),
            };
            kernel.set_nonblocking(ours).map_err(step)?;
            (*front, *service) = (Some(ours), Some(theirs));
        }
        Ok(pipes)
    }
}

/// One direction. Of the two, one is the caller's, and the other is a pipe, which is ours to close.
struct Copy {
    from: Fd,
    to: Fd,
    pipe: Fd,
    /// Read, and not written yet: nothing more is read before it is.
    held: Vec<u8>,
}

/// All that are not at their end.
#[derive(Default)]
pub struct Copies(Vec<Copy>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Went {
    On,
    /// There is nothing for now.
    Idle,
    /// One of the two ends has been closed.
    Over,
}

impl Copies {
    pub fn open<K: Kernel>(
        kernel: &mut K,
        queue: Fd,
        fronts: [Option<Fd>; 3],
    ) -> Result<Copies, Failure> {
        let mut copies = Vec::new();
        for (number, pipe) in (0..).zip(fronts) {
            let Some(pipe) = pipe else {
                continue;
            };
            let (from, to) = match number {
                0 => (Fd(0), pipe),
                _ => (pipe, Fd(number)),
            };
            kernel.kevent_watch(queue, Watch::Readable(from))?;
            copies.push(Copy {
                from,
                to,
                pipe,
                held: Vec::new(),
            });
        }
        Ok(Copies(copies))
    }

    /// Whether the event was one of these.
    pub fn moved<K: Kernel>(
        &mut self,
        kernel: &mut K,
        queue: Fd,
        event: Event,
    ) -> Result<bool, Failure> {
        let found = self.0.iter().position(|copy| match event {
            Event::Readable(fd) => copy.from == fd,
            Event::Writable(fd) => copy.to == fd,
            _ => false,
        });
        let Some(index) = found else {
            return Ok(false);
        };
        self.step(kernel, queue, index)?;
        Ok(true)
    }

    /// After the service's end: true when all that it has written was passed on. What waits for the caller
    /// to take it comes as an event.
    pub fn are_drained<K: Kernel>(&mut self, kernel: &mut K, queue: Fd) -> Result<bool, Failure> {
        let mut index = 0;
        while let Some(copy) = self.0.get(index) {
            let is_output = copy.from == copy.pipe;
            let waits = !copy.held.is_empty();
            if !is_output || waits {
                index += 1;
                continue;
            }
            match self.step(kernel, queue, index)? {
                Went::On => {}
                Went::Idle => index += 1,
                Went::Over => {}
            }
        }
        let is_behind = |copy: &Copy| copy.from == copy.pipe && !copy.held.is_empty();
        Ok(!self.0.iter().any(is_behind))
    }

    fn step<K: Kernel>(
        &mut self,
        kernel: &mut K,
        queue: Fd,
        index: usize,
    ) -> Result<Went, Failure> {
        let Some(copy) = self.0.get_mut(index) else {
            return Ok(Went::Idle);
        };
        let waited = !copy.held.is_empty();
        let went = copy.go_on(kernel);
        let waits = !copy.held.is_empty();
        let (readable, writable) = (Watch::Readable(copy.from), Watch::Writable(copy.to));
        if went == Went::Over {
            let copy = self.0.remove(index);
            kernel.kevent_unwatch(queue, if waited { writable } else { readable })?;
            kernel.close(copy.pipe)?;
        } else if waits && !waited {
            kernel.kevent_unwatch(queue, readable)?;
            kernel.kevent_watch(queue, writable)?;
        } else if waited && !waits {
            kernel.kevent_unwatch(queue, writable)?;
            kernel.kevent_watch(queue, readable)?;
        }
        Ok(went)
    }
}

impl Copy {
    fn go_on<K: Kernel>(&mut self, kernel: &mut K) -> Went {
        if self.held.is_empty() {
            let mut buffer = [0u8; CHUNK];
            match kernel.read(self.from, &mut buffer) {
                Ok(count) if count > 0 => self
                    .held
                    .extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(failure) if failure.errno == Errno::EAGAIN => return Went::Idle,
                _ => return Went::Over,
            }
        }
        match kernel.write_briefly(self.to, &self.held) {
            Ok(count) => drop(self.held.drain(..count)),
            Err(failure) if [Errno::EAGAIN, Errno::EINTR].contains(&failure.errno) => {}
            Err(_) => return Went::Over,
        }
        Went::On
    }
}
