//! What the report says, of a profile and of an instance, beside the holes.

use crate::fixture::{CLOSED, INSTALLED, Parts, alone, ctl, holes, remove, verdicts, world, write};
use std::process::{Command, Stdio};

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
