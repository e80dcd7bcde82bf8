//! Files and directories that only root could have put where they are: each component from / down is
//! opened without following links, owned by root, and writable by nobody else.

pub mod seen;
pub mod walk;

use crate::kernel::{At, Errno, Failure, Fd, FileKind, Kernel, Open, Outcome, Stat};

/// What it takes to look at files, of all that a kernel can. Everything that only looks asks for no more,
/// so that it also runs over a tree of files that is no host at all.
pub trait Files {
    fn openat(&mut self, at: At, path: &str, how: Open) -> Outcome<Fd>;
    fn close(&mut self, fd: Fd) -> Outcome<()>;
    fn fstat(&mut self, fd: Fd) -> Outcome<Stat>;
    fn lstatat(&mut self, at: At, path: &str) -> Outcome<Stat>;
    fn acl_is_trivial(&mut self, fd: Fd) -> Outcome<bool>;
    fn readlinkat(&mut self, at: At, path: &str) -> Outcome<String>;
    fn read(&mut self, fd: Fd, buffer: &mut [u8]) -> Outcome<usize>;
    fn pread(&mut self, fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize>;
    fn readdir(&mut self, directory: Fd) -> Outcome<Vec<String>>;
}

impl<K: Kernel> Files for K {
    fn openat(&mut self, at: At, path: &str, how: Open) -> Outcome<Fd> {
        Kernel::openat(self, at, path, how)
    }

    fn close(&mut self, fd: Fd) -> Outcome<()> {
        Kernel::close(self, fd)
    }

    fn fstat(&mut self, fd: Fd) -> Outcome<Stat> {
        Kernel::fstat(self, fd)
    }

    fn lstatat(&mut self, at: At, path: &str) -> Outcome<Stat> {
        Kernel::lstatat(self, at, path)
    }

    fn acl_is_trivial(&mut self, fd: Fd) -> Outcome<bool> {
        Kernel::acl_is_trivial(self, fd)
    }

    fn readlinkat(&mut self, at: At, path: &str) -> Outcome<String> {
        Kernel::readlinkat(self, at, path)
    }

    fn read(&mut self, fd: Fd, buffer: &mut [u8]) -> Outcome<usize> {
        Kernel::read(self, fd, buffer)
    }

    fn pread(&mut self, fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        Kernel::pread(self, fd, buffer, offset)
    }

    fn readdir(&mut self, directory: Fd) -> Outcome<Vec<String>> {
        Kernel::readdir(self, directory)
    }
}

const NOT_ROOTS: &str = "is not owned by root";
const OTHERS_WRITE: &str = "is writable by others than root";
const HAS_ACL: &str = "has an ACL";

/// Why a path isn't trusted, in words for whoever may hear them.
#[derive(Debug)]
pub enum Distrust {
    /// The system refused to open a component.
    Failed { component: String, failure: Failure },
    /// Somebody besides root could have changed it.
    Untrusted { component: String, reason: String },
}

impl std::fmt::Display for Distrust {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Distrust::Failed { component, failure } => write!(formatter, "{component}: {failure}"),
            Distrust::Untrusted { component, reason } => write!(formatter, "{component} {reason}"),
        }
    }
}

impl Distrust {
    /// What makes it trusted, where only root should write in any case: of a profile, and not of /tmp.
    pub fn remedy(&self) -> Option<String> {
        let Distrust::Untrusted { component, reason } = self else {
            return None;
        };
        match reason.as_str() {
            NOT_ROOTS => Some(format!("chown root {component}")),
            OTHERS_WRITE => Some(format!("chmod go-w {component}")),
            HAS_ACL => Some(format!("setfacl -b {component}")),
            _ => None,
        }
    }

    pub fn is_absent(&self) -> bool {
        matches!(self, Distrust::Failed { failure, .. } if failure.errno == Errno::ENOENT)
    }
}

/// Who must own the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Root,
    Anybody,
}

/// A descriptor that was reached through trusted directories, and what fstat(2) said of it.
pub struct Trusted {
    pub fd: Fd,
    pub stat: Stat,
}

