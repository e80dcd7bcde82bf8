//! The parts that are shipped to be included, and what a profile's directories forbid, seen from inside.

use crate::fixture::{alone, forget, jailrun, profile, says, sh, world};
use std::path::{Path, PathBuf};

const PACKAGES: &str = "/usr/local/share/jailrun/profiles";

/// The shipped parts, where packages put them. Those that were there already stay.
struct Parts(Vec<String>);

impl Parts {
    fn install() -> Parts {
        let checkout = std::env::var_os("CARGO_MANIFEST_DIR");
        let checkout = checkout.map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        std::fs::create_dir_all(PACKAGES).unwrap();
        let mut installed = Vec::new();
        for name in ["dns", "syslog", "timezone", "tls", "users"] {
            let place = format!("{PACKAGES}/{name}.toml");
            if !Path::new(&place).exists() {
                let shipped = checkout.join(format!("profiles/{name}.toml"));
                std::fs::copy(shipped, &place).unwrap();
                installed.push(place);
            }
        }
        Parts(installed)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for place in &self.0 {
            let _ = std::fs::remove_file(place);
        }
    }
}

/// What a command says in a root of its own closure and one part, or none.
fn with(part: &str, program: &str, args: &[&str], root: &str) -> String {
    let include = match part {
        "" => String::new(),
        part => format!("include = [\"{part}\"]\n"),
    };
    let lines = format!(
        "{include}user = \"alice\"\nenv = {{ PATH = \"/bin:/usr/bin\" }}\nprogram = \"{program}\"\nargs = {args:?}\n[root]\n{root}"
    );
    profile("jrtest-part", &lines);
    let said = says("jrtest-part", &[]);
    forget("jrtest-part");
    said
}

/// Each is tried without it as well, or nothing would be shown.
#[test]
fn each_shipped_part_brings_what_it_says() {
    let _alone = alone();
    let _parts = Parts::install();
    let before = world();
    let had_zone = Path::new("/etc/localtime").exists();
    if !had_zone {
        sh("ln -s /usr/share/zoneinfo/America/New_York /etc/localtime");
    }
    sh(
        "cp -p /etc/hosts /etc/hosts.jrtest; echo '192.0.2.7 jrtest.example' >> /etc/hosts; \
        mkdir -p /usr/share/certs/trusted /etc/ssl/certs; echo pem > /usr/share/certs/trusted/jrtest.pem; \
        ln -sf ../../../usr/share/certs/trusted/jrtest.pem /etc/ssl/certs/jrtest.0",
    );
    let uid = sh("id -u alice");
    let zone = sh("date -r 0 +%Z");
    let berlin = ["-c", "TZ=Europe/Berlin date -r 0 +%Z"];
    let cases = [
        ("users", "/usr/bin/id", &["-un"][..], "", "alice"),
        ("", "/usr/bin/id", &["-un"], "", uid.as_str()),
        ("timezone", "/bin/date", &["-r", "0", "+%Z"], "", &zone),
        ("", "/bin/date", &["-r", "0", "+%Z"], "", "UTC"),
        (
            "timezone",
            "/bin/sh",
            &berlin,
            "programs = [\"/bin/date\"]",
            "CET",
        ),
        ("tls", "/bin/cat", &["/etc/ssl/certs/jrtest.0"], "", "pem"),
        (
            "",
            "/bin/cat",
            &["/etc/ssl/certs/jrtest.0"],
            "",
            "cat: /etc/ssl/certs/jrtest.0: No such file or directory",
        ),
        (
            "dns",
            "/usr/bin/getent",
            &["hosts", "jrtest.example"],
            "",
            "192.0.2.7         jrtest.example",
        ),
        ("", "/usr/bin/getent", &["hosts", "jrtest.example"], "", ""),
        (
            "dns",
            "/usr/bin/getent",
            &["services", "https"],
            "",
            "https               443/tcp",
        ),
    ];
    let said: Vec<String> = cases
        .iter()
        .map(|(part, program, args, root, _)| with(part, program, args, root))
        .collect();
    let socket = with("syslog", "/bin/ls", &["-l", "/var/run/log"], "");
    if !had_zone {
        sh("rm /etc/localtime");
    }
    sh(
        "mv /etc/hosts.jrtest /etc/hosts; rm /usr/share/certs/trusted/jrtest.pem /etc/ssl/certs/jrtest.0; \
        rmdir /etc/ssl/certs /usr/share/certs/trusted 2>/dev/null || true",
    );
    for ((part, program, args, _, expected), said) in cases.iter().zip(&said) {
        assert_eq!(said, expected, "{part}: {program} {args:?}");
    }
    assert!(socket.starts_with("srw-rw-rw-  1 0 0 "), "{socket}");
    assert_eq!(before, world());
}

