//! Two live instances never hold the same or nested writable host directory, unless both say that it
//! is shared: jails that share a directory can pass descriptors of it to each other (SA-26:04), and a
//! service that was taken over could write what another one trusts.

use crate::error::Error;
use crate::kernel::{Errno, Failure, Fd, Kernel};
use crate::launch::{instance, lock};
use crate::plan::{Plan, STATE, jail_name};

/// Held until the journal says what is written.
#[derive(Debug)]
pub struct Turn(Fd);

impl Turn {
    pub fn release<K: Kernel>(self, kernel: &mut K) -> Result<(), Error> {
        kernel.close(self.0).map_err(|failure| step()(failure))
    }
}

fn step() -> impl Fn(Failure) -> Error {
    |failure| Error::step("see who writes the writable directories", failure)
}

/// Looks for another instance that writes what the plan would write. `None`: it writes nothing, and
/// nothing was looked at.
pub fn check<K: Kernel>(kernel: &mut K, plan: &Plan) -> Result<Option<Turn>, Error> {
    if plan.writes().is_empty() {
        return Ok(None);
    }
    let turn = lock::wait(kernel, &format!("{STATE}/.writers")).map_err(step())?;
    match conflict(kernel, plan) {
        Ok(None) => Ok(Some(Turn(turn))),
        Ok(Some(words)) => {
            let closed = kernel.close(turn).map_err(step());
            closed.and(Err(Error::Busy(words)))
        }
        Err(failure) => {
            // The failure that is told came first.
            let _ = kernel.close(turn);
            Err(step()(failure))
        }
    }
}

fn conflict<K: Kernel>(kernel: &mut K, plan: &Plan) -> Result<Option<String>, Failure> {
    let mut lost = Vec::new();
    for label in instance::labels(kernel)? {
        if label == plan.label() || plan.is_beside(&label) || !lives(kernel, &label)? {
            continue;
        }
        match instance::story(kernel, &label)? {
            Err(_) => lost.push(label),
            Ok(story) => {
                for (path, is_shared) in &story.writes {
                    if let Some(words) = clash(plan, path, *is_shared, &label) {
                        return Ok(Some(words));
                    }
                }
            }
        }
    }
    match lost.is_empty() {
        true => Ok(None),
        false => conflict_of_mounts(kernel, plan, &lost),
    }
}

/// Journals can be lost under live instances (rc.d/cleanvar); their mounts can't.
fn conflict_of_mounts<K: Kernel>(
    kernel: &mut K,
    plan: &Plan,
    lost: &[String],
) -> Result<Option<String>, Failure> {
    let below = format!("{STATE}/");
    for mount in kernel.getfsstat()? {
        let rest = mount.on.strip_prefix(&below);
        let label = rest.and_then(|rest| rest.split('/').next());
        let is_writable = mount.kind == "nullfs" && !mount.flags.read_only;
        let Some(label) = label.filter(|label| is_writable && lost.iter().any(|l| l == label))
        else {
            continue;
        };
        let words = clash(plan, &mount.from, false, label);
        if words.is_some() {
            return Ok(words);
        }
    }
    Ok(None)
}

/// Somebody holds its journal, or its jail lives.
fn lives<K: Kernel>(kernel: &mut K, label: &str) -> Result<bool, Failure> {
    let path = format!("{}/journal", instance::directory(label));
    match lock::is_held(kernel, &path) {
        Ok(true) => Ok(true),
        Err(failure) if failure.errno != Errno::ENOENT => Err(failure),
        _ => Ok(kernel.jail_find(&jail_name(label))?.is_some()),
    }
}

fn clash(plan: &Plan, other: &str, other_is_shared: bool, label: &str) -> Option<String> {
    plan.writes()
        .iter()
        .find(|(path, is_shared)| overlap(path, other) && !(*is_shared && other_is_shared))
        .map(|(path, _)| {
            format!(
                "{path}: the instance {label} writes {other}; \
                 both profiles would have to say shared = true"
            )
        })
}

fn overlap(left: &str, right: &str) -> bool {
    let is_in = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    is_in(left, right) || is_in(right, left)
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn a_directory_overlaps_itself_and_what_is_above_or_below_it_and_nothing_else() {
        assert!(overlap("/a/b", "/a/b") && overlap("/a/b", "/a") && overlap("/a", "/a/b"));
        assert!(!overlap("/a/b", "/a/bc") && !overlap("/a/bc", "/a/b") && !overlap("/a", "/b"));
    }
}
