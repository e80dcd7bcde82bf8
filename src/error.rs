//! Everything that can end a run before the program's own end, one variant for each who must act,
//! and the exit status of each (jailrun(8), EXIT STATUS).

use crate::exit::Exit;
use crate::kernel::{Errno, Failure, signal};

#[derive(Debug)]
pub enum Error {
    /// What was typed makes no sense.
    Usage(String),
    /// The profile is wrong, or somebody else could have written it.
    Profile(String),
    /// Nobody has made yet what the profile wants of the host: directories, and how they are made.
    Unmade(String),
    /// This caller may not.
    Refused(String),
    /// The instance runs already.
    Busy(String),
    /// A step of the plan was refused by the system.
    Step { step: String, failure: Failure },
    /// The program could not be executed.
    Exec { program: String, failure: Failure },
    /// Not a system that jailrun runs on.
    Unavailable(String),
    /// An order to stop came before the service was executed.
    Stopped,
}

impl Error {
    /// A command that names no path. An option that stands behind the profile looks like one.
    pub fn relative(command: &str) -> Error {
        let options = match command.starts_with('-') {
            true => "; options come before the profile",
            false => "",
        };
        Error::Usage(format!(
            "{command:?}: a command is an absolute path{options}"
        ))
    }

    /// Of a verb that does something with an instance; for `show` it is an answer.
    pub fn not_running(label: &str) -> Error {
        Error::Usage(format!("the instance {label} isn't running"))
    }

    pub fn step(step: impl Into<String>, failure: Failure) -> Error {
        Error::Step {
            step: step.into(),
            failure,
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Error::Stopped => Exit::Signal(signal::TERM),
            other => Exit::Status(other.status()),
        }
    }

    fn status(&self) -> i32 {
        match self {
            Error::Stopped => 128 + signal::TERM,
            Error::Usage(_) => 64,
            Error::Unavailable(_) => 69,
            Error::Step { .. } => 71,
            Error::Busy(_) => 75,
            Error::Refused(_) => 77,
            Error::Profile(_) | Error::Unmade(_) => 78,
            Error::Exec { failure, .. } if failure.errno == Errno::ENOENT => 127,
            Error::Exec { .. } => 126,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Usage(words)
            | Error::Profile(words)
            | Error::Unmade(words)
            | Error::Refused(words)
            | Error::Busy(words)
            | Error::Unavailable(words) => formatter.write_str(words),
            Error::Stopped => formatter.write_str("stopped before the program was executed"),
            Error::Step { step, failure } => write!(formatter, "{step}: {failure}"),
            Error::Exec { program, failure } => {
                write!(formatter, "exec {program} (inside the jail): {failure}")
            }
        }
    }
}
