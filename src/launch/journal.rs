//! The journal of an instance: what a launch intends, written before the first effect, and what it
//! did. It is there for whoever comes after a supervisor that was killed. Text, a record a line; it
//! is read as root, so every line is checked and the last one may be cut anywhere.
//!
//! No fsync: it has to outlive the process, not the kernel. A reboot removes every mount and jail.

use crate::kernel::{Errno, Failure, Fd, Filesystem, Fsid, Kernel, Nmount};
use crate::plan::Step;

/// The format that this version writes, and the only one it reads.
const HEADING: &str = "jailrun journal 1";
/// No journal of ours is longer; a launch has a line or two for each of 256 mounts.
pub const MOST: usize = 1 << 20;

/// What an instance is, for its journal and for `jailrunctl list`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// kern.boot_id.
    pub boot: String,
    pub profile: String,
    pub label: String,
    pub is_one_off: bool,
    pub caller: u32,
    /// The supervisor's.
    pub pid: i32,
    /// Seconds since the epoch.
    pub started: u64,
}

/// A mount that was intended, and its fsid once it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    pub kind: String,
    pub target: String,
    pub fsid: Option<Fsid>,
}

/// What the service is doing, as far as its supervisor wrote it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Starting,
    /// Since when, in seconds since the epoch.
    Running {
        pid: i32,
        jid: i32,
        since: u64,
    },
    /// Waits for its next start.
    Waiting,
    Stopping,
    /// Ended too often; the supervisor has ended too.
    GaveUp,
}

/// A journal as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    pub head: Head,
    pub mounts: Vec<Mounted>,
    /// The inode of each mounted file and directory of the host, by its path there.
    pub holds: Vec<(u64, String)>,
    /// Writable host directories, and whether they may be shared.
    pub writes: Vec<(String, bool)>,
    pub addresses: Vec<String>,
    pub pidfile: Option<String>,
    /// Sockets on the host.
    pub sockets: Vec<String>,
    /// The service's uid, and its gids, its own first.
    pub user: Option<(u32, Vec<u32>)>,
    pub state: State,
    pub restarts: u32,
    /// Every intent is there: a journal that was cut before says nothing of what is missing.
    has_begun: bool,
}

/// An open journal. Records wait in `pending` until a moment when they must be on the file.
#[derive(Debug)]
pub struct Journal {
    fd: Fd,
    head: Head,
    pending: String,
}

impl Journal {
    pub fn new(fd: Fd, head: Head) -> Journal {
        Journal {
            fd,
            head,
            pending: String::new(),
        }
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Begins again, for one launch: all that was before has been undone. Every mount of the plan is
    /// on the file before the first of them is made.
    pub fn begin<K: Kernel>(
        &mut self,
        kernel: &mut K,
        restarts: u32,
        steps: &[Step],
        more: &[String],
    ) -> Result<(), Failure> {
        self.pending.clear();
        let head = &self.head;
        let kind = if head.is_one_off {
            "one-off"
        } else {
            "service"
        };
        let mut text = format!(
            "{HEADING}\nboot {}\ninstance {} {} {kind} {} {} {} {restarts}\n",
            escape(&head.boot),
            escape(&head.label),
            escape(&head.profile),
            head.caller,
            head.pid,
            head.started
        );
        for step in steps {
            if let Step::Mount { mount, .. } = step {
                text.push_str(&format!(
                    "intend mount {} {}\n",
                    mount.filesystem.name(),
                    escape(&mount.target)
                ));
            }
            if let Step::Mount {
                mount,
                source: Some(source),
            } = step
                && let Filesystem::Nullfs { source: path, .. } = &mount.filesystem
            {
                text.push_str(&format!("holds {} {}\n", source.inode, escape(path)));
            }
        }
        for line in more {
            text.push_str(line);
            text.push('\n');
        }
        // All of it is there, or nobody knows what is missing.
        text.push_str("begun\n");
        kernel.ftruncate(self.fd, 0)?;
        self.write(kernel, &text)
    }

    /// A mount was made. Written with the next record that can't wait: until then its intent stands
    /// for it, by path and type.
    pub fn mounted(&mut self, mount: &Nmount, fsid: Fsid) {
        self.pending.push_str(&format!(
            "done mount {} {} {}\n",
            fsid.0,
            fsid.1,
            escape(&mount.target)
        ));
    }

    pub fn state<K: Kernel>(&mut self, kernel: &mut K, state: &State) -> Result<(), Failure> {
        let line = match state {
            State::Starting => "state starting\n".to_string(),
            State::Running { pid, jid, since } => format!("state running {pid} {jid} {since}\n"),
            State::Waiting => "state waiting\n".to_string(),
            State::Stopping => "state stopping\n".to_string(),
            State::GaveUp => "state gave-up\n".to_string(),
        };
        self.pending.push_str(&line);
        self.flush(kernel)
    }

    pub fn flush<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.pending);
        self.write(kernel, &text)
    }

    fn write<K: Kernel>(&self, kernel: &mut K, text: &str) -> Result<(), Failure> {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            match kernel.write(self.fd, rest)? {
                0 => return Err(Failure::new("write", Errno::ENOSPC)),
                count => rest = rest.get(count..).unwrap_or_default(),
            }
        }
        Ok(())
    }
}

