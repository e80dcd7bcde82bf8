//! Names of files: opening, asking, making, renaming, removing, changing.

use super::look::{self, AT_EMPTY_PATH, AT_RESOLVE_BENEATH, O_PATH, Want, at, at_with};
use super::pairs::{Pair, two};
use super::{places, raw, sockets, state};
use crate::paths::Last;
use crate::text::{PATH_MAX, Text};
use core::ffi::{c_char, c_int, c_long, c_uint, c_ulong};
use libc::{
    AT_EACCESS, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, EACCES, EEXIST,
    EINVAL, EISDIR, ENOENT, ENXIO, EOPNOTSUPP, EPERM, O_ACCMODE, O_CLOEXEC, O_CREAT, O_DIRECTORY,
    O_EXCL, O_EXEC, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY, S_IFDIR, S_IFMT, mode_t,
    off_t, stat as Stat, statfs as Statfs, timespec, timeval,
};

const O_RESOLVE_BENEATH: c_int = 0x80_0000;
const O_EMPTY_PATH: c_int = 0x200_0000;

/// What a flag of the `*at` calls says of the last component.
fn last(flags: c_int) -> Last {
    if flags & AT_SYMLINK_NOFOLLOW != 0 {
        Last::Itself
    } else {
        Last::Follow
    }
}

/// A call that stops at the last link, or not, by a flag.
fn simple(
    fd: c_int,
    path: *const c_char,
    which: Last,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_int {
    at(fd, path, which, want, call) as c_int
}

/// The same for a call that takes flags, which say what a name may be besides.
fn flagged(
    fd: c_int,
    path: *const c_char,
    flags: c_int,
    want: Want,
    call: &dyn Fn(c_int, *const c_char) -> c_long,
) -> c_int {
    at_with(fd, path, flags, last(flags), want, call) as c_int
}

/// No owner at all is no change: of what may only be read, too.
fn owning(user: u32, group: u32) -> Want {
    if (user, group) == (u32::MAX, u32::MAX) {
        Want::Nothing
    } else {
        Want::Change
    }
}

/// Times that are both left out are no change either.
fn timing(times: *const timespec) -> Want {
    const UTIME_OMIT: c_long = -2;
    // SAFETY: utimensat(2) takes an array of two.
    let is_omitted = |index| unsafe { times.wrapping_add(index).read() }.tv_nsec == UTIME_OMIT;
    if !times.is_null() && is_omitted(0) && is_omitted(1) {
        Want::Nothing
    } else {
        Want::Change
    }
}

type Openat = unsafe extern "C" fn(c_int, *const c_char, c_int, ...) -> c_int;

static OPENAT: raw::Behind = raw::Behind::new(c"openat");

/// Whether a thread may be cancelled in the call: in libc's public functions, but not in those that libc
/// uses itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Cancellation,
    None,
}

fn open_at(point: Point, fd: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
    let which = if flags & O_NOFOLLOW != 0 || flags & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL {
        Last::Itself
    } else {
        Last::Follow
    };
    // Nothing is read or written by it: what is said of that would be asked of the tree's rights.
    let flags = if flags & O_PATH != 0 {
        flags & !O_ACCMODE
    } else {
        flags
    };
    let mut named = 0;
    if flags & O_RESOLVE_BENEATH != 0 {
        named |= AT_RESOLVE_BENEATH;
    }
    if flags & O_EMPTY_PATH != 0 {
        named |= AT_EMPTY_PATH;
    }
    let open = |fd, name, flags| {
        // SAFETY: libc's openat(2) has this type.
        let behind = unsafe { OPENAT.function::<Openat>() };
        match behind.filter(|_| point == Point::Cancellation) {
            // SAFETY: the program's own path, or a string of ours that lives through the call.
            Some(openat) => unsafe { openat(fd, name, flags, mode) }.into(),
            None => raw::openat(fd, name, flags, mode),
        }
    };
    let before = raw::errno();
    let mut opened = at_with(fd, path, named, which, Want::Open(flags), &|fd, name| {
        open(fd, name, flags)
    }) as c_int;
    if opened < 0 && flags & O_CREAT != 0 && state::confined().is_some() {
        opened = match raw::errno() {
            // To make what is there already, in a tree that may only be read, is to open it.
            EACCES if flags & (O_EXCL | O_ACCMODE | O_TRUNC) == O_RDONLY => {
                open_what_is_there(before, &|| {
                    let flags = flags & !O_CREAT;
                    at_with(fd, path, named, which, Want::Open(flags), &|fd, name| {
                        open(fd, name, flags)
                    }) as c_int
                })
            }
            // devfs's own for a name that is made of ".", as a tree's own directory is here.
            EINVAL if are_possible(flags) && is_directory(fd, path) => {
                raw::fail(if flags & O_EXCL == 0 { EISDIR } else { EEXIST })
            }
            errno => raw::fail(errno),
        };
    }
    if opened >= 0 && flags & O_ACCMODE == O_RDONLY && flags & O_TRUNC == 0 {
        remember(opened, fd, path, flags);
    }
    opened
}

