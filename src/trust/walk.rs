//! Finds what a path leads to, by way of places that only root could have arranged. Symbolic links are
//! followed where root owns them, in directories of root's, one component at a time: no lookup is ever
//! left to the kernel. Keeps directories open between questions, and a record of what the answers rest
//! on, so that a later launch can ask whether anything of it has changed.

use super::seen::{Identity, Seen};
use super::{Distrust, Files, Owner, close, failed, is_link, judge, untrusted};
use crate::kernel::{At, Errno, Failure, Fd, FileKind, Open, Stat};
use std::collections::BTreeMap;

/// As the kernel's MAXSYMLINKS.
const LINKS: usize = 32;
/// Directories that are kept open at once.
const OPEN: usize = 64;
/// MAXPATHLEN, without the NUL.
const LONGEST: usize = 1023;

/// What a path led to.
#[derive(Debug)]
pub struct Found {
    /// Without links, dots and doubled slashes.
    pub path: String,
    /// Whoever asked closes it.
    pub fd: Fd,
    pub stat: Stat,
    /// Links that were followed, each with its text, in order.
    pub links: Vec<(String, String)>,
    /// Whether anybody may search all directories on the way, and itself if it is one, or could if its
    /// owner opened it.
    pub is_enterable: bool,
}

/// Why a path led nowhere.
#[derive(Debug)]
pub enum Stop {
    /// Nothing is there.
    Absent(Distrust),
    /// A directory on the way isn't root's alone.
    Barred(Distrust),
    /// What is there isn't trusted, or the system refused.
    Refused(Distrust),
}

impl From<Stop> for Distrust {
    fn from(stop: Stop) -> Distrust {
        match stop {
            Stop::Absent(distrust) | Stop::Barred(distrust) | Stop::Refused(distrust) => distrust,
        }
    }
}

enum Known {
    Directory {
        fd: Fd,
        stat: Stat,
        is_enterable: bool,
    },
    Link(String),
    Absent(Errno),
    /// Why it isn't trusted.
    Barred(String),
}

pub struct Walker<'a, F: Files> {
    files: &'a mut F,
    /// Directories by their link-free path ("" is the root), and names in them that are none.
    known: BTreeMap<String, Known>,
    seen: BTreeMap<String, Seen>,
    /// False once an answer rested on somebody else's directory, which may change back and forth.
    is_lasting: bool,
}

