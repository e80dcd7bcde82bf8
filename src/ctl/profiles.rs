//! `profiles`: what is installed, or in a directory, and who may run it.

use super::args::text;
use super::json::Json;
use super::source::{Reading, Sources};
use super::{Trouble, print};
use crate::profile::Access;
use crate::profile::values::is_name;
use crate::run::{is_administrators, profile_places};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// One profile of the list.
struct Row {
    name: String,
    file: String,
    description: String,
    /// `None` for what can't be launched: broken, or a part of others.
    access: Option<Access>,
    /// "profile", "part" or "broken".
    kind: &'static str,
}

pub fn run(found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    let files = match text(found, "directory") {
        Some(directory) => in_directory(&directory)?
            .ok_or_else(|| Trouble::new(71, format!("{directory}: No such file or directory")))?,
        None => in_places()?,
    };
    let mut rows = Vec::new();
    for (name, file) in files {
        rows.push(row(name, file));
    }
    match found.get_flag("json") {
        true => print(out, Json::List(rows.iter().map(json).collect()))?,
        false => {
            let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
            for row in &rows {
                print(out, line(row, width))?;
            }
        }
    }
    let is_broken = rows.iter().any(|row| row.kind == "broken");
    Ok(if is_broken { 78 } else { 0 })
}

/// The names of all that are installed.
pub fn installed() -> Result<Vec<String>, Trouble> {
    Ok(in_places()?.into_keys().collect())
}

/// The administrator's hide those of packages.
fn in_places() -> Result<BTreeMap<String, String>, Trouble> {
    let mut files = BTreeMap::new();
    for place in profile_places().iter().rev() {
        files.extend(in_directory(place)?.unwrap_or_default());
    }
    Ok(files)
}

/// Names of profiles, each with its file. `None`: there is no such directory.
fn in_directory(directory: &str) -> Result<Option<BTreeMap<String, String>>, Trouble> {
    let failed = |error: &std::io::Error| Trouble::system(directory, error);
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| failed(&error))?,
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let file = entry.map_err(|error| failed(&error))?.file_name();
        let file = file.to_string_lossy();
        if let Some(name) = file.strip_suffix(".toml").filter(|name| is_name(name)) {
            let path = Path::new(directory).join(file.as_ref());
            files.insert(name.to_string(), path.display().to_string());
        }
    }
    Ok(Some(files))
}

fn row(name: String, file: String) -> Row {
    let reading = match Sources::find(&file) {
        Ok(sources) => sources.examine().map_err(|errors| errors.0.len()),
        Err(trouble) => {
            return Row {
                name,
                file,
                description: trouble.words,
                access: None,
                kind: "broken",
            };
        }
    };
    match reading {
        Ok(Reading::Whole(profile)) => Row {
            // In a directory of its own it is nobody's yet; a package's gives nobody access.
            access: Some(match is_administrators(&file) {
                true => profile.access,
                false => Access::default(),
            }),
            name,
            file,
            description: profile.description,
            kind: "profile",
        },
        Ok(Reading::Part(profile)) => Row {
            name,
            file,
            description: profile.description,
            access: None,
            kind: "part",
        },
        Err(count) => Row {
            description: match count {
                1 => format!("1 error: jailrunctl check {file}"),
                _ => format!("{count} errors: jailrunctl check {file}"),
            },
            name,
            file,
            access: None,
            kind: "broken",
        },
    }
}

fn line(row: &Row, width: usize) -> String {
    let who = match &row.access {
        None => format!("({})", row.kind),
        Some(access) => {
            let groups = access.groups.iter().map(|group| format!("@{group}"));
            let others = access.users.iter().cloned().chain(groups);
            let mut who = std::iter::once("root".to_string())
                .chain(others)
                .collect::<Vec<_>>();
            if access.any_command {
                who.push("any command".to_string());
            }
            who.join(", ")
        }
    };
    format!("{:<width$}  {who:<20} {}", row.name, row.description)
}

fn json(row: &Row) -> Json {
    let access = row.access.as_ref().map_or(Json::Null, |access| {
        Json::Object(vec![
            ("users", Json::texts(&access.users)),
            ("groups", Json::texts(&access.groups)),
            ("any_command", Json::Bool(access.any_command)),
            ("max", Json::number(access.max)),
            ("instances", Json::texts(&access.instances)),
        ])
    });
    Json::Object(vec![
        ("name", Json::text(&row.name)),
        ("kind", Json::text(row.kind)),
        ("file", Json::text(&row.file)),
        ("description", Json::text(&row.description)),
        ("access", access),
    ])
}
