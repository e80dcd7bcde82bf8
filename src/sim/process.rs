//! Processes: who runs next, fork, wait, signals, execve and the end.
//! One process runs at a time, until it waits or ends; then the ready one with the lowest pid. When
//! none is ready the programs act, and when those have nothing to do the clock jumps.

use super::lookup::Last;
use super::world::{Behaviour, Description, Executed, Place, Process, Res, State, Wait, World};
use crate::kernel::{
    At, Descendant, Ending, Errno, FileKind, JailId, Pid, Procctl, ProcessInfo, signal,
};

impl World {
    /// Hands the turn on. Leaves `current` 0 when nothing is left that could run.
    pub(super) fn schedule(&mut self) {
        loop {
            let ready = self.processes.values().find(|process| match process.state {
                State::Ready => true,
                State::Blocked { .. } => self.is_satisfied(process.pid),
                State::Program | State::Ended(_) => false,
            });
            if let Some(pid) = ready.map(|process| process.pid) {
                return self.resume(pid);
            }
            if self.act() {
                continue;
            }
            let nearest = self
                .processes
                .values()
                .filter_map(|process| match process.state {
                    State::Blocked { deadline, .. } => deadline,
                    State::Program => process.dies_at.or(process.acts_at),
                    State::Ready | State::Ended(_) => None,
                });
            if let Some(moment) = nearest.min() {
                self.clock_ms = self.clock_ms.max(moment);
                continue;
            }
            if let Some(first) = self.order.take() {
                self.deliver(first, signal::TERM);
                continue;
            }
            let waiting = self
                .processes
                .values_mut()
                .find(|p| matches!(p.state, State::Blocked { .. }));
            let Some(process) = waiting else {
                self.current = 0;
                return;
            };
            process.deadlocked += 1;
            let (pid, times) = (process.pid, process.deadlocked);
            self.stuck.push(pid);
            // Once it is told; who waits again for the same nothing would do so for ever.
            if times > 1 {
                self.end(pid, Ending::Signalled(signal::KILL));
                continue;
            }
            return self.resume(pid);
        }
    }

