//! What a service meets at a path, explained.

use super::look::{self, Looked, look, reach};
use super::propose::{self, Outside};
use super::question::Wish;
use super::walk::{Met, below, parent, walk};
use super::{Answer, Known, Line, capability, gone, inside, quoted};
use crate::error::Error;
use crate::kernel::attack::Attack;
use crate::kernel::{At, Errno, FileKind, Filesystem, Kernel, Stat};
use crate::plan::tree::{Node, What};
use crate::profile::{Tmpfs, Writable};

pub fn ask<K: Attack>(
    kernel: &mut K,
    known: &Known<'_>,
    asked: &str,
    wish: Wish,
) -> Result<Answer, Error> {
    let (path, writable) = (asked.to_string(), writable(known));
    let said = inside(kernel, known.plan, move |kernel| {
        look::told(&look(kernel, &path, wish, &writable))
    })?;
    let what = format!("ask the instance {}", known.plan.label());
    let looked = look::read(&said).ok_or_else(|| gone(&what))?;
    let looked =
        looked.map_err(|failure| Error::step(format!("look {asked} up inside"), failure))?;
    let outside = outside(kernel, &looked);
    Ok(explain(known, wish, &looked, &outside))
}

/// Where whoever took the service over makes links.
fn writable(known: &Known<'_>) -> Vec<String> {
    let is_writable = |node: &Node| match &node.what {
        What::Granted {
            flags, filesystem, ..
        } => {
            let has_sockets = matches!(filesystem, Filesystem::Nullfs { sockets: true, .. });
            !flags.read_only || has_sockets
        }
        What::New { flags, .. } => !flags.read_only,
        _ => false,
    };
    let nodes = known.tree.nodes();
    nodes
        .filter(|(_, node)| is_writable(node))
        .map(|(path, _)| path.to_string())
        .collect()
}

fn outside<K: Attack>(kernel: &mut K, looked: &Looked) -> Outside {
    let (path, stat) = match &looked.walked.met {
        Met::There { at, stat } | Met::Closed { at, stat } => (at.clone(), Some(stat)),
        Met::Missing { at, rest } if rest.is_empty() => (at.clone(), None),
        Met::Missing { at, rest } => (below(at, rest), None),
        _ => return Outside::default(),
    };
    let mut outside = outside_of(kernel, &path);
    let is_socket = |stat: &Stat| stat.kind == FileKind::Socket;
    outside.is_served = match &outside.found {
        Some((at, stat)) if is_socket(stat) => reach(kernel, at).is_ok(),
        _ => false,
    };
    let gid = stat.map(|stat| stat.gid);
    outside.group = gid.and_then(|gid| kernel.getgrgid(gid).ok().flatten());
    outside
}

/// A path on the host, as root sees it. What root can't look up there isn't there for a profile. Nobody is
/// connected to, and no group is looked up.
pub(crate) fn outside_of<K: Kernel>(kernel: &mut K, path: &str) -> Outside {
    let mut outside = Outside::default();
    let mut planted = None;
    let mut seen = |path: &str| {
        let walked = walk(kernel, path).ok()?;
        let mut links = walked.links.into_iter().map(|(link, _)| link);
        planted = planted
            .take()
            .or(links.find(|link| !is_roots(kernel, link)));
        match walked.met {
            Met::There { at, stat } => Some((at, stat)),
            _ => None,
        }
    };
    outside.found = seen(path);
    outside.directory = seen(parent(path)).map(|(_, stat)| stat);
    outside.planted = planted;
    outside
}

/// Of a link of the host's: nobody but root could have made it.
fn is_roots<K: Kernel>(kernel: &mut K, link: &str) -> bool {
    let above = kernel.lstatat(At::Cwd, parent(link));
    above.is_ok_and(|stat| stat.uid == 0 && stat.mode & 0o022 == 0)
}

/// Where a link of the service's leads, whoever took it over would have chosen what is proposed.
pub(super) fn explain(known: &Known<'_>, wish: Wish, looked: &Looked, outside: &Outside) -> Answer {
    let answer = met(known, wish, looked, outside);
    let planted = looked.planted.as_ref().or(outside.planted.as_ref());
    match planted.filter(|_| answer.line.is_some()) {
        Some(link) => Answer::missing(format!("{}; {}", answer.why, distrusted(link)), None),
        None => answer,
    }
}

