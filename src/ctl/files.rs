//! `plan --files`: every path that will be inside, and why, for people, for programs, or as a graph.

use super::json::Json;
use super::plan::Prepared;
use super::{Trouble, print};
use crate::plan::listing::{self, Entry};
use crate::plan::tree::Tree;
use clap::ArgMatches;
use std::io::Write;

pub fn show(
    prepared: &Prepared,
    found: &ArgMatches,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<i32, Trouble> {
    let host = &prepared.host;
    if found.get_flag("dot") {
        // An empty picture would say that nothing is needed.
        if host.closure.is_none() {
            let _ = writeln!(
                err,
                "jailrunctl: closure = \"off\": nothing is worked out, and the graph is empty"
            );
        }
        print(out, listing::dot(host).trim_end())?;
        return Ok(0);
    }
    let tree = Tree::of(&prepared.profile, host)
        .map_err(|error| Trouble::about(prepared.plan.label(), &error))?;
    let entries = listing::entries(&tree, host);
    match found.get_flag("json") {
        true => print(out, Json::List(entries.iter().map(json).collect()))?,
        false => print(out, listing::text(&entries).trim_end())?,
    }
    Ok(0)
}

fn json(entry: &Entry) -> Json {
    Json::Object(vec![
        ("path", Json::text(&entry.path)),
        ("kind", Json::text(entry.kind)),
        ("detail", Json::text(&entry.detail)),
        ("why", Json::texts(&entry.why)),
    ])
}
