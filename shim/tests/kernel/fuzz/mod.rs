//! Calls at random of every function that the library stands before, the same ones in each run of a seed:
//! each gives a line, and two runs are compared line by line. What is known to differ on purpose is
//! in `excuses`, and nowhere else.
//!
//! A process has a directory of its own in each tree, and starts others as it goes. A thread besides can't
//! leave its own, and changes nothing that is the process's: so its calls, too, give the same in each run.

mod asking;
mod changing;
mod descriptors;
mod directories;
pub mod excuses;
pub mod exports;
mod names;
mod opening;
mod paths;
mod processes;
mod programs;
mod random;
mod sockets;
mod system;

use super::subject::errno;
use random::Random;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Write;
use std::sync::LazyLock;

/// A function by the names that it is exported under, or one of libc's that is made of those.
pub struct Op {
    pub names: &'static [&'static str],
    /// How often it is called, beside the others.
    weight: u32,
    /// It concerns the whole process.
    is_for_processes: bool,
    /// It starts processes, which takes a long run most of its time: there it is called more rarely.
    is_slow: bool,
    act: fn(&mut Fuzz, &'static str),
}

const fn op(names: &'static [&'static str], weight: u32, act: fn(&mut Fuzz, &'static str)) -> Op {
    Op {
        names,
        weight,
        is_for_processes: false,
        is_slow: false,
        act,
    }
}

const fn slow(op: Op) -> Op {
    Op {
        is_slow: true,
        ..op
    }
}

const fn process_op(
    names: &'static [&'static str],
    weight: u32,
    act: fn(&mut Fuzz, &'static str),
) -> Op {
    Op {
        names,
        weight,
        is_for_processes: true,
        is_slow: false,
        act,
    }
}

pub fn ops() -> impl Iterator<Item = &'static Op> {
    let tables: [&'static [Op]; 8] = [
        asking::OPS,
        changing::OPS,
        descriptors::OPS,
        directories::OPS,
        processes::OPS,
        programs::OPS,
        sockets::OPS,
        system::OPS,
    ];
    tables
        .into_iter()
        .chain([names::OPS, opening::OPS])
        .flatten()
}

/// As the program sees each name: the library's where it is loaded, libc's where it isn't.
static FOUND: LazyLock<BTreeMap<&'static str, usize>> = LazyLock::new(|| {
    let names = ops().flat_map(|op| op.names.iter().copied());
    let found = names.map(|name| {
        let symbol = CString::new(name).unwrap();
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) };
        assert!(!found.is_null(), "{name}: there is no such function");
        (name, found as usize)
    });
    found.collect()
});

/// `F` is the type of the C function of this name.
fn function<F: Copy>(name: &str) -> F {
    const { assert!(size_of::<F>() == size_of::<usize>()) }
    unsafe { std::mem::transmute_copy(&FOUND[name]) }
}

/// A directory that is open, and the absolute path that it was opened by.
struct Held {
    fd: c_int,
    path: String,
}

pub struct Fuzz {
    random: Random,
    /// Below each tree: "t0/e3".
    top: String,
    out: String,
    /// Where lines go; -1: a thread's are its process's to print.
    output: c_int,
    held: Vec<Held>,
    listeners: Vec<c_int>,
    /// Addresses of sockets that were bound, with what is told of them.
    bound: Vec<(libc::sockaddr_un, libc::socklen_t, String)>,
    notify: c_int,
    is_thread: bool,
    is_told: bool,
    is_long: bool,
    /// How many processes lie above this one.
    depth: u32,
    /// How often a function worked, and failed.
    counts: BTreeMap<&'static str, [u64; 2]>,
}

/// A descriptor that nothing is given: no thread comes upon another's.
const CLOSED: c_int = 880;

/// No call sets it, so that what a call that works leaves of errno is seen.
const UNTOUCHED: c_int = 7777;

