//! Names that aren't of files: of what the system knows (sysctl), of libraries, of users and groups.
//! getpwnam(3), getgrnam(3), getaddrinfo(3) and the like read files, by functions that are replaced here,
//! and so find what the jail's files say.

use super::{files, raw, state};
use core::ffi::{c_char, c_int, c_void};
use core::ptr::null_mut;
use libc::{ENOENT, EPERM, gid_t, pid_t};

type Sysctlbyname =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;
type Dlopen = unsafe extern "C" fn(*const c_char, c_int) -> *mut c_void;
type Setgroups = unsafe extern "C" fn(c_int, *const gid_t) -> c_int;
type Named = unsafe extern "C" fn(*const c_char) -> c_int;

unsafe extern "C" {
    fn fdlopen(fd: c_int, mode: c_int) -> *mut c_void;
}

static SYSCTLBYNAME: raw::Behind = raw::Behind::new(c"sysctlbyname");
static DLOPEN: raw::Behind = raw::Behind::new(c"dlopen");
static SETGROUPS: raw::Behind = raw::Behind::new(c"setgroups");
static SETLOGIN: raw::Behind = raw::Behind::new(c"setlogin");
static SETLOGINCLASS: raw::Behind = raw::Behind::new(c"setloginclass");

/// These don't exist in capability mode. A service isn't the superuser, and to others the kernel says EPERM.
fn named(behind: &raw::Behind, name: *const c_char) -> c_int {
    if state::confined().is_some() {
        return raw::fail(EPERM);
    }
    // SAFETY: both functions have this type.
    let behind = unsafe { behind.function::<Named>() };
    // SAFETY: the program's own string.
    behind.map_or(-1, |behind| unsafe { behind(name) })
}

/// `struct xvfsconf` (sys/mount.h).
#[repr(C)]
pub struct Filesystem {
    operations: *mut c_void,
    name: [c_char; 16],
    number: c_int,
    references: c_int,
    flags: c_int,
    next: *mut c_void,
}

type Getvfsbyname = unsafe extern "C" fn(*const c_char, *mut Filesystem) -> c_int;

static GETVFSBYNAME: raw::Behind = raw::Behind::new(c"getvfsbyname");

/// What kind of file system it is, by its name alone: the kernel's list can't be read. Archivers ask, to
/// leave out what is no file system of files.
fn filesystem(name: &[u8]) -> Option<Filesystem> {
    const NETWORK: c_int = 0x0002_0000;
    const SYNTHETIC: c_int = 0x0008_0000;
    let flags = match name {
        b"ufs" | b"zfs" | b"tmpfs" | b"nullfs" | b"unionfs" | b"msdosfs" | b"cd9660"
        | b"ext2fs" => 0,
        b"nfs" | b"smbfs" => NETWORK,
        b"devfs" | b"procfs" | b"fdescfs" | b"linprocfs" | b"linsysfs" => SYNTHETIC,
        _ => return None,
    };
    let mut text = [0; 16];
    for (to, from) in text.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    let (operations, next) = (null_mut(), null_mut());
    Some(Filesystem {
        operations,
        name: text,
        number: 0,
        references: 1,
        flags,
        next,
    })
}

export! {
    fn [getvfsbyname](name: *const c_char, into: *mut Filesystem) -> c_int {
        if state::confined().is_some() {
            let Some(filesystem) = raw::text(name).and_then(filesystem) else {
                return raw::fail(ENOENT);
            };
            // SAFETY: where the program wants it; the layout is that of sys/mount.h.
            unsafe { into.write(filesystem) };
            return 0;
        }
        // SAFETY: libc's getvfsbyname(3) has this type.
        let behind = unsafe { GETVFSBYNAME.function::<Getvfsbyname>() };
        // SAFETY: what the program gave, unchanged.
        behind.map_or(-1, |getvfsbyname| unsafe { getvfsbyname(name, into) })
    }
    fn [sysctlbyname] (
        name: *const c_char,
        old: *mut c_void,
        length: *mut usize,
        new: *const c_void,
        size: usize,
    ) -> c_int {
        // SAFETY: libc's sysctlbyname(3) has this type.
        let Some(behind) = (unsafe { SYSCTLBYNAME.function::<Sysctlbyname>() }) else {
            return raw::fail(ENOENT);
        };
        // SAFETY: what the program gave, unchanged.
        let result = unsafe { behind(name, old, length, new, size) };
        // Of most variables the kernel says EPERM, to readers too, which programs don't expect: that there
        // is no such variable they do.
        if result != 0 && raw::errno() == EPERM && new.is_null() && state::confined().is_some() {
            return raw::fail(ENOENT);
        }
        result
    }
    fn [setgroups] (count: c_int, groups: *const gid_t) -> c_int {
        if state::confined().is_some() {
            return raw::fail(EPERM);
        }
        // SAFETY: libc's setgroups(2) has this type.
        let behind = unsafe { SETGROUPS.function::<Setgroups>() };
        // SAFETY: what the program gave, unchanged.
        behind.map_or(-1, |setgroups| unsafe { setgroups(count, groups) })
    }
    fn [setlogin _setlogin] (name: *const c_char) -> c_int {
        named(&SETLOGIN, name)
    }
    fn [setloginclass] (name: *const c_char) -> c_int {
        named(&SETLOGINCLASS, name)
    }
    fn [setpgid _setpgid] (process: pid_t, group: pid_t) -> c_int {
        let before = raw::errno();
        let result = raw::setpgid(process, group) as c_int;
        // It doesn't exist in capability mode. Signals to a group don't either, so that nothing but
        // getpgid(2) tells: daemons that begin with it would end.
        let is_own = process == 0 || process == raw::getpid();
        if result != 0 && is_own && state::confined().is_some() {
            raw::set_errno(before);
            return 0;
        }
        result
    }
    fn [dlopen] (path: *const c_char, mode: c_int) -> *mut c_void {
        let is_path = raw::text(path).is_some_and(|name| name.contains(&b'/'));
        if is_path && state::confined().is_some() {
            let fd = files::open_for_reading(path);
            if fd >= 0 {
                // SAFETY: fdlopen(3) takes numbers, and maps the file before it returns.
                let handle = unsafe { fdlopen(fd, mode) };
                raw::close(fd);
                return handle;
            }
        }
        // Names are rtld's to look up, and what can't be opened is its to complain of.
        // SAFETY: rtld's dlopen(3) has this type.
        let behind = unsafe { DLOPEN.function::<Dlopen>() };
        // SAFETY: what the program gave, unchanged.
        behind.map_or(null_mut(), |dlopen| unsafe { dlopen(path, mode) })
    }
}
