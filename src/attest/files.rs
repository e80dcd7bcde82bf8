//! Attempts on files, mounts and devices.

use super::table::OF_CAPABILITY_MODE;
use super::{Seen, Target, Tried, nothing, open};
use crate::kernel::attack::Attack;
use crate::kernel::{
    At, Errno, Failure, Fd, Filesystem, Force, Fsid, Kernel, MountFlags, Nmount, Open, Unlink,
};
use crate::launch::child;
use crate::plan::STATE;
use crate::plan::child::FIRST;

/// Nobody has such a file: what is refused is refused before it is looked for.
const ABSENT: &str = "/jailrun-attest-absent";
/// Above this nobody looks for descriptors: closefrom(2) of the launch has no end, and a leak has a number.
const MOST_DESCRIPTORS: i32 = 4096;

pub fn password_file<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    readable(kernel, target, &["/etc/master.passwd", "/etc/spwd.db"])
}

/// The first that can be opened for reading; else how the last was refused.
fn readable<K: Kernel>(kernel: &mut K, target: &Target, paths: &[&str]) -> Tried {
    let mut last = Errno::ENOENT;
    for path in paths {
        let (at, name) = target.reach(path);
        match kernel.openat(at, &name, Open::Read) {
            Ok(_) => return open(*path),
            // The one that is there says more than those that aren't.
            Err(failure) if failure.errno == Errno::ENOENT => {}
            Err(failure) => last = failure.errno,
        }
    }
    Err(Failure::new("open", last))
}

pub fn above_root<K: Kernel>(kernel: &mut K) -> Tried {
    let root = kernel.lstatat(At::Cwd, "/")?;
    let above = kernel.lstatat(At::Cwd, "/..")?;
    if (root.device, root.inode) != (above.device, above.inode) {
        return open("/.. is another directory than /");
    }
    let state = format!("/../../../../../../../..{STATE}");
    kernel.lstatat(At::Cwd, &state)?;
    open(state)
}

pub fn passed_directory<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let Some(socket) = target.passed else {
        return Ok(Seen::NotShown("no directory could be passed".to_string()));
    };
    let directory = kernel.receive_descriptor(socket)?;
    match kernel.lstatat(At::Dir(directory), "..") {
        Ok(_) => return open("\"..\" of a directory that was passed"),
        Err(failure) if failure.errno == Errno::ENOTCAPABLE => {}
        Err(failure) => return Err(failure),
    }
    kernel.fchdir(directory)?;
    open("a directory that was passed became the working directory")
}

/// Writable places of the root, scratch space included.
pub(super) fn writable(target: &Target) -> impl Iterator<Item = &Nmount> {
    let is_writable = |mount: &&Nmount| {
        !mount.flags.read_only && !matches!(mount.filesystem, Filesystem::Devfs { .. })
    };
    target.mounts.iter().filter(is_writable)
}

/// A name that no file has.
pub(super) fn name_in<K: Kernel>(kernel: &mut K, directory: &str) -> String {
    let pid = kernel.getpid().0;
    format!("{}/.jailrun-attest-{pid}", directory.trim_end_matches('/'))
}

pub fn hard_link<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let own = kernel.getresuid()?.effective;
    let mut last = Failure::new("link", Errno::EROFS);
    let mut unknown = None;
    let places: Vec<String> = writable(target).map(|mount| mount.target.clone()).collect();
    for place in places.iter().map(String::as_str).chain(["/"]) {
        let name = name_in(kernel, place);
        let (from, to) = (target.reach(&target.child.program), target.reach(&name));
        match kernel.linkat(from.0, &from.1, to.0, &to.1) {
            Ok(()) => {
                // That it was there is what counts.
                let _ = kernel.unlinkat(to.0, &to.1, Unlink::File);
                return open(format!("{} as {name}", target.child.program));
            }
            Err(failure) => match refusal(kernel, target, place, own, &failure) {
                Some(failure) => last = failure,
                None => {
                    unknown.get_or_insert(format!("{place}: {failure}"));
                }
            },
        }
    }
    unknown.map_or(Err(last), |why| Ok(Seen::Cut(why)))
}

/// What refuses a link there whatever the service does. It can shut its own directory, fill it or take a name;
/// in another file system than the program's it gets no link by that or by its opposite (EXDEV).
fn refusal<K: Kernel>(
    kernel: &mut K,
    target: &Target,
    place: &str,
    own: u32,
    failure: &Failure,
) -> Option<Failure> {
    let sure = [
        Errno::EXDEV,
        Errno::EROFS,
        OF_CAPABILITY_MODE[0],
        OF_CAPABILITY_MODE[1],
    ];
    if sure.contains(&failure.errno) {
        return Some(failure.clone());
    }
    let (program, place) = (target.reach(&target.child.program), target.reach(place));
    let program = kernel.lstatat(program.0, &program.1).ok()?;
    let place = kernel.lstatat(place.0, &place.1).ok()?;
    let by_others = [Errno::EACCES, Errno::EPERM].contains(&failure.errno) && place.uid != own;
    match program.device == place.device {
        false => Some(Failure::new("link", Errno::EXDEV)),
        true => by_others.then(|| failure.clone()),
    }
}

