//! Users, groups, hosts, semaphores.

use super::{say, tell, text};
use libc::O_CREAT;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

pub fn names() {
    unsafe {
        for name in [c"root", c"nobody", c"no such user"] {
            let entry = libc::getpwnam(name.as_ptr());
            tell(
                "getpwnam",
                if entry.is_null() {
                    "null".into()
                } else {
                    text((*entry).pw_dir)
                },
            );
        }
        let entry = libc::getpwuid(0);
        tell(
            "getpwuid",
            if entry.is_null() {
                "null".into()
            } else {
                text((*entry).pw_name)
            },
        );
        let entry = libc::getgrnam(c"wheel".as_ptr());
        tell(
            "getgrnam",
            if entry.is_null() {
                -1
            } else {
                (*entry).gr_gid.cast_signed()
            },
        );
        let entry = libc::getservbyname(c"https".as_ptr(), c"tcp".as_ptr());
        tell(
            "getservbyname",
            if entry.is_null() { -1 } else { (*entry).s_port },
        );
        for host in [c"localhost", c"127.0.0.1", c"::1"] {
            let mut found: *mut libc::addrinfo = null_mut();
            let mut hints: libc::addrinfo = std::mem::zeroed();
            hints.ai_socktype = libc::SOCK_STREAM;
            let result = libc::getaddrinfo(
                host.as_ptr(),
                c"80".as_ptr(),
                &raw const hints,
                &raw mut found,
            );
            tell("getaddrinfo", format!("{result} {}", !found.is_null()));
        }
        for name in [c"kern.ostype", c"no.such.variable"] {
            let (mut value, mut length) = ([0_u8; 64], 64);
            let into = value.as_mut_ptr().cast::<c_void>();
            say(
                "sysctlbyname",
                libc::sysctlbyname(name.as_ptr(), into, &raw mut length, null(), 0),
            );
            tell(
                "  value",
                String::from_utf8_lossy(&value).trim_end_matches('\0'),
            );
        }
        let time = 86400 * 200;
        let mut broken: libc::tm = std::mem::zeroed();
        libc::setenv(c"TZ".as_ptr(), c"Europe/Berlin".as_ptr(), 1);
        libc::localtime_r(&raw const time, &raw mut broken);
        tell(
            "localtime",
            format!("{} {}", broken.tm_hour, text(broken.tm_zone)),
        );
        for library in [c"/lib/libm.so.5", c"libz.so.6", c"/lib/none.so", c"none.so"] {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_NOW);
            tell("dlopen", format!("{library:?} {}", handle.is_null()));
            if handle.is_null() {
                tell("  dlerror", !libc::dlerror().is_null());
            } else {
                let symbol = if library == c"libz.so.6" {
                    c"zlibVersion"
                } else {
                    c"cos"
                };
                tell("  dlsym", libc::dlsym(handle, symbol.as_ptr()).is_null());
            }
        }
        say("setpgid", libc::setpgid(0, 0));
    }
    semaphores();
}

/// By the names that programs of this system are linked to: a linker that takes another system's symbols
/// may choose an older sem_wait(3), which knows another semaphore than sem_open(3) makes.
fn semaphores() {
    type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> *mut c_void;
    type OfName = unsafe extern "C" fn(*const c_char) -> c_int;
    type Of = unsafe extern "C" fn(*mut c_void) -> c_int;
    let found = |name: &CStr| {
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        assert!(!found.is_null(), "{name:?}");
        found
    };
    unsafe {
        let open: Open = std::mem::transmute(found(c"sem_open"));
        let unlink: OfName = std::mem::transmute(found(c"sem_unlink"));
        let wait: Of = std::mem::transmute(found(c"sem_wait"));
        let name = c"/jailrun-subject";
        unlink(name.as_ptr());
        let semaphore = open(name.as_ptr(), O_CREAT, 0o600, 1);
        tell("sem_open", semaphore.is_null());
        say("sem_wait", wait(semaphore));
        say("sem_unlink", unlink(name.as_ptr()));
    }
}
