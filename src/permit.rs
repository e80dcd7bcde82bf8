//! Decides whether a caller may run a profile, and nothing else.
//! Pure: everything a decision rests on is in the arguments.

use crate::error::Error;
use crate::profile::Profile;

/// Who called, recorded before any id was changed.
#[derive(Clone, Debug)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// "" for a uid without an account.
    pub name: String,
}

impl Caller {
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// What is asked for, beside the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub instance: Option<String>,
    /// Replaces `program` and `args`.
    pub command: Option<Vec<String>>,
    pub detach: bool,
    /// Through a link of libexec/jailrun, by an rc.d script.
    pub by_link: bool,
}

/// A profile that this caller may run, with this command. Only [`authorize`] makes one.
///
/// ```compile_fail
/// use jailrun::permit::{Permit, Wish};
/// fn skip(profile: jailrun::profile::Profile, caller: jailrun::permit::Caller) -> Permit {
///     Permit { profile, caller, wish: Wish::default() }
/// }
/// ```
pub struct Permit {
    profile: Profile,
    caller: Caller,
    wish: Wish,
}

impl Permit {
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Whether it is root who asks.
    pub fn is_roots(&self) -> bool {
        self.caller.is_root()
    }

    /// What replaces `program` and `args`.
    pub fn command(&self) -> Option<&[String]> {
        self.wish.command.as_deref()
    }

    pub fn instance(&self) -> Option<&str> {
        self.wish.instance.as_deref()
    }

    pub fn detaches(&self) -> bool {
        self.wish.detach
    }

    /// An rc.d script started it, and waits for what it is told.
    pub fn is_linked(&self) -> bool {
        self.wish.by_link
    }

    /// A command of an rc.d script while its service runs, `nginx -t`.
    pub fn is_beside(&self) -> bool {
        self.is_linked() && self.is_one_off()
    }

    /// Not the service itself: no lock of its name, no pidfile, no restart.
    pub fn is_one_off(&self) -> bool {
        self.wish.command.is_some()
    }
}

/// Root may run everything. Others are named in `[access]`, give a command only with `any_command`,
/// an instance only out of `instances`, and never detach. `group_gids`: the gid of each of
/// `access.groups`, where the host has such a group.
pub fn authorize(
    profile: Profile,
    caller: Caller,
    wish: Wish,
    group_gids: &[u32],
) -> Result<Permit, Error> {
    if !caller.is_root() {
        let access = &profile.access;
        let is_named = access.users.iter().any(|user| match user.parse::<u32>() {
            // A number is a uid, whatever an account may be called.
            Ok(uid) => uid == caller.uid,
            Err(_) => !caller.name.is_empty() && *user == caller.name,
        }) || group_gids.iter().any(|gid| caller.is_in(*gid));
        let command_allowed = wish.command.is_none() || access.any_command;
        let instance_allowed = wish
            .instance
            .as_ref()
            .is_none_or(|wanted| access.instances.contains(wanted));
        if !(is_named && command_allowed && instance_allowed) || wish.detach {
            return Err(Error::Refused("not permitted".to_string()));
        }
    }
    Ok(Permit {
        profile,
        caller,
        wish,
    })
}
