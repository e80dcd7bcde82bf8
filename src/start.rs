//! The first acts of the process: what a caller may have left set is taken back, who called is
//! recorded, and then we are root in every respect. Nothing of the caller's is read after this but
//! words that were copied here.

use crate::error::Error;
use crate::kernel::{
    At, Errno, Failure, Fd, FileKind, Ids, Kernel, Limit, Open, Rlimit, UNLIMITED,
};
use crate::permit::Caller;

/// The number that the status descriptor is moved to, and the highest that we keep.
pub const STATUS: Fd = Fd(3);

/// What was found at the start.
#[derive(Clone, Debug)]
pub struct Started {
    pub caller: Caller,
    /// Which of 0, 1 and 2 are terminals.
    pub terminals: [bool; 3],
    /// Which are local sockets.
    pub sockets: [bool; 3],
    /// Where `--status-fd` lines go.
    pub status: Option<Fd>,
}

/// Scrubs, records the caller, then takes root. While the real uid is the caller's, the caller may
/// send us SIGKILL at a moment of his choice (cr_cansignal, sys/kern/kern_prot.c): nothing has been
/// done by then that would have to be taken back.
pub fn take_root<K: Kernel>(kernel: &mut K, status: Option<Fd>) -> Result<Started, Error> {
    let step = |failure| Error::step("start", failure);
    let uids = kernel.getresuid().map_err(step)?;
    if uids.effective != 0 {
        return Err(Error::Refused(
            "not root: jailrun must be set-user-ID root, on a file system without nosuid"
                .to_string(),
        ));
    }
    let status = keep_status(kernel, status)?;
    kernel.clear_environment();
    let caller = caller(kernel, uids.real).map_err(step)?;
    kernel.setresgid(Ids::all(0)).map_err(step)?;
    kernel.setresuid(Ids::all(0)).map_err(step)?;
    kernel.umask(0o022);
    kernel.chdir("/").map_err(step)?;
    kernel.clear_timers().map_err(step)?;
    kernel.block_signals().map_err(step)?;
    limits(kernel).map_err(step)?;
    let (terminals, sockets) = standard_descriptors(kernel)?;
    right_system(kernel)?;
    let name = kernel
        .getpwuid(caller.uid)
        .map_err(step)?
        .map_or_else(String::new, |user| user.name);
    Ok(Started {
        caller: Caller { name, ..caller },
        terminals,
        sockets,
        status,
    })
}

fn caller<K: Kernel>(kernel: &mut K, uid: u32) -> Result<Caller, Failure> {
    Ok(Caller {
        uid,
        gid: kernel.getresgid()?.real,
        groups: kernel.getgroups()?,
        name: String::new(),
    })
}

/// Moves the status descriptor to a number of ours and closes everything above it: what the caller
/// left open is neither ours nor the service's.
fn keep_status<K: Kernel>(kernel: &mut K, status: Option<Fd>) -> Result<Option<Fd>, Error> {
    let Some(given) = status else {
        kernel.closefrom(STATUS.0);
        return Ok(None);
    };
    let wrong = |why: &str| Error::Usage(format!("--status-fd {}: {why}", given.0));
    let stat = kernel.fstat(given).map_err(|_| wrong("is not open"))?;
    if !matches!(stat.kind, FileKind::Fifo | FileKind::Socket) {
        return Err(wrong("is neither a pipe nor a socket"));
    }
    kernel
        .dup2(given, STATUS, false)
        .map_err(|failure| Error::step("keep the status descriptor", failure))?;
    kernel.closefrom(STATUS.0 + 1);
    Ok(Some(STATUS))
}

/// Small limits of the caller's would break a launch, or its undoing, half-way. The service's own are
/// set in the child.
fn limits<K: Kernel>(kernel: &mut K) -> Result<(), Failure> {
    for limit in Limit::ALL {
        let most = match limit {
            Limit::Coredumpsize => 0,
            _ => UNLIMITED,
        };
        kernel.setrlimit(limit, Rlimit::both(most))?;
    }
    // Locks that others wait for are held meanwhile: not at a pace of the caller's.
    kernel.rtprio_normal()?;
    kernel.setpriority(0)?;
    kernel.cpuset_root()
}

/// A directory on 0 to 2 would make jail_attach(2) fail after half of the launch; a closed one would
/// let the next file that we open become the service's output. Which of them are terminals, and which are
/// local sockets: over one, whoever has the other end could hand a directory of the host into the jail
/// (SCM_RIGHTS). Root's may be a stranger's too, where sudo(8) or the like hands them on.
fn standard_descriptors<K: Kernel>(kernel: &mut K) -> Result<([bool; 3], [bool; 3]), Error> {
    let (mut terminals, mut sockets) = ([false; 3], [false; 3]);
    for (number, name) in ["input", "output", "error"].iter().enumerate() {
        let fd = Fd(i32::try_from(number).unwrap_or(0));
        let step = |failure| Error::step(format!("look at standard {name}"), failure);
        let stat = match kernel.fstat(fd) {
            Err(failure) if failure.errno == Errno::EBADF => {
                let opened = kernel.openat(At::Cwd, "/dev/null", Open::Device);
                let opened = opened.map_err(step)?;
                if opened != fd {
                    return Err(step(Failure::new("open", Errno::EBADF)));
                }
                kernel.dup2(opened, fd, true).map_err(step)?;
                kernel.fstat(fd).map_err(step)?
            }
            other => other.map_err(step)?,
        };
        if stat.kind == FileKind::Directory {
            return Err(Error::Usage(format!("standard {name} is a directory")));
        }
        if let Some(socket) = sockets.get_mut(number) {
            *socket = stat.kind == FileKind::Socket && kernel.is_local_socket(fd);
        }
        if let Some(terminal) = terminals.get_mut(number) {
            *terminal = kernel.isatty(fd);
        }
    }
    Ok((terminals, sockets))
}

fn right_system<K: Kernel>(kernel: &mut K) -> Result<(), Error> {
    let step = |failure| Error::step("ask which system this is", failure);
    if kernel.sysctl_int("security.jail.jailed").map_err(step)? != 0 {
        return Err(Error::Unavailable(
            "jailrun can't run inside a jail".to_string(),
        ));
    }
    let release = kernel.sysctl_int("kern.osreldate").map_err(step)?;
    if release < 1_500_000 {
        return Err(Error::Unavailable(
            "jailrun needs FreeBSD 15.0 or later: older kernels have no owning jail descriptors"
                .to_string(),
        ));
    }
    Ok(())
}
