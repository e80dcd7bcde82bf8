//! Capability mode (capsicum(4)): limits on descriptors, the way in, and execution by descriptor.

use std::ffi::{CString, c_char, c_int, c_ulong};

use super::process::pointers;
use super::wire::{c_string, checked, last};
use crate::kernel::{Fd, Outcome, Rights};

unsafe extern "C" {
    fn cap_enter() -> c_int;
    fn cap_rights_limit(fd: c_int, rights: *const [u64; 2]) -> c_int;
    fn cap_fcntls_limit(fd: c_int, fcntls: u32) -> c_int;
    fn cap_ioctls_limit(fd: c_int, commands: *const c_ulong, count: usize) -> c_int;
}

/// CAPRIGHT of sys/sys/capsicum.h: each word has a bit that says which one it is. The two highest bits
/// of the first are the version, which is 0 for two words.
const MARKS: [u64; 2] = [1 << 57, 1 << 58];

pub fn limit_rights(fd: Fd, rights: Rights) -> Outcome<()> {
    let [first, second] = rights.bits();
    let words = [MARKS[0] | first, MARKS[1] | second];
    // SAFETY: `words` is a cap_rights_t, a struct of two 64-bit words, that outlives the call.
    checked("cap_rights_limit", unsafe {
        cap_rights_limit(fd.0, &raw const words)
    })
    .map(drop)
}

pub fn limit_fcntls(fd: Fd, fcntls: u32) -> Outcome<()> {
    // SAFETY: integers.
    checked("cap_fcntls_limit", unsafe {
        cap_fcntls_limit(fd.0, fcntls)
    })
    .map(drop)
}

pub fn limit_ioctls(fd: Fd, commands: &[u64]) -> Outcome<()> {
    // SAFETY: an array of longs, which are 64 bits wide on every machine that we build for, and its
    // length.
    let result =
        unsafe { cap_ioctls_limit(fd.0, commands.as_ptr().cast::<c_ulong>(), commands.len()) };
    checked("cap_ioctls_limit", result).map(drop)
}

pub fn enter() -> Outcome<()> {
    // SAFETY: takes nothing.
    checked("cap_enter", unsafe { cap_enter() }).map(drop)
}

pub fn fexecve(
    program: Fd,
    arguments: &[String],
    environment: &[String],
) -> Outcome<std::convert::Infallible> {
    let strings = |texts: &[String]| -> Outcome<Vec<CString>> {
        texts.iter().map(|text| c_string("fexecve", text)).collect()
    };
    let (arguments, environment) = (strings(arguments)?, strings(environment)?);
    let (argv, envp): (Vec<*const c_char>, _) = (pointers(&arguments), pointers(&environment));
    // SAFETY: both hold NUL-terminated strings that outlive the call, and both arrays end in null.
    unsafe { libc::fexecve(program.0, argv.as_ptr(), envp.as_ptr()) };
    Err(last("fexecve"))
}
