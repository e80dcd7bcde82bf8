//! Where a profile named on the command line comes from: a file by its path, or by its name from the
//! two places that jailrun(8) looks in. Read plainly: what is only looked at needs no trust.

use super::Trouble;
use crate::profile::Profile;
use crate::profile::diagnostic::Diagnostics;
use crate::profile::parse::{Source, includes, own};
use crate::profile::values::is_name;
use crate::run::profile_places;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// More than this of a file is not read: a profile of more is refused as too long.
const MOST: u64 = (64 << 10) + 1;

/// Stands for any instance, where a profile with %i is read without being launched.
const ANY: &str = "X";

/// What a file says by itself.
#[derive(Clone, Debug)]
pub enum Reading {
    /// It can be launched.
    Whole(Profile),
    /// It names no program, and no user to run commands as, or leaves out what each profile has to say: it is
    /// there to be included.
    Part(Profile),
}

impl Reading {
    pub fn profile(&self) -> &Profile {
        let (Reading::Whole(profile) | Reading::Part(profile)) = self;
        profile
    }
}

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
        let is_path = word.contains('/') || word.ends_with(".toml");
        let (name, places) = match is_path {
            true => by_path(word),
            false => (word.to_string(), by_name(word)),
        };
        if !is_name(&name) {
            return Err(Trouble::new(
                64,
                format!("{word:?} is not the name of a profile"),
            ));
        }
        let main = first(&places)?.ok_or_else(|| absent(word, is_path))?;
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

impl Sources {
    /// What stands for the instance where one is spoken of.
    pub fn any_instance(&self) -> Option<&'static str> {
        let mut all = self.included.iter().map(|(_, source)| source);
        let speaks = |source: &Source| source.text.contains("%i");
        (speaks(&self.main) || all.any(speaks)).then_some(ANY)
    }

    /// As `check` and `profiles` read it: for any instance, and parts of profiles as such.
    pub fn examine(&self) -> Result<Reading, Diagnostics> {
        let instance = self.any_instance();
        let errors = match Profile::from_sources(&self.main, &self.included, instance) {
            Ok(profile) if profile.program.is_some() || self.names_user() => {
                return Ok(Reading::Whole(profile));
            }
            Ok(part) => return Ok(Reading::Part(part)),
            Err(errors) => errors,
        };
        // All that is missing is what the profile that includes it will say.
        let frame = Source {
            name: self.main.name.clone(),
            text: format!(
                "include = [\"{}\"]\n[capsicum]\nmode = \"off\"\n",
                self.name
            ),
        };
        let mut included = self.included.clone();
        included.push((self.name.clone(), self.main.clone()));
        match Profile::from_sources(&frame, &included, instance) {
            Ok(mut part) if part.program.is_none() => {
                // The frame includes it, and so has nothing of what it is.
                part.description = own(&self.main, "description").unwrap_or_default();
                Ok(Reading::Part(part))
            }
            _ => Err(errors),
        }
    }

    fn names_user(&self) -> bool {
        let included = self.included.iter().map(|(_, source)| source);
        let mut all = included.chain([&self.main]);
        all.any(|source| own(source, "user").is_some())
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

fn absent(word: &str, is_path: bool) -> Trouble {
    let why = match is_path {
        true => "no such file",
        false => "no such profile; jailrunctl profiles lists them",
    };
    Trouble::new(77, format!("{word}: {why}"))
}

/// The first that is there: a broken one never gives way to the next.
fn first(places: &[PathBuf]) -> Result<Option<Source>, Trouble> {
    for path in places {
        let shown = path.display().to_string();
        match content(path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Trouble::new(78, format!("{shown} is not UTF-8")))?;
                return Ok(Some(Source { name: shown, text }));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Trouble::system(&shown, &error)),
        }
    }
    Ok(None)
}

/// Of a regular file only: a fifo would hold us up, and a device has no end.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
