//! The checks of single values: what a path, name, address, size may be. Pure.
//! Each takes the decoded text, after %i was put in, and says in one line what is wrong with it.

pub mod cpus;
mod syslog;

pub use syslog::{LOG_DAEMON, facility, facility_name, tag};

use super::diagnostic::{nearest, quoted};
use super::schema;
use super::{Address, Content, Network, Output, Port};
use crate::attest::table::ATTEMPTS;
use crate::kernel::{Limit, Protocol, UNLIMITED};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

type Checked<T> = Result<T, String>;

/// Longest path: the root's own path is put before it, and MAXPATHLEN is 1024.
const PATH_BYTES: usize = 900;

/// login.conf(5)'s word and setrlimit(2)'s number.
pub const LIMITS: [(&str, Limit); 16] = [
    ("cputime", Limit::Cputime),
    ("filesize", Limit::Filesize),
    ("datasize", Limit::Datasize),
    ("stacksize", Limit::Stacksize),
    ("coredumpsize", Limit::Coredumpsize),
    ("memoryuse", Limit::Memoryuse),
    ("memorylocked", Limit::Memorylocked),
    ("maxproc", Limit::Maxproc),
    ("openfiles", Limit::Openfiles),
    ("sbsize", Limit::Sbsize),
    ("vmemoryuse", Limit::Vmemoryuse),
    ("pseudoterminals", Limit::Pseudoterminals),
    ("swapuse", Limit::Swapuse),
    ("kqueues", Limit::Kqueues),
    ("umtxp", Limit::Umtxp),
    ("pipebuf", Limit::Pipebuf),
];

/// FreeBSD's numbers, written out: this is also built and tested where libc's differ.
const SIGNALS: [(&str, i32); 11] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("KILL", 9),
    ("ALRM", 14),
    ("TERM", 15),
    ("WINCH", 28),
    ("INFO", 29),
    ("USR1", 30),
    ("USR2", 31),
];

/// "inherit", "syslog", or the path of a file.
pub fn output(text: &str) -> Checked<Output> {
    match text {
        "inherit" => Ok(Output::Inherit),
        "syslog" => Ok(Output::Syslog),
        _ if text.starts_with('/') => path_below_root(text).map(Output::File),
        _ => Err(format!(
            "\"output\" is \"inherit\", \"syslog\" or an absolute path, not {}",
            quoted(text)
        )),
    }
}

/// `tcp:10.0.0.80:80`, `udp:[::1]:53`.
pub fn port(text: &str) -> Checked<Port> {
    let parsed = text.split_once(':').and_then(|(protocol, address)| {
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        let address = address.parse::<SocketAddr>().ok()?;
        (address.port() != 0).then_some(Port { protocol, address })
    });
    parsed.ok_or_else(|| {
        format!(
            "{} is not a port: tcp:ADDRESS:PORT or udp:ADDRESS:PORT",
            quoted(text)
        )
    })
}

/// The name of a profile or an instance. Not all digits: jail(8) would take it for a jid.
pub fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

pub fn name(text: &str) -> Checked<String> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{} is not a name: 1 to 32 of A-Z a-z 0-9 _ -, not digits only",
        quoted(text)
    ))
}

/// One line of any text.
pub fn line(text: &str) -> Checked<String> {
    match text.chars().any(char::is_control) {
        true => Err(format!("{} has a control character", quoted(text))),
        false => Ok(text.to_owned()),
    }
}

pub fn text(text: &str) -> Checked<String> {
    Ok(text.to_owned())
}

/// An absolute path as the kernel would print it, so that comparing strings compares places.
pub fn path(text: &str) -> Checked<String> {
    let wrong = |why: &str| Err(format!("path {} {why}", quoted(text)));
    if !text.starts_with('/') {
        return wrong("is not absolute");
    }
    if text.len() > PATH_BYTES {
        return wrong("is longer than 900 bytes");
    }
    if text.chars().any(char::is_control) {
        return wrong("has a control character");
    }
    if text != "/"
        && text[1..]
            .split('/')
            .any(|part| matches!(part, "" | "." | ".."))
    {
        return wrong("is not normalized: no //, no . or .., no / at the end");
    }
    if text.split('/').any(|part| part.len() > 255) {
        return wrong("has a component longer than 255 bytes");
    }
    Ok(text.to_owned())
}

/// A path of something in the root, which the root itself is not.
pub fn path_below_root(text: &str) -> Checked<String> {
    match path(text)?.as_str() {
        "/" => Err("path \"/\" is the root itself".to_owned()),
        below => Ok(below.to_owned()),
    }
}

/// Files of accounts that can be made up (passwd(5), group(5)).
pub const SYNTHETIC: [&str; 4] = ["/etc/passwd", "/etc/group", "/etc/pwd.db", "/etc/spwd.db"];

