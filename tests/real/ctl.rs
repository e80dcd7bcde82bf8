//! jailrunctl on running instances.

use crate::fixture::{Fixture, INSTALLED, PROFILES, ctl, jail_lives, said, sh, until, wait};
use std::process::{Command, Stdio};
use std::time::Duration;

fn detached(fixture: &Fixture) {
    let mut command = Command::new(INSTALLED);
    let output = command.args(["-d", &fixture.name]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn list_and_show_tell_of_a_running_instance_and_stop_returns_when_it_is_gone() {
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.83/32\"]\n";
    let fixture = Fixture::with("listed", "args = [\"-c\", \"sleep 100\"]", more);
    assert_eq!(ctl(&["show", &fixture.name]).status.code(), Some(1));
    detached(&fixture);
    let list = said(ctl(&["list"]));
    let row = list
        .lines()
        .find(|line| line.starts_with(&fixture.name))
        .unwrap();
    assert!(
        row.contains("running") && row.contains("lo0-127.0.0.83"),
        "{row}"
    );
    let json = said(ctl(&["show", "--json", &fixture.name]));
    let jid = sh(&format!("jls -j {} jid", fixture.jail()));
    assert!(json.contains(&format!("\"jid\": {jid}")), "{json}");
    assert!(
        json.contains("\"memory\": ") && !json.contains("\"memory\": null"),
        "racct is on: {json}"
    );
    let stopped = ctl(&["stop", &fixture.name]);
    assert!(stopped.status.success(), "{stopped:?}");
    fixture.nothing_is_left();
}

#[test]
fn that_an_instance_is_not_running_is_an_answer_of_show_and_a_slip_to_the_other_verbs() {
    let fixture = Fixture::with("absent", "args = [\"-c\", \"sleep 100\"]", "");
    let name = fixture.name.as_str();
    let words = format!("jailrunctl: {name}: the instance {name} isn't running");
    for verb in [
        &["enter", name][..],
        &["stop", name],
        &["why", name, "/etc"],
        &["check", "--capsicum", name],
    ] {
        let output = ctl(verb);
        let told = String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_string();
        assert_eq!(
            (output.status.code(), told),
            (Some(64), words.clone()),
            "{verb:?}"
        );
    }
    assert_eq!(ctl(&["show", name]).status.code(), Some(1));
    detached(&fixture);
    // The status 1 would say that something remains.
    let report = ctl(&["check", "--capsicum", name]);
    assert_eq!(report.status.code(), Some(64), "{report:?}");
    assert_eq!(ctl(&["show", name]).status.code(), Some(0));
    assert!(ctl(&["stop", name]).status.success());
    fixture.nothing_is_left();
}

#[test]
fn what_is_entered_is_the_services_user_in_its_jail_and_ends_with_it() {
    let fixture = Fixture::with("entered", "args = [\"-c\", \"sleep 100\"]", "");
    detached(&fixture);
    let inside = [
        "enter",
        &fixture.name,
        "/bin/sh",
        "-c",
        "id -u; echo /*; exit 7",
    ];
    let output = ctl(&inside);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(
        said(output),
        "65534\n/bin /dev /etc /lib /libexec /sbin /tmp /usr"
    );
    let mut held = Command::new(std::env::var("JAILRUNCTL_BIN").unwrap());
    held.args(["enter", &fixture.name, "/bin/sleep", "100"])
        .stdin(Stdio::null());
    let held = held.spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(sh(&format!("ps -J {} -o command=", fixture.jail())).contains("sleep 100"));
    assert!(ctl(&["stop", &fixture.name]).status.success());
    assert!(!wait(held).success());
    fixture.nothing_is_left();
}

#[test]
fn cleanup_takes_back_what_a_killed_supervisor_left_and_leaves_the_living_alone() {
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.84/32\"]\n[rctl]\nmaxproc = 30\n";
    let pidfile = "pidfile = \"/var/run/jrtest-cleanup.pid\"";
    let top = format!("args = [\"-c\", \"sleep 100\"]\n{pidfile}");
    let fixture = Fixture::with("cleanup", &top, more);
    detached(&fixture);
    assert_eq!(ctl(&["cleanup", &fixture.name]).status.code(), Some(75));
    let pid = sh("cat /var/run/jrtest-cleanup.pid");
    sh(&format!("kill -9 {pid}"));
    until("the kernel", || !jail_lives(&fixture.jail()));
    let row = said(ctl(&["list"]));
    assert!(row.contains("stale"), "{row}");
    let cleaned = ctl(&["cleanup", &fixture.name]);
    assert_eq!(
        (cleaned.status.code(), said(cleaned)),
        (Some(0), String::new())
    );
    // Again, or by a name that nothing ever had: nothing is wrong, and it is told.
    for name in [&fixture.name, "jrtest-absent"] {
        let again = ctl(&["cleanup", name]);
        let words = "nothing is left of an instance of that name; jailrunctl list has the others";
        let told = (again.status.code(), said(again));
        assert_eq!(told, (Some(0), format!("{name}: {words}")));
    }
    let output = ctl(&["cleanup", "--all"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!std::path::Path::new("/var/run/jrtest-cleanup.pid").exists());
    // Nothing runs: its devfs rulesets are gone too.
    assert_eq!(
        sh("devfs rule showsets | awk '$1 >= 18944 && $1 < 19200'"),
        ""
    );
    fixture.nothing_is_left();
}

#[test]
fn a_package_that_is_not_installed_fails_no_check_of_all_profiles() {
    let fixture = Fixture::new("check", "");
    let packages = "/usr/local/share/jailrun/profiles";
    let text = "program = \"/usr/local/bin/jrtest-absent\"\nuser = \"nobody\"\n[capsicum]\nmode = \"off\"\n";
    std::fs::create_dir_all(packages).unwrap();
    std::fs::write(format!("{packages}/jrtest-absent.toml"), text).unwrap();
    let all = said(ctl(&["check"]));
    let words = "jrtest-absent: not installed here: /usr/local/bin/jrtest-absent";
    assert!(all.lines().any(|line| line == words), "{all}");
    // By its name it was asked whether it would start.
    let asked = ctl(&["check", "jrtest-absent"]);
    assert_eq!(asked.status.code(), Some(78), "{asked:?}");
    // The administrator's own has a slip in it, and fails.
    let own = format!("{PROFILES}/jrtest-absent.toml");
    std::fs::write(&own, text).unwrap();
    let checked = ctl(&["check"]);
    assert_eq!(checked.status.code(), Some(78));
    assert!(!said(checked).contains(words));
    sh(&format!("rm {own} {packages}/jrtest-absent.toml"));
    fixture.nothing_is_left();
}

#[test]
fn a_package_whose_directories_nobody_made_yet_fails_no_check_of_all_and_starts_once_they_are_made()
{
    let fixture = Fixture::new("unmade", "");
    let packages = "/usr/local/share/jailrun/profiles";
    let (above, data) = ("/var/spool/jrtest-unset", "/var/spool/jrtest-unset/files");
    let text = format!(
        "program = \"/bin/sh\"\nargs = [\"-c\", \"echo x >{data}/y\"]\nuser = \"nobody\"\n\
         [root]\nrw = [\"{data}\"]\n[capsicum]\nmode = \"off\"\n"
    );
    std::fs::create_dir_all(packages).unwrap();
    std::fs::write(format!("{packages}/jrtest-unset.toml"), text).unwrap();
    let all = || said(ctl(&["check"]));
    let commands = format!(
        "install -d -o root -g wheel -m 0750 {above} && install -d -o nobody -m 0750 {data}"
    );
    let words = format!("{above}: No such file or directory; run: {commands}");
    let line = format!("jrtest-unset: not set up here: {words}");
    let found = all();
    assert!(found.lines().any(|found| found == line), "{found}");
    let refused = format!("jrtest-unset: {words}");
    let asked = ctl(&["check", "jrtest-unset"]);
    assert_eq!((asked.status.code(), said(asked)), (Some(78), refused));
    // One that others can write is there.
    sh(&format!("install -d -m 0777 {above}"));
    let found = all();
    let open = format!("jrtest-unset: {above} is writable by others than root");
    assert!(found.lines().any(|line| line == open), "{found}");
    sh(&format!("rmdir {above}; {commands}"));
    assert!(all().lines().any(|line| line == "jrtest-unset: good"));
    let run = Command::new(INSTALLED).arg("jrtest-unset").status();
    assert!(run.unwrap().success());
    assert_eq!(sh(&format!("cat {data}/y; rm -r {above}")), "x");
    sh(&format!("rm {packages}/jrtest-unset.toml"));
    fixture.nothing_is_left();
}

/// It is a reaper, and what goes into the background stays its descendant: jailrun(8) says so.
#[test]
fn timeout_waits_for_a_detached_service_as_for_every_daemon_and_in_the_foreground_for_none() {
    let fixture = Fixture::with("timeout", "args = [\"-c\", \"sleep 100\"]", "");
    let launch = format!("{INSTALLED} -d {}", fixture.name);
    let under = |options: &str, what: &str| {
        sh(&format!(
            "timeout {options} 3 {what} </dev/null >/dev/null 2>&1; echo $?"
        ))
    };
    assert_eq!(under("", "daemon sleep 100"), "124");
    assert_eq!(under("", &launch), "124");
    until("the end", || !jail_lives(&fixture.jail()));
    assert_eq!(under("--foreground", &launch), "0");
    assert!(jail_lives(&fixture.jail()));
    assert!(ctl(&["stop", &fixture.name]).status.success());
    fixture.nothing_is_left();
}

#[test]
fn stop_works_without_a_journal() {
    let fixture = Fixture::with("lost", "args = [\"-c\", \"sleep 100\"]", "");
    detached(&fixture);
    sh("service cleanvar onerestart");
    assert!(said(ctl(&["list"])).contains("unknown"));
    let stopped = ctl(&["stop", &fixture.name]);
    assert!(stopped.status.success(), "{stopped:?}");
    until("the end", || !jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_millis(500));
    fixture.nothing_is_left();
}

#[test]
fn plan_and_rehearse_work_on_this_host_and_plan_makes_nothing() {
    let fixture = Fixture::new("planned", "");
    let before = sh("devfs rule showsets; ls -lR /var/run/jailrun");
    let plan = said(ctl(&["plan", &fixture.name]));
    assert!(
        plan.contains("create the jail jailrun-jrtest-planned"),
        "{plan}"
    );
    assert_eq!(sh("devfs rule showsets; ls -lR /var/run/jailrun"), before);
    fixture.nothing_is_left();
}

#[test]
fn check_names_a_directory_of_the_services_own_below_one_of_roots() {
    let fixture = Fixture::new("deeper", "");
    let place = "/var/db/jrtest-deeper";
    sh(&format!(
        "install -d -m 755 {place} {place}/roots && install -d -o nobody -m 700 {place}/roots/own"
    ));
    let name = format!("{}-c", fixture.name);
    let text = format!(
        "program = \"/bin/sh\"\nuser = \"nobody\"\n[root]\nrw = [\"{place}\"]\n[capsicum]\nmode = \"off\"\n"
    );
    std::fs::write(format!("{PROFILES}/{name}.toml"), text).unwrap();
    let words = format!("note: {place}/roots/own: the service can put links");
    let found = said(ctl(&["check", &name]));
    assert!(found.contains(&words), "{found}");
    sh(&format!("chown root {place}/roots/own"));
    let found = said(ctl(&["check", &name]));
    assert!(!found.contains("can put links"), "{found}");
    sh(&format!("rm -r {place} {PROFILES}/{name}.toml"));
    fixture.nothing_is_left();
}
