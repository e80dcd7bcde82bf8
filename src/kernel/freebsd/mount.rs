//! nmount(2), unmount(2), statfs(2) and devfs(8)'s rulesets.
//! Flags travel in the flags argument alone: nullfs ignores an option string that it doesn't know, and
//! devfs and tmpfs refuse some that are right, so strings are for what has no bit.

use std::ffi::{c_int, c_ulong};
use std::os::fd::AsRawFd;

use super::wire::{Options, c_string, checked, last, text_of};
use crate::kernel::{
    DevfsAct, DevfsRule, Errno, Failure, Filesystem, Force, Fsid, MountFlags, Nmount, Outcome,
    Statfs,
};

// sys/sys/mount.h.
const MNT_RDONLY: u64 = 0x1;
const MNT_NOEXEC: u64 = 0x4;
const MNT_NOSUID: u64 = 0x8;
const MNT_UPDATE: u64 = 0x1_0000;
const MNT_FORCE: c_int = 0x8_0000;
const MNT_NOSYMFOLLOW: u64 = 0x40_0000;
const MNT_IGNORE: u64 = 0x80_0000;
const MNT_BYFSID: c_int = 0x0800_0000;
const MNT_NOWAIT: c_int = 2;

pub fn nmount(mount: &Nmount) -> Outcome<()> {
    let mut options = Options::new("nmount");
    options.text("fstype", mount.filesystem.name())?;
    options.text("fspath", &mount.target)?;
    match &mount.filesystem {
        Filesystem::Nullfs { source, sockets } => {
            options.text("from", source)?;
            options.flag(if *sockets {
                "unixbypass"
            } else {
                "nounixbypass"
            })?;
        }
        Filesystem::Tmpfs {
            size,
            inodes,
            mode,
            uid,
            gid,
        } => {
            options.text("from", "tmpfs")?;
            // An update that names them, and rounds them otherwise than the kernel did, is EOPNOTSUPP.
            if !mount.update {
                options.text("size", &size.to_string())?;
                options.text("inodes", &inodes.to_string())?;
                options.text("mode", &format!("{mode:o}"))?;
                options.text("uid", &uid.to_string())?;
                options.text("gid", &gid.to_string())?;
            }
        }
        Filesystem::Devfs { ruleset } => {
            options.text("from", "devfs")?;
            options.text("ruleset", &ruleset.to_string())?;
        }
    }
    let update = if mount.update { MNT_UPDATE } else { 0 };
    let flags = (bits_of(mount.flags) | update | MNT_IGNORE) as c_int;
    options
        .submit(|vectors, count| {
            // SAFETY: `vectors` holds `count` iovecs into buffers of `options`, which outlive the call.
            // nmount(2) writes to "errmsg" alone, within its length.
            unsafe { libc::nmount(vectors, count, flags) }
        })
        .map(drop)
}

pub fn unmount(mount: Fsid, force: Force) -> Outcome<()> {
    let name = c_string("unmount", &format!("FSID:{}:{}", mount.0, mount.1))?;
    let flags = MNT_BYFSID | if force == Force::Yes { MNT_FORCE } else { 0 };
    // SAFETY: `name` is NUL-terminated and outlives the call, which reads it only.
    checked("unmount", unsafe { libc::unmount(name.as_ptr(), flags) }).map(drop)
}

/// Of a devfs no flag can be read back: devfs_statfs hides all but MNT_IGNORE.
pub fn statfs(path: &str) -> Outcome<Statfs> {
    let path = c_string("statfs", path)?;
    let mut found = zeroed();
    // SAFETY: `path` is NUL-terminated, `found` is one struct statfs, and both outlive the call.
    checked("statfs", unsafe {
        libc::statfs(path.as_ptr(), &raw mut found)
    })?;
    Ok(statfs_of(&found))
}

/// The list may grow between the count and the read: a full buffer is read again, twice as large.
pub fn getfsstat() -> Outcome<Vec<Statfs>> {
    // SAFETY: with a null buffer getfsstat(2) counts, and writes nothing.
    let count = unsafe { libc::getfsstat(std::ptr::null_mut(), 0, MNT_NOWAIT) };
    let mut room = checked("getfsstat", count)? as usize + 16;
    loop {
        let mut list = vec![zeroed(); room];
        let bytes = std::mem::size_of_val(list.as_slice()) as std::ffi::c_long;
        // SAFETY: `list` holds `bytes` bytes of struct statfs, of which the kernel fills whole ones.
        let filled = unsafe { libc::getfsstat(list.as_mut_ptr(), bytes, MNT_NOWAIT) };
        let filled = checked("getfsstat", filled)? as usize;
        if filled < room {
            return Ok(list.iter().take(filled).map(statfs_of).collect());
        }
        room *= 2;
    }
}

fn zeroed() -> libc::statfs {
    // SAFETY: struct statfs is integers and arrays of them: all zeroes is a value of it.
    unsafe { std::mem::zeroed() }
}

fn statfs_of(found: &libc::statfs) -> Statfs {
    // SAFETY: fsid_t is `int32_t val[2]` (sys/sys/_types.h); the crate hides the array. Both types are
    // eight bytes, aligned to four.
    let fsid: [i32; 2] = unsafe { std::mem::transmute_copy(&found.f_fsid) };
    Statfs {
        fsid: Fsid(fsid[0], fsid[1]),
        flags: flags_of(found.f_flags),
        kind: text_of(&found.f_fstypename.map(|byte| byte as u8)),
        from: text_of(&found.f_mntfromname.map(|byte| byte as u8)),
        on: text_of(&found.f_mntonname.map(|byte| byte as u8)),
    }
}

