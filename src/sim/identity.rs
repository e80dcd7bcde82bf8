//! Credentials, limits, procctl(2), addresses and rctl(4): calls that check a privilege and set a value.

use super::world::{Res, World};
use crate::kernel::{Alias, Errno, Ids, Limit, Rlimit};

const KEEP: u32 = u32::MAX;

fn change(old: Ids, new: Ids, is_privileged: bool) -> Res<Ids> {
    let pick = |new: u32, old: u32| if new == KEEP { old } else { new };
    let wanted = Ids {
        real: pick(new.real, old.real),
        effective: pick(new.effective, old.effective),
        saved: pick(new.saved, old.saved),
    };
    let held = [old.real, old.effective, old.saved];
    let is_held = [wanted.real, wanted.effective, wanted.saved]
        .iter()
        .all(|id| held.contains(id));
    if is_privileged || is_held {
        Ok(wanted)
    } else {
        Err(Errno::EPERM.into())
    }
}

impl World {
    pub(super) fn setresuid(&mut self, pid: i32, ids: Ids) -> Res<()> {
        let is_privileged = self.is_privileged(pid);
        let process = self.process_mut(pid)?;
        process.credentials.uid = change(process.credentials.uid, ids, is_privileged)?;
        Ok(())
    }

    pub(super) fn setresgid(&mut self, pid: i32, ids: Ids) -> Res<()> {
        let is_privileged = self.is_privileged(pid);
        let process = self.process_mut(pid)?;
        process.credentials.gid = change(process.credentials.gid, ids, is_privileged)?;
        Ok(())
    }

    pub(super) fn setgroups(&mut self, pid: i32, groups: &[u32]) -> Res<()> {
        self.need_root(pid)?;
        if groups.len() > 1023 {
            return Err(Errno::EINVAL.into());
        }
        self.process_mut(pid)?.credentials.groups = groups.to_vec();
        Ok(())
    }

    pub(super) fn setsid(&mut self, pid: i32) -> Res<()> {
        let process = self.process_mut(pid)?;
        if process.session == pid {
            return Err(Errno::EPERM.into());
        }
        process.session = pid;
        Ok(())
    }

    /// Per session: a caller that forgot setsid renames everybody in it.
    pub(super) fn setlogin(&mut self, pid: i32, name: &str) -> Res<()> {
        self.need_root(pid)?;
        if name.len() > 32 {
            return Err(Errno::EINVAL.into());
        }
        let session = self.process(pid)?.session;
        for process in self
            .processes
            .values_mut()
            .filter(|process| process.session == session)
        {
            process.login = name.to_string();
        }
        Ok(())
    }

    pub(super) fn setpriority(&mut self, pid: i32, nice: i32) -> Res<()> {
        if nice < self.process(pid)?.nice && !self.is_privileged(pid) {
            return Err(Errno::EACCES.into());
        }
        self.process_mut(pid)?.nice = nice.clamp(-20, 20);
        Ok(())
    }

    pub(super) fn setfib(&mut self, pid: i32, fib: i32) -> Res<()> {
        let fibs = self
            .sysctls
            .get("net.fibs")
            .and_then(|text| text.parse::<i32>().ok())
            .unwrap_or(1);
        if !(0..fibs).contains(&fib) {
            return Err(Errno::EINVAL.into());
        }
        self.process_mut(pid)?.fib = fib;
        Ok(())
    }

    /// MAXLOGNAME is 33, with the NUL.
    pub(super) fn setloginclass(&mut self, pid: i32, name: &str) -> Res<()> {
        self.need_root(pid)?;
        match name.len() {
            0 => Err(Errno::EINVAL.into()),
            1..33 => {
                self.process_mut(pid)?.login_class = name.to_string();
                Ok(())
            }
            _ => Err(Errno::ENAMETOOLONG.into()),
        }
    }

    pub(super) fn setrlimit(&mut self, pid: i32, limit: Limit, amount: Rlimit) -> Res<()> {
        let is_privileged = self.is_privileged(pid);
        let process = self.process_mut(pid)?;
        let held = process.limits.get(&limit);
        if held.is_some_and(|held| amount.hard > held.hard) && !is_privileged {
            return Err(Errno::EPERM.into());
        }
        let soft = amount.soft.min(amount.hard);
        process.limits.insert(limit, Rlimit { soft, ..amount });
        Ok(())
    }

