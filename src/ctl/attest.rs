//! `attest`: what an intruder could do in a service's place, tried in its jail, as a report.

use super::Trouble;
use clap::ArgMatches;
use std::io::Write;

#[cfg(not(target_os = "freebsd"))]
pub fn run(_: &ArgMatches, _: &mut dyn Write, _: &mut dyn Write) -> Result<i32, Trouble> {
    Err(Trouble::new(69, "attest: runs on FreeBSD only"))
}

#[cfg(target_os = "freebsd")]
pub fn run(found: &ArgMatches, out: &mut dyn Write, err: &mut dyn Write) -> Result<i32, Trouble> {
    on::run(&mut crate::kernel::freebsd::FreeBsd, found, out, err)
}

/// The verb on any kernel.
pub mod on {
    use super::super::args::{label_of, text};
    use super::super::json::Json;
    use super::super::{Trouble, print};
    use crate::attest::throwaway::{self, Attested};
    use crate::attest::verdict::{Found, Verdict, needless, passes, score};
    use crate::instances::{self, Status};
    use crate::kernel::attack::Attack;
    use crate::profile::Profile;
    use crate::request::Request;
    use crate::start;
    use clap::ArgMatches;
    use std::io::Write;

    pub fn run<K: Attack>(
        kernel: &mut K,
        found: &ArgMatches,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<i32, Trouble> {
        let word = text(found, "target").unwrap_or_default();
        let uid = kernel.getresuid().map_or(u32::MAX, |ids| ids.effective);
        if uid != 0 {
            return Err(Trouble::new(77, "attest: only for root"));
        }
        let trouble = |error| Trouble::about(&word, &error);
        let started = start::take_root(kernel, None).map_err(trouble)?;
        let label = label_of(&word);
        let is_live = !found.get_flag("throwaway")
            && instances::one(kernel, &label)
                .map_err(|failure| Trouble::new(71, format!("{label}: {failure}")))?
                .is_some_and(|listed| listed.status == Status::Running);
        let attested = match is_live {
            true => throwaway::live(kernel, &label, &started.caller),
            false => throwaway::throwaway(kernel, &request(&word), &started.caller),
        };
        let (profile, attested) = attested.map_err(trouble)?;
        let threshold = found.get_one::<u64>("threshold").copied();
        let report = Report {
            word: &word,
            is_live,
            profile: &profile,
            attested: &attested,
            passes: passes(&attested.found, threshold),
        };
        match found.get_flag("json") {
            true => print(out, report.json())?,
            false => report.show(out)?,
        }
        for left in &attested.leftovers {
            let _ = writeln!(err, "jailrunctl: {word}: left behind: {left}");
        }
        Ok(match (attested.leftovers.is_empty(), report.passes) {
            (false, _) => 71,
            (true, true) => 0,
            (true, false) => 1,
        })
    }

    fn request(word: &str) -> Request {
        let (profile, instance) = match word.split_once('@') {
            Some((profile, instance)) => (profile, Some(instance.to_string())),
            None => (word, None),
        };
        Request {
            profile: profile.to_string(),
            instance,
            ..Request::default()
        }
    }

    struct Report<'a> {
        word: &'a str,
        is_live: bool,
        profile: &'a Profile,
        attested: &'a Attested,
        passes: bool,
    }

