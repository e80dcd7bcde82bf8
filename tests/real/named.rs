//! POSIX shared memory by name: what of it is a jail's own, as jailrun(8) says under SECURITY CONSIDERATIONS.

use crate::fixture::{ALICE, Fixture, INSTALLED, PROFILES, said, sh, until};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

fn as_alice(script: &str) -> String {
    let mut shell = Command::new("/bin/sh");
    let shell = shell.args(["-c", script]).uid(ALICE).gid(ALICE);
    said(shell.output().unwrap())
}

const ENFORCED: &str = "program = \"/usr/bin/posixshmcontrol\"\nargs = [\"create\", \"/memory\"]\n\
    user = \"nobody\"\n[capsicum]\nmode = \"enforce\"\n";

#[test]
fn shared_memory_by_name_goes_with_its_jail_and_only_capability_mode_keeps_others_names_out() {
    let words = "args = [\"-c\", \"posixshmcontrol create -m 0600 /memory && posixshmcontrol ls && sleep 2\"]";
    let fixture = Fixture::with("named", words, "");
    let root = format!("/var/run/jailrun/{}/jail/root", fixture.name);
    let named = format!("posixshmcontrol ls | grep -c {root}/memory");

    let mut command = fixture.command();
    let running = command.stdout(Stdio::piped()).spawn().unwrap();
    until("the memory", || sh(&named) == "1");
    // So that no path that can't be guessed would hide a name.
    let shown = as_alice("mount -p; jls path");
    assert!(shown.contains(&format!("\t{root} tmpfs")), "{shown}");
    assert!(shown.lines().any(|line| line == root), "{shown}");
    let own = running.wait_with_output().unwrap();
    assert!(own.status.success(), "{own:?}");
    let own = said(own);
    assert!(own.ends_with("\t/memory"), "{own}");
    assert_eq!(sh(&named), "0");

    // A name of the host's that is there before.
    let planted = format!("posixshmcontrol create -m 0600 {root}/memory");
    assert_eq!(as_alice(&planted), "");
    let refused = said(fixture.command().output().unwrap());
    assert!(
        refused.ends_with("create /memory: Permission denied"),
        "{refused}"
    );

    let enforced = format!("{}-c", fixture.name);
    std::fs::write(format!("{PROFILES}/{enforced}.toml"), ENFORCED).unwrap();
    let refused = said(Command::new(INSTALLED).arg(&enforced).output().unwrap());
    assert!(
        refused.contains("Not permitted in capability mode"),
        "{refused}"
    );
    sh(&format!(
        "posixshmcontrol rm {root}/memory; rm {PROFILES}/{enforced}.toml"
    ));
    fixture.nothing_is_left();
}
