//! The child between fork and exec: Outside, Inside, Unprivileged, Confined, and where the plan has it
//! Capable. Each stage is made only from the one before, and exec is a method of the last.
//!
//! It is forked before its jail is made, so that it never holds the jail's owning descriptor, and
//! learns the jail's id over its channel. When the channel ends, so does the child.
//!
//! ```compile_fail
//! use jailrun::{kernel::Kernel, launch::child::Inside};
//! fn skip<K: Kernel>(inside: Inside<'_, K>) { let _ = inside.exec(); }
//! ```
//!
//! ```compile_fail
//! use jailrun::{kernel::Kernel, launch::child::Unprivileged};
//! fn skip<K: Kernel>(unprivileged: Unprivileged<'_, K>) { let _ = unprivileged.enter_capability_mode(); }
//! ```

use super::capability::give_names_up;
use crate::kernel::{Errno, Failure, Fd, Ids, JailId, Kernel, Limit, Procctl, Rlimit};
use crate::plan::capability::Capability;
use crate::plan::child::{FIRST, unspoken};
use crate::plan::{ChildPlan, Then};

/// What the child is given of the supervisor's descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// What 0, 1 and 2 become; `None` keeps what is there.
    pub fds: [Option<Fd>; 3],
    /// What 3, 4, ... become.
    pub sockets: Vec<Fd>,
    /// Which of 0, 1 and 2 will then be a pseudo-terminal, which is the supervisor's session's own.
    pub terminal: Option<Fd>,
}

/// A stage that failed, for the supervisor's message.
pub struct Stopped {
    pub stage: &'static str,
    pub failure: Failure,
}

pub(super) fn at(stage: &'static str) -> impl Fn(Failure) -> Stopped {
    move |failure| Stopped { stage, failure }
}

/// Forked; still the host's root.
pub struct Outside<'a, K> {
    kernel: &'a mut K,
    plan: &'a ChildPlan,
}

/// Attached to the jail, in its working directory.
pub struct Inside<'a, K> {
    kernel: &'a mut K,
    plan: &'a ChildPlan,
}

/// The service's user, for good.
pub struct Unprivileged<'a, K> {
    kernel: &'a mut K,
    plan: &'a ChildPlan,
}

/// Nothing is left to be taken away, but for names.
pub struct Confined<'a, K> {
    kernel: &'a mut K,
    plan: &'a ChildPlan,
}

/// In capability mode, with the descriptors of the plan and no others.
pub struct Capable<'a, K> {
    kernel: &'a mut K,
    plan: &'a ChildPlan,
    capability: &'a Capability,
}

impl<'a, K: Kernel> Outside<'a, K> {
    /// What a set-user-ID exec leaves as the caller had it (FreeBSD's kern_exec.c resets none of it) is
    /// set here to what the plan says, or to what a process has that nobody has tampered with.
    fn new(
        kernel: &'a mut K,
        plan: &'a ChildPlan,
        given: &Given,
    ) -> Result<Outside<'a, K>, Stopped> {
        match given.terminal {
            None => kernel.setsid().map_err(at("begin a session"))?,
            // The end of a session's leader revokes its terminal, with what the service wrote last and
            // nobody has read yet (ttydev_close in sys/kern/tty.c): the supervisor is the leader.
            Some(terminal) => kernel
                .setpgid()
                .and_then(|()| kernel.tcsetpgrp(terminal))
                .map_err(at("take the pseudo-terminal"))?,
        }
        kernel
            .setlogin(&plan.user)
            .map_err(at("set the login name"))?;
        kernel.rtprio_normal().map_err(at("set the priority"))?;
        kernel
            .setpriority(plan.nice.unwrap_or(0))
            .map_err(at("set the priority"))?;
        kernel.cpuset_root().map_err(at("set the processors"))?;
        kernel
            .setfib(plan.fib.unwrap_or(0))
            .map_err(at("set the FIB"))?;
        kernel
            .setloginclass(&plan.login_class)
            .map_err(at("set the login class"))?;
        limits(kernel, plan).map_err(at("set a limit"))?;
        defaults(kernel).map_err(at("reset process controls"))?;
        Ok(Outside { kernel, plan })
    }

    /// Waits for the supervisor to say which jail, and enters it.
    pub fn attach(self) -> Result<Inside<'a, K>, Stopped> {
        let mut word = [0u8; 4];
        let mut have = 0;
        while have < word.len() {
            let room = word.get_mut(have..).unwrap_or_default();
            match self.kernel.read(channel(self.plan), room) {
                Ok(0) => return Err(at("hear the supervisor")(gone())),
                Ok(count) => have += count,
                Err(failure) => return Err(at("hear the supervisor")(failure)),
            }
        }
        self.kernel
            .jail_attach(JailId(i32::from_ne_bytes(word)))
            .map_err(at("attach to the jail"))?;
        // Before the user changes: it need not be able to search the parents of its own directory.
        self.kernel
            .chdir(&self.plan.chdir)
            .map_err(at("enter the working directory"))?;
        Ok(Inside {
            kernel: self.kernel,
            plan: self.plan,
        })
    }
}

