//! The road: request, trusted file, profile, permit, and then the two processes that carry it out.
//! Reading this file is reading the program; the plan and the launch are the supervisor's part of it.

use crate::command;
use crate::error::Error;
use crate::exit::Exit;
use crate::front::copy::Pipes;
use crate::front::{self, Between, Stay};
use crate::kernel::{Kernel, Severity};
use crate::link;
use crate::package;
use crate::permit::{Caller, Permit, Wish, authorize};
use crate::profile::parse::{Source, includes};
use crate::profile::values::is_name;
use crate::profile::{Access, Profile};
use crate::record::{self, About};
use crate::request::Request;
use crate::start::{self, Started};
use crate::supervise::{self, Job};
use crate::trust;
use std::collections::{BTreeMap, BTreeSet};

/// Below it is everything that is installed. Chosen when the programs are built (JAILRUN_PREFIX), and by
/// nothing at run time.
pub const PREFIX: &str = match option_env!("JAILRUN_PREFIX") {
    Some(prefix) => prefix,
    None => "/usr/local",
};

/// Where profiles are looked for: the administrator's, then packages'.
pub fn profile_places() -> [String; 2] {
    ["etc", "share"].map(|place| format!("{PREFIX}/{place}/jailrun/profiles"))
}

/// A profile's file is not larger than this.
const MOST: usize = 64 << 10;

/// Said of every profile alike, whether there is such a one or not.
const DETACHED: &str = "not permitted: only root runs a profile in the background; leave -d out";

/// Takes a request to the end of its service, and tells everybody who has to know.
pub fn run<K: Kernel>(
    kernel: &mut K,
    request: &Request,
    environment: &BTreeMap<String, String>,
) -> Exit {
    let mut about = About {
        profile: request.profile.clone(),
        instance: request.instance.clone(),
        command: request.command.clone(),
        ..About::default()
    };
    let started = match start::take_root(kernel, request.status_fd) {
        Ok(started) => started,
        Err(error) => {
            about.complain(kernel, &error.to_string());
            return error.exit();
        }
    };
    about.uid = started.caller.uid;
    about.caller.clone_from(&started.caller.name);
    let permit = match permit(kernel, request, &started.caller) {
        Ok(permit) => permit,
        Err(error) => return refuse(kernel, &about, &started, &error, request.detach),
    };
    about.command = permit.command().map(<[String]>::to_vec);
    if let Err(error) = command::check(kernel, &permit) {
        let what = format!("outcome=failed reason={:?}", error.to_string());
        about.audit(kernel, Severity::Warning, &what);
        about.complain(kernel, &error.to_string());
        record::status_end(kernel, started.status, error.exit(), false);
        return error.exit();
    }
    let kept = kept(permit.profile(), environment);
    split(kernel, permit, about, started, kept)
}

/// What a caller who isn't root hears of a profile that he may not run is the same, whatever is wrong:
/// whether there is such a profile, and what is in it, is not for him. The log has the reason.
fn refuse<K: Kernel>(
    kernel: &mut K,
    about: &About,
    started: &Started,
    error: &Error,
    is_detached: bool,
) -> Exit {
    let told = match (started.caller.is_root(), is_detached) {
        (true, _) => None,
        (false, true) => Some(Error::Refused(DETACHED.to_string())),
        (false, false) => Some(Error::Refused("not permitted".to_string())),
    };
    if started.caller.is_root() {
        let what = format!("outcome=failed reason={:?}", error.to_string());
        about.audit(kernel, Severity::Warning, &what);
    } else {
        // The count of refusals is in the state directory, and needs nothing else of it.
        let _ = crate::launch::instance::prepare_state(kernel);
        about.refusal(kernel, &error.to_string());
    }
    let told = told.as_ref().unwrap_or(error);
    about.complain(kernel, &told.to_string());
    record::status_end(kernel, started.status, told.exit(), false);
    told.exit()
}

/// The profile, read and checked, for this caller.
pub fn permit<K: Kernel>(
    kernel: &mut K,
    request: &Request,
    caller: &Caller,
) -> Result<Permit, Error> {
    if request.link.is_some() {
        link::may_use(caller)?;
    }
    let mut profile = read(kernel, &request.profile, request.instance.as_deref())?;
    package::grant(kernel, &mut profile, caller)?;
    let mut gids = Vec::new();
    for name in profile.access.groups.iter().filter(|_| !caller.is_root()) {
        let found = match name.parse() {
            Ok(gid) => Some(gid),
            Err(_) => kernel
                .getgrnam(name)
                .map_err(|failure| Error::step(format!("look up the group {name}"), failure))?,
        };
        gids.extend(found);
    }
    let wish = match &request.link {
        Some(link) => link::wish(kernel, request, link, &mut profile)?,
        None => Wish {
            instance: request.instance.clone(),
            command: request.command.clone(),
            detach: request.detach,
            by_link: false,
        },
    };
    authorize(profile, caller.clone(), wish, &gids)
}

