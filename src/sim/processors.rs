//! CPUs: the host's, and those of each jail's root set (sys/kern/kern_cpuset.c).

use super::world::{Res, World};
use crate::kernel::{CpusOf, Errno, JailId};

impl World {
    /// As many as hw.ncpu says; all of them are given to jails.
    pub(super) fn cpus(&self) -> Vec<u32> {
        let count = self.sysctls.get("hw.ncpu");
        let count = count.and_then(|text| text.parse().ok()).unwrap_or(1);
        (0..count).collect()
    }

    pub(super) fn cpuset_getaffinity(&self, pid: i32, whose: CpusOf) -> Res<Vec<u32>> {
        match whose {
            CpusOf::Host => Ok(self.cpus()),
            CpusOf::Jail(id) => {
                self.need_no_jail(pid)?;
                let jail = self.jails.get(&id.0).ok_or(Errno::ESRCH)?;
                Ok(jail.cpus.clone())
            }
        }
    }

    pub(super) fn cpuset_setaffinity(&mut self, pid: i32, id: JailId, cpus: &[u32]) -> Res<()> {
        if cpus.is_empty() {
            return Err(Errno::EDEADLK.into());
        }
        self.need_no_jail(pid)?;
        let host = self.cpus();
        let is_privileged = self.is_privileged(pid);
        let is_lie = self.lies.contains("cpuset_setaffinity");
        let jail = self.jails.get_mut(&id.0).ok_or(Errno::ESRCH)?;
        if !is_privileged {
            return Err(Errno::EPERM.into());
        }
        if !cpus.iter().all(|cpu| host.contains(cpu)) {
            return Err(Errno::EINVAL.into());
        }
        if !is_lie {
            jail.cpus = cpus.to_vec();
            jail.cpus.sort_unstable();
            jail.cpus.dedup();
        }
        Ok(())
    }

    /// Only jails below one's own are found, and no jail of ours has any.
    fn need_no_jail(&self, pid: i32) -> Res<()> {
        match self.process(pid)?.jail {
            Some(_) => Err(Errno::ESRCH.into()),
            None => Ok(()),
        }
    }
}