fn gone() -> Failure {
    Failure {
        call: "read",
        errno: Errno::EPIPE,
        text: "the supervisor has gone".to_string(),
    }
}

/// Every limit: what the plan says, or none. Core dumps are off unless it says otherwise.
fn limits<K: Kernel>(kernel: &mut K, plan: &ChildPlan) -> Result<(), Failure> {
    for limit in Limit::ALL {
        let planned = plan.limits.iter().find(|(known, _)| *known == limit);
        let unspoken = Rlimit::both(unspoken(limit));
        let amount = planned.map_or(unspoken, |(_, amount)| *amount);
        match kernel.setrlimit(limit, amount) {
            // A limit that this kernel doesn't have, and nobody asked for.
            Err(failure) if failure.errno == Errno::ENOSYS && planned.is_none() => {}
            other => other?,
        }
    }
    Ok(())
}

fn defaults<K: Kernel>(kernel: &mut K) -> Result<(), Failure> {
    for control in [
        Procctl::NoTrace,
        Procctl::Aslr,
        Procctl::Protmax,
        Procctl::NoWxMap,
        Procctl::TrapCap,
        Procctl::LogSigExit,
    ] {
        match kernel.procctl_default(control) {
            // A control that this kernel doesn't have can't have been set either.
            Err(failure) if failure.errno == Errno::EINVAL => {}
            other => other?,
        }
    }
    Ok(())
}

impl<'a, K: Kernel> Inside<'a, K> {
    /// Groups, group, user, then the proof that none of it comes back.
    pub fn become_user(self) -> Result<Unprivileged<'a, K>, Stopped> {
        let (kernel, plan) = (self.kernel, self.plan);
        give_up_root(kernel, plan)?;
        // Not before: whoever connects asks whose the other end is (getpeereid(3)), and hears who called
        // listen(2) last (uipc_listen, sys/kern/uipc_usrreq.c).
        for (fd, backlog) in &plan.local_listeners {
            kernel
                .listen(*fd, *backlog)
                .map_err(at("listen as the service's user"))?;
        }
        Ok(Unprivileged { kernel, plan })
    }
}

fn give_up_root<K: Kernel>(kernel: &mut K, plan: &ChildPlan) -> Result<(), Stopped> {
    let stage = "become the service's user";
    // Element 0 was the effective gid before 15.0 and is a group like others since: the gid, in
    // either case (sys/kern/kern_prot.c).
    let mut groups = vec![plan.gid];
    groups.extend(plan.groups.iter().filter(|group| **group != plan.gid));
    kernel.setgroups(&groups).map_err(at(stage))?;
    kernel.setresgid(Ids::all(plan.gid)).map_err(at(stage))?;
    kernel.setresuid(Ids::all(plan.uid)).map_err(at(stage))?;
    let uids = kernel.getresuid().map_err(at(stage))?;
    let gids = kernel.getresgid().map_err(at(stage))?;
    let mut held = kernel.getgroups().map_err(at(stage))?;
    held.sort_unstable();
    held.dedup();
    groups.sort_unstable();
    groups.dedup();
    let regained = plan.uid != 0 && kernel.setresuid(Ids::all(0)).is_ok();
    if uids != Ids::all(plan.uid) || gids != Ids::all(plan.gid) || held != groups || regained {
        let text = "the kernel kept privileges".to_string();
        let failure = Failure {
            call: "setresuid",
            errno: Errno::EPERM,
            text,
        };
        return Err(Stopped { stage, failure });
    }
    Ok(())
}

