//! Which files of the host a program needs inside: itself, its interpreter, and exactly the libraries
//! that rtld(1) would load for it, found in rtld's own order. Only files that root alone could have put
//! where they are count; directories that others can write are passed over, as if they were empty.
//!
//! [`find`] asks one [`Walker`] for files and is otherwise pure. What it found holds as long as what the
//! walker has seen holds.
#![forbid(unsafe_code)]

pub mod finder;
pub mod glob;
pub mod graph;
pub mod hints;
pub mod image;
pub mod libmap;
pub mod linker;
pub mod nss;
pub mod record;
pub mod script;
mod space;
mod strings;

use crate::kernel::Stat;
use crate::trust::walk::Walker;
use crate::trust::{Distrust, Files};
use finder::{Finder, Opened, System};
use graph::{Graph, How};
use image::{Image, Object};
use linker::{Abi, Linker};
use space::Space;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most files of one closure.
const FILES: usize = 1024;
/// ELFOSABI_LINUX.
const LINUX: u8 = 3;

/// What somebody is told who may not know what is in the files.
pub const UNSAID: &str = "what the command needs can't be worked out";

/// What is wanted inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Absolute paths.
    pub programs: Vec<String>,
    /// Patterns of what programs open by dlopen(3).
    pub libraries: Vec<String>,
    /// Names that libc opens if they are found anywhere.
    pub modules: Vec<String>,
    pub system: System,
}

/// What has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    /// By their link-free paths.
    pub files: BTreeMap<String, Stat>,
    /// Links on the way to them, each with its text.
    pub links: BTreeMap<String, String>,
    pub graph: Graph,
    /// The run-time linkers that are among the files.
    pub linkers: Vec<Linker>,
}

/// Why a closure can't be worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    words: String,
    quotes: bool,
    is_missing: bool,
}

impl Refusal {
    /// Says nothing of what is in any file.
    fn plain(words: String) -> Refusal {
        Refusal {
            words,
            quotes: false,
            is_missing: false,
        }
    }

    fn quoting(words: String) -> Refusal {
        Refusal {
            quotes: true,
            ..Refusal::plain(words)
        }
    }

    /// A library is nowhere.
    fn missing(words: String) -> Refusal {
        Refusal {
            is_missing: true,
            ..Refusal::quoting(words)
        }
    }

    /// Its words name what only the file says.
    fn out_of_a_file(self) -> Refusal {
        Refusal {
            quotes: true,
            ..self
        }
    }

    fn is_missing(&self) -> bool {
        self.is_missing
    }

