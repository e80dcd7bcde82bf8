//! rc.d/jailrun with stand-ins for the two programs and for what it uses of rc.subr(8); where the
//! machine has the real rc.subr, with that.
#![expect(clippy::disallowed_methods, reason = "a test runs programs")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the script uses of rc.subr: variables, `warn`, and the call of the verb's own function.
const SUBR: &str = "load_rc_config() { :; }\nwarn() { echo \"WARNING: $*\" >&2; }\n\
    run_rc_command() { eval \"cmd=\\$${1}_cmd\"; eval \"$cmd\"; }\n";

struct Stage(PathBuf);

impl Stage {
    /// Programs that write down how they were called. `show` says running for what is in `running`.
    fn new(name: &str) -> Option<Stage> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("rc.d/jailrun");
        let Ok(text) = fs::read_to_string(script) else {
            println!("SKIP {name}: the checkout isn't on this host");
            return None;
        };
        let place = std::env::temp_dir().join(format!("jailrun-rc-{}-{name}", std::process::id()));
        for below in ["bin", "sbin", "running"] {
            fs::create_dir_all(place.join(below)).unwrap();
        }
        let shown = place.display();
        let real = Path::new("/etc/rc.subr");
        let subr = match real.exists() {
            true => real.display().to_string(),
            false => {
                fs::write(place.join("rc.subr"), SUBR).unwrap();
                format!("{shown}/rc.subr")
            }
        };
        let text = text.replace(". /etc/rc.subr", &format!(". {subr}"));
        let stage = Stage(place.clone());
        stage.program("script", &text);
        stage.program(
            "bin/jailrun",
            &format!("#!/bin/sh\necho \"jailrun $*\" >>{shown}/log\nfor last; do :; done\n[ \"$last\" = broken ] && exit 78\ntouch {shown}/running/$last\n"),
        );
        stage.program(
            "sbin/jailrunctl",
            &format!(
                "#!/bin/sh\nfor last; do :; done\ncase $1 in\nshow) test -e {shown}/running/$last; exit;;\n\
                 stop) sleep 0.2; rm {shown}/running/$last;;\nesac\necho \"jailrunctl $*\" >>{shown}/log\n"
            ),
        );
        Some(stage)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn service(&self, verb: &str, profiles: &str) -> (bool, Vec<String>) {
        let verb = match verb {
            "start" | "stop" | "status" | "restart" if Path::new("/etc/rc.subr").exists() => {
                format!("one{verb}")
            }
            plain => plain.to_string(),
        };
        let _ = fs::remove_file(self.0.join("log"));
        let status = Command::new("/bin/sh")
            .arg(self.0.join("script"))
            .arg(verb)
            .env("jailrun_prefix", &self.0)
            .env("jailrun_profiles", profiles)
            .output()
            .unwrap()
            .status;
        let log = fs::read_to_string(self.0.join("log")).unwrap_or_default();
        (status.success(), log.lines().map(str::to_string).collect())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn start_cleans_up_first_then_starts_each_in_order_and_none_twice() {
    let Some(stage) = Stage::new("start") else {
        return;
    };
    let (is_good, log) = stage.service("start", "www app@1");
    assert!(is_good);
    assert_eq!(
        log,
        [
            "jailrunctl cleanup --all",
            "jailrun -d www",
            "jailrun -d app@1"
        ]
    );
    let (is_good, log) = stage.service("start", "www app@1 app@2");
    assert!(is_good);
    assert_eq!(log, ["jailrunctl cleanup --all", "jailrun -d app@2"]);
}

#[test]
fn one_that_fails_is_told_by_the_status_and_keeps_none_from_starting() {
    let Some(stage) = Stage::new("broken") else {
        return;
    };
    let (is_good, log) = stage.service("start", "broken www");
    assert!(!is_good);
    assert_eq!(log.last().unwrap(), "jailrun -d www");
}

#[test]
fn status_is_good_only_while_all_run_and_stop_stops_them_at_once() {
    let Some(stage) = Stage::new("stop") else {
        return;
    };
    assert!(!stage.service("status", "a b c").0);
    stage.service("start", "a b c");
    assert!(stage.service("status", "a b c").0);
    let began = std::time::Instant::now();
    let (is_good, mut log) = stage.service("stop", "a b c");
    // Each takes a fifth of a second.
    assert!(
        is_good && began.elapsed().as_millis() < 550,
        "{:?}",
        began.elapsed()
    );
    log.sort();
    assert_eq!(
        log,
        ["a", "b", "c"].map(|name| format!("jailrunctl stop --timeout 80 {name}"))
    );
    assert!(!stage.service("status", "a b c").0);
}
