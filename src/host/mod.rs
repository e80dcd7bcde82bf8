//! Looks the host over for a plan: accounts, sources, devices, what the kernel can. Changes nothing but
//! for the devfs ruleset, which is inert until a mount names it.

pub mod db;
pub mod synthetic;

use crate::error::Error;
use crate::kernel::{DevfsAct, DevfsRule, Errno, Failure, FileKind, Kernel, Lock, Open};
use crate::launch::lock;
use crate::permit::Permit;
use crate::plan::{Host, STATE};
use crate::profile::{Profile, Writable};
use crate::trust::{self, Owner};
use std::collections::BTreeMap;

/// Boolean jail parameters of jail(8), beside those that file systems add.
const ALLOW: [&str; 19] = [
    "set_hostname",
    "reserved_ports",
    "unprivileged_proc_debug",
    "extattr",
    "suser",
    "raw_sockets",
    "chflags",
    "quotas",
    "socket_af",
    "mlock",
    "read_msgbuf",
    "nfsd",
    "adjtime",
    "settime",
    "routing",
    "setaudit",
    "unprivileged_parent_tampering",
    "vmm",
    "sysvipc",
];

/// The parameters that are on in a new jail (JAIL_DEFAULT_ALLOW) and those that only a parameter of
/// another name turns on: `sysvipc` is an alias, and its "no" would undo sysvmsg and its kin.
const NEVER_SENT: &str = "sysvipc";

pub fn survey<K: Kernel>(
    kernel: &mut K,
    permit: &Permit,
    kept: BTreeMap<String, String>,
) -> Result<Host, Error> {
    let profile = permit.profile();
    let (user, uid, gid) = service_user(kernel, profile)?;
    let mut groups = Vec::new();
    for name in &profile.groups {
        groups.push(group(kernel, name)?);
    }
    let mut environment = kept;
    environment.extend(profile.env.clone());
    let mut owners = BTreeMap::new();
    for owner in profile
        .root
        .tmpfs
        .iter()
        .filter_map(|tmpfs| tmpfs.owner.as_ref())
    {
        let (_, uid, _) = account(kernel, owner)?;
        owners.insert(owner.clone(), uid);
    }
    Ok(Host {
        sources: sources(kernel, profile, uid)?,
        uid,
        gid,
        groups,
        user,
        owners,
        allow_known: allow_known(kernel)?,
        ruleset: if profile.root.devices.is_empty() {
            0
        } else {
            ruleset(kernel, &profile.root.devices)?
        },
        environment,
    })
}

fn service_user<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<(String, u32, u32), Error> {
    let (name, uid, own_gid) = account(kernel, &profile.user)?;
    if uid == 0 {
        return Err(Error::Profile("the service may not be root".to_string()));
    }
    let gid = match &profile.group {
        Some(name) => group(kernel, name)?,
        None => own_gid,
    };
    Ok((name, uid, gid))
}

fn account<K: Kernel>(kernel: &mut K, name: &str) -> Result<(String, u32, u32), Error> {
    let step = |failure| Error::step(format!("look up the user {name}"), failure);
    let found = match name.parse::<u32>() {
        Ok(uid) => kernel.getpwuid(uid),
        Err(_) => kernel.getpwnam(name),
    };
    let user = found
        .map_err(step)?
        .ok_or_else(|| Error::Profile(format!("no user {name} on this host")))?;
    Ok((user.name, user.uid, user.gid))
}

fn group<K: Kernel>(kernel: &mut K, name: &str) -> Result<u32, Error> {
    if let Ok(gid) = name.parse::<u32>() {
        return Ok(gid);
    }
    kernel
        .getgrnam(name)
        .map_err(|failure| Error::step(format!("look up the group {name}"), failure))?
        .ok_or_else(|| Error::Profile(format!("no group {name} on this host")))
}

fn sources<K: Kernel>(
    kernel: &mut K,
    profile: &Profile,
    uid: u32,
) -> Result<BTreeMap<String, crate::kernel::Stat>, Error> {
    let mut found = BTreeMap::new();
    for path in &profile.root.ro {
        found.insert(path.clone(), source(kernel, path, Owner::Root)?);
    }
    for Writable {
        path, untrusted, ..
    } in &profile.root.rw
    {
        // What leads to it is root's in any case; its own owner and mode only `untrusted` waives.
        let stat = source(kernel, path, Owner::Anybody)?;
        if stat.kind != FileKind::Directory {
            return Err(Error::Profile(format!("{path} is not a directory")));
        }
        if !untrusted && ((stat.uid != 0 && stat.uid != uid) || stat.mode & 0o022 != 0) {
            return Err(Error::Profile(format!(
                "{path} is writable by others than root and the service's user; \
                 rw needs untrusted = true for it"
            )));
        }
        found.insert(path.clone(), stat);
    }
    Ok(found)
}

