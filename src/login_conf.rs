//! login.conf(5): the record of a class, as getcap(3) finds and expands it, and what it says of a process.
//! Pure, and bounded whatever the text is. What login(1) would log and pass over is an error here.

use crate::kernel::{Limit, UNLIMITED};
use crate::profile::diagnostic::quoted;
use crate::profile::values::{LIMITS, cpus};

/// Longest text of the file, and of a record with everything that it includes.
pub const FILE_BYTES: usize = 256 * 1024;
const RECORD_BYTES: usize = 64 * 1024;
/// MAX_RECURSION of getcap(3), and how many records one may include at all: with two in each, that depth
/// alone would allow 2^32.
const DEPTH: usize = 32;
const INCLUDES: usize = 256;

/// What a class says that is done for a service: not its paths and environment, which a profile gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginClass {
    pub name: String,
    pub limits: Vec<ClassLimit>,
    pub umask: Option<u32>,
    pub nice: Option<i32>,
    pub cpus: Option<Vec<u32>>,
}

/// The soft and the hard limit, each where the class gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassLimit {
    pub limit: Limit,
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// The expanded record of a class, "name|alias:capability:...", byte for byte what cap_mkdb(1) puts into
/// login.conf.db.
pub fn record(text: &[u8], class: &str) -> Result<Vec<u8>, String> {
    if text.len() > FILE_BYTES {
        return Err("is longer than 256 KiB".to_owned());
    }
    if text.contains(&0) {
        return Err("has a NUL character".to_owned());
    }
    // getcap(3) doesn't see a last line without an end, and cap_mkdb(1) cuts its last letter off.
    if !text.is_empty() && !text.ends_with(b"\n") {
        return Err("has no newline at its end".to_owned());
    }
    let records = records(text);
    let mut budget = INCLUDES;
    expand(&records, class.as_bytes(), 0, &mut budget)?
        .ok_or_else(|| format!("has no class {}", quoted(class)))
}

/// Lines, with those that a backslash continues put together; without comments and empty ones.
fn records(text: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        record.extend(line.strip_suffix(b"\n").unwrap_or(line));
        if record.last() == Some(&b'\\') {
            record.pop();
            continue;
        }
        if !record.is_empty() && !record.starts_with(b"#") {
            records.push(std::mem::take(&mut record));
        }
        record.clear();
    }
    records
}

/// `None`: there is no such record.
fn expand(
    records: &[Vec<u8>],
    name: &[u8],
    depth: usize,
    budget: &mut usize,
) -> Result<Option<Vec<u8>>, String> {
    let said = || quoted(&String::from_utf8_lossy(name));
    if depth > DEPTH {
        return Err(format!("includes {} in itself (tc)", said()));
    }
    let Some(found) = records.iter().find(|record| is_called(record, name)) else {
        return Ok(None);
    };
    let mut record = found.clone();
    let mut scan = 0;
    while let Some((start, end)) = include(&record, scan) {
        let value = record.get(start + 3..end).unwrap_or_default();
        let wanted = value.strip_suffix(b":").unwrap_or(value).to_vec();
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| format!("includes more than {INCLUDES} records (tc)"))?;
        let inner = expand(records, &wanted, depth + 1, budget)?.ok_or_else(|| {
            let wanted = quoted(&String::from_utf8_lossy(&wanted));
            format!("includes {wanted} (tc), which isn't there")
        })?;
        // Not the names of what is included.
        let names = inner.iter().position(|byte| *byte == b':');
        let mut fields = names
            .and_then(|colon| inner.get(colon + 1..))
            .unwrap_or_default()
            .to_vec();
        if fields.last() != Some(&b':') {
            fields.push(b':');
        }
        scan = start + fields.len() - 1;
        record.splice(start..end, fields);
        if record.len() > RECORD_BYTES {
            return Err("has a class of more than 64 KiB".to_owned());
        }
    }
    Ok(Some(record))
}

/// Whether one of its names, which end at the first colon, is this.
fn is_called(record: &[u8], name: &[u8]) -> bool {
    let names = record.split(|byte| *byte == b':').next();
    let mut names = names.unwrap_or_default().split(|byte| *byte == b'|');
    !name.is_empty() && names.any(|known| known == name)
}

/// Where the next "tc=NAME:" begins and ends. "tc@" ends the search, as cgetcap(3) has it.
fn include(record: &[u8], scan: usize) -> Option<(usize, usize)> {
    let mut at = scan;
    loop {
        at += record.get(at..)?.iter().position(|byte| *byte == b':')? + 1;
        let rest = record.get(at..)?;
        if rest.starts_with(b"tc@") || rest.starts_with(b"tc=@") {
            return None;
        }
        if rest.starts_with(b"tc=") {
            let length = rest.iter().position(|byte| *byte == b':');
            return Some((at, at + length.map_or(rest.len(), |colon| colon + 1)));
        }
    }
}

/// A capability's value, and the sign before it: '=' or '#'. The first counts; "name@" takes it away.
fn capability<'r>(record: &'r [u8], name: &str, sign: u8) -> Option<&'r [u8]> {
    let fields = record.split(|byte| *byte == b':').skip(1);
    for field in fields {
        let Some(rest) = field.strip_prefix(name.as_bytes()) else {
            continue;
        };
        match rest.split_first() {
            Some((b'@', _)) => return None,
            Some((found, value)) if *found == sign => {
                return (value.first() != Some(&b'@')).then_some(value);
            }
            _ => {}
        }
    }
    None
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Size,
    Time,
}

fn unit(limit: Limit) -> Unit {
    match limit {
        Limit::Cputime => Unit::Time,
        Limit::Maxproc
        | Limit::Openfiles
        | Limit::Pseudoterminals
        | Limit::Kqueues
        | Limit::Umtxp => Unit::Count,
        _ => Unit::Size,
    }
}

