//! The attempts, as data: what each tries, the errnos of a refusal, what it means when it works, and
//! which line of a profile closes it.

use super::{Seen, Target, Tried, capability, files, network, privileges, processes, written};
use crate::kernel::Errno;
use crate::kernel::attack::Attack;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// As `attest_open` names it.
    pub name: &'static str,
    pub tries: &'static str,
    /// How a kernel refuses it.
    pub refusals: &'static [Errno],
    /// How a kernel answers that would have let us: what was asked for is absent on purpose.
    pub consents: &'static [Errno],
    /// What an intruder gains.
    pub hole: &'static str,
    pub closes: &'static str,
    /// Why no jail and no setting of a host opens it: it is seen open out of a jail only.
    pub never: Option<&'static str>,
}

const NO_LINE: &str = "no line of a profile: this is the kernel's to refuse";
const ENFORCE: &str = "[capsicum]: mode = \"enforce\"";
/// prison_priv_check in sys/kern/kern_jail.c.
const NO_PRIVILEGE: &str = "no jail has the privilege, whatever it is allowed";
const ROOT_OF_A_JAIL: &str =
    "\"..\" ends at the root of the jail, whatever the process made its own";
const ANOTHER_JAIL: &str = "a jail has to do with itself and its own children alone";
const NO_MODE: &str = "a service is in capability mode or not: where it isn't, this isn't attested";
const NO_ROOT: &str = "user: one other than root; allow without \"suser\"";

macro_rules! attempts {
    ($(
        $name:literal, $tries:literal, [$($refusal:ident)*], [$($consent:ident)*],
        $hole:literal, $closes:expr $(, never $never:expr)?;
    )*) => {
        /// Every attempt, in the order in which they are made.
        pub const ATTEMPTS: &[Attempt] = &[$(Attempt {
            name: $name,
            tries: $tries,
            refusals: &[$(Errno::$refusal),*],
            consents: &[$(Errno::$consent),*],
            hole: $hole,
            closes: $closes,
            never: attempts!(@never $($never)?),
        }),*];
    };
    (@never) => { None };
    (@never $never:expr) => { Some($never) };
}

