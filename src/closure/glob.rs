//! Patterns of paths: `*`, `?` and `[...]` within one component, as in glob(7). A dot at the start of a
//! name must be written. Pure, but for the listing of directories.

use crate::trust::walk::Walker;
use crate::trust::{Distrust, Files};

/// Paths that one pattern may stand for.
const MATCHES: usize = 1024;

pub fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The paths that a pattern stands for, sorted: those that exist, as far as directories were listed.
/// `None` where there are too many.
pub fn expand<F: Files>(
    walker: &mut Walker<'_, F>,
    pattern: &str,
) -> Result<Option<Vec<String>>, Distrust> {
    let mut paths = vec![String::new()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for path in paths {
            if !is_pattern(part) {
                next.push(format!("{path}/{part}"));
                continue;
            }
            let directory = if path.is_empty() { "/" } else { &path };
            let mut names = walker.names(directory)?;
            names.sort();
            let matching = names.iter().filter(|name| matches(part, name));
            next.extend(matching.map(|name| format!("{path}/{name}")));
            if next.len() > MATCHES {
                return Ok(None);
            }
        }
        paths = next;
    }
    Ok(Some(paths))
}

/// Whether a name is one that a component of a pattern stands for.
pub fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // The last star, and where its match began: on a mismatch it takes one character more. No pattern
    // takes longer than its length times the name's.
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, seen));
                at += 1;
                continue;
            }
            Some(_) => name.get(seen).and_then(|c| one(&pattern, at, *c)),
            None => None,
        };
        match (step, star) {
            (Some(next), _) => {
                at = next;
                seen += 1;
            }
            (None, Some((from, taken))) => {
                star = Some((from, taken + 1));
                at = from + 1;
                seen = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern.iter().skip(at).all(|c| *c == '*')
}

/// Where the pattern goes on after its part at `at` took the character `c`.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match pattern.get(at)? {
        '?' => Some(at + 1),
        '[' => match set(pattern, at + 1, c) {
            Some((true, next)) => Some(next),
            Some((false, _)) => None,
            // Without an end it is a character like others.
            None => (c == '[').then_some(at + 1),
        },
        other => (*other == c).then_some(at + 1),
    }
}

/// Whether a set that begins at `from` has `c`, and where the pattern goes on after it.
fn set(pattern: &[char], from: usize, c: char) -> Option<(bool, usize)> {
    let is_negated = matches!(pattern.get(from), Some('!' | '^'));
    let first = from + usize::from(is_negated);
    let (mut at, mut has) = (first, false);
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((has != is_negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                has |= (low..=*high).contains(&c);
                at += 3;
            }
            _ => {
                has |= low == c;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names_as_in_the_shell() {
        for (pattern, name, does) in [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("nss_*.so*", "nss_x.so.1", true),
            ("nss_*.so*", "nss_x.o", false),
            ("*.so.?", "a.so.1", true),
            ("*.so.?", "a.so.10", false),
            ("a*b*c", "abcbc", true),
            ("a*b*c", "abcb", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("", "", true),
            ("**a**", "a", true),
            ("é?", "éb", true),
        ] {
            assert_eq!(matches(pattern, name), does, "{pattern} {name}");
        }
    }

    #[test]
    fn no_pattern_takes_forever() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&pattern, &"b".repeat(255)));
        assert!(!matches(&format!("{pattern}c"), &"a".repeat(255)));
    }
}
