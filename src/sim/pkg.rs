//! pkg(8) as far as it is asked here, and programs whose answers are given word by word.

use super::world::World;
use crate::pkg::PKG;

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    pub name: String,
    pub version: String,
    /// What its list names as `@dir`.
    pub directories: Vec<String>,
    pub files: Vec<String>,
}

impl Installed {
    fn full(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

impl World {
    /// Installs a package, and pkg(8) with it; its files and directories are whoever's who puts them there.
    pub fn package(
        &mut self,
        name: &str,
        version: &str,
        directories: &[&str],
        files: &[&str],
    ) -> &mut World {
        let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_string()).collect();
        self.packages.push(Installed {
            name: name.to_string(),
            version: version.to_string(),
            directories: owned(directories),
            files: owned(files),
        });
        self.file(PKG, 0o755, 0, 0, b"\x7fELF")
    }

    /// What a program says when it is called so, and the status that it ends with where nothing else is said
    /// of how it behaves.
    pub fn says(&mut self, words: &[&str], said: &[u8], status: i32) -> &mut World {
        let words = words.iter().map(|word| (*word).to_string()).collect();
        self.answers.insert(words, (said.to_vec(), status));
        self
    }

    pub(super) fn answer(&self, words: &[String]) -> Option<(Vec<u8>, i32)> {
        if let Some(answer) = self.answers.get(words) {
            return Some(answer.clone());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (pkg, words) = words.split_first()?;
        if *pkg != PKG || self.packages.is_empty() {
            return None;
        }
        let lines = self.lines(words)?;
        // Nothing found is a failure; a package without directories is found.
        let status = i32::from(lines.is_none());
        let text: String = lines
            .into_iter()
            .flatten()
            .map(|line| line + "\n")
            .collect();
        Some((text.into_bytes(), status))
    }

    /// `None`: it isn't asked so. `Some(None)`: nothing is found.
    fn lines(&self, words: &[&str]) -> Option<Option<Vec<String>>> {
        let one = |name: &str| {
            let is_meant = |known: &&Installed| known.name == name || known.full() == name;
            self.packages.iter().find(is_meant)
        };
        match words {
            ["query", "-a", "%n-%v %D"] => Some(Some(self.directories())),
            ["query", "%n %v", name] => {
                Some(one(name).map(|known| vec![format!("{} {}", known.name, known.version)]))
            }
            ["query", "%D", name] => Some(one(name).map(|known| known.directories.clone())),
            ["query", "%Fp", name] => Some(one(name).map(|known| known.files.clone())),
            ["which", "-qg", pattern] => {
                let below = pattern.strip_suffix('*')?;
                let owners = self.packages.iter().flat_map(|known| {
                    let inside = known.files.iter().filter(|file| file.starts_with(below));
                    inside.map(|_| known.full())
                });
                let owners: Vec<String> = owners.collect();
                Some((!owners.is_empty()).then_some(owners))
            }
            ["which", "-q", path] => {
                let has = |known: &&Installed| known.files.iter().any(|file| file == path);
                let owner = self.packages.iter().find(has);
                Some(owner.map(|known| vec![known.full()]))
            }
            _ => None,
        }
    }

    /// Of every package; one without any has a line that names none.
    fn directories(&self) -> Vec<String> {
        let lines = self.packages.iter().flat_map(|known| {
            let none = known.directories.is_empty().then(String::new);
            let named = known.directories.iter().cloned().chain(none);
            named.map(|directory| format!("{} {directory}", known.full()))
        });
        lines.collect()
    }
}
