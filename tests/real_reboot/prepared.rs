//! What the first run does to the host, written down where a reboot leaves it, so that the second can take it
//! back; and so does a run that fails.

use crate::installed::{PROGRAM, ctl, install, sh, uninstall};
use crate::services::{self, Service, supervisor};
use std::fs;
use std::path::{Path, PathBuf};

const STATE: &str = "/var/db/jrtest-reboot";
const PROFILES: &str = "/usr/local/etc/jailrun/profiles";

/// What rc.d/jailrun starts: two instances of a profile, and one that ignores TERM, which a shutdown has to
/// wait for.
pub const OWN: [&str; 3] = ["jrtest-boot@one", "jrtest-boot@two", "jrtest-deaf"];

/// What changes by itself from one boot to the next: what boot and shutdown write, what daemons do, scratch
/// space, and this test's own. All else below /etc, /usr/local and /var is compared.
const VOLATILE: [&str; 16] = [
    STATE,
    "/var/jailrun-test.*",
    "/var/run",
    "/var/log",
    "/var/tmp",
    "/var/cache",
    "/var/crash",
    "/var/mail",
    "/var/spool",
    "/var/backups",
    "/var/db/entropy",
    "/var/db/dhclient.leases.*",
    "/var/db/ntp*",
    "/var/db/locate.database",
    "/var/db/redis/dump.rdb",
    "/var/unbound",
];

pub fn boot_id() -> String {
    let id = sh("sysctl -b kern.boot_id | hexdump -ve '/1 \"%02x\"'");
    assert_eq!(id.len(), 32, "{id}");
    id
}

/// Each path's mode, owner, flags and text of a link, and the digest of each file.
pub fn manifest() -> String {
    let volatile: Vec<String> = VOLATILE
        .iter()
        .map(|path| format!("-path '{path}'"))
        .collect();
    let volatile = volatile.join(" -o ");
    sh(&format!(
        "for top in /etc /usr/local /var; do \
           find -x $top \\( {volatile} \\) -prune -o \\( -type l -exec stat -f '%Sp %Su %Sg %Sf %N %Y' {{}} + \\) \
             -o \\( -exec stat -f '%Sp %Su %Sg %Sf %N' {{}} + \\); \
           find -x $top \\( {volatile} \\) -prune -o -type f -exec sha256 -r {{}} +; done | sort"
    ))
}

/// What launches mount.
pub fn mounts() -> String {
    sh("mount -p | grep '/var/run/jailrun/' || true")
}

/// The host between the two runs. Dropped, it is taken back, unless it was kept for the next run.
pub struct Prepared {
    pub services: Vec<&'static Service>,
    is_kept: bool,
}

/// What the first run saw.
pub struct Recorded {
    pub fresh: String,
    pub installed: String,
    /// Instance and supervisor's pid, of the boot before.
    pub supervisors: Vec<(String, String)>,
}

fn state(name: &str) -> PathBuf {
    Path::new(STATE).join(name)
}

fn recorded(name: &str) -> String {
    fs::read_to_string(state(name)).unwrap()
}

fn record(name: &str, text: &str) {
    fs::write(state(name), text).unwrap();
}

/// The boot that a first run prepared in.
pub fn prepared_in() -> Option<String> {
    fs::read_to_string(state("boot")).ok()
}

/// Files that the first run writes, with what they then hold.
fn changes(services: &[&Service]) -> Vec<(String, String)> {
    let mut changes = Vec::new();
    for service in services {
        let name = service.name;
        let path = format!("/etc/rc.conf.d/{name}");
        let there = fs::read_to_string(&path).unwrap_or_default();
        changes.push((path, format!("{there}{name}_enable=YES\n")));
    }
    let inetd = fs::read_to_string("/etc/inetd.conf").unwrap_or_default();
    let daytime = "daytime stream tcp nowait root internal\n";
    changes.push(("/etc/inetd.conf".into(), format!("{inetd}{daytime}")));
    let jailrun = format!(
        "jailrun_enable=YES\njailrun_profiles=\"{}\"\n",
        OWN.join(" ")
    );
    changes.push(("/etc/rc.conf.d/jailrun".into(), jailrun));
    for (name, script) in [
        ("jrtest-boot", "exec sleep 90000"),
        ("jrtest-deaf", "trap '' TERM; while :; do sleep 1; done"),
    ] {
        let text = format!(
            "program = \"/bin/sh\"\nargs = [\"-c\", \"{script}\"]\nuser = \"nobody\"\n[root]\n\
             closure = \"off\"\nro = [\"/bin\", \"/lib\", \"/libexec\"]\n[capsicum]\nmode = \"off\"\n\
             [supervise]\nstop_timeout = 8\n"
        );
        changes.push((format!("{PROFILES}/{name}.toml"), text));
    }
    changes
}

