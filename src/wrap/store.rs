//! The two places that wrapping writes to: a link in libexec/jailrun, and rc.conf.d/NAME. Files are
//! replaced whole, so that no moment shows half of one, and directories that had to be made are
//! remembered, so that the last unwrap takes them away again.

use super::block::{self, Found};
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// In a folder rc.conf.d/NAME; rc.subr(8) reads its files in the order of their names.
const LAST: &str = "zz-jailrun";
/// Directories that were made, one a line.
const MADE: &str = ".made";

/// Locked while something is changed.
const LOCK: &str = ".lock";
/// Attempts to lock, 10 ms apart.
const PATIENCE: u32 = 500;

pub struct Store {
    /// PREFIX/libexec/jailrun.
    pub links: PathBuf,
    /// PREFIX/etc/rc.conf.d.
    pub conf: PathBuf,
    /// PREFIX/bin/jailrun.
    pub program: PathBuf,
}

/// The lock, whose name goes with it.
pub struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    fn unname(&self) {
        if is_named(&self.file, &self.path) {
            // What stays is a lock that nobody holds.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether the name still leads to the file that is open.
fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

impl Drop for Held {
    fn drop(&mut self) {
        self.unname();
    }
}

/// The file for a service's lines, with what is in it.
pub struct Conf {
    pub path: PathBuf,
    /// `None`: it isn't there.
    pub text: Option<String>,
    pub found: Option<Found>,
}

fn said(path: &Path, error: &Error) -> String {
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    format!("{}: {words}", path.display())
}

/// `None` for what isn't there; links are told as links.
fn look(path: &Path) -> Result<Option<Metadata>, String> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(said(path, &error)),
    }
}

impl Store {
    /// Held while something is changed: one at a time. The directory is made for it. Only root can open what
    /// is locked: whoever could open it could lock it, and nothing would be unwrapped, nor the package deleted.
    pub fn lock(&self) -> Result<Held, String> {
        let path = self.links.join(LOCK);
        for _ in 0..PATIENCE {
            self.make(&self.links)?;
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(false).mode(0o600);
            let file = match options.custom_flags(libc::O_NOFOLLOW).open(&path) {
                // The last unwrap took the directory away meanwhile.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.map_err(|error| said(&path, &error))?,
            };
            match file.try_lock() {
                // One whose name is gone is nobody's.
                Ok(()) if is_named(&file, &path) => return Ok(Held { file, path }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::Error(error)) => return Err(said(&path, &error)),
            }
        }
        Err(format!(
            "{} is locked: another wrap or unwrap is at work; try again when it has ended",
            path.display()
        ))
    }

    pub fn conf(&self, name: &str) -> Result<Conf, String> {
        let mut path = self.conf.join(name);
        let mut metadata = look(&path)?;
        if metadata.as_ref().is_some_and(Metadata::is_dir) {
            path.push(LAST);
            metadata = look(&path)?;
        }
        let text = match metadata {
            None => None,
            Some(metadata) if metadata.is_file() => {
                let text = fs::read_to_string(&path).map_err(|error| said(&path, &error))?;
                Some(text)
            }
            Some(_) => {
                return Err(format!(
                    "{} is neither a file nor a folder: nothing is written through links",
                    path.display()
                ));
            }
        };
        let found = match &text {
            Some(text) => {
                block::find(name, text).map_err(|why| format!("{}: {why}", path.display()))?
            }
            None => None,
        };
        Ok(Conf { path, text, found })
    }

