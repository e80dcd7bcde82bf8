//! Link mode: called through a link of PREFIX/libexec/jailrun, the name of the link says which profile and
//! instance, and all arguments are the service's. That is how an rc.d script that knows nothing of us
//! starts its daemon. A link in `daemon/` stands for daemon(8): its arguments are that program's, and the
//! service's come after them.
//!
//! Only for root: an `argv[0]` is the caller's to choose, and so are the arguments.

use crate::error::Error;
use crate::kernel::{Errno, Kernel};
use crate::launch::{instance, lock};
use crate::permit::{Caller, Wish};
use crate::plan;
use crate::profile::Profile;
use crate::profile::values::is_name;
use crate::request::{self, Asked, Request};
use crate::run::PREFIX;
use std::ffi::OsString;

/// What a link said that was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub arguments: Vec<String>,
    /// The arguments begin with daemon(8)'s.
    pub is_daemon: bool,
}

/// Where the links are.
pub fn place(prefix: &str) -> String {
    format!("{prefix}/libexec/jailrun")
}

/// The command line with its `argv[0]`, in link mode or not.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Asked {
    let mut words = words.into_iter();
    let own = words.next().unwrap_or_default();
    match own.to_str().and_then(|own| below(own, &place(PREFIX))) {
        Some((name, is_daemon)) => called(name, is_daemon, words),
        None => request::parse(words),
    }
}

/// The link's name, and whether it stands for daemon(8); `None` for what isn't in the place of links.
pub fn below<'a>(path: &'a str, place: &str) -> Option<(&'a str, bool)> {
    let name = path.strip_prefix(place)?.strip_prefix('/')?;
    Some(match name.strip_prefix("daemon/") {
        Some(name) => (name, true),
        None => (name, false),
    })
}

fn called(name: &str, is_daemon: bool, words: impl Iterator<Item = OsString>) -> Asked {
    let (profile, service) = match name.split_once('@') {
        Some((profile, service)) => (profile, Some(service)),
        None => (name, None),
    };
    if !is_name(profile) || !service.is_none_or(is_name) {
        return Asked::Wrong(format!(
            "{name:?}: a link is called PROFILE@SERVICE or PROFILE"
        ));
    }
    let arguments: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    let Ok(arguments) = arguments else {
        return Asked::Wrong("an argument is not UTF-8".to_string());
    };
    Asked::Run(Request {
        profile: profile.to_string(),
        instance: service.map(str::to_string),
        link: Some(Link {
            arguments,
            is_daemon,
        }),
        ..Request::default()
    })
}

/// Before anything is read for him.
pub fn may_use(caller: &Caller) -> Result<(), Error> {
    match caller.is_root() {
        true => Ok(()),
        false => Err(Error::Refused(
            "links of libexec/jailrun are for root".to_string(),
        )),
    }
}

/// The service's own start in the background, or, where its instance runs already, a command beside it:
/// `nginx -t` while nginx serves.
pub fn wish<K: Kernel>(
    kernel: &mut K,
    request: &Request,
    link: &Link,
    profile: &mut Profile,
) -> Result<Wish, Error> {
    let program = profile
        .program
        .clone()
        .ok_or_else(|| Error::Profile("the profile has no program for the service".to_string()))?;
    let arguments = match link.is_daemon {
        true => of_daemon(&link.arguments, &program)?,
        false => link.arguments.clone(),
    };
    let label = plan::label(&request.profile, request.instance.as_deref(), None);
    let journal = format!("{}/journal", instance::directory(&label));
    let runs = match lock::is_held(kernel, &journal) {
        Ok(is_held) => is_held,
        Err(failure) if failure.errno == Errno::ENOENT => false,
        Err(failure) => return Err(Error::step("see whether the instance runs", failure)),
    };
    // Its journal may be lost (rc.d/cleanvar), and then its jail says that it runs.
    let step = |failure| Error::step("see whether the instance runs", failure);
    let runs = runs
        || kernel
            .jail_find(&plan::jail_name(&label))
            .map_err(step)?
            .is_some();
    let command = runs.then(|| {
        let program = std::iter::once(program);
        program.chain(arguments.iter().cloned()).collect()
    });
    if !runs {
        profile.args = arguments;
    }
    Ok(Wish {
        instance: request.instance.clone(),
        command,
        detach: !runs,
        by_link: true,
    })
}

/// The service's arguments after daemon(8)'s, where its program is the profile's.
fn of_daemon(words: &[String], program: &str) -> Result<Vec<String>, Error> {
    let daemon = Daemon::parse(words).map_err(Error::Usage)?;
    match daemon.command.split_first() {
        Some((named, rest)) if named == program => Ok(rest.to_vec()),
        Some((named, _)) => Err(Error::Profile(format!(
            "daemon(8) is told to run {named}, and the profile's program is {program}"
        ))),
        None => Err(Error::Usage("daemon(8) is told no program".to_string())),
    }
}

/// What daemon(8) was told that matters here. Its restarts, its output and its user are the profile's to
/// say, and `jailrunctl wrap` says where the two differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemon {
    /// -p and -P.
    pub pidfiles: Vec<String>,
    pub user: Option<String>,
    /// -r and -R.
    pub restarts: bool,
    pub command: Vec<String>,
}

/// Of usr.sbin/daemon/daemon.c, as getopt(3) reads them: those that take nothing, and those that do.
const FLAGS: &str = "cfHSr";
const VALUED: &str = "pPuoMsltmRTC";
const LONG: [(&str, char); 17] = [
    ("change-dir", 'c'),
    ("close-fds", 'f'),
    ("sighup", 'H'),
    ("syslog", 'S'),
    ("output-file", 'o'),
    ("output-mask", 'm'),
    ("output-file-mode", 'M'),
    ("child-pidfile", 'p'),
    ("supervisor-pidfile", 'P'),
    ("restart", 'r'),
    ("restart-count", 'C'),
    ("restart-delay", 'R'),
    ("title", 't'),
    ("user", 'u'),
    ("syslog-priority", 's'),
    ("syslog-facility", 'l'),
    ("syslog-tag", 'T'),
];

