//! What is said of a report: each refusal once, with how many there were, and what there is against it.

use super::calls::{self, Remedy};
use super::fold::{self, Object};
use super::record::{Address, Trace};
use crate::kernel::Protocol;
use crate::why::question::Wish;
use crate::why::{Line, listening};
use std::collections::BTreeSet;

/// What becomes of a refusal with mode = "enforce".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Remains,
    /// It wants what isn't inside: missing in any mode, until it is granted.
    Grant,
    Listen,
    KillChildren,
    /// preopen = true is all that it needs.
    Preopen,
    /// It is refused in any mode, or changes nothing.
    Same,
}

impl Fate {
    pub const ALL: [Fate; 6] = [
        Fate::Remains,
        Fate::Grant,
        Fate::Listen,
        Fate::KillChildren,
        Fate::Preopen,
        Fate::Same,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Fate::Remains => "remains",
            Fate::Grant => "grant",
            Fate::Listen => "listen",
            Fate::KillChildren => "kill_children",
            Fate::Preopen => "preopen",
            Fate::Same => "same",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Fate::Remains => "remain",
            Fate::Grant => "want a path that isn't inside",
            Fate::Listen => "vanish with a [[listen]]",
            Fate::KillChildren => "vanish with kill_children = true",
            Fate::Preopen => "vanish with preopen = true",
            Fate::Same => "make no difference",
        }
    }
}

/// What is at a path inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this writable directory or tmpfs, or on /dev.
    Writable(String),
    Readable,
    /// In this directory of sockets.
    Sockets(String),
    /// The way to the host's syslogd.
    Log,
    Absent,
}

/// What the profile has to meet refusals with.
pub trait Means {
    fn place(&self, path: &str) -> Place;
    /// Bound by jailrun.
    fn listens(&self, address: &Address) -> bool;
    /// The names of what is bound by jailrun.
    fn listen_names(&self) -> BTreeSet<String>;
    /// A program that can't load the shim, and what to say of it.
    fn without_shim(&self) -> Option<String>;
    /// Why the profile's text would be refused.
    fn against(&self) -> Vec<&'static str>;
    /// The line that would bring a path inside; and what there is to say of it, behind a semicolon.
    fn grant(&self, path: &str, wish: Wish) -> (Option<Line>, String);
}

/// Refusals that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub call: String,
    /// Escaped; "" where there is nothing but the call.
    pub object: String,
    pub count: u64,
    pub fate: Fate,
    pub why: String,
    /// What the profile would have to say.
    pub line: Option<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What remains comes first.
    pub entries: Vec<Entry>,
    pub is_full: bool,
    pub has_gaps: bool,
    pub is_damaged: bool,
    /// Why the profile's text would be refused with mode = "enforce".
    pub against: Vec<&'static str>,
}

/// `size` is that of the whole file.
pub fn sum(trace: &Trace, size: u64, first: i32, means: &dyn Means) -> Report {
    let all = fold::fold(trace, first).into_iter();
    let mut taken = means.listen_names();
    let mut entries: Vec<Entry> = all
        .map(|((call, object), count)| entry(call, &object, count, means, &mut taken))
        .collect();
    entries.sort_by(|a, b| (a.fate, &a.call, &a.object).cmp(&(b.fate, &b.call, &b.object)));
    Report {
        entries,
        // The record that found no room is longer than what is left; the longest has 1104 bytes.
        is_full: size + 1104 > super::MOST as u64,
        has_gaps: trace.has_gaps,
        is_damaged: trace.is_damaged,
        against: means.against(),
    }
}

impl Report {
    /// How many kinds there are of each fate.
    pub fn kinds(&self, fate: Fate) -> usize {
        let all = self.entries.iter();
        all.filter(|entry| entry.fate == fate).count()
    }

    /// There is nothing against some of it.
    pub fn remains(&self) -> bool {
        self.kinds(Fate::Remains) > 0 || !self.against.is_empty()
    }

    /// For `jailrunctl show`.
    pub fn line(&self) -> String {
        let kinds = Fate::ALL
            .into_iter()
            .filter_map(|fate| match self.kinds(fate) {
                0 => None,
                count => Some(format!("{count} {}", fate.words())),
            });
        let mut parts: Vec<String> = kinds.collect();
        if parts.is_empty() {
            parts.push("nothing that capability mode refuses".to_string());
        }
        if !self.against.is_empty() {
            parts.push("but the profile would be refused".to_string());
        }
        parts.extend(self.limits().into_iter().map(str::to_string));
        parts.join(", ")
    }

    /// Why there may be more than is told.
    pub fn limits(&self) -> Vec<&'static str> {
        let mut limits = Vec::new();
        if self.is_full {
            limits.push("full: nothing later is in it");
        }
        if self.has_gaps {
            limits.push("with gaps: the kernel dropped records");
        }
        if self.is_damaged {
            limits.push("damaged: only its beginning can be read");
        }
        limits
    }
}

