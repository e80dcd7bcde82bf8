//! What an rc.d script would do, by its own account: a shell sources it as rc(8) does, and tells what
//! run_rc_command would be called with. Nothing is started; what the script does before that call, it
//! also does for `service NAME status`.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROBE: &str = include_str!("probe.sh");
/// Between two values: no text of a script's.
const SEPARATOR: u8 = 0o36;

/// Variables as they were at run_rc_command; those that begin with the service's name as `NAME_...`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// "" for what isn't set.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is_set(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }

    /// How often the script called run_rc_command.
    pub fn calls(&self) -> u32 {
        self.get("calls").parse().unwrap_or(0)
    }

    /// The service as rc(8) finds it at this moment.
    pub fn pids(&self) -> &str {
        self.get("pids").trim()
    }

    fn parse(bytes: &[u8]) -> Option<Facts> {
        let mut facts = BTreeMap::new();
        for record in bytes.split(|byte| *byte == SEPARATOR) {
            if record.is_empty() {
                continue;
            }
            let text = std::str::from_utf8(record).ok()?;
            let (name, value) = text.split_once('=')?;
            facts.insert(name.to_string(), value.to_string());
        }
        facts.contains_key("calls").then_some(Facts(facts))
    }
}

/// How long a script may take to come to run_rc_command; most take a tenth of a second.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a script that hasn't ended.
const PAUSE: Duration = Duration::from_millis(5);

/// The environment is service(8)'s. A script that takes longer than `patience` is killed.
#[expect(
    clippy::disallowed_methods,
    reason = "only sh(1) can read an rc.d script, and jailrunctl is not set-user-ID"
)]
pub fn probe(rc_subr: &Path, script: &Path, patience: Duration) -> Result<Facts, String> {
    let of_shell = |error: Error| format!("/bin/sh: {error}");
    let (mut told, told_there) = Pipe::new().map_err(of_shell)?;
    let (mut said, said_there) = Pipe::new().map_err(of_shell)?;
    let started = Command::new("/bin/sh")
        .args(["-c", PROBE])
        .arg(script)
        .arg(rc_subr)
        .env_clear()
        .envs([("PATH", "/sbin:/bin:/usr/sbin:/usr/bin"), ("HOME", "/")])
        .current_dir("/")
        // With all that it starts it is one group, which can be killed.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(told_there)
        .stderr(said_there)
        .spawn();
    let mut shell = started.map_err(of_shell)?;
    let until = Instant::now() + patience;
    // The shell's end counts, not the pipe's: what a script leaves in the background keeps that open.
    while shell.try_wait().map_err(of_shell)?.is_none() {
        told.drain().and(said.drain()).map_err(of_shell)?;
        if Instant::now() >= until {
            end(&mut shell)?;
            return Err(format!(
                "{} has not come to run_rc_command after {} s and was killed: it waits for something",
                script.display(),
                patience.as_secs()
            ));
        }
        std::thread::sleep(PAUSE);
    }
    told.drain().and(said.drain()).map_err(of_shell)?;
    Facts::parse(&told.bytes).ok_or_else(|| {
        let said = String::from_utf8_lossy(&said.bytes);
        let last = said.lines().last().unwrap_or("it says nothing").trim();
        format!("{} can't be read by sh(1): {last}", script.display())
    })
}

/// Kills the shell's group. The shell isn't waited for before, so that its number is still its own.
#[expect(
    clippy::disallowed_methods,
    reason = "std kills one process only, and this is the shell's own way to kill a group"
)]
fn end(shell: &mut Child) -> Result<(), String> {
    let of_shell = |error: Error| format!("/bin/sh: {error}");
    let killed = Command::new("/bin/sh")
        .args(["-c", "kill -KILL -\"$1\"", "sh", &shell.id().to_string()])
        .stderr(Stdio::null())
        .status();
    // Where that didn't do, at least the shell ends, or this would wait for it.
    shell.kill().map_err(of_shell)?;
    shell.wait().and(killed).map_err(of_shell)?;
    Ok(())
}

/// What a process writes, as far as it has come: reading never waits.
struct Pipe {
    here: UnixStream,
    bytes: Vec<u8>,
}

impl Pipe {
    fn new() -> Result<(Pipe, OwnedFd), Error> {
        let (here, there) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        let bytes = Vec::new();
        Ok((Pipe { here, bytes }, OwnedFd::from(there)))
    }

    fn drain(&mut self) -> Result<(), Error> {
        match self.here.read_to_end(&mut self.bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            ended => ended.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_several_lines_are_one_value_and_half_a_record_is_none() {
        let facts = Facts::parse(b"name=a\x1ecommand_args=-x\n\t-y=z\x1ecalls=1\x1e").unwrap();
        assert_eq!(facts.get("command_args"), "-x\n\t-y=z");
        assert_eq!((facts.calls(), facts.is_set("pidfile")), (1, false));
        for broken in [
            &b"name=a\x1e"[..],
            b"",
            b"calls=1\x1ename\x1e",
            b"calls=1\x1ea=\xff\x1e",
        ] {
            assert_eq!(Facts::parse(broken), None);
        }
    }
}
