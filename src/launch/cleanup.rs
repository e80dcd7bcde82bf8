//! Takes back what supervisors that were killed left behind. The kernel has ended their jails and
//! processes by then; what they mounted is told by their journals, and where a journal is gone by the
//! mount table alone: below the state directory, which only root can use, everything is ours.

use crate::kernel::{At, Errno, Failure, Kernel, Lock, Statfs, Unlink};
use crate::launch::instance::{self, Instance};
use crate::launch::journal::{State, Story};
use crate::launch::{address, listener, lock, pidfile, report, setid, steps};
use crate::plan::{self, STATE, jail_name, place, root};
use crate::record::About;

/// What could not be taken back.
#[derive(Debug)]
pub struct Leftover {
    pub step: String,
    pub failure: Failure,
}

fn leftover(step: impl Into<String>) -> impl FnOnce(Failure) -> Leftover {
    move |failure| Leftover {
        step: step.into(),
        failure,
    }
}

/// What became of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swept {
    /// Somebody runs it.
    Lives,
    Cleaned,
    /// There was nothing of that name.
    Nothing,
}

/// Cleans every instance that nobody runs, but `held`, whose lock the caller holds. Costs one
/// directory listing when nothing is there. Goes on after a failure, and gives back all of them.
pub fn sweep<K: Kernel>(kernel: &mut K, held: &str) -> Vec<Leftover> {
    let names = match instance::state_names(kernel) {
        Ok(names) => names,
        // Nothing was ever launched since the boot.
        Err(failure) if failure.errno == Errno::ENOENT => return Vec::new(),
        Err(failure) => return vec![leftover(format!("read {STATE}"))(failure)],
    };
    let mut leftovers = Vec::new();
    for name in names.iter().filter(|name| *name != held) {
        let swept = if name.starts_with(".address-") {
            let step = leftover(format!("clean up {STATE}/{name}"));
            address::sweep(kernel, name).map_err(step)
        } else if name.starts_with(".slot-") {
            let step = leftover(format!("clean up {STATE}/{name}"));
            unused_lock(kernel, &format!("{STATE}/{name}")).map_err(step)
        } else if name.starts_with('.') {
            Ok(())
        } else {
            one(kernel, name, GaveUp::Keep).map(drop)
        };
        leftovers.extend(swept.err());
    }
    leftovers
}

/// Removes a lock file that nobody holds.
fn unused_lock<K: Kernel>(kernel: &mut K, path: &str) -> Result<(), Failure> {
    match lock::take(kernel, path, Lock::Exclusive) {
        Err(failure) if failure.errno == Errno::EAGAIN => Ok(()),
        Err(failure) => Err(failure),
        Ok(fd) => lock::remove(kernel, fd, path),
    }
}

/// Whether the journal of an instance that ended too often, which says so, is kept for `list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    Keep,
    Forget,
}

/// Cleans one instance, if nobody runs it.
pub fn one<K: Kernel>(kernel: &mut K, label: &str, gave_up: GaveUp) -> Result<Swept, Leftover> {
    let step = format!("clean up the instance {label}");
    let held = match instance::take(kernel, label) {
        Err(failure) if failure.errno == Errno::EAGAIN => return Ok(Swept::Lives),
        // Nothing was ever launched since the boot.
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(Swept::Nothing),
        other => other.map_err(leftover(step.clone()))?,
    };
    let outcome = clean(kernel, &held);
    let keeps = gave_up == GaveUp::Keep && outcome.is_ok() && has_given_up(kernel, label);
    let released = match keeps {
        true => instance::leave(kernel, &held),
        false => instance::release(kernel, &held),
    };
    match outcome {
        // rc.d/cleanvar removes journals under live instances.
        Ok(Swept::Lives) => Ok(Swept::Lives),
        // All that is mounted lies below the directory, which this call has made.
        Ok(_) if held.is_new && released.is_ok() => Ok(Swept::Nothing),
        other => other
            .and_then(|swept| released.map(|()| swept))
            .map_err(leftover(step)),
    }
}

fn has_given_up<K: Kernel>(kernel: &mut K, label: &str) -> bool {
    matches!(instance::story(kernel, label), Ok(Ok(story)) if story.state == State::GaveUp)
}

