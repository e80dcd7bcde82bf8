//! A profile or a jail that is closed in every way, and then opened in one: exactly that hole is found.
//! One test for each attempt, which carries its name.

#[cfg(target_os = "freebsd")]
use crate::fixture::{CLOSED, Parts, alone, ctl, holes, remove, sh, world, write};
#[cfg(target_os = "freebsd")]
use crate::handmade::{Handmade, PLAIN};

/// An attempt, what opens with it, and how: a profile, a setting of the host, or a jail that no profile
/// makes. What is done as root in a jail opens what root there may do by itself, too.
macro_rules! openings {
    ($($test:ident: $attempt:literal $(with $other:literal)*, $how:expr;)*) => {
        /// Every attempt that has an opening here.
        pub const OPENED: &[&str] = &[$($attempt),*];

        $(
            #[cfg(target_os = "freebsd")]
            #[test]
            fn $test() {
                let _alone = alone();
                println!("{}", stringify!($test));
                let how: How = $how;
                how.opens($attempt, &[$attempt, $($other),*]);
            }
        )*
    };
}

#[cfg(target_os = "freebsd")]
enum How {
    Profile(Parts),
    /// A variable of the host's, 1 for the while and 0 after.
    Host(&'static str),
    Jail(Handmade),
}

#[cfg(target_os = "freebsd")]
impl How {
    fn opens(self, name: &str, expected: &[&str]) {
        let expected = expected.iter().map(|name| (*name).to_string()).collect();
        let found = match self {
            How::Profile(parts) => profile(name, parts),
            How::Host(variable) => {
                sh(&format!("sysctl {variable}=1"));
                let found = std::panic::catch_unwind(|| profile(name, CLOSED));
                sh(&format!("sysctl {variable}=0"));
                found.unwrap()
            }
            How::Jail(jail) => jail.holes(),
        };
        assert_eq!(found, expected, "{name}");
    }
}

/// What is open in a throwaway instance, of which nothing is left.
#[cfg(target_os = "freebsd")]
fn profile(name: &str, parts: Parts) -> std::collections::BTreeSet<String> {
    let name: String = format!("jrtest-{name}").chars().take(32).collect();
    write(&name, parts, "");
    let before = world();
    let report = ctl(&["attest", "--throwaway", &name]);
    let found = holes(&report);
    assert_eq!(report.status.code(), Some(i32::from(!found.is_empty())));
    assert_eq!(world(), before, "{name}");
    remove(&name);
    found
}

#[cfg(target_os = "freebsd")]
#[test]
fn a_closed_profile_and_a_closed_jail_have_no_hole_and_leave_nothing() {
    let _alone = alone();
    assert_eq!(profile("closed", CLOSED), Default::default());
    assert_eq!(PLAIN.holes(), Default::default());
}

/// Root inside, and nothing of the host's to write.
#[cfg(target_os = "freebsd")]
const ROOT: Parts = Parts {
    user: "root",
    jail: "allow = [\"suser\"]",
    ..CLOSED
};

openings! {
    a_password_file_is_found: "password-file", How::Profile(Parts {
        root: "[root.files]\n\"/etc/master.passwd\" = \"root:x\\n\"",
        ..CLOSED
    });
    a_way_above_the_root_is_found: "above-root", How::Jail(Handmade { shows_state: true, ..PLAIN });
    a_hard_link_is_found: "hard-link", How::Jail(Handmade { program: "/work/sh", ..PLAIN });
    a_read_only_mount_that_is_writable_is_found: "read-only-mounts", How::Jail(Handmade {
        says_read_only: true,
        ..PLAIN
    });
    a_written_program_is_found: "execute-written", How::Profile(Parts {
        tmpfs: "tmpfs = [{ path = \"/tmp\", size = \"4m\", mode = \"1777\" }]",
        ..CLOSED
    });
    a_device_is_found: "devices", How::Profile(Parts {
        devices: "\"null\", \"pci\"",
        ..CLOSED
    });
    another_root_is_found: "chroot", How::Host("security.bsd.unprivileged_chroot");
    a_mount_is_found: "mount" with "unmount" with "see-mounts" with "become-root" with "gain-group"
        with "chroot" with "securelevel", How::Jail(Handmade {
        is_root: true,
        parameters: "allow.mount allow.mount.tmpfs enforce_statfs=1",
        ..PLAIN
    });
    // What may be mounted is asked last, when the place is known.
    an_unmount_is_found: "unmount" with "mount" with "see-mounts" with "become-root" with "gain-group"
        with "chroot" with "securelevel", How::Jail(Handmade {
        is_root: true,
        parameters: "allow.mount enforce_statfs=1",
        ..PLAIN
    });
    a_list_of_mounts_is_found: "see-mounts", How::Profile(Parts {
        jail: "enforce_statfs = 1",
        ..CLOSED
    });
    a_superuser_is_found: "become-root" with "gain-group" with "chroot" with "securelevel",
        How::Profile(ROOT);
    a_group_is_found: "gain-group", How::Profile(Parts { top: "groups = [\"wheel\"]", ..CLOSED });
    a_set_user_id_program_is_found: "setuid-program", How::Jail(Handmade { sets_user_id: true, ..PLAIN });
    a_security_level_is_found: "securelevel" with "become-root" with "gain-group" with "chroot",
        How::Profile(Parts { jail: "allow = [\"suser\"]\nsecurelevel = 3", ..ROOT });
    a_message_buffer_is_found: "message-buffer", How::Profile(Parts {
        jail: "allow = [\"read_msgbuf\"]",
        ..CLOSED
    });
    locked_memory_is_found: "lock-memory", How::Profile(Parts { jail: "allow = [\"mlock\"]", ..CLOSED });
    a_jail_of_its_own_is_found: "make-jail" with "become-root" with "gain-group" with "chroot"
        with "securelevel", How::Jail(Handmade {
        is_root: true,
        parameters: "enforce_statfs=2 children.max=1",
        ..PLAIN
    });
    shared_memory_is_found: "shared-memory", How::Profile(Parts {
        jail: "sysvshm = \"inherit\"",
        ..CLOSED
    });
    a_traced_sibling_is_found: "debug-sibling", How::Profile(Parts {
        jail: "allow = [\"unprivileged_proc_debug\"]",
        control: "wxmap = \"disable\"\ntrace = \"enable\"",
        ..CLOSED
    });
    writable_code_is_found: "write-and-execute", How::Profile(Parts {
        control: "wxmap = \"enable\"",
        ..CLOSED
    });
    a_raw_socket_is_found: "raw-socket" with "become-root" with "gain-group" with "chroot"
        with "securelevel" with "host-loopback", How::Profile(Parts {
        jail: "allow = [\"suser\", \"raw_sockets\"]\nip4.addr = [\"127.0.0.1/32\"]",
        ..ROOT
    });
    an_address_of_the_host_is_found: "foreign-address" with "host-loopback", How::Profile(Parts {
        jail: "ip4 = \"inherit\"",
        ..CLOSED
    });
    the_loopback_of_the_host_is_found: "host-loopback", How::Profile(Parts {
        jail: "ip4.addr = [\"127.0.0.1/32\"]",
        ..CLOSED
    });
    a_route_is_found: "route" with "become-root" with "gain-group" with "chroot" with "securelevel",
        How::Profile(Parts { jail: "allow = [\"suser\", \"routing\"]", ..ROOT });
    // So much memory that what is made of processes doesn't come to it.
    a_missing_limit_of_processes_is_found: "process-limit", How::Profile(Parts {
        rctl: "vmemoryuse = \"64g\"",
        ..CLOSED
    });
    a_missing_limit_of_memory_is_found: "memory-limit", How::Profile(Parts {
        rctl: "maxproc = 20",
        ..CLOSED
    });
}
