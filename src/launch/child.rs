//! The child between fork and exec: Outside, Inside, Unprivileged, Confined. Each stage is made only
//! from the one before, and exec is a method of the last.
//!
//! ```compile_fail
//! use jailrun::{kernel::Kernel, launch::child::Inside};
//! fn skip<K: Kernel>(inside: Inside<'_, K>) { let _ = inside.exec(); }
//! ```

use crate::kernel::{Errno, Failure, Fd, Ids, JailId, Kernel, Procctl};
use crate::plan::ChildPlan;

/// Where the channel to the supervisor is in the child; all above it is closed.
pub const CHANNEL: Fd = Fd(3);

/// A stage that failed, for the supervisor's message.
pub struct Stopped {
    pub stage: &'static str,
    pub failure: Failure,
}

fn at(stage: &'static str) -> impl Fn(Failure) -> Stopped {
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

/// Nothing is left to be taken away.
pub struct Confined<'a, K> {
    kernel: &'a mut K,
    plan: &'a ChildPlan,
}

impl<'a, K: Kernel> Outside<'a, K> {
    /// Keeps standard descriptors and the channel: the copy of the jail's owning descriptor is closed
    /// before anything else happens.
    pub fn new(
        kernel: &'a mut K,
        plan: &'a ChildPlan,
        channel: Fd,
    ) -> Result<Outside<'a, K>, Stopped> {
        if channel != CHANNEL {
            kernel
                .dup2(channel, CHANNEL, false)
                .map_err(at("keep the channel"))?;
        }
        kernel.closefrom(CHANNEL.0 + 1);
        kernel.setsid().map_err(at("begin a session"))?;
        kernel
            .setlogin(&plan.user)
            .map_err(at("set the login name"))?;
        if let Some(nice) = plan.nice {
            kernel.setpriority(nice).map_err(at("set the priority"))?;
        }
        if let Some(fib) = plan.fib {
            kernel.setfib(fib).map_err(at("set the FIB"))?;
        }
        for (limit, value) in &plan.limits {
            kernel
                .setrlimit(*limit, *value)
                .map_err(at("set a limit"))?;
        }
        Ok(Outside { kernel, plan })
    }

    pub fn attach(self, jail: JailId) -> Result<Inside<'a, K>, Stopped> {
        self.kernel
            .jail_attach(jail)
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

impl<'a, K: Kernel> Inside<'a, K> {
    /// Groups, group, user, then the proof that none of it comes back.
    pub fn become_user(self) -> Result<Unprivileged<'a, K>, Stopped> {
        let (kernel, plan) = (self.kernel, self.plan);
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
        let regained = kernel.setresuid(Ids::all(0)).is_ok();
        if uids != Ids::all(plan.uid) || gids != Ids::all(plan.gid) || held != groups || regained {
            let text = "the kernel kept privileges".to_string();
            let failure = Failure {
                call: "setresuid",
                errno: Errno::EPERM,
                text,
            };
            return Err(Stopped { stage, failure });
        }
        Ok(Unprivileged { kernel, plan })
    }
}

impl<'a, K: Kernel> Unprivileged<'a, K> {
    /// Tells the supervisor, which takes root's power from the jail, and waits for its word.
    pub fn confine(self) -> Result<Confined<'a, K>, Stopped> {
        let (kernel, plan) = (self.kernel, self.plan);
        kernel
            .write(CHANNEL, b"d")
            .map_err(at("tell the supervisor"))?;
        let mut word = [0u8; 1];
        let count = kernel
            .read(CHANNEL, &mut word)
            .map_err(at("hear the supervisor"))?;
        if count != 1 || word != *b"g" {
            let failure = Failure::new("read", Errno::EPIPE);
            return Err(Stopped {
                stage: "hear the supervisor",
                failure,
            });
        }
        for control in &plan.procctl {
            let stage = stage_of(*control);
            kernel.procctl(*control).map_err(at(stage))?;
            if !kernel.procctl_status(*control).map_err(at(stage))? {
                let failure = Failure::new("procctl", Errno::EOPNOTSUPP);
                return Err(Stopped { stage, failure });
            }
        }
        kernel.umask(plan.umask);
        kernel.reset_signals().map_err(at("reset signals"))?;
        Ok(Confined { kernel, plan })
    }
}

fn stage_of(control: Procctl) -> &'static str {
    match control {
        Procctl::NoNewPrivs => "refuse new privileges (proccontrol nonewprivs)",
        Procctl::NoTrace => "refuse tracing (proccontrol trace)",
        Procctl::Aslr => "randomise addresses (proccontrol aslr)",
        Procctl::Protmax => "limit protections (proccontrol protmax)",
        Procctl::NoWxMap => "refuse writable code (proccontrol wxmap)",
    }
}

impl<K: Kernel> Confined<'_, K> {
    pub fn exec(self) -> Result<K::Executed, Stopped> {
        self.kernel
            .execve(
                &self.plan.program,
                &self.plan.arguments,
                &self.plan.environment,
            )
            .map_err(at("exec"))
    }
}

/// The whole way. What stops it goes over the channel: stage, errno, and the kernel's own words.
pub fn run<K: Kernel>(
    kernel: &mut K,
    plan: &ChildPlan,
    jail: JailId,
    channel: Fd,
) -> Result<K::Executed, i32> {
    let way = Outside::new(kernel, plan, channel)
        .and_then(|outside| outside.attach(jail))
        .and_then(Inside::become_user)
        .and_then(Unprivileged::confine)
        .and_then(Confined::exec);
    way.map_err(|stopped| {
        let words = format!(
            "f{}\n{}\n{}",
            stopped.stage, stopped.failure.errno.0, stopped.failure.text
        );
        // When nobody listens any more, nobody needs to know.
        let _ = kernel.write(CHANNEL, words.as_bytes());
        71
    })
}
