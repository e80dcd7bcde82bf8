//! What an rc.d script would do, by its own account: a shell sources it as rc(8) does, and tells what
//! run_rc_command would be called with. Nothing is started; what the script does before that call, it
//! also does for `service NAME status`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// The environment is service(8)'s.
#[expect(
    clippy::disallowed_methods,
    reason = "only sh(1) can read an rc.d script, and jailrunctl is not set-user-ID"
)]
pub fn probe(rc_subr: &Path, script: &Path) -> Result<Facts, String> {
    let output = Command::new("/bin/sh")
        .args(["-c", PROBE])
        .arg(script)
        .arg(rc_subr)
        .env_clear()
        .envs([("PATH", "/sbin:/bin:/usr/sbin:/usr/bin"), ("HOME", "/")])
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("/bin/sh: {error}"))?;
    Facts::parse(&output.stdout).ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("it says nothing").trim();
        format!("{} can't be read by sh(1): {last}", script.display())
    })
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
