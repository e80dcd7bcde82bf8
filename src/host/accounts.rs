//! Users and groups of the host that a profile names.

use crate::error::Error;
use crate::kernel::{Kernel, Stat, User};
use crate::profile::Profile;
use std::collections::BTreeMap;

/// Whose service it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub user: User,
    /// The group that it runs with, which needn't be the user's own.
    pub gid: u32,
    pub groups: Vec<u32>,
}

impl Service {
    pub fn of<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<Service, Error> {
        let user = account(kernel, &profile.user)?;
        if user.uid == 0 {
            return Err(Error::Profile("the service may not be root".to_string()));
        }
        let gid = match &profile.group {
            Some(name) => group(kernel, name)?,
            None => user.gid,
        };
        let mut groups = Vec::new();
        for name in &profile.groups {
            groups.push(group(kernel, name)?);
        }
        Ok(Service { user, gid, groups })
    }

    /// Whether a file's mode lets the service do all of `wanted`: 4 reads, 1 executes.
    pub fn may(&self, stat: &Stat, wanted: u32) -> bool {
        let shift = if stat.uid == self.user.uid {
            6
        } else if stat.gid == self.gid || self.groups.contains(&stat.gid) {
            3
        } else {
            0
        };
        (stat.mode >> shift) & wanted == wanted
    }
}

/// The uids of owners that the profile names, by the name that it has for them.
pub fn owners<K: Kernel>(
    kernel: &mut K,
    profile: &Profile,
) -> Result<BTreeMap<String, u32>, Error> {
    let of_tmpfs = profile
        .root
        .tmpfs
        .iter()
        .filter_map(|entry| entry.owner.as_ref());
    let of_rw = profile
        .root
        .rw
        .iter()
        .filter_map(|entry| entry.owner.as_ref());
    let of_sockets = profile.listen.iter().filter_map(|one| one.owner.as_ref());
    let mut owners = BTreeMap::new();
    for owner in of_tmpfs.chain(of_rw).chain(of_sockets) {
        owners.insert(owner.clone(), account(kernel, owner)?.uid);
    }
    Ok(owners)
}

pub fn account<K: Kernel>(kernel: &mut K, name: &str) -> Result<User, Error> {
    let step = |failure| Error::step(format!("look up the user {name}"), failure);
    let found = match name.parse::<u32>() {
        Ok(uid) => kernel.getpwuid(uid),
        Err(_) => kernel.getpwnam(name),
    };
    found
        .map_err(step)?
        .ok_or_else(|| Error::Profile(format!("no user {name} on this host")))
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
