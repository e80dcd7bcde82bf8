//! `list`, `show`, `stop`, `enter`, `cleanup`: verbs that need the running kernel.

use super::Trouble;
use clap::ArgMatches;
use std::io::Write;

#[cfg(not(target_os = "freebsd"))]
pub fn run(verb: &str, _: &ArgMatches, _: &mut dyn Write) -> Result<i32, Trouble> {
    Err(Trouble::new(69, format!("{verb}: runs on FreeBSD only")))
}

#[cfg(target_os = "freebsd")]
pub fn run(verb: &str, found: &ArgMatches, out: &mut dyn Write) -> Result<i32, Trouble> {
    on::run(&mut crate::kernel::freebsd::FreeBsd, verb, found, out)
}

/// The verbs on any kernel.
#[cfg_attr(not(target_os = "freebsd"), allow(dead_code))]
mod on {
    use super::super::args::{label_of, text, texts};
    use super::super::json::Json;
    use super::super::report::on::line;
    use super::super::{Trouble, print};
    use crate::enter::{Entry, enter};
    use crate::exit::Exit;
    use crate::host;
    use crate::instances::{self, Listed, seconds};
    use crate::kernel::Kernel;
    use crate::launch::cleanup::{self, GaveUp, Swept};
    use crate::start;
    use clap::ArgMatches;
    use std::io::Write;

    pub fn run<K: Kernel>(
        kernel: &mut K,
        verb: &str,
        found: &ArgMatches,
        out: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let uid = kernel.getresuid().map_or(u32::MAX, |ids| ids.effective);
        if uid != 0 {
            return Err(Trouble::new(77, format!("{verb}: only for root")));
        }
        match verb {
            "list" => list(kernel, found, out),
            "show" => show(kernel, found, out),
            "stop" => stop(kernel, found),
            "enter" => go_in(kernel, found),
            _ => clean(kernel, found, out),
        }
    }

    fn list<K: Kernel>(
        kernel: &mut K,
        found: &ArgMatches,
        out: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let all = instances::list(kernel).map_err(|error| Trouble::about("list", &error))?;
        let now = seconds(kernel);
        if found.get_flag("json") {
            print(
                out,
                Json::List(all.iter().map(|one| json(one, now)).collect()),
            )?;
            return Ok(0);
        }
        print(
            out,
            format!(
                "{:<24} {:<16} {:>6} {:>7} {:<9} {:>9} {:>8} {:>9} {:>6}  ADDRESSES",
                "INSTANCE", "PROFILE", "JID", "PID", "STATE", "UPTIME", "RESTARTS", "MEMORY", "CPU"
            ),
        )?;
        for one in &all {
            print(out, row(one, now))?;
        }
        Ok(0)
    }

