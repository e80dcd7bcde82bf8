//! Nothing is left: whoever dies, whenever.

use crate::fixture::{Fixture, INSTALLED, jail_lives, sh, until, wait};
use std::process::Command;
use std::time::Duration;

/// `JAILRUN_ROUNDS` makes it longer.
fn rounds(least: u64) -> u64 {
    let asked = std::env::var("JAILRUN_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(least)
}

#[test]
fn nothing_is_left_after_200_launches_of_which_50_were_killed() {
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.81/32\"]\n[rctl]\nmaxproc = 20\n";
    let fixture = Fixture::new("killed", more);
    for round in 0..rounds(200) {
        if round % 4 != 0 {
            let status = fixture.run("exit 3").status.code();
            assert_eq!(status, Some(3), "round {round}");
            continue;
        }
        let mut running = fixture.shell("sleep 1").spawn().unwrap();
        std::thread::sleep(Duration::from_millis((round * 37) % 160));
        running.kill().unwrap();
        running.wait().unwrap();
    }
    assert_eq!(fixture.run("exit 3").status.code(), Some(3));
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

#[test]
fn a_connection_that_lingers_holds_nothing_up() {
    // The kernel keeps a jail's root for as long as one of its connections is in TIME_WAIT.
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.82/32\"]\n";
    let fixture = Fixture::new("linger", more);
    let old = sh("sysctl -n net.inet.tcp.msl; sysctl -n net.inet.tcp.msl_local");
    sh("sysctl net.inet.tcp.msl=15000 net.inet.tcp.msl_local=15000");
    let running = fixture
        .shell("echo hello | nc -N -l 127.0.0.82 7002")
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
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
    assert!(took < Duration::from_secs(3), "{took:?}");
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
