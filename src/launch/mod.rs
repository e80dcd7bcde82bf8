//! Carries a plan out: step by step, then the child; and takes everything back, last first.

pub mod address;
pub mod capability;
pub mod child;
pub mod cleanup;
pub mod instance;
pub mod journal;
pub mod listener;
pub mod lock;
pub mod pidfile;
mod report;
pub mod setid;
pub mod steps;
pub mod writers;

use crate::error::Error;
use crate::instances::seconds;
use crate::kernel::{Errno, Failure, Fd, JailValue, Kernel, OwnedJail, Pid};
use crate::plan::{Plan, Step};
use crate::supervise::watch::{Ears, Heard};
use child::Given;
use journal::{Journal, State};
use std::sync::Arc;
use steps::{Site, Undo};

/// A service that was executed.
#[derive(Debug)]
pub struct Running {
    pub jail: OwnedJail,
    /// The first process.
    pub pid: Pid,
    pub done: Vec<Undo>,
}

/// Carries the plan out. On an error everything was taken back, but for the leftovers that come with
/// it.
pub fn launch<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    journal: &mut Journal,
    ears: &mut Ears,
    given: Given,
) -> Result<Running, (Error, Vec<String>)> {
    let mut done = Vec::new();
    match start(kernel, plan, journal, ears, given, &mut done) {
        Ok((jail, pid)) => Ok(Running { jail, pid, done }),
        Err(error) => {
            ears.forget_child(kernel);
            let leftovers = unwind(kernel, &done);
            Err((error, leftovers))
        }
    }
}

fn start<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    journal: &mut Journal,
    ears: &mut Ears,
    given: Given,
    done: &mut Vec<Undo>,
) -> Result<(OwnedJail, Pid), Error> {
    let mut child = None;
    let mut site = Site::new(journal, plan.label());
    for step in plan.steps() {
        // The child is there before its jail is, so that it never holds the owning descriptor.
        if matches!(step, Step::Jail { .. }) {
            child = Some(fork(kernel, plan, given.clone(), done)?);
        }
        if let Err(error) = steps::perform(kernel, &mut site, step, done) {
            close_channel(kernel, child);
            return Err(error);
        }
    }
    let jail = steps::jail(done);
    let (Some((pid, channel)), Some(jail)) = (child, jail) else {
        let failure = Failure::new("jail_set", Errno::EINVAL);
        return Err(Error::step("create the jail", failure));
    };
    let state = State::Running {
        pid: pid.0,
        jid: jail.id.0,
        since: seconds(kernel),
    };
    // On record before the program is executed: without room for it there is no launch.
    let outcome = site
        .journal()
        .state(kernel, &state)
        .and_then(|()| ears.jail(kernel, jail))
        .and_then(|()| ears.child(kernel, channel))
        .map_err(|failure| Error::step("watch the child", failure))
        .and_then(|()| hand_over(kernel, plan, ears, jail, (pid, channel)));
    ears.forget_child(kernel);
    close_channel(kernel, child);
    outcome.map(|()| (jail, pid))
}

/// Losing a channel that nobody reads any more loses nothing.
fn close_channel<K: Kernel>(kernel: &mut K, child: Option<(Pid, Fd)>) {
    if let Some((_, channel)) = child {
        let _ = kernel.close(channel);
    }
}

fn fork<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    given: Given,
    done: &mut Vec<Undo>,
) -> Result<(Pid, Fd), Error> {
    let in_step = |step: &'static str| move |failure| Error::step(step, failure);
    let (ours, theirs) = kernel
        .socketpair()
        .map_err(in_step("make the channel to the child"))?;
    let child_plan = Arc::new(plan.child().clone());
    let forked = kernel.fork(move |kernel| child::run(kernel, &child_plan, &given, theirs));
    // The end of the channel that only the child may hold: its last close is how exec is told.
    let closed = kernel.close(theirs);
    match forked {
        Ok(pid) => {
            done.push(Undo::EndChild(pid));
            match closed {
                Ok(()) => Ok((pid, ours)),
                Err(failure) => {
                    close_channel(kernel, Some((pid, ours)));
                    Err(Error::step("close the child's end of the channel", failure))
                }
            }
        }
        Err(failure) => {
            let _ = kernel.close(ours);
            Err(Error::step("fork", failure))
        }
    }
}

