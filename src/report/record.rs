//! Records of ktrace(2), as sys/sys/ktrace.h has them on 64-bit FreeBSD. The kernel alone writes them, and the
//! service chooses what is in them: names, addresses, how many there are, and when the file ends.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// struct ktr_header.
const HEADER: usize = 64;
/// No record that is asked for has more behind its header: struct ktr_cap_fail is 1040 bytes.
const LONGEST: usize = 1 << 14;
/// MAXPATHLEN.
const NAME: usize = 1024;

const KTR_NAMEI: u16 = 3;
const KTR_STRUCT: u16 = 8;
const KTR_CAPFAIL: u16 = 12;
const KTR_DROP: u16 = 0x8000;
const KTR_VERSIONED: u16 = 0x4000;

/// What a socket was bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    Inet(SocketAddr),
    Unix(Vec<u8>),
    /// Of a family that isn't told apart.
    Other(u8),
}

/// What capability mode would have refused (enum ktr_cap_violation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A descriptor lacks rights, or was to be given more: it is refused in any mode.
    Rights,
    Call,
    Signal(i32),
    Protocol(i32),
    /// No more than the first 16 bytes are in the record.
    Address(Option<Address>),
    Name(Vec<u8>),
    Processors,
    /// One that this version doesn't know.
    Unknown(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A path, before it is looked up.
    Name(Vec<u8>),
    Address(Address),
    Refused {
        call: u16,
        refused: Refused,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub pid: i32,
    pub thread: i64,
    pub what: What,
}

/// A file, read to its end or to where it makes no sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub events: Vec<Event>,
    /// The kernel had no room for some.
    pub has_gaps: bool,
    /// What is in it from here on isn't a record.
    pub is_damaged: bool,
}

/// A last record that isn't whole is being written, or found no room: it counts for nothing.
pub fn read(bytes: &[u8]) -> Trace {
    let mut trace = Trace::default();
    let mut rest = bytes;
    while let Some((header, behind)) = rest.split_at_checked(HEADER) {
        let kind = u16::from_ne_bytes(array(header, 4));
        let length = usize::try_from(i32::from_ne_bytes(array(header, 0)));
        let (true, Ok(length @ ..=LONGEST)) = (kind & KTR_VERSIONED != 0, length) else {
            trace.is_damaged = true;
            break;
        };
        let Some((body, next)) = behind.split_at_checked(length) else {
            break;
        };
        trace.has_gaps |= kind & KTR_DROP != 0;
        let what = what(kind & !(KTR_DROP | KTR_VERSIONED), body);
        trace.events.extend(what.map(|what| Event {
            pid: i32::from_ne_bytes(array(header, 8)),
            thread: i64::from_ne_bytes(array(header, 48)),
            what,
        }));
        rest = next;
    }
    trace
}

/// Zeros where there is nothing.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<N>().copied());
    found.unwrap_or([0; N])
}

/// `None`: nothing that a report is made of.
fn what(kind: u16, body: &[u8]) -> Option<What> {
    match kind {
        KTR_NAMEI => Some(What::Name(name(body))),
        KTR_STRUCT => {
            let address = body.strip_prefix(b"sockaddr\0")?;
            Some(What::Address(address_of(address)?))
        }
        KTR_CAPFAIL if body.len() >= 16 => {
            let data = body.get(16..).unwrap_or_default();
            Some(What::Refused {
                call: u16::from_ne_bytes(array(body, 4)),
                refused: refused(u32::from_ne_bytes(array(body, 0)), data),
            })
        }
        _ => None,
    }
}

/// What a kind doesn't set is left over from another record, and isn't looked at.
fn refused(kind: u32, data: &[u8]) -> Refused {
    let number = i32::from_ne_bytes(array(data, 0));
    match kind {
        0 | 1 => Refused::Rights,
        2 => Refused::Call,
        3 => Refused::Signal(number),
        4 => Refused::Protocol(number),
        5 => Refused::Address(address_of(data.get(..16).unwrap_or(data))),
        6 => Refused::Name(name(data)),
        7 => Refused::Processors,
        unknown => Refused::Unknown(unknown),
    }
}

fn name(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.get(..NAME).unwrap_or(bytes);
    bytes
        .split(|byte| *byte == 0)
        .next()
        .unwrap_or_default()
        .to_vec()
}

const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 28;

/// By its own length, as far as there is that much.
fn address_of(bytes: &[u8]) -> Option<Address> {
    let (length, family) = (*bytes.first()?, *bytes.get(1)?);
    let bytes = bytes.get(..usize::from(length)).unwrap_or(bytes);
    let port = u16::from_be_bytes(array(bytes, 2));
    Some(match family {
        AF_UNIX => Address::Unix(name(bytes.get(2..).unwrap_or_default())),
        AF_INET if bytes.len() >= 8 => {
            let ip = Ipv4Addr::from(array::<4>(bytes, 4));
            Address::Inet((ip, port).into())
        }
        AF_INET6 if bytes.len() >= 24 => {
            let ip = Ipv6Addr::from(array::<16>(bytes, 8));
            Address::Inet(SocketAddrV6::new(ip, port, 0, 0).into())
        }
        other => Address::Other(other),
    })
}
