//! A closure as text, with all that it rests on, so that a later launch can ask whether it still holds
//! instead of reading a single ELF file. What is read back is believed only where the host says the same
//! now, and where the record is whole: each file in it must be one that was seen, below directories that
//! were.

use super::graph::{Graph, How};
use super::libmap::{Libmap, Line, parse};
use super::linker::{Abi, Linker};
use super::{Closure, Wanted};
use crate::kernel::Stat;
use crate::trust::Files;
use crate::trust::seen::{Identity, Seen};
use std::collections::BTreeMap;
use std::fmt::Write;

const FIRST: &str = "jailrun closure 1";
const LAST: &str = "end";
/// Times of files may be no finer than a second, on file systems and by vfs.timestamp_precision. What
/// changed just before it was looked at could change again without a trace.
const SETTLED_SECONDS: i64 = 2;

/// What was asked, as one line. A record answers one question only.
pub fn question(wanted: &Wanted) -> String {
    let system = &wanted.system;
    let mut words = vec![
        system.machine.as_str(),
        system.name.as_str(),
        system.release.as_str(),
    ];
    words.extend(wanted.programs.iter().map(String::as_str));
    for list in [&wanted.libraries, &wanted.modules] {
        words.push("");
        words.extend(list.iter().map(String::as_str));
    }
    fields(&words)
}

/// The record of an answer that was begun at `now`; `None` where something is too young to be relied on.
pub fn write(
    question: &str,
    closure: &Closure,
    seen: &BTreeMap<String, Seen>,
    now: (i64, i64),
) -> Option<String> {
    let mut text = format!("{FIRST}\n{question}\n");
    for (path, seen) in seen {
        let (word, identity) = match seen {
            Seen::Passed(identity) => ("passed", *identity),
            Seen::Searched(identity) => ("searched", *identity),
            Seen::File(identity) => ("file", *identity),
            Seen::Absent => ("absent", NOBODY),
        };
        let Identity {
            device,
            inode,
            size,
            ctime,
        } = identity;
        if word != "passed" && ctime.0.saturating_add(SETTLED_SECONDS) > now.0 {
            return None;
        }
        let numbers = format!("{device}\t{inode}\t{size}\t{}\t{}", ctime.0, ctime.1);
        line(&mut text, &[word, path, &numbers]);
    }
    for path in closure.files.keys() {
        line(&mut text, &["needs", path]);
    }
    for (path, to) in &closure.links {
        line(&mut text, &["link", path, to]);
    }
    for edge in closure.graph.edges() {
        let (word, name) = words_of(&edge.how);
        let from = edge.from.as_deref().unwrap_or_default();
        line(&mut text, &["edge", word, name, from, &edge.to]);
    }
    for linker in &closure.linkers {
        let abi = match linker.abi {
            Abi::Native => "native",
            Abi::Compat32 => "compat32",
        };
        let map = linker.libmap.flattened();
        line(&mut text, &["linker", abi, &linker.hints, &map]);
    }
    text.push_str(LAST);
    text.push('\n');
    Some(text)
}

const NOBODY: Identity = Identity {
    device: 0,
    inode: 0,
    size: 0,
    ctime: (0, 0),
};

/// The closure of a record, if it answers the question and everything is as it was. Asks the host once
/// for each thing that was seen.
pub fn read<F: Files>(files: &mut F, question: &str, text: &str) -> Option<Closure> {
    let text = text.strip_suffix('\n')?.strip_suffix(LAST)?;
    let mut lines = text.lines();
    if lines.next() != Some(FIRST) || lines.next() != Some(question) {
        return None;
    }
    let mut stats: BTreeMap<String, Option<Stat>> = BTreeMap::new();
    let mut closure = Closure {
        files: BTreeMap::new(),
        links: BTreeMap::new(),
        graph: Graph::default(),
        linkers: Vec::new(),
    };
    for line in lines {
        // The numbers were written as one field, tabs and all.
        let parts: Vec<String> = line.split('\t').map(unescaped).collect::<Option<_>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [word, path, numbers @ ..] if numbers.len() == 5 => {
                let seen = seen(word, numbers)?;
                let above = path.rsplit_once('/').map(|(above, _)| above);
                if above.is_some_and(|above| !matches!(stats.get(above), Some(Some(_)))) {
                    return None;
                }
                let now = seen.again(files, path).ok()?;
                stats.insert((*path).to_string(), now);
            }
            ["needs", path] => {
                let stat = stats.get(*path).copied().flatten()?;
                closure.files.insert((*path).to_string(), stat);
            }
            ["link", path, to] => {
                closure.links.insert((*path).to_string(), (*to).to_string());
            }
            ["edge", word, name, from, to] => {
                let from = Some(*from).filter(|from| !from.is_empty());
                closure.graph.add(from, to, how(word, name)?);
            }
            ["linker", abi, hints, map] => closure.linkers.push(linker(abi, hints, map)?),
            _ => return None,
        }
    }
    let is_whole = |edge: &super::graph::Edge| closure.files.contains_key(&edge.to);
    closure
        .graph
        .edges()
        .iter()
        .all(is_whole)
        .then_some(closure)
}

