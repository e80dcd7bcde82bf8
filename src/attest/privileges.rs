//! Attempts to be somebody else, or to tell the kernel what to do.

use super::looks::Looks;
use super::{Seen, Target, Tried, nothing, open};
use crate::kernel::attack::Attack;
use crate::kernel::{
    Ending, Errno, Failure, Fd, FileKind, Filesystem, Ids, JailValue, Kernel, Nmount, Open,
    Outcome, Stat, Waited,
};

const WHEEL: u32 = 0;
/// So many set-user-ID programs are run at most.
const MOST_PROGRAMS: usize = 8;
/// How a child says that it executed nothing.
const NOT_EXECUTED: i32 = 126;

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

/// Runs some. What refuses is nosuid, which the kernel tells of each mount, or that a program of somebody
/// else's ran as the service's user. A service can't make such a program, but it can hide one: by its
/// own, which gives it nothing, by shutting directories, or by more names than are looked at.
pub fn setuid_program<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let mut looks = Looks::new(kernel.getresuid()?.effective);
    let (powerless, powerful) = granted(kernel, target);
    let mut found = candidates(kernel, target, &mut looks, &powerful, MOST_PROGRAMS);
    if found.len() == MOST_PROGRAMS {
        let words = format!("there are {MOST_PROGRAMS} such programs and more");
        looks.missed.get_or_insert(words);
    }
    let is_hidden = looks.missed.take();
    let is_certain = found.is_empty() && is_hidden.is_none();
    if target.is_in_capability_mode() {
        // Which keeps the ids of whatever is executed (do_execve in sys/kern/kern_exec.c).
        return match found.first().map(|(path, _)| path.clone()).or(is_hidden) {
            None => nothing("there is none"),
            Some(what) => Ok(Seen::NotShown(format!(
                "nobody can watch such a program, which capability mode gives no power: {what}"
            ))),
        };
    }
    let mut silenced = is_hidden;
    // Where every mount says nosuid, one is run for good measure.
    found.extend(candidates(kernel, target, &mut looks, &powerless, 1));
    let mut last = None;
    for (path, program) in found {
        match run(kernel, target, &path, program, looks.own)? {
            Ran::As(uid) => return open(format!("{path} ran as uid {uid}")),
            Ran::Unseen => return Ok(Seen::NotShown(format!("{path} can't be watched"))),
            Ran::AsItself => last = Some(path),
            Ran::Silenced => {
                silenced.get_or_insert(format!("{path} was ended or stopped"));
            }
            Ran::NotAtAll if is_certain => {}
            Ran::NotAtAll => {
                silenced.get_or_insert(format!("{path} couldn't be executed"));
            }
        }
    }
    match (silenced, last) {
        (Some(why), _) => Ok(Seen::Cut(why)),
        (None, Some(path)) => nothing(format!("{path} ran as the service's user")),
        (None, None) => nothing("there is none"),
    }
}

/// Directories and files of the host that were granted: those on which the kernel gives no program another
/// user, and all others.
fn granted<K: Kernel>(kernel: &mut K, target: &Target) -> (Vec<String>, Vec<String>) {
    let mounts = target.mounts.iter();
    let nullfs = mounts.filter(|mount| matches!(mount.filesystem, Filesystem::Nullfs { .. }));
    // Where the service writes it can hide things, and a search that is cut is cut there.
    let (read_only, writable): (Vec<&Nmount>, Vec<&Nmount>) =
        nullfs.partition(|mount| mount.flags.read_only);
    let all = read_only.into_iter().chain(writable);
    all.map(|mount| mount.target.clone()).partition(|place| {
        let told = kernel.statfs(place);
        told.is_ok_and(|told| told.flags.nosuid)
    })
}

/// Set-user-ID programs of others that the service may execute, with descriptors that stay what they are
/// whatever becomes of their names.
fn candidates<K: Kernel>(
    kernel: &mut K,
    target: &Target,
    looks: &mut Looks,
    places: &[String],
    most: usize,
) -> Vec<(String, Fd)> {
    let mut found = Vec::new();
    for place in places {
        let _ = looks.through(kernel, target, place, |looks, kernel, path, stat| {
            let is_set_id = |stat: &Stat| {
                stat.kind == FileKind::Regular && stat.mode & 0o4000 != 0 && stat.uid != looks.own
            };
            if is_set_id(stat) {
                let (at, name) = target.reach(path);
                let opened = kernel.openat(at, &name, Open::Execute).and_then(|program| {
                    let stat = kernel.fstat(program)?;
                    Ok((program, is_set_id(&stat)))
                });
                match opened {
                    Ok((program, true)) => found.push((path.to_string(), program)),
                    // Not for the service to execute, and not its own to change.
                    Err(failure) if failure.errno == Errno::EACCES => {}
                    Err(failure) => looks.miss(path, &failure),
                    // Somebody exchanged it.
                    Ok((_, false)) => looks.miss(path, &Failure::new("openat", Errno::ENOENT)),
                }
            }
            (found.len() >= most).then_some(())
        });
        if found.len() >= most {
            break;
        }
    }
    found
}

enum Ran {
    As(u32),
    AsItself,
    /// By somebody, maybe before it ran at all.
    Silenced,
    NotAtAll,
    Unseen,
}

/// With an option that no program has, so that it does nothing, and asks the kernel as whom it ran before its
/// zombie is taken away.
fn run<K: Attack>(
    kernel: &mut K,
    target: &Target,
    path: &str,
    program: Fd,
    own: u32,
) -> Outcome<Ran> {
    let words = [path.to_string(), "--jailrun-attest".to_string()];
    let child = kernel.fork(move |kernel| {
        kernel
            .fexecve(program, &words, &[])
            .map_err(|_| NOT_EXECUTED)
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
    let state = state.map(|(_, state)| state);
    let is_silenced = matches!(
        state,
        Some(Waited::Stopped(_) | Waited::Ended(Ending::Signalled(_)))
    );
    Ok(match saved {
        None => Ran::Unseen,
        Some(uid) if uid != own => Ran::As(uid),
        Some(_) if is_silenced && !target.is_throwaway => Ran::Silenced,
        Some(_) if state == Some(Waited::Ended(Ending::Exited(NOT_EXECUTED))) => Ran::NotAtAll,
        Some(_) => Ran::AsItself,
    })
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