    fn row(one: &Listed, now: u64) -> String {
        let dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_string());
        let story = one.story.as_ref();
        let uptime = one.since.map(|since| duration(now.saturating_sub(since)));
        format!(
            "{:<24} {:<16} {:>6} {:>7} {:<9} {:>9} {:>8} {:>9} {:>6}  {}",
            one.label,
            dash(story.map(|story| story.head.profile.clone())),
            dash(one.jid.map(|jid| jid.to_string())),
            dash(one.pid.map(|pid| pid.to_string())),
            one.status.word(),
            dash(uptime),
            dash(story.map(|story| story.restarts.to_string())),
            dash(one.memory.map(|bytes| format!("{}K", bytes / 1024))),
            dash(one.cpu.map(|seconds| format!("{seconds}s"))),
            dash(
                story
                    .map(|story| story.addresses.join(","))
                    .filter(|list| !list.is_empty())
            ),
        )
    }

    fn duration(seconds: u64) -> String {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        format!("{hours}:{minutes:02}:{:02}", seconds % 60)
    }

    fn json(one: &Listed, now: u64) -> Json {
        let story = one.story.as_ref();
        let text = |value: Option<&String>| value.map_or(Json::Null, Json::text);
        Json::Object(vec![
            ("instance", Json::text(&one.label)),
            ("profile", text(story.map(|story| &story.head.profile))),
            ("state", Json::text(one.status.word())),
            ("jid", Json::maybe(one.jid)),
            ("pid", Json::maybe(one.pid)),
            ("supervisor", Json::maybe(story.map(|story| story.head.pid))),
            ("caller", Json::maybe(story.map(|story| story.head.caller))),
            (
                "uptime",
                Json::maybe(one.since.map(|since| now.saturating_sub(since))),
            ),
            ("restarts", Json::maybe(story.map(|story| story.restarts))),
            (
                "addresses",
                story.map_or(Json::Null, |story| Json::texts(&story.addresses)),
            ),
            ("memory", Json::maybe(one.memory)),
            ("cpu", Json::maybe(one.cpu)),
            (
                "pidfile",
                text(story.and_then(|story| story.pidfile.as_ref())),
            ),
        ])
    }

    fn label(found: &ArgMatches) -> String {
        label_of(&text(found, "instance-label").unwrap_or_default())
    }

    fn show<K: Kernel>(
        kernel: &mut K,
        found: &ArgMatches,
        out: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let label = label(found);
        let one = instances::one(kernel, &label)
            .map_err(|failure| Trouble::new(71, format!("{label}: {failure}")))?;
        let Some(one) = one else {
            return Err(Trouble::new(1, format!("{label}: not running")));
        };
        let now = seconds(kernel);
        let Json::Object(entries) = json(&one, now) else {
            return Ok(70);
        };
        let report = line(kernel, &one);
        if found.get_flag("json") {
            let mut entries = entries;
            entries.push(("report", report.map_or(Json::Null, Json::text)));
            print(out, Json::Object(entries))?;
        } else {
            let report = report.map(|line| ("report", Json::Text(line)));
            for (name, value) in entries.into_iter().chain(report) {
                let shown = match value {
                    Json::Text(text) => text,
                    other => other.to_string(),
                };
                print(out, format!("{name:<12} {shown}"))?;
            }
        }
        Ok(i32::from(!one.status.is_live()))
    }

    fn stop<K: Kernel>(kernel: &mut K, found: &ArgMatches) -> Result<i32, Trouble> {
        let seconds = found.get_one::<u64>("timeout").copied().unwrap_or(90);
        let mut failed: Vec<Trouble> = Vec::new();
        for word in texts(found, "instance-label") {
            let label = label_of(&word);
            if let Err(error) = instances::stop(kernel, &label, seconds.saturating_mul(1000)) {
                // The rest is stopped all the same; the first failure is the status.
                failed.push(Trouble::about(&label, &error));
            }
        }
        let lines: Vec<&str> = failed
            .iter()
            .map(|trouble| trouble.words.as_str())
            .collect();
        match failed.first() {
            None => Ok(0),
            Some(first) => Err(Trouble::new(first.status, lines.join("\njailrunctl: "))),
        }
    }

    fn go_in<K: Kernel>(kernel: &mut K, found: &ArgMatches) -> Result<i32, Trouble> {
        let label = label(found);
        let mut command = texts(found, "command");
        if command.is_empty() {
            command.push("/bin/sh".to_string());
        }
        let trouble = |error| Trouble::about(&label, &error);
        let started = start::take_root(kernel, None).map_err(trouble)?;
        let entry = Entry::new(kernel, &label, command).map_err(trouble)?;
        let exit = enter(kernel, &started, entry).map_err(trouble)?;
        if let Exit::Signal(number) = exit {
            kernel.raise_default(number);
        }
        Ok(exit.code())
    }

    fn clean<K: Kernel>(
        kernel: &mut K,
        found: &ArgMatches,
        out: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let told = |left: &cleanup::Leftover| format!("{}: {}", left.step, left.failure);
        if !found.get_flag("all") {
            let label = label(found);
            return match cleanup::one(kernel, &label, GaveUp::Forget) {
                Ok(Swept::Cleaned) => Ok(0),
                // Whoever cleans up after a crash, without knowing what it left, has what he wanted.
                Ok(Swept::Nothing) => {
                    let words = "nothing is left of an instance of that name; jailrunctl list has the others";
                    print(out, format!("{label}: {words}")).map(|()| 0)
                }
                Ok(Swept::Lives) => Err(Trouble::new(75, format!("{label}: is running"))),
                Err(left) => Err(Trouble::new(71, told(&left))),
            };
        }
        let mut left = cleanup::sweep(kernel, "");
        let unused = host::forget_rulesets(kernel);
        left.extend(unused.err().map(|failure| cleanup::Leftover {
            step: "remove unused devfs rulesets".to_string(),
            failure,
        }));
        for one in &left {
            print(out, told(one))?;
        }
        Ok(if left.is_empty() { 0 } else { 71 })
    }
}
