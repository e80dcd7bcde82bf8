//! One attempt, in a process of its own that goes where a service is and ends there: a crash, a
//! stopped call or an exhausted limit of one attempt is nothing to the next.

use super::table::{self, Attempt};
use super::{Seen, Shared, Target};
use crate::error::Error;
use crate::kernel::attack::Attack;
use crate::kernel::{At, Ending, Errno, Failure, Fd, Kernel, Open, Pid, signal};
use crate::launch::capability::highest;
use crate::launch::child;
use crate::plan::ChildPlan;
use crate::plan::child::FIRST;
use crate::supervise::watch::{Ears, Heard};

/// Everybody may look it up, and ".." in it: what refuses is what is asked about.
const PASSED_DIRECTORY: &str = "/usr";
const PATIENCE_MS: u64 = 60_000;
const MOST: usize = 4096;

/// Makes an attempt, and hears what it met.
pub fn climb<K: Attack>(
    kernel: &mut K,
    ears: &mut Ears,
    attempt: &'static Attempt,
    target: &Shared,
) -> Result<Seen, Error> {
    let what = format!("make the attempt {}", attempt.name);
    let passed = pass(kernel, attempt).map_err(|failure| Error::step(&what, failure))?;
    let inner = Shared::clone(target);
    let act = move |kernel: &mut K, spare| {
        let mut here = Target::clone(&inner);
        here.passed = spare;
        words(table::make(kernel, attempt.name, &here))
    };
    let place = Place {
        child: &target.child,
        jail: target.jail.as_deref(),
        passed,
    };
    Ok(match descend(kernel, ears, &what, place, act)? {
        Answer::Said(text) => read(&text, attempt),
        Answer::Mute(Ending::Signalled(signal)) => {
            Seen::Cut(format!("signal {signal} ended it before it said a word"))
        }
        Answer::Mute(Ending::Exited(status)) => {
            Seen::Cut(format!("it ended with status {status} and without a word"))
        }
        Answer::Late => Seen::Late,
    })
}

/// What came of a process that went where a service is. It has a word in any case: where there is none, somebody
/// saw to that, and the service's other processes are its user's too (kill(2)).
pub enum Answer {
    Said(String),
    Mute(Ending),
    /// It didn't come to an end in its time.
    Late,
}

/// Where somebody goes, as whom, and confined by what.
pub struct Place<'a> {
    pub child: &'a ChildPlan,
    /// `None` stays where we are, unconfined.
    pub jail: Option<&'a str>,
    /// A socket that he keeps, and the other end of it, which is closed.
    pub passed: Option<(Fd, Fd)>,
}

/// Has a process of its own act where a service is, and hears what that has to say. Of the socket it is
/// given its number there.
pub fn descend<K, F>(
    kernel: &mut K,
    ears: &mut Ears,
    what: &str,
    place: Place<'_>,
    act: F,
) -> Result<Answer, Error>
where
    K: Kernel,
    F: FnOnce(&mut K, Option<Fd>) -> String + Send + 'static,
{
    let step = |failure| Error::step(what, failure);
    let (reader, writer) = kernel.pipe().map_err(step)?;
    let child = place.child.clone();
    let jail = place.jail.map(str::to_string);
    let passed = place.passed;
    let forked = kernel.fork(move |kernel| {
        let spare = passed.map(|pair| pair.0);
        Err(inside(kernel, &child, jail.as_deref(), writer, spare, act))
    });
    kernel.close(writer).map_err(step)?;
    for fd in passed.into_iter().flat_map(|(theirs, ours)| [theirs, ours]) {
        kernel.close(fd).map_err(step)?;
    }
    let pid = forked.map_err(step)?;
    ears.child(kernel, reader).map_err(step)?;
    let heard = hear(kernel, ears, reader);
    ears.forget_child(kernel);
    // It has said all that it will, or never ends by itself. One that closed the pipe without a word is ending
    // already, and our signal changes nothing of how (exit1 in sys/kern/kern_exit.c).
    let ending = end(kernel, pid).map_err(step)?;
    kernel.close(reader).map_err(step)?;
    let Some(said) = heard? else {
        return Ok(Answer::Late);
    };
    let text = String::from_utf8_lossy(&said).into_owned();
    match text.strip_prefix('s') {
        Some(stopped) => Err(stopped_at(stopped)),
        None if text.is_empty() => Ok(Answer::Mute(ending)),
        None => Ok(Answer::Said(text)),
    }
}

/// A socket with a directory of the host in it: attach refuses a process that holds a directory, and
/// doesn't see one that is on its way.
fn pass<K: Attack>(kernel: &mut K, attempt: &Attempt) -> Result<Option<(Fd, Fd)>, Failure> {
    if attempt.name != "passed-directory" || kernel.cannot_show(attempt.name).is_some() {
        return Ok(None);
    }
    let (theirs, ours) = kernel.socketpair()?;
    let directory = kernel.openat(At::Cwd, PASSED_DIRECTORY, Open::Directory)?;
    kernel.send_descriptor(ours, directory)?;
    kernel.close(directory)?;
    Ok(Some((theirs, ours)))
}

