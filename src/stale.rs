//! What running instances hold that isn't the host's any more: a file mount keeps the file that was there
//! when it was made, also when a package puts another one in its place. Both are asked, so that nothing
//! rests on what was remembered. Root only: others can't look into an instance's directory.

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Kernel, Statfs};
use crate::plan::STATE;

/// One mounted file or directory that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// As its directory is called: NAME or NAME-X.
    pub instance: String,
    pub path: String,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Something else is there now.
    Replaced,
    /// Nothing is there any more.
    Gone,
}

/// Everything stale, in the order of the mounts. What a running instance is unmounted from while it is
/// looked at isn't stale.
pub fn find<K: Kernel>(kernel: &mut K) -> Result<Vec<Stale>, Error> {
    let step = "read the table of mounts";
    let mounts = kernel
        .getfsstat()
        .map_err(|failure| Error::step(step, failure))?;
    let mut stale = Vec::new();
    for mount in mounts.iter().filter(|mount| mount.kind == "nullfs") {
        let Some(instance) = instance_of(mount) else {
            continue;
        };
        let how = compare(kernel, mount)
            .map_err(|failure| Error::step(format!("look at {}", mount.on), failure))?;
        stale.extend(how.map(|how| Stale {
            instance: instance.to_string(),
            path: mount.from.clone(),
            how,
        }));
    }
    Ok(stale)
}

/// Whose root it is in. What masks is no file of the host's.
fn instance_of(mount: &Statfs) -> Option<&str> {
    let below = mount.on.strip_prefix(STATE)?.strip_prefix('/')?;
    let (instance, rest) = below.split_once('/')?;
    let is_hosts = !mount.from.starts_with(STATE);
    (rest.starts_with("root/") && is_hosts).then_some(instance)
}

fn compare<K: Kernel>(kernel: &mut K, mount: &Statfs) -> Result<Option<How>, Failure> {
    let held = match kernel.lstatat(At::Cwd, &mount.on) {
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(None),
        held => held?,
    };
    match kernel.lstatat(At::Cwd, &mount.from) {
        Ok(now) if now.inode == held.inode && now.kind == held.kind => Ok(None),
        Ok(_) => Ok(Some(How::Replaced)),
        Err(failure) if matches!(failure.errno, Errno::ENOENT | Errno::ENOTDIR) => {
            Ok(Some(How::Gone))
        }
        Err(failure) => Err(failure),
    }
}
