//! What a service says by syslog(3): read from our socket in its root, and sent to the host's syslogd(8) as
//! the supervisor's output is, with the profile's facility and tag and the pid of its first process.
//!
//! Nothing of a message is believed but its severity, and that only so far: each makes one line at most,
//! and what it says of its sender is text in it. A service that floods gets no more than its share, holds
//! nobody up, and loses no line that nobody hears of.

use super::output::one_line;
use crate::kernel::{Failure, Fd, Kernel, Pid};
use crate::launch::Running;
use crate::launch::steps::Undo;
use crate::profile::Supervise;

/// syslogd(8) takes 8192 bytes with the heading, and libc sends no more than 8192 at a time.
const LONGEST: usize = 8192;
/// Messages that are read at a time, so that orders are heard between.
const AT_ONCE: usize = 32;
/// Messages that are still read once the service has ended.
const LAST: usize = 1024;
/// Lines a second, and what may come at once after a silence. A disk that is full of one service's lines
/// has no room for those of others.
const PER_SECOND: u64 = 200;
const BURST: u64 = 1000;

const LOG_CRIT: u32 = 2;
const LOG_WARNING: u32 = 4;
const LOG_NOTICE: u32 = 5;

pub struct Relay {
    /// The launch's, which closes it.
    socket: Fd,
    facility: u32,
    tag: String,
    pid: Pid,
    /// Lines that may be sent, and when that was last worked out.
    allowance: u64,
    counted_ms: u64,
    dropped: u64,
}

impl Relay {
    /// `None`: the root has no socket of ours.
    pub fn of(running: &Running, supervise: &Supervise, profile: &str) -> Option<Relay> {
        let socket = running.done.iter().find_map(|undo| match undo {
            Undo::CloseLog(socket) => Some(*socket),
            _ => None,
        })?;
        Some(Relay {
            socket,
            facility: supervise.syslog_facility,
            tag: supervise
                .syslog_tag
                .clone()
                .unwrap_or_else(|| profile.to_string()),
            pid: running.pid,
            allowance: BURST,
            counted_ms: 0,
            dropped: 0,
        })
    }

    pub fn socket(&self) -> Fd {
        self.socket
    }

    /// Reads what is there, up to a bound.
    pub fn pump<K: Kernel>(&mut self, kernel: &mut K) {
        self.pump_most(kernel, AT_ONCE);
    }

    /// What is left of a service that has ended.
    pub fn finish<K: Kernel>(&mut self, kernel: &mut K) {
        self.pump_most(kernel, LAST);
        self.tell_dropped(kernel);
    }

    fn pump_most<K: Kernel>(&mut self, kernel: &mut K, most: usize) {
        self.recount(kernel);
        let mut buffer = vec![0u8; LONGEST];
        for _ in 0..most {
            // EAGAIN: that was the last one. Descriptors that came with it are gone: read(2) takes none.
            let Ok(count) = kernel.read(self.socket, &mut buffer) else {
                return;
            };
            self.pass_on(kernel, buffer.get(..count).unwrap_or_default());
        }
    }

    fn recount<K: Kernel>(&mut self, kernel: &mut K) {
        let now = kernel.monotonic_ms();
        let earned = now.saturating_sub(self.counted_ms) * PER_SECOND / 1000;
        if earned > 0 {
            self.allowance = BURST.min(self.allowance.saturating_add(earned));
            self.counted_ms = now;
        }
    }