impl Daemon {
    /// `words` without the name of daemon(8) itself.
    pub fn parse(words: &[String]) -> Result<Daemon, String> {
        let mut daemon = Daemon::default();
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if word == "--" {
                daemon.command = rest.cloned().collect();
                break;
            }
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_string())),
                    None => (long, None),
                };
                let found = LONG.iter().find(|(known, _)| *known == name);
                let (_, letter) = found.ok_or_else(|| unknown(word))?;
                let value = match value {
                    None if VALUED.contains(*letter) => Some(next(&mut rest, word)?),
                    other => other,
                };
                daemon.take(*letter, value);
            } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
                daemon.take_letters(letters, word, &mut rest)?;
            } else {
                daemon.command = std::iter::once(word).chain(rest).cloned().collect();
                break;
            }
        }
        Ok(daemon)
    }

    /// -fcp FILE, and -pFILE.
    fn take_letters<'a>(
        &mut self,
        letters: &str,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        for (place, letter) in letters.char_indices() {
            if FLAGS.contains(letter) {
                self.take(letter, None);
            } else if VALUED.contains(letter) {
                let attached = letters.get(place + letter.len_utf8()..).unwrap_or_default();
                let value = match attached.is_empty() {
                    true => next(rest, word)?,
                    false => attached.to_string(),
                };
                self.take(letter, Some(value));
                return Ok(());
            } else {
                return Err(unknown(word));
            }
        }
        Ok(())
    }

    fn take(&mut self, letter: char, value: Option<String>) {
        match (letter, value) {
            ('p' | 'P', Some(path)) => self.pidfiles.push(path),
            ('u', Some(user)) => self.user = Some(user),
            ('r' | 'R', _) => self.restarts = true,
            _ => {}
        }
    }
}

fn next<'a>(rest: &mut impl Iterator<Item = &'a String>, word: &str) -> Result<String, String> {
    let value = rest.next().cloned();
    value.ok_or_else(|| format!("daemon(8)'s {word} needs a value"))
}

fn unknown(word: &str) -> String {
    format!("{word} is no option of daemon(8) that jailrun knows")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_string).collect()
    }

    #[test]
    fn a_link_names_profile_and_instance_and_all_arguments_are_the_services() {
        let line = format!("{}/web@nginx -t --help -d", place(PREFIX));
        let Asked::Run(request) = parse(words(&line).into_iter().map(OsString::from)) else {
            panic!("no request")
        };
        assert_eq!(
            (request.profile.as_str(), request.instance.as_deref()),
            ("web", Some("nginx"))
        );
        let link = request.link.unwrap();
        assert_eq!(link.arguments, ["-t", "--help", "-d"]);
        assert!(!link.is_daemon && !request.detach);
    }

    #[test]
    fn what_is_called_otherwise_is_no_link() {
        for own in [
            "jailrun",
            "/usr/local/bin/jailrun",
            "./web",
            "/x/libexec/jailrun/web",
            "",
        ] {
            let line = [own, "www"].map(OsString::from);
            let Asked::Run(request) = parse(line) else {
                panic!("{own}")
            };
            assert_eq!(
                (request.profile.as_str(), request.link),
                ("www", None),
                "{own}"
            );
        }
    }

    #[test]
    fn a_link_with_another_name_is_refused() {
        for name in [
            "",
            "..",
            "a/b",
            "daemon/",
            "daemon/a/b",
            "a@",
            "@b",
            "a@b@c",
            "12",
            "a b",
        ] {
            let own = format!("{}/{name}", place(PREFIX));
            let Asked::Wrong(why) = parse([OsString::from(own)]) else {
                panic!("{name}")
            };
            assert!(why.contains("a link is called"), "{name}: {why}");
        }
    }

    #[test]
    fn daemon_is_read_as_getopt_reads_it() {
        let told = |line: &str| Daemon::parse(&words(line)).unwrap();
        let daemon = told("-fcr -p /var/run/a.pid -u www -- /bin/a -x -u root");
        assert_eq!(daemon.pidfiles, ["/var/run/a.pid"]);
        assert_eq!(
            (daemon.user.as_deref(), daemon.restarts),
            (Some("www"), true)
        );
        assert_eq!(daemon.command, ["/bin/a", "-x", "-u", "root"]);
        let daemon = told("-P/p -T tag -R5 -uwww -o /var/log/a /bin/a -p b");
        assert_eq!(daemon.pidfiles, ["/p"]);
        assert_eq!(daemon.command, ["/bin/a", "-p", "b"]);
        assert!(daemon.restarts);
        let daemon = told("--restart --child-pidfile=/c --supervisor-pidfile /s --user=u /bin/a");
        assert_eq!(daemon.pidfiles, ["/c", "/s"]);
        assert_eq!(
            (daemon.user.as_deref(), daemon.command.len()),
            (Some("u"), 1)
        );
        for (line, why) in [
            (
                "-x /bin/a",
                "-x is no option of daemon(8) that jailrun knows",
            ),
            (
                "--bogus /bin/a",
                "--bogus is no option of daemon(8) that jailrun knows",
            ),
            ("-p", "daemon(8)'s -p needs a value"),
            ("--user", "daemon(8)'s --user needs a value"),
        ] {
            assert_eq!(Daemon::parse(&words(line)).unwrap_err(), why);
        }
    }
}
