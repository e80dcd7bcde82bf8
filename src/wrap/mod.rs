//! Sends the daemon of an unmodified rc.d script through jailrun, and back again: a link in
//! libexec/jailrun that `NAME_program` names, in rc.conf.d/NAME. What can't work is refused before
//! anything is written; what was written is read back by rc.subr(8) itself, and undone if it doesn't do.
//!
//! For jailrunctl(8) alone, which has no more power than whoever runs it.

pub mod block;
pub mod judge;
pub mod probe;
mod store;

use crate::link::{below, place};
use crate::profile::Profile;
use block::Block;
use judge::{Judged, judge, tells_the_same};
use probe::{Facts, probe};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Conf, Store};

/// Where things are on this host.
#[derive(Clone, Debug)]
pub struct Places {
    pub prefix: String,
    pub rc_subr: PathBuf,
    /// Where service(8) looks for scripts.
    pub scripts: Vec<PathBuf>,
    /// How long a script may take to tell what it would start.
    pub patience: Duration,
}

impl Places {
    /// Below / and a prefix.
    pub fn of(prefix: &str) -> Places {
        let mut scripts = vec![PathBuf::from("/etc/rc.d")];
        scripts.push(PathBuf::from("/usr/local/etc/rc.d"));
        let own = Path::new(prefix).join("etc/rc.d");
        if !scripts.contains(&own) {
            scripts.push(own);
        }
        Places {
            prefix: prefix.to_string(),
            rc_subr: PathBuf::from("/etc/rc.subr"),
            scripts,
            patience: probe::PATIENCE,
        }
    }

    fn facts(&self, script: &Path) -> Result<Facts, Refusal> {
        probe(&self.rc_subr, script, self.patience).map_err(Refusal::System)
    }

    fn store(&self) -> Store {
        let prefix = Path::new(&self.prefix);
        Store {
            links: PathBuf::from(place(&self.prefix)),
            conf: prefix.join("etc/rc.conf.d"),
            program: prefix.join("bin/jailrun"),
        }
    }

    fn script(&self, service: &str) -> Result<PathBuf, Refusal> {
        let is_plain = !service.starts_with('.') && !service.contains('/') && !service.is_empty();
        let mut places = self.scripts.iter().map(|place| place.join(service));
        let found = places.find(|script| is_plain && script.is_file());
        found.ok_or_else(|| Refusal::Usage("no such rc.d script".to_string()))
    }
}

/// Why nothing was done, or all was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Usage(String),
    /// The script or the profile doesn't do.
    Unfit(String),
    /// It runs.
    Busy(String),
    System(String),
}

impl Refusal {
    pub fn status(&self) -> i32 {
        match self {
            Refusal::Usage(_) => 64,
            Refusal::System(_) => 71,
            Refusal::Busy(_) => 75,
            Refusal::Unfit(_) => 78,
        }
    }

    pub fn words(&self) -> &str {
        match self {
            Refusal::Usage(words)
            | Refusal::Unfit(words)
            | Refusal::Busy(words)
            | Refusal::System(words) => words,
        }
    }
}

/// What wrapping a service means, and whether it had to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapping {
    pub script: PathBuf,
    pub link: PathBuf,
    pub file: PathBuf,
    /// The file as it is, or would be.
    pub text: String,
    pub notes: Vec<String>,
    /// Something was written, or would be.
    pub changes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Write,
    DryRun,
}

/// Whose start goes through which profile. `profile` is read for the instance that `link_name` names.
pub struct Wanted<'a> {
    pub service: &'a str,
    pub profile_name: &'a str,
    pub profile: &'a Profile,
}

/// The link's name: the profile's, and the service's where that is another one.
pub fn link_name(profile: &str, service: &str) -> String {
    match profile == service {
        true => profile.to_string(),
        false => format!("{profile}@{service}"),
    }
}

/// rc.subr(8)'s name of a service, which needn't be the name of its script.
pub fn name_of(places: &Places, service: &str) -> Result<String, Refusal> {
    let script = places.script(service)?;
    let facts = places.facts(&script)?;
    match facts.get("name") {
        "" => Ok(service.to_string()),
        name => Ok(name.to_string()),
    }
}