/// Cleans an instance whose lock the caller holds. Its directory and journal stay.
pub fn clean<K: Kernel>(kernel: &mut K, held: &Instance) -> Result<Swept, Failure> {
    // A journal can be lost; a jail that lives has a supervisor, which owns it.
    if kernel.jail_find(&jail_name(&held.label))?.is_some() {
        return Ok(Swept::Lives);
    }
    let boot = kernel.boot_id()?;
    // An empty one, or one of another version, says nothing.
    let story = instance::story(kernel, &held.label)?.ok();
    let set_id = story
        .as_ref()
        .map_or_else(Vec::new, |story| take_set_id(kernel, story));
    // What another boot mounted is gone with it.
    let story = story.filter(|story| story.head.boot == boot);
    unmount_all(kernel, &held.label, story.as_ref())?;
    match kernel.rctl_remove_rule(&format!("jail:{}", jail_name(&held.label))) {
        Err(failure) if !matches!(failure.errno, Errno::ESRCH | Errno::ENOSYS) => {
            return Err(failure);
        }
        _ => {}
    }
    if let Some(story) = &story
        && let Some(path) = &story.pidfile
    {
        pidfile::sweep(kernel, path, story.head.pid)?;
    }
    for path in story.iter().flat_map(|story| &story.sockets) {
        listener::sweep(kernel, path)?;
    }
    report::remove(kernel, &plan::report::path(&held.label))?;
    // Directories only, and only empty ones: nothing is ever deleted below a mount point.
    for path in [root(&held.label), place(&held.label)] {
        match kernel.unlinkat(At::Cwd, &path, Unlink::Directory) {
            Err(failure) if failure.errno != Errno::ENOENT => return Err(failure),
            _ => {}
        }
    }
    match set_id.first() {
        None => Ok(Swept::Cleaned),
        Some(words) => Err(Failure {
            call: "fchmod",
            errno: Errno::EPERM,
            text: words.clone(),
        }),
    }
}

fn label_instance(label: &str) -> Option<String> {
    label.split_once('@').map(|(_, name)| name.to_string())
}

/// What a script that was root inside left in the directories that it could write. No other service is
/// root and has such: see `Profile::may_be_root`. There was none when it began (`setid::refuse`). A jail that
/// was only attested has no user in its journal.
fn take_set_id<K: Kernel>(kernel: &mut K, story: &Story) -> Vec<String> {
    if story.user.as_ref().is_none_or(|(uid, _)| *uid != 0) {
        return Vec::new();
    }
    let about = About {
        profile: story.head.profile.clone(),
        instance: label_instance(&story.head.label),
        uid: story.head.caller,
        ..About::default()
    };
    let paths = story.writes.iter().map(|(path, _)| path.as_str());
    setid::strip(kernel, paths, &about)
}

/// Last first. A failure ends it: what is left may lie in what comes after.
fn unmount_all<K: Kernel>(
    kernel: &mut K,
    label: &str,
    story: Option<&Story>,
) -> Result<(), Failure> {
    let directory = instance::directory(label);
    let below = format!("{directory}/");
    let mounts = kernel.getfsstat()?;
    let ours = |mount: &&Statfs| mount.on == directory || mount.on.starts_with(&below);
    for mount in mounts.iter().rev().filter(ours) {
        if !is_intended(mount, story) {
            return Err(Failure {
                call: "getfsstat",
                errno: Errno::EBUSY,
                text: format!("{} on {} is not of our making", mount.kind, mount.on),
            });
        }
        steps::unmount(kernel, mount.fsid)?;
    }
    Ok(())
}

/// With a journal: an intent of this type at this very path, and if the journal says that it was done,
/// also this fsid. Without one, any file system of the kinds that we mount.
fn is_intended(mount: &Statfs, story: Option<&Story>) -> bool {
    match story {
        Some(story) => story.mounts.iter().any(|known| {
            known.kind == mount.kind
                && known.target == mount.on
                && known.fsid.is_none_or(|fsid| fsid == mount.fsid)
        }),
        None => matches!(mount.kind.as_str(), "tmpfs" | "nullfs" | "devfs"),
    }
}
