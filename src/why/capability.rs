//! In capability mode a service has no names, whatever its root holds: what its descriptors grant.

use super::path::shown;
use super::question::Wish;
use super::walk::parent;
use super::{Answer, Known, Line, propose};
use crate::kernel::{FileKind, Rights};
use crate::plan::capability::{Descriptor, Use};
use crate::plan::is_below;

/// The descriptor that the shim would look a path up by: that of the longest prefix.
fn descriptor<'a>(all: &'a [Descriptor], path: &str) -> Option<&'a Descriptor> {
    let is_tree = |known: &&Descriptor| match known.purpose {
        Use::Root | Use::Writable { .. } | Use::Devices | Use::Sockets => true,
        Use::Log => known.path.as_deref() == Some(path),
        _ => false,
    };
    let covers = |known: &&Descriptor| {
        let above = known.path.as_deref().unwrap_or_default();
        above == "/" || above == path || is_below(path, above)
    };
    let trees = all.iter().filter(is_tree).filter(covers);
    trees.max_by_key(|known| known.path.as_ref().map_or(0, String::len))
}

/// The jail's root grants it, for `why`: so do the descriptors, or not.
pub fn has(known: &Known<'_>, at: &str, kind: FileKind, wish: Wish, why: String) -> Answer {
    let Some(capability) = &known.plan.child().capability else {
        return Answer::granted(why);
    };
    let is_translated = known.profile.capsicum.preopen;
    let all = &capability.descriptors;
    let descriptor = descriptor(all, at);
    let line = |table, text: &str| {
        Some(Line {
            table,
            text: text.to_string(),
            is_more: false,
        })
    };
    if !is_translated {
        let words = "the service runs in capability mode, where no name is looked up, and loads no library that \
                     turns names into descriptors";
        return Answer::missing(words, line("capsicum", "preopen = true"));
    }
    let wanted = match (wish, kind) {
        (Wish::Execute, _) => Rights::FEXECVE,
        (_, FileKind::Socket) => Rights::CONNECT_AT,
        (Wish::Read, _) => Rights::READ,
        (Wish::Write, FileKind::Directory) => Rights::all_of(&[Rights::WRITE, Rights::CREATE]),
        (Wish::Write, _) => Rights::WRITE,
    };
    match descriptor {
        Some(found) if found.purpose == Use::Log || found.purpose.rights().holds(wanted) => {
            Answer::granted(format!("{why}; in capability mode by descriptor {found}"))
        }
        Some(found) => {
            let line = match kind {
                FileKind::Socket => propose::sockets(known, parent(at)),
                _ => None,
            };
            let words = format!(
                "{} is inside, but the service runs in capability mode, where it has descriptor {found} for it",
                shown(at)
            );
            Answer::missing(words, line)
        }
        None => {
            let words = format!(
                "{} is inside, but no descriptor of the service leads to it",
                shown(at)
            );
            Answer::missing(words, None)
        }
    }
}
