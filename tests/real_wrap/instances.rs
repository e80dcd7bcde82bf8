//! rc.d/jailrun and the samples for logs, on the kernel and with the programs that read them.

use crate::fixture::{Host, Service};
use crate::installed::{begun, ctl, ended_of, service, sh, until};
use std::path::Path;
use std::time::{Duration, Instant};

const JAILRUN: Service = Service {
    name: "jailrun",
    program: "/usr/sbin/service",
    directories: &[],
    lines: &[],
};

const PROFILES: &str = "/usr/local/etc/jailrun/profiles";

/// Services of the base system's shell; one that ignores TERM takes all of its time to stop.
fn profile(script: &str) -> String {
    format!(
        "program = \"/bin/sh\"\nargs = [\"-c\", \"{script}\"]\nuser = \"nobody\"\n[root]\nclosure = \"off\"\n\
         ro = [\"/bin\", \"/lib\", \"/libexec\"]\n[capsicum]\nmode = \"off\"\n[supervise]\nstop_timeout = 8\n"
    )
}

/// The profiles, and what rc.conf says of them.
fn prepared(host: &mut Host, names: &str) {
    host.change(
        "/etc/rc.conf.d/jailrun",
        &format!("jailrun_enable=YES\njailrun_profiles=\"{names}\"\n"),
    );
    for (name, script) in [
        ("jrtest-many", "exec sleep 900"),
        ("jrtest-slow", "trap '' TERM; while :; do sleep 1; done"),
    ] {
        host.change(&format!("{PROFILES}/{name}.toml"), &profile(script));
    }
}

fn jails() -> Vec<String> {
    let names = sh("jls name | sort");
    names.lines().map(str::to_string).collect()
}

