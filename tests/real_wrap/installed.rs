//! Commands on a host, and jailrun on it as its port would install it and pkg(8) delete it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const PROGRAM: &str = "/usr/local/bin/jailrun";

/// What a command ended with, and said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub status: i32,
    pub text: String,
}

/// The checkout: where cargo, or the runner on another host, says that it is.
pub fn here(below: &str) -> PathBuf {
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    there
        .map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .join(below)
}

/// The library of capability mode, where it is built: where the runner says, or beside the programs.
pub fn library() -> Option<PathBuf> {
    let beside =
        || Path::new(env!("CARGO_BIN_EXE_jailrun")).with_file_name("libjailrun_preopen.so");
    let path = std::env::var_os("JAILRUN_PREOPEN").map_or_else(beside, PathBuf::from);
    path.exists().then_some(path)
}

/// As the port does it.
pub fn install() {
    stage("/");
}

/// The same below another directory.
pub fn stage(root: &str) {
    let built = |variable: &str, usual: &str| std::env::var(variable).unwrap_or(usual.to_string());
    let jailrun = built("JAILRUN_BIN", env!("CARGO_BIN_EXE_jailrun"));
    let jailrunctl = built("JAILRUNCTL_BIN", env!("CARGO_BIN_EXE_jailrunctl"));
    // The library is built apart. Whoever has anything to do with it asks for it first.
    let library = library().map_or("/dev/null".into(), |path| path.display().to_string());
    let script = format!(
        "rm -rf /tmp/jrtest-built; mkdir /tmp/jrtest-built; cd /tmp/jrtest-built; \
         cp {jailrun} jailrun; cp {jailrunctl} jailrunctl; cp {library} libjailrun_preopen.so; \
         make -C {} install-files DESTDIR={} BUILT=/tmp/jrtest-built STAGE=/tmp/jrtest-built/stage && \
         rm -r /tmp/jrtest-built",
        here("").display(),
        root.trim_end_matches('/')
    );
    sh(&script);
}

/// What port/pkg-plist lists, as pkg(8) would delete it, with the directories that weren't there before.
pub fn uninstall(before: &str) {
    let was_there = |directory: &Path| {
        let end = format!(" {}", directory.display());
        before.lines().any(|line| line.ends_with(&end))
    };
    let list = std::fs::read_to_string(here("port/pkg-plist")).unwrap();
    // Directories stand at its end, files before.
    let paths = list.lines().filter_map(|line| line.split(' ').next_back());
    for path in paths {
        let path = PathBuf::from("/usr/local").join(path.trim_end_matches(".gz"));
        if was_there(&path) {
            continue;
        }
        let _ = std::fs::remove_file(&path);
        let mut above = Some(path.as_path());
        while let Some(directory) = above.filter(|above| !was_there(above)) {
            if directory.exists() && std::fs::remove_dir(directory).is_err() {
                break;
            }
            above = directory.parent();
        }
    }
}

pub fn service(name: &str, verb: &str) -> Command {
    let mut command = Command::new("/usr/sbin/service");
    command.args([name, verb]);
    command
}

pub fn ctl(words: &[&str]) -> Said {
    let mut command = Command::new("/usr/local/sbin/jailrunctl");
    command.args(words);
    ended(command)
}

/// What it says goes to a file: a daemon that inherits a pipe would keep it open.
pub fn begun(mut command: Command, number: u32) -> Child {
    let log = std::fs::File::create(format!("/tmp/jrtest-said-{number}")).unwrap();
    command.stdin(Stdio::null()).current_dir("/");
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

pub fn ended_of(mut child: Child, number: u32) -> Said {
    let status = child.wait().unwrap().code().unwrap_or(-1);
    let path = format!("/tmp/jrtest-said-{number}");
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    std::fs::remove_file(path).unwrap();
    Said { status, text }
}

pub fn ended(command: Command) -> Said {
    ended_of(begun(command, 0), 0)
}

/// A script of the host's, as root, and what it says.
pub fn sh(script: &str) -> String {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]);
    let said = ended(shell);
    assert_eq!(said.status, 0, "{script}: {}", said.text);
    said.text.trim_end().to_string()
}

pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
