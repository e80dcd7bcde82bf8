//! The FreeBSD kernel: the one place with `unsafe`. One method is one system call; what marshals it is
//! in the part that it belongs to. Nothing here decides anything.
//!
//! Needs 15.0 (jail descriptors); the launch asks kern.osreldate before it comes here.

#![allow(unsafe_code)]

mod attack;
mod capability;
mod event;
mod files;
mod jail;
mod listeners;
mod mount;
mod net;
mod process;
mod processors;
mod socket;
mod terminal;
mod trace;
mod wire;

use std::convert::Infallible;
use std::os::unix::net::UnixDatagram;

use super::{
    Alias, At, CpusOf, Descendant, DevfsRule, Ending, Errno, Event, Failure, Fd, Force, Fsid, Ids,
    JailId, JailParameters, Kernel, Limit, Listener, Lock, Nmount, Open, Outcome, OwnedJail, Pid,
    Procctl, ProcessInfo, Rights, Rlimit, Severity, SocketAddress, SocketKind, SocketOption, Stat,
    Statfs, Termios, Unlink, User, Waited, Watch, WindowSize,
};

/// The running kernel. No state: all of it is in the process and behind the calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreeBsd;

impl Kernel for FreeBsd {
    type Executed = Infallible;

    fn getresuid(&mut self) -> Outcome<Ids> {
        process::getresuid()
    }

    fn getresgid(&mut self) -> Outcome<Ids> {
        process::getresgid()
    }

    fn getgroups(&mut self) -> Outcome<Vec<u32>> {
        process::getgroups()
    }

    fn getpid(&mut self) -> Pid {
        process::getpid()
    }

    fn sysctl_int(&mut self, name: &str) -> Outcome<i64> {
        process::sysctl_int(name)
    }

    fn sysctl_text(&mut self, name: &str) -> Outcome<String> {
        process::sysctl_text(name)
    }

    fn boot_id(&mut self) -> Outcome<String> {
        process::boot_id()
    }

    fn clear_environment(&mut self) {
        process::clear_environment();
    }

    fn monotonic_ms(&mut self) -> u64 {
        event::monotonic_ms()
    }

    fn realtime(&mut self) -> (i64, i64) {
        event::realtime()
    }

    fn getpwnam(&mut self, name: &str) -> Outcome<Option<User>> {
        account("getpwnam_r", nix::unistd::User::from_name(name)).map(|user| user.map(user_of))
    }

    fn getpwuid(&mut self, uid: u32) -> Outcome<Option<User>> {
        let uid = nix::unistd::Uid::from_raw(uid);
        account("getpwuid_r", nix::unistd::User::from_uid(uid)).map(|user| user.map(user_of))
    }

    fn getgrnam(&mut self, name: &str) -> Outcome<Option<u32>> {
        let group = account("getgrnam_r", nix::unistd::Group::from_name(name))?;
        Ok(group.map(|group| group.gid.as_raw()))
    }

    fn getgrgid(&mut self, gid: u32) -> Outcome<Option<String>> {
        let gid = nix::unistd::Gid::from_raw(gid);
        let group = account("getgrgid_r", nix::unistd::Group::from_gid(gid))?;
        Ok(group.map(|group| group.name))
    }

    fn openat(&mut self, at: At, path: &str, how: Open) -> Outcome<Fd> {
        files::openat(at, path, how)
    }

    fn close(&mut self, fd: Fd) -> Outcome<()> {
        files::close(fd)
    }

    fn fstat(&mut self, fd: Fd) -> Outcome<Stat> {
        files::fstat(fd)
    }

    fn lstatat(&mut self, at: At, path: &str) -> Outcome<Stat> {
        files::lstatat(at, path)
    }

    fn acl_is_trivial(&mut self, fd: Fd) -> Outcome<bool> {
        files::acl_is_trivial(fd)
    }

    fn readlinkat(&mut self, at: At, path: &str) -> Outcome<String> {
        files::readlinkat(at, path)
    }

