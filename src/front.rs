//! The front: the process that the caller sees. It keeps his terminal, session and process group,
//! gives up root for good, and passes signals on to the supervisor, which has a session of its own and
//! which no signal of the caller's reaches. When it ends, the supervisor stops the service.
//!
//! A pseudo-terminal stands between the caller's terminal and the service: the front copies between
//! the two, so that the service can neither type for the caller (TIOCSTI) nor change his terminal.

use crate::error::Error;
use crate::exit::Exit;
use crate::kernel::{
    At, Errno, Event, Failure, Fd, Ids, Kernel, OPOST, Open, Termios, Watch, signal,
};
use crate::permit::Caller;

/// Passed on to the supervisor.
const PASSED: [i32; 10] = [
    signal::TERM,
    signal::INT,
    signal::HUP,
    signal::QUIT,
    signal::USR1,
    signal::USR2,
    signal::WINCH,
    signal::INFO,
    signal::CONT,
    signal::TSTP,
];

/// A pseudo-terminal for those of 0 to 2 that are the caller's terminal.
#[derive(Clone, Copy, Debug)]
pub struct Pty {
    pub master: Fd,
    pub slave: Fd,
    pub which: [bool; 3],
}

/// Makes one that looks like the caller's terminal; `None` when none of 0 to 2 is one.
pub fn open_pty<K: Kernel>(kernel: &mut K, which: [bool; 3]) -> Result<Option<Pty>, Error> {
    let Some(terminal) = first(which) else {
        return Ok(None);
    };
    let step = |failure| Error::step("make a pseudo-terminal", failure);
    let master = kernel.posix_openpt().map_err(step)?;
    let path = kernel.ptsname(master).map_err(step)?;
    let slave = kernel
        .openat(At::Cwd, &path, Open::Terminal)
        .map_err(step)?;
    let mut attributes = kernel.tcgetattr(terminal).map_err(step)?;
    if !which[0] {
        // Nobody makes the caller's terminal raw then: it processes output once, and that is enough.
        attributes.output &= !OPOST;
    }
    kernel.tcsetattr(slave, &attributes).map_err(step)?;
    let size = kernel.tcgetwinsize(terminal).map_err(step)?;
    kernel.tcsetwinsize(slave, size).map_err(step)?;
    kernel.set_nonblocking(master).map_err(step)?;
    Ok(Some(Pty {
        master,
        slave,
        which,
    }))
}

fn first(which: [bool; 3]) -> Option<Fd> {
    (0..)
        .zip(which)
        .find_map(|(number, is)| is.then_some(Fd(number)))
}

/// How long the front may take to show what is left, in milliseconds.
const LAST_WORDS_MS: u64 = 2000;

/// The other side of the pipe: tells a front how it ended. Where there is a terminal, our own end would
/// revoke it: the front has its time to read what is left.
pub fn tell<K: Kernel>(kernel: &mut K, front: Fd, exit: Exit, has_terminal: bool) {
    // A front that has gone needs no answer.
    let told = kernel.write_briefly(front, &exit.encode());
    if !has_terminal || told.is_err() {
        return;
    }
    let end = kernel.monotonic_ms().saturating_add(LAST_WORDS_MS);
    let Ok(queue) = kernel.kqueue() else {
        return;
    };
    if kernel.kevent_watch(queue, Watch::Readable(front)).is_ok() {
        let mut word = [0u8; 2];
        loop {
            let left = end.saturating_sub(kernel.monotonic_ms());
            // Its end comes as the end of the pipe; orders come too late.
            match kernel.kevent_wait(queue, Some(left)) {
                Ok(Some(_)) if matches!(kernel.read(front, &mut word), Ok(count) if count > 0) => {}
                _ => break,
            }
        }
    }
    let _ = kernel.close(queue);
}

/// What the front is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Until the service has ended.
    ToTheEnd,
    /// Until it is ready.
    UntilReady,
}

/// Becomes the caller again, and stays as long as it has to.
pub fn front<K: Kernel>(
    kernel: &mut K,
    caller: &Caller,
    channel: Fd,
    pty: Option<Pty>,
    stay: Stay,
) -> Exit {
    let begun = give_up_root(kernel, caller).and_then(|()| Front::open(kernel, channel, pty, stay));
    let mut front = match begun {
        Ok(front) => front,
        Err(failure) => {
            kernel.complain(&format!("jailrun: begin to pass signals on: {failure}"));
            return Exit::Status(71);
        }
    };
    let exit = front.serve(kernel).unwrap_or_else(|failure| {
        kernel.complain(&format!("jailrun: pass on to the supervisor: {failure}"));
        Exit::Status(71)
    });
    front.restore(kernel);
    exit
}

