//! What is inside a root, seen from inside.

use crate::fixture::{alone, end_within, forget, jailrun, profile, run, says, sh, world};
use jailrun::pkg::PKG;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn nothing_is_inside_that_the_plan_does_not_have() {
    let _alone = alone();
    let before = world();
    std::fs::create_dir_all("/usr/local/jrtest/secret").unwrap();
    sh(
        "echo key > /usr/local/jrtest/key; echo page > /usr/local/jrtest/page; chmod 644 /usr/local/jrtest/*e*",
    );
    profile(
        "jrtest-inside",
        "user = \"nobody\"\nprogram = \"/usr/bin/find\"\nargs = [\"/\", \"-print\"]\n[root]\nprograms = [\"/bin/cat\", \"/bin/ls\"]\n\
         ro = [\"/usr/local/jrtest\"]\nmask = [\"/usr/local/jrtest/key\", \"/usr/local/jrtest/secret\"]\ndevices = [\"null\"]\n\
         tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n[root.files]\n\"/etc/passwd\" = \"synthetic\"\n\"/etc/motd\" = \"hello\\n\"",
    );
    let output = run("jrtest-inside", &[]);
    let found: BTreeSet<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_string)
        .collect();
    let mut expected: BTreeSet<String> = "/ /bin /bin/cat /bin/ls /dev /dev/null /etc /etc/motd /etc/passwd /lib /libexec \
        /libexec/ld-elf.so.1 /tmp /usr /usr/bin /usr/bin/find /usr/local /usr/local/jrtest /usr/local/jrtest/key \
        /usr/local/jrtest/page /usr/local/jrtest/secret"
        .split_whitespace()
        .map(str::to_string)
        .collect();
    let libraries = found
        .iter()
        .filter(|path| path.starts_with("/lib/") || path.starts_with("/usr/lib"));
    let libraries: Vec<String> = libraries.cloned().collect();
    assert!(
        libraries
            .iter()
            .all(|path| path.contains(".so") || path == "/usr/lib"),
        "{libraries:?}"
    );
    expected.extend(libraries);
    assert_eq!(found, expected);
    // And the plan names the same paths, but for those in what is granted whole.
    let (status, planned) = jailrunctl(&["plan", "--files", "jrtest-inside"]);
    assert_eq!(status, 0, "{planned}");
    let first = |line: &str| line.split_whitespace().next().unwrap().to_string();
    let planned: BTreeSet<String> = planned.lines().map(first).collect();
    let is_elsewhere = |path: &&String| {
        let in_granted = ["/dev/", "/usr/local/jrtest/"];
        *path != "/" && !in_granted.iter().any(|above| path.starts_with(above))
    };
    let made: BTreeSet<&String> = found.iter().filter(is_elsewhere).collect();
    assert_eq!(made, planned.iter().filter(is_elsewhere).collect());
    assert!(planned.iter().all(|path| found.contains(path)));

    let says = |command: &[&str]| says("jrtest-inside", command);
    assert_eq!(
        says(&["/bin/cat", "/usr/local/jrtest/page", "/etc/motd"]),
        "page\nhello"
    );
    assert!(says(&["/bin/cat", "/usr/local/jrtest/key"]).contains("Permission denied"));
    assert!(says(&["/bin/ls", "/usr/local/jrtest/secret"]).contains("Permission denied"));
    assert_eq!(
        says(&["/bin/cat", "/etc/passwd"]),
        "nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"
    );
    assert!(
        says(&["/bin/ls", "-ld", "/etc", "/bin", "/usr/local"])
            .lines()
            .all(|line| line.starts_with("drwxr-xr-x  ")
                && line.split_whitespace().nth(2) == Some("0"))
    );
    forget("jrtest-inside");
    std::fs::remove_dir_all("/usr/local/jrtest").unwrap();
    assert_eq!(before, world());
}

#[test]
fn libc_finds_the_service_and_nobody_else_in_made_up_accounts() {
    let _alone = alone();
    profile(
        "jrtest-names",
        "user = \"alice\"\ngroups = [\"operator\"]\nprogram = \"/usr/bin/id\"\n[root]\nprograms = [\"/usr/bin/getent\", \"/bin/sh\"]\n\
         tmpfs = [{ path = \"/tmp\", size = \"1m\", owner = \"www\" }]\n[root.files]\n\"/etc/passwd\" = \"synthetic\"\n\
         \"/etc/group\" = \"synthetic\"\n\"/etc/pwd.db\" = \"synthetic\"\n\"/etc/spwd.db\" = \"synthetic\"",
    );
    let says = |command: &[&str]| says("jrtest-names", command);
    let uid = sh("id -u alice");
    assert_eq!(
        says(&[]),
        format!("uid={uid}(alice) gid={uid}(alice) groups={uid}(alice),5(operator)")
    );
    for key in ["alice", &uid] {
        assert_eq!(
            says(&["/usr/bin/getent", "passwd", key]),
            format!("alice:*:{uid}:{uid}:alice:/nonexistent:/usr/sbin/nologin")
        );
    }
    let all = says(&["/usr/bin/getent", "passwd"]);
    let names: Vec<&str> = all
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(names, ["alice", "www"]);
    assert_eq!(says(&["/usr/bin/getent", "passwd", "root"]), "");
    // ls -l asks by uid.
    assert_eq!(says(&["/bin/sh", "-c", "echo ~www"]), "/nonexistent");
    forget("jrtest-names");
}

