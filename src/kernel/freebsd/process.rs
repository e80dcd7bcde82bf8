//! Processes: who we are, fork and wait, credentials, limits, execve. Signals and events: event.rs.

use std::ffi::{CString, c_char, c_int};

use super::wire::{c_string, checked, last};
use crate::kernel::{
    Descendant, Ending, Errno, Failure, Ids, JailId, Limit, Outcome, Pid, Procctl, ProcessInfo,
    Rlimit, Waited,
};

const SYS_SETFIB: c_int = 175;
const SYS_SETLOGINCLASS: c_int = 524;
/// sys/sys/procctl.h.
const PROC_LOGSIGEXIT_CTL: c_int = 23;
const PROC_REAP_GETPIDS: c_int = 5;

pub fn getresuid() -> Outcome<Ids> {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: three live ids to write to.
    let result = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    checked("getresuid", result).map(|_| Ids {
        real,
        effective,
        saved,
    })
}

pub fn getresgid() -> Outcome<Ids> {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: three live ids to write to.
    let result = unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
    checked("getresgid", result).map(|_| Ids {
        real,
        effective,
        saved,
    })
}

pub fn getgroups() -> Outcome<Vec<u32>> {
    // SAFETY: with a length of 0 the call counts, and writes nothing.
    let count = checked("getgroups", unsafe {
        libc::getgroups(0, std::ptr::null_mut())
    })?;
    let mut groups = vec![0; count as usize];
    // SAFETY: `groups` is room for `count` ids. Only this process could give itself more meanwhile.
    let filled = checked("getgroups", unsafe {
        libc::getgroups(count, groups.as_mut_ptr())
    })?;
    groups.truncate(filled as usize);
    Ok(groups)
}

pub fn clear_environment() {
    for (name, _) in std::env::vars_os() {
        let Ok(name) = CString::new(name.into_encoded_bytes()) else {
            continue;
        };
        // SAFETY: `name` is NUL-terminated; this program has one thread, and nothing of it holds a
        // pointer into the environment.
        unsafe { libc::unsetenv(name.as_ptr()) };
    }
}

pub fn getpid() -> Pid {
    // SAFETY: no arguments, and it can't fail.
    Pid(unsafe { libc::getpid() })
}

