//! Why a running service has something, or hasn't: `jailrunctl why`. The live jail is asked, by a process
//! that goes into it as a service does ([`crate::attest::ladder`]) and looks; what it met is then
//! explained by the plan, down to the line of the profile that grants it or would.
//!
//! Nothing is changed, nothing is sent to anybody, and nothing is opened: a lookup is made of lstat(2),
//! access(2) and connect(2) of sockets for messages.

mod address;
mod capability;
mod look;
mod path;
pub(crate) mod propose;
pub mod question;
mod walk;

use crate::attest::ladder::{Answer as Heard, Place, descend};
use crate::attest::throwaway::plan_of;
use crate::error::Error;
use crate::kernel::attack::Attack;
use crate::kernel::{Errno, Failure, Kernel, Stat};
use crate::permit::Caller;
use crate::plan::listing::{self, Entry};
use crate::plan::tree::{Node, Tree};
use crate::plan::{Host, Plan, is_below, jail_name};
use crate::profile::{Profile, values};
use crate::supervise::watch::Ears;
pub(crate) use address::listening;
pub(crate) use path::outside_of;
use question::Question;

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub is_granted: bool,
    /// One line, without the signs that a terminal would obey.
    pub why: String,
    /// What the profile would have to say.
    pub line: Option<Line>,
}

/// A line of a profile, and the table that it belongs to; "" is the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub table: &'static str,
    pub text: String,
    /// The key has a list already.
    pub is_more: bool,
}

impl Answer {
    fn granted(why: impl Into<String>) -> Answer {
        Answer {
            is_granted: true,
            why: why.into(),
            line: None,
        }
    }

    fn missing(why: impl Into<String>, line: Option<Line>) -> Answer {
        Answer {
            is_granted: false,
            why: why.into(),
            line,
        }
    }
}

/// Everything that an explanation rests on and that isn't seen from inside.
pub(crate) struct Known<'a> {
    pub profile: &'a Profile,
    pub plan: &'a Plan,
    pub host: &'a Host,
    pub tree: &'a Tree,
    pub entries: &'a [Entry],
}

impl Known<'_> {
    /// What is mounted or made at a path, or the nearest above it.
    pub fn nearest(&self, path: &str) -> Option<(&str, &Node)> {
        let nodes = self.tree.nodes();
        let covers = nodes.filter(|(at, _)| *at == path || is_below(path, at));
        covers.max_by_key(|(at, _)| at.len())
    }

    /// Why something is there, in the plan's words.
    pub fn reason(&self, path: &str) -> String {
        let covers = self.entries.iter();
        let covers = covers.filter(|entry| entry.path == path || is_below(path, &entry.path));
        match covers.max_by_key(|entry| entry.path.len()) {
            None => "it is the jail's root".to_string(),
            Some(entry) => {
                let why = entry.why.join(", ");
                format!(
                    "{} ({}: {}), by {why}",
                    entry.path, entry.kind, entry.detail
                )
            }
        }
    }

    /// By mode bits alone, of what the host has.
    pub fn may(&self, stat: &Stat, wanted: u32) -> bool {
        if self.host.uid == 0 {
            return true;
        }
        let shift = match stat {
            _ if stat.uid == self.host.uid => 6,
            _ if self.has_group(stat.gid) => 3,
            _ => 0,
        };
        (stat.mode >> shift) & wanted == wanted
    }

    pub fn has_group(&self, gid: u32) -> bool {
        gid == self.host.gid || self.host.groups.contains(&gid)
    }
}

/// A string of TOML's. What it can't hold as it is, `values` refuses before.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub fn ask<K: Attack>(
    kernel: &mut K,
    label: &str,
    caller: &Caller,
    question: &Question,
) -> Result<Answer, Error> {
    let (permit, host, plan) = plan_of(kernel, label, caller)?;
    let profile = permit.profile();
    let tree = Tree::of(profile, &host)?;
    let entries = listing::entries(&tree, &host);
    let known = Known {
        profile,
        plan: &plan,
        host: &host,
        tree: &tree,
        entries: &entries,
    };
    match question {
        Question::Allow(flag) => allow(kernel, label, &known, flag),
        Question::Path { path, wish } => path::ask(kernel, &known, path, *wish),
        Question::Address {
            protocol,
            address,
            act,
        } => address::ask(kernel, &known, *protocol, *address, *act),
    }
}

/// Has a process act in the place of the service, and gives its words back.
pub(crate) fn inside<K, F>(kernel: &mut K, plan: &Plan, act: F) -> Result<String, Error>
where
    K: Kernel,
    F: FnOnce(&mut K) -> String + Send + 'static,
{
    let what = format!("ask the instance {}", plan.label());
    let jail = jail_name(plan.label());
    // Names are looked up as the user and in the root of the service, but not in capability mode, which has
    // no names: what its descriptors grant is in the plan.
    let mut child = plan.child().clone();
    child.capability = None;
    let place = Place {
        child: &child,
        jail: Some(&jail),
        passed: None,
    };
    let mut ears = Ears::open(kernel, None).map_err(|failure| Error::step(&what, failure))?;
    let said = descend(kernel, &mut ears, &what, place, move |kernel, _| {
        act(kernel)
    });
    ears.close(kernel);
    match said? {
        Heard::Said(said) => Ok(said),
        // The jail was removed, and whoever was in it was killed; or somebody in it did that.
        Heard::Mute(_) | Heard::Late => Err(gone(&what)),
    }
}

fn gone(what: &str) -> Error {
    let failure = Failure {
        call: "read",
        errno: Errno::ESRCH,
        text: "it ended while it was asked".to_string(),
    };
    Error::step(what, failure)
}

/// The parameter of the jail that runs, not that of the profile.
fn allow<K: Kernel>(
    kernel: &mut K,
    label: &str,
    known: &Known<'_>,
    flag: &str,
) -> Result<Answer, Error> {
    let step = |failure| Error::step(format!("ask the jail for allow.{flag}"), failure);
    match kernel.sysctl_int(&format!("security.jail.param.allow.{flag}")) {
        Err(failure) if failure.errno == Errno::ENOENT => {
            return Err(Error::Usage(format!(
                "this kernel has no jail parameter allow.{flag}"
            )));
        }
        // A parameter's node holds its size, and may hold no number.
        Err(failure) if failure.errno != Errno::EINVAL => return Err(step(failure)),
        _ => {}
    }
    let (_, jail) = kernel
        .jail_open(&jail_name(label))
        .map_err(step)?
        .ok_or_else(|| gone(&format!("ask the instance {label}")))?;
    let value = kernel.jail_get_int(jail, &format!("allow.{flag}"));
    kernel.close(jail).map_err(step)?;
    let is_listed = known.profile.jail.allow.iter().any(|word| word == flag);
    if value.map_err(step)? != 0 {
        let why = match is_listed {
            true => "allow lists it",
            false => "the running jail has it, and allow doesn't list it",
        };
        return Ok(Answer::granted(why));
    }
    Ok(match values::allow(flag) {
        Err(why) => Answer::missing(
            format!("the jail hasn't it, and no profile gives it: {why}"),
            None,
        ),
        Ok(flag) => Answer::missing(
            "the jail hasn't it: allow doesn't list it",
            Some(Line {
                table: "jail",
                text: format!("allow = [{}]", quoted(&flag)),
                is_more: !known.profile.jail.allow.is_empty(),
            }),
        ),
    })
}
