//! A daemon that runs by its shipped profile, on a port and with a configuration of the test's own.

pub use crate::hosted::{said, sh, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub const ADMINISTRATORS: &str = "/usr/local/etc/jailrun/profiles";
const PACKAGES: &str = "/usr/local/share/jailrun/profiles";
/// Configurations of the tests', which the daemons read.
pub const ETC: &str = "/usr/local/etc/jrtest";

/// One test at a time: each compares the whole system.
static WORLD: Mutex<()> = Mutex::new(());

/// The shipped profiles, by name; where the test runs there may be no checkout.
macro_rules! shipped {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../profiles/", $name, ".toml")))),*]
    };
}
const SHIPPED: &[(&str, &str)] = shipped![
    "base",
    "dns",
    "users",
    "bc",
    "gzip",
    "lighttpd-capsicum",
    "memcached-capsicum",
    "mosquitto-capsicum",
    "nginx-capsicum",
    "openssl",
    "redis-capsicum",
    "tar",
    "lighttpd",
    "memcached",
    "mosquitto",
    "nginx",
    "redis",
    "syslog"
];

/// The profile that a test runs a daemon by.
#[derive(Clone, Copy)]
pub enum Own<'a> {
    /// The shipped one, and these lines.
    Including(&'a str),
    /// The shipped one, where its arguments can't be followed by others: with other words.
    Edited(&'a [(&'a str, &'a str)]),
}

pub struct Daemon {
    name: &'static str,
    before: String,
    installed: Vec<String>,
    _alone: MutexGuard<'static, ()>,
}

impl Daemon {
    /// Nothing where the daemon isn't installed. `own` is the test's profile;
    /// `config` is read by the daemon from `ETC`/NAME.conf, and root owns it.
    pub fn start(name: &'static str, program: &str, own: Own, config: &str) -> Option<Daemon> {
        if !Path::new(program).exists() {
            println!("SKIP real_daemons {name}: needs {program}");
            return None;
        }
        if name.ends_with("-capsicum") && !has_library(name) {
            return None;
        }
        let alone = alone();
        for directory in [ADMINISTRATORS, PACKAGES, ETC] {
            std::fs::create_dir_all(directory).unwrap();
        }
        let installed = install();
        std::fs::write(format!("{ETC}/{name}.conf"), config).unwrap();
        let pidfile = format!("pidfile = \"{}\"\n", pidfile(name));
        let text = match own {
            Own::Including(more) => format!("include = [\"{name}\"]\n{pidfile}{more}"),
            Own::Edited(changes) => edited(name, changes),
        };
        std::fs::write(format!("{ADMINISTRATORS}/jrtest-{name}.toml"), text).unwrap();
        first_launch();
        let before = world();
        // What it inherits is open as long as the daemon lives: a pipe would never end.
        let log = std::fs::File::create(format!("/tmp/jrtest-{name}.log")).unwrap();
        let status = jailrun(&["-d", &format!("jrtest-{name}")])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        let said = std::fs::read_to_string(format!("/tmp/jrtest-{name}.log")).unwrap();
        assert!(status.success(), "{name}: {status} {said}");
        Some(Daemon {
            name,
            before,
            installed,
            _alone: alone,
        })
    }

    pub fn jail(&self) -> String {
        format!("jailrun-jrtest-{}", self.name)
    }

    /// As rc.subr signals it: by the pid in the pidfile.
    pub fn signal(&self, signal: &str) {
        sh(&format!("kill -{signal} $(cat {})", pidfile(self.name)));
    }

    /// The users that processes of the jail run as, and the commands.
    pub fn processes(&self) -> String {
        sh(&format!("ps -J {} -o user= -o command=", self.jail()))
    }

    pub fn stops_and_leaves_nothing(self) {
        self.signal("TERM");
        until("the end", || !Path::new(&pidfile(self.name)).exists());
        until("the world as it was", || world() == self.before);
        let own = [
            format!("{ADMINISTRATORS}/jrtest-{}.toml", self.name),
            format!("{ETC}/{}.conf", self.name),
            format!("/tmp/jrtest-{}.log", self.name),
        ];
        for file in own.iter().chain(&self.installed) {
            std::fs::remove_file(file).unwrap();
        }
    }
}

fn shipped(name: &str) -> &'static str {
    let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    found.unwrap().1
}