/// Records that a launch adds to `begin`.
pub fn writes_record(path: &str, is_shared: bool) -> String {
    let word = if is_shared { "shared" } else { "alone" };
    format!("writes {word} {}", escape(path))
}

pub fn address_record(address: &str) -> String {
    format!("address {}", escape(address))
}

pub fn pidfile_record(path: &str) -> String {
    format!("pidfile {}", escape(path))
}

pub fn socket_record(path: &str) -> String {
    format!("socket {}", escape(path))
}

pub fn user_record(uid: u32, gid: u32, groups: &[u32]) -> String {
    let mut record = format!("user {uid} {gid}");
    for group in groups.iter().filter(|group| **group != gid) {
        record.push_str(&format!(" {group}"));
    }
    record
}

/// Why a journal can't be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its beginning wasn't written, or not whole.
    Empty,
    /// Another format, or not a journal at all.
    Foreign,
}

/// Reads a journal. A last line without its end was cut when its writer died, and counts for nothing;
/// any other line that makes no sense makes the whole foreign.
pub fn parse(bytes: &[u8]) -> Result<Story, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Foreign)?;
    let whole = match text.rfind('\n') {
        Some(end) => &text[..end],
        None if HEADING.starts_with(text) => return Err(Unreadable::Empty),
        None => return Err(Unreadable::Foreign),
    };
    let mut lines = whole.split('\n');
    if lines.next() != Some(HEADING) {
        return Err(Unreadable::Foreign);
    }
    let mut story = Story::default();
    for line in lines {
        let words: Vec<String> = line.split(' ').filter_map(unescape).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        record(&mut story, &words).ok_or(Unreadable::Foreign)?;
    }
    match story.has_begun {
        true => Ok(story),
        false => Err(Unreadable::Empty),
    }
}

