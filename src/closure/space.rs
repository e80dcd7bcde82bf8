//! One process's libraries, in the order in which rtld(1) loads them: breadth first from the program,
//! then what filters and dlopen(3) bring in. A library is known by the names it was asked for, by its
//! DT_SONAME and by its inode, and looked for only when all three are new (libexec/rtld-elf/rtld.c:
//! load_needed_objects, load_object, find_library).

use super::Refusal;
use super::finder::{Finder, Opened, System};
use super::graph::How;
use super::image::{Image, Object};
use super::libmap::Libmap;
use super::linker::{Abi, Linker};
use crate::trust::Files;
use crate::trust::walk::Stop;
use std::rc::Rc;

/// A file that rtld has mapped.
struct Loaded {
    /// As rtld calls it: what libmap.conf's selectors are compared with.
    path: String,
    /// Without links.
    real: String,
    id: (u64, u64),
    names: Vec<String>,
    object: Rc<Object>,
    rpath: Option<String>,
    runpath: Option<String>,
}

pub struct Space<'l> {
    linker: &'l Linker,
    /// Changes while libraries are loaded: see [`Libmap::find`].
    libmap: Libmap,
    objects: Vec<Loaded>,
    /// How many objects had their needed ones, and their filtees, loaded.
    needed: usize,
    filtered: usize,
}

