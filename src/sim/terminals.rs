//! Pseudo-terminals: two ends, attributes, and a session that one controls. What a program would write
//! or type is not simulated: programs here have no words.

use super::world::{COOKED, Description, Pty, Res, World};
use crate::kernel::{Errno, Fd, Pid, Termios, WindowSize};
use std::collections::VecDeque;

impl World {
    pub(super) fn posix_openpt(&mut self, pid: i32) -> Res<Fd> {
        let number = self.ptys.keys().next_back().map_or(0, |last| last + 1);
        self.ptys.insert(
            number,
            Pty {
                attributes: COOKED,
                size: WindowSize::default(),
                session: None,
                written: VecDeque::new(),
            },
        );
        let is_master = true;
        self.install(pid, Description::Pty { number, is_master }, 0)
    }

    pub(super) fn open_slave(&mut self, pid: i32, number: &str) -> Res<Fd> {
        let number = number.parse().map_err(|_| Errno::ENOENT)?;
        if !self.ptys.contains_key(&number) {
            return Err(Errno::ENOENT.into());
        }
        let is_master = false;
        self.install(pid, Description::Pty { number, is_master }, 0)
    }

    /// The number of a pseudo-terminal, `None` for the starter's own terminal.
    fn terminal_of(&self, pid: i32, fd: Fd) -> Res<Option<u64>> {
        match self.description(pid, fd)? {
            Description::Pty { number, .. } => Ok(Some(*number)),
            Description::Terminal => Ok(None),
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    fn pty(&mut self, number: u64) -> Res<&mut Pty> {
        self.ptys
            .get_mut(&number)
            .ok_or_else(|| Errno::ENXIO.into())
    }

    pub(super) fn ptsname(&self, pid: i32, master: Fd) -> Res<String> {
        match self.description(pid, master)? {
            Description::Pty {
                number,
                is_master: true,
            } => Ok(format!("/dev/pts/{number}")),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    pub(super) fn tcgetattr(&mut self, pid: i32, fd: Fd) -> Res<Termios> {
        match self.terminal_of(pid, fd)? {
            Some(number) => Ok(self.pty(number)?.attributes),
            None => Ok(self.terminal),
        }
    }

    pub(super) fn tcsetattr(&mut self, pid: i32, fd: Fd, attributes: &Termios) -> Res<()> {
        match self.terminal_of(pid, fd)? {
            Some(number) => self.pty(number)?.attributes = *attributes,
            None => self.terminal = *attributes,
        }
        Ok(())
    }

    pub(super) fn tcgetwinsize(&mut self, pid: i32, fd: Fd) -> Res<WindowSize> {
        match self.terminal_of(pid, fd)? {
            Some(number) => Ok(self.pty(number)?.size),
            None => Ok(WindowSize::default()),
        }
    }

    pub(super) fn tcsetwinsize(&mut self, pid: i32, fd: Fd, size: WindowSize) -> Res<()> {
        if let Some(number) = self.terminal_of(pid, fd)? {
            self.pty(number)?.size = size;
        }
        Ok(())
    }

    /// Everybody is in the foreground here.
    pub(super) fn tcgetpgrp(&self, pid: i32, fd: Fd) -> Res<Pid> {
        self.terminal_of(pid, fd)?;
        Ok(Pid(self.process(pid)?.session))
    }

    pub(super) fn tiocsctty(&mut self, pid: i32, fd: Fd) -> Res<()> {
        let session = self.process(pid)?.session;
        if session != pid {
            return Err(Errno::EPERM.into());
        }
        let number = self.terminal_of(pid, fd)?.ok_or(Errno::EPERM)?;
        let pty = self.pty(number)?;
        if pty.session.is_some_and(|owner| owner != session) {
            return Err(Errno::EPERM.into());
        }
        pty.session = Some(session);
        Ok(())
    }

    pub(super) fn has_written(&self, number: u64) -> bool {
        self.ptys
            .get(&number)
            .is_some_and(|pty| !pty.written.is_empty())
    }

    pub(super) fn has_slave(&self, number: u64) -> bool {
        self.descriptions.values().any(|known| {
            matches!(known, Description::Pty { number: other, is_master: false } if *other == number)
        })
    }

    /// The master never waits (it is non-blocking): EAGAIN, or the end when no slave is open.
    pub(super) fn read_pty(
        &mut self,
        number: u64,
        is_master: bool,
        buffer: &mut [u8],
    ) -> Res<Option<usize>> {
        let has_slave = self.has_slave(number);
        let pty = self.pty(number)?;
        if !is_master || (pty.written.is_empty() && !has_slave) {
            return Ok(Some(0));
        }
        if pty.written.is_empty() {
            return Err(Errno::EAGAIN.into());
        }
        let length = pty.written.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(pty.written.drain(..length)) {
            *to = from;
        }
        Ok(Some(length))
    }
}
