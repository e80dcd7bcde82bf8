//! Which errnos a call may be refused with when nothing that the world knows of speaks against it: what
//! its manual page lists for want of memory, room, descriptors or permission, and for broken devices.
//!
//! An errno that states a fact is not listed: ENOENT for what is there, EAGAIN for a lock that nobody
//! holds, ENOSYS for a call that works. A launch may rely on those, and the simulated kernel gives them
//! where they are true.

use crate::kernel::Errno;

/// What openat(2) may give besides, where it makes the file.
pub const CREATING: &[Errno] = &[Errno::ENOSPC, Errno::EROFS];

/// `None`: no call of the seam has this name.
pub fn of(call: &str) -> Option<&'static [Errno]> {
    files(call)
        .or_else(|| descriptors(call))
        .or_else(|| mounts_jails_and_addresses(call))
        .or_else(|| processes(call))
        .or_else(|| sockets_and_capabilities(call))
}

fn files(call: &str) -> Option<&'static [Errno]> {
    Some(match call {
        "openat" => &[Errno::EACCES, Errno::EMFILE, Errno::ENFILE, Errno::EIO],
        "close" => &[Errno::EIO, Errno::ENOSPC],
        "fstat" | "ptsname" => &[Errno::EIO],
        "lstatat" | "readlinkat" => &[Errno::EACCES, Errno::EIO],
        "acl_is_trivial" => &[Errno::EACCES, Errno::EIO],
        "readdir" | "getfsstat" => &[Errno::EIO, Errno::ENOMEM],
        "read" | "pread" => &[Errno::EIO],
        "write" | "write_briefly" | "ftruncate" => &[Errno::ENOSPC, Errno::EROFS, Errno::EIO],
        "mkdirat" | "symlinkat" => &[Errno::EACCES, Errno::ENOSPC, Errno::EROFS, Errno::EIO],
        "unlinkat" => &[Errno::EACCES, Errno::EPERM, Errno::EROFS, Errno::EIO],
        "fchown" | "fchmod" => &[Errno::EPERM, Errno::EROFS, Errno::EIO],
        "is_locked" => &[Errno::EIO, Errno::ENOMEM],
        "flock" => &[Errno::EOPNOTSUPP, Errno::EIO],
        "chdir" => &[Errno::EACCES, Errno::EIO],
        "getpwnam" | "getpwuid" | "getgrnam" | "getgrgid" => {
            &[Errno::EMFILE, Errno::EIO, Errno::ENOMEM]
        }
        "umask" | "isatty" | "is_local_socket" | "complain" => &[],
        _ => return None,
    })
}

fn descriptors(call: &str) -> Option<&'static [Errno]> {
    Some(match call {
        "dup2" | "dup_from" => &[Errno::EMFILE, Errno::ENOMEM],
        "socketpair" | "pipe" | "kqueue" | "posix_openpt" => {
            &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM]
        }
        "bindat" => &[Errno::EACCES, Errno::ENOSPC, Errno::EROFS, Errno::EIO],
        "set_nonblocking" => &[Errno::EINVAL],
        "tcgetattr" | "tcsetattr" | "tcgetwinsize" | "tcsetwinsize" | "tcgetpgrp" | "tcsetpgrp" => {
            &[Errno::ENXIO, Errno::EIO]
        }
        "tiocsctty" => &[Errno::EPERM, Errno::EIO],
        "kevent_watch" | "kevent_unwatch" => &[Errno::ENOMEM, Errno::EACCES],
        "kevent_wait" => &[Errno::EINVAL],
        "syslog" | "syslog_line" => &[Errno::ECONNREFUSED, Errno::ENOSPC],
        "closefrom" | "cfmakeraw" | "getpgrp" => &[],
        _ => return None,
    })
}

fn sockets_and_capabilities(call: &str) -> Option<&'static [Errno]> {
    Some(match call {
        "socket" => &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM],
        "setsockopt" => &[Errno::EINVAL, Errno::ENOMEM],
        "bind" => &[
            Errno::EADDRINUSE,
            Errno::EACCES,
            Errno::ENOSPC,
            Errno::EROFS,
            Errno::ENOMEM,
        ],
        "listen" => &[Errno::EADDRINUSE, Errno::ENOMEM],
        "connect" => &[Errno::EACCES, Errno::EIO],
        "lchown" => &[Errno::EPERM, Errno::EROFS, Errno::EIO],
        "cap_rights_limit" | "cap_fcntls_limit" | "cap_ioctls_limit" => {
            &[Errno::ENOTCAPABLE, Errno::ENOMEM]
        }
        // A kernel without CAPABILITY_MODE.
        "cap_enter" => &[Errno::ENOSYS],
        "fexecve" => &[
            Errno::EACCES,
            Errno::ENOEXEC,
            Errno::ETXTBSY,
            Errno::E2BIG,
            Errno::ENOMEM,
            Errno::EIO,
        ],
        _ => return None,
    })
}

