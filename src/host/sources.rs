//! What a profile grants, as it is on this host: each path through directories of root's alone, with the
//! links that lead there, and judged by what it is granted for.

use super::accounts::Service;
use crate::error::Error;
use crate::kernel::{FileKind, Kernel, Open, Stat};
use crate::plan::{Granted, STATE, is_below};
use crate::profile::{Profile, Socket, Writable};
use crate::trust::walk::Walker;
use crate::trust::{Distrust, Owner};
use std::collections::BTreeMap;

pub type Sources = BTreeMap<String, Granted>;

/// Everything that the profile names and that must be on the host, by the profile's own paths.
pub fn look<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
    service: &Service,
    owners: &BTreeMap<String, u32>,
) -> Result<Sources, Error> {
    let mut sources = Sources::new();
    for path in &profile.root.ro {
        let granted = source(walker, path, Owner::Root)?;
        sources.insert(path.clone(), granted);
    }
    for writable in &profile.root.rw {
        let granted = source(walker, &writable.path, Owner::Anybody)
            .map_err(|error| with_remedy(error, writable, service))?;
        judge(&granted, writable, service, owners)?;
        // What was checked is the path that is written, not where a package's link leads.
        if profile.root.root_writes && granted.path != writable.path {
            let (path, real) = (&writable.path, &granted.path);
            return Err(Error::Profile(format!(
                "{path} is {real} by a link: root_writes takes no links"
            )));
        }
        sources.insert(writable.path.clone(), granted);
    }
    for socket in &profile.root.sockets {
        if let Socket::Directory(path) = socket {
            // Whoever serves the sockets owns the directory.
            let granted = source(walker, path, Owner::Anybody)?;
            need_directory(&granted, path)?;
            sources.insert(path.clone(), granted);
        }
    }
    let points = points(profile, &sources);
    for path in points {
        let granted = source(walker, &path, Owner::Anybody)?;
        sources.insert(path, granted);
    }
    Ok(sources)
}

/// Masks, and what is mounted inside a granted tree: the place must be there already, and nobody but root
/// may be able to put another in its place. That it was reached through root's directories says so.
fn points(profile: &Profile, sources: &Sources) -> Vec<String> {
    let is_inside = |path: &str| {
        sources
            .iter()
            .any(|(written, granted)| is_below(path, written) || is_below(path, &granted.path))
    };
    let tmpfs = profile.root.tmpfs.iter().map(|tmpfs| &tmpfs.path);
    let inside = tmpfs.filter(|path| is_inside(path));
    profile.root.mask.iter().chain(inside).cloned().collect()
}

fn source<K: Kernel>(
    walker: &mut Walker<'_, K>,
    path: &str,
    owner: Owner,
) -> Result<Granted, Error> {
    let found = walker
        .resolve(path, Open::Path, owner)
        .map_err(|stop| Error::Profile(Distrust::from(stop).to_string()))?;
    walker.close(found.fd);
    if !matches!(found.stat.kind, FileKind::Regular | FileKind::Directory) {
        let words = format!("{path} is neither a file nor a directory");
        return Err(Error::Profile(words));
    }
    if found.path == STATE || is_below(&found.path, STATE) {
        return Err(Error::Profile(format!("{path} is jailrun's own")));
    }
    Ok(Granted {
        path: found.path,
        links: found.links,
        stat: found.stat,
        is_enterable: found.is_enterable,
    })
}

fn need_directory(granted: &Granted, path: &str) -> Result<(), Error> {
    match granted.stat.kind {
        FileKind::Directory => Ok(()),
        _ => Err(Error::Profile(format!("{path} is not a directory"))),
    }
}

/// What leads to it is root's in any case; its own owner and mode only `untrusted` waives.
fn judge(
    granted: &Granted,
    writable: &Writable,
    service: &Service,
    owners: &BTreeMap<String, u32>,
) -> Result<(), Error> {
    let path = &writable.path;
    need_directory(granted, path)?;
    let owner = writable.owner.as_ref().and_then(|name| owners.get(name));
    if owner.is_some_and(|uid| *uid != granted.stat.uid) {
        let words = format!("{path} is not owned by {}", name_of(writable));
        return Err(with_remedy(Error::Profile(words), writable, service));
    }
    if let Some(mode) = writable.mode.filter(|mode| *mode != granted.stat.mode) {
        let found = granted.stat.mode;
        let words = format!("{path} has the mode {found:04o}, not {mode:04o}");
        return Err(with_remedy(Error::Profile(words), writable, service));
    }
    if !writable.untrusted && !is_trusted(&granted.stat, service) {
        return Err(Error::Profile(format!(
            "{path} is writable by others than root and the service's user; \
             chown and chmod it, or say untrusted = true in rw"
        )));
    }
    Ok(())
}

pub fn is_trusted(stat: &Stat, service: &Service) -> bool {
    (stat.uid == 0 || stat.uid == service.user.uid) && stat.mode & 0o022 == 0
}

fn name_of(writable: &Writable) -> &str {
    writable.owner.as_deref().unwrap_or("root")
}

/// The command that makes the directory as the profile wants it, where it says how.
fn with_remedy(error: Error, writable: &Writable, service: &Service) -> Error {
    let (owner, path) = (name_of(writable), &writable.path);
    let mode = match (writable.mode, &writable.owner) {
        (None, None) => return error,
        (mode, _) => mode.unwrap_or(0o755),
    };
    // The service gets into a directory of another's by its group, where others can't.
    let group = match mode & 0o011 == 0o010 && !is_user(owner, service) {
        true => format!(" -g {}", service.gid),
        false => String::new(),
    };
    match error {
        Error::Profile(words) => Error::Profile(format!(
            "{words}; run: install -d -o {owner}{group} -m {mode:04o} {path}"
        )),
        other => other,
    }
}

fn is_user(name: &str, service: &Service) -> bool {
    name == service.user.name || name == service.user.uid.to_string()
}
