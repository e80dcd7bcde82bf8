//! Logs of a service, which newsyslog(8) turns as root on the host, by their names: in a directory that the
//! service can't write, as the comments of the shipped profiles say how to make it, and in one of its own.

use crate::fixture::{ADMINISTRATORS, alone, jailrun, said, sh};

/// Those that have logs on the host, with the log's directory.
const SHIPPED: [(&str, &str); 5] = [
    (include_str!("../../profiles/nginx.toml"), "nginx"),
    (include_str!("../../profiles/nginx-capsicum.toml"), "nginx"),
    (include_str!("../../profiles/lighttpd.toml"), "lighttpd"),
    (
        include_str!("../../profiles/lighttpd-capsicum.toml"),
        "lighttpd",
    ),
    (include_str!("../../profiles/redis.toml"), "redis"),
];
/// On the file system of the logs: a link(2) reaches it.
const VICTIM: &str = "/var/jrtest-victim";
const CONF: &str = "/tmp/jrtest-logs.conf";

/// What the profile says of its logs: how their directory is made, newsyslog.conf(5)'s lines, and the entry of
/// `rw`. For a directory of the test's own.
struct Words {
    directory: String,
    install: String,
    conf: Vec<String>,
    rw: String,
    user: String,
}

impl Words {
    fn of(text: &str, name: &str) -> Words {
        let (real, directory) = (
            format!("/var/log/{name}"),
            format!("/var/log/jrtest-{name}"),
        );
        let text = text.replace(&real, &directory);
        let lines = || text.lines().map(str::trim);
        let commented = || lines().filter_map(|line| line.strip_prefix("#     "));
        let one = |start: &str| {
            let found = commented().find(|line| line.starts_with(start));
            found
                .unwrap_or_else(|| panic!("{name}: {start}"))
                .to_string()
        };
        let entry = format!("{{ path = \"{directory}\"");
        let user = lines().find_map(|line| line.strip_prefix("user = \""));
        Words {
            install: one("install -d"),
            conf: commented()
                .filter(|line| line.starts_with(&format!("{directory}/")))
                .map(str::to_string)
                .collect(),
            rw: lines()
                .find(|line| line.starts_with(&entry))
                .unwrap()
                .to_string(),
            user: user.unwrap().trim_end_matches('"').to_string(),
            directory,
        }
    }

    fn logs(&self) -> Vec<&str> {
        let names = self.conf.iter();
        names.map(|line| line.split(' ').next().unwrap()).collect()
    }

    /// What a taken-over service tries with a log, and which of it worked.
    fn attack(&self, log: &str) -> String {
        let script = format!(
            "try() {{ name=$1; shift; \"$@\" 2>/dev/null && echo $name; }}\n\
             try mode chmod 4775 {log}; try write dd if=/bin/sh of={log} bs=1k count=1\n\
             try rename mv {log} {log}.x; try name ln {log} {log}.y; try remove rm -f {log}\n\
             try link ln -s {VICTIM} {log}; try make touch {directory}/new\n\
             try open chmod 0777 {directory}; true",
            directory = self.directory
        );
        let path = format!("{ADMINISTRATORS}/jrtest-logs.toml");
        let profile = format!(
            "program = \"/bin/sh\"\nargs = [\"-c\", '''{script}''']\nuser = \"{}\"\n[root]\nprograms = \
             [\"/bin/chmod\", \"/bin/dd\", \"/bin/mv\", \"/bin/ln\", \"/bin/rm\", \"/usr/bin/touch\"]\n\
             devices = [\"null\"]\nrw = [\n{}\n]\n[capsicum]\nmode = \"off\"\n",
            self.user, self.rw
        );
        std::fs::write(&path, profile).unwrap();
        let output = jailrun(&["jrtest-logs"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        std::fs::remove_file(path).unwrap();
        said(&output).replace('\n', " ")
    }
}

fn victim() -> String {
    sh(&format!("stat -f '%Su %Sg %p %l %z' {VICTIM}"))
}

/// As cron(8) does, but now. Nobody has these pidfiles.
fn turn() {
    sh(&format!("newsyslog -F -s -f {CONF}"));
}

#[test]
fn logs_that_are_made_as_a_shipped_profile_says_are_turned_and_no_link_takes_their_place() {
    let _alone = alone();
    let mut attacks = 0;
    for (text, name) in SHIPPED {
        let words = Words::of(text, name);
        let (user, directory) = (&words.user, &words.directory);
        if sh(&format!("pw usershow {user} 2>&1 || true")).contains("no such user") {
            println!("SKIP logs of {name}: needs the user {user}");
            continue;
        }
        sh(&format!(
            "rm -rf {directory} {VICTIM}; install -m 600 /etc/motd.template {VICTIM}"
        ));
        sh(&words.install);
        std::fs::write(CONF, words.conf.join("\n") + "\n").unwrap();
        sh(&format!("newsyslog -C -f {CONF}"));
        let before = victim();
        assert!(!words.logs().is_empty(), "{name}");
        for log in words.logs() {
            let made = sh(&format!("stat -f '%Su %Sg %p' {directory} {log}"));
            assert_eq!(made, format!("root {user} 40750\n{user} {user} 100640"));
            assert_eq!(words.attack(log), "mode write", "{name}");
            attacks += 1;
        }
        turn();
        for log in words.logs() {
            // Turned with all that it had, for nobody but the service's group and root; the next one is new.
            let turned = sh(&format!(
                "ls {directory} | grep -c '^{}[.]0'",
                &log[directory.len() + 1..]
            ));
            assert_eq!(turned, "1", "{name}");
            assert_eq!(
                sh(&format!("stat -f '%Su %Sg %p' {log}")),
                format!("{user} {user} 100640")
            );
        }
        assert_eq!(victim(), before, "{name}");
        assert_eq!(
            sh(&format!("su -m nobody -c 'ls {directory}' 2>&1 || true")),
            format!("ls: {directory}: Permission denied")
        );
        sh(&format!("rm -r {directory} {VICTIM} {CONF}"));
    }
    assert!(attacks >= 8, "{attacks}");
}

/// The canary: what the test above would see.
#[test]
fn in_a_directory_of_its_own_a_service_has_newsyslog_give_it_any_file_of_the_host() {
    let _alone = alone();
    let mut words = Words::of(SHIPPED[0].0, SHIPPED[0].1);
    let directory = words.directory.clone();
    words.rw = words.rw.replace("owner = \"root\"", "owner = \"www\"");
    sh(&format!(
        "rm -rf {directory} {VICTIM}; install -m 600 /etc/motd.template {VICTIM}; \
         install -d -o www -g www -m 0750 {directory}"
    ));
    let log = format!("{directory}/access.log");
    std::fs::write(CONF, format!("{log} www:www 640 7 * @T00 CN\n")).unwrap();
    sh(&format!("newsyslog -C -f {CONF}"));
    let attack = words.attack(&log);
    assert!(attack.contains("remove link make open"), "{attack}");
    // Its mode was changed, and is what the profile says.
    sh(&format!("chmod 0750 {directory}"));
    turn();
    assert!(victim().starts_with("www www "), "{}", victim());
    sh(&format!("rm -r {directory} {VICTIM} {CONF}"));
}
