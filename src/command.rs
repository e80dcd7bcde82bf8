//! A command of a caller who isn't root: it must lie where only root could have put it, and be one
//! that the caller and the service's user could both execute anyway. Nothing in it is ever quoted.

use crate::error::Error;
use crate::kernel::{Errno, Failure, FileKind, Kernel, Open, Stat};
use crate::permit::Permit;
use crate::trust::{self, Distrust, Owner};

pub fn check<K: Kernel>(kernel: &mut K, permit: &Permit) -> Result<(), Error> {
    let caller = permit.caller();
    let Some([program, ..]) = permit.command().filter(|_| !caller.is_root()) else {
        return Ok(());
    };
    if !program.starts_with('/') {
        return Err(Error::relative(program));
    }
    let exec = |failure| Error::Exec {
        program: program.clone(),
        failure,
    };
    let denied = || exec(Failure::new("access", Errno::EACCES));
    let names: Vec<&str> = program.split('/').filter(|name| !name.is_empty()).collect();
    // To look a device up can make it (tun(4)), and with root's power here.
    if names.iter().any(|name| matches!(*name, "." | "..")) || names.first() == Some(&"dev") {
        return Err(denied());
    }
    let (uid, gids) = service(kernel, permit)?;
    let may = |stat: &Stat| {
        may_execute(stat, caller.uid, |gid| caller.is_in(gid))
            && may_execute(stat, uid, |gid| gids.contains(&gid))
    };
    // From the top: what lies below a directory that isn't theirs to search stays unknown to them.
    for depth in 0..=names.len() {
        let path = format!("/{}", names.get(..depth).unwrap_or_default().join("/"));
        let (how, kind) = match depth == names.len() {
            true => (Open::Path, FileKind::Regular),
            false => (Open::Directory, FileKind::Directory),
        };
        let trusted = match trust::open(kernel, &path, how, Owner::Root) {
            Ok(trusted) => trusted,
            Err(Distrust::Failed { failure, .. }) => return Err(exec(failure)),
            Err(Distrust::Untrusted { .. }) => {
                return Err(Error::Refused(
                    "a command must lie where only root can write".to_string(),
                ));
            }
        };
        kernel.close(trusted.fd).map_err(exec)?;
        if trusted.stat.kind != kind || !may(&trusted.stat) {
            return Err(denied());
        }
    }
    Ok(())
}

/// The service's uid, and its groups.
fn service<K: Kernel>(kernel: &mut K, permit: &Permit) -> Result<(u32, Vec<u32>), Error> {
    let profile = permit.profile();
    let step = |failure| Error::step(format!("look up the user {}", profile.user), failure);
    let found = match profile.user.parse() {
        Ok(uid) => kernel.getpwuid(uid),
        Err(_) => kernel.getpwnam(&profile.user),
    };
    let user = found
        .map_err(step)?
        .ok_or_else(|| Error::Profile(format!("no user {} on this host", profile.user)))?;
    let mut gids = Vec::new();
    if profile.group.is_none() {
        gids.push(user.gid);
    }
    for name in profile.group.iter().chain(&profile.groups) {
        let gid = match name.parse() {
            Ok(gid) => Some(gid),
            Err(_) => kernel.getgrnam(name).map_err(step)?,
        };
        gids.extend(gid);
    }
    Ok((user.uid, gids))
}

/// As vaccess(9): the class that a user falls in decides alone.
fn may_execute(stat: &Stat, uid: u32, is_in: impl Fn(u32) -> bool) -> bool {
    let bit = if stat.uid == uid {
        0o100
    } else if is_in(stat.gid) {
        0o010
    } else {
        0o001
    };
    stat.mode & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_that_a_user_falls_in_decides_alone() {
        let stat = |mode| Stat {
            kind: FileKind::Regular,
            device: 1,
            inode: 1,
            mode,
            links: 1,
            uid: 5,
            gid: 7,
            size: 0,
            ctime: (0, 0),
        };
        let in_seven = |gid| gid == 7;
        assert!(!may_execute(&stat(0o011), 5, in_seven));
        assert!(!may_execute(&stat(0o101), 6, in_seven));
        assert!(may_execute(&stat(0o101), 6, |_| false));
        assert!(may_execute(&stat(0o010), 6, in_seven));
    }
}
