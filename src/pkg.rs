//! pkg(8), asked by the only place that runs it: with an empty environment, with nothing open but the pipe for
//! its answer, for half a minute at most. What it says is only handed on; whoever asks judges it. It has ended
//! when this returns.

use crate::error::Error;
use crate::kernel::{At, Ending, Failure, Fd, Kernel, Open, Pid, Watch, signal};
use crate::trust::{self, Owner};

/// pkg(8) itself. /usr/sbin/pkg is another program, which offers to install it.
pub const PKG: &str = "/usr/local/sbin/pkg";

/// It waits for its database by itself, for seconds.
const PATIENCE_MS: u64 = 30_000;
/// How often it is looked whether it has ended, once it has said everything.
const LOOK_MS: u64 = 2;
/// A package of a hundred thousand files says less.
pub const MOST: usize = 16 << 20;

/// What it said on standard output, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub ending: Ending,
    pub said: Vec<u8>,
}

impl Answer {
    /// That it ended so is no answer to this question.
    pub fn refused(&self, words: &[&str]) -> Error {
        let how = match self.ending {
            Ending::Exited(status) => format!("status {status}"),
            Ending::Signalled(number) => format!("SIG{}", signal::name(number)),
        };
        wrong(words, &how)
    }
}

/// An error about the answer to a question.
pub fn wrong(words: &[&str], why: &str) -> Error {
    Error::Profile(format!("{PKG} {}: {why}", words.join(" ")))
}

/// Why there is no answer.
enum Silence {
    Late,
    Long,
    Failed(Failure),
}

impl From<Failure> for Silence {
    fn from(failure: Failure) -> Silence {
        Silence::Failed(failure)
    }
}

/// Runs `pkg words`. A pkg that others than root could have put there isn't run.
pub fn ask<K: Kernel>(kernel: &mut K, words: &[&str]) -> Result<Answer, Error> {
    let step = |failure| Error::step("ask pkg", failure);
    let pkg = trust::open(kernel, PKG, Open::Path, Owner::Root)
        .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    kernel.close(pkg.fd).map_err(step)?;
    let arguments: Vec<String> = std::iter::once(&PKG)
        .chain(words)
        .map(|word| (*word).to_string())
        .collect();
    let (reader, writer) = kernel.pipe().map_err(step)?;
    let child = kernel.fork(move |kernel| execute(kernel, writer, &arguments).map_err(|_| 71));
    // With our copy open the reading would have no end.
    let closed = kernel.close(writer).map_err(Silence::from);
    let answer = child.map_err(Silence::from).and_then(|pid| {
        let answer = closed.and_then(|()| hear(kernel, reader, pid));
        if answer.is_err() {
            end(kernel, pid);
        }
        answer
    });
    kernel.close(reader).map_err(step)?;
    answer.map_err(|silence| match silence {
        Silence::Late => wrong(words, &format!("no answer in {} s", PATIENCE_MS / 1000)),
        Silence::Long => wrong(words, &format!("an answer of more than {MOST} bytes")),
        Silence::Failed(failure) => step(failure),
    })
}

fn execute<K: Kernel>(
    kernel: &mut K,
    writer: Fd,
    arguments: &[String],
) -> Result<K::Executed, Failure> {
    let null = kernel.openat(At::Cwd, "/dev/null", Open::Device)?;
    kernel.dup2(null, Fd(0), true)?;
    kernel.dup2(writer, Fd(1), true)?;
    kernel.dup2(null, Fd(2), true)?;
    kernel.closefrom(3);
    kernel.chdir("/")?;
    kernel.reset_signals()?;
    kernel.execve(PKG, arguments, &[])
}

fn hear<K: Kernel>(kernel: &mut K, reader: Fd, pid: Pid) -> Result<Answer, Silence> {
    let end = kernel.monotonic_ms().saturating_add(PATIENCE_MS);
    let queue = kernel.kqueue()?;
    let said = read(kernel, queue, reader, end);
    let closed = kernel.close(queue);
    let said = said?;
    closed?;
    // It may close its output and go on.
    loop {
        if let Some((_, ending)) = kernel.waitpid(Some(pid), false)? {
            return Ok(Answer { ending, said });
        }
        if kernel.monotonic_ms() >= end {
            return Err(Silence::Late);
        }
        kernel.sleep_ms(LOOK_MS);
    }
}

fn read<K: Kernel>(kernel: &mut K, queue: Fd, reader: Fd, end: u64) -> Result<Vec<u8>, Silence> {
    kernel.kevent_watch(queue, Watch::Readable(reader))?;
    let mut said = Vec::new();
    let mut buffer = [0u8; 16 << 10];
    loop {
        let left = end.saturating_sub(kernel.monotonic_ms());
        if left == 0 || kernel.kevent_wait(queue, Some(left))?.is_none() {
            return Err(Silence::Late);
        }
        let count = kernel.read(reader, &mut buffer)?;
        if count == 0 {
            return Ok(said);
        }
        said.extend(buffer.iter().take(count));
        if said.len() > MOST {
            return Err(Silence::Long);
        }
    }
}

/// Whatever it does, it is over; the error that is told came first.
fn end<K: Kernel>(kernel: &mut K, pid: Pid) {
    let _ = kernel.kill(pid, signal::KILL);
    let _ = kernel.waitpid(Some(pid), true);
}
