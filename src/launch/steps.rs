//! Doing a step and undoing it, side by side. A step that is done leaves an [`Undo`]; nothing here
//! decides in which order.

use crate::error::Error;
use crate::kernel::{
    Alias, At, CpusOf, Errno, Failure, Fd, Filesystem, Force, Fsid, Kernel, Nmount, Open,
    OwnedJail, Pid, SocketAddress, SocketKind, Unlink, signal,
};
use crate::launch::address;
use crate::launch::journal::Journal;
use crate::launch::listener;
use crate::launch::report;
use crate::plan::{self, Made, Source, Step};

/// Where a launch works: its journal, and the skeleton while it is assembled. That is held open, and all
/// that is made in it is made relative to it: were it unmounted meanwhile, nothing would be made in what
/// lies below.
#[derive(Debug)]
pub struct Site<'a> {
    journal: &'a mut Journal,
    root: String,
    skeleton: Option<Fd>,
}

impl<'a> Site<'a> {
    pub fn new(journal: &'a mut Journal, label: &str) -> Site<'a> {
        Site {
            journal,
            root: plan::root(label),
            skeleton: None,
        }
    }

    pub fn journal(&mut self) -> &mut Journal {
        self.journal
    }

    /// The instance's directory, which is no mount.
    fn above(&self) -> &str {
        self.root.strip_suffix("/root").unwrap_or(&self.root)
    }

    /// A path of the plan's, as it is reached from the skeleton.
    fn inside<'p>(&self, path: &'p str) -> Result<(At, &'p str), Failure> {
        let relative = path.strip_prefix(&self.root);
        match (
            self.skeleton,
            relative.and_then(|rest| rest.strip_prefix('/')),
        ) {
            (Some(fd), Some(relative)) => Ok((At::Dir(fd), relative)),
            _ => Err(unlike("openat", "it isn't in the skeleton")),
        }
    }
}

/// What takes a done step back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    RemoveDirectory(String),
    RemoveFile(String),
    Unmount {
        fsid: Fsid,
        target: String,
    },
    /// The skeleton is held open no longer.
    CloseSkeleton(Fd),
    /// What the service logs to.
    CloseLog(Fd),
    ReleaseAddress {
        alias: Alias,
        lock: Fd,
    },
    /// A socket, and the device and inode of its file if it has one.
    CloseListener {
        fd: Fd,
        address: SocketAddress,
        file: Option<(u64, u64)>,
    },
    RemoveRule(String),
    /// The service's first process, forked before there was a jail to enter.
    EndChild(Pid),
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
            Undo::RemoveFile(path) => write!(formatter, "remove the file {path}"),
            Undo::Unmount { target, .. } => write!(formatter, "unmount {target}"),
            Undo::CloseSkeleton(_) => formatter.write_str("close the skeleton"),
            Undo::CloseLog(_) => formatter.write_str("close the service's log"),
            Undo::ReleaseAddress { alias, .. } => {
                write!(
                    formatter,
                    "remove the address {} from {}",
                    alias.address, alias.interface
                )
            }
            Undo::CloseListener { address, .. } => {
                write!(formatter, "close the socket at {address}")
            }
            Undo::RemoveRule(filter) => write!(formatter, "remove the rctl rule {filter}"),
            Undo::EndChild(pid) => write!(formatter, "end the process {}", pid.0),
            Undo::RemoveJail(jail) => write!(formatter, "remove the jail {}", jail.id.0),
        }
    }
}

/// Carries one step out. When it fails after an effect, the undo of that effect is in `done` already.
pub fn perform<K: Kernel>(
    kernel: &mut K,
    site: &mut Site<'_>,
    step: &Step,
    done: &mut Vec<Undo>,
) -> Result<(), Error> {
    act(kernel, site, step, done).map_err(|failure| Error::step(step.to_string(), failure))
}

fn act<K: Kernel>(
    kernel: &mut K,
    site: &mut Site<'_>,
    step: &Step,
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    match step {
        Step::Root { path } => {
            kernel.mkdirat(At::Cwd, path, 0o755)?;
            done.push(Undo::RemoveDirectory(path.clone()));
        }
        Step::Directory { path, mode } => {
            let (at, relative) = site.inside(path)?;
            kernel.mkdirat(at, relative, *mode)?;
        }
        Step::MountPoint { path } => {
            let (at, relative) = site.inside(path)?;
            let fd = kernel.openat(at, relative, Open::CreateNew(0o444))?;
            kernel.close(fd)?;
        }
        Step::File { path, made } => make_file(kernel, site.inside(path)?, made)?,
        Step::Socket { path } => bind(kernel, site.inside(path)?, done)?,
        Step::Link { path, text } => {
            let (at, relative) = site.inside(path)?;
            kernel.symlinkat(text, at, relative)?;
        }
        Step::Unlink { path } => {
            let (at, relative) = site.inside(path)?;
            kernel.unlinkat(at, relative, Unlink::File)?;
        }
        Step::Mount { mount, source } => {
            kernel.nmount(mount)?;
            let fsid = newest(kernel, mount)?;
            done.push(Undo::Unmount {
                fsid,
                target: mount.target.clone(),
            });
            site.journal.mounted(mount, fsid);
            verify(kernel, mount)?;
            let is_skeleton = mount.target == site.root && !mount.flags.read_only;
            if is_skeleton && site.skeleton.is_none() {
                let fd = kernel.openat(At::Cwd, &mount.target, Open::Directory)?;
                done.push(Undo::CloseSkeleton(fd));
                // What was opened is a file system of its own, or the mount has gone again.
                let above = kernel.lstatat(At::Cwd, site.above())?;
                if kernel.fstat(fd)?.device == above.device {
                    return Err(unlike("openat", "the mount has gone"));
                }
                site.skeleton = Some(fd);
            }
            if let Some(source) = source {
                verify_source(kernel, mount, source)?;
            }
        }
        Step::Seal { mount } => seal(kernel, site, mount, done)?,
        Step::Address(alias) => address::take(kernel, alias, done)?,
        Step::Listen(socket) => listener::open(kernel, socket, done)?,
        Step::Rctl { rule, filter } => {
            done.push(Undo::RemoveRule(filter.clone()));
            kernel.rctl_add_rule(rule)?;
        }
        Step::Jail { parameters, .. } => {
            let jail = kernel.jail_create(parameters)?;
            done.push(Undo::RemoveJail(jail));
        }
        Step::Report { path } => report::make(kernel, path, done)?,
        Step::Cpuset { cpus } => keep_to(kernel, done, cpus)?,
    }
    Ok(())
}

