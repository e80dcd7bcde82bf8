//! A service that was taken over, and that has what it could do fail before it is attested.

use crate::fixture::{CLOSED, INSTALLED, Parts, alone, ctl, holes, remove, sh, verdicts, write};
use crate::unconfined::{judged, mount, nowhere, seen_by};
use jailrun::attest::Target;
use jailrun::kernel::{Ending, Ids, Kernel, Limit, Rlimit};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

const NAME: &str = "jrtest-hidden";
const PLACE: &str = "/var/db/jrtest-hidden";

/// What is said of a live instance, once it has made what it wants of its directories.
fn executes(parts: Parts) -> (String, Option<i32>) {
    sh(&format!("install -d -o nobody -g nobody -m 700 {PLACE}"));
    write(NAME, parts, "");
    let mut start = Command::new(INSTALLED);
    start.args(["-d", NAME]).stdin(Stdio::null());
    let started = start.output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let waits = "for i in $(jot 300); do pgrep -f 'sleep 432[1]' >/dev/null && break; sleep 0.1; done; pgrep -f 'sleep 432[1]' | wc -l";
    assert_ne!(sh(waits).trim(), "0");
    sh(&format!("chmod 0 {PLACE}"));
    let report = ctl(&["attest", NAME]);
    assert!(ctl(&["stop", NAME]).status.success());
    remove(NAME);
    sh(&format!("rm -r {PLACE}"));
    let all = verdicts(&report).into_iter();
    let mut found = all.filter(|(name, _)| name == "execute-written");
    (found.next().unwrap().1, report.status.code())
}

#[test]
fn a_service_that_shuts_or_fills_what_it_writes_is_not_said_to_be_refused_to_execute_it() {
    let _alone = alone();
    let plain = "program = \"/bin/sh\"\nargs = [\"-c\", \"sleep 4321\"]";
    // No name more finds room. Those that are there are its own, and it says which mode they have.
    let filling = "program = \"/bin/sh\"\nargs = [\"-c\", \"i=0; while true > /tmp/$i; do i=$((i+1)); done 2>&-; \
                   sleep 4321\"]";
    let open = "tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]";
    let closed = "tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\", noexec = true }]";
    let shut = "rw = [{ path = \"/var/db/jrtest-hidden\" }]";
    let shut_noexec = "rw = [{ path = \"/var/db/jrtest-hidden\", noexec = true }]";
    let silenced = ("SILENCED".to_string(), Some(1));
    let refused = ("refused".to_string(), Some(0));
    for (runs, tmpfs, root, expected) in [
        (filling, open, "", &("OPEN".to_string(), Some(1))),
        (filling, closed, "", &refused),
        (plain, closed, shut, &silenced),
        (plain, closed, shut_noexec, &refused),
    ] {
        let parts = Parts {
            runs,
            tmpfs,
            root,
            ..CLOSED
        };
        assert_eq!(&executes(parts), expected, "{tmpfs} {root}");
    }
}

#[test]
fn a_service_hides_no_set_user_id_program_by_its_own_by_modes_or_by_many_names() {
    let _alone = alone();
    let attested = |with: Option<&'static str>| {
        let seen = seen_by(move |kernel| {
            kernel.setresuid(Ids::all(65534)).unwrap();
            let mut target = nowhere();
            target.is_throwaway = false;
            target.mounts = vec![mount(PLACE, false)];
            target.mounts.extend(with.map(|path| mount(path, true)));
            judged(kernel, "setuid-program", &target)
        });
        match seen {
            Ending::Exited(0) => "open",
            Ending::Exited(2) => "silenced",
            Ending::Exited(3) => "refused",
            _ => "odd",
        }
    };
    let nobodys = |script: &str| sh(&format!("su -m nobody -c 'cd {PLACE} && {script}'"));
    sh(&format!(
        "mkdir -p {PLACE} && mount -t tmpfs -o uid=65534,gid=65534,mode=700 tmpfs {PLACE} && \
         install -o nobody -m 4755 /bin/sleep {PLACE}"
    ));
    // What its own program gives it is what it has.
    assert_eq!(attested(None), "refused");
    assert_eq!(attested(Some("/usr/bin")), "open");
    nobodys("mkdir -m 0 shut");
    assert_eq!(attested(None), "silenced");
    nobodys("rmdir shut; jot -w name 20100 | xargs touch");
    assert_eq!(attested(None), "silenced");
    // Its own is looked through last.
    assert_eq!(attested(Some("/usr/bin")), "open");
    sh(&format!("umount {PLACE}; rmdir {PLACE}"));
}

