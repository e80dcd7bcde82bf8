//! cpuset_getaffinity(2) and cpuset_setaffinity(2).

use super::wire::checked;
use crate::kernel::{CpusOf, Errno, Failure, JailId, Outcome};

/// CPU_MAXSIZE bits (sys/sys/_cpuset.h). The libc crate's mask is shorter for older releases, and a mask
/// that can't hold the highest CPU is ERANGE.
type Mask = [u64; 16];

pub fn getaffinity(whose: CpusOf) -> Outcome<Vec<u32>> {
    let (which, id) = match whose {
        CpusOf::Host => (libc::CPU_WHICH_CPUSET, 1),
        CpusOf::Jail(jail) => (libc::CPU_WHICH_JAIL, i64::from(jail.0)),
    };
    let mut mask: Mask = [0; 16];
    let size = std::mem::size_of::<Mask>();
    let room = (&raw mut mask).cast();
    // SAFETY: `room` is `size` writable bytes, of which the kernel writes all or none.
    let result = unsafe { libc::cpuset_getaffinity(libc::CPU_LEVEL_WHICH, which, id, size, room) };
    checked("cpuset_getaffinity", result)?;
    let bits = (0..).zip(mask).flat_map(|(word, bits)| {
        let held = (0..64).filter(move |bit| bits >> bit & 1 == 1);
        held.map(move |bit| word * 64 + bit)
    });
    Ok(bits.collect())
}

pub fn setaffinity(jail: JailId, cpus: &[u32]) -> Outcome<()> {
    const CALL: &str = "cpuset_setaffinity";
    let mut mask: Mask = [0; 16];
    for cpu in cpus {
        let word = mask.get_mut(*cpu as usize / 64);
        *word.ok_or(Failure::new(CALL, Errno::EINVAL))? |= 1 << (cpu % 64);
    }
    let (which, id) = (libc::CPU_WHICH_JAIL, i64::from(jail.0));
    let size = std::mem::size_of::<Mask>();
    let given = (&raw const mask).cast();
    // SAFETY: `given` is `size` readable bytes that outlive the call.
    let result = unsafe { libc::cpuset_setaffinity(libc::CPU_LEVEL_WHICH, which, id, size, given) };
    checked(CALL, result).map(drop)
}