pub fn edited(name: &str, changes: &[(&str, &str)]) -> String {
    let text = shipped(name).to_string();
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

/// What a shipped filter, with these changes, makes of the input, by its own command or by another one.
pub fn filter(name: &str, changes: &[(&str, &str)], words: &[&str], input: &[u8]) -> Output {
    let _alone = alone();
    std::fs::create_dir_all(PACKAGES).unwrap();
    let installed = install();
    let path = format!("{ADMINISTRATORS}/jrtest-{name}.toml");
    std::fs::write(&path, edited(name, changes)).unwrap();
    first_launch();
    let before = world();
    let given = format!("/tmp/jrtest-{name}.in");
    std::fs::write(&given, input).unwrap();
    let output = jailrun(&[&[format!("jrtest-{name}").as_str()], words].concat())
        .stdin(std::fs::File::open(&given).unwrap())
        .output()
        .unwrap();
    assert_eq!(world(), before);
    for file in installed.iter().chain([&path, &given]) {
        std::fs::remove_file(file).unwrap();
    }
    output
}

pub fn alone() -> MutexGuard<'static, ()> {
    let guard = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    std::fs::create_dir_all(ADMINISTRATORS).unwrap();
    guard
}

/// The daemon's own logs in a directory of root's, which the daemon can't make there.
pub fn logs(user: &str, paths: &[&str]) {
    for path in paths {
        sh(&format!(
            "install -o {user} -g {user} -m 640 /dev/null {path}"
        ));
    }
}

fn pidfile(name: &str) -> String {
    format!("/var/run/jrtest-{name}.pid")
}

fn library() -> String {
    format!("{}/lib/jailrun/libjailrun_preopen.so", jailrun::run::PREFIX)
}

/// As it was built: where the runner says, or beside the programs.
fn built_library() -> PathBuf {
    let beside =
        || Path::new(env!("CARGO_BIN_EXE_jailrun")).with_file_name("libjailrun_preopen.so");
    std::env::var_os("JAILRUN_PREOPEN").map_or_else(beside, PathBuf::from)
}

/// Whether the library of capability mode is on this host, or can be put there.
pub fn has_library(test: &str) -> bool {
    let is_there = Path::new(&library()).exists() || built_library().exists();
    if !is_there {
        println!(
            "SKIP real_daemons {test}: needs {}, or its build",
            library()
        );
    }
    is_there
}

/// Those that aren't there yet, to be removed again.
fn install() -> Vec<String> {
    let mut new = Vec::new();
    if !Path::new(&library()).exists() && built_library().exists() {
        let (built, place) = (built_library(), library());
        let (directory, _) = place.rsplit_once('/').unwrap();
        std::fs::create_dir_all(directory).unwrap();
        sh(&format!(
            "install -o root -g wheel -m 444 {} {place}",
            built.display()
        ));
        new.push(place);
    }
    for (name, text) in SHIPPED {
        let path = format!("{PACKAGES}/{name}.toml");
        if !Path::new(&path).exists() {
            std::fs::write(&path, text).unwrap();
            new.push(path);
        }
    }
    new
}

/// The first launch since the boot makes the state directory, and places in it that stay.
fn first_launch() {
    let path = format!("{ADMINISTRATORS}/jrtest-first.toml");
    let text = "program = \"/usr/bin/true\"\n[capsicum]\nmode = \"off\"\n";
    std::fs::write(&path, text).unwrap();
    let output = jailrun(&["jrtest-first"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    std::fs::remove_file(path).unwrap();
}

pub fn jailrun(words: &[&str]) -> Command {
    let program =
        std::env::var_os("JAILRUN_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_jailrun").into());
    let mut jailrun = Command::new(program);
    jailrun.args(words).stdin(Stdio::null());
    jailrun
}

pub fn ctl(words: &[&str]) -> Output {
    let program = std::env::var_os("JAILRUNCTL_BIN")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_jailrunctl").into());
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).output().unwrap()
}

/// What a launch could leave. The directory of state has a place for locks and counts that stay.
fn world() -> String {
    sh("mount -p; jls; ifconfig; ls -A /var/run/jailrun | grep -v '^[.]' || true")
}

/// Sends one request and reads until the other side closes, or until it has said `answer`.
pub fn ask(address: &str, request: &[u8], answer: &str) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < end, "{address}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request).unwrap();
    let mut told = Vec::new();
    let mut piece = [0u8; 4096];
    loop {
        let count = stream.read(&mut piece).unwrap_or(0);
        told.extend_from_slice(piece.get(..count).unwrap());
        let text = String::from_utf8_lossy(&told).into_owned();
        if count == 0 || text.contains(answer) {
            return text;
        }
    }
}
