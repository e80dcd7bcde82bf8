//! Sockets of `[[listen]]`, as they are bound. Pure.

use crate::kernel::{SocketAddress, SocketKind, SocketOption};
use crate::profile::Listen;
use std::fmt;

/// One socket, with all that is done to it before the service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub name: String,
    pub kind: SocketKind,
    pub address: SocketAddress,
    pub options: Vec<SocketOption>,
    pub backlog: u32,
    /// Of the file of one that has a path.
    pub mode: u32,
    pub owner: Option<u32>,
}

impl Socket {
    /// `owner` is the uid of the profile's.
    pub fn new(listen: &Listen, owner: Option<u32>) -> Socket {
        let mut options = Vec::new();
        // Connections of an earlier start that are still ending aren't in the way; of two live listeners
        // the second is refused all the same.
        if matches!(listen.kind, SocketKind::Tcp | SocketKind::Tcp6) {
            options.push(SocketOption::ReuseAddress);
        }
        if listen.reuseport {
            options.push(SocketOption::ReusePort);
        }
        if matches!(listen.kind, SocketKind::Tcp6 | SocketKind::Udp6) {
            options.push(SocketOption::V6Only(listen.v6only));
        }
        Socket {
            name: listen.name.clone(),
            kind: listen.kind,
            address: listen.address.clone(),
            options,
            backlog: listen.backlog,
            mode: listen.mode,
            owner,
        }
    }

    /// As the shim reads it: what the program binds, and what it gets instead.
    pub fn as_translated(&self) -> String {
        translated(self.kind, &self.address)
    }
}

fn translated(kind: SocketKind, address: &SocketAddress) -> String {
    match kind {
        SocketKind::Tcp | SocketKind::Tcp6 => format!("tcp:{address}"),
        SocketKind::Udp | SocketKind::Udp6 => format!("udp:{address}"),
        _ => format!("unix:{address}"),
    }
}

/// The variable that tells a command beside the running service which addresses that has. What it binds, to see
/// whether it could, is in use, as it would be without a jail.
pub fn taken(listen: &[Listen]) -> Option<String> {
    let all: Vec<String> = listen
        .iter()
        .map(|listen| translated(listen.kind, &listen.address))
        .collect();
    (!all.is_empty()).then(|| format!("JAILRUN_TAKEN={}", all.join("\n")))
}

fn word(kind: SocketKind) -> &'static str {
    match kind {
        SocketKind::Tcp => "tcp",
        SocketKind::Tcp6 => "tcp6",
        SocketKind::Udp => "udp",
        SocketKind::Udp6 => "udp6",
        SocketKind::UnixStream => "unix",
        SocketKind::UnixDatagram => "unix-dgram",
        SocketKind::UnixSeqpacket => "unix-seqpacket",
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "bind {:?} to {} ({}",
            self.name,
            self.address,
            word(self.kind)
        )?;
        if self.kind.listens() {
            write!(formatter, ", backlog {}", self.backlog)?;
        }
        for option in &self.options {
            match option {
                SocketOption::ReuseAddress => {}
                SocketOption::ReusePort => formatter.write_str(", reuseport")?,
                SocketOption::V6Only(true) => formatter.write_str(", v6only")?,
                SocketOption::V6Only(false) => formatter.write_str(", IPv4 too")?,
            }
        }
        if self.kind.is_unix() {
            write!(
                formatter,
                ", mode {:04o}, owner {}",
                self.mode,
                self.owner.unwrap_or(0)
            )?;
        }
        formatter.write_str(")")
    }
}

/// The variables that tell a program of its sockets, but for LISTEN_PID: that is the pid of whoever
/// executes it. `first` is the number of the first.
pub fn variables(sockets: &[Socket], first: i32) -> Vec<String> {
    if sockets.is_empty() {
        return Vec::new();
    }
    let names: Vec<&str> = sockets.iter().map(|socket| socket.name.as_str()).collect();
    let waiting: Vec<String> = (first..)
        .zip(sockets)
        .map(|(number, socket)| format!("{number}={}", socket.as_translated()))
        .collect();
    vec![
        format!("LISTEN_FDS={}", sockets.len()),
        format!("LISTEN_FDNAMES={}", names.join(":")),
        format!("JAILRUN_LISTEN={}", waiting.join("\n")),
    ]
}
