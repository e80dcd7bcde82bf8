//! Whether a service can bind an address, or connect to one. Nothing is sent: addresses are tried with
//! sockets for messages, and a port is bound only where root's privilege is what is asked for.

use super::question::Act;
use super::{Answer, Known, Line, gone, inside, quoted};
use crate::error::Error;
use crate::kernel::attack::Attack;
use crate::kernel::{Alias, Errno, Failure, Listener, Protocol, SocketAddress, SocketKind};
use crate::plan::child::FIRST;
use crate::profile::{Listen, Network};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// net.inet.ip.portrange.reservedhigh, unless it says otherwise.
const RESERVED: i64 = 1023;

/// Which call refused, or the address that the kernel chose.
type Met = Result<SocketAddr, Failure>;

pub fn ask<K: Attack>(
    kernel: &mut K,
    known: &Known<'_>,
    protocol: Protocol,
    address: SocketAddr,
    act: Option<Act>,
) -> Result<Answer, Error> {
    let step = |failure| Error::step("read the host's addresses", failure);
    let host = kernel.getifaddrs().map_err(step)?;
    let is_here = address.ip().is_unspecified() || is_on(&host, address.ip());
    let is_bind = match act {
        Some(act) => act == Act::Bind,
        None => is_here,
    };
    let what = format!("ask the instance {}", known.plan.label());
    let said = inside(kernel, known.plan, move |kernel| {
        told(&match is_bind {
            true => bind(kernel, protocol, address),
            false => source(kernel, address),
        })
    })?;
    let met = read(&said).ok_or_else(|| gone(&what))?;
    if !is_bind {
        let outside = source(kernel, address).ok().map(|own| own.ip());
        return Ok(connecting(known, address, &met, &host, outside));
    }
    let listeners = kernel.listeners();
    let listeners = listeners.map_err(|failure| Error::step("read who listens", failure))?;
    let holder = holder(&listeners, protocol, address);
    Ok(binding(known, protocol, address, &met, &host, holder))
}

fn kind(protocol: Protocol, ip: IpAddr) -> SocketKind {
    match (protocol, ip) {
        (Protocol::Tcp, IpAddr::V4(_)) => SocketKind::Tcp,
        (Protocol::Tcp, IpAddr::V6(_)) => SocketKind::Tcp6,
        (Protocol::Udp, IpAddr::V4(_)) => SocketKind::Udp,
        (Protocol::Udp, IpAddr::V6(_)) => SocketKind::Udp6,
    }
}

/// The address with any port, which takes none from anybody; then the port, where it is privileged.
fn bind<K: Attack>(kernel: &mut K, protocol: Protocol, address: SocketAddr) -> Met {
    let any = SocketAddr::new(address.ip(), 0);
    let got = bound(kernel, protocol, any)?;
    let reserved = kernel.sysctl_int("net.inet.ip.portrange.reservedhigh");
    if i64::from(address.port()) <= reserved.unwrap_or(RESERVED) {
        match bound(kernel, protocol, address) {
            // By the service itself, most likely; who it is, is told.
            Err(failure) if failure.errno == Errno::EADDRINUSE => {}
            other => drop(other?),
        }
    }
    Ok(got)
}

fn bound<K: Attack>(kernel: &mut K, protocol: Protocol, address: SocketAddr) -> Met {
    let socket = kernel.socket(kind(protocol, address.ip()))?;
    let got = kernel
        .bind(socket, &SocketAddress::Inet(address))
        .and_then(|()| kernel.getsockname(socket));
    kernel.close(socket)?;
    got
}

/// Where messages to an address would come from. connect(2) of such a socket asks the routing table,
/// and sends nothing.
fn source<K: Attack>(kernel: &mut K, address: SocketAddr) -> Met {
    let socket = kernel.socket(kind(Protocol::Udp, address.ip()))?;
    let got = kernel
        .connect(socket, &SocketAddress::Inet(address))
        .and_then(|()| kernel.getsockname(socket));
    kernel.close(socket)?;
    got
}

fn told(met: &Met) -> String {
    match met {
        Ok(address) => format!("o{address}"),
        Err(failure) => format!("r{} {}", failure.call, failure.errno.0),
    }
}

