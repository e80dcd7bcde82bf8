//! System calls that capability mode refuses by their number (sys/kern/syscalls.master), and what becomes of
//! them in a program that has the shim.

/// What there is against a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The shim looks the names up by descriptors.
    Names,
    /// The shim does it by other calls.
    Translated,
    /// The shim says that it was done, and does nothing: what it would change stays as it was.
    Pretended,
    /// Its address decides.
    Binds,
    Connects,
    /// There is none, since ...
    Never(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub number: u16,
    pub name: &'static str,
    /// How many names it looks up.
    pub names: u8,
    pub remedy: Remedy,
}

const fn call(number: u16, name: &'static str, names: u8, remedy: Remedy) -> Call {
    Call {
        number,
        name,
        names,
        remedy,
    }
}

const ADMINISTRATION: &str = "it administers the system, which capability mode lets nobody do";
const IPC: &str =
    "IPC of System V and POSIX has names that the whole jail shares, and no descriptors";
const OTHERS: &str =
    "it is about other processes, which capability mode reaches by process descriptors alone";
const IDENTITY: &str = "it changes what jailrun has set before the program begins";
const LABELS: &str = "attributes and lists of access are reached by descriptors alone, which the shim doesn't translate";
const HANDLES: &str = "a file handle leads around every directory";

/// Sorted by number.
const CALLS: &[Call] = &[
    call(5, "open", 1, Remedy::Names),
    call(9, "link", 2, Remedy::Names),
    call(10, "unlink", 1, Remedy::Names),
    call(12, "chdir", 1, Remedy::Names),
    call(13, "fchdir", 0, Remedy::Translated),
    call(15, "chmod", 1, Remedy::Names),
    call(16, "chown", 1, Remedy::Names),
    call(21, "mount", 0, Remedy::Never(ADMINISTRATION)),
    call(22, "unmount", 0, Remedy::Never(ADMINISTRATION)),
    call(26, "ptrace", 0, Remedy::Never(OTHERS)),
    call(28, "sendmsg", 0, Remedy::Connects),
    call(33, "access", 1, Remedy::Names),
    call(34, "chflags", 1, Remedy::Names),
    call(45, "ktrace", 0, Remedy::Never(OTHERS)),
    call(50, "setlogin", 0, Remedy::Pretended),
    call(51, "acct", 0, Remedy::Never(ADMINISTRATION)),
    call(55, "reboot", 0, Remedy::Never(ADMINISTRATION)),
    call(
        56,
        "revoke",
        1,
        Remedy::Never("nothing revokes by descriptor"),
    ),
    call(57, "symlink", 1, Remedy::Names),
    call(58, "readlink", 1, Remedy::Names),
    call(59, "execve", 1, Remedy::Names),
    call(61, "chroot", 1, Remedy::Never(ADMINISTRATION)),
    call(80, "setgroups", 0, Remedy::Pretended),
    call(82, "setpgid", 0, Remedy::Pretended),
    call(98, "connect", 0, Remedy::Connects),
    call(104, "bind", 0, Remedy::Binds),
    call(122, "settimeofday", 0, Remedy::Never(ADMINISTRATION)),
    call(128, "rename", 2, Remedy::Names),
    call(132, "mkfifo", 1, Remedy::Names),
    call(133, "sendto", 0, Remedy::Connects),
    call(136, "mkdir", 1, Remedy::Names),
    call(137, "rmdir", 1, Remedy::Names),
    call(138, "utimes", 1, Remedy::Names),
    call(140, "adjtime", 0, Remedy::Never(ADMINISTRATION)),
    call(161, "getfh", 1, Remedy::Never(HANDLES)),
    call(175, "setfib", 0, Remedy::Never(IDENTITY)),
    call(191, "pathconf", 1, Remedy::Names),
    call(221, "semget", 0, Remedy::Never(IPC)),
    call(222, "semop", 0, Remedy::Never(IPC)),
    call(225, "msgget", 0, Remedy::Never(IPC)),
    call(226, "msgsnd", 0, Remedy::Never(IPC)),
    call(227, "msgrcv", 0, Remedy::Never(IPC)),
    call(228, "shmat", 0, Remedy::Never(IPC)),
    call(230, "shmdt", 0, Remedy::Never(IPC)),
    call(231, "shmget", 0, Remedy::Never(IPC)),
    call(233, "clock_settime", 0, Remedy::Never(ADMINISTRATION)),
    call(247, "clock_getcpuclockid2", 0, Remedy::Never(OTHERS)),
    call(254, "lchown", 1, Remedy::Names),
    call(276, "lutimes", 1, Remedy::Names),
    call(298, "fhopen", 0, Remedy::Never(HANDLES)),
    call(301, "modstat", 0, Remedy::Never(ADMINISTRATION)),
    call(303, "modfind", 0, Remedy::Never(ADMINISTRATION)),
    call(304, "kldload", 0, Remedy::Never(ADMINISTRATION)),
    call(326, "__getcwd", 0, Remedy::Translated),
    call(338, "jail", 0, Remedy::Never(ADMINISTRATION)),
    call(347, "__acl_get_file", 1, Remedy::Never(LABELS)),
    call(348, "__acl_set_file", 1, Remedy::Never(LABELS)),
    call(356, "extattr_set_file", 1, Remedy::Never(LABELS)),
    call(357, "extattr_get_file", 1, Remedy::Never(LABELS)),
    call(376, "eaccess", 1, Remedy::Names),
    call(378, "nmount", 0, Remedy::Never(ADMINISTRATION)),
    call(390, "kenv", 0, Remedy::Never(ADMINISTRATION)),
    call(391, "lchflags", 1, Remedy::Names),
    call(404, "ksem_init", 0, Remedy::Never(IPC)),
    call(405, "ksem_open", 0, Remedy::Never(IPC)),
    call(425, "__acl_get_link", 1, Remedy::Never(LABELS)),
    call(436, "jail_attach", 0, Remedy::Never(ADMINISTRATION)),
    call(438, "extattr_list_file", 1, Remedy::Never(LABELS)),
    call(457, "kmq_open", 0, Remedy::Never(IPC)),
    call(479, "truncate", 1, Remedy::Names),
    call(481, "thr_kill2", 0, Remedy::Never(OTHERS)),
    call(483, "shm_unlink", 0, Remedy::Never(IPC)),
    call(484, "cpuset", 0, Remedy::Never(IDENTITY)),
    call(485, "cpuset_setid", 0, Remedy::Never(IDENTITY)),
    call(486, "cpuset_getid", 0, Remedy::Never(OTHERS)),
    call(
        504,
        "posix_openpt",
        0,
        Remedy::Never("terminals are made by name"),
    ),
    call(506, "jail_get", 0, Remedy::Never(ADMINISTRATION)),
    call(507, "jail_set", 0, Remedy::Never(ADMINISTRATION)),
    call(508, "jail_remove", 0, Remedy::Never(ADMINISTRATION)),
    call(510, "__semctl", 0, Remedy::Never(IPC)),
    call(511, "msgctl", 0, Remedy::Never(IPC)),
    call(512, "shmctl", 0, Remedy::Never(IPC)),
    call(513, "lpathconf", 1, Remedy::Names),
    call(524, "setloginclass", 0, Remedy::Pretended),
    call(525, "rctl_get_racct", 0, Remedy::Never(ADMINISTRATION)),
    call(532, "wait6", 0, Remedy::Translated),
    call(538, "bindat", 0, Remedy::Binds),
    call(539, "connectat", 0, Remedy::Connects),
    call(544, "procctl", 0, Remedy::Never(IDENTITY)),
    call(555, "statfs", 1, Remedy::Names),
    call(
        557,
        "getfsstat",
        0,
        Remedy::Never("the table of mounts has no descriptor"),
    ),
    call(572, "shm_rename", 0, Remedy::Never(IPC)),
    call(574, "__realpathat", 1, Remedy::Names),
    call(588, "kcmp", 0, Remedy::Never(OTHERS)),
    call(590, "fchroot", 0, Remedy::Never(ADMINISTRATION)),
    call(596, "setgroups", 0, Remedy::Pretended),
];

