//! A profile of its own for each test, the program installed set-user-ID, and the world before.

pub use crate::hosted::{told as sh, until};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

pub const PROFILES: &str = "/usr/local/etc/jailrun/profiles";
/// For ALICE to run, with any command.
pub const OPEN: &str = "[access]\nusers = [\"61001\"]\nany_command = true\nmax = 2\n";
/// Where the program under test is, set-user-ID root.
pub const INSTALLED: &str = "/usr/local/bin/jrtest-jailrun";
/// A user without an account: nothing that a test says of him rests on the host.
pub const ALICE: u32 = 61001;

/// One test at a time: each compares the whole system.
static WORLD: Mutex<()> = Mutex::new(());
static INSTALL: Once = Once::new();

pub struct Fixture {
    pub name: String,
    before: String,
    _alone: MutexGuard<'static, ()>,
}

impl Fixture {
    /// `more` comes after a profile of the base system's programs, `top` before its tables.
    pub fn with(name: &str, top: &str, more: &str) -> Fixture {
        let alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        INSTALL.call_once(install);
        let name = format!("jrtest-{name}");
        write_profile(&name, top, more);
        let fixture = Fixture {
            name,
            before: String::new(),
            _alone: alone,
        };
        // The first launch of all makes the state directory, which stays.
        let first = fixture.run("true");
        assert!(first.status.success(), "{first:?}");
        Fixture {
            before: world(),
            ..fixture
        }
    }

    pub fn new(name: &str, more: &str) -> Fixture {
        Fixture::with(name, "", more)
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(INSTALLED);
        command.arg(&self.name).stdin(Stdio::null());
        command
    }

    pub fn shell(&self, script: &str) -> Command {
        let mut command = self.command();
        command.args(["/bin/sh", "-c", script]);
        command
    }

    pub fn run(&self, script: &str) -> Output {
        self.shell(script).output().unwrap()
    }

    pub fn says(&self, script: &str) -> String {
        said(self.run(script))
    }

    pub fn as_alice(&self, script: &str) -> Command {
        let mut command = self.shell(script);
        command.uid(ALICE).gid(ALICE);
        command
    }

    /// The profile again, with other words.
    pub fn change(&self, top: &str, more: &str) {
        write_profile(&self.name, top, more);
    }

    pub fn jail(&self) -> String {
        format!("jailrun-{}", self.name)
    }

    pub fn nothing_is_left(self) {
        assert_eq!(self.before, world());
        std::fs::remove_file(format!("{PROFILES}/{}.toml", self.name)).unwrap();
    }
}

fn install() {
    std::fs::create_dir_all(PROFILES).unwrap();
    let built =
        std::env::var("JAILRUN_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrun").to_string());
    let script = format!("install -o root -g wheel -m 4555 {built} {INSTALLED}");
    assert_eq!(sh(&script), "");
}

fn write_profile(name: &str, top: &str, more: &str) {
    let text = format!(
        "{top}\nuser = \"nobody\"\n[root]\nclosure = \"off\"\n\
         ro = [\"/bin\", \"/sbin\", \"/usr/bin\", \"/usr/sbin\", \"/lib\", \"/libexec\", \"/usr/lib\", \"/etc/pwd.db\"]\n\
         devices = [\"null\"]\ntmpfs = [{{ path = \"/tmp\", size = \"4m\", mode = \"1777\" }}]\n\
         [capsicum]\nmode = \"off\"\n{more}"
    );
    let top = if top.contains("program") {
        text
    } else {
        format!("program = \"/bin/sh\"\n{text}")
    };
    std::fs::write(format!("{PROFILES}/{name}.toml"), top).unwrap();
}

/// jailrunctl, as root.
pub fn ctl(words: &[&str]) -> Output {
    let program = std::env::var("JAILRUNCTL_BIN")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrunctl").to_string());
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).output().unwrap()
}

pub fn said(output: Output) -> String {
    crate::hosted::said(&output)
}

/// Everything that a launch could leave, but for the locks and counts that are meant to stay. Zombies are other programs' to reap: an orphan of a killed
/// supervisor belongs to whoever is the reaper there.
pub fn world() -> String {
    let script = "mount -p; jls; ifconfig; rctl; ls -lA /var/run/jailrun | awk 'NR > 1 && $NF !~ /^[.](devfs|writers|addresses|closures|refused-)/ {print $1, $NF}'; \
                  ps -ax -o jid= -o state= -o command= | awk '$1 != 0 && $2 !~ /^Z/ {$1 = $1; print}'";
    sh(script)
}

pub fn jail_lives(name: &str) -> bool {
    !sh(&format!("jls -j {name} jid 2>/dev/null")).is_empty()
}

pub fn kill(signal: &str, pid: u32) {
    assert_eq!(sh(&format!("kill -{signal} {pid}")), "");
}

pub fn wait(mut child: Child) -> std::process::ExitStatus {
    child.wait().unwrap()
}
