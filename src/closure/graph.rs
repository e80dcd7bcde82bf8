//! Why each file is there: who needs whom, as it was found out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How a file came in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is a program of the profile, or the command.
    Program,
    /// A pattern in `libraries`.
    Library(String),
    /// The first line of a script.
    Script,
    /// What env(1) is asked for in the first line of a script.
    Env,
    /// PT_INTERP.
    Interpreter,
    /// DT_NEEDED, DT_FILTER and DT_AUXILIARY, with the name that the file has there.
    Needed(String),
    Filter(String),
    Auxiliary(String),
    /// Opened by its needer, when nsswitch.conf(5) says so.
    Module(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// `None`: the profile.
    pub from: Option<String>,
    pub to: String,
    pub how: How,
}

impl Edge {
    /// "needed by libssl.so.30": the reason without those that lie behind it.
    pub fn words(&self) -> String {
        let by = self.from.as_deref().map_or("", last);
        match &self.how {
            How::Program => "a program".to_string(),
            How::Library(pattern) => format!("matches {pattern} in libraries"),
            How::Script => format!("interpreter of the script {by}"),
            How::Env => format!("interpreter of the script {by}, by way of env"),
            How::Interpreter => format!("run-time linker of {by}"),
            How::Needed(_) => format!("needed by {by}"),
            How::Filter(_) => format!("filtered by {by}"),
            How::Auxiliary(_) => format!("may be used by {by}"),
            How::Module(_) => format!("opened by {by}, as nsswitch.conf says"),
        }
    }
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// Edges in the order of their discovery, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    edges: Vec<Edge>,
    known: BTreeSet<Edge>,
}

impl Graph {
    pub fn add(&mut self, from: Option<&str>, to: &str, how: How) {
        let edge = Edge {
            from: from.map(str::to_string),
            to: to.to_string(),
            how,
        };
        if self.known.insert(edge.clone()) {
            self.edges.push(edge);
        }
    }

    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Takes back what was found since there were `length` edges.
    pub fn truncate(&mut self, length: usize) {
        for edge in self.edges.drain(length.min(self.edges.len())..) {
            self.known.remove(&edge);
        }
    }

    /// The shortest chain of reasons for each file, from the file itself to the profile.
    pub fn reasons(&self) -> BTreeMap<&str, Vec<&Edge>> {
        let mut reasons: BTreeMap<&str, Vec<&Edge>> = BTreeMap::new();
        let mut next: VecDeque<Option<&str>> = VecDeque::from([None]);
        while let Some(here) = next.pop_front() {
            for edge in self
                .edges
                .iter()
                .filter(|edge| edge.from.as_deref() == here)
            {
                if reasons.contains_key(edge.to.as_str()) {
                    continue;
                }
                let behind = here.and_then(|path| reasons.get(path));
                let mut chain = vec![edge];
                chain.extend(behind.into_iter().flatten());
                reasons.insert(&edge.to, chain);
                next.push_back(Some(&edge.to));
            }
        }
        reasons
    }
}
