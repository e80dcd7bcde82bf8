//! What running instances hold that isn't the host's any more: a file mount keeps the file that was there
//! when it was made, also when a package puts another one in its place. What is held is in the journal,
//! which a launch writes before it mounts; no path of the host leads into a running root. Root only.

use crate::error::Error;
use crate::instances;
use crate::kernel::{At, Ending, Errno, Failure, FileKind, Kernel};
use crate::launch::journal::Head;
use crate::pkg;
use crate::run::PREFIX;

/// One mounted file or directory that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// As its directory is called: NAME or NAME-X.
    pub instance: String,
    pub profile: String,
    pub path: String,
    pub how: How,
    pub remedy: Remedy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Something else is there now.
    Replaced,
    /// Nothing is there any more.
    Gone,
}

/// Who starts an instance anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The service's own rc.d script, which is wrapped.
    Script(String),
    /// jailrun's, which is given this name.
    Jailrun(String),
    /// Whoever runs it, a uid: no script does.
    Caller(u32),
}

/// What there is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub stale: Vec<Stale>,
    /// Running instances whose journal is lost: nobody knows what they hold.
    pub unknown: Vec<String>,
}

/// Everything stale, by instance, in the order of the mounts. What is mounted is what the journal of a
/// running instance says: the launch has proven both to be the same.
pub fn find<K: Kernel>(kernel: &mut K) -> Result<Found, Error> {
    let mut found = Found::default();
    for listed in instances::list(kernel)? {
        if !listed.status.is_live() {
            continue;
        }
        let Some(story) = listed.story else {
            // Before there is a jail, a start may not have come to its journal.
            found.unknown.extend(listed.jid.map(|_| listed.label));
            continue;
        };
        let remedy = remedy(kernel, &story.head);
        for (inode, path) in story.holds {
            let how = compare(kernel, inode, &path)
                .map_err(|failure| Error::step(format!("look at {path}"), failure))?;
            found.stale.extend(how.map(|how| Stale {
                instance: listed.label.clone(),
                profile: story.head.profile.clone(),
                path,
                how,
                remedy: remedy.clone(),
            }));
        }
    }
    Ok(found)
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

/// A wrapped rc.d script runs its service by a link of the profile's name and the instance's, which is the
/// script's.
fn remedy<K: Kernel>(kernel: &mut K, head: &Head) -> Remedy {
    if head.is_one_off || head.caller != 0 {
        return Remedy::Caller(head.caller);
    }
    let instance = head.label.strip_prefix(&head.profile);
    let instance = instance.and_then(|rest| rest.strip_prefix('-'));
    let name = instance.map_or(head.profile.clone(), |instance| {
        format!("{}@{instance}", head.profile)
    });
    let link = kernel.lstatat(At::Cwd, &format!("{PREFIX}/libexec/jailrun/{name}"));
    match link.is_ok_and(|stat| stat.kind == FileKind::Symlink) {
        true => Remedy::Script(instance.unwrap_or(&head.profile).to_string()),
        false => Remedy::Jailrun(name),
    }
}

/// Names of packages are short.
const LONGEST: usize = 256;

/// The package that made a file, as `pkg which` says. `None`: no package did.
///
/// The error is why that can't be known; pkg may wait for seconds before it says so, since only one of it
/// uses the database at a time.
pub fn package<K: Kernel>(kernel: &mut K, path: &str) -> Result<Option<String>, Error> {
    let words = ["which", "-q", path];
    let answer = pkg::ask(kernel, &words)?;
    let text = String::from_utf8_lossy(&answer.said);
    let line = text.lines().next().unwrap_or_default();
    let is_printed = |letter: &char| !letter.is_control();
    let name: String = line.chars().filter(is_printed).take(LONGEST).collect();
    match answer.ending {
        Ending::Exited(0) if !name.is_empty() => Ok(Some(name)),
        Ending::Exited(0 | 1) => Ok(None),
        _ => Err(answer.refused(&words)),
    }
}