    fn pread(&mut self, fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        files::pread(fd, buffer, offset)
    }

    fn read(&mut self, fd: Fd, buffer: &mut [u8]) -> Outcome<usize> {
        files::read(fd, buffer)
    }

    fn write(&mut self, fd: Fd, bytes: &[u8]) -> Outcome<usize> {
        files::write(fd, bytes)
    }

    fn mkdirat(&mut self, at: At, path: &str, mode: u32) -> Outcome<()> {
        files::mkdirat(at, path, mode)
    }

    fn symlinkat(&mut self, target: &str, at: At, path: &str) -> Outcome<()> {
        files::symlinkat(target, at, path)
    }

    fn unlinkat(&mut self, at: At, path: &str, what: Unlink) -> Outcome<()> {
        files::unlinkat(at, path, what)
    }

    fn fchown(&mut self, fd: Fd, uid: u32, gid: u32) -> Outcome<()> {
        files::fchown(fd, uid, gid)
    }

    fn fchmod(&mut self, fd: Fd, mode: u32) -> Outcome<()> {
        files::fchmod(fd, mode)
    }

    fn ftruncate(&mut self, fd: Fd, size: u64) -> Outcome<()> {
        files::ftruncate(fd, size)
    }

    fn readdir(&mut self, directory: Fd) -> Outcome<Vec<String>> {
        files::readdir(directory)
    }

    fn flock(&mut self, fd: Fd, lock: Lock) -> Outcome<()> {
        files::flock(fd, lock)
    }

    fn is_locked(&mut self, fd: Fd) -> Outcome<bool> {
        files::is_locked(fd)
    }

    fn chdir(&mut self, path: &str) -> Outcome<()> {
        files::chdir(path)
    }

    fn umask(&mut self, mask: u32) {
        files::umask(mask);
    }

    fn isatty(&mut self, fd: Fd) -> bool {
        files::isatty(fd)
    }

    fn dup2(&mut self, from: Fd, to: Fd, keep_at_exec: bool) -> Outcome<()> {
        files::dup2(from, to, keep_at_exec)
    }

    fn dup_from(&mut self, from: Fd, least: i32) -> Outcome<Fd> {
        files::dup_from(from, least)
    }

    fn closefrom(&mut self, lowest: i32) {
        files::closefrom(lowest);
    }

    fn socketpair(&mut self) -> Outcome<(Fd, Fd)> {
        files::socketpair()
    }

    fn bindat(&mut self, at: At, path: &str, socket: Fd) -> Outcome<()> {
        files::bindat(at, path, socket)
    }

    fn pipe(&mut self) -> Outcome<(Fd, Fd)> {
        files::pipe()
    }

    fn write_briefly(&mut self, fd: Fd, bytes: &[u8]) -> Outcome<usize> {
        files::write_briefly(fd, bytes, 0)
    }

    fn is_local_socket(&mut self, fd: Fd) -> bool {
        files::is_local_socket(fd)
    }

    fn set_nonblocking(&mut self, fd: Fd) -> Outcome<()> {
        files::set_nonblocking(fd)
    }

    fn socket(&mut self, kind: SocketKind) -> Outcome<Fd> {
        socket::socket(kind)
    }

    fn setsockopt(&mut self, fd: Fd, option: SocketOption) -> Outcome<()> {
        socket::setsockopt(fd, option)
    }

    fn bind(&mut self, fd: Fd, address: &SocketAddress) -> Outcome<()> {
        socket::bind(fd, address)
    }

    fn listen(&mut self, fd: Fd, backlog: u32) -> Outcome<()> {
        socket::listen(fd, backlog)
    }

    fn connect(&mut self, fd: Fd, address: &SocketAddress) -> Outcome<()> {
        socket::connect(fd, address)
    }

    fn lchown(&mut self, path: &str, uid: u32) -> Outcome<()> {
        socket::lchown(path, uid)
    }

