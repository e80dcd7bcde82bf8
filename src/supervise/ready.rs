//! When a service that says `ready = "ports"` is ready: when processes of its jail listen on all that
//! `expect_open` names. The kernel is asked who listens; nobody connects, since a service may take a
//! connection for the only one that it waits for.

use crate::error::Error;
use crate::kernel::{Errno, Failure, JailId, Kernel, Listener};
use crate::profile::Port;

/// Between two looks.
const LOOK_MS: u64 = 100;
/// Whoever waits for a service, rc(8) at boot among others, waits no longer than this.
const PATIENCE_MS: u64 = 60_000;

#[derive(Debug)]
pub struct Ports {
    wanted: Vec<Port>,
    next_look: u64,
    end: u64,
}

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Open,
    NotYet,
    TooLate,
}

impl Ports {
    pub fn new(wanted: &[Port], now: u64) -> Ports {
        Ports {
            wanted: wanted.to_vec(),
            next_look: now,
            end: now.saturating_add(PATIENCE_MS),
        }
    }

    pub fn next_look(&self) -> u64 {
        self.next_look
    }

    pub fn look<K: Kernel>(&mut self, kernel: &mut K, jail: JailId) -> Result<Seen, Failure> {
        let now = kernel.monotonic_ms();
        if now < self.next_look {
            return Ok(Seen::NotYet);
        }
        let listeners = kernel.listeners()?;
        let mut missing = Vec::new();
        for port in &self.wanted {
            if !is_open(kernel, port, &listeners, jail)? {
                missing.push(port.clone());
            }
        }
        // The message names those that the last look has missed.
        self.wanted = missing;
        self.next_look = now.saturating_add(LOOK_MS);
        Ok(match self.wanted.is_empty() {
            true => Seen::Open,
            false if now >= self.end => Seen::TooLate,
            false => Seen::NotYet,
        })
    }

    pub fn error(&self) -> Error {
        let ports: Vec<String> = self.wanted.iter().map(ToString::to_string).collect();
        let seconds = PATIENCE_MS / 1000;
        let failure = Failure {
            call: "listeners",
            errno: Errno::ETIMEDOUT,
            text: format!("stopped after {seconds} s"),
        };
        Error::step(format!("wait until {} is open", ports.join(", ")), failure)
    }
}

fn is_open<K: Kernel>(
    kernel: &mut K,
    port: &Port,
    listeners: &[Listener],
    jail: JailId,
) -> Result<bool, Failure> {
    let fits = |listener: &&Listener| {
        let (ours, wanted) = (listener.address, port.address);
        let is_address = ours.ip() == wanted.ip() || ours.ip().is_unspecified();
        listener.protocol == port.protocol && ours.port() == wanted.port() && is_address
    };
    for holder in listeners.iter().filter(fits).flat_map(|l| &l.holders) {
        // Somebody else's service on the same port of the host is not ours.
        if kernel
            .process_info(*holder)?
            .is_some_and(|info| info.jail == jail)
        {
            return Ok(true);
        }
    }
    Ok(false)
}
