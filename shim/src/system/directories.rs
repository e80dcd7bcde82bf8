//! The working directory, and paths without links.

use super::look::{self, canonical};
use super::{cwd, places, raw, state};
use crate::paths::Last;
use crate::text::{PATH_MAX, Text};
use core::ffi::{c_char, c_int};
use core::ptr::null_mut;
use libc::{
    AT_EACCESS, AT_FDCWD, EFAULT, EINVAL, ENOENT, ENOMEM, ENOTDIR, ERANGE, R_OK, S_IFDIR, S_IFMT,
    X_OK,
};

fn change(fd: c_int, name: &[u8]) -> Result<(), c_int> {
    if name.is_empty() {
        return Err(ENOENT);
    }
    if name.len() >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    let mut path = Text::new();
    canonical(fd, name, Last::Follow, &mut path)?;
    let (tree, rest) = look::place(&path, Last::Follow).ok_or(ENOENT)?;
    let status = raw::status(tree, rest, 0)?;
    if status.st_mode & S_IFMT != S_IFDIR {
        return Err(ENOTDIR);
    }
    if raw::faccessat(tree, rest, X_OK, AT_EACCESS) != 0 {
        return Err(raw::errno());
    }
    let path = path.bytes();
    cwd::set(path.strip_suffix(b"/").unwrap_or(path));
    Ok(())
}

/// What works leaves errno as it was, whatever was tried on the way.
fn quietly<T>(act: impl FnOnce() -> Result<T, c_int>) -> Result<T, c_int> {
    let before = raw::errno();
    let result = act();
    raw::set_errno(before);
    result
}

fn answer(act: impl FnOnce() -> Result<(), c_int>) -> c_int {
    quietly(act).map_or_else(raw::fail, |()| 0)
}

/// The working directory as a path that still leads somewhere.
fn working() -> Result<Text, c_int> {
    let mut path = Text::new();
    cwd::get(&mut path)?;
    if path.bytes().is_empty() {
        path.push(b"/")?;
    }
    look::status(path.bytes(), Last::Follow)?;
    Ok(path)
}

/// Where the path doesn't fit, libc puts it together itself, from its end, until the buffer is full: it
/// reads each directory above, and so may fail earlier.
fn too_small(path: &Text, size: usize) -> c_int {
    if size == 0 {
        return EINVAL;
    }
    let (mut above, mut left) = (Text::new(), size - 1);
    if left == 0 || above.push(path.bytes()).is_err() {
        return ERANGE;
    }
    while above.bytes().len() > 1 {
        let length = above.bytes().len();
        above.pop();
        let name = length - above.bytes().len();
        let Some((tree, rest)) = look::place(&above, Last::Follow) else {
            return ERANGE;
        };
        if raw::faccessat(tree, rest, R_OK, AT_EACCESS) != 0 {
            return raw::errno();
        }
        if left < name {
            return ERANGE;
        }
        left -= name;
    }
    ERANGE
}

type Chdir = unsafe extern "C" fn(*const c_char) -> c_int;
type Fchdir = unsafe extern "C" fn(c_int) -> c_int;
type Realpath = unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut c_char;
type Getcwd = unsafe extern "C" fn(*mut c_char, usize) -> *mut c_char;

static CHDIR: raw::Behind = raw::Behind::new(c"chdir");
static FCHDIR: raw::Behind = raw::Behind::new(c"fchdir");
static REALPATH: raw::Behind = raw::Behind::new(c"realpath");
static GETCWD: raw::Behind = raw::Behind::new(c"getcwd");
static GETCWD_CALL: raw::Behind = raw::Behind::new(c"__getcwd");

