//! Carries a plan out: step by step, then the child, then the wait for its end; and takes everything
//! back, last first, whether that end was good or bad.

pub mod child;
pub mod cleanup;
pub mod lock;
pub mod steps;

use crate::error::Error;
use crate::kernel::{
    At, Ending, Errno, Event, Failure, Fd, JailValue, Kernel, Lock, OwnedJail, Pid, Unlink, Watch,
    signal,
};
use crate::plan::{Plan, STATE};
use std::sync::Arc;
use steps::Undo;

/// A service that ended, and what could not be taken back.
pub struct Ended {
    pub ending: Ending,
    pub leftovers: Vec<String>,
}

/// Signals that are passed on to the service.
const PASSED: [i32; 9] = [
    signal::TERM,
    signal::INT,
    signal::HUP,
    signal::QUIT,
    signal::USR1,
    signal::USR2,
    signal::WINCH,
    signal::INFO,
    signal::CONT,
];

/// Runs the plan to its end. On an error nothing is left, or standard error says what.
pub fn launch<K: Kernel>(kernel: &mut K, plan: &Plan) -> Result<Ended, Error> {
    let name = plan
        .directory()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_string();
    let lock_path = format!("{STATE}/.lock-{name}");
    let held = lock::take(kernel, &lock_path, Lock::Exclusive).map_err(|failure| {
        if failure.errno == Errno::EAGAIN {
            Error::Busy(format!("the instance {name} is running"))
        } else {
            Error::step(format!("lock the instance {name}"), failure)
        }
    })?;
    let outcome = cleanup::sweep(kernel, &name)
        .map_err(|leftover| Error::step(leftover.step, leftover.failure))
        .and_then(|()| run(kernel, plan));
    // The name goes first, then the lock: see `lock`.
    let unlinked = kernel.unlinkat(At::Cwd, &lock_path, Unlink::File);
    let closed = kernel.close(held);
    let released = unlinked.and(closed);
    outcome.map(|mut ended| {
        if let Err(failure) = released {
            ended
                .leftovers
                .push(format!("release the lock {lock_path}: {failure}"));
        }
        ended
    })
}

/// The directory that all state is in, which only root may have made.
pub fn prepare_state<K: Kernel>(kernel: &mut K) -> Result<(), Error> {
    let step = format!("make the state directory {STATE}");
    match kernel.mkdirat(At::Cwd, STATE, 0o755) {
        Err(failure) if failure.errno != Errno::EEXIST => return Err(Error::step(step, failure)),
        _ => {}
    }
    let opened = crate::trust::open(
        kernel,
        STATE,
        crate::kernel::Open::Directory,
        crate::trust::Owner::Root,
    )
    .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    kernel
        .close(opened.fd)
        .map_err(|failure| Error::step(step, failure))
}

fn run<K: Kernel>(kernel: &mut K, plan: &Plan) -> Result<Ended, Error> {
    let mut done = Vec::new();
    let outcome = start_and_wait(kernel, plan, &mut done);
    let leftovers = unwind(kernel, done);
    match outcome {
        Ok(ending) => Ok(Ended { ending, leftovers }),
        Err(error) => {
            for leftover in &leftovers {
                kernel.complain(&format!("left behind: {leftover}"));
            }
            Err(error)
        }
    }
}

