//! The seam: each call of `Kernel`, handed to the world with its name and a line for the list.

use super::words::Words;
use super::world::{Description, Executed, Wait};
use super::{Sim, TIME_OVER};
use crate::kernel::*;

impl Sim {
    /// For calls that can't refuse: what a killed process gets is `otherwise`.
    fn always<T>(
        &mut self,
        name: &'static str,
        otherwise: T,
        act: impl FnOnce(&mut super::World, i32) -> super::Res<T>,
    ) -> T {
        self.call(name, String::new, act).unwrap_or(otherwise)
    }
}

/// One method that hands its arguments on: name(arguments) -> result, and the line for the list.
macro_rules! calls {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $result:ty = |$world:ident, $pid:ident| $act:expr;)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) -> Outcome<$result> {
            let detail = || {
                let parts: Vec<String> = vec![$(match stringify!($argument) {
                    "mode" => $argument.octal(),
                    _ => $argument.words(),
                }),*];
                parts.join(", ")
            };
            self.call(stringify!($name), detail, |$world, $pid| $act)
        })*
    };
}

impl Kernel for Sim {
    type Executed = Executed;

    calls! {
        getresuid() -> Ids = |world, pid| Ok(world.process(pid)?.credentials.uid);
        getresgid() -> Ids = |world, pid| Ok(world.process(pid)?.credentials.gid);
        getgroups() -> Vec<u32> = |world, pid| Ok(world.process(pid)?.credentials.groups.clone());
        sysctl_int(name: &str) -> i64 =
            |world, pid| world.sysctl(pid, name)?.parse().map_err(|_| Errno::EINVAL.into());
        sysctl_text(name: &str) -> String = |world, pid| world.sysctl(pid, name);
        boot_id() -> String = |world, pid| world.sysctl(pid, "kern.boot_id");
        getpwnam(name: &str) -> Option<User> =
            |world, _pid| Ok(world.users.iter().find(|user| user.name == name).cloned());
        getpwuid(uid: u32) -> Option<User> =
            |world, _pid| Ok(world.users.iter().find(|user| user.uid == uid).cloned());
        getgrnam(name: &str) -> Option<u32> = |world, _pid| Ok(world.groups.get(name).copied());
        getgrgid(gid: u32) -> Option<String> = |world, _pid| {
            Ok(world.groups.iter().find(|group| *group.1 == gid).map(|group| group.0.clone()))
        };
        openat(at: At, path: &str, how: Open) -> Fd = |world, pid| world.openat(pid, at, path, how);
        close(fd: Fd) -> () = |world, pid| world.close(pid, fd);
        fstat(fd: Fd) -> Stat = |world, pid| world.fstat(pid, fd);
        lstatat(at: At, path: &str) -> Stat = |world, pid| world.lstatat(pid, at, path);
        readlinkat(at: At, path: &str) -> String = |world, pid| world.readlinkat(pid, at, path);
        acl_is_trivial(fd: Fd) -> bool = |world, pid| world.acl_is_trivial(pid, fd);
        write(fd: Fd, bytes: &[u8]) -> usize = |world, pid| world.write(pid, fd, bytes);
        mkdirat(at: At, path: &str, mode: u32) -> () = |world, pid| world.mkdirat(pid, at, path, mode);
        symlinkat(target: &str, at: At, path: &str) -> () =
            |world, pid| world.symlinkat(pid, target, at, path);
        unlinkat(at: At, path: &str, what: Unlink) -> () = |world, pid| world.unlinkat(pid, at, path, what);
        fchown(fd: Fd, uid: u32, gid: u32) -> () = |world, pid| world.fchown(pid, fd, uid, gid);
        fchmod(fd: Fd, mode: u32) -> () = |world, pid| world.fchmod(pid, fd, mode);
        ftruncate(fd: Fd, size: u64) -> () = |world, pid| world.ftruncate(pid, fd, size);
        readdir(directory: Fd) -> Vec<String> = |world, pid| world.readdir(pid, directory);
        is_locked(fd: Fd) -> bool = |world, pid| world.is_locked(pid, fd);
        flock(fd: Fd, lock: Lock) -> () = |world, pid| world.flock(pid, fd, lock);
        chdir(path: &str) -> () = |world, pid| world.chdir(pid, path);
        dup2(from: Fd, to: Fd, keep_at_exec: bool) -> () = |world, pid| world.dup2(pid, from, to, keep_at_exec);
        dup_from(from: Fd, least: i32) -> Fd = |world, pid| world.dup_from(pid, from, least);
        socketpair() -> (Fd, Fd) = |world, pid| world.pair(pid, false);
        pipe() -> (Fd, Fd) = |world, pid| world.pair(pid, true);
        set_nonblocking(fd: Fd) -> () = |world, pid| world.set_nonblocking(pid, fd);
        write_briefly(fd: Fd, bytes: &[u8]) -> usize = |world, pid| world.write(pid, fd, bytes);
        socket(kind: SocketKind) -> Fd = |world, pid| world.socket(pid, kind);
        setsockopt(fd: Fd, option: SocketOption) -> () = |world, pid| world.setsockopt(pid, fd, option);
        bind(fd: Fd, address: &SocketAddress) -> () = |world, pid| world.bind(pid, fd, address);
        listen(fd: Fd, backlog: u32) -> () = |world, pid| world.listen(pid, fd);
        connect(fd: Fd, address: &SocketAddress) -> () = |world, pid| world.connect(pid, fd, address);
        lchown(path: &str, uid: u32) -> () = |world, pid| world.lchown(pid, path, uid);
        cap_rights_limit(fd: Fd, rights: Rights) -> () = |world, pid| world.cap_rights_limit(pid, fd, rights);
        cap_fcntls_limit(fd: Fd, fcntls: u32) -> () = |world, pid| world.need_right(pid, fd, Rights::FCNTL);
        cap_ioctls_limit(fd: Fd, commands: &[u64]) -> () = |world, pid| world.need_right(pid, fd, Rights::IOCTL);
        cap_enter() -> () = |world, pid| {
            world.process_mut(pid)?.in_capability_mode = true;
            Ok(())
        };
        fexecve(program: Fd, arguments: &[String], environment: &[String]) -> Executed =
            |world, pid| world.fexecve(pid, program, arguments, environment);
        posix_openpt() -> Fd = |world, pid| world.posix_openpt(pid);
        ptsname(master: Fd) -> String = |world, pid| world.ptsname(pid, master);
        tcgetattr(terminal: Fd) -> Termios = |world, pid| world.tcgetattr(pid, terminal);
        tcsetattr(terminal: Fd, attributes: &Termios) -> () =
            |world, pid| world.tcsetattr(pid, terminal, attributes);
        tcgetwinsize(terminal: Fd) -> WindowSize = |world, pid| world.tcgetwinsize(pid, terminal);
        tcsetwinsize(terminal: Fd, size: WindowSize) -> () =
            |world, pid| world.tcsetwinsize(pid, terminal, size);
        tcgetpgrp(terminal: Fd) -> Pid = |world, pid| world.tcgetpgrp(pid, terminal);
        setpgid() -> () = |world, pid| world.process(pid).map(drop);
        tcsetpgrp(terminal: Fd) -> () = |world, pid| world.tcgetpgrp(pid, terminal).map(drop);
        tiocsctty(terminal: Fd) -> () = |world, pid| world.tiocsctty(pid, terminal);
        waitpid_untraced() -> Option<(Pid, Waited)> = |world, pid| {
            let ended = world.reap(pid, None)?;
            Ok(ended.map(|(child, ending)| (Pid(child), Waited::Ended(ending))))
        };
        procctl_reap_getpids() -> Vec<Descendant> = |world, pid| world.reap_getpids(pid);
        listeners() -> Vec<Listener> = |world, _pid| Ok(world.listeners());
        process_info(target: Pid) -> Option<ProcessInfo> =
            |world, pid| Ok(world.process_info(pid, target.0));
        nmount(mount: &Nmount) -> () = |world, pid| world.nmount(pid, mount);
        statfs(path: &str) -> Statfs = |world, pid| world.statfs(pid, path);
        getfsstat() -> Vec<Statfs> = |world, pid| Ok(world.getfsstat(pid));
        unmount(mount: Fsid, force: Force) -> () = |world, pid| world.unmount(pid, mount, force);
        devfs_radd(rule: &DevfsRule) -> () = |world, pid| world.devfs_radd(pid, rule);
        devfs_rgetnext(ruleset: u16, after: u16) -> Option<DevfsRule> =
            |world, pid| world.devfs_rgetnext(pid, ruleset, after);
        devfs_rdel(ruleset: u16, number: u16) -> () = |world, pid| world.devfs_rdel(pid, ruleset, number);
        jail_create(parameters: &JailParameters) -> OwnedJail = |world, pid| world.jail_create(pid, parameters);
        jail_update(jail: Fd, parameters: &JailParameters) -> () =
            |world, pid| world.jail_update(pid, jail, parameters);
        jail_get_int(jail: Fd, name: &str) -> i32 = |world, pid| world.jail_get_int(pid, jail, name);
        jail_find(name: &str) -> Option<JailId> = |world, _pid| Ok(world.jail_find(name));
        jail_open(name: &str) -> Option<(JailId, Fd)> = |world, pid| world.jail_open(pid, name);
        jail_attach_jd(jail: Fd) -> () = |world, pid| world.jail_attach_jd(pid, jail);
        jail_attach(id: JailId) -> () = |world, pid| world.jail_attach(pid, id);
        jail_remove(jail: Fd) -> () = |world, pid| world.jail_remove(pid, jail);
        cpuset_getaffinity(whose: CpusOf) -> Vec<u32> = |world, pid| world.cpuset_getaffinity(pid, whose);
        cpuset_setaffinity(jail: JailId, cpus: &[u32]) -> () =
            |world, pid| world.cpuset_setaffinity(pid, jail, cpus);
        if_nametoindex(name: &str) -> Option<u32> = |world, _pid| {
            let index = world.interfaces.iter().position(|known| known == name);
            Ok(index.map(|index| index as u32 + 1))
        };
        getifaddrs() -> Vec<Alias> = |world, _pid| Ok(world.addresses.clone());
        add_address(alias: &Alias) -> () = |world, pid| world.add_address(pid, alias);
        delete_address(alias: &Alias) -> () = |world, pid| world.delete_address(pid, alias);
        rctl_add_rule(rule: &str) -> () = |world, pid| world.rctl_add_rule(pid, rule);
        rctl_remove_rule(filter: &str) -> () = |world, pid| world.rctl_remove_rule(pid, filter);
        rctl_get_racct(subject: &str) -> String = |world, pid| world.rctl_get_racct(pid, subject);
        kill(target: Pid, signal: i32) -> () = |world, pid| world.kill(pid, target.0, signal);
        setsid() -> () = |world, pid| world.setsid(pid);
        setgroups(groups: &[u32]) -> () = |world, pid| world.setgroups(pid, groups);
        setresgid(ids: Ids) -> () = |world, pid| world.setresgid(pid, ids);
        setresuid(ids: Ids) -> () = |world, pid| world.setresuid(pid, ids);
        setlogin(name: &str) -> () = |world, pid| world.setlogin(pid, name);
        setpriority(nice: i32) -> () = |world, pid| world.setpriority(pid, nice);
        setfib(fib: i32) -> () = |world, pid| world.setfib(pid, fib);
        setloginclass(name: &str) -> () = |world, pid| world.setloginclass(pid, name);
        getrlimit(limit: Limit) -> Rlimit = |world, pid| world.getrlimit(pid, limit);
        ktrace(file: &str, target: Pid) -> () = |world, pid| world.ktrace(pid, file, target.0);
        setrlimit(limit: Limit, amount: Rlimit) -> () = |world, pid| world.setrlimit(pid, limit, amount);
        procctl(control: Procctl) -> () = |world, pid| {
            world.control(pid, control)
        };
        procctl_status(control: Procctl) -> bool =
            |world, pid| Ok(world.process(pid)?.procctls.contains(&control));
        procctl_default(control: Procctl) -> () = |world, pid| {
            world.process_mut(pid)?.procctls.remove(&control);
            Ok(())
        };
        rtprio_normal() -> () = |world, pid| world.need_root(pid);
        cpuset_root() -> () = |world, pid| world.need_root(pid);
        procctl_reap_acquire() -> () = |world, pid| world.procctl_reap_acquire(pid);
        block_signals() -> () = |world, pid| {
            let process = world.process_mut(pid)?;
            process.signals_blocked = true;
            process.signals_ignored.clear();
            Ok(())
        };
        reset_signals() -> () = |world, pid| world.reset_signals(pid);
        clear_timers() -> () = |_world, _pid| Ok(());
        execve(program: &str, arguments: &[String], environment: &[String]) -> Executed =
            |world, pid| world.execve(pid, program, arguments, environment);
        bindat(at: At, path: &str, socket: Fd) -> () = |world, pid| world.bindat(pid, at, path, socket);
        kqueue() -> Fd = |world, pid| world.install(pid, Description::Kqueue { watches: Vec::new() }, 0);
        kevent_watch(queue: Fd, watch: Watch) -> () = |world, pid| world.kevent_watch(pid, queue, watch);
        kevent_unwatch(queue: Fd, watch: Watch) -> () = |world, pid| world.kevent_unwatch(pid, queue, watch);
        syslog(severity: Severity, line: &str) -> () = |world, _pid| {
            world.syslog.push((severity, line.to_string()));
            Ok(())
        };
        syslog_line(priority: u32, tag: &str, service: Pid, line: &str) -> () = |world, _pid| {
            let severity = if priority & 7 > 4 { Severity::Info } else { Severity::Warning };
            world.syslog.push((severity, format!("{tag}[{}]: {line}", service.0)));
            Ok(())
        };
    }

