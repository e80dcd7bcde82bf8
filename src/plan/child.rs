//! What the child does between fork and exec. Pure.

use super::{ChildPlan, Host, Then};
use crate::error::Error;
use crate::kernel::Procctl;
use crate::permit::Permit;

/// The program, its arguments and environment, and what it is confined by.
pub fn plan(permit: &Permit, host: &Host) -> Result<ChildPlan, Error> {
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
    Ok(ChildPlan {
        then: Then::Execute,
        arguments: std::iter::once(program.clone()).chain(arguments).collect(),
        program,
        environment: host
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
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
