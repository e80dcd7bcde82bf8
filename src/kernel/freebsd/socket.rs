//! Sockets of `[[listen]]`. Addresses are laid out by hand, as net.rs does it.

use std::ffi::c_int;
use std::net::SocketAddr;

use super::wire::{c_string, checked};
use crate::kernel::{Errno, Failure, Fd, Outcome, SocketAddress, SocketKind, SocketOption};

/// SUNPATHLEN of sys/sys/un.h.
const PATH: usize = 104;

pub fn socket(kind: SocketKind) -> Outcome<Fd> {
    let (family, kind) = match kind {
        SocketKind::Tcp => (libc::AF_INET, libc::SOCK_STREAM),
        SocketKind::Tcp6 => (libc::AF_INET6, libc::SOCK_STREAM),
        SocketKind::Udp => (libc::AF_INET, libc::SOCK_DGRAM),
        SocketKind::Udp6 => (libc::AF_INET6, libc::SOCK_DGRAM),
        SocketKind::UnixStream => (libc::AF_UNIX, libc::SOCK_STREAM),
        SocketKind::UnixDatagram => (libc::AF_UNIX, libc::SOCK_DGRAM),
        SocketKind::UnixSeqpacket => (libc::AF_UNIX, libc::SOCK_SEQPACKET),
    };
    // SAFETY: socket(2) takes integers only.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) };
    checked("socket", fd).map(Fd)
}

pub fn setsockopt(fd: Fd, option: SocketOption) -> Outcome<()> {
    let (level, name, value) = match option {
        SocketOption::ReuseAddress => (libc::SOL_SOCKET, libc::SO_REUSEADDR, 1),
        SocketOption::ReusePort => (libc::SOL_SOCKET, libc::SO_REUSEPORT, 1),
        SocketOption::V6Only(only) => (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, c_int::from(only)),
    };
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is an int that lives on this stack, and `size` is its size.
    let result = unsafe { libc::setsockopt(fd.0, level, name, (&raw const value).cast(), size) };
    checked("setsockopt", result).map(drop)
}

pub fn bind(fd: Fd, address: &SocketAddress) -> Outcome<()> {
    let bytes = sockaddr("bind", address)?;
    // SAFETY: `bytes` is a socket address of this very length, as its first byte says too.
    let result = unsafe { libc::bind(fd.0, bytes.as_ptr().cast(), length(&bytes)) };
    checked("bind", result).map(drop)
}

pub fn connect(fd: Fd, address: &SocketAddress) -> Outcome<()> {
    let bytes = sockaddr("connect", address)?;
    // SAFETY: as in bind.
    let result = unsafe { libc::connect(fd.0, bytes.as_ptr().cast(), length(&bytes)) };
    checked("connect", result).map(drop)
}

pub fn listen(fd: Fd, backlog: u32) -> Outcome<()> {
    let backlog = c_int::try_from(backlog).unwrap_or(c_int::MAX);
    // SAFETY: integers.
    checked("listen", unsafe { libc::listen(fd.0, backlog) }).map(drop)
}

pub fn lchown(path: &str, uid: u32) -> Outcome<()> {
    let path = c_string("lchown", path)?;
    // SAFETY: a NUL-terminated string that outlives the call; a gid of -1 leaves the group alone.
    checked("lchown", unsafe {
        libc::lchown(path.as_ptr(), uid, u32::MAX)
    })
    .map(drop)
}

fn length(bytes: &[u8]) -> libc::socklen_t {
    bytes.len() as libc::socklen_t
}

/// struct sockaddr_in, sockaddr_in6 or sockaddr_un, whose alignment bind(2) and connect(2) don't ask
/// for: the kernel copies the bytes in.
fn sockaddr(call: &'static str, address: &SocketAddress) -> Outcome<Vec<u8>> {
    let mut bytes = match address {
        SocketAddress::Inet(SocketAddr::V4(address)) => {
            let mut bytes = vec![0, libc::AF_INET as u8];
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend([0; 8]);
            bytes
        }
        SocketAddress::Inet(SocketAddr::V6(address)) => {
            let mut bytes = vec![0, libc::AF_INET6 as u8];
            bytes.extend(address.port().to_be_bytes());
            bytes.extend(address.flowinfo().to_be_bytes());
            bytes.extend(address.ip().octets());
            bytes.extend(address.scope_id().to_ne_bytes());
            bytes
        }
        SocketAddress::Unix(path) if path.len() >= PATH => {
            return Err(Failure::new(call, Errno::ENAMETOOLONG));
        }
        SocketAddress::Unix(path) => {
            let mut bytes = vec![0, libc::AF_UNIX as u8];
            bytes.extend(c_string(call, path)?.as_bytes_with_nul());
            bytes
        }
    };
    if let Some(first) = bytes.first().copied().map(|_| bytes.len() as u8)
        && let Some(place) = bytes.first_mut()
    {
        *place = first;
    }
    Ok(bytes)
}