/// What a file of `files` holds. A text ends with a newline, so that no misspelt word is one.
pub fn content(path: &str, text: &str) -> Checked<Content> {
    match text {
        "host" => Ok(Content::Host),
        "synthetic" if SYNTHETIC.contains(&path) => Ok(Content::Synthetic),
        "synthetic" => Err(format!(
            "{} can't be synthetic; only {} can",
            quoted(path),
            SYNTHETIC.join(", ")
        )),
        text if text.is_empty() || text.ends_with('\n') => Ok(Content::Text(text.to_owned())),
        text => Err(format!(
            "{} is neither \"host\" nor \"synthetic\", nor a text: a text ends with a newline",
            quoted(text)
        )),
    }
}

/// A user or group: a name, or a number that isn't -1, which setresuid(2) takes for "leave it".
pub fn account(text: &str) -> Checked<String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<u32>() {
            Ok(u32::MAX) | Err(_) => Err(format!("{} is not a user or group number", quoted(text))),
            Ok(_) => Ok(text.to_owned()),
        };
    }
    let stem = text.strip_suffix('$').unwrap_or(text);
    let starts_well = stem
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    let goes_on_well = stem
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match starts_well && goes_on_well && stem.len() <= 32 {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not a user or group name", quoted(text))),
    }
}

/// A package without its version, as the ports tree names them. pkg(8) takes it for no option and no pattern.
pub fn package(text: &str) -> Checked<String> {
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    match starts_well && is_plain && text.len() <= 128 {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not the name of a package", quoted(text))),
    }
}

/// Names that are root everywhere; what else has uid 0 is seen at launch.
pub fn is_root(user: &str) -> bool {
    user.parse::<u32>() == Ok(0) || user == "root" || user == "toor"
}

pub fn hostname(text: &str) -> Checked<String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match is_plain && (1..=255).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not a host name", quoted(text))),
    }
}

/// A node below /dev. No globs: a new device of the host must not appear by itself.
pub fn device(text: &str) -> Checked<String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_/.-".contains(&byte));
    let is_normal = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    match is_plain && is_normal && text.len() <= 255 {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is not a device below /dev (no patterns)",
            quoted(text)
        )),
    }
}

/// sd_listen_fds(3)'s.
const LISTEN_VARIABLES: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// LD_* would choose code for the program before its first instruction.
pub fn variable(text: &str) -> Checked<String> {
    let starts_well = text
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    if !starts_well
        || !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(format!(
            "{} is not the name of an environment variable",
            quoted(text)
        ));
    }
    if text.starts_with("LD_") {
        return Err(format!("{} would steer the run-time linker", quoted(text)));
    }
    // What the program is told of its descriptors is the launch's to say.
    match text.starts_with("JAILRUN_") || LISTEN_VARIABLES.contains(&text) {
        true => Err(format!("{} is set by jailrun itself", quoted(text))),
        false => Ok(text.to_owned()),
    }
}

/// An attempt of `jailrunctl attest`.
pub fn attempt(text: &str) -> Result<String, String> {
    let names = || ATTEMPTS.iter().map(|attempt| attempt.name);
    if names().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let told = format!("{} is no attempt of jailrunctl attest", quoted(text));
    Err(match nearest(text, names()) {
        Some(near) => format!("{told}; did you mean {}?", quoted(near)),
        None => told,
    })
}

/// What is open without a reason is open by mistake.
pub fn reason(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("a reason must be given".to_owned()),
        false => line(text),
    }
}

/// A word of allow.*, without "allow.".
pub fn allow(text: &str) -> Checked<String> {
    if text == "mount" || text.starts_with("mount.") {
        return Err(format!("{} is not supported yet", quoted(text)));
    }
    if schema::ALLOW.contains(&text) {
        return Ok(text.to_owned());
    }
    let bare = text.strip_prefix("allow.").unwrap_or(text);
    match nearest(bare, schema::ALLOW.iter().copied()) {
        Some(near) => Err(format!(
            "{} is no allow parameter of jail(8); did you mean \"{near}\"?",
            quoted(text)
        )),
        None => Err(format!("{} is no allow parameter of jail(8)", quoted(text))),
    }
}

/// Octal, in a string: TOML's own octal would let a forgotten quote turn 755 into decimal.
fn octal(text: &str, most: u32, what: &str) -> Checked<u32> {
    let is_octal =
        (1..=5).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(bits) if is_octal && bits <= most => Ok(bits),
        _ => Err(format!(
            "{} is not {what}: octal, at most {most:04o}",
            quoted(text)
        )),
    }
}

/// A class of login.conf(5), as long as setloginclass(2) takes it.
pub fn login_class(text: &str) -> Checked<String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match text {
        // To login_getclass(3) that is the user's own file, which is nobody's to trust.
        "me" => Err("the class \"me\" is a user's own, not the system's".to_owned()),
        _ if is_plain && (1..=32).contains(&text.len()) => Ok(text.to_owned()),
        _ => Err(format!(
            "{} is not a login class: 1 to 32 of A-Z a-z 0-9 . _ -",
            quoted(text)
        )),
    }
}