    fn getpid(&mut self) -> Pid {
        let own = Pid(self.pid);
        self.always("getpid", own, |_, pid| Ok(Pid(pid)))
    }

    fn monotonic_ms(&mut self) -> u64 {
        self.ghost_ms += 3_600_000;
        let ghost = self.ghost_ms;
        self.always("monotonic_ms", ghost, |world, _| Ok(world.clock_ms))
    }

    fn is_local_socket(&mut self, fd: Fd) -> bool {
        self.always("is_local_socket", true, |world, pid| {
            let description = world.description(pid, fd)?;
            Ok(matches!(
                description,
                Description::Socket { is_pipe: false, .. } | Description::Bound { .. }
            ))
        })
    }

    fn clear_environment(&mut self) {}

    fn getpgrp(&mut self) -> Pid {
        self.always("getpgrp", Pid(0), |world, pid| {
            Ok(Pid(world.process(pid)?.session))
        })
    }

    fn cfmakeraw(&mut self, attributes: &Termios) -> Termios {
        Termios {
            input: 1,
            output: attributes.output & !OPOST,
            local: 0,
            ..*attributes
        }
    }

    fn realtime(&mut self) -> (i64, i64) {
        self.always("realtime", (0, 0), |world, _| Ok(world.now()))
    }

    fn pread(&mut self, fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        let detail = || format!("{fd:?}, {} at {offset}", buffer.len());
        let read = self.call("pread", detail, |world, pid| {
            world.pread(pid, fd, buffer.len(), offset)
        })?;
        for (to, from) in buffer.iter_mut().zip(&read) {
            *to = *from;
        }
        Ok(read.len())
    }