    fn cap_rights_limit(&mut self, fd: Fd, rights: Rights) -> Outcome<()> {
        capability::limit_rights(fd, rights)
    }

    fn cap_fcntls_limit(&mut self, fd: Fd, fcntls: u32) -> Outcome<()> {
        capability::limit_fcntls(fd, fcntls)
    }

    fn cap_ioctls_limit(&mut self, fd: Fd, commands: &[u64]) -> Outcome<()> {
        capability::limit_ioctls(fd, commands)
    }

    fn cap_enter(&mut self) -> Outcome<()> {
        capability::enter()
    }

    fn fexecve(
        &mut self,
        program: Fd,
        arguments: &[String],
        environment: &[String],
    ) -> Outcome<Infallible> {
        capability::fexecve(program, arguments, environment)
    }

    fn posix_openpt(&mut self) -> Outcome<Fd> {
        terminal::posix_openpt()
    }

    fn ptsname(&mut self, master: Fd) -> Outcome<String> {
        terminal::ptsname(master)
    }

    fn tcgetattr(&mut self, terminal: Fd) -> Outcome<Termios> {
        terminal::tcgetattr(terminal)
    }

    fn tcsetattr(&mut self, terminal: Fd, attributes: &Termios) -> Outcome<()> {
        terminal::tcsetattr(terminal, attributes)
    }

    fn cfmakeraw(&mut self, attributes: &Termios) -> Termios {
        terminal::cfmakeraw(attributes)
    }

    fn tcgetwinsize(&mut self, terminal: Fd) -> Outcome<WindowSize> {
        terminal::tcgetwinsize(terminal)
    }

    fn tcsetwinsize(&mut self, terminal: Fd, size: WindowSize) -> Outcome<()> {
        terminal::tcsetwinsize(terminal, size)
    }

    fn tcgetpgrp(&mut self, terminal: Fd) -> Outcome<Pid> {
        terminal::tcgetpgrp(terminal)
    }

    fn getpgrp(&mut self) -> Pid {
        terminal::getpgrp()
    }

    fn setpgid(&mut self) -> Outcome<()> {
        terminal::setpgid()
    }

    fn tcsetpgrp(&mut self, terminal: Fd) -> Outcome<()> {
        terminal::tcsetpgrp(terminal)
    }

    fn tiocsctty(&mut self, terminal: Fd) -> Outcome<()> {
        terminal::tiocsctty(terminal)
    }

    fn nmount(&mut self, mount: &Nmount) -> Outcome<()> {
        mount::nmount(mount)
    }

    fn statfs(&mut self, path: &str) -> Outcome<Statfs> {
        mount::statfs(path)
    }

    fn getfsstat(&mut self) -> Outcome<Vec<Statfs>> {
        mount::getfsstat()
    }

    fn unmount(&mut self, mount: Fsid, force: Force) -> Outcome<()> {
        mount::unmount(mount, force)
    }

    fn devfs_radd(&mut self, rule: &DevfsRule) -> Outcome<()> {
        mount::devfs_radd(rule)
    }

    fn devfs_rgetnext(&mut self, ruleset: u16, after: u16) -> Outcome<Option<DevfsRule>> {
        mount::devfs_rgetnext(ruleset, after)
    }

    fn devfs_rdel(&mut self, ruleset: u16, number: u16) -> Outcome<()> {
        mount::devfs_rdel(ruleset, number)
    }

    fn jail_create(&mut self, parameters: &JailParameters) -> Outcome<OwnedJail> {
        jail::create(parameters)
    }

    fn jail_update(&mut self, jail: Fd, parameters: &JailParameters) -> Outcome<()> {
        jail::update(jail, parameters)
    }

    fn jail_get_int(&mut self, jail: Fd, name: &str) -> Outcome<i32> {
        jail::get_int(jail, name)
    }

    fn jail_find(&mut self, name: &str) -> Outcome<Option<JailId>> {
        jail::find(name)
    }

