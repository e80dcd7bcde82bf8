//! Files and descriptors. Nothing here follows a link in the last component, but `Open::Device`.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;

use super::wire::{c_string, checked, counted, last, text_of};
use crate::kernel::{At, Errno, Failure, Fd, FileKind, Lock, Open, Outcome, Stat, Unlink};

unsafe extern "C" {
    // bindat(2), since FreeBSD 10; the crate has none of it.
    #[link_name = "bindat"]
    fn bindat_(
        fd: c_int,
        socket: c_int,
        address: *const libc::sockaddr,
        length: libc::socklen_t,
    ) -> c_int;
    // acl(3), in libc.so; the crate has none of it.
    fn acl_get_fd_np(fd: c_int, kind: c_int) -> *mut c_void;
    fn acl_is_trivial_np(acl: *mut c_void, trivial: *mut c_int) -> c_int;
    fn acl_free(acl: *mut c_void) -> c_int;
    // dirent(3), by its 64-bit inode symbol, the only one that 12.0 and later link to.
    fn getdirentries(fd: c_int, buffer: *mut u8, length: usize, base: *mut i64) -> isize;
}

const ACL_TYPE_NFS4: c_int = 4;
const PC_ACL_NFS4: c_int = 64;

pub(super) fn start(at: At) -> c_int {
    match at {
        At::Cwd => libc::AT_FDCWD,
        At::Dir(fd) => fd.0,
    }
}

pub fn openat(at: At, path: &str, how: Open) -> Outcome<Fd> {
    let path = c_string("openat", path)?;
    let (flags, mode) = match how {
        Open::Directory => (libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0),
        Open::Read => (libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOFOLLOW, 0),
        Open::Execute => (libc::O_EXEC | libc::O_NOFOLLOW, 0),
        Open::Path => (libc::O_PATH | libc::O_NOFOLLOW, 0),
        Open::ReadWriteCreate(mode) => (
            libc::O_RDWR | libc::O_CREAT | libc::O_APPEND | libc::O_NOFOLLOW,
            mode,
        ),
        Open::CreateNew(mode) => (
            libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW,
            mode,
        ),
        Open::Device => (libc::O_RDWR, 0),
        Open::Terminal => (libc::O_RDWR | libc::O_NOCTTY | libc::O_NOFOLLOW, 0),
        Open::Append(mode) => (
            libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NONBLOCK | libc::O_NOFOLLOW,
            mode,
        ),
    };
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: `path` is NUL-terminated and outlives the call; the mode is there for O_CREAT.
    checked("openat", unsafe {
        libc::openat(start(at), path.as_ptr(), flags, mode)
    })
    .map(Fd)
}

pub fn close(fd: Fd) -> Outcome<()> {
    // SAFETY: an integer; whose descriptor it is, the launch decides, and no Rust object owns it.
    checked("close", unsafe { libc::close(fd.0) }).map(drop)
}

pub fn fstat(fd: Fd) -> Outcome<Stat> {
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: `found` is room for one struct stat.
    checked("fstat", unsafe { libc::fstat(fd.0, found.as_mut_ptr()) })?;
    // SAFETY: struct stat is plain integers, zeroed before the kernel filled it.
    Ok(stat_of(&unsafe { found.assume_init() }))
}

pub fn lstatat(at: At, path: &str) -> Outcome<Stat> {
    let path = c_string("fstatat", path)?;
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    let room = found.as_mut_ptr();
    // SAFETY: `path` is NUL-terminated, `room` points to one struct stat, and both outlive the call.
    let result =
        unsafe { libc::fstatat(start(at), path.as_ptr(), room, libc::AT_SYMLINK_NOFOLLOW) };
    checked("fstatat", result)?;
    // SAFETY: struct stat is plain integers, zeroed before the kernel filled it.
    Ok(stat_of(&unsafe { found.assume_init() }))
}

fn stat_of(found: &libc::stat) -> Stat {
    let kind = match found.st_mode & libc::S_IFMT {
        libc::S_IFDIR => FileKind::Directory,
        libc::S_IFLNK => FileKind::Symlink,
        libc::S_IFCHR => FileKind::CharacterDevice,
        libc::S_IFBLK => FileKind::BlockDevice,
        libc::S_IFIFO => FileKind::Fifo,
        libc::S_IFREG => FileKind::Regular,
        // Sockets, and the objects without a file type: shared memory, kqueues, jail descriptors.
        _ => FileKind::Socket,
    };
    Stat {
        kind,
        device: found.st_dev,
        inode: found.st_ino,
        mode: u32::from(found.st_mode & 0o7777),
        links: found.st_nlink,
        uid: found.st_uid,
        gid: found.st_gid,
        size: u64::try_from(found.st_size).unwrap_or(0),
        ctime: (found.st_ctime, found.st_ctime_nsec),
    }
}

