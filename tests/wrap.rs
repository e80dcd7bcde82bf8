//! Wrapping of rc.d scripts below a prefix of its own: the machine's rc.subr(8) reads them where there is
//! one, and elsewhere a stand-in for exactly what is used of it.
#![allow(clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "a test runs programs")]

use jailrun::profile::Profile;
use jailrun::profile::parse::Source;
use jailrun::wrap::probe::probe;
use jailrun::wrap::{self, Mode, Places, Refusal, Running, Wanted, Wrapping};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// rc.subr(8)'s guard, its order of reading, and its two ways of finding a process.
const STAND_IN: &str = r#"
if [ -n "${_rc_subr_loaded}" ]; then return; fi
_rc_subr_loaded=YES
err() { shift; echo "$*" >&2; exit 1; }
load_rc_config() {
    if [ -f "${local_startup%/rc.d}/rc.conf.d/$1" ]; then
        . "${local_startup%/rc.d}/rc.conf.d/$1"
    elif [ -d "${local_startup%/rc.d}/rc.conf.d/$1" ]; then
        for _rc in "${local_startup%/rc.d}/rc.conf.d/$1"/*; do . "$_rc"; done
    fi
}
check_pidfile() { [ ! -f "$1" ] || cat "$1"; }
check_process() { :; }
run_rc_command() { echo "was run" >&2; exit 70; }
"#;

struct Stage {
    top: PathBuf,
    places: Places,
}

impl Stage {
    fn new(name: &str) -> Stage {
        let top = std::env::temp_dir().join(format!("jailrun-wrap-{}-{name}", std::process::id()));
        for below in ["etc/rc.d", "bin", "libexec", "run"] {
            fs::create_dir_all(top.join(below)).unwrap();
        }
        let real = match Path::new("/etc/rc.subr").exists() {
            true => ". /etc/rc.subr\n_rc_conf_loaded=true\n",
            false => STAND_IN,
        };
        let text = format!("local_startup={}/etc/rc.d\n{real}\n", top.display());
        fs::write(top.join("rc.subr"), text).unwrap();
        let places = Places {
            prefix: top.display().to_string(),
            rc_subr: top.join("rc.subr"),
            scripts: vec![top.join("etc/rc.d")],
            patience: Duration::from_secs(30),
        };
        Stage { top, places }
    }

    /// A script with these lines before it reads its settings, and these after.
    fn script(&self, name: &str, before: &str, after: &str) {
        let top = self.top.display();
        let text = format!(
            "#!/bin/sh\n# PROVIDE: {name}\n. {top}/rc.subr\nname={name}\nrcvar={name}_enable\n{before}\n\
             load_rc_config $name\n{after}\nrun_rc_command \"$1\"\n"
        );
        let text = text.replace("STAGE", &top.to_string());
        let path = self.top.join("etc/rc.d").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    }

    fn wrap_as(
        &self,
        service: &str,
        profile: &str,
        text: &str,
        mode: Mode,
    ) -> Result<Wrapping, Refusal> {
        let root = if text.contains("[root]") {
            ""
        } else {
            "[root]"
        };
        let profile_text =
            format!("{text}\n{root}\nclosure = \"off\"\n[capsicum]\nmode = \"off\"\n");
        let source = Source {
            name: format!("{profile}.toml"),
            text: profile_text.replace("STAGE", &self.places.prefix),
        };
        let instance = (profile != service).then_some(service);
        let read = Profile::from_sources(&source, &[], instance).unwrap();
        let wanted = Wanted {
            service,
            profile_name: profile,
            profile: &read,
        };
        wrap::wrap(&self.places, &wanted, mode)
    }

    fn wrap(&self, service: &str, text: &str) -> Result<Wrapping, Refusal> {
        self.wrap_as(service, service, text, Mode::Write)
    }

    fn unwrap(&self, service: &str) -> Result<bool, Refusal> {
        let done = wrap::unwrap(&self.places, service, Running::Refuse)?;
        Ok(done.is_some())
    }

    /// Everything below the stage: paths, kinds, modes, contents.
    fn listing(&self) -> Vec<String> {
        let mut list = Vec::new();
        walk(&self.top, &mut list);
        list.sort();
        list
    }

    fn conf(&self, name: &str) -> PathBuf {
        self.top.join("etc/rc.conf.d").join(name)
    }

    fn link(&self, name: &str) -> PathBuf {
        self.top.join("libexec/jailrun").join(name)
    }
}

fn walk(path: &Path, list: &mut Vec<String>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let what = if metadata.is_symlink() {
        format!("-> {}", fs::read_link(path).unwrap().display())
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            walk(&entry.unwrap().path(), list);
        }
        String::new()
    } else {
        fs::read_to_string(path).unwrap()
    };
    let mode = metadata.mode();
    list.push(format!(
        "{} {mode:o} {} {what}",
        path.display(),
        metadata.uid()
    ));
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.top);
    }
}

const WEB: &str = "command=/usr/sbin/webd; pidfile=STAGE/run/web.pid";
const PROFILE: &str =
    "program = \"/usr/sbin/webd\"\npidfile = \"STAGE/run/web.pid\"\nuser = \"www\"";

#[test]
fn a_wrapped_script_is_started_by_a_link_and_unwrap_leaves_what_was_there() {
    let stage = Stage::new("plain");
    stage.script("web", WEB, "");
    let before = stage.listing();
    let wrapping = stage.wrap("web", PROFILE).unwrap();
    assert!(
        wrapping.changes && wrapping.notes.is_empty(),
        "{wrapping:?}"
    );
    assert_eq!(
        fs::read_link(stage.link("web")).unwrap(),
        stage.top.join("bin/jailrun")
    );
    let text = fs::read_to_string(stage.conf("web")).unwrap();
    let link = stage.link("web").display().to_string();
    assert!(text.contains(&format!(
        "web_program=\"{link}\"\nweb_user=\"root\"\nweb_svcj=\"NO\"\n"
    )));
    let after = stage.listing();
    assert!(!stage.wrap("web", PROFILE).unwrap().changes, "again");
    assert_eq!(stage.listing(), after);
    assert_eq!(wrap::wrapped(&stage.places), Ok(vec!["web".to_string()]));
    assert_eq!(stage.unwrap("web"), Ok(true));
    assert_eq!(stage.listing(), before);
    assert_eq!(stage.unwrap("web"), Ok(false), "again");
    assert_eq!(stage.listing(), before);
}

#[test]
fn a_dry_run_says_all_and_writes_nothing() {
    let stage = Stage::new("dry");
    stage.script("web", WEB, "");
    let before = stage.listing();
    let wrapping = stage.wrap_as("web", "web", PROFILE, Mode::DryRun).unwrap();
    assert_eq!(stage.listing(), before);
    let done = stage.wrap("web", PROFILE).unwrap();
    assert_eq!(wrapping, done);
    assert_eq!(fs::read_to_string(&done.file).unwrap(), wrapping.text);
}

#[test]
fn an_administrators_file_keeps_its_lines_mode_and_end() {
    for (number, text) in ["a=1\n", "a=1", "", "\n# b\n"].iter().enumerate() {
        let stage = Stage::new(&format!("own-{number}"));
        stage.script("web", WEB, "");
        fs::create_dir(stage.top.join("etc/rc.conf.d")).unwrap();
        fs::write(stage.conf("web"), text).unwrap();
        fs::set_permissions(stage.conf("web"), fs::Permissions::from_mode(0o640)).unwrap();
        let before = stage.listing();
        stage.wrap("web", PROFILE).unwrap();
        assert!(
            fs::read_to_string(stage.conf("web"))
                .unwrap()
                .starts_with(text)
        );
        assert_eq!(
            fs::metadata(stage.conf("web")).unwrap().mode() & 0o777,
            0o640
        );
        assert_eq!(stage.unwrap("web"), Ok(true));
        assert_eq!(stage.listing(), before, "{text:?}");
    }
}

#[test]
fn a_folder_gets_a_file_of_ours_and_a_link_is_written_through_by_nobody() {
    let stage = Stage::new("folder");
    stage.script("web", WEB, "");
    fs::create_dir_all(stage.conf("web")).unwrap();
    fs::write(stage.conf("web").join("mine"), "a=1\n").unwrap();
    let before = stage.listing();
    let wrapping = stage.wrap("web", PROFILE).unwrap();
    assert_eq!(wrapping.file, stage.conf("web").join("zz-jailrun"));
    assert_eq!(stage.unwrap("web"), Ok(true));
    assert_eq!(stage.listing(), before);
    fs::remove_dir_all(stage.conf("web")).unwrap();
    symlink(stage.top.join("elsewhere"), stage.conf("web")).unwrap();
    let before = stage.listing();
    let refusal = stage.wrap("web", PROFILE).unwrap_err();
    let words = format!(
        "{} is neither a file nor a folder: nothing is written through links",
        stage.conf("web").display()
    );
    assert_eq!(refusal, Refusal::System(words));
    assert_eq!(stage.listing(), before);
}

#[test]
fn a_lock_of_somebody_who_can_only_read_holds_nothing_up_and_roots_own_is_told_after_some_seconds()
{
    let stage = Stage::new("lock");
    stage.script("web", WEB, "");
    let before = stage.listing();
    let links = stage.top.join("libexec/jailrun");
    stage.wrap("web", PROFILE).unwrap();
    // Whatever is there while nothing is changed, and can be opened by anybody.
    let opened = fs::File::open(&links).unwrap();
    opened.lock().unwrap();
    let lock = links.join(".lock");
    assert!(!lock.exists());
    assert!(stage.unwrap("web").unwrap());
    assert_eq!(stage.listing(), before);
    stage.wrap("web", PROFILE).unwrap();
    let held = fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    let Err(Refusal::System(words)) = stage.unwrap("web") else {
        panic!("it was unwrapped under another's lock");
    };
    let expected = format!(
        "{} is locked: another wrap or unwrap is at work; try again when it has ended",
        lock.display()
    );
    assert_eq!(words, expected);
    // One that was left by a killed one is held by nobody, and goes with the next.
    drop(held);
    assert!(stage.unwrap("web").unwrap());
    assert_eq!(stage.listing(), before);
}

#[test]
fn directories_that_had_to_be_made_go_with_the_last_service() {
    let stage = Stage::new("two");
    stage.script("web", WEB, "");
    stage.script("dns", "command=/usr/sbin/webd", "");
    let before = stage.listing();
    stage.wrap("web", PROFILE).unwrap();
    stage.wrap_as("dns", "web", PROFILE, Mode::Write).unwrap();
    assert!(stage.link("web@dns").is_symlink());
    assert_eq!(stage.unwrap("web"), Ok(true));
    assert!(stage.conf("dns").exists() && stage.link("web@dns").is_symlink());
    assert_eq!(stage.unwrap("dns"), Ok(true));
    assert_eq!(stage.listing(), before);
}

#[test]
fn a_link_that_was_lost_is_made_again_and_another_profile_is_no_repair() {
    let stage = Stage::new("lost");
    stage.script("web", WEB, "");
    stage.wrap("web", PROFILE).unwrap();
    let whole = stage.listing();
    fs::remove_file(stage.link("web")).unwrap();
    assert!(stage.wrap("web", PROFILE).unwrap().changes);
    assert_eq!(stage.listing(), whole);
    let refusal = stage
        .wrap_as("web", "other", PROFILE, Mode::Write)
        .unwrap_err();
    let link = stage.link("web");
    let words = format!(
        "is wrapped by {}: jailrunctl unwrap web first",
        link.display()
    );
    assert_eq!(refusal, Refusal::Busy(words));
    assert_eq!(stage.listing(), whole);
}

#[test]
fn a_service_that_runs_is_neither_wrapped_nor_unwrapped() {
    let stage = Stage::new("running");
    // The machine's own rc.subr(8) looks for a process of that name: this one's.
    let own = std::process::id();
    let program = std::env::current_exe().unwrap();
    stage.script(
        "web",
        &format!("command={}; pidfile=STAGE/run/web.pid", program.display()),
        "",
    );
    let profile = PROFILE.replace("/usr/sbin/webd", &program.display().to_string());
    fs::write(stage.top.join("run/web.pid"), format!("{own}\n")).unwrap();
    let before = stage.listing();
    let refusal = stage.wrap("web", &profile).unwrap_err();
    let words = format!("runs without jailrun (pid {own}): service web stop first");
    assert_eq!(refusal, Refusal::Busy(words));
    assert_eq!(stage.listing(), before);
}

#[test]
fn a_command_that_is_daemon_is_understood() {
    let stage = Stage::new("daemon");
    let before = "command=/usr/sbin/daemon; procname=/usr/sbin/webd; pidfile=STAGE/run/web.pid\n\
                  command_args=\"-f -P ${pidfile} -p STAGE/run/child.pid -r -u www /usr/sbin/webd -c 'a b' >/dev/null 2>&1 &\"";
    stage.script("web", before, "");
    let wrapping = stage.wrap("web", PROFILE).unwrap();
    assert_eq!(wrapping.link, stage.link("daemon/web"));
    let link = wrapping.link.display();
    assert!(wrapping.text.contains(&format!("procname=\"{link}\"\n")));
    let run = stage.top.join("run/child.pid");
    assert_eq!(
        wrapping.notes,
        [
            "daemon(8) starts the program again when it ends, and the profile's restart is \"never\"".to_string(),
            format!("{} won't be written", run.display()),
        ]
    );
    assert_eq!(stage.unwrap("web"), Ok(true));
}

/// What a script is refused for: its lines before and after, the profile, and the words.
const UNFIT: &[(&str, &str, &str, &str)] = &[
    (
        WEB,
        "start_cmd=web_start",
        PROFILE,
        "the script starts by its own web_start, which takes no web_program: let it call share/jailrun/jailrun.subr",
    ),
    (
        WEB,
        "web_chroot=/jail",
        PROFILE,
        "web_chroot is \"/jail\": it would be started in there and without jailrun: the profile's root takes its place",
    ),
    (
        WEB,
        "web_profiles='a b'",
        PROFILE,
        "web_profiles is \"a b\": one profile runs one service: start them by jailrun_profiles in rc.conf",
    ),
    (
        WEB,
        "web_instances=a",
        PROFILE,
        "web_instances is \"a\": one profile runs one service: start them by jailrun_profiles in rc.conf",
    ),
    (
        WEB,
        "web_prepend=/bin/x",
        PROFILE,
        "web_prepend is \"/bin/x\": that program would stand before jailrun",
    ),
    (
        WEB,
        "if [ -z \"$2\" ]; then for one in a b; do $0 $1 $one; done; exit 0; fi",
        PROFILE,
        "the script does its work without run_rc_command, or runs itself for each of several: \
      start the profile by jailrun_profiles in rc.conf",
    ),
    (
        WEB,
        "run_rc_command $1",
        PROFILE,
        "the script runs several services by turns: start the profiles by jailrun_profiles in rc.conf",
    ),
    (
        WEB,
        ": ${web_user:=www}\nweb_prestart()\n{\n\tchown ${web_user} /var/db/web\n}",
        PROFILE,
        "line 11 of the script gives something to web_user, which has to be root: keep the user in a variable of \
      another name, or let the script call share/jailrun/jailrun.subr",
    ),
    (
        WEB,
        "web_check() { ${command}-check /etc/web.conf; }",
        PROFILE,
        "line 8 of the script finds another program by its command's path: name that program there",
    ),
    (
        "command=/usr/sbin/webd",
        "sig_stop=QUIT",
        PROFILE,
        "the script stops its service by SIGQUIT: say stop_signal = \"QUIT\" in [supervise] of the profile web",
    ),
    (
        "command=/usr/sbin/webd",
        "sig_reload=SIGUSR3",
        PROFILE,
        "the script reloads by SIGUSR3, which a supervisor doesn't pass on",
    ),
    (
        "command=/usr/sbin/other",
        "",
        PROFILE,
        "the script runs /usr/sbin/other, and the profile web runs /usr/sbin/webd",
    ),
    (
        WEB,
        "",
        "program = \"/usr/sbin/webd\"",
        "the script looks for its service in STAGE/run/web.pid: say pidfile = \"STAGE/run/web.pid\" in the profile \
      web, or, where STAGE/run/web.pid is not in a directory of root's, another",
    ),
    (
        WEB,
        "",
        "program = \"/usr/sbin/webd\"\npidfile = \"/var/run/a$b\"",
        "the pidfile /var/run/a$b of the profile web is no plain word: rename it",
    ),
    ("", "", PROFILE, "the script names no command"),
    (
        "command=/usr/sbin/daemon",
        "command_args='-f /bin/other'",
        PROFILE,
        "the script runs /bin/other, and the profile web runs /usr/sbin/webd",
    ),
    (
        "command=/usr/sbin/daemon",
        "command_args='-Z /usr/sbin/webd'",
        PROFILE,
        "-Z is no option of daemon(8) that jailrun knows",
    ),
    (
        "command=/usr/sbin/daemon",
        "command_args='-f >/dev/null'",
        PROFILE,
        "the script tells daemon(8) no program that stands there by itself",
    ),
    (
        WEB,
        "web_program=/opt/webd",
        PROFILE,
        "the script runs /opt/webd, and the profile web runs /usr/sbin/webd",
    ),
];

#[test]
fn what_can_not_be_wrapped_is_named_with_what_to_do_before_anything_is_written() {
    let stage = Stage::new("unfit");
    for (before, after, profile, words) in UNFIT {
        stage.script("web", before, after);
        let there = stage.listing();
        let refusal = stage.wrap("web", profile).unwrap_err();
        let expected = words.replace("STAGE", &stage.places.prefix);
        assert_eq!(refusal, Refusal::Unfit(expected), "{before} {after}");
        assert_eq!(stage.listing(), there, "{before} {after}");
    }
}

/// As redis': it is the daemon's user who owns the directory.
#[test]
fn service_looks_for_the_supervisor_where_the_profile_puts_it_when_the_daemon_has_a_place_of_its_own()
 {
    let stage = Stage::new("pidfile");
    let before = "command=/usr/sbin/webd; pidfile=/run/web/own.pid\ncommand_args=\"-P $pidfile\"";
    stage.script("web", before, "");
    let there = stage.listing();
    let wrapping = stage.wrap("web", PROFILE).unwrap();
    let path = stage.top.join("run/web.pid");
    let line = format!("pidfile=\"{}\"\n", path.display());
    assert!(wrapping.text.contains(&line), "{}", wrapping.text);
    let note = format!(
        "service(8) looks for it in {}, and no longer in /run/web/own.pid",
        path.display()
    );
    assert_eq!(wrapping.notes, [note]);
    let script = stage.top.join("etc/rc.d/web");
    let facts = probe(&stage.places.rc_subr, &script, stage.places.patience).unwrap();
    // The daemon is told its own file, as before.
    assert_eq!(facts.get("command_args"), "-P /run/web/own.pid");
    assert_eq!(facts.get("pidfile"), path.display().to_string());
    assert!(!stage.wrap("web", PROFILE).unwrap().changes, "again");
    assert_eq!(stage.unwrap("web"), Ok(true));
    assert_eq!(stage.listing(), there);
}

/// As memcached's port does it: the daemon is told the pidfile, and a user whose name is forgotten then.
#[test]
fn a_daemon_that_is_told_the_pidfile_writes_its_own_where_the_profile_has_a_place_for_it() {
    let stage = Stage::new("told");
    let after = ": ${web_user=\"nobody\"}\ncommand_args=\"-d -u ${web_user} -P ${pidfile}\"\nunset web_user";
    let before = "command=/usr/sbin/webd; pidfile=/run/web/own.pid";
    stage.script("web", before, after);
    let there = stage.listing();
    for place in [
        "{ path = \"STAGE/run\", size = \"64k\", owner = \"nobody\" }",
        "{ path = \"STAGE/run\", size = \"64k\", owner = \"www\", mode = \"0555\" }",
        "{ path = \"STAGE\", size = \"64k\", owner = \"www\" }",
    ] {
        let profile = format!("{PROFILE}\n[root]\ntmpfs = [{place}]");
        let Err(Refusal::Unfit(words)) = stage.wrap("web", &profile) else {
            panic!("{place}: wrapped")
        };
        assert!(
            words.contains("give it a place of its own there"),
            "{words}"
        );
        assert_eq!(stage.listing(), there);
    }
    for place in [
        "{ path = \"STAGE/run\", size = \"64k\", owner = \"www\", mode = \"0755\" }",
        "{ path = \"STAGE/run\", size = \"64k\", mode = \"1777\" }",
    ] {
        let profile = format!("{PROFILE}\n[root]\ntmpfs = [{place}]");
        let wrapping = stage.wrap("web", &profile).unwrap();
        assert!(!wrapping.text.contains("web_user="), "{}", wrapping.text);
        let script = stage.top.join("etc/rc.d/web");
        let facts = probe(&stage.places.rc_subr, &script, stage.places.patience).unwrap();
        let path = stage.top.join("run/web.pid").display().to_string();
        let told = format!("-d -u nobody -P {path}");
        assert_eq!(facts.get("command_args"), told);
        assert_eq!(
            (facts.get("pidfile"), facts.get("NAME_user")),
            (path.as_str(), "")
        );
        assert!(!stage.wrap("web", &profile).unwrap().changes, "again");
        assert_eq!(stage.unwrap("web"), Ok(true));
        assert_eq!(stage.listing(), there);
    }
}

#[test]
fn what_rc_subr_would_not_heed_is_undone() {
    for (name, before, after, words) in [
        (
            "late-user",
            WEB,
            "web_user=www",
            "the script sets its user to \"www\" whatever is set",
        ),
        (
            "late-jail",
            WEB,
            "web_svcj=YES",
            "the script wants a service jail whatever is set",
        ),
        (
            "late-procname",
            WEB,
            "procname=webd",
            "the script names its process after it has read its settings",
        ),
        (
            "late-pidfile",
            "command=/usr/sbin/webd; pidfile=/run/web/own.pid",
            "pidfile=/run/web/own.pid",
            "the script names its pidfile after it has read its settings: the profile has to say \
             pidfile = \"/run/web/own.pid\", where that is in a directory of root's",
        ),
        (
            "late-arguments",
            "command=/usr/sbin/webd; pidfile=/run/web/own.pid",
            "command_args=\"-P $pidfile\"",
            "the script's command_args tell the daemon where its pidfile is, STAGE/run/web.pid from now on: give \
             it a place of its own there, { path = \"STAGE/run\", size = \"64k\", owner = \"www\" } in tmpfs of \
             the profile web",
        ),
        (
            "late-flags",
            "command=/usr/sbin/webd; pidfile=/run/web/own.pid",
            ": ${web_flags=\"--pid=$pidfile\"}",
            "the script's flags tell the daemon where its pidfile is, STAGE/run/web.pid from now on: give it a \
             place of its own there, { path = \"STAGE/run\", size = \"64k\", owner = \"www\" } in tmpfs of the \
             profile web",
        ),
        (
            "late-arguments-of-a-user",
            WEB,
            ": ${web_user=www}; command_args=\"-u $web_user\"",
            "the script's command_args change with what is set: the daemon would be told \"-u root\"",
        ),
    ] {
        let stage = Stage::new(name);
        stage.script("web", before, after);
        let there = stage.listing();
        let refusal = stage.wrap("web", PROFILE).unwrap_err();
        let words = words.replace("STAGE", &stage.places.prefix);
        assert_eq!(refusal, Refusal::Unfit(words));
        assert_eq!(stage.listing(), there, "{name}");
    }
    let stage = Stage::new("unread");
    stage.script("web", WEB, "");
    let text = fs::read_to_string(stage.top.join("rc.subr")).unwrap();
    let elsewhere = text.replacen("/etc/rc.d", "/nowhere/rc.d", 1);
    fs::write(stage.top.join("rc.subr"), elsewhere).unwrap();
    let there = stage.listing();
    let Refusal::Unfit(words) = stage.wrap("web", PROFILE).unwrap_err() else {
        panic!("wrapped")
    };
    assert!(words.starts_with("rc.subr(8) doesn't read "), "{words}");
    assert_eq!(stage.listing(), there);
}

#[test]
fn what_the_script_did_for_its_process_is_named_with_the_key_that_does_it_now() {
    let stage = Stage::new("notes");
    let after = "web_nice=5; web_env='A=b'; web_limits='-n 10'; stop_cmd=web_stop; web_user=nobody";
    stage.script("web", &format!("{WEB}\n{after}"), "");
    let wrapping = stage.wrap("web", PROFILE).unwrap();
    assert_eq!(
        wrapping.notes,
        [
            "web_nice (5) has no effect any more: nice of the profile does that",
            "web_env (A=b) has no effect any more: env of the profile does that",
            "web_limits (-n 10) has no effect any more: [limits] of the profile does that",
            "stop is the script's own web_stop, on the host",
            "the script's user is nobody, and the profile's is www",
        ]
    );
}

#[test]
fn settings_that_would_run_past_jailrun_later_stop_the_script() {
    let stage = Stage::new("later");
    stage.script("web", WEB, "");
    stage.wrap("web", PROFILE).unwrap();
    let text = fs::read_to_string(stage.conf("web")).unwrap();
    for setting in ["web_chroot=/jail", "web_profiles=a", "web_instances=a"] {
        fs::write(stage.conf("web"), format!("{setting}\n{text}")).unwrap();
        let refusal = stage.wrap("web", PROFILE).unwrap_err();
        // The lines end the script before it has run anything.
        assert!(
            matches!(&refusal, Refusal::System(words) | Refusal::Unfit(words) if !words.is_empty())
        );
        assert!(matches!(wrap::name_of(&stage.places, "web"), Ok(name) if name == "web"));
    }
}

#[test]
fn a_script_that_is_gone_can_still_be_unwrapped() {
    let stage = Stage::new("gone");
    stage.script("web", WEB, "");
    let script = stage.top.join("etc/rc.d/web");
    stage.wrap("web", PROFILE).unwrap();
    fs::remove_file(&script).unwrap();
    assert_eq!(stage.unwrap("web"), Ok(true));
    assert!(!stage.conf("web").exists() && !stage.link("web").exists());
    for bad in ["../web", "", ".", "web/x"] {
        let refusal = wrap::name_of(&stage.places, bad).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::Usage("no such rc.d script".to_string()),
            "{bad}"
        );
    }
}

#[test]
fn a_script_that_waits_is_killed_with_what_it_started_and_nothing_is_written() {
    let mut stage = Stage::new("waits");
    stage.places.patience = Duration::from_secs(2);
    stage.script("web", WEB, "sh -c 'echo $$ >STAGE/run/child; sleep 600'");
    let started = Instant::now();
    let refusal = stage.wrap("web", PROFILE).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(60), "{started:?}");
    let script = stage.top.join("etc/rc.d/web");
    let words = format!(
        "{} has not come to run_rc_command after 2 s and was killed: it waits for something",
        script.display()
    );
    assert_eq!(refusal, Refusal::System(words));
    assert!(!stage.conf("web").exists() && !stage.link("web").exists());
    let child = fs::read_to_string(stage.top.join("run/child")).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while runs(child.trim()) {
        assert!(Instant::now() < until, "pid {child} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_script_leaves_in_the_background_is_not_waited_for() {
    let stage = Stage::new("leaves");
    stage.script("web", WEB, "sleep 20 & echo $! >STAGE/run/child");
    let started = Instant::now();
    assert!(stage.wrap("web", PROFILE).unwrap().changes);
    assert!(started.elapsed() < Duration::from_secs(15), "{started:?}");
    let child = fs::read_to_string(stage.top.join("run/child")).unwrap();
    assert!(runs(child.trim()), "it is the script's, and not ended");
    shell(&format!("kill {}", child.trim()));
}

/// The package's deletion without its deinstall script, or a file lost: rc.subr(8) executes
/// `NAME_program`, and looks first whether it can.
#[test]
fn a_link_that_leads_nowhere_is_executed_by_nobody_and_the_daemon_in_its_place_neither() {
    let stage = Stage::new("dangling");
    stage.script("web", WEB, "");
    fs::write(stage.top.join("bin/jailrun"), "#!/bin/sh\n").unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(stage.top.join("bin/jailrun"), mode).unwrap();
    stage.wrap("web", PROFILE).unwrap();
    let link = stage.link("web").display().to_string();
    // What is executed is what the script itself arrives at, with the lines of rc.conf.d read.
    let command = || {
        let script = stage.top.join("etc/rc.d/web");
        let facts = probe(&stage.places.rc_subr, &script, stage.places.patience).unwrap();
        facts.get("NAME_program").to_string()
    };
    assert_eq!(command(), link);
    assert!(shell(&format!("[ -x {link} ]")) && shell(&link));
    fs::remove_file(stage.top.join("bin/jailrun")).unwrap();
    assert_eq!(command(), link, "never the daemon itself");
    assert!(!shell(&format!("[ -x {link} ]")) && !shell(&link));
    assert_eq!(stage.unwrap("web"), Ok(true));
    assert!(!stage.link("web").is_symlink() && !stage.conf("web").exists());
}

fn shell(command: &str) -> bool {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).status().unwrap().success()
}

fn runs(pid: &str) -> bool {
    shell(&format!("kill -0 {pid} 2>/dev/null"))
}
