//! What an attempt's answer amounts to, and what all of them do. Pure.
//! Whoever is in the jail must not be able to have a report pass: an answer that he could prevent counts against.

use super::Seen;
use super::table::{ATTEMPTS, Attempt};
use crate::error::Error;
use crate::kernel::Errno;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel said no, as it should; `None` where there was nothing to say no to.
    Refused(Option<Errno>),
    /// It worked, and the profile says nothing of it.
    Open,
    /// It worked, as the profile says, with its reason.
    Listed(String),
    /// The answer is none that an attempt of this kind is refused with: nobody knows what it means.
    Odd(Errno),
    /// It was ended or held up before it had an answer, which a service that was taken over can do.
    Silenced,
    NotAttested,
}

impl Verdict {
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Refused(_) => "refused",
            Verdict::Open => "OPEN",
            Verdict::Listed(_) => "open, as listed",
            Verdict::Odd(_) => "ODD",
            Verdict::Silenced => "SILENCED",
            Verdict::NotAttested => "not attested",
        }
    }

    /// Neither known to be closed, nor meant to be open.
    pub fn is_hole(&self) -> bool {
        matches!(self, Verdict::Open | Verdict::Odd(_) | Verdict::Silenced)
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub attempt: &'static Attempt,
    pub verdict: Verdict,
    /// What was got, or why it shows nothing.
    pub detail: String,
}