#[test]
fn a_writable_directory_runs_and_follows_nothing_where_the_profile_says_so() {
    let _alone = alone();
    let before = world();
    sh(
        "mkdir -p /var/jrtest/w && chown alice /var/jrtest/w && cp /usr/bin/true /var/jrtest/w/run && \
        ln -s run /var/jrtest/w/link && cp /usr/bin/id /var/jrtest/w/id && chmod 4755 /var/jrtest/w/id",
    );
    let tried = |flags: &str| {
        let script = "for f in run link; do /var/jrtest/w/$f 2>/dev/null && echo ran $f; done; \
            cat /var/jrtest/w/link >/dev/null 2>&1 && echo followed; /var/jrtest/w/id -u 2>/dev/null; \
            echo x > /var/jrtest/w/new && echo wrote";
        let root = format!(
            "programs = [\"/bin/cat\", \"/usr/bin/id\", \"/usr/bin/true\"]\ndevices = [\"null\"]\n\
             rw = [{{ path = \"/var/jrtest/w\"{flags} }}]"
        );
        with("", "/bin/sh", &["-c", script], &root).replace('\n', " ")
    };
    let uid = sh("id -u alice");
    let all = tried("");
    let noexec = tried(", noexec = true");
    let nosymfollow = tried(", nosymfollow = true");
    let both = tried(", noexec = true, nosymfollow = true");
    sh("rm -r /var/jrtest");
    // Set-user-ID root on the host, and nothing here.
    assert_eq!(all, format!("ran run ran link followed {uid} wrote"));
    assert_eq!(noexec, "followed wrote");
    assert_eq!(nosymfollow, format!("ran run {uid} wrote"));
    assert_eq!(both, "wrote");
    assert_eq!(before, world());
}

#[test]
fn a_callers_umask_is_nobodys_mode_inside() {
    let _alone = alone();
    profile(
        "jrtest-umask",
        "user = \"nobody\"\nprogram = \"/bin/ls\"\nargs = [\"-ldn\", \"/\", \"/bin\", \"/etc\", \"/etc/motd\", \"/usr/local\", \"/tmp\", \"/var/run/log\"]\n\
         [root]\nsockets = [\"syslog\"]\nro = [\"/usr/local\"]\ntmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n\
         files = { \"/etc/motd\" = \"x\\n\" }",
    );
    let modes = |said: &str| -> Vec<String> {
        let words = said.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[2], words[3])
        });
        words.collect()
    };
    let program = jailrun("jrtest-umask", &[]);
    let program = program.get_program().to_string_lossy().into_owned();
    let told: Vec<Vec<String>> = ["0", "022", "0777"]
        .iter()
        .map(|umask| {
            modes(&sh(&format!(
                "umask {umask}; {program} jrtest-umask </dev/null"
            )))
        })
        .collect();
    forget("jrtest-umask");
    let expected = [
        "drwxr-xr-x 0 0",
        "drwxr-xr-x 0 0",
        "drwxr-xr-x 0 0",
        "-r--r--r-- 0 0",
        "drwxrwxrwt 0 0",
        "drwxr-xr-x 0 0",
        "srw-rw-rw- 0 0",
    ];
    for modes in told {
        assert_eq!(modes, expected);
    }
}
