//! Files and directories that only root could have put where they are: each component from / down is
//! opened without following links, owned by root, and writable by nobody else.

use crate::kernel::{At, Errno, Failure, Fd, FileKind, Kernel, Open, Stat};

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
pub fn open<K: Kernel>(
    kernel: &mut K,
    path: &str,
    how: Open,
    owner: Owner,
) -> Result<Trusted, Distrust> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut here = component(kernel, At::Cwd, "/", "/", Open::Directory, Owner::Root)?;
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
        let next = component(kernel, At::Dir(here.fd), name, &walked, how, owner);
        close(kernel, here.fd);
        here = next?;
    }
    Ok(here)
}

fn component<K: Kernel>(
    kernel: &mut K,
    at: At,
    name: &str,
    walked: &str,
    how: Open,
    owner: Owner,
) -> Result<Trusted, Distrust> {
    let failed = |failure| Distrust::Failed {
        component: walked.to_string(),
        failure,
    };
    let untrusted = |reason: &str| Distrust::Untrusted {
        component: walked.to_string(),
        reason: reason.to_string(),
    };
    let fd = match kernel.openat(at, name, how) {
        Ok(fd) => fd,
        // O_NOFOLLOW on a link is EMLINK on FreeBSD, and ENOTDIR together with O_DIRECTORY.
        Err(failure) if matches!(failure.errno, Errno::EMLINK | Errno::ENOTDIR | Errno::ELOOP) => {
            let is_link = kernel
                .lstatat(at, name)
                .is_ok_and(|stat| stat.kind == FileKind::Symlink);
            return Err(if is_link {
                untrusted("is a symbolic link")
            } else {
                failed(failure)
            });
        }
        Err(failure) => return Err(failed(failure)),
    };
    let verdict = kernel.fstat(fd).map_err(failed).and_then(|stat| {
        if stat.kind == FileKind::Symlink {
            return Err(untrusted("is a symbolic link"));
        }
        if owner == Owner::Root {
            if stat.uid != 0 {
                return Err(untrusted("is not owned by root"));
            }
            if stat.mode & 0o022 != 0 {
                return Err(untrusted("is writable by others than root"));
            }
            if !kernel.acl_is_trivial(fd).map_err(failed)? {
                return Err(untrusted("has an ACL"));
            }
        }
        Ok(Trusted { fd, stat })
    });
    if verdict.is_err() {
        close(kernel, fd);
    }
    verdict
}

/// Closing a descriptor that was only read can't lose anything.
fn close<K: Kernel>(kernel: &mut K, fd: Fd) {
    let _ = kernel.close(fd);
}

/// Reads a trusted regular file whole, `most` bytes at most. The descriptor is closed in any case.
pub fn read<K: Kernel>(kernel: &mut K, path: &str, most: usize) -> Result<Vec<u8>, Distrust> {
    let trusted = open(kernel, path, Open::Read, Owner::Root)?;
    let content = read_open(kernel, path, &trusted, most);
    close(kernel, trusted.fd);
    content
}

fn read_open<K: Kernel>(
    kernel: &mut K,
    path: &str,
    trusted: &Trusted,
    most: usize,
) -> Result<Vec<u8>, Distrust> {
    let untrusted = |reason: String| Distrust::Untrusted {
        component: path.to_string(),
        reason,
    };
    if trusted.stat.kind != FileKind::Regular {
        return Err(untrusted("is not a regular file".to_string()));
    }
    let mut content = Vec::new();
    let mut buffer = [0u8; 8192];
    loop {
        match kernel.read(trusted.fd, &mut buffer) {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(&buffer[..count]),
            Err(failure) => {
                return Err(Distrust::Failed {
                    component: path.to_string(),
                    failure,
                });
            }
        }
        if content.len() > most {
            return Err(untrusted(format!("is larger than {most} bytes")));
        }
    }
}