/// Opens an absolute path, checking every component. The last one is opened as `how`.
pub fn open<F: Files>(
    files: &mut F,
    path: &str,
    how: Open,
    owner: Owner,
) -> Result<Trusted, Distrust> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut here = component(files, At::Cwd, "/", "/", Open::Directory, Owner::Root)?;
    let mut walked = String::new();
    for (index, name) in names.iter().enumerate() {
        walked.push('/');
        walked.push_str(name);
        let is_last = index + 1 == names.len();
        let (how, owner) = if is_last {
            (how, owner)
        } else {
            (Open::Directory, Owner::Root)
        };
        let next = component(files, At::Dir(here.fd), name, &walked, how, owner);
        close(files, here.fd);
        here = next?;
    }
    Ok(here)
}

fn component<F: Files>(
    files: &mut F,
    at: At,
    name: &str,
    walked: &str,
    how: Open,
    owner: Owner,
) -> Result<Trusted, Distrust> {
    let fd = files.openat(at, name, how).map_err(|failure| {
        match is_link(files, at, name, &failure) {
            true => untrusted(walked, "is a symbolic link"),
            false => failed(walked, failure),
        }
    })?;
    let verdict = judge(files, fd, walked, owner);
    if verdict.is_err() {
        close(files, fd);
    }
    verdict.map(|stat| Trusted { fd, stat })
}

/// Whether an open was refused because of a link: O_NOFOLLOW on one is EMLINK on FreeBSD, and ENOTDIR
/// together with O_DIRECTORY.
fn is_link<F: Files>(files: &mut F, at: At, name: &str, failure: &Failure) -> bool {
    matches!(failure.errno, Errno::EMLINK | Errno::ENOTDIR | Errno::ELOOP)
        && files
            .lstatat(at, name)
            .is_ok_and(|stat| stat.kind == FileKind::Symlink)
}

/// What fstat(2) says, if it and the ACL say that only root decides over the file.
fn judge<F: Files>(files: &mut F, fd: Fd, walked: &str, owner: Owner) -> Result<Stat, Distrust> {
    let stat = files.fstat(fd).map_err(|failure| failed(walked, failure))?;
    if stat.kind == FileKind::Symlink {
        return Err(untrusted(walked, "is a symbolic link"));
    }
    if owner == Owner::Root {
        if stat.uid != 0 {
            return Err(untrusted(walked, NOT_ROOTS));
        }
        if stat.mode & 0o022 != 0 {
            return Err(untrusted(walked, OTHERS_WRITE));
        }
        let is_trivial = files.acl_is_trivial(fd);
        if !is_trivial.map_err(|failure| failed(walked, failure))? {
            return Err(untrusted(walked, HAS_ACL));
        }
    }
    Ok(stat)
}

fn failed(component: &str, failure: Failure) -> Distrust {
    Distrust::Failed {
        component: component.to_string(),
        failure,
    }
}

fn untrusted(component: &str, reason: &str) -> Distrust {
    Distrust::Untrusted {
        component: component.to_string(),
        reason: reason.to_string(),
    }
}

/// Closing a descriptor that was only read can't lose anything.
fn close<F: Files>(files: &mut F, fd: Fd) {
    let _ = files.close(fd);
}

/// Reads a trusted regular file whole, `most` bytes at most. The descriptor is closed in any case.
pub fn read<F: Files>(files: &mut F, path: &str, most: usize) -> Result<Vec<u8>, Distrust> {
    let trusted = open(files, path, Open::Read, Owner::Root)?;
    let content = read_open(files, path, &trusted, most);
    close(files, trusted.fd);
    content
}

fn read_open<F: Files>(
    files: &mut F,
    path: &str,
    trusted: &Trusted,
    most: usize,
) -> Result<Vec<u8>, Distrust> {
    if trusted.stat.kind != FileKind::Regular {
        return Err(untrusted(path, "is not a regular file"));
    }
    let mut content = Vec::new();
    let mut buffer = [0u8; 8192];
    loop {
        match files.read(trusted.fd, &mut buffer) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(&buffer[..count]),
            Err(failure) => return Err(failed(path, failure)),
        }
        if content.len() > most {
            return Err(untrusted(path, &format!("is larger than {most} bytes")));
        }
    }
}
