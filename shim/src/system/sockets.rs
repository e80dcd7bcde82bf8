//! bind(2) on an address that the launcher has bound hands out the waiting socket; sockets with a name in
//! the file system are bound and connected below a descriptor. Other addresses are the kernel's to refuse.

use super::look::{self, O_PATH, Want, at, whole};
use super::{log, raw, state};
use crate::handoff::{Address, is_meant};
use crate::paths::{self, Last};
use crate::text::Text;
use core::ffi::{c_char, c_int, c_long};
use core::mem::{offset_of, size_of};
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use libc::{
    AF_INET, AF_INET6, AF_UNIX, AT_FDCWD, EADDRINUSE, EADDRNOTAVAIL, EALREADY, EBADF, EEXIST,
    EINVAL, EISCONN, ENAMETOOLONG, ENOENT, ENOTSOCK, EOPNOTSUPP, EPROTOTYPE, F_DUP2FD,
    F_DUP2FD_CLOEXEC, F_GETFD, F_GETFL, F_SETFD, F_SETFL, FD_CLOEXEC, IPPROTO_TCP, O_CLOEXEC,
    O_NONBLOCK, S_IFMT, S_IFSOCK, SO_KEEPALIVE, SO_OOBINLINE, SO_RCVBUF, SO_SNDBUF, SO_TYPE,
    SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, sockaddr, sockaddr_in, sockaddr_in6,
    sockaddr_un, socklen_t,
};

const ECAPMODE: c_int = 94;

/// What the program asks for, as far as it is one of ours to know.
enum Asked<'a> {
    Inet(SocketAddr),
    Unix(&'a [u8]),
    Other,
}

fn asked<'a>(address: *const sockaddr, length: socklen_t) -> Asked<'a> {
    let length = length as usize;
    if address.is_null() || length < size_of::<sockaddr>().min(offset_of!(sockaddr_un, sun_path)) {
        return Asked::Other;
    }
    // SAFETY: bind(2) and connect(2) are given `length` readable bytes.
    let bytes: &'a [u8] = unsafe { core::slice::from_raw_parts(address.cast(), length) };
    let family = c_int::from(bytes.get(1).copied().unwrap_or_default());
    let port = || {
        let port = bytes.get(2..4)?;
        Some(u16::from_be_bytes(port.try_into().ok()?))
    };
    let inet = || {
        let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port()?))
    };
    let inet6 = || {
        let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
        Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port()?))
    };
    match family {
        AF_INET if length >= size_of::<sockaddr_in>() => inet().map_or(Asked::Other, Asked::Inet),
        AF_INET6 if length >= size_of::<sockaddr_in6>() => {
            inet6().map_or(Asked::Other, Asked::Inet)
        }
        // Longer ones the kernel refuses, whatever the name.
        AF_UNIX if length > size_of::<sockaddr_un>() => Asked::Unix(&[]),
        AF_UNIX => {
            let path = bytes
                .get(offset_of!(sockaddr_un, sun_path)..)
                .unwrap_or_default();
            let end = path
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(path.len());
            Asked::Unix(path.get(..end).unwrap_or_default())
        }
        _ => Asked::Other,
    }
}

