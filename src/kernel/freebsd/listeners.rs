//! Who listens on which address: net.inet.tcp.pcblist and net.inet.udp.pcblist tell of sockets, kern.file
//! of who holds them, as sockstat(1) puts the two together. The offsets are those of struct xtcpcb, xinpcb
//! and xfile in FreeBSD 15 (sys/netinet/tcp_var.h, sys/netinet/in_pcb.h, sys/sys/file.h); every record says
//! its own length, and one of another length is another kernel's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::wire::{c_string, checked};
use crate::kernel::{Errno, Failure, Listener, Outcome, Pid, Protocol};

const XINPGEN: usize = 64;
const XTCPCB: usize = 744;
const XINPCB: usize = 400;
const XFILE: usize = 128;
/// struct xinpcb in struct xtcpcb, and t_state.
const TCP_INPCB: usize = 8;
const TCP_STATE: usize = 568;
const TCPS_LISTEN: u32 = 1;
/// xso_so, the ports in network order, the local address, and inp_vflag in struct xinpcb.
const SOCKET: usize = 16;
const FOREIGN_PORT: usize = 252;
const LOCAL_PORT: usize = 254;
const LOCAL_IPV6: usize = 272;
const LOCAL_IPV4: usize = 284;
const VFLAG: usize = 392;
const INP_IPV4: u8 = 1;
/// xf_pid and xf_data in struct xfile.
const FILE_PID: usize = 8;
const FILE_DATA: usize = 56;

pub fn listeners() -> Outcome<Vec<Listener>> {
    let mut found: Vec<(u64, Listener)> = Vec::new();
    for record in records(&whole("net.inet.tcp.pcblist")?, XTCPCB)? {
        let inpcb = record.get(TCP_INPCB..).unwrap_or_default();
        if word(record, TCP_STATE) == Some(TCPS_LISTEN) {
            found.extend(listener(inpcb, Protocol::Tcp));
        }
    }
    for record in records(&whole("net.inet.udp.pcblist")?, XINPCB)? {
        if record.get(FOREIGN_PORT..LOCAL_PORT) == Some(&[0, 0]) {
            found.extend(listener(record, Protocol::Udp));
        }
    }
    let files = whole("kern.file")?;
    for file in files.chunks_exact(XFILE) {
        let (Some(data), Some(pid)) = (long(file, FILE_DATA), word(file, FILE_PID)) else {
            continue;
        };
        let held = found
            .iter_mut()
            .filter(|(socket, _)| *socket == data && data != 0);
        held.for_each(|(_, listener)| listener.holders.push(Pid(pid as i32)));
    }
    Ok(found.into_iter().map(|(_, listener)| listener).collect())
}

fn listener(inpcb: &[u8], protocol: Protocol) -> Option<(u64, Listener)> {
    let port = u16::from_be_bytes(array(inpcb, LOCAL_PORT)?);
    let address = match inpcb.get(VFLAG)? & INP_IPV4 {
        0 => IpAddr::from(Ipv6Addr::from(array::<16>(inpcb, LOCAL_IPV6)?)),
        _ => IpAddr::from(Ipv4Addr::from(array::<4>(inpcb, LOCAL_IPV4)?)),
    };
    let listener = Listener {
        protocol,
        address: SocketAddr::new(address, port),
        holders: Vec::new(),
    };
    (port != 0).then_some((long(inpcb, SOCKET)?, listener))
}

/// Those between the heading and the one at the end, each of which begins with its length.
fn records(list: &[u8], length: usize) -> Outcome<Vec<&[u8]>> {
    let mut rest = list.get(XINPGEN..).unwrap_or_default();
    let mut found = Vec::new();
    while rest.len() > XINPGEN {
        if long(rest, 0) != Some(length as u64) || rest.len() < length {
            return Err(Failure {
                call: "sysctlbyname",
                errno: Errno::EINVAL,
                text: "this kernel lists its sockets in another format".to_string(),
            });
        }
        let (record, after) = rest.split_at(length);
        found.push(record);
        rest = after;
    }
    Ok(found)
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    array(bytes, offset).map(u32::from_ne_bytes)
}

fn long(bytes: &[u8], offset: usize) -> Option<u64> {
    array(bytes, offset).map(u64::from_ne_bytes)
}

/// All of a value that may grow between the two calls that it takes.
fn whole(name: &str) -> Outcome<Vec<u8>> {
    let c_name = c_string("sysctlbyname", name)?;
    for _ in 0..8 {
        let (mut length, nothing) = (0, std::ptr::null());
        let nowhere = std::ptr::null_mut();
        // SAFETY: `c_name` is NUL-terminated; with nowhere to write to, the kernel gives the length alone.
        let result =
            unsafe { libc::sysctlbyname(c_name.as_ptr(), nowhere, &raw mut length, nothing, 0) };
        checked("sysctlbyname", result)?;
        length += length / 4 + 4096;
        let mut bytes = vec![0_u8; length];
        let room = bytes.as_mut_ptr().cast();
        // SAFETY: `room` is writable for `length` bytes, and the kernel lowers `length` to what it wrote.
        let result =
            unsafe { libc::sysctlbyname(c_name.as_ptr(), room, &raw mut length, nothing, 0) };
        match checked("sysctlbyname", result) {
            Err(failure) if failure.errno == Errno::ENOMEM => {}
            Err(failure) => return Err(failure),
            Ok(_) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
        }
    }
    Err(Failure::new("sysctlbyname", Errno::ENOMEM))
}