impl Prepared {
    /// Writes down how the host is, and changes it: all is wrapped and runs. `None`: not on this host.
    pub fn first() -> Option<Prepared> {
        let services = services::installed();
        let prepared = || Prepared {
            services: services.clone(),
            is_kept: false,
        };
        // A first run that was killed.
        if state("fresh").exists() {
            prepared().take_back();
        }
        if Path::new(PROGRAM).exists() {
            println!("SKIP real_reboot: needs a host where jailrun isn't installed");
            return None;
        }
        sh(&format!("rm -rf {STATE}; mkdir -m 700 {STATE}"));
        let prepared = prepared();
        let mut ran = String::new();
        for service in &prepared.services {
            if service.verb("onestatus").status == 0 {
                service.does("onestop");
                ran.push_str(&format!("{}\n", service.name));
            }
        }
        record("ran", &ran);
        record("fresh", &manifest());
        prepared.change();
        record("installed", &manifest());
        for service in &prepared.services {
            let said = ctl(&["wrap", service.name]);
            assert_eq!(said.status, 0, "{}", said.text);
            service.does("start");
        }
        sh("service jailrun start");
        Some(prepared)
    }

    /// What was there is kept, so that all can be written back.
    fn change(&self) {
        let changes = changes(&self.services);
        let (there, absent): (Vec<&str>, Vec<&str>) = changes
            .iter()
            .map(|(path, _)| path.as_str())
            .partition(|path| Path::new(path).exists());
        record("absent", &absent.join("\n"));
        record("there", &there.join("\n"));
        sh(&format!(
            "cd {STATE} && tar -cPf kept.tar -T there; [ -d /tftpboot ] || {{ mkdir /tftpboot; touch tftpboot; }}"
        ));
        install();
        for (path, text) in changes {
            fs::write(path, text).unwrap();
        }
    }

    /// The first run's last act: from here on it is the second's to take all back.
    pub fn keep(mut self) {
        let instances = self.services.iter().map(|service| service.name).chain(OWN);
        let lines: Vec<String> = instances
            .map(|name| format!("{name} {}", supervisor(name)))
            .collect();
        record("supervisors", &lines.join("\n"));
        record("boot", &boot_id());
        self.is_kept = true;
    }

    /// What a first run has left, in the second.
    pub fn second() -> (Prepared, Recorded) {
        let prepared = Prepared {
            services: services::installed(),
            is_kept: false,
        };
        let supervisors = recorded("supervisors");
        let pair = |line: &str| {
            let (name, pid) = line.split_once(' ').unwrap();
            (name.to_string(), pid.to_string())
        };
        let recorded = Recorded {
            fresh: recorded("fresh"),
            installed: recorded("installed"),
            supervisors: supervisors.lines().map(pair).collect(),
        };
        (prepared, recorded)
    }

    /// Leaves a host on which nothing of all this was. Also after a failure, and whatever is left of it.
    fn take_back(&self) {
        let names: Vec<&str> = self.services.iter().map(|service| service.name).collect();
        let script = format!(
            "cd {STATE} || exit 0; for name in {names}; do service $name forcestop; done; service jailrun onestop; \
             [ ! -e /usr/local/sbin/jailrunctl ] || jailrunctl unwrap --all; \
             [ ! -e absent ] || xargs rm -f <absent; [ ! -e kept.tar ] || tar -xpPf kept.tar; \
             [ ! -e tftpboot ] || rmdir /tftpboot",
            names = names.join(" ")
        );
        quietly(&script);
        uninstall(&fs::read_to_string(state("fresh")).unwrap_or_default());
        quietly(&format!(
            "for name in $(cat {STATE}/ran); do service $name onestart; done; rm -rf {STATE}"
        ));
    }
}

/// Whatever it ends with.
fn quietly(script: &str) {
    sh(&format!("({script}) >/dev/null 2>&1; true"));
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.is_kept {
            self.take_back();
        }
    }
}
