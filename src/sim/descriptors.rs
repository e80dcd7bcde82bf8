//! Descriptors and what they name: reading, writing, duplicating, closing, and events of a kqueue(2).

use super::world::{Description, Descriptor, Res, State, Wait, World};
use crate::kernel::{Errno, Event, Fd, FileKind, Limit, Rights, Watch, signal};
use std::collections::VecDeque;
use std::sync::Arc;

impl Description {
    /// One end of a pair.
    pub(super) fn end(is_pipe: bool, peer: Option<u64>) -> Description {
        Description::Socket {
            is_pipe,
            is_nonblocking: false,
            buffer: VecDeque::new(),
            peer,
        }
    }
}

impl World {
    pub(super) fn descriptor(&self, pid: i32, fd: Fd) -> Res<&Descriptor> {
        self.process(pid)?
            .fds
            .get(&fd.0)
            .ok_or_else(|| Errno::EBADF.into())
    }

    pub(super) fn description(&self, pid: i32, fd: Fd) -> Res<&Description> {
        let id = self.descriptor(pid, fd)?.description;
        self.descriptions
            .get(&id)
            .ok_or_else(|| Errno::EBADF.into())
    }

    /// The lowest free number from `least`, close-on-exec.
    pub(super) fn install(&mut self, pid: i32, description: Description, least: i32) -> Res<Fd> {
        let id = self.fresh();
        self.descriptions.insert(id, description);
        self.install_existing(pid, id, least, None)
    }

    fn install_existing(
        &mut self,
        pid: i32,
        description: u64,
        least: i32,
        rights: Option<Rights>,
    ) -> Res<Fd> {
        let process = self.process_mut(pid)?;
        let number = (least..)
            .find(|number| !process.fds.contains_key(number))
            .ok_or(Errno::EMFILE)?;
        process.fds.insert(
            number,
            Descriptor {
                description,
                cloexec: true,
                rights,
            },
        );
        Ok(Fd(number))
    }

    pub(super) fn close(&mut self, pid: i32, fd: Fd) -> Res<()> {
        let gone = self
            .process_mut(pid)?
            .fds
            .remove(&fd.0)
            .ok_or(Errno::EBADF)?;
        self.unwatch(pid, fd);
        self.release(gone.description);
        Ok(())
    }

    /// A closed descriptor takes its watches with it.
    fn unwatch(&mut self, pid: i32, fd: Fd) {
        let Some(process) = self.processes.get(&pid) else {
            return;
        };
        let queues: Vec<u64> = process.fds.values().map(|held| held.description).collect();
        for queue in queues {
            if let Some(Description::Kqueue { watches }) = self.descriptions.get_mut(&queue) {
                watches.retain(|(watch, _)| {
                    let about = [
                        Watch::Readable(fd),
                        Watch::Writable(fd),
                        Watch::Jail(fd),
                        Watch::Unlinked(fd),
                    ];
                    !about.contains(watch)
                });
            }
        }
    }

    /// After a descriptor went: the last one takes locks, the socket's end and an owned jail with it.
    pub(super) fn release(&mut self, id: u64) {
        let is_used = self
            .processes
            .values()
            .any(|p| p.fds.values().any(|d| d.description == id));
        if is_used {
            return;
        }
        self.locks.retain(|(_, holder, _)| *holder != id);
        match self.descriptions.remove(&id) {
            Some(Description::Socket {
                peer: Some(peer), ..
            }) => {
                if let Some(Description::Socket { peer, .. }) = self.descriptions.get_mut(&peer) {
                    *peer = None;
                }
            }
            Some(Description::Jail { id, owner: true }) => self.remove_jail(id),
            _ => {}
        }
    }

