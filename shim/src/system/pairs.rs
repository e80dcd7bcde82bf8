//! Calls with two paths: the first name is looked up, and judged, before the second.

use super::look::{self, ENOTCAPABLE, at, canonical, fail, is_root, place};
use super::look::{Want, first_try, is_to_be_walked};
use super::{raw, refusal, state};
use crate::paths::{End, Last};
use crate::text::{PATH_MAX, Text};
use core::ffi::{c_char, c_int, c_long};
use libc::{
    AT_FDCWD, AT_SYMLINK_NOFOLLOW, EBADF, EFAULT, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, EPERM,
    EROFS, EXDEV, S_IFDIR, S_IFMT,
};

/// A path of a call that has two.
pub type One = (c_int, *const c_char, Last);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    Rename,
    /// Of the same file, which no directory may be.
    Link,
}

type Call<'a> = &'a dyn Fn(c_int, *const c_char, c_int, *const c_char) -> c_long;

/// Two paths of a call, the second of something that it makes. `flags` are the first's. `call` gets a
/// descriptor and a name for each.
pub fn two(first: One, flags: c_int, second: One, pair: Pair, call: Call<'_>) -> c_long {
    let Some(state) = state::confined() else {
        return call(first.0, first.1, second.0, second.1);
    };
    let Some(old) = raw::text(first.1).filter(|old| old.len() < PATH_MAX) else {
        return call(first.0, first.1, second.0, second.1);
    };
    let is_empty_meant = flags & look::AT_EMPTY_PATH != 0 && old.is_empty();
    if flags & look::AT_RESOLVE_BENEATH != 0 || is_empty_meant {
        match kind(first, flags) {
            Err(failed) => return failed,
            Ok(S_IFDIR) if pair == Pair::Link => return fail(EPERM),
            Ok(_) => {}
        }
        if is_empty_meant && first.0 != AT_FDCWD {
            return to_itself((first.0, first.1), second, call);
        }
        return look::at_with(first.0, first.1, flags, first.2, Want::Read, &|fd, name| {
            at(second.0, second.1, second.2, Want::Make, &|other, made| {
                call(fd, name, other, made)
            })
        });
    }
    let new = raw::text(second.1).filter(|new| new.len() < PATH_MAX);
    let before = raw::errno();
    let is_nowhere = is_root(old) && pair == Pair::Rename || new.is_some_and(is_root);
    let result = if is_nowhere {
        // Refused for the call's other arguments, or for the descriptors that these aren't.
        call(-1, c"x".as_ptr(), -1, c"x".as_ptr())
    } else {
        first_try(
            state,
            first.0,
            first.1,
            old,
            first.2,
            &|fd, name| match new {
                Some(new) => first_try(state, second.0, second.1, new, second.2, &|other, made| {
                    call(fd, name, other, made)
                }),
                None => call(fd, name, second.0, second.1),
            },
        )
    };
    if result >= 0 {
        return result;
    }
    let is_judged = is_nowhere && raw::errno() != EBADF;
    let is_refused = is_to_be_walked(old) || new.is_some_and(is_to_be_walked);
    if is_judged || !(is_nowhere || is_refused) {
        return result;
    }
    match walked((first.0, old, first.2), second, new, pair, call) {
        Ok(result) if result >= 0 => {
            raw::set_errno(before);
            result
        }
        Ok(failed) => failed,
        Err(errno) => fail(errno),
    }
}

/// What kind of file the first is, looked up by itself: of two names that are refused together, it can't be
/// told which was.
#[inline(never)]
fn kind(first: One, flags: c_int) -> Result<libc::mode_t, c_long> {
    let follow = if first.2 == Last::Follow {
        0
    } else {
        AT_SYMLINK_NOFOLLOW
    };
    let kind = core::cell::Cell::new(0);
    let found = look::at_with(first.0, first.1, flags, first.2, Want::Read, &|fd, name| {
        let there = raw::status(fd, name, follow | (flags & look::AT_EMPTY_PATH));
        there.map_or(-1, |there| {
            kind.set(there.st_mode & S_IFMT);
            0
        })
    });
    if found < 0 {
        Err(found)
    } else {
        Ok(kind.get())
    }
}

/// A name for what a descriptor is of.
fn to_itself((fd, none): (c_int, *const c_char), second: One, call: Call<'_>) -> c_long {
    let is_the_firsts = core::cell::Cell::new(false);
    let result = at(second.0, second.1, second.2, Want::Make, &|other, made| {
        let result = call(fd, none, other, made);
        let is_refused = result < 0 && raw::errno() == ENOTCAPABLE;
        is_the_firsts.set(is_refused && !look::is_the_roots(other));
        result
    });
    // Of a file that may only be read, in a tree that may be written to: they are two file systems.
    if result < 0 && raw::errno() == EROFS && is_the_firsts.get() {
        return fail(EXDEV);
    }
    result
}

