//! The lines of rc.conf.d/NAME that send a service through jailrun, between two marks. Pure: texts in,
//! texts out, and what is taken out again is exactly what was put in.

use std::ops::Range;

/// What the lines say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// rc.subr(8)'s name of the service.
    pub name: String,
    /// The link that is started in the place of the daemon.
    pub link: String,
    /// The script uses its user's name and then forgets it, so that rc.subr(8) never sees one.
    pub forgets_user: bool,
    /// The script names its process itself.
    pub sets_procname: bool,
    /// The script names an interpreter.
    pub clears_interpreter: bool,
    /// Where the supervisor's pid is, if that isn't where the script looks.
    pub pidfile: Option<String>,
}

/// Written behind the first mark, for the way back.
const OWN_FILE: &str = " own-file";
const NO_NEWLINE: &str = " no-newline";
/// Stands in the place of a `NAME_user` that isn't set.
const FORGETS_USER: &str = "# the script unsets its user itself\n";

fn begin(name: &str) -> String {
    format!("# jailrunctl wrap {name}: begin")
}

fn end(name: &str) -> String {
    format!("# jailrunctl wrap {name}: end\n")
}

impl Block {
    /// rc.subr(8) would start the daemon through su(1), or in a service jail, or past us in a chroot(8).
    fn lines(&self, words: &str) -> String {
        let Block { name, link, .. } = self;
        let mut text = begin(name) + words + "\n";
        text.push_str(&format!("{name}_program=\"{link}\"\n"));
        text.push_str(&match self.forgets_user {
            true => FORGETS_USER.to_string(),
            false => format!("{name}_user=\"root\"\n"),
        });
        text.push_str(&format!("{name}_svcj=\"NO\"\n"));
        if self.sets_procname {
            text.push_str(&format!("procname=\"{link}\"\n"));
        }
        if self.clears_interpreter {
            text.push_str("command_interpreter=\"\"\n");
        }
        if let Some(pidfile) = &self.pidfile {
            text.push_str(&format!("pidfile=\"{pidfile}\"\n"));
        }
        text.push_str(&format!(
            "[ -z \"${{{name}_chroot}}${{{name}_profiles}}${{{name}_instances}}\" ] || err 1 \
             \"{name}_chroot, _profiles or _instances is set: not with jailrunctl wrap\"\n"
        ));
        text + &end(name)
    }

    /// The file with the block at its end; `None` is a file that isn't there.
    pub fn added_to(&self, file: Option<&str>) -> String {
        match file {
            None => self.lines(OWN_FILE),
            Some(text) if text.is_empty() || text.ends_with('\n') => {
                format!("{text}{}", self.lines(""))
            }
            Some(text) => format!("{text}\n{}", self.lines(NO_NEWLINE)),
        }
    }
}

/// A block that stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub block: Block,
    at: Range<usize>,
    words: String,
}

/// The block of this service, if the file has one.
pub fn find(name: &str, text: &str) -> Result<Option<Found>, String> {
    let begin = begin(name);
    let Some(start) = line_at(text, &begin) else {
        return Ok(None);
    };
    let rest = text.get(start..).unwrap_or_default();
    let length = rest.find(&end(name)).map(|at| at + end(name).len());
    let length =
        length.ok_or_else(|| format!("\"{begin}\" has no end: remove the lines by hand"))?;
    let lines = rest.get(..length).unwrap_or_default();
    let (first, body) = lines.split_once('\n').unwrap_or((lines, ""));
    let value = |variable: &str| {
        let opening = format!("{variable}=\"");
        let line = body.lines().find_map(|line| line.strip_prefix(&opening))?;
        line.strip_suffix('"').map(str::to_string)
    };
    Ok(Some(Found {
        block: Block {
            name: name.to_string(),
            link: value(&format!("{name}_program")).unwrap_or_default(),
            forgets_user: body.contains(FORGETS_USER),
            sets_procname: value("procname").is_some(),
            clears_interpreter: value("command_interpreter").is_some(),
            pidfile: value("pidfile"),
        },
        at: start..start + length,
        words: first.strip_prefix(&begin).unwrap_or_default().to_string(),
    }))
}

fn line_at(text: &str, begin: &str) -> Option<usize> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with(begin) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

impl Found {
    /// Whether the lines are those that this version would write.
    pub fn is_current(&self, text: &str) -> bool {
        text.get(self.at.clone()) == Some(self.block.lines(&self.words).as_str())
    }

    /// The same file with the lines of this version.
    pub fn renewed(&self, text: &str) -> String {
        let (before, after) = self.around(text);
        format!("{before}{}{after}", self.block.lines(&self.words))
    }

    /// The file as it was; `None`: it wasn't there. What was written to it meanwhile stays.
    pub fn removed_from(&self, text: &str) -> Option<String> {
        let (before, after) = self.around(text);
        let before = match self.words == NO_NEWLINE && after.is_empty() {
            true => before.strip_suffix('\n').unwrap_or(before),
            false => before,
        };
        let left = format!("{before}{after}");
        (self.words != OWN_FILE || !left.is_empty()).then_some(left)
    }

    fn around<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        let part = |range: Option<&'a str>| range.unwrap_or_default();
        (
            part(text.get(..self.at.start)),
            part(text.get(self.at.end..)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        Block {
            name: "web".to_string(),
            link: "/l/web".to_string(),
            forgets_user: false,
            sets_procname: true,
            clears_interpreter: false,
            pidfile: Some("/var/run/web.pid".to_string()),
        }
    }

    #[test]
    fn what_was_put_in_is_taken_out_and_nothing_else() {
        for before in [
            None,
            Some(""),
            Some("a=1\n"),
            Some("a=1"),
            Some("\n\n"),
            Some("a\nb=2"),
        ] {
            let with = block().added_to(before);
            let found = find("web", &with).unwrap().unwrap();
            assert_eq!(found.block, block());
            assert!(found.is_current(&with));
            assert_eq!(found.removed_from(&with).as_deref(), before, "{before:?}");
            let block = Block {
                forgets_user: true,
                ..block()
            };
            let with = block.added_to(before);
            let found = find("web", &with).unwrap().unwrap();
            assert!(found.is_current(&with) && !with.contains("web_user"));
            assert_eq!(
                (&found.block, found.removed_from(&with).as_deref()),
                (&block, before)
            );
        }
    }

    #[test]
    fn what_was_written_meanwhile_stays() {
        for (before, expected) in [
            (None, "b=2\n"),
            (Some("a"), "a\nb=2\n"),
            (Some("a\n"), "a\nb=2\n"),
        ] {
            let with = block().added_to(before) + "b=2\n";
            let found = find("web", &with).unwrap().unwrap();
            assert_eq!(found.removed_from(&with).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_its_own_marks_count() {
        let other = Block {
            name: "web2".to_string(),
            ..block()
        };
        let text = other.added_to(Some("echo '# jailrunctl wrap web: begin'\n"));
        assert_eq!(find("web", &text), Ok(None));
        let why = "\"# jailrunctl wrap web: begin\" has no end: remove the lines by hand";
        let cut = "# jailrunctl wrap web: begin own-file\nweb_program=\"/l/web\"\n";
        assert_eq!(find("web", cut), Err(why.to_string()));
    }

    #[test]
    fn lines_of_another_version_or_hand_are_renewed_in_their_place() {
        let with = block().added_to(Some("a=1\n")) + "b=2\n";
        let edited = with.replace("web_user=\"root\"\n", "");
        let found = find("web", &edited).unwrap().unwrap();
        assert!(!found.is_current(&edited));
        assert_eq!(found.renewed(&edited), with);
    }
}
