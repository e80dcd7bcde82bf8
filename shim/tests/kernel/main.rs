//! The library on a FreeBSD kernel, as root: the same program with it in capability mode and without
//! either has to see the same. The library is where JAILRUN_PREOPEN says, or where cargo put it.

#![cfg(target_os = "freebsd")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::undocumented_unsafe_blocks
)]
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::disallowed_methods)]

mod fuzz;
mod launcher;
mod laws;
mod random;
mod stock;
mod subject;
mod world;

use launcher::{Launch, Mode};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// None: SKIP was said.
pub fn library() -> Option<String> {
    let built = std::env::current_exe().ok().and_then(|test| {
        let folder = test.parent()?.parent()?;
        let file = folder.join("libjailrun_preopen.so");
        file.exists().then_some(file)
    });
    let told = std::env::var_os("JAILRUN_PREOPEN").map(PathBuf::from);
    let Some(library) = told.or(built) else {
        println!(
            "SKIP kernel: needs the library (cargo build -p jailrun-preopen; JAILRUN_PREOPEN)"
        );
        return None;
    };
    Some(library.to_str().unwrap().to_string())
}

/// One test at a time: a child that another test forks would inherit this one's descriptors.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A directory in memory, a file system of its own, that is there as long as this value.
pub struct Place(pub String);

fn run(words: &[&str]) -> bool {
    let status = std::process::Command::new(words[0])
        .args(&words[1..])
        .status();
    status.is_ok_and(|status| status.success())
}

