//! Doing a step and undoing it, side by side. A step that is done leaves an [`Undo`]; nothing here
//! decides in which order.

use crate::error::Error;
use crate::kernel::{
    Alias, At, Errno, Failure, Fd, Filesystem, Force, Fsid, Kernel, Lock, Nmount, Open, OwnedJail,
    Unlink,
};
use crate::launch::lock;
use crate::plan::{Made, STATE, Source, Step};

/// What takes a done step back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    RemoveDirectory(String),
    Unmount { fsid: Fsid, target: String },
    ReleaseAddress { alias: Alias, lock: Fd },
    RemoveRule(String),
    RemoveJail(OwnedJail),
}

impl Undo {
    /// The path that is emptied or removed, if there is one.
    pub fn place(&self) -> Option<&str> {
        match self {
            Undo::RemoveDirectory(path) => Some(path),
            Undo::Unmount { target, .. } => Some(target),
            _ => None,
        }
    }
}

impl std::fmt::Display for Undo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Undo::RemoveDirectory(path) => write!(formatter, "remove the directory {path}"),
            Undo::Unmount { target, .. } => write!(formatter, "unmount {target}"),
            Undo::ReleaseAddress { alias, .. } => {
                write!(
                    formatter,
                    "remove the address {} from {}",
                    alias.address, alias.interface
                )
            }
            Undo::RemoveRule(filter) => write!(formatter, "remove the rctl rule {filter}"),
            Undo::RemoveJail(jail) => write!(formatter, "remove the jail {}", jail.id.0),
        }
    }
}

/// Carries one step out. When it fails after an effect, the undo of that effect is in `done` already.
pub fn perform<K: Kernel>(kernel: &mut K, step: &Step, done: &mut Vec<Undo>) -> Result<(), Error> {
    act(kernel, step, done).map_err(|failure| Error::step(step.to_string(), failure))
}

fn act<K: Kernel>(kernel: &mut K, step: &Step, done: &mut Vec<Undo>) -> Result<(), Failure> {
    match step {
        Step::Instance { path } => {
            kernel.mkdirat(At::Cwd, path, 0o700)?;
            done.push(Undo::RemoveDirectory(path.clone()));
        }
        Step::Directory { path, mode } => {
            kernel.mkdirat(At::Cwd, path, *mode)?;
            // What lies in the skeleton goes with it; the place of the skeleton itself does not.
            if path
                .strip_prefix(STATE)
                .is_some_and(|rest| rest.matches('/').count() == 2)
            {
                done.push(Undo::RemoveDirectory(path.clone()));
            }
        }
        Step::MountPoint { path } => {
            let fd = kernel.openat(At::Cwd, path, Open::CreateNew(0o444))?;
            kernel.close(fd)?;
        }
        Step::File { path, made } => make_file(kernel, path, made)?,
        Step::Link { path, text } => kernel.symlinkat(text, At::Cwd, path)?,
        Step::Unlink { path } => kernel.unlinkat(At::Cwd, path, Unlink::File)?,
        Step::Mount { mount, source } => {
            kernel.nmount(mount)?;
            let fsid = newest(kernel, mount)?;
            done.push(Undo::Unmount {
                fsid,
                target: mount.target.clone(),
            });
            verify(kernel, mount)?;
            if let Some(source) = source {
                verify_source(kernel, mount, source)?;
            }
        }
        Step::Seal { mount } => {
            kernel.nmount(mount)?;
            verify(kernel, mount)?;
        }
        Step::Address(alias) => take_address(kernel, alias, done)?,
        Step::Rctl { rule, filter } => {
            done.push(Undo::RemoveRule(filter.clone()));
            kernel.rctl_add_rule(rule)?;
        }
        Step::Jail { parameters, .. } => {
            let jail = kernel.jail_create(parameters)?;
            done.push(Undo::RemoveJail(jail));
        }
    }
    Ok(())
}

