//! Whether an rc.d script can be sent through jailrun as it stands, and what the profile has to say for
//! it. Pure: everything is known before anything is written. A refusal says what to do.

use super::probe::Facts;
use crate::kernel::signal;
use crate::link::Daemon;
use crate::profile::values::is_name;
use crate::profile::{Profile, Restart};

/// The one program that scripts put before their own.
const DAEMON: &str = "/usr/sbin/daemon";
/// Passed on by a supervisor.
const PASSED: [&str; 9] = [
    "HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "INFO", "TSTP", "CONT",
];
/// What rc.subr(8) does for a process that it starts, and jailrun undoes: name of the variable, and of
/// the profile's key that takes its place.
const REPLACED: [(&str, &str); 11] = [
    ("nice", "nice"),
    ("env", "env"),
    ("env_file", "env"),
    ("fib", "fib"),
    ("cpuset", "[jail] cpuset"),
    ("limits", "[limits]"),
    ("login_class", "[limits]"),
    ("umask", "umask"),
    ("chdir", "chdir"),
    ("group", "group"),
    ("groups", "groups"),
];

/// A script that can be wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// rc.subr(8)'s name of the service.
    pub name: String,
    /// Its command is daemon(8).
    pub is_daemon: bool,
    /// It uses its user's name and then unsets it.
    pub forgets_user: bool,
    pub sets_procname: bool,
    pub clears_interpreter: bool,
    /// Where the supervisor's pid is, if that isn't where the script looks.
    pub pidfile: Option<String>,
    /// What is different from before, and can be meant so.
    pub notes: Vec<String>,
}

/// `profile_name` is the one that would be used.
pub fn judge(
    facts: &Facts,
    script: &str,
    profile_name: &str,
    profile: &Profile,
) -> Result<Judged, String> {
    let name = facts.get("name").to_string();
    shape(facts, &name)?;
    body(facts, script, &name)?;
    signals(facts, profile_name, profile)?;
    let mut notes = notes(facts, &name);
    // /etc/defaults/rc.conf names the program of many services once more.
    let command = match facts.get("NAME_program") {
        "" => facts.get("command"),
        program => program,
    };
    let is_daemon = command == DAEMON;
    let user = match is_daemon {
        true => daemon(facts, profile_name, profile, &mut notes)?,
        false => {
            same_program(command, profile_name, profile)?;
            None
        }
    };
    let user = user.unwrap_or_else(|| facts.get("NAME_user").to_string());
    if !user.is_empty() && user != profile.user {
        notes.push(format!(
            "the script's user is {user}, and the profile's is {}",
            profile.user
        ));
    }
    let pidfile = pidfile(facts, profile_name, profile)?;
    if let Some(path) = &pidfile {
        notes.push(format!(
            "service(8) looks for it in {path}, and no longer in {}",
            facts.get("pidfile")
        ));
    }
    Ok(Judged {
        forgets_user: forgets_user(facts, script, &name),
        name,
        pidfile,
        is_daemon,
        sets_procname: facts.is_set("procname"),
        clears_interpreter: facts.is_set("command_interpreter"),
        notes,
    })
}

/// Whether rc.subr(8)'s own way of starting is the script's, once and for one service.
fn shape(facts: &Facts, name: &str) -> Result<(), String> {
    match facts.calls() {
        1 => {}
        0 => {
            return Err(
                "the script does its work without run_rc_command, or runs itself for each of several: \
                 start the profile by jailrun_profiles in rc.conf"
                    .to_string(),
            );
        }
        _ => {
            return Err(
                "the script runs several services by turns: start the profiles by jailrun_profiles in rc.conf"
                    .to_string(),
            );
        }
    }
    let is_variable = !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_variable || !is_name(name) {
        return Err(format!(
            "the script's name {name:?} is no name of variables"
        ));
    }
    if facts.is_set("start_cmd") {
        return Err(format!(
            "the script starts by its own {}, which takes no {name}_program: let it call \
             share/jailrun/jailrun.subr",
            facts.get("start_cmd")
        ));
    }
    for variable in ["chroot", "profiles", "instances", "prepend"] {
        let value = facts.get(&format!("NAME_{variable}"));
        let what = match variable {
            _ if value.is_empty() => continue,
            "chroot" => {
                "it would be started in there and without jailrun: the profile's root takes its place"
            }
            "prepend" => "that program would stand before jailrun",
            _ => "one profile runs one service: start them by jailrun_profiles in rc.conf",
        };
        return Err(format!("{name}_{variable} is {value:?}: {what}"));
    }
    match facts.is_set("command") || facts.is_set("NAME_program") {
        true => Ok(()),
        false => Err("the script names no command".to_string()),
    }
}

