//! What a service is kept to: CPUs, a class of login.conf(5), and what rctl(4) counts.

use crate::fixture::{Fixture, jail_lives, said, sh, until, wait};

/// What `cpuset -g` says: "pid N mask: 0, 1".
fn mask(text: &str) -> String {
    let mask = text.lines().find_map(|line| line.split_once("mask: "));
    mask.map_or_else(|| text.to_string(), |(_, mask)| mask.trim().to_string())
}

#[test]
fn a_service_has_the_cpus_of_its_profile_and_can_not_widen_them() {
    if sh("sysctl -n hw.ncpu") == "1" {
        return println!("SKIP cpuset: needs two CPUs");
    }
    let fixture = Fixture::new("cpuset", "[jail]\ncpuset = \"1\"\n");
    assert_eq!(mask(&fixture.says("cpuset -g")), "1");
    // Neither its own process, nor the jail's set, nor another one.
    for wider in ["-l 0-1 -p $$", "-l 0 true", "-l 0-1 -s 1", "-c -l 0-1 true"] {
        let script = format!("cpuset {wider} 2>/dev/null && echo widened; cpuset -g");
        assert_eq!(mask(&fixture.says(&script)), "1", "{wider}");
        assert!(!fixture.says(&script).contains("widened"), "{wider}");
    }
    // A caller who chose a CPU of the others is given the profile's.
    let mut other = std::process::Command::new("/usr/bin/cpuset");
    other.args(["-l", "0", crate::fixture::INSTALLED, &fixture.name]);
    other.args(["/bin/sh", "-c", "cpuset -g"]);
    assert_eq!(mask(&said(other.output().unwrap())), "1");
    fixture.nothing_is_left();
}

#[test]
fn root_in_a_jail_has_no_more_cpus_either() {
    if sh("sysctl -n hw.ncpu") == "1" {
        return println!("SKIP cpuset: needs two CPUs");
    }
    let fixture = Fixture::new(
        "cpusetroot",
        "[jail]\ncpuset = \"1\"\nallow = [\"suser\"]\n",
    );
    let path = format!("{}/{}.toml", crate::fixture::PROFILES, fixture.name);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("user = \"nobody\"", "user = \"root\"")).unwrap();
    let script = "id -u; cpuset -l 0-1 -p $$; cpuset -l 0-1 -s 1; cpuset -l 0-1 -j $(sysctl -n security.jail.jailed); \
                  cpuset -c -l 0-1 true; cpuset -g 2>/dev/null";
    let said = fixture.says(&format!("({script}) 2>/dev/null"));
    assert_eq!(said.lines().next(), Some("0"));
    assert_eq!(mask(&said), "1");
    fixture.nothing_is_left();
}

#[test]
fn an_instance_that_is_entered_later_keeps_to_its_cpus() {
    if sh("sysctl -n hw.ncpu") == "1" {
        return println!("SKIP cpuset: needs two CPUs");
    }
    let fixture = Fixture::with(
        "cpusetin",
        "args = [\"-c\", \"sleep 4\"]",
        "[jail]\ncpuset = \"0\"\n",
    );
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    until("the service", || {
        sh(&format!("pgrep -j {} sleep", fixture.jail()))
            .parse::<u32>()
            .is_ok()
    });
    let jail = fixture.jail();
    assert_eq!(mask(&sh(&format!("jexec {jail} cpuset -g"))), "0");
    assert_eq!(mask(&sh(&format!("cpuset -g -j {jail}"))), "0");
    wait(running);
    fixture.nothing_is_left();
}

#[test]
fn a_cpu_that_this_host_lacks_is_refused_by_name() {
    let fixture = Fixture::new("cpusetbad", "");
    fixture.change("", "[jail]\ncpuset = \"0,1000\"\n");
    let words = fixture.says("echo ran");
    assert!(
        words.starts_with(
            "jailrun: jrtest-cpusetbad: cpuset: this host has no CPU 1000 for jails: it has 0"
        ),
        "{words}"
    );
    fixture.nothing_is_left();
}

/// A class at the end of the host's login.conf, in text and database; both are as before afterwards.
struct Classes;

impl Classes {
    fn with(words: &str) -> Classes {
        sh("cp -p /etc/login.conf /etc/login.conf.jrtest");
        std::fs::write("/tmp/jrtest-class", format!("jrtest:{words}\n")).unwrap();
        sh(
            "cat /tmp/jrtest-class >> /etc/login.conf; rm /tmp/jrtest-class; cap_mkdb /etc/login.conf",
        );
        Classes
    }
}

impl Drop for Classes {
    fn drop(&mut self) {
        sh("mv /etc/login.conf.jrtest /etc/login.conf; cap_mkdb /etc/login.conf");
    }
}

const LIMITS: &str =
    "umask; ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -t; ps -o nice= -p $$; id -c";