pub(super) fn distrusted(link: &str) -> String {
    format!(
        "{} lies where the service or others write, so that whoever took it over chooses where it leads: \
         nothing is proposed",
        shown(link)
    )
}

fn met(known: &Known<'_>, wish: Wish, looked: &Looked, outside: &Outside) -> Answer {
    let none = |why: String| Answer::missing(why, None);
    match &looked.walked.met {
        Met::There { at, stat } => there(known, wish, looked, (at, stat), outside),
        Met::Closed { at, stat } => denied(known, at, stat, 1, outside),
        Met::Missing { at, rest }
            if rest.is_empty() && wish == Wish::Write && looked.refused.is_none() =>
        {
            let above = parent(at);
            let why = format!("{} can be made there: {}", shown(at), known.reason(above));
            capability::has(known, above, FileKind::Directory, wish, why)
        }
        Met::Missing { at, rest } => missing(known, wish, looked, &below_or(at, rest), outside),
        Met::NotDirectory { at } => none(format!("{} is no directory", shown(at))),
        Met::TooManyLinks { at } => none(format!(
            "{}: too many links, one leading to the other",
            shown(at)
        )),
        Met::NotFollowed { at } => {
            let line = known
                .nearest(at)
                .and_then(|(path, _)| entry(known, path, Take::Nosymfollow));
            let why = format!(
                "{} is a link where none is followed (nosymfollow)",
                shown(at)
            );
            Answer::missing(why, line)
        }
    }
}

fn below_or(at: &str, rest: &str) -> String {
    match rest {
        "" => at.to_string(),
        rest => below(at, rest),
    }
}

/// Names inside are whatever the service made them.
pub(super) fn shown(path: &str) -> String {
    path.escape_debug().to_string()
}

fn missing(
    known: &Known<'_>,
    wish: Wish,
    looked: &Looked,
    whole: &str,
    outside: &Outside,
) -> Answer {
    let way = match looked.walked.links.last() {
        Some((link, text)) => format!("the link {} leads to {}: ", shown(link), shown(text)),
        None => String::new(),
    };
    let what = match &looked.walked.met {
        Met::Missing { at, .. } if at != whole => {
            format!("{} isn't inside, for {} isn't", shown(whole), shown(at))
        }
        _ if looked.refused == Some(Errno::EROFS) => {
            format!(
                "{} isn't inside, and nothing is made in {}, which is read-only",
                shown(whole),
                shown(parent(whole))
            )
        }
        _ => format!("{} isn't inside", shown(whole)),
    };
    if let Some(link) = &looked.planted {
        return Answer::missing(format!("{way}{what}; {}", distrusted(link)), None);
    }
    let proposed = propose::grant(known, whole, wish, outside);
    Answer::missing(format!("{way}{what}{}", proposed.words), proposed.line)
}

fn there(
    known: &Known<'_>,
    wish: Wish,
    looked: &Looked,
    (at, stat): (&str, &Stat),
    outside: &Outside,
) -> Answer {
    let is_directory = stat.kind == FileKind::Directory;
    if wish == Wish::Execute && stat.kind != FileKind::Regular {
        return Answer::missing(format!("{} is no program", shown(at)), None);
    }
    let wanted = match (wish, is_directory) {
        (Wish::Read, true) => 5,
        (Wish::Write, true) => 3,
        (Wish::Read, false) if stat.kind == FileKind::Socket => 2,
        (Wish::Read, false) => 4,
        (Wish::Write, false) => 2,
        (Wish::Execute, _) => 1,
    };
    match looked.refused {
        Some(Errno::EACCES | Errno::EPERM) => denied(known, at, stat, wanted, outside),
        Some(Errno::EROFS) => read_only(known, at, outside),
        Some(Errno::ECONNREFUSED) => unserved(known, at, outside),
        Some(errno) => Answer::missing(format!("{}: {}", shown(at), errno.words()), None),
        None if looked.is_noexec => noexec(known, at, outside),
        None => {
            let why = match known.nearest(at) {
                Some((path, _)) if path != at => format!("in {}", known.reason(at)),
                _ => known.reason(at),
            };
            capability::has(known, at, stat.kind, wish, why)
        }
    }
}

