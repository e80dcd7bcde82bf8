//! Sockets that wait for peers, as the kernel lists them.

use super::Pid;
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// A listening TCP socket, or a UDP socket with a port and no peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub protocol: Protocol,
    /// Unspecified for a socket that was bound to every address.
    pub address: SocketAddr,
    /// Processes with a descriptor of it.
    pub holders: Vec<Pid>,
}
