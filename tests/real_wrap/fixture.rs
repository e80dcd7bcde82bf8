//! A host with jailrun installed from this checkout, with its services switched on and configured, and the
//! host as it was afterwards.

use crate::installed::{PROGRAM, Said, ctl, ended, install, service, sh, uninstall, until};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time: each compares the whole system.
static WORLD: Mutex<()> = Mutex::new(());
/// That /usr/local/bin/jailrun is these tests' own, and may be replaced.
const OURS: &str = "/var/run/jrtest-installed";

pub struct Host {
    name: &'static str,
    program: &'static str,
    /// Before anything was installed, and with that.
    fresh: String,
    installed: String,
    world: String,
    /// Files that the test changed, with what they held.
    kept: Vec<(PathBuf, Option<Vec<u8>>)>,
    made: Vec<&'static str>,
    _alone: MutexGuard<'static, ()>,
}

/// What a service needs beside its profile.
pub struct Service {
    pub name: &'static str,
    /// It is skipped where this isn't there.
    pub program: &'static str,
    /// With their owners.
    pub directories: &'static [(&'static str, &'static str)],
    /// Appended to files of the host's.
    pub lines: &'static [(&'static str, &'static str)],
}

pub const INETD: Service = Service {
    name: "inetd",
    program: "/usr/sbin/inetd",
    directories: &[("/tftpboot", "root")],
    lines: &[(
        "/etc/inetd.conf",
        "daytime stream tcp nowait root internal\n",
    )],
};

pub const CRON: Service = Service {
    name: "cron",
    program: "/usr/sbin/cron",
    directories: &[],
    lines: &[],
};

pub const RPCBIND: Service = Service {
    name: "rpcbind",
    program: "/usr/sbin/rpcbind",
    directories: &[],
    lines: &[],
};

pub const NGINX: Service = Service {
    name: "nginx",
    program: "/usr/local/sbin/nginx",
    directories: &[],
    lines: &[],
};

/// Its pidfile is in a directory of its own user's.
pub const REDIS: Service = Service {
    name: "redis",
    program: "/usr/local/bin/redis-server",
    directories: &[],
    lines: &[],
};

/// As redis', and its script tells the daemon where it is.
pub const MEMCACHED: Service = Service {
    name: "memcached",
    program: "/usr/local/bin/memcached",
    directories: &[("/var/run/memcached", "nobody")],
    lines: &[],
};

impl Host {
    /// Nothing where the service isn't there, or jailrun is not ours.
    pub fn with(service: &Service) -> Option<Host> {
        Host::with_script(service, None)
    }

    /// With another rc.d script in the place of its own.
    pub fn with_script(service: &Service, script: Option<&str>) -> Option<Host> {
        Host::installed_by(install, service, script)
    }

    /// With another way for jailrun to come to the host.
    pub fn installed_by(install: fn(), service: &Service, script: Option<&str>) -> Option<Host> {
        let alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        let name = service.name;
        if !Path::new(service.program).exists() {
            println!("SKIP real_wrap {name}: needs {}", service.program);
            return None;
        }
        if Path::new(PROGRAM).exists() && !Path::new(OURS).exists() {
            println!("SKIP real_wrap {name}: needs a host where jailrun isn't installed");
            return None;
        }
        std::fs::write(OURS, "").unwrap();
        let mut host = Host {
            name,
            program: service.program,
            fresh: String::new(),
            installed: String::new(),
            world: String::new(),
            kept: Vec::new(),
            made: Vec::new(),
            _alone: alone,
        };
        host.change(
            &format!("/etc/rc.conf.d/{name}"),
            &format!("{name}_enable=YES\n"),
        );
        if let Some(script) = script {
            let path = format!("/usr/local/etc/rc.d/{name}");
            host.change(&path, script);
            sh(&format!("chmod 755 {path}"));
        }
        for (path, lines) in service.lines {
            let there = std::fs::read_to_string(path).unwrap_or_default();
            host.change(path, &format!("{there}{lines}"));
        }
        for (directory, owner) in service.directories {
            if std::fs::create_dir(directory).is_ok() {
                sh(&format!("chown {owner} {directory}"));
                host.made.push(directory);
            }
        }
        host.fresh = tree();
        install();
        // The first launch since the boot makes places below /var/run/jailrun that stay.
        sh(&format!("{PROGRAM} shell /usr/bin/true"));
        host.installed = tree();
        host.world = world();
        Some(host)
    }

    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Until the end of the test.
    pub fn change(&mut self, path: &str, text: &str) {
        self.kept.push((path.into(), std::fs::read(path).ok()));
        std::fs::write(path, text).unwrap();
    }

