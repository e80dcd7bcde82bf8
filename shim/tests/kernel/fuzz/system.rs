//! What the system knows by a name that is no file's; and what it tells of files as they change.

use super::{Anything, Fuzz, Op, errno, function, op, process_op};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null;

pub const OPS: &[Op] = &[
    op(&["sysctlbyname"], 4, sysctlbyname),
    op(&["getvfsbyname"], 2, getvfsbyname),
    process_op(&["setgroups"], 1, setgroups),
    process_op(&["setlogin", "_setlogin", "setloginclass"], 2, set_name),
    process_op(&["inotify_add_watch_at"], 8, inotify_add_watch_at),
];

/// Since 15.0, and so not there to be linked to.
fn notifier() -> c_int {
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"inotify_init1".as_ptr()) };
    assert!(!found.is_null());
    let call: unsafe extern "C" fn(c_int) -> c_int = unsafe { std::mem::transmute(found) };
    unsafe { call(libc::O_NONBLOCK) }
}

fn sysctlbyname(fuzz: &mut Fuzz, name: &'static str) {
    type Call =
        unsafe extern "C" fn(*const c_char, Anything, *mut usize, *const c_void, usize) -> c_int;
    let names = [
        c"kern.ostype",
        c"kern.osreldate",
        c"hw.ncpu",
        c"hw.pagesize",
        c"no.such",
        c"",
    ];
    let variable: &CStr = fuzz.random.of(&names);
    let (mut value, mut length) = ([0_u8; 64], fuzz.random.of(&[64, 64, 2, 0]));
    let call: Call = function(name);
    fuzz.call(name, &format!("{variable:?} {length}"), || {
        let into = value.as_mut_ptr().cast();
        unsafe { call(variable.as_ptr(), into, &raw mut length, null(), 0) }.into()
    });
    fuzz.tell(&format!("{length} {:?}", &value[..8]));
}

fn getvfsbyname(fuzz: &mut Fuzz, name: &'static str) {
    let kind = fuzz
        .random
        .of(&[c"tmpfs", c"devfs", c"nullfs", c"none", c""]);
    let mut into = [0_u64; 32];
    let call: unsafe extern "C" fn(*const c_char, Anything) -> c_int = function(name);
    fuzz.call(name, &format!("{kind:?}"), || {
        unsafe { call(kind.as_ptr(), into.as_mut_ptr().cast()) }.into()
    });
}

fn is_superuser() -> bool {
    unsafe { libc::geteuid() == 0 }
}

fn setgroups(fuzz: &mut Fuzz, name: &'static str) {
    if is_superuser() {
        return;
    }
    let call: unsafe extern "C" fn(c_int, *const u32) -> c_int = function(name);
    fuzz.call(name, "1", || unsafe { call(1, [0].as_ptr()) }.into());
}

fn set_name(fuzz: &mut Fuzz, name: &'static str) {
    if is_superuser() {
        return;
    }
    let call: unsafe extern "C" fn(*const c_char) -> c_int = function(name);
    fuzz.call(name, "daemon", || {
        unsafe { call(c"daemon".as_ptr()) }.into()
    });
}

/// IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF.
const CHANGES: u32 = 0x4 | 0x400 | 0x800;
const IN_DONT_FOLLOW: u32 = 0x0200_0000;
const IN_ONLYDIR: u32 = 0x0100_0000;

fn inotify_add_watch_at(fuzz: &mut Fuzz, name: &'static str) {
    if fuzz.depth > 0 {
        return;
    }
    if fuzz.notify < 0 {
        fuzz.notify = notifier();
    }
    let ((fd, start), path, notify) = (fuzz.start(), fuzz.path(), fuzz.notify);
    let more = fuzz.random.of(&[0, 0, IN_DONT_FOLLOW, IN_ONLYDIR]);
    let mask = fuzz.random.of(&[CHANGES, CHANGES, CHANGES, 0]) | more;
    // A directory's entries are looked up in the kernel, which doesn't do that in capability mode.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    let found = unsafe { libc::fstatat(fd, path.pointer(), &raw mut stat, 0) };
    if found == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        return;
    }
    let call: unsafe extern "C" fn(c_int, c_int, *const c_char, u32) -> c_int = function(name);
    fuzz.call(name, &format!("{start} {path} {mask:x}"), || {
        unsafe { call(notify, fd, path.pointer(), mask) }.into()
    });
    fuzz.events();
}

impl Fuzz {
    /// What was seen until now: of which watch, what, and the name.
    fn events(&mut self) {
        let mut bytes = [0_u8; 8192];
        let read = unsafe { libc::read(self.notify, bytes.as_mut_ptr().cast(), bytes.len()) };
        let Ok(read) = usize::try_from(read) else {
            let line = format!("events: {}", errno());
            return self.tell(&line);
        };
        let mut rest = &bytes[..read];
        while rest.len() >= 16 {
            let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
            let length = word(12) as usize;
            let name = CStr::from_bytes_until_nul(&rest[16..16 + length]).unwrap_or_default();
            let line = format!("event {} {:x} {name:?}", word(0), word(4));
            self.tell(&line);
            rest = &rest[16 + length..];
        }
    }
}
