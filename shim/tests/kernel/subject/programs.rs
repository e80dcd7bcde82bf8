//! Programs and scripts, executed and spawned.

use super::directories::where_am_i;
use super::processes::{child_ended, waiting};
use super::{c, make, say, stat_of, tell, text};
use libc::{O_CREAT, O_WRONLY};
use std::ffi::{CString, c_char, c_int};
use std::ptr::{null, null_mut};

unsafe extern "C" {
    fn posix_spawn_file_actions_addchdir_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        path: *const c_char,
    ) -> c_int;
    static environ: *const *mut c_char;
}

fn script(path: &str, contents: &str, mode: libc::mode_t) {
    make(path, contents);
    say("chmod", unsafe { libc::chmod(c(path).as_ptr(), mode) });
}

fn execute(path: &str, words: &[&str], environment: &[&str]) {
    let words: Vec<CString> = words.iter().map(|word| c(word)).collect();
    let mut argv: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(null());
    let variables: Vec<CString> = environment.iter().map(|word| c(word)).collect();
    let mut envp: Vec<*const c_char> = variables.iter().map(|word| word.as_ptr()).collect();
    envp.push(null());
    let child = unsafe { libc::fork() };
    if child == 0 {
        unsafe { libc::execve(c(path).as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        say(&format!("execve {path}"), -1);
        unsafe { libc::_exit(99) };
    }
    child_ended(&format!("execve {path}"), child);
}

/// Also with an environment of its own, and with more arguments than are usual.
pub fn programs(place: &str) {
    say("chdir", unsafe { libc::chdir(c(place).as_ptr()) });
    let p = |name: &str| format!("{place}/{name}");
    script(
        &p("script"),
        "#!/bin/sh -e\necho \"$0|$*|$-|$X\" | sed 's/h/e/g; s/.*script/script/'\nls -d /etc\n",
        0o755,
    );
    script(&p("plain"), "echo plain \"$@\"\n", 0o755);
    script(&p("forbidden"), "#!/bin/sh\n", 0o644);
    script(&p("empty"), "", 0o755);
    script(&p("nested"), &format!("#!{}\n", p("script")), 0o755);
    script(&p("nowhere"), "#!/no/interpreter\n", 0o755);
    script(&p("env"), "#!/usr/bin/env sh\necho env \"$1\"\n", 0o755);
    execute("/bin/echo", &["echo", "a", "", "b c"], &[]);
    execute(
        "/bin/sh",
        &["-sh", "-c", "echo $0 $X; cat /etc/group | wc -l; pwd"],
        &["X=1"],
    );
    execute(
        "/usr/bin/env",
        &["env", "-i", "/bin/ls", "-d", "/usr"],
        &["X=1"],
    );
    execute("/rescue/echo", &["echo", "static"], &["X=2"]);
    for name in [
        "script",
        "plain",
        "forbidden",
        "empty",
        "nested",
        "nowhere",
        "none",
        "env",
    ] {
        execute(
            &p(name),
            &["zero", "one", "two"],
            &["X=hh", "PATH=/bin:/usr/bin"],
        );
    }
    execute("script", &["zero", "one"], &["PATH=/bin:/usr/bin"]);
    execute("/etc", &["etc"], &[]);
    execute("/etc/passwd/x", &["x"], &[]);
    let many: Vec<String> = (0..1500).map(|number| number.to_string()).collect();
    let mut words = vec!["sh", "-c", "echo $#"];
    words.extend(many.iter().map(String::as_str));
    execute("/bin/sh", &words, &[]);
    let variables: Vec<String> = (0..700).map(|number| format!("V{number}=x")).collect();
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    execute(
        "/bin/sh",
        &["sh", "-c", "echo $V0 $V699; cd /usr; ls -d lib"],
        &variables,
    );
    say("system", unsafe {
        libc::system(c"cd / && ls -d etc; exit 3".as_ptr())
    });
    let stream = unsafe { libc::popen(c"echo popen; exit 4".as_ptr(), c"r".as_ptr()) };
    let mut line = [0_u8; 20];
    tell(
        "popen",
        text(unsafe { libc::fgets(line.as_mut_ptr().cast(), 20, stream) }),
    );
    say("pclose", unsafe { libc::pclose(stream) });
    let _ = unsafe { libc::fflush(null_mut()) };
    spawns(place);
    waiting();
}

fn spawns(place: &str) {
    let argv = [
        c"sh".as_ptr(),
        c"-c".as_ptr(),
        c"pwd; exit 7".as_ptr(),
        null(),
    ];
    let mut actions: libc::posix_spawn_file_actions_t = null_mut();
    unsafe { libc::posix_spawn_file_actions_init(&raw mut actions) };
    say("addchdir", unsafe {
        posix_spawn_file_actions_addchdir_np(&raw mut actions, c"/usr/share".as_ptr())
    });
    let output = c(&format!("{place}/spawned"));
    let flags = O_WRONLY | O_CREAT;
    say("addopen", unsafe {
        libc::posix_spawn_file_actions_addopen(&raw mut actions, 7, output.as_ptr(), flags, 0o600)
    });
    for (path, with) in [
        ("/bin/sh", true),
        ("/bin/sh", false),
        ("sh", false),
        ("none", false),
        ("/none", true),
    ] {
        let mut child = 0;
        let actions = if with { &raw const actions } else { null() };
        let arguments = argv.as_ptr().cast::<*mut c_char>();
        let result = unsafe {
            libc::posix_spawnp(
                &raw mut child,
                c(path).as_ptr(),
                actions,
                null(),
                arguments,
                environ,
            )
        };
        say(&format!("posix_spawnp {path}"), result);
        if result == 0 {
            child_ended("spawned", child);
        }
        // The child's directory is its own.
        where_am_i();
    }
    stat_of(&format!("{place}/spawned"));
}
