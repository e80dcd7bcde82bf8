//! What happens to a wrapped service while it runs.

use crate::fixture::{Host, INETD, NGINX};
use crate::installed::{begun, ctl, ended_of, install, service, sh, until};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DAYTIME: &str = "127.0.0.1:13";

/// What inetd's daytime says, if it says anything.
fn daytime() -> Option<String> {
    let mut stream = TcpStream::connect(DAYTIME).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.contains(':').then_some(text)
}

fn running(host: &Host) {
    host.does("status");
    until("an answer", || daytime().is_some());
}

#[test]
fn a_client_in_a_loop_is_served_again_after_each_restart() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    host.does("start");
    running(&host);
    let is_over = AtomicBool::new(false);
    let (served, longest) = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut served, mut longest) = (0, Duration::ZERO);
            let mut last = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                match daytime() {
                    Some(_) => {
                        served += 1;
                        longest = longest.max(last.elapsed());
                        last = Instant::now();
                    }
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
            (served, longest.max(last.elapsed()))
        });
        for _ in 0..5 {
            let before = host.supervisor();
            host.does("restart");
            assert_ne!(host.supervisor(), before);
            until("an answer", || daytime().is_some());
        }
        is_over.store(true, Ordering::Relaxed);
        client.join().unwrap()
    });
    assert!(served > 5, "{served}");
    assert!(longest < Duration::from_secs(30), "{longest:?}");
    host.does("stop");
    host.unwrap();
    host.leaves_nothing();
}

#[test]
fn a_service_that_died_is_told_as_not_running_and_starts_again() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    // Whoever is killed, the daemon inside or its supervisor.
    for victim in [
        "$(ps -J jailrun-inetd -o pid=)",
        "$(cat /var/run/inetd.pid)",
    ] {
        host.does("start");
        running(&host);
        sh(&format!("kill -KILL {victim}"));
        until("its end", || host.verb("status").status == 1);
        until("the jail's end", || host.inside().is_empty());
        assert_eq!(daytime(), None);
        let said = host.verb("stop");
        assert_eq!(said.status, 1, "{}", said.text);
    }
    host.does("start");
    running(&host);
    host.does("stop");
    host.unwrap();
    host.leaves_nothing();
}

#[test]
fn of_two_starts_at_once_one_starts_the_service_and_the_other_says_that_it_failed() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    for _ in 0..3 {
        let both = [1, 2].map(|number| (begun(service("inetd", "start"), number), number));
        let said = both.map(|(child, number)| ended_of(child, number));
        let mut statuses = said.clone().map(|said| said.status);
        statuses.sort();
        assert_eq!(statuses, [0, 1], "{said:?}");
        running(&host);
        assert_eq!(host.supervisor().lines().count(), 1);
        assert_eq!(sh("jls name"), host.jail());
        host.does("stop");
        host.is_stopped();
    }
    host.unwrap();
    host.leaves_nothing();
}

#[test]
fn a_cleanvar_while_it_runs_leaves_status_reload_and_stop_as_they_were() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    host.does("start");
    running(&host);
    // Other daemons of the host lose their pidfiles, too, and have them back at once.
    sh(
        "cd /var/run && find -x . -type f ! -path './jailrun/*' ! -name inetd.pid | tar -cf /tmp/jrtest-run -T -",
    );
    let made = || {
        let stat = Path::new("/var/run/inetd.pid").metadata().ok()?;
        Some((stat.ino(), stat.ctime(), stat.ctime_nsec()))
    };
    let cleanvar = || {
        let before = made();
        let said = ended_of(begun(service("cleanvar", "restart"), 0), 0);
        sh("tar -C /var/run -xpf /tmp/jrtest-run");
        assert_eq!(said.status, 0, "{}", said.text);
        until("a pidfile again", || {
            made().is_some_and(|new| Some(new) != before)
        });
    };
    cleanvar();
    for verb in ["status", "reload", "status"] {
        host.does(verb);
    }
    assert_eq!(host.verb("start").status, 1);
    running(&host);
    // A second time, and at once.
    cleanvar();
    host.does("restart");
    running(&host);
    sh("rm /tmp/jrtest-run");
    host.does("stop");
    host.is_stopped();
    host.unwrap();
    host.leaves_nothing();
}