pub fn read_only_mounts<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let mut last = None;
    let mut unknown = None;
    for mount in target.mounts.iter().filter(|mount| mount.flags.read_only) {
        let place = &*mount.target;
        match write(kernel, target, place) {
            Ok(()) => return open(place),
            Err(failure) if [Errno::EROFS, Errno::ENOTCAPABLE].contains(&failure.errno) => {
                last = Some(failure);
            }
            // By a mode, which is looked at first, and which may be the service's own to change.
            Err(failure) if failure.errno == Errno::EACCES => {
                match kernel
                    .statfs(place)
                    .is_ok_and(|found| found.flags.read_only)
                {
                    true => last = Some(failure),
                    false => {
                        unknown.get_or_insert(format!("{place}: {failure}"));
                    }
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    match (unknown, last) {
        (Some(why), _) => Ok(Seen::Cut(why)),
        (None, Some(failure)) => Err(failure),
        (None, None) => nothing("there are none"),
    }
}

/// Opens a file for writing and writes nothing, or makes one in a directory and takes it away.
fn write<K: Kernel>(kernel: &mut K, target: &Target, path: &str) -> Result<(), Failure> {
    let (at, there) = target.reach(path);
    let stat = kernel.lstatat(at, &there)?;
    if stat.kind != crate::kernel::FileKind::Directory {
        let fd = kernel.openat(at, &there, Open::Append(0o600))?;
        return kernel.close(fd);
    }
    let (at, name) = target.reach(&name_in(kernel, path));
    let fd = kernel.openat(at, &name, Open::CreateNew(0o600))?;
    // That it was there is what counts.
    let _ = kernel.unlinkat(at, &name, Unlink::File);
    kernel.close(fd)
}

pub fn device_node<K: Attack>(kernel: &mut K) -> Tried {
    kernel.mknod(&format!("{ABSENT}/device"))?;
    open("a device node")
}

pub fn devices<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let paths = [
        "/dev/mem",
        "/dev/kmem",
        "/dev/io",
        "/dev/pf",
        "/dev/bpf",
        "/dev/pci",
        "/dev/mdctl",
        "/dev/devctl",
        "/dev/zfs",
        "/dev/ada0",
        "/dev/da0",
        "/dev/nda0",
        "/dev/vtbd0",
        "/dev/nvme0",
    ];
    readable(kernel, target, &paths)
}

pub fn chroot<K: Attack>(kernel: &mut K) -> Tried {
    kernel.chroot("/")?;
    open("chroot(2)")
}

/// The classic one: what stands above its own root is held by none any more. Which directory it is
/// doesn't matter.
pub fn chroot_out<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    kernel.chdir("/")?;
    let mut last = nothing("it has no directory to change to");
    let mounts = target.mounts.iter().filter(|mount| mount.target != "/");
    for mount in mounts {
        match kernel.chroot(&mount.target) {
            Ok(()) => {
                let state = format!("../../../../../../../..{STATE}");
                kernel.lstatat(At::Cwd, &state)?;
                return open(format!("{STATE} by way of {}", mount.target));
            }
            Err(failure) if failure.errno == Errno::ENOTDIR => {}
            Err(failure) => last = Err(failure),
        }
    }
    last
}

pub fn mount<K: Kernel>(kernel: &mut K) -> Tried {
    kernel.nmount(&Nmount {
        filesystem: Filesystem::Tmpfs {
            size: 1 << 20,
            inodes: 16,
            mode: 0o700,
            uid: 0,
            gid: 0,
        },
        target: ABSENT.to_string(),
        flags: MountFlags::default(),
        update: false,
    })?;
    open("nmount(2)")
}

pub fn unmount<K: Kernel>(kernel: &mut K) -> Tried {
    kernel.unmount(Fsid(0, 0), Force::No)?;
    open("unmount(2)")
}

pub fn see_mounts<K: Kernel>(kernel: &mut K) -> Tried {
    let mounts = kernel.getfsstat()?;
    match mounts.as_slice() {
        [] | [_] => nothing("its root alone is seen"),
        all => open(format!("{} mounts", all.len())),
    }
}

/// Beside those of the plan, and the way back.
pub fn leftover_descriptors<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let channel = child::channel(&target.child);
    let planned = target.child.capability.iter();
    let planned = planned.flat_map(|all| all.descriptors.iter().map(|known| known.fd));
    let known: Vec<Fd> = planned.chain([channel]).collect();
    let mut last = Failure::new("fstat", Errno::EBADF);
    for number in FIRST..MOST_DESCRIPTORS {
        if known.contains(&Fd(number)) {
            continue;
        }
        match kernel.fstat(Fd(number)) {
            Ok(stat) => return open(format!("descriptor {number} ({:?})", stat.kind)),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}
