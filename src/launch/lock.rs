//! Lock files below the state directory that can be removed by whoever holds them: a lock counts only
//! while the name still leads to the file that was locked.

use crate::kernel::{At, Errno, Failure, Fd, Kernel, Lock, Open, Unlink};

/// Opens and locks, without waiting: EAGAIN when somebody else holds it.
pub fn take<K: Kernel>(kernel: &mut K, path: &str, lock: Lock) -> Result<Fd, Failure> {
    for _ in 0..100 {
        let fd = kernel.openat(At::Cwd, path, Open::ReadWriteCreate(0o600))?;
        match confirm(kernel, fd, path, lock) {
            Ok(true) => return Ok(fd),
            Ok(false) => kernel.close(fd)?,
            Err(mut failure) => {
                // Only the lock's own failure is worth telling, and that the file is there: unlocked, it
                // may be somebody else's by now, and can't be removed.
                let _ = kernel.close(fd);
                if failure.errno != Errno::EAGAIN {
                    failure.text = format!("left behind: {path}");
                }
                return Err(failure);
            }
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

fn confirm<K: Kernel>(kernel: &mut K, fd: Fd, path: &str, lock: Lock) -> Result<bool, Failure> {
    kernel.flock(fd, lock)?;
    is_ours(kernel, fd, path)
}

/// Whether the name still leads to the file that is open: one that was removed, and perhaps made again
/// by somebody else, is no longer ours to remove.
pub fn is_ours<K: Kernel>(kernel: &mut K, fd: Fd, path: &str) -> Result<bool, Failure> {
    let held = kernel.fstat(fd)?;
    match kernel.lstatat(At::Cwd, path) {
        Ok(named) => Ok(named.inode == held.inode && named.device == held.device),
        Err(failure) if failure.errno == Errno::ENOENT => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Takes the name away, if it is still ours, and then the lock.
pub fn remove<K: Kernel>(kernel: &mut K, fd: Fd, path: &str) -> Result<(), Failure> {
    let unlinked = match is_ours(kernel, fd, path) {
        Ok(true) => kernel.unlinkat(At::Cwd, path, Unlink::File),
        Ok(false) => Ok(()),
        Err(failure) => Err(failure),
    };
    unlinked.and(kernel.close(fd))
}

/// As `take`, with five seconds of patience: for locks that are held for a moment only.
pub fn wait<K: Kernel>(kernel: &mut K, path: &str) -> Result<Fd, Failure> {
    for _ in 0..500 {
        match take(kernel, path, Lock::Exclusive) {
            Err(failure) if failure.errno == Errno::EAGAIN => kernel.sleep_ms(10),
            other => return other,
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

/// Whether somebody holds the lock, without taking it: a launch that comes meanwhile must not find it
/// taken. ENOENT when there is no such file.
pub fn is_held<K: Kernel>(kernel: &mut K, path: &str) -> Result<bool, Failure> {
    let fd = kernel.openat(At::Cwd, path, Open::Read)?;
    let is_held = kernel.is_locked(fd);
    let closed = kernel.close(fd);
    is_held.and_then(|is_held| closed.map(|()| is_held))
}
