//! The tree as people and programs read it: every path inside, what is there, and why. Pure.

use super::tree::{Node, Tree, What, Why};
use super::{Host, Step};
use crate::closure::graph::{Edge, How};
use crate::kernel::Filesystem;
use std::collections::BTreeMap;

/// One path inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: String,
    /// "file", "directory", "link", "tmpfs", "devfs", "made", "socket" or "masked".
    pub kind: &'static str,
    /// What else there is to say of it: "read-only", a link's text, a size.
    pub detail: String,
    /// The nearest reason first, the profile's own last.
    pub why: Vec<String>,
}

/// Every path inside that isn't within a granted directory, in order.
pub fn entries(tree: &Tree, host: &Host) -> Vec<Entry> {
    let reasons = host.closure.as_ref().map(|closure| closure.graph.reasons());
    let reasons = reasons.unwrap_or_default();
    let mut all = BTreeMap::new();
    for step in tree.steps("") {
        if let Step::Directory { path, mode } = step {
            let entry = Entry {
                path: path.clone(),
                kind: "directory",
                detail: format!("made, mode {mode:04o}, root's"),
                why: vec!["what is below".to_string()],
            };
            all.insert(path, entry);
        }
    }
    for (path, node) in tree.nodes() {
        let (kind, detail) = described(node);
        let entry = Entry {
            path: path.to_string(),
            kind,
            detail,
            why: why(path, &node.why, &reasons),
        };
        all.insert(path.to_string(), entry);
    }
    all.into_values().collect()
}

fn described(node: &Node) -> (&'static str, String) {
    match &node.what {
        What::Granted { flags, is_file, .. } => {
            let kind = if *is_file { "file" } else { "directory" };
            let mut words = vec![if flags.read_only {
                "read-only"
            } else {
                "writable"
            }];
            words.extend(flags.noexec.then_some("noexec"));
            words.extend(flags.nosymfollow.then_some("nosymfollow"));
            (kind, words.join(", "))
        }
        What::New { filesystem, flags } => match filesystem {
            Filesystem::Tmpfs { size, mode, .. } => {
                let noexec = if flags.noexec { ", noexec" } else { "" };
                ("tmpfs", format!("{size} bytes, mode {mode:04o}{noexec}"))
            }
            Filesystem::Devfs { ruleset } => ("devfs", format!("ruleset {ruleset}")),
            Filesystem::Nullfs { source, .. } => ("directory", source.clone()),
        },
        What::Link(text) => ("link", text.clone()),
        What::Socket => (
            "socket",
            "jailrun's, mode 0666: the way to the host's syslogd".to_string(),
        ),
        What::File(made) => (
            "made",
            format!(
                "{} bytes, mode {:04o}, {}:{}",
                made.content.len(),
                made.mode,
                made.uid,
                made.gid
            ),
        ),
        What::Mask { is_file } => {
            let kind = if *is_file { "file" } else { "directory" };
            ("masked", format!("an empty {kind} that nobody may read"))
        }
    }
}

fn why(path: &str, why: &Why, reasons: &BTreeMap<&str, Vec<&Edge>>) -> Vec<String> {
    match why {
        Why::Key(key) => vec![(*key).to_string()],
        Why::Closure => reasons
            .get(path)
            .map(|chain| chain.iter().map(|edge| edge.words()).collect())
            .unwrap_or_default(),
        Why::LeadsTo(text) => vec![format!("leads to {text}")],
        Why::In(outer) => vec![format!("a file system of its own in {outer}")],
        Why::Linker => vec!["the run-time linker finds libraries by it".to_string()],
    }
}

/// One line a path: what, then why.
pub fn text(entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.path.len()).max();
    let width = width.unwrap_or(0);
    let line = |entry: &Entry| {
        let Entry {
            path, kind, detail, ..
        } = entry;
        let why = entry.why.join(", ");
        format!("{path:width$}  {kind} ({detail}): {why}\n")
    };
    entries.iter().map(line).collect()
}

/// The dependencies of the programs, for dot(1).
pub fn dot(host: &Host) -> String {
    let mut graph = String::from("digraph root {\n");
    let edges = host
        .closure
        .iter()
        .flat_map(|closure| closure.graph.edges());
    for edge in edges {
        let style = match edge.how {
            How::Filter(_) | How::Auxiliary(_) | How::Library(_) | How::Module(_) => "dashed",
            _ => "solid",
        };
        match &edge.from {
            None => graph.push_str(&format!("  {} [shape=box];\n", quoted(&edge.to))),
            Some(from) => graph.push_str(&format!(
                "  {} -> {} [style={style}];\n",
                quoted(from),
                quoted(&edge.to)
            )),
        }
    }
    graph.push_str("}\n");
    graph
}

/// A string of dot's, in which only two signs mean anything. Paths of a closure hold no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
