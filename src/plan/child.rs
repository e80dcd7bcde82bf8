//! What the child does between fork and exec. Pure.

use super::Host;
use super::capability::Capability;
use super::socket::{self, Socket};
use super::tree::Tree;
use crate::error::Error;
use crate::kernel::{Fd, Limit, Procctl, Rlimit, UNLIMITED};
use crate::login_conf::LoginClass;
use crate::permit::Permit;
use crate::profile::{Mode, Profile};

/// What holds where neither the profile nor its login class says anything. The class is init(8)'s own.
const UMASK: u32 = 0o022;
const LOGIN_CLASS: &str = "default";

/// The number of the first socket (SD_LISTEN_FDS_START of sd_listen_fds(3)).
pub const FIRST: i32 = 3;

/// What the child does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Execute,
    /// Waits for the end of its standard input: nothing of the service runs. For `jailrunctl attest`.
    Hold,
}

/// What the child does between fork and exec.
#[derive(Clone, Debug)]
pub struct ChildPlan {
    pub then: Then,
    pub program: String,
    /// The first is the name that the program is called by.
    pub arguments: Vec<String>,
    pub environment: Vec<String>,
    pub user: String,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
    pub chdir: String,
    pub nice: Option<i32>,
    pub fib: Option<i32>,
    /// For setloginclass(2); "default" where the profile has none.
    pub login_class: String,
    pub limits: Vec<(Limit, Rlimit)>,
    pub procctl: Vec<Procctl>,
    /// How many sockets it gets, as descriptors 3, 4, ...
    pub sockets: usize,
    /// Those of them that have a path and listen, with their backlogs.
    pub local_listeners: Vec<(Fd, u32)>,
    /// `None`: it doesn't run in capability mode.
    pub capability: Option<Capability>,
}

fn local_listeners(sockets: &[Socket]) -> Vec<(Fd, u32)> {
    let numbered = (FIRST..).map(Fd).zip(sockets);
    numbered
        .filter(|(_, socket)| socket.kind.is_unix() && socket.kind.listens())
        .map(|(fd, socket)| (fd, socket.backlog))
        .collect()
}

/// The program, its arguments and environment, and what it is confined by.
pub fn plan(
    permit: &Permit,
    host: &Host,
    tree: &Tree,
    sockets: &[Socket],
) -> Result<ChildPlan, Error> {
    let profile = permit.profile();
    let (program, arguments) = program(permit)?;
    let control = &profile.proccontrol;
    let procctl = [
        (control.no_new_privs, Procctl::NoNewPrivs),
        (control.aslr, Procctl::Aslr),
        (control.protmax, Procctl::Protmax),
        (control.no_wxmap, Procctl::NoWxMap),
        (control.no_trace, Procctl::NoTrace),
    ];
    let arguments: Vec<String> = std::iter::once(program.clone()).chain(arguments).collect();
    let names: Vec<String> = sockets.iter().map(|socket| socket.name.clone()).collect();
    let class = host.login_class.as_ref();
    let limits = limits(profile, class);
    let capability = host.capable.as_ref().map(|capable| {
        Capability::of(
            capable,
            tree,
            &arguments,
            &names,
            openfiles(profile, host, &limits),
        )
    });
    if profile.capsicum.mode == Mode::Enforce && capability.is_none() {
        let words = "nobody has worked out how the program runs in capability mode";
        return Err(Error::Profile(words.to_string()));
    }
    let umask = profile.umask.or(class.and_then(|class| class.umask));
    Ok(ChildPlan {
        then: Then::Execute,
        arguments,
        program,
        environment: environment(permit, host, sockets, capability.as_ref()),
        sockets: sockets.len(),
        local_listeners: local_listeners(sockets),
        capability,
        user: host.user.clone(),
        uid: host.uid,
        gid: host.gid,
        groups: host.groups.clone(),
        umask: umask.unwrap_or(UMASK),
        chdir: profile.chdir.clone(),
        nice: profile.nice.or(class.and_then(|class| class.nice)),
        fib: profile.fib,
        login_class: class.map_or(LOGIN_CLASS, |class| &class.name).to_string(),
        limits,
        procctl: procctl
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, control)| *control)
            .collect(),
    })
}

/// What is executed, and its arguments, of which it is none.
fn program(permit: &Permit) -> Result<(String, Vec<String>), Error> {
    let profile = permit.profile();
    let (program, arguments) = match (permit.command(), &profile.program) {
        (Some([program, rest @ ..]), _) => (program.clone(), rest.to_vec()),
        (_, Some(program)) => (program.clone(), profile.args.clone()),
        _ => {
            return Err(Error::Profile(
                "the profile has no program: give a command".to_string(),
            ));
        }
    };
    if !program.starts_with('/') {
        return Err(Error::relative(&program));
    }
    Ok((program, arguments))
}

/// What a limit is that nobody speaks of.
pub fn unspoken(limit: Limit) -> u64 {
    match limit {
        Limit::Coredumpsize => 0,
        _ => UNLIMITED,
    }
}

/// The class's, but where the profile has its own.
fn limits(profile: &Profile, class: Option<&LoginClass>) -> Vec<(Limit, Rlimit)> {
    let mut limits: Vec<(Limit, Rlimit)> = Vec::new();
    for known in class.iter().flat_map(|class| &class.limits) {
        let hard = known.hard.unwrap_or(unspoken(known.limit));
        // As setrlimit(2) does it for root.
        let soft = known.soft.unwrap_or(unspoken(known.limit)).min(hard);
        limits.push((known.limit, Rlimit { soft, hard }));
    }
    for (limit, value) in &profile.limits {
        limits.retain(|(known, _)| known != limit);
        limits.push((*limit, Rlimit::both(*value)));
    }
    limits
}

/// What numbers of descriptors have to be below.
fn openfiles(profile: &Profile, host: &Host, limits: &[(Limit, Rlimit)]) -> u64 {
    // rctl(8) counts the size of each process's table, which a single high number makes large (do_dup in
    // sys/kern/kern_descrip.c): they stay as low as they can.
    let mut rules = profile.rctl.rules.iter().filter(|_| host.rctl);
    if rules.any(|(resource, _)| resource == "openfiles") {
        return 0;
    }
    limits
        .iter()
        .find(|(limit, _)| *limit == Limit::Openfiles)
        .map_or(UNLIMITED, |(_, amount)| amount.soft)
}

/// The profile's, then what tells of descriptors: names of the latter are no profile's to give.
fn environment(
    permit: &Permit,
    host: &Host,
    sockets: &[Socket],
    capability: Option<&Capability>,
) -> Vec<String> {
    let profile = permit.profile();
    let own = host.environment.iter();
    let mut all: Vec<String> = own.map(|(name, value)| format!("{name}={value}")).collect();
    all.extend(socket::variables(sockets, FIRST));
    let taken = socket::taken(&profile.listen).filter(|_| permit.is_beside());
    let is_told = !sockets.is_empty() || taken.is_some();
    all.extend(taken);
    match (capability, profile.capsicum.mode) {
        (Some(capability), _) => {
            all.extend(capability.environment.iter().cloned());
            all.push(format!("JAILRUN_CWD={}", profile.chdir));
            if profile.capsicum.kill_children {
                all.push("JAILRUN_KILL_CHILDREN=1".to_string());
            }
        }
        (None, Mode::Off | Mode::Report) if is_told => {
            all.extend(host.shim.iter().map(|shim| format!("LD_PRELOAD={shim}")));
        }
        (None, _) => {}
    }
    all
}
