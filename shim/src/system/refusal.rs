//! What the kernel would have said where a tree may only be read. In a jail such a tree is a file system
//! mounted read-only; here its descriptor hasn't the right to write, and of that the kernel says nothing but
//! ENOTCAPABLE, before it looks at the name. So the name is looked at here, in the kernel's order.

use super::look::{ENOTCAPABLE, Want};
use super::raw;
use crate::text::Text;
use core::ffi::{c_char, c_int};
use libc::{
    AT_EACCESS, EACCES, EEXIST, EISDIR, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS, O_ACCMODE,
    O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_TRUNC, S_IFDIR, S_IFLNK, S_IFMT, W_OK,
    X_OK, stat,
};

const NAME_MAX: usize = 255;

/// Of a name below a descriptor; `flags` as of fstatat(2). Ok: nothing is refused after all.
pub fn of_one(want: Want, fd: c_int, name: *const c_char, flags: c_int) -> Result<(), c_int> {
    if matches!(want, Want::Remove) {
        // What is there is not looked at.
        parent(fd, name)?;
        return Err(EROFS);
    }
    Err(match (want, raw::status(fd, name, flags)) {
        (Want::Make, Ok(_)) => EEXIST,
        (Want::Open(flags), Ok(there)) => opening(flags, &there),
        (Want::Open(flags), Err(errno)) if flags & (O_CREAT | O_DIRECTORY) != O_CREAT => errno,
        (Want::Make | Want::Open(_), Err(ENOENT)) => {
            parent(fd, name)?;
            EROFS
        }
        (Want::Nothing, Ok(_)) => return Ok(()),
        (Want::Read, Ok(_)) => EACCES,
        (Want::Change | Want::Remove, Ok(_)) => EROFS,
        (_, Err(errno)) => errno,
    })
}

fn opening(flags: c_int, there: &stat) -> c_int {
    let kind = there.st_mode & S_IFMT;
    let is_writing = flags & O_ACCMODE != O_RDONLY || flags & O_TRUNC != 0;
    if flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        EEXIST
    } else if kind == S_IFLNK && flags & O_NOFOLLOW != 0 {
        EMLINK
    } else if kind == S_IFDIR && (is_writing || flags & (O_CREAT | O_DIRECTORY) == O_CREAT) {
        EISDIR
    } else if kind != S_IFDIR && flags & O_DIRECTORY != 0 {
        ENOTDIR
    } else if is_writing {
        EROFS
    } else {
        EACCES
    }
}

/// Of the name of a file that isn't there, in what may be written to.
#[inline(never)]
pub fn of_making(fd: c_int, name: *const c_char) -> Result<(), c_int> {
    let text = raw::text(name).unwrap_or_default();
    let ends_in_slash = text.ends_with(b"/");
    let end = text.iter().rposition(|byte| *byte != b'/').unwrap_or(0);
    let mut above = Text::new();
    above.push(text.get(..end).unwrap_or_default())?;
    above.pop();
    if above.bytes().is_empty() {
        above.push(b".")?;
    }
    // devfs has a reason not to make it, and doesn't ask for another.
    if !is_devfs(fd) && raw::faccessat(fd, above.from(0), W_OK | X_OK, AT_EACCESS) != 0 {
        return Err(raw::errno());
    }
    // Only directories are made by such a name.
    if ends_in_slash { Err(ENOENT) } else { Ok(()) }
}

fn is_devfs(fd: c_int) -> bool {
    let mut there = core::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: fstatfs(2) writes there, or fails.
    if unsafe { libc::fstatfs(fd, there.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: written by fstatfs(2), which worked.
    let there = unsafe { there.assume_init() };
    let name = there.f_fstypename.iter().map(|byte| byte.cast_unsigned());
    name.take_while(|byte| *byte != 0).eq(*b"devfs")
}

/// Whether a name can be looked up in the directory before it. Where there is none, it can.
#[inline(never)]
fn parent(fd: c_int, name: *const c_char) -> Result<(), c_int> {
    let name = raw::text(name).unwrap_or_default();
    let end = name.iter().rposition(|byte| *byte != b'/');
    let name = name.get(..end.map_or(0, |end| end + 1));
    let name = name.unwrap_or_default();
    let slash = name.iter().rposition(|byte| *byte == b'/');
    if let Some(slash) = slash {
        let mut parent = Text::new();
        parent.push(name.get(..slash).unwrap_or_default())?;
        match raw::status(fd, parent.from(0), 0) {
            Ok(status) if status.st_mode & S_IFMT != S_IFDIR => return Err(ENOTDIR),
            Ok(_) if raw::faccessat(fd, parent.from(0), X_OK, AT_EACCESS) != 0 => {
                return Err(raw::errno());
            }
            Ok(_) | Err(ENOTCAPABLE) => {}
            Err(errno) => return Err(errno),
        }
    }
    if name.len() - slash.map_or(0, |slash| slash + 1) > NAME_MAX {
        return Err(ENAMETOOLONG);
    }
    Ok(())
}