fn is_directory(fd: c_int, name: *const c_char) -> Result<bool, c_int> {
    let there = raw::status(fd, name, AT_SYMLINK_NOFOLLOW)?;
    Ok(there.st_mode & S_IFMT == S_IFDIR)
}

/// The first name's path, into `old`.
fn first_name(first: (c_int, &[u8], Last), pair: Pair, old: &mut Text) -> Result<(), c_int> {
    let (fd, name, last) = first;
    if pair == Pair::Rename && is_root(name) {
        return Err(EISDIR);
    }
    let found = if pair == Pair::Rename {
        look::is_removable(fd, name, old)
    } else {
        Ok(())
    };
    match found.and_then(|()| canonical(fd, name, last, old)) {
        Ok(End::Root) if pair == Pair::Rename => Err(EISDIR),
        Ok(End::Dots | End::BarredDots(_)) if pair == Pair::Rename => Err(EINVAL),
        Ok(_) => Ok(()),
        Err(ENOTCAPABLE) => {
            // Below a descriptor of something that isn't known, or of no directory at all.
            raw::status(fd, name.as_ptr().cast(), AT_SYMLINK_NOFOLLOW)?;
            Err(ENOTCAPABLE)
        }
        Err(errno) => Err(errno),
    }
}

/// The second name's path, into `made`.
fn second_name(second: One, new: Option<&[u8]>, pair: Pair, made: &mut Text) -> Result<(), c_int> {
    let Some(new) = new else {
        return Err(if second.1.is_null() {
            EFAULT
        } else {
            ENAMETOOLONG
        });
    };
    if is_root(new) {
        return Err(EISDIR);
    }
    let found = if pair == Pair::Rename {
        look::is_removable(second.0, new, made)
    } else {
        Ok(())
    };
    match found.and_then(|()| canonical(second.0, new, second.2, made)) {
        Ok(End::Root) => Err(EISDIR),
        Ok(End::Dots | End::BarredDots(_)) if pair == Pair::Rename => Err(EINVAL),
        Ok(End::BarredDots(errno)) => Err(errno),
        Ok(_) => Ok(()),
        Err(ENOTCAPABLE) => {
            // Below a descriptor of something that isn't known, or of no directory at all.
            refusal::of_one(Want::Make, second.0, second.1, AT_SYMLINK_NOFOLLOW)?;
            Err(ENOTCAPABLE)
        }
        Err(errno) => Err(errno),
    }
}

#[inline(never)]
fn walked(
    first: (c_int, &[u8], Last),
    second: One,
    new: Option<&[u8]>,
    pair: Pair,
    call: Call<'_>,
) -> Result<c_long, c_int> {
    let (mut old, mut made) = (Text::new(), Text::new());
    first_name(first, pair, &mut old)?;
    let (fd, name) = place(&old, first.2).ok_or(ENOTCAPABLE)?;
    if pair == Pair::Rename && look::is_the_roots(fd) {
        return Err(EROFS);
    }
    // Whether the first may be taken away is asked before all else. No name at all is never renamed to.
    let judged = |errno| {
        if pair == Pair::Rename {
            call(fd, name, fd, c"".as_ptr());
        }
        match raw::errno() {
            first if pair == Pair::Rename && !matches!(first, ENOENT | ENOTCAPABLE) => first,
            _ => errno,
        }
    };
    let is_directory = is_directory(fd, name).map_err(judged)?;
    if is_directory && pair == Pair::Link {
        return Err(EPERM);
    }
    second_name(second, new, pair, &mut made).map_err(|errno| match errno {
        EISDIR if is_directory && pair == Pair::Rename => judged(EINVAL),
        errno => judged(errno),
    })?;
    let (other, rest) = place(&made, second.2).ok_or(ENOTCAPABLE)?;
    let result = call(fd, name, other, rest);
    if result >= 0 || raw::errno() != ENOTCAPABLE {
        return Ok(result);
    }
    let want = if pair == Pair::Rename {
        Want::Remove
    } else {
        Want::Make
    };
    match refusal::of_one(want, other, rest, AT_SYMLINK_NOFOLLOW) {
        // Of a file that may only be read, in a tree that may be written to: they are two file systems.
        Err(EROFS) if pair == Pair::Link && fd != other && look::is_the_roots(fd) => {
            refusal::of_making(other, rest)?;
            Err(EXDEV)
        }
        Err(errno) => Err(errno),
        Ok(()) => Err(ENOTCAPABLE),
    }
}
