//! ktrace(2), of which the crate has nothing.

use std::ffi::{c_char, c_int};

use super::wire::{c_string, checked};
use crate::kernel::{Outcome, Pid};

unsafe extern "C" {
    #[link_name = "ktrace"]
    fn ktrace_(file: *const c_char, operation: c_int, points: c_int, pid: libc::pid_t) -> c_int;
}

/// sys/sys/ktrace.h.
const KTROP_SET: c_int = 0;
const KTRFAC_NAMEI: c_int = 1 << 3;
const KTRFAC_STRUCT: c_int = 1 << 8;
const KTRFAC_CAPFAIL: c_int = 1 << 12;
const KTRFAC_INHERIT: c_int = 0x4000_0000;

pub fn ktrace(file: &str, pid: Pid) -> Outcome<()> {
    let file = c_string("ktrace", file)?;
    let points = KTRFAC_CAPFAIL | KTRFAC_NAMEI | KTRFAC_STRUCT | KTRFAC_INHERIT;
    // SAFETY: `file` is a C string that outlives the call; the rest are numbers.
    let result = unsafe { ktrace_(file.as_ptr(), KTROP_SET, points, pid.0) };
    checked("ktrace", result).map(drop)
}
