//! What the files of `files` hold: a copy of the host's, a text, or the accounts of the service.

use super::accounts::{Service, account};
use super::synthetic::{self, Account, Group};
use crate::error::Error;
use crate::kernel::{Kernel, Open, User};
use crate::plan::Made;
use crate::profile::{Content, Profile};
use crate::trust::walk::Walker;
use crate::trust::{Distrust, Owner};
use std::collections::BTreeMap;

/// A copied file isn't longer: what is larger is granted, not copied.
const LONGEST: usize = 1 << 20;

pub fn make<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
    service: &Service,
) -> Result<BTreeMap<String, Made>, Error> {
    let files = &profile.root.files;
    let is_synthetic = files.values().any(|content| *content == Content::Synthetic);
    let (accounts, groups) = match is_synthetic {
        true => people(walker.files(), profile, service)?,
        false => (Vec::new(), Vec::new()),
    };
    let mut made = BTreeMap::new();
    for (path, content) in files {
        let file = match content {
            Content::Host => copy(walker, path)?,
            Content::Text(text) => Made::readable(text.clone().into_bytes()),
            Content::Synthetic => account_file(path, &accounts, &groups)?,
        };
        made.insert(path.clone(), file);
    }
    Ok(made)
}

/// With the owner and mode that it has: a copy lets nobody read what he couldn't.
fn copy<K: Kernel>(walker: &mut Walker<'_, K>, path: &str) -> Result<Made, Error> {
    let refused = |words: String| Error::Profile(format!("files: {words}"));
    let found = walker
        .resolve(path, Open::Path, Owner::Root)
        .map_err(|stop| refused(Distrust::from(stop).to_string()))?;
    walker.close(found.fd);
    let content = walker
        .read(&found.path, LONGEST)
        .map_err(|distrust| refused(distrust.to_string()))?;
    let content = content.ok_or_else(|| refused(format!("{path} is gone")))?;
    Ok(Made {
        content: content.into(),
        mode: found.stat.mode & 0o777,
        uid: found.stat.uid,
        gid: found.stat.gid,
    })
}

fn account_file(path: &str, accounts: &[Account], groups: &[Group]) -> Result<Made, Error> {
    let database = || {
        synthetic::pwd_db(accounts)
            .ok_or_else(|| Error::Profile(format!("{path}: an account is too large for it")))
    };
    Ok(match path {
        "/etc/passwd" => Made::readable(synthetic::passwd(accounts).into_bytes()),
        "/etc/group" => Made::readable(synthetic::group(groups).into_bytes()),
        "/etc/pwd.db" => Made::readable(database()?),
        // Root's alone, as on every host.
        _ => Made {
            mode: 0o600,
            ..Made::readable(database()?)
        },
    })
}

/// The service's user, and whoever else the profile gives a directory to; the groups of all of them.
fn people<K: Kernel>(
    kernel: &mut K,
    profile: &Profile,
    service: &Service,
) -> Result<(Vec<Account>, Vec<Group>), Error> {
    let mut users = vec![service.user.clone()];
    let owners = profile
        .root
        .tmpfs
        .iter()
        .filter_map(|entry| entry.owner.as_ref());
    for owner in owners.chain(
        profile
            .root
            .rw
            .iter()
            .filter_map(|entry| entry.owner.as_ref()),
    ) {
        let user = account(kernel, owner)?;
        if users.iter().all(|known| known.uid != user.uid) {
            users.push(user);
        }
    }
    let accounts = users
        .iter()
        .enumerate()
        .map(|(index, user)| Account {
            name: user.name.clone(),
            uid: user.uid,
            // What the service runs with is its user's group inside.
            gid: if index == 0 { service.gid } else { user.gid },
            home: home(profile, user),
        })
        .collect::<Vec<_>>();
    let own = accounts.iter().map(|account| (account.gid, None));
    let more = service.groups.iter();
    let more = more.map(|gid| (*gid, Some(service.user.name.clone())));
    let mut groups: Vec<Group> = Vec::new();
    for (gid, member) in own.chain(more) {
        if groups.iter().any(|known| known.gid == gid) {
            continue;
        }
        let step = |failure| Error::step(format!("look up the group {gid}"), failure);
        let name = kernel.getgrgid(gid).map_err(step)?;
        groups.push(Group {
            name: name.unwrap_or_else(|| gid.to_string()),
            gid,
            members: member.into_iter().collect(),
        });
    }
    Ok((accounts, groups))
}

/// The host's, if the profile grants it; nowhere else.
fn home(profile: &Profile, user: &User) -> String {
    let root = &profile.root;
    let granted = root
        .ro
        .iter()
        .chain(root.rw.iter().map(|entry| &entry.path))
        .chain(root.tmpfs.iter().map(|entry| &entry.path));
    let is_there = granted
        .into_iter()
        .any(|path| user.home == *path || crate::plan::is_below(&user.home, path));
    match is_there && !user.home.contains([':', '\n']) {
        true => user.home.clone(),
        false => "/nonexistent".to_string(),
    }
}