    fn umask(&mut self, mask: u32) {
        let act = |world: &mut super::World, pid| {
            world.process_mut(pid)?.umask = mask & 0o777;
            Ok(())
        };
        // Only a process that was killed hears of a failure.
        let _ = self.call("umask", || mask.octal(), act);
    }

    fn isatty(&mut self, fd: Fd) -> bool {
        self.always("isatty", false, |world, pid| Ok(world.isatty(pid, fd)))
    }

    fn closefrom(&mut self, lowest: i32) {
        self.always("closefrom", (), |world, pid| world.closefrom(pid, lowest));
    }

    fn raise_default(&mut self, signal: i32) {
        self.always("raise_default", (), |world, pid| {
            world.raise_default(pid, signal)
        });
    }

    fn complain(&mut self, line: &str) {
        self.always("complain", (), |world, _| {
            world.stderr.push(line.to_string());
            Ok(())
        });
    }

    fn sleep_ms(&mut self, milliseconds: u64) {
        let mut is_over = false;
        let act = |_: &mut super::World, _| Ok(std::mem::replace(&mut is_over, true).then_some(()));
        // It wakes when its time is over, or never, being killed.
        let _ = self.blocking(
            "sleep_ms",
            || milliseconds.to_string(),
            |world, _| {
                Ok((
                    Wait::Time,
                    Some(world.clock_ms.saturating_add(milliseconds)),
                ))
            },
            act,
        );
    }

