//! An attest that is killed.

use crate::fixture::{PROFILES, alone, ctl, remove, sh, world};
use crate::hosted::until;
use std::process::{Command, Stdio};

/// root_writes: root inside writes a directory of the host.
const SCRIPT: &str = "program = \"/bin/sleep\"\nargs = [\"1000\"]\nuser = \"root\"\n[jail]\nallow = [\"suser\"]\n\
    [root]\nroot_writes = true\nrw = [\"/var/db/jrtest-killed\"]\n[capsicum]\nmode = \"off\"\n";

#[test]
fn an_attest_that_is_killed_has_no_set_id_file_taken_that_was_there_before() {
    let _alone = alone();
    let (name, place) = ("jrtest-killed", "/var/db/jrtest-killed");
    std::fs::write(format!("{PROFILES}/{name}.toml"), SCRIPT).unwrap();
    sh(&format!(
        "install -d -m 755 {place}; install -m 4555 /usr/bin/id {place}"
    ));
    let before = world();
    let program = std::env::var("JAILRUNCTL_BIN")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrunctl").to_string());
    let mut attest = Command::new(program)
        .args(["attest", "--throwaway", name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let label = format!("{name}+{}", attest.id());
    until("a jail to attest", || sh("jls name").contains(&label));
    attest.kill().unwrap();
    attest.wait().unwrap();
    assert_ne!(world(), before, "it left nothing to be cleaned up");
    let cleaned = ctl(&["cleanup", &label]);
    assert!(cleaned.status.success(), "{cleaned:?}");
    assert_eq!(world(), before);
    assert_eq!(sh(&format!("stat -f %p {place}/id")), "104555");
    remove(name);
    sh(&format!("rm -r {place}"));
}