/// Nothing that a terminal would obey.
pub fn escaped(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Fate, why, and a line.
type Said = (Fate, String, Option<Line>);

fn entry(
    call: u16,
    object: &Object,
    count: u64,
    means: &dyn Means,
    taken: &mut BTreeSet<String>,
) -> Entry {
    let (fate, why, line) = said(call, object, means);
    let line = match (fate, object) {
        (Fate::Listen, Object::Address(Address::Inet(address))) => {
            Some(listening(Protocol::Tcp, *address, taken))
        }
        _ => line,
    };
    let shown = match object {
        Object::None | Object::Rights | Object::Processors => String::new(),
        Object::Names(names) => {
            let all: Vec<String> = names.iter().map(|name| escaped(name)).collect();
            all.join(" ")
        }
        Object::Address(address) => shown(address),
        Object::Signal(number) => format!("signal {number}"),
        Object::Protocol(number) => format!("protocol {number}"),
        Object::Unknown(kind) => format!("kind {kind}"),
    };
    Entry {
        call: calls::name(call),
        object: shown,
        count,
        fate,
        why,
        line,
    }
}

fn shown(address: &Address) -> String {
    match address {
        Address::Inet(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", escaped(path)),
        Address::Other(family) => format!("an address of family {family}"),
    }
}

fn never(why: impl Into<String>) -> Said {
    (Fate::Remains, why.into(), None)
}

/// What the shim does, in a program that can load it.
fn by_shim(means: &dyn Means, why: impl Into<String>) -> Said {
    match means.without_shim() {
        Some(reason) => never(reason),
        None => (Fate::Preopen, why.into(), None),
    }
}

fn said(call: u16, object: &Object, means: &dyn Means) -> Said {
    match object {
        Object::Rights => {
            let why = "the program has given the right up itself: it is refused in any mode";
            return (Fate::Same, why.to_string(), None);
        }
        Object::Signal(_) => {
            let why =
                "signals reach no other process than a child of its own, by a process descriptor";
            return match means.without_shim() {
                Some(reason) => never(reason),
                None => (
                    Fate::KillChildren,
                    why.to_string(),
                    Some(Line {
                        table: "capsicum",
                        text: "kill_children = true".to_string(),
                        is_more: false,
                    }),
                ),
            };
        }
        Object::Protocol(_) => {
            return never(
                "sockets are of TCP, UDP or unix(4) alone; others are for who routes or listens in",
            );
        }
        Object::Processors => return never("CPUs of others are reached by no descriptor"),
        Object::Unknown(_) => return never("this version of jailrun doesn't know what that is"),
        Object::None | Object::Names(_) | Object::Address(_) => {}
    }
    match calls::known(call).map(|known| known.remedy) {
        Some(Remedy::Never(why)) => never(why),
        Some(Remedy::Translated) => by_shim(means, "the library does it by descriptors"),
        Some(Remedy::Pretended) => by_shim(
            means,
            "the library says that it was done; who the service is and whose, jailrun has set before",
        ),
        Some(Remedy::Binds) => address(object, means, binding),
        Some(Remedy::Connects) => address(object, means, connecting),
        Some(Remedy::Names) => names(call, object, means),
        // Allowed in itself, so it is about the name; or unknown.
        None => match object {
            Object::Names(_) if calls::name(call) == "shm_open2" => {
                never("shared memory has a name there; without one (SHM_ANON) it works")
            }
            Object::Names(_) => names(call, object, means),
            _ => never("nothing is known that would take its place"),
        },
    }
}

/// Calls that change what a name stands for, and what they would do with it, as far as that is in a trace: not
/// what open(2) is asked for.
fn wish(call: u16) -> Wish {
    match calls::name(call)
        .trim_start_matches('l')
        .trim_end_matches("at")
    {
        "execve" | "fexecve" => Wish::Execute,
        "chmod" | "fchmod" | "chown" | "fchown" | "chflags" | "utimes" | "futimes" | "utimens"
        | "truncate" | "mkdir" | "rmdir" | "mkfifo" | "mknod" | "unlink" | "funlink" | "rename"
        | "symlink" => Wish::Write,
        _ => Wish::Read,
    }
}

fn names(call: u16, object: &Object, means: &dyn Means) -> Said {
    let Object::Names(names) = object else {
        return by_shim(means, "the library looks its name up by descriptors");
    };
    let wish = wish(call);
    let mut why = Vec::new();
    for name in names {
        let path = String::from_utf8_lossy(name);
        if !path.starts_with('/') {
            why.push("by the descriptor of its working directory".to_string());
            continue;
        }
        let path = plain(&path);
        if let Some(why) = needless(&path) {
            return (Fate::Same, why.to_string(), None);
        }
        match means.place(&path) {
            Place::Absent => return absent(&path, wish, means),
            Place::Readable if wish == Wish::Write => {
                let why = "is read-only inside, in any mode".to_string();
                return (Fate::Same, why, None);
            }
            Place::Writable(above) | Place::Sockets(above) => {
                why.push(format!("by the descriptor on {}", above.escape_debug()));
            }
            Place::Log => why.push("by its socket of syslog(3)".to_string()),
            Place::Readable => why.push("by the descriptor on /, to read and execute".to_string()),
        }
    }
    if let Some(reason) = means.without_shim() {
        return never(reason);
    }
    why.dedup();
    (Fate::Preopen, why.join(", "), None)
}

/// What the C library and the run-time linker do otherwise in capability mode (lib/libsys/x86/__vdso_gettc.c,
/// libexec/rtld-elf/rtld.c).
fn needless(path: &str) -> Option<&'static str> {
    let clocks = ["/dev/hpet", "/dev/hv_tsc", "/dev/pvclock"];
    match path {
        "/etc/libmap.conf" | "/var/run/ld-elf.so.hints" => Some(
            "the run-time linker looks for libraries there; in capability mode it has descriptors on them",
        ),
        _ if clocks.iter().any(|clock| path.starts_with(clock)) => Some(
            "the C library reads the clock there; in capability mode it asks the kernel for the time",
        ),
        _ => None,
    }
}

/// No name inside is refused, so this is what the program looks for and doesn't find, in any mode.
fn absent(path: &str, wish: Wish, means: &dyn Means) -> Said {
    match grant(path, wish, means) {
        (None, words) => (
            Fate::Same,
            format!("isn't inside, in any mode{words}"),
            None,
        ),
        (line, words) => {
            let why =
                format!("isn't inside, in any mode{words}: if the service needs it, grant it");
            (Fate::Grant, why, line)
        }
    }
}

fn address(object: &Object, means: &dyn Means, judge: fn(&Address, &dyn Means) -> Said) -> Said {
    match object {
        Object::Address(address) => judge(address, means),
        _ => never("its address wasn't recorded"),
    }
}

fn binding(address: &Address, means: &dyn Means) -> Said {
    match address {
        Address::Inet(inet) if inet.port() == 0 => {
            never("a port of the kernel's choice can't be bound before the program begins")
        }
        _ if means.listens(address) => {
            by_shim(means, "the library hands out the socket of [[listen]]")
        }
        Address::Inet(_) => {
            if let Some(reason) = means.without_shim() {
                return never(reason);
            }
            let why = "jailrun binds it before the program begins; backlog belongs there, if it asks for more \
                       than 128; a UDP server can't answer, though";
            (Fate::Listen, why.to_string(), None)
        }
        Address::Unix(path) => named_socket(path, means, "made"),
        Address::Other(_) => never("only addresses of IPv4, IPv6 and unix(4) can be bound"),
    }
}

fn connecting(address: &Address, means: &dyn Means) -> Said {
    match address {
        Address::Unix(path) => named_socket(path, means, "connected to"),
        _ => never("it connects or sends to an address; that needs a broker, which isn't built"),
    }
}

/// A socket that has a path inside, or should.
fn named_socket(name: &[u8], means: &dyn Means, act: &str) -> Said {
    if let Some(reason) = means.without_shim() {
        return never(reason);
    }
    let path = plain(&String::from_utf8_lossy(name));
    match means.place(&path) {
        Place::Log if act != "made" => by_shim(means, "by its socket of syslog(3)"),
        Place::Writable(above) => by_shim(
            means,
            format!("by the descriptor on {}", above.escape_debug()),
        ),
        Place::Sockets(above) if act != "made" => by_shim(
            means,
            format!("by the descriptor on {}", above.escape_debug()),
        ),
        _ if !path.starts_with('/') => by_shim(means, "by the descriptor of its working directory"),
        _ => {
            let wish = if act == "made" {
                Wish::Write
            } else {
                Wish::Read
            };
            let (line, words) = grant(&path, wish, means);
            let why =
                format!("a socket is {act} only in a directory that is granted for it{words}");
            let fate = if line.is_some() {
                Fate::Grant
            } else {
                Fate::Same
            };
            (fate, why, line)
        }
    }
}

/// The service chose the path, so there is no line for what reads otherwise than it is.
fn grant(path: &str, wish: Wish, means: &dyn Means) -> (Option<Line>, String) {
    let is_plain = path.escape_debug().to_string() == path && !path.contains('\u{fffd}');
    match is_plain {
        true => means.grant(path, wish),
        false => (None, "; no profile can name it".to_string()),
    }
}

/// By its letters alone: no "//", "/." and "/..", whatever links are in it.
pub(super) fn plain(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_string();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
