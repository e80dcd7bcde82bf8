//! Which line of a profile would grant a path that isn't inside. Pure. What the host has there decides
//! what kind of line it is, and whether the service could use it at all.

use super::path::distrusted;
use super::question::Wish;
use super::walk::parent;
use super::{Known, Line, quoted};
use crate::kernel::{FileKind, Stat};
use crate::plan::tree::What;
use crate::profile::{Closure, Socket, values};

const SYSLOG: &str = "/var/run/log";
const SECRETS: &str = "/etc/spwd.db";

/// What the host has at the same path.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// Without links, and what is there.
    pub found: Option<(String, Stat)>,
    /// The directory that it is in, or would be.
    pub directory: Option<Stat>,
    /// Somebody listens at it.
    pub is_served: bool,
    /// The first link on the way to it that others than root could have made.
    pub planted: Option<String>,
    /// The name of the group that what was refused inside belongs to.
    pub group: Option<String>,
}

/// A line, or why there is none; the words come behind what is missing.
pub struct Proposed {
    pub line: Option<Line>,
    pub words: String,
}

fn no(words: impl Into<String>) -> Proposed {
    Proposed {
        line: None,
        words: format!("; {}", words.into()),
    }
}

fn yes(table: &'static str, text: String, is_more: bool) -> Proposed {
    Proposed {
        line: Some(Line {
            table,
            text,
            is_more,
        }),
        words: String::new(),
    }
}

fn list(key: &str, item: &str) -> String {
    format!("{key} = [{}]", quoted(item))
}

/// Of a path that a service has chosen, and that may be looked for in vain on every host: what the host hasn't is
/// proposed only where the service could make it.
pub fn looked_for(known: &Known<'_>, path: &str, wish: Wish, outside: &Outside) -> Proposed {
    if let Some(link) = &outside.planted {
        return no(distrusted(link));
    }
    let is_made = values::SYNTHETIC.contains(&path) || path == SYSLOG || path.starts_with("/dev/");
    if outside.found.is_some() || is_made || wish == Wish::Execute {
        return grant(known, path, wish, outside);
    }
    let could_make = |stat: &Stat| stat.mode & 0o002 == 0 && known.may(stat, 3);
    match outside.directory.as_ref().is_some_and(could_make) {
        true => grant(known, path, Wish::Write, outside),
        false => no("nor on the host"),
    }
}

pub fn grant(known: &Known<'_>, path: &str, wish: Wish, outside: &Outside) -> Proposed {
    let root = &known.profile.root;
    if let Err(why) = values::path_below_root(path) {
        return no(format!("no profile can name it: {why}"));
    }
    if path.contains("%i") {
        return no("no profile can name it: %i in a path is the instance's name");
    }
    if path == SYSLOG && !root.sockets.contains(&Socket::Syslog) {
        return yes("root", list("sockets", "syslog"), !root.sockets.is_empty());
    }
    if let Some(name) = path.strip_prefix("/dev/") {
        return device(known, name, outside);
    }
    if wish == Wish::Write {
        return writable(known, path, outside);
    }
    if path == SECRETS && known.host.uid != 0 {
        return no("it is root's alone, made or not");
    }
    if values::SYNTHETIC.contains(&path) {
        return file(known, path, "synthetic");
    }
    let Some((real, stat)) = &outside.found else {
        return absent(known, path, wish);
    };
    let wanted = match (wish, stat.kind) {
        (Wish::Execute, _) => 1,
        (_, FileKind::Directory) => 5,
        (_, FileKind::Socket) => 2,
        _ => 4,
    };
    if !known.may(stat, wanted) {
        return no(hopeless(known, path, stat));
    }
    let ro = || yes("root", list("ro", path), !root.ro.is_empty());
    match stat.kind {
        FileKind::Directory if wish == Wish::Execute => no("the host has a directory there"),
        FileKind::Directory => ro(),
        FileKind::Socket if outside.directory.as_ref().is_none_or(is_anybodys) => {
            no("others may make sockets beside it")
        }
        FileKind::Socket => Proposed {
            line: sockets(known, parent(real)),
            words: String::new(),
        },
        FileKind::Regular => match needs(path, stat, wish) {
            Some("programs") if root.closure == Closure::Auto => {
                yes("root", list("programs", path), !root.programs.is_empty())
            }
            Some("libraries") if root.closure == Closure::Auto => {
                yes("root", list("libraries", path), !root.libraries.is_empty())
            }
            None if parent(path) == "/etc" => file(known, path, "host"),
            _ => ro(),
        },
        _ => no("the host has neither a file nor a directory there"),
    }
}