    fn jail_open(&mut self, name: &str) -> Outcome<Option<(JailId, Fd)>> {
        jail::open(name)
    }

    fn jail_attach_jd(&mut self, descriptor: Fd) -> Outcome<()> {
        jail::attach_jd(descriptor)
    }

    fn jail_attach(&mut self, id: JailId) -> Outcome<()> {
        jail::attach(id)
    }

    fn jail_remove(&mut self, jail: Fd) -> Outcome<()> {
        jail::remove(jail)
    }

    fn if_nametoindex(&mut self, name: &str) -> Outcome<Option<u32>> {
        net::if_nametoindex(name)
    }

    fn getifaddrs(&mut self) -> Outcome<Vec<Alias>> {
        net::getifaddrs()
    }

    fn add_address(&mut self, alias: &Alias) -> Outcome<()> {
        net::add(alias)
    }

    fn delete_address(&mut self, alias: &Alias) -> Outcome<()> {
        net::delete(alias)
    }

    fn listeners(&mut self) -> Outcome<Vec<Listener>> {
        listeners::listeners()
    }

    fn rctl_add_rule(&mut self, rule: &str) -> Outcome<()> {
        jail::rctl_add_rule(rule)
    }

    fn rctl_remove_rule(&mut self, filter: &str) -> Outcome<()> {
        jail::rctl_remove_rule(filter)
    }

    fn rctl_get_racct(&mut self, subject: &str) -> Outcome<String> {
        jail::rctl_get_racct(subject)
    }

    fn fork<F>(&mut self, child: F) -> Outcome<Pid>
    where
        F: FnOnce(&mut Self) -> Result<Infallible, i32> + Send + 'static,
    {
        match process::fork()? {
            Some(pid) => Ok(pid),
            None => {
                let Err(status) = child(self);
                process::exit(status)
            }
        }
    }

    fn waitpid(&mut self, pid: Option<Pid>, block: bool) -> Outcome<Option<(Pid, Ending)>> {
        process::waitpid(pid, block)
    }

    fn waitpid_untraced(&mut self) -> Outcome<Option<(Pid, Waited)>> {
        process::waitpid_untraced()
    }

    fn procctl_reap_getpids(&mut self) -> Outcome<Vec<Descendant>> {
        process::procctl_reap_getpids()
    }

    fn process_info(&mut self, pid: Pid) -> Outcome<Option<ProcessInfo>> {
        process::process_info(pid)
    }

    fn kill(&mut self, pid: Pid, signal: i32) -> Outcome<()> {
        process::kill(pid, signal)
    }

    fn raise_default(&mut self, signal: i32) {
        event::raise_default(signal);
    }

    fn setsid(&mut self) -> Outcome<()> {
        process::setsid()
    }

    fn setgroups(&mut self, groups: &[u32]) -> Outcome<()> {
        process::setgroups(groups)
    }

    fn setresgid(&mut self, ids: Ids) -> Outcome<()> {
        process::setresgid(ids)
    }

    fn setresuid(&mut self, ids: Ids) -> Outcome<()> {
        process::setresuid(ids)
    }

    fn setlogin(&mut self, name: &str) -> Outcome<()> {
        process::setlogin(name)
    }

    fn setpriority(&mut self, nice: i32) -> Outcome<()> {
        process::setpriority(nice)
    }

    fn setfib(&mut self, fib: i32) -> Outcome<()> {
        process::setfib(fib)
    }

    fn setloginclass(&mut self, name: &str) -> Outcome<()> {
        process::setloginclass(name)
    }

    fn getrlimit(&mut self, limit: Limit) -> Outcome<Rlimit> {
        process::getrlimit(limit)
    }

    fn ktrace(&mut self, file: &str, pid: Pid) -> Outcome<()> {
        trace::ktrace(file, pid)
    }

    fn setrlimit(&mut self, limit: Limit, amount: Rlimit) -> Outcome<()> {
        process::setrlimit(limit, amount)
    }

    fn procctl(&mut self, control: Procctl) -> Outcome<()> {
        process::procctl(control)
    }