pub fn acl_is_trivial(fd: Fd) -> Outcome<bool> {
    // SAFETY: fpathconf(2) takes integers only.
    let has_nfs4 = unsafe { libc::fpathconf(fd.0, PC_ACL_NFS4) };
    if has_nfs4 == -1 {
        // EINVAL: a filesystem that has never heard of the question has no such ACLs.
        let failure = last("fpathconf");
        return if failure.errno == Errno::EINVAL {
            Ok(true)
        } else {
            Err(failure)
        };
    }
    if has_nfs4 == 0 {
        return Ok(true);
    }
    // SAFETY: integers only; the result is null or an ACL that is ours to free.
    let acl = unsafe { acl_get_fd_np(fd.0, ACL_TYPE_NFS4) };
    if acl.is_null() {
        return Err(last("acl_get_fd_np"));
    }
    let mut trivial = 0;
    // SAFETY: `acl` came from acl_get_fd_np(3) and isn't freed yet; `trivial` is a live int.
    let asked = checked("acl_is_trivial_np", unsafe {
        acl_is_trivial_np(acl, &raw mut trivial)
    });
    // SAFETY: `acl` came from acl_get_fd_np(3), is freed once, and isn't used after.
    unsafe { acl_free(acl) };
    asked.map(|_| trivial != 0)
}

pub fn read(fd: Fd, buffer: &mut [u8]) -> Outcome<usize> {
    // SAFETY: `buffer` is writable for as many bytes as are asked for.
    counted("read", unsafe {
        libc::read(fd.0, buffer.as_mut_ptr().cast(), buffer.len())
    })
}

pub fn pread(fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
    let offset = i64::try_from(offset).map_err(|_| Failure::new("pread", Errno::EINVAL))?;
    // SAFETY: `buffer` is writable for as many bytes as are asked for.
    counted("pread", unsafe {
        libc::pread(fd.0, buffer.as_mut_ptr().cast(), buffer.len(), offset)
    })
}

pub fn readlinkat(at: At, path: &str) -> Outcome<String> {
    const CALL: &str = "readlinkat";
    let path = c_string(CALL, path)?;
    let mut buffer = [0_u8; 1024];
    let (room, length) = (buffer.as_mut_ptr().cast(), buffer.len());
    // SAFETY: `path` is NUL-terminated, `room` is writable for `length` bytes, and both outlive the call.
    let filled = unsafe { libc::readlinkat(start(at), path.as_ptr(), room, length) };
    let filled = counted(CALL, filled)?;
    // A text that fills the buffer may have been cut.
    let text = buffer.get(..filled).filter(|text| text.len() < length);
    let text = text.ok_or(Failure::new(CALL, Errno::ENAMETOOLONG))?;
    String::from_utf8(text.to_vec()).map_err(|_| Failure::new(CALL, Errno::EILSEQ))
}

pub fn write(fd: Fd, bytes: &[u8]) -> Outcome<usize> {
    // SAFETY: `bytes` is readable for as many bytes as are offered.
    counted("write", unsafe {
        libc::write(fd.0, bytes.as_ptr().cast(), bytes.len())
    })
}

pub fn mkdirat(at: At, path: &str, mode: u32) -> Outcome<()> {
    let path = c_string("mkdirat", path)?;
    // SAFETY: `path` is NUL-terminated and outlives the call.
    let result = unsafe { libc::mkdirat(start(at), path.as_ptr(), mode as libc::mode_t) };
    checked("mkdirat", result).map(drop)
}

pub fn symlinkat(target: &str, at: At, path: &str) -> Outcome<()> {
    let target = c_string("symlinkat", target)?;
    let path = c_string("symlinkat", path)?;
    // SAFETY: both strings are NUL-terminated and outlive the call.
    let result = unsafe { libc::symlinkat(target.as_ptr(), start(at), path.as_ptr()) };
    checked("symlinkat", result).map(drop)
}

pub fn unlinkat(at: At, path: &str, what: Unlink) -> Outcome<()> {
    let path = c_string("unlinkat", path)?;
    let flags = match what {
        Unlink::File => 0,
        Unlink::Directory => libc::AT_REMOVEDIR,
    };
    // SAFETY: `path` is NUL-terminated and outlives the call.
    checked("unlinkat", unsafe {
        libc::unlinkat(start(at), path.as_ptr(), flags)
    })
    .map(drop)
}

