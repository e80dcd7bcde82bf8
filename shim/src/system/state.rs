//! What the launcher handed over, read once, when the first function is called: before main, since rtld
//! runs our constructor, or earlier, in a constructor of another library. Nothing changes it afterwards.

use super::raw;
use crate::handoff::{self, CWD, Handoff, LISTEN, NAMES};
use crate::text::{Few, Text};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicU8, Ordering};
use libc::{F_DUPFD, F_DUPFD_CLOEXEC, c_long};

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Copies of the variables: programs write over their environment to change what `ps` shows.
const ROOM: usize = 32 * 1024;

/// Descriptors that the program doesn't know, and may not close or replace by accident.
type Guarded = Few<c_int, 256>;

pub struct State {
    handoff: Handoff<'static>,
    /// `NAME=value` of each variable, in `WORDS`, for programs that are executed.
    variables: Few<&'static [u8], 10>,
    /// JAILRUN_LISTEN as it is for those, where it is another.
    listen: [u8; 4096],
    listen_length: usize,
    guarded: Guarded,
    lowest_guarded: Option<c_int>,
}

/// Filled by the thread that reads the environment, and read only afterwards.
struct Words(UnsafeCell<[u8; ROOM]>);

// SAFETY: written by the one thread that reads the environment, before it lends anything of it.
unsafe impl Sync for Words {}

static WORDS: Words = Words(UnsafeCell::new([0; ROOM]));

struct Once {
    phase: AtomicU8,
    state: UnsafeCell<State>,
}

// SAFETY: `state` is written by the one thread that moved `phase` from 0 to 1, and read by others only
// after it is 2.
unsafe impl Sync for Once {}

static ONCE: Once = Once {
    phase: AtomicU8::new(0),
    state: UnsafeCell::new(State {
        handoff: Handoff::none(),
        variables: Few::new(),
        listen: [0; 4096],
        listen_length: 0,
        guarded: Few::new(),
        lowest_guarded: None,
    }),
};

/// None while it is being read: what libc does for us then is passed on as it is.
pub fn get() -> Option<&'static State> {
    if ONCE.phase.load(Ordering::Acquire) != 2 {
        let first = ONCE
            .phase
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if first.is_err() {
            return None;
        }
        // SAFETY: only the thread that came from 0 to 1 is here, and readers wait for 2.
        let state = unsafe { &mut *ONCE.state.get() };
        state.read();
        ONCE.phase.store(2, Ordering::Release);
    }
    // SAFETY: nothing writes to it any more.
    Some(unsafe { &*ONCE.state.get() })
}

/// Where paths are translated.
pub fn confined() -> Option<&'static State> {
    get().filter(|state| state.is_confined())
}

/// One variable of the environment that we were started with: its name, a sign, its value.
fn variable(index: usize) -> Option<&'static [u8]> {
    // SAFETY: rtld sets libc's `environ` before any code of ours runs, and no thread changes it meanwhile:
    // this is read in a constructor.
    let list = unsafe { environ };
    if list.is_null() {
        return None;
    }
    // SAFETY: the list ends in null, and the caller comes to an index only when those before weren't.
    let entry = unsafe { list.wrapping_add(index).read() };
    raw::text(entry)
}

pub fn is_named(entry: &[u8], name: &str) -> bool {
    entry
        .strip_prefix(name.as_bytes())
        .is_some_and(|rest| rest.first() == Some(&b'='))
}

