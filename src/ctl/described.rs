//! A described host: accounts, files, addresses and kernel variables in TOML, made into a world for the
//! simulated kernel. The one in share/host.toml is built in.

use super::Trouble;
use super::source::Sources;
use crate::profile::diagnostic::line_of;
use crate::sim::image::Elf;
use crate::sim::{Behaviour, World};
use toml::{Table, Value};

const SHIPPED: &str = include_str!("../../share/host.toml");

/// The world that a file describes, or the shipped one, with these profiles installed in it.
pub fn world(host: Option<&str>, sources: &Sources) -> Result<World, Trouble> {
    let (name, text) = match host {
        None => ("share/host.toml", SHIPPED.to_string()),
        Some(path) => (
            path,
            std::fs::read_to_string(path).map_err(|error| Trouble::system(path, &error))?,
        ),
    };
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        let words = error.message().trim_end().replace('\n', ", ");
        Trouble::new(78, format!("{name}:{line}: {words}"))
    })?;
    let mut world = World::freebsd();
    for (section, value) in &table {
        describe(&mut world, section, value)
            .map_err(|words| Trouble::new(78, format!("{name}: {section}: {words}")))?;
    }
    let [admin, packages] = crate::run::profile_places();
    // With all above them, root's.
    world.dir(&admin, 0o755, 0, 0);
    world.dir(&packages, 0o755, 0, 0);
    let path = format!("{admin}/{}.toml", sources.name);
    world.file(&path, 0o644, 0, 0, sources.main.text.as_bytes());
    for (name, source) in &sources.included {
        world.file(
            &format!("{packages}/{name}.toml"),
            0o644,
            0,
            0,
            source.text.as_bytes(),
        );
    }
    Ok(world)
}

/// Whose host it was, for standard error: no reader may take it for the one he is on.
pub fn said(done: &str, host: &Option<String>) -> String {
    let what = host.as_deref().unwrap_or("share/host.toml");
    format!("{done} for the host that {what} describes")
}

fn describe(world: &mut World, section: &str, value: &Value) -> Result<(), String> {
    match (section, value) {
        ("sysctl", Value::Table(entries)) => {
            for (name, value) in entries {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Integer(number) => number.to_string(),
                    _ => return Err(format!("{name} is neither text nor a number")),
                };
                world.sysctl_set(name, &text);
            }
            Ok(())
        }
        (_, Value::Array(items)) => {
            for (number, item) in (1..).zip(items) {
                let entry = item.as_table().ok_or("a list of tables is wanted")?;
                let entry = Entry::of(section, entry)
                    .ok_or_else(|| "is no part of a description".to_string())?;
                entry
                    .add_to(world)
                    .map_err(|words| format!("the one with number {number}: {words}"))?;
            }
            Ok(())
        }
        _ => Err("is no part of a description".to_string()),
    }
}

/// One table of a list. What it says and nobody reads is refused: a slip of the finger would rehearse
/// another host than the one that was meant.
struct Entry<'a> {
    section: &'a str,
    keys: &'static [&'static str],
    table: &'a Table,
}

impl<'a> Entry<'a> {
    fn of(section: &'a str, table: &'a Table) -> Option<Entry<'a>> {
        let keys: &[&str] = match section {
            "user" => &["name", "uid", "gid"],
            "group" => &["name", "gid"],
            "directory" => &["path", "mode", "uid", "gid"],
            "file" => &["path", "mode", "uid", "gid", "needs", "runs"],
            "link" => &["path", "target"],
            "interface" => &["name"],
            "package" => &["name", "version", "directories", "files"],
            _ => return None,
        };
        Some(Entry {
            section,
            keys,
            table,
        })
    }

    fn add_to(&self, world: &mut World) -> Result<(), String> {
        if let Some(key) = self
            .table
            .keys()
            .find(|key| !self.keys.contains(&key.as_str()))
        {
            return Err(format!("{key:?} is none of {}", self.keys.join(", ")));
        }
        match self.section {
            "user" => {
                let (uid, gid) = (self.id("uid", None)?, self.id("gid", None)?);
                world.user(&self.text("name")?, uid, gid, "/nonexistent");
            }
            "group" => drop(world.group(&self.text("name")?, self.id("gid", None)?)),
            "directory" => {
                let (mode, uid, gid) = self.permissions(0o755)?;
                world.dir(&self.path()?, mode, uid, gid);
            }
            "file" => self.add_file(world)?,
            "package" => {
                let (directories, files) = (self.texts("directories")?, self.texts("files")?);
                world.package(
                    &self.text("name")?,
                    &self.text("version")?,
                    &directories,
                    &files,
                );
            }
            "link" => drop(world.symlink(&self.path()?, &self.text("target")?)),
            _ => drop(world.interface(&self.text("name")?, None)),
        }
        Ok(())
    }

    fn add_file(&self, world: &mut World) -> Result<(), String> {
        let path = self.path()?;
        let bytes = match self.table.get("needs") {
            None => b"described".to_vec(),
            Some(names) => {
                let names = listed(names).ok_or("needs is a list of libraries")?;
                Elf::program(&names).bytes()
            }
        };
        let (mode, uid, gid) = self.permissions(0o644)?;
        world.file(&path, mode, uid, gid, &bytes);
        if self.table.contains_key("runs") {
            world.behaviour(&path, behaviour_of(&self.text("runs")?)?);
        }
        Ok(())
    }

    fn text(&self, name: &str) -> Result<String, String> {
        match self.table.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(format!("{name} is a text")),
            None => Err(format!("{name} is missing")),
        }
    }

    /// None where nothing is said.
    fn texts(&self, name: &str) -> Result<Vec<&str>, String> {
        match self.table.get(name) {
            None => Ok(Vec::new()),
            Some(value) => listed(value).ok_or(format!("{name} is a list of texts")),
        }
    }

    fn path(&self) -> Result<String, String> {
        let path = self.text("path")?;
        match path.starts_with('/') {
            true => Ok(path),
            false => Err(format!("path {path:?} isn't absolute")),
        }
    }

    fn id(&self, name: &str, otherwise: Option<u32>) -> Result<u32, String> {
        match self.table.get(name) {
            None => otherwise.ok_or(format!("{name} is missing")),
            Some(value) => value
                .as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or(format!("{name} is a number")),
        }
    }

    /// Mode, owner and group; root's where nothing is said.
    fn permissions(&self, otherwise: u32) -> Result<(u32, u32, u32), String> {
        let mode = match self.table.contains_key("mode") {
            false => otherwise,
            true => u32::from_str_radix(&self.text("mode")?, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777)
                .ok_or("mode is an octal number in a text")?,
        };
        Ok((mode, self.id("uid", Some(0))?, self.id("gid", Some(0))?))
    }
}

fn listed(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn behaviour_of(word: &str) -> Result<Behaviour, String> {
    match word {
        "for a second" => Ok(Behaviour::ExitAfter {
            milliseconds: 1000,
            code: 0,
        }),
        "in the background" => Ok(Behaviour::Daemonise),
        "until a signal" => Ok(Behaviour::UntilSignal),
        _ => Err(format!(
            "runs {word:?}: \"for a second\", \"in the background\" or \"until a signal\""
        )),
    }
}
