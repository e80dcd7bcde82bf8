//! Every path goes through here: first as it is, below the tree that it starts with; then, if the kernel
//! refused it, walked link by link; and what it still refuses becomes the error that a program expects
//! where it isn't allowed to write.

use super::{cwd, places, raw, state};
use crate::paths::{self, Last, Links};
use crate::text::{PATH_MAX, Text};
use core::ffi::{c_char, c_int, c_long};
use libc::{
    AT_FDCWD, AT_SYMLINK_NOFOLLOW, EACCES, EEXIST, EFAULT, ENOTDIR, EROFS, O_CREAT, O_EXCL,
    O_TRUNC, S_IFDIR, S_IFMT, stat,
};

pub const ENOTCAPABLE: c_int = 93;

/// What the program wants of what is there, which decides how a refusal is said.
#[derive(Clone, Copy)]
pub enum Want {
    Read,
    /// It changes something that is there.
    Change,
    /// It makes something that isn't.
    Make,
    /// It does what these flags of open(2) say.
    Open(c_int),
}

/// One path of a call. `call` gets a descriptor and a name.
pub fn at(
    fd: c_int,
    path: *const c_char,
    last: Last,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    let Some(state) = state::confined() else {
        return call(fd, path);
    };
    let Some(name) = raw::text(path) else {
        return fail(EFAULT);
    };
    let before = raw::errno();
    let result = first_try(state, fd, path, name, last, call);
    if result >= 0 || raw::errno() != ENOTCAPABLE {
        return result;
    }
    match walked(fd, name, last, want, call) {
        Ok(result) if result >= 0 => {
            raw::set_errno(before);
            result
        }
        Ok(failed) => failed,
        Err(errno) => fail(errno),
    }
}

fn first_try(
    state: &state::State,
    fd: c_int,
    path: *const c_char,
    name: &[u8],
    last: Last,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    if is_below(fd, name) {
        call(fd, path)
    } else {
        as_it_is(state, path, name, last, call)
    }
}

fn fail(errno: c_int) -> c_long {
    raw::fail(errno).into()
}

/// A relative name below a descriptor that the program opened itself, or no name at all, which is nobody's.
fn is_below(fd: c_int, name: &[u8]) -> bool {
    name.is_empty() || (fd != AT_FDCWD && name.first() != Some(&b'/'))
}

fn tree(state: &state::State, path: &[u8], last: Last) -> Option<(c_int, usize)> {
    paths::tree(state.handoff().trees.iter(), path, last)
}

/// The kernel takes no empty name.
fn or_dot(path: &[u8], offset: usize, rest: *const c_char) -> *const c_char {
    if offset >= path.len() {
        c".".as_ptr()
    } else {
        rest
    }
}

fn as_it_is(
    state: &state::State,
    path: *const c_char,
    name: &[u8],
    last: Last,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    if name.first() == Some(&b'/') {
        let Some((fd, offset)) = tree(state, name, last) else {
            return call(AT_FDCWD, path);
        };
        return call(fd, or_dot(name, offset, path.wrapping_add(offset)));
    }
    let mut text = Text::new();
    if let Err(errno) = from_cwd(name, &mut text) {
        return fail(errno);
    }
    let Some((fd, offset)) = tree(state, text.bytes(), last) else {
        return call(AT_FDCWD, path);
    };
    call(fd, or_dot(text.bytes(), offset, text.from(offset)))
}

fn from_cwd(name: &[u8], into: &mut Text) -> Result<(), c_int> {
    if name.first() != Some(&b'/') {
        cwd::get(into)?;
        into.push(b"/")?;
    }
    into.push(name)
}

/// The path that a descriptor and a name mean.
pub fn whole(fd: c_int, name: &[u8], into: &mut Text) -> Result<(), c_int> {
    if fd == AT_FDCWD || name.first() == Some(&b'/') {
        return from_cwd(name, into);
    }
    if !places::find(fd, into) {
        return Err(ENOTCAPABLE);
    }
    into.push(b"/")?;
    into.push(name)
}

/// An absolute path without links for what the program means.
pub fn canonical(fd: c_int, name: &[u8], last: Last, into: &mut Text) -> Result<(), c_int> {
    let state = state::confined().ok_or(ENOTCAPABLE)?;
    let mut path = Text::new();
    whole(fd, name, &mut path)?;
    paths::walk(&Granted(state), path.bytes(), last, into)
}

#[inline(never)]
fn walked(
    fd: c_int,
    name: &[u8],
    last: Last,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> Result<c_long, c_int> {
    let mut path = Text::new();
    canonical(fd, name, last, &mut path)?;
    let (fd, rest) = place(&path, last).ok_or(ENOTCAPABLE)?;
    let result = call(fd, rest);
    if result < 0 && raw::errno() == ENOTCAPABLE {
        return Err(refusal(want, fd, rest));
    }
    Ok(result)
}

/// Names that the kernel follows no links in, since there are none but perhaps at the end.
struct Granted<'a>(&'a state::State);