/// Whether flags of open(2), O_CREAT among them, say what is wanted.
fn are_possible(flags: c_int) -> bool {
    let access = flags & O_ACCMODE;
    let is_executed = flags & O_EXEC != 0;
    access != O_ACCMODE && !(is_executed && access != O_RDONLY) && flags & O_DIRECTORY == 0
}

/// `open` again, after it wasn't allowed to make anything. Nothing there: that it wasn't is the answer.
fn open_what_is_there(before: c_int, open: &dyn Fn() -> c_int) -> c_int {
    raw::set_errno(before);
    let opened = open();
    if opened < 0 && raw::errno() == ENOENT {
        return raw::fail(EACCES);
    }
    opened
}

fn is_directory(fd: c_int, path: *const c_char) -> bool {
    let kind = core::cell::Cell::new(0);
    at(fd, path, Last::Follow, Want::Read, &|fd, name| {
        raw::status(fd, name, 0).map_or(-1, |status| {
            kind.set(status.st_mode & S_IFMT);
            0
        })
    });
    kind.get() == S_IFDIR
}

/// Descriptors of directories are what fchdir(2) and names with `..` start from. Asking whether it is one
/// would cost each open(2) a system call: those that were opened as such, or by a name that only
/// directories have, are remembered.
fn remember(opened: c_int, fd: c_int, path: *const c_char, flags: c_int) {
    let Some(name) = raw::text(path) else { return };
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let is_likely = flags & (O_DIRECTORY | O_PATH) != 0
        || matches!(last, b"." | b"..")
        || !last.contains(&b'.');
    let mut whole = Text::new();
    if !is_likely || state::confined().is_none() {
        return;
    }
    let is_below = fd != AT_FDCWD && !name.starts_with(b"/");
    let is_known = if is_below {
        // What it was opened by will do, without asking the kernel: it is compared when it is used.
        places::hint(fd, &mut whole) && whole.push(b"/").is_ok() && whole.push(name).is_ok()
    } else {
        look::whole(fd, name, &mut whole).is_ok()
    };
    if is_known {
        places::remember(opened, whole.bytes());
    }
}

