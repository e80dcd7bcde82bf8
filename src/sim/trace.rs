//! ktrace(2): who is traced into which file, and up to which size. What a program does isn't simulated, so
//! nothing is ever written.

use super::lookup::{Last, READ, WRITE};
use super::world::{Res, World};
use crate::kernel::{At, Errno, FileKind, Limit, Procctl, Rlimit, UNLIMITED};

/// A process's trace. Its children have it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    pub file: String,
    /// The limit of a file's size that whoever began it had.
    pub limit: u64,
}

impl World {
    pub(super) fn getrlimit(&self, pid: i32, limit: Limit) -> Res<Rlimit> {
        let held = self.process(pid)?.limits.get(&limit);
        Ok(held.copied().unwrap_or(Rlimit::both(UNLIMITED)))
    }

    /// trace_ctl in sys/kern/kern_procctl.c.
    pub(super) fn control(&mut self, pid: i32, control: Procctl) -> Res<()> {
        let process = self.process_mut(pid)?;
        if control == Procctl::NoTrace && process.trace.is_some() {
            return Err(Errno::EBUSY.into());
        }
        process.procctls.insert(control);
        Ok(())
    }

    /// Of the superuser's, since the rules for others' processes are many and we are no other.
    pub(super) fn ktrace(&mut self, pid: i32, file: &str, target: i32) -> Res<()> {
        let place = self.find(pid, At::Cwd, file, Last::NoFollow)?.existing()?;
        match self.inode(place.inode)?.kind {
            FileKind::Regular => {}
            FileKind::Symlink => return Err(Errno::EMLINK.into()),
            FileKind::Directory => return Err(Errno::EISDIR.into()),
            _ => return Err(Errno::EACCES.into()),
        }
        self.permit(pid, place.inode, READ)?;
        self.permit(pid, place.inode, WRITE)?;
        self.need_writable(place)?;
        let limit = self.getrlimit(pid, Limit::Filesize)?.soft;
        let found = self.processes.get(&target).ok_or(Errno::ESRCH)?;
        if found.ending().is_some() {
            return Err(Errno::ESRCH.into());
        }
        self.need_root(pid)?;
        let file = file.to_string();
        self.process_mut(target)?.trace = Some(Trace { file, limit });
        Ok(())
    }
}
