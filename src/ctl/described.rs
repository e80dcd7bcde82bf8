//! A described host: accounts, files, addresses and kernel variables in TOML, made into a world for the
//! simulated kernel. The one in share/host.toml is built in.

use super::Trouble;
use super::source::Sources;
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
            std::fs::read_to_string(path)
                .map_err(|error| Trouble::new(71, format!("{path}: {error}")))?,
        ),
    };
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        Trouble::new(78, format!("{name}: {}", error.message()))
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
            for item in items {
                let entry = item.as_table().ok_or("a list of tables is wanted")?;
                one(world, section, entry)?;
            }
            Ok(())
        }
        _ => Err("is no part of a description".to_string()),
    }
}

fn one(world: &mut World, section: &str, entry: &Table) -> Result<(), String> {
    let text = |name: &str| {
        let found = entry.get(name).and_then(Value::as_str);
        found
            .map(str::to_string)
            .ok_or(format!("{name} is missing"))
    };
    let number = |name: &str, otherwise: u32| match entry.get(name) {
        None => Ok(otherwise),
        Some(value) => value
            .as_integer()
            .and_then(|number| u32::try_from(number).ok())
            .ok_or(format!("{name} is no number")),
    };
    let mode = |otherwise: u32| match entry.get("mode").and_then(Value::as_str) {
        None => Ok(otherwise),
        Some(octal) => u32::from_str_radix(octal, 8).map_err(|_| format!("mode {octal:?}")),
    };
    match section {
        "user" => {
            let (uid, gid) = (number("uid", u32::MAX)?, number("gid", u32::MAX)?);
            world.user(&text("name")?, uid, gid, "/nonexistent");
        }
        "group" => drop(world.group(&text("name")?, number("gid", u32::MAX)?)),
        "directory" => {
            world.dir(
                &text("path")?,
                mode(0o755)?,
                number("uid", 0)?,
                number("gid", 0)?,
            );
        }
        "file" => {
            let path = text("path")?;
            let needs = entry.get("needs").and_then(Value::as_array);
            let bytes = match needs {
                None => b"described".to_vec(),
                Some(names) => {
                    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                    Elf::program(&names).bytes()
                }
            };
            world.file(
                &path,
                mode(0o644)?,
                number("uid", 0)?,
                number("gid", 0)?,
                &bytes,
            );
            if let Some(behaviour) = entry.get("runs").and_then(Value::as_str) {
                world.behaviour(&path, behaviour_of(behaviour)?);
            }
        }
        "link" => drop(world.symlink(&text("path")?, &text("target")?)),
        "interface" => drop(world.interface(&text("name")?, None)),
        _ => return Err("is no part of a description".to_string()),
    }
    Ok(())
}

fn behaviour_of(word: &str) -> Result<Behaviour, String> {
    match word {
        "for a second" => Ok(Behaviour::ExitAfter {
            milliseconds: 1000,
            code: 0,
        }),
        "in the background" => Ok(Behaviour::Daemonise),
        _ => Err(format!(
            "runs {word:?}: \"for a second\" or \"in the background\""
        )),
    }
}
