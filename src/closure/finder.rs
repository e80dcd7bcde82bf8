//! Opens files for the closure, reads each once, and keeps what was accepted: files, the links that lead
//! to them, and who needs whom.

use super::graph::Graph;
use super::image::{self, Damage, Image, ReadAt};
use super::linker::{Abi, Linker};
use super::{Closure, FILES, Refusal};
use crate::kernel::{Fd, FileKind, Open, Outcome, Stat};
use crate::trust::walk::{Stop, Walker};
use crate::trust::{Distrust, Files, Owner};
use std::collections::BTreeMap;

/// Files that may be looked for in vain, over all programs: a bound on what hostile files can cost.
const TRIES: u32 = 1 << 16;

/// What rtld's tokens stand for, and which programs run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// sysctl hw.machine.
    pub machine: String,
    /// kern.ostype and kern.osrelease.
    pub name: String,
    pub release: String,
}

impl System {
    /// Puts $ORIGIN and its kin in, each wherever its letters stand, as rtld does.
    pub fn put_in_tokens(&self, text: &str, origin: &str, abi: Abi) -> String {
        let tokens = [
            ("ORIGIN", origin),
            ("OSNAME", self.name.as_str()),
            ("OSREL", self.release.as_str()),
            ("PLATFORM", self.machine.as_str()),
            ("LIB", abi.library_token()),
        ];
        let mut text = text.to_string();
        for (token, value) in tokens {
            if text.contains('$') {
                text = text.replace(&format!("${token}"), value);
                text = text.replace(&format!("${{{token}}}"), value);
            }
        }
        text
    }
}

/// A regular file that only root could have put there.
pub struct Opened {
    /// Without links.
    pub path: String,
    pub stat: Stat,
    pub links: Vec<(String, String)>,
    pub image: Image,
}

impl Opened {
    pub fn id(&self) -> (u64, u64) {
        (self.stat.device, self.stat.inode)
    }
}

pub struct Finder<'f, 'w, F: Files> {
    walker: &'f mut Walker<'w, F>,
    system: System,
    images: BTreeMap<(u64, u64), Image>,
    tries: u32,
    graph: Graph,
    files: Vec<(String, Stat)>,
    links: Vec<(String, String)>,
}

/// A point to go back to.
#[derive(Clone, Copy)]
pub struct Mark {
    edges: usize,
    files: usize,
    links: usize,
}

impl<'f, 'w, F: Files> Finder<'f, 'w, F> {
    pub fn new(walker: &'f mut Walker<'w, F>, system: System) -> Finder<'f, 'w, F> {
        Finder {
            walker,
            system,
            images: BTreeMap::new(),
            tries: 0,
            graph: Graph::default(),
            files: Vec::new(),
            links: Vec::new(),
        }
    }

    pub fn system(&self) -> &System {
        &self.system
    }

    pub fn walker(&mut self) -> &mut Walker<'w, F> {
        self.walker
    }

    pub fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }

    /// What was accepted.
    pub fn finish(self, linkers: Vec<Linker>) -> Closure {
        Closure {
            files: self.files.into_iter().collect(),
            links: self.links.into_iter().collect(),
            graph: self.graph,
            linkers,
        }
    }

    pub fn mark(&self) -> Mark {
        Mark {
            edges: self.graph.edges().len(),
            files: self.files.len(),
            links: self.links.len(),
        }
    }

    pub fn back_to(&mut self, mark: Mark) {
        self.graph.truncate(mark.edges);
        self.files.truncate(mark.files);
        self.links.truncate(mark.links);
    }

    /// Opens and reads a file. `None`: nothing is there.
    pub fn open(&mut self, path: &str) -> Result<Option<Opened>, Refusal> {
        match self.try_open(path)? {
            Ok(opened) => Ok(Some(opened)),
            Err(Stop::Absent(_)) => Ok(None),
            Err(stop) => Err(Distrust::from(stop).into()),
        }
    }

    /// The inner error is no refusal: nothing is there, or a directory on the way is somebody else's.
    pub fn try_open(&mut self, path: &str) -> Result<Result<Opened, Stop>, Refusal> {
        self.tries += 1;
        if self.tries > TRIES {
            let words = format!("more than {TRIES} files are looked for");
            return Err(Refusal::quoting(words));
        }
        let found = match self.walker.resolve(path, Open::Read, Owner::Root) {
            Ok(found) => found,
            Err(Stop::Refused(distrust)) => return Err(distrust.into()),
            Err(stop) => return Ok(Err(stop)),
        };
        let image = self.read(path, found.fd, &found.stat);
        self.walker.close(found.fd);
        Ok(Ok(Opened {
            path: found.path,
            stat: found.stat,
            links: found.links,
            image: image?,
        }))
    }

    fn read(&mut self, path: &str, fd: Fd, stat: &Stat) -> Result<Image, Refusal> {
        if stat.kind != FileKind::Regular {
            return Err(Refusal::plain(format!("{path} is not a regular file")));
        }
        let id = (stat.device, stat.inode);
        if let Some(known) = self.images.get(&id) {
            return Ok(known.clone());
        }
        let mut file = Reading {
            files: self.walker.files(),
            fd,
        };
        let image = image::read(&mut file, stat.size).map_err(|damage| match damage {
            Damage::Nonsense(words) => Refusal::quoting(format!("{path} {words}")),
            Damage::Failed(failure) => Refusal::plain(format!("{path}: {failure}")),
        })?;
        self.images.insert(id, image.clone());
        Ok(image)
    }

    /// The file is to be there, and what leads to it.
    pub fn accept(&mut self, opened: &Opened) -> Result<(), Refusal> {
        self.accept_links(&opened.links);
        if self.files.iter().any(|(path, _)| *path == opened.path) {
            return Ok(());
        }
        if self.files.len() == FILES {
            return Err(Refusal::quoting(format!(
                "more than {FILES} files are needed"
            )));
        }
        self.files.push((opened.path.clone(), opened.stat));
        Ok(())
    }

    /// What was opened is a file that is there already, under the name `real`.
    pub fn accept_alias(&mut self, opened: &Opened, real: &str) {
        self.accept_links(&opened.links);
        let is_there = self.files.iter().any(|(path, _)| *path == opened.path);
        if opened.path != real && !is_there {
            self.accept_links(&[(opened.path.clone(), real.to_string())]);
        }
    }

    fn accept_links(&mut self, links: &[(String, String)]) {
        for link in links {
            if !self.links.contains(link) {
                self.links.push(link.clone());
            }
        }
    }
}

struct Reading<'r, F> {
    files: &'r mut F,
    fd: Fd,
}

impl<F: Files> ReadAt for Reading<'_, F> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        self.files.pread(self.fd, buffer, offset)
    }
}
