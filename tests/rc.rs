//! rc.d/jailrun with stand-ins for the two programs, and for what it uses of rc.subr(8) where the machine
//! has none. What ran is what the stand-ins wrote down.
#![expect(clippy::disallowed_methods, reason = "a test runs programs")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the script uses of rc.subr: variables, `warn`, and the call of the verb's own function.
const SUBR: &str = r#"
load_rc_config() { :; }
warn() { echo "WARNING: $*" >&2; }
run_rc_command() { verb=${1#one}; shift; eval "cmd=\$${verb}_cmd"; $cmd $*; }
"#;

const JAILRUN: &str = r#"#!/bin/sh
echo "jailrun $*" >>PREFIX/log
for last; do :; done
[ "$last" != broken ] || exit 78
touch PREFIX/running/$last
"#;

const JAILRUNCTL: &str = r#"#!/bin/sh
for last; do :; done
case $1 in
show)
    test -e PREFIX/running/$last
    exit ;;
cleanup)
    [ ! -e PREFIX/dirty ] || status=71 ;;
stop)
    touch PREFIX/begun-$last
    tries=0
    while [ -e PREFIX/together ] && [ $(ls -d PREFIX/begun-* | wc -l) -lt $(cat PREFIX/together) ]; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || exit 71
        sleep 0.2
    done
    [ "$last" != stubborn ] || exit 71
    rm PREFIX/running/$last ;;
esac
echo "jailrunctl $*" >>PREFIX/log
exit ${status:-0}
"#;

/// The checkout: where cargo, or the runner on another host, says that it is.
fn here(below: &str) -> PathBuf {
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    there
        .map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .join(below)
}

/// A prefix of its own with the script and the stand-ins: `show` says running for what is in `running`,
/// a start of "broken" fails, and so does a stop of "stubborn"; with a file `together`, each stop waits,
/// twenty seconds at most, until as many others have begun as it says.
struct Stage(PathBuf);

struct Said {
    status: i32,
    /// The calls of the programs that change something.
    calls: Vec<String>,
    text: String,
}

impl Stage {
    fn new(name: &str) -> Stage {
        let place = std::env::temp_dir().join(format!("jailrun-rc-{}-{name}", std::process::id()));
        for below in ["bin", "sbin", "running"] {
            fs::create_dir_all(place.join(below)).unwrap();
        }
        let stage = Stage(place);
        stage.program("script", &stage.script());
        for (name, text) in [("bin/jailrun", JAILRUN), ("sbin/jailrunctl", JAILRUNCTL)] {
            stage.program(
                name,
                &text.replace("PREFIX", &stage.0.display().to_string()),
            );
        }
        stage
    }

