//! `mode = "report"`: the file, and the kernel that writes into it. It is begun by us, as root, on a child that
//! has given root up and executes nothing yet: so the service can neither end it (KTRFAC_ROOT) nor read it,
//! and a set-user-ID program doesn't end it either (ktrprocexec in sys/kern/kern_ktrace.c).

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Kernel, Limit, Open, Pid, Rlimit, Unlink};
use crate::launch::steps::Undo;
use crate::plan::Plan;
use crate::report::MOST;

pub(super) fn make<K: Kernel>(
    kernel: &mut K,
    path: &str,
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let fd = kernel.openat(At::Cwd, path, Open::CreateNew(0o600))?;
    done.push(Undo::RemoveFile(path.to_string()));
    kernel.close(fd)
}

/// Of a file that somebody else has removed, nothing is left.
pub(super) fn remove<K: Kernel>(kernel: &mut K, path: &str) -> Result<(), Failure> {
    match kernel.unlinkat(At::Cwd, path, Unlink::File) {
        Err(failure) if failure.errno != Errno::ENOENT => Err(failure),
        _ => Ok(()),
    }
}

/// Has the kernel report on the child, if the plan says so. The file's limit is that of whoever begins, so
/// ours is lowered meanwhile: a service that makes the kernel write without end fills no file system.
pub(super) fn begin<K: Kernel>(kernel: &mut K, plan: &Plan, child: Pid) -> Result<(), Error> {
    let Some(path) = plan.report() else {
        return Ok(());
    };
    let failed = |failure| Error::step("have the kernel report what the service does", failure);
    let own = kernel.getrlimit(Limit::Filesize).map_err(failed)?;
    let lowered = Rlimit {
        soft: own.soft.min(MOST as u64),
        hard: own.hard,
    };
    kernel.setrlimit(Limit::Filesize, lowered).map_err(failed)?;
    let begun = kernel.ktrace(path, child);
    let restored = kernel.setrlimit(Limit::Filesize, own);
    begun.and(restored).map_err(failed)
}
