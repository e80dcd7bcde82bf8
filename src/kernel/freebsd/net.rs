//! Addresses of interfaces: getifaddrs(3) and four ioctls. The structures are laid out by hand in byte
//! arrays, field by field at the offsets of sys/netinet/in_var.h and sys/netinet6/in6_var.h.

use std::ffi::{CStr, CString, c_int, c_ulong};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::wire::{checked, last};
use crate::kernel::{Alias, Errno, Failure, Outcome};

const SIOCAIFADDR: c_ulong = 0x8044_692b;
const SIOCDIFADDR: c_ulong = 0x8020_6919;
const SIOCAIFADDR_IN6: c_ulong = 0x8088_691b;
const SIOCDIFADDR_IN6: c_ulong = 0x8120_6919;

const NAME_LENGTH: usize = 16;
const SOCKADDR_IN: usize = 16;
const SOCKADDR_IN6: usize = 28;
const IN6_IFF_NODAD: i32 = 0x20;
/// ND6_INFINITE_LIFETIME: an alias with none is born expired.
const FOREVER: u32 = 0xffff_ffff;

pub fn add(alias: &Alias) -> Outcome<()> {
    match alias.address {
        IpAddr::V4(address) => {
            // struct in_aliasreq: name, address, broadcast address (none), mask, vhid.
            let mut request = [0; 68];
            put_name(&mut request, &alias.interface)?;
            put(&mut request, 16, &sockaddr_in(address));
            put(
                &mut request,
                48,
                &sockaddr_in(Ipv4Addr::from_bits(mask(alias.prefix, 32) as u32)),
            );
            ioctl("SIOCAIFADDR", libc::AF_INET, SIOCAIFADDR, &mut request)
        }
        IpAddr::V6(address) => {
            // struct in6_aliasreq: name, address, destination (none), mask, flags, lifetimes, vhid.
            let mut request = [0; 136];
            put_name(&mut request, &alias.interface)?;
            put(&mut request, 16, &sockaddr_in6(address));
            put(
                &mut request,
                72,
                &sockaddr_in6(Ipv6Addr::from_bits(mask(alias.prefix, 128))),
            );
            put(&mut request, 100, &IN6_IFF_NODAD.to_ne_bytes());
            put(&mut request, 120, &FOREVER.to_ne_bytes());
            put(&mut request, 124, &FOREVER.to_ne_bytes());
            ioctl(
                "SIOCAIFADDR_IN6",
                libc::AF_INET6,
                SIOCAIFADDR_IN6,
                &mut request,
            )
        }
    }
}

pub fn delete(alias: &Alias) -> Outcome<()> {
    match alias.address {
        IpAddr::V4(address) => {
            // struct ifreq: name, address.
            let mut request = [0; 32];
            put_name(&mut request, &alias.interface)?;
            put(&mut request, 16, &sockaddr_in(address));
            ioctl("SIOCDIFADDR", libc::AF_INET, SIOCDIFADDR, &mut request)
        }
        IpAddr::V6(address) => {
            // struct in6_ifreq: name, address, the rest of a union.
            let mut request = [0; 288];
            put_name(&mut request, &alias.interface)?;
            put(&mut request, 16, &sockaddr_in6(address));
            ioctl(
                "SIOCDIFADDR_IN6",
                libc::AF_INET6,
                SIOCDIFADDR_IN6,
                &mut request,
            )
        }
    }
}

/// The first `prefix` of `width` bits, in the low `width` bits of the result.
fn mask(prefix: u8, width: u32) -> u128 {
    let all = u128::MAX >> (128 - width);
    let hosts = width.saturating_sub(u32::from(prefix));
    all & u128::MAX.checked_shl(hosts).unwrap_or(0)
}

fn sockaddr_in(address: Ipv4Addr) -> [u8; SOCKADDR_IN] {
    let mut bytes = [0; SOCKADDR_IN];
    put(&mut bytes, 0, &[SOCKADDR_IN as u8, libc::AF_INET as u8]);
    put(&mut bytes, 4, &address.octets());
    bytes
}

fn sockaddr_in6(address: Ipv6Addr) -> [u8; SOCKADDR_IN6] {
    let mut bytes = [0; SOCKADDR_IN6];
    put(&mut bytes, 0, &[SOCKADDR_IN6 as u8, libc::AF_INET6 as u8]);
    put(&mut bytes, 8, &address.octets());
    bytes
}