fn seen(word: &str, numbers: &[&str]) -> Option<Seen> {
    let [device, inode, size, seconds, nanoseconds] = numbers else {
        return None;
    };
    let identity = Identity {
        device: device.parse().ok()?,
        inode: inode.parse().ok()?,
        size: size.parse().ok()?,
        ctime: (seconds.parse().ok()?, nanoseconds.parse().ok()?),
    };
    match word {
        "passed" => Some(Seen::Passed(identity)),
        "searched" => Some(Seen::Searched(identity)),
        "file" => Some(Seen::File(identity)),
        "absent" => Some(Seen::Absent),
        _ => None,
    }
}

fn words_of(how: &How) -> (&'static str, &str) {
    match how {
        How::Program => ("program", ""),
        How::Library(pattern) => ("library", pattern),
        How::Script => ("script", ""),
        How::Env => ("env", ""),
        How::Interpreter => ("interpreter", ""),
        How::Needed(name) => ("needed", name),
        How::Filter(name) => ("filter", name),
        How::Auxiliary(name) => ("auxiliary", name),
        How::Module(name) => ("module", name),
    }
}

fn how(word: &str, name: &str) -> Option<How> {
    Some(match word {
        "program" => How::Program,
        "library" => How::Library(name.to_string()),
        "script" => How::Script,
        "env" => How::Env,
        "interpreter" => How::Interpreter,
        "needed" => How::Needed(name.to_string()),
        "filter" => How::Filter(name.to_string()),
        "auxiliary" => How::Auxiliary(name.to_string()),
        "module" => How::Module(name.to_string()),
        _ => return None,
    })
}

fn linker(abi: &str, hints: &str, map: &str) -> Option<Linker> {
    let mut libmap = Libmap::default();
    for line in parse(map) {
        match line {
            Line::Map { who, from, to } => libmap.add(who, from, to),
            _ => return None,
        }
    }
    Some(Linker {
        abi: match abi {
            "native" => Abi::Native,
            "compat32" => Abi::Compat32,
            _ => return None,
        },
        hints: hints.to_string(),
        libmap,
    })
}

fn line(text: &mut String, words: &[&str]) {
    text.push_str(&match words {
        // Numbers stay apart.
        [
            word @ ("passed" | "searched" | "file" | "absent"),
            path,
            numbers,
        ] => {
            format!("{word}\t{}\t{numbers}", fields(&[path]))
        }
        words => fields(words),
    });
    text.push('\n');
}

/// Fields of one line, separated by tabs.
fn fields(words: &[&str]) -> String {
    let mut line = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            line.push('\t');
        }
        for c in word.chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                // str::lines() ends lines at a carriage return, too.
                c if c.is_control() => {
                    // Writing to a String can't fail.
                    let _ = write!(line, "\\{:02x}", u32::from(c));
                }
                c => line.push(c),
            }
        }
    }
    line
}

fn unescaped(field: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = field;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        if let Some(after) = escape.strip_prefix('\\') {
            text.push('\\');
            rest = after;
        } else {
            let code = u8::from_str_radix(escape.get(..2)?, 16).ok()?;
            text.push(char::from(code));
            rest = escape.get(2..)?;
        }
    }
    text.push_str(rest);
    Some(text)
}
