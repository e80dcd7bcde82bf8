//! A command in the jail of a running instance, for root: `jailrunctl enter`. It runs as the service's
//! user, on a pseudo-terminal, and ends with the instance: the jail lives until it is empty, and takes
//! everybody with it.

use crate::error::Error;
use crate::exit::Exit;
use crate::front::copy::Pipes;
use crate::front::{self, Between, Pty, Stay};
use crate::instances::{self, Status};
use crate::kernel::{Errno, Failure, Fd, Ids, Kernel, Pid, Procctl, Waited, signal};
use crate::permit::Caller;
use crate::plan::jail_name;
use crate::start::Started;
use crate::supervise::watch::{Ears, Heard};

/// What is executed, and as whom.
#[derive(Clone, Debug)]
pub struct Entry {
    pub label: String,
    /// The first is an absolute path inside.
    pub command: Vec<String>,
    uid: u32,
    gids: Vec<u32>,
}

impl Entry {
    /// The service's user comes from the journal of a running instance.
    pub fn new<K: Kernel>(
        kernel: &mut K,
        label: &str,
        command: Vec<String>,
    ) -> Result<Entry, Error> {
        let step = |failure| Error::step(format!("look at the instance {label}"), failure);
        let listed = instances::one(kernel, label).map_err(step)?;
        let running = listed.filter(|listed| listed.status == Status::Running);
        let user = running.and_then(|listed| listed.story?.user);
        let Some((uid, gids)) = user else {
            return Err(Error::not_running(label));
        };
        if !command
            .first()
            .is_some_and(|program| program.starts_with('/'))
        {
            return Err(Error::Usage("a command is an absolute path".to_string()));
        }
        Ok(Entry {
            label: label.to_string(),
            command,
            uid,
            gids,
        })
    }
}

/// Runs the command to its end.
pub fn enter<K: Kernel>(kernel: &mut K, started: &Started, entry: Entry) -> Result<Exit, Error> {
    let step = |failure| Error::step(format!("enter the instance {}", entry.label), failure);
    let pty = front::open_pty(kernel, started.terminals)?;
    let pipes = Pipes::lay(kernel, started.sockets)?;
    let (ours, theirs) = kernel.socketpair().map_err(step)?;
    let inner = entry.clone();
    let between = Between {
        channel: ours,
        pty,
        pipes: pipes.fronts,
    };
    let given = Given {
        pty,
        pipes: pipes.services,
    };
    kernel
        .fork(move |kernel| Err(guard(kernel, &inner, between, theirs, given)))
        .map_err(step)?;
    for fd in [Some(theirs), pty.map(|pty| pty.slave)]
        .into_iter()
        .chain(pipes.services)
        .flatten()
    {
        kernel.close(fd).map_err(step)?;
    }
    let root = Caller {
        uid: 0,
        ..started.caller.clone()
    };
    Ok(front::front(kernel, &root, between, Stay::ToTheEnd))
}

/// What the command has in the place of the caller's terminal and local sockets.
#[derive(Clone, Copy)]
struct Given {
    pty: Option<Pty>,
    pipes: [Option<Fd>; 3],
}

/// Between front and command: in a session of its own, passing signals on.
fn guard<K: Kernel>(
    kernel: &mut K,
    entry: &Entry,
    fronts: Between,
    channel: Fd,
    given: Given,
) -> i32 {
    for fd in [Some(fronts.channel), fronts.pty.map(|pty| pty.master)]
        .into_iter()
        .chain(fronts.pipes)
        .flatten()
    {
        let _ = kernel.close(fd);
    }
    let exit = match watch(kernel, entry, channel, given) {
        Ok(exit) => exit,
        Err(failure) => {
            let words = format!("jailrunctl: enter the instance {}: {failure}", entry.label);
            kernel.complain(&words);
            Exit::Status(71)
        }
    };
    front::tell(kernel, channel, exit, given.pty.is_some());
    exit.code()
}

