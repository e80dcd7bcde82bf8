//! What an intruder could do in a service's place, tried and told: `jailrunctl attest`. From inside the
//! jail, as the service's user, on the ladder that the launch's child walks; nothing is put into the
//! root, and each attempt is harmless if it succeeds.
//!
//! What counts is what the kernel answers, never what the profile says. An attempt that this kernel or
//! this way of looking can't decide is told as "not attested", never as refused.

mod capability;
mod files;
pub mod ladder;
mod looks;
mod network;
mod privileges;
mod processes;
pub mod table;
pub mod throwaway;
pub mod verdict;
mod written;

use crate::kernel::{At, Failure, Fd, JailId, Nmount, Outcome, Pid};
use crate::plan::ChildPlan;
use crate::plan::capability::Use;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What an attempt met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It worked, and this is what was got.
    Open(String),
    Refused(Failure),
    /// There was nothing to be had, and so nothing that refused.
    Nothing(String),
    /// Why it shows nothing here.
    NotShown(String),
    /// It ended before it had a word to say, as whoever is in the jail can have it end: how.
    Cut(String),
    /// It came to no end, as whoever is in the jail can have it stop.
    Late,
}

/// An attempt's outcome: a call that is refused ends it.
type Tried = Outcome<Seen>;

fn open(what: impl Into<String>) -> Tried {
    Ok(Seen::Open(what.into()))
}

fn nothing(why: impl Into<String>) -> Tried {
    Ok(Seen::Nothing(why.into()))
}

/// Everything that attempts need to know and that isn't seen from inside.
#[derive(Clone, Debug)]
pub struct Target {
    /// Who tries, and confined by what.
    pub child: ChildPlan,
    /// The jail's name; `None` tries it where we are, unconfined, so that tests see every hole.
    pub jail: Option<String>,
    /// A process of the host.
    pub outside: Pid,
    /// Mounts of the root, by their paths inside.
    pub mounts: Vec<Nmount>,
    /// Addresses of the host that aren't the jail's.
    pub foreign: Vec<IpAddr>,
    /// Where the host listens on its loopback.
    pub listeners: Vec<SocketAddr>,
    /// A shared memory segment of the host. By its id: keys are each jail's own.
    pub segment: Option<i32>,
    /// A jail of somebody else's.
    pub other: JailId,
    /// A local socket whose other end holds a directory of the host.
    pub passed: Option<Fd>,
    /// Nobody else is in the jail: it may be exhausted.
    pub is_throwaway: bool,
    /// Most processes and most address space of the whole jail, as far as there is a limit.
    pub most_processes: Option<u64>,
    pub most_memory: Option<u64>,
}

pub type Shared = Arc<Target>;

impl Target {
    pub fn is_in_capability_mode(&self) -> bool {
        self.child.capability.is_some()
    }

    /// The directories that it has descriptors on in capability mode.
    fn directories(&self) -> impl Iterator<Item = (Fd, &str)> {
        let all = self
            .child
            .capability
            .iter()
            .flat_map(|all| &all.descriptors);
        all.filter_map(|known| match known.purpose {
            Use::Root | Use::Writable { .. } | Use::Devices | Use::Sockets => {
                Some((known.fd, known.path.as_deref()?))
            }
            _ => None,
        })
    }

    /// How a path inside is reached: by its name, or in capability mode below the nearest directory that
    /// was granted, which is how an intruder would.
    fn reach(&self, path: &str) -> (At, String) {
        let below = |(fd, directory): (Fd, &str)| {
            let rest = path.strip_prefix(directory.trim_end_matches('/'))?;
            let is_below = rest.is_empty() || rest.starts_with('/');
            is_below.then(|| (fd, rest.trim_start_matches('/').to_string()))
        };
        let nearest = self.directories().filter_map(below);
        match nearest.min_by_key(|(_, rest)| rest.len()) {
            None => (At::Cwd, path.to_string()),
            Some((fd, rest)) if rest.is_empty() => (At::Dir(fd), ".".to_string()),
            Some((fd, rest)) => (At::Dir(fd), rest),
        }
    }
}
