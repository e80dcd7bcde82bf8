//! The run-time linkers of a system: one for programs of its own kind, and one for those of its 32-bit
//! kin, each with its directories, hints file and libmap.conf (libexec/rtld-elf/rtld_paths.h).

use super::hints;
use super::image::Object;
use super::libmap::{Libmap, Line, parse};
use crate::kernel::{FileKind, Open};
use crate::trust::walk::{Found, Stop, Walker};
use crate::trust::{Distrust, Files, Owner};

/// Files that are read whole aren't longer.
const FILE: usize = 256 << 10;
/// Files of libmap.conf, with all that they include.
const INCLUDES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Abi {
    Native,
    /// 32-bit programs on a 64-bit kernel.
    Compat32,
}

/// sysctl hw.machine, and ELF's numbers for it and for its 32-bit kin.
const MACHINES: [(&str, u16, u16); 2] = [("amd64", 62, 3), ("arm64", 183, 40)];

impl Abi {
    /// `None`: a program for another machine.
    pub fn of(object: &Object, machine: &str) -> Option<Abi> {
        let (_, native, compat) = MACHINES.iter().find(|(name, ..)| *name == machine)?;
        match (object.is_64, object.machine) {
            (true, number) if number == *native => Some(Abi::Native),
            (false, number) if number == *compat => Some(Abi::Compat32),
            _ => None,
        }
    }

    /// What the kernel runs for a program that names this interpreter; `None` where it isn't rtld's.
    pub fn interpreter(self, named: &str) -> Option<&'static str> {
        match (self, named) {
            (Abi::Native, "/libexec/ld-elf.so.1") => Some("/libexec/ld-elf.so.1"),
            (Abi::Native, "/usr/libexec/ld-elf.so.1") => Some("/usr/libexec/ld-elf.so.1"),
            (
                Abi::Compat32,
                "/libexec/ld-elf.so.1" | "/usr/libexec/ld-elf.so.1" | "/libexec/ld-elf32.so.1",
            ) => Some("/libexec/ld-elf32.so.1"),
            _ => None,
        }
    }

    /// $LIB.
    pub fn library_token(self) -> &'static str {
        match self {
            Abi::Native => "lib",
            Abi::Compat32 => "lib32",
        }
    }

    pub fn standard_directories(self) -> &'static str {
        match self {
            Abi::Native => "/lib:/usr/lib",
            Abi::Compat32 => "/lib32:/usr/lib32",
        }
    }

    pub fn hints_file(self) -> &'static str {
        match self {
            Abi::Native => "/var/run/ld-elf.so.hints",
            Abi::Compat32 => "/var/run/ld-elf32.so.hints",
        }
    }

    pub fn libmap_file(self) -> &'static str {
        match self {
            Abi::Native => "/etc/libmap.conf",
            Abi::Compat32 => "/etc/libmap32.conf",
        }
    }
}

/// What a linker goes by on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linker {
    pub abi: Abi,
    /// Directories of the hints file, as one list.
    pub hints: String,
    pub libmap: Libmap,
}

impl Linker {
    pub fn read<F: Files>(walker: &mut Walker<'_, F>, abi: Abi) -> Result<Linker, Distrust> {
        let hints = walker.read(abi.hints_file(), FILE)?;
        let mut reader = Reader {
            walker,
            libmap: Libmap::default(),
            paths: Vec::new(),
            files: Vec::new(),
        };
        reader.file(abi.libmap_file())?;
        Ok(Linker {
            abi,
            hints: hints
                .and_then(|file| hints::parse(&file))
                .unwrap_or_default(),
            libmap: reader.libmap,
        })
    }

    /// Directories of the hints that a library without the default ones may use.
    pub fn hints_without_standard(&self) -> String {
        let standard: Vec<&str> = hints::directories(self.abi.standard_directories()).collect();
        let rest: Vec<&str> = hints::directories(&self.hints)
            .filter(|directory| !standard.contains(directory))
            .collect();
        rest.join(":")
    }
}

/// Follows the includes of libmap.conf(5), each file once by its path and once by its inode.
struct Reader<'r, 'a, F: Files> {
    walker: &'r mut Walker<'a, F>,
    libmap: Libmap,
    paths: Vec<String>,
    files: Vec<(u64, u64)>,
}

impl<F: Files> Reader<'_, '_, F> {
    fn file(&mut self, path: &str) -> Result<(), Distrust> {
        let is_known = self.paths.iter().any(|known| known == path);
        if is_known || self.paths.len() >= INCLUDES {
            return Ok(());
        }
        let Some(found) = self.find(path, Open::Read)? else {
            return Ok(());
        };
        self.walker.close(found.fd);
        let id = (found.stat.device, found.stat.inode);
        if self.files.contains(&id) {
            return Ok(());
        }
        let Some(content) = self.walker.read(&found.path, FILE)? else {
            return Ok(());
        };
        self.paths.push(path.to_string());
        self.files.push(id);
        let text = String::from_utf8(content).map_err(|_| Distrust::Untrusted {
            component: path.to_string(),
            reason: "is not UTF-8".to_string(),
        })?;
        for line in parse(&text) {
            match line {
                Line::Map { who, from, to } => self.libmap.add(who, from, to),
                Line::Include(file) => self.file(file)?,
                Line::IncludeDirectory(directory) => self.directory(directory)?,
            }
        }
        Ok(())
    }

    /// Regular files only, and no links: rtld asks readdir(3) for the type.
    fn directory(&mut self, path: &str) -> Result<(), Distrust> {
        if self.paths.iter().any(|known| known == path) {
            return Ok(());
        }
        let Some(found) = self.find(path, Open::Directory)? else {
            return Ok(());
        };
        self.walker.close(found.fd);
        self.paths.push(path.to_string());
        for name in self.walker.names(&found.path)? {
            let file = format!("{}/{name}", found.path);
            if !name.ends_with(".conf") {
                continue;
            }
            let Some(entry) = self.find(&file, Open::Path)? else {
                continue;
            };
            self.walker.close(entry.fd);
            if entry.links.is_empty() && entry.stat.kind == FileKind::Regular {
                self.file(&format!("{path}/{name}"))?;
            }
        }
        Ok(())
    }

    fn find(&mut self, path: &str, how: Open) -> Result<Option<Found>, Distrust> {
        match self.walker.resolve_alone(path, how, Owner::Root) {
            Ok(found) => Ok(Some(found)),
            Err(Stop::Absent(_)) => Ok(None),
            // rtld would look relative to a directory that nobody can know.
            Err(_) if !path.starts_with('/') => Ok(None),
            Err(stop) => Err(stop.into()),
        }
    }
}
