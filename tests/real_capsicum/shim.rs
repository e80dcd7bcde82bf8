//! Programs of the base system that know nothing of capability mode, with the shim loaded. Where it isn't
//! installed, each test says so.

use crate::fixture::{Fixture, sh, told_all, until};
use std::process::Stdio;

pub fn has_shim(test: &str) -> bool {
    let path = format!("{}/lib/jailrun/libjailrun_preopen.so", jailrun::run::PREFIX);
    let is_there = std::path::Path::new(&path).exists();
    if !is_there {
        println!("SKIP {test}: needs {path}");
    }
    is_there
}

const SHELL: &str = "[root]\nro = [\"/etc/services\", \"/usr/local/libexec/jrtest-script\"]\n\
    programs = [\"/bin/sh\", \"/bin/cat\", \"/usr/bin/wc\", \"/usr/bin/true\"]\ndevices = [\"null\"]\n\
    tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n\
    [capsicum]\nmode = \"enforce\"\npreopen = true\n";

fn says(fixture: &Fixture, script: &str) -> String {
    told_all(
        &fixture
            .command(&["/bin/sh", "-c", script])
            .output()
            .unwrap(),
    )
}

#[test]
fn a_shell_and_its_programs_find_what_was_granted_and_nothing_else() {
    if !has_shim("a_shell_and_its_programs") {
        return;
    }
    sh("touch /usr/local/libexec/jrtest-script");
    let fixture = Fixture::new("shell", "sleep", SHELL);
    assert_eq!(
        says(&fixture, "echo a > /tmp/x && cat < /tmp/x | wc -c").trim(),
        "2"
    );
    assert_eq!(says(&fixture, "cd /tmp && echo b > y && cat /tmp/y"), "b");
    // It creates and empties what it writes to, whatever that is.
    assert_eq!(
        says(&fixture, "echo a > /dev/null && cat </dev/null; echo $?"),
        "0"
    );
    let lines = sh("wc -l < /etc/services");
    assert_eq!(says(&fixture, "wc -l < /etc/services").trim(), lines.trim());
    for (script, refused) in [
        (
            "echo x > /etc/services",
            "/etc/services: Read-only file system",
        ),
        (
            "cat /etc/master.passwd",
            "/etc/master.passwd: No such file or directory",
        ),
        (
            "cat /tmp/../../../etc/master.passwd",
            "No such file or directory",
        ),
        ("echo x > /new", "/new: Read-only file system"),
        ("echo x > /dev/new", "/dev/new: Operation not supported"),
        ("kill -0 1", "1"),
    ] {
        let said = says(&fixture, &format!("{script} 2>&1; echo status $?"));
        assert!(
            said.contains(refused) && !said.contains("status 0"),
            "{script}: {said}"
        );
    }
    fixture.nothing_is_left();
}

/// sh(1) knows numbers up to 9, and has its own from 10 on.
#[test]
fn a_script_uses_low_numbers_as_it_likes() {
    if !has_shim("a_script_uses_low_numbers") {
        return;
    }
    sh("touch /usr/local/libexec/jrtest-script");
    let fixture = Fixture::new("low", "sleep", SHELL);
    let script = "exec 3>/tmp/3 4>&1 5>/tmp/5 9</etc/services; echo three >&3; echo five >&5; \
                  echo four >&4; exec 3>&- 5>&-; cat /tmp/3 /tmp/5; wc -l <&9; exec 9<&-; cat <&9; \
                  for fd in 3 4 5 6 7 8 9; do eval \"exec $fd</etc/services\" || echo $fd; done; cat /tmp/5";
    let lines = sh("wc -l < /etc/services");
    let said = says(&fixture, &format!("({script}) 2>&1"));
    let said: Vec<&str> = said.lines().map(str::trim).collect();
    let closed = "/bin/sh: 9: Bad file descriptor";
    assert_eq!(
        said,
        ["four", "three", "five", lines.trim(), closed, "five"]
    );
    fixture.nothing_is_left();
}

#[test]
fn a_script_is_run_by_its_interpreter_with_its_name_and_arguments() {
    if !has_shim("a_script_is_run_by_its_interpreter") {
        return;
    }
    sh(
        "printf '#!/bin/sh -e\\necho \"$0\" \"$1\" \"$2\"\\nfalse\\n' > /usr/local/libexec/jrtest-script; \
        chmod 555 /usr/local/libexec/jrtest-script",
    );
    let fixture = Fixture::new("script", "sleep", SHELL);
    let words = ["/usr/local/libexec/jrtest-script", "a b", "c"];
    let output = fixture.command(&words).output().unwrap();
    assert_eq!(told_all(&output), "/usr/local/libexec/jrtest-script a b c");
    assert_eq!(output.status.code(), Some(1));
    fixture.nothing_is_left();
}

/// nc(1) binds its address by itself, as an unprivileged user and, in enforce, in capability mode.
#[test]
fn a_program_that_binds_a_privileged_port_gets_the_socket_that_waits_there() {
    if !has_shim("a_program_that_binds") {
        return;
    }
    for mode in ["off", "enforce"] {
        let more = format!(
            "[jail]\nip4.addr = [\"lo0|127.0.0.94/32\"]\n\
             [[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.94:80\"\n\
             [capsicum]\nmode = \"{mode}\"\npreopen = true\n"
        );
        let fixture = Fixture::new("nc", "sleep", &more);
        fixture.instead(&["/usr/bin/nc", "-l", "127.0.0.94", "80"]);
        let running = fixture.command(&[]).stdout(Stdio::piped()).spawn().unwrap();
        until("nc", || {
            sh(&format!("pgrep -j {} .", fixture.jail()))
                .lines()
                .count()
                == 1
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        sh("echo hello | nc -N -w 5 127.0.0.94 80");
        assert_eq!(
            told_all(&running.wait_with_output().unwrap()),
            "hello",
            "{mode}"
        );
        fixture.nothing_is_left();
    }
}
