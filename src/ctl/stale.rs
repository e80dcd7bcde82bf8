//! `stale`: what running instances hold that was replaced on the host, who made it, and who is to be
//! restarted.

use super::json::Json;
use super::{Trouble, print};
use crate::kernel::Kernel;
use crate::stale::{self, How, Remedy, Stale};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::io::Write;

#[cfg(not(target_os = "freebsd"))]
pub fn run(_: &ArgMatches, _: &mut dyn Write, _: &mut dyn Write) -> Result<i32, Trouble> {
    Err(Trouble::new(69, "stale: runs on FreeBSD only"))
}

#[cfg(target_os = "freebsd")]
pub fn run(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    let mut kernel = crate::kernel::freebsd::FreeBsd;
    report(&mut kernel, found.get_flag("json"), out, err)
}

/// On any kernel. 1 if anything is stale, or may be.
pub fn report<K: Kernel>(
    kernel: &mut K,
    is_json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<i32, Trouble> {
    let uid = kernel.getresuid().map_or(u32::MAX, |ids| ids.effective);
    if uid != 0 {
        return Err(Trouble::new(77, "stale: only for root"));
    }
    let found = stale::find(kernel).map_err(|error| Trouble::about("stale", &error))?;
    let all = found.stale;
    let packages = packages(kernel, &all, err);
    let made_by = |one: &Stale| packages.get(&one.path);
    if is_json {
        let list = all.iter().map(|one| json(one, made_by(one))).collect();
        print(out, Json::List(list))?;
    } else {
        for one in &all {
            print(out, line(one, made_by(one)))?;
        }
    }
    for label in &found.unknown {
        let words = "its journal is lost, and what it holds isn't known: start it anew";
        let _ = writeln!(err, "jailrunctl: stale: {label}: {words}");
    }
    Ok(i32::from(!all.is_empty() || !found.unknown.is_empty()))
}

/// The package of each path, as far as it can be known. Where pkg can't be asked once it isn't asked again.
fn packages<K: Kernel>(
    kernel: &mut K,
    all: &[Stale],
    err: &mut dyn Write,
) -> BTreeMap<String, Option<String>> {
    let mut packages = BTreeMap::new();
    for one in all {
        if packages.contains_key(&one.path) {
            continue;
        }
        match stale::package(kernel, &one.path) {
            Ok(package) => drop(packages.insert(one.path.clone(), package)),
            Err(error) => {
                let _ = writeln!(err, "jailrunctl: stale: packages aren't known: {error}");
                break;
            }
        }
    }
    packages
}

fn how(how: How) -> &'static str {
    match how {
        How::Replaced => "replaced",
        How::Gone => "gone",
    }
}

/// `package` is `None` where pkg couldn't be asked.
fn line(one: &Stale, package: Option<&Option<String>>) -> String {
    let Stale { instance, path, .. } = one;
    let of = match package {
        None => String::new(),
        Some(None) => ", of no package".to_string(),
        Some(Some(package)) => format!(", of {package}"),
    };
    let remedy = match &one.remedy {
        Remedy::Caller(uid) => format!("uid {uid} runs it"),
        other => format!("run: {}", command(other).unwrap_or_default()),
    };
    format!("{instance}: {path} {}{of}; {remedy}", how(one.how))
}

fn command(remedy: &Remedy) -> Option<String> {
    match remedy {
        Remedy::Script(name) => Some(format!("service {name} restart")),
        Remedy::Jailrun(name) => Some(format!("service jailrun restart {name}")),
        Remedy::Caller(_) => None,
    }
}

fn json(one: &Stale, package: Option<&Option<String>>) -> Json {
    let package = package.and_then(Option::as_ref);
    Json::Object(vec![
        ("instance", Json::text(&one.instance)),
        ("profile", Json::text(&one.profile)),
        ("path", Json::text(&one.path)),
        ("state", Json::text(how(one.how))),
        ("package", package.map_or(Json::Null, Json::text)),
        (
            "restart",
            command(&one.remedy).map_or(Json::Null, Json::Text),
        ),
    ])
}