impl<'a, K: Kernel> Unprivileged<'a, K> {
    /// Tells the supervisor, which takes root's power from the jail, and waits for its word.
    pub fn confine(self) -> Result<Confined<'a, K>, Stopped> {
        let (kernel, plan) = (self.kernel, self.plan);
        // Now, since a process that is traced can't refuse to be (trace_ctl in sys/kern/kern_procctl.c), and
        // with mode = "report" the supervisor's word comes with a trace.
        control(kernel, plan)?;
        kernel
            .write(channel(plan), b"d")
            .map_err(at("tell the supervisor"))?;
        let mut word = [0u8; 1];
        let count = kernel
            .read(channel(plan), &mut word)
            .map_err(at("hear the supervisor"))?;
        if count != 1 || word != *b"g" {
            return Err(at("hear the supervisor")(gone()));
        }
        reset(kernel, plan)?;
        Ok(Confined { kernel, plan })
    }
}

fn control<K: Kernel>(kernel: &mut K, plan: &ChildPlan) -> Result<(), Stopped> {
    for control in &plan.procctl {
        let stage = stage_of(*control);
        kernel.procctl(*control).map_err(at(stage))?;
        if !kernel.procctl_status(*control).map_err(at(stage))? {
            let failure = Failure::new("procctl", Errno::EOPNOTSUPP);
            return Err(Stopped { stage, failure });
        }
    }
    Ok(())
}

fn reset<K: Kernel>(kernel: &mut K, plan: &ChildPlan) -> Result<(), Stopped> {
    kernel.umask(plan.umask);
    kernel.reset_signals().map_err(at("reset signals"))
}

/// The same ladder into a jail that runs already, where root can give nothing up any more
/// (allow.nosuser): root goes first, and the descriptor gives the right to attach. What is above the
/// channel is closed but for `spare`, which is above all that the plan numbers; at the end the process is
/// what a service is before its exec, in capability mode where a service is.
pub fn enter<K: Kernel>(
    kernel: &mut K,
    plan: &ChildPlan,
    jail: &str,
    spare: Option<Fd>,
) -> Result<(), Stopped> {
    let Outside { kernel, plan } = Outside::new(kernel, plan, &Given::default())?;
    kernel.closefrom(spare.unwrap_or(channel(plan)).0 + 1);
    // Once attached, we may be traced by whoever is root inside, and the jail's descriptor has the rights of
    // the host's root in anybody's hands.
    let untraced = "refuse tracing until the jail's descriptor is closed";
    kernel.procctl(Procctl::NoTrace).map_err(at(untraced))?;
    let stage = "attach to the jail";
    let (_, jail) = kernel
        .jail_open(jail)
        .map_err(at(stage))?
        .ok_or(at(stage)(Failure::new("jail_get", Errno::ENOENT)))?;
    give_up_root(kernel, plan)?;
    kernel.jail_attach_jd(jail).map_err(at(stage))?;
    kernel.close(jail).map_err(at(stage))?;
    if !plan.procctl.contains(&Procctl::NoTrace) {
        kernel
            .procctl_default(Procctl::NoTrace)
            .map_err(at("allow tracing, as the profile does"))?;
    }
    match kernel.chdir(&plan.chdir) {
        // The launch goes there as root. The jail's root is where attaching leaves us.
        Err(failure) if failure.errno == Errno::EACCES => {}
        other => other.map_err(at("enter the working directory"))?,
    }
    control(kernel, plan)?;
    reset(kernel, plan)?;
    match &plan.capability {
        Some(capability) => give_names_up(kernel, plan, capability, spare),
        None => Ok(()),
    }
}

fn stage_of(control: Procctl) -> &'static str {
    match control {
        Procctl::NoNewPrivs => "refuse new privileges (proccontrol nonewprivs)",
        Procctl::NoTrace => "refuse tracing (proccontrol trace)",
        Procctl::Aslr => "randomise addresses (proccontrol aslr)",
        Procctl::Protmax => "limit protections (proccontrol protmax)",
        Procctl::NoWxMap => "refuse writable code (proccontrol wxmap)",
        Procctl::TrapCap => "trap capability violations (proccontrol trapcap)",
        Procctl::LogSigExit => "log deaths by signals (proccontrol logsigexit)",
    }
}

impl<'a, K: Kernel> Confined<'a, K> {
    /// Keeps the jail alive until standard input ends. That the channel is closed tells the supervisor
    /// what an exec would.
    fn hold(self) -> Stopped {
        let _ = self.kernel.close(channel(self.plan));
        let ended = loop {
            match self.kernel.read(Fd(0), &mut [0]) {
                Ok(0) => break gone(),
                Ok(_) => {}
                Err(failure) => break failure,
            }
        };
        at("hold the jail")(ended)
    }

