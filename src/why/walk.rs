//! A path, name by name, as the caller sees it: where it leads, or the first name that it doesn't get
//! past. Looks, and opens nothing.

use crate::kernel::{At, Errno, Failure, FileKind, Kernel, Open, Stat};

/// MAXSYMLINKS.
const MOST_LINKS: usize = 32;

/// Where it ended. Paths are absolute and without links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Met {
    There {
        at: String,
        stat: Stat,
    },
    /// `rest` would come below it.
    Missing {
        at: String,
        rest: String,
    },
    /// Something follows what has nothing below it.
    NotDirectory {
        at: String,
    },
    /// A directory in which the caller may look nothing up.
    Closed {
        at: String,
        stat: Stat,
    },
    /// A link in a mount where none is followed.
    NotFollowed {
        at: String,
    },
    TooManyLinks {
        at: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    pub met: Met,
    /// Links that were followed, each with its text.
    pub links: Vec<(String, String)>,
}

pub fn below(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

pub fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

/// Last first, so that the next one is popped.
fn names(path: &str) -> impl Iterator<Item = String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .rev()
        .map(str::to_string)
}

fn joined(mut rest: Vec<String>) -> String {
    rest.reverse();
    rest.join("/")
}

/// devfs makes devices of some names that are looked up (dev_clone of tun(4) and tap(4)), and autofs mounts what
/// they name; these paths may be a service's choice, looked up by root. So a devfs is asked for its list, and
/// an autofs for nothing.
fn may_be_looked_up<K: Kernel>(kernel: &mut K, directory: &str, name: &str) -> bool {
    match kernel.statfs(directory) {
        Ok(mount) if mount.kind == "autofs" => false,
        Ok(mount) if mount.kind == "devfs" => {
            let Ok(fd) = kernel.openat(At::Cwd, directory, Open::Directory) else {
                return false;
            };
            let listed = kernel.readdir(fd);
            // What was only read loses nothing.
            let _ = kernel.close(fd);
            listed.is_ok_and(|names| names.iter().any(|listed| listed == name))
        }
        _ => true,
    }
}

pub fn walk<K: Kernel>(kernel: &mut K, path: &str) -> Result<Walked, Failure> {
    let mut here = "/".to_string();
    let mut stat = kernel.lstatat(At::Cwd, "/")?;
    let mut rest: Vec<String> = names(path).collect();
    let mut links = Vec::new();
    while let Some(name) = rest.pop() {
        if name == ".." {
            here = parent(&here).to_string();
            stat = kernel.lstatat(At::Cwd, &here)?;
            continue;
        }
        let at = below(&here, &name);
        let looked = match may_be_looked_up(kernel, &here, &name) {
            true => kernel.lstatat(At::Cwd, &at),
            false => Err(Failure::new("lstat", Errno::ENOENT)),
        };
        let found = match looked {
            Ok(found) => found,
            Err(failure) => {
                let met = match failure.errno {
                    Errno::ENOENT => Met::Missing {
                        at,
                        rest: joined(rest),
                    },
                    Errno::EACCES => Met::Closed { at: here, stat },
                    Errno::ENOTDIR => Met::NotDirectory { at: here },
                    _ => return Err(failure),
                };
                return Ok(Walked { met, links });
            }
        };
        if found.kind != FileKind::Symlink {
            (here, stat) = (at, found);
            continue;
        }
        let met = match (links.len() == MOST_LINKS, kernel.statfs(&here)) {
            (true, _) => Some(Met::TooManyLinks { at: at.clone() }),
            (_, Ok(mount)) if mount.flags.nosymfollow => Some(Met::NotFollowed { at: at.clone() }),
            _ => None,
        };
        if let Some(met) = met {
            return Ok(Walked { met, links });
        }
        let text = kernel.readlinkat(At::Cwd, &at)?;
        if text.starts_with('/') {
            here = "/".to_string();
            stat = kernel.lstatat(At::Cwd, "/")?;
        }
        rest.extend(names(&text));
        links.push((at, text));
    }
    let met = Met::There { at: here, stat };
    Ok(Walked { met, links })
}