    fn read(&mut self, fd: Fd, buffer: &mut [u8]) -> Outcome<usize> {
        self.blocking(
            "read",
            || fd.words(),
            |world, pid| Ok((Wait::Readable(world.descriptor(pid, fd)?.description), None)),
            |world, pid| world.read(pid, fd, buffer),
        )
    }

    fn waitpid(&mut self, pid: Option<Pid>, block: bool) -> Outcome<Option<(Pid, Ending)>> {
        let child = pid.map(|pid| pid.0);
        self.blocking(
            "waitpid",
            || format!("{}, {block}", pid.words()),
            |_, _| Ok((Wait::Child(child), None)),
            |world, own| match world.reap(own, child)? {
                Some((child, ending)) => Ok(Some(Some((Pid(child), ending)))),
                None if block => Ok(None),
                None => Ok(Some(None)),
            },
        )
    }

    fn kevent_wait(&mut self, queue: Fd, timeout_ms: Option<u64>) -> Outcome<Option<Event>> {
        let outcome = self.blocking(
            "kevent_wait",
            || match timeout_ms {
                Some(timeout) => format!("{}, {timeout} ms", queue.words()),
                None => queue.words(),
            },
            |world, pid| {
                let deadline = timeout_ms.map(|timeout| world.clock_ms.saturating_add(timeout));
                Ok((
                    Wait::Queue(world.descriptor(pid, queue)?.description),
                    deadline,
                ))
            },
            |world, pid| Ok(world.kevent_take(pid, queue)?.map(Some)),
        );
        match outcome {
            Err(failure) if failure.errno == TIME_OVER => Ok(None),
            other => other,
        }
    }

