//! The pidfile of a service, as pidfile(3) makes it: opened, locked, the pid of the supervisor written.
//! The journal names it before it is made, so that what a killed supervisor leaves is found.

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Fd, FileKind, Kernel, Lock, Open, Unlink};
use crate::launch::lock;
use crate::permit::Permit;
use crate::trust::{self, Owner};

/// A pidfile that we hold.
#[derive(Debug)]
pub struct Pidfile {
    path: String,
    fd: Fd,
}

/// Only the service's own start, and only root's.
pub fn wanted(permit: &Permit) -> Option<&str> {
    let is_services = !permit.is_one_off() && permit.caller().is_root();
    permit.profile().pidfile.as_deref().filter(|_| is_services)
}

impl Pidfile {
    pub fn take<K: Kernel>(kernel: &mut K, path: &str) -> Result<Pidfile, Error> {
        let step = |failure| Error::step(format!("write the pidfile {path}"), failure);
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let above = if directory.is_empty() { "/" } else { directory };
        let parent = trust::open(kernel, above, Open::Directory, Owner::Root)
            .map_err(|distrust| Error::Profile(distrust.to_string()))?;
        let opened = open(kernel, At::Dir(parent.fd), name);
        // A directory that was only searched loses nothing.
        let _ = kernel.close(parent.fd);
        let (fd, is_new) = opened.map_err(step)?;
        if let Err(error) = hold(kernel, path, fd) {
            let _ = kernel.close(fd);
            // One that was there before is somebody else's.
            let removed = match is_new {
                true => kernel.unlinkat(At::Cwd, path, Unlink::File),
                false => Ok(()),
            };
            return Err(removed.map_or_else(|failure| step(remains(failure, path)), |()| error));
        }
        let pid = kernel.getpid().0.to_string();
        let emptied = kernel.ftruncate(fd, 0);
        match emptied.and_then(|()| kernel.write(fd, pid.as_bytes())) {
            Ok(_) => Ok(Pidfile {
                path: path.to_string(),
                fd,
            }),
            Err(failure) => match lock::remove(kernel, fd, path) {
                Ok(()) => Err(step(failure)),
                Err(removal) => Err(step(remains(removal, path))),
            },
        }
    }

    pub fn fd(&self) -> Fd {
        self.fd
    }

    pub fn is_lost<K: Kernel>(&self, kernel: &mut K) -> Result<bool, Failure> {
        Ok(!lock::is_ours(kernel, self.fd, &self.path)?)
    }

    /// Made again after its name was taken away (rc.d/cleanvar empties /var/run), or left as it is where
    /// somebody else has taken the name meanwhile.
    pub fn renew<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), Error> {
        let new = Pidfile::take(kernel, &self.path)?;
        let old = std::mem::replace(self, new);
        // The lock of a file without a name means nothing to anybody.
        let _ = kernel.close(old.fd);
        Ok(())
    }

    /// Gives back what couldn't be done.
    pub fn release<K: Kernel>(self, kernel: &mut K) -> Option<String> {
        let removed = lock::remove(kernel, self.fd, &self.path);
        let failure = removed.err()?;
        Some(format!("remove the pidfile {}: {failure}", self.path))
    }
}

/// With whether it is a new file.
fn open<K: Kernel>(kernel: &mut K, at: At, name: &str) -> Result<(Fd, bool), Failure> {
    match kernel.openat(at, name, Open::CreateNew(0o600)) {
        Err(failure) if failure.errno == Errno::EEXIST => {
            let fd = kernel.openat(at, name, Open::ReadWriteCreate(0o600))?;
            Ok((fd, false))
        }
        other => Ok((other?, true)),
    }
}

fn hold<K: Kernel>(kernel: &mut K, path: &str, fd: Fd) -> Result<(), Error> {
    let step = |failure| Error::step(format!("lock the pidfile {path}"), failure);
    if !is_plain(kernel, fd).map_err(step)? {
        return Err(Error::Profile(format!(
            "{path} is not a file of root's with one name"
        )));
    }
    kernel
        .flock(fd, Lock::Exclusive)
        .map_err(|failure| match failure.errno {
            Errno::EAGAIN => Error::Busy(format!("another process holds the pidfile {path}")),
            _ => step(failure),
        })?;
    // Ours now. Whoever can open it can hold its lock.
    kernel.fchmod(fd, 0o600).map_err(step)
}

fn is_plain<K: Kernel>(kernel: &mut K, fd: Fd) -> Result<bool, Failure> {
    let stat = kernel.fstat(fd)?;
    Ok(stat.kind == FileKind::Regular && stat.links == 1 && stat.uid == 0)
}

/// Whoever reads the message should know.
fn remains(mut failure: Failure, path: &str) -> Failure {
    failure.text = format!("left behind: {path}");
    failure
}

/// Removes what a supervisor that is dead would have removed: its pid is in it, or it died before it
/// could write that. The journal names a file that may never have been ours.
pub fn sweep<K: Kernel>(kernel: &mut K, path: &str, pid: i32) -> Result<(), Failure> {
    let fd = match kernel.openat(At::Cwd, path, Open::Read) {
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(()),
        other => other?,
    };
    let outcome = sweep_open(kernel, fd, path, pid);
    outcome.and(kernel.close(fd))
}

fn sweep_open<K: Kernel>(kernel: &mut K, fd: Fd, path: &str, pid: i32) -> Result<(), Failure> {
    if !is_plain(kernel, fd)? {
        return Ok(());
    }
    match kernel.flock(fd, Lock::Exclusive) {
        Err(failure) if failure.errno == Errno::EAGAIN => return Ok(()),
        other => other?,
    }
    let mut text = [0u8; 16];
    let count = kernel.read(fd, &mut text)?;
    let said = text.get(..count).unwrap_or_default();
    let is_ours = said.is_empty() || said == pid.to_string().as_bytes();
    match is_ours && lock::is_ours(kernel, fd, path)? {
        true => kernel.unlinkat(At::Cwd, path, Unlink::File),
        false => Ok(()),
    }
}
