//! The road: request, trusted file, profile, permit, plan, launch. Reading this function is reading the
//! program.

use crate::error::Error;
use crate::host;
use crate::kernel::{Fd, FileKind, Ids, Kernel, Limit, Severity};
use crate::launch::{self, Ended};
use crate::permit::{Caller, authorize};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::profile::parse::{Source, includes};
use crate::profile::values::is_name;
use crate::trust;
use std::collections::{BTreeMap, BTreeSet};

/// Where profiles are looked for: the administrator's, then packages'.
pub const PROFILES: [&str; 2] = [
    "/usr/local/etc/jailrun/profiles",
    "/usr/local/share/jailrun/profiles",
];

/// A profile's file is not larger than this.
const MOST: usize = 64 << 10;

/// What was asked for on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub profile: String,
    pub instance: Option<String>,
    pub command: Option<Vec<String>>,
}

impl Request {
    /// `PROFILE[@INSTANCE] [COMMAND [ARG ...]]`. Options of jailrun come before the profile.
    pub fn parse(words: &[String]) -> Result<Request, Error> {
        let (first, rest) = words.split_first().ok_or_else(|| {
            Error::Usage("usage: jailrun PROFILE[@INSTANCE] [COMMAND [ARG ...]]".to_string())
        })?;
        if first.starts_with('-') {
            return Err(Error::Usage(format!(
                "unknown option {first:?}; see jailrun --help"
            )));
        }
        let (profile, instance) = match first.split_once('@') {
            Some((profile, instance)) => (profile, Some(instance.to_string())),
            None => (first.as_str(), None),
        };
        if !is_name(profile) || !instance.as_deref().is_none_or(is_name) {
            return Err(Error::Usage(
                "a name has 1 to 32 of A-Z a-z 0-9 _ -, and is no number".to_string(),
            ));
        }
        let command = (!rest.is_empty()).then(|| rest.to_vec());
        Ok(Request {
            profile: profile.to_string(),
            instance,
            command,
        })
    }
}

/// Takes a request to the end of its service, and tells syslog. Standard error is told by the caller.
pub fn run<K: Kernel>(
    kernel: &mut K,
    request: &Request,
    environment: &BTreeMap<String, String>,
) -> Result<Ended, Error> {
    let uid = kernel.getresuid().map_or(u32::MAX, |ids| ids.real);
    let outcome = go(kernel, request, environment);
    audit(kernel, request, uid, &outcome);
    outcome
}

fn go<K: Kernel>(
    kernel: &mut K,
    request: &Request,
    environment: &BTreeMap<String, String>,
) -> Result<Ended, Error> {
    let caller = take_root(kernel)?;
    let profile = read(kernel, request)?;
    let kept = kept(&profile, environment);
    let permit = authorize(
        profile,
        &caller,
        request.instance.as_deref(),
        request.command.clone(),
    )?;
    // A command of the caller's is an instance of its own, whose name is a number: no other has one.
    let one_off = request
        .command
        .is_some()
        .then(|| kernel.getpid().0.to_string());
    let instance = one_off.as_deref().or(request.instance.as_deref());
    launch::prepare_state(kernel)?;
    let host = host::survey(kernel, &permit, kept)?;
    let plan = Plan::new(&permit, &request.profile, instance, &host)?;
    launch::launch(kernel, &plan)
}

/// Records the caller, then becomes root in every respect: while the real uid is the caller's, the
/// caller may send us SIGKILL at a moment of his choice.
fn take_root<K: Kernel>(kernel: &mut K) -> Result<Caller, Error> {
    let step = |failure| Error::step("start as root", failure);
    let uids = kernel.getresuid().map_err(step)?;
    if uids.real != 0 {
        return Err(Error::Refused(
            "only root may run profiles in this version".to_string(),
        ));
    }
    kernel.closefrom(3);
    kernel.setresgid(Ids::all(0)).map_err(step)?;
    kernel.setresuid(Ids::all(0)).map_err(step)?;
    kernel.umask(0o022);
    kernel.chdir("/").map_err(step)?;
    kernel.clear_timers().map_err(step)?;
    kernel.block_signals().map_err(step)?;
    kernel.setrlimit(Limit::Coredumpsize, 0).map_err(step)?;
    if kernel.sysctl_int("security.jail.jailed").map_err(step)? != 0 {
        return Err(Error::Unavailable(
            "jailrun can't run inside a jail".to_string(),
        ));
    }
    let release = kernel.sysctl_int("kern.osreldate").map_err(step)?;
    if release < 1_500_000 {
        return Err(Error::Unavailable(
            "jailrun needs FreeBSD 15.0 or later: older kernels have no owning jail descriptors"
                .to_string(),
        ));
    }
    for (number, name) in ["input", "output", "error"].iter().enumerate() {
        let fd = Fd(i32::try_from(number).unwrap_or(0));
        let stat = kernel.fstat(fd).map_err(step)?;
        if stat.kind == FileKind::Directory {
            return Err(Error::Usage(format!("standard {name} is a directory")));
        }
        if kernel.isatty(fd) {
            return Err(Error::Usage(format!(
                "standard {name} is a terminal, which is not supported yet: redirect it"
            )));
        }
    }
    let name = kernel
        .getpwuid(uids.real)
        .map_err(step)?
        .map_or_else(String::new, |user| user.name);
    Ok(Caller {
        uid: uids.real,
        name,
        groups: Vec::new(),
    })
}

fn read<K: Kernel>(kernel: &mut K, request: &Request) -> Result<Profile, Error> {
    let main = source(kernel, &request.profile)?;
    let mut included = Vec::new();
    let mut seen = BTreeSet::new();
    let mut wanted = includes(&main);
    while let Some(name) = wanted.pop() {
        if !is_name(&name) || !seen.insert(name.clone()) {
            continue;
        }
        let file = source(kernel, &name)?;
        wanted.extend(includes(&file));
        included.push((name, file));
    }
    Profile::from_sources(&main, &included, request.instance.as_deref())
        .map_err(|diagnostics| Error::Profile(diagnostics.to_string()))
}

/// A broken file of the administrator's never falls back to a package's: only an absent one does.
fn source<K: Kernel>(kernel: &mut K, name: &str) -> Result<Source, Error> {
    for directory in PROFILES {
        let path = format!("{directory}/{name}.toml");
        match trust::read(kernel, &path, MOST) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes)
                    .map_err(|_| Error::Profile(format!("{path} is not UTF-8")))?;
                return Ok(Source { name: path, text });
            }
            Err(distrust) if distrust.is_absent() => {}
            Err(distrust) => return Err(Error::Profile(distrust.to_string())),
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

/// One line for each launch, refusal and end. Words of the caller are quoted, escaped, and cut.
fn audit<K: Kernel>(kernel: &mut K, request: &Request, uid: u32, outcome: &Result<Ended, Error>) {
    let (severity, what) = match outcome {
        Ok(ended) => (Severity::Info, format!("outcome={:?}", ended.ending)),
        Err(error) => (
            Severity::Warning,
            format!("outcome=failed reason={:?}", cut(&error.to_string())),
        ),
    };
    let command = request
        .command
        .as_deref()
        .map_or_else(String::new, |words| words.join(" "));
    let line = format!(
        "profile={} instance={} uid={uid} command={:?} {what}",
        request.profile,
        request.instance.as_deref().unwrap_or("-"),
        cut(&command),
    );
    if let Err(failure) = kernel.syslog(severity, &line) {
        kernel.complain(&format!("jailrun: syslog: {failure}"));
    }
}

fn cut(words: &str) -> String {
    words.chars().take(256).collect()
}
