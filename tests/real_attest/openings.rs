//! A profile that is closed in every way, and then opened in one: exactly that hole is found.

use crate::fixture::{
    CLOSED, INSTALLED, Parts, alone, ctl, holes, remove, sh, verdicts, world, write,
};
use std::process::{Command, Stdio};

fn opened(name: &str, parts: Parts, expected: &[&str]) {
    let name = format!("jrtest-{name}");
    write(&name, parts, "");
    let before = world();
    let report = ctl(&["attest", "--throwaway", &name]);
    let expected = expected.iter().map(|name| (*name).to_string()).collect();
    assert_eq!(holes(&report), expected, "{name}: {report:?}");
    let status = i32::from(!holes(&report).is_empty());
    assert_eq!(report.status.code(), Some(status), "{name}");
    assert_eq!(world(), before, "{name}");
    remove(&name);
}

#[test]
fn a_closed_profile_has_no_hole_and_leaves_nothing() {
    let _alone = alone();
    opened("closed", CLOSED, &[]);
}

#[test]
fn a_file_or_memory_that_is_granted_is_found_open_and_nothing_else_is() {
    let _alone = alone();
    let tmpfs = "tmpfs = [{ path = \"/tmp\", size = \"4m\", mode = \"1777\" }]";
    let exec = Parts { tmpfs, ..CLOSED };
    opened("execute", exec, &["execute-written"]);
    let root = "[root.files]\n\"/etc/master.passwd\" = \"root:x\\n\"";
    opened("password", Parts { root, ..CLOSED }, &["password-file"]);
    let control = "wxmap = \"enable\"";
    opened("wx", Parts { control, ..CLOSED }, &["write-and-execute"]);
}

#[test]
fn a_parameter_of_the_jail_that_opens_it_is_found_and_nothing_else_is() {
    let _alone = alone();
    for (name, jail, hole) in [
        ("statfs", "enforce_statfs = 1", "see-mounts"),
        ("msgbuf", "allow = [\"read_msgbuf\"]", "message-buffer"),
        ("mlock", "allow = [\"mlock\"]", "lock-memory"),
        ("shm", "sysvshm = \"inherit\"", "shared-memory"),
        ("loopback", "ip4.addr = [\"127.0.0.1/32\"]", "host-loopback"),
    ] {
        opened(name, Parts { jail, ..CLOSED }, &[hole]);
    }
    let jail = "ip4 = \"inherit\"";
    let inherits = Parts { jail, ..CLOSED };
    opened("inherit", inherits, &["foreign-address", "host-loopback"]);
    let debug = Parts {
        jail: "allow = [\"unprivileged_proc_debug\"]",
        control: "wxmap = \"disable\"\ntrace = \"enable\"",
        ..CLOSED
    };
    opened("debug", debug, &["debug-sibling"]);
}

fn tracing(parts: Parts) -> String {
    let name = "jrtest-tracing";
    write(name, parts, "");
    let report = ctl(&["attest", "--throwaway", name]);
    remove(name);
    let all = verdicts(&report);
    let found = all.into_iter().find(|(name, _)| name == "debug-sibling");
    found.unwrap().1
}

#[test]
fn tracing_is_refused_by_either_of_its_two_locks() {
    let _alone = alone();
    let jail = "allow = [\"unprivileged_proc_debug\"]";
    assert_eq!(tracing(Parts { jail, ..CLOSED }), "refused");
    let control = "wxmap = \"disable\"\ntrace = \"enable\"";
    assert_eq!(tracing(Parts { control, ..CLOSED }), "refused");
}

#[test]
fn a_group_a_missing_limit_and_a_setting_of_the_host_are_found_and_nothing_else_is() {
    let _alone = alone();
    let top = "groups = [\"wheel\"]";
    opened("wheel", Parts { top, ..CLOSED }, &["gain-group"]);
    // So much that what is made of processes doesn't come to it.
    let rctl = "vmemoryuse = \"64g\"";
    opened("maxproc", Parts { rctl, ..CLOSED }, &["process-limit"]);
    let rctl = "maxproc = 20";
    opened("memory", Parts { rctl, ..CLOSED }, &["memory-limit"]);
    sh("sysctl security.bsd.unprivileged_chroot=1");
    let found = std::panic::catch_unwind(|| opened("chroot", CLOSED, &["chroot"]));
    sh("sysctl security.bsd.unprivileged_chroot=0");
    found.unwrap();
}

#[test]
fn what_the_profile_lists_with_a_reason_is_no_hole_and_what_it_lists_for_nothing_is_said() {
    let _alone = alone();
    let name = "jrtest-listed";
    let jail = "allow = [\"mlock\"]";
    let test = "[test.attest_open]\n\"lock-memory\" = \"keys stay in memory\"\n\"mount\" = \"no reason at all\"";
    write(name, Parts { jail, ..CLOSED }, test);
    let report = ctl(&["attest", name]);
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(text.contains("(keys stay in memory)"), "{text}");
    assert!(
        text.contains("mount is listed in attest_open and is refused"),
        "{text}"
    );
    remove(name);
}

#[test]
fn the_threshold_is_what_passes_and_the_sentence_names_the_line_that_closes() {
    let _alone = alone();
    let name = "jrtest-threshold";
    let jail = "allow = [\"mlock\"]";
    write(name, Parts { jail, ..CLOSED }, "");
    let status = |words: &[&str]| ctl(words).status.code();
    assert_eq!(status(&["attest", name]), Some(1));
    assert_eq!(status(&["attest", "--threshold", "90", name]), Some(0));
    assert_eq!(status(&["attest", "--threshold", "100", name]), Some(1));
    let report = ctl(&["attest", name]);
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let words = "a service that was taken over can lock memory (mlock(2)): it takes memory that the host \
                 can't page out. Closed by [jail]: allow without \"mlock\"";
    assert!(text.contains(words), "{text}");
    let json = ctl(&["attest", "--json", name]);
    let json = String::from_utf8_lossy(&json.stdout).into_owned();
    assert!(
        json.contains("\"passes\": false") && json.contains("\"score\": 97"),
        "{json}"
    );
    remove(name);
}

#[test]
fn a_live_instance_is_attested_beside_its_service_and_never_exhausted() {
    let _alone = alone();
    let name = "jrtest-live";
    let jail = "allow = [\"mlock\"]";
    write(name, Parts { jail, ..CLOSED }, "");
    let mut start = Command::new(INSTALLED);
    start.args(["-d", name]).stdin(Stdio::null());
    assert!(start.output().unwrap().status.success());
    let before = world();
    let report = ctl(&["attest", name]);
    let all = verdicts(&report);
    assert_eq!(
        holes(&report),
        ["lock-memory".to_string()].into(),
        "{report:?}"
    );
    let skipped = |name: &str| all.contains(&(name.to_string(), "not attested".to_string()));
    assert!(
        skipped("process-limit") && skipped("memory-limit"),
        "{report:?}"
    );
    assert_eq!(world(), before);
    // Another profile than it was started with is measured by nobody.
    write(name, CLOSED, "[root.extra]");
    let top = "group = \"wheel\"";
    write(name, Parts { top, ..CLOSED }, "");
    let changed = ctl(&["attest", name]);
    assert_eq!(changed.status.code(), Some(75), "{changed:?}");
    assert!(ctl(&["stop", name]).status.success());
    remove(name);
}
