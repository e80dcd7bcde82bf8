//! Every path goes through here: first as it is, below the tree that it starts with; then, if the kernel
//! refused it, walked link by link; and what it still refuses becomes the error that a program expects
//! where it isn't allowed to write.

use super::{beneath, cwd, places, raw, refusal, state};
use crate::paths::{self, End, Last, Links};
use crate::text::{PATH_MAX, Text};
use core::ffi::{c_char, c_int, c_long};
use libc::{
    AT_EACCESS, AT_FDCWD, AT_SYMLINK_NOFOLLOW, EINVAL, EISDIR, ENAMETOOLONG, ENOENT, ENOTDIR,
    F_GETFD, O_CREAT, O_DIRECTORY, S_IFDIR, S_IFMT, stat,
};

pub const ENOTCAPABLE: c_int = 93;
pub const AT_RESOLVE_BENEATH: c_int = 0x2000;
pub const AT_EMPTY_PATH: c_int = 0x4000;
pub const O_PATH: c_int = 0x40_0000;

/// What the program wants of what is there, which decides how a refusal is said.
#[derive(Clone, Copy)]
pub enum Want {
    Read,
    /// It changes something that is there.
    Change,
    /// It could change something, but this time asks for no change.
    Nothing,
    /// It makes something that isn't.
    Make,
    /// It takes a name away, or gives it to something else.
    Remove,
    /// It does what these flags of open(2) say.
    Open(c_int),
}

impl Want {
    /// Of a name in a directory, and not of what the name leads to.
    fn is_of_a_name(self) -> bool {
        match self {
            Self::Make | Self::Remove => true,
            Self::Open(flags) => flags & (O_CREAT | O_DIRECTORY) == O_CREAT,
            _ => false,
        }
    }
}

/// One path of a call. `call` gets a descriptor and a name.
pub fn at(
    fd: c_int,
    path: *const c_char,
    last: Last,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    at_with(fd, path, 0, last, want, call)
}