fn give_up_root<K: Kernel>(kernel: &mut K, caller: &Caller) -> Result<(), Failure> {
    if caller.is_root() {
        return Ok(());
    }
    kernel.setgroups(&caller.groups)?;
    kernel.setresgid(Ids::all(caller.gid))?;
    kernel.setresuid(Ids::all(caller.uid))?;
    match kernel.setresuid(Ids::all(0)) {
        Ok(()) => Err(Failure::new("setresuid", Errno::EPERM)),
        Err(_) => Ok(()),
    }
}

struct Front {
    channel: Fd,
    stay: Stay,
    queue: Fd,
    relay: Option<Relay>,
}

/// Between the caller's terminal and the pseudo-terminal.
struct Relay {
    master: Fd,
    /// Where its output goes.
    shown_on: Fd,
    /// Standard input is the terminal: what is typed goes to the service.
    takes_input: bool,
    /// Its attributes while it is ours to make raw.
    saved: Option<Termios>,
    is_raw: bool,
    is_watched: bool,
    /// Typed, and not taken by the service yet.
    typed: Vec<u8>,
}

impl Front {
    fn open<K: Kernel>(
        kernel: &mut K,
        channel: Fd,
        pty: Option<Pty>,
        stay: Stay,
    ) -> Result<Front, Failure> {
        let queue = kernel.kqueue()?;
        for number in PASSED {
            kernel.kevent_watch(queue, Watch::Signal(number))?;
        }
        kernel.kevent_watch(queue, Watch::Readable(channel))?;
        let relay = match pty.filter(|_| stay == Stay::ToTheEnd) {
            None => None,
            Some(pty) => {
                kernel.kevent_watch(queue, Watch::Readable(pty.master))?;
                let [input, output, error] = pty.which;
                let shown_on = first([false, output, error]).unwrap_or(Fd(0));
                let mut relay = Relay {
                    master: pty.master,
                    shown_on,
                    takes_input: input,
                    saved: None,
                    is_raw: false,
                    is_watched: false,
                    typed: Vec::new(),
                };
                relay.take_terminal(kernel, queue)?;
                Some(relay)
            }
        };
        Ok(Front {
            channel,
            stay,
            queue,
            relay,
        })
    }

    fn serve<K: Kernel>(&mut self, kernel: &mut K) -> Result<Exit, Failure> {
        loop {
            let Some(event) = kernel.kevent_wait(self.queue, None)? else {
                continue;
            };
            match event {
                Event::Readable(fd) if fd == self.channel => {
                    if let Some(exit) = self.word(kernel)? {
                        return Ok(exit);
                    }
                }
                Event::Signal(number) => self.signal(kernel, number)?,
                Event::Readable(fd) | Event::Writable(fd) => {
                    let Some(relay) = &mut self.relay else {
                        continue;
                    };
                    // The terminal has hung up: nobody is there any more.
                    if relay.moved(kernel, self.queue, fd)? == Moved::HungUp {
                        return Ok(Exit::Signal(signal::HUP));
                    }
                }
                Event::JailGone(_) | Event::Unlinked(_) => {}
            }
        }
    }

