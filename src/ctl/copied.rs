//! A host that is there, copied into the simulated kernel as far as one launch looks at it: accounts,
//! addresses, kernel variables, and the files that the plan names, with all above them. Reading only.
//! That nothing was forgotten is seen by planning the launch there again: it must be the same plan.

use super::Trouble;
use super::plan::{Prepared, simulated};
use crate::closure::linker::Abi;
use crate::error::Error;
use crate::kernel::{At, Ending, Errno, Failure, FileKind, Kernel, Open, Outcome, User};
use crate::package;
use crate::pkg::{self, PKG};
use crate::plan::Plan;
use crate::profile::{Network, Profile};
use crate::request::Request;
use crate::sim::World;
use std::collections::BTreeSet;

/// No file of a program or library is larger.
const MOST: usize = 256 << 20;

/// Kernel variables that a launch asks for.
const NUMBERS: [&str; 3] = ["kern.osreldate", "kern.racct.enable", "net.fibs"];
const TEXTS: [&str; 2] = ["hw.machine", "kern.osrelease"];
const PARAMETERS: &str = "security.jail.param.allow.";
const ASKED: [&str; 6] = [
    "security.jail.param.meta",
    "security.jail.param.host.domainname",
    "security.jail.param.host.hostuuid",
    "security.jail.param.osrelease",
    "security.jail.param.ip4.saddrsel",
    "security.jail.param.ip6.saddrsel",
];

/// The host that `prepared` was planned for. `base` has the profile's files, and what every system has.
pub fn copy<K: Kernel>(
    kernel: &mut K,
    base: World,
    prepared: &Prepared,
    asked: &Request,
) -> Result<World, Trouble> {
    let mut copier = Copier {
        kernel,
        world: base,
        seen: BTreeSet::new(),
    };
    let failed = |failure: Failure| {
        let words = format!(
            "{}: copy this host: {}: {failure}",
            asked.profile, failure.call
        );
        Trouble::new(71, words)
    };
    copier.variables().map_err(failed)?;
    copier.accounts(&prepared.profile).map_err(failed)?;
    copier.addresses(&prepared.profile).map_err(failed)?;
    if let Some(package) = &prepared.profile.root.package {
        copier
            .answers(&package.name)
            .map_err(|error| Trouble::about(&asked.profile, &error))?;
    }
    for path in paths(prepared) {
        copier.path(&path).map_err(failed)?;
    }
    let world = copier.world;
    let again = simulated(world.clone(), asked);
    let differs = |why: String| {
        let words = format!(
            "{}: this host can't be copied ({why}): describe it, and give --host FILE",
            asked.profile
        );
        Trouble::new(71, words)
    };
    let again = again.map_err(|error| differs(error.to_string()))?;
    match difference(&prepared.plan, &again.plan) {
        None => Ok(world),
        Some(step) => Err(differs(format!("the copy differs at: {step}"))),
    }
}

/// Everything that the launch looks at, by its own paths and by those that it found.
fn paths(prepared: &Prepared) -> BTreeSet<String> {
    let (host, profile) = (&prepared.host, &prepared.profile);
    let mut paths = BTreeSet::from([prepared.plan.child().program.clone()]);
    for (written, granted) in &host.sources {
        paths.insert(written.clone());
        paths.insert(granted.path.clone());
        paths.extend(granted.links.iter().map(|(path, _)| path.clone()));
    }
    if let Some(closure) = &host.closure {
        paths.extend(closure.files.keys().chain(closure.links.keys()).cloned());
        for abi in [Abi::Native, Abi::Compat32] {
            paths.insert(abi.hints_file().to_string());
            paths.insert(abi.libmap_file().to_string());
        }
    }
    paths.extend(profile.root.files.keys().cloned());
    let above = |path: &String| path.rsplit_once('/').map(|(above, _)| above.to_string());
    paths.extend(profile.pidfile.as_ref().and_then(above));
    if let crate::profile::Output::File(path) = &profile.supervise.output {
        paths.extend(above(path));
    }
    paths
}

/// The first step that isn't the same. The number of a devfs ruleset is that of the next free one, and a
/// one-off is called by the process that planned it.
fn difference(one: &Plan, other: &Plan) -> Option<String> {
    let words = |plan: &Plan| -> Vec<String> {
        let label = plan.label();
        let steps = plan
            .steps()
            .iter()
            .filter(|step| !step.to_string().contains("(ruleset "));
        steps
            .map(|step| step.to_string().replace(label, ""))
            .collect()
    };
    let (ones, others) = (words(one), words(other));
    let longest = ones.len().max(others.len());
    (0..longest).find_map(|index| {
        let (here, there) = (ones.get(index), others.get(index));
        (here != there).then(|| here.or(there).cloned().unwrap_or_default())
    })
}

struct Copier<'a, K> {
    kernel: &'a mut K,
    world: World,
    seen: BTreeSet<String>,
}

