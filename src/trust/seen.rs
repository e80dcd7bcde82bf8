//! What an answer about files rests on, so that a later launch can ask whether it still holds without
//! asking the question again.

use super::{Files, Owner, close, judge};
use crate::kernel::{At, Errno, Open, Stat};

/// What names a state of a file, for as long as nobody sets the clock back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    pub ctime: (i64, i64),
}

impl From<&Stat> for Identity {
    fn from(stat: &Stat) -> Identity {
        Identity {
            device: stat.device,
            inode: stat.inode,
            size: stat.size,
            ctime: stat.ctime,
        }
    }
}

/// One thing that answers rest on, at its link-free path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A directory that was passed through. Names in it may come and go.
    Passed(Identity),
    /// A directory in which something was looked for and not found, or that was listed.
    Searched(Identity),
    /// A file that was opened, or a link that was followed.
    File(Identity),
    Absent,
}

impl Seen {
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Seen::Passed(identity) | Seen::Searched(identity) | Seen::File(identity) => {
                Some(identity)
            }
            Seen::Absent => None,
        }
    }

    /// What is at `path` now, if it is as it was. All that lies above it must have been asked before.
    ///
    /// Owner, mode and ACL can't change without the change time, so that what was trusted then is trusted
    /// now. A directory that is only passed through gets a second look, since names in /etc and /var/run
    /// come and go all day.
    pub fn again<F: Files>(&self, files: &mut F, path: &str) -> Result<Option<Stat>, Changed> {
        let shown = if path.is_empty() { "/" } else { path };
        let now = match (files.lstatat(At::Cwd, shown), self) {
            (Ok(now), _) => now,
            (Err(failure), Seen::Absent) if failure.errno == Errno::ENOENT => return Ok(None),
            (Err(_), _) => return Err(Changed),
        };
        let found = Identity::from(&now);
        let holds = match self {
            Seen::Absent => false,
            Seen::Searched(then) | Seen::File(then) => found == *then,
            Seen::Passed(then) if found == *then => true,
            Seen::Passed(then) => {
                let is_same = (found.device, found.inode) == (then.device, then.inode);
                is_same && is_trusted_directory(files, shown)
            }
        };
        match holds {
            true => Ok(Some(now)),
            false => Err(Changed),
        }
    }
}

/// The answer may be another one by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed;

fn is_trusted_directory<F: Files>(files: &mut F, path: &str) -> bool {
    let Ok(fd) = files.openat(At::Cwd, path, Open::Directory) else {
        return false;
    };
    let verdict = judge(files, fd, path, Owner::Root);
    close(files, fd);
    verdict.is_ok()
}
