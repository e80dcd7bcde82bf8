//! Which services a reboot is tried with, and how it is seen that one is up.

use crate::installed::{Said, ctl, ended, sh, until};
use std::path::Path;
use std::process::Command;

pub struct Service {
    pub name: &'static str,
    program: &'static str,
    /// A script that succeeds when it serves.
    answers: &'static str,
}

static SERVICES: [Service; 5] = [
    Service {
        name: "inetd",
        program: "/usr/sbin/inetd",
        answers: "nc -w 20 127.0.0.1 13 </dev/null | grep -q :",
    },
    // It answers nobody; what it does is told by the process alone.
    Service {
        name: "cron",
        program: "/usr/sbin/cron",
        answers: "true",
    },
    // Both by the socket of the host and by the network.
    Service {
        name: "rpcbind",
        program: "/usr/sbin/rpcbind",
        answers: "rpcinfo -p | grep -q 100000 && rpcinfo -p 127.0.0.1 | grep -q 100000",
    },
    // On the port that nginx.conf names.
    Service {
        name: "nginx",
        program: "/usr/local/sbin/nginx",
        answers: "port=$(sockstat -4lq -P tcp -j jailrun-nginx | awk '{sub(/.*:/, \"\", $6); print $6; exit}') && \
                  fetch -qo /dev/null http://127.0.0.1:$port/",
    },
    Service {
        name: "redis",
        program: "/usr/local/bin/redis-server",
        answers: "redis-cli ping | grep -q PONG",
    },
];

/// Those that this host has. Where a daemon of a package's isn't installed, it says so.
pub fn installed() -> Vec<&'static Service> {
    let there = |service: &&Service| {
        let is_there = Path::new(service.program).exists();
        if !is_there {
            println!(
                "SKIP real_reboot {}: needs {}",
                service.name, service.program
            );
        }
        is_there
    };
    SERVICES.iter().filter(there).collect()
}

impl Service {
    pub fn verb(&self, verb: &str) -> Said {
        let mut command = Command::new("/usr/sbin/service");
        command.args([self.name, verb]);
        ended(command)
    }

    /// It does as told, at once.
    pub fn does(&self, verb: &str) {
        let said = self.verb(verb);
        assert_eq!(said.status, 0, "{} {verb}: {}", self.name, said.text);
    }

    /// Whether its script knows the verb.
    pub fn reloads(&self) -> bool {
        let extra = self.verb("extracommands").text;
        extra.split_whitespace().any(|verb| verb == "reload")
    }

    fn jail(&self) -> String {
        format!("jailrun-{}", self.name)
    }

    /// Told so by rc.subr(8), in its jail and nowhere else, and serving.
    pub fn is_up(&self) {
        self.does("status");
        let jails = sh("jls name");
        assert!(jails.lines().any(|name| name == self.jail()), "{jails}");
        let program = self.program.rsplit('/').next().unwrap();
        // The supervisor has the program's name in no jail: it is /usr/local/bin/jailrun.
        let pids = sh(&format!("ps -ax -o jid= -o ucomm= | grep ' {program}$'"));
        assert!(!pids.is_empty(), "{}", self.name);
        for line in pids.lines() {
            assert_ne!(line.split_whitespace().next(), Some("0"), "{line}");
        }
        until(&format!("an answer of {}", self.name), || {
            sh(&format!("({}) >/dev/null 2>&1; echo $?", self.answers)) == "0"
        });
    }

    pub fn is_down(&self) {
        assert_eq!(self.verb("status").status, 1, "{}", self.name);
        let jails = sh("jls name");
        assert!(!jails.lines().any(|name| name == self.jail()), "{jails}");
    }
}

/// The instance's supervisor, as `jailrunctl show` tells it.
pub fn supervisor(instance: &str) -> String {
    let shown = ctl(&["show", instance]);
    assert_eq!(shown.status, 0, "{instance}: {}", shown.text);
    let pid = shown
        .text
        .lines()
        .find_map(|line| line.strip_prefix("supervisor "));
    pid.unwrap().trim().to_string()
}