/// Owner and mode are set on what was made, whatever the umask; the owner first, since that clears bits
/// of the mode.
fn make_file<K: Kernel>(kernel: &mut K, path: &str, made: &Made) -> Result<(), Failure> {
    let fd = kernel.openat(At::Cwd, path, Open::CreateNew(0o600))?;
    let filled = fill(kernel, fd, made);
    let closed = kernel.close(fd);
    filled.and(closed)
}

fn fill<K: Kernel>(kernel: &mut K, fd: Fd, made: &Made) -> Result<(), Failure> {
    let mut rest: &[u8] = &made.content;
    while !rest.is_empty() {
        match kernel.write(fd, rest)? {
            0 => return Err(Failure::new("write", Errno::EIO)),
            count => rest = rest.get(count..).unwrap_or_default(),
        }
    }
    kernel.fchown(fd, made.uid, made.gid)?;
    kernel.fchmod(fd, made.mode)
}

/// The fsid of the mount that was just made. When it can't be read the path is all that is left, so the
/// mount table is searched; only the caller's failure says why.
fn newest<K: Kernel>(kernel: &mut K, mount: &Nmount) -> Result<Fsid, Failure> {
    match kernel.statfs(&mount.target) {
        Ok(found) => Ok(found.fsid),
        Err(failure) => {
            let all = kernel.getfsstat()?;
            all.iter()
                .rev()
                .find(|found| found.on == mount.target)
                .map(|found| found.fsid)
                .ok_or(failure)
        }
    }
}

/// nullfs ignores misspelt options and an update drops what isn't repeated: what counts is what
/// statfs(2) gives back.
fn verify<K: Kernel>(kernel: &mut K, mount: &Nmount) -> Result<(), Failure> {
    let found = kernel.statfs(&mount.target)?;
    let source_is_right = match &mount.filesystem {
        Filesystem::Nullfs { source, .. } => found.from == *source,
        _ => true,
    };
    // devfs gives none of its flags back (devfs_statfs, sys/fs/devfs/devfs_vfsops.c).
    let flags_are_right =
        found.flags == mount.flags || matches!(mount.filesystem, Filesystem::Devfs { .. });
    if found.kind == mount.filesystem.name()
        && found.on == mount.target
        && flags_are_right
        && source_is_right
    {
        return Ok(());
    }
    Err(unlike("statfs", "the mount isn't what was asked for"))
}

/// The path was checked by descriptor and mounted by name: both must be the same file.
fn verify_source<K: Kernel>(
    kernel: &mut K,
    mount: &Nmount,
    source: &Source,
) -> Result<(), Failure> {
    let seen = kernel.lstatat(At::Cwd, &mount.target)?;
    let content = (seen.size, seen.ctime);
    if seen.inode == source.inode && source.content.is_none_or(|expected| expected == content) {
        return Ok(());
    }
    Err(unlike("fstatat", "changed while it was mounted"))
}

fn unlike(call: &'static str, text: &str) -> Failure {
    Failure {
        call,
        errno: Errno::EINVAL,
        text: text.to_string(),
    }
}

/// The lock file that stands for an address. Whoever uses the address holds it shared; it says "ours"
/// when one of us added it.
fn address_lock(alias: &Alias) -> String {
    format!("{STATE}/.address-{}-{}", alias.interface, alias.address)
}

const OURS: &[u8] = b"ours\n";

fn take_address<K: Kernel>(
    kernel: &mut K,
    alias: &Alias,
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let path = address_lock(alias);
    let fd = match lock::take(kernel, &path, Lock::Exclusive) {
        Ok(fd) => fd,
        Err(failure) if failure.errno == Errno::EAGAIN => {
            // Others of us hold the address; it was added or found by the first of them.
            let fd = lock::take(kernel, &path, Lock::Shared)?;
            done.push(Undo::ReleaseAddress {
                alias: alias.clone(),
                lock: fd,
            });
            return present(kernel, alias)?
                .then_some(())
                .ok_or_else(|| unlike("getifaddrs", "the address has gone"));
        }
        Err(failure) => return Err(failure),
    };
    done.push(Undo::ReleaseAddress {
        alias: alias.clone(),
        lock: fd,
    });
    if !present(kernel, alias)? {
        // The word is written before the effect: it is what a later cleanup goes by.
        kernel.write(fd, OURS)?;
        kernel.add_address(alias)?;
    }
    kernel.flock(fd, Lock::Shared)
}