fn denied(known: &Known<'_>, at: &str, stat: &Stat, wanted: u32, outside: &Outside) -> Answer {
    let user = &known.host.user;
    let doing = match (wanted, stat.kind) {
        (1, FileKind::Directory) => "look up names in",
        (1, _) => "execute",
        (2, FileKind::Socket) => "connect to",
        (2 | 3, _) => "write",
        _ => "read",
    };
    let why = format!(
        "{user} may not {doing} {} (owner {}, group {}, mode {:04o})",
        shown(at),
        stat.uid,
        stat.gid,
        stat.mode
    );
    let nearest = known.nearest(at);
    match nearest.map(|(path, node)| (path, &node.what)) {
        Some((path, What::Mask { .. })) => {
            let left: Vec<String> = known
                .profile
                .root
                .mask
                .iter()
                .filter(|mask| *mask != path)
                .map(|mask| quoted(mask))
                .collect();
            let line = Line {
                table: "root",
                text: format!("mask = [{}]", left.join(", ")),
                is_more: false,
            };
            Answer::missing(format!("{path} is masked"), Some(line))
        }
        Some((path, What::New { .. })) if path == at => {
            Answer::missing(why, entry(known, path, Take::Owner))
        }
        Some((path, What::File(_))) if path == at => Answer::missing(
            format!("{why}: so it is made, by {}", known.reason(at)),
            None,
        ),
        _ if known.may(stat, wanted) => {
            let words = "an access control list or another policy of the host's refuses";
            Answer::missing(format!("{why}, though the mode says he may: {words}"), None)
        }
        _ => match group(known, stat, wanted, outside) {
            Some(line) => Answer::missing(why, Some(line)),
            None => {
                let words = "no line of a profile: the host's chown(8) and chmod(1) decide";
                Answer::missing(format!("{why}; {words}"), None)
            }
        },
    }
}

/// A group that would do, but for the one whose members are trusted with everything.
fn group(known: &Known<'_>, stat: &Stat, wanted: u32, outside: &Outside) -> Option<Line> {
    let is_theirs = (stat.mode >> 3) & wanted == wanted && stat.gid != 0;
    let is_new = stat.uid != known.host.uid && !known.has_group(stat.gid);
    let name = outside.group.as_ref().filter(|_| is_theirs && is_new)?;
    Some(Line {
        table: "",
        text: format!("groups = [{}]", quoted(name)),
        is_more: !known.profile.groups.is_empty(),
    })
}

fn read_only(known: &Known<'_>, at: &str, outside: &Outside) -> Answer {
    let why = format!("{} is read-only: {}", shown(at), known.reason(at));
    if let Some((path, What::File(_) | What::Socket)) =
        known.nearest(at).map(|(path, node)| (path, &node.what))
        && path == at
    {
        return Answer::missing(
            format!("{why}; no line of a profile lets it be written"),
            None,
        );
    }
    let proposed = propose::grant(known, at, Wish::Write, outside);
    Answer::missing(format!("{why}{}", proposed.words), proposed.line)
}

fn unserved(known: &Known<'_>, at: &str, outside: &Outside) -> Answer {
    let is_shown = known.nearest(at).is_some_and(|(_, node)| {
        matches!(
            &node.what,
            What::Granted {
                filesystem: Filesystem::Nullfs { sockets: false, .. },
                ..
            }
        )
    });
    if is_shown && outside.is_served {
        let directory = parent(at);
        let line = propose::sockets(known, directory);
        let root = &known.profile.root;
        let mut granted = root.ro.iter().chain(root.rw.iter().map(|rw| &rw.path));
        let place = match granted.any(|path| path == directory) {
            true => " rather than in ro or rw",
            false => "",
        };
        let why = format!(
            "{} is a socket of the host's, and its directory isn't in sockets{place}",
            shown(at)
        );
        return Answer::missing(why, line);
    }
    let why = format!("{}: but nobody listens at the socket", known.reason(at));
    capability::has(known, at, FileKind::Socket, Wish::Read, why)
}