/// `None`: its time is over.
fn hear<K: Kernel>(kernel: &mut K, ears: &mut Ears, reader: Fd) -> Result<Option<Vec<u8>>, Error> {
    let step = |failure| Error::step("hear an attempt", failure);
    loop {
        match ears.hear(kernel, Some(PATIENCE_MS)).map_err(step)? {
            Heard::ChildWord => break,
            Heard::Stop | Heard::Pass(signal::INT | signal::QUIT | signal::HUP) => {
                return Err(Error::Stopped);
            }
            Heard::Time => return Ok(None),
            Heard::Log
            | Heard::NoPidfile
            | Heard::Pass(_)
            | Heard::Child
            | Heard::Output
            | Heard::JailGone => {}
        }
    }
    // One write of less than PIPE_BUF comes whole, or there is none.
    let mut buffer = [0; MOST];
    let count = kernel.read(reader, &mut buffer).map_err(step)?;
    Ok(Some(buffer.get(..count).unwrap_or_default().to_vec()))
}

fn end<K: Kernel>(kernel: &mut K, pid: Pid) -> Result<Ending, Failure> {
    match kernel.kill(pid, signal::KILL) {
        Err(failure) if failure.errno != Errno::ESRCH => return Err(failure),
        _ => {}
    }
    let ended = kernel.waitpid(Some(pid), true)?;
    Ok(ended.map_or(Ending::Signalled(signal::KILL), |(_, ending)| ending))
}

/// In the child: descriptors, the ladder, the act, and a word about it. None of them begins as the word
/// of a ladder that ended early does.
fn inside<K: Kernel>(
    kernel: &mut K,
    child: &ChildPlan,
    jail: Option<&str>,
    writer: Fd,
    passed: Option<Fd>,
    act: impl FnOnce(&mut K, Option<Fd>) -> String,
) -> i32 {
    let channel = child::channel(child);
    // Over which a directory comes: above what the service has.
    let spare = passed.map(|_| Fd(highest(child).0 + 1));
    if keep(kernel, child, writer, passed).is_err() {
        return 71;
    }
    let entered = match jail {
        Some(jail) => child::enter(kernel, child, jail, spare),
        None => Ok(()),
    };
    let words = match entered {
        Err(stopped) => told('s', &stopped.failure, stopped.stage),
        Ok(()) => act(kernel, spare),
    };
    let words = words.as_bytes();
    // Nobody is left to hear that it can't be told.
    let _ = kernel.write(channel, words.get(..MOST).unwrap_or(words));
    0
}

fn words(seen: Seen) -> String {
    match seen {
        Seen::Open(text) => format!("o{text}"),
        Seen::Nothing(text) => format!("n{text}"),
        Seen::NotShown(text) => format!("x{text}"),
        Seen::Cut(text) => format!("c{text}"),
        // Nobody says so of himself.
        Seen::Late => "l".to_string(),
        Seen::Refused(failure) => told('r', &failure, failure.call),
    }
}

fn told(kind: char, failure: &Failure, what: &str) -> String {
    format!("{kind}{what}\n{}\n{}", failure.errno.0, failure.text)
}

/// 0 to 2 are nothing, the channel's number is the way back, and the one above all is the socket; all
/// others are closed, those of the service's own sockets too: nobody waits for them here.
fn keep<K: Kernel>(
    kernel: &mut K,
    plan: &ChildPlan,
    writer: Fd,
    passed: Option<Fd>,
) -> Result<(), Failure> {
    let (channel, highest) = (child::channel(plan), highest(plan));
    let writer = kernel.dup_from(writer, highest.0 + 2)?;
    let passed = passed
        .map(|fd| kernel.dup_from(fd, highest.0 + 2))
        .transpose()?;
    let null = kernel.openat(At::Cwd, "/dev/null", Open::Device)?;
    for number in 0..3 {
        kernel.dup2(null, Fd(number), true)?;
    }
    kernel.dup2(writer, channel, false)?;
    if let Some(passed) = passed {
        kernel.dup2(passed, Fd(highest.0 + 1), false)?;
    }
    kernel.closefrom(highest.0 + if passed.is_some() { 2 } else { 1 });
    for number in (FIRST..=highest.0).filter(|number| *number != channel.0) {
        // Most of them aren't open.
        let _ = kernel.close(Fd(number));
    }
    Ok(())
}

fn errno_of(line: Option<&str>) -> Errno {
    Errno(line.and_then(|number| number.parse().ok()).unwrap_or(0))
}

fn stopped_at(said: &str) -> Error {
    let mut lines = said.lines();
    let what = lines.next().unwrap_or_default().to_string();
    let failure = Failure {
        call: "enter",
        errno: errno_of(lines.next()),
        text: lines.next().unwrap_or_default().to_string(),
    };
    Error::step(what, failure)
}

fn read(text: &str, attempt: &Attempt) -> Seen {
    let rest = text.get(1..).unwrap_or_default();
    let mut lines = rest.lines();
    match text.chars().next() {
        Some('o') => Seen::Open(rest.to_string()),
        Some('n') => Seen::Nothing(rest.to_string()),
        Some('x') => Seen::NotShown(rest.to_string()),
        Some('l') => Seen::Late,
        // Which call said it stands behind the errno's words.
        Some('r') => {
            let what = lines.next().unwrap_or_default().to_string();
            Seen::Refused(Failure {
                call: attempt.name,
                errno: errno_of(lines.next()),
                text: what,
            })
        }
        _ => Seen::Cut(rest.to_string()),
    }
}