    /// Services that have lines of ours.
    pub fn wrapped(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        if look(&self.conf)?.is_none() {
            return Ok(names);
        }
        let entries = fs::read_dir(&self.conf).map_err(|error| said(&self.conf, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| said(&self.conf, &error))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            // A link, or a file that isn't text, was never written here.
            if self.conf(&name).is_ok_and(|conf| conf.found.is_some()) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn make(&self, directory: &Path) -> Result<(), String> {
        if look(directory)?.is_some() {
            return Ok(());
        }
        if let Some(above) = directory.parent() {
            self.make(above)?;
        }
        let mut builder = fs::DirBuilder::new();
        let made = builder.mode(0o755).create(directory);
        made.map_err(|error| said(directory, &error))?;
        // The list lies in one of them, which is the first to be made and the last to go.
        let list = self.links.join(MADE);
        if directory != self.links && look(&self.links)?.is_none() {
            return Ok(());
        }
        let mut text = self.made()?;
        text.push(directory.to_path_buf());
        self.write(&list, Some(&lines(&text)))
    }

    fn made(&self) -> Result<Vec<PathBuf>, String> {
        let list = self.links.join(MADE);
        match look(&list)? {
            None => Ok(Vec::new()),
            Some(_) => {
                let text = fs::read_to_string(&list).map_err(|error| said(&list, &error))?;
                Ok(text.lines().map(PathBuf::from).collect())
            }
        }
    }

    /// Directories that were made for this, and are empty again.
    pub fn tidy(&self, held: &Held) -> Result<(), String> {
        let made = self.made()?;
        let mut left = made.clone();
        for directory in made.iter().rev().filter(|made| **made != self.links) {
            if fs::remove_dir(directory).is_ok() {
                left.retain(|known| known != directory);
            }
        }
        let is_last = left == [self.links.clone()];
        let list = self.links.join(MADE);
        if left.is_empty() || is_last {
            self.write(&list, None)?;
            if is_last && self.remove_links(held).is_err() {
                // Something else is in it.
                self.write(&list, Some(&lines(&left)))?;
            }
        } else if left != made {
            self.write(&list, Some(&lines(&left)))?;
        }
        Ok(())
    }

    /// The lock's own directory, with the lock in it.
    fn remove_links(&self, held: &Held) -> Result<(), Error> {
        held.unname();
        fs::remove_dir(&self.links)
    }

    /// Whether the link is there and leads to jailrun.
    pub fn is_linked(&self, link: &Path) -> bool {
        fs::read_link(link).is_ok_and(|target| target == self.program)
    }

    pub fn link(&self, link: &Path) -> Result<(), String> {
        if let Some(directory) = link.parent() {
            self.make(directory)?;
        }
        if look(link)?.is_some_and(|metadata| !metadata.is_symlink()) {
            return Err(format!("{} is not a link", link.display()));
        }
        let new = beside(link);
        let _ = fs::remove_file(&new);
        symlink(&self.program, &new).map_err(|error| said(&new, &error))?;
        fs::rename(&new, link).map_err(|error| said(link, &error))
    }

    /// Only what is a link to jailrun.
    pub fn unlink(&self, link: &Path) -> Result<(), String> {
        if !link.starts_with(&self.links) || !self.is_linked(link) {
            return Ok(());
        }
        fs::remove_file(link).map_err(|error| said(link, &error))
    }

    /// The whole content of a file, by one rename; `None` removes it. An old file's mode and owner stay.
    pub fn write(&self, path: &Path, text: Option<&str>) -> Result<(), String> {
        let old = look(path)?;
        let Some(text) = text else {
            return match old {
                None => Ok(()),
                Some(_) => fs::remove_file(path).map_err(|error| said(path, &error)),
            };
        };
        if let Some(directory) = path.parent() {
            self.make(directory)?;
        }
        let new = beside(path);
        let _ = fs::remove_file(&new);
        let written = fill(&new, text, old.as_ref()).and_then(|()| fs::rename(&new, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&new);
            said(path, &error)
        })
    }
}

fn lines(paths: &[PathBuf]) -> String {
    let lines = paths.iter().map(|path| format!("{}\n", path.display()));
    lines.collect()
}

/// A name that no rc.subr(8) reads.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

fn fill(new: &Path, text: &str, old: Option<&Metadata>) -> Result<(), Error> {
    let mode = old.map_or(0o644, |old| old.mode() & 0o7777);
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(text.as_bytes())?;
    if let Some(old) = old {
        chown(new, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.sync_all()
}
