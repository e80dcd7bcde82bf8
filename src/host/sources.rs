//! What a profile grants, as it is on this host: each path through directories of root's alone, with the
//! links that lead there, and judged by what it is granted for.

use super::accounts::Service;
use super::unmade::{self, NOT_THERE, Unmade};
use crate::error::Error;
use crate::kernel::{FileKind, Kernel, Open, Stat};
use crate::plan::{Granted, STATE, is_below};
use crate::profile::{Profile, Socket, Writable};
use crate::trust::walk::Walker;
use crate::trust::{Distrust, Owner};
use std::collections::BTreeMap;

pub type Sources = BTreeMap<String, Granted>;

/// Everything that the profile names and that must be on the host, by the profile's own paths, and what of it
/// isn't there. What is there is judged before that is told: that a place is somebody else's is never hidden by
/// what nobody has made yet.
pub fn look<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
    service: &Service,
    owners: &BTreeMap<String, u32>,
) -> Result<(Sources, Unmade), Error> {
    let mut sources = Sources::new();
    let mut unmade = Unmade::default();
    for path in &profile.root.ro {
        match source(walker, path, Owner::Root)? {
            Source::There(granted) => _ = sources.insert(path.clone(), granted),
            Source::Missing(component) => unmade.readable(component, path),
        }
    }
    for writable in &profile.root.rw {
        let path = &writable.path;
        let granted = match source(walker, path, Owner::Anybody)? {
            Source::There(granted) => granted,
            Source::Missing(component) => {
                unmade.writable(component, writable, service);
                continue;
            }
        };
        judge(&granted, writable, service, owners)?;
        // What was checked is the path that is written, not where a package's link leads.
        if profile.root.root_writes && granted.path != writable.path {
            let real = &granted.path;
            return Err(Error::Profile(format!(
                "{path} is {real} by a link: root_writes takes no links"
            )));
        }
        sources.insert(path.clone(), granted);
    }
    for socket in &profile.root.sockets {
        let Socket::Directory(path) = socket else {
            continue;
        };
        // Whoever serves the sockets owns the directory.
        match source(walker, path, Owner::Anybody)? {
            Source::There(granted) => {
                need_directory(&granted, path)?;
                sources.insert(path.clone(), granted);
            }
            Source::Missing(component) => unmade.served(component),
        }
    }
    points(walker, profile, &mut sources, &mut unmade)?;
    Ok((sources, unmade))
}

/// Masks, and what is mounted inside a granted tree: the place must be there already, and nobody but root
/// may be able to put another in its place. That it was reached through root's directories says so. A mask
/// over nothing is a mistake, and nothing to be made.
fn points<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
    sources: &mut Sources,
    unmade: &mut Unmade,
) -> Result<(), Error> {
    let is_inside = |path: &str| {
        sources
            .iter()
            .any(|(written, granted)| is_below(path, written) || is_below(path, &granted.path))
    };
    let tmpfs = profile.root.tmpfs.iter().map(|tmpfs| &tmpfs.path);
    let inside: Vec<&String> = tmpfs.filter(|path| is_inside(path)).collect();
    for path in &profile.root.mask {
        match source(walker, path, Owner::Anybody)? {
            Source::There(granted) => _ = sources.insert(path.clone(), granted),
            // In a tree that nobody has made there is nothing to mask yet.
            Source::Missing(component) if unmade.has(&component) => {}
            Source::Missing(component) => {
                return Err(Error::Profile(format!("{component}: {NOT_THERE}")));
            }
        }
    }
    for path in inside {
        match source(walker, path, Owner::Anybody)? {
            Source::There(granted) => _ = sources.insert(path.clone(), granted),
            Source::Missing(component) => unmade.point(component, path),
        }
    }
    Ok(())
}

enum Source {
    There(Granted),
    /// By the first component that isn't there.
    Missing(String),
}

fn source<K: Kernel>(
    walker: &mut Walker<'_, K>,
    path: &str,
    owner: Owner,
) -> Result<Source, Error> {
    let found = match walker.resolve(path, Open::Path, owner) {
        Ok(found) => found,
        Err(stop) => {
            return match unmade::missing(&stop, path) {
                Some(component) => Ok(Source::Missing(component)),
                None => Err(Error::Profile(Distrust::from(stop).to_string())),
            };
        }
    };
    walker.close(found.fd);
    if !matches!(found.stat.kind, FileKind::Regular | FileKind::Directory) {
        let words = format!("{path} is neither a file nor a directory");
        return Err(Error::Profile(words));
    }
    if found.path == STATE || is_below(&found.path, STATE) {
        return Err(Error::Profile(format!("{path} is jailrun's own")));
    }
    Ok(Source::There(Granted {
        path: found.path,
        links: found.links,
        stat: found.stat,
        is_enterable: found.is_enterable,
    }))
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
    let otherwise = |words: String| {
        let command = unmade::command(writable, service);
        Error::Profile(format!("{path} {words}; run: {command}"))
    };
    if let Some(name) = &writable.owner
        && owners.get(name).is_some_and(|uid| *uid != granted.stat.uid)
    {
        return Err(otherwise(format!("is not owned by {name}")));
    }
    if let Some(mode) = writable.mode.filter(|mode| *mode != granted.stat.mode) {
        let found = granted.stat.mode;
        return Err(otherwise(format!(
            "has the mode {found:04o}, not {mode:04o}"
        )));
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