    /// For somebody who chose the program, and may not be allowed to read it.
    pub fn discreet(&self) -> &str {
        match self.quotes {
            true => UNSAID,
            false => &self.words,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl From<Distrust> for Refusal {
    fn from(distrust: Distrust) -> Refusal {
        Refusal::plain(distrust.to_string())
    }
}

/// Works the closure out.
pub fn find<F: Files>(walker: &mut Walker<'_, F>, wanted: &Wanted) -> Result<Closure, Refusal> {
    let mut search = Search {
        finder: Finder::new(walker, wanted.system.clone()),
        linkers: BTreeMap::new(),
        processes: Vec::new(),
    };
    for program in &wanted.programs {
        search.program(program, None, How::Program)?;
    }
    let libraries = search.libraries(&wanted.libraries)?;
    search.load(&libraries, &wanted.modules)?;
    let linkers = search.linkers.into_values().collect();
    Ok(search.finder.finish(linkers))
}

/// A dynamic program, before its libraries are loaded.
struct Process {
    path: String,
    opened: Opened,
    object: Rc<Object>,
    abi: Abi,
}

struct Search<'f, 'w, F: Files> {
    finder: Finder<'f, 'w, F>,
    linkers: BTreeMap<Abi, Linker>,
    processes: Vec<Process>,
}

impl<F: Files> Search<'_, '_, F> {
    /// `from` is the script that asks for it.
    fn program(&mut self, path: &str, from: Option<&str>, how: How) -> Result<(), Refusal> {
        let opened = self.open(path)?;
        let real = opened.path.clone();
        self.finder.graph().add(from, &real, how);
        match opened.image.clone() {
            Image::Elf(object) => self.elf(path, opened, object),
            // The kernel runs no script by way of another.
            Image::Script(_) if from.is_some() => Err(Refusal::quoting(format!(
                "{path} is a script, and can't be the interpreter of one"
            ))),
            Image::Script(head) => self.script(path, &real, &head),
            Image::Other => Err(Refusal::quoting(format!(
                "{path} is neither a program nor a script"
            ))),
        }
    }

    fn open(&mut self, path: &str) -> Result<Opened, Refusal> {
        // Of a program that was asked for by path, its path and trust are no secret.
        let opened = self.finder.open(path).map_err(|refusal| Refusal {
            quotes: refusal.quotes && !refusal.words.starts_with(path),
            ..refusal
        })?;
        let opened =
            opened.ok_or_else(|| Refusal::plain(format!("{path}: No such file or directory")))?;
        if opened.stat.mode & 0o111 == 0 {
            return Err(Refusal::plain(format!("{path} is not executable")));
        }
        self.finder.accept(&opened)?;
        Ok(opened)
    }

    fn script(&mut self, path: &str, real: &str, head: &[u8]) -> Result<(), Refusal> {
        let damaged = |damage| match damage {
            image::Damage::Nonsense(words) => Refusal::quoting(format!("{path} {words}")),
            image::Damage::Failed(failure) => Refusal::quoting(format!("{path}: {failure}")),
        };
        let line = script::parse(head).map_err(damaged)?;
        self.program(&line.interpreter, Some(real), How::Script)
            .map_err(Refusal::out_of_a_file)?;
        if line.interpreter != "/usr/bin/env" {
            return Ok(());
        }
        let asked = script::asked_of_env(line.argument.as_deref()).map_err(damaged)?;
        let program = self.in_path(&asked).map_err(Refusal::out_of_a_file)?;
        let program = program.ok_or_else(|| {
            let path_variable = PATH.join(":");
            Refusal::missing(format!(
                "{path} asks env for {asked:?}, which isn't in {path_variable}"
            ))
        })?;
        self.program(&program, Some(real), How::Env)
            .map_err(Refusal::out_of_a_file)
    }

    fn in_path(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        if name.starts_with('/') {
            return Ok(Some(name.to_string()));
        }
        for directory in PATH {
            let candidate = format!("{directory}/{name}");
            if self.finder.open(&candidate)?.is_some() {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    fn elf(&mut self, path: &str, opened: Opened, object: Rc<Object>) -> Result<(), Refusal> {
        if object.osabi == LINUX {
            return Err(Refusal::quoting(format!("{path} is a program for Linux")));
        }
        let machine = self.finder.system().machine.clone();
        let abi = Abi::of(&object, &machine)
            .ok_or_else(|| Refusal::quoting(format!("{path} is a program for another machine")))?;
        let Some(named) = &object.interpreter else {
            return match object.needed.is_empty() {
                // Static, or rtld itself.
                true => Ok(()),
                false => Err(Refusal::quoting(format!(
                    "{path} is a library, not a program"
                ))),
            };
        };
        let interpreter = abi.interpreter(named).ok_or_else(|| {
            Refusal::quoting(format!("{path} has {named:?} for its run-time linker"))
        })?;
        let linker = self.open(interpreter).map_err(Refusal::out_of_a_file)?;
        let graph = self.finder.graph();
        graph.add(Some(&opened.path), &linker.path, How::Interpreter);
        self.linker(abi)?;
        self.processes.push(Process {
            path: path.to_string(),
            opened,
            object,
            abi,
        });
        Ok(())
    }

    fn linker(&mut self, abi: Abi) -> Result<(), Refusal> {
        if let std::collections::btree_map::Entry::Vacant(place) = self.linkers.entry(abi) {
            place.insert(Linker::read(self.finder.walker(), abi)?);
        }
        Ok(())
    }

    /// The files that patterns stand for. A path that is no pattern must be there.
    fn libraries(&mut self, patterns: &[String]) -> Result<Vec<(String, String)>, Refusal> {
        let mut all = Vec::new();
        for pattern in patterns {
            let paths = glob::expand(self.finder.walker(), pattern)?;
            let paths = paths
                .ok_or_else(|| Refusal::plain(format!("{pattern} stands for too many files")))?;
            all.extend(paths.into_iter().map(|path| (pattern.clone(), path)));
        }
        Ok(all)
    }

    /// Loads what each program needs, and into each the libraries that it may open.
    fn load(&mut self, libraries: &[(String, String)], modules: &[String]) -> Result<(), Refusal> {
        let mut unused: Vec<&str> = libraries.iter().map(|(_, path)| path.as_str()).collect();
        for process in &self.processes {
            let Some(linker) = self.linkers.get(&process.abi) else {
                continue;
            };
            let (system, object) = (self.finder.system().clone(), Rc::clone(&process.object));
            let mut space = Space::new(linker, &system, &process.path, &process.opened, object);
            space.complete(&mut self.finder)?;
            space.open_modules(&mut self.finder, modules)?;
            for (pattern, path) in libraries {
                let (opened, object) = library(&mut self.finder, pattern, path)?;
                if Abi::of(&object, &system.machine) == Some(process.abi) {
                    let how = How::Library(pattern.clone());
                    space.open(&mut self.finder, path, opened, how)?;
                    unused.retain(|other| *other != path);
                }
            }
        }
        match unused.first() {
            Some(path) => Err(Refusal::plain(format!(
                "{path} is in libraries, and no program here can open it"
            ))),
            None => Ok(()),
        }
    }
}

fn library<F: Files>(
    finder: &mut Finder<'_, '_, F>,
    pattern: &str,
    path: &str,
) -> Result<(Opened, Rc<Object>), Refusal> {
    let opened = finder.open(path)?;
    let opened =
        opened.ok_or_else(|| Refusal::plain(format!("{path}: No such file or directory")))?;
    match opened.image.clone() {
        Image::Elf(object) if object.is_dynamic => Ok((opened, object)),
        _ if pattern == path => Err(Refusal::plain(format!("{path} is not a library"))),
        _ => Err(Refusal::plain(format!(
            "{path} is not a library: narrow {pattern} in libraries"
        ))),
    }
}

/// Where env(1) is taken to look.
const PATH: [&str; 6] = [
    "/sbin",
    "/bin",
    "/usr/sbin",
    "/usr/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
];