fn noexec(known: &Known<'_>, at: &str, outside: &Outside) -> Answer {
    let why = format!(
        "{} is in a mount where nothing is executed: {}",
        shown(at),
        known.reason(at)
    );
    let line = known
        .nearest(at)
        .and_then(|(path, _)| entry(known, path, Take::Noexec));
    match line {
        Some(line) => Answer::missing(why, Some(line)),
        None => {
            let proposed = propose::grant(known, at, Wish::Execute, outside);
            Answer::missing(format!("{why}{}", proposed.words), proposed.line)
        }
    }
}

/// What is changed of an entry of rw or tmpfs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Take {
    Noexec,
    Nosymfollow,
    /// The service's user owns it.
    Owner,
}

/// The entry of rw or tmpfs that made a mount, as it would have to be. `None`: there is none, or nothing
/// to be taken from it.
fn entry(known: &Known<'_>, path: &str, take: Take) -> Option<Line> {
    let root = &known.profile.root;
    let really = |written: &str| {
        let source = known.host.sources.get(written);
        source.map_or(written == path, |source| source.path == path)
    };
    let text = match root.rw.iter().find(|rw| really(&rw.path)) {
        Some(rw) => format!("rw = [{}]", writable_entry(rw, take)?),
        None => {
            let tmpfs = root.tmpfs.iter().find(|tmpfs| really(&tmpfs.path))?;
            format!("tmpfs = [{}]", tmpfs_entry(known, tmpfs, take)?)
        }
    };
    Some(Line {
        table: "root",
        text,
        is_more: false,
    })
}

fn table(fields: Vec<String>) -> String {
    format!("{{ {} }}", fields.join(", "))
}

fn writable_entry(rw: &Writable, take: Take) -> Option<String> {
    let is_in_the_way = match take {
        Take::Noexec => rw.noexec,
        Take::Nosymfollow => rw.nosymfollow,
        Take::Owner => false,
    };
    let mut fields = vec![format!("path = {}", quoted(&rw.path))];
    fields.extend(flags(rw.noexec, rw.nosymfollow, take));
    fields.extend(rw.untrusted.then(|| "untrusted = true".to_string()));
    fields.extend(rw.shared.then(|| "shared = true".to_string()));
    fields.extend(
        rw.owner
            .iter()
            .map(|owner| format!("owner = {}", quoted(owner))),
    );
    fields.extend(rw.mode.map(|mode| format!("mode = \"{mode:04o}\"")));
    is_in_the_way.then(|| table(fields))
}

fn tmpfs_entry(known: &Known<'_>, tmpfs: &Tmpfs, take: Take) -> Option<String> {
    let is_in_the_way = match take {
        Take::Noexec => tmpfs.noexec,
        Take::Nosymfollow => tmpfs.nosymfollow,
        Take::Owner => tmpfs.owner.is_none(),
    };
    let user = (take == Take::Owner).then_some(&known.host.user);
    let mut fields = vec![
        format!("path = {}", quoted(&tmpfs.path)),
        format!("size = \"{}\"", tmpfs.size),
        format!("mode = \"{:04o}\"", tmpfs.mode),
    ];
    let owner = user.or(tmpfs.owner.as_ref());
    fields.extend(owner.map(|owner| format!("owner = {}", quoted(owner))));
    fields.extend(flags(tmpfs.noexec, tmpfs.nosymfollow, take));
    is_in_the_way.then(|| table(fields))
}

fn flags(noexec: bool, nosymfollow: bool, take: Take) -> Vec<String> {
    let all = [
        (noexec && take != Take::Noexec, "noexec = true"),
        (
            nosymfollow && take != Take::Nosymfollow,
            "nosymfollow = true",
        ),
    ];
    let kept = all.into_iter().filter(|(is_kept, _)| *is_kept);
    kept.map(|(_, words)| words.to_string()).collect()
}
