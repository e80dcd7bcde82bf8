//! `check`: everything that is wrong with a profile, and what its author may not have thought of.

use super::args::text;
use super::doubts::{self, Lack, Looked};
use super::json::Json;
use super::source::{Reading, Sources};
use super::{Trouble, described, notes, print};
use crate::profile::Profile;
use crate::profile::diagnostic::{Diagnostic, Diagnostics};
use crate::request::Request;
use crate::run::is_administrators;
use crate::sim::{Faults, Sim, Start};
use clap::ArgMatches;
use std::io::Write;

/// What was found out about one profile.
struct Checked {
    name: String,
    errors: Vec<Diagnostic>,
    /// Why it can't be launched on the host that was looked at, or isn't trusted there.
    refusal: Option<String>,
    notes: Vec<String>,
    is_part: bool,
    /// What the host hasn't got yet, of a package's profile that nobody asked for by its name.
    lack: Option<Lack>,
}

pub fn run(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    if found.contains_id("capsicum") {
        return super::report::run(found, out);
    }
    let host = text(found, "host");
    let asked = text(found, "profile");
    let is_asked = asked.is_some();
    let words = match asked {
        Some(word) => vec![word],
        None => super::profiles::installed()?,
    };
    let mut checked = Vec::new();
    for word in &words {
        checked.push(one(word, host.as_deref(), is_asked)?);
    }
    if checked.is_empty() {
        let _ = writeln!(err, "jailrunctl: no profile is installed");
    }
    if host.is_some() {
        let _ = writeln!(err, "jailrunctl: {}", described::said("checked", &host));
    }
    match found.get_flag("json") {
        true => print(out, Json::List(checked.iter().map(json).collect()))?,
        false => {
            for one in &checked {
                show(out, one)?;
            }
        }
    }
    let is_good = checked.iter().all(Checked::is_good);
    Ok(if is_good { 0 } else { 78 })
}

impl Checked {
    fn is_good(&self) -> bool {
        self.errors.is_empty() && self.refusal.is_none()
    }
}

fn one(word: &str, host: Option<&str>, is_asked: bool) -> Result<Checked, Trouble> {
    let sources = Sources::find(word)?;
    let mut checked = Checked {
        name: sources.name.clone(),
        errors: Vec::new(),
        refusal: None,
        notes: Vec::new(),
        is_part: false,
        lack: None,
    };
    let reading = match sources.examine() {
        Ok(reading) => reading,
        Err(Diagnostics(errors)) => {
            checked.errors = errors;
            return Ok(checked);
        }
    };
    let profile = reading.profile();
    checked.is_part = matches!(reading, Reading::Part(_));
    checked.notes = notes::of(profile);
    checked
        .notes
        .extend(notes::of_place(&sources.main.name, profile));
    if checked.is_part || profile.program.is_none() {
        return Ok(checked);
    }
    if is_for_any_package(&sources, profile) {
        checked.notes.push(ANY_PACKAGE.to_string());
        return Ok(checked);
    }
    match looked_at(word, &sources, host)? {
        None => {}
        Some(Looked::Good(prepared, doubts)) => {
            checked.notes.extend(notes::of_host(&prepared));
            checked.notes.extend(doubts.notes);
            checked.refusal = doubts.refusal;
        }
        Some(Looked::Lacking(lack, _)) if !is_asked && !is_administrators(&sources.main.name) => {
            checked.lack = Some(lack);
        }
        Some(Looked::Lacking(_, error) | Looked::Refused(error)) => {
            checked.refusal = Some(error.to_string());
        }
    }
    Ok(checked)
}

const ANY_PACKAGE: &str = "nothing to do: the package is named at the launch, and what it may write then, \
                           jailrunctl plan --instance PACKAGE tells";

/// No host has the package that an instance will name: there is nothing to plan yet.
fn is_for_any_package(sources: &Sources, profile: &Profile) -> bool {
    let of_another = sources.read(Some("Y"));
    profile.root.package.is_some()
        && of_another.is_ok_and(|other| other.root.package != profile.root.package)
}

/// On the host that we are on, where that can be: there the files must be trusted too. On a described
/// host when one is given.
fn looked_at(word: &str, sources: &Sources, host: Option<&str>) -> Result<Option<Looked>, Trouble> {
    let asked = Request {
        profile: sources.name.clone(),
        instance: sources.any_instance().map(str::to_string),
        ..Request::default()
    };
    Ok(match (here(&asked, word, host), host) {
        (Some(prepared), _) => Some(prepared),
        (None, Some(_)) => {
            let mut looked = None;
            let world = described::world(host, sources)?;
            Sim::run(world, &Start::root(), Faults::none(), |kernel| {
                looked = Some(doubts::look(kernel, &asked));
                0
            });
            looked
        }
        (None, None) => None,
    })
}

#[cfg(target_os = "freebsd")]
fn here(asked: &Request, word: &str, host: Option<&str>) -> Option<Looked> {
    let is_here = super::plan::is_here(word, host);
    is_here.then(|| doubts::look(&mut crate::kernel::freebsd::FreeBsd, asked))
}

#[cfg(not(target_os = "freebsd"))]
fn here(_: &Request, _: &str, _: Option<&str>) -> Option<Looked> {
    None
}

fn show(out: &mut dyn Write, checked: &Checked) -> Result<(), Trouble> {
    let name = &checked.name;
    if !checked.errors.is_empty() {
        print(out, Diagnostics(checked.errors.clone()))?;
    }
    if let Some(refusal) = &checked.refusal {
        print(out, format!("{name}: {refusal}"))?;
    }
    // What else there is to say of it, it is asked about by its name.
    if let Some(lack) = &checked.lack {
        return print(out, format!("{name}: {lack}"));
    }
    for note in &checked.notes {
        print(out, format!("{name}: note: {note}"))?;
    }
    match (checked.is_good(), checked.is_part) {
        (true, false) => print(out, format!("{name}: good")),
        (true, true) => print(out, format!("{name}: good, to be included in others")),
        (false, _) => Ok(()),
    }
}

fn json(checked: &Checked) -> Json {
    let errors = checked.errors.iter().map(|error| {
        Json::Object(vec![
            ("file", Json::text(&error.file)),
            ("line", Json::number(error.line)),
            ("column", Json::number(error.column)),
            ("message", Json::text(&error.message)),
        ])
    });
    let (absent, unmade) = match &checked.lack {
        Some(Lack::Program(path)) => (Some(path), None),
        Some(Lack::Directories(words)) => (None, Some(words)),
        None => (None, None),
    };
    Json::Object(vec![
        ("profile", Json::text(&checked.name)),
        ("good", Json::Bool(checked.is_good())),
        ("part", Json::Bool(checked.is_part)),
        ("errors", Json::List(errors.collect())),
        (
            "refusal",
            checked.refusal.as_ref().map_or(Json::Null, Json::text),
        ),
        ("absent", absent.map_or(Json::Null, Json::text)),
        ("unmade", unmade.map_or(Json::Null, Json::text)),
        ("notes", Json::texts(&checked.notes)),
    ])
}
