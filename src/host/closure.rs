//! What the programs of a profile need on this host.

use super::accounts::Service;
use super::{Purpose, cache, capability};
use crate::closure::finder::System;
use crate::closure::graph::How;
use crate::closure::{self, Closure, Refusal, Wanted, nss};
use crate::error::Error;
use crate::kernel::Kernel;
use crate::permit::Permit;
use crate::plan::is_below;
use crate::profile::{self, Content, Root};
use crate::trust::walk::Walker;

/// `None`: the profile lists all there is by itself.
pub fn look<K: Kernel>(
    walker: &mut Walker<'_, K>,
    permit: &Permit,
    service: &Service,
    purpose: Purpose,
    shim: Option<&String>,
) -> Result<Option<Closure>, Error> {
    let root = &permit.profile().root;
    if root.closure == profile::Closure::Off {
        return Ok(None);
    }
    let command = permit.command().and_then(<[String]>::first);
    let main = command.or(permit.profile().program.as_ref());
    if let Some(command) = command.filter(|command| !command.starts_with('/')) {
        return Err(Error::relative(command));
    }
    let wanted = Wanted {
        programs: main.into_iter().chain(&root.programs).cloned().collect(),
        libraries: root.libraries.iter().chain(shim).cloned().collect(),
        modules: modules(walker, root)?,
        system: system(walker.files())?,
    };
    // What is in a file isn't for whoever could only name it.
    let is_strangers = command.is_some() && !permit.is_roots();
    let keeps = permit.is_roots() && purpose == Purpose::Launch;
    let found = match cache::load(walker.files(), &wanted) {
        Some(known) => known,
        None => find(walker, &wanted, keeps).map_err(|refusal| match is_strangers {
            true => Error::Profile(refusal.discreet().to_string()),
            false => Error::Profile(words_of(&refusal, shim)),
        })?,
    };
    match forbidden(&found, service) {
        None => Ok(Some(found)),
        Some((path, _))
            if is_strangers && wanted.programs.first().is_none_or(|own| own != path) =>
        {
            Err(Error::Profile(closure::UNSAID.to_string()))
        }
        Some((path, words)) => Err(Error::Profile(format!(
            "{path} can't be {words} by the service's user {}",
            service.user.name
        ))),
    }
}

/// That nothing loads the shim is no fault of the key `libraries`.
fn words_of(refusal: &Refusal, shim: Option<&String>) -> String {
    let words = refusal.to_string();
    match shim.is_some_and(|shim| capability::is_useless(shim, &words)) {
        true => capability::STATIC_AND_SHIM.to_string(),
        false => words,
    }
}

/// Works it out, and keeps the answer where it is root who launches: others could fill the place up with the
/// commands that they give.
fn find<K: Kernel>(
    walker: &mut Walker<'_, K>,
    wanted: &Wanted,
    keeps: bool,
) -> Result<Closure, Refusal> {
    let now = walker.files().realtime();
    let found = closure::find(walker, wanted)?;
    if let Some(seen) = walker.seen().cloned().filter(|_| keeps) {
        cache::store(walker.files(), wanted, &found, &seen, now);
    }
    Ok(found)
}

/// What libc opens for the nsswitch.conf(5) that will be inside, if any will.
fn modules<K: Kernel>(walker: &mut Walker<'_, K>, root: &Root) -> Result<Vec<String>, Error> {
    let granted = || {
        root.ro
            .iter()
            .any(|path| path == NSSWITCH || is_below(NSSWITCH, path))
    };
    let text = match root.files.get(NSSWITCH) {
        Some(Content::Text(text)) => text.clone(),
        Some(_) => host_nsswitch(walker)?,
        None if granted() => host_nsswitch(walker)?,
        None => return Ok(Vec::new()),
    };
    Ok(nss::modules(&text))
}

const NSSWITCH: &str = "/etc/nsswitch.conf";

fn host_nsswitch<K: Kernel>(walker: &mut Walker<'_, K>) -> Result<String, Error> {
    let content = walker
        .read(NSSWITCH, 64 << 10)
        .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    Ok(String::from_utf8_lossy(&content.unwrap_or_default()).into_owned())
}

fn system<K: Kernel>(kernel: &mut K) -> Result<System, Error> {
    let mut ask = |name: &str| {
        kernel
            .sysctl_text(name)
            .map_err(|failure| Error::step(format!("ask for {name}"), failure))
    };
    Ok(System {
        machine: ask("hw.machine")?,
        name: ask("kern.ostype")?,
        release: ask("kern.osrelease")?,
    })
}

/// rtld passes over what it can't read, and would go on to look where nothing is: better said here.
fn forbidden<'a>(closure: &'a Closure, service: &Service) -> Option<(&'a str, &'static str)> {
    closure.graph.edges().iter().find_map(|edge| {
        let is_script = || {
            let mut edges = closure.graph.edges().iter();
            edges.any(|next| next.how == How::Script && next.from.as_ref() == Some(&edge.to))
        };
        let (wanted, words) = match edge.how {
            How::Program if is_script() => (5, "read and executed"),
            How::Program | How::Script | How::Env | How::Interpreter => (1, "executed"),
            _ => (4, "read"),
        };
        let stat = closure.files.get(&edge.to)?;
        (!service.may(stat, wanted)).then_some((edge.to.as_str(), words))
    })
}
