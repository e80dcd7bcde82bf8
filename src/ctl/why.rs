//! `why`: what a running instance has or hasn't, and the line of its profile that says so.

use super::Trouble;
use clap::ArgMatches;
use std::io::Write;

#[cfg(not(target_os = "freebsd"))]
pub fn run(_: &ArgMatches, _: &mut dyn Write) -> Result<i32, Trouble> {
    Err(Trouble::new(69, "why: runs on FreeBSD only"))
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
    use crate::kernel::attack::Attack;
    use crate::start;
    use crate::why::question::{Act, Question, Told, Wish};
    use crate::why::{Answer, ask};
    use clap::ArgMatches;
    use std::io::Write;

    pub fn run<K: Attack>(
        kernel: &mut K,
        found: &ArgMatches,
        out: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let uid = kernel.getresuid().map_or(u32::MAX, |ids| ids.effective);
        if uid != 0 {
            return Err(Trouble::new(77, "why: only for root"));
        }
        let word = text(found, "instance-label").unwrap_or_default();
        let asked = text(found, "question").unwrap_or_default();
        let question = Question::read(&asked, told(found))
            .map_err(|words| Trouble::new(64, format!("why: {words}")))?;
        let name = word.escape_debug().to_string();
        let trouble = |error| Trouble::about(&name, &error);
        let started = start::take_root(kernel, None).map_err(trouble)?;
        let label = label_of(&word);
        let answer = ask(kernel, &label, &started.caller, &question).map_err(trouble)?;
        match found.get_flag("json") {
            true => print(out, json(&word, &asked, &answer))?,
            false => print(out, shown(&word, &asked, &answer))?,
        }
        Ok(i32::from(!answer.is_granted))
    }

    fn told(found: &ArgMatches) -> Told {
        Told {
            wish: match (found.get_flag("write"), found.get_flag("exec")) {
                (true, _) => Some(Wish::Write),
                (_, true) => Some(Wish::Execute),
                _ => None,
            },
            act: match (found.get_flag("bind"), found.get_flag("connect")) {
                (true, _) => Some(Act::Bind),
                (_, true) => Some(Act::Connect),
                _ => None,
            },
        }
    }

    fn verdict(answer: &Answer) -> &'static str {
        match answer.is_granted {
            true => "granted",
            false => "missing",
        }
    }

    fn shown(word: &str, asked: &str, answer: &Answer) -> String {
        let mut text = format!("{word}: {asked}: {}: {}", verdict(answer), answer.why);
        text.push_str(&proposed::shown(answer.line.as_ref()));
        text
    }

    fn json(word: &str, asked: &str, answer: &Answer) -> Json {
        let mut fields = vec![
            ("instance", Json::text(word)),
            ("asked", Json::text(asked)),
            ("granted", Json::Bool(answer.is_granted)),
            ("why", Json::text(&answer.why)),
        ];
        fields.extend(proposed::json(answer.line.as_ref()));
        Json::Object(fields)
    }
}
