//! `wrap` and `unwrap`: an rc.d script's daemon through jailrun, and back again.

use super::args::text;
use super::json::Json;
use super::source::Sources;
use super::{Trouble, print};
use crate::profile::Profile;
use crate::wrap::{self, Mode, Places, Refusal, Running, Unwrapped, Wanted, Wrapping};
use clap::ArgMatches;
use std::io::Write;

fn about(service: &str, refusal: &Refusal) -> Trouble {
    Trouble::new(refusal.status(), format!("{service}: {}", refusal.words()))
}

#[cfg(not(target_os = "freebsd"))]
pub fn run(verb: &str, _: &ArgMatches, _: &mut dyn Write) -> Result<i32, Trouble> {
    Err(Trouble::new(69, format!("{verb}: runs on FreeBSD only")))
}

#[cfg(target_os = "freebsd")]
pub fn run(verb: &str, found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    use crate::kernel::{Kernel, freebsd::FreeBsd};
    let uid = FreeBsd.getresuid().map_or(u32::MAX, |ids| ids.effective);
    if uid != 0 {
        return Err(Trouble::new(77, format!("{verb}: only for root")));
    }
    verb_at(verb, &Places::of(crate::run::PREFIX), found, out)
}

/// The verbs on any host that has an rc.subr(8) there.
pub fn verb_at(
    verb: &str,
    places: &Places,
    found: &ArgMatches,
    out: &mut dyn Write,
) -> Result<i32, Trouble> {
    match verb {
        "wrap" => wrap(places, found, out),
        _ => unwrap(places, found, out),
    }
}

fn wrap(places: &Places, found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    let service = text(found, "service").unwrap_or_default();
    let trouble = |refusal: Refusal| about(&service, &refusal);
    let name = wrap::name_of(places, &service).map_err(trouble)?;
    let profile_name = text(found, "as-profile").unwrap_or_else(|| name.clone());
    let profile = profile(&profile_name, &name)?;
    let wanted = Wanted {
        service: &service,
        profile_name: &profile_name,
        profile: &profile,
    };
    let mode = match found.get_flag("dry-run") {
        true => Mode::DryRun,
        false => Mode::Write,
    };
    let wrapping = wrap::wrap(places, &wanted, mode).map_err(trouble)?;
    match found.get_flag("json") {
        true => print(out, json(&name, &profile_name, &wrapping))?,
        false => tell(&service, &profile_name, &wrapping, mode, out)?,
    }
    Ok(0)
}

/// As a start through the link will read it.
fn profile(profile_name: &str, name: &str) -> Result<Profile, Trouble> {
    let sources = Sources::find(profile_name)?;
    let instance = (profile_name != name).then_some(name);
    Profile::from_sources(&sources.main, &sources.included, instance)
        .map_err(|diagnostics| Trouble::new(78, diagnostics.to_string().trim_end()))
}

fn tell(
    service: &str,
    profile: &str,
    wrapping: &Wrapping,
    mode: Mode,
    out: &mut dyn Write,
) -> Result<(), Trouble> {
    for note in &wrapping.notes {
        print(out, format!("{service}: note: {note}"))?;
    }
    let what = match (wrapping.changes, mode) {
        (false, _) => "is wrapped already",
        (true, Mode::DryRun) => "would be wrapped",
        (true, Mode::Write) => "is wrapped",
    };
    print(
        out,
        format!("{service}: {what}: it starts under the profile {profile}"),
    )?;
    if wrapping.changes && mode == Mode::DryRun {
        print(out, format!("link {}", wrapping.link.display()))?;
        print(out, format!("file {}", wrapping.file.display()))?;
        for line in wrapping.text.lines() {
            print(out, format!("  {line}"))?;
        }
    }
    Ok(())
}

fn json(name: &str, profile: &str, wrapping: &Wrapping) -> Json {
    Json::Object(vec![
        ("service", Json::text(name)),
        ("profile", Json::text(profile)),
        ("script", Json::text(wrapping.script.display().to_string())),
        ("link", Json::text(wrapping.link.display().to_string())),
        ("file", Json::text(wrapping.file.display().to_string())),
        ("text", Json::text(&wrapping.text)),
        ("notes", Json::texts(&wrapping.notes)),
        ("changes", Json::Bool(wrapping.changes)),
    ])
}

fn unwrap(places: &Places, found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    if let Some(service) = text(found, "service") {
        let done = wrap::unwrap(places, &service, Running::Refuse);
        return match done.map_err(|refusal| about(&service, &refusal))? {
            Some(_) => print(out, format!("{service}: is not wrapped any more")).map(|()| 0),
            None => print(out, format!("{service}: is not wrapped")).map(|()| 0),
        };
    }
    let mut first = None;
    let names = wrap::wrapped(places).map_err(|refusal| about("unwrap", &refusal))?;
    for name in names {
        match wrap::unwrap(places, &name, Running::Leave) {
            Ok(done) => told(done, &name, out)?,
            // The others are taken back all the same; the first failure is the status.
            Err(refusal) => {
                first.get_or_insert(about(&name, &refusal));
            }
        }
    }
    first.map_or(Ok(0), Err)
}

fn told(done: Option<Unwrapped>, name: &str, out: &mut dyn Write) -> Result<(), Trouble> {
    let pids = done.map(|done| done.pids).unwrap_or_default();
    print(out, format!("{name}: is not wrapped any more"))?;
    match pids.is_empty() {
        true => Ok(()),
        false => print(
            out,
            format!(
                "{name}: still runs in its jail, out of service(8)'s sight: kill {pids} stops it"
            ),
        ),
    }
}