/// The jail that was created.
pub fn jail(done: &[Undo]) -> Option<OwnedJail> {
    done.iter().find_map(|undo| match undo {
        Undo::RemoveJail(jail) => Some(*jail),
        _ => None,
    })
}

/// Nothing to undo: the set goes with its jail.
fn keep_to<K: Kernel>(kernel: &mut K, done: &[Undo], cpus: &[u32]) -> Result<(), Failure> {
    let jail = jail(done).ok_or(Failure::new("cpuset_setaffinity", Errno::ESRCH))?;
    kernel.cpuset_setaffinity(jail.id, cpus)?;
    match kernel.cpuset_getaffinity(CpusOf::Jail(jail.id))? == cpus {
        true => Ok(()),
        false => Err(unlike("cpuset_getaffinity", "the kernel kept other CPUs")),
    }
}

fn seal<K: Kernel>(
    kernel: &mut K,
    site: &mut Site<'_>,
    mount: &Nmount,
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    kernel.nmount(mount)?;
    verify(kernel, mount)?;
    // Nothing is made in it any more. Held, it would keep the jail from being entered.
    if let Some(fd) = site.skeleton.take() {
        done.retain(|undo| *undo != Undo::CloseSkeleton(fd));
        kernel.close(fd)?;
    }
    Ok(())
}

/// Owner and mode are set on what was made, whatever the umask; the owner first, since that clears bits
/// of the mode.
fn make_file<K: Kernel>(
    kernel: &mut K,
    (at, path): (At, &str),
    made: &Made,
) -> Result<(), Failure> {
    let fd = kernel.openat(at, path, Open::CreateNew(0o600))?;
    let filled = fill(kernel, fd, made);
    let closed = kernel.close(fd);
    filled.and(closed)
}

/// The umask of our process, and one by which everybody may send to a socket: connect(2) asks for
/// permission to write.
const UMASK: u32 = 0o022;
const EVERYBODY_SENDS: u32 = 0o111;

/// Relative to the skeleton, also because a whole path would often be too long for a socket's address.
fn bind<K: Kernel>(
    kernel: &mut K,
    (at, path): (At, &str),
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let socket = kernel.socket(SocketKind::UnixDatagram)?;
    // Closed before anything is unmounted: a bound socket holds its file system.
    done.push(Undo::CloseLog(socket));
    kernel.set_nonblocking(socket)?;
    kernel.umask(EVERYBODY_SENDS);
    let bound = kernel.bindat(at, path, socket);
    kernel.umask(UMASK);
    bound
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
    let failure = match kernel.statfs(&mount.target) {
        Ok(found) if found.on == mount.target => return Ok(found.fsid),
        // Somebody has unmounted it: this is what lies below, and none of ours.
        Ok(_) => unlike("statfs", "the mount has gone"),
        Err(failure) => failure,
    };
    let all = kernel.getfsstat()?;
    all.iter()
        .rev()
        .find(|found| found.on == mount.target)
        .map(|found| found.fsid)
        .ok_or(failure)
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

pub(super) fn unlike(call: &'static str, text: &str) -> Failure {
    Failure {
        call,
        errno: Errno::EINVAL,
        text: text.to_string(),
    }
}

/// How often a busy mount is tried again, and how long to wait between: a process that was killed may
/// still be on its way out.
const TRIES: u32 = 60;
const PAUSE_MS: u64 = 5;

pub fn undo<K: Kernel>(kernel: &mut K, undo: &Undo) -> Result<(), Failure> {
    match undo {
        Undo::RemoveDirectory(path) => kernel.unlinkat(At::Cwd, path, Unlink::Directory),
        Undo::RemoveFile(path) => report::remove(kernel, path),
        Undo::Unmount { fsid, .. } => unmount(kernel, *fsid),
        Undo::CloseSkeleton(fd) | Undo::CloseLog(fd) => kernel.close(*fd),
        Undo::ReleaseAddress { alias, lock } => address::release(kernel, alias, *lock),
        Undo::CloseListener { fd, address, file } => {
            listener::close(kernel, *fd, address.path(), *file)
        }
        Undo::RemoveRule(filter) => match kernel.rctl_remove_rule(filter) {
            Err(failure) if failure.errno != Errno::ESRCH => Err(failure),
            _ => Ok(()),
        },
        // Unreaped until the caller waits, so the pid is still its own.
        Undo::EndChild(pid) => match kernel.kill(*pid, signal::KILL) {
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