attempts! {
    "password-file", "read master.passwd or spwd.db", [ENOENT EACCES], [],
        "it reads the hashes of the host's passwords", "[root]: neither /etc/master.passwd nor /etc/spwd.db";
    "above-root", "reach a file above the root by way of \"..\"", [ENOENT], [],
        "it reaches files of the host that aren't in the root", NO_LINE;
    "passed-directory", "leave by way of a directory that is passed over a socket", [], [],
        "somebody on the host can hand it the host's files",
        "no line of a profile: update the kernel (FreeBSD-SA-26:04.jail)",
        never "since FreeBSD-SA-26:04.jail the kernel marks what comes from another root";
    "hard-link", "give a file of the root another name where it writes", [EXDEV EROFS EACCES EPERM], [],
        "it keeps files of the host under names of its own", NO_LINE;
    "read-only-mounts", "write each read-only mount", [EROFS EACCES], [],
        "it changes files that the profile grants for reading only", "[root]: ro, rather than rw";
    "execute-written", "execute what it wrote itself", [EACCES], [ENOEXEC],
        "it brings programs of its own and runs them", "[root]: noexec = true for that entry of rw or tmpfs";
    "device-node", "make a device node", [EPERM], [ENOENT],
        "it makes devices of its own", NO_ROOT,
        never NO_PRIVILEGE;
    "devices", "open disks, memory and packet filters", [ENOENT EACCES EPERM], [],
        "it reads or writes the host's devices", "[root]: devices without that one";
    "chroot", "change its root", [EPERM], [],
        "it has one more way out of a root, if a directory ever leaks into it",
        "no line of a profile: security.bsd.unprivileged_chroot=0 on the host";
    "chroot-out", "leave the root by changing it below where it stands", [EPERM ENOENT], [],
        "it reaches files of the host that aren't in the root", NO_LINE, never ROOT_OF_A_JAIL;
    "mount", "mount a file system", [EPERM], [ENOENT],
        "it covers files of the root, or brings in others", NO_ROOT;
    "unmount", "unmount a file system", [EPERM], [ENOENT],
        "it uncovers what a mount hides", NO_ROOT;
    "see-mounts", "list the mounts of the host", [], [],
        "it learns where the host keeps what", "[jail]: enforce_statfs = 2";
    "leftover-descriptors", "use descriptors that somebody left open", [EBADF], [],
        "it has files or jails of its starter", NO_LINE,
        never "closefrom(2) of the way into a jail leaves none";
    "become-root", "become the superuser", [EPERM], [],
        "it is root", NO_ROOT;
    "gain-group", "gain the group wheel", [EPERM], [],
        "it reads and writes what is wheel's", "group and groups without wheel";
    "setuid-program", "run a set-user-ID program of the root", [], [],
        "it runs a program as root", "[proccontrol]: nonewprivs = \"enable\"";
    "load-module", "load a kernel module", [EPERM], [ENOENT],
        "it runs code in the kernel", NO_ROOT,
        never NO_PRIVILEGE;
    "set-sysctl", "set a variable of the kernel", [EPERM], [],
        "it changes the host's settings", NO_ROOT,
        never "only variables that are each jail's own can be set in a jail";
    "securelevel", "set the security level", [EPERM], [],
        "it changes the jail's security level", NO_ROOT;
    "message-buffer", "read the kernel's message buffer", [EPERM], [ENOMEM],
        "it reads the host's console messages", "[jail]: allow without \"read_msgbuf\"";
    "lock-memory", "lock memory", [EPERM], [EAGAIN ENOMEM],
        "it takes memory that the host can't page out", "[jail]: allow without \"mlock\"";
    "attach-jail", "enter another jail", [EPERM EINVAL], [],
        "it goes into other services", NO_ROOT,
        never ANOTHER_JAIL;
    "make-jail", "make a jail", [EPERM], [],
        "it makes jails of its own", NO_ROOT;
    "shared-memory", "find a shared memory segment of the host", [ENOSYS EINVAL], [],
        "it reads and writes shared memory of other services", "[jail]: sysvshm = \"disable\" or \"new\"";
    "see-host-process", "see a process of the host", [EPERM], [],
        "it learns what runs on the host", NO_LINE,
        never ANOTHER_JAIL;
    "signal-host-process", "signal a process of the host", [ESRCH], [EPERM],
        "it stops services of the host", NO_LINE,
        never ANOTHER_JAIL;
    "debug-sibling", "trace a process of its own user", [EPERM], [EFAULT EINVAL ENOMEM],
        "one process of the service reads the memory of another",
        "[proccontrol]: trace = \"disable\"; allow without \"unprivileged_proc_debug\"";
    "write-and-execute", "map memory that is writable and executable", [EACCES EPERM], [],
        "what it writes to memory, it can run", "[proccontrol]: wxmap = \"disable\"";
    "raw-socket", "open a raw socket", [EPERM EPROTONOSUPPORT EAFNOSUPPORT], [],
        "it forges packets", "[jail]: allow without \"raw_sockets\"; user: one other than root";
    "foreign-address", "bind an address of the host", [EADDRNOTAVAIL EPROTONOSUPPORT EAFNOSUPPORT], [],
        "it poses as other services of the host", "[jail]: ip4.addr and ip6.addr, rather than ip4 or ip6 = \"inherit\"";
    "host-loopback", "connect to the host's loopback", [ECONNREFUSED EADDRNOTAVAIL EPROTONOSUPPORT EAFNOSUPPORT], [],
        "it reaches services that listen for the host alone",
        "[jail]: ip4.addr and ip6.addr without 127.0.0.1 and ::1, and no \"inherit\"";
    "route", "change the routing table", [EPERM], [ESRCH],
        "it diverts the host's packets", NO_ROOT;
    "interface", "remove an address from an interface", [EPERM EPROTONOSUPPORT], [EADDRNOTAVAIL],
        "it changes the host's addresses", NO_ROOT,
        never "only a jail with a network stack of its own has the privilege, and there is none";
    "process-limit", "have more processes than the jail may", [EAGAIN], [],
        "it leaves the host without processes", "[rctl]: maxproc, on a kernel with kern.racct.enable=1";
    "memory-limit", "have more memory than the jail may", [ENOMEM], [],
        "it leaves the host without memory", "[rctl]: vmemoryuse, on a kernel with kern.racct.enable=1";
    "capability-path", "open a file by an absolute path, in capability mode", [], [],
        "it reaches files that it has no descriptor for", ENFORCE, never NO_MODE;
    "capability-parent", "leave the root, or write beside what it may write, by way of \"..\", in capability mode", [EROFS EACCES], [],
        "it reaches or changes files that it has no descriptor for", ENFORCE, never NO_MODE;
    "capability-rights", "give a descriptor rights that it hasn't, in capability mode", [], [],
        "it does more with what it was granted than it was granted for", ENFORCE, never NO_MODE;
    "capability-connect", "connect to an address, in capability mode", [], [ENOENT],
        "it speaks to whom it wasn't connected to", ENFORCE, never NO_MODE;
    "capability-signal", "signal another process, in capability mode", [], [],
        "it stops processes of its own jail", ENFORCE, never NO_MODE;
    "capability-sysctl", "read a setting of the host's, in capability mode", [EPERM], [],
        "it learns about the host", ENFORCE, never NO_MODE;
}

