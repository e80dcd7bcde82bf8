//! What the service's own start holds for as long as it is supervised, restarts included: the
//! instance's journal, one of the caller's slots, the pidfile.

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Fd, FileKind, Kernel, Lock, Open, Pid};
use crate::launch::cleanup::{self, Swept};
use crate::launch::instance::{self, Instance};
use crate::launch::lock;
use crate::permit::Permit;
use crate::plan::STATE;
use crate::trust::{self, Owner};

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
    pidfile: Option<(String, Fd)>,
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
        let mut held = Held {
            instance,
            slot,
            pidfile: None,
        };
        match pidfile(kernel, permit) {
            Ok(pidfile) => held.pidfile = pidfile,
            Err(error) => {
                let _ = held.release(kernel, Leave::Nothing);
                return Err(error);
            }
        }
        Ok(held)
    }

    pub fn pidfile(&self) -> Option<&str> {
        self.pidfile.as_ref().map(|(path, _)| path.as_str())
    }

    /// Gives back what could not be released.
    pub fn release<K: Kernel>(self, kernel: &mut K, leave: Leave) -> Vec<String> {
        let mut leftovers = Vec::new();
        let mut note = |what: String, outcome: Result<(), Failure>| {
            if let Err(failure) = outcome {
                leftovers.push(format!("{what}: {failure}"));
            }
        };
        if let Some((path, _)) = &self.pidfile {
            let what = format!("remove the pidfile {path}");
            note(what, release_file(kernel, self.pidfile.clone()));
        }
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
    let held = instance::take(kernel, label).map_err(|failure| match failure.errno {
        Errno::EAGAIN => busy(),
        _ => Error::step(format!("lock the instance {label}"), failure),
    })?;
    if held.is_new {
        return Ok(held);
    }
    let error = match cleanup::clean(kernel, &held) {
        Ok(Swept::Cleaned) => return Ok(held),
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

/// As pidfile(3) does it: opened, locked, the pid of the supervisor written. Only the service's own
/// start, and only root's.
fn pidfile<K: Kernel>(kernel: &mut K, permit: &Permit) -> Result<Option<(String, Fd)>, Error> {
    let Some(path) = &permit.profile().pidfile else {
        return Ok(None);
    };
    if permit.is_one_off() || !permit.caller().is_root() {
        return Ok(None);
    }
    let step = |failure| Error::step(format!("write the pidfile {path}"), failure);
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let above = if directory.is_empty() { "/" } else { directory };
    let parent = trust::open(kernel, above, Open::Directory, Owner::Root)
        .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    let opened = kernel.openat(At::Dir(parent.fd), name, Open::ReadWriteCreate(0o600));
    let closed = kernel.close(parent.fd);
    let fd = opened.and_then(|fd| closed.map(|()| fd)).map_err(step)?;
    let pid = kernel.getpid();
    match write_pid(kernel, path, fd, pid) {
        Ok(()) => Ok(Some((path.clone(), fd))),
        Err(error) => {
            // It isn't ours, or holds nothing.
            let _ = kernel.close(fd);
            Err(error)
        }
    }
}

fn write_pid<K: Kernel>(kernel: &mut K, path: &str, fd: Fd, pid: Pid) -> Result<(), Error> {
    let step = |failure| Error::step(format!("write the pidfile {path}"), failure);
    let stat = kernel.fstat(fd).map_err(step)?;
    if stat.kind != FileKind::Regular || stat.links != 1 || stat.uid != 0 {
        return Err(Error::Profile(format!(
            "{path} is not a file of root's with one name"
        )));
    }
    // Whoever can open it can hold its lock.
    kernel.fchmod(fd, 0o600).map_err(step)?;
    kernel
        .flock(fd, Lock::Exclusive)
        .map_err(|failure| match failure.errno {
            Errno::EAGAIN => Error::Busy(format!("another process holds the pidfile {path}")),
            _ => step(failure),
        })?;
    kernel.ftruncate(fd, 0).map_err(step)?;
    kernel
        .write(fd, pid.0.to_string().as_bytes())
        .map(drop)
        .map_err(step)
}