pub fn wrap(places: &Places, wanted: &Wanted<'_>, mode: Mode) -> Result<Wrapping, Refusal> {
    let store = places.store();
    let script = places.script(wanted.service)?;
    let held = match mode {
        Mode::Write => Some(store.lock().map_err(Refusal::System)?),
        Mode::DryRun => None,
    };
    let outcome = wrap_held(places, &store, script, wanted, mode);
    if let (Err(_), Some(held)) = (&outcome, &held) {
        // What was made, the lock's own directory with it.
        store.tidy(held).map_err(Refusal::System)?;
    }
    outcome
}

fn wrap_held(
    places: &Places,
    store: &Store,
    script: PathBuf,
    wanted: &Wanted<'_>,
    mode: Mode,
) -> Result<Wrapping, Refusal> {
    let facts = places.facts(&script)?;
    let conf = store.conf(facts.get("name")).map_err(Refusal::System)?;
    let link_of = |name: &str, is_daemon: bool| {
        let directory = match is_daemon {
            true => store.links.join("daemon"),
            false => store.links.clone(),
        };
        directory.join(link_name(wanted.profile_name, name))
    };
    let (link, text, notes) = match (&conf.found, &conf.text) {
        (Some(found), Some(text)) => {
            let old = Path::new(&found.block.link);
            let is_daemon = old
                .parent()
                .is_some_and(|parent| parent.ends_with("daemon"));
            let link = link_of(facts.get("name"), is_daemon);
            if link != old {
                return Err(Refusal::Busy(format!(
                    "is wrapped by {}: jailrunctl unwrap {} first",
                    old.display(),
                    wanted.service
                )));
            }
            (link, found.renewed(text), Vec::new())
        }
        _ => {
            let judged = fit(&facts, &script, wanted)?;
            let link = link_of(&judged.name, judged.is_daemon);
            let block = block_of(&judged, &link);
            (link, block.added_to(conf.text.as_deref()), judged.notes)
        }
    };
    let is_there = conf.text.as_ref() == Some(&text) && store.is_linked(&link);
    let wrapping = Wrapping {
        script,
        link,
        file: conf.path.clone(),
        text,
        notes,
        changes: !is_there,
    };
    if !is_there && mode == Mode::Write {
        write(places, store, &conf, &wrapping, &facts, wanted)?;
    }
    Ok(wrapping)
}

fn block_of(judged: &Judged, link: &Path) -> Block {
    Block {
        name: judged.name.clone(),
        link: link.display().to_string(),
        forgets_user: judged.forgets_user,
        sets_procname: judged.sets_procname,
        clears_interpreter: judged.clears_interpreter,
        pidfile: judged.pidfile.clone(),
    }
}

fn fit(facts: &Facts, script: &Path, wanted: &Wanted<'_>) -> Result<Judged, Refusal> {
    let text = std::fs::read_to_string(script)
        .map_err(|error| Refusal::System(format!("{}: {error}", script.display())))?;
    let judged = judge(facts, &text, wanted.profile_name, wanted.profile);
    let judged = judged.map_err(Refusal::Unfit)?;
    match facts.pids() {
        "" => Ok(judged),
        // rc.subr(8) would look for a supervisor, and find nothing to stop.
        pids => Err(Refusal::Busy(format!(
            "runs without jailrun (pid {pids}): service {} stop first",
            wanted.service
        ))),
    }
}

/// Link first: the lines never name one that isn't there.
fn write(
    places: &Places,
    store: &Store,
    conf: &Conf,
    wrapping: &Wrapping,
    before: &Facts,
    wanted: &Wanted<'_>,
) -> Result<(), Refusal> {
    let written = store
        .link(&wrapping.link)
        .and_then(|()| store.write(&wrapping.file, Some(&wrapping.text)));
    let outcome = written
        .map_err(Refusal::System)
        .and_then(|()| read_back(places, wrapping, before, wanted));
    if outcome.is_err() {
        let undone = store
            .write(&conf.path, conf.text.as_deref())
            .and_then(|()| match conf.found {
                None => store.unlink(&wrapping.link),
                Some(_) => Ok(()),
            });
        undone.map_err(Refusal::System)?;
    }
    outcome
}