impl LoginClass {
    /// What an expanded record says.
    pub fn of(name: &str, record: &[u8]) -> Result<LoginClass, String> {
        let mut class = LoginClass {
            name: name.to_owned(),
            ..LoginClass::default()
        };
        for (word, limit) in LIMITS {
            let amount = |word: &str| amount(record, word, unit(limit));
            let both = amount(word)?;
            let soft = amount(&format!("{word}-cur"))?.or(both);
            let hard = amount(&format!("{word}-max"))?.or(both);
            if soft.is_some() || hard.is_some() {
                class.limits.push(ClassLimit { limit, soft, hard });
            }
        }
        class.umask = number(record, "umask")?
            .map(|mask| u32::try_from(mask).ok().filter(|mask| *mask <= 0o777))
            .map(|mask| mask.ok_or("umask is not a umask, at most 0777".to_owned()))
            .transpose()?;
        class.nice = number(record, "priority")?
            .map(|nice| {
                i32::try_from(nice)
                    .ok()
                    .filter(|nice| (-20..=20).contains(nice))
            })
            .map(|nice| {
                nice.ok_or(
                    "priority is not -20 to 20; idle and real-time ones are not supported"
                        .to_owned(),
                )
            })
            .transpose()?;
        class.cpus = match text(record, "cpumask")? {
            Some(list) if !list.eq_ignore_ascii_case("default") => {
                Some(cpus::list(list).map_err(|why| format!("cpumask: {why}"))?)
            }
            _ => None,
        };
        Ok(class)
    }
}

fn text<'r>(record: &'r [u8], name: &str) -> Result<Option<&'r str>, String> {
    let value = capability(record, name, b'=').map(std::str::from_utf8);
    value.transpose().map_err(|_| format!("{name} is no text"))
}

fn is_infinite(value: &str) -> bool {
    ["infinity", "inf", "unlimited", "unlimit", "-1"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
}

fn amount(record: &[u8], name: &str, unit: Unit) -> Result<Option<u64>, String> {
    let wrong = |value: &str| format!("{name} is {}", quoted(value));
    let plain = capability(record, name, b'#');
    let value = match (text(record, name)?, plain, unit) {
        (Some(value), _, _) => value,
        (None, None, _) => return Ok(None),
        (None, Some(value), Unit::Count) => {
            std::str::from_utf8(value).map_err(|_| format!("{name} is no text"))?
        }
        // login(1) doesn't see those, and says nothing.
        (None, Some(_), _) => return Err(format!("{name} is given with \"#\": use \"=\"")),
    };
    if is_infinite(value) {
        return Ok(Some(UNLIMITED));
    }
    let total = match unit {
        Unit::Count => digits(value)
            .filter(|(_, rest)| rest.is_empty())
            .map(|(count, _)| count),
        Unit::Size | Unit::Time => sum(value, unit),
    };
    let total = total.filter(|total| *total < UNLIMITED);
    total.map(Some).ok_or_else(|| wrong(value))
}

/// "1h30m", "64k512b": parts with a unit each, or none, that are added.
fn sum(value: &str, unit: Unit) -> Option<u64> {
    let (mut total, mut rest) = (0u64, value);
    loop {
        let (count, behind) = digits(rest)?;
        let mut letters = behind.chars();
        let letter = letters.next().map(|letter| letter.to_ascii_lowercase());
        let factor: u64 = match (letter, unit) {
            (None, _) => 1,
            (Some('b'), Unit::Size) => 512,
            (Some('k'), Unit::Size) => 1 << 10,
            (Some('m'), Unit::Size) => 1 << 20,
            (Some('g'), Unit::Size) => 1 << 30,
            (Some('t'), Unit::Size) => 1 << 40,
            (Some('s'), Unit::Time) => 1,
            (Some('m'), Unit::Time) => 60,
            (Some('h'), Unit::Time) => 60 * 60,
            (Some('d'), Unit::Time) => 24 * 60 * 60,
            (Some('w'), Unit::Time) => 7 * 24 * 60 * 60,
            (Some('y'), Unit::Time) => 365 * 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(factor)?)?;
        rest = letters.as_str();
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// A number as strtoq(3) with base 0 reads it, without sign and spaces; and what is behind it.
fn digits(text: &str) -> Option<(u64, &str)> {
    let (radix, text) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, text.get(2..)?),
        [b'0', b'0'..=b'7', ..] => (8, text.get(1..)?),
        _ => (10, text),
    };
    let end = text.find(|letter: char| !letter.is_digit(radix));
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    Some((u64::from_str_radix(number, radix).ok()?, rest))
}

/// Of `umask` and `priority`, where "inherit" changes nothing. The latter may be negative.
fn number(record: &[u8], name: &str) -> Result<Option<i64>, String> {
    let plain = capability(record, name, b'#').map(std::str::from_utf8);
    let plain = plain
        .transpose()
        .map_err(|_| format!("{name} is no text"))?;
    let Some(value) = text(record, name)?.or(plain) else {
        return Ok(None);
    };
    if value == "inherit" {
        return Ok(None);
    }
    let (sign, bare) = match value.strip_prefix('-') {
        Some(bare) => (-1, bare),
        None => (1, value),
    };
    let whole = digits(bare).filter(|(_, rest)| rest.is_empty());
    let whole = whole.and_then(|(number, _)| i64::try_from(number).ok());
    let wrong = || format!("{name} is {}", quoted(value));
    whole.map(|number| Some(sign * number)).ok_or_else(wrong)
}

#[cfg(test)]
#[path = "login_conf_tests.rs"]
mod tests;
