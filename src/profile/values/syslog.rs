//! Words of syslog(3): facilities, and the tag of a line.

use super::Checked;
use crate::profile::diagnostic::{nearest, quoted};

/// LOG_DAEMON of syslog(3).
pub const LOG_DAEMON: u32 = 3 << 3;

const FACILITIES: [(&str, u32); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("ntp", 12),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// A facility of syslog(3), shifted as its priorities want it.
pub fn facility(text: &str) -> Checked<u32> {
    match FACILITIES.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => Ok(number << 3),
        None => Err(
            match nearest(text, FACILITIES.iter().map(|(name, _)| *name)) {
                Some(near) => format!(
                    "{} is no facility of syslog(3); did you mean \"{near}\"?",
                    quoted(text)
                ),
                None => format!("{} is no facility of syslog(3)", quoted(text)),
            },
        ),
    }
}

/// The word for what [`facility`] gives.
pub fn facility_name(facility: u32) -> &'static str {
    let known = FACILITIES
        .iter()
        .find(|(_, number)| number << 3 == facility);
    known.map_or("?", |(name, _)| name)
}

/// The tag of a syslog line: syslogd(8) ends it at the first other character.
pub fn tag(text: &str) -> Checked<String> {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match is_plain && (1..=32).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is not a tag: 1 to 32 of A-Z a-z 0-9 . _ -",
            quoted(text)
        )),
    }
}