export! {
    fn [chdir _chdir] (path: *const c_char) -> c_int {
        if state::confined().is_none() {
            // SAFETY: libc's chdir(2) has this type.
            let behind = unsafe { CHDIR.function::<Chdir>() };
            // SAFETY: the program's own path.
            return behind.map_or(-1, |chdir| unsafe { chdir(path) });
        }
        answer(|| change(AT_FDCWD, raw::text(path).ok_or(EFAULT)?))
    }
    fn [fchdir _fchdir] (fd: c_int) -> c_int {
        if state::confined().is_none() {
            // SAFETY: libc's fchdir(2) has this type.
            let behind = unsafe { FCHDIR.function::<Fchdir>() };
            // SAFETY: it takes a number.
            return behind.map_or(-1, |fchdir| unsafe { fchdir(fd) });
        }
        answer(|| {
            if raw::status_of(fd)?.st_mode & S_IFMT != S_IFDIR {
                // Of a pipe or a socket it is another error: what isn't in a file system.
                return Err(if look::is_other_file(fd) { ENOTDIR } else { EINVAL });
            }
            let mut path = Text::new();
            if look::stays_beneath(fd) || !places::find(fd, &mut path) {
                return Err(look::ENOTCAPABLE);
            }
            change(AT_FDCWD, path.bytes())
        })
    }
    fn [getcwd] (into: *mut c_char, size: usize) -> *mut c_char {
        if state::confined().is_none() {
            // SAFETY: libc's getcwd(3) has this type.
            let behind = unsafe { GETCWD.function::<Getcwd>() };
            // SAFETY: the program's own buffer.
            return behind.map_or(null_mut(), |getcwd| unsafe { getcwd(into, size) });
        }
        match quietly(working) {
            Ok(path) if into.is_null() => raw::allocated(&path, PATH_MAX),
            Ok(path) if path.bytes().len() < size => {
                // SAFETY: the program's buffer has `size` bytes, which is enough.
                unsafe { raw::copy_out(&path, into) };
                into
            }
            Ok(path) => failed(too_small(&path, size)),
            Err(errno) => failed(errno),
        }
    }
    fn [__getcwd] (into: *mut c_char, size: usize) -> c_int {
        if state::confined().is_none() {
            type Call = unsafe extern "C" fn(*mut c_char, usize) -> c_int;
            // SAFETY: libc's __getcwd has this type.
            let behind = unsafe { GETCWD_CALL.function::<Call>() };
            // SAFETY: the program's own buffer.
            return behind.map_or(-1, |getcwd| unsafe { getcwd(into, size) });
        }
        if size < 2 {
            return raw::fail(EINVAL);
        }
        match quietly(working) {
            Ok(path) if path.bytes().len() < size => {
                // SAFETY: the program's buffer has `size` bytes, which is enough.
                unsafe { raw::copy_out(&path, into) };
                0
            }
            // getcwd(3) makes ERANGE of it.
            Ok(_) => raw::fail(ENOMEM),
            Err(errno) => raw::fail(errno),
        }
    }
    fn [realpath] (path: *const c_char, into: *mut c_char) -> *mut c_char {
        if state::confined().is_none() {
            // SAFETY: libc's realpath(3) has this type.
            let behind = unsafe { REALPATH.function::<Realpath>() };
            // SAFETY: the program's own path and buffer.
            return behind.map_or(null_mut(), |realpath| unsafe { realpath(path, into) });
        }
        match quietly(|| real(path)) {
            Ok(found) if into.is_null() => raw::allocated(&found, 0),
            Ok(found) => {
                // SAFETY: realpath(3) is given a buffer of PATH_MAX bytes, and the path is shorter.
                unsafe { raw::copy_out(&found, into) };
                into
            }
            Err(errno) => failed(errno),
        }
    }
}

fn failed(errno: c_int) -> *mut c_char {
    raw::fail(errno);
    null_mut()
}

fn real(path: *const c_char) -> Result<Text, c_int> {
    let name = raw::text(path).ok_or(EINVAL)?;
    if name.is_empty() {
        return Err(ENOENT);
    }
    // The first slash of an absolute one doesn't count.
    if name.len() - usize::from(name.starts_with(b"/")) >= PATH_MAX {
        return Err(libc::ENAMETOOLONG);
    }
    let mut found = Text::new();
    look::real(name, &mut found)?;
    let (tree, rest) = look::place(&found, Last::Follow).ok_or(ENOENT)?;
    raw::status(tree, rest, 0)?;
    if found.bytes().len() > 1 && found.bytes().ends_with(b"/") {
        found.cut(found.bytes().len() - 1);
    }
    if found.bytes().len() >= PATH_MAX {
        Err(libc::ENAMETOOLONG)
    } else {
        Ok(found)
    }
}
