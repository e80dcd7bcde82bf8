//! The two runs.

use crate::installed::{Said, ctl, ended, service, sh, until};
use crate::prepared::{OWN, Prepared, Recorded, boot_id, manifest, mounts, prepared_in};
use crate::services::Service;

/// Whether this run may change the host.
const ASKED: &str = "JAILRUN_TEST_REBOOT";

#[test]
fn wrapped_services_survive_a_reboot_and_unwrapping_leaves_the_host_as_it_was() {
    if std::env::var(ASKED).as_deref() != Ok("1") {
        println!(
            "SKIP real_reboot: needs {ASKED}=1, since it changes the host until its second run"
        );
        return;
    }
    match prepared_in() {
        None => prepare(),
        Some(boot) if boot == boot_id() => {
            println!("SKIP real_reboot: all is prepared; reboot this host, then run this again");
        }
        Some(_) => look(),
    }
}

fn prepare() {
    let Some(prepared) = Prepared::first() else {
        return;
    };
    for service in &prepared.services {
        service.is_up();
    }
    assert_eq!(jailrun("status").status, 0);
    prepared.keep();
    println!("real_reboot: prepared; reboot this host (shutdown -r now), then run this again");
}

fn look() {
    let (prepared, before) = Prepared::second();
    // Whoever runs this may have come in before all was started.
    until("the end of /etc/rc", || {
        sh("ps -ax -o command= | grep -c '^[^ ]*sh /etc/rc autoboot' || true") == "0"
    });
    for service in &prepared.services {
        service.is_up();
    }
    own_instances_are_up();
    // The journals of the boot before name mounts that are gone, and nothing of them is tried.
    assert_eq!(ctl(&["cleanup", "--all"]).status, 0);
    ended_in_order(&before);
    for service in &prepared.services {
        verbs(service);
    }
    assert_eq!(jailrun("restart").status, 0);
    own_instances_are_up();
    for service in &prepared.services {
        service.does("stop");
        service.is_down();
    }
    assert_eq!(jailrun("stop").status, 0);
    assert_eq!(jailrun("status").status, 1);
    until("no jail and no mount of a service's", || {
        sh("jls name").is_empty() && mounts().is_empty()
    });
    for service in &prepared.services {
        let said = ctl(&["unwrap", service.name]);
        assert_eq!(said.status, 0, "{}", said.text);
    }
    is_the_same(&manifest(), &before.installed);
    drop(prepared);
    is_the_same(&manifest(), &before.fresh);
}

fn jailrun(verb: &str) -> Said {
    ended(service("jailrun", verb))
}

fn own_instances_are_up() {
    let said = jailrun("status");
    let lines = OWN.map(|name| format!("jailrun: {name} is running.\n"));
    assert_eq!((said.status, said.text), (0, lines.concat()));
    let jails = sh("jls name");
    for jail in [
        "jailrun-jrtest-boot-one",
        "jailrun-jrtest-boot-two",
        "jailrun-jrtest-deaf",
    ] {
        assert!(jails.lines().any(|name| name == jail), "{jails}");
    }
}

/// rc.shutdown(8) stopped each before syslogd, so that the log has how it ended. Its time was enough for one
/// that had to be killed.
fn ended_in_order(before: &Recorded) {
    let log = sh("cat /var/log/auth.log.0 /var/log/auth.log 2>/dev/null || true");
    for (instance, pid) in &before.supervisors {
        let tag = format!("jailrun[{pid}]: ");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&tag)).collect();
        let ended = lines.iter().rfind(|line| line.contains(" outcome="));
        let line = ended.unwrap_or_else(|| panic!("{instance}: {tag}has no end in {lines:#?}"));
        assert!(!line.contains("outcome=failed"), "{line}");
        let leftover = lines.iter().find(|line| line.contains("left behind"));
        assert_eq!(leftover, None);
        if instance == "jrtest-deaf" {
            assert!(line.contains("outcome=Signalled(9)"), "{line}");
        }
    }
}

fn verbs(service: &Service) {
    if service.reloads() {
        service.does("reload");
        service.is_up();
    }
    service.does("restart");
    service.is_up();
    service.does("stop");
    service.is_down();
    service.does("start");
    service.is_up();
}

/// Told by the lines that differ: there are thousands.
fn is_the_same(now: &str, then: &str) {
    let without = |text: &str, other: &str| {
        let other: std::collections::HashSet<&str> = other.lines().collect();
        let lines = text.lines().filter(|line| !other.contains(line));
        lines.map(str::to_string).collect::<Vec<String>>()
    };
    let (more, less) = (without(now, then), without(then, now));
    assert!(
        more.is_empty() && less.is_empty(),
        "new {more:#?}, gone {less:#?}"
    );
}
