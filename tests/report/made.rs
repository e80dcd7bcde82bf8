//! Records as the kernel writes them, and what a profile and a host have against refusals.

use jailrun::report::record::{self, Address};
use jailrun::report::sum::{Fate, Means, Place, Report, sum};
use jailrun::why::Line;
use jailrun::why::question::Wish;
use std::collections::BTreeSet;

pub const NAMEI: u16 = 3;
pub const STRUCT: u16 = 8;
pub const CAPFAIL: u16 = 12;
pub const VERSIONED: u16 = 0x4000;
pub const DROP: u16 = 0x8000;

/// The process that is traced first, and executes the program.
pub const FIRST: i32 = 100;

pub const OPENAT: u16 = 499;
pub const CONNECT: u16 = 98;
pub const BIND: u16 = 104;

/// A record as the kernel writes it (struct ktr_header and what is behind it), of a thread of its process's
/// number.
pub fn record(kind: u16, pid: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(i32::try_from(body.len()).unwrap().to_ne_bytes());
    bytes.extend((kind | VERSIONED).to_ne_bytes());
    bytes.extend(1u16.to_ne_bytes());
    bytes.extend(pid.to_ne_bytes());
    bytes.extend([b'x'; 20]);
    bytes.extend([0; 16]);
    bytes.extend(i64::from(pid).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    bytes
}

pub fn name(pid: i32, path: &str) -> Vec<u8> {
    record(NAMEI, pid, path.as_bytes())
}

pub fn sockaddr(pid: i32, address: &[u8]) -> Vec<u8> {
    let mut body = b"sockaddr\0".to_vec();
    body.extend(address);
    record(STRUCT, pid, &body)
}

/// struct ktr_cap_fail. What `data` doesn't set is what an earlier record left.
pub fn refused(pid: i32, kind: u32, call: u16, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(kind.to_ne_bytes());
    body.extend(call.to_ne_bytes());
    body.extend([0xa5; 10]);
    body.extend(data);
    body.resize(1040, 0xa5);
    record(CAPFAIL, pid, &body)
}

pub fn by_call(pid: i32, call: u16) -> Vec<u8> {
    refused(pid, 2, call, b"/leftover\0")
}

pub fn by_name(pid: i32, call: u16, path: &str) -> Vec<u8> {
    refused(pid, 6, call, format!("{path}\0").as_bytes())
}

pub fn execve() -> Vec<u8> {
    by_call(FIRST, 59)
}

pub fn inet(port: u16, ip: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![16, 2];
    bytes.extend(port.to_be_bytes());
    bytes.extend(ip);
    bytes.extend([0; 8]);
    bytes
}

pub fn unix(path: &str) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(path.len() + 2).unwrap(), 1];
    bytes.extend(path.as_bytes());
    bytes
}

#[derive(Default)]
pub struct Given {
    pub without_shim: Option<String>,
    pub against: Vec<&'static str>,
}

impl Means for Given {
    fn place(&self, path: &str) -> Place {
        match path {
            "/var/run/log" => Place::Log,
            _ if path.starts_with("/var/db/x") => Place::Writable("/var/db/x".to_string()),
            _ if path.starts_with("/var/run/sql") => Place::Sockets("/var/run/sql".to_string()),
            _ if path.starts_with("/etc") || path == "/" => Place::Readable,
            _ => Place::Absent,
        }
    }

    fn listens(&self, address: &Address) -> bool {
        *address == Address::Inet("10.0.0.80:80".parse().unwrap())
    }

    fn listen_names(&self) -> BTreeSet<String> {
        ["tcp-8081".to_string()].into()
    }

    fn against(&self) -> Vec<&'static str> {
        self.against.clone()
    }

    fn without_shim(&self) -> Option<String> {
        self.without_shim.clone()
    }

    /// Of a host that has what is below /opt, but nothing else.
    fn grant(&self, path: &str, wish: Wish) -> (Option<Line>, String) {
        let line = Line {
            table: "root",
            text: format!("{wish:?} = [{path:?}]"),
            is_more: true,
        };
        match path.starts_with("/opt") {
            true => (Some(line), String::new()),
            false => (None, "; nor on the host".to_string()),
        }
    }
}

pub const SHIMMED: Given = Given {
    without_shim: None,
    against: Vec::new(),
};

pub fn of(records: &[Vec<u8>]) -> Report {
    let bytes = records.concat();
    sum(&record::read(&bytes), bytes.len() as u64, FIRST, &SHIMMED)
}

/// Call, object, count and fate of each.
pub fn told(report: &Report) -> Vec<(&str, &str, u64, Fate)> {
    let all = report.entries.iter();
    all.map(|entry| {
        (
            entry.call.as_str(),
            entry.object.as_str(),
            entry.count,
            entry.fate,
        )
    })
    .collect()
}

pub fn line(report: &Report, object: &str) -> Option<String> {
    let mut all = report.entries.iter();
    let entry = all.find(|entry| entry.object == object).unwrap();
    entry
        .line
        .as_ref()
        .map(|line| format!("[{}] {}", line.table, line.text))
}
