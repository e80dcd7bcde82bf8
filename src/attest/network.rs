//! Attempts on the network. None sends a packet to anybody but the host itself.

use super::{Seen, Target, Tried, open};
use crate::kernel::attack::{Attack, Socket};
use crate::kernel::{Alias, Errno, Failure, Kernel};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// TEST-NET-1 (RFC 5737): no host has it, and no route leads there.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// A port to name, rather than to be given one. Anybody may have it.
const NAMED: u16 = 47_808;

pub fn raw_socket<K: Attack>(kernel: &mut K) -> Tried {
    let failure = match kernel.make_socket(Socket::Raw4) {
        Ok(_) => return open("ICMP"),
        Err(failure) => failure,
    };
    match kernel.make_socket(Socket::Raw6) {
        Ok(_) => open("ICMPv6"),
        // EPERM says more than that there is no such family.
        Err(_) if failure.errno == Errno::EPERM => Err(failure),
        Err(other) => Err(other),
    }
}

fn tcp(address: IpAddr) -> Socket {
    match address {
        IpAddr::V4(_) => Socket::Tcp4,
        IpAddr::V6(_) => Socket::Tcp6,
    }
}

/// The kernel gives a jail its own address for some that aren't (prison_local_ip4): what counts is
/// which one the socket has then.
pub fn foreign_address<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let mut last = None;
    for address in &target.foreign {
        match bind_any(kernel, *address) {
            Ok(true) => return open(address.to_string()),
            Err(failure) if failure.errno == Errno::EADDRINUSE => {
                return Ok(Seen::Cut(format!("{address}: {failure}")));
            }
            Ok(false) => last = Some(Failure::new("bind", Errno::EADDRNOTAVAIL)),
            Err(failure) if is_unreachable(failure.errno) => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let why = "the host has no address that isn't the service's";
    last.map_or_else(|| Ok(Seen::NotShown(why.to_string())), Err)
}

/// With whatever port. That none is left for it a kernel says as it does that there is no such address
/// (in_pcb_lport_dest in sys/netinet/in_pcb.c), and a service can hold all of them; of a port that is named, and
/// that somebody has, it says another thing, after it looked at the address.
fn bind_any<K: Attack>(kernel: &mut K, address: IpAddr) -> Result<bool, Failure> {
    match bind(kernel, address, 0) {
        Err(failure) if failure.errno == Errno::EADDRNOTAVAIL => bind(kernel, address, NAMED),
        outcome => outcome,
    }
}

fn bind<K: Attack>(kernel: &mut K, address: IpAddr, port: u16) -> Result<bool, Failure> {
    let socket = kernel.make_socket(tcp(address))?;
    kernel.bind_to(socket, SocketAddr::new(address, port))?;
    Ok(kernel.getsockname(socket)?.ip() == address)
}

fn is_unreachable(errno: Errno) -> bool {
    let all = [
        Errno::EADDRNOTAVAIL,
        Errno::EPROTONOSUPPORT,
        Errno::EAFNOSUPPORT,
        Errno::ECONNREFUSED,
    ];
    all.contains(&errno)
}

pub fn host_loopback<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let mut last = None;
    for listener in &target.listeners {
        match reach(kernel, *listener) {
            Ok(true) => return open(listener.to_string()),
            Ok(false) => {
                let words = format!("{listener}: there is no port left to connect from");
                return Ok(Seen::Cut(words));
            }
            Err(failure) if is_unreachable(failure.errno) => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let why = "the host can't listen on its loopback";
    last.map_or_else(|| Ok(Seen::NotShown(why.to_string())), Err)
}

/// Whether it connects, from a port that it has before it does: only the address is left to be refused then. None
/// is refused a port of no address in particular but where there is none (see above).
fn reach<K: Attack>(kernel: &mut K, listener: SocketAddr) -> Result<bool, Failure> {
    let socket = kernel.make_socket(tcp(listener.ip()))?;
    let any: IpAddr = match listener {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match kernel.bind_to(socket, SocketAddr::new(any, 0)) {
        Err(failure) if failure.errno == Errno::EADDRNOTAVAIL => return Ok(false),
        outcome => outcome?,
    }
    kernel.connect_to(socket, listener)?;
    Ok(true)
}

pub fn route<K: Attack>(kernel: &mut K) -> Tried {
    let socket = kernel.make_socket(Socket::Route)?;
    kernel.route_delete(socket, NOBODY)?;
    open("RTM_DELETE")
}

pub fn interface<K: Kernel>(kernel: &mut K) -> Tried {
    kernel.delete_address(&Alias {
        interface: "lo0".to_string(),
        address: NOBODY.into(),
        prefix: 32,
    })?;
    open("SIOCDIFADDR")
}
