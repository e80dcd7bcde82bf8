//! Looks the host over for a plan: accounts, sources, devices, what the kernel can. Changes nothing but
//! for the devfs ruleset, which is inert until a mount names it, and the record of a closure.

mod accounts;
pub mod cache;
pub(crate) mod capability;
mod closure;
mod contents;
pub mod db;
mod devices;
mod limits;
mod login_class;
mod sources;
mod submounts;
pub mod synthetic;
mod unmade;

use crate::error::Error;
use crate::kernel::{Errno, Kernel};
use crate::permit::Permit;
use crate::plan::Host;
use crate::trust::walk::Walker;
use accounts::Service;
pub use devices::forget_rulesets;
use std::collections::BTreeMap;

/// Boolean jail parameters of jail(8), beside those that file systems add.
const ALLOW: [&str; 19] = [
    "set_hostname",
    "reserved_ports",
    "unprivileged_proc_debug",
    "extattr",
    "suser",
    "raw_sockets",
    "chflags",
    "quotas",
    "socket_af",
    "mlock",
    "read_msgbuf",
    "nfsd",
    "adjtime",
    "settime",
    "routing",
    "setaudit",
    "unprivileged_parent_tampering",
    "vmm",
    "sysvipc",
];

/// The parameters that are on in a new jail (JAIL_DEFAULT_ALLOW) and those that only a parameter of
/// another name turns on: `sysvipc` is an alias, and its "no" would undo sysvmsg and its kin.
const NEVER_SENT: &str = "sysvipc";

/// What the host is looked over for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A devfs ruleset that isn't there yet is made, and what was worked out is kept.
    Launch,
    /// Nothing is changed: a ruleset's number is the one that it would get.
    Look,
}

pub fn survey<K: Kernel>(
    kernel: &mut K,
    permit: &Permit,
    kept: BTreeMap<String, String>,
    purpose: Purpose,
) -> Result<Host, Error> {
    let profile = permit.profile();
    limits::parameters(kernel, profile)?;
    limits::addresses(kernel, profile)?;
    limits::report(kernel, profile)?;
    let login_class = login_class::look(&mut Walker::new(kernel), profile)?;
    limits::processors(kernel, profile, login_class.as_ref())?;
    let rctl = limits::rctl(kernel, profile)?;
    let service = Service::of(kernel, profile)?;
    let owners = accounts::owners(kernel, profile)?;
    let mut environment = kept;
    environment.extend(profile.env.clone());
    let shim = capability::shim(kernel, permit)?;
    let mut walker = Walker::new(kernel);
    let closure = closure::look(&mut walker, permit, &service, purpose, shim.as_ref())?;
    let (sources, unmade) = sources::look(&mut walker, profile, &service, &owners)?;
    let submounts = submounts::look(&mut walker, profile, &sources, &service)?;
    let contents = contents::make(&mut walker, profile, &service)?;
    drop(walker);
    let capable = capability::look(kernel, permit, closure.as_ref(), shim.as_ref())?;
    unmade.told()?;
    Ok(Host {
        closure,
        capable,
        shim,
        sources,
        submounts,
        contents,
        uid: service.user.uid,
        gid: service.gid,
        groups: service.groups,
        user: service.user.name,
        owners,
        allow_known: allow_known(kernel)?,
        has_meta: limits::has_parameter(kernel, "meta")?,
        ruleset: match profile.root.devices.is_empty() {
            true => 0,
            false => devices::ruleset(kernel, &profile.root.devices, purpose)?,
        },
        environment,
        login_class,
        rctl,
    })
}

/// What isn't known to the running kernel must not be sent, and what is known must be turned off.
fn allow_known<K: Kernel>(kernel: &mut K) -> Result<Vec<String>, Error> {
    let mut known = Vec::new();
    let names = ALLOW.iter().filter(|name| **name != NEVER_SENT);
    for name in names {
        match kernel.sysctl_int(&format!("security.jail.param.allow.{name}")) {
            Ok(_) => known.push((*name).to_string()),
            Err(failure) if failure.errno == Errno::ENOENT => {}
            Err(failure) => {
                return Err(Error::step("ask for the kernel's jail parameters", failure));
            }
        }
    }
    Ok(known)
}