fn watch<K: Kernel>(
    kernel: &mut K,
    entry: &Entry,
    channel: Fd,
    given: Given,
) -> Result<Exit, Failure> {
    kernel.setsid()?;
    if let Some(pty) = given.pty {
        kernel.tiocsctty(pty.slave)?;
    }
    let mut ears = Ears::open(kernel, Some(channel))?;
    let inner = entry.clone();
    let child = kernel.fork(move |kernel| inside(kernel, &inner, given))?;
    // The command's alone: its end of one is what the front waits for.
    for fd in given.pipes.into_iter().flatten() {
        kernel.close(fd)?;
    }
    loop {
        match kernel.waitpid_untraced() {
            Ok(Some((pid, Waited::Ended(ending)))) if pid == child => return Ok(ending.into()),
            Ok(Some((pid, Waited::Stopped(number)))) if pid == child => {
                // A front that doesn't listen is no reason to wait.
                let _ = kernel.write_briefly(channel, &[b'z', number as u8]);
            }
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(failure) => return Err(failure),
        }
        let number = match ears.hear(kernel, None)? {
            Heard::Stop => signal::TERM,
            Heard::Pass(number) => number,
            _ => continue,
        };
        pass(kernel, child, number)?;
    }
}

fn pass<K: Kernel>(kernel: &mut K, child: Pid, number: i32) -> Result<(), Failure> {
    match kernel.kill(child, number) {
        Err(failure) if failure.errno != Errno::ESRCH => Err(failure),
        _ => Ok(()),
    }
}

/// Gives up root outside, then goes in: inside, the jail's allow.nosuser would keep root what it is.
fn inside<K: Kernel>(kernel: &mut K, entry: &Entry, given: Given) -> Result<K::Executed, i32> {
    let program = entry.command.first().cloned().unwrap_or_default();
    let gone = dropped(kernel, entry, given);
    let executed = gone.and_then(|()| {
        let environment = [
            "TERM=vt100".to_string(),
            "PATH=/sbin:/bin:/usr/sbin:/usr/bin".into(),
        ];
        kernel.execve(&program, &entry.command, &environment)
    });
    executed.map_err(|failure| {
        kernel.complain(&format!(
            "jailrunctl: {}: {program} (inside the jail): {failure}",
            entry.label
        ));
        match (failure.call, failure.errno) {
            ("execve", Errno::ENOENT) => 127,
            ("execve", _) => 126,
            _ => 71,
        }
    })
}

fn dropped<K: Kernel>(kernel: &mut K, entry: &Entry, given: Given) -> Result<(), Failure> {
    kernel.setpgid()?;
    for (number, pipe) in (0..).zip(given.pipes) {
        if let Some(pipe) = pipe {
            kernel.dup2(pipe, Fd(number), true)?;
        }
    }
    if let Some(pty) = given.pty {
        kernel.tcsetpgrp(pty.slave)?;
        for (number, is_terminal) in (0..).zip(pty.which) {
            if is_terminal {
                kernel.dup2(pty.slave, Fd(number), true)?;
            }
        }
    }
    kernel.closefrom(3);
    let (_, jail) = kernel
        .jail_open(&jail_name(&entry.label))?
        .ok_or(Failure::new("jail_get", Errno::ENOENT))?;
    let gid = entry.gids.first().copied().unwrap_or(entry.uid);
    kernel.setgroups(&entry.gids)?;
    kernel.setresgid(Ids::all(gid))?;
    kernel.setresuid(Ids::all(entry.uid))?;
    if kernel.setresuid(Ids::all(0)).is_ok() {
        return Err(Failure::new("setresuid", Errno::EPERM));
    }
    // Before we attach: whoever is root inside would take the descriptor out of us, with which anybody
    // changes the jail as the host's root does.
    for control in [Procctl::NoNewPrivs, Procctl::NoTrace] {
        kernel.procctl(control)?;
    }
    kernel.jail_attach_jd(jail)?;
    kernel.close(jail)?;
    kernel.chdir("/")?;
    kernel.umask(0o022);
    kernel.reset_signals()
}