pub fn set_errno(errno: c_int) {
    unsafe { *libc::__error() = errno };
}

impl Fuzz {
    fn new(seed: u64, is_thread: bool) -> Self {
        Self {
            random: Random::new(seed),
            top: String::new(),
            out: String::new(),
            output: if is_thread { -1 } else { 1 },
            held: Vec::new(),
            listeners: Vec::new(),
            bound: Vec::new(),
            notify: -1,
            is_thread,
            is_told: std::env::var("SUBJECT_TOLD").is_ok(),
            is_long: variable("SUBJECT_ROUNDS") > 1000,
            depth: 0,
            counts: BTreeMap::new(),
        }
    }

    /// One call, one line: what it gave, and errno where that was an error.
    fn call(&mut self, name: &'static str, what: &str, act: impl FnOnce() -> i64) -> i64 {
        self.record(name, what, act, |result| result)
    }

    /// What it gives is a number that other threads' calls decide.
    fn call_for_fd(&mut self, name: &'static str, what: &str, act: impl FnOnce() -> i64) -> c_int {
        let is_thread = self.is_thread;
        let shown = |result: i64| if is_thread { result.min(0) } else { result };
        self.record(name, what, act, shown) as c_int
    }

    fn record(
        &mut self,
        name: &'static str,
        what: &str,
        act: impl FnOnce() -> i64,
        shown: impl Fn(i64) -> i64,
    ) -> i64 {
        set_errno(UNTOUCHED);
        let result = act();
        let after = errno();
        self.counts.entry(name).or_default()[usize::from(result < 0)] += 1;
        let written = if result < 0 {
            writeln!(self.out, "{name} {what}: error {after}")
        } else if after != UNTOUCHED {
            writeln!(
                self.out,
                "{name} {what}: {}, and errno {after}",
                shown(result)
            )
        } else {
            writeln!(self.out, "{name} {what}: {}", shown(result))
        };
        written.unwrap();
        if self.is_told {
            self.flush();
        }
        set_errno(after);
        result
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.out, "  {what}").unwrap();
    }

    fn flush(&mut self) {
        if self.output < 0 {
            return;
        }
        let mut rest = self.out.as_bytes();
        while !rest.is_empty() {
            let written = unsafe { libc::write(self.output, rest.as_ptr().cast(), rest.len()) };
            let Ok(written) = usize::try_from(written) else {
                unsafe { libc::_exit(90) };
            };
            rest = &rest[written..];
        }
        self.out.clear();
    }

    fn step(&mut self) {
        let others = if self.is_long { 5 } else { 1 };
        let weight = |op: &Op| op.weight * if op.is_slow { 1 } else { others };
        let total: u32 = ops().map(weight).sum();
        let mut left = self.random.next(total as usize) as u32;
        let op = ops()
            .find(|op| {
                let weight = weight(op);
                let is_it = left < weight;
                left = left.saturating_sub(weight);
                is_it
            })
            .unwrap();
        if self.is_thread && op.is_for_processes {
            return;
        }
        let name = op.names[self.random.next(op.names.len())];
        (op.act)(self, name);
        if self.out.len() > 32 * 1024 {
            self.flush();
        }
    }

    /// New directories, of which nothing is known.
    fn begin(&mut self, thread: usize, epoch: u64) {
        self.drop_descriptors();
        if self.is_thread {
            self.bound.clear();
        }
        let parent = format!("t{thread}");
        self.top = format!("{parent}/e{epoch}");
        for tree in paths::TREES {
            let path = |below: &str| CString::new(format!("{tree}/{below}")).unwrap();
            let (above, own) = (path(&parent), path(&self.top));
            // It may have been changed from below.
            unsafe { libc::chmod(above.as_ptr(), 0o777) };
            let made = unsafe { libc::mkdir(own.as_ptr(), 0o777) };
            let errno = if made < 0 { errno() } else { 0 };
            writeln!(self.out, "== {own:?} {errno}").unwrap();
        }
        self.home();
    }

    /// Before what could rename or remove the working directory, or what is above it: see `excuses`.
    fn home(&mut self) {
        if !self.is_thread {
            let home = CString::new(format!("/g1/{}", self.top)).unwrap();
            let gone = unsafe { libc::chdir(home.as_ptr()) };
            if gone != 0 {
                let line = format!("== no way home: {}", errno());
                self.tell(&line);
            }
        }
    }

    fn drop_descriptors(&mut self) {
        for fd in (self.held.drain(..).map(|held| held.fd)).chain(self.listeners.drain(..)) {
            unsafe { libc::close(fd) };
        }
        if self.notify >= 0 {
            unsafe { libc::close(self.notify) };
            self.notify = -1;
        }
    }

    /// How often each function was called, by this process or thread.
    fn sum_up(&mut self) {
        for (name, [good, bad]) in std::mem::take(&mut self.counts) {
            writeln!(self.out, "= {name} {good} {bad}").unwrap();
        }
    }
}

