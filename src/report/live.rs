//! A running instance's report: its file, held against what its profile would have with mode = "enforce".

use super::MOST;
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
use crate::profile::Listen;
use crate::trust::{self, Distrust};

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
    let (permit, host, _) = plan_of(kernel, label, caller)?;
    let tree = Tree::of(permit.profile(), &host)?;
    let wanting = capability::wanting(kernel, &permit, host.closure.as_ref());
    let known = Known {
        tree: &tree,
        listens: &permit.profile().listen,
        wanting,
    };
    let trace = record::read(&bytes);
    Ok(Some(sum(&trace, bytes.len() as u64, first, &known)))
}

struct Known<'a> {
    tree: &'a Tree,
    listens: &'a [Listen],
    wanting: Option<String>,
}

/// As many links as namei(9) follows (MAXSYMLINKS).
const LINKS: usize = 32;

impl Means for Known<'_> {
    fn place(&self, path: &str) -> Place {
        let mut path = path.to_string();
        for _ in 0..LINKS {
            let nodes = self.tree.nodes();
            let covers = nodes.filter(|(at, _)| *at == path || is_below(&path, at));
            let Some((at, node)) = covers.max_by_key(|(at, _)| at.len()) else {
                break;
            };
            let rest = path.strip_prefix(at).unwrap_or_default();
            match &node.what {
                What::Link(text) if text.starts_with('/') => path = format!("{text}{rest}"),
                What::Link(text) => {
                    let above = at.rsplit_once('/').map_or("", |(above, _)| above);
                    path = plain(&format!("{above}/{text}{rest}"));
                }
                what => return place(at, what),
            }
        }
        let is_above = |(at, _): (&str, _)| path == "/" || is_below(at, &path);
        match self.tree.nodes().any(is_above) {
            true => Place::Readable,
            false => Place::Absent,
        }
    }

    fn listens(&self, address: &Address) -> bool {
        self.listens
            .iter()
            .any(|listen| match (&listen.address, address) {
                (SocketAddress::Inet(ours), Address::Inet(theirs)) => ours == theirs,
                (SocketAddress::Unix(ours), Address::Unix(theirs)) => ours.as_bytes() == theirs,
                _ => false,
            })
    }

    fn without_shim(&self) -> Option<String> {
        self.wanting.clone()
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
        What::New {
            filesystem: Filesystem::Devfs { .. },
            ..
        } => Place::Writable(at.to_string()),
        What::Socket => Place::Log,
        _ => Place::Readable,
    }
}