fn record(story: &mut Story, words: &[&str]) -> Option<()> {
    match words {
        ["begun"] => {
            let is_whole = !story.head.boot.is_empty() && !story.head.label.is_empty();
            story.has_begun = is_whole.then_some(true)?;
        }
        ["boot", id] => story.head.boot = (*id).to_string(),
        [
            "instance",
            label,
            profile,
            kind,
            caller,
            pid,
            started,
            restarts,
        ] => {
            story.head.label = (*label).to_string();
            story.head.profile = (*profile).to_string();
            story.head.is_one_off = match *kind {
                "one-off" => true,
                "service" => false,
                _ => return None,
            };
            story.head.caller = caller.parse().ok()?;
            story.head.pid = pid.parse().ok()?;
            story.head.started = started.parse().ok()?;
            story.restarts = restarts.parse().ok()?;
        }
        ["intend", "mount", kind, target] => story.mounts.push(Mounted {
            kind: (*kind).to_string(),
            target: (*target).to_string(),
            fsid: None,
        }),
        ["done", "mount", first, second, target] => {
            let fsid = Fsid(first.parse().ok()?, second.parse().ok()?);
            let open = |mount: &&mut Mounted| mount.target == *target && mount.fsid.is_none();
            story.mounts.iter_mut().find(open)?.fsid = Some(fsid);
        }
        ["writes", word @ ("shared" | "alone"), path] => {
            story.writes.push(((*path).to_string(), *word == "shared"));
        }
        ["holds", inode, path] => {
            story.holds.push((inode.parse().ok()?, (*path).to_string()));
        }
        ["address", address] => story.addresses.push((*address).to_string()),
        ["user", uid, gids @ ..] if !gids.is_empty() => {
            let gids: Option<Vec<u32>> = gids.iter().map(|gid| gid.parse().ok()).collect();
            story.user = Some((uid.parse().ok()?, gids?));
        }
        ["socket", path] => story.sockets.push((*path).to_string()),
        ["pidfile", path] => story.pidfile = Some((*path).to_string()),
        ["state", state @ ..] => {
            story.state = match state {
                ["starting"] => State::Starting,
                ["running", pid, jid, since] => State::Running {
                    pid: pid.parse().ok()?,
                    jid: jid.parse().ok()?,
                    since: since.parse().ok()?,
                },
                ["waiting"] => State::Waiting,
                ["stopping"] => State::Stopping,
                ["gave-up"] => State::GaveUp,
                _ => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

/// Percent signs for what would end a word or a line. An empty word is "%".
fn escape(word: &str) -> String {
    if word.is_empty() {
        return "%".to_string();
    }
    word.chars()
        .map(|letter| match letter {
            '%' | ' ' | '\u{7f}' => format!("%{:02x}", u32::from(letter)),
            _ if letter.is_ascii_control() => format!("%{:02x}", u32::from(letter)),
            _ => letter.to_string(),
        })
        .collect()
}

/// `None` for a word that `escape` doesn't make.
fn unescape(word: &str) -> Option<String> {
    if word == "%" {
        return Some(String::new());
    }
    let mut plain = String::new();
    let mut parts = word.split('%');
    plain.push_str(parts.next()?);
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        let code = u8::from_str_radix(code, 16).ok().filter(u8::is_ascii)?;
        plain.push(char::from(code));
        plain.push_str(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "jailrun journal 1\nboot abc\ninstance www-x www service 0 123 1800000000 2\n\
        intend mount tmpfs /var/run/jailrun/www-x/root\nintend mount nullfs /var/run/jailrun/www-x/root/a%20b\nholds 12 /a%20b\n\
        user 80 80 5\nwrites alone /var/db/x\naddress lo0-127.0.0.80\nsocket /var/run/x.sock\npidfile /var/run/www.pid\nbegun\n\
        done mount -5 77 /var/run/jailrun/www-x/root\nstate running 124 9 1800000001\n";

    #[test]
    fn what_was_written_is_what_is_read() {
        let story = parse(WHOLE.as_bytes()).unwrap();
        assert_eq!(story.head.label, "www-x");
        assert_eq!((story.head.pid, story.restarts), (123, 2));
        assert_eq!(story.mounts[0].fsid, Some(Fsid(-5, 77)));
        assert_eq!(story.mounts[1].target, "/var/run/jailrun/www-x/root/a b");
        assert_eq!(story.mounts[1].fsid, None);
        assert_eq!(story.holds, [(12, "/a b".to_string())]);
        assert_eq!(story.user, Some((80, vec![80, 5])));
        assert_eq!(story.writes, [("/var/db/x".to_string(), false)]);
        assert_eq!(story.sockets, ["/var/run/x.sock"]);
        assert_eq!(story.pidfile.as_deref(), Some("/var/run/www.pid"));
        assert!(matches!(
            story.state,
            State::Running {
                pid: 124,
                jid: 9,
                ..
            }
        ));
    }

    #[test]
    fn a_journal_cut_at_any_byte_is_empty_or_says_less_but_nothing_else() {
        let whole = parse(WHOLE.as_bytes()).unwrap();
        for end in 0..WHOLE.len() {
            match parse(&WHOLE.as_bytes()[..end]) {
                Err(Unreadable::Empty) => assert!(end <= WHOLE.find("begun").unwrap() + 5),
                Err(Unreadable::Foreign) => panic!("cut at {end}"),
                Ok(story) => {
                    assert_eq!(story.head, whole.head);
                    assert_eq!(story.mounts.len(), whole.mounts.len());
                    for (cut, mount) in story.mounts.iter().zip(&whole.mounts) {
                        assert_eq!(cut.target, mount.target);
                        assert!(cut.fsid.is_none() || cut.fsid == mount.fsid);
                    }
                }
            }
        }
    }

    #[test]
    fn another_format_and_nonsense_are_foreign() {
        for text in [
            "jailrun journal 2\nboot a\n",
            "jailrun journal 1\nboot a\nintend dance x\n",
            "jailrun journal 1\nboot a%2\n",
            "jailrun journal 1\ndone mount 1 2 /never/intended\n",
            "hello",
            "\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Unreadable::Foreign), "{text:?}");
        }
        assert_eq!(parse(b"\xff\n"), Err(Unreadable::Foreign));
        assert_eq!(parse(b""), Err(Unreadable::Empty));
    }

    #[test]
    fn every_word_comes_back_from_its_escape() {
        for word in ["", "a", "a b", "100%", "new\nline", "\t", "ü", "%"] {
            let escaped = escape(word);
            assert!(!escaped.contains(' ') && !escaped.contains('\n'));
            assert_eq!(unescape(&escaped).as_deref(), Some(word));
        }
    }
}
