//! A system call that was refused.

use super::Errno;

/// A system call that was refused: which, why, and the kernel's own words where it gave any
/// (nmount(2) and jail_set(2) fill an `errmsg`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub call: &'static str,
    pub errno: Errno,
    pub text: String,
}

impl Failure {
    pub fn new(call: &'static str, errno: Errno) -> Failure {
        Failure {
            call,
            errno,
            text: String::new(),
        }
    }
}

impl std::fmt::Display for Failure {
    /// The system's reason, for the end of an error line: its own words where it has any.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.errno.words())?;
        if !self.text.is_empty() {
            write!(formatter, " ({})", self.text)?;
        }
        Ok(())
    }
}

pub type Outcome<T> = Result<T, Failure>;
