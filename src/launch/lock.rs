//! Lock files below the state directory that can be removed by whoever holds them: a lock counts only
//! while the name still leads to the file that was locked.

use crate::kernel::{At, Errno, Failure, Fd, Kernel, Lock, Open};

/// Opens and locks, without waiting: EAGAIN when somebody else holds it.
pub fn take<K: Kernel>(kernel: &mut K, path: &str, lock: Lock) -> Result<Fd, Failure> {
    for _ in 0..100 {
        let fd = kernel.openat(At::Cwd, path, Open::ReadWriteCreate(0o600))?;
        match confirm(kernel, fd, path, lock) {
            Ok(true) => return Ok(fd),
            Ok(false) => kernel.close(fd)?,
            Err(failure) => {
                // Only the lock's own failure is worth telling.
                let _ = kernel.close(fd);
                return Err(failure);
            }
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

fn confirm<K: Kernel>(kernel: &mut K, fd: Fd, path: &str, lock: Lock) -> Result<bool, Failure> {
    kernel.flock(fd, lock)?;
    let held = kernel.fstat(fd)?;
    match kernel.lstatat(At::Cwd, path) {
        Ok(named) => Ok(named.inode == held.inode && named.device == held.device),
        Err(failure) if failure.errno == Errno::ENOENT => Ok(false),
        Err(failure) => Err(failure),
    }
}
