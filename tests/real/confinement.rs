//! What a service is, and isn't, inside.

use crate::fixture::{Fixture, PROFILES, jail_lives, kill, sh, until, wait};
use std::os::unix::process::ExitStatusExt;

#[test]
fn the_service_is_the_profiles_user_in_a_read_only_root() {
    let fixture = Fixture::new("user", "");
    assert_eq!(fixture.says("id -u; id -g; id -G"), "65534\n65534\n65534");
    for place in ["/x", "/bin/x", "/dev/x"] {
        let script = format!("touch {place} 2>/dev/null || echo refused");
        assert_eq!(fixture.says(&script), "refused", "{place}");
    }
    assert_eq!(fixture.says("touch /tmp/x && echo written"), "written");
    assert_eq!(fixture.says("echo /dev/*"), "/dev/null");
    assert_eq!(
        fixture.says("echo /*"),
        "/bin /dev /etc /lib /libexec /sbin /tmp /usr"
    );
    fixture.nothing_is_left();
}

#[test]
fn the_superuser_has_no_power_inside_and_the_jail_ends_with_its_last_process() {
    let fixture = Fixture::with("nosuser", "args = [\"-c\", \"sleep 3\"]", "");
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    let params = "allow.suser allow.set_hostname allow.reserved_ports allow.raw_sockets persist";
    until("the hand-over", || {
        sh(&format!("jls -j {} {params}", fixture.jail())) == "false false false false false"
    });
    wait(running);
    fixture.nothing_is_left();
}

#[test]
fn exit_status_and_signal_pass_through() {
    let fixture = Fixture::new("status", "");
    assert_eq!(fixture.run("exit 42").status.code(), Some(42));
    assert_eq!(fixture.run("kill -9 $$").status.signal(), Some(9));
    for (program, status) in [("/bin/absent", 127), ("/etc/pwd.db", 126), ("/bin", 126)] {
        let output = fixture.command().arg(program).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{program}");
    }
    fixture.nothing_is_left();
}

#[test]
fn addresses_of_both_families_are_there_for_the_service_and_gone_after() {
    let more = "[jail]\nip4.addr = [\"lo0|127.0.0.80/32\"]\nip6.addr = [\"lo0|fd00::80/128\"]\n";
    let fixture = Fixture::with("address", "args = [\"-c\", \"exec nc -l 7001\"]", more);
    let running = fixture.command().spawn().unwrap();
    until("the addresses", || {
        let all = sh("ifconfig lo0");
        all.contains("127.0.0.80") && all.contains("fd00::80")
    });
    // With only one of a family, a wildcard is the jail's own address.
    until("the listener", || {
        sh("sockstat -4l").contains("127.0.0.80:7001")
    });
    kill("TERM", running.id());
    wait(running);
    fixture.nothing_is_left();
}

#[test]
fn rctl_rules_hold_for_the_jail_and_go_with_it() {
    let fixture = Fixture::with(
        "rctl",
        "args = [\"-c\", \"sleep 3\"]",
        "[rctl]\nmaxproc = 4\n",
    );
    let running = fixture.command().spawn().unwrap();
    let rule = format!("jail:{}:maxproc:deny=4", fixture.jail());
    until("the rule", || sh("rctl") == rule);
    wait(running);
    assert!(
        fixture
            .says("for i in 1 2 3 4 5 6; do sleep 1 & done; wait; echo")
            .contains("ork")
    );
    fixture.nothing_is_left();
}

#[test]
fn no_path_of_the_host_leads_into_a_running_root() {
    sh(
        "mkdir -p /var/db/jrtest-cloak; chmod 755 /var/db/jrtest-cloak; echo precious > /var/db/jrtest-cloak/data",
    );
    let top = "args = [\"-c\", \"exec sleep 100\"]";
    let grant = "[supervise]\nstop_timeout = 1\n";
    let fixture = Fixture::with("cloak", top, grant);
    let path = format!("{PROFILES}/{}.toml", fixture.name);
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replacen("devices", "rw = [\"/var/db/jrtest-cloak\"]\ndevices", 1);
    std::fs::write(&path, text).unwrap();
    let running = fixture.command().spawn().unwrap();
    until("the jail", || jail_lives(&fixture.jail()));
    until("the cloak", || {
        sh(&format!("ls -A /var/run/jailrun/{}/jail", fixture.name)).is_empty()
    });
    // What `service cleanvar restart` does.
    sh("service cleanvar onerestart");
    assert_eq!(sh("cat /var/db/jrtest-cloak/data"), "precious");
    assert!(jail_lives(&fixture.jail()));
    kill("TERM", running.id());
    wait(running);
    sh("rm -r /var/db/jrtest-cloak");
    // cleanvar takes lock files that no instance holds, too; the next launch makes them again.
    fixture.run("true");
    fixture.nothing_is_left();
}

#[test]
fn a_profile_that_others_can_write_is_refused() {
    let fixture = Fixture::new("trust", "");
    let file = format!("{PROFILES}/{}.toml", fixture.name);
    for (command, undo) in [
        ("chmod g+w", "chmod g-w"),
        ("chown nobody", "chown root"),
        ("setfacl -m u:nobody:rw", "setfacl -b"),
    ] {
        let refused = sh(&format!("{command} {file}"));
        if refused.contains("not supported") {
            println!("SKIP {command}: the file system has no ACLs");
            continue;
        }
        let output = fixture.run("echo ran");
        assert_eq!(output.status.code(), Some(78), "{command}");
        assert_eq!(output.stdout, b"");
        sh(&format!("{undo} {file}"));
    }
    let link = format!("{PROFILES}/jrtest-link.toml");
    sh(&format!("ln -s {file} {link}"));
    assert_eq!(
        sh("/usr/local/bin/jrtest-jailrun jrtest-link; echo $?"),
        format!("78\njailrun: jrtest-link: {link} is a symbolic link")
    );
    sh(&format!("rm {link}"));
    fixture.nothing_is_left();
}

#[test]
fn a_directory_as_standard_input_is_refused() {
    let fixture = Fixture::new("stdin", "");
    let directory = std::fs::File::open("/").unwrap();
    let output = fixture.command().stdin(directory).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    fixture.nothing_is_left();
}
