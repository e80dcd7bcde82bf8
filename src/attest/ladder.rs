//! One attempt, in a process of its own that goes where a service is and ends there: a crash, a
//! stopped call or an exhausted limit of one attempt is nothing to the next.

use super::table::{self, Attempt};
use super::{Seen, Shared, Target};
use crate::error::Error;
use crate::kernel::attack::Attack;
use crate::kernel::{At, Errno, Failure, Fd, Kernel, Open, Pid, signal};
use crate::launch::child;
use crate::plan::child::FIRST;
use crate::supervise::watch::{Ears, Heard};

/// Where the end of the socket is over which a directory comes.
const PASSED: Fd = Fd(FIRST + 1);
/// Where the way back is.
const CHANNEL: Fd = Fd(FIRST);
/// Numbers above those of every descriptor that an attempt keeps.
const AWAY: i32 = 10;
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
    let step = |failure| Error::step(format!("make the attempt {}", attempt.name), failure);
    let (reader, writer) = kernel.pipe().map_err(step)?;
    let passed = pass(kernel, attempt).map_err(step)?;
    let inner = Shared::clone(target);
    let forked = kernel.fork(move |kernel| {
        Err(inside(
            kernel,
            attempt,
            &inner,
            writer,
            passed.map(|pair| pair.0),
        ))
    });
    kernel.close(writer).map_err(step)?;
    for fd in passed.into_iter().flat_map(|(theirs, ours)| [theirs, ours]) {
        kernel.close(fd).map_err(step)?;
    }
    let pid = forked.map_err(step)?;
    ears.child(kernel, reader).map_err(step)?;
    let heard = hear(kernel, ears, reader);
    ears.forget_child(kernel);
    // It has said all that it will, or never ends by itself.
    end(kernel, pid).map_err(step)?;
    kernel.close(reader).map_err(step)?;
    let said = heard?;
    match said {
        None => Ok(Seen::NotShown(
            "it didn't come to an end within a minute".to_string(),
        )),
        Some(text) => read(&text, attempt),
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

fn end<K: Kernel>(kernel: &mut K, pid: Pid) -> Result<(), Failure> {
    match kernel.kill(pid, signal::KILL) {
        Err(failure) if failure.errno != Errno::ESRCH => return Err(failure),
        _ => {}
    }
    kernel.waitpid(Some(pid), true).map(drop)
}

/// In the child: descriptors, the ladder, the attempt, and a word about it.
fn inside<K: Attack>(
    kernel: &mut K,
    attempt: &Attempt,
    target: &Target,
    writer: Fd,
    passed: Option<Fd>,
) -> i32 {
    let spare = passed.map(|_| PASSED);
    if keep(kernel, writer, passed).is_err() {
        return 71;
    }
    let mut here = target.clone();
    here.passed = spare;
    let entered = match &target.jail {
        Some(jail) => child::enter(kernel, &target.child, jail, spare),
        None => Ok(()),
    };
    let words = match entered {
        Err(stopped) => told('s', &stopped.failure, stopped.stage),
        Ok(()) => match table::make(kernel, attempt.name, &here) {
            Seen::Open(text) => format!("o{text}"),
            Seen::Nothing(text) => format!("n{text}"),
            Seen::NotShown(text) => format!("x{text}"),
            Seen::Refused(failure) => told('r', &failure, failure.call),
        },
    };
    let words = words.as_bytes();
    // Nobody is left to hear that it can't be told.
    let _ = kernel.write(CHANNEL, words.get(..MOST).unwrap_or(words));
    0
}

fn told(kind: char, failure: &Failure, what: &str) -> String {
    format!("{kind}{what}\n{}\n{}", failure.errno.0, failure.text)
}

/// 0 to 2 are nothing, 3 the way back, 4 the socket; all others are closed.
fn keep<K: Kernel>(kernel: &mut K, writer: Fd, passed: Option<Fd>) -> Result<(), Failure> {
    let writer = kernel.dup_from(writer, AWAY)?;
    let passed = passed.map(|fd| kernel.dup_from(fd, AWAY)).transpose()?;
    let null = kernel.openat(At::Cwd, "/dev/null", Open::Device)?;
    for number in 0..3 {
        kernel.dup2(null, Fd(number), true)?;
    }
    kernel.dup2(writer, CHANNEL, false)?;
    if let Some(passed) = passed {
        kernel.dup2(passed, PASSED, false)?;
        kernel.closefrom(PASSED.0 + 1);
    } else {
        kernel.closefrom(CHANNEL.0 + 1);
    }
    Ok(())
}

fn read(said: &[u8], attempt: &Attempt) -> Result<Seen, Error> {
    let text = String::from_utf8_lossy(said).into_owned();
    let rest = text.get(1..).unwrap_or_default();
    let mut lines = rest.lines();
    let what = lines.next().unwrap_or_default().to_string();
    let errno = lines.next().and_then(|number| number.parse().ok());
    let errno = Errno(errno.unwrap_or(0));
    let words = lines.next().unwrap_or_default();
    Ok(match text.chars().next() {
        Some('o') => Seen::Open(rest.to_string()),
        Some('n') => Seen::Nothing(rest.to_string()),
        Some('x') => Seen::NotShown(rest.to_string()),
        // Which call said it stands behind the errno's words.
        Some('r') => Seen::Refused(Failure {
            call: attempt.name,
            errno,
            text: what,
        }),
        Some('s') => {
            let failure = Failure {
                call: "enter",
                errno,
                text: words.to_string(),
            };
            return Err(Error::step(what, failure));
        }
        _ => Seen::NotShown("it ended without a word".to_string()),
    })
}
