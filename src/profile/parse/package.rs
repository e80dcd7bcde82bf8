//! What `root_writes` allows: the one case in which root inside writes directories of the host. Pure.
//! A script of a package's is trusted as the package is, whose files root installs with whatever mode it
//! says. What is kept from it is what such scripts reach by accident: other packages' and the system's
//! files, and the network.

use super::super::diagnostic::quoted;
use super::super::{Network, Profile, values};
use super::Reader;

/// Where packages have directories of their own, below each of these by a name of theirs.
const PLACES: [&str; 8] = [
    "/usr/local/etc",
    "/usr/local/libdata",
    "/usr/local/share",
    "/usr/local/www",
    "/var/cache",
    "/var/db",
    "/var/log",
    "/var/spool",
];

/// Names in those that several packages, or the system, use; what is written there is run or believed by
/// others than the package.
const SHARED: [&str; 50] = [
    "applications",
    "at",
    "audit",
    "bash_completion.d",
    "bash-completion",
    "certs",
    "clientmqueue",
    "cron",
    "cron.d",
    "devd",
    "devfs.rules.d",
    "dbus-1",
    "entropy",
    "dma",
    "etcupdate",
    "fish",
    "fonts",
    "freebsd-update",
    "icons",
    "info",
    "init.d",
    "jailrun",
    "ldconfig",
    "ldconfig32",
    "libtool",
    "libmap.d",
    "licenses",
    "locale",
    "lock",
    "man",
    "mergemaster",
    "mqueue",
    "newsyslog.conf.d",
    "output",
    "pam.d",
    "periodic",
    "pkg",
    "pkgconfig",
    "pot",
    "polkit-1",
    "ports",
    "profile.d",
    "rc.conf.d",
    "rc.d",
    "ssl",
    "sudoers.d",
    "syslog.d",
    "X11",
    "xdg",
    "zsh",
];

impl Reader<'_> {
    pub(super) fn check_root_writes(&mut self) {
        let Some(place) = self.root_writes.clone() else {
            return;
        };
        if !self.profile.root.root_writes {
            return;
        }
        let mut wrong: Vec<String> = objection(&self.profile).into_iter().collect();
        for writable in &self.profile.root.rw {
            let path = &writable.path;
            if !is_a_packages(path) {
                let places = PLACES.join(", ");
                wrong.push(format!(
                    "root_writes: {} is no directory of one package's, below {places}",
                    quoted(path)
                ));
            }
            if writable.untrusted || writable.shared {
                wrong.push(format!(
                    "root_writes: {} can be neither untrusted nor shared",
                    quoted(path)
                ));
            }
        }
        for message in wrong {
            self.error_at(&place, message);
        }
    }
}

/// What a profile with this key has to be.
fn objection(profile: &Profile) -> Option<String> {
    let has_network = [&profile.jail.ip4, &profile.jail.ip6]
        .iter()
        .any(|network| **network != Network::Disable);
    let what = if !values::is_root(&profile.user) {
        "user = \"root\": it means nothing for another"
    } else if has_network || !profile.listen.is_empty() {
        "no network: ip4 and ip6 disabled, and no [[listen]]"
    } else if !profile.root.sockets.is_empty() {
        "no sockets"
    } else {
        return None;
    };
    Some(format!("root_writes needs {what}"))
}

/// A directory below a place of packages', with a name that one package has there.
fn is_a_packages(path: &str) -> bool {
    PLACES.iter().any(|place| {
        let rest = path
            .strip_prefix(place)
            .and_then(|rest| rest.strip_prefix('/'));
        let name = rest.and_then(|rest| rest.split('/').next());
        name.is_some_and(|name| !name.is_empty() && !SHARED.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::is_a_packages;

    #[test]
    fn a_packages_directory_has_its_name_below_a_place_of_packages_and_is_no_shared_one() {
        for path in [
            "/usr/local/etc/web",
            "/var/db/web/data",
            "/usr/local/share/web",
        ] {
            assert!(is_a_packages(path), "{path}");
        }
        for path in [
            "/",
            "/etc",
            "/etc/web",
            "/usr/local",
            "/usr/local/etc",
            "/usr/local/etc/",
            "/usr/local/etcetera/web",
            "/usr/local/etc/rc.d",
            "/usr/local/etc/libmap.d",
            "/usr/local/etc/polkit-1/rules.d",
            "/usr/local/libdata/ldconfig32",
            "/usr/local/share/certs",
            "/usr/local/share/fish/vendor_conf.d",
            "/usr/local/share/polkit-1/actions",
            "/usr/local/etc/jailrun/profiles",
            "/usr/local/bin/web",
            "/var/db",
            "/var/db/pkg",
            "/var/run/web",
            "/var/cron/tabs",
            "/root/web",
        ] {
            assert!(!is_a_packages(path), "{path}");
        }
    }
}