/// Last first; never stops at a failure. What lies below a mount that stayed is left alone: a root that
/// is unmounted by force orphans the mounts in it, and nothing would find them again.
fn unwind<K: Kernel>(kernel: &mut K, done: Vec<Undo>) -> Vec<String> {
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
        if matches!(undo, Undo::RemoveJail(_)) {
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

/// An unreaped zombie keeps the jail, and so its root, alive. jail_remove(2) has sent SIGKILL to all.
fn reap_all<K: Kernel>(kernel: &mut K) {
    while let Ok(Some(_)) = kernel.waitpid(None, true) {}
}

fn start_and_wait<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    done: &mut Vec<Undo>,
) -> Result<Ending, Error> {
    for step in plan.steps() {
        steps::perform(kernel, step, done)?;
    }
    let Some(Undo::RemoveJail(jail)) = done.last().cloned() else {
        let failure = Failure::new("jail_set", Errno::EINVAL);
        return Err(Error::step("create the jail", failure));
    };
    let events = events(kernel).map_err(|failure| Error::step("watch for signals", failure))?;
    let outcome = start(kernel, plan, jail).and_then(|pid| {
        wait(kernel, plan, events, jail, pid)
            .map_err(|failure| Error::step("wait for the service", failure))
    });
    // A queue holds nothing that could be lost.
    let _ = kernel.close(events);
    outcome
}

fn events<K: Kernel>(kernel: &mut K) -> Result<Fd, Failure> {
    kernel.procctl_reap_acquire()?;
    let queue = kernel.kqueue()?;
    for number in PASSED.iter().chain(&[signal::CHLD]) {
        kernel.kevent_watch(queue, Watch::Signal(*number))?;
    }
    Ok(queue)
}

/// Forks, takes root's power from the jail once the child has dropped its own, and lets it execute.
fn start<K: Kernel>(kernel: &mut K, plan: &Plan, jail: OwnedJail) -> Result<Pid, Error> {
    let in_step = |step: &'static str| move |failure| Error::step(step, failure);
    let (ours, theirs) = kernel
        .socketpair()
        .map_err(in_step("make the channel to the child"))?;
    let child_plan = Arc::new(plan.child().clone());
    let pid = kernel.fork(move |kernel| child::run(kernel, &child_plan, jail.id, theirs));
    // The end of the channel that only the child may hold: its last close is how exec is told.
    let closed = kernel.close(theirs);
    let pid = pid.map_err(in_step("fork"))?;
    let outcome = closed
        .map_err(in_step("close the child's end of the channel"))
        .and_then(|()| hand_over(kernel, plan, jail, ours));
    let closed = kernel
        .close(ours)
        .map_err(in_step("close the channel to the child"));
    outcome.and(closed).map(|()| pid)
}

fn hand_over<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    jail: OwnedJail,
    channel: Fd,
) -> Result<(), Error> {
    let step = "take the superuser from the jail (allow.nosuser)";
    let said = hear(kernel, channel)?;
    if said != b"d" {
        return Err(explain(plan, &said));
    }
    if !plan.may_be_root() {
        let parameters = vec![("allow.nosuser".to_string(), JailValue::Flag)];
        kernel
            .jail_update(jail.descriptor, &parameters)
            .map_err(|failure| Error::step(step, failure))?;
        let left = kernel
            .jail_get_int(jail.descriptor, "allow.suser")
            .map_err(|failure| Error::step(step, failure))?;
        if left != 0 {
            return Err(Error::step(step, Failure::new("jail_get", Errno::EPERM)));
        }
    }
    kernel
        .write(channel, b"g")
        .map_err(|failure| Error::step("let the child execute", failure))?;
    match hear(kernel, channel)? {
        said if said.is_empty() => Ok(()),
        said => Err(explain(plan, &said)),
    }
}

/// One message, or nothing when the child's end was closed.
fn hear<K: Kernel>(kernel: &mut K, channel: Fd) -> Result<Vec<u8>, Error> {
    let mut buffer = [0u8; 512];
    let count = kernel
        .read(channel, &mut buffer)
        .map_err(|failure| Error::step("hear the child", failure))?;
    Ok(buffer[..count].to_vec())
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

/// Until the first process ends: signals are passed on to it. SIGTERM is the order to stop, with the
/// profile's signal and patience; then the jail is removed, which kills.
fn wait<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    events: Fd,
    jail: OwnedJail,
    pid: Pid,
) -> Result<Ending, Failure> {
    let mut deadline = None;
    loop {
        while let Some((ended, ending)) = reaped(kernel)? {
            if ended == pid {
                return Ok(ending);
            }
        }
        let now = kernel.monotonic_ms();
        let patience = deadline.map(|end: u64| end.saturating_sub(now));
        match kernel.kevent_wait(events, patience)? {
            Some(Event::Signal(signal::CHLD)) | Some(Event::Readable(_)) => {}
            Some(Event::Signal(number)) => {
                let is_order = number == signal::TERM;
                let passed = if is_order { plan.stop_signal() } else { number };
                match kernel.kill(pid, passed) {
                    Err(failure) if failure.errno != Errno::ESRCH => return Err(failure),
                    _ => {}
                }
                if is_order && deadline.is_none() {
                    deadline = Some(kernel.monotonic_ms().saturating_add(plan.stop_timeout_ms()));
                }
            }
            None => {
                kernel.jail_remove(jail.descriptor)?;
                deadline = None;
            }
        }
    }
}

fn reaped<K: Kernel>(kernel: &mut K) -> Result<Option<(Pid, Ending)>, Failure> {
    kernel.waitpid(None, false)
}
