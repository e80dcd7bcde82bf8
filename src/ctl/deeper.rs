//! Below a writable directory of root's: directories in which the service can exchange names all the same, which
//! the modes of the first don't tell. Looked for by descriptors, through no link and into no other file system but
//! those that are granted with it; nothing is changed. What an ACL below says isn't looked at.

use super::plan::Prepared;
use crate::kernel::{At, Errno, Fd, FileKind, Kernel, Open, Outcome, Stat};
use crate::plan::Host;

/// Names that are looked at for one directory of the profile.
const MOST_NAMES: usize = 10_000;
/// Directories below one another, each of which takes a descriptor.
const DEEPEST: usize = 32;
/// Those that are named; the first says what there is to say.
const MOST_NAMED: usize = 3;

pub fn notes<K: Kernel>(kernel: &mut K, prepared: &Prepared) -> Vec<String> {
    let (host, profile) = (&prepared.host, &prepared.profile);
    let known = host.linkable_writables(profile);
    let mut notes = Vec::new();
    let writables = profile.root.rw.iter().map(|writable| &writable.path);
    for path in writables.filter(|path| !known.contains(&path.as_str())) {
        let Some(granted) = host.sources.get(path) else {
            continue;
        };
        let mut look = Look {
            host,
            left: MOST_NAMES,
            found: Vec::new(),
            missed: None,
        };
        look.top(kernel, &granted.path);
        for mounted in host.submounts.iter().filter(|mounted| &mounted.of == path) {
            match host.can_exchange(&mounted.stat) {
                true => look.found.push(shown(&mounted.path)),
                false => look.top(kernel, &mounted.path),
            }
        }
        notes.extend(look.words(path));
    }
    notes
}

/// For messages: a service names its directories as it likes.
fn shown(path: &str) -> String {
    path.escape_debug().to_string()
}

struct Look<'a> {
    host: &'a Host,
    left: usize,
    found: Vec<String>,
    /// The first that wasn't looked into, and why.
    missed: Option<String>,
}

impl Look<'_> {
    fn top<K: Kernel>(&mut self, kernel: &mut K, path: &str) {
        if let Err(failure) = self.directory(kernel, At::Cwd, path, path, 0) {
            self.miss(path, &failure.to_string());
        }
    }

    fn directory<K: Kernel>(
        &mut self,
        kernel: &mut K,
        at: At,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Outcome<()> {
        let directory = kernel.openat(at, name, Open::Directory)?;
        let named = kernel.fstat(directory).map(|stat| stat.device);
        let named = named.and_then(|device| Ok((device, kernel.readdir(directory)?)));
        if let Ok((device, names)) = &named {
            for name in names {
                let below = format!("{path}/{name}");
                match self.entry(kernel, directory, name, &below, (*device, depth)) {
                    // Somebody removed it.
                    Err(failure) if failure.errno == Errno::ENOENT => {}
                    Err(failure) => self.miss(&below, &failure.to_string()),
                    Ok(()) => {}
                }
            }
        }
        kernel.close(directory).and(named.map(drop))
    }

    fn entry<K: Kernel>(
        &mut self,
        kernel: &mut K,
        directory: Fd,
        name: &str,
        path: &str,
        (device, depth): (u64, usize),
    ) -> Outcome<()> {
        let Some(left) = self.left.checked_sub(1) else {
            self.miss(path, "there are too many names");
            return Ok(());
        };
        self.left = left;
        let at = At::Dir(directory);
        let stat = kernel.lstatat(at, name)?;
        if self.is_left_out(&stat, device) {
            return Ok(());
        }
        if self.host.can_exchange(&stat) {
            self.found.push(shown(path));
            return Ok(());
        }
        if depth == DEEPEST {
            self.miss(path, "it is too deep");
            return Ok(());
        }
        self.directory(kernel, at, name, path, depth + 1)
    }

    /// Enough are known, or it isn't one, or it is a mount, which has its own turn if it is granted.
    fn is_left_out(&self, stat: &Stat, device: u64) -> bool {
        let is_enough = self.found.len() > MOST_NAMED;
        is_enough || stat.kind != FileKind::Directory || stat.device != device
    }

    fn miss(&mut self, path: &str, why: &str) {
        self.missed
            .get_or_insert_with(|| format!("{}: {why}", shown(path)));
    }

    fn words(self, path: &str) -> Option<String> {
        let mut named = self.found;
        if named.len() > MOST_NAMED {
            named.truncate(MOST_NAMED);
            named.push("and others".to_string());
        }
        match (named.is_empty(), self.missed) {
            (false, _) => Some(super::notes::of_linkable(&named)),
            (true, Some(why)) => Some(format!(
                "{path}: whether the service can put links anywhere below isn't known ({why})"
            )),
            (true, None) => None,
        }
    }
}