fn read(said: &str) -> Option<Met> {
    if let Some(address) = said.strip_prefix('o') {
        return Some(Ok(address.parse().ok()?));
    }
    let (call, errno) = said.strip_prefix('r')?.split_once(' ')?;
    let calls = ["socket", "bind", "connect", "getsockname"];
    let call = calls.into_iter().find(|known| *known == call)?;
    Some(Err(Failure::new(call, Errno(errno.parse().ok()?))))
}

fn holder(all: &[Listener], protocol: Protocol, address: SocketAddr) -> Option<&Listener> {
    all.iter().find(|listener| {
        let (theirs, ip) = (listener.address, address.ip());
        let is_same = theirs.ip() == ip || theirs.ip().is_unspecified() || ip.is_unspecified();
        listener.protocol == protocol
            && theirs.port() == address.port()
            && theirs.is_ipv4() == address.is_ipv4()
            && is_same
    })
}

fn binding(
    known: &Known<'_>,
    protocol: Protocol,
    address: SocketAddr,
    met: &Met,
    host: &[Alias],
    holder: Option<&Listener>,
) -> Answer {
    let ip = address.ip();
    let wanted = SocketAddress::Inet(address);
    let kind = kind(protocol, ip);
    let held = |listen: &Listen| listen.kind == kind && listen.address == wanted;
    let listens = known.profile.listen.iter();
    if let Some((number, listen)) = (FIRST..).zip(listens).find(|(_, listen)| held(listen)) {
        return Answer::granted(format!(
            "[[listen]] {:?} is bound there: the service has it as descriptor {number}",
            listen.name
        ));
    }
    let names = known
        .profile
        .listen
        .iter()
        .map(|listen| listen.name.clone());
    let mut taken = names.collect();
    let listen = listening(protocol, address, &mut taken);
    let listen = || Some(listen.clone());
    if known.plan.child().capability.is_some() {
        let words =
            "the service runs in capability mode, where it binds nothing that isn't in [[listen]]";
        return Answer::missing(words, listen());
    }
    match met {
        Ok(got) if got.ip() != ip && !ip.is_unspecified() => Answer::missing(
            format!(
                "the jail hasn't {ip}: the kernel gives it {} in its place",
                got.ip()
            ),
            network(known, ip, host),
        ),
        Ok(_) => {
            let taken = holder.map_or_else(String::new, |holder| {
                let pids: Vec<String> =
                    holder.holders.iter().map(|pid| pid.0.to_string()).collect();
                format!("; somebody listens there (pid {})", pids.join(", "))
            });
            Answer::granted(format!("{}{taken}", reason(known, ip)))
        }
        Err(failure) => refused(known, failure, address, host, listen()),
    }
}

fn refused(
    known: &Known<'_>,
    failure: &Failure,
    address: SocketAddr,
    host: &[Alias],
    listen: Option<Line>,
) -> Answer {
    let ip = address.ip();
    match failure.errno {
        Errno::EADDRNOTAVAIL => {
            let why = format!("the jail hasn't the address {ip}");
            Answer::missing(why, network(known, ip, host))
        }
        Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => {
            let why = format!("the jail has no {} at all", family(ip));
            Answer::missing(why, network(known, ip, host))
        }
        Errno::EACCES | Errno::EPERM => {
            let why = format!(
                "port {} is for root, and the service is {}",
                address.port(),
                known.host.user
            );
            Answer::missing(why, listen)
        }
        errno => Answer::missing(format!("{}: {}", failure.call, errno.words()), None),
    }
}

fn family(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(_) => "IPv4",
        IpAddr::V6(_) => "IPv6",
    }
}

fn keys(ip: IpAddr) -> (&'static str, u8) {
    match ip {
        IpAddr::V4(_) => ("ip4", 32),
        IpAddr::V6(_) => ("ip6", 128),
    }
}

fn of<'a>(known: &'a Known<'_>, ip: IpAddr) -> &'a Network {
    match ip {
        IpAddr::V4(_) => &known.profile.jail.ip4,
        IpAddr::V6(_) => &known.profile.jail.ip6,
    }
}

fn has(known: &Known<'_>, ip: IpAddr) -> bool {
    match of(known, ip) {
        Network::Addresses(all) => all.iter().any(|one| one.address == ip),
        Network::Inherit => true,
        Network::Disable => false,
    }
}

