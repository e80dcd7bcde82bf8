//! What a profile may say, and does something else than one would think. Each was seen on a kernel. One that
//! a profile which is as it should be has as well begins with when there is nothing to do.

use super::plan::Prepared;
use crate::profile::{Listen, Mode, Network, Profile};
use crate::run::{is_administrators, profile_places};
use std::net::IpAddr;

/// Of the profile alone.
pub fn of(profile: &Profile) -> Vec<String> {
    let mut notes = Vec::new();
    for (resource, _) in &profile.rctl.rules {
        notes.extend(of_resource(resource).map(|what| format!("rctl {resource} {what}")));
    }
    for writable in profile.root.rw.iter().filter(|writable| writable.untrusted) {
        notes.push(format!(
            "{}: others than the service may write it: whoever reaches a socket in it can hand the \
             service descriptors of the host",
            writable.path
        ));
        if !writable.noexec {
            notes.push(format!(
                "{}: what others put there can be executed inside: noexec = true forbids it",
                writable.path
            ));
        }
    }
    for (family, network) in [("ip4", &profile.jail.ip4), ("ip6", &profile.jail.ip6)] {
        notes.extend(of_network(family, network));
    }
    notes.extend(of_capability_mode(profile));
    let everybodys = |listen: &&Listen| listen.kind.is_unix() && listen.mode & 0o002 != 0;
    for listen in profile.listen.iter().filter(everybodys) {
        notes.push(format!(
            "{}: everybody on the host may connect (mode {:04o}), and whoever does can hand the service \
             directories of the host, where it then acts as {} outside of the jail: mode = \"0660\" in a \
             directory whose group may connect, or \"0600\"",
            listen.address, listen.mode, profile.user
        ));
    }
    if profile.proccontrol.trace_is_open() {
        notes.push(
            "trace = \"enable\": processes of the same user inside can read each other".to_string(),
        );
    }
    notes
}

fn of_capability_mode(profile: &Profile) -> Vec<String> {
    let mut notes = Vec::new();
    if profile.capsicum.mode == Mode::Report {
        notes.push(
            "mode = \"report\": capability mode confines nothing yet; what it would refuse is told by \
             jailrunctl check --capsicum"
                .to_string(),
        );
        let against = profile.against_enforcing().into_iter();
        notes.extend(against.map(|why| format!("mode = \"enforce\" would be refused: {why}")));
    }
    if profile.capsicum.mode != Mode::Enforce {
        return notes;
    }
    notes.push(
        "mode = \"enforce\": nothing to do, unless the service has to connect to an address or to look a name \
         up: it can't"
            .to_string(),
    );
    if !profile.capsicum.preopen {
        notes.push(
            "mode = \"enforce\" without preopen: nothing to do for a filter: files are opened only by the \
             descriptors that JAILRUN_DIRS names, and further programs by none"
                .to_string(),
        );
    }
    notes
}

/// Limits that the kernel takes and doesn't hold as their names say.
fn of_resource(resource: &str) -> Option<&'static str> {
    match resource {
        "memoryuse" => Some("isn't enforced when memory is touched; vmemoryuse is, at once"),
        "cputime" => Some("is looked at once a second: then every process inside is killed"),
        "wallclock" => Some(
            "is the age of all processes together, not of the service: two reach it twice as fast",
        ),
        "readbps" | "readiops" => Some(
            "makes processes sleep after they have read; what the host has cached isn't counted",
        ),
        "writebps" | "writeiops" => Some("makes processes sleep after they have written"),
        "pcpu" => Some("is a mean over seconds: a spinner gets more at first"),
        _ => None,
    }
}

/// The kernel rewrites the loopback address, where the jail hasn't got it, to the jail's first address.
fn of_network(family: &str, network: &Network) -> Option<String> {
    let Network::Addresses(addresses) = network else {
        return None;
    };
    let loopback: IpAddr = match family {
        "ip4" => [127, 0, 0, 1].into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    let first = addresses.first()?.address;
    let has_it = addresses.iter().any(|known| known.address == loopback);
    // Where the first address is of the loopback network itself, no other host reaches it either.
    (!has_it && !first.is_loopback()).then(|| {
        format!(
            "{family}: {loopback} inside is {first}: a service that listens on {loopback} only is \
             reached at {first} from elsewhere"
        )
    })
}

/// Of where the file is.
pub fn of_place(path: &str, profile: &Profile) -> Option<String> {
    let [admin, packages] = profile_places();
    let is_packages = path.starts_with(&packages) && !is_administrators(path);
    let access = &profile.access;
    let says_nothing = access.users.is_empty() && access.groups.is_empty();
    (is_packages && !says_nothing).then(|| {
        format!("[access] of a package's profile counts for nothing: copy the file to {admin}")
    })
}

/// Of the host that it was planned for.
pub fn of_host(prepared: &Prepared) -> Vec<String> {
    let (host, profile) = (&prepared.host, &prepared.profile);
    let mut notes: Vec<String> = host
        .enterable_writables(profile)
        .map(|(writable, granted)| of_enterable(&writable.path, granted.stat.mode))
        .collect();
    let linkable = host.linkable_writables(profile);
    if !linkable.is_empty() {
        notes.push(of_linkable(&linkable));
    }
    notes
}

pub fn of_linkable<S: AsRef<str>>(paths: &[S]) -> String {
    let paths: Vec<&str> = paths.iter().map(AsRef::as_ref).collect();
    format!(
        "{}: nothing to do, as long as no program of root's on the host (newsyslog, chown -R) works there by \
         name: the service can put links to any file there",
        paths.join(", ")
    )
}

fn of_enterable(path: &str, mode: u32) -> String {
    let whatever = match mode & 1 {
        0 => format!(", whatever its mode ({mode:04o}) says now"),
        _ => String::new(),
    };
    format!(
        "{path}: nothing to do where the host has no other users: a service that was taken over can leave \
         set-user-ID programs for them there{whatever}; a directory of root's above it (0750, of a group that may \
         enter) closes it, or a file system mounted nosuid"
    )
}
