//! What is told of a launch: the audit line in syslog, the line on standard error, the line on the
//! status descriptor. Words of a caller are quoted, escaped and cut.

use crate::exit::Exit;
use crate::kernel::{At, Errno, Failure, Fd, Kernel, Lock, Open, Severity};
use crate::launch::lock;
use crate::plan::STATE;

/// Most of a caller's words that are written down.
const WORDS: usize = 384;
/// Refusals of one uid that are written down in a minute; the rest are counted.
const REFUSALS: u64 = 10;
const MINUTE_MS: u64 = 60_000;

/// What the audit line says of a launch, whatever became of it.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub profile: String,
    pub instance: Option<String>,
    pub command: Option<Vec<String>>,
    pub uid: u32,
    pub caller: String,
}

impl About {
    /// One line: profile, caller, uid, the command, and what happened.
    pub fn audit<K: Kernel>(&self, kernel: &mut K, severity: Severity, what: &str) {
        let command = match &self.command {
            None => String::new(),
            Some(words) => format!(" command={:?}", cut(&words.join(" "))),
        };
        let line = format!(
            "profile={} instance={} caller={:?} uid={}{command} {}",
            self.profile,
            self.instance.as_deref().unwrap_or("-"),
            cut(&self.caller),
            self.uid,
            cut(what),
        );
        if let Err(failure) = kernel.syslog(severity, &line) {
            kernel.complain(&format!("jailrun: syslog: {failure}"));
        }
    }

    /// A refusal: as `audit`, but no caller fills the log with them.
    pub fn refusal<K: Kernel>(&self, kernel: &mut K, reason: &str) {
        let what = format!("outcome=refused reason={:?}", cut(reason));
        match budget(kernel, self.uid) {
            Ok(Budget::Left { silent: 0 }) => self.audit(kernel, Severity::Warning, &what),
            Ok(Budget::Left { silent }) => {
                let silent = format!(" refusals_not_logged={silent} reason=");
                let what = what.replacen(" reason=", &silent, 1);
                self.audit(kernel, Severity::Warning, &what);
            }
            Ok(Budget::Spent) => {}
            // Another refusal of the same uid is being counted: he makes many at once.
            Err(failure) if failure.errno == Errno::EAGAIN => {}
            // Rather one line too many than a refusal that nobody hears of.
            Err(_) => self.audit(kernel, Severity::Warning, &what),
        }
    }

    /// One line for the caller, in the words of the program.
    pub fn complain<K: Kernel>(&self, kernel: &mut K, words: &str) {
        let profile = match self.profile.as_str() {
            "" => String::new(),
            name => format!("{}: ", name.escape_debug()),
        };
        kernel.complain(&format!("jailrun: {profile}{words}"));
    }
}

enum Budget {
    Left { silent: u64 },
    Spent,
}

/// Counts a refusal in a file of the uid's: the minute's begin, and how many there were since.
fn budget<K: Kernel>(kernel: &mut K, uid: u32) -> Result<Budget, Failure> {
    let path = format!("{STATE}/.refused-{uid}");
    let fd = lock::take(kernel, &path, Lock::Exclusive)?;
    let outcome = count(kernel, &path, fd);
    let closed = kernel.close(fd);
    outcome.and_then(|budget| closed.map(|()| budget))
}

fn count<K: Kernel>(kernel: &mut K, path: &str, fd: Fd) -> Result<Budget, Failure> {
    let now = kernel.monotonic_ms();
    let reader = kernel.openat(At::Cwd, path, Open::Read)?;
    let mut buffer = [0u8; 64];
    let read = kernel.read(reader, &mut buffer);
    let closed = kernel.close(reader);
    let length = read.and_then(|length| closed.map(|()| length))?;
    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
    let mut words = text.split_whitespace().map(str::parse::<u64>);
    let (begin, seen) = match (words.next(), words.next()) {
        (Some(Ok(begin)), Some(Ok(seen))) if now >= begin && now - begin < MINUTE_MS => {
            (begin, seen)
        }
        (Some(Ok(_)), Some(Ok(seen))) => {
            let silent = seen.saturating_sub(REFUSALS);
            write(kernel, fd, now, 1)?;
            return Ok(Budget::Left { silent });
        }
        _ => (now, 0),
    };
    write(kernel, fd, begin, seen.saturating_add(1))?;
    Ok(match seen < REFUSALS {
        true => Budget::Left { silent: 0 },
        false => Budget::Spent,
    })
}

fn write<K: Kernel>(kernel: &mut K, fd: Fd, begin: u64, seen: u64) -> Result<(), Failure> {
    kernel.ftruncate(fd, 0)?;
    kernel
        .write(fd, format!("{begin} {seen}\n").as_bytes())
        .map(drop)
}

/// One line on the status descriptor. It is the caller's pipe: when he doesn't read it, it is not
/// written, since nothing of his may hold us up.
pub fn status<K: Kernel>(kernel: &mut K, status: Option<Fd>, line: &str) {
    if let Some(fd) = status {
        let _ = kernel.write_briefly(fd, format!("{line}\n").as_bytes());
    }
}

/// How the whole ended, for the status descriptor: by the program (`exit=`, `signal=`) or by us.
pub fn status_end<K: Kernel>(kernel: &mut K, fd: Option<Fd>, exit: Exit, is_program: bool) {
    let line = match (exit, is_program) {
        (Exit::Status(status), true) => format!("exit={status}"),
        (Exit::Signal(number), true) => format!("signal={number}"),
        (other, false) => format!("failed={}", other.code()),
    };
    status(kernel, fd, &line);
}

fn cut(words: &str) -> String {
    words.chars().take(WORDS).collect()
}
