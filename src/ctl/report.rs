//! `check --capsicum INSTANCE`: what capability mode would refuse of a running service, and what there is against
//! it.

use super::Trouble;
use clap::ArgMatches;
use std::io::Write;

#[cfg(not(target_os = "freebsd"))]
pub fn run(_: &ArgMatches, _: &mut dyn Write) -> Result<i32, Trouble> {
    Err(Trouble::new(69, "check --capsicum: runs on FreeBSD only"))
}

#[cfg(target_os = "freebsd")]
pub fn run(found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    on::run(&mut crate::kernel::freebsd::FreeBsd, found, out)
}

/// The verb on any kernel.
pub mod on {
    use super::super::args::{label_of, text};
    use super::super::json::Json;
    use super::super::{Trouble, print, proposed};
    use crate::error::Error;
    use crate::instances::{self, Listed};
    use crate::kernel::Kernel;
    use crate::report::live::ask;
    use crate::report::sum::{Entry, Fate, Report};
    use crate::start;
    use clap::ArgMatches;
    use std::io::Write;

    pub fn run<K: Kernel>(
        kernel: &mut K,
        found: &ArgMatches,
        out: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let uid = kernel.getresuid().map_or(u32::MAX, |ids| ids.effective);
        if uid != 0 {
            return Err(Trouble::new(77, "check --capsicum: only for root"));
        }
        let word = text(found, "capsicum").unwrap_or_default();
        let name = word.escape_debug().to_string();
        let trouble = |error| Trouble::about(&name, &error);
        let started = start::take_root(kernel, None).map_err(trouble)?;
        let listed = instances::one(kernel, &label_of(&word))
            .map_err(|failure| Trouble::new(71, format!("{name}: {failure}")))?
            .filter(|listed| listed.status.is_live())
            .ok_or_else(|| trouble(Error::not_running(&name)))?;
        let report = ask(kernel, &listed, &started.caller).map_err(trouble)?;
        let Some(report) = report else {
            let words =
                "it reports nothing: its profile needs mode = \"report\", and a start after that";
            return Err(trouble(Error::Usage(words.to_string())));
        };
        match found.get_flag("json") {
            true => print(out, json(&word, &report))?,
            false => show(out, &name, &report)?,
        }
        Ok(i32::from(report.remains()))
    }

    /// For `show`: the sum, or why there is none. `None`: the instance doesn't report.
    #[cfg_attr(not(target_os = "freebsd"), allow(dead_code))]
    pub fn line<K: Kernel>(kernel: &mut K, listed: &Listed) -> Option<String> {
        let report =
            start::take_root(kernel, None).and_then(|started| ask(kernel, listed, &started.caller));
        match report {
            Ok(report) => report.map(|report| report.line()),
            Err(error) => Some(error.to_string()),
        }
    }

    fn show(out: &mut dyn Write, name: &str, report: &Report) -> Result<(), Trouble> {
        for entry in &report.entries {
            print(out, format!("{name}: {}", shown(entry)))?;
        }
        print(out, format!("{name}: {}", report.line()))?;
        for why in &report.against {
            print(
                out,
                format!("{name}: mode = \"enforce\" would be refused: {why}"),
            )?;
        }
        if report.remains() {
            return Ok(());
        }
        let is_plain = |fate| matches!(fate, Fate::Grant | Fate::Same);
        let preopen = match report.entries.iter().all(|entry| is_plain(entry.fate)) {
            true => "",
            false => " and preopen = true",
        };
        let words = "nothing remains: try it with mode = \"enforce\"";
        print(out, format!("{name}: {words}{preopen} in [capsicum]"))
    }

    fn shown(entry: &Entry) -> String {
        let object = match entry.object.is_empty() {
            true => String::new(),
            false => format!(" {}", entry.object),
        };
        let Entry {
            call, count, why, ..
        } = entry;
        let times = if *count == 1 { "time" } else { "times" };
        let mut text = format!(
            "{}: {call}{object} ({count} {times}): {why}",
            entry.fate.word()
        );
        text.push_str(&proposed::shown(entry.line.as_ref()));
        text
    }

    fn json(word: &str, report: &Report) -> Json {
        let entries = report.entries.iter().map(|entry| {
            let mut fields = vec![
                ("call", Json::text(&entry.call)),
                ("object", Json::text(&entry.object)),
                ("count", Json::number(entry.count)),
                ("fate", Json::text(entry.fate.word())),
                ("why", Json::text(&entry.why)),
            ];
            fields.extend(proposed::json(entry.line.as_ref()));
            Json::Object(fields)
        });
        Json::Object(vec![
            ("instance", Json::text(word)),
            ("refused", Json::List(entries.collect())),
            (
                "against",
                Json::List(report.against.iter().map(|why| Json::text(*why)).collect()),
            ),
            ("full", Json::Bool(report.is_full)),
            ("gaps", Json::Bool(report.has_gaps)),
            ("damaged", Json::Bool(report.is_damaged)),
        ])
    }
}
