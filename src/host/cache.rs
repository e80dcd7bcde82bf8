//! Records of closures that were worked out, below the state directory: a launch that finds one which
//! still holds reads no ELF file.
//!
//! They lie in /var/run, not in /var/db: device numbers mean something within one boot only, the place is
//! emptied at the next, and nothing is left for a package to clean up. They are written by root's own
//! launches alone, and read like a profile: through directories of root's, and whole or not at all.
//! What goes wrong here costs time and nothing else, so no launch ends for it.

use crate::closure::{Closure, Wanted, record};
use crate::kernel::{At, Errno, Failure, Kernel, Open, Unlink};
use crate::plan::STATE;
use crate::trust;
use crate::trust::seen::Seen;
use std::collections::BTreeMap;

/// Records that are kept. When there are more, all are thrown away.
const MOST: usize = 256;
/// A record isn't longer.
const LONGEST: usize = 4 << 20;

pub fn directory() -> String {
    format!("{STATE}/.closures")
}

/// Two questions that share a name share a file, and each finds it to be the other's answer.
fn path(question: &str) -> String {
    // FNV-1a.
    let hash = question
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{}/{hash:016x}", directory())
}

pub fn load<K: Kernel>(kernel: &mut K, wanted: &Wanted) -> Option<Closure> {
    let question = record::question(wanted);
    let bytes = trust::read(kernel, &path(&question), LONGEST).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    record::read(kernel, &question, &text)
}

/// Keeps an answer that was begun at `now`.
pub fn store<K: Kernel>(
    kernel: &mut K,
    wanted: &Wanted,
    closure: &Closure,
    seen: &BTreeMap<String, Seen>,
    now: (i64, i64),
) {
    let question = record::question(wanted);
    let Some(text) = record::write(&question, closure, seen, now) else {
        return;
    };
    if text.len() > LONGEST {
        return;
    }
    let path = path(&question);
    if let Err(failure) = write(kernel, &path, &text) {
        kernel.complain(&format!("jailrun: keep {path}: {failure}"));
    }
}

/// Nobody ever writes to a file that somebody else may read: each record is a file of its own, and one
/// that isn't finished lacks its end.
fn write<K: Kernel>(kernel: &mut K, path: &str, text: &str) -> Result<(), Failure> {
    match kernel.unlinkat(At::Cwd, path, Unlink::File) {
        Err(failure) if failure.errno != Errno::ENOENT => return Err(failure),
        Err(_) if !make_room(kernel)? => return Ok(()),
        _ => {}
    }
    let fd = kernel.openat(At::Cwd, path, Open::CreateNew(0o600))?;
    let mut rest = text.as_bytes();
    let mut written = Ok(());
    while written.is_ok() && !rest.is_empty() {
        written = kernel.write(fd, rest).map(|count| {
            rest = rest.get(count..).unwrap_or_default();
        });
    }
    let closed = kernel.close(fd);
    written.and(closed)
}

/// False where nothing was ever launched since the boot, and there is no place for records.
fn make_room<K: Kernel>(kernel: &mut K) -> Result<bool, Failure> {
    let directory = directory();
    match kernel.mkdirat(At::Cwd, &directory, 0o700) {
        Err(failure) if failure.errno == Errno::EEXIST => {}
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(false),
        made => return made.map(|()| true),
    }
    let fd = kernel.openat(At::Cwd, &directory, Open::Directory)?;
    let names = kernel.readdir(fd);
    kernel.close(fd)?;
    let names = names?;
    if names.len() >= MOST {
        for name in names {
            match kernel.unlinkat(At::Cwd, &format!("{directory}/{name}"), Unlink::File) {
                Err(failure) if failure.errno != Errno::ENOENT => return Err(failure),
                _ => {}
            }
        }
    }
    Ok(true)
}