fn option(socket: c_int, level: c_int, name: c_int) -> Option<c_int> {
    let (mut value, mut length) = (0 as c_int, size_of::<c_int>() as socklen_t);
    // SAFETY: getsockopt(2) writes at most `length` bytes to `value`.
    let result = unsafe {
        libc::getsockopt(
            socket,
            level,
            name,
            (&raw mut value).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(value)
}

/// What the program has set by now, on a socket that it is about to lose. The rest it sets later, on ours.
const KEPT: [(c_int, c_int); 5] = [
    (SOL_SOCKET, SO_KEEPALIVE),
    (SOL_SOCKET, SO_OOBINLINE),
    (SOL_SOCKET, SO_SNDBUF),
    (SOL_SOCKET, SO_RCVBUF),
    (IPPROTO_TCP, TCP_NODELAY),
];

/// Makes `socket` another descriptor of `held`, with the flags that it has.
fn adopt(socket: c_int, held: c_int) -> c_int {
    for (level, name) in KEPT {
        let Some(value) = option(socket, level, name) else {
            continue;
        };
        if option(held, level, name).is_some_and(|now| now != value) {
            let length = size_of::<c_int>() as socklen_t;
            // SAFETY: setsockopt(2) reads `length` bytes of `value`. That it may be refused is no harm.
            unsafe { libc::setsockopt(held, level, name, (&raw const value).cast(), length) };
        }
    }
    let status = raw::fcntl(socket, F_GETFL, 0);
    if replace(socket, held) != 0 {
        return -1;
    }
    // O_NONBLOCK belongs to the socket and not to the descriptor, and may be what the last program wanted.
    let wanted = status & c_long::from(O_NONBLOCK);
    let now = raw::fcntl(socket, F_GETFL, 0);
    if status >= 0 && now >= 0 && now & c_long::from(O_NONBLOCK) != wanted {
        raw::fcntl(socket, F_SETFL, (now & !c_long::from(O_NONBLOCK)) | wanted);
    }
    0
}

fn replace(socket: c_int, with: c_int) -> c_int {
    let flags = raw::fcntl(socket, F_GETFD, 0).max(0);
    // Never without that flag: another thread may execute something meanwhile.
    let command = if flags & c_long::from(FD_CLOEXEC) == 0 {
        F_DUP2FD
    } else {
        F_DUP2FD_CLOEXEC
    };
    if raw::fcntl(with, command, socket.into()) < 0 {
        return -1;
    }
    raw::fcntl(socket, F_SETFD, flags);
    0
}

/// Connects to the system's log: what may be, which the descriptor of a file or of nothing isn't.
fn connect_log(socket: c_int, log: c_int) -> c_int {
    match option(socket, SOL_SOCKET, SO_TYPE) {
        Some(SOCK_DGRAM) => replace(socket, log),
        Some(_) => raw::fail(EPROTOTYPE),
        None => -1,
    }
}

/// The waiting socket of this address and of this socket's type.
fn waiting(state: &state::State, socket: c_int, asked: &Asked<'_>) -> Option<c_int> {
    let kind = option(socket, SOL_SOCKET, SO_TYPE);
    let mut listeners = state.handoff().listeners.iter();
    let listener = listeners.find(|listener| {
        // A number of the environment's that isn't this socket any more is nobody's.
        is_of(listener.address, kind, asked) && option(listener.fd, SOL_SOCKET, SO_TYPE) == kind
    });
    listener.map(|listener| listener.fd)
}

fn is_of(address: Address<'_>, kind: Option<c_int>, asked: &Asked<'_>) -> bool {
    match (address, asked) {
        (Address::Tcp(held), Asked::Inet(wanted)) => {
            kind == Some(SOCK_STREAM) && is_meant(held, *wanted)
        }
        (Address::Udp(held), Asked::Inet(wanted)) => {
            kind == Some(SOCK_DGRAM) && is_meant(held, *wanted)
        }
        (Address::Unix(held), Asked::Unix(path)) => kind.is_some() && is_path(held, path),
        _ => false,
    }
}

/// Whether the running service has this address, beside which the program is.
fn is_taken(state: &state::State, socket: c_int, asked: &Asked<'_>) -> bool {
    let mut taken = state.handoff().taken.iter().peekable();
    if taken.peek().is_none() {
        return false;
    }
    let kind = option(socket, SOL_SOCKET, SO_TYPE);
    taken.any(|address| is_of(*address, kind, asked))
}

fn is_path(held: &[u8], path: &[u8]) -> bool {
    let mut name = Text::new();
    whole(AT_FDCWD, path, &mut name).is_ok() && name.bytes() == held
}

/// Whether a path is that of a socket which the launcher has bound.
pub fn is_listeners(path: *const c_char) -> bool {
    let (Some(state), Some(name)) = (state::confined(), raw::text(path)) else {
        return false;
    };
    let mut listeners = state.handoff().listeners.iter();
    listeners.any(|listener| match listener.address {
        Address::Unix(held) => is_path(held, name),
        _ => false,
    })
}

/// It gets a descriptor and the address of a name below it.
type Call<'a> = &'a dyn Fn(c_int, *const sockaddr, socklen_t) -> c_long;

fn below(path: &[u8], last: Last, want: Want, call: Call<'_>) -> c_int {
    let mut text = Text::new();
    if let Err(errno) = text.push(path) {
        return raw::fail(errno);
    }
    at(AT_FDCWD, text.from(0), last, want, &|fd, name| {
        let name = raw::text(name).unwrap_or_default();
        addressed(fd, name, call).unwrap_or_else(|| beside(fd, name, last, call))
    }) as c_int
}

/// The call with a name as an address; none if an address is too short for it.
fn addressed(fd: c_int, name: &[u8], call: Call<'_>) -> Option<c_long> {
    // SAFETY: an address of a socket is made of integers: zeros are a value.
    let mut address: sockaddr_un = unsafe { core::mem::zeroed() };
    let place = address.sun_path.get_mut(..name.len())?;
    for (to, from) in place.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    let length = offset_of!(sockaddr_un, sun_path) + name.len();
    address.sun_family = AF_UNIX as u8;
    address.sun_len = length as u8;
    Some(call(fd, (&raw const address).cast(), length as socklen_t))
}

/// The program's own name was short enough, and the way to it from its tree isn't, or what a link says: to
/// what is there it is connected by a descriptor; what isn't is made in the directory that it is to be in.
#[inline(never)]
fn beside(fd: c_int, name: &[u8], last: Last, call: Call<'_>) -> c_long {
    let before = raw::errno();
    let (directory, own) = match last {
        // No name, but a byte: an address of none is refused.
        Last::Follow => (name, &b"\0"[..]),
        _ => paths::parent(name),
    };
    let mut text = Text::new();
    let is_above = !directory.is_empty();
    if let Err(errno) = text.push(if is_above { directory } else { b"." }) {
        return raw::fail(errno).into();
    }
    let there = raw::openat(fd, text.from(0), O_PATH | O_CLOEXEC, 0) as c_int;
    if there < 0 {
        return nowhere(fd, raw::errno(), call);
    }
    raw::set_errno(before);
    let result = addressed(there, own, call).unwrap_or_else(|| raw::fail(ENAMETOOLONG).into());
    let errno = raw::errno();
    raw::close(there);
    raw::set_errno(errno);
    result
}

/// There is no such thing; but what is wrong with the socket comes first. The kernel says it of any name:
/// of one that no socket has, and none can get.
fn nowhere(fd: c_int, errno: c_int, call: Call<'_>) -> c_long {
    match addressed(fd, b".", call) {
        Some(result)
            if matches!(
                raw::errno(),
                EINVAL | EALREADY | EISCONN | EOPNOTSUPP | EBADF
            ) =>
        {
            result
        }
        _ => raw::fail(errno).into(),
    }
}

/// What isn't a socket the kernel refuses first, whatever the name is; but before it looks what it is, it
/// looks at the rights of the descriptor, which may be of a file.
fn judged(socket: c_int, result: c_int) -> c_int {
    if result >= 0 {
        return result;
    }
    let errno = raw::errno();
    match raw::status_of(socket) {
        Ok(status) if status.st_mode & S_IFMT != S_IFSOCK => raw::fail(ENOTSOCK),
        _ => raw::fail(errno),
    }
}

/// A socket's own errors come before that there is no name.
fn connect_nameless(socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
    let root = look::root().unwrap_or(AT_FDCWD);
    let result = raw::connectat(root, socket, address, length) as c_int;
    // The root is what no name at all is looked up as.
    if result < 0 && raw::errno() == ENOTSOCK {
        raw::set_errno(ENOENT);
    }
    result
}

type Connect = unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int;

static CONNECT: raw::Behind = raw::Behind::new(c"connect");

fn connect_local(socket: c_int, path: &[u8], address: *const sockaddr, length: socklen_t) -> c_int {
    if path.is_empty() {
        return judged(socket, connect_nameless(socket, address, length));
    }
    judged(socket, connect_below(socket, path))
}

fn connect_below(socket: c_int, path: &[u8]) -> c_int {
    match log::socket_for(path) {
        Some(log) => connect_log(socket, log),
        None => below(path, Last::Follow, Want::Read, &|fd, address, length| {
            raw::connectat(fd, socket, address, length)
        }),
    }
}

export! {
    fn [bind _bind] (socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        let Some(state) = state::get() else {
            return raw::bind(socket, address, length) as c_int;
        };
        let asked = asked(address, length);
        let before = raw::errno();
        if let Some(held) = waiting(state, socket, &asked) {
            let adopted = adopt(socket, held);
            if adopted == 0 {
                // Options that one of the two sockets hasn't are left out.
                raw::set_errno(before);
            }
            return adopted;
        }
        if is_taken(state, socket, &asked) {
            return raw::fail(EADDRINUSE);
        }
        if !state.is_confined() {
            return raw::bind(socket, address, length) as c_int;
        }
        let (result, from, to) = match asked {
            // The kernel's to refuse, after the socket.
            Asked::Unix([]) => {
                let root = look::root().unwrap_or(AT_FDCWD);
                return judged(socket, raw::bindat(root, socket, address, length) as c_int);
            }
            Asked::Unix(path) => {
                let call = |fd, address, length| raw::bindat(fd, socket, address, length);
                (below(path, Last::Name, Want::Make, &call), EEXIST, EADDRINUSE)
            }
            // What a jail says of an address that isn't its own.
            _ => (raw::bind(socket, address, length) as c_int, ECAPMODE, EADDRNOTAVAIL),
        };
        let result = judged(socket, result);
        if result != 0 && raw::errno() == from { raw::fail(to) } else { result }
    }
    fn [connect] (socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        if let (Some(_), Asked::Unix(path)) = (state::confined(), asked(address, length)) {
            return connect_local(socket, path, address, length);
        }
        // SAFETY: libc's connect(2) has this type.
        let behind = unsafe { CONNECT.function::<Connect>() };
        match behind {
            // SAFETY: what the program gave, unchanged.
            Some(connect) => unsafe { connect(socket, address, length) },
            None => raw::connect(socket, address, length) as c_int,
        }
    }
    fn [_connect] (socket: c_int, address: *const sockaddr, length: socklen_t) -> c_int {
        if let (Some(_), Asked::Unix(path)) = (state::confined(), asked(address, length)) {
            return connect_local(socket, path, address, length);
        }
        raw::connect(socket, address, length) as c_int
    }
}
