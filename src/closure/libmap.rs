//! libmap.conf(5): which library rtld takes instead of another, by name, and for whom. Pure; whoever
//! reads the files follows the includes.

use super::hints::directories;

/// Longest line that rtld reads; the rest of a longer one is skipped.
const LINE: usize = 1036;
const DEFAULT: &str = "$DEFAULT$";

/// One line with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// For programs and libraries of this name, or for all.
    Map {
        who: Option<&'a str>,
        from: &'a str,
        to: &'a str,
    },
    Include(&'a str),
    IncludeDirectory(&'a str),
}

/// The lines of one file. What rtld can't read it skips.
pub fn parse(text: &str) -> Vec<Line<'_>> {
    let mut who = None;
    let mut lines = Vec::new();
    for whole in text.split('\n') {
        let mut end = whole.len().min(LINE);
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        let line = whole.get(..end).unwrap_or_default();
        let line = line.split(['#', '\0', '\r']).next().unwrap_or_default();
        let line = line.trim_matches(BLANKS);
        if let Some(selector) = line.strip_prefix('[') {
            let name = selector
                .strip_suffix(']')
                .map(|name| name.trim_matches(BLANKS));
            if let Some(name) = name
                .filter(|name| !name.is_empty() && !name.contains(BLANKS) && !name.contains(']'))
            {
                who = Some(name);
            }
            continue;
        }
        let mut words = line.split(BLANKS).filter(|word| !word.is_empty());
        let (Some(from), Some(to), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        lines.push(match from {
            "include" => Line::Include(to),
            "includedir" => Line::IncludeDirectory(to),
            _ => Line::Map { who, from, to },
        });
    }
    lines
}

const BLANKS: [char; 2] = [' ', '\t'];

/// All mappings, the newest first, as rtld keeps and searches them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Libmap {
    lists: Vec<(String, Vec<(String, String)>)>,
}

impl Libmap {
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub fn add(&mut self, who: Option<&str>, from: &str, to: &str) {
        let who = who.unwrap_or(DEFAULT);
        let index = match self.list(who) {
            Some(index) => index,
            None => {
                self.lists.insert(0, (who.to_string(), Vec::new()));
                0
            }
        };
        if let Some((_, list)) = self.lists.get_mut(index)
            && find(list, from) != Some(to)
        {
            list.insert(0, (from.to_string(), to.to_string()));
        }
    }

    /// What `name` is mapped to when the object at `path` asks. A mapping that was found for somebody
    /// holds for everybody from then on: rtld has it so.
    pub fn find(&mut self, path: &str, name: &str) -> Option<String> {
        let own = self.list(path).and_then(|index| self.lists.get(index));
        if let Some(to) = own.and_then(|(_, list)| find(list, name)) {
            let to = to.to_string();
            self.add(None, name, &to);
            return Some(to);
        }
        let all = self.list(DEFAULT).and_then(|index| self.lists.get(index));
        all.and_then(|(_, list)| find(list, name))
            .map(str::to_string)
    }

    /// The directories of a search list, each as it is mapped for `path`.
    pub fn translate(&mut self, path: &str, list: &str) -> Vec<String> {
        directories(list)
            .map(|part| self.find(path, part).unwrap_or_else(|| part.to_string()))
            .collect()
    }

    /// A selector is a directory with a slash at its end, a path, or the last part of one.
    fn list(&self, path: &str) -> Option<usize> {
        let last = path.rsplit('/').next().unwrap_or_default();
        self.lists.iter().position(|(who, _)| {
            if who.ends_with('/') {
                path.starts_with(who.as_str())
            } else if who.contains('/') {
                path == who
            } else {
                last == who
            }
        })
    }

    /// A file without includes that means the same: oldest first, since each line goes before the others.
    pub fn flattened(&self) -> String {
        let mut text = String::new();
        for (who, list) in self.lists.iter().rev() {
            text.push_str(&format!("[{who}]\n"));
            for (from, to) in list.iter().rev() {
                text.push_str(&format!("{from} {to}\n"));
            }
        }
        text
    }
}

fn find<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = list.iter().find(|(from, _)| from == name);
    found.map(|(_, to)| to.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Libmap {
        let mut map = Libmap::default();
        for line in parse(text) {
            if let Line::Map { who, from, to } = line {
                map.add(who, from, to);
            }
        }
        map
    }

    #[test]
    fn lines_mean_what_they_mean_to_rtld() {
        let map_line = |who, from, to| Line::Map { who, from, to };
        for (text, lines) in [
            ("a b", vec![map_line(None, "a", "b")]),
            ("  a\t b # why\r\n#c d\n\n", vec![map_line(None, "a", "b")]),
            ("a", vec![]),
            ("a b c", vec![]),
            ("a#b c", vec![]),
            ("[x]\na b", vec![map_line(Some("x"), "a", "b")]),
            (
                "[ /bin/ ] # y\na b",
                vec![map_line(Some("/bin/"), "a", "b")],
            ),
            ("[x\na b", vec![map_line(None, "a", "b")]),
            ("[]\n[x] y\na b", vec![map_line(None, "a", "b")]),
            ("include /x", vec![Line::Include("/x")]),
            ("includedir /x", vec![Line::IncludeDirectory("/x")]),
        ] {
            assert_eq!(parse(text), lines, "{text:?}");
        }
    }

    #[test]
    fn the_last_line_wins_and_selectors_choose() {
        let mut all = map("a b\na c\n[/bin/]\na d\n[sh]\na e\n[/sbin/ls]\na f\n");
        assert_eq!(all.clone().find("/usr/x", "a").as_deref(), Some("c"));
        assert_eq!(all.clone().find("/bin/x", "a").as_deref(), Some("d"));
        assert_eq!(all.clone().find("/bin/sh", "a").as_deref(), Some("e"));
        assert_eq!(all.clone().find("/sbin/ls", "a").as_deref(), Some("f"));
        assert_eq!(all.find("/sbin/ls", "b"), None);
        // What was found for one is found for all after.
        assert_eq!(all.find("/sbin/ls", "a").as_deref(), Some("f"));
        assert_eq!(all.find("/usr/x", "a").as_deref(), Some("f"));
    }

    #[test]
    fn a_selector_that_an_earlier_one_takes_in_is_lost_in_it() {
        // lm_add() looks for a list by the rules that lm_find() uses.
        let mut all = map("[/bin/]\na b\n[/bin/ls]\na c\n");
        assert_eq!(all.find("/bin/x", "a").as_deref(), Some("c"));
    }

    #[test]
    fn a_flattened_map_means_the_same() {
        let all = map("a b\na c\n[/bin/]\na d\nb d\n[sh]\na e\n");
        assert_eq!(map(&all.flattened()), all);
    }
}