impl<K: Kernel> Copier<'_, K> {
    /// What this kernel hasn't got, the simulated one mustn't have.
    fn variables(&mut self) -> Outcome<()> {
        let parameters: Vec<String> = self
            .world
            .sysctls
            .keys()
            .filter(|name| name.starts_with(PARAMETERS) || ASKED.contains(&name.as_str()))
            .cloned()
            .collect();
        let numbers = NUMBERS.iter().map(|name| (*name).to_string());
        for name in numbers.chain(parameters) {
            let value = self
                .kernel
                .sysctl_int(&name)
                .map(|number| number.to_string());
            self.variable(&name, value)?;
        }
        for name in TEXTS {
            let value = self.kernel.sysctl_text(name);
            self.variable(name, value)?;
        }
        let boot = self.kernel.boot_id();
        self.variable("kern.boot_id", boot)
    }

    fn variable(&mut self, name: &str, value: Outcome<String>) -> Outcome<()> {
        match value {
            Ok(text) => drop(self.world.sysctl_set(name, &text)),
            Err(failure) if failure.errno == Errno::ENOENT => {
                self.world.sysctls.remove(name);
            }
            // A node has no value of its own; that it is there is all that is asked.
            Err(failure)
                if matches!(failure.errno, Errno::EINVAL | Errno::ENOMEM | Errno::EISDIR) => {}
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    fn accounts(&mut self, profile: &Profile) -> Outcome<()> {
        let owners = profile
            .root
            .tmpfs
            .iter()
            .filter_map(|tmpfs| tmpfs.owner.as_ref());
        let writers = profile.root.rw.iter().filter_map(|rw| rw.owner.as_ref());
        for name in std::iter::once(&profile.user).chain(owners).chain(writers) {
            let found = match name.parse::<u32>() {
                Ok(uid) => self.kernel.getpwuid(uid)?,
                Err(_) => self.kernel.getpwnam(name)?,
            };
            if let Some(user) = found {
                self.user(user)?;
            }
        }
        for name in profile
            .group
            .iter()
            .chain(&profile.groups)
            .chain(&profile.access.groups)
        {
            if let Some(gid) = self.kernel.getgrnam(name)? {
                self.world.group(name, gid);
            }
        }
        Ok(())
    }

    fn user(&mut self, user: User) -> Outcome<()> {
        if let Some(name) = self.kernel.getgrgid(user.gid)? {
            self.world.group(&name, user.gid);
        }
        self.world
            .users
            .retain(|known| known.name != user.name && known.uid != user.uid);
        self.world.users.push(user);
        Ok(())
    }

    /// An interface without an address isn't in the list: those that the profile names are taken to be
    /// there.
    fn addresses(&mut self, profile: &Profile) -> Outcome<()> {
        self.world.addresses = self.kernel.getifaddrs()?;
        let mut interfaces: BTreeSet<String> = BTreeSet::new();
        interfaces.extend(
            self.world
                .addresses
                .iter()
                .map(|alias| alias.interface.clone()),
        );
        for network in [&profile.jail.ip4, &profile.jail.ip6] {
            if let Network::Addresses(addresses) = network {
                interfaces.extend(addresses.iter().filter_map(|known| known.interface.clone()));
            }
        }
        self.world.interfaces = interfaces;
        Ok(())
    }

    /// What pkg(8) answers here, it answers there.
    fn answers(&mut self, package: &str) -> Result<(), Error> {
        let mut answers = Vec::new();
        package::own(package, &mut |words| {
            let answer = pkg::ask(self.kernel, words)?;
            let status = match answer.ending {
                Ending::Exited(status) => status,
                Ending::Signalled(_) => return Err(answer.refused(words)),
            };
            let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
            answers.push((words, answer.said.clone(), status));
            Ok(answer)
        })?;
        self.world.file(PKG, 0o755, 0, 0, b"pkg");
        for (words, said, status) in &answers {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.world
                .says(&[&[PKG], words.as_slice()].concat(), said, *status);
        }
        Ok(())
    }

    /// A path with everything above it, as it is: links stay links.
    fn path(&mut self, path: &str) -> Outcome<()> {
        let ends = path.match_indices('/').map(|(end, _)| end).skip(1);
        let above: Vec<&str> = ends.filter_map(|end| path.get(..end)).collect();
        for part in above.into_iter().chain([path]) {
            if self.seen.insert(part.to_string()) && !self.one(part)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// False: nothing can be below.
    fn one(&mut self, path: &str) -> Outcome<bool> {
        let stat = match self.kernel.lstatat(At::Cwd, path) {
            Err(failure) if matches!(failure.errno, Errno::ENOENT | Errno::ENOTDIR) => {
                self.world.remove(path);
                return Ok(false);
            }
            other => other?,
        };
        let bytes = match stat.kind {
            FileKind::Regular => self.content(path)?,
            FileKind::Symlink => self.kernel.readlinkat(At::Cwd, path)?.into_bytes(),
            _ => Vec::new(),
        };
        let is_there = self.world.place_at(path).is_some();
        // Devices are the simulated kernel's own.
        if stat.kind != FileKind::CharacterDevice || !is_there {
            self.world
                .put(path, stat.kind, stat.mode, stat.uid, stat.gid, &bytes);
        }
        Ok(stat.kind == FileKind::Directory)
    }

    fn content(&mut self, path: &str) -> Outcome<Vec<u8>> {
        let fd = self.kernel.openat(At::Cwd, path, Open::Read)?;
        let mut bytes = Vec::new();
        let mut buffer = vec![0u8; 1 << 16];
        let outcome = loop {
            match self.kernel.read(fd, &mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(failure) => break Err(failure),
            }
            if bytes.len() > MOST {
                break Err(Failure::new("read", Errno::EFBIG));
            }
        };
        let closed = self.kernel.close(fd);
        outcome.and(closed).map(|()| bytes)
    }
}