/// Tells the child its jail, waits until it has given up root, takes the superuser from the jail, and
/// lets it execute. From then on the jail lives no longer than its processes.
fn hand_over<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    ears: &mut Ears,
    jail: OwnedJail,
    (pid, channel): (Pid, Fd),
) -> Result<(), Error> {
    match kernel.write(channel, &jail.id.0.to_ne_bytes()) {
        // It has stopped, and said why.
        Err(failure) if failure.errno == Errno::EPIPE => {}
        other => drop(other.map_err(|failure| Error::step("tell the child its jail", failure))?),
    }
    let said = hear(kernel, ears, channel)?;
    if said != b"d" {
        return Err(explain(plan, &said));
    }
    let step = "take the superuser from the jail (allow.nosuser)";
    let mut parameters = vec![("nopersist".to_string(), JailValue::Flag)];
    if !plan.may_be_root() {
        parameters.push(("allow.nosuser".to_string(), JailValue::Flag));
    }
    kernel
        .jail_update(jail.descriptor, &parameters)
        .map_err(|failure| Error::step(step, failure))?;
    if !plan.may_be_root() {
        let left = kernel
            .jail_get_int(jail.descriptor, "allow.suser")
            .map_err(|failure| Error::step(step, failure))?;
        if left != 0 {
            return Err(Error::step(step, Failure::new("jail_get", Errno::EPERM)));
        }
    }
    report::begin(kernel, plan, pid)?;
    kernel
        .write(channel, b"g")
        .map_err(|failure| Error::step("let the child execute", failure))?;
    match hear(kernel, ears, channel)? {
        said if said.is_empty() => Ok(()),
        said => Err(explain(plan, &said)),
    }
}

/// One message, or nothing when the child's end was closed. An order to stop ends the wait: a child
/// that somebody has stopped must not hold us up.
fn hear<K: Kernel>(kernel: &mut K, ears: &mut Ears, channel: Fd) -> Result<Vec<u8>, Error> {
    let step = |failure| Error::step("hear the child", failure);
    loop {
        match ears.hear(kernel, None).map_err(step)? {
            Heard::ChildWord => break,
            Heard::Stop => return Err(Error::Stopped),
            // It can't be told yet; a service that isn't there is not the place for it either.
            Heard::Pass(_) | Heard::Child | Heard::Time | Heard::JailGone => {}
            // Nobody watches for these yet, or it is seen once the service is watched.
            Heard::Output | Heard::Log | Heard::NoPidfile => {}
        }
    }
    let mut buffer = [0u8; 512];
    let count = kernel.read(channel, &mut buffer).map_err(step)?;
    Ok(buffer.get(..count).unwrap_or_default().to_vec())
}

/// What the child said of its failure: `f`, then a line each of stage, errno and text.
fn explain(plan: &Plan, said: &[u8]) -> Error {
    let text = String::from_utf8_lossy(said);
    let mut lines = text.strip_prefix('f').unwrap_or_default().lines();
    let stage = lines.next().unwrap_or_default().to_string();
    let errno = lines
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(Errno::EPIPE.0);
    let failure = Failure {
        call: "child",
        errno: Errno(errno),
        text: lines.next().unwrap_or_default().to_string(),
    };
    match stage.as_str() {
        "exec" => Error::Exec {
            program: plan.child().program.clone(),
            failure,
        },
        "" => Error::step("hear the child: it ended early", failure),
        _ => Error::step(stage, failure),
    }
}

/// Last first; never stops at a failure. What lies below a mount that stayed is left alone: a root that
/// is unmounted by force orphans the mounts in it, and nothing would find them again.
pub fn unwind<K: Kernel>(kernel: &mut K, done: &[Undo]) -> Vec<String> {
    let mut leftovers = Vec::new();
    let mut stuck: Vec<String> = Vec::new();
    for undo in done.iter().rev() {
        let place = undo.place();
        if place.is_some_and(|place| stuck.iter().any(|mount| is_below(mount, place))) {
            leftovers.push(format!("{undo}: a mount is left below it"));
            continue;
        }
        if let Err(failure) = steps::undo(kernel, undo) {
            leftovers.push(format!("{undo}: {failure}"));
            if let Undo::Unmount { target, .. } = undo {
                stuck.push(target.clone());
            }
        }
        // An unreaped zombie keeps the jail, and so its root, alive: all are reaped before the first
        // mount goes. jail_remove(2), undone before this one, and kill(2) have sent SIGKILL to each.
        if matches!(undo, Undo::EndChild(_)) {
            reap_all(kernel);
        }
    }
    leftovers
}

/// True for the place itself as well.
fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn reap_all<K: Kernel>(kernel: &mut K) {
    while let Ok(Some(_)) = kernel.waitpid(None, true) {}
}
