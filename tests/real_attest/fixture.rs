//! A profile of its own for each test, and what attest says of it.

pub use crate::hosted::told as sh;
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

pub const PROFILES: &str = "/usr/local/etc/jailrun/profiles";
pub const INSTALLED: &str = "/usr/local/bin/jrtest-jailrun";

/// One test at a time: they change the host's settings.
static WORLD: Mutex<()> = Mutex::new(());
static INSTALL: Once = Once::new();

pub fn alone() -> MutexGuard<'static, ()> {
    let guard = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    INSTALL.call_once(|| {
        std::fs::create_dir_all(PROFILES).unwrap();
        let built = std::env::var("JAILRUN_BIN")
            .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrun").to_string());
        assert_eq!(
            sh(&format!(
                "install -o root -g wheel -m 4555 {built} {INSTALLED}"
            )),
            ""
        );
    });
    guard
}

/// Closed in every way that a profile can close; `None` leaves a part out.
#[derive(Clone, Copy)]
pub struct Parts {
    pub runs: &'static str,
    pub user: &'static str,
    pub devices: &'static str,
    pub top: &'static str,
    pub root: &'static str,
    pub tmpfs: &'static str,
    pub jail: &'static str,
    pub rctl: &'static str,
    pub control: &'static str,
    pub capsicum: &'static str,
}

pub const CLOSED: Parts = Parts {
    runs: "program = \"/bin/sh\"\nargs = [\"-c\", \"sleep 1000\"]",
    user: "nobody",
    devices: "\"null\"",
    top: "",
    root: "",
    tmpfs: "tmpfs = [{ path = \"/tmp\", size = \"4m\", mode = \"1777\", noexec = true }]",
    jail: "",
    rctl: "maxproc = 20\nvmemoryuse = \"1g\"",
    control: "wxmap = \"disable\"",
    capsicum: "mode = \"off\"",
};

pub fn write(name: &str, parts: Parts, more: &str) {
    let Parts {
        runs,
        user,
        devices,
        top,
        root,
        tmpfs,
        jail,
        rctl,
        control,
        capsicum,
    } = parts;
    let text = format!(
        "{runs}\nuser = \"{user}\"\n{top}\n[root]\n\
         programs = [\"/bin/sleep\"]\ndevices = [{devices}]\n{tmpfs}\n{root}\n[jail]\n{jail}\n[rctl]\n{rctl}\n\
         [proccontrol]\n{control}\n[capsicum]\n{capsicum}\n{more}\n"
    );
    std::fs::write(format!("{PROFILES}/{name}.toml"), text).unwrap();
}

pub fn remove(name: &str) {
    std::fs::remove_file(format!("{PROFILES}/{name}.toml")).unwrap();
}

pub fn ctl(words: &[&str]) -> Output {
    let program = std::env::var("JAILRUNCTL_BIN")
        .unwrap_or_else(|_| env!("CARGO_BIN_EXE_jailrunctl").to_string());
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).output().unwrap()
}

/// Each attempt and its verdict, from the report's columns.
pub fn verdicts(report: &Output) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let row = |line: &str| {
        let (name, rest) = (line.get(..20)?.trim(), line.get(21..36)?.trim());
        let is_known = jailrun::attest::table::by_name(name).is_some();
        is_known.then(|| (name.to_string(), rest.to_string()))
    };
    text.lines().filter_map(row).collect()
}

/// The errno that an attempt was refused with.
pub fn column(report: &Output, attempt: &str) -> String {
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    let is_row = |line: &&str| line.get(..20).is_some_and(|name| name.trim() == attempt);
    let line = text.lines().find(is_row).unwrap_or_default();
    line.get(37..52).unwrap_or_default().trim().to_string()
}

/// What is open and isn't listed.
pub fn holes(report: &Output) -> BTreeSet<String> {
    let all = verdicts(report);
    assert_eq!(
        all.len(),
        jailrun::attest::table::ATTEMPTS.len(),
        "{report:?}"
    );
    all.into_iter()
        .filter(|(_, verdict)| verdict == "OPEN" || verdict == "ODD")
        .map(|(name, _)| name)
        .collect()
}

pub fn world() -> String {
    sh(
        "mount -p; jls; ifconfig; rctl; ipcs -m | awk 'NR > 3'; ls -A /var/run/jailrun | grep -v '^[.]'",
    )
}
