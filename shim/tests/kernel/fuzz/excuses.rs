//! What differs on purpose, and how the calls at random keep clear of it. Everything else has to be the
//! same. Printed with the result, so that nobody has to look for it.

/// What differs, and why that stays.
pub const EXCUSES: &[(&str, &str)] = &[
    (
        "the working directory, or one above it, is renamed, removed or forbidden",
        "it is kept as a path: the calls at random leave it first",
    ),
    (
        "a directory that is open isn't any more at the path that it was opened by",
        "fchdir(2), and names that lead out of it, go by that path: it is closed then",
    ),
    (
        "an address of memory that the program hasn't",
        "the library reads the name before the kernel does: the program gets SIGSEGV and not EFAULT",
    ),
    (
        "kill(2) of others than oneself and one's children, and setpgid(2) to another group",
        "capability mode has neither",
    ),
    (
        "setgroups(2), setlogin(2) and setloginclass(2) of the superuser",
        "capability mode has none of them: called at random by another user only",
    ),
    (
        "sysctlbyname(3) of what capability mode doesn't tell",
        "ENOENT: called at random for names that it tells, and for names of nothing",
    ),
    (
        "what getvfsbyname(3) says of a file system",
        "the kernel's list can't be read: that it is one is compared, its flags aren't",
    ),
    (
        "what a descriptor is asked for besides, as fchmod(2), of what may only be read or was reached through it by \"..\" or a link",
        "the kernel says ENOTCAPABLE: these calls take no path, and aren't the library's",
    ),
    (
        "which error refuses to rename or remove a name that ends in \".\" or \"..\", or that it is said to have worked and nothing is done",
        "the kernel has a quick way to look names up, which capability mode never takes, and answers of its own for it",
    ),
    (
        "whether renaming and removing in what may only be read fails with EROFS, or with ENOTDIR, ELOOP or EACCES, where both apply",
        "in the quick way the kernel asks for one first, in the other for the other",
    ),
    (
        "what pathconf(2) says of access control lists",
        "that there are none: nothing in capability mode gets at them by path",
    ),
    (
        "which error refuses to rename or remove a link or a file with a slash behind it, in a directory that may not be written to",
        "in the quick way the kernel follows the link first, in the other it asks for the directory: called at random without the slash",
    ),
    (
        "which error refuses to make a name in a nullfs(4) that may only be read, and \".\" in a devfs(5)",
        "they have errors of their own, EACCES for a user and EINVAL: not called at random",
    ),
    (
        "open(2) with O_CREAT and O_DIRECTORY of a directory that may not be read",
        "the kernel forgets to ask, the library doesn't: called at random without O_CREAT",
    ),
    (
        "what inotify(2) tells of truncate(2) of a fifo",
        "nothing is done to it, and so nothing is told: called at random where nobody watches",
    ),
    (
        "a program that may be executed and not read",
        "EACCES, since the run-time linker has to read it: not executed at random",
    ),
    (
        "renameat2(2) with AT_RENAME_EXCHANGE when a signal comes",
        "the kernel may say that it worked, and have renamed nothing: signals are held back meanwhile",
    ),
    (
        "inotify_add_watch(2) of a directory with something in it",
        "the kernel looks its entries up by a path, and fails with ECAPMODE",
    ),
    (
        "what wait6(2) says of a child when none has ended",
        "nothing in particular",
    ),
    (
        "what getsockname(2) and getpeername(2) tell of a local socket's name",
        "the name below the descriptor that it was bound by: not called at random",
    ),
    (
        "names of more than PATH_MAX, links followed, with the working directory before them",
        "ENAMETOOLONG: they are handed to the kernel in one piece, which is never that long at random",
    ),
    ("descriptors of 900 and above", "the launcher's"),
];