#[test]
fn instances_start_in_order_are_told_one_by_one_and_stop_at_once_within_the_shutdowns_time() {
    let Some(mut host) = Host::with(&JAILRUN) else {
        return;
    };
    let names = "jrtest-many@one jrtest-many@two jrtest-slow@a jrtest-slow@b jrtest-slow@c";
    prepared(&mut host, names);
    assert_eq!(host.verb("status").status, 1);
    let said = host.verb("start");
    assert_eq!(said.status, 0, "{}", said.text);
    let order = names
        .split(' ')
        .map(|name| format!("Starting jailrun {name}.\n"));
    assert_eq!(said.text, order.collect::<String>());
    assert_eq!(jails().len(), 5, "{:?}", jails());
    assert_eq!(host.verb("status").status, 0);
    // One of them, by its name, and back again by a start of all.
    let one = |verb: &str| {
        let mut command = service("jailrun", verb);
        command.arg("jrtest-many@two");
        ended_of(begun(command, 0), 0)
    };
    assert_eq!(one("stop").status, 0);
    assert_eq!(one("status").status, 1);
    assert_eq!(host.verb("status").status, 1);
    assert_eq!(jails().len(), 4);
    assert_eq!(host.verb("start").status, 0);
    assert_eq!(jails().len(), 5);
    let began = Instant::now();
    let said = host.verb("stop");
    let took = began.elapsed();
    assert_eq!(said.status, 0, "{}", said.text);
    // Each of the slow ones takes its 8 seconds, and all together no more than a moment longer; rc.shutdown
    // gives 90 to everything.
    assert!(took >= Duration::from_secs(8), "{took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    let slow = said.text.matches("Stopping jailrun jrtest-slow@").count();
    assert_eq!(slow, 3, "{}", said.text);
    assert_eq!(jails(), [""; 0]);
    assert_eq!(host.verb("status").status, 1);
    until("nothing left", || {
        sh("mount -p").matches("jrtest").count() == 0
    });
}

#[test]
fn a_start_takes_back_what_a_killed_supervisor_left_and_a_profile_that_fails_stops_no_other() {
    let Some(mut host) = Host::with(&JAILRUN) else {
        return;
    };
    prepared(&mut host, "jrtest-absent jrtest-many");
    let said = host.verb("start");
    assert_eq!(said.status, 1, "{}", said.text);
    assert!(
        said.text.contains("jrtest-absent did not start"),
        "{}",
        said.text
    );
    assert_eq!(jails(), ["jailrun-jrtest-many"]);
    let shown = ctl(&["show", "jrtest-many"]).text;
    let pid = shown
        .lines()
        .find_map(|line| line.strip_prefix("supervisor "));
    sh(&format!("kill -KILL {}", pid.unwrap().trim()));
    until("the jail's end", || jails().is_empty());
    assert_eq!(host.verb("status").status, 1);
    assert!(sh("mount -p").contains("jrtest-many"));
    host.change(
        "/etc/rc.conf.d/jailrun",
        "jailrun_enable=YES\njailrun_profiles=\"\"\n",
    );
    assert_eq!(host.verb("start").status, 0);
    assert!(!sh("mount -p").contains("jrtest-many"));
}

#[test]
fn the_script_comes_after_all_that_profiles_need_and_is_among_those_that_a_shutdown_stops() {
    let Some(host) = Host::with(&JAILRUN) else {
        return;
    };
    let ordered = |flags: &str| {
        // It fails on a system built without something that another script requires, and orders the rest.
        let list = sh(&format!(
            "rcorder {flags} /etc/rc.d/* /usr/local/etc/rc.d/* 2>/tmp/jrtest-order || [ $? -eq 1 ]"
        ));
        let complaints = std::fs::read_to_string("/tmp/jrtest-order").unwrap();
        std::fs::remove_file("/tmp/jrtest-order").unwrap();
        assert!(!complaints.contains("jailrun"), "{complaints}");
        list
    };
    let list = ordered("-s nostart");
    let place = |script: &str| {
        let found = list
            .lines()
            .position(|line| line.ends_with(&format!("/{script}")));
        found.unwrap_or_else(|| panic!("{script} is not in {list}"))
    };
    for before in [
        "FILESYSTEMS",
        "NETWORKING",
        "devfs",
        "syslogd",
        "LOGIN",
        "cleanvar",
    ] {
        assert!(place(before) < place("jailrun"), "{before}");
    }
    assert!(ordered("-k shutdown").contains("/rc.d/jailrun"));
    assert!(!ordered("-s nojail").contains("/rc.d/jailrun"));
    host.leaves_nothing();
}

#[test]
fn newsyslog_and_syslogd_read_the_samples_and_do_as_they_say() {
    let Some(mut host) = Host::with(&JAILRUN) else {
        return;
    };
    let sample = |place: &str| format!("/usr/local/etc/{place}.d/jailrun.conf");
    let log = "/var/log/jailrun.log";
    if Path::new(log).exists() {
        println!("SKIP real_wrap samples: needs a host without {log}");
        return;
    }
    for place in ["newsyslog.conf", "syslog"] {
        // As @sample of the package's list does.
        let text = std::fs::read_to_string(sample(place) + ".sample").unwrap();
        host.change(&sample(place), &text);
    }
    // newsyslog.conf(5) and syslog.conf(5) of the base system include these directories.
    let reload =
        "touch /var/log/jailrun.log; chmod 600 /var/log/jailrun.log; service syslogd reload";
    sh(reload);
    until("the line", || {
        sh(
            "logger -p authpriv.info -t jailrun of-jailrun; logger -p authpriv.info -t other of-another",
        );
        sh(&format!("cat {log}")).contains("of-jailrun")
    });
    assert!(!sh(&format!("cat {log}")).contains("of-another"));
    // Not due, and then forced: turned, made anew with the mode of the sample.
    let conf = sample("newsyslog.conf");
    let said = sh(&format!("newsyslog -nv -f {conf}"));
    assert!(
        said.contains(&format!("{log} <7J>")) && said.contains("skipping"),
        "{said}"
    );
    sh(&format!("newsyslog -F -f {conf} {log}"));
    assert!(!sh(&format!("cat {log}")).contains("of-jailrun"));
    let turned = sh(&format!("ls {log}.0*"));
    assert_eq!(
        sh(&format!("stat -f '%Su %Sg %Lp' {log}")),
        "root wheel 600"
    );
    assert!(turned.starts_with(log), "{turned}");
    sh(&format!(
        "rm -f {log} {log}.0* {}; service syslogd reload",
        sample("syslog")
    ));
}
