//! A jail to attest: that of a running instance, or one made for it from a profile, in which nothing
//! runs but what holds it, and which goes when all was tried.

use super::ladder::climb;
use super::verdict::{Found, in_turn};
use super::{Shared, Target};
use crate::error::Error;
use crate::host::{self, Purpose};
use crate::instances::{self, Status, seconds};
use crate::kernel::attack::{Attack, Socket};
use crate::kernel::{Errno, Failure, Fd, JailValue, Kernel, Limit, Nmount, OwnedJail};
use crate::launch::child::Given;
use crate::launch::journal::{self, Head, Journal, Story};
use crate::launch::{self, cleanup, instance, writers};
use crate::permit::{Caller, Permit};
use crate::plan::{self, Host, Plan, Step, jail_name};
use crate::profile::{Network, Profile};
use crate::request::Request;
use crate::supervise::held::{Held, Leave};
use crate::supervise::watch::Ears;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What was found, and what couldn't be taken back afterwards.
#[derive(Debug)]
pub struct Attested {
    pub found: Vec<Found>,
    pub leftovers: Vec<String>,
}

/// Attests the jail of a running instance.
pub fn live<K: Attack>(
    kernel: &mut K,
    label: &str,
    caller: &Caller,
) -> Result<(Profile, Attested), Error> {
    let (permit, _, plan) = plan_of(kernel, label, caller)?;
    // First: who is told to stop has taken the rest back then.
    let ears = Ears::open(kernel, None);
    let mut ears = ears.map_err(|failure| Error::step("listen for orders", failure))?;
    let facts = Facts::gather(kernel, permit.profile())?;
    let target = facts.target(&plan, permit.profile(), None);
    let outcome = attempts(kernel, &mut ears, target, permit.profile());
    ears.close(kernel);
    facts.release(kernel)?;
    let found = outcome?;
    let leftovers = Vec::new();
    Ok((permit.profile().clone(), Attested { found, leftovers }))
}

/// The plan that a running instance was made by, made again. A profile that says something else by now
/// would have us measure a process that isn't like the service's.
pub fn plan_of<K: Kernel>(
    kernel: &mut K,
    label: &str,
    caller: &Caller,
) -> Result<(Permit, Host, Plan), Error> {
    let step = |failure| Error::step(format!("look at the instance {label}"), failure);
    let listed = instances::one(kernel, label).map_err(step)?;
    let running = listed.filter(|listed| listed.status == Status::Running);
    let Some(story) = running.and_then(|listed| listed.story) else {
        return Err(Error::not_running(label));
    };
    let profile = story.head.profile.clone();
    let instance = label
        .strip_prefix(&profile)
        .and_then(|rest| rest.strip_prefix('-'))
        .map(str::to_string);
    let asked = Request {
        profile,
        instance,
        ..Request::default()
    };
    let permit = crate::run::permit(kernel, &asked, caller)?;
    let host = host::survey(kernel, &permit, BTreeMap::new(), Purpose::Look)?;
    let plan = Plan::new(&permit, label, &host)?;
    match is_by(&story, &plan) {
        true => Ok((permit, host, plan)),
        false => Err(Error::Busy(format!(
            "the instance {label} was started with another profile than there is now: start it again"
        ))),
    }
}

fn is_by(story: &Story, plan: &Plan) -> bool {
    let child = plan.child();
    let user = story.user.as_ref();
    let is_user =
        user.is_some_and(|(uid, gids)| *uid == child.uid && gids.first() == Some(&child.gid));
    let mut journal: Vec<&str> = story
        .mounts
        .iter()
        .map(|mount| mount.target.as_str())
        .collect();
    let mut planned: Vec<&str> = mounts(plan).map(|mount| mount.target.as_str()).collect();
    journal.sort_unstable();
    planned.sort_unstable();
    is_user && journal == planned
}

/// As they will be: the skeleton as it is when it was sealed.
fn mounts(plan: &Plan) -> impl Iterator<Item = &Nmount> {
    plan.steps().iter().filter_map(|step| match step {
        Step::Mount { mount, .. } => Some(mount),
        _ => None,
    })
}