export! {
    fn [open] (path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        open_at(Point::Cancellation, AT_FDCWD, path, flags, mode)
    }
    fn [_open] (path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        open_at(Point::None, AT_FDCWD, path, flags, mode)
    }
    fn [openat] (fd: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        open_at(Point::Cancellation, fd, path, flags, mode)
    }
    fn [_openat] (fd: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int {
        open_at(Point::None, fd, path, flags, mode)
    }
    fn [creat] (path: *const c_char, mode: mode_t) -> c_int {
        open_at(Point::Cancellation, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode.into())
    }

    fn [stat] (path: *const c_char, into: *mut Stat) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, Want::Read, &|fd, name| raw::fstatat(fd, name, into, 0))
    }
    fn [lstat] (path: *const c_char, into: *mut Stat) -> c_int {
        simple(AT_FDCWD, path, Last::Itself, Want::Read, &|fd, name| {
            raw::fstatat(fd, name, into, AT_SYMLINK_NOFOLLOW)
        })
    }
    fn [fstatat _fstatat] (fd: c_int, path: *const c_char, into: *mut Stat, flags: c_int) -> c_int {
        flagged(fd, path, flags, Want::Read, &|fd, name| raw::fstatat(fd, name, into, flags))
    }
    fn [access _access] (path: *const c_char, mode: c_int) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, Want::Read, &|fd, name| raw::faccessat(fd, name, mode, 0))
    }
    fn [eaccess _eaccess] (path: *const c_char, mode: c_int) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, Want::Read, &|fd, name| {
            raw::faccessat(fd, name, mode, AT_EACCESS)
        })
    }
    fn [faccessat _faccessat] (fd: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        flagged(fd, path, flags, Want::Read, &|fd, name| raw::faccessat(fd, name, mode, flags))
    }
    fn [readlink _readlink] (path: *const c_char, into: *mut c_char, size: usize) -> isize {
        at(AT_FDCWD, path, Last::Itself, Want::Read, &|fd, name| raw::readlinkat(fd, name, into, size)) as isize
    }
    fn [readlinkat _readlinkat] (fd: c_int, path: *const c_char, into: *mut c_char, size: usize) -> isize {
        at(fd, path, Last::Itself, Want::Read, &|fd, name| raw::readlinkat(fd, name, into, size)) as isize
    }

    fn [unlink _unlink] (path: *const c_char) -> c_int {
        // The socket of a listener was there before the program, and is needed after it.
        if sockets::is_listeners(path) {
            return 0;
        }
        removed(simple(AT_FDCWD, path, Last::Name, Want::Remove, &|fd, name| raw::unlinkat(fd, name, 0)), 0)
    }
    fn [rmdir _rmdir] (path: *const c_char) -> c_int {
        simple(AT_FDCWD, path, Last::Name, Want::Remove, &|fd, name| {
            raw::unlinkat(fd, name, AT_REMOVEDIR)
        })
    }
    fn [unlinkat _unlinkat] (fd: c_int, path: *const c_char, flags: c_int) -> c_int {
        removed(at_with(fd, path, flags, Last::Name, Want::Remove, &|fd, name| {
            raw::unlinkat(fd, name, flags)
        }) as c_int, flags)
    }
    fn [funlinkat _funlinkat] (dir: c_int, path: *const c_char, fd: c_int, flags: c_int) -> c_int {
        removed(at_with(dir, path, flags, Last::Name, Want::Remove, &|dir, name| {
            raw::funlinkat(dir, name, fd, flags)
        }) as c_int, flags)
    }
    fn [rename _rename] (old: *const c_char, new: *const c_char) -> c_int {
        let (old, new) = ((AT_FDCWD, old, Last::Name), (AT_FDCWD, new, Last::Name));
        two(old, 0, new, Pair::Rename, &raw::renameat) as c_int
    }
    fn [renameat _renameat] (fd: c_int, old: *const c_char, other: c_int, new: *const c_char) -> c_int {
        two((fd, old, Last::Name), 0, (other, new, Last::Name), Pair::Rename, &raw::renameat) as c_int
    }
    fn [renameat2] (fd: c_int, old: *const c_char, other: c_int, new: *const c_char, flags: c_uint) -> c_int {
        two((fd, old, Last::Name), 0, (other, new, Last::Name), Pair::Rename, &|fd, old, other, new| {
            raw::renameat2(fd, old, other, new, flags as c_int)
        }) as c_int
    }
    fn [link _link] (old: *const c_char, new: *const c_char) -> c_int {
        let (old, new) = ((AT_FDCWD, old, Last::Follow), (AT_FDCWD, new, Last::Name));
        two(old, 0, new, Pair::Link, &|fd, old, other, new| raw::linkat(fd, old, other, new, AT_SYMLINK_FOLLOW)) as c_int
    }
    fn [linkat _linkat] (fd: c_int, old: *const c_char, other: c_int, new: *const c_char, flags: c_int) -> c_int {
        let which = if flags & AT_SYMLINK_FOLLOW != 0 { Last::Follow } else { Last::Itself };
        two((fd, old, which), flags, (other, new, Last::Name), Pair::Link, &|fd, old, other, new| {
            raw::linkat(fd, old, other, new, flags)
        }) as c_int
    }
    fn [symlink _symlink] (text: *const c_char, path: *const c_char) -> c_int {
        linked(text, AT_FDCWD, path)
    }
    fn [symlinkat _symlinkat] (text: *const c_char, fd: c_int, path: *const c_char) -> c_int {
        linked(text, fd, path)
    }
    fn [mkdir _mkdir] (path: *const c_char, mode: mode_t) -> c_int {
        simple(AT_FDCWD, path, Last::Name, Want::Make, &|fd, name| raw::mkdirat(fd, name, mode.into()))
    }
    fn [mkdirat _mkdirat] (fd: c_int, path: *const c_char, mode: mode_t) -> c_int {
        simple(fd, path, Last::Name, Want::Make, &|fd, name| raw::mkdirat(fd, name, mode.into()))
    }
    fn [mkfifo _mkfifo] (path: *const c_char, mode: mode_t) -> c_int {
        simple(AT_FDCWD, path, Last::Name, Want::Make, &|fd, name| raw::mkfifoat(fd, name, mode.into()))
    }
    fn [mkfifoat _mkfifoat] (fd: c_int, path: *const c_char, mode: mode_t) -> c_int {
        simple(fd, path, Last::Name, Want::Make, &|fd, name| raw::mkfifoat(fd, name, mode.into()))
    }
    fn [mknod] (path: *const c_char, mode: mode_t, device: u64) -> c_int {
        simple(AT_FDCWD, path, Last::Name, Want::Make, &|fd, name| raw::mknodat(fd, name, mode.into(), device))
    }
    fn [mknodat _mknodat] (fd: c_int, path: *const c_char, mode: mode_t, device: u64) -> c_int {
        simple(fd, path, Last::Name, Want::Make, &|fd, name| raw::mknodat(fd, name, mode.into(), device))
    }

    fn [chmod _chmod] (path: *const c_char, mode: mode_t) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, Want::Change, &|fd, name| raw::fchmodat(fd, name, mode.into(), 0))
    }
    fn [lchmod _lchmod] (path: *const c_char, mode: mode_t) -> c_int {
        simple(AT_FDCWD, path, Last::Itself, Want::Change, &|fd, name| {
            raw::fchmodat(fd, name, mode.into(), AT_SYMLINK_NOFOLLOW)
        })
    }
    fn [fchmodat _fchmodat] (fd: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int {
        flagged(fd, path, flags, Want::Change, &|fd, name| raw::fchmodat(fd, name, mode.into(), flags))
    }
    fn [chown _chown] (path: *const c_char, user: u32, group: u32) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, owning(user, group), &|fd, name| raw::fchownat(fd, name, user, group, 0))
    }
    fn [lchown _lchown] (path: *const c_char, user: u32, group: u32) -> c_int {
        simple(AT_FDCWD, path, Last::Itself, owning(user, group), &|fd, name| {
            raw::fchownat(fd, name, user, group, AT_SYMLINK_NOFOLLOW)
        })
    }
    fn [fchownat _fchownat] (fd: c_int, path: *const c_char, user: u32, group: u32, flags: c_int) -> c_int {
        flagged(fd, path, flags, owning(user, group), &|fd, name| raw::fchownat(fd, name, user, group, flags))
    }
    fn [chflags _chflags] (path: *const c_char, flags: c_ulong) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, Want::Change, &|fd, name| raw::chflagsat(fd, name, flags, 0))
    }
    fn [lchflags _lchflags] (path: *const c_char, flags: c_ulong) -> c_int {
        simple(AT_FDCWD, path, Last::Itself, Want::Change, &|fd, name| {
            raw::chflagsat(fd, name, flags, AT_SYMLINK_NOFOLLOW)
        })
    }
    fn [chflagsat _chflagsat] (fd: c_int, path: *const c_char, flags: c_ulong, at: c_int) -> c_int {
        flagged(fd, path, at, Want::Change, &|fd, name| raw::chflagsat(fd, name, flags, at))
    }
    fn [utimensat _utimensat] (fd: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int {
        flagged(fd, path, flags, timing(times), &|fd, name| raw::utimensat(fd, name, times, flags))
    }
    fn [utimes _utimes] (path: *const c_char, times: *const timeval) -> c_int {
        simple(AT_FDCWD, path, Last::Follow, Want::Change, &|fd, name| raw::futimesat(fd, name, times))
    }
    fn [futimesat _futimesat] (fd: c_int, path: *const c_char, times: *const timeval) -> c_int {
        simple(fd, path, Last::Follow, Want::Change, &|fd, name| raw::futimesat(fd, name, times))
    }
    fn [lutimes _lutimes] (path: *const c_char, times: *const timeval) -> c_int {
        let Some(spec) = nanoseconds(times) else {
            return raw::fail(EINVAL);
        };
        let times = if times.is_null() { core::ptr::null() } else { spec.as_ptr() };
        simple(AT_FDCWD, path, Last::Itself, Want::Change, &|fd, name| {
            raw::utimensat(fd, name, times, AT_SYMLINK_NOFOLLOW)
        })
    }

    fn [truncate _truncate](path: *const c_char, length: off_t) -> c_int {
        if length < 0 {
            return raw::fail(EINVAL);
        }
        let before = raw::errno();
        // A fifo is not waited for: there is nothing to cut off.
        let result = with_file(path, O_WRONLY | O_NONBLOCK, Last::Follow, &|fd| {
            // SAFETY: ftruncate(2) of a descriptor of ours.
            unsafe { libc::ftruncate(fd, length) }.into()
        });
        if result < 0 && raw::errno() == ENXIO {
            raw::set_errno(before);
            return 0;
        }
        // A socket isn't opened; but whether it may be written to is asked before that.
        if result < 0 && raw::errno() == EOPNOTSUPP && is_allowed(path, libc::W_OK) {
            raw::set_errno(EOPNOTSUPP);
        }
        result as c_int
    }
    fn [statfs _statfs] (path: *const c_char, into: *mut Statfs) -> c_int {
        with_file(path, O_PATH, Last::Follow, &|fd| {
            // SAFETY: fstatfs(2) writes where the program's statfs(2) would have.
            unsafe { libc::fstatfs(fd, into) }.into()
        }) as c_int
    }
    fn [pathconf _pathconf] (path: *const c_char, name: c_int) -> c_long {
        configured(path, Last::Follow, name)
    }
    fn [lpathconf _lpathconf] (path: *const c_char, name: c_int) -> c_long {
        configured(path, Last::Itself, name)
    }
    fn [inotify_add_watch_at] (notify: c_int, fd: c_int, path: *const c_char, mask: u32) -> c_int {
        const IN_DONT_FOLLOW: u32 = 0x0200_0000;
        let which = if mask & IN_DONT_FOLLOW != 0 { Last::Itself } else { Last::Follow };
        simple(fd, path, which, Want::Read, &|fd, name| raw::inotify_add_watch_at(notify, fd, name, mask))
    }
}