fn bits_of(flags: MountFlags) -> u64 {
    let bit = |is_set: bool, value: u64| if is_set { value } else { 0 };
    bit(flags.read_only, MNT_RDONLY)
        | bit(flags.nosuid, MNT_NOSUID)
        | bit(flags.noexec, MNT_NOEXEC)
        | bit(flags.nosymfollow, MNT_NOSYMFOLLOW)
}

fn flags_of(bits: u64) -> MountFlags {
    MountFlags {
        read_only: bits & MNT_RDONLY != 0,
        nosuid: bits & MNT_NOSUID != 0,
        noexec: bits & MNT_NOEXEC != 0,
        nosymfollow: bits & MNT_NOSYMFOLLOW != 0,
    }
}

// sys/fs/devfs/devfs.h.
const DEVFSIO_RADD: c_ulong = 0xc0ec_4400;
const DEVFSIO_RDEL: c_ulong = 0x8004_4401;
const DEVFSIO_RGETNEXT: c_ulong = 0xc0ec_4404;
const DEVFS_MAGIC: u32 = 0xdb0a_087a;
const DRC_DSWFLAGS: i32 = 1;
const DRC_PATHPTRN: i32 = 2;
const DRA_BACTS: i32 = 1;
const DRB_HIDE: i32 = 1;
const DRB_UNHIDE: i32 = 2;
const PATTERN_LENGTH: usize = 200;

/// struct devfs_rule.
#[repr(C)]
struct WireRule {
    magic: u32,
    id: u32,
    conditions: i32,
    device_flags: i32,
    pattern: [u8; PATTERN_LENGTH],
    actions: i32,
    visibility: i32,
    uid: u32,
    gid: u32,
    mode: u16,
    include: u16,
}

const _: () = assert!(std::mem::size_of::<WireRule>() == 236);

impl WireRule {
    fn numbered(ruleset: u16, number: u16) -> WireRule {
        WireRule {
            magic: DEVFS_MAGIC,
            id: rule_id(ruleset, number),
            conditions: 0,
            device_flags: 0,
            pattern: [0; PATTERN_LENGTH],
            actions: 0,
            visibility: 0,
            uid: 0,
            gid: 0,
            mode: 0,
            include: 0,
        }
    }
}

fn rule_id(ruleset: u16, number: u16) -> u32 {
    u32::from(ruleset) << 16 | u32::from(number)
}

pub fn devfs_radd(rule: &DevfsRule) -> Outcome<()> {
    const CALL: &str = "DEVFSIO_RADD";
    let mut wire = WireRule::numbered(rule.ruleset, rule.number);
    if let Some(pattern) = &rule.pattern {
        let pattern = c_string(CALL, pattern)?;
        let bytes = pattern.as_bytes_with_nul();
        let room = wire.pattern.get_mut(..bytes.len());
        room.ok_or(Failure::new(CALL, Errno::ENAMETOOLONG))?
            .copy_from_slice(bytes);
        wire.conditions = DRC_PATHPTRN;
    }
    wire.actions = DRA_BACTS;
    wire.visibility = match rule.act {
        DevfsAct::Hide => DRB_HIDE,
        DevfsAct::Unhide => DRB_UNHIDE,
        DevfsAct::Other => return Err(Failure::new(CALL, Errno::EINVAL)),
    };
    on_dev(CALL, DEVFSIO_RADD, &mut wire)
}

pub fn devfs_rgetnext(ruleset: u16, after: u16) -> Outcome<Option<DevfsRule>> {
    let mut wire = WireRule::numbered(ruleset, after);
    match on_dev("DEVFSIO_RGETNEXT", DEVFSIO_RGETNEXT, &mut wire) {
        Ok(()) => Ok(Some(rule_of(&wire))),
        Err(failure) if failure.errno == Errno::ENOENT => Ok(None),
        Err(failure) => Err(failure),
    }
}

pub fn devfs_rdel(ruleset: u16, number: u16) -> Outcome<()> {
    on_dev("DEVFSIO_RDEL", DEVFSIO_RDEL, &mut rule_id(ruleset, number))
}

/// A rule with a condition or an act that `DevfsRule` can't say is `Other`: it must not pass for one of
/// ours, whatever else it does.
fn rule_of(wire: &WireRule) -> DevfsRule {
    let sayable = wire.actions == DRA_BACTS && wire.conditions & DRC_DSWFLAGS == 0;
    let act = match wire.visibility {
        DRB_HIDE if sayable => DevfsAct::Hide,
        DRB_UNHIDE if sayable => DevfsAct::Unhide,
        _ => DevfsAct::Other,
    };
    let pattern = (wire.conditions & DRC_PATHPTRN != 0).then(|| text_of(&wire.pattern));
    DevfsRule {
        ruleset: (wire.id >> 16) as u16,
        number: wire.id as u16,
        pattern,
        act,
    }
}

/// One ioctl(2) through a descriptor that lives no longer than the call. `T` is the request's argument.
fn on_dev<T>(call: &'static str, request: c_ulong, argument: &mut T) -> Outcome<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut how = std::fs::OpenOptions::new();
    let dev = how
        .read(true)
        .custom_flags(libc::O_DIRECTORY)
        .open("/dev")
        .map_err(|_| last("open"))?;
    // SAFETY: the request's number holds the size of its argument, and `argument` is a live value of
    // that size: 236 bytes of `WireRule` for RADD and RGETNEXT, a u32 for RDEL.
    checked(call, unsafe {
        libc::ioctl(dev.as_raw_fd(), request, std::ptr::from_mut(argument))
    })
    .map(drop)
}