    impl Report<'_> {
        fn what(&self) -> &'static str {
            match self.is_live {
                true => "instance",
                false => "throwaway instance",
            }
        }

        fn show(&self, out: &mut dyn Write) -> Result<(), Trouble> {
            let all = &self.attested.found;
            for found in all {
                print(out, line(found))?;
            }
            for found in all.iter().filter(|found| found.verdict.is_hole()) {
                print(out, sentence(self.word, found))?;
            }
            for name in needless(all, &self.profile.test.attest_open) {
                let words = "is listed in attest_open and is refused: take it out there";
                print(out, format!("{}: {name} {words}", self.word))?;
            }
            let count =
                |is: fn(&Verdict) -> bool| all.iter().filter(|found| is(&found.verdict)).count();
            print(
                out,
                format!(
                    "{}: {} attested: score {}; {} refused, {} open as listed, {} open, {} odd, {} silenced, \
                     {} not attested",
                    self.word,
                    self.what(),
                    score(all),
                    count(|verdict| matches!(verdict, Verdict::Refused(_))),
                    count(|verdict| matches!(verdict, Verdict::Listed(_))),
                    count(|verdict| *verdict == Verdict::Open),
                    count(|verdict| matches!(verdict, Verdict::Odd(_))),
                    count(|verdict| *verdict == Verdict::Silenced),
                    count(|verdict| *verdict == Verdict::NotAttested),
                ),
            )
        }

        fn json(&self) -> Json {
            let all = &self.attested.found;
            let needless = needless(all, &self.profile.test.attest_open);
            let needless = needless.into_iter().map(Json::text);
            Json::Object(vec![
                ("target", Json::text(self.word)),
                ("kind", Json::text(self.what())),
                ("score", Json::number(score(all))),
                ("passes", Json::Bool(self.passes)),
                ("attempts", Json::List(all.iter().map(one).collect())),
                ("needless", Json::List(needless.collect())),
                ("left_behind", Json::texts(&self.attested.leftovers)),
            ])
        }
    }

    fn line(found: &Found) -> String {
        let errno = match &found.verdict {
            Verdict::Refused(Some(errno)) | Verdict::Odd(errno) => errno.name(),
            _ => "-",
        };
        let detail = match &found.verdict {
            Verdict::Listed(reason) => format!("{} ({reason})", shown(&found.detail)),
            _ => shown(&found.detail),
        };
        format!(
            "{:<20} {:<15} {errno:<15} {detail}",
            found.attempt.name,
            found.verdict.word()
        )
    }

    /// For people: a service names its files as it likes, by lines of a report or by what terminals obey.
    fn shown(detail: &str) -> String {
        let all = detail.chars().map(|character| match character {
            '"' | '\'' => character.to_string(),
            other => other.escape_debug().to_string(),
        });
        all.collect()
    }

    /// What it means, and what closes it.
    fn sentence(word: &str, found: &Found) -> String {
        let (attempt, detail) = (found.attempt, shown(&found.detail));
        match &found.verdict {
            Verdict::Odd(errno) => format!(
                "{word}: {} is refused in a way that nobody knows ({}): whether the service can {} is open",
                attempt.name,
                errno.name(),
                attempt.tries
            ),
            Verdict::Silenced => format!(
                "{word}: {} was silenced ({detail}), which a service that was taken over can do: whether it can {} \
                 is open. attest --throwaway tries it where no service is",
                attempt.name, attempt.tries
            ),
            _ => format!(
                "{word}: a service that was taken over can {} ({detail}): {}. Closed by {}",
                attempt.tries, attempt.hole, attempt.closes
            ),
        }
    }

    fn one(found: &Found) -> Json {
        let errno = match &found.verdict {
            Verdict::Refused(Some(errno)) | Verdict::Odd(errno) => Json::text(errno.name()),
            _ => Json::Null,
        };
        let reason = match &found.verdict {
            Verdict::Listed(reason) => Json::text(reason),
            _ => Json::Null,
        };
        let closes = match &found.verdict {
            Verdict::Open | Verdict::Odd(_) => Json::text(found.attempt.closes),
            _ => Json::Null,
        };
        Json::Object(vec![
            ("name", Json::text(found.attempt.name)),
            ("tries", Json::text(found.attempt.tries)),
            ("verdict", Json::text(found.verdict.word())),
            ("errno", errno),
            ("detail", Json::text(&found.detail)),
            ("reason", reason),
            ("closes", closes),
        ])
    }
}
