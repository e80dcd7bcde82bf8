//! Nothing is left: whoever dies, whenever.

use crate::fixture::{Fixture, INSTALLED, ctl, jail_lives, sh, until, wait};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// `JAILRUN_ROUNDS` makes it longer.
fn rounds(least: u64) -> u64 {
    let asked = std::env::var("JAILRUN_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(least)
}

/// A supervisor that is root's own, killed at a moment that differs from round to round, and what another
/// launch and `cleanup --all` make of it.
#[test]
fn nothing_is_left_after_launches_that_were_killed_at_any_moment() {
    let pidfile = "pidfile = \"/var/run/jrtest-killed.pid\"";
    let top = format!("args = [\"-c\", \"exit 3\"]\n{pidfile}");
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.81/32\"]\n[rctl]\nmaxproc = 20\n";
    let fixture = Fixture::with("killed", &top, more);
    let began = Instant::now();
    let status = fixture.command().status().unwrap();
    let whole = began.elapsed();
    assert_eq!(status.code(), Some(3));
    let (mut random, mut dirty) = (0x2545_f491_4f6c_dd1d_u64, 0);
    let kills = rounds(50);
    for _ in 0..kills {
        // Marsaglia's xorshift: the same moments in every run.
        for shift in [13, -7, 17] {
            random ^= match shift > 0 {
                true => random << shift,
                false => random >> -shift,
            };
        }
        let mut running = fixture.command().spawn().unwrap();
        std::thread::sleep(whole.mul_f64((random % 1500) as f64 / 1000.0));
        running.kill().unwrap();
        running.wait().unwrap();
        let jail = fixture.jail();
        dirty += u64::from(std::fs::exists(format!("/var/run/jailrun/{}", fixture.name)).unwrap());
        // The next start of it says "is running" as long as the kernel ends the jail.
        until("the kernel", || !jail_lives(&jail));
    }
    println!("{kills} launches killed, {dirty} of them with something to clean up");
    assert!(
        dirty * 5 > kills,
        "{dirty} of {kills}: the kills came too early or too late"
    );
    let output = ctl(&["cleanup", "--all"]);
    assert!(output.status.success(), "{output:?}");
    fixture.nothing_is_left();
}

/// Kernel memory: types of malloc(9) and zones of uma(9) with their use, in bytes, and open files.
fn kernel_memory() -> BTreeMap<String, i64> {
    // Names have blanks in them; sizes may be missing.
    let types = sh(
        "vmstat -m | awk 'NR > 1 && match($0, / +[0-9]+ +[0-9]+ +[0-9]+ *[0-9,]*$/) \
         {split(substr($0, RSTART), n, \" \"); print substr($0, 1, RSTART - 1) \":\" n[2]}'",
    );
    let zones = sh(
        "vmstat -z | tr -d , | awk -F: 'NR > 1 && NF > 1 {split($2, n, \" \"); print $1 \":\" n[1] * n[3]}'",
    );
    let files = format!("open files:{}", sh("sysctl -n kern.openfiles"));
    let mut found = BTreeMap::new();
    for line in types.lines() {
        if let Some((name, bytes)) = line.rsplit_once(':') {
            found.insert(format!("malloc {}", name.trim()), bytes.parse().unwrap());
        }
    }
    for line in zones.lines().chain([files.as_str()]) {
        if let Some((name, bytes)) = line.rsplit_once(':') {
            found.insert(format!("zone {name}"), bytes.parse().unwrap());
        }
    }
    found
}

#[test]
fn short_launches_leave_no_mount_jail_descriptor_or_memory() {
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.85/32\"]\n";
    let fixture = Fixture::new("short", more);
    let run = |launches: u64| {
        for _ in 0..launches {
            let status = fixture.command().arg("/usr/bin/true").status().unwrap();
            assert!(status.success());
        }
    };
    // Caches fill at the beginning; what leaks goes on growing.
    let launches = rounds(100);
    run(launches.min(500));
    let before = kernel_memory();
    run(launches);
    let mut after = kernel_memory();
    for settled in 0..10 {
        if after.get("zone open files") <= before.get("zone open files") || settled == 9 {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
        after = kernel_memory();
    }
    let mut grown: Vec<(i64, &String)> = Vec::new();
    for (what, bytes) in &after {
        let more = bytes - before.get(what).copied().unwrap_or(0);
        if more != 0 {
            grown.push((more, what));
        }
    }
    grown.sort();
    println!("{launches} launches; bytes in use, grown by:");
    grown
        .iter()
        .for_each(|(more, what)| println!("{more:>10} {what}"));
    // A jail, a mount or a process that stays is hundreds of bytes a launch. Buffers, vnodes and names
    // come and go with what else the system does; mbuf clusters and pages wait in buckets of each CPU.
    let buckets = ["mbuf_cluster", "pgcache"];
    let caches = [
        "VNODE",
        "BUF",
        "namei",
        "VFS Cache",
        "vm_page",
        "radix",
        "RADIX",
        "MAP ENTRY",
    ];
    for (more, what) in &grown {
        let is_cache = caches.iter().any(|cache| what.contains(cache));
        let is_bucket = buckets.iter().any(|bucket| what.contains(bucket));
        let most = match (is_cache, is_bucket) {
            (true, _) => 16 << 20,
            (_, true) => 32 * i64::try_from(launches).unwrap() + (2 << 20),
            _ => 32 * i64::try_from(launches).unwrap() + (256 << 10),
        };
        assert!(*more <= most, "{what}: {more} bytes in {launches} launches");
    }
    let files = |world: &BTreeMap<String, i64>| world.get("zone open files").copied();
    assert!(
        files(&after) <= files(&before).map(|open| open + 5),
        "{:?}",
        files(&after)
    );
    fixture.nothing_is_left();
}

#[test]
fn the_supervisors_death_takes_the_jail_with_it_at_once() {
    let top = "args = [\"-c\", \"trap '' TERM; (sleep 100 &); sleep 100\"]";
    let fixture = Fixture::with("orphan", top, "");
    let mut running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_millis(300));
    running.kill().unwrap();
    running.wait().unwrap();
    until("the kernel", || !jail_lives(&fixture.jail()));
    let mounts = sh(&format!("mount -p | grep -c jailrun/{}", fixture.name));
    assert_ne!(
        mounts, "0",
        "a killed supervisor unmounts nothing: else this test sees nothing"
    );
    fixture.run("true");
    fixture.nothing_is_left();
}

/// How long a launch and its end take here, whatever else the machine does.
fn launch_of_nothing(fixture: &Fixture) -> Duration {
    let begun = Instant::now();
    wait(fixture.shell("true").spawn().unwrap());
    begun.elapsed()
}

#[test]
fn a_connection_that_lingers_holds_nothing_up() {
    // The kernel keeps a jail's root for as long as one of its connections is in TIME_WAIT.
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.82/32\"]\n";
    let fixture = Fixture::new("linger", more);
    let nothing = launch_of_nothing(&fixture);
    let old = sh("sysctl -n net.inet.tcp.msl; sysctl -n net.inet.tcp.msl_local");
    sh("sysctl net.inet.tcp.msl=15000 net.inet.tcp.msl_local=15000");
    let running = fixture
        .shell("echo hello | nc -N -l 127.0.0.82 7002")
        .spawn()
        .unwrap();
    until("the listener", || {
        !sh("netstat -an -p tcp | grep '127.0.0.82.7002.*LISTEN'").is_empty()
    });
    let heard = sh("nc -w 2 127.0.0.82 7002 < /dev/null");
    let began = std::time::Instant::now();
    wait(running);
    let took = began.elapsed();
    let (msl, local) = old.split_once('\n').unwrap();
    let lingering = sh("netstat -an -p tcp | grep -c 127.0.0.82.*TIME_WAIT");
    sh(&format!(
        "sysctl net.inet.tcp.msl={msl} net.inet.tcp.msl_local={local}"
    ));
    assert_eq!(heard, "hello");
    assert_ne!(
        lingering, "0",
        "no connection lingers: this test sees nothing"
    );
    println!("{took:?} to the end; a whole launch of nothing: {nothing:?}");
    assert!(took < Duration::from_secs(1) + nothing, "{took:?}");
    fixture.nothing_is_left();
}

#[test]
fn neither_a_zombie_nor_a_process_descriptor_holds_the_root() {
    // tail(1) never waits for the shell's child, and has its casper(3) by pdfork(2).
    let service = "(exit 0) & exec tail -n 0 -f /bin/sh";
    let top = format!("args = [\"-c\", \"{service}\"]");
    let fixture = Fixture::with("zombie", &top, "");
    let jail = fixture.jail();
    let nothing = launch_of_nothing(&fixture);
    for order in ["TERM", "KILL"] {
        let running = fixture.command().spawn().unwrap();
        let inside = |what: &str| {
            let jid = sh(&format!("jls -j {jail} jid 2>/dev/null"));
            sh(&format!(
                "ps -ax -o jid= -o state= -o pid= | awk '$1 == \"{jid}\" && {what}'"
            ))
        };
        until("the jail", || jail_lives(&jail));
        until("the zombie", || !inside("$2 ~ /Z/").is_empty());
        let holds = || {
            let pids = inside("{print $3} 0").replace('\n', " ");
            sh(&format!(
                "procstat -f {pids} 2>/dev/null | awk '$4 == \"P\"'"
            ))
        };
        until("the process descriptor", || !holds().is_empty());
        let began = Instant::now();
        // The oldest: the others are its own.
        assert_eq!(sh(&format!("pkill -{order} -o -j {jail} -x tail")), "");
        wait(running);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1) + nothing, "{took:?}");
    }
    fixture.nothing_is_left();
}

#[test]
fn an_administrator_who_removes_the_jail_ends_the_service_cleanly() {
    let fixture = Fixture::with("removed", "args = [\"-c\", \"sleep 100\"]", "");
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(sh(&format!("jail -r {}", fixture.jail())), "");
    wait(running);
    fixture.nothing_is_left();
}

#[test]
fn a_full_state_directory_stops_the_launch_and_leaves_nothing() {
    let fixture = Fixture::new("full", "");
    // A memory file system with hardly any room in the place of the state directory.
    sh(
        "mount -t tmpfs -o size=64k,mode=755 tmpfs /var/run/jailrun; dd if=/dev/zero of=/var/run/jailrun/.fill bs=4k 2>/dev/null",
    );
    let output = Command::new(INSTALLED)
        .args([&fixture.name, "/usr/bin/true"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(71), "{output:?}");
    sh("umount /var/run/jailrun");
    fixture.nothing_is_left();
}
