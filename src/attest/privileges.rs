//! Attempts to be somebody else, or to tell the kernel what to do.

use super::{Seen, Target, Tried, nothing, open};
use crate::kernel::attack::Attack;
use crate::kernel::{Ending, FileKind, Filesystem, Ids, JailValue, Kernel, Open, Waited};

const WHEEL: u32 = 0;
/// Looked through for set-user-ID programs at most, in directories and files.
const MOST_LOOKS: usize = 20_000;

pub fn become_root<K: Kernel>(kernel: &mut K) -> Tried {
    if kernel.getresuid()?.effective == 0 {
        return open("it is root from the start");
    }
    kernel.setresuid(Ids::all(0))?;
    open("setresuid(2)")
}

pub fn gain_group<K: Kernel>(kernel: &mut K) -> Tried {
    let gids = kernel.getresgid()?;
    if gids.effective == WHEEL || kernel.getgroups()?.contains(&WHEEL) {
        return open("it has it from the start");
    }
    kernel.setgroups(&[WHEEL])?;
    open("setgroups(2)")
}

/// Runs one that does nothing when it gets an option that it hasn't, and asks the kernel as whom it ran
/// before its zombie is taken away.
pub fn setuid_program<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let own = kernel.getresuid()?.effective;
    let Some(program) = find_setuid(kernel, target) else {
        return nothing("there is none");
    };
    if target.is_in_capability_mode() {
        let why = format!("nobody can watch {program}, which capability mode gives no power");
        return Ok(Seen::NotShown(why));
    }
    let path = program.clone();
    let child = kernel.fork(move |kernel| {
        let words = [path.clone(), "--jailrun-attest".to_string()];
        kernel.execve(&path, &words, &[]).map_err(|_| 126)
    })?;
    // Its zombie keeps the ids that it ended with.
    let mut saved = None;
    for _ in 0..200 {
        kernel.sleep_ms(10);
        saved = kernel.saved_uid(child)?;
        if saved.is_some_and(|uid| uid != own) {
            break;
        }
    }
    let state = kernel.waitpid_untraced()?;
    if !matches!(state, Some((_, Waited::Ended(_)))) {
        // A program that waits for something is not waited for.
        let _ = kernel.kill(child, crate::kernel::signal::KILL);
        kernel.waitpid(Some(child), true)?;
    }
    let is_silenced = matches!(
        state,
        Some((_, Waited::Stopped(_) | Waited::Ended(Ending::Signalled(_))))
    );
    match saved {
        Some(uid) if uid != own => open(format!("{program} ran as uid {uid}")),
        // Maybe before it ran at all.
        Some(_) if is_silenced && !target.is_throwaway => {
            Ok(Seen::Cut(format!("{program} was ended or stopped")))
        }
        Some(_) => nothing(format!("{program} ran as the service's user")),
        None => Ok(Seen::NotShown(format!("{program} can't be watched"))),
    }
}

/// In what was granted, as far as the service may look.
fn find_setuid<K: Kernel>(kernel: &mut K, target: &Target) -> Option<String> {
    let is_granted =
        |mount: &&crate::kernel::Nmount| matches!(mount.filesystem, Filesystem::Nullfs { .. });
    let mut left = MOST_LOOKS;
    let mounts = target.mounts.iter().filter(is_granted);
    let mut places: Vec<String> = mounts.map(|mount| mount.target.clone()).collect();
    while let Some(place) = places.pop() {
        left = left.checked_sub(1)?;
        let (at, name) = target.reach(&place);
        let Ok(stat) = kernel.lstatat(at, &name) else {
            continue;
        };
        match stat.kind {
            FileKind::Regular if stat.mode & 0o4001 == 0o4001 => return Some(place),
            FileKind::Directory => {
                let Ok(fd) = kernel.openat(at, &name, Open::Directory) else {
                    continue;
                };
                let names = kernel.readdir(fd).unwrap_or_default();
                let _ = kernel.close(fd);
                let above = place.trim_end_matches('/');
                places.extend(names.iter().map(|name| format!("{above}/{name}")));
            }
            _ => {}
        }
    }
    None
}

pub fn load_module<K: Attack>(kernel: &mut K) -> Tried {
    kernel.kldload("jailrun_attest_absent")?;
    open("kldload(2)")
}

/// To the value that it has.
pub fn set_sysctl<K: Attack>(kernel: &mut K, name: &str) -> Tried {
    let value = i32::try_from(kernel.sysctl_int(name)?).unwrap_or(i32::MAX);
    kernel.sysctl_set_int(name, value)?;
    open(name)
}

pub fn message_buffer<K: Kernel>(kernel: &mut K) -> Tried {
    kernel.sysctl_text("kern.msgbuf")?;
    open("kern.msgbuf")
}

pub fn lock_memory<K: Attack>(kernel: &mut K) -> Tried {
    kernel.mlock()?;
    open("mlock(2)")
}

/// EINVAL: root of a jail looks for it among the jail's own children.
pub fn attach_jail<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    kernel.jail_attach(target.other)?;
    open("jail_attach(2)")
}

/// One that is made goes at once, with its only descriptor.
pub fn make_jail<K: Kernel>(kernel: &mut K) -> Tried {
    let name = format!("jailrun-attest-{}", kernel.getpid().0);
    let jail = kernel.jail_create(&vec![
        ("name".to_string(), JailValue::Text(name)),
        ("path".to_string(), JailValue::Text("/".to_string())),
        ("persist".to_string(), JailValue::Flag),
    ])?;
    kernel.close(jail.descriptor)?;
    open("jail_set(2)")
}

pub fn shared_memory<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let Some(segment) = target.segment else {
        let why = "the host has no System V shared memory";
        return Ok(Seen::NotShown(why.to_string()));
    };
    kernel.shm_stat(segment)?;
    open("a segment of the host")
}