impl Place {
    pub fn new(name: &str) -> Self {
        let path = format!("/tmp/jailrun-shim.{}.{name}", std::process::id());
        std::fs::create_dir(&path).unwrap();
        assert!(run(&["/sbin/mount", "-t", "tmpfs", "tmpfs", &path]));
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        run(&["/sbin/umount", "-f", &self.0]);
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn subject(launch: &Launch, what: &str, place: &str) -> String {
    let launch = launch
        .clone()
        .set("SUBJECT", what)
        .set("SUBJECT_PLACE", place);
    let program = std::env::current_exe().unwrap();
    let ended = launch.run(&[program.to_str().unwrap()]);
    assert_eq!(
        ended.status, 0,
        "{:?} {what}: {}{}",
        launch.mode, ended.output, ended.errors
    );
    format!("{}{}", ended.output, ended.errors)
}

fn first_difference(bare: &str, confined: &str) -> Option<String> {
    let mut last = Vec::new();
    let (mut one, mut two) = (bare.lines(), confined.lines());
    loop {
        match (one.next(), two.next()) {
            (None, None) => return None,
            (first, second) if first == second => last.push(first.unwrap_or_default()),
            (first, second) => {
                let context = last[last.len().saturating_sub(6)..].join("\n");
                return Some(format!("{context}\nwithout: {first:?}\nwith: {second:?}"));
            }
        }
    }
}

/// Runs the subject without and with, each in a fresh directory of the same name.
fn compare(what: &str, change: impl Fn(Launch, &str) -> Launch) {
    let Some(library) = library() else { return };
    let _alone = alone();
    let run = |mode| {
        let place = Place::new(what);
        // What /dev has may be written to in a jail.
        let launch = Launch::new(mode, &library)
            .writable(&place.0)
            .writable("/dev");
        subject(&change(launch, &place.0), what, &place.0)
    };
    let (bare, confined) = (run(Mode::Bare), run(Mode::Confined));
    assert!(bare.lines().count() >= 2, "{bare}");
    if let Some(difference) = first_difference(&bare, &confined) {
        panic!("{what}: {difference}");
    }
}

fn unchanged(launch: Launch, _: &str) -> Launch {
    launch
}

#[test]
fn every_function_of_files_gives_the_same() {
    compare("files", unchanged);
}

#[test]
fn functions_of_files_give_the_same_beside_threads() {
    compare("threads", unchanged);
}

#[test]
fn functions_of_files_give_the_same_in_forked_children() {
    compare("forked", unchanged);
}

#[test]
fn programs_are_executed_the_same() {
    compare("programs", unchanged);
}

#[test]
fn names_libraries_and_semaphores_are_found_the_same() {
    compare("names", |launch, _| launch.writable("/tmp"));
}

#[test]
fn local_sockets_work_the_same() {
    compare("sockets", unchanged);
}

#[test]
fn signal_handlers_may_look_and_open() {
    compare("signals", unchanged);
}

#[test]
fn a_daemon_that_closes_what_it_does_not_know_harms_nothing() {
    compare("closing", unchanged);
}

#[test]
fn children_are_signalled_and_waited_for_where_the_profile_says_so() {
    compare("children", |launch, _| {
        launch.set("JAILRUN_KILL_CHILDREN", "1")
    });
}

fn place_with_a_secret(name: &str) -> Place {
    let place = Place::new(name);
    let path = |name: &str| format!("{}/{name}", place.0);
    std::fs::write(path("file"), "secret").unwrap();
    std::fs::create_dir(path("d")).unwrap();
    std::os::unix::fs::symlink(path("file"), path("absolute")).unwrap();
    place
}

/// The subject in a directory that holds a file and isn't granted, or, without the library, that is
/// mounted read-only.
fn refused(mode: Mode, library: &str) -> String {
    let place = place_with_a_secret("refused");
    if mode == Mode::Bare {
        assert!(run(&["/sbin/mount", "-u", "-o", "ro", &place.0]));
    }
    let said = subject(&Launch::new(mode, library), "refused", &place.0);
    let left = std::fs::read_to_string(format!("{}/file", place.0));
    assert_eq!(left.unwrap(), "secret");
    said
}

#[test]
fn what_may_only_be_read_is_refused_like_a_file_system_mounted_read_only() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let (bare, confined) = (
        refused(Mode::Bare, &library),
        refused(Mode::Confined, &library),
    );
    if let Some(difference) = first_difference(&bare, &confined) {
        panic!("{difference}");
    }
    // EROFS, and what is found before the kernel comes to that: ENOENT, EEXIST, ENOTDIR.
    for (errno, least) in [(30, 20), (2, 8), (17, 4), (20, 5)] {
        let times = bare.matches(&format!("error {errno}\n")).count();
        assert!(times >= least, "{errno}: {times} times\n{bare}");
    }
}

#[test]
fn no_route_leads_to_a_file_that_is_not_granted() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let place = place_with_a_secret("routes");
    let file = format!("{}/file", place.0);
    let launch = Launch::new(Mode::Confined, &library).writable("/var/tmp");
    let said = subject(&launch, "routes", &file);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "secret");
    assert!(!said.contains("REACHED"), "{said}");
    assert!(said.matches("refused").count() > 14, "{said}");
}

#[test]
fn the_same_routes_do_lead_there_where_it_is_granted() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let place = Place::new("granted");
    let file = format!("{}/file", place.0);
    std::fs::write(&file, "secret").unwrap();
    let launch = Launch::new(Mode::Confined, &library).writable(&place.0);
    let said = subject(&launch, "routes", &file);
    assert!(
        said.contains("open: REACHED") && said.contains("unlink: REACHED"),
        "{said}"
    );
    // But by descriptor only: not by the calls that take paths.
    for call in [
        "open(2)",
        "openat, cwd",
        "rename(2)",
        "unlink(2)",
        "chmod(2)",
        "execve(2)",
        "stat",
    ] {
        assert!(said.contains(&format!("{call}: refused")), "{call}: {said}");
    }
}

