//! What the kernel and its interfaces must have for a profile's addresses, CPUs and rctl rules. Found out
//! before anything is done: the kernel itself takes an address that nobody has, and lets bind(2) fail.

use crate::error::Error;
use crate::kernel::{CpusOf, Errno, Failure, Kernel};
use crate::login_conf::LoginClass;
use crate::profile::values::cpus;
use crate::profile::{Mode, Network, Profile};

/// Every address without an interface is on one already.
pub fn addresses<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<(), Error> {
    let mut known = None;
    for network in [&profile.jail.ip4, &profile.jail.ip6] {
        let Network::Addresses(addresses) = network else {
            continue;
        };
        for wanted in addresses.iter().filter(|wanted| wanted.interface.is_none()) {
            if known.is_none() {
                let found = kernel.getifaddrs();
                known = Some(found.map_err(|failure| Error::step("read the addresses", failure))?);
            }
            let is_there = known
                .iter()
                .flatten()
                .any(|alias| alias.address == wanted.address);
            if !is_there {
                return Err(Error::Profile(format!(
                    "no interface has the address {address}: name one that it is added to, \
                     as in \"lo0|{address}\"",
                    address = wanted.address
                )));
            }
        }
    }
    Ok(())
}

/// For mode = "report": a trace that has reached its limit ends alone, and doesn't take the service with it.
pub fn report<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<(), Error> {
    const SIGNAL: &str = "kern.ktrace.filesize_limit_signal";
    if profile.capsicum.mode != Mode::Report {
        return Ok(());
    }
    match kernel.sysctl_int(SIGNAL) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::Profile(format!(
            "mode = \"report\": {SIGNAL} is set, so that a full report would end the service: set it to 0"
        ))),
        Err(failure) if failure.errno == Errno::ENOENT => Err(Error::Profile(
            "mode = \"report\": this kernel has no ktrace(2) with a limit (options KTRACE)"
                .to_string(),
        )),
        Err(failure) => Err(Error::step("ask for the limit of ktrace(2)", failure)),
    }
}

/// Every parameter that the profile names and a kernel may lack is one of this kernel's. jail_set(2)
/// would say so too, when half of the launch is done.
pub fn parameters<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<(), Error> {
    for name in profile.jail.more.keys() {
        if !has_parameter(kernel, name)? {
            return Err(Error::Profile(format!(
                "this kernel has no jail parameter {name}"
            )));
        }
    }
    Ok(())
}

/// Every CPU of `cpuset`, or of the login class, is one that the kernel gives to jails.
pub fn processors<K: Kernel>(
    kernel: &mut K,
    profile: &Profile,
    class: Option<&LoginClass>,
) -> Result<(), Error> {
    let of_class = class.and_then(|class| class.cpus.as_ref());
    let Some(wanted) = profile.jail.cpuset.as_ref().or(of_class) else {
        return Ok(());
    };
    let held = kernel
        .cpuset_getaffinity(CpusOf::Host)
        .map_err(|failure| Error::step("read the host's CPUs", failure))?;
    match wanted.iter().find(|cpu| !held.contains(cpu)) {
        None => Ok(()),
        Some(missing) => Err(Error::Profile(format!(
            "cpuset: this host has no CPU {missing} for jails: it has {}",
            cpus::words(&held)
        ))),
    }
}

pub fn has_parameter<K: Kernel>(kernel: &mut K, name: &str) -> Result<bool, Error> {
    // For a string the kernel tells how long it may be, in text.
    match kernel.sysctl_text(&format!("security.jail.param.{name}")) {
        Ok(_) => Ok(true),
        Err(failure) if failure.errno == Errno::ENOENT => Ok(false),
        Err(failure) => Err(Error::step(
            format!("ask whether the kernel has the jail parameter {name}"),
            failure,
        )),
    }
}

/// Whether rules are added: true where racct(4) counts, false where it doesn't and the profile can do
/// without.
pub fn rctl<K: Kernel>(kernel: &mut K, profile: &Profile) -> Result<bool, Error> {
    if profile.rctl.rules.is_empty() {
        return Ok(false);
    }
    let is_on = match kernel.sysctl_int("kern.racct.enable") {
        Ok(value) => value != 0,
        // A kernel without racct at all.
        Err(failure) if failure.errno == Errno::ENOENT => false,
        Err(failure) => return Err(Error::step("ask whether racct is on", failure)),
    };
    if is_on || !profile.rctl.required {
        return Ok(is_on);
    }
    let text = "racct is off: set kern.racct.enable=1 in loader.conf(5) and boot, or say \
                required = false in [rctl]";
    Err(Error::step(
        "limit the jail by rctl",
        Failure {
            call: "sysctl",
            errno: Errno::ENOSYS,
            text: text.to_string(),
        },
    ))
}