fn put(request: &mut [u8], offset: usize, bytes: &[u8]) {
    request[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// ENXIO for a name that can't be an interface's: it has to end in a NUL within its sixteen bytes.
fn put_name(request: &mut [u8], name: &str) -> Outcome<()> {
    if name.is_empty() || name.len() >= NAME_LENGTH || name.contains('\0') {
        return Err(Failure::new("ioctl", Errno::ENXIO));
    }
    put(request, 0, name.as_bytes());
    Ok(())
}

fn ioctl(call: &'static str, family: c_int, request: c_ulong, argument: &mut [u8]) -> Outcome<()> {
    // SAFETY: socket(2) takes integers only.
    let socket = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    let socket = checked("socket", socket)?;
    // SAFETY: `socket` was made two lines above, and nothing else knows its number.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    debug_assert_eq!(argument.len(), (request >> 16 & 0x1fff) as usize);
    // SAFETY: the request's number holds the size of its argument, and every caller gives an array of
    // that many bytes (68, 136, 32, 288), which the kernel copies in.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), request, argument.as_mut_ptr()) };
    checked(call, result).map(drop)
}

pub fn if_nametoindex(name: &str) -> Outcome<Option<u32>> {
    let name = CString::new(name).map_err(|_| Failure::new("if_nametoindex", Errno::EINVAL))?;
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => match last("if_nametoindex") {
            failure if failure.errno == Errno::ENXIO => Ok(None),
            failure => Err(failure),
        },
        index => Ok(Some(index)),
    }
}

pub fn getifaddrs() -> Outcome<Vec<Alias>> {
    let mut head = std::ptr::null_mut();
    // SAFETY: `head` is a live pointer to write to.
    if unsafe { libc::getifaddrs(&raw mut head) } == -1 {
        return Err(last("getifaddrs"));
    }
    let mut found = Vec::new();
    let mut next = head;
    while !next.is_null() {
        // SAFETY: `next` comes from getifaddrs(3)'s list, which isn't freed before the loop's end.
        let entry = unsafe { &*next };
        found.extend(alias_of(entry));
        next = entry.ifa_next;
    }
    // SAFETY: `head` came from getifaddrs(3), is freed once, and nothing borrows from it any more.
    unsafe { libc::freeifaddrs(head) };
    Ok(found)
}

fn alias_of(entry: &libc::ifaddrs) -> Option<Alias> {
    let address = sockaddr_bytes(entry.ifa_addr)?;
    let mask = sockaddr_bytes(entry.ifa_netmask).unwrap_or([0; SOCKADDR_IN6]);
    let (address, mask) = match c_int::from(address[1]) {
        libc::AF_INET => (
            IpAddr::from(<[u8; 4]>::try_from(&address[4..8]).ok()?),
            &mask[4..8],
        ),
        libc::AF_INET6 => (
            IpAddr::from(<[u8; 16]>::try_from(&address[8..24]).ok()?),
            &mask[8..24],
        ),
        _ => return None,
    };
    // SAFETY: ifa_name of a live entry is a NUL-terminated string that lives as long as the entry.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) };
    Some(Alias {
        interface: name.to_string_lossy().into_owned(),
        address,
        prefix: mask.iter().map(|byte| byte.count_ones() as u8).sum(),
    })
}

/// A socket address of a live list entry, padded with zeroes. A netmask may be shorter than its kind:
/// only `sa_len` bytes are there to be read.
fn sockaddr_bytes(address: *const libc::sockaddr) -> Option<[u8; SOCKADDR_IN6]> {
    if address.is_null() {
        return None;
    }
    // SAFETY: the callers' pointers are null or point to a sockaddr of a live list entry, whose first
    // byte is its length.
    let length = usize::from(unsafe { address.cast::<u8>().read() }).min(SOCKADDR_IN6);
    let mut bytes = [0; SOCKADDR_IN6];
    // SAFETY: `length` is at most the address's own length and at most that of `bytes`, which is a
    // fresh array and so overlaps nothing.
    unsafe { std::ptr::copy_nonoverlapping(address.cast::<u8>(), bytes.as_mut_ptr(), length) };
    Some(bytes)
}
