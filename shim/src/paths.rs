//! From a name as the program gives it to a granted tree and the name below it. Pure: what links say comes
//! through a trait.
//!
//! A name is first tried as it is, below the tree with the longest path that it starts with: that costs
//! nothing, and the kernel follows relative links inside a tree by itself. What it refuses (links that are
//! absolute or lead out of a tree, `..` above it) is walked here, component by component, as namei(9)
//! does, into a name without links.

use crate::text::{PATH_MAX, Text};
use libc::{EINVAL, ELOOP, ENAMETOOLONG, ENOENT};

/// A directory that was opened for us. The root's path is empty, no other ends in a slash.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    pub fd: i32,
    pub path: &'a [u8],
}

/// Whether a link at a name's end is what is meant, or what it leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Last {
    Follow,
    Itself,
    /// The name in its directory, which is made, given to something else, or taken away.
    Name,
}

/// What a name turns out to end in, links followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Name,
    /// "." or "..", which nothing is renamed or removed by.
    Dots,
    /// The same, in what can't be searched, and the error of that.
    BarredDots(i32),
    /// The root itself, which is a name in no directory.
    Root,
}

/// The kernel's limit (MAXSYMLINKS).
const MOST_LINKS: u32 = 32;

fn component(path: &[u8]) -> (&[u8], &[u8]) {
    let start = path.iter().position(|byte| *byte != b'/');
    let path = path.get(start.unwrap_or(path.len())..).unwrap_or_default();
    let end = path.iter().position(|byte| *byte == b'/');
    path.split_at(end.unwrap_or(path.len()))
}

/// The length of what `path` has in common with a tree's, slashes behind it included.
fn covered(tree: &[u8], path: &[u8]) -> Option<usize> {
    let (mut wanted, mut rest) = (tree, path);
    loop {
        let (name, after) = component(wanted);
        if name.is_empty() {
            let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
            return Some(path.len() - rest.len() + slashes);
        }
        let (mut here, mut left) = component(rest);
        while here == b"." {
            (here, left) = component(left);
        }
        if here != name {
            return None;
        }
        (wanted, rest) = (after, left);
    }
}

/// The tree for an absolute path, and where in the path the name below it starts. The name is empty for
/// the tree's own directory, but not for `Name`: to be renamed or removed it is a name in another.
pub fn tree<'a>(
    trees: impl Iterator<Item = &'a Tree<'a>>,
    path: &[u8],
    last: Last,
) -> Option<(i32, usize)> {
    let mut best: Option<(usize, i32, usize)> = None;
    for tree in trees {
        let Some(offset) = covered(tree.path, path) else {
            continue;
        };
        if last == Last::Name && offset == path.len() && !tree.path.is_empty() {
            continue;
        }
        if best.is_none_or(|(length, _, _)| tree.path.len() > length) {
            best = Some((tree.path.len(), tree.fd, offset));
        }
    }
    best.map(|(_, fd, offset)| (fd, offset))
}

/// The directory before a name's last component, and that one with the slashes behind it. Either may be empty.
pub fn parent(name: &[u8]) -> (&[u8], &[u8]) {
    let end = name.iter().rposition(|byte| *byte != b'/').unwrap_or(0);
    let bare = name.get(..end).unwrap_or_default();
    let slash = bare.iter().rposition(|byte| *byte == b'/');
    name.split_at(slash.map_or(0, |slash| slash + 1))
}

/// `path`, from `directory` on if it is relative.
pub fn absolute(directory: &[u8], path: &[u8], into: &mut Text) -> Result<(), i32> {
    into.clear();
    if path.first() != Some(&b'/') {
        into.push(directory)?;
        into.push(b"/")?;
    }
    into.push(path)
}

/// What is asked while a name is walked, of names that have no links in them.
pub trait Links {
    /// Whether slashes at the end count where a path gets too long.
    const COUNTS_SLASHES: bool = false;

    /// A link's text; EINVAL: no link.
    fn read(&self, path: &Text, into: &mut [u8; PATH_MAX]) -> Result<usize, i32>;
    /// Whether names in it may be looked up. ENOTDIR: it is something else.
    fn search(&self, path: &Text) -> Result<(), i32>;
}

/// An absolute path without links, `.` and `..`. It may name nothing, but its parent is there. A slash at
/// the end is kept, since the kernel takes it for "a directory".
pub fn walk<L: Links>(links: &L, path: &[u8], last: Last, out: &mut Text) -> Result<End, i32> {
    let (mut left, mut at, mut followed) = (Text::new(), 0, 0);
    let mut end = End::Root;
    let mut ends_in_slash = false;
    left.push(path)?;
    out.clear();
    loop {
        let rest = left.bytes().get(at..).unwrap_or_default();
        let (name, after) = component(rest);
        if name.is_empty() {
            break;
        }
        at = left.bytes().len() - after.len();
        let is_last = after.iter().all(|byte| *byte == b'/');
        ends_in_slash = is_last && (!after.is_empty() || name == b"." || name == b"..");
        end = End::Name;
        if name == b"." || name == b".." {
            end = End::Dots;
            match links.search(out) {
                Err(errno) if is_last && last == Last::Name => return Ok(End::BarredDots(errno)),
                searched => searched?,
            }
            if name == b".." {
                out.pop();
            }
            continue;
        }
        out.push(b"/")?;
        out.push(name)?;
        if is_last && last != Last::Follow && !ends_in_slash {
            break;
        }
        let mut link = [0; PATH_MAX];
        let length = match links.read(out, &mut link) {
            Ok(length) => length,
            Err(EINVAL) => continue,
            Err(ENOENT) if is_last => continue,
            Err(errno) => return Err(errno),
        };
        followed += 1;
        if followed > MOST_LINKS {
            return Err(ELOOP);
        }
        let link = link.get(..length).unwrap_or_default();
        if link.is_empty() {
            return Err(ENOENT);
        }
        if link.first() == Some(&b'/') {
            end = End::Root;
            out.clear();
        } else {
            out.pop();
        }
        // The kernel puts them together where it has room for one path, without slashes at the end.
        let slashes = after.iter().rev().take_while(|byte| **byte == b'/').count();
        let slashes = if L::COUNTS_SLASHES { 0 } else { slashes };
        if link.len() + after.len() - slashes >= PATH_MAX {
            return Err(ENAMETOOLONG);
        }
        let mut next = Text::new();
        next.push(link)?;
        next.push(after)?;
        (left, at) = (next, 0);
    }
    if ends_in_slash || out.bytes().is_empty() {
        out.push(b"/")?;
    }
    Ok(end)
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
