//! Sockets that are bound before anything is dropped: what they are, where, and how.

use std::net::{IpAddr, SocketAddr};

/// Family and type of socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SocketKind {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
    UnixStream,
    UnixDatagram,
    UnixSeqpacket,
}

impl SocketKind {
    pub fn is_unix(self) -> bool {
        matches!(
            self,
            SocketKind::UnixStream | SocketKind::UnixDatagram | SocketKind::UnixSeqpacket
        )
    }

    /// Connections are accepted from it, rather than messages read.
    pub fn listens(self) -> bool {
        !matches!(
            self,
            SocketKind::Udp | SocketKind::Udp6 | SocketKind::UnixDatagram
        )
    }
}

/// What bind(2) and connect(2) are given.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SocketAddress {
    Inet(SocketAddr),
    /// An absolute path.
    Unix(String),
}

impl SocketAddress {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            SocketAddress::Inet(address) => Some(address.ip()),
            SocketAddress::Unix(_) => None,
        }
    }

    pub fn path(&self) -> Option<&str> {
        match self {
            SocketAddress::Inet(_) => None,
            SocketAddress::Unix(path) => Some(path),
        }
    }
}

impl std::fmt::Display for SocketAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SocketAddress::Inet(address) => write!(formatter, "{address}"),
            SocketAddress::Unix(path) => formatter.write_str(path),
        }
    }
}

/// One setsockopt(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// SO_REUSEADDR: connections that are ending don't stand in the way of a new listener.
    ReuseAddress,
    /// SO_REUSEPORT: several sockets at one address, if all of them say so.
    ReusePort,
    /// IPV6_V6ONLY.
    V6Only(bool),
}
