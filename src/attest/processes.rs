//! Attempts on processes, memory, and on what there is of both.

use super::{Seen, Target, Tried, nothing, open};
use crate::kernel::attack::{Attack, Memory};
use crate::kernel::{Errno, Failure, Kernel, Procctl, Waited};

/// So many are tried where no limit is known, and no more whatever the limit.
const PROCESSES_WITHOUT_LIMIT: u64 = 256;
const MOST_PROCESSES: u64 = 4096;
const PIECE: u64 = 64 << 20;
const MEMORY_WITHOUT_LIMIT: u64 = 16 << 30;
const MOST_MEMORY: u64 = 1 << 40;

pub fn see<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    match kernel.process_info(target.outside)? {
        None => nothing("no process of the host is seen"),
        Some(_) => open(format!("process {}", target.outside.0)),
    }
}

/// Signal 0 arrives nowhere. EPERM would say that the process is there to be signalled by root.
pub fn signal<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    kernel.kill(target.outside, 0)?;
    open(format!("process {}", target.outside.0))
}

/// The sibling has itself traced, and executes the service's program: only an exec ends what protects a
/// process whose ids have changed (P_SUGID), and as it is traced it stops before its first instruction.
pub fn debug_sibling<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    if target.is_in_capability_mode() {
        // The whole call is refused there; where it isn't, nothing below is reached in this way.
        kernel.ptrace_me()?;
        return open("ptrace(2) in capability mode");
    }
    let (program, words) = (target.child.program.clone(), target.child.arguments.clone());
    let sibling = kernel.fork(move |kernel| {
        if let Err(failure) = kernel.ptrace_me() {
            return Err(failure.errno.0);
        }
        kernel.execve(&program, &words, &[]).map_err(|_| NO_EXEC)
    })?;
    let stopped = loop {
        match kernel.waitpid_untraced()? {
            Some((pid, waited)) if pid == sibling => break waited,
            _ => kernel.sleep_ms(5),
        }
    };
    let seen = match stopped {
        Waited::Ended(crate::kernel::Ending::Exited(NO_EXEC)) => {
            return Ok(Seen::NotShown("its program can't be executed".into()));
        }
        Waited::Ended(crate::kernel::Ending::Exited(errno)) => {
            return Err(Failure::new("ptrace", Errno(errno)));
        }
        Waited::Ended(_) => return Ok(Seen::Cut("its sibling was killed".into())),
        // Exec stops it with SIGTRAP. Any other was sent, maybe before it was traced.
        Waited::Stopped(signal) if signal != crate::kernel::signal::TRAP => {
            return Ok(Seen::Cut("its sibling was stopped".into()));
        }
        // A traced process that is stopped takes no SIGKILL (tdsendsignal in sys/kern/kern_sig.c): it goes
        // with its tracer, which ends after this.
        Waited::Stopped(_) => kernel.ptrace_read(sibling),
    };
    seen?;
    open("the memory of a process of the same user")
}

/// No errno.
const NO_EXEC: i32 = 126;

/// W^X begins at exec, which we don't come to; and a kernel may take the order and do nothing
/// (HardenedBSD's). Where it was asked for, only a program that runs can tell.
pub fn write_and_execute<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    if target.child.procctl.contains(&Procctl::NoWxMap) {
        let why = "wxmap = \"disable\" holds from the program's exec on, and the kernel said that it will";
        return Ok(Seen::NotShown(why.to_string()));
    }
    kernel.mmap(1 << 16, Memory::WritableCode)?;
    open("mmap(2)")
}

pub fn process_limit<K: Kernel>(kernel: &mut K, target: &Target) -> Tried {
    let limit = target
        .most_processes
        .map_or(PROCESSES_WITHOUT_LIMIT, |most| most.saturating_add(1));
    let (reader, writer) = kernel.pipe()?;
    let mut outcome = Ok(());
    let mut made = 0;
    while made < limit.min(MOST_PROCESSES) && outcome.is_ok() {
        // Each waits for the end of the pipe, and then they all end.
        outcome = kernel
            .fork(move |kernel| {
                let _ = kernel.close(writer);
                let _ = kernel.read(reader, &mut [0]);
                Err(0)
            })
            .map(drop);
        made += 1;
    }
    kernel.close(writer)?;
    while let Ok(Some(_)) = kernel.waitpid(None, true) {}
    match outcome {
        Err(failure) if target.most_processes.is_none() => return Ok(unlimited(&failure)),
        outcome => outcome?,
    }
    open(format!("{made} processes more"))
}

/// Never touched, so that it takes nothing from the host.
pub fn memory_limit<K: Attack>(kernel: &mut K, target: &Target) -> Tried {
    let limit = target
        .most_memory
        .map_or(MEMORY_WITHOUT_LIMIT, |most| most.saturating_add(PIECE));
    let mut mapped = 0;
    while mapped < limit.min(MOST_MEMORY) {
        match kernel.mmap(PIECE, Memory::Data) {
            Err(failure) if target.most_memory.is_none() => return Ok(unlimited(&failure)),
            outcome => outcome?,
        }
        mapped += PIECE;
    }
    open(format!("{} MiB", mapped >> 20))
}

/// Other processes of the same user have what the host gives them all.
fn unlimited(failure: &Failure) -> Seen {
    Seen::Cut(format!("no limit is known, and yet: {failure}"))
}
