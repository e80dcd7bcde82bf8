//! What the service's own start holds for as long as it is supervised, restarts included: the
//! instance's journal, and one of the caller's slots.

use crate::error::Error;
use crate::instances;
use crate::kernel::{Errno, Failure, Fd, Kernel, Lock};
use crate::launch::cleanup::{self, Swept};
use crate::launch::instance::{self, Instance};
use crate::launch::lock;
use crate::permit::Permit;
use crate::plan::{STATE, jail_name};

/// The state an instance is left in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    Nothing,
    /// The journal, which says that it was given up.
    Journal,
}

#[derive(Debug)]
pub struct Held {
    pub instance: Instance,
    slot: Option<(String, Fd)>,
}

impl Held {
    /// Takes all of it, or nothing: busy when the instance runs, or the caller runs as many as he may.
    pub fn take<K: Kernel>(
        kernel: &mut K,
        permit: &Permit,
        profile: &str,
        label: &str,
    ) -> Result<Held, Error> {
        let slot = slot(kernel, permit, profile)?;
        let instance = match held_instance(kernel, label) {
            Ok(instance) => instance,
            Err(error) => {
                // Nothing that holds a slot has begun.
                let _ = release_file(kernel, slot);
                return Err(error);
            }
        };
        Ok(Held { instance, slot })
    }

    /// Gives back what could not be released.
    pub fn release<K: Kernel>(self, kernel: &mut K, leave: Leave) -> Vec<String> {
        let mut leftovers = Vec::new();
        let mut note = |what: String, outcome: Result<(), Failure>| {
            if let Err(failure) = outcome {
                leftovers.push(format!("{what}: {failure}"));
            }
        };
        let what = format!("release the instance {}", self.instance.label);
        let released = match leave {
            Leave::Nothing => instance::release(kernel, &self.instance),
            Leave::Journal => instance::leave(kernel, &self.instance),
        };
        note(what, released);
        if let Some((path, _)) = &self.slot {
            let what = format!("release the lock {path}");
            note(what, release_file(kernel, self.slot.clone()));
        }
        leftovers
    }
}

fn release_file<K: Kernel>(kernel: &mut K, held: Option<(String, Fd)>) -> Result<(), Failure> {
    held.map_or(Ok(()), |(path, fd)| lock::remove(kernel, fd, &path))
}

/// The instance, cleaned of what an earlier supervisor left.
fn held_instance<K: Kernel>(kernel: &mut K, label: &str) -> Result<Instance, Error> {
    let busy = || Error::Busy(format!("the instance {label} is running"));
    let held = take_patiently(kernel, label).map_err(|failure| match failure.errno {
        Errno::EAGAIN => busy(),
        _ => Error::step(format!("lock the instance {label}"), failure),
    })?;
    if held.is_new {
        return Ok(held);
    }
    let error = match cleanup::clean(kernel, &held) {
        Ok(Swept::Cleaned | Swept::Nothing) => return Ok(held),
        Ok(Swept::Lives) => busy(),
        Err(failure) => Error::step(format!("clean up the instance {label}"), failure),
    };
    // The journal that we made, if we made one, is no news to anybody.
    match error {
        Error::Busy(_) => drop(instance::release(kernel, &held)),
        _ => drop(instance::leave(kernel, &held)),
    }
    Err(error)
}

const TRIES: u32 = 250;
const PAUSE_MS: u64 = 20;

/// Somebody else's launch may be cleaning what an earlier supervisor left: that is no running instance,
/// and over in a moment. EAGAIN: it runs.
fn take_patiently<K: Kernel>(kernel: &mut K, label: &str) -> Result<Instance, Failure> {
    for _ in 0..TRIES {
        match instance::take(kernel, label) {
            Err(failure) if failure.errno == Errno::EAGAIN => {
                if is_supervised(kernel, label)? {
                    return Err(failure);
                }
                kernel.sleep_ms(PAUSE_MS);
            }
            other => return other,
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

/// Its jail lives, or whoever wrote its journal.
fn is_supervised<K: Kernel>(kernel: &mut K, label: &str) -> Result<bool, Failure> {
    if kernel.jail_find(&jail_name(label))?.is_some() {
        return Ok(true);
    }
    match instance::story(kernel, label)? {
        Ok(story) => Ok(instances::writer(kernel, &story)?.is_some()),
        // Its holder has only begun.
        Err(_) => Ok(false),
    }
}

/// One lock file of `access.max` for this caller and profile. Root needs none.
fn slot<K: Kernel>(
    kernel: &mut K,
    permit: &Permit,
    profile: &str,
) -> Result<Option<(String, Fd)>, Error> {
    let caller = permit.caller();
    if caller.is_root() {
        return Ok(None);
    }
    let most = permit.profile().access.max;
    for number in 0..most {
        let path = format!("{STATE}/.slot-{}-{number}-{profile}", caller.uid);
        match lock::take(kernel, &path, Lock::Exclusive) {
            Ok(fd) => return Ok(Some((path, fd))),
            Err(failure) if failure.errno == Errno::EAGAIN => {}
            Err(failure) => return Err(Error::step("count the caller's instances", failure)),
        }
    }
    Err(Error::Busy(format!(
        "uid {} runs {most} of it already, and may not run more",
        caller.uid
    )))
}
