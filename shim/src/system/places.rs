//! Which path a descriptor of a directory was opened by: for fchdir(2), and for names below it that the
//! kernel refuses. A hint and no more: it is compared with what the descriptor is before it is believed,
//! and where there is none, what the kernel says is what the program gets.

use super::{look, raw, spawn};
use crate::paths::Last;
use crate::text::{PATH_MAX, Text};
use core::ffi::c_int;
use core::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicUsize, Ordering, fence};

struct Place {
    /// Odd while somebody writes.
    sequence: AtomicU32,
    /// The descriptor and 1; 0: nothing. All zeros at first, so that the table is no part of the file.
    next: AtomicI32,
    length: AtomicUsize,
    path: [AtomicU8; PATH_MAX],
}

/// Pages of it come into being when they are written to.
const PLACES: usize = 256;

static TABLE: [Place; PLACES] = [const {
    Place {
        sequence: AtomicU32::new(0),
        next: AtomicI32::new(0),
        length: AtomicUsize::new(0),
        path: [const { AtomicU8::new(0) }; PATH_MAX],
    }
}; PLACES];

fn place_of(fd: c_int) -> Option<&'static Place> {
    TABLE.get(fd.unsigned_abs() as usize % PLACES)
}

/// Remembers an absolute path, links in it or not. One that is too long is not remembered.
pub fn remember(fd: c_int, path: &[u8]) {
    let Some(place) = place_of(fd).filter(|_| path.len() <= PATH_MAX) else {
        return;
    };
    // What such a child has at this number is nothing to its parent, who reads this table too.
    if spawn::is_in_parents_memory() {
        return;
    }
    let before = place.sequence.load(Ordering::Relaxed);
    let odd = before | 1;
    let is_ours = before != odd
        && (place.sequence)
            .compare_exchange(before, odd, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
    // Never waited for: this may be a signal handler, or a child of a thread that was writing.
    if !is_ours {
        return;
    }
    place.next.store(fd.saturating_add(1), Ordering::Relaxed);
    place.length.store(path.len(), Ordering::Relaxed);
    for (to, byte) in place.path.iter().zip(path) {
        to.store(*byte, Ordering::Relaxed);
    }
    place.sequence.store(odd.wrapping_add(1), Ordering::Release);
}

fn read(place: &Place, into: &mut Text) -> Option<c_int> {
    into.clear();
    let before = place.sequence.load(Ordering::Acquire);
    let fd = place.next.load(Ordering::Relaxed) - 1;
    if before % 2 == 1 || fd < 0 {
        return None;
    }
    for byte in place.path.iter().take(place.length.load(Ordering::Relaxed)) {
        into.push(&[byte.load(Ordering::Relaxed)]).ok()?;
    }
    fence(Ordering::Acquire);
    (place.sequence.load(Ordering::Relaxed) == before).then_some(fd)
}

/// What is known of a descriptor is known of its copy, too: the first may be closed, and its number used.
pub fn copy(from: c_int, to: c_int) {
    // Most are of no directory: that costs them one comparison.
    let next = place_of(from).map_or(0, |place| place.next.load(Ordering::Relaxed));
    if from >= 0 && to >= 0 && next == from.saturating_add(1) {
        copy_path(from, to);
    }
}

#[inline(never)]
fn copy_path(from: c_int, to: c_int) {
    let mut path = Text::new();
    if hint(from, &mut path) {
        remember(to, path.bytes());
    }
}

/// The path that a descriptor was opened by, if it wasn't closed since.
pub fn hint(fd: c_int, path: &mut Text) -> bool {
    place_of(fd).is_some_and(|place| read(place, path) == Some(fd))
}

/// The path that leads to what `fd` is, into `path`. False: none is known.
pub fn find(fd: c_int, path: &mut Text) -> bool {
    let Ok(wanted) = raw::status_of(fd) else {
        return false;
    };
    let leads_there = |path: &Text| {
        let there = look::status(path.bytes(), Last::Follow);
        there.is_ok_and(|there| (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino))
    };
    if hint(fd, path) && leads_there(path) {
        return true;
    }
    // It may be a copy of another.
    let mut others = TABLE.iter();
    others.any(|place| read(place, path).is_some() && leads_there(path))
}