impl Granted<'_> {
    fn place(&self, path: &Text) -> Result<(c_int, *const c_char), c_int> {
        let (fd, offset) = tree(self.0, path.bytes(), Last::Itself).ok_or(ENOTCAPABLE)?;
        Ok((fd, or_dot(path.bytes(), offset, path.from(offset))))
    }
}

impl Links for Granted<'_> {
    fn read(&self, path: &Text, into: &mut [u8; PATH_MAX]) -> Result<usize, c_int> {
        let (fd, name) = self.place(path)?;
        raw::read_link(fd, name, into)
    }

    fn is_directory(&self, path: &Text) -> Result<(), c_int> {
        let (fd, name) = self.place(path)?;
        let status = raw::status(fd, name, AT_SYMLINK_NOFOLLOW)?;
        if status.st_mode & S_IFMT == S_IFDIR {
            Ok(())
        } else {
            Err(ENOTDIR)
        }
    }
}

/// What the kernel would have said of a file system mounted read-only, which is what a tree without the
/// right to write is in a jail: it looks first, and refuses to write then.
fn refusal(want: Want, fd: c_int, name: *const c_char) -> c_int {
    let there = raw::status(fd, name, AT_SYMLINK_NOFOLLOW);
    let want = match want {
        Want::Open(flags) if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL => Want::Make,
        Want::Open(flags) if flags & (O_CREAT | O_TRUNC | libc::O_ACCMODE) == 0 => Want::Read,
        Want::Open(flags) if flags & O_CREAT == 0 => Want::Change,
        other => other,
    };
    match (want, there) {
        (Want::Read, Ok(_)) => EACCES,
        (Want::Make, Ok(_)) => EEXIST,
        (Want::Read | Want::Change, Err(errno)) => errno,
        (Want::Make | Want::Open(_), Err(errno)) if errno != libc::ENOENT => errno,
        (Want::Make | Want::Open(_), Err(_)) => parent_is_missing(fd, name).unwrap_or(EROFS),
        _ => EROFS,
    }
}

fn parent_is_missing(fd: c_int, name: *const c_char) -> Option<c_int> {
    let name = raw::text(name)?;
    let end = name.iter().rposition(|byte| *byte != b'/')?;
    let slash = name.get(..end)?.iter().rposition(|byte| *byte == b'/')?;
    let mut parent = Text::new();
    parent.push(name.get(..slash)?).ok()?;
    raw::status(fd, parent.from(0), 0).err()
}

/// A path of a call that has two.
pub type One = (c_int, *const c_char, Last);

/// Two paths of a call, the second of something that it makes. `call` gets a descriptor and a name for each.
pub fn two(
    first: One,
    second: One,
    call: &dyn Fn(c_int, *const c_char, c_int, *const c_char) -> c_long,
) -> c_long {
    let Some(state) = state::confined() else {
        return call(first.0, first.1, second.0, second.1);
    };
    let (Some(old), Some(new)) = (raw::text(first.1), raw::text(second.1)) else {
        return fail(EFAULT);
    };
    let before = raw::errno();
    let result = first_try(state, first.0, first.1, old, first.2, &|fd, name| {
        first_try(state, second.0, second.1, new, second.2, &|other, made| {
            call(fd, name, other, made)
        })
    });
    if result >= 0 || raw::errno() != ENOTCAPABLE {
        return result;
    }
    match walked_two((first.0, old, first.2), (second.0, new, second.2), call) {
        Ok(result) if result >= 0 => {
            raw::set_errno(before);
            result
        }
        Ok(failed) => failed,
        Err(errno) => fail(errno),
    }
}

#[inline(never)]
fn walked_two(
    first: (c_int, &[u8], Last),
    second: (c_int, &[u8], Last),
    call: &dyn Fn(c_int, *const c_char, c_int, *const c_char) -> c_long,
) -> Result<c_long, c_int> {
    let (mut old, mut new) = (Text::new(), Text::new());
    canonical(first.0, first.1, first.2, &mut old)?;
    canonical(second.0, second.1, second.2, &mut new)?;
    let (fd, name) = place(&old, first.2).ok_or(ENOTCAPABLE)?;
    let (other, made) = place(&new, second.2).ok_or(ENOTCAPABLE)?;
    let result = call(fd, name, other, made);
    if result < 0 && raw::errno() == ENOTCAPABLE {
        raw::status(fd, name, AT_SYMLINK_NOFOLLOW)?;
        return Err(parent_is_missing(other, made).unwrap_or(EROFS));
    }
    Ok(result)
}

/// What is at an absolute path.
pub fn status(path: &[u8], last: Last) -> Result<stat, c_int> {
    let state = state::confined().ok_or(ENOTCAPABLE)?;
    let mut text = Text::new();
    paths::walk(&Granted(state), path, last, &mut text)?;
    let (fd, name) = place(&text, last).ok_or(ENOTCAPABLE)?;
    raw::status(fd, name, AT_SYMLINK_NOFOLLOW)
}

/// The tree and name for an absolute path without links.
pub fn place(path: &Text, last: Last) -> Option<(c_int, *const c_char)> {
    let (fd, offset) = tree(state::confined()?, path.bytes(), last)?;
    Some((fd, or_dot(path.bytes(), offset, path.from(offset))))
}
