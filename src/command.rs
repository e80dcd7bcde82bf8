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
        return Err(Error::Usage(format!(
            "{program:?}: a command is an absolute path"
        )));
    }
    let exec = |failure| Error::Exec {
        program: program.clone(),
        failure,
    };
    // O_NONBLOCK: a fifo or a device in the place of a program doesn't hold us up.
    let trusted = match trust::open(kernel, program, Open::Read, Owner::Root) {
        Ok(trusted) => trusted,
        Err(Distrust::Failed { failure, .. }) => return Err(exec(failure)),
        Err(Distrust::Untrusted { .. }) => {
            return Err(Error::Refused(
                "a command must lie where only root can write".to_string(),
            ));
        }
    };
    let closed = kernel.close(trusted.fd);
    closed.map_err(exec)?;
    let denied = || exec(Failure::new("access", Errno::EACCES));
    if trusted.stat.kind != FileKind::Regular {
        return Err(denied());
    }
    let (uid, gids) = service(kernel, permit)?;
    let by_caller = may_execute(&trusted.stat, caller.uid, |gid| caller.is_in(gid));
    let by_service = may_execute(&trusted.stat, uid, |gid| gids.contains(&gid));
    match by_caller && by_service {
        true => Ok(()),
        false => Err(denied()),
    }
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