#[test]
fn a_configuration_is_tested_beside_the_service_in_capability_mode_whose_ports_are_taken() {
    let Some(mut host) = Host::with(&NGINX) else {
        return;
    };
    let path = "/usr/local/etc/nginx/nginx.conf";
    let text = std::fs::read_to_string(path).unwrap();
    host.change(path, &text.replace(" 8080;", " 80;"));
    let said = ctl(&["wrap", "nginx", "--profile", "nginx-capsicum"]);
    assert_eq!(said.status, 0, "{}", said.text);
    host.does("start");
    let jail = sh("jls jid");
    assert!(!jail.is_empty());
    for verb in ["configtest", "reload"] {
        host.does(verb);
        assert_eq!(sh("jls jid"), jail, "{verb}");
    }
    host.change(path, &text.replace(" 8080;", " 81;"));
    let said = host.verb("configtest");
    let words = "bind() to 0.0.0.0:81 failed (49: Can't assign requested address)";
    assert!(
        said.status == 1 && said.text.contains(words),
        "{}",
        said.text
    );
    host.change(path, &text.replace(" 8080;", " 80;"));
    host.does("restart");
    assert_ne!(sh("jls jid"), jail);
    host.does("stop");
    host.is_stopped();
    // The configuration is another file by now: what else is as it was, other tests see.
    let said = ctl(&["unwrap", "nginx"]);
    assert_eq!(
        (said.status, said.text.as_str()),
        (0, "nginx: is not wrapped any more\n")
    );
}

#[test]
fn a_configuration_is_tested_beside_the_service_and_a_broken_one_is_told_and_stops_nothing() {
    let Some(mut host) = Host::with(&NGINX) else {
        return;
    };
    let path = "/usr/local/etc/nginx/nginx.conf";
    let good = std::fs::read_to_string(path).unwrap();
    host.wrap();
    host.does("start");
    let supervisor = host.supervisor();
    let said = host.verb("configtest");
    assert!(
        said.status == 0 && said.text.contains("syntax is ok"),
        "{said:?}"
    );
    host.change(path, "bogus on;\n");
    for verb in ["configtest", "reload", "restart"] {
        let said = host.verb(verb);
        assert_eq!(said.status, 1, "{verb}: {}", said.text);
        assert!(
            said.text.contains("unknown directive \"bogus\""),
            "{}",
            said.text
        );
        assert_eq!(host.supervisor(), supervisor, "{verb}");
        assert_eq!(sh("jls name"), host.jail());
        host.does("status");
    }
    std::fs::write(path, &good).unwrap();
    host.does("stop");
    host.is_stopped();
    // While nothing runs, too, and a start says why there is none.
    std::fs::write(path, "bogus on;\n").unwrap();
    for verb in ["configtest", "start"] {
        let said = host.verb(verb);
        assert_eq!(said.status, 1, "{verb}: {}", said.text);
        let words = "unknown directive \"bogus\"";
        assert!(said.text.contains(words), "{verb}: {}", said.text);
        host.is_stopped();
    }
    std::fs::write(path, good).unwrap();
}

#[test]
fn programs_that_are_replaced_leave_what_runs_alone_and_are_used_by_the_next_start() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    host.does("start");
    running(&host);
    let (supervisor, old) = (host.supervisor(), sh("stat -f %i /usr/local/bin/jailrun"));
    // pkg(8) calls the old package's deinstall script when it upgrades, too.
    let deinstall = "PKG_UPGRADE=1 sh /tmp/jrtest-deinstall jailrun DEINSTALL";
    crate::package::deinstall_script();
    sh(deinstall);
    sh("rm /usr/local/bin/jailrun /usr/local/sbin/jailrunctl");
    install();
    assert_ne!(sh("stat -f %i /usr/local/bin/jailrun"), old);
    running(&host);
    assert_eq!(host.supervisor(), supervisor);
    host.does("reload");
    assert!(ctl(&["list"]).text.contains("inetd"));
    host.does("restart");
    running(&host);
    let new = host.supervisor();
    assert_ne!(new, supervisor);
    let program = sh(&format!("procstat -h binary {new}"));
    assert!(program.ends_with("/usr/local/bin/jailrun"), "{program}");
    host.does("stop");
    host.is_stopped();
    assert_eq!(ctl(&["unwrap", "inetd"]).status, 0);
}

#[test]
fn a_link_that_leads_nowhere_starts_nothing() {
    let Some(host) = Host::with(&INETD) else {
        return;
    };
    host.wrap();
    sh("rm /usr/local/bin/jailrun");
    for verb in ["start", "onestart", "faststart", "forcestart", "restart"] {
        let said = host.verb(verb);
        assert_eq!(said.status, 1, "{verb}: {}", said.text);
        assert_eq!(host.outside(), "", "{verb}");
        assert_eq!(daytime(), None, "{verb}");
    }
    install();
    host.does("start");
    running(&host);
    host.does("stop");
    host.is_stopped();
    assert_eq!(ctl(&["unwrap", "inetd"]).status, 0);
}