fn mounts_jails_and_addresses(call: &str) -> Option<&'static [Errno]> {
    Some(match call {
        "nmount" => &[
            Errno::EPERM,
            Errno::ENODEV,
            Errno::ENOMEM,
            Errno::ENOSPC,
            Errno::EINVAL,
            Errno::EBUSY,
        ],
        "statfs" => &[Errno::EACCES, Errno::EIO],
        "unmount" => &[Errno::EBUSY, Errno::EPERM, Errno::EIO],
        "devfs_radd" | "devfs_rgetnext" | "devfs_rdel" => &[Errno::EPERM, Errno::ENOMEM],
        "jail_create" => &[
            Errno::EPERM,
            Errno::EEXIST,
            Errno::EAGAIN,
            Errno::EMFILE,
            Errno::ENOMEM,
            Errno::EADDRINUSE,
            Errno::EINVAL,
        ],
        "jail_update" | "jail_get_int" | "jail_find" | "jail_open" => {
            &[Errno::EPERM, Errno::EINVAL, Errno::ENOMEM]
        }
        "jail_attach" | "jail_attach_jd" => &[Errno::EPERM, Errno::EDEADLK, Errno::EINVAL],
        "jail_remove" => &[Errno::EPERM],
        "cpuset_getaffinity" => &[Errno::ESRCH],
        "cpuset_setaffinity" => &[Errno::EPERM, Errno::EINVAL, Errno::EDEADLK],
        "if_nametoindex" => &[Errno::EMFILE, Errno::ENOMEM],
        "getifaddrs" => &[Errno::EMFILE, Errno::ENOMEM],
        "listeners" => &[Errno::EINVAL, Errno::ENOMEM],
        "add_address" => &[Errno::EPERM, Errno::EINVAL, Errno::ENOMEM],
        "delete_address" => &[Errno::EPERM, Errno::ENOMEM],
        "rctl_add_rule" => &[Errno::EPERM, Errno::ENOMEM, Errno::EOPNOTSUPP],
        "rctl_remove_rule" | "rctl_get_racct" => &[Errno::EPERM, Errno::ENOMEM],
        _ => return None,
    })
}

fn processes(call: &str) -> Option<&'static [Errno]> {
    Some(match call {
        "fork" => &[Errno::EAGAIN, Errno::ENOMEM],
        "waitpid" | "waitpid_untraced" => &[Errno::EINTR],
        "kill" => &[Errno::EPERM],
        "sysctl_int" | "sysctl_text" => &[Errno::EPERM, Errno::ENOMEM],
        "boot_id" => &[Errno::ENXIO],
        "procctl_reap_getpids" | "process_info" => &[Errno::EPERM, Errno::ENOMEM],
        "setsid" | "setpgid" | "setgroups" | "setresgid" | "setresuid" | "setlogin"
        | "setloginclass" => &[Errno::EPERM],
        "setpriority" | "rtprio_normal" => &[Errno::EACCES, Errno::EPERM],
        // A kernel without KTRACE, and a file that is gone or can't be written.
        "ktrace" => &[
            Errno::ENOSYS,
            Errno::EPERM,
            Errno::ENOMEM,
            Errno::EIO,
            Errno::EROFS,
        ],
        "setfib" | "cpuset_root" | "setrlimit" => &[Errno::EINVAL, Errno::EPERM],
        "procctl" | "procctl_status" | "procctl_default" => &[Errno::EPERM, Errno::EBUSY],
        "procctl_reap_acquire" => &[Errno::EBUSY],
        "execve" => &[
            Errno::ENOENT,
            Errno::EACCES,
            Errno::ENOEXEC,
            Errno::ETXTBSY,
            Errno::E2BIG,
            Errno::ENOMEM,
            Errno::EIO,
        ],
        // They can be refused nothing on FreeBSD; the process that makes them can still be killed.
        "getresuid" | "getresgid" | "getgroups" | "getpid" | "clear_environment" | "getrlimit"
        | "monotonic_ms" | "realtime" | "realtime_s" | "sleep_ms" | "raise_default"
        | "block_signals" | "reset_signals" | "clear_timers" => &[],
        _ => return None,
    })
}
