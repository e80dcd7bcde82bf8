//! What the launcher says in the environment: which descriptors are open, and what they stand for.
//! A word that can't be read is the launcher's mistake, and the program is not started.

use crate::paths::Tree;
use crate::text::{Few, PATH_MAX};
use core::net::{IpAddr, SocketAddr};

pub const DIRS: &str = "JAILRUN_DIRS";
pub const RTLD: &str = "JAILRUN_RTLD";
pub const SHIM: &str = "JAILRUN_SHIM";
pub const LISTEN: &str = "JAILRUN_LISTEN";
pub const TAKEN: &str = "JAILRUN_TAKEN";
pub const CWD: &str = "JAILRUN_CWD";
pub const LOG: &str = "JAILRUN_LOG";
pub const KILL_CHILDREN: &str = "JAILRUN_KILL_CHILDREN";
pub const LIBRARIES: &str = "LD_LIBRARY_PATH_FDS";
pub const PRELOAD: &str = "LD_PRELOAD_FDS";

/// All of them: a program that is executed gets these from us, whatever its environment says.
pub const NAMES: [&str; 10] = [
    DIRS,
    RTLD,
    SHIM,
    LISTEN,
    TAKEN,
    CWD,
    LOG,
    KILL_CHILDREN,
    LIBRARIES,
    PRELOAD,
];

pub const MOST: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Address<'a> {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Unix(&'a [u8]),
}

/// A socket that was bound for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener<'a> {
    pub fd: i32,
    pub address: Address<'a>,
}

pub struct Handoff<'a> {
    /// None at all: no capability mode, and only `bind` is translated.
    pub trees: Few<Tree<'a>, MOST>,
    pub listeners: Few<Listener<'a>, MOST>,
    /// Addresses that the running service has, of a command beside it.
    pub taken: Few<Address<'a>, MOST>,
    /// rtld's, which it opens libraries in at any time, and what it was told to load first.
    pub libraries: Few<i32, MOST>,
    pub rtld: Option<i32>,
    pub shim: Option<i32>,
    pub log: Option<i32>,
    pub cwd: Option<&'a [u8]>,
    pub kill_children: bool,
}

impl Handoff<'_> {
    pub const fn none() -> Self {
        Self {
            trees: Few::new(),
            listeners: Few::new(),
            taken: Few::new(),
            libraries: Few::new(),
            rtld: None,
            shim: None,
            log: None,
            cwd: None,
            kill_children: false,
        }
    }
}

/// The name of the variable that can't be understood, or that has too many entries.
pub fn read<'a>(get: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Handoff<'a>, &'static str> {
    let mut handoff = Handoff::none();
    for line in lines(get(DIRS)) {
        let (fd, path) = numbered(line).ok_or(DIRS)?;
        let path = directory(path).ok_or(DIRS)?;
        handoff
            .trees
            .push(Tree { fd, path })
            .then_some(())
            .ok_or(DIRS)?;
    }
    for line in lines(get(LISTEN)) {
        let (fd, address) = numbered(line).ok_or(LISTEN)?;
        let address = address_of(address).ok_or(LISTEN)?;
        let listener = Listener { fd, address };
        handoff
            .listeners
            .push(listener)
            .then_some(())
            .ok_or(LISTEN)?;
    }
    for line in lines(get(TAKEN)) {
        let address = address_of(line).ok_or(TAKEN)?;
        handoff.taken.push(address).then_some(()).ok_or(TAKEN)?;
    }
    for name in [LIBRARIES, PRELOAD] {
        let value = get(name).unwrap_or_default();
        for word in value
            .split(|byte| *byte == b':')
            .filter(|word| !word.is_empty())
        {
            let fd = number(word).ok_or(name)?;
            handoff.libraries.push(fd).then_some(()).ok_or(name)?;
        }
    }
    let one = |name: &'static str| match get(name) {
        None | Some(b"") => Ok(None),
        Some(word) => number(word).ok_or(name).map(Some),
    };
    handoff.rtld = one(RTLD)?;
    handoff.shim = one(SHIM)?;
    handoff.log = one(LOG)?;
    if let Some(path) = get(CWD) {
        handoff.cwd = Some(directory(path).ok_or(CWD)?);
    }
    handoff.kill_children = get(KILL_CHILDREN) == Some(b"1");
    // Without it every name that no tree holds would be refused for a reason that nobody could guess.
    let has_root = handoff.trees.iter().any(|tree| tree.path.is_empty());
    if handoff.trees.iter().next().is_some() && !has_root {
        return Err(DIRS);
    }
    Ok(handoff)
}

fn lines(value: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    let lines = value.unwrap_or_default().split(|byte| *byte == b'\n');
    lines.filter(|line| !line.is_empty())
}

