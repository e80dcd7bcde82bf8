//! Lists of CPUs, as cpuset(1) writes them. Pure.

use super::super::diagnostic::quoted;

/// CPU_MAXSIZE of sys/sys/_cpuset.h: no kernel has more.
pub const MOST: u32 = 1024;

/// "0-3,7": in order, each once.
pub fn list(text: &str) -> Result<Vec<u32>, String> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => cpus.extend(first..=last),
            _ => {
                return Err(format!(
                    "{} is not a list of CPUs like \"0-3,7\", each below {MOST}",
                    quoted(text)
                ));
            }
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Digits alone: u32's parser takes a sign.
fn number(digits: &str) -> Option<u32> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_plain);
    number.filter(|number| *number < MOST)
}

/// The shortest list that says the same; `cpus` is in order.
pub fn words(cpus: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *cpu => *last = *cpu,
            _ => parts.push((*cpu, *cpu)),
        }
    }
    let part = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_as_its_shortest_form() {
        for (text, shortest) in [
            ("0", "0"),
            ("0-3,7", "0-3,7"),
            ("7,0,1,2,3", "0-3,7"),
            ("5-5,5", "5"),
            ("0,2,4", "0,2,4"),
            ("1023", "1023"),
        ] {
            assert_eq!(list(text).map(|cpus| words(&cpus)), Ok(shortest.to_owned()));
        }
    }

    #[test]
    fn what_is_no_list_of_cpus_is_refused() {
        for text in [
            "",
            ",",
            "0,",
            "-",
            "-1",
            "1-",
            "3-1",
            "+1",
            " 1",
            "0x1",
            "1024",
            "0-1024",
            "1-2-3",
            "all",
            "99999999999999999999",
        ] {
            assert!(list(text).is_err(), "{text:?}");
        }
    }
}