/// Launches a profile with nothing in its jail, attests it, and takes everything back.
pub fn throwaway<K: Attack>(
    kernel: &mut K,
    asked: &Request,
    caller: &Caller,
) -> Result<(Profile, Attested), Error> {
    let permit = as_one_off(kernel, asked, caller)?;
    let label = plan::label(&asked.profile, permit.instance(), Some(kernel.getpid()));
    instance::prepare_state(kernel)?;
    let swept = cleanup::sweep(kernel, &label);
    let held = Held::take(kernel, &permit, &asked.profile, &label)?;
    let outcome = session(kernel, &permit, asked, &label, held.instance.fd);
    let has_leftovers = match &outcome {
        Ok(attested) => !attested.leftovers.is_empty(),
        Err((_, leftovers)) => !leftovers.is_empty(),
    };
    let leave = match has_leftovers {
        true => Leave::Journal,
        false => Leave::Nothing,
    };
    let mut more = held.release(kernel, leave);
    more.extend(
        swept
            .iter()
            .map(|left| format!("{}: {}", left.step, left.failure)),
    );
    match outcome {
        Ok(mut attested) => {
            attested.leftovers.extend(more);
            Ok((permit.profile().clone(), attested))
        }
        Err((error, leftovers)) => {
            for left in leftovers.iter().chain(&more) {
                kernel.complain(&format!("jailrunctl: {label}: left behind: {left}"));
            }
            Err(error)
        }
    }
}

/// With the profile's own program as the command: beside a running instance, and none of its kind.
fn as_one_off<K: Kernel>(
    kernel: &mut K,
    asked: &Request,
    caller: &Caller,
) -> Result<Permit, Error> {
    let permit = crate::run::permit(kernel, asked, caller)?;
    let profile = permit.profile();
    let Some(program) = profile.program.clone() else {
        let words = "the profile has no program: there is nothing to attest";
        return Err(Error::Profile(words.to_string()));
    };
    let command = std::iter::once(program).chain(profile.args.clone());
    let asked = Request {
        command: Some(command.collect()),
        ..asked.clone()
    };
    crate::run::permit(kernel, &asked, caller)
}

type Failed = (Error, Vec<String>);

fn session<K: Attack>(
    kernel: &mut K,
    permit: &Permit,
    asked: &Request,
    label: &str,
    lock: Fd,
) -> Result<Attested, Failed> {
    let plainly = |error| (error, Vec::new());
    let step = |failure| (Error::step("begin to attest", failure), Vec::new());
    kernel.procctl_reap_acquire().map_err(step)?;
    let head = Head {
        boot: kernel.boot_id().map_err(step)?,
        profile: asked.profile.clone(),
        label: label.to_string(),
        is_one_off: true,
        caller: 0,
        pid: kernel.getpid().0,
        started: seconds(kernel),
    };
    let mut journal = Journal::new(lock, head);
    let host = host::survey(kernel, permit, BTreeMap::new(), Purpose::Launch).map_err(plainly)?;
    let plan = Plan::new(permit, label, &host).map_err(plainly)?.held();
    let turn = writers::check(kernel, &plan).map_err(plainly)?;
    let begun = journal.begin(kernel, 0, plan.steps(), &records(&plan));
    let released = turn.map_or(Ok(()), |turn| turn.release(kernel));
    begun.map_err(step)?;
    released.map_err(plainly)?;
    let mut ears = Ears::open(kernel, None).map_err(step)?;
    let facts = Facts::gather(kernel, permit.profile()).map_err(plainly)?;
    let rules = host.rctl;
    let outcome = held(kernel, &plan, &mut journal, &mut ears, |kernel, ears| {
        let target = facts.target(&plan, permit.profile(), Some(rules));
        attempts(kernel, ears, target, permit.profile())
    });
    ears.close(kernel);
    facts.release(kernel).map_err(plainly)?;
    outcome
}