/// Root without a terminal is served by the process that he started: it is the supervisor, as rc(8) at boot
/// and cron(8) want it. Everybody else gets a front, and the supervisor is its child. That is so for root on
/// a terminal too: no process can lead the session of the pseudo-terminal, which the service's is, and be
/// a job of the shell's on the other. And it is so for root with a local socket, from which somebody has to
/// copy. Whoever looks into the pidfile, rc.subr(8) among others, finds the
/// supervisor in either case, and a front ends when it does.
fn split<K: Kernel>(
    kernel: &mut K,
    permit: Permit,
    about: About,
    started: Started,
    kept: BTreeMap<String, String>,
) -> Exit {
    let detaches = permit.detaches();
    let has_terminal = started.terminals.contains(&true);
    let mut job = Job {
        permit,
        about,
        kept,
        front: None,
        status: started.status,
        terminal: None,
        pipes: [None; 3],
    };
    let has_socket = started.sockets.contains(&true);
    if started.caller.is_root() && !has_terminal && !has_socket && !detaches {
        return supervise::supervise(kernel, &job);
    }
    let failed = |kernel: &mut K, about: &About, error: &Error| {
        about.complain(kernel, &error.to_string());
        record::status_end(kernel, started.status, error.exit(), false);
        error.exit()
    };
    let pty = match front::open_pty(kernel, started.terminals) {
        Ok(pty) => pty.filter(|_| !detaches),
        Err(error) => return failed(kernel, &job.about, &error),
    };
    let pipes = match Pipes::lay(kernel, started.sockets) {
        Ok(pipes) => pipes,
        Err(error) => return failed(kernel, &job.about, &error),
    };
    let (ours, theirs) = match kernel.socketpair() {
        Ok(pair) => pair,
        Err(failure) => {
            let error = Error::step("make the pipe to the supervisor", failure);
            return failed(kernel, &job.about, &error);
        }
    };
    job.front = Some(theirs);
    job.terminal = pty.map(|pty| (pty.slave, pty.which));
    job.pipes = pipes.services;
    let between = Between {
        channel: ours,
        pty,
        pipes: pipes.fronts,
    };
    let about = job.about.clone();
    let forked = kernel.fork(move |kernel| Err(supervisor(kernel, &job, between)));
    if let Err(failure) = forked {
        let error = Error::step("fork the supervisor", failure);
        return failed(kernel, &about, &error);
    }
    // What is the supervisor's alone: its ends must end with it.
    for fd in [Some(theirs), pty.map(|pty| pty.slave), started.status]
        .into_iter()
        .chain(pipes.services)
        .flatten()
    {
        let _ = kernel.close(fd);
    }
    let stay = match detaches {
        true => Stay::UntilReady,
        false => Stay::ToTheEnd,
    };
    front::front(kernel, &started.caller, between, stay)
}

/// In the child of the fork: a session of its own, so that no signal of the caller's terminal comes.
fn supervisor<K: Kernel>(kernel: &mut K, job: &Job, fronts: Between) -> i32 {
    let Between {
        channel,
        pty,
        pipes,
    } = fronts;
    for fd in [Some(channel), pty.map(|pty| pty.master)]
        .into_iter()
        .chain(pipes)
        .flatten()
    {
        let _ = kernel.close(fd);
    }
    let begun = kernel.setsid().and_then(|()| match pty {
        Some(pty) => kernel.tiocsctty(pty.slave),
        None => Ok(()),
    });
    match begun {
        Ok(()) => supervise::supervise(kernel, job).code(),
        Err(failure) => {
            let error = Error::step("begin a session", failure);
            job.about.complain(kernel, &error.to_string());
            error.exit().code()
        }
    }
}

/// A profile by its name, with all that it includes.
pub fn read<K: Kernel>(
    kernel: &mut K,
    name: &str,
    instance: Option<&str>,
) -> Result<Profile, Error> {
    let main = source(kernel, name)?;
    let mut included = Vec::new();
    let mut seen = BTreeSet::new();
    let mut wanted = includes(&main);
    while let Some(name) = wanted.pop() {
        if !is_name(&name) || !seen.insert(name.clone()) {
            continue;
        }
        // One that is absent is told by the reader, with its place.
        match source(kernel, &name) {
            Ok(file) => {
                wanted.extend(includes(&file));
                included.push((name, file));
            }
            Err(Error::Refused(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let mut profile = Profile::from_sources(&main, &included, instance)
        .map_err(|diagnostics| Error::Profile(diagnostics.to_string()))?;
    // Who may run a profile is the administrator's to say: a package that is installed must not hand a
    // set-user-ID program to anybody.
    if !is_administrators(&main.name) {
        profile.access = Access::default();
    }
    Ok(profile)
}

/// Whether a profile's file is in the administrator's place.
pub fn is_administrators(path: &str) -> bool {
    let [admin, _] = profile_places();
    path.strip_prefix(&admin)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// A broken file of the administrator's never falls back to a package's: only an absent one does.
fn source<K: Kernel>(kernel: &mut K, name: &str) -> Result<Source, Error> {
    for directory in profile_places() {
        let path = format!("{directory}/{name}.toml");
        match trust::read(kernel, &path, MOST) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Error::Profile(format!("{path} is not UTF-8")))?;
                return Ok(Source { name: path, text });
            }
            Err(distrust) if distrust.is_absent() => {}
            Err(distrust) => {
                let remedy = distrust.remedy().map(|run| format!("; run: {run}"));
                let remedy = remedy.unwrap_or_default();
                return Err(Error::Profile(format!("{distrust}{remedy}")));
            }
        }
    }
    Err(Error::Refused("no such profile".to_string()))
}

/// Names that the profile keeps, with the caller's values, where those hold nothing but text.
fn kept(profile: &Profile, environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    environment
        .iter()
        .filter(|(name, value)| {
            profile.env_keep.contains(*name)
                && value.len() <= 256
                && !value.chars().any(char::is_control)
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
