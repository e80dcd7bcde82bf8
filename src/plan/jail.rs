//! The jail itself: every parameter that jail_set(2) is given, by its own name. Pure.

use super::{Host, Step};
use crate::error::Error;
use crate::kernel::{JAIL_SYS_DISABLE, JAIL_SYS_INHERIT, JAIL_SYS_NEW, JailParameters, JailValue};
use crate::profile::{Network, Profile};

/// The parameters of jail_set(2): everything is off that the profile doesn't list.
pub fn parameters(
    profile: &Profile,
    host: &Host,
    name: &str,
    root: &str,
) -> Result<JailParameters, Error> {
    let jail = &profile.jail;
    let flag = |name: &str| (name.to_string(), JailValue::Flag);
    let int = |name: &str, value: i32| (name.to_string(), JailValue::Int(value));
    let text = |name: &str, value: &str| (name.to_string(), JailValue::Text(value.to_string()));
    let mut parameters = vec![
        text("name", name),
        text("path", root),
        flag("persist"),
        text("host.hostname", jail.hostname.as_deref().unwrap_or(name)),
        int("enforce_statfs", jail.enforce_statfs),
        int("children.max", jail.children_max),
    ];
    for (family, network) in [("ip4", &jail.ip4), ("ip6", &jail.ip6)] {
        match network {
            Network::Disable => parameters.push(int(family, JAIL_SYS_DISABLE)),
            Network::Inherit => parameters.push(int(family, JAIL_SYS_INHERIT)),
            Network::Addresses(addresses) => {
                parameters.push(int(family, JAIL_SYS_NEW));
                let list = addresses.iter().map(|address| address.address).collect();
                parameters.push((format!("{family}.addr"), JailValue::Addresses(list)));
            }
        }
    }
    for (word, value) in ["sysvmsg", "sysvsem", "sysvshm"].iter().zip(jail.sysv) {
        parameters.push(int(word, value));
    }
    if let Some(level) = jail.securelevel {
        parameters.push(int("securelevel", level));
    }
    parameters.extend(jail.more.values().cloned());
    for word in &jail.allow {
        if !host.allow_known.contains(word) {
            return Err(Error::Profile(format!(
                "this kernel has no jail parameter allow.{word}"
            )));
        }
    }
    // suser stays on until the child has given up root: see launch.
    for word in host.allow_known.iter().filter(|word| *word != "suser") {
        if jail.allow.contains(word) {
            parameters.push(flag(&format!("allow.{word}")));
        } else {
            parameters.push(flag(&off(word)));
        }
    }
    Ok(parameters)
}

/// What happens beyond a limit of rctl(4): the kernel refuses what it can, slows down what is a rate, and
/// of what it only counts it ends whoever goes on.
fn action(resource: &str) -> &'static str {
    match resource {
        "cputime" | "wallclock" => "sigkill",
        "readbps" | "writebps" | "readiops" | "writeiops" => "throttle",
        _ => "deny",
    }
}

/// A limit each, before there is a jail of this name.
pub fn rules(profile: &Profile, host: &Host, jail: &str) -> Vec<Step> {
    let rules = profile.rctl.rules.iter().filter(|_| host.rctl);
    rules
        .map(|(resource, amount)| Step::Rctl {
            rule: format!("jail:{jail}:{resource}:{}={amount}", action(resource)),
            filter: format!("jail:{jail}:{resource}"),
        })
        .collect()
}

/// Whose a jail is, for jls(8): "jls -j NAME meta". It isn't seen from inside.
pub fn meta(host: &Host, label: &str, instance: Option<&str>) -> Option<(String, JailValue)> {
    let without = label.split_once('+').map_or(label, |(profile, _)| profile);
    let ending = instance.map(|instance| format!("-{instance}"));
    let profile = ending.and_then(|ending| without.strip_suffix(&ending));
    let words = format!(
        "instance={label}\nprofile={}\nversion={}",
        profile.unwrap_or(without),
        env!("CARGO_PKG_VERSION")
    );
    host.has_meta
        .then(|| ("meta".to_string(), JailValue::Text(words)))
}

/// The name that turns a boolean off: "no" goes after the last dot.
fn off(word: &str) -> String {
    match word.rsplit_once('.') {
        Some((node, leaf)) => format!("allow.{node}.no{leaf}"),
        None => format!("allow.no{word}"),
    }
}
