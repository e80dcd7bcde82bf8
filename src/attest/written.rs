//! The attempt to execute what the service wrote itself. A service that was taken over can have it fail: by
//! the modes of its own directories and files, by leaving no room, or by taking the names first. So a failure
//! is a refusal only where the kernel says what refuses, of the mount or of a descriptor: no service can change
//! those. Where nothing refuses and it didn't work, nobody knows.

use super::files::{name_in, writable};
use super::looks::Looks;
use super::table::OF_CAPABILITY_MODE;
use super::{Seen, Target, Tried, nothing, open};
use crate::kernel::{At, Errno, Failure, FileKind, Kernel, Open, Stat, Unlink};

pub fn execute_written<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let mut looks = Looks::new(kernel.getresuid()?.effective);
    let mut refused = None;
    for mount in writable(target) {
        let place = &*mount.target;
        if let Some(failure) = forbidden(kernel, target, place) {
            if attempt(kernel, target, place).is_ok() {
                return open(place);
            }
            refused = Some(failure);
            continue;
        }
        let found = looks.through(kernel, target, place, |looks, kernel, path, stat| {
            let works = match stat.kind {
                FileKind::Directory => tried(kernel, target, path, stat, looks, &mut refused),
                // It can write it and give it an x bit.
                FileKind::Regular if stat.uid == looks.own => true,
                FileKind::Regular => stat.mode & 0o111 != 0 && is_written(kernel, target, path),
                _ => false,
            };
            works.then(|| path.to_string())
        });
        if let Some(path) = found {
            return open(path);
        }
    }
    match (looks.missed, refused) {
        (Some(why), _) => Ok(Seen::Cut(why)),
        (None, Some(failure)) => Err(failure),
        (None, None) => nothing("it can write nowhere"),
    }
}

/// What lets nobody execute anything in a place, whatever is written there.
fn forbidden<K: Kernel>(kernel: &mut K, target: &Target, place: &str) -> Option<Failure> {
    let asked = match target.reach(place) {
        (At::Cwd, path) => kernel.statfs(&path).map(|found| found.flags.noexec),
        // Without the right to execute, O_EXEC is refused before any mode is looked at.
        (at, name) => kernel
            .openat(at, &name, Open::Execute)
            .and_then(|fd| kernel.close(fd))
            .map(|()| false),
    };
    match asked {
        Ok(true) => Some(Failure::new("execve", Errno::EACCES)),
        Err(failure) if OF_CAPABILITY_MODE.contains(&failure.errno) => Some(failure),
        _ => None,
    }
}

/// Opened to be written, and not written.
fn is_written<K: Kernel>(kernel: &mut K, target: &Target, path: &str) -> bool {
    let (at, name) = target.reach(path);
    let opened = kernel.openat(at, &name, Open::Append(0));
    opened.is_ok_and(|fd| kernel.close(fd).is_ok())
}

/// Whether it works in a directory of a mount that forbids nothing.
fn tried<K: Kernel>(
    kernel: &mut K,
    target: &Target,
    directory: &str,
    stat: &Stat,
    looks: &mut Looks,
    refused: &mut Option<Failure>,
) -> bool {
    let Err(stopped) = attempt(kernel, target, directory) else {
        return true;
    };
    match stopped {
        Stopped::Writing(failure) | Stopped::Executing(failure)
            if OF_CAPABILITY_MODE.contains(&failure.errno) =>
        {
            *refused = Some(failure);
        }
        // Nothing that is there now can be written, or others than the service say so.
        Stopped::Writing(failure) if failure.errno == Errno::EROFS => {}
        Stopped::Writing(failure)
            if [Errno::EACCES, Errno::EPERM].contains(&failure.errno) && stat.uid != looks.own => {}
        Stopped::Writing(failure) | Stopped::Executing(failure) => looks.miss(directory, &failure),
    }
    false
}

enum Stopped {
    Writing(Failure),
    Executing(Failure),
}

/// An empty file is no program: the kernel that gets as far as to say so (ENOEXEC) would have run one.
fn attempt<K: Kernel>(kernel: &mut K, target: &Target, directory: &str) -> Result<(), Stopped> {
    let path = name_in(kernel, directory);
    let (at, name) = target.reach(&path);
    let fd = kernel
        .openat(at, &name, Open::CreateNew(0o700))
        .map_err(Stopped::Writing)?;
    let made = kernel.fchmod(fd, 0o700);
    let made = made.and(kernel.close(fd));
    let executed = made.and_then(|()| match at {
        At::Cwd => kernel.execve(&path, std::slice::from_ref(&path), &[]),
        At::Dir(_) => kernel
            .openat(at, &name, Open::Execute)
            .and_then(|fd| kernel.fexecve(fd, std::slice::from_ref(&path), &[])),
    });
    // That it ran or didn't is what counts.
    let _ = kernel.unlinkat(at, &name, Unlink::File);
    match executed {
        Err(failure) if failure.errno != Errno::ENOEXEC => Err(Stopped::Executing(failure)),
        _ => Ok(()),
    }
}
