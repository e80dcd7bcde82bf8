//! A profile of its own for each test, whose program is this file, and the world before.

pub use crate::hosted::{told as sh, until};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

const PROFILES: &str = "/usr/local/etc/jailrun/profiles";
const INSTALLED: &str = "/usr/local/bin/jrtest-jailrun";
/// This file, where root alone could have put it.
pub const PROBE: &str = "/usr/local/libexec/jrtest-probe";

/// One test at a time: each compares the whole system.
static WORLD: Mutex<()> = Mutex::new(());
static INSTALL: Once = Once::new();

pub struct Fixture {
    name: String,
    before: String,
    _alone: MutexGuard<'static, ()>,
}

impl Fixture {
    /// `probe` is what the service does; `more` are further tables of the profile.
    pub fn new(name: &str, probe: &str, more: &str) -> Fixture {
        let alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        INSTALL.call_once(|| {
            let this = std::env::current_exe().unwrap();
            let built = std::env::var("JAILRUN_BIN")
                .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrun").to_string());
            sh(&format!(
                "mkdir -p {PROFILES} /usr/local/libexec && install -m 4555 {built} {INSTALLED} \
                 && install -m 555 {} {PROBE}",
                this.display()
            ));
        });
        let fixture = Fixture {
            name: format!("jrtest-{name}"),
            before: String::new(),
            _alone: alone,
        };
        fixture.write(probe, "[capsicum]\nmode = \"off\"\n");
        // The first launch of all makes the state directory, which stays.
        let first = fixture.command(&["/usr/bin/true"]).output().unwrap();
        assert!(first.status.success(), "{first:?}");
        fixture.write(probe, more);
        Fixture {
            before: world(),
            ..fixture
        }
    }

    fn write(&self, probe: &str, more: &str) {
        let text = format!(
            "program = \"{PROBE}\"\n\
             args = [\"--exact\", \"probe::probe\", \"--nocapture\", \"--test-threads=1\"]\n\
             user = \"nobody\"\nenv = {{ PROBE = \"{probe}\", PATH = \"/bin:/usr/bin\" }}\n{more}"
        );
        std::fs::write(self.profile(), text).unwrap();
    }

    /// Another program than this file.
    pub fn instead(&self, words: &[&str]) {
        let text = std::fs::read_to_string(self.profile()).unwrap();
        let rest = text.lines().skip(2).collect::<Vec<_>>().join("\n");
        let (program, arguments) = words.split_first().unwrap();
        let text = format!("program = {program:?}\nargs = {arguments:?}\n{rest}\n");
        std::fs::write(self.profile(), text).unwrap();
    }

    fn profile(&self) -> String {
        format!("{PROFILES}/{}.toml", self.name)
    }

    pub fn jail(&self) -> String {
        format!("jailrun-{}", self.name)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(INSTALLED);
        command.arg(&self.name).args(words).stdin(Stdio::null());
        command
    }

    /// What the service says of itself: lines that begin with "> ".
    pub fn told(&self) -> Vec<String> {
        told(&self.command(&[]).output().unwrap())
    }

    /// What `jailrunctl plan` says that the running program has: number and path, or what it is.
    pub fn planned(&self) -> Vec<(i32, String)> {
        let built = std::env::var("JAILRUNCTL_BIN")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrunctl").to_string());
        let plan = sh(&format!("{built} plan {}", self.name));
        let lines = plan
            .lines()
            .filter_map(|line| line.split_once("descriptor "));
        let has =
            |line: &&str| !line.ends_with("until it runs") && !line.contains(": the program ");
        let named = |line: &str| {
            let (number, rest) = line.split_once(": ").unwrap();
            let what = rest.split(" (").next().unwrap();
            let path = what.split([' ', ',']).find(|word| word.starts_with('/'));
            let path = path.unwrap_or(if what.starts_with("everything") {
                "/"
            } else {
                ""
            });
            (number.parse().unwrap(), path.to_string())
        };
        let all: Vec<_> = lines.map(|(_, line)| line).filter(has).map(named).collect();
        assert!(all.len() > 4, "{plan}");
        all
    }

    pub fn nothing_is_left(self) {
        assert_eq!(self.before, world());
        std::fs::remove_file(self.profile()).unwrap();
    }
}

/// All that it says.
pub fn told_all(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim().to_string()
}

pub fn told(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| line.split_once("> "));
    let told: Vec<String> = lines.map(|(_, line)| line.to_string()).collect();
    assert!(!told.is_empty(), "{output:?}");
    told
}

fn world() -> String {
    sh("mount -p; jls; ifconfig; ls /var/run/*.sock 2>/dev/null; \
        ls -A /var/run/jailrun | grep -v '^[.]'")
}