    pub(super) fn procctl_reap_acquire(&mut self, pid: i32) -> Res<()> {
        let process = self.process_mut(pid)?;
        if process.is_reaper {
            return Err(Errno::EBUSY.into());
        }
        process.is_reaper = true;
        Ok(())
    }

    pub(super) fn sysctl(&self, pid: i32, name: &str) -> Res<String> {
        if name == "security.jail.jailed" {
            return Ok(i32::from(self.process(pid)?.jail.is_some()).to_string());
        }
        self.sysctls
            .get(name)
            .cloned()
            .ok_or_else(|| Errno::ENOENT.into())
    }

    pub(super) fn add_address(&mut self, pid: i32, alias: &Alias) -> Res<()> {
        self.need_host_root(pid)?;
        if !self.interfaces.contains(&alias.interface) {
            return Err(Errno::ENXIO.into());
        }
        let known = self
            .addresses
            .iter_mut()
            .find(|a| a.interface == alias.interface && a.address == alias.address);
        match known {
            Some(known) => known.prefix = alias.prefix,
            None => self.addresses.push(alias.clone()),
        }
        Ok(())
    }

    pub(super) fn delete_address(&mut self, pid: i32, alias: &Alias) -> Res<()> {
        self.need_host_root(pid)?;
        if !self.interfaces.contains(&alias.interface) {
            return Err(Errno::ENXIO.into());
        }
        let found = self
            .addresses
            .iter()
            .position(|a| a.interface == alias.interface && a.address == alias.address);
        self.addresses.remove(found.ok_or(Errno::EADDRNOTAVAIL)?);
        Ok(())
    }

    fn need_racct(&self, pid: i32) -> Res<()> {
        if self.sysctls.get("kern.racct.enable").map(String::as_str) != Some("1") {
            return Err(Errno::ENOSYS.into());
        }
        self.need_host_root(pid)
    }

    pub(super) fn rctl_add_rule(&mut self, pid: i32, rule: &str) -> Res<()> {
        self.need_racct(pid)?;
        let amount = rule
            .split(':')
            .nth(3)
            .and_then(|action| action.split_once('='));
        let amount = amount
            .and_then(|(_, amount)| amount.split('/').next())
            .ok_or(Errno::EINVAL)?;
        if amount.is_empty() || !amount.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Errno::EINVAL.into());
        }
        if !is_supported(rule) {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if !self.rctl_rules.iter().any(|known| known == rule) {
            self.rctl_rules.push(rule.to_string());
        }
        Ok(())
    }

    /// One number for each: what is used isn't simulated.
    pub(super) fn rctl_get_racct(&self, pid: i32, subject: &str) -> Res<String> {
        self.need_racct(pid)?;
        let name = subject.strip_prefix("jail:").ok_or(Errno::EINVAL)?;
        let jail = self.jails.values().find(|jail| jail.name == name);
        let id = jail.ok_or(Errno::ESRCH)?.id;
        let members = self.processes.values().filter(|p| p.jail == Some(id));
        Ok(format!("cputime=0,memoryuse=0,maxproc={}", members.count()))
    }

    pub(super) fn rctl_remove_rule(&mut self, pid: i32, filter: &str) -> Res<()> {
        self.need_racct(pid)?;
        let before = self.rctl_rules.len();
        self.rctl_rules.retain(|rule| !filter_matches(filter, rule));
        if self.rctl_rules.len() == before {
            Err(Errno::ESRCH.into())
        } else {
            Ok(())
        }
    }
}

/// An empty part of a filter matches anything; an action matches without its amount.
fn filter_matches(filter: &str, rule: &str) -> bool {
    let mut parts = rule.split(':');
    filter.split(':').all(|wanted| {
        let part = parts.next().unwrap_or_default();
        wanted.is_empty() || wanted == part || part.split('=').next() == Some(wanted)
    })
}

/// What is only counted can't be denied, and only what is a rate be slowed down (rctl_rule_add in
/// sys/kern/kern_rctl.c).
fn is_supported(rule: &str) -> bool {
    let mut words = rule.split(':').skip(2);
    let resource = words.next().unwrap_or_default();
    let action = words.next().and_then(|action| action.split('=').next());
    let is_rate = ["readbps", "writebps", "readiops", "writeiops"].contains(&resource);
    match action {
        Some("deny") => !is_rate && resource != "cputime" && resource != "wallclock",
        Some("throttle") => is_rate,
        _ => true,
    }
}