/// A program that ends with the test, however that ends.
struct Beside(std::process::Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sockets_of_the_host_are_reached_only_by_sockets() {
    let _alone = alone();
    sh("rm -rf /var/run/jrtest; mkdir /var/run/jrtest");
    let path = "/var/run/jrtest/s";
    let listener = Command::new("/usr/bin/nc")
        .args(["-lkU", path])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _listener = Beside(listener.unwrap());
    std::thread::sleep(Duration::from_millis(1500));
    sh("chmod 777 /var/run/jrtest/s");
    for (grant, reached) in [("ro", false), ("sockets", true)] {
        let lines = format!(
            "user = \"nobody\"\nprogram = \"/usr/bin/nc\"\nargs = [\"-N\", \"-w\", \"2\", \"-U\", \"{path}\"]\n\
             [root]\n{grant} = [\"/var/run/jrtest\"]"
        );
        profile("jrtest-socket", &lines);
        let output = run("jrtest-socket", &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), reached, "{grant}: {said}");
    }
    forget("jrtest-socket");
    sh("rm -rf /var/run/jrtest");
}

#[test]
fn file_systems_in_a_granted_directory_are_inside_too() {
    let _alone = alone();
    sh(
        "mkdir -p /srv-jrtest/in/deep && mount -t tmpfs tmpfs /srv-jrtest/in && mkdir /srv-jrtest/in/deep && echo here > /srv-jrtest/in/deep/file",
    );
    profile(
        "jrtest-sub",
        "user = \"nobody\"\nprogram = \"/bin/cat\"\nargs = [\"/srv-jrtest/in/deep/file\"]\n[root]\nro = [\"/srv-jrtest\"]",
    );
    let said = says("jrtest-sub", &[]);
    sh("mount -t devfs devfs /srv-jrtest/in/deep");
    let refused = says("jrtest-sub", &[]);
    sh("umount /srv-jrtest/in/deep; umount /srv-jrtest/in; rm -rf /srv-jrtest");
    forget("jrtest-sub");
    assert_eq!(said, "here");
    assert!(
        refused.contains("a devfs can't be granted; write mask = [\"/srv-jrtest/in/deep\"]"),
        "{refused}"
    );
}

/// A program that needs a library by a name of its own, in a directory that only the hints know. The
/// library is a copy of a real one: rtld asks for the name, not for what is in it.
#[test]
fn libraries_that_only_hints_or_a_map_lead_to_are_found_inside() {
    let _alone = alone();
    sh(
        "rm -rf /usr/local/lib/jrtest; mkdir -p /usr/local/lib/jrtest /usr/local/bin; cp /lib/libz.so.6 /usr/local/lib/jrtest/libq.so.6; \
        LC_ALL=C sed 's/libz\\.so\\.6/libq.so.6/' /usr/bin/gzip > /usr/local/bin/jrtest-gzip; chmod 755 /usr/local/bin/jrtest-gzip; \
        ldconfig -m /usr/local/lib/jrtest",
    );
    profile(
        "jrtest-hints",
        "user = \"nobody\"\nprogram = \"/usr/local/bin/jrtest-gzip\"\nargs = [\"--version\"]",
    );
    let hinted = says("jrtest-hints", &[]);
    sh("service ldconfig start >/dev/null 2>&1 || ldconfig /lib /usr/lib");
    let lost = says("jrtest-hints", &[]);
    sh(
        "cp -p /etc/libmap.conf /etc/libmap.conf.jrtest; echo 'libq.so.6 /usr/local/lib/jrtest/libq.so.6' >> /etc/libmap.conf",
    );
    let mapped = says("jrtest-hints", &[]);
    sh(
        "mv /etc/libmap.conf.jrtest /etc/libmap.conf; rm -rf /usr/local/lib/jrtest /usr/local/bin/jrtest-gzip; service ldconfig start >/dev/null 2>&1 || true",
    );
    forget("jrtest-hints");
    assert!(hinted.contains("gzip"), "{hinted}");
    assert!(lost.contains("needs \"libq.so.6\""), "{lost}");
    assert!(mapped.contains("gzip"), "{mapped}");
}