fn linked(text: *const c_char, fd: c_int, path: *const c_char) -> c_int {
    if raw::text(text).is_none_or(|text| text.len() >= PATH_MAX) {
        // Refused before the name is looked at.
        return raw::symlinkat(text, fd, path) as c_int;
    }
    simple(fd, path, Last::Name, Want::Make, &|fd, name| {
        raw::symlinkat(text, fd, name)
    })
}

/// What the kernel has against a name as such (EINVAL) it says as EPERM, where a file is to be removed.
fn removed(result: c_int, flags: c_int) -> c_int {
    let is_ours = result < 0 && flags & AT_REMOVEDIR == 0 && state::confined().is_some();
    if is_ours && raw::errno() == EINVAL && flags & !AT_RESOLVE_BENEATH == 0 {
        return raw::fail(EPERM);
    }
    result
}

fn nanoseconds(times: *const timeval) -> Option<[timespec; 2]> {
    let mut both = [timespec {
        tv_sec: 0,
        tv_nsec: 0,
    }; 2];
    if times.is_null() {
        return Some(both);
    }
    for (index, to) in both.iter_mut().enumerate() {
        // SAFETY: lutimes(2) takes an array of two.
        let from = unsafe { times.wrapping_add(index).read() };
        if !(0..1_000_000).contains(&from.tv_usec) {
            return None;
        }
        *to = timespec {
            tv_sec: from.tv_sec,
            tv_nsec: from.tv_usec * 1000,
        };
    }
    Some(both)
}