impl<'a, F: Files> Walker<'a, F> {
    pub fn new(files: &'a mut F) -> Walker<'a, F> {
        Walker {
            files,
            known: BTreeMap::new(),
            seen: BTreeMap::new(),
            is_lasting: true,
        }
    }

    pub fn files(&mut self) -> &mut F {
        self.files
    }

    /// What all answers so far rest on; `None` when that can't be said.
    pub fn seen(&self) -> Option<&BTreeMap<String, Seen>> {
        self.is_lasting.then_some(&self.seen)
    }

    pub fn close(&mut self, fd: Fd) {
        close(self.files, fd);
    }

    /// Opens what an absolute path leads to, as `how`. `owner` is who must own the thing itself. For one
    /// of many names in a directory: that it isn't there holds as long as the directory is unchanged.
    pub fn resolve(&mut self, path: &str, how: Open, owner: Owner) -> Result<Found, Stop> {
        self.walk(path, how, owner)
            .map_err(|stop| self.searched(stop))
    }

    /// The same for a name that stands by itself, in a directory where others come and go.
    pub fn resolve_alone(&mut self, path: &str, how: Open, owner: Owner) -> Result<Found, Stop> {
        self.walk(path, how, owner).inspect_err(|stop| {
            if let Stop::Absent(Distrust::Failed { component, .. }) = stop {
                self.seen.entry(component.clone()).or_insert(Seen::Absent);
            }
        })
    }

    /// Notes the directory in which the last name was looked for in vain.
    fn searched(&mut self, stop: Stop) -> Stop {
        if let Stop::Absent(Distrust::Failed { component, .. }) = &stop
            && let Some((above, _)) = component.rsplit_once('/')
            && let Some(Known::Directory { stat, .. }) = self.known.get(above)
            && !self.known.contains_key(component)
        {
            let searched = Seen::Searched(Identity::from(stat));
            self.note(above, searched);
        }
        stop
    }

    fn walk(&mut self, path: &str, how: Open, owner: Owner) -> Result<Found, Stop> {
        let too_long = || failed(path, Failure::new("open", Errno::ENAMETOOLONG));
        if path.len() > LONGEST {
            return Err(Stop::Absent(too_long()));
        }
        if !path.starts_with('/') {
            return Err(Stop::Refused(untrusted(path, "is not absolute")));
        }
        if self.known.len() > 16 * OPEN || self.open_directories() > OPEN {
            self.release();
        }
        let mut rest = components(path);
        let mut here = String::new();
        let mut links: Vec<(String, String)> = Vec::new();
        while let Some(name) = rest.pop() {
            if name == ".." {
                here.truncate(here.rfind('/').unwrap_or(0));
                continue;
            }
            let above = self.directory(&here)?;
            let next = format!("{here}/{name}");
            let text = if rest.is_empty() {
                match self.last(&here, above, &name, how, owner)? {
                    Last::Found(mut found) => {
                        found.links = links;
                        return Ok(found);
                    }
                    Last::Link(text) => text,
                }
            } else {
                match self.through(above, &next, &name)? {
                    None => {
                        here = next;
                        continue;
                    }
                    Some(text) => text,
                }
            };
            if links.len() == LINKS {
                let failure = Failure::new("open", Errno::ELOOP);
                return Err(Stop::Absent(failed(path, failure)));
            }
            if text.starts_with('/') {
                here.clear();
            }
            rest.extend(components(&text));
            if rest.iter().map(|part| part.len() + 1).sum::<usize>() + here.len() > LONGEST {
                return Err(Stop::Absent(too_long()));
            }
            links.push((next, text));
        }
        // The path ended in "/", "..", or a link to either: the directory itself is meant.
        let mut found = self.reopen(&here, how, owner)?;
        found.links = links;
        Ok(found)
    }

    /// The names in a directory, in its own order. Empty where there is none.
    pub fn names(&mut self, directory: &str) -> Result<Vec<String>, Distrust> {
        let found = match self.resolve(directory, Open::Directory, Owner::Root) {
            Ok(found) => found,
            Err(Stop::Absent(_)) => return Ok(Vec::new()),
            Err(stop) => return Err(stop.into()),
        };
        let names = self.files.readdir(found.fd);
        self.close(found.fd);
        self.note(&found.path, Seen::Searched(Identity::from(&found.stat)));
        names.map_err(|failure| failed(directory, failure))
    }

    /// Reads a regular file whole. `None` where there is none.
    pub fn read(&mut self, path: &str, most: usize) -> Result<Option<Vec<u8>>, Distrust> {
        let found = match self.resolve_alone(path, Open::Read, Owner::Root) {
            Ok(found) => found,
            Err(Stop::Absent(_)) => return Ok(None),
            Err(stop) => return Err(stop.into()),
        };
        let trusted = super::Trusted {
            fd: found.fd,
            stat: found.stat,
        };
        let content = super::read_open(self.files, path, &trusted, most);
        self.close(found.fd);
        content.map(Some)
    }

    fn note(&mut self, path: &str, seen: Seen) {
        let known = self.seen.get(path);
        // A directory that was searched stays that, however often it is passed through after.
        if !matches!((known, seen), (Some(Seen::Searched(_)), Seen::Passed(_))) {
            self.seen.insert(path.to_string(), seen);
        }
    }

    /// The descriptor of a directory that was walked to before.
    fn directory(&mut self, path: &str) -> Result<Fd, Stop> {
        if let Some(Known::Directory { fd, .. }) = self.known.get(path) {
            return Ok(*fd);
        }
        let (name, at) = match path.rsplit_once('/') {
            None => ("/", At::Cwd),
            Some((above, name)) => (name, At::Dir(self.directory(above)?)),
        };
        match self.enter(at, path, name)? {
            (Some(fd), _) => Ok(fd),
            (None, _) => Err(Stop::Refused(untrusted(path, "became a symbolic link"))),
        }
    }

    /// Goes through a component that isn't the last one: `None`, or the text of a link.
    fn through(&mut self, above: Fd, path: &str, name: &str) -> Result<Option<String>, Stop> {
        match self.known.get(path) {
            Some(Known::Directory { .. }) => Ok(None),
            Some(Known::Link(text)) => Ok(Some(text.clone())),
            Some(Known::Absent(errno)) => {
                let failure = Failure::new("open", *errno);
                Err(Stop::Absent(failed(path, failure)))
            }
            Some(Known::Barred(reason)) => Err(Stop::Barred(untrusted(path, reason))),
            None => self.enter(At::Dir(above), path, name).map(|(_, link)| link),
        }
    }

    /// Opens a directory and remembers it, or what is there instead.
    fn enter(
        &mut self,
        at: At,
        path: &str,
        name: &str,
    ) -> Result<(Option<Fd>, Option<String>), Stop> {
        let shown = if path.is_empty() { "/" } else { path };
        let fd = match self.files.openat(at, name, Open::Directory) {
            Ok(fd) => fd,
            Err(failure) if is_link(self.files, at, name, &failure) => {
                let text = self.follow(at, path, name)?;
                self.known
                    .insert(path.to_string(), Known::Link(text.clone()));
                return Ok((None, Some(text)));
            }
            Err(failure) if is_nothing(failure.errno) => {
                self.known
                    .insert(path.to_string(), Known::Absent(failure.errno));
                self.note(path, Seen::Absent);
                return Err(Stop::Absent(failed(shown, failure)));
            }
            Err(failure) => return Err(Stop::Refused(failed(shown, failure))),
        };
        let stat = match judge(self.files, fd, shown, Owner::Root) {
            Ok(stat) => stat,
            Err(distrust) => {
                self.close(fd);
                if let Distrust::Untrusted { reason, .. } = &distrust {
                    self.is_lasting = false;
                    self.known
                        .insert(path.to_string(), Known::Barred(reason.clone()));
                    return Err(Stop::Barred(distrust));
                }
                return Err(Stop::Refused(distrust));
            }
        };
        self.note(path, Seen::Passed(Identity::from(&stat)));
        let is_enterable = self.is_enterable(path) && stat.mode & 1 != 0;
        let directory = Known::Directory {
            fd,
            stat,
            is_enterable,
        };
        self.known.insert(path.to_string(), directory);
        Ok((Some(fd), None))
    }

    /// Whether anybody may search all that lies above a path.
    fn is_enterable(&self, path: &str) -> bool {
        match path
            .rsplit_once('/')
            .map(|(above, _)| self.known.get(above))
        {
            None => true,
            Some(Some(Known::Directory { is_enterable, .. })) => *is_enterable,
            Some(_) => false,
        }
    }

    /// The text of a link that root owns. Who can't write the directory can't have changed it, but a
    /// link that root gave away is no word of root's.
    fn follow(&mut self, at: At, path: &str, name: &str) -> Result<String, Stop> {
        let refused = |failure| Stop::Refused(failed(path, failure));
        let stat = self.files.lstatat(at, name).map_err(refused)?;
        if stat.uid != 0 {
            let reason = "is a symbolic link that root doesn't own";
            return Err(Stop::Refused(untrusted(path, reason)));
        }
        let text = self.files.readlinkat(at, name).map_err(refused)?;
        self.note(path, Seen::File(Identity::from(&stat)));
        match text.is_empty() {
            true => Err(Stop::Refused(untrusted(path, "is an empty link"))),
            false => Ok(text),
        }
    }

    fn last(
        &mut self,
        above: &str,
        directory: Fd,
        name: &str,
        how: Open,
        owner: Owner,
    ) -> Result<Last, Stop> {
        let (at, path) = (At::Dir(directory), format!("{above}/{name}"));
        if how == Open::Read
            && let Some(text) = self.look(at, &path, name)?
        {
            return Ok(Last::Link(text));
        }
        let fd = match self.files.openat(at, name, how) {
            Ok(fd) => fd,
            Err(failure) if is_link(self.files, at, name, &failure) => {
                return self.follow(at, &path, name).map(Last::Link);
            }
            Err(failure) if is_nothing(failure.errno) => {
                return Err(Stop::Absent(failed(&path, failure)));
            }
            Err(failure) => return Err(Stop::Refused(failed(&path, failure))),
        };
        match judge(self.files, fd, &path, owner) {
            Ok(stat) => {
                let identity = Identity::from(&stat);
                let is_directory = stat.kind == FileKind::Directory;
                self.note(
                    &path,
                    match is_directory {
                        true => Seen::Passed(identity),
                        false => Seen::File(identity),
                    },
                );
                let is_shut = is_directory && stat.mode & 1 == 0 && stat.uid == 0;
                let is_enterable = self.is_enterable(&path) && !is_shut;
                Ok(Last::Found(Found {
                    path,
                    fd,
                    stat,
                    links: Vec::new(),
                    is_enterable,
                }))
            }
            Err(distrust) => {
                // O_PATH opens a link itself.
                let is_link = self
                    .files
                    .fstat(fd)
                    .is_ok_and(|stat| stat.kind == FileKind::Symlink);
                self.close(fd);
                match is_link {
                    true => self.follow(at, &path, name).map(Last::Link),
                    false => Err(Stop::Refused(distrust)),
                }
            }
        }
    }

    /// Before anything is opened for reading: opening a device is an act, and a fifo's other end sees it. The
    /// text of a link; `None` for what may be opened.
    fn look(&mut self, at: At, path: &str, name: &str) -> Result<Option<String>, Stop> {
        let stat = match self.files.lstatat(at, name) {
            Ok(stat) => stat,
            Err(failure) if is_nothing(failure.errno) => {
                return Err(Stop::Absent(failed(path, failure)));
            }
            Err(failure) => return Err(Stop::Refused(failed(path, failure))),
        };
        match stat.kind {
            FileKind::Regular => Ok(None),
            FileKind::Symlink => self.follow(at, path, name).map(Some),
            _ => Err(Stop::Refused(untrusted(path, "is not a regular file"))),
        }
    }

    fn reopen(&mut self, path: &str, how: Open, owner: Owner) -> Result<Found, Stop> {
        if let Some((above, name)) = path.rsplit_once('/') {
            let directory = self.directory(above)?;
            return match self.last(above, directory, name, how, owner)? {
                Last::Found(found) => Ok(found),
                Last::Link(_) => Err(Stop::Refused(untrusted(path, "became a symbolic link"))),
            };
        }
        let refused = |failure| Stop::Refused(failed("/", failure));
        let fd = self.files.openat(At::Cwd, "/", how).map_err(refused)?;
        match judge(self.files, fd, "/", owner) {
            Ok(stat) => Ok(Found {
                path: "/".to_string(),
                fd,
                stat,
                links: Vec::new(),
                is_enterable: stat.mode & 1 != 0,
            }),
            Err(distrust) => {
                self.close(fd);
                Err(Stop::Refused(distrust))
            }
        }
    }

    fn open_directories(&self) -> usize {
        self.known
            .values()
            .filter(|known| matches!(known, Known::Directory { .. }))
            .count()
    }

    fn release(&mut self) {
        for known in std::mem::take(&mut self.known).into_values() {
            if let Known::Directory { fd, .. } = known {
                close(self.files, fd);
            }
        }
    }
}

impl<F: Files> Drop for Walker<'_, F> {
    fn drop(&mut self) {
        self.release();
    }
}

enum Last {
    Found(Found),
    Link(String),
}

/// What open(2) says where nothing can be opened by that name, whoever asks.
fn is_nothing(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG | Errno::ELOOP
    )
}

/// Last first, so that the next one is popped.
fn components(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .rev()
        .map(str::to_string)
        .collect()
}
