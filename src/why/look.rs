//! What the service's user meets at a path, and the words in which a process inside tells it. No name
//! holds the sign between the words, so that none can forge one.

use super::question::Wish;
use super::walk::{Met, Walked, parent, walk};
use crate::kernel::attack::{Access, Attack};
use crate::kernel::{At, Errno, Failure, FileKind, Kernel, SocketAddress, SocketKind, Stat};
use crate::plan::is_below;

/// Between words.
const SIGN: char = '\0';

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    pub walked: Walked,
    /// The first link on the way that lies where the service writes.
    pub planted: Option<String>,
    /// How the kernel refused what is wished, at the end of the way, or where it would be made.
    pub refused: Option<Errno>,
    pub is_noexec: bool,
}

/// `writable`: mounts that the service writes.
pub fn look<K: Attack>(
    kernel: &mut K,
    path: &str,
    wish: Wish,
    writable: &[String],
) -> Result<Looked, Failure> {
    let walked = walk(kernel, path)?;
    let mut followed = walked.links.iter().map(|(link, _)| link);
    let is_planted = |link: &&String| writable.iter().any(|mount| is_below(link, mount));
    let mut looked = Looked {
        planted: followed.find(is_planted).cloned(),
        refused: None,
        is_noexec: false,
        walked,
    };
    let tried = match &looked.walked.met {
        Met::There { at, stat } => {
            // enforce_statfs hides where a mount is, and not its flags.
            looked.is_noexec = wish == Wish::Execute && kernel.statfs(at)?.flags.noexec;
            try_it(kernel, at, stat.kind, wish)
        }
        Met::Missing { at, rest } if rest.is_empty() && wish == Wish::Write => {
            kernel.access(parent(at), Access::WriteAndSearch)
        }
        _ => Ok(()),
    };
    looked.refused = tried.err().map(|failure| failure.errno);
    // It is the directory that refuses a new name.
    if let (Met::Missing { at, .. }, Some(Errno::EACCES)) = (&looked.walked.met, looked.refused) {
        let at = parent(at).to_string();
        let stat = kernel.lstatat(At::Cwd, &at)?;
        looked.walked.met = Met::There { at, stat };
    }
    Ok(looked)
}

fn try_it<K: Attack>(kernel: &mut K, at: &str, kind: FileKind, wish: Wish) -> Result<(), Failure> {
    let access = match (kind, wish) {
        (FileKind::Socket, Wish::Read | Wish::Write) => return reach(kernel, at),
        (FileKind::Directory, Wish::Read) => Access::ReadAndSearch,
        (FileKind::Directory, Wish::Write) => Access::WriteAndSearch,
        (_, Wish::Read) => Access::Read,
        (_, Wish::Write) => Access::Write,
        (_, Wish::Execute) => Access::Execute,
    };
    kernel.access(at, access)
}

/// Whether there is somebody at a socket. A socket for messages connects to one of its kind and sends
/// nothing; one of another kind answers EPROTOTYPE, and its holder hears nothing of it.
pub fn reach<K: Kernel>(kernel: &mut K, path: &str) -> Result<(), Failure> {
    let socket = kernel.socket(SocketKind::UnixDatagram)?;
    let reached = kernel.connect(socket, &SocketAddress::Unix(path.to_string()));
    kernel.close(socket)?;
    match reached {
        Err(failure) if failure.errno == Errno::EPROTOTYPE => Ok(()),
        other => other,
    }
}

/// As one word after the other; `read` is its other end.
pub fn told(looked: &Result<Looked, Failure>) -> String {
    let looked = match looked {
        Ok(looked) => looked,
        Err(failure) => return words(&["!", failure.call, &failure.errno.0.to_string()]),
    };
    let (kind, at, rest, stat) = match &looked.walked.met {
        Met::There { at, stat } => ("t", at, "", Some(stat)),
        Met::Missing { at, rest } => ("m", at, rest.as_str(), None),
        Met::NotDirectory { at } => ("n", at, "", None),
        Met::Closed { at, stat } => ("c", at, "", Some(stat)),
        Met::NotFollowed { at } => ("f", at, "", None),
        Met::TooManyLinks { at } => ("l", at, "", None),
    };
    let (link, text) = match looked.walked.links.last() {
        Some((link, text)) => (link.as_str(), text.as_str()),
        None => ("", ""),
    };
    let number = |value: u32| value.to_string();
    let stat = stat.map_or_else(
        || [const { String::new() }; 4],
        |stat| {
            [
                letter(stat.kind).to_string(),
                number(stat.mode),
                number(stat.uid),
                number(stat.gid),
            ]
        },
    );
    let refused = looked.refused.map_or(0, |errno| errno.0).to_string();
    let noexec = if looked.is_noexec { "x" } else { "" };
    let [of, mode, uid, gid] = &stat;
    let planted = looked.planted.as_deref().unwrap_or_default();
    words(&[
        kind, at, rest, link, text, planted, of, mode, uid, gid, &refused, noexec,
    ])
}

fn words(all: &[&str]) -> String {
    all.join(&SIGN.to_string())
}

/// `None` where nothing that makes sense was said: it was killed.
pub fn read(said: &str) -> Option<Result<Looked, Failure>> {
    let all: Vec<&str> = said.split(SIGN).collect();
    if let ["!", _, errno] = all.as_slice() {
        return Some(Err(Failure::new("lookup", Errno(errno.parse().ok()?))));
    }
    let [
        kind,
        at,
        rest,
        link,
        text,
        planted,
        of,
        mode,
        uid,
        gid,
        refused,
        noexec,
    ] = all.as_slice()
    else {
        return None;
    };
    let at = (*at).to_string();
    let stat = || {
        Some(Stat {
            kind: kind_of(of)?,
            device: 0,
            inode: 0,
            mode: mode.parse().ok()?,
            links: 0,
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            size: 0,
            ctime: (0, 0),
        })
    };
    let met = match *kind {
        "t" => Met::There { at, stat: stat()? },
        "m" => Met::Missing {
            at,
            rest: (*rest).to_string(),
        },
        "n" => Met::NotDirectory { at },
        "c" => Met::Closed { at, stat: stat()? },
        "f" => Met::NotFollowed { at },
        "l" => Met::TooManyLinks { at },
        _ => return None,
    };
    let refused = refused.parse().ok()?;
    let link = (!link.is_empty()).then(|| ((*link).to_string(), (*text).to_string()));
    let links = link.into_iter().collect();
    Some(Ok(Looked {
        walked: Walked { met, links },
        planted: (!planted.is_empty()).then(|| (*planted).to_string()),
        refused: (refused != 0).then_some(Errno(refused)),
        is_noexec: !noexec.is_empty(),
    }))
}

const LETTERS: [(FileKind, &str); 7] = [
    (FileKind::Regular, "r"),
    (FileKind::Directory, "d"),
    (FileKind::Symlink, "l"),
    (FileKind::CharacterDevice, "c"),
    (FileKind::BlockDevice, "b"),
    (FileKind::Fifo, "p"),
    (FileKind::Socket, "s"),
];

fn letter(kind: FileKind) -> &'static str {
    let known = LETTERS.iter().find(|(known, _)| *known == kind);
    known.map_or("r", |(_, letter)| letter)
}

fn kind_of(letter: &str) -> Option<FileKind> {
    let known = LETTERS.iter().find(|(_, known)| *known == letter);
    known.map(|(kind, _)| *kind)
}
