//! Services that run in capability mode: the attempts are made in it, with the service's descriptors.

use crate::fixture::{CLOSED, INSTALLED, Parts, alone, column, ctl, holes, remove, world, write};
use std::process::{Command, Stdio};

const ENFORCED: Parts = Parts {
    top: "[[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.1:18091\"",
    jail: "ip4.addr = [\"127.0.0.1/32\"]",
    capsicum: "mode = \"enforce\"",
    ..CLOSED
};

#[test]
fn in_capability_mode_each_attempt_is_refused_by_it_or_by_the_jail_with_the_right_errno() {
    let _alone = alone();
    let name = "jrtest-enforced";
    write(name, ENFORCED, "");
    let before = world();
    let report = ctl(&["attest", "--throwaway", name]);
    assert_eq!(holes(&report), Default::default(), "{report:?}");
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    for (attempt, errno) in [
        ("capability-path", "ENOTCAPABLE"),
        ("capability-parent", "ENOTCAPABLE"),
        ("capability-rights", "ENOTCAPABLE"),
        ("capability-connect", "ECAPMODE"),
        ("capability-signal", "ECAPMODE"),
        ("capability-sysctl", "EPERM"),
        // By way of the root's descriptor, where the jail says no.
        ("password-file", "ENOENT"),
        ("devices", "ENOENT"),
        ("read-only-mounts", "ENOTCAPABLE"),
        ("passed-directory", "ECAPMODE"),
        ("host-loopback", "ECAPMODE"),
        ("signal-host-process", "ECAPMODE"),
        ("debug-sibling", "ECAPMODE"),
        ("mount", "ECAPMODE"),
        ("become-root", "EPERM"),
        ("leftover-descriptors", "EBADF"),
        ("process-limit", "EAGAIN"),
    ] {
        assert_eq!(column(&report, attempt), errno, "{attempt}: {report:?}");
    }
    assert_eq!(world(), before);
    remove(name);
}

/// The canaries: capability mode hides no hole that its descriptors reach.
#[test]
fn what_is_open_by_way_of_a_granted_directory_is_found_in_capability_mode() {
    let _alone = alone();
    let tmpfs = "tmpfs = [{ path = \"/tmp\", size = \"4m\", mode = \"1777\" }]";
    let root = "[root.files]\n\"/etc/master.passwd\" = \"root:x\\n\"";
    let devices = "\"null\", \"pci\"";
    for (attempt, parts) in [
        ("execute-written", Parts { tmpfs, ..ENFORCED }),
        ("password-file", Parts { root, ..ENFORCED }),
        (
            "devices",
            Parts {
                devices,
                ..ENFORCED
            },
        ),
    ] {
        let name = "jrtest-descriptors";
        write(name, parts, "");
        let report = ctl(&["attest", "--throwaway", name]);
        let expected = [attempt.to_string()].into();
        assert_eq!(holes(&report), expected, "{attempt}: {report:?}");
        remove(name);
    }
}

#[test]
fn a_live_instance_in_capability_mode_is_attested_in_it() {
    let _alone = alone();
    let name = "jrtest-enforced-live";
    let runs = "program = \"/bin/sleep\"\nargs = [\"1000\"]";
    write(name, Parts { runs, ..ENFORCED }, "");
    let mut start = Command::new(INSTALLED);
    start.args(["-d", name]).stdin(Stdio::null());
    let started = start.output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let report = ctl(&["attest", name]);
    assert_eq!(holes(&report), Default::default(), "{report:?}");
    assert_eq!(column(&report, "capability-connect"), "ECAPMODE");
    assert!(ctl(&["stop", name]).status.success());
    remove(name);
}
