//! What others can make of the directories that a service may write: users of the host, who can reach what it
//! leaves there, and root's own programs, which it can mislead. Pure.

use super::{Granted, Host};
use crate::kernel::Stat;
use crate::profile::{Profile, Writable};

impl Host {
    /// Writable directories that every user of the host can enter, or could: what the service leaves there,
    /// he can use. One that is shut by its mode alone is open as soon as its owner wants, and root alone is
    /// an owner who doesn't. What is below has no part in it: nobody comes there but through these.
    pub fn enterable_writables<'a>(
        &'a self,
        profile: &'a Profile,
    ) -> impl Iterator<Item = (&'a Writable, &'a Granted)> {
        self.writables(profile)
            .filter(|(_, granted)| granted.is_enterable)
    }

    /// Writable directories in which the service can make and take away names, by the profile's paths.
    /// There it can exchange a file for a link to another one, which a program of root's then opens, gives
    /// away or renames in its place. What lies below directories of root's is for `check` to look through.
    pub fn linkable_writables<'a>(&'a self, profile: &'a Profile) -> Vec<&'a str> {
        self.writables(profile)
            // What an ACL says isn't looked at where anybody may write.
            .filter(|(writable, granted)| writable.untrusted || self.can_exchange(&granted.stat))
            .map(|(writable, _)| writable.path.as_str())
            .collect()
    }

    /// Whether the service can make and take away names in a directory, as far as its owner and mode say.
    pub fn can_exchange(&self, stat: &Stat) -> bool {
        let is_of_group = self.gid == stat.gid || self.groups.contains(&stat.gid);
        stat.uid == self.uid || stat.mode & 0o002 != 0 || stat.mode & 0o020 != 0 && is_of_group
    }

    fn writables<'a>(
        &'a self,
        profile: &'a Profile,
    ) -> impl Iterator<Item = (&'a Writable, &'a Granted)> {
        let all = profile.root.rw.iter();
        all.filter_map(|writable| Some((writable, self.sources.get(&writable.path)?)))
    }
}
