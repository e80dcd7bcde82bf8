//! `profiles`: what is installed, and for whom.

use super::json::Json;
use super::source::Sources;
use super::{Trouble, print};
use crate::profile::values::is_name;
use crate::run::profile_places;
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;

pub fn run(found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    let places = profile_places();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    // The administrator's hide those of packages.
    for place in places.iter().rev() {
        let Ok(entries) = std::fs::read_dir(place) else {
            continue;
        };
        for entry in entries.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Some(name) = file.strip_suffix(".toml").filter(|name| is_name(name)) {
                names.insert(name.to_string(), place);
            }
        }
    }
    let mut rows = Vec::new();
    for (name, place) in names {
        let read = Sources::find(&name).and_then(|sources| sources.read(Some("X")));
        let (description, access) = match read {
            Ok(profile) => {
                let groups = profile
                    .access
                    .groups
                    .iter()
                    .map(|group| format!(":{group}"));
                let mut who = profile.access.users.clone();
                who.extend(groups);
                (profile.description, who)
            }
            Err(_) => (format!("broken: see jailrunctl check {name}"), Vec::new()),
        };
        if found.get_flag("json") {
            rows.push(Json::Object(vec![
                ("name", Json::text(name)),
                ("place", Json::text(place)),
                ("description", Json::text(description)),
                ("access", Json::texts(&access)),
            ]));
        } else {
            let who = match access.is_empty() {
                true => "root".to_string(),
                false => format!("root,{}", access.join(",")),
            };
            print(out, format!("{name:<20} {who:<20} {description}"))?;
        }
    }
    if found.get_flag("json") {
        print(out, Json::List(rows))?;
    }
    Ok(0)
}