/// Allowed in capability mode, but not for every argument.
const ALLOWED: &[(u16, &str)] = &[
    (37, "kill"),
    (54, "ioctl"),
    (92, "fcntl"),
    (97, "socket"),
    (165, "sysarch"),
    (456, "sigqueue"),
    (487, "cpuset_getaffinity"),
    (488, "cpuset_setaffinity"),
    (489, "faccessat"),
    (490, "fchmodat"),
    (491, "fchownat"),
    (492, "fexecve"),
    (494, "futimesat"),
    (495, "linkat"),
    (496, "mkdirat"),
    (497, "mkfifoat"),
    (499, "openat"),
    (500, "readlinkat"),
    (501, "renameat"),
    (502, "symlinkat"),
    (503, "unlinkat"),
    (540, "chflagsat"),
    (547, "utimensat"),
    (552, "fstatat"),
    (559, "mknodat"),
    (568, "funlinkat"),
    (571, "shm_open2"),
];

pub fn known(number: u16) -> Option<&'static Call> {
    let found = CALLS.binary_search_by_key(&number, |call| call.number);
    found.ok().and_then(|index| CALLS.get(index))
}

pub fn name(number: u16) -> String {
    let allowed = ALLOWED.iter().find(|(known, _)| *known == number);
    match (known(number), allowed) {
        (Some(call), _) => call.name.to_string(),
        (None, Some((_, name))) => (*name).to_string(),
        (None, None) => format!("system call {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_each_call_is_found_by_its_number() {
        assert!(CALLS.is_sorted_by(|a, b| a.number < b.number));
        for call in CALLS {
            assert_eq!(known(call.number), Some(call));
        }
        assert_eq!((known(3), name(3)), (None, "system call 3".to_string()));
        assert_eq!(name(499), "openat");
    }
}