pub fn umask(text: &str) -> Checked<u32> {
    octal(text, 0o777, "a umask")
}

/// Of a directory: the sticky bit at most, since set-id bits mean nothing good there.
pub fn mode(text: &str) -> Checked<u32> {
    octal(text, 0o1777, "a mode")
}

/// Of a socket: who may connect.
pub fn socket_mode(text: &str) -> Checked<u32> {
    octal(text, 0o777, "a mode of a socket")
}

pub fn signal(text: &str) -> Checked<i32> {
    match SIGNALS.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => Ok(*number),
        None => Err(format!(
            "{} is not a signal name like \"TERM\"",
            quoted(text)
        )),
    }
}

/// Digits with one of k m g t behind, or none: powers of 1024.
pub fn size(text: &str) -> Checked<u64> {
    let wrong = || format!("{} is not a size like \"16m\"", quoted(text));
    let suffix = text.chars().last().ok_or_else(wrong)?;
    let shift = match suffix.to_ascii_lowercase() {
        'k' => 10,
        'm' => 20,
        'g' => 30,
        't' => 40,
        _ => 0,
    };
    let digits = if shift == 0 {
        text
    } else {
        &text[..text.len() - 1]
    };
    // u64's parser takes a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift));
    match bytes {
        Some(bytes) if bytes < UNLIMITED => Ok(bytes),
        _ => Err(format!("{} is too large", quoted(text))),
    }
}

pub fn size_above_zero(text: &str) -> Checked<u64> {
    // To tmpfs(5), size 0 means all memory there is.
    match size(text)? {
        0 => Err("size 0 would mean no limit to tmpfs(5)".to_owned()),
        bytes => Ok(bytes),
    }
}

pub fn limit(text: &str) -> Checked<u64> {
    match text {
        "unlimited" | "infinity" => Ok(UNLIMITED),
        _ => size(text),
    }
}

pub fn ip4_address(text: &str) -> Checked<Address> {
    match address(text)? {
        address if address.address.is_ipv4() => Ok(address),
        _ => Err(format!("{} is not an IPv4 address", quoted(text))),
    }
}

pub fn ip6_address(text: &str) -> Checked<Address> {
    match address(text)? {
        address if address.address.is_ipv6() => Ok(address),
        _ => Err(format!("{} is not an IPv6 address", quoted(text))),
    }
}

/// "interface|address/prefix", as in jail(8)'s ip4.addr; interface and prefix may be left out.
fn address(text: &str) -> Checked<Address> {
    let (interface, rest) = match text.split_once('|') {
        Some((interface, rest)) => (Some(interface_name(interface)?), rest),
        None => (None, text),
    };
    let (host, prefix) = match rest.split_once('/') {
        Some((host, prefix)) => (host, Some(prefix)),
        None => (rest, None),
    };
    let host: IpAddr = host.parse().map_err(|_| {
        format!(
            "{} is not ADDRESS or INTERFACE|ADDRESS/PREFIX",
            quoted(text)
        )
    })?;
    refuse_what_no_host_has(host).map_err(|why| format!("{} is {why}", quoted(text)))?;
    let longest = if host.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => longest,
        Some(digits) => match digits.parse::<u8>() {
            Ok(prefix) if (1..=longest).contains(&prefix) && !digits.starts_with(['+', '0']) => {
                prefix
            }
            _ => return Err(format!("{}: the prefix is 1 to {longest}", quoted(text))),
        },
    };
    Ok(Address {
        interface,
        address: host,
        prefix,
    })
}

fn refuse_what_no_host_has(address: IpAddr) -> Result<(), &'static str> {
    if address.is_unspecified() {
        return Err("the unspecified address");
    }
    if address.is_multicast() {
        return Err("a multicast address");
    }
    match address {
        IpAddr::V4(Ipv4Addr::BROADCAST) => Err("the broadcast address"),
        IpAddr::V6(v6) if is_mapped(v6) => Err("an IPv4 address written as IPv6"),
        _ => Ok(()),
    }
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

fn interface_name(text: &str) -> Checked<String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
    // IFNAMSIZ is 16, the NUL included.
    match is_plain && (1..=15).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not the name of an interface", quoted(text))),
    }
}

/// The merge of `ip4.addr`: addresses append to addresses and replace anything else.
pub fn with_addresses(network: &mut Network, more: Vec<Address>) {
    match network {
        Network::Addresses(all) => all.extend(more),
        // No address at all is what "disable" means; an inherited network must not survive it.
        _ if more.is_empty() => *network = Network::Disable,
        _ => *network = Network::Addresses(more),
    }
}