    fn fork<F>(&mut self, child: F) -> Outcome<Pid>
    where
        F: FnOnce(&mut Self) -> Result<Self::Executed, i32> + Send + 'static,
    {
        let mut born = None;
        let outcome = self.call("fork", String::new, |world, pid| {
            born = Some(world.fork_entry(pid)?);
            Ok(())
        });
        // A parent that was killed right after its fork has a child all the same.
        let Some(pid) = born else {
            return Err(outcome.err().unwrap_or(Failure::new("fork", Errno::EAGAIN)));
        };
        let theatre = std::sync::Arc::clone(&self.theatre);
        let mut sim = Sim {
            theatre: std::sync::Arc::clone(&theatre),
            pid,
            ghost_ms: 0,
        };
        let run = move || {
            drop(sim.theatre.wait_turn(sim.theatre.enter(), pid));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| child(&mut sim)));
            let ending = match result {
                Ok(Ok(_)) => Ending::Exited(0),
                Ok(Err(code)) => Ending::Exited(code & 0xff),
                Err(_) => Ending::Signalled(signal::ABRT),
            };
            sim.theatre.finish(pid, ending);
        };
        // Each simulated process is a thread; only one runs at a time.
        match std::thread::Builder::new().spawn(run) {
            Ok(thread) => {
                theatre.enter().threads.push(thread);
                outcome.map(|()| Pid(pid))
            }
            Err(_) => {
                theatre.enter().world.processes.remove(&pid);
                Err(Failure::new("fork", Errno::EAGAIN))
            }
        }
    }
}
