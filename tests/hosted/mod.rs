//! Commands on the FreeBSD host that a test runs on, as root, and waiting for what they lead to.
#![allow(dead_code, reason = "no test needs all of it")]

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Standard output and error, whichever has something to say.
pub fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_string()
}

fn shell(script: &str) -> Output {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script]).output().unwrap()
}

/// What a script says, however it ends.
pub fn told(script: &str) -> String {
    said(&shell(script))
}

/// What a script says that has to end well.
pub fn sh(script: &str) -> String {
    let output = shell(script);
    assert!(output.status.success(), "{script}: {}", said(&output));
    said(&output)
}

/// Waits until something holds, thirty seconds at most.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
