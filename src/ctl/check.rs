//! `check`: everything that is wrong with a profile, and what its author may not have thought of.

use super::args::text;
use super::json::Json;
use super::source::Sources;
use super::{Trouble, print};
use crate::profile::{Network, Profile};
use clap::ArgMatches;
use std::io::Write;

/// A name that stands for any instance, so that a profile with %i reads.
const ANY: &str = "X";

pub fn run(found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    let word = text(found, "profile").unwrap_or_default();
    let sources = Sources::find(&word)?;
    let uses_instance = sources.main.text.contains("%i");
    let read = Profile::from_sources(
        &sources.main,
        &sources.included,
        uses_instance.then_some(ANY),
    );
    let (errors, notes) = match read {
        Ok(profile) => (String::new(), notes(&profile)),
        Err(errors) => (errors.to_string(), Vec::new()),
    };
    let is_good = errors.is_empty();
    if found.get_flag("json") {
        let value = Json::Object(vec![
            ("profile", Json::text(&sources.name)),
            ("good", Json::Bool(is_good)),
            ("errors", Json::text(&errors)),
            ("notes", Json::texts(&notes)),
        ]);
        print(out, value)?;
    } else {
        if !is_good {
            print(out, &errors)?;
        }
        for note in &notes {
            print(out, format!("{}: note: {note}", sources.name))?;
        }
        if is_good {
            print(out, format!("{}: good", sources.name))?;
        }
    }
    Ok(if is_good { 0 } else { 78 })
}

/// What is allowed, and does something else than one would think (each seen on a kernel).
fn notes(profile: &Profile) -> Vec<String> {
    let mut notes = Vec::new();
    for (resource, _) in &profile.rctl.rules {
        let what = match resource.as_str() {
            "memoryuse" => "isn't enforced when memory is touched; vmemoryuse is, at once",
            "pcpu" => "is a mean over seconds: a spinner gets more at first",
            _ => continue,
        };
        notes.push(format!("rctl {resource} {what}"));
    }
    for writable in profile.root.rw.iter().filter(|writable| writable.untrusted) {
        notes.push(format!(
            "{}: others than the service may write it: whoever reaches a socket in it can hand the \
             service descriptors of the host",
            writable.path
        ));
    }
    for (family, network, loopback) in [
        ("ip4", &profile.jail.ip4, "127.0.0.1"),
        ("ip6", &profile.jail.ip6, "::1"),
    ] {
        if let Network::Addresses(addresses) = network
            && addresses
                .iter()
                .all(|address| address.address.to_string() != loopback)
        {
            notes.push(format!(
                "{family}: {loopback} inside is the jail's own first address: a service that listens \
                 there only is reached from where that address is"
            ));
        }
    }
    if profile.proccontrol.trace_is_open() {
        notes.push(
            "trace = \"enable\": processes of the same user inside can read each other".to_string(),
        );
    }
    notes
}
