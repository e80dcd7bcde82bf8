//! Looks through what was granted, as far as the service may look, and tells what it couldn't see. What is
//! looked through may be the service's own, shut or filled with names so that nothing is found in it.

use super::Target;
use crate::kernel::{At, Errno, Failure, FileKind, Kernel, Open, Stat};

/// Names that are looked at, all in all.
pub const MOST_LOOKS: usize = 20_000;

pub struct Looks {
    left: usize,
    /// Who looks.
    pub own: u32,
    /// The first that couldn't be seen, and why.
    pub missed: Option<String>,
}

impl Looks {
    pub fn new(own: u32) -> Looks {
        Looks {
            left: MOST_LOOKS,
            own,
            missed: None,
        }
    }

    pub fn miss(&mut self, path: &str, failure: &Failure) {
        self.missed
            .get_or_insert_with(|| format!("{path}: {failure}"));
    }

    /// A place and all that is below it in the same file system, until something is found.
    pub fn through<K: Kernel, T>(
        &mut self,
        kernel: &mut K,
        target: &Target,
        top: &str,
        mut find: impl FnMut(&mut Looks, &mut K, &str, &Stat) -> Option<T>,
    ) -> Option<T> {
        let mut places = vec![top.to_string()];
        let mut device = None;
        while let Some(path) = places.pop() {
            let Some(left) = self.left.checked_sub(1) else {
                let words = format!("{top}: there are more than {MOST_LOOKS} names");
                self.missed.get_or_insert(words);
                return None;
            };
            self.left = left;
            let (at, name) = target.reach(&path);
            let stat = match kernel.lstatat(at, &name) {
                Ok(stat) => stat,
                Err(failure) => {
                    self.miss(&path, &failure);
                    continue;
                }
            };
            if *device.get_or_insert(stat.device) != stat.device {
                // Another mount, which has its own turn.
                continue;
            }
            if let Some(found) = find(self, kernel, &path, &stat) {
                return Some(found);
            }
            if stat.kind == FileKind::Directory {
                let above = path.trim_end_matches('/');
                let names = self.names(kernel, (at, &name), &path, &stat);
                places.extend(names.iter().map(|name| format!("{above}/{name}")));
            }
        }
        None
    }

    fn names<K: Kernel>(
        &mut self,
        kernel: &mut K,
        (at, name): (At, &str),
        path: &str,
        stat: &Stat,
    ) -> Vec<String> {
        let listed = kernel.openat(at, name, Open::Directory).and_then(|fd| {
            let names = kernel.readdir(fd);
            kernel.close(fd).and(names)
        });
        listed.unwrap_or_else(|failure| {
            // What it may not even search, and can't open for itself, holds nothing for it.
            let searched = kernel.lstatat(at, &format!("{name}/.jailrun-attest"));
            let is_shut = searched.is_err_and(|failure| failure.errno == Errno::EACCES);
            if !is_shut || stat.uid == self.own {
                self.miss(path, &failure);
            }
            Vec::new()
        })
    }
}