/// What is written, so that no other instance writes it meanwhile, but not by whom: no service runs here that
/// could leave a set-user-ID file, and those that a package has there are nobody's to take when this is killed.
fn records(plan: &Plan) -> Vec<String> {
    let writes = plan.writes().iter();
    let mut records: Vec<String> = writes
        .map(|(path, is_shared)| journal::writes_record(path, *is_shared))
        .collect();
    records.extend(
        plan.addresses()
            .map(|address| journal::address_record(&address)),
    );
    records
}

/// Launches, acts while the jail is held, and takes it back, whatever came of the act.
fn held<K: Attack>(
    kernel: &mut K,
    plan: &Plan,
    journal: &mut Journal,
    ears: &mut Ears,
    act: impl FnOnce(&mut K, &mut Ears) -> Result<Vec<Found>, Error>,
) -> Result<Attested, Failed> {
    let step = |failure| (Error::step("hold the jail", failure), Vec::new());
    let (reader, writer) = kernel.pipe().map_err(step)?;
    let given = Given {
        fds: [Some(reader), None, None],
        ..Given::default()
    };
    let launched = launch::launch(kernel, plan, journal, ears, given);
    kernel.close(reader).map_err(step)?;
    let outcome = launched.map(|running| {
        let found = act(kernel, ears);
        (found, launch::unwind(kernel, &running.done))
    });
    kernel.close(writer).map_err(step)?;
    match outcome? {
        (Ok(found), leftovers) => Ok(Attested { found, leftovers }),
        (Err(error), leftovers) => Err((error, leftovers)),
    }
}

fn attempts<K: Attack>(
    kernel: &mut K,
    ears: &mut Ears,
    target: Target,
    profile: &Profile,
) -> Result<Vec<Found>, Error> {
    let target = Shared::new(target);
    in_turn(&profile.test.attest_open, |attempt| {
        climb(kernel, ears, attempt, &target)
    })
}

/// What stands on the host while it is attested, to be reached from inside or not.
struct Facts {
    foreign: Vec<IpAddr>,
    sockets: Vec<Fd>,
    listeners: Vec<SocketAddr>,
    segment: Option<Segment>,
    other: OwnedJail,
    outside: crate::kernel::Pid,
}

/// Of System V shared memory.
#[derive(Clone, Copy)]
struct Segment {
    id: i32,
    /// It goes with the last process that has it, and isn't anybody's to take back.
    is_removed: bool,
}

impl Facts {
    fn gather<K: Attack>(kernel: &mut K, profile: &Profile) -> Result<Facts, Error> {
        let step = |failure| Error::step("prepare the host's side", failure);
        let own: Vec<IpAddr> = [&profile.jail.ip4, &profile.jail.ip6]
            .into_iter()
            .filter_map(|network| match network {
                Network::Addresses(addresses) => Some(addresses),
                _ => None,
            })
            .flatten()
            .map(|address| address.address)
            .collect();
        let all = kernel.getifaddrs().map_err(step)?;
        let is_link_local = |address: &IpAddr| match address {
            IpAddr::V6(address) => address.is_unicast_link_local(),
            IpAddr::V4(_) => false,
        };
        let all: Vec<IpAddr> = all.iter().map(|alias| alias.address).collect();
        let foreign = all.iter().copied();
        let foreign = foreign
            .filter(|address| !own.contains(address) && !is_link_local(address))
            .collect();
        let outside = kernel.getpid();
        // The segment last: it alone may have to be taken back.
        let other = other(kernel, outside.0).map_err(step)?;
        let (mut sockets, mut listeners) = (Vec::new(), Vec::new());
        let is_asked = kernel.cannot_show("host-loopback").is_none();
        let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        for address in both.into_iter().filter(|_| is_asked) {
            match listen(kernel, address) {
                Ok((socket, listener)) => {
                    sockets.push(socket);
                    listeners.push(listener);
                }
                // There it may be a service that keeps us from it, by all the ports.
                Err(failure) if all.contains(&address) => {
                    let what = format!("listen on {address}, to be reached from inside or not");
                    return Err(Error::step(what, failure));
                }
                // A host without one of the families has nobody to be reached there.
                Err(_) => {}
            }
        }
        Ok(Facts {
            foreign,
            sockets,
            listeners,
            segment: segment(kernel, outside.0).map_err(step)?,
            other,
            outside,
        })
    }

