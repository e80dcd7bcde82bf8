//! What a service says by syslog(3), as the host's syslogd would hear it: the test stands in for that one.

use crate::fixture::{alone, end_within, forget, jailrun, profile, run, says, sh, world};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SOCKET: &str = "/var/run/log";

/// In the place of the host's syslogd, which is started again at the end.
struct Syslogd {
    heard: Arc<Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Syslogd {
    fn stand_in() -> Syslogd {
        sh("service syslogd onestop >/dev/null 2>&1; rm -f /var/run/log /var/run/logpriv");
        let socket = UnixDatagram::bind(SOCKET).unwrap();
        let everybody = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(SOCKET, everybody).unwrap();
        let patience = Duration::from_millis(200);
        socket.set_read_timeout(Some(patience)).unwrap();
        let (heard, ends) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let (told, is_over) = (Arc::clone(&heard), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            let mut buffer = [0u8; 65536];
            loop {
                match socket.recv(&mut buffer) {
                    Ok(count) => {
                        let line = String::from_utf8_lossy(&buffer[..count]).into_owned();
                        told.lock().unwrap().push(line);
                    }
                    Err(_) if is_over.load(Ordering::Relaxed) => return,
                    Err(_) => {}
                }
            }
        });
        Syslogd {
            heard,
            ends,
            thread: Some(thread),
        }
    }

    /// What was said under the profile's tag, local3 and whatever severity.
    fn end(mut self) -> Vec<String> {
        self.stop();
        let heard = self.heard.lock().unwrap();
        let ours = |line: &&String| line.contains(">web[");
        heard.iter().filter(ours).cloned().collect()
    }

    fn stop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
            sh("rm -f /var/run/log; service syslogd onestart >/dev/null 2>&1");
        }
    }
}

impl Drop for Syslogd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A profile with the socket, which runs `program`.
fn with_log(program: &str, args: &str, root: &str) {
    let lines = format!(
        "user = \"nobody\"\nenv = {{ PATH = \"/usr/bin\" }}\nprogram = \"{program}\"\nargs = [{args}]\n\
         [root]\nsockets = [\"syslog\"]\ndevices = [\"null\"]\n{root}\n\
         [supervise]\nsyslog_facility = \"local3\"\nsyslog_tag = \"web\"\nstop_timeout = 2"
    );
    profile("jrtest-log", &lines);
}

const LOCAL3: u32 = 19 << 3;

#[test]
fn what_a_service_logs_reaches_syslogd_under_our_name_whatever_it_says_it_is() {
    let _alone = alone();
    let before = world();
    let syslogd = Syslogd::stand_in();
    let said = "\"-p\", \"auth.err\", \"-t\", \"sshd[1]\", \"Accepted\"";
    with_log("/usr/bin/logger", said, "");
    let first = run("jrtest-log", &[]);
    // Another user's, and with a tmpfs of the service's where the socket is.
    let tmpfs = "tmpfs = [{ path = \"/var/run\", size = \"1m\", owner = \"nobody\" }, { path = \"/tmp\", size = \"1m\", mode = \"1777\" }]";
    with_log("/usr/bin/logger", said, tmpfs);
    let second = run("jrtest-log", &[]);
    // As no library would say it: an emergency of the kernel's, and two lines in one.
    let raw = "\"-c\", \"printf '<0>x\\\\n<86>su: y' | nc -uU -w 1 /var/run/log\"";
    let programs = format!("{tmpfs}\nprograms = [\"/usr/bin/nc\", \"/usr/bin/printf\"]");
    with_log("/bin/sh", raw, &programs);
    let third = says("jrtest-log", &[]);
    let heard = syslogd.end();
    forget("jrtest-log");
    for output in [first, second] {
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
    }
    let parts: Vec<(&str, &str)> = heard
        .iter()
        .map(|line| {
            let (head, said) = line.split_once("]: ").unwrap();
            (head.split_once('[').unwrap().0, said)
        })
        .collect();
    let head = |severity: u32| format!("<{}>web", LOCAL3 | severity);
    let (error, critical) = (head(3), head(2));
    assert_eq!(parts.len(), 3, "{heard:?} {third}");
    for (head, said) in &parts[..2] {
        assert_eq!(*head, error);
        assert!(
            said.starts_with("sshd[1]") && said.ends_with("Accepted"),
            "{said}"
        );
    }
    assert_eq!(parts[2], (critical.as_str(), "x <86>su: y"));
    assert_eq!(before, world());
}

#[test]
fn a_flood_of_log_lines_is_cut_short_counted_and_holds_nobody_up() {
    let _alone = alone();
    let before = world();
    std::fs::write("/var/jrtest-many", "line\n".repeat(3000)).unwrap();
    let syslogd = Syslogd::stand_in();
    with_log(
        "/bin/sh",
        "\"-c\", \"while :; do logger -f /var/jrtest-many; done\"",
        "programs = [\"/usr/bin/logger\"]\nro = [\"/var/jrtest-many\"]\n",
    );
    let begun = Instant::now();
    let mut running = jailrun("jrtest-log", &[]);
    running.stdout(Stdio::null()).stderr(Stdio::null());
    let running = running.spawn().unwrap();
    let pid = running.id().to_string();
    std::thread::sleep(Duration::from_secs(8));
    let before_stop = Instant::now();
    Command::new("/bin/kill").arg(&pid).status().unwrap();
    let ended = end_within(running, 20).is_some();
    let (took, seconds) = (before_stop.elapsed(), begun.elapsed().as_secs());
    let heard = syslogd.end();
    forget("jrtest-log");
    std::fs::remove_file("/var/jrtest-many").unwrap();
    assert!(ended && took < Duration::from_secs(10), "{took:?}");
    let told = |line: &&String| line.ends_with(" lines of the log were dropped");
    let counted: u64 = heard
        .iter()
        .filter(told)
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            words[words.len() - 7].parse::<u64>().unwrap()
        })
        .sum();
    let lines = heard.iter().filter(|line| line.ends_with(": line")).count() as u64;
    println!("{lines} lines in {seconds} s, {counted} dropped, stopped in {took:?}");
    assert!(
        lines >= 1000 && lines <= 1000 + 200 * (seconds + 1),
        "{lines} in {seconds} s"
    );
    assert!(counted > 0);
    assert_eq!(before, world());
}
