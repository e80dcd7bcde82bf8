//! What running instances hold that isn't the host's any more: a file mount keeps the file that was there
//! when it was made, also when a package puts another one in its place. What is held is in the journal,
//! which a launch writes before it mounts; no path of the host leads into a running root. Root only.

use crate::error::Error;
use crate::instances;
use crate::kernel::{At, Errno, Failure, Kernel};

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

/// Everything stale, by instance, in the order of the mounts. What is mounted is what the journal of a
/// running instance says: the launch has proven both to be the same.
pub fn find<K: Kernel>(kernel: &mut K) -> Result<Vec<Stale>, Error> {
    let mut stale = Vec::new();
    for listed in instances::list(kernel)? {
        let Some(story) = listed.story.filter(|_| listed.status.is_live()) else {
            continue;
        };
        for (inode, path) in story.holds {
            let how = compare(kernel, inode, &path)
                .map_err(|failure| Error::step(format!("look at {path}"), failure))?;
            stale.extend(how.map(|how| Stale {
                instance: listed.label.clone(),
                path,
                how,
            }));
        }
    }
    Ok(stale)
}

fn compare<K: Kernel>(kernel: &mut K, inode: u64, path: &str) -> Result<Option<How>, Failure> {
    match kernel.lstatat(At::Cwd, path) {
        Ok(now) if now.inode == inode => Ok(None),
        Ok(_) => Ok(Some(How::Replaced)),
        Err(failure) if matches!(failure.errno, Errno::ENOENT | Errno::ENOTDIR) => {
            Ok(Some(How::Gone))
        }
        Err(failure) => Err(failure),
    }
}