/// Whether rc.subr(8) will really start the link, look for it, and use neither su(1) nor a service jail.
fn read_back(
    places: &Places,
    wrapping: &Wrapping,
    before: &Facts,
    wanted: &Wanted<'_>,
) -> Result<(), Refusal> {
    let after = places.facts(&wrapping.script)?;
    let link = wrapping.link.display().to_string();
    let sought = match after.get("procname") {
        "" => after.get("NAME_program"),
        procname => procname,
    };
    let block = block::find(before.get("name"), &wrapping.text).map_err(Refusal::System)?;
    let block = block.map(|found| found.block);
    let forgets_user = block.as_ref().is_some_and(|block| block.forgets_user);
    let pidfile = block.and_then(|block| block.pidfile);
    let user = after.get("NAME_user");
    let is_daemon = below(&link, &place(&places.prefix)).is_some_and(|(_, is_daemon)| is_daemon);
    let objection = if after.get("NAME_program") != link {
        format!(
            "rc.subr(8) doesn't read {}, or something after it says otherwise",
            wrapping.file.display()
        )
    } else if sought != link || after.is_set("command_interpreter") {
        "the script names its process after it has read its settings".to_string()
    } else if user != "root" && !(forgets_user && user.is_empty()) {
        format!("the script sets its user to {user:?} whatever is set")
    } else if !matches!(after.get("NAME_svcj"), "NO" | "no" | "No") {
        "the script wants a service jail whatever is set".to_string()
    } else if pidfile
        .as_deref()
        .is_some_and(|own| after.get("pidfile") != own)
    {
        let path = after.get("pidfile");
        format!(
            "the script names its pidfile after it has read its settings: the profile has to say \
             pidfile = \"{path}\", where that is in a directory of root's"
        )
    } else if !is_daemon
        && let Err(words) = tells_the_same(before, &after, wanted.profile_name, wanted.profile)
    {
        words
    } else if pidfile.is_none() && after.get("pidfile") != before.get("pidfile")
        || after.calls() != 1
    {
        "the script does something else now".to_string()
    } else {
        return Ok(());
    };
    Err(Refusal::Unfit(objection))
}

/// What taking a service back did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrapped {
    pub name: String,
    /// The supervisors of a service that still runs.
    pub pids: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Refuse,
    /// It goes on, and whoever asked is told.
    Leave,
}

/// `None`: it wasn't wrapped. The script may have gone with its package.
pub fn unwrap(
    places: &Places,
    service: &str,
    running: Running,
) -> Result<Option<Unwrapped>, Refusal> {
    let store = places.store();
    let facts = match places.script(service) {
        Ok(script) => places.facts(&script)?,
        Err(_) => Facts::default(),
    };
    let name = match facts.get("name") {
        "" => service.to_string(),
        name => name.to_string(),
    };
    if !store.links.is_dir() {
        return Ok(None);
    }
    let held = store.lock().map_err(Refusal::System)?;
    let conf = store.conf(&name).map_err(Refusal::System)?;
    let (Some(found), Some(text)) = (&conf.found, &conf.text) else {
        return Ok(None);
    };
    let pids = facts.pids().to_string();
    if !pids.is_empty() && running == Running::Refuse {
        return Err(Refusal::Busy(format!(
            "is running (pid {pids}): service {service} stop first"
        )));
    }
    // The lines first, as they may not name what isn't there.
    let left = found.removed_from(text);
    store
        .write(&conf.path, left.as_deref())
        .and_then(|()| store.unlink(Path::new(&found.block.link)))
        .and_then(|()| store.tidy(&held))
        .map_err(Refusal::System)?;
    Ok(Some(Unwrapped { name, pids }))
}

/// Services that are wrapped, by rc.subr(8)'s names.
pub fn wrapped(places: &Places) -> Result<Vec<String>, Refusal> {
    places.store().wrapped().map_err(Refusal::System)
}

/// The link and the profile of a wrapped service.
pub fn profile_of(places: &Places, name: &str) -> Option<String> {
    let store = places.store();
    let found = store.conf(name).ok()?.found?;
    let (link, _) = below(&found.block.link, &place(&places.prefix))?;
    Some(link.split('@').next().unwrap_or(link).to_string())
}
