//! `[[listen]]` and `[capsicum]`, and what can't go together in them. Pure.

use super::super::diagnostic::quoted;
use super::super::schema::Key;
use super::super::{ANSWERS, CLOSURE_OFF, Closure, LOOKS_UP, Listen, Mode, values};
use super::typed::{Percent, fill, replace};
use super::{Place, Reader, Value};
use crate::kernel::{SocketAddress, SocketKind};
use std::net::SocketAddr;
use toml::de::DeValue;

const MOST: usize = 32;

const PROTO: &[(&str, SocketKind)] = &[
    ("tcp", SocketKind::Tcp),
    ("tcp6", SocketKind::Tcp6),
    ("udp", SocketKind::Udp),
    ("udp6", SocketKind::Udp6),
    ("unix", SocketKind::UnixStream),
    ("unix-dgram", SocketKind::UnixDatagram),
    ("unix-seqpacket", SocketKind::UnixSeqpacket),
];

/// One table, as far as it was read.
#[derive(Default)]
struct Table {
    name: Option<String>,
    kind: Option<SocketKind>,
    address: Option<String>,
    backlog: Option<u32>,
    reuseport: Option<bool>,
    v6only: Option<bool>,
    mode: Option<u32>,
    owner: Option<String>,
}

impl Reader<'_> {
    pub(super) fn listen(&mut self, list: &'static Key, item: &Value<'_>) {
        let DeValue::Table(table) = item.get_ref() else {
            return self.wrong_type(list.name, "table", item);
        };
        let mut read = Table::default();
        for (key, value) in self.known_entries("listen", table) {
            self.assign_listen(key, value, &mut read);
        }
        let mut is_whole = true;
        for name in ["name", "proto", "addr"] {
            is_whole &= self.required(name, "[[listen]]", table, item).is_some();
        }
        if let Some((key, words)) = read.useless()
            && let Some(value) = table.get(key)
        {
            self.error(
                value.span(),
                format!("{} means nothing for {words}", quoted(key)),
            );
        }
        let (Some(name), Some(kind), Some(text), true) =
            (read.name, read.kind, read.address, is_whole)
        else {
            return;
        };
        let address = match address(kind, &text) {
            Ok(address) => address,
            Err(message) => {
                let span = table.get("addr").map_or(item.span(), |value| value.span());
                return self.error(span, message);
            }
        };
        self.listens.push(self.place(item));
        self.profile.listen.push(Listen {
            name,
            kind,
            address,
            backlog: read.backlog.unwrap_or(128),
            reuseport: read.reuseport.unwrap_or(false),
            v6only: read.v6only.unwrap_or(true),
            mode: read.mode.unwrap_or(0o600),
            owner: read.owner,
        });
    }

    fn assign_listen(&mut self, key: &'static Key, value: &Value<'_>, read: &mut Table) {
        use Percent::{Instance, Refused};
        match key.name {
            "name" => fill(self.one(key, value, Refused, values::tag), &mut read.name),
            "proto" => fill(self.word(key, value, PROTO), &mut read.kind),
            "addr" => fill(
                self.one(key, value, Instance, values::text),
                &mut read.address,
            ),
            "backlog" => fill(self.integer(key, value, 1..=65535), &mut read.backlog),
            "reuseport" => fill(self.boolean(key, value), &mut read.reuseport),
            "v6only" => fill(self.boolean(key, value), &mut read.v6only),
            "mode" => fill(
                self.one(key, value, Refused, values::socket_mode),
                &mut read.mode,
            ),
            "owner" => fill(
                self.one(key, value, Refused, values::account),
                &mut read.owner,
            ),
            _ => self.unhandled(key, value),
        }
    }

    pub(super) fn assign_capsicum(&mut self, key: &'static Key, value: &Value<'_>) {
        self.capsicum.insert(key.name, self.place(value));
        match key.name {
            "mode" => {
                let words = [
                    ("off", Mode::Off),
                    ("report", Mode::Report),
                    ("enforce", Mode::Enforce),
                ];
                replace(
                    self.word(key, value, &words),
                    &mut self.profile.capsicum.mode,
                );
            }
            "preopen" => replace(self.boolean(key, value), &mut self.profile.capsicum.preopen),
            "kill_children" => replace(
                self.boolean(key, value),
                &mut self.profile.capsicum.kill_children,
            ),
            _ => self.unhandled(key, value),
        }
    }

    pub(super) fn check_listens(&mut self) {
        let places = std::mem::take(&mut self.listens);
        let listens = self.profile.listen.clone();
        for (index, (one, place)) in listens.iter().zip(&places).enumerate() {
            let before = listens.iter().take(index);
            if before.clone().any(|other| other.name == one.name) {
                self.error_at(place, format!("name {} is given twice", quoted(&one.name)));
            }
            let is_same = |other: &Listen| {
                let is_shared = one.reuseport && other.reuseport;
                other.kind == one.kind && other.address == one.address && !is_shared
            };
            if before.clone().any(is_same) {
                self.error_at(place, format!("addr {} is given twice", one.address));
            }
            if index == MOST {
                self.error_at(place, format!("more than {MOST} tables of [[listen]]"));
            }
            // A server answers by sendto(2) with an address, which capability mode refuses.
            let is_udp = matches!(one.kind, SocketKind::Udp | SocketKind::Udp6);
            if is_udp && self.profile.capsicum.mode == Mode::Enforce {
                self.error_at(place, ANSWERS.to_owned());
            }
        }
    }

    /// What can't work is refused here as far as the text alone says it; `host` sees to the rest.
    pub(super) fn check_capsicum(&mut self) {
        let capsicum = self.profile.capsicum;
        let place =
            |reader: &Self, key: &str| -> Option<Place<'_>> { reader.capsicum.get(key).cloned() };
        let mut wrong: Vec<(Option<Place<'_>>, &str)> = Vec::new();
        if capsicum.mode == Mode::Enforce && self.profile.root.closure == Closure::Off {
            wrong.push((place(self, "mode"), CLOSURE_OFF));
        }
        if capsicum.mode == Mode::Enforce && self.resolver.is_some() {
            wrong.push((self.resolver.clone(), LOOKS_UP));
        }
        if capsicum.preopen && self.profile.root.closure == Closure::Off {
            let message =
                "preopen needs closure = \"auto\", which brings the shim and its libraries in";
            wrong.push((place(self, "preopen"), message));
        }
        if capsicum.preopen && capsicum.mode != Mode::Enforce && self.profile.listen.is_empty() {
            let message = "preopen has nothing to do: it needs mode = \"enforce\" or [[listen]]";
            wrong.push((place(self, "preopen"), message));
        }
        if capsicum.kill_children && !(capsicum.preopen && capsicum.mode == Mode::Enforce) {
            let message = "kill_children needs mode = \"enforce\" and preopen = true";
            wrong.push((place(self, "kill_children"), message));
        }
        let wrong: Vec<_> = wrong
            .into_iter()
            .filter_map(|(place, message)| Some((place?, message.to_owned())))
            .collect();
        for (place, message) in wrong {
            self.error_at(&place, message);
        }
    }
}