    /// `rules`: whether rctl rules were added; `None` where that is nobody's business.
    fn target(&self, plan: &Plan, profile: &Profile, rules: Option<bool>) -> Target {
        let root = plan::root(plan.label());
        let inside = mounts(plan).filter_map(|mount| {
            let path = mount.target.strip_prefix(&root)?;
            let is_root = path.is_empty();
            let mut inside = mount.clone();
            inside.target = match is_root {
                true => "/".to_string(),
                false => path.to_string(),
            };
            inside.flags.read_only |= is_root;
            Some(inside)
        });
        let limit = |name: &str, own: Limit| {
            let rules = profile.rctl.rules.iter().filter(|_| rules == Some(true));
            let ruled = rules
                .filter(|(known, _)| known == name)
                .map(|(_, most)| *most);
            let own = plan
                .child()
                .limits
                .iter()
                .filter(|(known, _)| *known == own);
            ruled.chain(own.map(|(_, most)| most.hard)).min()
        };
        Target {
            child: plan.child().clone(),
            jail: Some(jail_name(plan.label())),
            outside: self.outside,
            mounts: inside.collect(),
            foreign: self.foreign.clone(),
            listeners: self.listeners.clone(),
            segment: self.segment.map(|segment| segment.id),
            other: self.other.id,
            passed: None,
            is_throwaway: rules.is_some(),
            most_processes: limit("maxproc", Limit::Maxproc),
            most_memory: limit("vmemoryuse", Limit::Vmemoryuse),
        }
    }

    fn release<K: Attack>(self, kernel: &mut K) -> Result<(), Error> {
        let step = |failure| Error::step("take the host's side back", failure);
        if let Some(segment) = self.segment.filter(|segment| !segment.is_removed) {
            kernel.shm_remove(segment.id).map_err(step)?;
        }
        kernel.close(self.other.descriptor).map_err(step)?;
        for socket in self.sockets {
            kernel.close(socket).map_err(step)?;
        }
        Ok(())
    }
}

/// ENOSYS: this kernel has no such memory, and then there is none to be found.
fn segment<K: Attack>(kernel: &mut K, pid: i32) -> Result<Option<Segment>, Failure> {
    let id = match kernel.shmget(0x6a72_0000 ^ pid) {
        Ok(id) => id,
        Err(failure) if failure.errno == Errno::ENOSYS => return Ok(None),
        Err(failure) => return Err(failure),
    };
    match removed(kernel, id) {
        Err(failure) => kernel.shm_remove(id).and(Err(failure)),
        Ok(is_removed) => Ok(Some(Segment { id, is_removed })),
    }
}

/// Attached and removed at once, so that it outlives us by no kill, and is nobody's to remove before it is looked
/// for. Not where a host has set that what is removed is found by nobody, inside or outside.
fn removed<K: Attack>(kernel: &mut K, id: i32) -> Result<bool, Failure> {
    if kernel.sysctl_int("kern.ipc.shm_allow_removed").ok() != Some(1) {
        return Ok(false);
    }
    kernel.shm_attach(id)?;
    kernel.shm_remove(id)?;
    kernel.shm_stat(id).map(|()| true)
}

/// A jail in which nobody is: it goes with its only descriptor.
fn other<K: Kernel>(kernel: &mut K, pid: i32) -> Result<OwnedJail, Failure> {
    kernel.jail_create(&vec![
        (
            "name".to_string(),
            JailValue::Text(format!("attest-other-{pid}")),
        ),
        ("path".to_string(), JailValue::Text("/".to_string())),
        ("persist".to_string(), JailValue::Flag),
    ])
}

fn listen<K: Attack>(kernel: &mut K, address: IpAddr) -> Result<(Fd, SocketAddr), Failure> {
    let socket = kernel.make_socket(match address {
        IpAddr::V4(_) => Socket::Tcp4,
        IpAddr::V6(_) => Socket::Tcp6,
    })?;
    kernel.bind_to(socket, SocketAddr::new(address, 0))?;
    kernel.listen_on(socket)?;
    Ok((socket, kernel.getsockname(socket)?))
}