/// The same with the flags of a call that takes some: AT_EMPTY_PATH and AT_RESOLVE_BENEATH count here.
pub fn at_with(
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    last: Last,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    let Some(state) = state::confined() else {
        return call(fd, path);
    };
    // No string, or one that is too long whatever it says: the kernel sees that before all else.
    let Some(name) = raw::text(path).filter(|name| name.len() < PATH_MAX) else {
        return call(fd, path);
    };
    if flags & AT_RESOLVE_BENEATH != 0 {
        return beneath::beneath(state, (fd, path, flags, last), want, call);
    }
    let before = raw::errno();
    if name.is_empty() && fd != AT_FDCWD {
        let result = call(fd, path);
        if result >= 0 || !matches!(raw::errno(), ENOTCAPABLE | ENOENT) {
            return result;
        }
        if flags & AT_EMPTY_PATH == 0 {
            return fail(if is_other_file(fd) { ENOTDIR } else { ENOENT });
        }
        return beneath::itself(fd, path, want, call, before);
    }
    if name.is_empty() {
        if flags & AT_EMPTY_PATH == 0 {
            return nameless(state, path, call);
        }
        // The working directory, which is another than the kernel knows.
        return at(fd, c".".as_ptr(), Last::Follow, want, call);
    }
    if is_root(name) && want.is_of_a_name() {
        return in_nothing(state, path, call);
    }
    let result = first_try(state, fd, path, name, last, call);
    if result >= 0 || !is_to_be_walked(name) {
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

/// What C functions give for a refusal, or for none: then errno is what it was before we asked.
pub fn answer(refusal: Result<(), c_int>, before: c_int) -> c_long {
    match refusal {
        Ok(()) => {
            raw::set_errno(before);
            0
        }
        Err(errno) => fail(errno),
    }
}

/// Refused as it was; or too long with the working directory before it, which the kernel would not count.
pub fn is_to_be_walked(name: &[u8]) -> bool {
    let is_relative = name.first() != Some(&b'/');
    raw::errno() == ENOTCAPABLE || (raw::errno() == ENAMETOOLONG && is_relative)
}

/// "/", which is a name in no directory.
pub fn is_root(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| *byte == b'/')
}

/// The kernel judges the call's other arguments first, and then wouldn't take the name.
fn in_nothing(
    state: &state::State,
    path: *const c_char,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    let root = tree(state, b"/", Last::Follow);
    let result = call(root.map_or(AT_FDCWD, |(fd, _)| fd), path);
    if result < 0 && raw::errno() != ENOTCAPABLE {
        return result;
    }
    fail(EISDIR)
}

/// Whether a descriptor is of something in a file system that is no directory.
pub fn is_other_file(fd: c_int) -> bool {
    if !raw::status_of(fd).is_ok_and(|status| status.st_mode & S_IFMT != S_IFDIR) {
        return false;
    }
    let mut there = core::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: fstatfs(2) writes there, or fails.
    unsafe { libc::fstatfs(fd, there.as_mut_ptr()) == 0 }
}

/// No name at all is an error, which one depends on the call. That it could mean the working directory
/// (AT_EMPTY_PATH) is not known here, and the kernel has another in mind.
fn nameless(
    state: &state::State,
    path: *const c_char,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_long {
    let root = tree(state, b"/", Last::Follow);
    let result = call(root.map_or(AT_FDCWD, |(fd, _)| fd), path);
    if result < 0 { result } else { fail(ENOENT) }
}

pub fn first_try(
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

pub fn fail(errno: c_int) -> c_long {
    raw::fail(errno).into()
}

/// A relative name below a descriptor that the program opened itself, or no name at all.
fn is_below(fd: c_int, name: &[u8]) -> bool {
    name.is_empty() || (fd != AT_FDCWD && name.first() != Some(&b'/'))
}

pub fn tree(state: &state::State, path: &[u8], last: Last) -> Option<(c_int, usize)> {
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

/// Whether the program has said of a descriptor (fcntl(2)) that no name below it leads out.
pub fn stays_beneath(fd: c_int) -> bool {
    const FD_RESOLVE_BENEATH: c_long = 2;
    let flags = raw::fcntl(fd, F_GETFD, 0);
    flags >= 0 && flags & FD_RESOLVE_BENEATH != 0
}

/// The path that a descriptor and a name mean.
pub fn whole(fd: c_int, name: &[u8], into: &mut Text) -> Result<(), c_int> {
    if fd == AT_FDCWD || name.first() == Some(&b'/') {
        return from_cwd(name, into);
    }
    let state = state::confined().ok_or(ENOTCAPABLE)?;
    let mut opened_by = Text::new();
    if stays_beneath(fd) || !places::find(fd, &mut opened_by) {
        return Err(ENOTCAPABLE);
    }
    // Without the links by which it was opened: a name below it is as long as it is.
    paths::walk(&Granted(state), opened_by.bytes(), Last::Follow, into)?;
    into.push(b"/")?;
    into.push(name)
}

/// An absolute path without links for what the program means.
pub fn canonical(fd: c_int, name: &[u8], last: Last, into: &mut Text) -> Result<End, c_int> {
    let state = state::confined().ok_or(ENOTCAPABLE)?;
    if name.is_empty() {
        return Err(ENOENT);
    }
    let mut path = Text::new();
    whole(fd, name, &mut path)?;
    paths::walk(&Granted(state), path.bytes(), last, into)
}

/// The same as realpath(3) finds it, which doesn't look up "." and "..".
pub fn real(name: &[u8], into: &mut Text) -> Result<End, c_int> {
    let state = state::confined().ok_or(ENOTCAPABLE)?;
    let mut path = Text::new();
    from_cwd(name, &mut path)?;
    paths::walk(&Textual(Granted(state)), path.bytes(), Last::Follow, into)
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
    if matches!(want, Want::Remove) {
        is_removable(fd, name, &mut path)?;
    }
    match canonical(fd, name, last, &mut path)? {
        End::Root if want.is_of_a_name() => return Err(EISDIR),
        End::Dots | End::BarredDots(_) if matches!(want, Want::Remove) => return Err(EINVAL),
        End::BarredDots(errno) => return Err(errno),
        _ => {}
    }
    let (fd, rest) = place(&path, last).ok_or(ENOTCAPABLE)?;
    let result = call(fd, rest);
    if result >= 0 || raw::errno() != ENOTCAPABLE {
        return Ok(result);
    }
    refusal::of_one(want, fd, rest, AT_SYMLINK_NOFOLLOW).map(|()| 0)
}

/// In what may only be read the kernel refuses before it looks whether there is such a name, or a link.
pub fn is_removable(fd: c_int, name: &[u8], path: &mut Text) -> Result<(), c_int> {
    let end = name.iter().rposition(|byte| *byte != b'/');
    let bare = name.get(..end.map_or(0, |end| end + 1)).unwrap_or_default();
    canonical(fd, bare, Last::Name, path)?;
    // Nothing can be renamed or removed by these.
    if matches!(bare.rsplit(|byte| *byte == b'/').next(), Some(b"." | b"..")) {
        return Err(EINVAL);
    }
    let (fd, rest) = place(path, Last::Name).ok_or(ENOTCAPABLE)?;
    if is_the_roots(fd) {
        return refusal::of_one(Want::Remove, fd, rest, 0);
    }
    Ok(())
}

/// Names that the kernel follows no links in, since there are none but perhaps at the end.
struct Granted<'a>(&'a state::State);

impl Granted<'_> {
    fn place(&self, path: &Text) -> Result<(c_int, *const c_char), c_int> {
        let (fd, offset) = tree(self.0, path.bytes(), Last::Name).ok_or(ENOTCAPABLE)?;
        Ok((fd, or_dot(path.bytes(), offset, path.from(offset))))
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

impl Links for Granted<'_> {
    fn read(&self, path: &Text, into: &mut [u8; PATH_MAX]) -> Result<usize, c_int> {
        let (fd, name) = self.place(path)?;
        raw::read_link(fd, name, into)
    }

    fn search(&self, path: &Text) -> Result<(), c_int> {
        self.is_directory(path)?;
        let (fd, name) = self.place(path)?;
        match raw::faccessat(fd, name, libc::X_OK, AT_EACCESS) {
            0 => Ok(()),
            _ => Err(raw::errno()),
        }
    }
}

struct Textual<'a>(Granted<'a>);

impl Links for Textual<'_> {
    const COUNTS_SLASHES: bool = true;

    fn read(&self, path: &Text, into: &mut [u8; PATH_MAX]) -> Result<usize, c_int> {
        self.0.read(path, into)
    }

    fn search(&self, path: &Text) -> Result<(), c_int> {
        self.0.is_directory(path)
    }
}

/// What is at an absolute path.
pub fn status(path: &[u8], last: Last) -> Result<stat, c_int> {
    let state = state::confined().ok_or(ENOTCAPABLE)?;
    let mut text = Text::new();
    paths::walk(&Granted(state), path, last, &mut text)?;
    let (fd, name) = place(&text, last).ok_or(ENOTCAPABLE)?;
    raw::status(fd, name, AT_SYMLINK_NOFOLLOW)
}

/// Whether a descriptor is the root's: there names may be looked up, and none made or taken away.
pub fn is_the_roots(fd: c_int) -> bool {
    let Some(state) = state::confined() else {
        return false;
    };
    let mut trees = state.handoff().trees.iter();
    trees.any(|tree| tree.fd == fd && tree.path.is_empty())
}

pub fn root() -> Option<c_int> {
    tree(state::confined()?, b"/", Last::Follow).map(|(fd, _)| fd)
}

/// The tree and name for an absolute path without links.
pub fn place(path: &Text, last: Last) -> Option<(c_int, *const c_char)> {
    let (fd, offset) = tree(state::confined()?, path.bytes(), last)?;
    Some((fd, or_dot(path.bytes(), offset, path.from(offset))))
}
