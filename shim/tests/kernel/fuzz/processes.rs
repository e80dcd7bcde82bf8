//! Children, signals, and waiting.

use super::{Anything, Fuzz, Op, function, op, process_op, slow};
use std::ffi::c_int;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub const OPS: &[Op] = &[
    slow(op(&["fork", "_fork"], 4, fork)),
    op(&["waitpid", "_waitpid"], 2, wait),
    op(&["wait4", "_wait4"], 2, wait),
    op(&["wait6", "_wait6"], 2, wait),
    op(&["waitid"], 2, wait),
    process_op(&["wait", "wait3"], 2, wait),
    op(&["kill", "_kill"], 6, kill),
    process_op(&["setpgid", "_setpgid"], 1, setpgid),
];

static SIGNALS: AtomicI32 = AtomicI32::new(0);

extern "C" fn count(_: c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

pub fn count_signals() {
    unsafe { libc::signal(libc::SIGUSR1, count as extern "C" fn(c_int) as usize) };
}

/// How the children of these functions end.
#[derive(Clone, Copy)]
enum End {
    Exit(c_int),
    Signal(c_int),
    /// By its parent, for which it waits.
    Killed,
    Told,
}

const MOST_DEPTH: u32 = 2;

struct Child {
    pid: c_int,
    /// A byte, or nothing, tells it to end.
    to: c_int,
    said: c_int,
}

/// The ends of pipes that tell children to end: one that another thread's child held open would not.
static TELLING: Mutex<Vec<c_int>> = Mutex::new(Vec::new());

fn telling() -> MutexGuard<'static, Vec<c_int>> {
    TELLING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end_telling(to: c_int) {
    let mut ends = telling();
    ends.retain(|end| *end != to);
    unsafe { libc::close(to) };
}

fn pipe() -> [c_int; 2] {
    let mut ends = [0; 2];
    assert_eq!(
        unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
        0
    );
    ends
}

impl Fuzz {
    /// Takes some steps of its own, and ends.
    fn live(mut self, end: End, from: c_int) -> ! {
        self.depth += 1;
        // Below a thread nothing is the process's either.
        let steps = if matches!(end, End::Killed | End::Told) {
            0
        } else {
            self.random.next(10)
        };
        for _ in 0..steps {
            self.step();
        }
        self.sum_up();
        self.flush();
        let mut byte = 0_u8;
        let status = match end {
            End::Exit(status) => status,
            End::Signal(signal) => {
                let call: unsafe extern "C" fn(c_int, c_int) -> c_int = function("kill");
                unsafe { call(libc::getpid(), signal) };
                98
            }
            // Nothing comes, or a byte.
            End::Killed | End::Told => {
                let read = unsafe { libc::read(from, (&raw mut byte).cast(), 1) };
                c_int::from(read == 1) + 20
            }
        };
        unsafe { libc::_exit(status) }
    }

    fn child(&mut self, name: &'static str, end: End) -> Child {
        self.home();
        let seed = self.random.seed();
        self.flush();
        // Held while the process is copied, so that the child can let go of it.
        let mut ends = telling();
        let ([from, to], [said, output]) = (pipe(), pipe());
        ends.push(to);
        let call: unsafe extern "C" fn() -> c_int = function(name);
        let pid = unsafe { call() };
        if pid == 0 {
            for end in ends.drain(..) {
                unsafe { libc::close(end) };
            }
            drop(ends);
            let mut fuzz = Fuzz::new(seed, self.is_thread);
            fuzz.top = self.top.clone();
            fuzz.held = std::mem::take(&mut self.held);
            fuzz.depth = self.depth;
            fuzz.output = if self.is_thread { output } else { 1 };
            fuzz.live(end, from);
        }
        drop(ends);
        self.counts.entry(name).or_default()[usize::from(pid < 0)] += 1;
        for fd in [from, output] {
            unsafe { libc::close(fd) };
        }
        Child { pid, to, said }
    }

    /// What a thread's child has said, when it has ended.
    fn hear(&mut self, child: &Child) {
        let mut bytes = [0_u8; 65536];
        // The end of it may be held open by another thread's child: what isn't there doesn't come.
        unsafe { libc::fcntl(child.said, libc::F_SETFL, libc::O_NONBLOCK) };
        let read = unsafe { libc::read(child.said, bytes.as_mut_ptr().cast(), bytes.len()) };
        let said = String::from_utf8_lossy(&bytes[..read.max(0) as usize]).into_owned();
        self.out.push_str(&said);
        unsafe { libc::close(child.said) };
    }

    /// By one of the functions that wait: what it gave, and what it says of the child.
    fn wait_by(&mut self, name: &'static str, child: c_int, options: c_int) -> i64 {
        let is_any = child == -1;
        let mut status = -1;
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let mut usage = [0_u64; 64];
        let (kind, id) = if is_any {
            (libc::P_ALL, 0)
        } else {
            (libc::P_PID, child as libc::id_t)
        };
        let into = &raw mut status;
        let what = format!("{} {options}", if is_any { "any" } else { "child" });
        let is_thread = self.is_thread;
        let shown = |result: i64| match result {
            0 | -1 => result,
            pid if pid == i64::from(child) || is_any || is_thread => 1,
            _ => 2,
        };
        let result = self.record(
            name,
            &what,
            || unsafe {
                match name.trim_start_matches('_') {
                        "wait" => function::<unsafe extern "C" fn(*mut c_int) -> c_int>(name)(into),
                        "wait3" => function::<
                            unsafe extern "C" fn(*mut c_int, c_int, Anything) -> c_int,
                        >(name)(into, options, null_mut()),
                        "waitpid" => function::<
                            unsafe extern "C" fn(c_int, *mut c_int, c_int) -> c_int,
                        >(name)(child, into, options),
                        "wait4" => {
                            type Call =
                                unsafe extern "C" fn(c_int, *mut c_int, c_int, Anything) -> c_int;
                            function::<Call>(name)(child, into, options, usage.as_mut_ptr().cast())
                        }
                        "wait6" => {
                            type Call = unsafe extern "C" fn(
                                libc::idtype_t,
                                libc::id_t,
                                *mut c_int,
                                c_int,
                                Anything,
                                *mut libc::siginfo_t,
                            ) -> c_int;
                            let call = function::<Call>(name);
                            let usage = usage.as_mut_ptr().cast();
                            call(
                                kind,
                                id,
                                into,
                                options | libc::WEXITED,
                                usage,
                                &raw mut info,
                            )
                        }
                        _ => {
                            type Call = unsafe extern "C" fn(
                                libc::idtype_t,
                                libc::id_t,
                                *mut libc::siginfo_t,
                                c_int,
                            ) -> c_int;
                            function::<Call>(name)(kind, id, &raw mut info, options | libc::WEXITED)
                        }
                    }
                    .into()
            },
            shown,
        );
        let is_described = matches!(name, "waitid" | "wait6" | "_wait6") && result >= 0;
        // What wait6(2) leaves there when it waited for nobody is nothing in particular.
        let is_described = is_described && (result > 0 || name == "waitid");
        // A core is dumped or not, as the system is set up.
        let code = if info.si_code == libc::CLD_DUMPED {
            libc::CLD_KILLED
        } else {
            info.si_code
        };
        let is_told = result > 0 || (name == "waitid" && info.si_pid != 0);
        if is_told && status != -1 {
            self.tell(&format!("status {:x}", status & !0x80));
        }
        if is_described {
            let line = format!("{} {code} {:x}", info.si_signo, info.si_status & !0x80);
            self.tell(&line);
        }
        if is_told { 1 } else { result }
    }
}

fn fork(fuzz: &mut Fuzz, name: &'static str) {
    if fuzz.depth >= MOST_DEPTH {
        return;
    }
    let ends = [
        End::Exit(0),
        End::Exit(7),
        End::Exit(255),
        End::Signal(libc::SIGTERM),
        End::Signal(libc::SIGKILL),
        End::Told,
        End::Killed,
    ];
    let mut end = fuzz.random.of(&ends);
    let is_killing = std::env::var("JAILRUN_KILL_CHILDREN").is_ok();
    if matches!(end, End::Killed) && !is_killing {
        end = End::Told;
    }
    let ways = [
        "waitpid", "_waitpid", "wait4", "_wait4", "wait6", "_wait6", "waitid",
    ];
    let mut way = fuzz.random.of(&ways);
    let is_any = !fuzz.is_thread && fuzz.random.once_in(3);
    if is_any {
        way = fuzz
            .random
            .of(&["wait", "wait3", "wait4", "waitpid", "wait6", "waitid"]);
    }
    let started = fuzz.child(name, end);
    if started.pid < 0 {
        return fuzz.tell("no child");
    }
    let (child, to) = (started.pid, started.to);
    let wanted = if is_any { -1 } else { child };
    if matches!(end, End::Told | End::Killed) {
        let other = fuzz.random.of(&["waitpid", "wait4", "wait6", "waitid"]);
        fuzz.wait_by(other, wanted, libc::WNOHANG);
    }
    if matches!(end, End::Killed) {
        let call: unsafe extern "C" fn(c_int, c_int) -> c_int = function("kill");
        let signal = fuzz.random.of(&[libc::SIGTERM, libc::SIGKILL]);
        fuzz.call("kill", "child 0", || unsafe { call(child, 0) }.into());
        fuzz.call("kill", &format!("child {signal}"), || {
            unsafe { call(child, signal) }.into()
        });
    }
    if matches!(end, End::Told) && fuzz.random.once_in(2) {
        unsafe { libc::write(to, c"x".as_ptr().cast(), 1) };
    }
    end_telling(to);
    if fuzz.wait_by(way, wanted, 0) <= 0 {
        fuzz.tell("the child was not waited for");
    }
    fuzz.hear(&started);
}

/// Without a child, or for one that isn't.
fn wait(fuzz: &mut Fuzz, name: &'static str) {
    let is_any = !fuzz.is_thread || matches!(name, "wait" | "wait3");
    // Our own number is nobody's child.
    let child = if is_any {
        -1
    } else {
        unsafe { libc::getpid() }
    };
    let options = fuzz.random.of(&[0, libc::WNOHANG]);
    fuzz.wait_by(name, child, options);
}

fn kill(fuzz: &mut Fuzz, name: &'static str) {
    let signal = fuzz.random.of(&[0, libc::SIGUSR1, libc::SIGUSR1, 999, -1]);
    let call: unsafe extern "C" fn(c_int, c_int) -> c_int = function(name);
    let own = unsafe { libc::getpid() };
    fuzz.call(name, &format!("itself {signal}"), || {
        unsafe { call(own, signal) }.into()
    });
    if !fuzz.is_thread {
        let line = format!("caught {}", SIGNALS.swap(0, Ordering::Relaxed));
        fuzz.tell(&line);
    }
}

fn setpgid(fuzz: &mut Fuzz, name: &'static str) {
    let call: unsafe extern "C" fn(c_int, c_int) -> c_int = function(name);
    fuzz.call(name, "0 0", || unsafe { call(0, 0) }.into());
}
