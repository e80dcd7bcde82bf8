//! Where the kernel reports what capability mode would refuse.

use super::{Plan, STATE, Step};
use crate::profile::{Mode, Profile};
use crate::report::MOST;
use std::fmt;

/// In the instance's directory, which root alone can enter.
pub fn path(label: &str) -> String {
    format!("{STATE}/{label}/ktrace")
}

pub(super) fn step(profile: &Profile, label: &str) -> Option<Step> {
    let reports = profile.capsicum.mode == Mode::Report;
    reports.then(|| Step::Report { path: path(label) })
}

pub(super) fn words(formatter: &mut fmt::Formatter<'_>, path: &str) -> fmt::Result {
    write!(
        formatter,
        "make the file {path}, for ktrace(2) to report into (at most {MOST} bytes)"
    )
}

impl Plan {
    /// The file that is reported into.
    pub fn report(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Report { path } => Some(path.as_str()),
            _ => None,
        })
    }
}
