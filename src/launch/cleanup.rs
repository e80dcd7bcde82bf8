//! Takes back what supervisors that were killed left behind. The kernel has ended their jails and
//! processes by then; mounts are found by their place below the state directory, which only root can
//! use, rules by the jail's name, and addresses by their lock files.

use crate::kernel::{At, Errno, Failure, Kernel, Lock, Open, Unlink};
use crate::launch::{lock, steps};
use crate::plan::STATE;
use std::collections::BTreeSet;

/// What could not be taken back.
pub struct Leftover {
    pub step: String,
    pub failure: Failure,
}

fn leftover(step: impl Into<String>) -> impl FnOnce(Failure) -> Leftover {
    move |failure| Leftover {
        step: step.into(),
        failure,
    }
}

/// Cleans every instance that nobody runs. `held` is the one whose lock the caller holds: it is cleaned
/// too. Costs one directory listing when nothing is there.
pub fn sweep<K: Kernel>(kernel: &mut K, held: &str) -> Result<(), Leftover> {
    let directory = kernel
        .openat(At::Cwd, STATE, Open::Directory)
        .map_err(leftover(format!("read {STATE}")))?;
    let names = kernel.readdir(directory);
    let closed = kernel.close(directory);
    let mut names = names
        .and_then(|names| closed.map(|()| names))
        .map_err(leftover(format!("read {STATE}")))?;
    // A launcher killed at its very start or end leaves a lock without a directory.
    let mut instances = BTreeSet::new();
    names.sort();
    for name in &names {
        if name.starts_with(".address-") {
            steps::sweep_address(kernel, name)
                .map_err(leftover(format!("clean up {STATE}/{name}")))?;
        } else if let Some(locked) = name.strip_prefix(".lock-") {
            instances.insert(locked);
        } else if !name.starts_with('.') {
            instances.insert(name);
        }
    }
    instances
        .iter()
        .try_for_each(|name| instance(kernel, name, held))
}

fn instance<K: Kernel>(kernel: &mut K, name: &str, held: &str) -> Result<(), Leftover> {
    let step = format!("clean up the instance {name}");
    if name == held {
        return clean(kernel, name).map_err(leftover(step));
    }
    let path = format!("{STATE}/.lock-{name}");
    let fd = match lock::take(kernel, &path, Lock::Exclusive) {
        Err(failure) if failure.errno == Errno::EAGAIN => return Ok(()),
        other => other.map_err(leftover(step.clone()))?,
    };
    let outcome = clean(kernel, name);
    let unlinked = kernel.unlinkat(At::Cwd, &path, Unlink::File);
    let closed = kernel.close(fd);
    outcome.and(unlinked).and(closed).map_err(leftover(step))
}

fn clean<K: Kernel>(kernel: &mut K, name: &str) -> Result<(), Failure> {
    // A lock file can be lost (rc.d/cleanvar empties /var/run); a jail that lives has a supervisor.
    if kernel.jail_find(&format!("jailrun-{name}"))?.is_some() {
        return Err(Failure {
            call: "jail_get",
            errno: Errno::EBUSY,
            text: "its jail lives".to_string(),
        });
    }
    let directory = format!("{STATE}/{name}");
    let below = format!("{directory}/");
    for mount in kernel
        .getfsstat()?
        .iter()
        .rev()
        .filter(|mount| mount.on.starts_with(&below))
    {
        steps::unmount(kernel, mount.fsid)?;
    }
    match kernel.rctl_remove_rule(&format!("jail:jailrun-{name}")) {
        Err(failure) if !matches!(failure.errno, Errno::ESRCH | Errno::ENOSYS) => {
            return Err(failure);
        }
        _ => {}
    }
    // Directories only, and only empty ones: nothing is ever deleted below a mount point.
    for path in [format!("{directory}/root"), directory] {
        match kernel.unlinkat(At::Cwd, &path, Unlink::Directory) {
            Err(failure) if failure.errno != Errno::ENOENT => return Err(failure),
            _ => {}
        }
    }
    Ok(())
}