fn serve(mode: Mode, port: u16) {
    let Some(library) = library() else { return };
    let _alone = alone();
    let address = format!("127.0.0.1:{port}");
    let launch = Launch::new(mode, &library).listen(&format!("tcp:{address}"));
    let launch = launch
        .set("SUBJECT", "serve")
        .set("SUBJECT_ADDRESS", &address)
        .set("JAILRUN_TAKEN", &format!("tcp:127.0.0.1:{}", port + 2));
    let program = std::env::current_exe().unwrap();
    let clients = std::thread::Builder::new().spawn(move || {
        let mut answers = String::new();
        for _ in 0..200 {
            let client = std::net::TcpStream::connect(&address);
            if let Ok(mut client) = client {
                let mut answer = String::new();
                let _ = std::io::Read::read_to_string(&mut client, &mut answer);
                answers.push_str(&answer);
            }
            if answers.len() >= 12 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        answers
    });
    let ended = launch.run(&[program.to_str().unwrap()]);
    assert_eq!(clients.unwrap().join().unwrap(), "hello\nhello\n");
    let elsewhere = if mode == Mode::Confined {
        "error 49"
    } else {
        "0"
    };
    let expected = format!(
        "bind: 0\nlisten: 0\nflags: 1\nnonblocking: 4\nbind elsewhere: {elsewhere}\n\
         bind what is taken: error 48\nready\n"
    );
    assert_eq!(ended.output, expected, "{}", ended.errors);
}

#[test]
fn bind_hands_out_the_waiting_socket_in_capability_mode() {
    serve(Mode::Confined, 7811);
}

#[test]
fn bind_hands_out_the_waiting_socket_without_capability_mode() {
    serve(Mode::Off, 7821);
}

#[test]
fn syslog_goes_to_the_launchers_socket() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut launch = Launch::new(Mode::Confined, &library);
    launch.log = Some(std::os::fd::AsRawFd::as_raw_fd(&theirs));
    subject(&launch, "syslog", "");
    ours.set_nonblocking(true).unwrap();
    let mut line = [0; 300];
    let length = ours.recv(&mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    assert!(
        line.starts_with("<29>") && line.contains("a line of the subject"),
        "{line}"
    );
}

#[test]
fn what_is_no_socket_of_messages_is_not_made_the_logs() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let (_ours, theirs) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let mut launch = Launch::new(Mode::Confined, &library);
    launch.log = Some(std::os::fd::AsRawFd::as_raw_fd(&theirs));
    let said = subject(&launch, "log", "");
    for (what, answer, is_socket) in [
        ("messages", "0", true),
        ("a stream", "error 41", true),
        ("a file", "error 38", false),
        ("none", "error 9", false),
    ] {
        let expected = format!("connect {what}: {answer}\n{what} is a socket: {is_socket}\n");
        assert!(said.contains(&expected), "{expected}{said}");
    }
}

#[test]
fn a_handoff_that_cannot_be_understood_starts_no_program() {
    let Some(library) = library() else { return };
    let _alone = alone();
    for (name, value) in [("JAILRUN_LOG", "x"), ("JAILRUN_LISTEN", "3=tcp:nowhere")] {
        let launch = Launch::new(Mode::Confined, &library).set(name, value);
        let ended = launch.run(&["/bin/echo", "started"]);
        let expected = format!("libjailrun_preopen: {name}: can't be understood\n");
        assert_eq!(
            (ended.output.as_str(), ended.errors.as_str()),
            ("", expected.as_str())
        );
        assert_eq!(ended.status, 70 << 8);
    }
}

#[test]
fn the_kernel_shows_the_programs_own_arguments() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let launch = Launch::new(Mode::Confined, &library);
    let child = launch.spawn(&["/bin/sleep", "20"], None);
    let mut shown = String::new();
    for _ in 0..100 {
        let ps = std::process::Command::new("/bin/ps")
            .args(["-o", "args=", "-p", &child.to_string()])
            .output();
        shown = String::from_utf8_lossy(&ps.unwrap().stdout)
            .trim()
            .to_string();
        if shown.starts_with("/bin/sleep 20") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    unsafe { libc::kill(child, libc::SIGKILL) };
    launcher::wait(child);
    // ps adds the file's name where it is another: that can't be changed.
    assert_eq!(shown, "/bin/sleep 20 (ld-elf.so.1)");
}
