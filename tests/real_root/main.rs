//! Computed roots on a real FreeBSD, as root: closures against rtld's own answer, programs started in
//! them, and what is and isn't inside. Elsewhere it says so. `JAILRUN_BIN` names the program where cargo's
//! own path isn't this host's.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]

#[cfg(not(target_os = "freebsd"))]
#[test]
fn computed_roots_need_freebsd() {
    println!("SKIP real_root: needs root on FreeBSD");
}

#[cfg(target_os = "freebsd")]
mod closures;
#[cfg(target_os = "freebsd")]
mod inside;
#[cfg(target_os = "freebsd")]
mod log;
#[cfg(target_os = "freebsd")]
mod order;
#[cfg(target_os = "freebsd")]
mod presets;

#[cfg(target_os = "freebsd")]
mod fixture {
    use std::process::{Child, Command, Output, Stdio};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    pub const PROFILES: &str = "/usr/local/etc/jailrun/profiles";

    /// One test at a time: each looks at the whole system.
    static WORLD: Mutex<()> = Mutex::new(());

    pub fn alone() -> MutexGuard<'static, ()> {
        std::fs::create_dir_all(PROFILES).unwrap();
        let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
        // The first launch since the boot makes the state directory, and places in it that stay.
        if !std::path::Path::new("/var/run/jailrun/.closures").exists() {
            let devices = "program = \"/usr/bin/true\"\n[root]\ndevices = [\"null\"]";
            profile("jrtest-first", devices);
            assert!(run("jrtest-first", &[]).status.success());
            forget("jrtest-first");
        }
        world
    }

    /// Writes a profile of that name, which `lines` begin.
    pub fn profile(name: &str, lines: &str) {
        let end = "\n[capsicum]\nmode = \"off\"\n";
        std::fs::write(format!("{PROFILES}/{name}.toml"), format!("{lines}{end}")).unwrap();
    }

    pub fn forget(name: &str) {
        std::fs::remove_file(format!("{PROFILES}/{name}.toml")).unwrap();
    }

    pub fn jailrun(name: &str, command: &[&str]) -> Command {
        let program =
            std::env::var_os("JAILRUN_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_jailrun").into());
        let mut jailrun = Command::new(program);
        jailrun.arg(name).args(command).stdin(Stdio::null());
        jailrun
    }

    pub fn run(name: &str, command: &[&str]) -> Output {
        jailrun(name, command).output().unwrap()
    }

    /// Standard output and error, whichever has something to say.
    pub fn says(name: &str, command: &[&str]) -> String {
        let output = run(name, command);
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&both).trim().to_string()
    }

    pub fn sh(script: &str) -> String {
        let output = Command::new("/bin/sh")
            .args(["-c", script])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&text)
        );
        String::from_utf8_lossy(&text).trim().to_string()
    }

    /// Its end, or nothing after so long; then it is told to stop.
    pub fn end_within(mut child: Child, seconds: u64) -> Option<Output> {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                return Some(child.wait_with_output().unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = child.id().to_string();
        Command::new("/bin/kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap();
        child.wait().unwrap();
        None
    }

    /// What a launch could leave, but for the locks and counts that are meant to stay.
    pub fn world() -> String {
        sh("mount -p; jls; ls -A /var/run/jailrun | awk '!/^[.]/'")
    }
}