fn present<K: Kernel>(kernel: &mut K, alias: &Alias) -> Result<bool, Failure> {
    let addresses = kernel.getifaddrs()?;
    Ok(addresses
        .iter()
        .any(|known| known.interface == alias.interface && known.address == alias.address))
}

/// The last holder removes the address, and only if one of us added it.
fn release_address<K: Kernel>(kernel: &mut K, alias: &Alias, fd: Fd) -> Result<(), Failure> {
    let outcome = match kernel.flock(fd, Lock::Exclusive) {
        Err(failure) if failure.errno == Errno::EAGAIN => Ok(()),
        Err(failure) => Err(failure),
        Ok(()) => {
            let is_ours = kernel.fstat(fd).map(|stat| stat.size > 0)?;
            let deleted = if is_ours {
                kernel.delete_address(alias)
            } else {
                Ok(())
            };
            match deleted {
                Err(failure) if failure.errno != Errno::EADDRNOTAVAIL => Err(failure),
                _ => kernel.unlinkat(At::Cwd, &address_lock(alias), Unlink::File),
            }
        }
    };
    let closed = kernel.close(fd);
    outcome.and(closed)
}

/// Removes addresses whose users died. Names are `.address-IF-ADDRESS`.
pub fn sweep_address<K: Kernel>(kernel: &mut K, name: &str) -> Result<(), Failure> {
    let parsed = name.strip_prefix(".address-").and_then(|rest| {
        let (interface, address) = rest.split_once('-')?;
        let address: std::net::IpAddr = address.parse().ok()?;
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Some(Alias {
            interface: interface.to_string(),
            address,
            prefix,
        })
    });
    let Some(alias) = parsed else { return Ok(()) };
    match lock::take(kernel, &address_lock(&alias), Lock::Exclusive) {
        Ok(fd) => release_address(kernel, &alias, fd),
        Err(failure) if failure.errno == Errno::EAGAIN => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// How often a busy mount is tried again, and how long to wait between: a process that was killed may
/// still be on its way out.
const TRIES: u32 = 200;
const PAUSE_MS: u64 = 5;

pub fn undo<K: Kernel>(kernel: &mut K, undo: &Undo) -> Result<(), Failure> {
    match undo {
        Undo::RemoveDirectory(path) => kernel.unlinkat(At::Cwd, path, Unlink::Directory),
        Undo::Unmount { fsid, .. } => unmount(kernel, *fsid),
        Undo::ReleaseAddress { alias, lock } => release_address(kernel, alias, *lock),
        Undo::RemoveRule(filter) => match kernel.rctl_remove_rule(filter) {
            Err(failure) if failure.errno != Errno::ESRCH => Err(failure),
            _ => Ok(()),
        },
        Undo::RemoveJail(jail) => {
            let removed = kernel.jail_remove(jail.descriptor);
            let closed = kernel.close(jail.descriptor);
            match removed {
                // An administrator was faster.
                Err(failure) if !matches!(failure.errno, Errno::ENOENT | Errno::EINVAL) => {
                    Err(failure)
                }
                _ => closed,
            }
        }
    }
}

/// Unmounts by fsid, patiently, then by force: a dying jail holds its root for as long as one of its
/// connections lingers. Whoever calls has unmounted everything on top and reaped every process.
pub fn unmount<K: Kernel>(kernel: &mut K, fsid: Fsid) -> Result<(), Failure> {
    for _ in 0..TRIES {
        match kernel.unmount(fsid, Force::No) {
            Err(failure) if failure.errno == Errno::EBUSY => kernel.sleep_ms(PAUSE_MS),
            // ENOENT: somebody else unmounted it.
            Err(failure) if failure.errno == Errno::ENOENT => return Ok(()),
            other => return other,
        }
    }
    kernel.unmount(fsid, Force::Yes)
}
