//! What a jail is told and tells of itself.

use crate::fixture::{CLOSED, INSTALLED, Parts, alone, ctl, remove, sh, world, write};
use std::process::{Command, Stdio};

fn run(name: &str, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(INSTALLED);
    command.args(words).arg(name).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn a_jail_says_whose_it_is_to_the_host_and_to_nobody_inside() {
    let _alone = alone();
    let name = "jrtest-meta";
    write(name, CLOSED, "");
    assert!(run(name, &["-d"]).status.success());
    let said = sh(&format!("jls -j jailrun-{name} meta"));
    for word in [
        format!("instance={name}"),
        format!("profile={name}"),
        format!("version={}", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(said.contains(&word), "{said}");
    }
    assert!(ctl(&["stop", name]).status.success());
    remove(name);
}

#[test]
fn parameters_are_what_the_profile_says() {
    let _alone = alone();
    let name = "jrtest-params";
    let jail = "host.domainname = \"example.org\"\nhost.hostuuid = \"6a61696c-0000-0000-0000-000000000001\"\n\
                osrelease = \"15.0-RELEASE\"\nip4.addr = [\"127.0.0.1/32\"]\nip4.saddrsel = false\nsecurelevel = 3";
    write(name, Parts { jail, ..CLOSED }, "");
    assert!(run(name, &["-d"]).status.success());
    let names = "host.domainname host.hostuuid osrelease ip4.saddrsel securelevel";
    assert_eq!(
        sh(&format!("jls -j jailrun-{name} {names}")),
        "example.org 6a61696c-0000-0000-0000-000000000001 15.0-RELEASE false 3"
    );
    assert!(ctl(&["stop", name]).status.success());
    remove(name);
}

#[test]
fn a_parameter_that_this_kernel_has_not_is_refused_by_name_before_anything_is_done() {
    let _alone = alone();
    let name = "jrtest-unknown";
    let known = sh("sysctl -N security.jail.param.allow");
    // vmm(4) isn't loaded here; where it is, this shows nothing.
    if known.contains("allow.vmm") {
        println!("SKIP a_parameter_that_this_kernel_has_not: needs a kernel without vmm.ko");
        return;
    }
    let jail = "allow = [\"vmm\"]";
    write(name, Parts { jail, ..CLOSED }, "");
    let before = world();
    let refused = run(name, &[]);
    assert_eq!(refused.status.code(), Some(78));
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr),
        format!("jailrun: {name}: this kernel has no jail parameter allow.vmm\n")
    );
    assert_eq!(world(), before);
    remove(name);
}

/// What a set-user-ID root program gives its caller, in a jail of jail(8)'s that has some of the locks:
/// as whom it runs, and whether it reads root's file.
fn set_user_id(flags: &str, control: &str, takes_suser: bool) -> String {
    let (place, root) = ("/var/db/jrtest-suid", "/var/db/jrtest-suid-root");
    let nosuser = match takes_suser {
        true => "jail -m name=jrsuid allow.nosuser",
        false => "true",
    };
    sh(&format!(
        "mkdir -p {place}; install -m 4555 /usr/bin/id /bin/cat {place}; \
         echo secret > {place}/secret; chmod 600 {place}/secret
         for d in lib libexec bin usr/lib; do mkdir -p {root}/$d; mount -t nullfs -o ro /$d {root}/$d; done
         mkdir {root}/d; mount -t nullfs -o ro{flags} {place} {root}/d
         jail -c name=jrsuid path={root} persist allow.suser"
    ));
    // It gives root up while its jail still has one, as our child does, and waits for the rest.
    let said = sh(&format!(
        "{control} jexec -u nobody jrsuid /bin/sh -c \
         'for i in 1 2 3 4 5 6 7 8 9; do test -e /d/go && break; sleep 1; done; /d/id -u; /d/cat /d/secret 2>&1' &
         for i in $(jot 100); do
           ps -ax -o jid= -o user= | grep -q '^ *[1-9][0-9]* nobody' && break; sleep 0.1
         done
         {nosuser}; touch {place}/go; wait"
    ));
    sh(&format!(
        "jail -r jrsuid; for d in d usr/lib bin libexec lib; do umount {root}/$d; done; rm -r {root} {place}"
    ));
    said
}

#[test]
fn nosuid_or_no_new_privileges_makes_a_set_user_id_program_harmless_and_no_superuser_alone_does_not()
 {
    let _alone = alone();
    let (root, nobody) = ("0\nsecret", "65534\ncat: /d/secret: Permission denied");
    let control = "proccontrol -m nonewprivs -s enable";
    assert_eq!(set_user_id("", "", false), root, "none of them");
    assert_eq!(
        set_user_id("", "", true),
        root,
        "a root without power still owns its files"
    );
    assert_eq!(set_user_id(",nosuid", "", false), nobody, "nosuid");
    assert_eq!(set_user_id("", control, false), nobody, "no new privileges");
    assert_eq!(
        set_user_id(",nosuid", control, true),
        nobody,
        "all together"
    );
}