fn variable(name: &str) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

const STEPS_IN_AN_EPOCH: u64 = 400;

fn steps(fuzz: &mut Fuzz, thread: usize, steps: u64) {
    for step in 0..steps {
        if step % STEPS_IN_AN_EPOCH == 0 {
            fuzz.begin(thread, step / STEPS_IN_AN_EPOCH);
        }
        fuzz.step();
    }
    fuzz.sum_up();
}

/// A handler that looks and opens while the process does. It has to leave no trace.
extern "C" fn interrupt(_: c_int) {
    let before = errno();
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    for path in [c"/ro/abs/deep/file", c"/ro/into", c"../none"] {
        unsafe { libc::stat(path.as_ptr(), &raw mut stat) };
    }
    unsafe { libc::access(c"/g1/../ro/up".as_ptr(), 0) };
    set_errno(before);
}

fn interrupt_often() {
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = interrupt as extern "C" fn(c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    let period = libc::timeval {
        tv_sec: 0,
        tv_usec: 2900,
    };
    let timer = libc::itimerval {
        it_interval: period,
        it_value: period,
    };
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
}

pub const THREADS: usize = 4;

pub fn run() {
    let kind = std::env::var("SUBJECT_KIND").unwrap_or_default();
    let (seed, all) = (variable("SUBJECT_SEED"), variable("SUBJECT_ROUNDS"));
    LazyLock::force(&FOUND);
    unsafe { libc::umask(0) };
    processes::count_signals();
    if kind != "threads" {
        if kind == "interrupted" {
            interrupt_often();
        }
        let mut fuzz = Fuzz::new(seed, false);
        steps(&mut fuzz, 0, all);
        return fuzz.flush();
    }
    // Where nothing can be made, so that a relative name is nobody's.
    unsafe { libc::chdir(c"/ro".as_ptr()) };
    let threads = [0, 1, 2, 3].map(|thread| {
        std::thread::Builder::new().spawn(move || {
            let mut fuzz = Fuzz::new(seed * 100 + thread as u64, true);
            steps(&mut fuzz, thread, all / THREADS as u64);
            fuzz.drop_descriptors();
            fuzz.out
        })
    });
    for thread in threads {
        let mut fuzz = Fuzz::new(0, false);
        fuzz.out = thread.unwrap().join().unwrap();
        fuzz.flush();
    }
}

/// What C takes for a list of strings.
struct Words {
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl Words {
    fn new(words: &[&str]) -> Self {
        let strings: Vec<CString> = words
            .iter()
            .map(|word| CString::new(*word).unwrap())
            .collect();
        let pointers = strings.iter().map(|word| word.as_ptr());
        let pointers = pointers.chain([std::ptr::null()]).collect();
        Self {
            _strings: strings,
            pointers,
        }
    }

    fn start(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

type Anything = *mut c_void;