    pub(super) fn resume(&mut self, pid: i32) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.state = State::Ready;
        }
        self.current = pid;
    }

    /// Lets one program whose time has come do what it does.
    fn act(&mut self) -> bool {
        let now = self.clock_ms;
        let due = |moment: Option<u64>| moment.is_some_and(|moment| moment <= now);
        let found = self
            .processes
            .values()
            .find(|p| p.state == State::Program && (due(p.dies_at) || due(p.acts_at)));
        let Some((pid, dies, behaviour)) = found.map(|p| (p.pid, due(p.dies_at), p.behaviour))
        else {
            return false;
        };
        if dies {
            self.end(pid, Ending::Signalled(signal::KILL));
            return true;
        }
        match behaviour {
            Behaviour::Exit(code) | Behaviour::ExitAfter { code, .. } => {
                self.end(pid, Ending::Exited(code))
            }
            Behaviour::Daemonise => {
                if let Ok(child) = self.fork_entry(pid)
                    && let Some(process) = self.processes.get_mut(&child)
                {
                    process.state = State::Program;
                    process.behaviour = Behaviour::UntilSignal;
                    process.session = child;
                    process.acts_at = None;
                }
                self.end(pid, Ending::Exited(0));
            }
            Behaviour::UntilSignal | Behaviour::IgnoreTerm => {
                if let Some(process) = self.processes.get_mut(&pid) {
                    process.acts_at = None;
                }
            }
        }
        true
    }

    pub(super) fn children(&self, parent: i32, pid: Option<i32>) -> impl Iterator<Item = &Process> {
        self.processes
            .values()
            .filter(move |p| p.parent == parent && pid.is_none_or(|pid| pid == p.pid))
    }

    /// The process entry of a child: everything but kqueues, pending signals and the reaper's role.
    pub(super) fn fork_entry(&mut self, pid: i32) -> Res<i32> {
        let mut child = self.process(pid)?.clone();
        let descriptions = &self.descriptions;
        child.fds.retain(|_, fd| {
            !matches!(
                descriptions.get(&fd.description),
                Some(Description::Kqueue { .. })
            )
        });
        self.next_pid += 1;
        child.pid = self.next_pid;
        child.parent = pid;
        if child.is_reaper {
            child.reaper = pid;
        }
        child.is_reaper = false;
        child.signals_pending.clear();
        child.deadlocked = 0;
        child.state = State::Ready;
        self.processes.insert(child.pid, child);
        Ok(self.next_pid)
    }

    /// `None`: a child is there, but none has ended.
    pub(super) fn reap(&mut self, parent: i32, pid: Option<i32>) -> Res<Option<(i32, Ending)>> {
        if self.children(parent, pid).next().is_none() {
            return Err(Errno::ECHILD.into());
        }
        let ended = self
            .children(parent, pid)
            .find_map(|child| child.ending().map(|ending| (child.pid, ending)));
        if let Some((child, _)) = ended {
            self.forget(child);
        }
        Ok(ended)
    }

    fn forget(&mut self, pid: i32) {
        let jail = self.processes.remove(&pid).and_then(|process| process.jail);
        if let Some(jail) = jail {
            self.leave_jail(jail);
        }
    }

    /// A process ends: descriptors closed, children handed on, the parent told.
    pub(super) fn end(&mut self, pid: i32, ending: Ending) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if process.ending().is_some() {
            return;
        }
        process.state = State::Ended(ending);
        process.program = None;
        let (parent, jail, reaper) = (process.parent, process.jail, process.reaper);
        let fds = std::mem::take(&mut process.fds);
        self.endings.insert(pid, ending);
        for fd in fds.into_values() {
            self.release(fd.description);
        }
        let heir = if self.is_alive(reaper) { reaper } else { 1 };
        let orphans: Vec<i32> = self.children(pid, None).map(|child| child.pid).collect();
        for orphan in orphans {
            if let Some(child) = self.processes.get_mut(&orphan) {
                child.parent = heir;
                let is_zombie = child.ending().is_some();
                if is_zombie && heir == 1 {
                    self.forget(orphan);
                } else if is_zombie {
                    self.deliver(heir, signal::CHLD);
                }
            }
        }
        for process in self.processes.values_mut() {
            if process.reaper == pid {
                process.reaper = heir;
            }
        }
        if parent == 1 {
            self.forget(pid);
        } else {
            self.deliver(parent, signal::CHLD);
            if let Some(jail) = jail {
                self.leave_jail(jail);
            }
        }
    }

    /// Everybody who has this process for a reaper, itself left out.
    pub(super) fn reap_getpids(&self, pid: i32) -> Res<Vec<Descendant>> {
        if !self.process(pid)?.is_reaper {
            return Ok(Vec::new());
        }
        let mine = self.processes.values().filter(|p| p.reaper == pid);
        Ok(mine
            .map(|process| Descendant {
                pid: Pid(process.pid),
                is_child: process.parent == pid,
                is_ending: process.ending().is_some(),
            })
            .collect())
    }

    /// From a jail, only its own processes are seen.
    pub(super) fn process_info(&self, own: i32, pid: i32) -> Option<ProcessInfo> {
        let process = self.processes.get(&pid)?;
        let jail = self.processes.get(&own)?.jail;
        if jail.is_some() && jail != process.jail {
            return None;
        }
        Some(ProcessInfo {
            jail: JailId(process.jail.unwrap_or(0)),
            started_us: i64::from(process.pid),
        })
    }

    pub(super) fn is_alive(&self, pid: i32) -> bool {
        self.processes
            .get(&pid)
            .is_some_and(|process| process.ending().is_none())
    }

    /// Whether a thread may still act as this process.
    pub(super) fn is_running(&self, pid: i32) -> bool {
        self.processes
            .get(&pid)
            .is_some_and(|p| matches!(p.state, State::Ready | State::Blocked { .. }))
    }

    /// Sends a signal, as the kernel does: no permission is asked.
    pub fn deliver(&mut self, pid: i32, number: i32) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        if process.ending().is_some() {
            return;
        }
        if number == signal::KILL {
            return self.end(pid, Ending::Signalled(number));
        }
        let queues: Vec<u64> = process.fds.values().map(|fd| fd.description).collect();
        let harmless = [
            signal::CHLD,
            signal::WINCH,
            signal::INFO,
            signal::CONT,
            signal::STOP,
            signal::TSTP,
        ];
        let ignored = process.signals_ignored.contains(&number)
            || (process.behaviour == Behaviour::IgnoreTerm && process.is_program());
        let ends = !ignored && !harmless.contains(&number);
        if process.signals_blocked {
            process.signals_pending.insert(number);
        }
        let is_blocked = process.signals_blocked;
        for queue in queues {
            if let Some(Description::Kqueue { watches }) = self.descriptions.get_mut(&queue) {
                for (watch, count) in watches.iter_mut() {
                    if *watch == crate::kernel::Watch::Signal(number) {
                        *count += 1;
                    }
                }
            }
        }
        if ends && !is_blocked {
            self.end(pid, Ending::Signalled(number));
        }
    }

    pub(super) fn kill(&mut self, pid: i32, target: i32, number: i32) -> Res<()> {
        if !(0..=128).contains(&number) {
            return Err(Errno::EINVAL.into());
        }
        if target == -1 {
            let all: Vec<i32> = self
                .processes
                .keys()
                .copied()
                .filter(|other| *other != pid)
                .collect();
            let reached = all
                .into_iter()
                .filter(|other| self.signal_one(pid, *other, number).is_ok())
                .count();
            return if reached == 0 {
                Err(Errno::ESRCH.into())
            } else {
                Ok(())
            };
        }
        self.signal_one(pid, target, number)
    }

    fn signal_one(&mut self, pid: i32, target: i32, number: i32) -> Res<()> {
        let (from, to) = (self.process(pid)?, self.process(target)?);
        if from.jail.is_some() && from.jail != to.jail {
            return Err(Errno::ESRCH.into());
        }
        let (mine, theirs) = (from.credentials.uid, to.credentials.uid);
        let is_same = [mine.real, mine.effective]
            .iter()
            .any(|id| *id == theirs.real || *id == theirs.saved);
        let may = self.is_privileged(pid) || (is_same && from.jail == to.jail);
        if !may {
            return Err(Errno::EPERM.into());
        }
        if number != 0 {
            self.deliver(target, number);
        }
        Ok(())
    }

    pub(super) fn raise_default(&mut self, pid: i32, number: i32) -> Res<()> {
        let process = self.process_mut(pid)?;
        process.signals_ignored.remove(&number);
        process.signals_blocked = false;
        self.deliver(pid, number);
        Ok(())
    }

    /// An empty mask and default actions; what waited is delivered now.
    pub(super) fn reset_signals(&mut self, pid: i32) -> Res<()> {
        let process = self.process_mut(pid)?;
        process.signals_blocked = false;
        process.signals_ignored.clear();
        for number in std::mem::take(&mut process.signals_pending) {
            self.deliver(pid, number);
        }
        Ok(())
    }

    pub(super) fn execve(
        &mut self,
        pid: i32,
        program: &str,
        arguments: &[String],
        environment: &[String],
    ) -> Res<Executed> {
        let found = self.find(pid, At::Cwd, program, Last::Follow)?;
        let place = found.existing()?;
        self.may_execute(pid, place)?;
        let host_path = format!(
            "{}/{}",
            self.path_of(found.parent).trim_end_matches('/'),
            found.name
        );
        self.become_program(pid, program, (place, host_path), arguments, environment)
    }

    /// A file with an x bit for the caller, where programs may be executed.
    pub(super) fn may_execute(&self, pid: i32, place: Place) -> Res<()> {
        let (inode, mount) = (self.inode(place.inode)?, self.mount(place.mount)?);
        if inode.kind != FileKind::Regular || mount.flags.noexec || inode.mode & 0o111 == 0 {
            return Err(Errno::EACCES.into());
        }
        self.permit(pid, place.inode, super::lookup::EXECUTE)?;
        if self.inode(place.inode)?.data.is_empty() {
            return Err(Errno::ENOEXEC.into());
        }
        Ok(())
    }

    /// `program` is what it is called by, `image` the file and where the host has it.
    pub(super) fn become_program(
        &mut self,
        pid: i32,
        program: &str,
        (place, host_path): (Place, String),
        arguments: &[String],
        environment: &[String],
    ) -> Res<Executed> {
        let (inode, mount) = (self.inode(place.inode)?, self.mount(place.mount)?);
        let (mode, owner, group) = (inode.mode, inode.uid, inode.gid);
        let keeps_ids =
            mount.flags.nosuid || self.process(pid)?.procctls.contains(&Procctl::NoNewPrivs);
        let behaviour = self
            .behaviours
            .get(program)
            .or_else(|| self.behaviours.get(&host_path))
            .copied();
        let (said, status) = self.answer(arguments).unzip();
        let behaviour = behaviour.or(status.map(Behaviour::Exit));
        let closed: Vec<i32> = self
            .process(pid)?
            .fds
            .iter()
            .filter(|(_, fd)| fd.cloexec)
            .map(|(number, _)| *number)
            .collect();
        let now = self.clock_ms;
        let process = self.process_mut(pid)?;
        if !keeps_ids && mode & 0o4000 != 0 {
            process.credentials.uid.effective = owner;
        }
        if !keeps_ids && mode & 0o2000 != 0 {
            process.credentials.gid.effective = group;
        }
        process.credentials.uid.saved = process.credentials.uid.effective;
        process.credentials.gid.saved = process.credentials.gid.effective;
        process.program = Some((program.to_string(), place));
        process.began_ms = now;
        process.behaviour = behaviour.unwrap_or(Behaviour::Exit(0));
        process.acts_at = match process.behaviour {
            Behaviour::ExitAfter { milliseconds, .. } => Some(now + milliseconds),
            Behaviour::Exit(_) | Behaviour::Daemonise => Some(now),
            Behaviour::UntilSignal | Behaviour::IgnoreTerm => None,
        };
        for number in closed {
            self.close(pid, crate::kernel::Fd(number))?;
        }
        let executed = self.record(pid, program, host_path, arguments, environment)?;
        self.executed.push(executed.clone());
        self.process_mut(pid)?.state = State::Program;
        if let Some(said) = said {
            // All at once, however long: a real pipe would have it wait for its reader.
            let _ = self.write(pid, crate::kernel::Fd(1), &said);
        }
        Ok(executed)
    }

    pub(super) fn block(&mut self, pid: i32, wait: Wait, deadline: Option<u64>) {
        if let Some(process) = self.processes.get_mut(&pid) {
            process.state = State::Blocked { wait, deadline };
        }
    }
}