/// All attempts, one after the other. After one that came to no end none is made: each would take as long.
pub fn in_turn(
    listed: &BTreeMap<String, String>,
    mut make: impl FnMut(&'static Attempt) -> Result<Seen, Error>,
) -> Result<Vec<Found>, Error> {
    let mut all = Vec::new();
    let mut late: Option<&str> = None;
    for attempt in ATTEMPTS {
        let seen = match late {
            Some(name) => Seen::NotShown(format!("not tried, since {name} came to no end")),
            None => make(attempt)?,
        };
        if seen == Seen::Late {
            late = Some(attempt.name);
        }
        all.push(judge(attempt, seen, listed));
    }
    Ok(all)
}

/// Without a threshold nothing may be open that isn't listed. Where nothing could be attested, or not all
/// that was tried had its say, nothing passes.
pub fn passes(all: &[Found], threshold: Option<u64>) -> bool {
    if all.iter().any(|found| found.verdict == Verdict::Silenced) {
        return false;
    }
    match threshold {
        Some(least) => score(all) >= least,
        None => score(all) > 0 && !all.iter().any(|found| found.verdict.is_hole()),
    }
}

pub fn judge(attempt: &'static Attempt, seen: Seen, listed: &BTreeMap<String, String>) -> Found {
    let open = || match listed.get(attempt.name) {
        Some(reason) => Verdict::Listed(reason.clone()),
        None => Verdict::Open,
    };
    let (verdict, detail) = match seen {
        Seen::Open(detail) => (open(), detail),
        Seen::Nothing(detail) => (Verdict::Refused(None), detail),
        Seen::NotShown(detail) => (Verdict::NotAttested, detail),
        Seen::Cut(detail) => (Verdict::Silenced, detail),
        Seen::Late => {
            let detail = "it came to no end within a minute";
            (Verdict::Silenced, detail.to_string())
        }
        Seen::Refused(failure) if attempt.is_refused_by(failure.errno) => {
            (Verdict::Refused(Some(failure.errno)), failure.to_string())
        }
        Seen::Refused(failure) if attempt.consents.contains(&failure.errno) => {
            (open(), format!("the kernel would have: {failure}"))
        }
        Seen::Refused(failure) => (Verdict::Odd(failure.errno), failure.to_string()),
    };
    Found {
        attempt,
        verdict,
        detail,
    }
}

/// Of all that was attested, how many percent is closed or listed, rounded down.
pub fn score(all: &[Found]) -> u64 {
    let attested = all
        .iter()
        .filter(|found| found.verdict != Verdict::NotAttested);
    let (mut total, mut good) = (0_u64, 0_u64);
    for found in attested {
        total += 1;
        good += u64::from(!found.verdict.is_hole());
    }
    (good * 100).checked_div(total).unwrap_or(0)
}

/// Names that the profile lists and that aren't open any more.
pub fn needless<'a>(all: &[Found], listed: &'a BTreeMap<String, String>) -> Vec<&'a str> {
    let is_closed = |name: &str| {
        let mut found = all.iter().filter(|found| found.attempt.name == name);
        found.any(|found| matches!(found.verdict, Verdict::Refused(_)))
    };
    let names = listed.keys().map(String::as_str);
    names.filter(|name| is_closed(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::table::by_name;
    use super::*;
    use crate::kernel::Failure;

    fn judged(name: &str, seen: Seen) -> Verdict {
        let listed = BTreeMap::from([("mount".to_string(), "why".to_string())]);
        by_name(name).map_or(Verdict::NotAttested, |attempt| {
            judge(attempt, seen, &listed).verdict
        })
    }

    #[test]
    fn an_answer_is_a_refusal_only_by_an_errno_that_refuses() {
        let refused = |name, errno| judged(name, Seen::Refused(Failure::new("call", errno)));
        assert_eq!(
            refused("unmount", Errno::EPERM),
            Verdict::Refused(Some(Errno::EPERM))
        );
        assert_eq!(refused("unmount", Errno::ENOENT), Verdict::Open);
        assert_eq!(refused("unmount", Errno::EIO), Verdict::Odd(Errno::EIO));
        assert_eq!(
            judged("mount", Seen::Open(String::new())),
            Verdict::Listed("why".to_string())
        );
        assert_eq!(
            judged("mount", Seen::NotShown(String::new())),
            Verdict::NotAttested
        );
    }

    #[test]
    fn what_was_not_attested_raises_no_score() {
        let found = |name, verdict| Found {
            attempt: by_name(name).unwrap_or(&ATTEMPTS[0]),
            verdict,
            detail: String::new(),
        };
        let all = [
            found("mount", Verdict::Open),
            found("unmount", Verdict::Refused(None)),
            found("route", Verdict::NotAttested),
        ];
        assert_eq!(score(&all), 50);
        assert_eq!(score(&all[2..]), 0);
    }

    #[test]
    fn one_attempt_that_was_silenced_fails_the_report_whatever_the_threshold() {
        let all = |silenced: Option<&str>| {
            let made = |attempt: &Attempt| match silenced == Some(attempt.name) {
                true => Ok(Seen::Cut("signal 9".to_string())),
                false => Ok(Seen::Nothing(String::new())),
            };
            in_turn(&BTreeMap::new(), made).unwrap_or_default()
        };
        let (good, bad) = (all(None), all(Some("route")));
        assert_eq!(bad.len(), ATTEMPTS.len());
        for threshold in [None, Some(0), Some(50)] {
            assert!(passes(&good, threshold));
            assert!(!passes(&bad, threshold));
        }
        assert_eq!(score(&good), 100);
        assert!(score(&bad) < 100);
    }

    #[test]
    fn after_an_attempt_that_came_to_no_end_none_is_made_and_nothing_passes() {
        let mut made = Vec::new();
        let all = in_turn(&BTreeMap::new(), |attempt| {
            made.push(attempt.name);
            Ok(match made.len() {
                3 => Seen::Late,
                _ => Seen::Nothing(String::new()),
            })
        });
        let all = all.unwrap_or_default();
        assert_eq!(made.len(), 3);
        assert_eq!(all.len(), ATTEMPTS.len());
        assert_eq!(all[2].verdict, Verdict::Silenced);
        let words = format!("not tried, since {} came to no end", made[2]);
        let is_untried =
            |found: &Found| found.verdict == Verdict::NotAttested && found.detail == words;
        assert!(all[3..].iter().all(is_untried));
        assert!(!passes(&all, Some(0)));
    }

    #[test]
    fn no_answer_is_both_a_refusal_and_a_consent_and_no_name_is_given_twice() {
        let names: std::collections::BTreeSet<&str> = ATTEMPTS.iter().map(|a| a.name).collect();
        assert_eq!(names.len(), ATTEMPTS.len());
        for attempt in ATTEMPTS {
            let both = attempt
                .refusals
                .iter()
                .find(|errno| attempt.consents.contains(errno));
            assert_eq!(both, None, "{}", attempt.name);
        }
    }
}