#[test]
fn the_service_is_in_its_profiles_login_class_and_never_in_the_callers() {
    let words = "openfiles-cur=50:openfiles-max=100:cputime=1h:umask=027:priority=5:tc=daemon:";
    let classes = Classes::with(words);
    let fixture = Fixture::with("class", "login_class = \"jrtest\"", "");
    let said = fixture.says(LIMITS);
    let said: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(
        said,
        ["0027", "50", "100", "unlimited", "3600", "5", "jrtest"]
    );
    // What login(1)'s own library makes of the same class, by limits(1).
    let theirs = sh("limits -C jrtest sh -c 'ulimit -Sn; ulimit -Hn; ulimit -t; ulimit -l'");
    let ours = fixture.says("ulimit -Sn; ulimit -Hn; ulimit -t; ulimit -l");
    assert_eq!(ours, theirs);
    // The profile's own words come first.
    fixture.change(
        "login_class = \"jrtest\"\numask = \"077\"\nnice = 3",
        "[limits]\nopenfiles = 64\n",
    );
    let said = fixture.says(LIMITS);
    let said: Vec<&str> = said.lines().map(str::trim).collect();
    assert_eq!(
        said,
        ["0077", "64", "64", "unlimited", "3600", "3", "jrtest"]
    );
    drop(classes);
    // It has gone from the file; and a profile without one isn't in its caller's.
    let refused = fixture.says("echo ran");
    assert_eq!(
        refused,
        "jailrun: jrtest-class: login_class: /etc/login.conf has no class \"jrtest\""
    );
    fixture.change("", "");
    assert_eq!(fixture.says("id -c"), "default");
    fixture.nothing_is_left();
}

#[test]
fn every_class_of_the_hosts_login_conf_reads_as_its_database_has_it() {
    let fixture = Fixture::new("classes", "");
    for class in ["default", "standard", "daemon", "root", "russian"] {
        fixture.change(&format!("login_class = \"{class}\""), "");
        assert_eq!(fixture.says("id -c"), class);
    }
    // The text is changed, the database isn't.
    let classes = Classes::with("openfiles=10:");
    fixture.change("login_class = \"jrtest\"", "");
    assert_eq!(fixture.says("ulimit -n"), "10");
    sh("sed -i '' s/openfiles=10/openfiles=11/ /etc/login.conf");
    assert_eq!(
        fixture.says("ulimit -n"),
        "jailrun: jrtest-classes: login_class: /etc/login.conf.db says something else of jrtest than \
         /etc/login.conf: run \"cap_mkdb /etc/login.conf\""
    );
    sh("cap_mkdb /etc/login.conf");
    assert_eq!(fixture.says("ulimit -n"), "11");
    drop(classes);
    fixture.change("", "");
    fixture.nothing_is_left();
}

#[test]
fn a_service_that_used_up_its_processor_time_is_killed() {
    let fixture = Fixture::new("cputime", "[rctl]\ncputime = 2\n");
    let script = "(while :; do :; done) & while :; do :; done";
    let began = std::time::Instant::now();
    let output = fixture.run(script);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    assert!(began.elapsed().as_secs() < 60);
    fixture.nothing_is_left();
}

#[test]
fn a_service_that_reached_its_age_is_killed() {
    let fixture = Fixture::new("wallclock", "[rctl]\nwallclock = 3\n");
    let output = fixture.run("sleep 60");
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(output.status.signal(), Some(9), "{output:?}");
    fixture.nothing_is_left();
}

#[test]
fn every_rule_that_a_profile_can_give_is_one_that_the_kernel_takes() {
    let seconds = "cputime = 600\nwallclock = 600\n";
    let sizes = "datasize stacksize coredumpsize memoryuse memorylocked vmemoryuse swapuse shmsize msgqsize \
                 readbps writebps";
    let counts = "maxproc openfiles pseudoterminals nthr msgqqueued nmsgq nsem nsemop nshm pcpu readiops writeiops";
    let sizes: String = sizes
        .split_whitespace()
        .map(|word| format!("{word} = \"4g\"\n"))
        .collect();
    let counts: String = counts
        .split_whitespace()
        .map(|word| format!("{word} = 900\n"))
        .collect();
    let more = format!("[rctl]\n{seconds}{sizes}{counts}");
    let fixture = Fixture::with("rules", "args = [\"-c\", \"sleep 3\"]", &more);
    let running = fixture.command().spawn().unwrap();
    until("the rules", || {
        let rules = sh("rctl");
        rules.contains(":cputime:sigkill=600") && rules.lines().count() == 25
    });
    assert!(sh("rctl").contains(":readbps:throttle=4294967296"));
    wait(running);
    fixture.nothing_is_left();
}

#[test]
fn a_jails_own_names_and_numbers_are_seen_inside() {
    let more = "[jail]\nhost.hostid = 4294967295\nosreldate = 1500001\nosrelease = \"15.0-X\"\n\
                host.domainname = \"example.org\"\nhost.hostuuid = \"6a61696c-7275-6e00-0000-000000000001\"\n\
                sysvshm = \"new\"\nenv = { SITE = \"blue\", N = \"1\" }\n";
    let fixture = Fixture::new("names", more);
    let script = "sysctl -n kern.hostid kern.domainname kern.hostuuid security.jail.env; uname -K; uname -r; ipcs -m | head -1";
    let said = fixture.says(script);
    let said: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let wanted = [
        "4294967295",
        "example.org",
        "6a61696c-7275-6e00-0000-000000000001",
        "N=1",
        "SITE=blue",
        "1500001",
        "15.0-X",
        "Shared Memory:",
    ];
    assert_eq!(said, wanted);
    fixture.nothing_is_left();
}
