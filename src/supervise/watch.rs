//! Everything a supervisor can hear, from one kqueue: signals, the front, its service's end, output.
//! Orders are the same words whoever gives them.

use crate::kernel::{Event, Failure, Fd, Kernel, OwnedJail, Watch, signal};

/// Signals that are orders or are passed on.
const HEARD: [i32; 10] = [
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

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Stop the service, with its own signal and patience.
    Stop,
    /// Pass this signal on.
    Pass(i32),
    Child,
    JailGone,
    /// Something to read from the service's output.
    Output,
    /// Something that the service says by syslog(3).
    Log,
    /// Something to read from the child before it executes.
    ChildWord,
    /// The pidfile has lost its name.
    NoPidfile,
    /// The time is over.
    Time,
}

/// The queue, and what it watches.
#[derive(Debug)]
pub struct Ears {
    queue: Fd,
    /// The pipe from the front; `None` once it has ended.
    front: Option<Fd>,
    output: Option<Fd>,
    log: Option<Fd>,
    child: Option<Fd>,
    /// It is told once, perhaps while somebody waits for something else.
    jail_is_gone: bool,
}

impl Ears {
    pub fn open<K: Kernel>(kernel: &mut K, front: Option<Fd>) -> Result<Ears, Failure> {
        let queue = kernel.kqueue()?;
        for number in HEARD.iter().chain(&[signal::CHLD]) {
            kernel.kevent_watch(queue, Watch::Signal(*number))?;
        }
        if let Some(front) = front {
            kernel.kevent_watch(queue, Watch::Readable(front))?;
        }
        Ok(Ears {
            queue,
            front,
            output: None,
            log: None,
            child: None,
            jail_is_gone: false,
        })
    }

    pub fn jail<K: Kernel>(&mut self, kernel: &mut K, jail: OwnedJail) -> Result<(), Failure> {
        self.jail_is_gone = false;
        kernel.kevent_watch(self.queue, Watch::Jail(jail.descriptor))
    }

    pub fn jail_is_gone(&self) -> bool {
        self.jail_is_gone
    }

    pub fn output<K: Kernel>(&mut self, kernel: &mut K, output: Fd) -> Result<(), Failure> {
        kernel.kevent_watch(self.queue, Watch::Readable(output))?;
        self.output = Some(output);
        Ok(())
    }

    pub fn log<K: Kernel>(&mut self, kernel: &mut K, socket: Fd) -> Result<(), Failure> {
        kernel.kevent_watch(self.queue, Watch::Readable(socket))?;
        self.log = Some(socket);
        Ok(())
    }

    /// Until its name is gone, which is told once.
    pub fn pidfile<K: Kernel>(&self, kernel: &mut K, pidfile: Fd) -> Result<(), Failure> {
        kernel.kevent_watch(self.queue, Watch::Unlinked(pidfile))
    }

    pub fn child<K: Kernel>(&mut self, kernel: &mut K, channel: Fd) -> Result<(), Failure> {
        kernel.kevent_watch(self.queue, Watch::Readable(channel))?;
        self.child = Some(channel);
        Ok(())
    }

    /// Before the child's channel is closed: its number may soon be another's.
    pub fn forget_child<K: Kernel>(&mut self, kernel: &mut K) {
        if let Some(channel) = self.child.take() {
            // Closing it would do the same.
            let _ = kernel.kevent_unwatch(self.queue, Watch::Readable(channel));
        }
    }

    /// From here on the front may go without stopping anything.
    pub fn forget_front<K: Kernel>(&mut self, kernel: &mut K) {
        if let Some(front) = self.front.take() {
            let _ = kernel.kevent_unwatch(self.queue, Watch::Readable(front));
        }
    }

    pub fn forget_output<K: Kernel>(&mut self, kernel: &mut K) {
        if let Some(output) = self.output.take() {
            let _ = kernel.kevent_unwatch(self.queue, Watch::Readable(output));
        }
    }

    /// Before the socket is closed, as with the child's channel.
    pub fn forget_log<K: Kernel>(&mut self, kernel: &mut K) {
        if let Some(socket) = self.log.take() {
            let _ = kernel.kevent_unwatch(self.queue, Watch::Readable(socket));
        }
    }

    /// Waits for one thing, `timeout_ms` at most.
    pub fn hear<K: Kernel>(
        &mut self,
        kernel: &mut K,
        timeout_ms: Option<u64>,
    ) -> Result<Heard, Failure> {
        let Some(event) = kernel.kevent_wait(self.queue, timeout_ms)? else {
            return Ok(Heard::Time);
        };
        Ok(match event {
            Event::Signal(signal::CHLD) => Heard::Child,
            Event::Signal(signal::TERM) => Heard::Stop,
            Event::Signal(number) => Heard::Pass(number),
            Event::JailGone(_) => {
                self.jail_is_gone = true;
                Heard::JailGone
            }
            Event::Unlinked(_) => Heard::NoPidfile,
            Event::Readable(fd) if Some(fd) == self.output => Heard::Output,
            Event::Readable(fd) if Some(fd) == self.log => Heard::Log,
            Event::Readable(fd) if Some(fd) == self.child => Heard::ChildWord,
            Event::Readable(fd) | Event::Writable(fd) => self.front_word(kernel, fd)?,
        })
    }

    /// `s` and a signal's number. The end of the pipe means stop: whoever had the front in his hands
    /// has killed it.
    fn front_word<K: Kernel>(&mut self, kernel: &mut K, fd: Fd) -> Result<Heard, Failure> {
        let mut word = [0u8; 2];
        // A front writes both bytes at once; anything else it may say is no order of ours.
        let count = kernel.read(fd, &mut word).unwrap_or(0);
        match (count, word) {
            (2, [b's', number]) if HEARD.contains(&i32::from(number)) => {
                Ok(match i32::from(number) {
                    signal::TERM => Heard::Stop,
                    number => Heard::Pass(number),
                })
            }
            _ => {
                self.front = None;
                // Closed with it, were it closed; but it is still to be told how the service ended.
                let _ = kernel.kevent_unwatch(self.queue, Watch::Readable(fd));
                Ok(Heard::Stop)
            }
        }
    }

    /// What is closed with the queue is watched no more.
    pub fn close<K: Kernel>(self, kernel: &mut K) {
        let _ = kernel.close(self.queue);
    }
}
