//! Names that may not lead out of where they start; and descriptors that may do less than what they are of.

use super::look::{self, AT_EMPTY_PATH, ENOTCAPABLE, O_PATH, Want, answer, at, canonical, fail};
use super::{raw, refusal, state};
use crate::paths::Last;
use crate::text::Text;
use core::ffi::{c_char, c_int, c_long};
use libc::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, EACCES, EROFS, F_DUPFD_CLOEXEC, O_CLOEXEC, O_DIRECTORY};

/// Above it lie descriptors that are there for a moment.
const HIGH: c_long = 600;

/// A name that the program wants looked up below where it starts, and nowhere else: in capability mode the
/// kernel does nothing but that, so that nothing is walked here. With the flags of the call.
#[inline(never)]
pub fn beneath(
    state: &state::State,
    (fd, path, flags, last): (c_int, *const c_char, c_int, Last),
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    let before = raw::errno();
    let is_absolute = raw::text(path).is_some_and(|name| name.first() == Some(&b'/'));
    let below = |fd| {
        let result = call(fd, path);
        if result >= 0 || raw::errno() != ENOTCAPABLE || is_absolute {
            return result;
        }
        let nofollow = if last == Last::Follow {
            0
        } else {
            AT_SYMLINK_NOFOLLOW
        };
        let flags = nofollow | (flags & AT_EMPTY_PATH);
        // It leads out, or isn't to be written to.
        if raw::status(fd, path, flags).err() == Some(ENOTCAPABLE) {
            return result;
        }
        answer(refusal::of_one(want, fd, path, flags), before)
    };
    if is_absolute {
        let root = look::tree(state, b"/", Last::Follow);
        return below(root.map_or(AT_FDCWD, |(fd, _)| fd));
    }
    let start = if fd == AT_FDCWD {
        match directory(c".".as_ptr()) {
            Ok(start) => start,
            Err(errno) => return fail(errno),
        }
    } else {
        let result = below(fd);
        let errno = raw::errno();
        let is_refused = result < 0 && matches!(errno, EROFS | EACCES);
        // It may have been opened through another, which may do less than where it led to.
        let Some(start) = Some(fd).filter(|_| is_refused).and_then(reopened) else {
            raw::set_errno(if result < 0 { errno } else { before });
            return result;
        };
        start
    };
    let result = below(start);
    let errno = raw::errno();
    raw::close(start);
    raw::set_errno(if result < 0 { errno } else { before });
    result
}

/// What a descriptor is of, which was refused. If it is a directory, it may have been opened through another
/// tree, which may do less than where it led to.
#[inline(never)]
pub fn itself(
    fd: c_int,
    path: *const c_char,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
    before: c_int,
) -> c_long {
    let refusal = refusal::of_one(want, fd, path, AT_EMPTY_PATH);
    let Some(start) = refusal.err().and_then(|_| reopened(fd)) else {
        return answer(refusal, before);
    };
    let result = call(start, path);
    let errno = raw::errno();
    raw::close(start);
    if result < 0 && errno == ENOTCAPABLE {
        return answer(refusal, before);
    }
    raw::set_errno(if result < 0 { errno } else { before });
    result
}

/// The same directory as a descriptor's, by its path, and for a moment. It is that one or none: who may rename
/// what leads to it has no say in what is done.
fn reopened(fd: c_int) -> Option<c_int> {
    let mut path = Text::new();
    canonical(fd, b".", Last::Follow, &mut path).ok()?;
    let start = directory(path.from(0)).ok()?;
    if let (Ok(own), Ok(there)) = (raw::status_of(fd), raw::status_of(start))
        && (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)
    {
        return Some(start);
    }
    raw::close(start);
    None
}

/// A descriptor of a directory, for a moment.
fn directory(path: *const c_char) -> Result<c_int, c_int> {
    let opened = at(AT_FDCWD, path, Last::Follow, Want::Read, &|fd, name| {
        raw::openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
    }) as c_int;
    if opened < 0 {
        return Err(raw::errno());
    }
    // Out of the way of the number that the call may give, if there are so many.
    let before = raw::errno();
    let high = raw::fcntl(opened, F_DUPFD_CLOEXEC, HIGH) as c_int;
    if high < 0 {
        raw::set_errno(before);
        return Ok(opened);
    }
    raw::close(opened);
    Ok(high)
}