fn source<K: Kernel>(
    kernel: &mut K,
    path: &str,
    owner: Owner,
) -> Result<crate::kernel::Stat, Error> {
    let trusted = trust::open(kernel, path, Open::Path, owner)
        .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    let closed = kernel.close(trusted.fd);
    closed.map_err(|failure| Error::step(format!("look at {path}"), failure))?;
    match trusted.stat.kind {
        FileKind::Regular | FileKind::Directory => Ok(trusted.stat),
        _ => Err(Error::Profile(format!(
            "{path} is neither a file nor a directory"
        ))),
    }
}

/// What isn't known to the running kernel must not be sent, and what is known must be turned off.
fn allow_known<K: Kernel>(kernel: &mut K) -> Result<Vec<String>, Error> {
    let mut known = Vec::new();
    let names = ALLOW.iter().filter(|name| **name != NEVER_SENT);
    for name in names {
        match kernel.sysctl_int(&format!("security.jail.param.allow.{name}")) {
            Ok(_) => known.push((*name).to_string()),
            Err(failure) if failure.errno == Errno::ENOENT => {}
            Err(failure) => {
                return Err(Error::step("ask for the kernel's jail parameters", failure));
            }
        }
    }
    Ok(known)
}

/// Where our rulesets are: one for each distinct list of nodes.
const RULESETS: std::ops::Range<u16> = 0x4a00..0x4b00;

/// Finds or makes the ruleset that hides everything and shows these nodes. It is read back: a ruleset
/// without rules shows every device of the host.
fn ruleset<K: Kernel>(kernel: &mut K, devices: &[String]) -> Result<u16, Error> {
    let step = |failure| Error::step("make a devfs ruleset", failure);
    let held = wait_for(kernel, &format!("{STATE}/.devfs")).map_err(step)?;
    let outcome = ruleset_locked(kernel, devices);
    kernel.close(held).map_err(step)?;
    outcome.map_err(step)
}

fn wait_for<K: Kernel>(kernel: &mut K, path: &str) -> Result<crate::kernel::Fd, Failure> {
    for _ in 0..500 {
        match lock::take(kernel, path, Lock::Exclusive) {
            Err(failure) if failure.errno == Errno::EAGAIN => kernel.sleep_ms(10),
            other => return other,
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

fn ruleset_locked<K: Kernel>(kernel: &mut K, devices: &[String]) -> Result<u16, Failure> {
    let mut names: Vec<&String> = devices.iter().collect();
    names.sort();
    names.dedup();
    for number in RULESETS {
        let mut wanted = vec![rule(number, 1, None, DevfsAct::Hide)];
        for (index, name) in (2u16..).zip(&names) {
            // A node in a directory needs the directory shown.
            wanted.push(rule(number, index, Some((*name).clone()), DevfsAct::Unhide));
        }
        let found = rules(kernel, number)?;
        if found.is_empty() {
            for rule in &wanted {
                kernel.devfs_radd(rule)?;
            }
            if rules(kernel, number)? == wanted {
                return Ok(number);
            }
        } else if found == wanted {
            return Ok(number);
        }
    }
    Err(Failure {
        call: "ioctl",
        errno: Errno::ENOSPC,
        text: "all our rulesets are taken".to_string(),
    })
}

fn rule(ruleset: u16, number: u16, pattern: Option<String>, act: DevfsAct) -> DevfsRule {
    DevfsRule {
        ruleset,
        number,
        pattern,
        act,
    }
}

fn rules<K: Kernel>(kernel: &mut K, ruleset: u16) -> Result<Vec<DevfsRule>, Failure> {
    let mut all = Vec::new();
    let mut after = 0;
    while let Some(rule) = kernel.devfs_rgetnext(ruleset, after)? {
        after = rule.number;
        all.push(rule);
        if all.len() > 4096 {
            return Err(Failure::new("ioctl", Errno::E2BIG));
        }
    }
    Ok(all)
}
