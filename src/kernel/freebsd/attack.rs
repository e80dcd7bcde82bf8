//! The calls of an intruder, for `jailrunctl attest` and `why`. Marshalling, and nothing else.

use std::ffi::{c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::FreeBsd;
use super::files::start;
use super::wire::{c_string, checked, counted, last};
use crate::kernel::attack::{Access, Attack, Memory, Socket};
use crate::kernel::{At, Errno, Failure, Fd, Outcome, Pid};

const SYS_KLDLOAD: c_int = 304;
/// A device number: its own driver would have to be chosen for it.
const NO_DEVICE: libc::dev_t = 0xfe;
const PAGE: usize = 4096;
/// sys/net/route.h.
const RTM_VERSION: u8 = 5;
const RTM_DELETE: u8 = 2;
const RTF_HOST: i32 = 4;
const RTA_DST: i32 = 1;
const RT_MSGHDR: usize = 152;
/// CMSG_LEN and CMSG_SPACE of one int: a cmsghdr of 12 bytes, each part aligned to 8.
const CMSG_LENGTH: u32 = 20;
const CMSG_SPACE: usize = 24;

impl Attack for FreeBsd {
    fn cannot_show(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn make_socket(&mut self, socket: Socket) -> Outcome<Fd> {
        let (family, kind, protocol) = match socket {
            Socket::Tcp4 => (libc::AF_INET, libc::SOCK_STREAM, 0),
            Socket::Tcp6 => (libc::AF_INET6, libc::SOCK_STREAM, 0),
            Socket::Raw4 => (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
            Socket::Raw6 => (libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6),
            Socket::Route => (libc::PF_ROUTE, libc::SOCK_RAW, 0),
        };
        // SAFETY: three integers.
        let made = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
        checked("socket", made).map(Fd)
    }

    fn bind_to(&mut self, socket: Fd, address: SocketAddr) -> Outcome<()> {
        let (bytes, length) = sockaddr(address);
        // SAFETY: `bytes` begins with a sockaddr of `length` bytes and outlives the call.
        let result = unsafe { libc::bind(socket.0, bytes.as_ptr().cast(), length) };
        checked("bind", result).map(drop)
    }

    fn listen_on(&mut self, socket: Fd) -> Outcome<()> {
        // SAFETY: two integers.
        checked("listen", unsafe { libc::listen(socket.0, 1) }).map(drop)
    }

    fn connect_to(&mut self, socket: Fd, address: SocketAddr) -> Outcome<()> {
        let (bytes, length) = sockaddr(address);
        // SAFETY: `bytes` begins with a sockaddr of `length` bytes and outlives the call.
        let result = unsafe { libc::connect(socket.0, bytes.as_ptr().cast(), length) };
        checked("connect", result).map(drop)
    }

    fn getsockname(&mut self, socket: Fd) -> Outcome<SocketAddr> {
        const CALL: &str = "getsockname";
        let mut bytes = Aligned([0_u8; 28]);
        let mut length = 28;
        let room = (&raw mut bytes.0).cast();
        // SAFETY: `room` is 28 bytes, as `length` says, aligned for any sockaddr.
        checked(CALL, unsafe {
            libc::getsockname(socket.0, room, &raw mut length)
        })?;
        let port = u16::from_be_bytes([bytes.0[2], bytes.0[3]]);
        let address = match c_int::from(bytes.0[1]) {
            libc::AF_INET => <[u8; 4]>::try_from(&bytes.0[4..8]).map(IpAddr::from),
            _ => <[u8; 16]>::try_from(&bytes.0[8..24]).map(IpAddr::from),
        };
        let address = address.map_err(|_| Failure::new(CALL, Errno::EINVAL))?;
        Ok(SocketAddr::new(address, port))
    }

    fn route_delete(&mut self, socket: Fd, destination: Ipv4Addr) -> Outcome<()> {
        let (target, length) = sockaddr(SocketAddr::new(destination.into(), 0));
        let mut message = [0_u8; RT_MSGHDR + 16];
        let total = message.len() as u16;
        let fields: [(usize, &[u8]); 6] = [
            (0, &total.to_ne_bytes()),
            (2, &[RTM_VERSION, RTM_DELETE]),
            (8, &RTF_HOST.to_ne_bytes()),
            (12, &RTA_DST.to_ne_bytes()),
            (20, &1_i32.to_ne_bytes()),
            (RT_MSGHDR, &target.0[..length as usize]),
        ];
        for (start, bytes) in fields {
            message[start..start + bytes.len()].copy_from_slice(bytes);
        }
        // SAFETY: `message` is readable for its length and outlives the call.
        let written = unsafe { libc::write(socket.0, message.as_ptr().cast(), message.len()) };
        counted("write", written).map(drop)
    }

    fn mknod(&mut self, path: &str) -> Outcome<()> {
        let path = c_string("mknod", path)?;
        let mode = libc::S_IFCHR | 0o600;
        // SAFETY: `path` is NUL-terminated and outlives the call.
        let result = unsafe { libc::mknod(path.as_ptr(), mode, NO_DEVICE) };
        checked("mknod", result).map(drop)
    }

    fn access(&mut self, path: &str, access: Access) -> Outcome<()> {
        let path = c_string("access", path)?;
        let mode = match access {
            Access::Read => libc::R_OK,
            Access::Write => libc::W_OK,
            Access::Execute => libc::X_OK,
            Access::ReadAndSearch => libc::R_OK | libc::X_OK,
            Access::WriteAndSearch => libc::W_OK | libc::X_OK,
        };
        // SAFETY: `path` is NUL-terminated and outlives the call.
        let result =
            unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) };
        checked("access", result).map(drop)
    }

    fn linkat(&mut self, from: At, name: &str, to: At, new: &str) -> Outcome<()> {
        let (name, new) = (c_string("linkat", name)?, c_string("linkat", new)?);
        let (from, to) = (start(from), start(to));
        // SAFETY: both names are NUL-terminated and outlive the call.
        let result = unsafe { libc::linkat(from, name.as_ptr(), to, new.as_ptr(), 0) };
        checked("linkat", result).map(drop)
    }

    fn chroot(&mut self, path: &str) -> Outcome<()> {
        let path = c_string("chroot", path)?;
        // SAFETY: `path` is NUL-terminated and outlives the call.
        checked("chroot", unsafe { libc::chroot(path.as_ptr()) }).map(drop)
    }

    fn fchdir(&mut self, directory: Fd) -> Outcome<()> {
        // SAFETY: one integer.
        checked("fchdir", unsafe { libc::fchdir(directory.0) }).map(drop)
    }

    fn kldload(&mut self, module: &str) -> Outcome<()> {
        let module = c_string("kldload", module)?;
        // SAFETY: kldload(2) takes one NUL-terminated string, which outlives the call.
        let result = unsafe { libc::syscall(SYS_KLDLOAD, module.as_ptr()) };
        checked("kldload", result as c_int).map(drop)
    }

    fn sysctl_set_int(&mut self, name: &str, value: i32) -> Outcome<()> {
        let name = c_string("sysctlbyname", name)?;
        let (old, new) = (std::ptr::null_mut(), (&raw const value).cast());
        // SAFETY: `name` is NUL-terminated, `new` is a live int of the size given, and no old value is
        // asked for.
        let result = unsafe {
            libc::sysctlbyname(
                name.as_ptr(),
                old,
                std::ptr::null_mut(),
                new,
                size_of::<i32>(),
            )
        };
        checked("sysctlbyname", result).map(drop)
    }

    fn mmap(&mut self, bytes: u64, memory: Memory) -> Outcome<()> {
        let extra = match memory {
            Memory::Data => 0,
            Memory::WritableCode => libc::PROT_EXEC,
        };
        let protection = libc::PROT_READ | libc::PROT_WRITE | extra;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        // SAFETY: without MAP_FIXED a mapping comes where nothing of ours is, and nothing refers to it.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        match mapped == libc::MAP_FAILED {
            true => Err(last("mmap")),
            false => Ok(()),
        }
    }

    fn mlock(&mut self) -> Outcome<()> {
        let page = vec![0_u8; 2 * PAGE];
        // SAFETY: `page` is live and larger than what is locked; the process ends with it locked, or not.
        checked("mlock", unsafe { libc::mlock(page.as_ptr().cast(), PAGE) }).map(drop)
    }

    fn shmget(&mut self, key: i32) -> Outcome<i32> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | 0o666;
        // SAFETY: integers alone.
        let made = unsafe { libc::shmget(libc::key_t::from(key), PAGE, flags) };
        checked("shmget", made)
    }

    fn shm_attach(&mut self, segment: i32) -> Outcome<()> {
        let anywhere = std::ptr::null();
        // SAFETY: without an address it comes where nothing of ours is, and nothing refers to it.
        let attached = unsafe { libc::shmat(segment, anywhere, libc::SHM_RDONLY) };
        match attached.addr() == usize::MAX {
            true => Err(last("shmat")),
            false => Ok(()),
        }
    }

    fn shm_stat(&mut self, segment: i32) -> Outcome<()> {
        let mut found = std::mem::MaybeUninit::<libc::shmid_ds>::zeroed();
        // SAFETY: `found` is room for the one struct shmid_ds that IPC_STAT writes.
        let result = unsafe { libc::shmctl(segment, libc::IPC_STAT, found.as_mut_ptr()) };
        checked("shmctl", result).map(drop)
    }

    fn shm_remove(&mut self, segment: i32) -> Outcome<()> {
        let nothing = std::ptr::null_mut();
        // SAFETY: IPC_RMID reads and writes no structure.
        let result = unsafe { libc::shmctl(segment, libc::IPC_RMID, nothing) };
        checked("shmctl", result).map(drop)
    }

    fn ptrace_me(&mut self) -> Outcome<()> {
        let nothing = std::ptr::null_mut();
        // SAFETY: PT_TRACE_ME uses none of the other arguments.
        let result = unsafe { libc::ptrace(libc::PT_TRACE_ME, 0, nothing, 0) };
        checked("ptrace", result).map(drop)
    }

    fn ptrace_read(&mut self, pid: Pid) -> Outcome<()> {
        let nothing = std::ptr::null_mut();
        clear_errno();
        // SAFETY: the address is one of the traced process's, and nothing of ours is written.
        let word = unsafe { libc::ptrace(libc::PT_READ_D, pid.0, nothing, 0) };
        let failure = last("ptrace");
        // -1 may be the word: errno tells, which was 0 before (ptrace(2)).
        match word == -1 && failure.errno != Errno(0) {
            true => Err(failure),
            false => Ok(()),
        }
    }

    fn saved_uid(&mut self, pid: Pid) -> Outcome<Option<u32>> {
        Ok(super::process::kinfo(pid)?.map(|found| found.ki_svuid))
    }

    fn send_descriptor(&mut self, socket: Fd, descriptor: Fd) -> Outcome<()> {
        let mut byte = [0_u8; 1];
        let mut control = control();
        control.0[16..20].copy_from_slice(&descriptor.0.to_ne_bytes());
        control.0[8..12].copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
        let mut vector = vector(&mut byte);
        let message = message(&mut vector, &mut control);
        // SAFETY: `message` points to one byte and one control message of CMSG_SPACE bytes, all live.
        counted("sendmsg", unsafe {
            libc::sendmsg(socket.0, &raw const message, 0)
        })
        .map(drop)
    }

    fn receive_descriptor(&mut self, socket: Fd) -> Outcome<Fd> {
        let mut byte = [0_u8; 1];
        let mut control = Aligned([0_u8; CMSG_SPACE]);
        let mut vector = vector(&mut byte);
        let mut message = message(&mut vector, &mut control);
        // SAFETY: `message` has room for one byte and for CMSG_SPACE bytes of control, all live.
        counted("recvmsg", unsafe {
            libc::recvmsg(socket.0, &raw mut message, 0)
        })?;
        let none = Failure::new("recvmsg", Errno::ENOENT);
        if message.msg_controllen < CMSG_LENGTH {
            return Err(none);
        }
        let found = <[u8; 4]>::try_from(&control.0[16..20]).map_err(|_| none)?;
        Ok(Fd(i32::from_ne_bytes(found)))
    }
}

