//! The working directory, as a path without links: fchdir(2) and chdir(2) don't exist in capability mode.
//!
//! It belongs to a process, but memory doesn't always: a child of vfork(2) or posix_spawn(3) runs in its
//! parent's memory until it executes, and may change its directory there. So each process that changes it
//! has a slot of its own, and one that never did has its parent's. Readers take no lock: a slot has two
//! texts, of which the writer fills the one that isn't shown. A directory that is renamed keeps its old
//! name here.

use super::{raw, state};
use crate::text::{PATH_MAX, Text};
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicUsize, Ordering};

struct Slot {
    /// 0: free.
    process: AtomicI32,
    /// Its lowest bit says which text is shown.
    generation: AtomicU32,
    lengths: [AtomicUsize; 2],
    texts: [[AtomicU8; PATH_MAX]; 2],
}

const SLOTS: usize = 4;

static TABLE: [Slot; SLOTS] = [const {
    Slot {
        process: AtomicI32::new(0),
        generation: AtomicU32::new(0),
        lengths: [const { AtomicUsize::new(0) }; 2],
        texts: [const { [const { AtomicU8::new(0) }; PATH_MAX] }; 2],
    }
}; SLOTS];

/// How many slots were ever used, and which one was used last.
static USED: AtomicUsize = AtomicUsize::new(0);
static LATEST: AtomicUsize = AtomicUsize::new(0);

/// The process that is writing. A thread that isn't there any more, after fork(2), is not waited for.
static WRITER: AtomicI32 = AtomicI32::new(0);

fn slot_of(process: i32) -> Option<&'static Slot> {
    let mut slots = TABLE.iter();
    slots.find(|slot| slot.process.load(Ordering::Acquire) == process)
}

fn current() -> Option<&'static Slot> {
    match USED.load(Ordering::Acquire) {
        0 => None,
        // Nobody else could have one. This saves most programs a system call for each relative path.
        1 => TABLE.first(),
        _ => (slot_of(raw::getpid()))
            .or_else(|| slot_of(raw::getppid()))
            .or_else(|| TABLE.get(LATEST.load(Ordering::Acquire))),
    }
}

/// Appends it to `into`, the root as nothing at all.
pub fn get(into: &mut Text) -> Result<(), i32> {
    let Some(slot) = current() else {
        let initial = state::get().and_then(|state| state.handoff().cwd);
        return into.push(initial.unwrap_or_default());
    };
    let start = into.bytes().len();
    loop {
        let generation = slot.generation.load(Ordering::Acquire);
        let shown = generation as usize & 1;
        into.cut(start);
        if let (Some(text), Some(length)) = (slot.texts.get(shown), slot.lengths.get(shown)) {
            let length = length.load(Ordering::Relaxed);
            for byte in text.iter().take(length) {
                into.push(&[byte.load(Ordering::Relaxed)])?;
            }
        }
        core::sync::atomic::fence(Ordering::Acquire);
        if slot.generation.load(Ordering::Relaxed) == generation {
            return Ok(());
        }
    }
}

fn slot_for(process: i32) -> usize {
    let used = USED.load(Ordering::Acquire);
    let own = TABLE
        .iter()
        .position(|slot| slot.process.load(Ordering::Acquire) == process);
    if let Some(own) = own {
        return own;
    }
    if used < SLOTS {
        return used;
    }
    // Children of children of a memory that was copied: only the parent's may still be asked for.
    let parent = raw::getppid();
    let mut slots = TABLE.iter();
    let other = slots.position(|slot| slot.process.load(Ordering::Acquire) != parent);
    other.unwrap_or(0)
}

fn write(process: i32, path: &[u8]) {
    let index = slot_for(process);
    let Some(slot) = TABLE.get(index) else { return };
    let generation = slot.generation.load(Ordering::Relaxed);
    let hidden = (generation as usize & 1) ^ 1;
    if let (Some(text), Some(length)) = (slot.texts.get(hidden), slot.lengths.get(hidden)) {
        for (place, byte) in text.iter().zip(path) {
            place.store(*byte, Ordering::Relaxed);
        }
        length.store(path.len().min(PATH_MAX), Ordering::Relaxed);
    }
    slot.generation
        .store(generation.wrapping_add(1), Ordering::Release);
    slot.process.store(process, Ordering::Release);
    LATEST.store(index, Ordering::Release);
    USED.fetch_max(index + 1, Ordering::AcqRel);
}

/// `path` is absolute and without links, the root "/".
pub fn set(path: &[u8]) {
    let path = if path == b"/" { b"" } else { path };
    let process = raw::getpid();
    // A signal handler that changes the directory would wait for what it interrupted.
    let before = raw::block_signals();
    for _ in 0..1000 {
        let first = WRITER.compare_exchange(0, process, Ordering::Acquire, Ordering::Relaxed);
        if first.is_ok() {
            break;
        }
        raw::sched_yield();
    }
    write(process, path);
    WRITER.store(0, Ordering::Release);
    raw::restore_signals(&before);
}
