//! The package's own scripts and files on a host where its services run.

use crate::fixture::{Host, INETD, here, sh, until};
use std::path::Path;

/// As the port would substitute it.
pub fn deinstall_script() {
    let script = std::fs::read_to_string(here("port/files/pkg-deinstall.in")).unwrap();
    let script = script.replace("%%PREFIX%%", "/usr/local");
    std::fs::write("/tmp/jrtest-deinstall", script).unwrap();
}

#[test]
fn the_packages_deletion_unwraps_what_runs_and_says_how_it_is_stopped() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    host.does("start");
    let supervisor = host.supervisor();
    deinstall_script();
    let said = sh("sh /tmp/jrtest-deinstall jailrun DEINSTALL; rm /tmp/jrtest-deinstall");
    let expected = format!(
        "inetd: is not wrapped any more\n\
         inetd: still runs in its jail, out of service(8)'s sight: kill {supervisor} stops it"
    );
    assert_eq!(said, expected);
    assert!(host.inside().contains("root "), "{}", host.inside());
    assert_eq!(host.verb("status").status, 1);
    sh(&format!("kill {supervisor}"));
    until("its end", || sh("jls name").is_empty());
    host.is_as_installed();
    // From now on the script starts its daemon as it is.
    host.does("start");
    assert!(!host.outside().is_empty() && host.inside().is_empty());
    host.does("stop");
    host.leaves_nothing();
}

const HOOK: &str = "/usr/local/etc/jailrun/profiles/jrtest-hook.toml";
const OWN: &str = "/var/db/jrtest-hook";

#[test]
fn a_packages_script_as_root_writes_its_own_directory_and_reaches_nothing_else() {
    let Some(mut host) = Host::with(&INETD) else {
        return;
    };
    let text = format!("include = [\"pkg-script\"]\n[root]\nrw = [\"{OWN}\"]\n");
    host.change(HOOK, &text);
    // A link that somebody has left there leads to the script's own root, not to the host's.
    let victim = "/etc/jrtest-victim";
    host.change(victim, "as it was\n");
    sh(&format!(
        "rm -rf {OWN}; mkdir -m 755 {OWN}; ln -s {victim} {OWN}/link"
    ));
    let run = |script: &str| {
        let words = script.replace('\'', "'\\''");
        sh(&format!(
            "/usr/local/bin/jailrun jrtest-hook /bin/sh -c '{words}'; echo $?"
        ))
    };
    let own = "id -u && echo text >file && chown www:www file && chmod 640 file && mkdir sub";
    assert_eq!(run(&format!("cd {OWN} && {own}")), "0\n0");
    let stat = sh(&format!(
        "stat -f '%Su %Sg %Lp %z' {OWN}/file; stat -f %Su {OWN}/sub"
    ));
    assert_eq!(stat, "www www 640 5\nroot");
    for elsewhere in [
        "echo x >/etc/jrtest",
        "echo x >/usr/local/etc/jrtest",
        "echo x >/var/db/jrtest",
        "echo x >/var/cron/tabs/root",
        "rm /bin/sh",
        "mount -t tmpfs tmpfs /tmp",
        "kldload nullfs",
        &format!("echo x >>{OWN}/link"),
        "nc -z -w 2 127.0.0.1 13",
    ] {
        let said = run(&format!("{elsewhere}; exit $?"));
        assert_ne!(said.lines().last(), Some("0"), "{elsewhere}: {said}");
    }
    assert_eq!(sh(&format!("cat {victim}")), "as it was");
    assert!(!Path::new("/var/db/jrtest").exists());
    // Nobody but root runs it, and no directory that others could have prepared is granted.
    let stranger = "su -m nobody -c '/usr/local/bin/jailrun jrtest-hook /usr/bin/true'; echo $?";
    assert_eq!(sh(stranger), "jailrun: jrtest-hook: not permitted\n77");
    sh(&format!("chmod 777 {OWN}"));
    let refused = run("true");
    assert!(
        refused.contains("is writable by others than root") && refused.ends_with("78"),
        "{refused}"
    );
    sh(&format!("rm -r {OWN}"));
    std::fs::remove_file(HOOK).unwrap();
    std::fs::remove_file(victim).unwrap();
    host.is_as_installed();
    host.leaves_nothing();
}
