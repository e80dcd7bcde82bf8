//! What a profile wants of the host and nobody has made yet, told together and with the commands that make
//! it. Only what isn't there at all comes here: a file or a link in its place is a refusal of its own.

use super::accounts::Service;
use crate::error::Error;
use crate::kernel::Errno;
use crate::plan::is_below;
use crate::profile::Writable;
use crate::profile::values::is_root;
use crate::trust::Distrust;
use crate::trust::walk::Stop;

pub const NOT_THERE: &str = "No such file or directory";

#[derive(Default)]
pub struct Unmade {
    /// The first component of each path that isn't there.
    missing: Vec<String>,
    /// What makes those that are directories in any case.
    commands: Vec<String>,
    /// Those that may be meant as files.
    either: Vec<String>,
}

impl Unmade {
    /// What a profile reads: only its author knows whether it is a directory.
    pub fn readable(&mut self, component: String, path: &str) {
        self.missing(component);
        self.either.push(word(path));
    }

    pub fn writable(&mut self, component: String, writable: &Writable, service: &Service) {
        self.commands
            .extend(enclosing(&component, writable, service));
        self.commands.push(command(writable, service));
        self.missing(component);
    }

    /// Where something is mounted over a tree of root's.
    pub fn point(&mut self, component: String, path: &str) {
        self.missing(component);
        self.commands.push(format!("install -d {}", word(path)));
    }

    /// Whoever serves the sockets makes their directory, and it isn't ours to say how.
    pub fn served(&mut self, component: String) {
        self.missing(component);
    }

    pub fn has(&self, component: &str) -> bool {
        self.missing.iter().any(|known| known == component)
    }

    fn missing(&mut self, component: String) {
        if !self.has(&component) {
            self.missing.push(component);
        }
    }

    /// The error of all of it, if there is any.
    pub fn told(self) -> Result<(), Error> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let mut words = format!("{}: {NOT_THERE}", self.missing.join(", "));
        if !self.commands.is_empty() {
            words.push_str(&format!("; run: {}", self.commands.join(" && ")));
        }
        if !self.either.is_empty() {
            let paths = self.either.join(" ");
            words.push_str(&format!("; where a directory is meant: install -d {paths}"));
        }
        Err(Error::Unmade(words))
    }
}

/// The first component of a path that isn't there, where nothing but that is wrong. By way of a link the
/// command for the path would make nothing, or something else.
pub fn missing(stop: &Stop, path: &str) -> Option<String> {
    match stop {
        Stop::Absent(Distrust::Failed { component, failure }) => {
            let is_on_the_way = component == path || is_below(path, component);
            (failure.errno == Errno::ENOENT && is_on_the_way).then(|| component.clone())
        }
        _ => None,
    }
}

/// A directory of somebody's who isn't root can be opened by him to all, with what he left in it: root's above
/// it, where that is to be made as well, keeps others out.
fn enclosing(component: &str, writable: &Writable, service: &Service) -> Option<String> {
    let (above, _) = writable.path.rsplit_once('/')?;
    let is_new = component == above || is_below(above, component);
    let is_shut = !is_root(owner(writable, service)) && !writable.untrusted;
    (is_new && is_shut).then(|| format!("install -d -o root -g wheel -m 0750 {}", word(above)))
}

/// Where the profile doesn't say whose a directory is, it is the service's own.
fn owner<'a>(writable: &'a Writable, service: &'a Service) -> &'a str {
    writable.owner.as_deref().unwrap_or(&service.user.name)
}

/// The command that makes the directory as the profile wants it.
pub fn command(writable: &Writable, service: &Service) -> String {
    let owner = owner(writable, service);
    let is_services = owner == service.user.name || owner == service.user.uid.to_string();
    let mode = writable.mode.unwrap_or(match is_services {
        true => 0o750,
        false => 0o755,
    });
    // The service gets into a directory of another's by its group, where others can't.
    let group = match mode & 0o011 == 0o010 && !is_services {
        true => format!(" -g {}", service.gid),
        false => String::new(),
    };
    format!(
        "install -d -o {}{group} -m {mode:04o} {}",
        word(owner),
        word(&writable.path)
    )
}

/// One word for a shell, whatever a path holds.
fn word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=:@%,".contains(letter);
    match text.chars().all(is_plain) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
