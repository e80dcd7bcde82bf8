//! Attempts on the network. None sends a packet to anybody but the host itself.

use super::{Seen, Target, Tried, open};
use crate::kernel::attack::{Attack, Socket};
use crate::kernel::{Alias, Errno, Failure, Kernel};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// TEST-NET-1 (RFC 5737): no host has it, and no route leads there.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

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
        match bind(kernel, *address) {
            Ok(true) => return open(address.to_string()),
            Ok(false) => last = Some(Failure::new("bind", Errno::EADDRNOTAVAIL)),
            Err(failure) if is_unreachable(failure.errno) => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let why = "the host has no address that isn't the service's";
    last.map_or_else(|| Ok(Seen::NotShown(why.to_string())), Err)
}

fn bind<K: Attack>(kernel: &mut K, address: IpAddr) -> Result<bool, Failure> {
    let socket = kernel.make_socket(tcp(address))?;
    kernel.bind_to(socket, SocketAddr::new(address, 0))?;
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
        let reached = kernel
            .make_socket(tcp(listener.ip()))
            .and_then(|socket| kernel.connect_to(socket, *listener));
        match reached {
            Ok(()) => return open(listener.to_string()),
            Err(failure) if is_unreachable(failure.errno) => last = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    let why = "the host can't listen on its loopback";
    last.map_or_else(|| Ok(Seen::NotShown(why.to_string())), Err)
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