fn number(word: &[u8]) -> Option<i32> {
    let digits = core::str::from_utf8(word).ok()?;
    let number = digits.parse().ok()?;
    // "+3" is a number too, and nothing that a launcher writes.
    (digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

fn numbered(line: &[u8]) -> Option<(i32, &[u8])> {
    let sign = line.iter().position(|byte| *byte == b'=')?;
    let (fd, value) = line.split_at(sign);
    Some((number(fd)?, value.get(1..)?))
}

/// An absolute path without a slash at its end: the root's is empty.
fn directory(path: &[u8]) -> Option<&[u8]> {
    if path.first() != Some(&b'/') || path.len() >= PATH_MAX {
        return None;
    }
    let end = path.iter().rposition(|byte| *byte != b'/');
    path.get(..end.map_or(0, |end| end + 1))
}

fn address_of(value: &[u8]) -> Option<Address<'_>> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    let (protocol, rest) = value.split_at(colon);
    let rest = rest.get(1..)?;
    let inet = || core::str::from_utf8(rest).ok()?.parse::<SocketAddr>().ok();
    match protocol {
        b"tcp" => inet().map(Address::Tcp),
        b"udp" => inet().map(Address::Udp),
        b"unix" => directory(rest).map(Address::Unix),
        _ => None,
    }
}

/// Whether a program that asks for `asked` means the socket bound to `held`. "Any address" does: a jail's
/// any is the addresses that it has.
pub fn is_meant(held: SocketAddr, asked: SocketAddr) -> bool {
    let is_same_family = held.is_ipv4() == asked.is_ipv4();
    let is_any = match asked.ip() {
        IpAddr::V4(ip) => ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    held.port() == asked.port() && is_same_family && (is_any || held.ip() == asked.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(pairs: &'a [(&str, &'a str)]) -> Result<Handoff<'a>, &'static str> {
        read(|name| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| value.as_bytes())
        })
    }

    #[test]
    fn everything_that_a_launcher_says_is_read() {
        let handoff = given(&[
            (DIRS, "900=/\n901=/var/db/\n"),
            (
                LISTEN,
                "3=tcp:127.0.0.1:80\n4=tcp:[::1]:80\n5=udp:0.0.0.0:53\n6=unix:/run/a b",
            ),
            (TAKEN, "tcp:127.0.0.1:81\nunix:/run/c"),
            (LIBRARIES, "902:903"),
            (PRELOAD, "904"),
            (RTLD, "905"),
            (SHIM, "904"),
            (LOG, "906"),
            (CWD, "/var/db"),
            (KILL_CHILDREN, "1"),
        ]);
        let handoff = handoff.unwrap_or_else(|name| panic!("{name}"));
        let trees: Vec<_> = handoff
            .trees
            .iter()
            .map(|tree| (tree.fd, tree.path))
            .collect();
        assert_eq!(trees, [(900, &b""[..]), (901, b"/var/db")]);
        let listeners: Vec<_> = handoff.listeners.iter().copied().collect();
        let address = |text: &str| text.parse().unwrap();
        let expected = [
            (3, Address::Tcp(address("127.0.0.1:80"))),
            (4, Address::Tcp(address("[::1]:80"))),
            (5, Address::Udp(address("0.0.0.0:53"))),
            (6, Address::Unix(b"/run/a b")),
        ];
        assert_eq!(
            listeners,
            expected.map(|(fd, address)| Listener { fd, address })
        );
        assert_eq!(
            handoff.taken.iter().copied().collect::<Vec<_>>(),
            [
                Address::Tcp(address("127.0.0.1:81")),
                Address::Unix(b"/run/c")
            ]
        );
        assert_eq!(
            handoff.libraries.iter().copied().collect::<Vec<_>>(),
            [902, 903, 904]
        );
        assert_eq!(
            (handoff.rtld, handoff.shim, handoff.log),
            (Some(905), Some(904), Some(906))
        );
        assert!(handoff.cwd == Some(b"/var/db") && handoff.kill_children);
    }

    #[test]
    fn nothing_said_is_nothing_granted() {
        let handoff = given(&[]).unwrap_or_else(|name| panic!("{name}"));
        assert_eq!(
            handoff.trees.iter().count() + handoff.listeners.iter().count(),
            0
        );
        assert!(handoff.cwd.is_none() && !handoff.kill_children && handoff.rtld.is_none());
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (name, value) in [
            (DIRS, "900"),
            (DIRS, "x=/"),
            (DIRS, "-1=/"),
            (DIRS, "+900=/"),
            (DIRS, "900=relative"),
            (DIRS, "900=/only/below"),
            (LISTEN, "3=tcp:127.0.0.1"),
            (LISTEN, "3=sctp:127.0.0.1:80"),
            (LISTEN, "3=tcp:localhost:80"),
            (LISTEN, "3=unix:relative"),
            (TAKEN, "3=tcp:127.0.0.1:80"),
            (TAKEN, "tcp:localhost:80"),
            (LIBRARIES, "a"),
            (PRELOAD, "4,5"),
            (RTLD, "four"),
            (SHIM, "99999999999"),
            (LOG, " 5"),
            (CWD, "here"),
        ] {
            assert_eq!(given(&[(name, value)]).err(), Some(name), "{value}");
        }
        let many: String = (0..=MOST).map(|fd| format!("{fd}=/\n")).collect();
        assert_eq!(given(&[(DIRS, &many)]).err(), Some(DIRS));
    }

    #[test]
    fn a_listener_is_meant_by_its_address_and_by_any() {
        for (held, asked, expected) in [
            ("10.0.0.1:80", "10.0.0.1:80", true),
            ("10.0.0.1:80", "0.0.0.0:80", true),
            ("10.0.0.1:80", "10.0.0.2:80", false),
            ("10.0.0.1:80", "10.0.0.1:81", false),
            ("10.0.0.1:80", "[::]:80", false),
            ("[::1]:80", "[::]:80", true),
            ("0.0.0.0:80", "10.0.0.1:80", false),
        ] {
            let (held, wanted) = (held.parse().unwrap(), asked.parse().unwrap());
            assert_eq!(is_meant(held, wanted), expected, "{held} {asked}");
        }
    }
}