/// What the functions of the script do with what is different now.
fn body(facts: &Facts, script: &str, name: &str) -> Result<(), String> {
    let user = facts.get("NAME_user");
    let spelled = [
        format!("${{{name}_user}}"),
        format!("${name}_user"),
        "${name}_user".to_string(),
    ];
    for (number, line) in script.lines().enumerate() {
        let line = line.trim();
        let number = number + 1;
        if line.starts_with('#') {
            continue;
        }
        // The script's variable will say root.
        let gives = line
            .split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
            .any(|word| matches!(word, "chown" | "install" | "su" | "mtree" | "daemon"));
        if gives && !matches!(user, "" | "root") && spelled.iter().any(|form| line.contains(form)) {
            return Err(format!(
                "line {number} of the script gives something to {name}_user, which has to be root: \
                 keep the user in a variable of another name, or let the script call share/jailrun/jailrun.subr"
            ));
        }
        if ["${command}", "$command"]
            .iter()
            .any(|form| is_extended(line, form))
        {
            return Err(format!(
                "line {number} of the script finds another program by its command's path: name that program there"
            ));
        }
    }
    Ok(())
}

/// `${command}-control`: the path of something that lies beside the command.
fn is_extended(line: &str, form: &str) -> bool {
    let mut pieces = line.split(form);
    pieces.next();
    pieces.any(|after| after.starts_with(['-', '.', '/', '%', '#']))
}

/// A signal of the script's goes to the supervisor, which has to know what it means.
fn signals(facts: &Facts, profile_name: &str, profile: &Profile) -> Result<(), String> {
    let stop = plain(facts.get("sig_stop"), "TERM");
    let meant = signal::name(profile.supervise.stop_signal);
    if stop != "TERM" && stop != meant {
        return Err(format!(
            "the script stops its service by SIG{stop}: say stop_signal = \"{stop}\" in [supervise] of the \
             profile {profile_name}"
        ));
    }
    let reload = plain(facts.get("sig_reload"), "HUP");
    match PASSED.contains(&reload) {
        true => Ok(()),
        false => Err(format!(
            "the script reloads by SIG{reload}, which a supervisor doesn't pass on"
        )),
    }
}

fn plain<'a>(name: &'a str, default: &'a str) -> &'a str {
    match name {
        "" => default,
        name => name.strip_prefix("SIG").unwrap_or(name),
    }
}

fn same_program(program: &str, profile_name: &str, profile: &Profile) -> Result<(), String> {
    let meant = profile.program.as_deref().unwrap_or("nothing");
    match program == meant {
        true => Ok(()),
        false => Err(format!(
            "the script runs {program}, and the profile {profile_name} runs {meant}"
        )),
    }
}

/// Gives back the user that daemon(8) was to change to.
fn daemon(
    facts: &Facts,
    profile_name: &str,
    profile: &Profile,
    notes: &mut Vec<String>,
) -> Result<Option<String>, String> {
    let line = format!("{} {}", facts.get("NAME_flags"), facts.get("command_args"));
    let daemon = Daemon::parse(&words(&line)?)?;
    let program = daemon.command.first();
    let program =
        program.ok_or("the script tells daemon(8) no program that stands there by itself")?;
    same_program(program, profile_name, profile)?;
    if daemon.restarts && profile.supervise.restart == Restart::Never {
        notes.push(
            "daemon(8) starts the program again when it ends, and the profile's restart is \"never\""
                .to_string(),
        );
    }
    for path in &daemon.pidfiles {
        if path != facts.get("pidfile") {
            notes.push(format!("{path} won't be written"));
        }
    }
    Ok(daemon.user)
}

