//! Callers on a terminal that the test itself holds the other side of: keys, job control, hang-up.

use crate::fixture::{ALICE, Fixture, INSTALLED, kill, sh};
use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::{At, Ending, Fd, Ids, Kernel, Open, Pid, WindowSize, signal};
use std::time::{Duration, Instant};

const OPEN: &str = "[access]\nusers = [\"61001\"]\nany_command = true\n";

/// A script of a shell whose controlling terminal is ours.
struct Terminal {
    kernel: FreeBsd,
    master: Fd,
    shell: Pid,
    shown: String,
}

impl Terminal {
    fn run(script: &str, user: u32) -> Terminal {
        Terminal::begin(&["sh", "-c", script], user)
    }

    /// One that is typed to: only such a shell gives jobs the terminal and takes it back.
    fn interactive(user: u32) -> Terminal {
        let mut terminal = Terminal::begin(&["sh", "-i"], user);
        terminal.prompts();
        terminal.says("before=$(stty -g)");
        terminal
    }

    fn begin(words: &[&str], user: u32) -> Terminal {
        let mut kernel = FreeBsd;
        let master = kernel.posix_openpt().unwrap();
        let path = kernel.ptsname(master).unwrap();
        // Held until the shell has it: the end of the last one is a hang-up.
        let slave = kernel.openat(At::Cwd, &path, Open::Terminal).unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_string()).collect();
        let child = move |kernel: &mut FreeBsd| {
            let mut begin = || {
                kernel.setsid()?;
                kernel.tiocsctty(slave)?;
                for number in 0..3 {
                    kernel.dup2(slave, Fd(number), true)?;
                }
                kernel.closefrom(3);
                kernel.setgroups(&[user])?;
                kernel.setresgid(Ids::all(user))?;
                kernel.setresuid(Ids::all(user))?;
                let path = "PATH=/sbin:/bin:/usr/sbin:/usr/bin".to_string();
                let prompt = "PS1=ready> ".to_string();
                kernel.execve("/bin/sh", &words, &[path, prompt])
            };
            begin().map_err(|_| 71)
        };
        let shell = kernel.fork(child).unwrap();
        kernel.close(slave).unwrap();
        kernel.set_nonblocking(master).unwrap();
        Terminal {
            kernel,
            master,
            shell,
            shown: String::new(),
        }
    }

    fn keys(&mut self, keys: &str) {
        self.kernel.write(self.master, keys.as_bytes()).unwrap();
    }

    /// Types a line, and waits for what it shows, without the line's own echo.
    fn says(&mut self, line: &str) -> String {
        self.shown.clear();
        self.keys(&format!("{line}\r"));
        self.prompts()
    }

    fn prompts(&mut self) -> String {
        self.shows("ready> ");
        std::mem::take(&mut self.shown)
    }

    /// Words that are put together only when they are shown.
    fn starts(&mut self, command: &str) {
        self.shown.clear();
        self.keys(&format!("{command}\r"));
        self.shows("up\r\n");
        self.shown.clear();
    }

    fn is_as_before(&mut self) -> bool {
        let test = "test \"$before\" = \"$(stty -g)\" && echo sa''me";
        self.says(test).contains("same")
    }

    fn look(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.kernel.read(self.master, &mut buffer) {
            self.shown
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// Waits until all of this was shown.
    fn shows(&mut self, words: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.shown.contains(words) {
            assert!(Instant::now() < end, "{words:?} isn't in {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(20));
            self.look();
        }
    }

    fn ends(mut self) -> (Ending, String) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            // Before the master is closed, for what is still to be shown.
            self.look();
            if let Some((_, ending)) = self.kernel.waitpid(Some(self.shell), false).unwrap() {
                self.look();
                self.kernel.close(self.master).unwrap();
                return (ending, self.shown);
            }
            assert!(Instant::now() < end, "it goes on: {:?}", self.shown);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The terminal's state must be the same after `command` as it was before.
fn keeping_state(command: &str) -> String {
    format!("before=$(stty -g); {command}; test \"$before\" = \"$(stty -g)\" && echo same")
}

#[test]
fn ctrl_c_ends_the_service_by_its_signal_and_the_terminal_is_as_before() {
    let fixture = Fixture::new("ctrlc", OPEN);
    for user in [0, ALICE] {
        let mut terminal = Terminal::interactive(user);
        let command = format!(
            "{INSTALLED} {} /bin/sh -c 'echo u''p; exec sleep 100'",
            fixture.name
        );
        terminal.starts(&command);
        terminal.keys("\u{3}");
        terminal.prompts();
        assert!(terminal.says("echo status=$?").contains("status=130"));
        assert!(terminal.is_as_before());
        terminal.keys("exit\r");
        terminal.ends();
    }
    fixture.nothing_is_left();
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_takes_it_back() {
    let fixture = Fixture::new("ctrlz", OPEN);
    for user in [0, ALICE] {
        let mut terminal = Terminal::interactive(user);
        let command = format!(
            "{INSTALLED} {} /bin/sh -c 'echo u''p; exec cat'",
            fixture.name
        );
        terminal.starts(&command);
        terminal.keys("\u{1a}");
        assert!(terminal.prompts().contains("Suspended"));
        assert!(terminal.is_as_before());
        let state = sh("ps -ax -o stat= -o comm= | awk '$2 == \"cat\" {print $1}'");
        assert!(state.starts_with('T'), "{state}");
        terminal.keys("fg\r");
        terminal.shows("jailrun");
        // It goes on: cat gives back what is typed, then its end.
        terminal.keys("again\r");
        terminal.shows("again\r\nagain\r\n");
        terminal.keys("\u{4}");
        let end = terminal.prompts();
        let said = terminal.says("echo status=$?");
        assert!(said.contains("status=0"), "{user}: {end:?} {said:?}");
        assert!(terminal.is_as_before());
        terminal.keys("exit\r");
        terminal.ends();
    }
    fixture.nothing_is_left();
}

#[test]
fn a_hang_up_ends_the_service() {
    let fixture = Fixture::new("hangup", OPEN);
    for user in [0, ALICE] {
        let command = format!(
            "{INSTALLED} {} /bin/sh -c 'echo up; exec sleep 100'",
            fixture.name
        );
        let mut terminal = Terminal::run(&command, user);
        terminal.shows("up");
        terminal.kernel.close(terminal.master).unwrap();
        let (mut kernel, shell) = (terminal.kernel, terminal.shell);
        kernel.waitpid(Some(shell), true).unwrap();
        crate::fixture::until("the end", || {
            !sh("jls name").contains("jailrun-jrtest-hangup")
                && !sh("ps -axo command").contains("jailrun jrtest-hangup")
        });
    }
    fixture.nothing_is_left();
}

#[test]
fn timeout_ends_the_service_and_the_terminal_is_as_before() {
    let fixture = Fixture::new("ttimeout", OPEN);
    for user in [0, ALICE] {
        for foreground in ["", "-f "] {
            let command = format!(
                "set -m; timeout {foreground}3 {INSTALLED} {} /bin/sh -c 'echo up; exec sleep 100'; echo status=$?",
                fixture.name
            );
            let mut terminal = Terminal::run(&keeping_state(&command), user);
            terminal.shows("up");
            terminal.shows("status=124");
            terminal.shows("same");
            terminal.ends();
        }
    }
    fixture.nothing_is_left();
}

#[test]
fn a_front_that_gets_term_puts_the_terminal_back() {
    let fixture = Fixture::new("tterm", OPEN);
    for user in [0, ALICE] {
        let command = format!(
            "set -m; {INSTALLED} {} /bin/sh -c 'echo up; exec sleep 100'; echo status=$?",
            fixture.name
        );
        let mut terminal = Terminal::run(&keeping_state(&command), user);
        terminal.shows("up");
        let front = sh(&format!("pgrep -P {}", terminal.shell.0))
            .parse()
            .unwrap();
        kill("TERM", front);
        terminal.shows("status=143");
        terminal.shows("same");
        assert_eq!(terminal.ends().0, Ending::Exited(0));
    }
    fixture.nothing_is_left();
}

#[test]
fn the_size_of_the_window_is_the_services_too_and_changes_with_it() {
    let fixture = Fixture::new("winch", OPEN);
    let script = "trap 'stty size' WINCH; echo up; while :; do sleep 0.2; done";
    let command = format!("{INSTALLED} {} /bin/sh -c \"{script}\"", fixture.name);
    let mut terminal = Terminal::run(&command, ALICE);
    terminal.shows("up");
    let size = WindowSize {
        rows: 33,
        columns: 77,
        ..WindowSize::default()
    };
    terminal.kernel.tcsetwinsize(terminal.master, size).unwrap();
    terminal.shows("33 77");
    terminal.keys("\u{3}");
    terminal.ends();
    assert_eq!(signal::name(28), "WINCH");
    fixture.nothing_is_left();
}
