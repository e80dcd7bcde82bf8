//! A running instance's report: its file, held against what its profile would have with mode = "enforce".

use super::MOST;
use super::fold;
use super::record::{self, Address};
use super::sum::{Means, Place, Report, plain, sum};
use crate::attest::throwaway::plan_of;
use crate::error::Error;
use crate::host::capability;
use crate::instances::Listed;
use crate::kernel::{Errno, Failure, Filesystem, Kernel, SocketAddress};
use crate::permit::Caller;
use crate::plan::tree::{Tree, What};
use crate::plan::{is_below, report};
use crate::trust::{self, Distrust};
use crate::why::propose::{Outside, looked_for};
use crate::why::question::Wish;
use crate::why::{Known, Line, outside_of};
use std::collections::{BTreeMap, BTreeSet};

/// The file; `None` where the instance has none.
fn file<K: Kernel>(kernel: &mut K, label: &str) -> Result<Option<Vec<u8>>, Error> {
    let step = |failure| Error::step(format!("read the report of {label}"), failure);
    match trust::read(kernel, &report::path(label), MOST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(distrust) if distrust.is_absent() => Ok(None),
        Err(Distrust::Failed { failure, .. }) => Err(step(failure)),
        Err(untrusted) => Err(Error::Profile(untrusted.to_string())),
    }
}

/// `None`: the instance reports nothing.
pub fn ask<K: Kernel>(
    kernel: &mut K,
    listed: &Listed,
    caller: &Caller,
) -> Result<Option<Report>, Error> {
    let label = &listed.label;
    let Some(bytes) = file(kernel, label)? else {
        return Ok(None);
    };
    let Some(first) = listed.pid else {
        let failure = Failure {
            call: "read",
            errno: Errno::ESRCH,
            text: "its program isn't executed yet, or has ended".to_string(),
        };
        return Err(Error::step(format!("read the report of {label}"), failure));
    };
    let (permit, host, plan) = plan_of(kernel, label, caller)?;
    let profile = permit.profile();
    let tree = Tree::of(profile, &host)?;
    let wanting = capability::wanting(kernel, &permit, host.closure.as_ref());
    let trace = record::read(&bytes);
    let mut inside = Inside {
        why: Known {
            profile,
            plan: &plan,
            host: &host,
            tree: &tree,
            entries: &[],
        },
        wanting,
        outside: BTreeMap::new(),
    };
    // Whoever wrote these paths is told nothing of what is found.
    for path in fold::paths(&fold::fold(&trace, first)) {
        let path = plain(&String::from_utf8_lossy(path));
        if inside.place(&path) == Place::Absent && !inside.outside.contains_key(&path) {
            let found = outside_of(kernel, &path);
            inside.outside.insert(path, found);
        }
    }
    Ok(Some(sum(&trace, bytes.len() as u64, first, &inside)))
}

struct Inside<'a> {
    why: Known<'a>,
    wanting: Option<String>,
    /// What the host has at the paths that aren't inside.
    outside: BTreeMap<String, Outside>,
}

/// As many links as namei(9) follows (MAXSYMLINKS).
const LINKS: usize = 32;

impl Means for Inside<'_> {
    fn place(&self, path: &str) -> Place {
        let mut path = path.to_string();
        for _ in 0..LINKS {
            let Some((at, node)) = self.why.nearest(&path) else {
                break;
            };
            let rest = path.strip_prefix(at).unwrap_or_default();
            match &node.what {
                What::Link(text) if text.starts_with('/') => path = format!("{text}{rest}"),
                What::Link(text) => {
                    let above = at.rsplit_once('/').map_or("", |(above, _)| above);
                    path = plain(&format!("{above}/{text}{rest}"));
                }
                What::New {
                    filesystem: Filesystem::Devfs { .. },
                    ..
                } => return self.device(at, &path),
                what => return place(at, what),
            }
        }
        let is_above = |(at, _): (&str, _)| path == "/" || is_below(at, &path);
        match self.why.tree.nodes().any(is_above) {
            true => Place::Readable,
            false => Place::Absent,
        }
    }

    fn listens(&self, address: &Address) -> bool {
        let mut listens = self.why.profile.listen.iter();
        listens.any(|listen| match (&listen.address, address) {
            (SocketAddress::Inet(ours), Address::Inet(theirs)) => ours == theirs,
            (SocketAddress::Unix(ours), Address::Unix(theirs)) => ours.as_bytes() == theirs,
            _ => false,
        })
    }

    fn listen_names(&self) -> BTreeSet<String> {
        let listens = self.why.profile.listen.iter();
        listens.map(|listen| listen.name.clone()).collect()
    }

    fn against(&self) -> Vec<&'static str> {
        self.why.profile.against_enforcing()
    }

    fn without_shim(&self) -> Option<String> {
        self.wanting.clone()
    }

    fn grant(&self, path: &str, wish: Wish) -> (Option<Line>, String) {
        let none = Outside::default();
        let outside = self.outside.get(path).unwrap_or(&none);
        let proposed = looked_for(&self.why, path, wish, outside);
        (proposed.line, proposed.words)
    }
}

impl Inside<'_> {
    /// Of /dev the devices alone that are listed, and directories above them.
    fn device(&self, at: &str, path: &str) -> Place {
        let name = path.strip_prefix(at).unwrap_or_default();
        let name = name.trim_start_matches('/');
        let mut listed = self.why.profile.root.devices.iter();
        match name.is_empty() || listed.any(|known| known == name || is_below(known, name)) {
            true => Place::Writable(at.to_string()),
            false => Place::Absent,
        }
    }
}

fn place(at: &str, what: &What) -> Place {
    match what {
        What::Granted {
            filesystem: Filesystem::Nullfs { sockets: true, .. },
            ..
        } => Place::Sockets(at.to_string()),
        What::Granted { flags, .. } | What::New { flags, .. } if !flags.read_only => {
            Place::Writable(at.to_string())
        }
        What::Socket => Place::Log,
        _ => Place::Readable,
    }
}