/// What the kernel does by path, but in capability mode by descriptor only.
fn with_file(
    path: *const c_char,
    flags: c_int,
    which: Last,
    act: &dyn Fn(c_int) -> c_long,
) -> c_long {
    let nofollow = if which == Last::Itself { O_NOFOLLOW } else { 0 };
    let flags = flags | nofollow | O_CLOEXEC;
    let fd = open_at(Point::None, AT_FDCWD, path, flags, 0);
    if fd < 0 {
        return -1;
    }
    let result = act(fd);
    let errno = raw::errno();
    raw::close(fd);
    if result < 0 {
        raw::set_errno(errno);
    }
    result
}

/// What a file system says of a file. Whether it has access control lists is asked before one is read by its
/// path, as `ls -l` does of every file, and capability mode has no call for that: so it has none.
fn configured(path: *const c_char, which: Last, name: c_int) -> c_long {
    const ACL_EXTENDED: c_int = 59;
    const ACL_NFS4: c_int = 64;
    let said = with_file(path, O_PATH, which, &|fd| {
        // SAFETY: fpathconf(2) takes numbers.
        unsafe { libc::fpathconf(fd, name) }
    });
    let is_of_lists = matches!(name, ACL_EXTENDED | ACL_NFS4);
    if said > 0 && is_of_lists && state::confined().is_some() {
        return 0;
    }
    said
}

/// For ourselves; what is no file is not waited for. Errno is set where it fails.
pub fn open_for_reading(path: *const c_char) -> c_int {
    open_at(
        Point::None,
        AT_FDCWD,
        path,
        O_RDONLY | O_CLOEXEC | O_NONBLOCK,
        0,
    )
}

/// Errno is set where it isn't.
pub fn is_allowed(path: *const c_char, access: c_int) -> bool {
    let call = |fd, name| raw::faccessat(fd, name, access, AT_EACCESS);
    at(AT_FDCWD, path, Last::Follow, Want::Read, &call) == 0
}
