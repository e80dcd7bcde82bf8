//! What the child does between fork and exec. Pure.

use super::capability::Capability;
use super::socket::{self, Socket};
use super::tree::Tree;
use super::{ChildPlan, Host, Then};
use crate::error::Error;
use crate::kernel::{Limit, Procctl, UNLIMITED};
use crate::permit::Permit;
use crate::profile::Mode;

/// The number of the first socket (SD_LISTEN_FDS_START of sd_listen_fds(3)).
pub const FIRST: i32 = 3;

/// The program, its arguments and environment, and what it is confined by.
pub fn plan(
    permit: &Permit,
    host: &Host,
    tree: &Tree,
    sockets: &[Socket],
) -> Result<ChildPlan, Error> {
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
        return Err(Error::Usage(format!(
            "{program:?}: a command is an absolute path"
        )));
    }
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
    let capability = host
        .capable
        .as_ref()
        .map(|capable| Capability::of(capable, tree, &arguments, &names, openfiles(permit, host)));
    if profile.capsicum.mode == Mode::Enforce && capability.is_none() {
        let words = "nobody has worked out how the program runs in capability mode";
        return Err(Error::Profile(words.to_string()));
    }
    Ok(ChildPlan {
        then: Then::Execute,
        arguments,
        program,
        environment: environment(permit, host, sockets, capability.as_ref()),
        sockets: sockets.len(),
        capability,
        user: host.user.clone(),
        uid: host.uid,
        gid: host.gid,
        groups: host.groups.clone(),
        umask: profile.umask,
        chdir: profile.chdir.clone(),
        nice: profile.nice,
        fib: profile.fib,
        limits: profile.limits.clone(),
        procctl: procctl
            .iter()
            .filter(|(wanted, _)| *wanted)
            .map(|(_, control)| *control)
            .collect(),
    })
}

/// What numbers of descriptors have to be below.
fn openfiles(permit: &Permit, host: &Host) -> u64 {
    let profile = permit.profile();
    // rctl(8) counts the size of each process's table, which a single high number makes large (do_dup in
    // sys/kern/kern_descrip.c): they stay as low as they can.
    let mut rules = profile.rctl.rules.iter().filter(|_| host.rctl);
    if rules.any(|(resource, _)| resource == "openfiles") {
        return 0;
    }
    let mut limits = profile.limits.iter();
    limits
        .find(|(limit, _)| *limit == Limit::Openfiles)
        .map_or(UNLIMITED, |(_, value)| *value)
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
    match (capability, profile.capsicum.mode) {
        (Some(capability), _) => {
            all.extend(capability.environment.iter().cloned());
            all.push(format!("JAILRUN_CWD={}", profile.chdir));
            if profile.capsicum.kill_children {
                all.push("JAILRUN_KILL_CHILDREN=1".to_string());
            }
        }
        (None, Mode::Off) if !sockets.is_empty() => {
            all.extend(host.shim.iter().map(|shim| format!("LD_PRELOAD={shim}")));
        }
        (None, _) => {}
    }
    all
}