#[test]
fn scripts_and_links_run_as_on_the_host() {
    let _alone = alone();
    sh(
        "mkdir -p /usr/local/bin; printf '#!/usr/bin/env -S sh\\necho \"$0\" \"$1\"\\n' > /usr/local/bin/jrtest-script; \
        chmod 755 /usr/local/bin/jrtest-script; ln -sf jrtest-script /usr/local/bin/jrtest-link",
    );
    profile(
        "jrtest-script",
        "user = \"nobody\"\nenv = { PATH = \"/bin:/usr/bin\" }\nprogram = \"/usr/local/bin/jrtest-link\"\nargs = [\"x\"]",
    );
    let said = says("jrtest-script", &[]);
    forget("jrtest-script");
    sh("rm /usr/local/bin/jrtest-script /usr/local/bin/jrtest-link");
    assert_eq!(said, "/usr/local/bin/jrtest-link x");
}

fn stale(words: &[&str]) -> (i32, String) {
    jailrunctl(&[&["stale"], words].concat())
}

/// With its status.
fn jailrunctl(words: &[&str]) -> (i32, String) {
    let program = std::env::var_os("JAILRUNCTL_BIN");
    let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_jailrunctl").into());
    let output = Command::new(program).args(words).output();
    let output = output.unwrap();
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    (output.status.code().unwrap(), text)
}

/// What pkg says is a script's here: what is asked, and what is made of the answer, is what is tried.
#[test]
fn a_file_that_is_replaced_under_a_running_instance_is_stale() {
    let _alone = alone();
    sh("mkdir -p /usr/local/jrtest; echo one > /usr/local/jrtest/file");
    profile(
        "jrtest-stale",
        "user = \"nobody\"\nprogram = \"/bin/sleep\"\nargs = [\"100\"]\n[root]\nro = [\"/usr/local/jrtest/file\"]\n[supervise]\nstop_timeout = 1",
    );
    let running = jailrun("jrtest-stale", &[]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    let fresh = stale(&[]);
    sh("echo two > /usr/local/jrtest/new; mv /usr/local/jrtest/new /usr/local/jrtest/file");
    let has_pkg = std::path::Path::new(PKG).exists();
    let without = stale(&[]);
    if !has_pkg {
        let script =
            "#!/bin/sh\necho \"$# $1 $2 $3; $(env | wc -l)\" >/tmp/jrtest-asked\necho made-1.0\n";
        std::fs::write(PKG, script).unwrap();
        sh("chmod 755 /usr/local/sbin/pkg");
    }
    let (text, json) = (stale(&[]), stale(&["--json"]));
    if !has_pkg {
        let asked = sh("cat /tmp/jrtest-asked; rm /usr/local/sbin/pkg /tmp/jrtest-asked");
        assert!(
            asked.starts_with("3 which -q /usr/local/jrtest/file;"),
            "{asked}"
        );
        let (status, said) = without;
        assert_eq!(status, 1);
        assert_eq!(
            said,
            "jrtest-stale: /usr/local/jrtest/file replaced; run: service jailrun onerestart jrtest-stale\n\
             jailrunctl: stale: packages aren't known: /usr/local/sbin/pkg: No such file or directory\n"
        );
        assert_eq!(
            text,
            (
                1,
                "jrtest-stale: /usr/local/jrtest/file replaced, of made-1.0; \
                 run: service jailrun onerestart jrtest-stale\n"
                    .to_string()
            )
        );
    }
    assert!(end_within(running, 1).is_none());
    forget("jrtest-stale");
    sh("rm -r /usr/local/jrtest");
    assert_eq!(fresh, (0, String::new()));
    assert_eq!(json.0, 1);
    assert!(
        json.1.starts_with(
            "[{\"instance\": \"jrtest-stale\", \"profile\": \"jrtest-stale\", \
             \"path\": \"/usr/local/jrtest/file\", \"state\": \"replaced\", \"package\": "
        ),
        "{json:?}"
    );
    assert_eq!(stale(&[]), (0, String::new()));
}

#[test]
fn a_second_launch_finds_the_record_of_the_first() {
    let _alone = alone();
    sh("rm -rf /var/run/jailrun/.closures");
    profile(
        "jrtest-record",
        "user = \"nobody\"\nprogram = \"/bin/echo\"\nargs = [\"x\"]",
    );
    assert_eq!(says("jrtest-record", &[]), "x");
    let records = || sh("ls /var/run/jailrun/.closures");
    let first = records();
    assert_eq!(first.lines().count(), 1, "{first}");
    let stamp = || sh("stat -f %c /var/run/jailrun/.closures/*");
    let before = stamp();
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(says("jrtest-record", &[]), "x");
    assert_eq!((records(), stamp()), (first, before.clone()));
    // A touched library makes it another one.
    sh("touch -c /lib/libc.so.7");
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(says("jrtest-record", &[]), "x");
    assert_ne!(stamp(), before);
    forget("jrtest-record");
}
