//! What a package's script, as root, leaves in the directories of the host that it writes: a set-user-ID or
//! set-group-ID file there would give its rights to whoever runs it, long after the jail. There is none
//! when the script starts, or it isn't started, and none when all of its processes have ended; where the
//! supervisor was killed, when it is cleaned up after.
//!
//! It is looked for by descriptors and through no link, also in file systems that are mounted below, which are
//! granted with the directory. Whoever owns a directory in there may move things
//! meanwhile; a mode is only changed through a descriptor, and only of a file that has no other name, as
//! somebody could have given a name in there to a program of the system's. For the same reason no script is
//! started where a file of root's has such a name already.

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Fd, FileKind, Kernel, Open, Severity, Stat};
use crate::plan::Plan;
use crate::record::About;

const SET_ID: u32 = 0o6000;
/// Directories below one another, each of which takes a descriptor.
const DEEPEST: usize = 64;

/// What came of the search.
#[derive(Debug, Default)]
struct Stripped {
    /// These are no longer set-id.
    files: Vec<String>,
    /// These are, or nobody knows.
    left: Vec<String>,
}

/// Before the script runs.
pub fn refuse<K: Kernel>(kernel: &mut K, plan: &Plan) -> Result<(), Error> {
    let paths = plan.writes().iter().map(|(path, _)| path.as_str());
    let found = search(kernel, paths, Doing::Look);
    match found.left.first() {
        None => Ok(()),
        Some(words) => Err(Error::Profile(format!(
            "root_writes: {words}: such a directory can't be granted"
        ))),
    }
}

/// After its end, in the directories that it could write.
pub fn strip<'a, K: Kernel>(
    kernel: &mut K,
    paths: impl Iterator<Item = &'a str>,
    about: &About,
) -> Vec<String> {
    let stripped = search(kernel, paths, Doing::Strip);
    for path in &stripped.files {
        let path = shown(path);
        let words = format!("took the set-user-ID and set-group-ID bits of {path} away");
        about.complain(kernel, &words);
        about.audit(kernel, Severity::Warning, &words);
    }
    stripped.left
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Look,
    Strip,
}

fn search<'a, K: Kernel>(
    kernel: &mut K,
    paths: impl Iterator<Item = &'a str>,
    doing: Doing,
) -> Stripped {
    let mut search = Search {
        doing,
        found: Stripped::default(),
    };
    for path in paths {
        let opened = kernel.openat(At::Cwd, path, Open::Directory);
        search.directory(kernel, opened, path, 0);
    }
    search.found
}

/// For messages: a service that has directories of its own in there names its files as it likes.
fn shown(path: &str) -> String {
    path.escape_debug().to_string()
}

struct Search {
    doing: Doing,
    found: Stripped,
}

impl Search {
    fn unknown(&mut self, path: &str, failure: &Failure) {
        let path = shown(path);
        let words = format!("{path} can't be looked through for set-user-ID files: {failure}");
        self.found.left.push(words);
    }

    fn directory<K: Kernel>(
        &mut self,
        kernel: &mut K,
        opened: Result<Fd, Failure>,
        path: &str,
        depth: usize,
    ) {
        let fd = match opened {
            Ok(fd) => fd,
            Err(failure) => return self.unknown(path, &failure),
        };
        if let Err(failure) = self.entries(kernel, fd, path, depth) {
            self.unknown(path, &failure);
        }
        // What was only read loses nothing.
        let _ = kernel.close(fd);
    }

    fn entries<K: Kernel>(
        &mut self,
        kernel: &mut K,
        fd: Fd,
        path: &str,
        depth: usize,
    ) -> Result<(), Failure> {
        let is_roots = kernel.fstat(fd)?.uid == 0;
        for name in kernel.readdir(fd)? {
            let below = format!("{path}/{name}");
            let stat = match kernel.lstatat(At::Dir(fd), &name) {
                Ok(stat) => stat,
                // Somebody removed it. A name that is no UTF-8 isn't found by what it was read as.
                Err(failure) if failure.errno == Errno::ENOENT && !name.contains('\u{fffd}') => {
                    continue;
                }
                Err(failure) => {
                    self.unknown(&below, &failure);
                    continue;
                }
            };
            match stat.kind {
                FileKind::Directory if depth == DEEPEST => {
                    self.unknown(&below, &Failure::new("openat", Errno::EMFILE));
                }
                FileKind::Directory => {
                    let opened = kernel.openat(At::Dir(fd), &name, Open::Directory);
                    self.directory(kernel, opened, &below, depth + 1);
                }
                FileKind::Regular if stat.mode & SET_ID != 0 => {
                    self.set_id(kernel, fd, &name, &below);
                }
                FileKind::Regular if stat.links > 1 && stat.uid == 0 && !is_roots => {
                    self.planted(&below);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whoever owns a directory can link any file of the same file system into it
    /// (security.bsd.hardlink_check_uid), and a script as root gives it away by its chown(8) of all that is there.
    fn planted(&mut self, path: &str) {
        if self.doing == Doing::Look {
            let words = format!(
                "{} is a file of root's with another name, in a directory that isn't root's",
                shown(path)
            );
            self.found.left.push(words);
        }
    }

    fn set_id<K: Kernel>(&mut self, kernel: &mut K, at: Fd, name: &str, path: &str) {
        let stays = |why: &str| format!("{} is set-user-ID or set-group-ID{why}", shown(path));
        if self.doing == Doing::Look {
            return self.found.left.push(stays(""));
        }
        let stripped = kernel.openat(At::Dir(at), name, Open::Read).and_then(|fd| {
            let stripped = take_away(kernel, fd);
            kernel.close(fd).and(stripped)
        });
        match stripped {
            Ok(true) => self.found.files.push(path.to_string()),
            Ok(false) => self.found.left.push(stays(" and has another name")),
            Err(failure) => self.found.left.push(stays(&format!(": {failure}"))),
        }
    }
}

/// `false`: it isn't ours to change.
fn take_away<K: Kernel>(kernel: &mut K, fd: Fd) -> Result<bool, Failure> {
    let Stat {
        kind, links, mode, ..
    } = kernel.fstat(fd)?;
    if kind != FileKind::Regular || links != 1 {
        return Ok(false);
    }
    kernel.fchmod(fd, mode & !SET_ID)?;
    Ok(true)
}