    /// `jailrunctl wrap`, which must do with nothing but the name.
    pub fn wrap(&self) {
        let said = ctl(&["wrap", self.name]);
        assert_eq!(said.status, 0, "{}", said.text);
    }

    pub fn unwrap(&self) {
        let said = ctl(&["unwrap", self.name]);
        let expected = format!("{}: is not wrapped any more\n", self.name);
        assert_eq!((said.status, said.text), (0, expected));
        self.is_as_installed();
    }

    /// The files of the host, and what a launch could leave.
    pub fn is_as_installed(&self) {
        assert_eq!(tree(), self.installed);
        until("the world as it was", || world() == self.world);
    }

    pub fn verb(&self, verb: &str) -> Said {
        ended(service(self.name, verb))
    }

    /// It does as told, at once.
    pub fn does(&self, verb: &str) {
        let said = self.verb(verb);
        assert_eq!(said.status, 0, "{} {verb}: {}", self.name, said.text);
    }

    /// Nothing of it runs, anywhere.
    pub fn is_stopped(&self) {
        assert_eq!(self.verb("status").status, 1);
        assert_eq!(self.supervisor(), "");
        until("the world as it was", || world() == self.world);
    }

    pub fn jail(&self) -> String {
        format!("jailrun-{}", self.name)
    }

    /// "user command" of those in the jail.
    pub fn inside(&self) -> String {
        sh(&format!(
            "ps -J {} -o user= -o command= 2>/dev/null || true",
            self.jail()
        ))
    }

    /// Of those with the program's name that are in no jail: neither supervisors nor their links.
    pub fn outside(&self) -> String {
        let program = self.program.rsplit('/').next().unwrap();
        sh(&format!(
            "ps -ax -o jid= -o ucomm= | awk '$1 == 0 && $2 == \"{program}\"'"
        ))
    }

    /// The supervisor's pid.
    pub fn supervisor(&self) -> String {
        let script = format!(
            "ps -ax -o pid= -o jid= -o command= | awk '$2 == 0 && $3 == \"{}\" {{print $1}}'",
            self.link()
        );
        sh(&script)
    }

    pub fn link(&self) -> String {
        format!("/usr/local/libexec/jailrun/{}", self.name)
    }
}

impl Drop for Host {
    /// Also after a failure: the next test is to find a host.
    fn drop(&mut self) {
        let link = self.link();
        let script = format!(
            "service {name} forcestop; [ ! -e /usr/local/sbin/jailrunctl ] || jailrunctl unwrap --all; \
             rm -f {link}; pkill -J {jail}; true",
            name = self.name,
            jail = self.jail()
        );
        let path = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script]).env("PATH", path);
        let _ = ended(shell);
        uninstall(&self.fresh);
        for (path, text) in self.kept.drain(..).rev() {
            let _ = match text {
                Some(text) => std::fs::write(path, text),
                None => std::fs::remove_file(path),
            };
        }
        for directory in &self.made {
            let _ = std::fs::remove_dir(directory);
        }
    }
}

impl Host {
    /// The last words of a test that went well: nothing is left, by the package's own list.
    pub fn leaves_nothing(self) {
        assert_eq!(sh("jls name"), "");
        uninstall(&self.fresh);
        assert_eq!(tree(), self.fresh);
    }
}

/// Every file's mode, owner, size, inode, time and text of a link, and every directory's mode and owner.
fn tree() -> String {
    sh("for top in /etc /usr/local; do \
          find -x $top -type d -exec stat -f '%Sp %Su %Sg %N' {} +; \
          find -x $top ! -type d -exec stat -f '%Sp %Su %Sg %z %i %m %N %Y' {} +; done | sort")
}

/// What a launch could leave. The directory of state has a place for locks and counts that stay.
fn world() -> String {
    sh("mount -p; jls; ifconfig; ls -A /var/run/jailrun | grep -v '^[.]' || true")
}
