//! What a service writes to standard output and error, when it isn't the caller's own: read from a
//! pipe, and sent to syslogd line by line or appended to a file. A service that floods neither holds
//! us up nor loses lines that nobody hears of: what could not be kept is counted and told.

use crate::error::Error;
use crate::kernel::{At, Errno, Failure, Fd, FileKind, Kernel, Open, Pid};
use crate::profile::{Output, Supervise};
use crate::trust::{self, Owner};

/// Longest line that is sent as one: syslogd(8) takes 8192 with its heading.
pub const LINE: usize = 4096;
/// Most that is read at a time, so that orders are heard between.
const CHUNK: usize = 16 << 10;
/// Most that is still read once the service has ended.
const LAST: usize = 1 << 20;
const LOG_INFO: u32 = 6;
const LOG_WARNING: u32 = 4;

enum Sink {
    Syslog {
        priority: u32,
        tag: String,
    },
    File {
        path: String,
        fd: Fd,
    },
    /// What it says while it starts is for whoever waits; afterwards for nobody.
    Nowhere,
}

/// The reading end, and where it goes.
pub struct Drain {
    sink: Sink,
    /// A line whose end hasn't come yet.
    partial: Vec<u8>,
    dropped: u64,
    pid: Pid,
    /// Also to our own standard error.
    echoes: bool,
}

impl Drain {
    /// For a service whose output is nobody's once it runs.
    pub fn to_starter() -> Drain {
        Drain::to(Sink::Nowhere)
    }

    fn to(sink: Sink) -> Drain {
        Drain {
            sink,
            partial: Vec::new(),
            dropped: 0,
            pid: Pid(0),
            echoes: false,
        }
    }

    /// `None`: the service's output is not ours to handle.
    pub fn open<K: Kernel>(
        kernel: &mut K,
        supervise: &Supervise,
        profile: &str,
    ) -> Result<Option<Drain>, Error> {
        let sink = match &supervise.output {
            Output::Inherit => return Ok(None),
            Output::Syslog => Sink::Syslog {
                priority: supervise.syslog_facility,
                tag: supervise
                    .syslog_tag
                    .clone()
                    .unwrap_or_else(|| profile.to_string()),
            },
            Output::File(path) => Sink::File {
                path: path.clone(),
                fd: open_log(kernel, path)?,
            },
        };
        Ok(Some(Drain::to(sink)))
    }

    /// Whose output it is, for syslog.
    pub fn set_pid(&mut self, pid: Pid) {
        self.pid = pid;
    }

    /// Whether somebody waits for what the service says while it starts.
    pub fn echo(&mut self, wanted: bool) {
        self.echoes = wanted;
        if !self.wants_lines() {
            self.partial.clear();
        }
    }

    /// A file has the bytes as they come.
    fn wants_lines(&self) -> bool {
        self.echoes || matches!(self.sink, Sink::Syslog { .. })
    }

    /// Reads once. True while there may be more to come.
    pub fn pump<K: Kernel>(&mut self, kernel: &mut K, pipe: Fd) -> bool {
        let mut buffer = vec![0u8; CHUNK];
        match kernel.read(pipe, &mut buffer) {
            Ok(0) => {
                self.end_line(kernel);
                false
            }
            Ok(count) => {
                self.take(kernel, buffer.get(..count).unwrap_or_default());
                true
            }
            Err(failure) => failure.errno == Errno::EAGAIN,
        }
    }

    /// What is left in the pipe of a service that has ended.
    pub fn finish<K: Kernel>(&mut self, kernel: &mut K, pipe: Fd) {
        let mut buffer = vec![0u8; CHUNK];
        let mut total = 0;
        while total < LAST {
            match kernel.read(pipe, &mut buffer) {
                Ok(count) if count > 0 => {
                    total += count;
                    self.take(kernel, buffer.get(..count).unwrap_or_default());
                }
                _ => break,
            }
        }
        self.end_line(kernel);
        self.tell_dropped(kernel);
    }