pub fn fchown(fd: Fd, uid: u32, gid: u32) -> Outcome<()> {
    // SAFETY: integers only.
    checked("fchown", unsafe { libc::fchown(fd.0, uid, gid) }).map(drop)
}

pub fn fchmod(fd: Fd, mode: u32) -> Outcome<()> {
    // SAFETY: integers only.
    checked("fchmod", unsafe {
        libc::fchmod(fd.0, mode as libc::mode_t)
    })
    .map(drop)
}

pub fn ftruncate(fd: Fd, size: u64) -> Outcome<()> {
    let size = i64::try_from(size).map_err(|_| Failure::new("ftruncate", Errno::EFBIG))?;
    // SAFETY: integers only.
    checked("ftruncate", unsafe { libc::ftruncate(fd.0, size) }).map(drop)
}

pub fn readdir(directory: Fd) -> Outcome<Vec<String>> {
    // SAFETY: integers only. From the start again, whoever read it before.
    if unsafe { libc::lseek(directory.0, 0, libc::SEEK_SET) } == -1 {
        return Err(last("lseek"));
    }
    let mut names = Vec::new();
    let mut buffer = vec![0_u8; 16 * 1024];
    loop {
        let room = buffer.len();
        let nowhere = std::ptr::null_mut();
        // SAFETY: `buffer` is writable for `room` bytes; a null base pointer is allowed.
        let filled = unsafe { getdirentries(directory.0, buffer.as_mut_ptr(), room, nowhere) };
        let filled = counted("getdirentries", filled)?;
        if filled == 0 {
            return Ok(names);
        }
        collect_names(&buffer[..filled], &mut names);
    }
}

/// struct dirent: inode (0 for a hole), offset, record length at 16, type, name's length at 20, name at
/// 24. Walks no further than whole records.
fn collect_names(mut records: &[u8], names: &mut Vec<String>) {
    const NAME: usize = 24;
    while records.len() > NAME {
        let short = |at: usize| usize::from(u16::from_ne_bytes([records[at], records[at + 1]]));
        let (record, name_length) = (short(16), short(20));
        let Some(name) = records.get(NAME..NAME + name_length) else {
            return;
        };
        let is_hole = records[..8] == [0; 8];
        if !is_hole && name != b"." && name != b".." {
            names.push(text_of(name));
        }
        if record == 0 || record > records.len() {
            return;
        }
        records = &records[record..];
    }
}

/// flock(2)'s locks are in the same list as fcntl(2)'s (sys/kern/kern_lockf.c), with no pid.
pub fn is_locked(fd: Fd) -> Outcome<bool> {
    let mut wanted = libc::flock {
        l_start: 0,
        l_len: 0,
        l_pid: 0,
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_sysid: 0,
    };
    // SAFETY: `wanted` is a live struct flock, which the kernel overwrites with the lock in the way.
    let result = unsafe { libc::fcntl(fd.0, libc::F_GETLK, &raw mut wanted) };
    checked("fcntl", result)?;
    Ok(wanted.l_type != libc::F_UNLCK as libc::c_short)
}

pub fn flock(fd: Fd, lock: Lock) -> Outcome<()> {
    let operation = match lock {
        Lock::Shared => libc::LOCK_SH,
        Lock::Exclusive => libc::LOCK_EX,
    };
    // SAFETY: integers only.
    checked("flock", unsafe {
        libc::flock(fd.0, operation | libc::LOCK_NB)
    })
    .map(drop)
}

pub fn chdir(path: &str) -> Outcome<()> {
    let path = c_string("chdir", path)?;
    // SAFETY: `path` is NUL-terminated and outlives the call.
    checked("chdir", unsafe { libc::chdir(path.as_ptr()) }).map(drop)
}

pub fn umask(mask: u32) {
    // SAFETY: an integer; umask(2) can't fail.
    unsafe { libc::umask(mask as libc::mode_t) };
}

pub fn isatty(fd: Fd) -> bool {
    // SAFETY: an integer only.
    unsafe { libc::isatty(fd.0) == 1 }
}

pub fn dup2(from: Fd, to: Fd, keep_at_exec: bool) -> Outcome<()> {
    // SAFETY: integers; no Rust object owns `to`.
    checked("dup2", unsafe { libc::dup2(from.0, to.0) })?;
    // Also where the two are the same, and dup2(2) did nothing.
    set_close_on_exec(to, !keep_at_exec)
}

