//! Records to refusals. A refusal's names and addresses are in records of their own, of the same thread: those
//! that are looked up from the working directory before it (namei in sys/kern/vfs_lookup.c), the others
//! behind it (ktrcapfail only queues, and what is written at once writes the queue first).

use super::calls::{self, Remedy};
use super::record::{Address, Event, Refused, Trace, What};
use std::collections::BTreeMap;

/// What a refusal was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    None,
    /// Paths, as the program gave them.
    Names(Vec<Vec<u8>>),
    Address(Address),
    Signal(i32),
    Protocol(i32),
    /// Rights of a descriptor.
    Rights,
    Processors,
    Unknown(u32),
}

/// Refusals that are alike, and how many there were.
pub type Counted = BTreeMap<(u16, Object), u64>;

/// What kern_bindat, kern_connectat and namei say in the place of a name.
const START: &[u8] = b"AT_FDCWD";
const EXECVE: u16 = 59;

/// What one thread has said, and what isn't complete.
#[derive(Default)]
struct Thread {
    name: Option<Vec<u8>>,
    open: Option<Open>,
}

struct Open {
    call: u16,
    waits: Waits,
    names: Vec<Vec<u8>>,
    address: Option<Address>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Names(u8),
    Address,
}

/// `first` is the process that was traced before it executed the program: what it did until then was ours.
pub fn fold(trace: &Trace, first: i32) -> Counted {
    let mut all = Counted::new();
    let mut threads: BTreeMap<i64, Thread> = BTreeMap::new();
    let mut is_ours = true;
    for event in &trace.events {
        if is_ours && event.pid == first {
            is_ours = !executes(event);
            continue;
        }
        let thread = threads.entry(event.thread).or_default();
        match &event.what {
            What::Name(name) => thread.heard(name, &mut all),
            What::Address(address) => {
                if let Some(mut open) = thread.open.take_if(|open| open.waits == Waits::Address) {
                    open.address = Some(address.clone());
                    open.close(&mut all);
                }
            }
            What::Refused { call, refused } => thread.refused(*call, refused, &mut all),
        }
    }
    for open in threads.into_values().filter_map(|thread| thread.open) {
        open.close(&mut all);
    }
    all
}

/// The absolute paths of all refusals, those of sockets too.
pub fn paths(counted: &Counted) -> impl Iterator<Item = &[u8]> {
    let all = counted.keys().flat_map(|(_, object)| match object {
        Object::Names(names) => names.as_slice(),
        Object::Address(Address::Unix(path)) => std::slice::from_ref(path),
        _ => &[],
    });
    all.map(Vec::as_slice).filter(|path| path.starts_with(b"/"))
}

fn executes(event: &Event) -> bool {
    let execve = What::Refused {
        call: EXECVE,
        refused: Refused::Call,
    };
    event.what == execve
}

impl Thread {
    fn heard(&mut self, name: &[u8], all: &mut Counted) {
        match &mut self.open {
            Some(Open {
                waits: Waits::Names(count),
                names,
                ..
            }) => {
                names.push(name.to_vec());
                *count -= 1;
                if *count == 0 {
                    self.close(all);
                }
            }
            _ => self.name = Some(name.to_vec()),
        }
    }

    fn refused(&mut self, call: u16, refused: &Refused, all: &mut Counted) {
        self.close(all);
        let known = calls::known(call);
        let has_address =
            known.is_some_and(|known| matches!(known.remedy, Remedy::Binds | Remedy::Connects));
        let object = match refused {
            Refused::Call | Refused::Name(_) if has_address => {
                return self.open(call, Waits::Address, None);
            }
            Refused::Call => match known.map_or(0, |known| known.names) {
                0 => Object::None,
                count => return self.open(call, Waits::Names(count), None),
            },
            Refused::Address(address) => {
                return self.open(call, Waits::Address, address.clone());
            }
            Refused::Name(name) => match (name == START, self.name.take()) {
                (true, Some(name)) => Object::Names(vec![name]),
                (true, None) => Object::None,
                (false, _) => Object::Names(vec![name.clone()]),
            },
            Refused::Rights => Object::Rights,
            Refused::Signal(number) => Object::Signal(*number),
            Refused::Protocol(number) => Object::Protocol(*number),
            Refused::Processors => Object::Processors,
            Refused::Unknown(kind) => Object::Unknown(*kind),
        };
        count(all, call, object);
    }

    fn open(&mut self, call: u16, waits: Waits, address: Option<Address>) {
        self.open = Some(Open {
            call,
            waits,
            names: Vec::new(),
            address,
        });
    }

    fn close(&mut self, all: &mut Counted) {
        if let Some(open) = self.open.take() {
            open.close(all);
        }
    }
}

impl Open {
    fn close(self, all: &mut Counted) {
        let object = match (self.address, self.names.is_empty()) {
            (Some(address), _) => Object::Address(address),
            (None, false) => Object::Names(self.names),
            (None, true) => Object::None,
        };
        count(all, self.call, object);
    }
}

fn count(all: &mut Counted, call: u16, object: Object) {
    *all.entry((call, object)).or_default() += 1;
}