    pub(super) fn closefrom(&mut self, pid: i32, lowest: i32) -> Res<()> {
        let numbers: Vec<i32> = self
            .process(pid)?
            .fds
            .range(lowest..)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.close(pid, Fd(number))?;
        }
        Ok(())
    }

    pub(super) fn dup2(&mut self, pid: i32, from: Fd, to: Fd, keep: bool) -> Res<()> {
        let limits = &self.process(pid)?.limits;
        let most = limits.get(&Limit::Openfiles).copied();
        if u64::try_from(to.0).is_ok_and(|to| most.is_some_and(|most| to >= most.soft)) {
            return Err(Errno::EBADF.into());
        }
        let new = Descriptor {
            cloexec: !keep,
            ..self.descriptor(pid, from)?.clone()
        };
        let old = self.process_mut(pid)?.fds.insert(to.0, new);
        if let Some(old) = old {
            self.release(old.description);
        }
        Ok(())
    }

    pub(super) fn dup_from(&mut self, pid: i32, from: Fd, least: i32) -> Res<Fd> {
        let Descriptor {
            description,
            rights,
            ..
        } = self.descriptor(pid, from)?.clone();
        self.install_existing(pid, description, least, rights)
    }

    pub(super) fn pair(&mut self, pid: i32, is_pipe: bool) -> Res<(Fd, Fd)> {
        let (left, right) = (self.fresh(), self.fresh());
        for (own, peer) in [(left, right), (right, left)] {
            self.descriptions
                .insert(own, Description::end(is_pipe, Some(peer)));
        }
        Ok((
            self.install_existing(pid, left, 0, None)?,
            self.install_existing(pid, right, 0, None)?,
        ))
    }

    pub(super) fn set_nonblocking(&mut self, pid: i32, fd: Fd) -> Res<()> {
        let id = self.descriptor(pid, fd)?.description;
        // Pseudo-terminals are made so; of the others none has to wait.
        if let Some(Description::Socket { is_nonblocking, .. }) = self.descriptions.get_mut(&id) {
            *is_nonblocking = true;
        }
        Ok(())
    }

    /// `None`: nothing there yet.
    pub(super) fn read(&mut self, pid: i32, fd: Fd, buffer: &mut [u8]) -> Res<Option<usize>> {
        self.need_right(pid, fd, Rights::READ)?;
        let id = self.descriptor(pid, fd)?.description;
        let (inodes, description) = (
            &self.inodes,
            self.descriptions.get_mut(&id).ok_or(Errno::EBADF)?,
        );
        match description {
            Description::Vnode {
                readable: false, ..
            } => Err(Errno::EBADF.into()),
            Description::Vnode { place, offset, .. } => {
                let inode = inodes.get(&place.inode).ok_or(Errno::EBADF)?;
                match inode.kind {
                    FileKind::Directory => return Err(Errno::EISDIR.into()),
                    FileKind::CharacterDevice if inode.data.as_slice() == b"null" => {
                        return Ok(Some(0));
                    }
                    FileKind::CharacterDevice => {
                        buffer.fill(0);
                        return Ok(Some(buffer.len()));
                    }
                    _ => {}
                }
                let rest = inode.data.get(*offset..).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(rest) {
                    *to = *from;
                }
                *offset += length;
                Ok(Some(length))
            }
            Description::Socket {
                buffer: queue,
                peer,
                is_nonblocking,
                ..
            } => {
                if queue.is_empty() && peer.is_some() && !buffer.is_empty() {
                    if *is_nonblocking {
                        return Err(Errno::EAGAIN.into());
                    }
                    return Ok(None);
                }
                let length = queue.len().min(buffer.len());
                for (to, from) in buffer.iter_mut().zip(queue.drain(..length)) {
                    *to = from;
                }
                Ok(Some(length))
            }
            // Only ever made non-blocking.
            Description::Bound { messages, .. } => {
                let message = messages.pop_front().ok_or(Errno::EAGAIN)?;
                for (to, from) in buffer.iter_mut().zip(&message) {
                    *to = *from;
                }
                Ok(Some(message.len().min(buffer.len())))
            }
            Description::Pipe | Description::Terminal => Ok(Some(0)),
            Description::Pty { number, is_master } => {
                let (number, is_master) = (*number, *is_master);
                self.read_pty(number, is_master, buffer)
            }
            _ => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    pub(super) fn write(&mut self, pid: i32, fd: Fd, bytes: &[u8]) -> Res<usize> {
        self.need_right(pid, fd, Rights::WRITE)?;
        let id = self.descriptor(pid, fd)?.description;
        let now = self.now();
        let peer = match self.descriptions.get_mut(&id).ok_or(Errno::EBADF)? {
            Description::Vnode {
                writable: false, ..
            } => return Err(Errno::EBADF.into()),
            Description::Vnode {
                place,
                offset,
                appends,
                ..
            } => {
                let inode = self.inodes.get_mut(&place.inode).ok_or(Errno::EBADF)?;
                if inode.kind == FileKind::Regular && self.lies.contains("write") {
                    return Ok(bytes.len());
                }
                if inode.kind == FileKind::Regular {
                    if self.is_full && place.mount == 1 {
                        return Err(Errno::ENOSPC.into());
                    }
                    if *appends {
                        *offset = inode.data.len();
                    }
                    let data = Arc::make_mut(&mut inode.data);
                    data.resize(data.len().max(*offset + bytes.len()), 0);
                    for (to, from) in data.iter_mut().skip(*offset).zip(bytes) {
                        *to = *from;
                    }
                    *offset += bytes.len();
                    inode.ctime = now;
                }
                return Ok(bytes.len());
            }
            Description::Pipe | Description::Terminal => {
                self.output.extend_from_slice(bytes);
                return Ok(bytes.len());
            }
            Description::Socket { peer, .. } => *peer,
            Description::Pty { number, is_master } => {
                let (number, is_master) = (*number, *is_master);
                if !is_master && let Some(pty) = self.ptys.get_mut(&number) {
                    pty.written.extend(bytes);
                }
                return Ok(bytes.len());
            }
            _ => return Err(Errno::EOPNOTSUPP.into()),
        };
        match peer.and_then(|peer| self.descriptions.get_mut(&peer)) {
            Some(Description::Socket { buffer, .. }) => {
                buffer.extend(bytes);
                Ok(bytes.len())
            }
            _ => {
                self.deliver(pid, signal::PIPE);
                Err(Errno::EPIPE.into())
            }
        }
    }

    pub(super) fn isatty(&self, pid: i32, fd: Fd) -> bool {
        match self.description(pid, fd) {
            Ok(Description::Terminal | Description::Pty { .. }) => true,
            Ok(Description::Vnode { place, .. }) => self
                .inodes
                .get(&place.inode)
                .is_some_and(|inode| inode.data.as_slice() == b"tty"),
            _ => false,
        }
    }

    pub(super) fn is_readable(&self, id: u64) -> bool {
        match self.descriptions.get(&id) {
            Some(Description::Socket { buffer, peer, .. }) => !buffer.is_empty() || peer.is_none(),
            Some(Description::Bound { messages, .. }) => !messages.is_empty(),
            Some(Description::Pipe) | None => true,
            Some(Description::Pty { number, is_master }) => {
                *is_master && (self.has_written(*number) || !self.has_slave(*number))
            }
            Some(_) => false,
        }
    }

    fn watches(&mut self, pid: i32, queue: Fd) -> Res<&mut Vec<(Watch, u32)>> {
        let id = self.descriptor(pid, queue)?.description;
        match self.descriptions.get_mut(&id) {
            Some(Description::Kqueue { watches }) => Ok(watches),
            _ => Err(Errno::EBADF.into()),
        }
    }

    pub(super) fn kevent_watch(&mut self, pid: i32, queue: Fd, watch: Watch) -> Res<()> {
        match watch {
            Watch::Readable(fd) | Watch::Writable(fd) => drop(self.descriptor(pid, fd)?),
            Watch::Jail(fd) => match self.description(pid, fd)? {
                Description::Jail { .. } => {}
                _ => return Err(Errno::EINVAL.into()),
            },
            Watch::Unlinked(fd) => drop(self.links_of(pid, fd)?),
            Watch::Signal(_) => {}
        }
        // A name that was lost before is no news.
        let told = match watch {
            Watch::Unlinked(fd) => u32::from(self.links_of(pid, fd)? == 0),
            _ => 0,
        };
        let watches = self.watches(pid, queue)?;
        if !watches.iter().any(|(known, _)| *known == watch) {
            watches.push((watch, told));
        }
        Ok(())
    }

    fn links_of(&self, pid: i32, fd: Fd) -> Res<u64> {
        match self.description(pid, fd)? {
            Description::Vnode { place, .. } => Ok(self.inode(place.inode)?.links),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    pub(super) fn kevent_unwatch(&mut self, pid: i32, queue: Fd, watch: Watch) -> Res<()> {
        let watches = self.watches(pid, queue)?;
        let index = watches
            .iter()
            .position(|(known, _)| *known == watch)
            .ok_or(Errno::ENOENT)?;
        watches.remove(index);
        Ok(())
    }

    /// The first watch that has something, without taking it.
    pub(super) fn ready_event(&self, pid: i32, queue: u64) -> Option<Event> {
        let Some(Description::Kqueue { watches }) = self.descriptions.get(&queue) else {
            return None;
        };
        watches.iter().find_map(|(watch, count)| match watch {
            Watch::Signal(signal) => (*count > 0).then_some(Event::Signal(*signal)),
            Watch::Readable(fd) => {
                let id = self.descriptor(pid, *fd).ok()?.description;
                self.is_readable(id).then_some(Event::Readable(*fd))
            }
            Watch::Writable(fd) => self.descriptor(pid, *fd).ok().map(|_| Event::Writable(*fd)),
            // Told once, as EV_ONESHOT is.
            Watch::Jail(fd) => match self.description(pid, *fd) {
                Ok(Description::Jail { id, .. }) if *count == 0 => {
                    let is_there = self.jails.get(id).is_some_and(|jail| !jail.dying);
                    (!is_there).then_some(Event::JailGone(*fd))
                }
                _ => None,
            },
            Watch::Unlinked(fd) => {
                let is_gone = *count == 0 && self.links_of(pid, *fd).is_ok_and(|links| links == 0);
                is_gone.then_some(Event::Unlinked(*fd))
            }
        })
    }

    pub(super) fn kevent_take(&mut self, pid: i32, queue: Fd) -> Res<Option<Event>> {
        let id = self.descriptor(pid, queue)?.description;
        let event = self.ready_event(pid, id);
        if let Some(Event::Signal(taken)) = event {
            for (watch, count) in self.watches(pid, queue)? {
                if *watch == Watch::Signal(taken) {
                    *count = 0;
                }
            }
        }
        if let Some(Event::Unlinked(fd)) = event {
            self.kevent_unwatch(pid, queue, Watch::Unlinked(fd))?;
        }
        if let Some(Event::JailGone(fd)) = event {
            for (watch, count) in self.watches(pid, queue)? {
                if *watch == Watch::Jail(fd) {
                    *count = 1;
                }
            }
        }
        Ok(event)
    }

    pub(super) fn is_satisfied(&self, pid: i32) -> bool {
        let Some(State::Blocked { wait, deadline }) = self.processes.get(&pid).map(|p| p.state)
        else {
            return false;
        };
        if deadline.is_some_and(|deadline| deadline <= self.clock_ms) {
            return true;
        }
        match wait {
            Wait::Readable(id) => self.is_readable(id),
            Wait::Queue(id) => self.ready_event(pid, id).is_some(),
            Wait::Child(child) => {
                let mut children = self.children(pid, child).peekable();
                children.peek().is_none() || children.any(|child| child.ending().is_some())
            }
            Wait::Time => false,
        }
    }
}
