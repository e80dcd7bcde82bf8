//! Decides whether a caller may run a profile, and nothing else.
//! Pure: everything a decision rests on is in the arguments.

use crate::error::Error;
use crate::profile::Profile;

/// Who called, recorded before any id was changed.
#[derive(Clone, Debug)]
pub struct Caller {
    pub uid: u32,
    pub name: String,
    pub groups: Vec<String>,
}

/// A profile that this caller may run, with this command. Only [`authorize`] makes one.
///
/// ```compile_fail
/// use jailrun::permit::Permit;
/// fn skip(profile: jailrun::profile::Profile) -> Permit { Permit { profile, command: None, is_roots: true } }
/// ```
pub struct Permit {
    profile: Profile,
    command: Option<Vec<String>>,
    is_roots: bool,
}

impl Permit {
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Whether it is root who asks.
    pub fn is_roots(&self) -> bool {
        self.is_roots
    }

    /// What replaces `program` and `args`.
    pub fn command(&self) -> Option<&[String]> {
        self.command.as_deref()
    }
}

/// Root may run everything. Others are named in `[access]`, give a command only with `any_command`,
/// and an instance only out of `instances`.
pub fn authorize(
    profile: Profile,
    caller: &Caller,
    instance: Option<&str>,
    command: Option<Vec<String>>,
) -> Result<Permit, Error> {
    if caller.uid != 0 {
        let access = &profile.access;
        let is_named = access.users.contains(&caller.name)
            || caller
                .groups
                .iter()
                .any(|group| access.groups.contains(group));
        let command_allowed = command.is_none() || access.any_command;
        let instance_allowed =
            instance.is_none_or(|wanted| access.instances.iter().any(|known| known == wanted));
        if !(is_named && command_allowed && instance_allowed) {
            return Err(Error::Refused("not permitted".to_string()));
        }
    }
    Ok(Permit {
        profile,
        command,
        is_roots: caller.uid == 0,
    })
}
