//! posix_spawn(3): its children run in their parents' memory until they execute, on a stack of their own.

use super::{raw, state};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

type Main = unsafe extern "C" fn(*mut c_void) -> c_int;
type RforkThread = unsafe extern "C" fn(c_int, *mut c_void, Main, *mut c_void) -> c_int;

static RFORK_THREAD: raw::Behind = raw::Behind::new(c"rfork_thread");

/// Where the stacks are that children of posix_spawn(3) run on, in their parents' memory. 0: nowhere.
static STACKS: [AtomicUsize; 16] = [const { AtomicUsize::new(0) }; 16];
const STACK: usize = 128 * 1024;

/// Whether this is such a child: its descriptors aren't those of the process whose memory it is.
pub fn is_in_parents_memory() -> bool {
    let here = 0_u8;
    let here = (&raw const here).addr();
    let mut stacks = STACKS.iter().map(|stack| stack.load(Ordering::Relaxed));
    stacks.any(|base| base != 0 && (base..base + STACK).contains(&here))
}

fn note_stack(base: usize) -> Option<&'static AtomicUsize> {
    let mut stacks = STACKS.iter();
    stacks.find(|stack| {
        stack
            .compare_exchange(0, base, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    })
}

const RFSPAWN: c_int = 0x8000_0000_u32.cast_signed();

/// posix_spawn(3) gives its child 4 KiB of stack, which is not enough for a path and a list of
/// arguments. With RFSPAWN the parent sleeps until the child has executed or ended: then it is ours again.
fn spawn(flags: c_int, stack: *mut c_void, main: Main, argument: *mut c_void) -> c_int {
    // SAFETY: libc's rfork_thread(3) has this type.
    let Some(behind) = (unsafe { RFORK_THREAD.function::<RforkThread>() }) else {
        return raw::fail(libc::ENOSYS);
    };
    if flags & RFSPAWN == 0 || stack.is_null() || state::confined().is_none() {
        // SAFETY: what the program gave, unchanged.
        return unsafe { behind(flags, stack, main, argument) };
    }
    let (prot, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_ANON | libc::MAP_PRIVATE,
    );
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let base = unsafe { libc::mmap(null_mut(), STACK, prot, kind, -1, 0) };
    if base == libc::MAP_FAILED {
        return raw::fail(libc::ENOMEM);
    }
    let top = base.wrapping_byte_add(STACK);
    let noted = note_stack(base.addr());
    // SAFETY: as the program called it, with a stack of STACK bytes that grows down from its top.
    let child = unsafe { behind(flags, top, main, argument) };
    let errno = raw::errno();
    if let Some(noted) = noted {
        noted.store(0, Ordering::Relaxed);
    }
    // SAFETY: the child runs on it no more, and nobody else knows it.
    unsafe { libc::munmap(base, STACK) };
    if child < 0 {
        raw::set_errno(errno);
    }
    child
}

export! {
    fn [rfork_thread] (flags: c_int, stack: *mut c_void, main: Main, argument: *mut c_void) -> c_int {
        spawn(flags, stack, main, argument)
    }
}