impl<'l> Space<'l> {
    /// `path` is what execve(2) is given.
    pub fn new(
        linker: &'l Linker,
        system: &System,
        path: &str,
        opened: &Opened,
        object: Rc<Object>,
    ) -> Space<'l> {
        let mut space = Space {
            linker,
            libmap: linker.libmap.clone(),
            objects: Vec::new(),
            needed: 0,
            filtered: 0,
        };
        space.push(system, path, opened, object, None);
        space
    }

    fn push(
        &mut self,
        system: &System,
        path: &str,
        opened: &Opened,
        object: Rc<Object>,
        name: Option<&str>,
    ) {
        let origin = parent(&opened.path);
        let abi = self.linker.abi;
        let put_in = |list: &Option<String>| {
            list.as_deref()
                .map(|list| system.put_in_tokens(list, origin, abi))
        };
        // DT_RPATH counts for nothing where there is a DT_RUNPATH.
        let runpath = put_in(&object.runpath);
        let rpath = put_in(&object.rpath).filter(|_| runpath.is_none());
        let names = object.soname.iter().map(String::as_str).chain(name);
        self.objects.push(Loaded {
            path: path.to_string(),
            real: opened.path.clone(),
            id: opened.id(),
            names: names.map(str::to_string).collect(),
            rpath,
            runpath,
            object,
        });
    }

    /// Loads all that is needed, and then what filters refer to.
    pub fn complete<F: Files>(&mut self, finder: &mut Finder<'_, '_, F>) -> Result<(), Refusal> {
        self.load_needed(finder)?;
        while let Some(object) = self.objects.get(self.filtered) {
            let object = Rc::clone(&object.object);
            let from = self.filtered;
            self.filtered += 1;
            for name in &object.filters {
                self.load_if_there(finder, from, name, How::Filter(name.clone()))?;
            }
            for name in &object.auxiliaries {
                self.load_if_there(finder, from, name, How::Auxiliary(name.clone()))?;
            }
        }
        Ok(())
    }

    /// dlopen(3) of a path, with all that it needs.
    pub fn open<F: Files>(
        &mut self,
        finder: &mut Finder<'_, '_, F>,
        path: &str,
        opened: Opened,
        how: How,
    ) -> Result<(), Refusal> {
        let to = self.map(finder, path, path, opened)?;
        finder.graph().add(None, &to, how);
        self.complete(finder)
    }

    /// dlopen(3) of names, by libc: it does without those that it can't load.
    pub fn open_modules<F: Files>(
        &mut self,
        finder: &mut Finder<'_, '_, F>,
        modules: &[String],
    ) -> Result<(), Refusal> {
        let libc = self
            .objects
            .iter()
            .position(|object| object.object.soname.as_deref() == Some("libc.so.7"));
        if let Some(libc) = libc {
            for name in modules {
                self.load_if_there(finder, libc, name, How::Module(name.clone()))?;
            }
        }
        self.complete(finder)
    }

    fn load_needed<F: Files>(&mut self, finder: &mut Finder<'_, '_, F>) -> Result<(), Refusal> {
        while let Some(object) = self.objects.get(self.needed) {
            let object = Rc::clone(&object.object);
            let from = self.needed;
            self.needed += 1;
            for name in &object.needed {
                let how = How::Needed(name.clone());
                if let Err(tried) = self.load(finder, name, from, how)? {
                    return Err(self.missing(name, from, &tried));
                }
            }
        }
        Ok(())
    }

    fn missing(&self, name: &str, from: usize, tried: &Tried) -> Refusal {
        let by = self
            .objects
            .get(from)
            .map_or("", |object| object.path.as_str());
        let mut words = format!("{by} needs {name:?}, which is in none of");
        for directory in &tried.directories {
            words.push_str(&format!(" {directory}"));
        }
        for barred in &tried.barred {
            words.push_str(&format!("; {barred}"));
        }
        Refusal::missing(words)
    }

    /// rtld does without a filtee that it can't load, and libc without a module: both with all that such
    /// a one needs.
    fn load_if_there<F: Files>(
        &mut self,
        finder: &mut Finder<'_, '_, F>,
        from: usize,
        name: &str,
        how: How,
    ) -> Result<(), Refusal> {
        let before = (self.objects.len(), finder.mark());
        if self.load(finder, name, from, how)?.is_err() {
            return Ok(());
        }
        if let Err(refusal) = self.load_needed(finder) {
            if !refusal.is_missing() {
                return Err(refusal);
            }
            self.objects.truncate(before.0);
            self.needed = self.needed.min(before.0);
            finder.back_to(before.1);
        }
        Ok(())
    }

    /// Finds and maps one library, unless it is there already. The inner error: it is nowhere.
    fn load<F: Files>(
        &mut self,
        finder: &mut Finder<'_, '_, F>,
        name: &str,
        from: usize,
        how: How,
    ) -> Result<Result<(), Tried>, Refusal> {
        let real = self.objects.get(from).map(|object| object.real.clone());
        let known = self
            .objects
            .iter()
            .find(|object| object.names.iter().any(|known| known == name));
        if let Some(known) = known {
            finder.graph().add(real.as_deref(), &known.real, how);
            return Ok(Ok(()));
        }
        let (path, opened) = match self.find(finder, name, from)? {
            Ok(found) => found,
            Err(tried) => return Ok(Err(tried)),
        };
        let to = self.map(finder, name, &path, opened)?;
        finder.graph().add(real.as_deref(), &to, how);
        Ok(Ok(()))
    }

    /// Maps an opened file, and says where it really is.
    fn map<F: Files>(
        &mut self,
        finder: &mut Finder<'_, '_, F>,
        name: &str,
        path: &str,
        opened: Opened,
    ) -> Result<String, Refusal> {
        let same = self
            .objects
            .iter_mut()
            .find(|object| object.id == opened.id());
        if let Some(same) = same {
            same.names.push(name.to_string());
            let real = same.real.clone();
            // A hard link. As a second mount it would be a file of its own to rtld.
            finder.accept_alias(&opened, &real);
            return Ok(real);
        }
        let Image::Elf(object) = opened.image.clone() else {
            return Err(Refusal::quoting(format!("{path} is not a library")));
        };
        if Abi::of(&object, &finder.system().machine) != Some(self.linker.abi) {
            let words = format!("{path} is a library for another machine");
            return Err(Refusal::quoting(words));
        }
        if object.is_pie {
            let words = format!("{path} is a program, which can't be loaded as a library");
            return Err(Refusal::quoting(words));
        }
        finder.accept(&opened)?;
        let system = finder.system().clone();
        self.push(&system, path, &opened, object, Some(name));
        Ok(opened.path)
    }

    /// Where rtld finds a name, and the file that is there.
    fn find<F: Files>(
        &mut self,
        finder: &mut Finder<'_, '_, F>,
        name: &str,
        from: usize,
    ) -> Result<Result<(String, Opened), Tried>, Refusal> {
        let mut tried = Tried::default();
        let Some(by) = self.objects.get(from) else {
            return Ok(Err(tried));
        };
        let name = self
            .libmap
            .find(&by.path, name)
            .unwrap_or_else(|| name.to_string());
        if name.contains('/') {
            let origin = parent(&by.real);
            let path = finder
                .system()
                .put_in_tokens(&name, origin, self.linker.abi);
            if !path.starts_with('/') {
                let words = format!("{} needs {path:?}, which isn't absolute", by.path);
                return Err(Refusal::quoting(words));
            }
            return Ok(finder
                .open(&path)
                .map_err(Refusal::out_of_a_file)?
                .map(|opened| (path.clone(), opened))
                .ok_or_else(|| Tried {
                    directories: vec![parent(&path).to_string()],
                    barred: Vec::new(),
                }));
        }
        for directory in self.search_list(from) {
            // Relative to a directory that nobody can know.
            if !directory.starts_with('/') || directory.len() + name.len() + 2 > PATH_MAX {
                continue;
            }
            let path = format!("{directory}/{name}");
            match finder.try_open(&path).map_err(Refusal::out_of_a_file)? {
                Ok(opened) => return Ok(Ok((path, opened))),
                Err(Stop::Barred(distrust)) => tried.barred.push(distrust.to_string()),
                Err(_) => {}
            }
            tried.directories.push(directory);
        }
        Ok(Err(tried))
    }

    /// DT_RPATH, the program's DT_RPATH, DT_RUNPATH, the hints, the standard directories.
    fn search_list(&mut self, from: usize) -> Vec<String> {
        let (Some(by), Some(main)) = (self.objects.get(from), self.objects.first()) else {
            return Vec::new();
        };
        let has_defaults = !by.object.no_default_libraries;
        let hints = match has_defaults {
            true => self.linker.hints.clone(),
            false => self.linker.hints_without_standard(),
        };
        let of_main = (by.runpath.is_none() && from != 0)
            .then(|| main.rpath.clone())
            .flatten();
        let standard = self.linker.abi.standard_directories();
        let lists = [
            by.rpath.clone(),
            of_main,
            by.runpath.clone(),
            Some(hints),
            has_defaults.then(|| standard.to_string()),
        ];
        let path = by.path.clone();
        let mut all: Vec<String> = Vec::new();
        for list in lists.into_iter().flatten() {
            for directory in self.libmap.translate(&path, &list) {
                // Looking twice finds nothing new.
                if !all.contains(&directory) {
                    all.push(directory);
                }
            }
        }
        all
    }
}

const PATH_MAX: usize = 1024;

/// Where a name was looked for.
#[derive(Default)]
pub struct Tried {
    directories: Vec<String>,
    /// Directories that were passed over, with the reason.
    barred: Vec<String>,
}

/// The directory of a file.
fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}
