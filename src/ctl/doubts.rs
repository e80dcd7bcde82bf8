//! What a launch would meet, or nobody ever notice, and no plan says: asked of the host for `check` alone, since a
//! launch pays for each question. Changes nothing.

use super::deeper;
use super::plan::{Prepared, prepare, root};
use crate::closure::graph::How;
use crate::error::Error;
use crate::host::{self, Purpose};
use crate::kernel::{At, Errno, Failure, Kernel};
use crate::permit::{Permit, Wish, authorize};
use crate::plan::is_below;
use crate::plan::tree::{Node, Tree, What};
use crate::profile::{Closure, Network, Profile};
use crate::request::Request;
use crate::why::outside_of;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Why a launch would fail.
    pub refusal: Option<String>,
    pub notes: Vec<String>,
}

/// What the host says to a profile.
pub enum Looked {
    Good(Box<Prepared>, Doubts),
    /// Nothing is wrong with what is there: it isn't all there yet, as the error tells.
    Lacking(Lack, Error),
    Refused(Error),
}

/// Why a profile that is installed with all others isn't used on this host, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Its package isn't installed.
    Program(String),
    /// Nobody made its directories yet: which, and how.
    Directories(String),
}

impl std::fmt::Display for Lack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Lack::Program(path) => write!(formatter, "not installed here: {path}"),
            Lack::Directories(words) => write!(formatter, "not set up here: {words}"),
        }
    }
}

/// Holds a profile against the host.
pub fn look<K: Kernel>(kernel: &mut K, asked: &Request) -> Looked {
    let looked = prepare(kernel, asked).and_then(|prepared| {
        let doubts = of(kernel, &prepared)?;
        Ok(Looked::Good(Box::new(prepared), doubts))
    });
    let error = match looked {
        Ok(good) => return good,
        Err(error) => error,
    };
    match (absent_program(kernel, asked), &error) {
        (Some(program), _) => Looked::Lacking(Lack::Program(program), error),
        (None, Error::Unmade(words)) => Looked::Lacking(Lack::Directories(words.clone()), error),
        (None, _) => Looked::Refused(error),
    }
}

/// The program of a profile, where the host hasn't even that.
fn absent_program<K: Kernel>(kernel: &mut K, asked: &Request) -> Option<String> {
    let permit = crate::run::permit(kernel, asked, &root()).ok()?;
    let program = permit.profile().program.clone()?;
    let found = kernel.lstatat(At::Cwd, &program);
    let is_absent = found.is_err_and(|failure| failure.errno == Errno::ENOENT);
    is_absent.then_some(program)
}

pub fn of<K: Kernel>(kernel: &mut K, prepared: &Prepared) -> Result<Doubts, Error> {
    let profile = &prepared.profile;
    let tree = Tree::of(profile, &prepared.host)?;
    let failed = |failure| Error::step("look at the host", failure);
    let mut doubts = Doubts {
        refusal: interface(kernel, profile).map_err(failed)?,
        notes: strangers(kernel, profile).map_err(failed)?,
    };
    doubts.notes.extend(deeper::notes(kernel, prepared));
    let path = &profile.chdir;
    if doubts.refusal.is_none() && !is_inside(kernel, &tree, path) {
        doubts.refusal = Some(format!(
            "chdir {path} isn't inside: grant it in [root], or leave chdir out"
        ));
    }
    if profile.root.closure == Closure::Off {
        without_closure(kernel, profile, &tree, &mut doubts);
    }
    Ok(doubts)
}

/// The kernel says so when the jail's root is made already.
fn interface<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<Option<String>, Failure> {
    for network in [&profile.jail.ip4, &profile.jail.ip6] {
        let Network::Addresses(addresses) = network else {
            continue;
        };
        for name in addresses
            .iter()
            .filter_map(|wanted| wanted.interface.as_ref())
        {
            if kernel.if_nametoindex(name)?.is_none() {
                return Ok(Some(format!("this host has no interface {name}")));
            }
        }
    }
    Ok(None)
}

/// Names in `[access]` that nobody has. A number is a uid or a gid, whatever an account is called.
fn strangers<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<Vec<String>, Failure> {
    let mut notes = Vec::new();
    let access = &profile.access;
    let is_name = |name: &&String| name.parse::<u32>().is_err();
    let unknown = |kind: &str, name: &str| format!("[access]: this host has no {kind} \"{name}\"");
    for name in access.users.iter().filter(is_name) {
        if kernel.getpwnam(name)?.is_none() {
            notes.push(unknown("user", name));
        }
    }
    for name in access.groups.iter().filter(is_name) {
        if kernel.getgrnam(name)?.is_none() {
            notes.push(unknown("group", name));
        }
    }
    Ok(notes)
}

/// Whether there is something at a path inside: a mount, what leads to one, or what the host has in a grant.
fn is_inside<K: Kernel>(kernel: &mut K, tree: &Tree, path: &str) -> bool {
    let is_made = |(at, _): (&str, &Node)| at == path || is_below(at, path) || path == "/";
    if tree.nodes().any(is_made) {
        return true;
    }
    let covers = tree.nodes().filter(|(at, _)| is_below(path, at));
    match covers.max_by_key(|(at, _)| at.len()) {
        Some((_, node)) if matches!(node.what, What::Granted { .. } | What::Link(_)) => {
            outside_of(kernel, path).found.is_some()
        }
        _ => false,
    }
}

/// What closure = "auto" would bring in, and nothing grants. The program ends before its first instruction
/// without its interpreter, with a signal; libraries may be found where we don't look.
fn without_closure<K: Kernel>(kernel: &mut K, profile: &Profile, tree: &Tree, doubts: &mut Doubts) {
    let Some(permit) = with_closure(profile) else {
        return;
    };
    // What can't be worked out is what the profile says "off" for.
    let Ok(host) = host::survey(kernel, &permit, BTreeMap::new(), Purpose::Look) else {
        return;
    };
    let edges = host
        .closure
        .iter()
        .flat_map(|closure| closure.graph.edges());
    let mut missing = edges
        .filter(|edge| !tree.shows(&edge.to))
        .collect::<Vec<_>>();
    missing.dedup_by(|a, b| a.to == b.to);
    let remedy = "closure = \"off\" brings nothing in";
    for edge in missing {
        let from = edge.from.as_deref().unwrap_or_default();
        match &edge.how {
            How::Program => {
                let words = format!("{} isn't inside: {remedy}", edge.to);
                doubts.refusal.get_or_insert(words);
            }
            How::Interpreter | How::Script | How::Env => {
                let words = format!("{}, which {from} needs, isn't inside: {remedy}", edge.to);
                doubts.refusal.get_or_insert(words);
            }
            How::Needed(name) => {
                let words = format!("{name}, which {from} needs, isn't at {}: {remedy}", edge.to);
                doubts.notes.push(words);
            }
            _ => {}
        }
    }
}

fn with_closure(profile: &Profile) -> Option<Permit> {
    let mut profile = profile.clone();
    profile.root.closure = Closure::Auto;
    authorize(profile, root(), Wish::default(), &[]).ok()
}