pub fn dup_from(from: Fd, least: i32) -> Outcome<Fd> {
    // SAFETY: F_DUPFD_CLOEXEC takes one int.
    checked("fcntl", unsafe {
        libc::fcntl(from.0, libc::F_DUPFD_CLOEXEC, least)
    })
    .map(Fd)
}

pub fn set_close_on_exec(fd: Fd, close: bool) -> Outcome<()> {
    let flags = if close { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: F_SETFD takes one int.
    checked("fcntl", unsafe { libc::fcntl(fd.0, libc::F_SETFD, flags) }).map(drop)
}

pub fn closefrom(lowest: i32) {
    // SAFETY: an integer; called where no Rust object owns a descriptor that high.
    unsafe { libc::closefrom(lowest) };
}

pub fn socketpair() -> Outcome<(Fd, Fd)> {
    let mut pair = [-1; 2];
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: `pair` is room for the two ints that the kernel writes.
    let result = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) };
    checked("socketpair", result)?;
    Ok((Fd(pair[0]), Fd(pair[1])))
}

pub fn bindat(at: At, path: &str, socket: Fd) -> Outcome<()> {
    let path = c_string("bindat", path)?;
    let bytes = path.as_bytes_with_nul();
    let mut address = libc::sockaddr_un {
        sun_len: 0,
        sun_family: libc::AF_UNIX as libc::sa_family_t,
        sun_path: [0; 104],
    };
    if bytes.len() > address.sun_path.len() {
        return Err(Failure::new("bindat", Errno::ENAMETOOLONG));
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    // Two bytes of length and family come before the path; what is behind its NUL doesn't count.
    address.sun_len = (2 + bytes.len()) as u8;
    let length = libc::socklen_t::from(address.sun_len);
    // SAFETY: `address` is a whole struct sockaddr_un that outlives the call, and `length` is within it.
    let result = unsafe { bindat_(start(at), socket.0, (&raw const address).cast(), length) };
    checked("bindat", result).map(drop)
}

pub fn pipe() -> Outcome<(Fd, Fd)> {
    let mut pair = [-1; 2];
    // SAFETY: `pair` is room for the two ints that the kernel writes.
    checked("pipe2", unsafe {
        libc::pipe2(pair.as_mut_ptr(), libc::O_CLOEXEC)
    })?;
    Ok((Fd(pair[0]), Fd(pair[1])))
}

pub fn set_nonblocking(fd: Fd) -> Outcome<()> {
    // SAFETY: F_GETFL takes no argument.
    let flags = checked("fcntl", unsafe { libc::fcntl(fd.0, libc::F_GETFL) })?;
    // SAFETY: F_SETFL takes one int.
    checked("fcntl", unsafe {
        libc::fcntl(fd.0, libc::F_SETFL, flags | libc::O_NONBLOCK)
    })
    .map(drop)
}

/// poll(2) is no promise: a pipe has room for less than the line, another writer comes first, an
/// eventfd(2) takes no more. So a timer ends the sleep; O_NONBLOCK would be the caller's to take back.
pub fn write_briefly(fd: Fd, bytes: &[u8], wait_ms: c_int) -> Outcome<usize> {
    if !poll_writable(fd, wait_ms) {
        return Err(Failure::new("write", Errno::EAGAIN));
    }
    super::event::interrupted(|| write(fd, bytes))
}

/// Asked of sockets. What can't be told counts as local.
pub fn is_local_socket(fd: Fd) -> bool {
    let mut address = std::mem::MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `address` is room for `length` bytes, and both outlive the call.
    let result = unsafe { libc::getsockname(fd.0, address.as_mut_ptr().cast(), &raw mut length) };
    // SAFETY: a sockaddr_storage is integers, and all zeroes is a value of it.
    let address = unsafe { address.assume_init() };
    result != 0 || !matches!(i32::from(address.ss_family), libc::AF_INET | libc::AF_INET6)
}

/// Whether a write is done with at once, within so many milliseconds: of a peer that has gone (POLLHUP
/// without POLLOUT, poll(2)) it is told at once too.
fn poll_writable(fd: Fd, timeout_ms: c_int) -> bool {
    let mut asked = libc::pollfd {
        fd: fd.0,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one live pollfd.
    let count = unsafe { libc::poll(&raw mut asked, 1, timeout_ms) };
    count == 1
}