    /// Two bytes from the supervisor.
    fn word<K: Kernel>(&mut self, kernel: &mut K) -> Result<Option<Exit>, Failure> {
        let mut word = [0u8; 2];
        if kernel.read(self.channel, &mut word)? != word.len() {
            kernel.complain("jailrun: the supervisor was killed");
            return Ok(Some(Exit::Status(71)));
        }
        if let Some(exit) = Exit::decode(word) {
            if let Some(relay) = &mut self.relay {
                while relay.show(kernel) {}
            }
            return Ok(Some(exit));
        }
        match word {
            [b'r', _] if self.stay == Stay::UntilReady => Ok(Some(Exit::Status(0))),
            [b'z', _] => {
                self.stop(kernel)?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// The service has stopped; the terminal is the shell's until we are told to go on.
    fn stop<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), Failure> {
        if let Some(relay) = &mut self.relay {
            relay.leave_terminal(kernel, self.queue)?;
        }
        let own = kernel.getpid();
        kernel.kill(own, signal::STOP)?;
        match &mut self.relay {
            Some(relay) => relay.take_terminal(kernel, self.queue),
            None => Ok(()),
        }
    }

    fn signal<K: Kernel>(&mut self, kernel: &mut K, number: i32) -> Result<(), Failure> {
        if let Some(relay) = &mut self.relay {
            match number {
                signal::WINCH => {
                    let size = kernel.tcgetwinsize(relay.shown_on)?;
                    // The kernel tells the service.
                    return kernel.tcsetwinsize(relay.master, size);
                }
                // Perhaps in the foreground now.
                signal::CONT => relay.take_terminal(kernel, self.queue)?,
                _ => {}
            }
        }
        // A supervisor that has gone will be noticed by the end of its pipe.
        match kernel.write(self.channel, &[b's', number as u8]) {
            Err(failure) if failure.errno != Errno::EPIPE => Err(failure),
            _ => Ok(()),
        }
    }

    fn restore<K: Kernel>(&mut self, kernel: &mut K) {
        if let Some(relay) = &mut self.relay {
            // A terminal that has hung up needs nothing.
            let _ = relay.leave_terminal(kernel, self.queue);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    On,
    HungUp,
}

impl Relay {
    /// Raw, and read from, if standard input is the terminal and we are in the foreground.
    fn take_terminal<K: Kernel>(&mut self, kernel: &mut K, queue: Fd) -> Result<(), Failure> {
        let own = kernel.getpgrp();
        if !self.takes_input || self.is_raw || kernel.tcgetpgrp(Fd(0))? != own {
            return Ok(());
        }
        let attributes = kernel.tcgetattr(Fd(0))?;
        let raw = kernel.cfmakeraw(&attributes);
        kernel.tcsetattr(Fd(0), &raw)?;
        self.saved = Some(attributes);
        self.is_raw = true;
        self.watch_input(kernel, queue, true)
    }

    fn leave_terminal<K: Kernel>(&mut self, kernel: &mut K, queue: Fd) -> Result<(), Failure> {
        self.watch_input(kernel, queue, false)?;
        if let Some(saved) = self.saved.take() {
            self.is_raw = false;
            kernel.tcsetattr(Fd(0), &saved)?;
        }
        Ok(())
    }

    fn watch_input<K: Kernel>(
        &mut self,
        kernel: &mut K,
        queue: Fd,
        wanted: bool,
    ) -> Result<(), Failure> {
        if wanted == self.is_watched {
            return Ok(());
        }
        self.is_watched = wanted;
        match wanted {
            true => kernel.kevent_watch(queue, Watch::Readable(Fd(0))),
            false => kernel.kevent_unwatch(queue, Watch::Readable(Fd(0))),
        }
    }

    fn moved<K: Kernel>(&mut self, kernel: &mut K, queue: Fd, fd: Fd) -> Result<Moved, Failure> {
        if fd != self.master {
            let mut buffer = [0u8; 1024];
            match kernel.read(Fd(0), &mut buffer) {
                Ok(0) | Err(_) => return Ok(Moved::HungUp),
                Ok(count) => self
                    .typed
                    .extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
            return self.pass_typed(kernel, queue);
        }
        if !self.typed.is_empty() {
            self.pass_typed(kernel, queue)?;
        }
        if !self.show(kernel) && self.is_over(kernel) {
            // No slave is open any more; the supervisor will say why.
            kernel.kevent_unwatch(queue, Watch::Readable(self.master))?;
        }
        Ok(Moved::On)
    }

    /// As much as the service's side takes; the terminal isn't read before it has taken all.
    fn pass_typed<K: Kernel>(&mut self, kernel: &mut K, queue: Fd) -> Result<Moved, Failure> {
        let had_to_wait = !self.is_watched;
        match kernel.write(self.master, &self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(failure) if failure.errno == Errno::EAGAIN => {}
            // No service is there to type for.
            Err(_) => self.typed.clear(),
        }
        if self.typed.is_empty() && had_to_wait {
            kernel.kevent_unwatch(queue, Watch::Writable(self.master))?;
            self.watch_input(kernel, queue, self.is_raw)?;
        } else if !self.typed.is_empty() && !had_to_wait {
            self.watch_input(kernel, queue, false)?;
            kernel.kevent_watch(queue, Watch::Writable(self.master))?;
        }
        Ok(Moved::On)
    }

    /// True while there may be more.
    fn show<K: Kernel>(&mut self, kernel: &mut K) -> bool {
        let mut buffer = [0u8; 4096];
        match kernel.read(self.master, &mut buffer) {
            Ok(count) if count > 0 => {
                let mut rest = buffer.get(..count).unwrap_or_default();
                while !rest.is_empty() {
                    match kernel.write(self.shown_on, rest) {
                        Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                        Err(_) => return false,
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// Whether the master has come to its end, rather than being empty for the moment.
    fn is_over<K: Kernel>(&mut self, kernel: &mut K) -> bool {
        let mut none = [0u8; 1];
        match kernel.read(self.master, &mut none) {
            Ok(0) => true,
            Err(failure) => failure.errno != Errno::EAGAIN,
            // It came between the two reads; shown at the next event, but for this byte.
            Ok(_) => {
                let _ = kernel.write(self.shown_on, &none);
                false
            }
        }
    }
}
