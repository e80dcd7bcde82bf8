//! What runs: instances as their journals and the kernel tell of them, and how one is stopped.
//! For jailrunctl(8). A journal is believed only where its lock is held or its jail lives.

use crate::error::Error;
use crate::kernel::{Errno, Failure, Kernel, Pid, signal};
use crate::launch::journal::{State, Story};
use crate::launch::{instance, lock};
use crate::plan::jail_name;

/// Seconds since the epoch.
pub fn seconds<K: Kernel>(kernel: &mut K) -> u64 {
    u64::try_from(kernel.realtime().0).unwrap_or(0)
}

/// The state of an instance, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Starting,
    Running,
    Waiting,
    Stopping,
    GaveUp,
    /// Its jail lives, and its journal is lost.
    Unknown,
    /// Nobody runs it; something of it is left for `cleanup`.
    Stale,
}

impl Status {
    pub fn word(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Running => "running",
            Status::Waiting => "waiting",
            Status::Stopping => "stopping",
            Status::GaveUp => "gave up",
            Status::Unknown => "unknown",
            Status::Stale => "stale",
        }
    }

    /// Somebody runs it.
    pub fn is_live(self) -> bool {
        !matches!(self, Status::GaveUp | Status::Stale)
    }
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub label: String,
    pub status: Status,
    pub jid: Option<i32>,
    /// The first process of the service.
    pub pid: Option<i32>,
    /// Seconds since the epoch.
    pub since: Option<u64>,
    /// Bytes and seconds, where racct counts them.
    pub memory: Option<u64>,
    pub cpu: Option<u64>,
    /// `None` when the journal is lost.
    pub story: Option<Story>,
}

pub fn list<K: Kernel>(kernel: &mut K) -> Result<Vec<Listed>, Error> {
    let step = |failure| Error::step("read the state directory", failure);
    let labels = match instance::labels(kernel) {
        // Nothing has ever been launched since the boot.
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(Vec::new()),
        other => other.map_err(step)?,
    };
    labels
        .iter()
        .map(|label| one(kernel, label).map_err(step))
        .filter_map(Result::transpose)
        .collect()
}

/// `None`: there is no such instance.
pub fn one<K: Kernel>(kernel: &mut K, label: &str) -> Result<Option<Listed>, Failure> {
    let jid = kernel.jail_find(&jail_name(label))?.map(|id| id.0);
    let journal = format!("{}/journal", instance::directory(label));
    let (is_held, has_journal) = match lock::is_held(kernel, &journal) {
        Err(failure) if failure.errno == Errno::ENOENT => (false, false),
        Err(failure) => return Err(failure),
        Ok(is_held) => (is_held, true),
    };
    let story = instance::story(kernel, label)?.ok();
    let is_there = has_journal || jid.is_some() || {
        let labels = instance::labels(kernel);
        labels.is_ok_and(|labels| labels.iter().any(|known| known == label))
    };
    if !is_there {
        return Ok(None);
    }
    let state = story.as_ref().map(|story| &story.state);
    let status = match (is_held, state) {
        (true, None | Some(State::Starting)) => Status::Starting,
        (true, Some(State::Running { .. })) => Status::Running,
        (true, Some(State::Waiting)) => Status::Waiting,
        (true, Some(State::Stopping)) => Status::Stopping,
        (false, Some(State::GaveUp)) => Status::GaveUp,
        _ if jid.is_some() => Status::Unknown,
        _ => Status::Stale,
    };
    let (pid, since) = match state {
        Some(State::Running { pid, since, .. }) if is_held => (Some(*pid), Some(*since)),
        _ => (None, None),
    };
    let (memory, cpu) = usage(kernel, label);
    Ok(Some(Listed {
        label: label.to_string(),
        status,
        jid,
        pid,
        since,
        memory,
        cpu,
        story,
    }))
}

/// Nothing where racct is off; that is no error of a listing.
fn usage<K: Kernel>(kernel: &mut K, label: &str) -> (Option<u64>, Option<u64>) {
    let Ok(text) = kernel.rctl_get_racct(&format!("jail:{}", jail_name(label))) else {
        return (None, None);
    };
    let amount = |wanted: &str| {
        text.split(',').find_map(|pair| {
            let (name, amount) = pair.split_once('=')?;
            (name == wanted).then(|| amount.parse().ok())?
        })
    };
    (amount("memoryuse"), amount("cputime"))
}

/// How often `stop` looks whether it is over.
const LOOK_MS: u64 = 50;

/// Tells the supervisor to stop its service, and waits until everything is taken back, `patience_ms`
/// at most. A jail whose journal is lost is removed: its supervisor then does the rest.
pub fn stop<K: Kernel>(kernel: &mut K, label: &str, patience_ms: u64) -> Result<(), Error> {
    let step = |failure| Error::step(format!("stop the instance {label}"), failure);
    let listed = one(kernel, label).map_err(step)?;
    let is_left = listed.is_some();
    let listed = listed.filter(|listed| listed.status.is_live());
    let Some(listed) = listed else {
        let remedy = match is_left {
            true => ": jailrunctl cleanup takes back what is left of it",
            false => "",
        };
        let words = Error::not_running(label);
        return Err(Error::Usage(format!("{words}{remedy}")));
    };
    match supervisor(kernel, &listed).map_err(step)? {
        Some(pid) => kernel.kill(pid, signal::TERM).map_err(step)?,
        None => remove_jail(kernel, label).map_err(step)?,
    }
    let end = kernel.monotonic_ms().saturating_add(patience_ms);
    loop {
        match one(kernel, label).map_err(step)? {
            Some(listed) if listed.status.is_live() => {}
            _ => return Ok(()),
        }
        if kernel.monotonic_ms() >= end {
            return Err(Error::Busy(format!(
                "the instance {label} is still stopping"
            )));
        }
        kernel.sleep_ms(LOOK_MS);
    }
}

/// The pid in a journal that is held, if that process began when the journal says.
fn supervisor<K: Kernel>(kernel: &mut K, listed: &Listed) -> Result<Option<Pid>, Failure> {
    let Some(story) = listed
        .story
        .as_ref()
        .filter(|_| listed.status != Status::Unknown)
    else {
        return Ok(None);
    };
    writer(kernel, story)
}

/// Who wrote a journal, if he lives.
pub fn writer<K: Kernel>(kernel: &mut K, story: &Story) -> Result<Option<Pid>, Failure> {
    let pid = Pid(story.head.pid);
    let Some(info) = kernel.process_info(pid)? else {
        return Ok(None);
    };
    let began = u64::try_from(info.started_us / 1_000_000).unwrap_or(0);
    // A pid that was used again belongs to a process that began after the journal was.
    Ok((began <= story.head.started.saturating_add(1)).then_some(pid))
}

fn remove_jail<K: Kernel>(kernel: &mut K, label: &str) -> Result<(), Failure> {
    let Some((_, descriptor)) = kernel.jail_open(&jail_name(label))? else {
        return Ok(());
    };
    let removed = kernel.jail_remove(descriptor);
    removed.and(kernel.close(descriptor))
}
