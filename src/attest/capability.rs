//! Attempts that capability mode alone refuses: whatever is asked for by a name, rather than by a
//! descriptor. Where a service doesn't run in it there is nothing to be attested.

use super::{Seen, Target, Tried, nothing, open};
use crate::kernel::attack::Attack;
use crate::kernel::{
    At, Errno, Failure, Fd, Kernel, Open, Rights, SocketAddress, SocketKind, Unlink,
};
use crate::plan::STATE;

/// No file has this name.
const ABSENT: &str = "/jailrun-attest-absent";
/// No descriptor of a plan has both, and a right that was given up never comes back.
const MORE: Rights = Rights::all_of(&[Rights::ACCEPT, Rights::MKDIR]);

pub fn absolute_path<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let mut last = match kernel.openat(At::Cwd, "/", Open::Directory) {
        Ok(_) => return open("/ by its name"),
        Err(failure) => failure,
    };
    for (fd, path) in target.directories() {
        match kernel.openat(At::Dir(fd), "/", Open::Directory) {
            Ok(_) => return open(format!("/ by way of descriptor {}, {path}", fd.0)),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// Out of the jail's root, or to write beside what it may write. Where a directory is a mount, ".." leaves
/// it (vfs_lookup() compares the vnode below the mount with the one that it began at) for what the jail's
/// root has there, and that it may read anyway.
pub fn parent<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let above = format!("../../../../../../../..{STATE}");
    of_each(kernel, target, |kernel, fd, path| {
        let at = At::Dir(fd);
        if path == "/" {
            kernel.lstatat(at, "..")?;
            return Ok("\"..\" of the root".to_string());
        }
        match kernel.lstatat(at, &above) {
            Ok(_) => return Ok(format!("{STATE} by way of {path}")),
            Err(failure) if failure.errno == Errno::ENOENT => {}
            Err(failure) => return Err(failure),
        }
        let name = format!("../.jailrun-attest-{}", kernel.getpid().0);
        let file = kernel.openat(at, &name, Open::CreateNew(0o600))?;
        // That it was there is what counts.
        let _ = kernel.unlinkat(at, &name, Unlink::File);
        kernel.close(file)?;
        Ok(format!("a file beside {path}"))
    })
}

pub fn rights<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    of_each(kernel, target, |kernel, fd, path| {
        kernel.cap_rights_limit(fd, MORE)?;
        Ok(format!("of descriptor {}, {path}", fd.0))
    })
}

/// The first directory that it works with; else how the first was refused, or the first that was refused
/// in a way that nobody knows: by the mode of a directory of the service's own, for example.
fn of_each<K: Kernel>(
    kernel: &mut K,
    target: &Target,
    mut attempt: impl FnMut(&mut K, Fd, &str) -> Result<String, Failure>,
) -> Tried {
    let own = kernel.getresuid()?.effective;
    let known = [Errno::ENOTCAPABLE, Errno::EROFS, Errno::EACCES];
    let mut first = None;
    for (fd, path) in target.directories() {
        match attempt(kernel, fd, path) {
            Ok(got) => return open(got),
            Err(failure) if failure.errno == Errno::EACCES && is_own(kernel, fd, own) => {
                return Ok(Seen::Cut(format!("{path}: {failure}")));
            }
            Err(failure) if known.contains(&failure.errno) => {
                first.get_or_insert(failure);
            }
            Err(failure) => return Err(failure),
        }
    }
    first.map_or_else(|| nothing("it has no directory"), Err)
}

/// Or nobody knows.
fn is_own<K: Kernel>(kernel: &mut K, directory: Fd, own: u32) -> bool {
    kernel.fstat(directory).map_or(true, |stat| stat.uid == own)
}

pub fn connect<K: Kernel>(kernel: &mut K) -> Tried {
    let socket = kernel.socket(SocketKind::UnixDatagram)?;
    kernel.connect(socket, &SocketAddress::Unix(ABSENT.to_string()))?;
    open("connect(2)")
}

/// Signal 0 to a child of its own, which is there until it is waited for.
pub fn signal<K: Attack>(kernel: &mut K) -> Tried {
    let child = kernel.fork(|_| Err(0))?;
    let outcome = kernel.kill(child, 0);
    kernel.waitpid(Some(child), true)?;
    outcome?;
    open("kill(2)")
}

pub fn sysctl<K: Kernel>(kernel: &mut K) -> Tried {
    kernel.sysctl_int("kern.maxfilesperproc")?;
    open("kern.maxfilesperproc")
}
