//! What others can make of the directories that a service may write: users of the host, who can reach what it
//! leaves there, and root's own programs, which it can mislead. Pure.

use super::{Granted, Host};
use crate::profile::{Profile, Writable};

impl Host {
    /// Writable directories that every user of the host can enter, or could: what the service leaves there,
    /// he can use. One that is shut by its mode alone is open as soon as its owner wants, and root alone is
    /// an owner who doesn't.
    pub fn enterable_writables<'a>(
        &'a self,
        profile: &'a Profile,
    ) -> impl Iterator<Item = (&'a Writable, &'a Granted)> {
        self.writables(profile)
            .filter(|(_, granted)| granted.is_enterable)
    }

    /// Writable directories in which the service can make and take away names, by the profile's paths.
    /// There it can exchange a file for a link to another one, which a program of root's then opens, gives
    /// away or renames in its place.
    pub fn linkable_writables<'a>(&'a self, profile: &'a Profile) -> Vec<&'a str> {
        let is_linkable = |writable: &Writable, granted: &Granted| {
            let stat = &granted.stat;
            let is_of_group = self.gid == stat.gid || self.groups.contains(&stat.gid);
            stat.uid == self.uid
                || stat.mode & 0o002 != 0
                || stat.mode & 0o020 != 0 && is_of_group
                // What an ACL says isn't looked at where anybody may write.
                || writable.untrusted
        };
        self.writables(profile)
            .filter(|(writable, granted)| is_linkable(writable, granted))
            .map(|(writable, _)| writable.path.as_str())
            .collect()
    }

    fn writables<'a>(
        &'a self,
        profile: &'a Profile,
    ) -> impl Iterator<Item = (&'a Writable, &'a Granted)> {
        let all = profile.root.rw.iter();
        all.filter_map(|writable| Some((writable, self.sources.get(&writable.path)?)))
    }
}