    fn procctl_status(&mut self, control: Procctl) -> Outcome<bool> {
        process::procctl_status(control)
    }

    fn procctl_default(&mut self, control: Procctl) -> Outcome<()> {
        process::procctl_default(control)
    }

    fn rtprio_normal(&mut self) -> Outcome<()> {
        process::rtprio_normal()
    }

    fn cpuset_getaffinity(&mut self, whose: CpusOf) -> Outcome<Vec<u32>> {
        processors::getaffinity(whose)
    }

    fn cpuset_setaffinity(&mut self, jail: JailId, cpus: &[u32]) -> Outcome<()> {
        processors::setaffinity(jail, cpus)
    }

    fn cpuset_root(&mut self) -> Outcome<()> {
        process::cpuset_root()
    }

    fn procctl_reap_acquire(&mut self) -> Outcome<()> {
        process::procctl_reap_acquire()
    }

    fn block_signals(&mut self) -> Outcome<()> {
        event::block_signals()
    }

    fn reset_signals(&mut self) -> Outcome<()> {
        event::reset_signals()
    }

    fn clear_timers(&mut self) -> Outcome<()> {
        event::clear_timers()
    }

    fn execve(
        &mut self,
        program: &str,
        arguments: &[String],
        environment: &[String],
    ) -> Outcome<Infallible> {
        process::execve(program, arguments, environment)
    }

    fn kqueue(&mut self) -> Outcome<Fd> {
        event::kqueue()
    }

    fn kevent_watch(&mut self, queue: Fd, watch: Watch) -> Outcome<()> {
        event::watch(queue, watch)
    }

    fn kevent_unwatch(&mut self, queue: Fd, watch: Watch) -> Outcome<()> {
        event::unwatch(queue, watch)
    }

    fn kevent_wait(&mut self, queue: Fd, timeout_ms: Option<u64>) -> Outcome<Option<Event>> {
        event::wait(queue, timeout_ms)
    }

    fn sleep_ms(&mut self, milliseconds: u64) {
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    }

    fn syslog(&mut self, severity: Severity, line: &str) -> Outcome<()> {
        const LOG_AUTHPRIV: u32 = 10 << 3;
        let level = match severity {
            Severity::Info => 6,
            Severity::Warning => 4,
        };
        self.syslog_line(LOG_AUTHPRIV | level, "jailrun", process::getpid(), line)
    }

    /// Our own socket, not syslog(3)'s: that one keeps a descriptor open, tries again for as long as
    /// syslogd's buffer is full, and reads no line that could be longer than its own.
    fn syslog_line(&mut self, priority: u32, tag: &str, pid: Pid, line: &str) -> Outcome<()> {
        let message = format!("<{priority}>{tag}[{}]: {line}", pid.0);
        let socket = UnixDatagram::unbound().map_err(|error| failed("socket", &error))?;
        socket
            .set_nonblocking(true)
            .map_err(|error| failed("fcntl", &error))?;
        let send = |path: &str| socket.send_to(message.as_bytes(), path);
        // The first is root's own, and has no share of other programs' floods.
        let sent = send("/var/run/logpriv").or_else(|_| send("/var/run/log"));
        sent.map(drop).map_err(|error| failed("sendto", &error))
    }

    fn complain(&mut self, line: &str) {
        // Whoever doesn't read it goes without.
        let _ = files::write_briefly(Fd(2), format!("{line}\n").as_bytes(), 1000);
    }
}

fn failed(call: &'static str, error: &std::io::Error) -> Failure {
    Failure::new(call, Errno(error.raw_os_error().unwrap_or(0)))
}

fn account<T>(call: &'static str, found: nix::Result<Option<T>>) -> Outcome<Option<T>> {
    found.map_err(|errno| Failure::new(call, Errno(errno as i32)))
}

fn user_of(user: nix::unistd::User) -> User {
    User {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir.to_string_lossy().into_owned(),
    }
}