    fn take<K: Kernel>(&mut self, kernel: &mut K, bytes: &[u8]) {
        if let Sink::File { fd, .. } = &self.sink {
            let fd = *fd;
            let lost = !write_whole(kernel, fd, bytes);
            if lost {
                let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
                self.dropped += lines.max(1) as u64;
            } else {
                self.tell_dropped(kernel);
            }
        }
        if !self.wants_lines() {
            return;
        }
        for byte in bytes {
            if *byte == b'\n' || self.partial.len() >= LINE {
                self.end_line(kernel);
            }
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
        }
    }

    fn end_line<K: Kernel>(&mut self, kernel: &mut K) {
        if self.partial.is_empty() {
            return;
        }
        let line = one_line(&self.partial);
        self.partial.clear();
        if self.echoes {
            // It may be a terminal, which a service must not steer. Who doesn't read it finds it in the log.
            let _ = kernel.write_briefly(Fd(2), format!("{line}\n").as_bytes());
        }
        if !matches!(self.sink, Sink::Syslog { .. }) {
            return;
        }
        match self.send(kernel, LOG_INFO, &line) {
            true => self.tell_dropped(kernel),
            false => self.dropped += 1,
        }
    }

    /// Once there is room again.
    fn tell_dropped<K: Kernel>(&mut self, kernel: &mut K) {
        if self.dropped == 0 {
            return;
        }
        let line = format!("jailrun: {} lines of output were dropped", self.dropped);
        let told = match &self.sink {
            Sink::Syslog { .. } => self.send(kernel, LOG_WARNING, &line),
            Sink::File { fd, .. } => write_whole(kernel, *fd, format!("{line}\n").as_bytes()),
            Sink::Nowhere => true,
        };
        if told {
            self.dropped = 0;
        }
    }

    fn send<K: Kernel>(&self, kernel: &mut K, level: u32, line: &str) -> bool {
        match &self.sink {
            Sink::Syslog { priority, tag } => kernel
                .syslog_line(priority | level, tag, self.pid, line)
                .is_ok(),
            Sink::File { .. } | Sink::Nowhere => false,
        }
    }

    /// newsyslog(8) has moved the file away. One that can't be opened leaves the old one in use.
    pub fn reopen<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), Error> {
        if let Sink::File { path, fd } = &mut self.sink {
            let new = open_log(kernel, path)?;
            let old = std::mem::replace(fd, new);
            let _ = kernel.close(old);
        }
        Ok(())
    }

    pub fn close<K: Kernel>(self, kernel: &mut K) -> Result<(), Failure> {
        match self.sink {
            Sink::File { fd, .. } => kernel.close(fd),
            Sink::Syslog { .. } | Sink::Nowhere => Ok(()),
        }
    }
}

/// Text without anything that ends a line or moves a terminal, of no more than [`LINE`] bytes.
pub fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        // Bytes that are no text have become longer.
        if line.len() + letter.len_utf8() > LINE {
            break;
        }
        line.push(letter);
    }
    line
}

fn write_whole<K: Kernel>(kernel: &mut K, fd: Fd, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        match kernel.write(fd, rest) {
            Ok(count) if count > 0 => rest = rest.get(count..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// Appends only to a regular file with one name, in a directory that nobody but root can write.
fn open_log<K: Kernel>(kernel: &mut K, path: &str) -> Result<Fd, Error> {
    let step = |failure| Error::step(format!("open the output file {path}"), failure);
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let above = if directory.is_empty() { "/" } else { directory };
    let parent = trust::open(kernel, above, Open::Directory, Owner::Root)
        .map_err(|distrust| Error::Profile(distrust.to_string()))?;
    let opened = kernel.openat(At::Dir(parent.fd), name, Open::Append(0o640));
    let closed = kernel.close(parent.fd);
    let fd = opened.and_then(|fd| closed.map(|()| fd)).map_err(step)?;
    let stat = kernel.fstat(fd).map_err(step)?;
    if stat.kind == FileKind::Regular && stat.links == 1 && stat.uid == 0 {
        return Ok(fd);
    }
    let _ = kernel.close(fd);
    Err(Error::Profile(format!(
        "{path} is not a file of root's with one name"
    )))
}