impl State {
    pub fn handoff(&self) -> &Handoff<'static> {
        &self.handoff
    }

    pub fn is_confined(&self) -> bool {
        self.handoff.trees.iter().next().is_some()
    }

    pub fn is_guarded(&self, fd: c_int) -> bool {
        self.lowest_guarded.is_some_and(|lowest| fd >= lowest)
            && self.guarded.iter().any(|guarded| *guarded == fd)
    }

    /// The smallest that is guarded, from `fd` on.
    pub fn next_guarded(&self, fd: c_int) -> Option<c_int> {
        let above = self.guarded.iter().filter(|guarded| **guarded >= fd);
        above.copied().min()
    }

    /// The variables of a program that is executed, as C strings.
    pub fn inherited(&self) -> impl Iterator<Item = *const c_char> {
        let listen = self.listen.get(..self.listen_length).unwrap_or_default();
        let is_other = !listen.is_empty();
        let entries = self.variables.iter().copied();
        let entries = entries.filter(move |entry| !(is_other && is_named(entry, LISTEN)));
        let entries = entries.chain(core::iter::once(listen).filter(|entry| !entry.is_empty()));
        // Each is followed by a NUL, where it lies.
        entries.map(|entry| entry.as_ptr().cast())
    }

    fn read(&mut self) {
        // SAFETY: nothing of it is lent yet, and no other thread is here.
        let words = unsafe { &mut *WORDS.0.get() };
        let length = copy(words);
        // SAFETY: nobody writes to it from here on.
        let words: &'static [u8; ROOM] = unsafe { &*WORDS.0.get() };
        let words = words.get(..length).unwrap_or_default();
        for entry in words
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty())
        {
            // The working directory is told as it is by then.
            if !is_named(entry, CWD) && !self.variables.push(entry) {
                refuse("environment");
            }
        }
        let read = handoff::read(|name| find(words, name));
        self.handoff = read.unwrap_or_else(|name| refuse(name));
        self.hold_listeners();
        self.guard();
    }

    /// A program that knows nothing of the sockets at 3, 4, ... may close or replace them before it binds:
    /// each gets a number of ours beside them. What LISTEN_FDS says stays true.
    fn hold_listeners(&mut self) {
        let is_confined = self.is_confined();
        // Out of the way: where the launcher's are, or as high as descriptors commonly go.
        let above = self.handoff.trees.iter().map(|tree| tree.fd).max();
        let above = c_long::from(above.map_or(512, |fd| fd + 1));
        let command = if is_confined {
            F_DUPFD
        } else {
            F_DUPFD_CLOEXEC
        };
        for listener in self.handoff.listeners.iter_mut() {
            let held = raw::fcntl(listener.fd, command, above) as c_int;
            if held >= 0 {
                listener.fd = held;
            }
        }
        if is_confined {
            self.say_where_listeners_are();
        }
    }

    /// Programs that we execute are told of ours: the others may be closed by then.
    fn say_where_listeners_are(&mut self) {
        let mut entries = self.variables.iter();
        let Some(old) = entries.find(|entry| is_named(entry, LISTEN)) else {
            return;
        };
        let (mut length, room) = (0, &mut self.listen);
        let mut add = |part: &[u8]| {
            // A NUL stays behind it.
            let Some(place) = room.get_mut(length..length + part.len() + 1) else {
                refuse(LISTEN)
            };
            let (place, _) = place.split_at_mut(part.len());
            place.copy_from_slice(part);
            length += part.len();
        };
        add(LISTEN.as_bytes());
        let value = old.get(LISTEN.len() + 1..).unwrap_or_default();
        let lines = value
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        for (index, (line, listener)) in lines.zip(self.handoff.listeners.iter()).enumerate() {
            let mut number = Text::new();
            let _ = number.number(listener.fd.unsigned_abs() as usize);
            let sign = line.iter().position(|byte| *byte == b'=').unwrap_or(0);
            add(if index == 0 { b"=" } else { b"\n" });
            add(number.bytes());
            add(line.get(sign..).unwrap_or_default());
        }
        self.listen_length = length;
    }

    fn guard(&mut self) {
        let handoff = &self.handoff;
        let single = [handoff.rtld, handoff.shim, handoff.log];
        let all = (handoff.trees.iter().map(|tree| tree.fd))
            .chain(handoff.listeners.iter().map(|listener| listener.fd))
            .chain(handoff.libraries.iter().copied())
            .chain(single.into_iter().flatten());
        for fd in all {
            // Standard descriptors are the program's, whatever is said of them.
            if fd > 2 && self.guarded.push(fd) {
                let lowest = self.lowest_guarded.unwrap_or(fd);
                self.lowest_guarded = Some(lowest.min(fd));
            }
        }
    }
}

/// Our variables, each with a NUL behind it.
fn copy(words: &mut [u8; ROOM]) -> usize {
    let (mut index, mut used) = (0, 0);
    while let Some(entry) = variable(index) {
        index += 1;
        let Some(name) = NAMES.iter().find(|name| is_named(entry, name)) else {
            continue;
        };
        let Some(place) = words.get_mut(used..used + entry.len() + 1) else {
            refuse(name)
        };
        let (place, _) = place.split_at_mut(entry.len());
        place.copy_from_slice(entry);
        used += entry.len() + 1;
    }
    used
}

fn find(variables: &'static [u8], name: &str) -> Option<&'static [u8]> {
    let mut entries = variables.split(|byte| *byte == 0);
    let entry = entries.find(|entry| is_named(entry, name))?;
    entry.get(name.len() + 1..)
}

/// The launcher's mistake. A program that finds half of what it was granted would do harm by accident.
fn refuse(name: &str) -> ! {
    for part in ["libjailrun_preopen: ", name, ": can't be understood\n"] {
        // SAFETY: write(2) of a string of ours.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
    // EX_SOFTWARE. SAFETY: _exit(2) takes a number and doesn't return.
    unsafe { libc::_exit(70) }
}