#[test]
fn a_service_that_shuts_its_directory_is_not_said_to_be_refused_links_or_writing_there() {
    let _alone = alone();
    sh(&format!(
        "mkdir -p {PLACE} && mount -t tmpfs -o uid=65534,gid=65534,mode=700 tmpfs {PLACE} && \
         install -o nobody /bin/sleep {PLACE}"
    ));
    for (name, read_only) in [("hard-link", false), ("read-only-mounts", true)] {
        for (mode, expected) in [("700", 0), ("500", 2), ("0", 2)] {
            sh(&format!("chmod {mode} {PLACE}"));
            let seen = seen_by(move |kernel| {
                kernel.setresuid(Ids::all(65534)).unwrap();
                let mut target = nowhere();
                target.child.program = format!("{PLACE}/sleep");
                target.mounts = vec![mount(PLACE, read_only)];
                judged(kernel, name, &target)
            });
            assert_eq!(seen, Ending::Exited(expected), "{name} {mode}");
        }
    }
    sh(&format!("umount {PLACE}; rmdir {PLACE}"));
}

/// Its descriptors are opened anew to attest it, as its user.
#[test]
fn a_service_in_capability_mode_that_shuts_its_directory_has_no_report_that_passes() {
    let _alone = alone();
    sh(&format!("install -d -o nobody -g nobody -m 700 {PLACE}"));
    let root = "rw = [{ path = \"/var/db/jrtest-hidden\" }]";
    let runs = "program = \"/bin/sleep\"\nargs = [\"4321\"]";
    let parts = Parts {
        runs,
        root,
        capsicum: "mode = \"enforce\"",
        ..CLOSED
    };
    write(NAME, parts, "");
    let mut start = Command::new(INSTALLED);
    start.args(["-d", NAME]).stdin(Stdio::null());
    let started = start.output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let open = ctl(&["attest", NAME]);
    assert_eq!(holes(&open), ["execute-written".to_string()].into());
    sh(&format!("chmod 0 {PLACE}"));
    let shut = ctl(&["attest", "--threshold", "1", NAME]);
    assert_eq!(shut.status.code(), Some(71), "{shut:?}");
    assert!(shut.stdout.is_empty(), "{shut:?}");
    assert!(ctl(&["stop", NAME]).status.success());
    remove(NAME);
    sh(&format!("rm -r {PLACE}"));
}

/// What others of its user have used up, they can leave again.
#[test]
fn what_the_host_has_no_more_of_is_no_limit_of_the_jails() {
    let _alone = alone();
    for (name, limit, most) in [
        ("process-limit", Limit::Maxproc, 1),
        ("memory-limit", Limit::Vmemoryuse, 1 << 30),
    ] {
        for is_known in [true, false] {
            let seen = seen_by(move |kernel| {
                kernel.setrlimit(limit, Rlimit::both(most)).unwrap();
                kernel.setresuid(Ids::all(65534)).unwrap();
                let target = Target {
                    most_processes: is_known.then_some(most),
                    most_memory: is_known.then_some(most),
                    ..nowhere()
                };
                judged(kernel, name, &target)
            });
            let expected = if is_known { 3 } else { 2 };
            assert_eq!(seen, Ending::Exited(expected), "{name}");
        }
    }
}

/// None left to connect from or to be given is told as no such address is.
#[test]
fn a_service_that_holds_all_ports_is_not_said_to_be_refused_the_hosts_addresses() {
    let _alone = alone();
    let range = "net.inet.ip.portrange";
    let before = sh(&format!("sysctl {range}.first {range}.last")).replace(": ", "=");
    let waiting = TcpListener::bind("127.0.0.1:60100").unwrap();
    let listener: SocketAddr = waiting.local_addr().unwrap();
    sh(&format!("sysctl {range}.first=60000 {range}.last=60009"));
    let seen = |name: &'static str| {
        seen_by(move |kernel| {
            kernel.setresuid(Ids::all(65534)).unwrap();
            let mut target = nowhere();
            target.listeners = vec![listener];
            judged(kernel, name, &target)
        })
    };
    let both = || (seen("host-loopback"), seen("foreign-address"));
    write(NAME, CLOSED, "");
    let free = both();
    // They are each family's own.
    let held = (60000..=60009).map(|port| TcpListener::bind(("0.0.0.0", port)).unwrap());
    let held: Vec<TcpListener> = held.collect();
    let full = both();
    let named = TcpListener::bind("0.0.0.0:47808").unwrap();
    let fuller = seen("foreign-address");
    let report = ctl(&["attest", "--throwaway", NAME]);
    drop((held, named));
    sh(&format!("sysctl {}", before.replace('\n', " ")));
    remove(NAME);
    let (open, silenced) = (Ending::Exited(0), Ending::Exited(2));
    assert_eq!(free, (open, open));
    assert_eq!(full, (silenced, open));
    assert_eq!(fuller, silenced);
    // The host's own listeners aren't left out for that either.
    assert_eq!(report.status.code(), Some(71), "{report:?}");
    let said = String::from_utf8_lossy(&report.stderr).into_owned();
    assert!(said.contains(": listen on 127.0.0.1, "), "{said}");
}
