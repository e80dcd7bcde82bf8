//! The child's last stage where the profile has it: descriptors in the place of names. It opens as the
//! service's user and inside its root, so that nothing is granted that the service couldn't open itself.

use super::child::{Stopped, at, channel};
use crate::kernel::{At, Errno, Failure, Fd, Kernel, Rights, SocketAddress, SocketKind};
use crate::plan::ChildPlan;
use crate::plan::capability::{Capability, Descriptor};

/// Opens and limits what the plan lists, closes all else but the channel and `spare`, and enters
/// capability mode.
pub(super) fn give_names_up<K: Kernel>(
    kernel: &mut K,
    plan: &ChildPlan,
    capability: &Capability,
    spare: Option<Fd>,
) -> Result<(), Stopped> {
    for descriptor in &capability.descriptors {
        open(kernel, descriptor, capability.is_static())?;
    }
    kernel.closefrom(spare.unwrap_or(highest(plan)).0 + 1);
    for descriptor in &capability.descriptors {
        limit(kernel, descriptor)?;
    }
    // It has to tell a failure, and nothing more.
    kernel
        .cap_rights_limit(channel(plan), Rights::WRITE)
        .map_err(at("limit the channel"))?;
    kernel.cap_enter().map_err(at("enter capability mode"))
}

/// The highest number that the plan gives to a descriptor, with the channel's.
pub fn highest(plan: &ChildPlan) -> Fd {
    let all = plan.capability.iter().flat_map(|all| &all.descriptors);
    let highest = all.map(|known| known.fd.0).max();
    Fd(highest.unwrap_or(0).max(channel(plan).0))
}

/// The kernel gives the lowest free number, but not behind a fork(2) of a process with a kqueue(2): it
/// passes over the one that the kqueue has there (fdcopy in sys/kern/kern_descrip.c).
fn open<K: Kernel>(
    kernel: &mut K,
    descriptor: &Descriptor,
    is_static: bool,
) -> Result<(), Stopped> {
    let Some(path) = &descriptor.path else {
        return Ok(());
    };
    let failed = |mut failure: Failure| {
        failure.text = format!("descriptor {}, {path}", descriptor.fd.0);
        at("open what the program has in capability mode")(failure)
    };
    let fd = match descriptor.how(is_static) {
        Some(how) => kernel.openat(At::Cwd, path, how),
        None => connected(kernel, path),
    };
    let fd = fd.map_err(failed)?;
    if fd == descriptor.fd && !descriptor.stays {
        return Ok(());
    }
    let stays = descriptor.stays;
    kernel.dup2(fd, descriptor.fd, stays).map_err(failed)?;
    match fd == descriptor.fd {
        true => Ok(()),
        false => kernel.close(fd).map_err(failed),
    }
}

/// A message socket whose messages go to the one at a path.
fn connected<K: Kernel>(kernel: &mut K, path: &str) -> Result<Fd, Failure> {
    let fd = kernel.socket(SocketKind::UnixDatagram)?;
    kernel.connect(fd, &SocketAddress::Unix(path.to_string()))?;
    Ok(fd)
}

fn limit<K: Kernel>(kernel: &mut K, descriptor: &Descriptor) -> Result<(), Stopped> {
    let stage = "limit what the program has in capability mode";
    let (fd, purpose) = (descriptor.fd, &descriptor.purpose);
    let rights = purpose.rights();
    // What the caller closed isn't there to be limited.
    match kernel.cap_rights_limit(fd, rights) {
        Err(failure) if failure.errno == Errno::EBADF && descriptor.path.is_none() => return Ok(()),
        other => other.map_err(at(stage))?,
    }
    if rights.holds(Rights::FCNTL) {
        let fcntls = purpose.fcntls();
        kernel.cap_fcntls_limit(fd, fcntls).map_err(at(stage))?;
    }
    if rights.holds(Rights::IOCTL) {
        let commands: Vec<u64> = purpose.ioctls().iter().map(|(_, number)| *number).collect();
        kernel.cap_ioctls_limit(fd, &commands).map_err(at(stage))?;
    }
    Ok(())
}
