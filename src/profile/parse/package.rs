//! What `root_writes` allows: the one case in which root inside writes directories of the host. Pure.
//! A script of a package's is trusted as the package is, whose files root installs with whatever mode it
//! says. What is kept from it is what such scripts reach by accident: other packages' and the system's
//! files, and the network.

use super::super::diagnostic::quoted;
use super::super::schema::Key;
use super::super::{Network, Package, Profile, values};
use super::typed::Percent;
use super::{Reader, Value};
use std::collections::BTreeMap;

/// Where packages have directories of their own, below each of these by a name of theirs.
pub const PLACES: [&str; 8] = [
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
#[rustfmt::skip]
const SHARED: [&str; 101] = [
    "aclocal", "appdata", "applications", "at", "audit", "bash-completion", "bash_completion.d", "certs",
    "cgi-bin", "clientmqueue", "cmake", "color", "cron", "cron.d", "dbus-1", "devd", "devfs.rules.d",
    "dict", "dma", "doc", "emacs", "entropy", "etcupdate", "examples", "fish", "fonts", "freebsd-update",
    "games", "gdb", "gettext", "gir-1.0", "glib-2.0", "gtk-doc", "help", "hyperv", "icons", "info",
    "init.d", "ipf", "jailrun", "java", "ldconfig", "ldconfig32", "letsencrypt", "libmap.d", "libtool",
    "licenses", "locale", "lock", "logrotate.d", "lpd", "lua", "mail", "man", "man.d", "mergemaster",
    "metainfo", "mime", "misc", "mqueue", "munin", "newsyslog.conf.d", "nls", "ntp", "nvim", "opielocks",
    "output", "OpenCL", "p11-kit", "pam.d", "periodic", "perl5", "php", "pixmaps", "pkg", "pkgconfig",
    "polkit-1", "ports", "portsnap", "pot", "profile.d", "rc.conf.d", "rc.d", "sgml", "site-lisp", "skel",
    "sounds", "ssl", "sudoers.d", "syslog.d", "themes", "vala", "vim", "vulkan", "wayland-sessions",
    "X11", "xdg", "xml", "xsessions", "zfsd", "zsh",
];

impl Reader<'_> {
    /// The name is put in when all files are read: a profile that includes one for any package names its own.
    pub(super) fn assign_package(&mut self, key: &'static Key, value: &Value<'_>) {
        if let Some(text) = self.text(key.name, value, Percent::Plain) {
            self.package = Some((text, self.place(value)));
        }
    }

    pub(super) fn check_package(&mut self) {
        let Some((text, place)) = self.package.take() else {
            return;
        };
        let named = match (text.as_str(), self.instance) {
            ("", _) => return,
            (text, None) if text.contains("%i") => Err("%i needs an instance (NAME@X)".to_owned()),
            (text, instance) => values::package(&text.replace("%i", instance.unwrap_or_default())),
        };
        match named {
            Err(message) => self.error_at(&place, message),
            Ok(_) if !self.profile.root.root_writes => {
                self.error_at(&place, "package needs root_writes = true".to_owned());
            }
            Ok(name) => {
                let left_out = BTreeMap::new();
                self.profile.root.package = Some(Package { name, left_out });
            }
        }
    }

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
pub fn is_a_packages(path: &str) -> bool {
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
            "/usr/local/share/doc/web",
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
