//! File systems that are mounted below a granted directory. nullfs shows the empty directories that they
//! cover, so each is granted by itself, or nothing is launched.

use super::accounts::Service;
use super::sources::{Sources, is_trusted};
use crate::error::Error;
use crate::kernel::{FileKind, Kernel, Open, Statfs};
use crate::plan::{STATE, Submount, is_below};
use crate::profile::{Profile, Socket};
use crate::trust::walk::Walker;
use crate::trust::{Distrust, Owner};

/// Not files, but the system itself.
const SYNTHETIC: [&str; 7] = [
    "devfs",
    "fdescfs",
    "procfs",
    "linprocfs",
    "linsysfs",
    "autofs",
    "mqueuefs",
];

/// A path that something is mounted on inside, and what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    /// The profile's word for the grant.
    Granted(&'a str),
    /// Covered by something of our own.
    Covered,
}

/// Asks for the mount table only where a directory is granted: it is long on some hosts.
pub fn look<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
    sources: &Sources,
    service: &Service,
) -> Result<Vec<Submount>, Error> {
    let entries = entries(profile, sources);
    let has_directory = entries.iter().any(|(written, _, kind)| {
        let granted = sources.get(*written);
        matches!(kind, Kind::Granted(_))
            && granted.is_some_and(|granted| granted.stat.kind == FileKind::Directory)
    });
    if !has_directory {
        return Ok(Vec::new());
    }
    let step = "read the table of mounts";
    let mounts = walker.files().getfsstat();
    let mounts = mounts.map_err(|failure| Error::step(step, failure))?;
    for (written, path, kind) in &entries {
        if matches!(kind, Kind::Granted(_)) {
            refuse_synthetic(&mounts, written, path)?;
        }
    }
    let mut submounts: Vec<Submount> = Vec::new();
    for mount in &mounts {
        let nearest = entries
            .iter()
            .filter(|(_, path, _)| mount.on == *path || is_below(&mount.on, path))
            .max_by_key(|(_, path, _)| path.len());
        let Some((written, path, Kind::Granted(word))) = nearest else {
            continue;
        };
        let is_ours = is_below(&mount.on, STATE);
        let is_known = submounts.iter().any(|known| known.path == mount.on);
        if mount.on != *path && !is_ours && !is_known {
            submounts.push(submount(walker, profile, service, mount, (written, word))?);
        }
    }
    Ok(submounts)
}

/// Every path of the profile's that something is mounted on, as written, as it is, and what for.
fn entries<'a>(profile: &'a Profile, sources: &'a Sources) -> Vec<(&'a str, &'a str, Kind<'a>)> {
    let root = &profile.root;
    let sockets = root.sockets.iter().filter_map(|socket| match socket {
        Socket::Directory(path) => Some(path),
        Socket::Syslog => None,
    });
    let ro = root.ro.iter().map(|path| (path, Kind::Granted("ro")));
    let rw = root.rw.iter().map(|rw| (&rw.path, Kind::Granted("rw")));
    let sockets = sockets.map(|path| (path, Kind::Granted("sockets")));
    let tmpfs = root.tmpfs.iter().map(|tmpfs| (&tmpfs.path, Kind::Covered));
    let mask = root.mask.iter().map(|path| (path, Kind::Covered));
    ro.chain(rw)
        .chain(sockets)
        .chain(tmpfs)
        .chain(mask)
        .map(|(written, kind)| {
            let path = sources
                .get(written)
                .map_or(written, |granted| &granted.path);
            (written.as_str(), path.as_str(), kind)
        })
        .collect()
}

/// Devices and processes of the host are no files to be granted.
fn refuse_synthetic(mounts: &[Statfs], written: &str, path: &str) -> Result<(), Error> {
    let holder = mounts
        .iter()
        .rev()
        .filter(|mount| mount.on == path || is_below(path, &mount.on))
        .max_by_key(|mount| mount.on.len());
    match holder {
        Some(mount) if SYNTHETIC.contains(&mount.kind.as_str()) => Err(Error::Profile(format!(
            "{written} is in a {}, which can't be granted; devices are listed in devices",
            mount.kind
        ))),
        _ => Ok(()),
    }
}

fn submount<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
    service: &Service,
    mount: &Statfs,
    (written, word): (&str, &str),
) -> Result<Submount, Error> {
    let on = &mount.on;
    let remedy = match word {
        "ro" => format!("write mask = [\"{on}\"]"),
        _ => "grant the directories beside it instead".to_string(),
    };
    let refused = |why: &str| {
        Error::Profile(format!(
            "{on} is a file system of its own in {written}, which {word} grants, and {why}; {remedy}"
        ))
    };
    if SYNTHETIC.contains(&mount.kind.as_str()) {
        return Err(refused(&format!("a {} can't be granted", mount.kind)));
    }
    let writable = profile.root.rw.iter().find(|rw| rw.path == written);
    let owner = match word {
        "ro" => Owner::Root,
        _ => Owner::Anybody,
    };
    let found = walker
        .resolve(on, Open::Path, owner)
        .map_err(|stop| refused(&Distrust::from(stop).to_string()))?;
    walker.close(found.fd);
    if found.path != *on {
        return Err(refused("its path leads through links"));
    }
    if writable.is_some_and(|rw| !rw.untrusted && !is_trusted(&found.stat, service)) {
        return Err(refused(
            "others than root and the service's user can write it",
        ));
    }
    Ok(Submount {
        path: on.clone(),
        of: written.to_string(),
        stat: found.stat,
    })
}
