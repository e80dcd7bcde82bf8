//! Where a profile named on the command line comes from: a file by its path, or by its name from the
//! two places that jailrun(8) looks in. Read plainly: what is only looked at needs no trust.

use super::Trouble;
use crate::profile::Profile;
use crate::profile::parse::{Source, includes};
use crate::profile::values::is_name;
use crate::run::profile_places;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A profile's text with all that it includes.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The name that it would be launched by.
    pub name: String,
    pub main: Source,
    pub included: Vec<(String, Source)>,
}

impl Sources {
    pub fn find(word: &str) -> Result<Sources, Trouble> {
        let (name, places) = match word.contains('/') || word.ends_with(".toml") {
            true => by_path(word),
            false => (word.to_string(), by_name(word)),
        };
        if !is_name(&name) {
            return Err(Trouble::new(
                64,
                format!("{word:?} is not the name of a profile"),
            ));
        }
        let main =
            first(&places)?.ok_or_else(|| Trouble::new(77, format!("{word}: no such profile")))?;
        let mut included = Vec::new();
        let mut seen = BTreeSet::new();
        let mut wanted = includes(&main);
        while let Some(name) = wanted.pop() {
            if !is_name(&name) || !seen.insert(name.clone()) {
                continue;
            }
            // Beside the file first, where a file is given.
            let beside = places.first().and_then(|path| path.parent());
            let mut places: Vec<PathBuf> = Vec::new();
            places.extend(beside.map(|folder| folder.join(format!("{name}.toml"))));
            places.extend(by_name(&name));
            if let Some(source) = first(&places)? {
                wanted.extend(includes(&source));
                included.push((name, source));
            }
        }
        Ok(Sources {
            name,
            main,
            included,
        })
    }

    pub fn read(&self, instance: Option<&str>) -> Result<Profile, Trouble> {
        Profile::from_sources(&self.main, &self.included, instance)
            .map_err(|errors| Trouble::new(78, format!("{}:\n{errors}", self.name)))
    }
}

fn by_path(word: &str) -> (String, Vec<PathBuf>) {
    let path = Path::new(word);
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    (stem.unwrap_or_default(), vec![path.to_path_buf()])
}

fn by_name(name: &str) -> Vec<PathBuf> {
    let file = format!("{name}.toml");
    profile_places()
        .iter()
        .map(|place| Path::new(place).join(&file))
        .collect()
}

/// The first that is there: a broken one never gives way to the next.
fn first(places: &[PathBuf]) -> Result<Option<Source>, Trouble> {
    for path in places {
        match fs::read(path) {
            Ok(bytes) => {
                let shown = path.display().to_string();
                let text = String::from_utf8(bytes)
                    .map_err(|_| Trouble::new(78, format!("{shown} is not UTF-8")))?;
                return Ok(Some(Source { name: shown, text }));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(Trouble::new(71, format!("{}: {error}", path.display())));
            }
        }
    }
    Ok(None)
}