/// Aligned for a sockaddr and for a cmsghdr.
#[repr(align(8))]
struct Aligned<const N: usize>([u8; N]);

impl<const N: usize> Aligned<N> {
    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }
}

/// A sockaddr_in or sockaddr_in6, with its length.
fn sockaddr(address: SocketAddr) -> (Aligned<28>, u32) {
    let mut bytes = Aligned([0_u8; 28]);
    let (length, family) = match address {
        SocketAddr::V4(_) => (16_u8, libc::AF_INET),
        SocketAddr::V6(_) => (28_u8, libc::AF_INET6),
    };
    bytes.0[0] = length;
    bytes.0[1] = family as u8;
    bytes.0[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(address) => bytes.0[4..8].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.0[8..24].copy_from_slice(&address.octets()),
    }
    (bytes, u32::from(length))
}

/// A cmsghdr: length, level, type; the data begins at 16, as the kernel aligns it.
fn control() -> Aligned<CMSG_SPACE> {
    let mut control = Aligned([0_u8; CMSG_SPACE]);
    control.0[0..4].copy_from_slice(&CMSG_LENGTH.to_ne_bytes());
    control.0[4..8].copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    control
}

fn vector(byte: &mut [u8; 1]) -> libc::iovec {
    libc::iovec {
        iov_base: byte.as_mut_ptr().cast::<c_void>(),
        iov_len: 1,
    }
}

fn message(vector: &mut libc::iovec, control: &mut Aligned<CMSG_SPACE>) -> libc::msghdr {
    libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: vector,
        msg_iovlen: 1,
        msg_control: control.0.as_mut_ptr().cast(),
        msg_controllen: CMSG_SPACE as u32,
        msg_flags: 0,
    }
}

fn clear_errno() {
    // SAFETY: __error(3) gives the address of this thread's errno, which lives as long as the thread.
    let errno = unsafe { libc::__error() };
    // SAFETY: as above; nothing else refers to it meanwhile.
    unsafe { errno.write(0) };
}