/// What capability mode alone refuses with, whatever is tried.
pub const OF_CAPABILITY_MODE: [Errno; 2] = [Errno::ECAPMODE, Errno::ENOTCAPABLE];
/// How attempts are called that only capability mode refuses.
const IN_CAPABILITY_MODE: &str = "capability-";

/// Attempts that use up what a live service needs.
pub const EXHAUSTING: [&str; 2] = ["process-limit", "memory-limit"];

impl Attempt {
    pub fn is_refused_by(&self, errno: Errno) -> bool {
        self.refusals.contains(&errno) || OF_CAPABILITY_MODE.contains(&errno)
    }
}

pub fn by_name(name: &str) -> Option<&'static Attempt> {
    ATTEMPTS.iter().find(|attempt| attempt.name == name)
}

/// Makes it, here and now: in a process that ends after it.
pub fn make<K: Attack>(kernel: &mut K, name: &str, target: &Target) -> Seen {
    if let Some(why) = kernel.cannot_show(name) {
        return Seen::NotShown(why.to_string());
    }
    if EXHAUSTING.contains(&name) && !target.is_throwaway {
        let why = "it would stop a live service: attest --throwaway";
        return Seen::NotShown(why.to_string());
    }
    if name.starts_with(IN_CAPABILITY_MODE) && !target.is_in_capability_mode() {
        let why = "the service doesn't run in capability mode";
        return Seen::NotShown(why.to_string());
    }
    tried(kernel, name, target).unwrap_or_else(Seen::Refused)
}

fn tried<K: Attack>(kernel: &mut K, name: &str, target: &Target) -> Tried {
    match name {
        "password-file" => files::password_file(kernel, target),
        "above-root" => files::above_root(kernel),
        "passed-directory" => files::passed_directory(kernel, target),
        "hard-link" => files::hard_link(kernel, target),
        "read-only-mounts" => files::read_only_mounts(kernel, target),
        "execute-written" => written::execute_written(kernel, target),
        "device-node" => files::device_node(kernel),
        "devices" => files::devices(kernel, target),
        "chroot" => files::chroot(kernel),
        "chroot-out" => files::chroot_out(kernel, target),
        "mount" => files::mount(kernel),
        "unmount" => files::unmount(kernel),
        "see-mounts" => files::see_mounts(kernel),
        "leftover-descriptors" => files::leftover_descriptors(kernel, target),
        "become-root" => privileges::become_root(kernel),
        "gain-group" => privileges::gain_group(kernel),
        "setuid-program" => privileges::setuid_program(kernel, target),
        "load-module" => privileges::load_module(kernel),
        "set-sysctl" => privileges::set_sysctl(kernel, "kern.maxfilesperproc"),
        "securelevel" => privileges::set_sysctl(kernel, "kern.securelevel"),
        "message-buffer" => privileges::message_buffer(kernel),
        "lock-memory" => privileges::lock_memory(kernel),
        "attach-jail" => privileges::attach_jail(kernel, target),
        "make-jail" => privileges::make_jail(kernel),
        "shared-memory" => privileges::shared_memory(kernel, target),
        "see-host-process" => processes::see(kernel, target),
        "signal-host-process" => processes::signal(kernel, target),
        "debug-sibling" => processes::debug_sibling(kernel, target),
        "write-and-execute" => processes::write_and_execute(kernel, target),
        "raw-socket" => network::raw_socket(kernel),
        "foreign-address" => network::foreign_address(kernel, target),
        "host-loopback" => network::host_loopback(kernel, target),
        "route" => network::route(kernel),
        "interface" => network::interface(kernel),
        "process-limit" => processes::process_limit(kernel, target),
        "memory-limit" => processes::memory_limit(kernel, target),
        "capability-path" => capability::absolute_path(kernel, target),
        "capability-parent" => capability::parent(kernel, target),
        "capability-rights" => capability::rights(kernel, target),
        "capability-connect" => capability::connect(kernel),
        "capability-signal" => capability::signal(kernel),
        "capability-sysctl" => capability::sysctl(kernel),
        _ => Ok(Seen::NotShown("there is no such attempt".to_string())),
    }
}
