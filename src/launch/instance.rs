//! An instance: its label, its directory below the state directory, and its journal, which is its
//! lock too. Only root can enter any of it.

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Fd, Kernel, Lock, Open, Unlink};
use crate::launch::journal::{self, Story, Unreadable};
use crate::launch::lock;
use crate::plan::STATE;
use crate::trust::{self, Owner};

/// A held instance.
#[derive(Clone, Debug)]
pub struct Instance {
    pub label: String,
    /// The journal, locked.
    pub fd: Fd,
    /// Its directory wasn't there: nothing can be left of an earlier supervisor.
    pub is_new: bool,
}

pub fn directory(label: &str) -> String {
    format!("{STATE}/{label}")
}

fn journal_path(label: &str) -> String {
    format!("{STATE}/{label}/journal")
}

/// The directory that all state is in, which only root may have made.
pub fn prepare_state<K: Kernel>(kernel: &mut K) -> Result<(), Error> {
    let step = format!("make the state directory {STATE}");
    match kernel.mkdirat(At::Cwd, STATE, 0o700) {
        Err(failure) if failure.errno != Errno::EEXIST => return Err(Error::step(step, failure)),
        _ => {}
    }
    let opened = trust::open(kernel, STATE, Open::Directory, Owner::Root)
        .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    kernel
        .close(opened.fd)
        .map_err(|failure| Error::step(step, failure))
}

/// Makes the directory and locks the journal. EAGAIN: somebody holds it.
pub fn take<K: Kernel>(kernel: &mut K, label: &str) -> Result<Instance, Failure> {
    for _ in 0..100 {
        let is_new = match kernel.mkdirat(At::Cwd, &directory(label), 0o700) {
            Err(failure) if failure.errno != Errno::EEXIST => return Err(failure),
            made => made.is_ok(),
        };
        match lock::take(kernel, &journal_path(label), Lock::Exclusive) {
            // Whoever held it took the directory away between our two calls.
            Err(failure) if failure.errno == Errno::ENOENT => {}
            Err(failure) => {
                // An empty one is nobody's; one that somebody uses stays.
                let _ = kernel.unlinkat(At::Cwd, &directory(label), Unlink::Directory);
                return Err(failure);
            }
            Ok(fd) => {
                return Ok(Instance {
                    label: label.to_string(),
                    fd,
                    is_new,
                });
            }
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

/// Takes the names away, then the lock. A journal that somebody else made in the place of ours, after
/// ours was removed under us, is theirs.
pub fn release<K: Kernel>(kernel: &mut K, instance: &Instance) -> Result<(), Failure> {
    let path = journal_path(&instance.label);
    let ours = lock::is_ours(kernel, instance.fd, &path);
    let outcome = match ours {
        Ok(true) => kernel.unlinkat(At::Cwd, &path, Unlink::File),
        Ok(false) => Ok(()),
        Err(ref failure) => Err(failure.clone()),
    };
    let gone = remove_directory(kernel, &instance.label);
    let closed = kernel.close(instance.fd);
    outcome.and(gone).and(closed)
}

/// Another launch's cleaning may make a journal of its own in it at any moment, until it is gone: then the
/// directory is theirs to remove.
fn remove_directory<K: Kernel>(kernel: &mut K, label: &str) -> Result<(), Failure> {
    let mut last = Ok(());
    for _ in 0..10 {
        last = kernel.unlinkat(At::Cwd, &directory(label), Unlink::Directory);
        match &last {
            Err(failure) if failure.errno == Errno::ENOENT => return Ok(()),
            Err(failure) if failure.errno == Errno::ENOTEMPTY => {}
            _ => return last,
        }
        match kernel.lstatat(At::Cwd, &journal_path(label)) {
            Ok(_) => return Ok(()),
            // They have removed theirs just now, or it is something else that keeps it.
            Err(failure) if failure.errno == Errno::ENOENT => {}
            Err(failure) => return Err(failure),
        }
    }
    last
}

/// Gives the lock back and leaves the journal: it says what became of the instance.
pub fn leave<K: Kernel>(kernel: &mut K, instance: &Instance) -> Result<(), Failure> {
    kernel.close(instance.fd)
}

/// What the journal says. `Err` inside: it says nothing that can be followed.
pub fn story<K: Kernel>(kernel: &mut K, label: &str) -> Result<Result<Story, Unreadable>, Failure> {
    match trust::read(kernel, &journal_path(label), journal::MOST) {
        Ok(bytes) => Ok(journal::parse(&bytes)),
        Err(distrust) if distrust.is_absent() => Ok(Err(Unreadable::Empty)),
        Err(trust::Distrust::Failed { failure, .. }) => Err(failure),
        Err(trust::Distrust::Untrusted { .. }) => Ok(Err(Unreadable::Foreign)),
    }
}

/// The labels of all instances that have a directory, sorted.
pub fn labels<K: Kernel>(kernel: &mut K) -> Result<Vec<String>, Failure> {
    let mut names = state_names(kernel)?;
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

/// Every name in the state directory, sorted.
pub fn state_names<K: Kernel>(kernel: &mut K) -> Result<Vec<String>, Failure> {
    let directory = kernel.openat(At::Cwd, STATE, Open::Directory)?;
    let names = kernel.readdir(directory);
    let closed = kernel.close(directory);
    let mut names = names.and_then(|names| closed.map(|()| names))?;
    names.sort();
    Ok(names)
}