    /// The script as `make install` would leave it in this prefix.
    fn script(&self) -> String {
        let text = fs::read_to_string(here("rc.d/jailrun")).unwrap();
        let text = text.replace("/usr/local", &self.0.display().to_string());
        if Path::new("/etc/rc.subr").exists() {
            return text;
        }
        let subr = self.0.join("rc.subr");
        fs::write(&subr, SUBR).unwrap();
        text.replace(". /etc/rc.subr", &format!(". {}", subr.display()))
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn service(&self, words: &str, settings: &[(&str, &str)]) -> Said {
        let _ = fs::remove_file(self.0.join("log"));
        let output = Command::new("/bin/sh")
            .arg(self.0.join("script"))
            // As root's own call, whatever rc.conf says.
            .args(format!("one{words}").split(' '))
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        let log = fs::read_to_string(self.0.join("log")).unwrap_or_default();
        let text = [output.stdout, output.stderr].concat();
        Said {
            status: output.status.code().unwrap(),
            calls: log.lines().map(str::to_string).collect(),
            text: String::from_utf8(text).unwrap(),
        }
    }

    fn with(&self, words: &str, profiles: &str) -> Said {
        self.service(words, &[("jailrun_profiles", profiles)])
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn start_cleans_up_first_then_starts_each_in_order_and_none_twice() {
    let stage = Stage::new("start");
    let said = stage.with("start", "www app@blue");
    let expected = [
        "jailrunctl cleanup --all",
        "jailrun -d www",
        "jailrun -d app@blue",
    ];
    assert_eq!(
        (said.status, &said.calls[..]),
        (0, &expected.map(str::to_string)[..])
    );
    let said = stage.with("start", "www app@blue app@green");
    let expected = ["jailrunctl cleanup --all", "jailrun -d app@green"];
    assert_eq!(
        (said.status, &said.calls[..]),
        (0, &expected.map(str::to_string)[..])
    );
    assert!(
        said.text.contains("jailrun: www is running already."),
        "{}",
        said.text
    );
}

#[test]
fn names_on_the_command_line_stand_in_for_the_configured_ones() {
    let stage = Stage::new("names");
    stage.with("start", "a b c");
    assert_eq!(
        stage.with("stop b", "a b c").calls,
        ["jailrunctl stop --timeout 75 b"]
    );
    assert_eq!(stage.with("status a c", "a b c").status, 0);
    assert_eq!(stage.with("status b", "a b c").status, 1);
    let said = stage.with("start b", "a b c");
    assert_eq!(said.calls, ["jailrunctl cleanup --all", "jailrun -d b"]);
}

#[test]
fn flags_are_the_instances_else_the_profiles_else_everyones() {
    let stage = Stage::new("flags");
    let settings = [
        ("jailrun_profiles", "www my-app@blue my-app@green"),
        ("jailrun_flags", "--everyone"),
        ("jailrun_my_app_flags", "--app 1"),
        ("jailrun_my_app_green_flags", ""),
    ];
    let said = stage.service("start", &settings);
    let expected = [
        "jailrun -d --everyone www",
        "jailrun -d --app 1 my-app@blue",
        "jailrun -d my-app@green",
    ];
    assert_eq!(said.calls[1..], expected);
}

#[test]
fn one_that_fails_is_told_by_the_status_and_keeps_none_from_starting() {
    let stage = Stage::new("broken");
    let said = stage.with("start", "broken www");
    assert_eq!(
        (said.status, said.calls.last().unwrap().as_str()),
        (1, "jailrun -d www")
    );
    assert!(said.text.contains("broken did not start"), "{}", said.text);
}

#[test]
fn leftovers_that_stay_are_told_and_keep_none_from_starting() {
    let stage = Stage::new("dirty");
    fs::write(stage.0.join("dirty"), "").unwrap();
    let said = stage.with("start", "www");
    assert_eq!(
        (said.status, said.calls.last().unwrap().as_str()),
        (0, "jailrun -d www")
    );
    assert!(
        said.text.contains("could not be taken back"),
        "{}",
        said.text
    );
}

#[test]
fn status_is_0_only_while_all_run() {
    let stage = Stage::new("status");
    let said = stage.with("status", "a b");
    assert_eq!(said.status, 1);
    stage.with("start", "a");
    let said = stage.with("status", "a b");
    assert_eq!(said.status, 1);
    assert_eq!(
        said.text,
        "jailrun: a is running.\njailrun: b is not running.\n"
    );
    stage.with("start", "b");
    assert_eq!(stage.with("status", "a b").status, 0);
}

#[test]
fn all_stop_at_once_and_a_failure_is_told() {
    let stage = Stage::new("stop");
    stage.with("start", "a b c d e f");
    fs::write(stage.0.join("together"), "6").unwrap();
    let said = stage.with("stop", "a b c d e f");
    assert_eq!((said.status, said.calls.len()), (0, 6), "{}", said.text);
    fs::remove_file(stage.0.join("together")).unwrap();
    stage.with("start", "a stubborn b");
    let said = stage.with("stop", "a stubborn b");
    assert_eq!((said.status, said.calls.len()), (1, 2));
}

#[test]
fn what_did_not_stop_is_not_started_again() {
    let stage = Stage::new("restart");
    stage.with("start", "www stubborn");
    let said = stage.with("restart", "www stubborn");
    assert_eq!(said.status, 1);
    let expected = [
        "jailrunctl stop --timeout 75 www",
        "jailrunctl cleanup --all",
        "jailrun -d www",
    ];
    assert_eq!(said.calls, expected);
}

#[test]
fn a_name_that_is_none_reaches_no_program_and_no_eval() {
    let stage = Stage::new("names-bad");
    for bad in [
        "www;touch",
        "$(touch)",
        "a@b@c",
        "@b",
        "a@",
        "../www",
        "a`b`",
    ] {
        for verb in ["start", "stop", "status", "restart"] {
            let said = stage.with(verb, &format!("www {bad}"));
            assert_ne!(said.status, 0, "{verb} {bad}");
            assert_eq!(said.calls, [""; 0], "{verb} {bad}");
            assert!(
                said.text.contains("not PROFILE or PROFILE@INSTANCE"),
                "{}",
                said.text
            );
        }
    }
}