    /// Opens what the plan lists, as the service's user and inside its root; limits that and everything
    /// else that it will have; and gives every name up.
    pub fn enter_capability_mode(
        self,
        capability: &'a Capability,
    ) -> Result<Capable<'a, K>, Stopped> {
        let (kernel, plan) = (self.kernel, self.plan);
        give_names_up(kernel, plan, capability, None)?;
        Ok(Capable {
            kernel,
            plan,
            capability,
        })
    }

    pub fn exec(self) -> Result<K::Executed, Stopped> {
        let environment = environment(self.kernel, self.plan);
        self.kernel
            .execve(&self.plan.program, &self.plan.arguments, &environment)
            .map_err(at("exec"))
    }
}

impl<K: Kernel> Capable<'_, K> {
    pub fn exec(self) -> Result<K::Executed, Stopped> {
        let environment = environment(self.kernel, self.plan);
        let Capability {
            execute, arguments, ..
        } = self.capability;
        self.kernel
            .fexecve(*execute, arguments, &environment)
            .map_err(at("exec"))
    }
}

/// With LISTEN_PID, which is known only now.
fn environment<K: Kernel>(kernel: &mut K, plan: &ChildPlan) -> Vec<String> {
    let mut environment = plan.environment.clone();
    if plan.sockets > 0 {
        environment.push(format!("LISTEN_PID={}", kernel.getpid().0));
    }
    environment
}

/// Where the channel to the supervisor is in the child, behind its sockets; all above it is closed.
pub fn channel(plan: &ChildPlan) -> Fd {
    Fd(FIRST + i32::try_from(plan.sockets).unwrap_or(0))
}

/// The first acts: standard descriptors, sockets and the channel are put in their places, and the copies
/// of all that is the supervisor's are closed.
fn keep<K: Kernel>(
    kernel: &mut K,
    plan: &ChildPlan,
    given: &Given,
    from: Fd,
) -> Result<(), Stopped> {
    let sockets = at("keep the sockets");
    for (number, fd) in (0..).zip(given.fds) {
        if let Some(fd) = fd {
            kernel
                .dup2(fd, Fd(number), true)
                .map_err(at("set the standard descriptors"))?;
        }
    }
    let channel = channel(plan);
    let mut from = from;
    let mut apart = Vec::new();
    // One by one they would overwrite each other.
    for socket in &given.sockets {
        apart.push(kernel.dup_from(*socket, channel.0 + 1).map_err(&sockets)?);
    }
    if !apart.is_empty() {
        from = kernel.dup_from(from, channel.0 + 1).map_err(&sockets)?;
    }
    for (number, socket) in (FIRST..).zip(apart) {
        kernel.dup2(socket, Fd(number), true).map_err(&sockets)?;
    }
    if from != channel {
        kernel
            .dup2(from, channel, false)
            .map_err(at("keep the channel"))?;
    }
    kernel.closefrom(channel.0 + 1);
    Ok(())
}

/// The whole way. What stops it goes over the channel: stage, errno, and the kernel's own words.
pub fn run<K: Kernel>(
    kernel: &mut K,
    plan: &ChildPlan,
    given: &Given,
    from: Fd,
) -> Result<K::Executed, i32> {
    if let Err(stopped) = keep(kernel, plan, given, from) {
        return Err(report(kernel, from, &stopped));
    }
    let confined = Outside::new(kernel, plan, given)
        .and_then(Outside::attach)
        .and_then(Inside::become_user)
        .and_then(Unprivileged::confine);
    let executed = confined.and_then(|confined| match &plan.capability {
        _ if plan.then == Then::Hold => Err(confined.hold()),
        Some(capability) => confined.enter_capability_mode(capability)?.exec(),
        None => confined.exec(),
    });
    executed.map_err(|stopped| report(kernel, channel(plan), &stopped))
}

fn report<K: Kernel>(kernel: &mut K, channel: Fd, stopped: &Stopped) -> i32 {
    let Stopped { stage, failure } = stopped;
    let words = format!("f{stage}\n{}\n{}", failure.errno.0, failure.text);
    // When nobody listens any more, nobody needs to know.
    let _ = kernel.write(channel, words.as_bytes());
    71
}