pub fn sysctl_int(name: &str) -> Outcome<i64> {
    let bytes = sysctl(name, 8)?;
    match *bytes.as_slice() {
        [a, b, c, d] => Ok(i64::from(i32::from_ne_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Ok(i64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        [byte] => Ok(i64::from(byte)),
        _ => Err(Failure::new("sysctlbyname", Errno::EINVAL)),
    }
}

pub fn sysctl_text(name: &str) -> Outcome<String> {
    sysctl(name, 4096).map(|bytes| super::wire::text_of(&bytes))
}

pub fn boot_id() -> Outcome<String> {
    let bytes = sysctl("kern.boot_id", 16)?;
    match bytes.len() {
        16 => Ok(super::wire::hexadecimal(&bytes)),
        _ => Err(Failure::new("sysctlbyname", Errno::EINVAL)),
    }
}

/// ENOMEM for a value longer than `room`.
fn sysctl(name: &str, room: usize) -> Outcome<Vec<u8>> {
    let name = c_string("sysctlbyname", name)?;
    let mut bytes = vec![0_u8; room];
    let mut length = room;
    let (value, nothing) = (bytes.as_mut_ptr().cast(), std::ptr::null());
    // SAFETY: `name` is NUL-terminated; `value` is writable for `length` bytes, and the kernel lowers
    // `length` to what it wrote. No new value is given.
    let result = unsafe { libc::sysctlbyname(name.as_ptr(), value, &raw mut length, nothing, 0) };
    checked("sysctlbyname", result)?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The pid in the parent, `None` in the child.
pub fn fork() -> Outcome<Option<Pid>> {
    // SAFETY: this program has one thread, so the child's copy of memory is whole and no lock is held
    // by a thread that it lacks.
    match checked("fork", unsafe { libc::fork() })? {
        0 => Ok(None),
        pid => Ok(Some(Pid(pid))),
    }
}

/// Without atexit(3)'s handlers and destructors: those are the parent's to run.
pub fn exit(status: i32) -> ! {
    // SAFETY: an integer, and it doesn't return.
    unsafe { libc::_exit(status) }
}

pub fn waitpid(pid: Option<Pid>, block: bool) -> Outcome<Option<(Pid, Ending)>> {
    let whom = pid.map_or(-1, |pid| pid.0);
    let flags = if block { 0 } else { libc::WNOHANG };
    let mut status = 0;
    loop {
        // SAFETY: `status` is a live int; a null rusage is allowed.
        let found = unsafe { libc::wait4(whom, &raw mut status, flags, std::ptr::null_mut()) };
        match checked("wait4", found) {
            Err(failure) if failure.errno == Errno::EINTR => {}
            Err(failure) => return Err(failure),
            Ok(0) => return Ok(None),
            Ok(found) => return Ok(Some((Pid(found), ending_of(status)))),
        }
    }
}

pub fn waitpid_untraced() -> Outcome<Option<(Pid, Waited)>> {
    let flags = libc::WNOHANG | libc::WUNTRACED;
    let mut status = 0;
    // SAFETY: `status` is a live int; a null rusage is allowed. With WNOHANG it never waits, so EINTR
    // doesn't come.
    let found = unsafe { libc::wait4(-1, &raw mut status, flags, std::ptr::null_mut()) };
    match checked("wait4", found)? {
        0 => Ok(None),
        found if libc::WIFSTOPPED(status) => {
            let signal = libc::WSTOPSIG(status);
            Ok(Some((Pid(found), Waited::Stopped(signal))))
        }
        found => Ok(Some((Pid(found), Waited::Ended(ending_of(status))))),
    }
}

/// Stopped children aren't reported without WUNTRACED, so a status is an exit or a signal.
fn ending_of(status: c_int) -> Ending {
    if libc::WIFEXITED(status) {
        Ending::Exited(libc::WEXITSTATUS(status))
    } else {
        Ending::Signalled(libc::WTERMSIG(status))
    }
}

pub fn kill(pid: Pid, signal: i32) -> Outcome<()> {
    // SAFETY: integers only.
    checked("kill", unsafe { libc::kill(pid.0, signal) }).map(drop)
}

pub fn setsid() -> Outcome<()> {
    // SAFETY: no arguments.
    checked("setsid", unsafe { libc::setsid() }).map(drop)
}

pub fn setgroups(groups: &[u32]) -> Outcome<()> {
    let too_many = |_| Failure::new("setgroups", Errno::EINVAL);
    let count = c_int::try_from(groups.len()).map_err(too_many)?;
    // SAFETY: `groups` holds `count` ids.
    checked("setgroups", unsafe {
        libc::setgroups(count, groups.as_ptr())
    })
    .map(drop)
}

pub fn setresgid(ids: Ids) -> Outcome<()> {
    // SAFETY: integers only.
    checked("setresgid", unsafe {
        libc::setresgid(ids.real, ids.effective, ids.saved)
    })
    .map(drop)
}

pub fn setresuid(ids: Ids) -> Outcome<()> {
    // SAFETY: integers only.
    checked("setresuid", unsafe {
        libc::setresuid(ids.real, ids.effective, ids.saved)
    })
    .map(drop)
}

pub fn setlogin(name: &str) -> Outcome<()> {
    let name = c_string("setlogin", name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    checked("setlogin", unsafe { libc::setlogin(name.as_ptr()) }).map(drop)
}

pub fn setpriority(nice: i32) -> Outcome<()> {
    // SAFETY: integers only; 0 names this process.
    checked("setpriority", unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, nice)
    })
    .map(drop)
}

pub fn setfib(fib: i32) -> Outcome<()> {
    // SAFETY: setfib(2) takes one int.
    checked("setfib", unsafe { libc::syscall(SYS_SETFIB, fib) } as c_int).map(drop)
}

pub fn setloginclass(name: &str) -> Outcome<()> {
    const CALL: &str = "setloginclass";
    let name = c_string(CALL, name)?;
    // SAFETY: setloginclass(2) takes one string, NUL-terminated here, which outlives the call.
    let result = unsafe { libc::syscall(SYS_SETLOGINCLASS, name.as_ptr()) };
    checked(CALL, result as c_int).map(drop)
}

pub fn setrlimit(limit: Limit, amount: Rlimit) -> Outcome<()> {
    let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
    let both = libc::rlimit {
        rlim_cur: number(amount.soft),
        rlim_max: number(amount.hard),
    };
    // SAFETY: `both` is a live struct rlimit, which the kernel reads.
    let result = unsafe { libc::setrlimit(limit_number(limit), &raw const both) };
    checked("setrlimit", result)
        .map(drop)
        .map_err(|failure| match failure.errno {
            // The kernel's only EINVAL here is for a number that it doesn't know.
            Errno::EINVAL => Failure {
                errno: Errno::ENOSYS,
                ..failure
            },
            _ => failure,
        })
}

pub fn getrlimit(limit: Limit) -> Outcome<Rlimit> {
    let mut both = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `both` is a live struct rlimit, which the kernel writes.
    let result = unsafe { libc::getrlimit(limit_number(limit), &raw mut both) };
    checked("getrlimit", result)?;
    let number = |value| u64::try_from(value).unwrap_or(0);
    Ok(Rlimit {
        soft: number(both.rlim_cur),
        hard: number(both.rlim_max),
    })
}

/// sys/sys/resource.h.
fn limit_number(limit: Limit) -> c_int {
    match limit {
        Limit::Cputime => 0,
        Limit::Filesize => 1,
        Limit::Datasize => 2,
        Limit::Stacksize => 3,
        Limit::Coredumpsize => 4,
        Limit::Memoryuse => 5,
        Limit::Memorylocked => 6,
        Limit::Maxproc => 7,
        Limit::Openfiles => 8,
        Limit::Sbsize => 9,
        Limit::Vmemoryuse => 10,
        Limit::Pseudoterminals => 11,
        Limit::Swapuse => 12,
        Limit::Kqueues => 13,
        Limit::Umtxp => 14,
        Limit::Pipebuf => 15,
    }
}

/// The command, and what it is given (sys/sys/procctl.h). The matching status is the next command.
fn procctl_words(control: Procctl) -> (c_int, c_int) {
    const TRACE_CTL_DISABLE_EXEC: c_int = 3;
    const WX_MAPPINGS_DISALLOW_EXEC: c_int = 2;
    match control {
        Procctl::NoNewPrivs => (libc::PROC_NO_NEW_PRIVS_CTL, 1),
        Procctl::NoTrace => (libc::PROC_TRACE_CTL, TRACE_CTL_DISABLE_EXEC),
        Procctl::Aslr => (libc::PROC_ASLR_CTL, 1),
        Procctl::Protmax => (libc::PROC_PROTMAX_CTL, 1),
        Procctl::NoWxMap => (libc::PROC_WXMAP_CTL, WX_MAPPINGS_DISALLOW_EXEC),
        Procctl::TrapCap => (libc::PROC_TRAPCAP_CTL, 1),
        Procctl::LogSigExit => (PROC_LOGSIGEXIT_CTL, 2),
    }
}

/// What takes the control back: PROC_ASLR_NOFORCE and its kin, and for wxmap PROC_WX_MAPPINGS_PERMIT.
/// No new privileges can't be taken back, but then a set-user-ID start isn't one either.
fn procctl_defaults(control: Procctl) -> c_int {
    match control {
        Procctl::Aslr | Procctl::Protmax => 3,
        Procctl::NoTrace | Procctl::NoWxMap | Procctl::LogSigExit => 1,
        Procctl::TrapCap => 2,
        Procctl::NoNewPrivs => 0,
    }
}

pub fn procctl_default(control: Procctl) -> Outcome<()> {
    let mut value = procctl_defaults(control);
    procctl_self(procctl_words(control).0, &mut value)
}

pub fn rtprio_normal() -> Outcome<()> {
    let mut normal = libc::rtprio {
        type_: libc::RTP_PRIO_NORMAL,
        prio: 0,
    };
    // SAFETY: `normal` is a live struct rtprio, which the kernel reads; 0 is us.
    let result = unsafe { libc::rtprio(libc::RTP_SET, 0, &raw mut normal) };
    checked("rtprio", result).map(drop)
}

pub fn cpuset_root() -> Outcome<()> {
    let mut root = 0;
    let (level, which) = (libc::CPU_LEVEL_ROOT, libc::CPU_WHICH_PID);
    // SAFETY: `root` is a live id to write to; -1 is us.
    let result = unsafe { libc::cpuset_getid(level, which, -1, &raw mut root) };
    checked("cpuset_getid", result)?;
    // SAFETY: integers only.
    checked("cpuset_setid", unsafe {
        libc::cpuset_setid(which, -1, root)
    })?;
    // A mask of the process's own outlives its set (cpuset_setproc in sys/kern/kern_cpuset.c).
    let mut all = std::mem::MaybeUninit::<libc::cpuset_t>::zeroed();
    let size = std::mem::size_of::<libc::cpuset_t>();
    // SAFETY: `all` is room for one mask of `size` bytes, which the kernel writes; -1 is us.
    let result = unsafe { libc::cpuset_getaffinity(level, which, -1, size, all.as_mut_ptr()) };
    checked("cpuset_getaffinity", result)?;
    // SAFETY: `all` holds `size` bytes that the kernel has filled; -1 is us.
    let result =
        unsafe { libc::cpuset_setaffinity(libc::CPU_LEVEL_WHICH, which, -1, size, all.as_ptr()) };
    checked("cpuset_setaffinity", result).map(drop)
}

pub fn procctl(control: Procctl) -> Outcome<()> {
    let (command, mut value) = procctl_words(control);
    procctl_self(command, &mut value)
}

pub fn procctl_status(control: Procctl) -> Outcome<bool> {
    const WXORX_ENFORCE: c_int = c_int::MIN;
    const ACTIVE: c_int = c_int::MIN;
    let mut status = 0;
    procctl_self(procctl_words(control).0 + 1, &mut status)?;
    Ok(match control {
        Procctl::NoNewPrivs => status == 1,
        // 0 is traceable, a positive number the tracer's pid.
        Procctl::NoTrace => status == -1,
        Procctl::Aslr | Procctl::Protmax => status & !ACTIVE == 1,
        Procctl::NoWxMap => status & (WXORX_ENFORCE | 2) != 0,
        Procctl::TrapCap => status == 1,
        Procctl::LogSigExit => status == 2,
    })
}

fn procctl_self(command: c_int, value: &mut c_int) -> Outcome<()> {
    let value: *mut c_int = value;
    // SAFETY: every command of `procctl_words`, and its status, takes a pointer to one int; 0 is us.
    let result = unsafe { libc::procctl(libc::P_PID, 0, command, value.cast()) };
    checked("procctl", result).map(drop)
}

pub fn procctl_reap_acquire() -> Outcome<()> {
    let nothing = std::ptr::null_mut();
    // SAFETY: PROC_REAP_ACQUIRE takes no argument, and says so by null; 0 is us.
    let result = unsafe { libc::procctl(libc::P_PID, 0, libc::PROC_REAP_ACQUIRE, nothing) };
    checked("procctl", result).map(drop)
}

/// struct procctl_reaper_pidinfo and procctl_reaper_pids (sys/sys/procctl.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct PidInfo {
    pid: libc::pid_t,
    subtree: libc::pid_t,
    flags: u32,
    padding: [u32; 15],
}

#[repr(C)]
struct Pids {
    count: u32,
    padding: [u32; 15],
    pids: *mut PidInfo,
}

const _: () = assert!(std::mem::size_of::<PidInfo>() == 72 && std::mem::size_of::<Pids>() == 72);

pub fn procctl_reap_getpids() -> Outcome<Vec<Descendant>> {
    const VALID: u32 = 1;
    const CHILD: u32 = 2;
    const ENDING: u32 = 8 | 0x20;
    const MOST: usize = 4096;
    let empty = PidInfo {
        pid: 0,
        subtree: 0,
        flags: 0,
        padding: [0; 15],
    };
    let mut found = vec![empty; MOST];
    let mut request = Pids {
        count: MOST as u32,
        padding: [0; 15],
        pids: found.as_mut_ptr(),
    };
    let argument = (&raw mut request).cast();
    // SAFETY: `request` points to room for `count` entries, which the kernel fills up to that many and
    // marks as valid; 0 is us.
    let result = unsafe { libc::procctl(libc::P_PID, 0, PROC_REAP_GETPIDS, argument) };
    checked("procctl", result)?;
    Ok(found
        .iter()
        .take_while(|entry| entry.flags & VALID != 0)
        .map(|entry| Descendant {
            pid: Pid(entry.pid),
            is_child: entry.flags & CHILD != 0,
            is_ending: entry.flags & ENDING != 0,
        })
        .collect())
}

pub fn process_info(pid: Pid) -> Outcome<Option<ProcessInfo>> {
    Ok(kinfo(pid)?.map(|found| ProcessInfo {
        jail: JailId(found.ki_jid),
        started_us: found.ki_start.tv_sec * 1_000_000 + found.ki_start.tv_usec,
    }))
}

/// What the kernel says of this process.
pub(super) fn own() -> Outcome<libc::kinfo_proc> {
    kinfo(getpid())?.ok_or(Failure::new("sysctl", Errno::ESRCH))
}

/// sysctl(3) kern.proc.pid; `None` where there is no such process.
pub fn kinfo(pid: Pid) -> Outcome<Option<libc::kinfo_proc>> {
    let name = [libc::CTL_KERN, libc::KERN_PROC, libc::KERN_PROC_PID, pid.0];
    let mut found = std::mem::MaybeUninit::<libc::kinfo_proc>::zeroed();
    let mut length = std::mem::size_of::<libc::kinfo_proc>();
    let (room, nothing) = (found.as_mut_ptr().cast(), std::ptr::null());
    // SAFETY: `name` holds four numbers, `room` is one struct kinfo_proc of `length` bytes, and no new
    // value is given.
    let result = unsafe { libc::sysctl(name.as_ptr(), 4, room, &raw mut length, nothing, 0) };
    match checked("sysctl", result) {
        Err(failure) if failure.errno == Errno::ESRCH => return Ok(None),
        Err(failure) => return Err(failure),
        Ok(_) if length == 0 => return Ok(None),
        Ok(_) => {}
    }
    // SAFETY: struct kinfo_proc is integers, arrays and pointers, zeroed before the kernel filled it.
    Ok(Some(unsafe { found.assume_init() }))
}

pub fn execve(
    program: &str,
    arguments: &[String],
    environment: &[String],
) -> Outcome<std::convert::Infallible> {
    let program = c_string("execve", program)?;
    let strings = |texts: &[String]| -> Outcome<Vec<CString>> {
        texts.iter().map(|text| c_string("execve", text)).collect()
    };
    let (arguments, environment) = (strings(arguments)?, strings(environment)?);
    let (argv, envp) = (pointers(&arguments), pointers(&environment));
    // SAFETY: all three hold NUL-terminated strings that outlive the call, and both arrays end in null.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    Err(last("execve"))
}

pub(super) fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