    fn pass_on<K: Kernel>(&mut self, kernel: &mut K, message: &[u8]) {
        let (severity, line) = understood(message);
        if line.is_empty() {
            return;
        }
        if self.allowance == 0 || self.send(kernel, severity, &line).is_err() {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.allowance -= 1;
        self.tell_dropped(kernel);
    }

    fn send<K: Kernel>(&self, kernel: &mut K, severity: u32, line: &str) -> Result<(), Failure> {
        kernel.syslog_line(self.facility | severity, &self.tag, self.pid, line)
    }

    /// Once there is room again.
    fn tell_dropped<K: Kernel>(&mut self, kernel: &mut K) {
        let words = format!("jailrun: {} lines of the log were dropped", self.dropped);
        if self.dropped > 0 && self.send(kernel, LOG_WARNING, &words).is_ok() {
            self.dropped = 0;
        }
    }
}

/// The severity of a message, and its text as one line. libc sends RFC 5424's form, older programs RFC
/// 3164's; what is neither is text from its first letter on.
pub fn understood(message: &[u8]) -> (u32, String) {
    let text = one_line(message);
    let (severity, rest) = match severity(&text) {
        Some((severity, rest)) => (severity, rest),
        None => (LOG_NOTICE, text.as_str()),
    };
    let said = rfc5424(rest).unwrap_or_else(|| without_time(rest).to_string());
    // An emergency is shown on everybody's terminal: no service has that much to say.
    (severity.max(LOG_CRIT), said.trim().to_string())
}

/// `<PRI>`: the facility is the sender's word, and counts for nothing.
fn severity(text: &str) -> Option<(u32, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_short = (1..=3).contains(&number.len());
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<u32>() {
        Ok(number) if is_short && is_number => Some((number & 7, rest)),
        _ => None,
    }
}

/// Version, time, host, program, process, message's name, data, and then what was said.
fn rfc5424(text: &str) -> Option<String> {
    let mut fields = text.splitn(7, ' ');
    if fields.next() != Some("1") {
        return None;
    }
    let (_time, _host) = (fields.next()?, fields.next()?);
    let (program, process, _name) = (fields.next()?, fields.next()?, fields.next()?);
    let rest = fields.next()?;
    let said = rest.strip_prefix("- ").unwrap_or(rest);
    let said = said.trim_start_matches('\u{feff}');
    Some(match (program, process) {
        ("-", _) => said.to_string(),
        (program, "-") => format!("{program}: {said}"),
        (program, process) => format!("{program}[{process}]: {said}"),
    })
}

/// Without "Nov 25 02:40:00 " before it: syslogd has a clock of its own.
fn without_time(text: &str) -> &str {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let shape = "mmm dd hh:mm:ss ";
    let is_month = text.get(..3).is_some_and(|month| MONTHS.contains(&month));
    let fits = |(letter, pattern): (u8, u8)| match pattern {
        b' ' | b':' => letter == pattern,
        b'm' => true,
        _ => letter.is_ascii_digit() || letter == b' ',
    };
    let has_shape = text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(fits);
    match text.get(shape.len()..) {
        Some(rest) if is_month && has_shape => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::understood;

    #[test]
    fn a_message_is_one_line_of_text_whatever_is_in_it() {
        let long = [b"<13>".to_vec(), vec![b'x'; 9000]].concat();
        for (message, severity, line) in [
            // As libc's syslog(3) sends it.
            (
                &b"<14>1 2026-11-25T02:40:00.123456+00:00 www nginx 57 - - hello there"[..],
                6,
                "nginx[57]: hello there",
            ),
            (b"<11>1 - - - - - - x", 3, "x"),
            (b"<11>1 - - app - - - x", 3, "app: x"),
            (
                b"<11>1 - - app 1 - [a b=\"c\"] x",
                3,
                "app[1]: [a b=\"c\"] x",
            ),
            // As of old.
            (b"<30>Nov 25 02:40:00 app[5]: x", 6, "app[5]: x"),
            (b"<30>Nov  5 02:40:00 app: x\n", 6, "app: x"),
            (b"<30>app[5]: x", 6, "app[5]: x"),
            (b"<30>Nov 25 oops", 6, "Nov 25 oops"),
            // As anything else.
            (b"plain", 5, "plain"),
            (b"<>x", 5, "<>x"),
            (b"<-1>x", 5, "<-1>x"),
            (b"<+1>x", 5, "<+1>x"),
            (b"<9999>x", 5, "<9999>x"),
            (b"<30", 5, "<30"),
            (b"<30>1 2", 6, "1 2"),
            (b"", 5, ""),
            (b"<30>", 6, ""),
            (b"\n\n\0", 5, ""),
            // The facility, the sender and the ends of lines are nobody's word.
            (b"<86>sshd[1]: Accepted", 6, "sshd[1]: Accepted"),
            (
                b"<30>x\nNov 25 02:40:00 host sshd[1]: Accepted\r\0\x1b[2J\xc2\x9b",
                6,
                "x Nov 25 02:40:00 host sshd[1]: Accepted   [2J",
            ),
            (b"<30>\xff\xfe", 6, "\u{fffd}\u{fffd}"),
            // Nobody's terminal is written to.
            (b"<0>x", 2, "x"),
            (b"<9>x", 2, "x"),
        ] {
            let said = String::from_utf8_lossy(message);
            let got = understood(message);
            assert_eq!(got, (severity, line.to_string()), "{said:?}");
        }
        let (_, line) = understood(&long);
        assert!(line.len() <= super::super::output::LINE, "{}", line.len());
    }
}
