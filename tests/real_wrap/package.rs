//! The package's own scripts and files on a host where its services run.

use crate::fixture::{Host, INETD};
use crate::installed::{here, sh, until};
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

fn with_hook() -> Option<Host> {
    let mut host = Host::with(&INETD)?;
    let text = format!("include = [\"pkg-script\"]\n[root]\npackage = \"\"\nrw = [\"{OWN}\"]\n");
    host.change(HOOK, &text);
    Some(host)
}

/// What the package's script and jailrun say, and the status.
fn run(script: &str) -> String {
    let words = script.replace('\'', "'\\''");
    sh(&format!(
        "/usr/local/bin/jailrun jrtest-hook /bin/sh -c '{words}'; echo $?"
    ))
}

#[test]
fn a_packages_script_as_root_writes_its_own_directory_and_reaches_nothing_else() {
    let Some(mut host) = with_hook() else {
        return;
    };
    // A link that somebody has left there leads to the script's own root, not to the host's.
    let victim = "/etc/jrtest-victim";
    host.change(victim, "as it was\n");
    sh(&format!(
        "rm -rf {OWN}; mkdir -m 755 {OWN}; ln -s {victim} {OWN}/link"
    ));
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

#[test]
fn no_set_id_file_of_a_packages_script_outlives_it_unsaid_and_none_is_handed_to_one() {
    let Some(host) = with_hook() else {
        return;
    };
    sh(&format!("rm -rf {OWN}; mkdir -m 755 {OWN}"));
    let modes = |files: &str| sh(&format!("cd {OWN} && stat -f %p {files}"));
    let said = run(&format!(
        "cd {OWN} && cp /usr/bin/true su && chmod 4755 su && mkdir -m 2775 sub && cp su sub/gid && \
         chown root:kmem sub/gid && chmod 2751 sub/gid && stat -f %p su sub/gid"
    ));
    let took = |file: &str| {
        format!(
            "jailrun: jrtest-hook: took the set-user-ID and set-group-ID bits of {OWN}/{file} away"
        )
    };
    assert!(said.starts_with("104755\n102751\n"), "{said}");
    assert!(
        said.contains(&took("su")) && said.contains(&took("sub/gid")),
        "{said}"
    );
    assert!(said.ends_with("\n0"), "{said}");
    assert_eq!(modes("su sub/gid sub"), "100755\n100751\n42775");
    // What can't be taken away is told with a status of ours, and stops the next one.
    for (made, why, mended) in [
        (
            "chmod 4755 su; ln su su2",
            "and has another name",
            "rm su2; chmod 755 su",
        ),
        (
            "chmod 4755 su; chflags uchg su",
            "Operation not permitted",
            "chflags nouchg su; chmod 755 su",
        ),
        (
            "cp su $(printf a\\\\377) && chmod 4755 a*",
            "can't be looked through",
            "rm a*",
        ),
    ] {
        let said = run(&format!("cd {OWN} && {made}"));
        assert!(
            said.contains("left behind: ") && said.contains(why),
            "{said}"
        );
        assert!(said.ends_with("\n71"), "{said}");
        let refused = run("echo ran");
        assert!(
            refused.contains("root_writes: ") && refused.ends_with("can't be granted\n78"),
            "{refused}"
        );
        sh(&format!("cd {OWN} && ({mended})"));
        assert_eq!(run("echo ran"), "ran\n0");
    }
    let said = run(&format!("mknod {OWN}/null c 1 3"));
    assert!(said.ends_with("Operation not permitted\n1"), "{said}");
    sh(&format!("rm -r {OWN}"));
    std::fs::remove_file(HOOK).unwrap();
    host.is_as_installed();
    host.leaves_nothing();
}

#[test]
fn a_cleanup_takes_the_set_id_bits_that_a_killed_supervisor_could_not() {
    let Some(host) = with_hook() else {
        return;
    };
    sh(&format!("rm -rf {OWN}; mkdir -m 755 {OWN}"));
    let made = format!("cd {OWN} && cp /usr/bin/true su && chmod 4755 su && sleep 100");
    // Without a terminal or a socket, whoever is started is the supervisor.
    sh(&format!(
        "/usr/local/bin/jailrun jrtest-hook /bin/sh -c '{made}' < /dev/null > /dev/null 2>&1 & \
         while ! [ -u {OWN}/su ]; do sleep 0.1; done; kill -9 $!"
    ));
    until("its end", || sh("jls name").is_empty());
    let mode = || sh(&format!("stat -f %p {OWN}/su"));
    assert_eq!(mode(), "104755");
    let said = sh("jailrunctl cleanup --all; echo $?");
    let words = format!(
        "jailrun: jrtest-hook: took the set-user-ID and set-group-ID bits of {OWN}/su away\n0"
    );
    assert_eq!(said, words);
    assert_eq!(mode(), "100755");
    sh(&format!("rm -r {OWN}"));
    std::fs::remove_file(HOOK).unwrap();
    host.is_as_installed();
    host.leaves_nothing();
}

/// What a service that was taken over can do to its package's script: keep it from running, and no more.
#[test]
fn a_script_isnt_started_where_a_service_put_what_it_would_be_misled_by_and_is_when_that_is_gone() {
    let Some(host) = with_hook() else {
        return;
    };
    sh(&format!(
        "rm -rf {OWN}; mkdir -m 755 {OWN}; echo secret > {OWN}/roots; chmod 600 {OWN}/roots; \
         install -d -o nobody -m 755 {OWN}/service"
    ));
    let give = format!("chown -R nobody {OWN}/service && echo ran");
    for (planted, named) in [
        ("cp /usr/bin/true a; chmod 4755 a", "/a is set-user-ID"),
        ("ln ../roots a", "/a is a file of root's with another name"),
        ("mkdir -p $(jot -s / -b a 70)", "can't be looked through"),
    ] {
        sh(&format!("su -m nobody -c 'cd {OWN}/service && {planted}'"));
        let refused = run(&give);
        assert!(refused.contains(named), "{refused}");
        assert!(refused.ends_with("can't be granted\n78"), "{refused}");
        assert_eq!(sh(&format!("stat -f %Su {OWN}/roots")), "root");
        sh(&format!("rm -r {OWN}/service/a"));
        assert_eq!(run(&give), "ran\n0");
    }
    sh(&format!("rm -r {OWN}"));
    std::fs::remove_file(HOOK).unwrap();
    host.is_as_installed();
    host.leaves_nothing();
}
