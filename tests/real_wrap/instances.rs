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
const STOP_TIMEOUT: u64 = 20;

/// Services of the base system's shell; one that ignores TERM takes all of its time to stop.
fn profile(script: &str) -> String {
    format!(
        "program = \"/bin/sh\"\nargs = [\"-c\", \"{script}\"]\nuser = \"nobody\"\n[root]\nclosure = \"off\"\n\
         ro = [\"/bin\", \"/lib\", \"/libexec\"]\n[capsicum]\nmode = \"off\"\n[supervise]\nstop_timeout = {STOP_TIMEOUT}\n"
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

/// And the jail with it.
fn kill_supervisor(instance: &str) {
    let shown = ctl(&["show", instance]).text;
    let pid = shown
        .lines()
        .find_map(|line| line.strip_prefix("supervisor "));
    sh(&format!("kill -KILL {}", pid.unwrap().trim()));
    until("the jail's end", || jails().is_empty());
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
    // Each of the slow ones takes all of its time, and all together less than two of them one after the other;
    // rc.shutdown(8) gives 90 seconds to everything.
    assert!(took >= Duration::from_secs(STOP_TIMEOUT), "{took:?}");
    assert!(took < Duration::from_secs(2 * STOP_TIMEOUT), "{took:?}");
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
    kill_supervisor("jrtest-many");
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
fn each_instance_has_its_own_flags_else_its_profiles_else_everyones() {
    let Some(mut host) = Host::with(&JAILRUN) else {
        return;
    };
    prepared(&mut host, "jrtest-many@one jrtest-many@two jrtest-slow");
    // An option that jailrun(8) refuses at once tells who had which.
    let everyones = sh("cat /etc/rc.conf.d/jailrun");
    let flags = "jailrun_flags=--for-all\njailrun_jrtest_many_flags=--for-many\n\
                 jailrun_jrtest_many_two_flags=\n";
    std::fs::write("/etc/rc.conf.d/jailrun", format!("{everyones}\n{flags}")).unwrap();
    let said = host.verb("start");
    assert_eq!(said.status, 1, "{}", said.text);
    for words in [
        "\"--for-many\"",
        "jrtest-many@one did not start",
        "\"--for-all\"",
        "jrtest-slow did not start",
    ] {
        assert_eq!(
            said.text.matches(words).count(),
            1,
            "{words}: {}",
            said.text
        );
    }
    assert_eq!(jails(), ["jailrun-jrtest-many-two"]);
    let status = host.verb("status");
    let expected = "jailrun: jrtest-many@one is not running.\njailrun: jrtest-many@two is running.\n\
                    jailrun: jrtest-slow is not running.\n";
    assert_eq!((status.status, status.text.as_str()), (1, expected));
    host.does("stop");
    assert_eq!(jails(), [""; 0]);
}

#[test]
fn one_that_would_take_longer_than_a_shutdown_is_told_in_time_and_holds_up_no_other() {
    let Some(mut host) = Host::with(&JAILRUN) else {
        return;
    };
    prepared(&mut host, "jrtest-slow jrtest-many");
    let slow = format!("{PROFILES}/jrtest-slow.toml");
    let usual = format!("stop_timeout = {STOP_TIMEOUT}");
    let text = std::fs::read_to_string(&slow).unwrap();
    std::fs::write(&slow, text.replace(&usual, "stop_timeout = 600")).unwrap();
    host.does("start");
    let began = Instant::now();
    let said = host.verb("stop");
    let took = began.elapsed();
    assert_eq!(said.status, 1, "{}", said.text);
    assert!(took < Duration::from_secs(90), "{took:?}");
    // What init(8) then does to all that is left, the supervisor included, ends the jail with it.
    assert_eq!(jails(), ["jailrun-jrtest-slow"]);
    kill_supervisor("jrtest-slow");
    assert_eq!(ctl(&["cleanup", "--all"]).status, 0);
}

#[test]
fn the_script_comes_after_all_that_profiles_need_and_is_among_those_that_a_shutdown_stops() {
    let Some(host) = Host::with(&JAILRUN) else {
        return;
    };
    // rcorder(8)'s status is 1 exactly when a script requires what no other provides, or two require each other,
    // as on a system that was built without something; it orders the rest. What other scripts lack is theirs:
    // with ours among them, status and complaints have to be what they are without.
    let told = |flags: &str, scripts: &str| {
        let said = sh(&format!(
            "rcorder {flags} {scripts} 2>/tmp/jrtest-order; echo $?"
        ));
        let complaints = sh("sort /tmp/jrtest-order; rm /tmp/jrtest-order");
        let (list, status) = said.rsplit_once('\n').unwrap();
        (list.to_string(), (status.to_string(), complaints))
    };
    let ordered = |flags: &str| {
        let others = "$(ls /etc/rc.d/* /usr/local/etc/rc.d/* | grep -v '/rc.d/jailrun$')";
        let (list, with) = told(flags, &format!("/usr/local/etc/rc.d/jailrun {others}"));
        let (mut fewer, without) = told(flags, others);
        assert_eq!(with, without, "{flags}");
        // And nothing is lost or doubled by it.
        if list.contains("/rc.d/jailrun") {
            fewer.push_str("\n/usr/local/etc/rc.d/jailrun");
        }
        let sorted = |list: &str| {
            let mut lines: Vec<String> = list.lines().map(str::to_string).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&list), sorted(&fewer), "{flags}");
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