/// Over a socket of a stranger's a service is handed what the host has (unix(4), SCM_RIGHTS).
fn is_anybodys(directory: &Stat) -> bool {
    directory.mode & 0o002 != 0
}

/// Programs and libraries bring what they need with them.
fn needs(path: &str, stat: &Stat, wish: Wish) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_in = |word: &str| parent(path).ends_with(word);
    match stat.mode & 0o111 != 0 {
        _ if name.ends_with(".so") || name.contains(".so.") => Some("libraries"),
        true if wish == Wish::Execute || is_in("bin") || is_in("libexec") => Some("programs"),
        _ => None,
    }
}

fn hopeless(known: &Known<'_>, path: &str, stat: &Stat) -> String {
    format!(
        "on the host {path} has owner {}, group {} and mode {:04o}: of no use to {}, granted or not",
        stat.uid, stat.gid, stat.mode, known.host.user
    )
}

fn file(known: &Known<'_>, path: &str, content: &str) -> Proposed {
    let text = format!("{} = {}", quoted(path), quoted(content));
    yes("root.files", text, !known.profile.root.files.is_empty())
}

/// What the host hasn't can only be made, and not in a directory of the host's.
fn absent(known: &Known<'_>, path: &str, wish: Wish) -> Proposed {
    match known.nearest(path) {
        Some((above, _)) if is_granted(known, path) => {
            no(format!("{above} is the host's, which hasn't it either"))
        }
        _ if wish == Wish::Execute => no("nor on the host"),
        _ => Proposed {
            words: "; nor on the host: this makes an empty file".to_string(),
            ..file(known, path, "")
        },
    }
}

fn device(known: &Known<'_>, name: &str, outside: &Outside) -> Proposed {
    match (values::device(name), &outside.found) {
        (Err(why), _) => no(format!("no profile can name it: {why}")),
        (_, None) => no("the host has no such device"),
        (Ok(name), Some(_)) => {
            let has_some = !known.profile.root.devices.is_empty();
            yes("root", list("devices", &name), has_some)
        }
    }
}

pub fn sockets(known: &Known<'_>, directory: &str) -> Option<Line> {
    values::path_below_root(directory).ok()?;
    Some(Line {
        table: "root",
        text: list("sockets", directory),
        is_more: !known.profile.root.sockets.is_empty(),
    })
}

fn is_granted(known: &Known<'_>, path: &str) -> bool {
    let nearest = known.nearest(path);
    nearest.is_some_and(|(_, node)| matches!(node.what, What::Granted { .. }))
}

/// A directory of the host's where the service could write it, and one of its own in any other case: of
/// what others write too, or nobody but root, a grant would be of no use or too much.
fn writable(known: &Known<'_>, path: &str, outside: &Outside) -> Proposed {
    let root = &known.profile.root;
    let (directory, stat) = match &outside.found {
        Some((_, stat)) if stat.kind == FileKind::Directory => (path, Some(stat)),
        Some((_, stat)) if stat.kind != FileKind::Regular => {
            return no("the host has neither a file nor a directory there");
        }
        Some((_, stat)) if !known.may(stat, 2) => return no(hopeless(known, path, stat)),
        _ => (parent(path), outside.directory.as_ref()),
    };
    if values::path_below_root(directory).is_err() {
        return no("the root itself is never writable");
    }
    match stat {
        Some(stat) if stat.mode & 0o002 == 0 && known.may(stat, 3) => {
            yes("root", list("rw", directory), !root.rw.is_empty())
        }
        // A tmpfs would hide what is granted there.
        Some(stat) if is_granted(known, directory) => no(hopeless(known, directory, stat)),
        _ => {
            let user = quoted(&known.host.user);
            let text = format!(
                "tmpfs = [{{ path = {}, size = \"16m\", owner = {user} }}]",
                quoted(directory)
            );
            Proposed {
                words: format!("; a tmpfs in the place of {directory} is the service's own"),
                ..yes("root", text, !root.tmpfs.is_empty())
            }
        }
    }
}