/// A command line as sh(1) cuts it into words, up to the first thing that is no word.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' | '"' => {
                let inside = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some(next) if next == letter => break,
                        Some('\\') if letter == '"' => inside.extend(letters.next()),
                        Some(next) => inside.push(next),
                        None => {
                            return Err("the script's command_args have a quote without end".into());
                        }
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            // Redirections, "&" and what follows are the shell's, as before.
            '&' | '|' | ';' | '<' | '>' | '(' | ')' => {
                // The number before a redirection belongs to it.
                let is_number = |word: &String| word.bytes().all(|byte| byte.is_ascii_digit());
                words.extend(word.take().filter(|word| letter == '&' || !is_number(word)));
                break;
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// rc.subr(8) looks for the supervisor where it looked for the daemon, or where the profile says: many
/// daemons have a directory of their own for their pids, in which a supervisor makes no file. Whether the
/// profile's place is heeded isn't known here: a script that names its own after its settings, or passes
/// it on to its daemon, is seen when the lines are read back.
fn pidfile(facts: &Facts, profile_name: &str, profile: &Profile) -> Result<Option<String>, String> {
    let path = facts.get("pidfile");
    if path.is_empty() || profile.pidfile.as_deref() == Some(path) {
        return Ok(None);
    }
    let Some(own) = &profile.pidfile else {
        return Err(format!(
            "the script looks for its service in {path}: say pidfile = \"{path}\" in the profile \
             {profile_name}, or, where {path} is not in a directory of root's, another"
        ));
    };
    // It becomes a word of sh(1).
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@+".contains(&byte);
    match own.bytes().all(is_plain) {
        true => Ok(Some(own.clone())),
        false => Err(format!(
            "the pidfile {own} of the profile {profile_name} is no plain word: rename it"
        )),
    }
}

/// A user that is set for such a script would reach the daemon's own command line.
fn forgets_user(facts: &Facts, script: &str, name: &str) -> bool {
    let spelled = [format!("{name}_user"), "${name}_user".to_string()];
    let unsets = script.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some("unset") && words.any(|word| spelled.iter().any(|form| form == word))
    });
    unsets && !facts.is_set("NAME_user")
}

/// Whether the daemon is told what it was told before, but for the pidfile: the script may pass on the one
/// that is the supervisor's now. That is well where the same path inside the jail is a file of the daemon's.
pub fn tells_the_same(
    before: &Facts,
    after: &Facts,
    profile_name: &str,
    profile: &Profile,
) -> Result<(), String> {
    let (own, new) = (before.get("pidfile"), after.get("pidfile"));
    for (variable, shown) in [("NAME_flags", "flags"), ("command_args", "command_args")] {
        let (was, is) = (before.get(variable), after.get(variable));
        if was == is {
            continue;
        }
        if own.is_empty() || was.replace(own, new) != is {
            return Err(format!(
                "the script's {shown} change with what is set: the daemon would be told {is:?}"
            ));
        }
        if !has_pidfile_inside(profile, new) {
            let (directory, user) = (parent(new), &profile.user);
            return Err(format!(
                "the script's {shown} tell the daemon where its pidfile is, {new} from now on: give it a place of \
                 its own there, {{ path = \"{directory}\", size = \"64k\", owner = \"{user}\" }} \
                 in tmpfs of the profile {profile_name}"
            ));
        }
    }
    Ok(())
}

/// An empty directory that is the service's: what it writes there never meets the supervisor's file.
fn has_pidfile_inside(profile: &Profile, path: &str) -> bool {
    profile.root.tmpfs.iter().any(|tmpfs| {
        let is_users = tmpfs.owner.as_ref() == Some(&profile.user) && tmpfs.mode & 0o200 != 0;
        tmpfs.path == parent(path) && (is_users || tmpfs.mode & 0o002 != 0)
    })
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn notes(facts: &Facts, name: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for (variable, key) in REPLACED {
        let value = facts.get(&format!("NAME_{variable}"));
        if !value.is_empty() {
            notes.push(format!(
                "{name}_{variable} ({value}) has no effect any more: {key} of the profile does that"
            ));
        }
    }
    for verb in ["stop", "restart", "status", "reload"] {
        let function = facts.get(&format!("{verb}_cmd"));
        if !function.is_empty() {
            notes.push(format!(
                "{verb} is the script's own {function}, on the host"
            ));
        }
    }
    notes
}