fn reason(known: &Known<'_>, ip: IpAddr) -> String {
    let (key, _) = keys(ip);
    match of(known, ip) {
        Network::Inherit => {
            format!("{key} = \"inherit\": the service has every address of the host's")
        }
        _ => format!("{key}.addr lists {ip}"),
    }
}

fn is_on(host: &[Alias], ip: IpAddr) -> bool {
    host.iter().any(|alias| alias.address == ip)
}

/// An interface that is there, and leads nowhere.
fn loopback(host: &[Alias]) -> &str {
    let mut all = host.iter().filter(|alias| alias.address.is_loopback());
    all.next().map_or("lo0", |alias| &alias.interface)
}

/// An address that no interface has names the one that it is added to. Where all are the jail's already,
/// no line brings another.
fn network(known: &Known<'_>, ip: IpAddr, host: &[Alias]) -> Option<Line> {
    let (key, bits) = keys(ip);
    if ip.is_unspecified() {
        return None;
    }
    let (is_more, interface) = match of(known, ip) {
        Network::Inherit => return None,
        Network::Disable => (false, None),
        Network::Addresses(all) => {
            let mut named = all.iter().filter_map(|one| one.interface.as_deref());
            (!all.is_empty(), named.next())
        }
    };
    let place = match is_on(host, ip) {
        true => String::new(),
        false => format!("{}|", interface.unwrap_or_else(|| loopback(host))),
    };
    Some(Line {
        table: "jail",
        text: format!("{key}.addr = [{}]", quoted(&format!("{place}{ip}/{bits}"))),
        is_more,
    })
}

/// By a name that no other table has.
pub fn listening(protocol: Protocol, address: SocketAddr, taken: &mut BTreeSet<String>) -> Line {
    let proto = match address {
        SocketAddr::V4(_) => protocol.to_string(),
        SocketAddr::V6(_) => format!("{protocol}6"),
    };
    let mut name = format!("{proto}-{}", address.port());
    for number in 2.. {
        if taken.insert(name.clone()) {
            break;
        }
        name = format!("{proto}-{}-{number}", address.port());
    }
    Line {
        table: "[listen]",
        text: format!("name = \"{name}\"\nproto = \"{proto}\"\naddr = \"{address}\""),
        is_more: false,
    }
}

fn connecting(
    known: &Known<'_>,
    address: SocketAddr,
    met: &Met,
    host: &[Alias],
    outside: Option<IpAddr>,
) -> Answer {
    let ip = address.ip();
    if known.plan.child().capability.is_some() {
        let words = "the service runs in capability mode, where nothing is connected to an address";
        let line = Line {
            table: "capsicum",
            text: "mode = \"off\"".to_string(),
            is_more: false,
        };
        return Answer::missing(words, Some(line));
    }
    let by = |source: Option<IpAddr>| source.and_then(|source| network(known, source, host));
    match met {
        // What is meant for a loopback that the jail hasn't goes to the jail itself.
        Ok(from) if ip.is_loopback() && !has(known, ip) => {
            let why = format!(
                "the jail hasn't {ip}: the kernel leads it to {}, its own",
                from.ip()
            );
            Answer::missing(why, network(known, ip, host))
        }
        Ok(from) if from.ip().is_loopback() && !ip.is_loopback() && !is_on(host, ip) => {
            let why = format!("it would come from {}, which leaves no host", from.ip());
            Answer::missing(why, by(outside.filter(|source| !source.is_loopback())))
        }
        Ok(from) => Answer::granted(format!(
            "it would come from {}: {}; whether somebody answers isn't tried",
            from.ip(),
            reason(known, from.ip())
        )),
        Err(failure) => match failure.errno {
            Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => {
                let why = format!("the jail has no {} at all", family(ip));
                Answer::missing(why, by(outside))
            }
            Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL => match outside {
                None => Answer::missing(
                    format!("no route leads to {ip}, from the host neither"),
                    None,
                ),
                Some(_) => Answer::missing(
                    format!("no address of the jail's leads to {ip}"),
                    by(outside),
                ),
            },
            errno => Answer::missing(format!("{}: {}", failure.call, errno.words()), None),
        },
    }
}