impl Table {
    /// A key that such a socket doesn't have, and what sort of socket that is.
    fn useless(&self) -> Option<(&'static str, &'static str)> {
        let kind = self.kind?;
        let is_v6 = matches!(kind, SocketKind::Tcp6 | SocketKind::Udp6);
        if self.backlog.is_some() && !kind.listens() {
            return Some(("backlog", "a socket that takes no connections"));
        }
        if self.v6only.is_some() && !is_v6 {
            return Some(("v6only", "a socket that isn't of tcp6 or udp6"));
        }
        if self.reuseport.is_some() && kind.is_unix() {
            return Some(("reuseport", "a socket with a path"));
        }
        if self.mode.is_some() && !kind.is_unix() {
            return Some(("mode", "a socket without a path"));
        }
        if self.owner.is_some() && !kind.is_unix() {
            return Some(("owner", "a socket without a path"));
        }
        None
    }
}

/// SUNPATHLEN of sys/sys/un.h, less the NUL.
const PATH_BYTES: usize = 103;

fn address(kind: SocketKind, text: &str) -> Result<SocketAddress, String> {
    if kind.is_unix() {
        let path = values::path_below_root(text)?;
        return match path.len() <= PATH_BYTES {
            true => Ok(SocketAddress::Unix(path)),
            false => Err(format!(
                "{} is longer than {PATH_BYTES} bytes",
                quoted(text)
            )),
        };
    }
    let wants_v6 = matches!(kind, SocketKind::Tcp6 | SocketKind::Udp6);
    let wrong = || match wants_v6 {
        true => format!(
            "{} is not an IPv6 address and port like \"[::1]:80\"",
            quoted(text)
        ),
        false => format!(
            "{} is not an IPv4 address and port like \"10.0.0.1:80\"",
            quoted(text)
        ),
    };
    let address: SocketAddr = text.parse().map_err(|_| wrong())?;
    if address.is_ipv6() != wants_v6 {
        return Err(wrong());
    }
    match address {
        _ if address.port() == 0 => Err(format!("{} has no port", quoted(text))),
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => Err(wrong()),
        _ if address.ip().is_multicast() => Err(format!("{} is a multicast address", quoted(text))),
        _ => Ok(SocketAddress::Inet(address)),
    }
}
