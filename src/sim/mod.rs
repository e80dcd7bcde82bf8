//! `Sim`, the simulated kernel: a world of files, mounts, jails and processes that obeys FreeBSD's
//! rules, keeps a list of every call, and can be told to fail, kill or be tampered with at any of them.
//! Each simulated process is a thread, of which one runs at a time, so a run repeats exactly.

#![forbid(unsafe_code)]

mod attack;
mod calls;
mod capability;
mod descriptors;
mod differences;
pub mod errnos;
mod executed;
mod faults;
mod files;
pub mod fuzz;
mod host;
mod identity;
pub mod image;
mod jails;
mod listeners;
mod lookup;
mod mounts;
mod pkg;
mod process;
mod processors;
mod sockets;
pub mod sweep;
mod terminals;
mod trace;
mod words;
mod world;

pub use faults::{Faults, Meddler};
pub use pkg::Installed;
pub use trace::Trace;
pub use world::{
    Behaviour, Credentials, Description, Descriptor, Executed, Inode, Jail, Mount, Place, Process,
    ROOT, World,
};

use crate::kernel::{Ending, Errno, Failure, Ids, Outcome, signal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use world::{Refusal, Res, State, Wait};

/// What descriptor 0, 1 or 2 is at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFd {
    Closed,
    Null,
    Pipe,
    Terminal,
    Directory(String),
    /// One of a pair of local sockets whose other end is elsewhere.
    Socket,
}

/// The state that a set-user-ID start leaves a process in: the caller's real ids, effective uid 0.
#[derive(Clone, Debug)]
pub struct Start {
    pub real_uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub fds: [StartFd; 3],
    pub cwd: String,
}

impl Start {
    pub fn root() -> Start {
        Start::user(0, 0)
    }

    pub fn user(real_uid: u32, gid: u32) -> Start {
        let fds = [StartFd::Null, StartFd::Pipe, StartFd::Pipe];
        Start {
            real_uid,
            gid,
            groups: vec![gid],
            fds,
            cwd: "/".into(),
        }
    }
}

/// One call as it was made. A call that a kill swallowed has `ESRCH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub number: u64,
    pub pid: i32,
    pub name: &'static str,
    pub detail: String,
    pub refused: Option<Errno>,
}

/// What a run leaves.
#[derive(Debug)]
pub struct Report {
    pub world: World,
    pub pid: i32,
    pub ending: Ending,
    pub calls: Vec<Call>,
    /// Processes that waited for what could never happen (their call failed with EDEADLK).
    pub stuck: Vec<i32>,
}

impl Report {
    /// A call as a line of its own; what is unmounted is called by its place.
    pub fn line(&self, call: &Call) -> String {
        let fsid = call.detail.strip_prefix("FSID:").unwrap_or_default();
        let id = fsid.split(':').next().and_then(|id| id.parse().ok());
        let place = id.and_then(|id: i32| self.world.mounted.get(&id));
        match (call.name, place) {
            ("unmount", Some(place)) => format!("unmount({}, {place})", call.detail),
            (name, _) => format!("{name}({})", call.detail),
        }
    }
}

#[derive(Default)]
struct Stage {
    world: World,
    calls: Vec<Call>,
    faults: Faults,
    threads: Vec<JoinHandle<()>>,
}

struct Theatre {
    stage: Mutex<Stage>,
    turn: Condvar,
}

impl Theatre {
    fn enter(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until it's this process's turn, or it is one no more.
    fn wait_turn<'a>(&self, mut stage: MutexGuard<'a, Stage>, pid: i32) -> MutexGuard<'a, Stage> {
        while stage.world.is_running(pid) && stage.world.current != pid {
            stage = self
                .turn
                .wait(stage)
                .unwrap_or_else(PoisonError::into_inner);
        }
        stage
    }

    /// What others do right before a call.
    fn interfere<'a>(
        &self,
        mut stage: MutexGuard<'a, Stage>,
        pid: i32,
        number: u64,
    ) -> MutexGuard<'a, Stage> {
        let gives_way = stage.faults.alternates || stage.faults.give_way.contains(&number);
        if gives_way && stage.world.give_way(pid) {
            self.turn.notify_all();
            stage = self.wait_turn(stage, pid);
        }
        if let Some(meddler) = stage.faults.meddle.get(&number).cloned() {
            meddler(&mut stage.world);
        }
        if stage.faults.kill.contains(&number) {
            stage.world.end(pid, Ending::Signalled(signal::KILL));
        }
        stage
    }

    /// Passes the turn on if whose it is can't use it.
    fn pass(&self, stage: &mut Stage) {
        let current = stage.world.current;
        let runs = stage
            .world
            .processes
            .get(&current)
            .is_some_and(|process| process.state == State::Ready);
        if !runs {
            stage.world.schedule();
            self.turn.notify_all();
        }
    }

    fn finish(&self, pid: i32, ending: Ending) {
        let mut stage = self.enter();
        if stage.world.is_running(pid) {
            stage.world.end(pid, ending);
        }
        self.pass(&mut stage);
    }
}

/// The kernel as one simulated process sees it.
pub struct Sim {
    theatre: Arc<Theatre>,
    pid: i32,
    /// A killed process sees hours pass at each look, so that no wait of it is long.
    ghost_ms: u64,
}

impl Sim {
    /// Runs `main` as the first process, and its descendants, to the end.
    pub fn run<M>(mut world: World, start: &Start, faults: Faults, main: M) -> Report
    where
        M: FnOnce(&mut Sim) -> i32,
    {
        let pid = world.process_start(start);
        world.current = pid;
        let stage = Stage {
            world,
            faults,
            ..Stage::default()
        };
        let theatre = Arc::new(Theatre {
            stage: Mutex::new(stage),
            turn: Condvar::new(),
        });
        let mut sim = Sim {
            theatre: Arc::clone(&theatre),
            pid,
            ghost_ms: 0,
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| main(&mut sim)));
        let ending = result
            .as_ref()
            .map_or(Ending::Signalled(signal::ABRT), |code| {
                Ending::Exited(code & 0xff)
            });
        theatre.finish(pid, ending);
        loop {
            let Some(thread) = theatre.enter().threads.pop() else {
                break;
            };
            // A thread's panic became its process's SIGABRT.
            let _ = thread.join();
        }
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
        let mut stage = theatre.enter();
        stage.world.schedule();
        let stage = std::mem::take(&mut *stage);
        let ending = stage.world.endings.get(&pid).copied().unwrap_or(ending);
        let stuck = stage.world.stuck.clone();
        Report {
            world: stage.world,
            pid,
            ending,
            calls: stage.calls,
            stuck,
        }
    }

    /// One call: counted, tampered with, done, written down.
    fn call<T>(
        &mut self,
        name: &'static str,
        detail: impl FnOnce() -> String,
        act: impl FnOnce(&mut World, i32) -> Res<T>,
    ) -> Outcome<T> {
        let mut act = Some(act);
        let done = move |world: &mut World, pid: i32| match act.take() {
            Some(act) => act(world, pid).map(Some),
            None => Err(Errno::EDEADLK.into()),
        };
        self.blocking(name, detail, |_, _| Ok((Wait::Time, None)), done)
    }

    /// A call that may have to wait: `act` gives `None` until there is something.
    fn blocking<T>(
        &mut self,
        name: &'static str,
        detail: impl FnOnce() -> String,
        wait: impl FnOnce(&World, i32) -> Res<(Wait, Option<u64>)>,
        mut act: impl FnMut(&mut World, i32) -> Res<Option<T>>,
    ) -> Outcome<T> {
        let theatre = Arc::clone(&self.theatre);
        let pid = self.pid;
        let mut stage = theatre.wait_turn(theatre.enter(), pid);
        if !stage.world.is_running(pid) {
            return Err(killed(name));
        }
        let number = stage.calls.len() as u64 + 1;
        stage.calls.push(Call {
            number,
            pid,
            name,
            detail: detail(),
            refused: Some(Errno::ESRCH),
        });
        stage = theatre.interfere(stage, pid, number);
        if !stage.world.is_running(pid) {
            theatre.pass(&mut stage);
            return Err(killed(name));
        }
        let failing = stage.faults.fail.get(&number).copied();
        let mut result = match failing {
            Some(errno) if name != "close" => Err(errno.into()),
            Some(errno) => act(&mut stage.world, pid).and(Err(errno.into())),
            None => stage.world.allowed(pid, name, &mut act),
        };
        if let Ok(None) = result {
            match wait(&stage.world, pid) {
                Ok((wait, deadline)) => {
                    let deadlocks = deadlocks(&stage.world, pid);
                    stage.world.block(pid, wait, deadline);
                    stage.world.schedule();
                    theatre.turn.notify_all();
                    stage = theatre.wait_turn(stage, pid);
                    if stage.world.is_running(pid) {
                        result = match act(&mut stage.world, pid) {
                            Ok(None) if deadlocks < self::deadlocks(&stage.world, pid) => {
                                Err(Errno::EDEADLK.into())
                            }
                            other => other,
                        };
                    }
                }
                Err(refusal) => result = Err(refusal),
            }
        }
        if stage.faults.kill_after.contains(&number) {
            stage.world.end(pid, Ending::Signalled(signal::KILL));
        }
        let refused = result.as_ref().err().map(|refusal| refusal.0);
        let is_alive = stage.world.is_running(pid)
            || stage
                .world
                .processes
                .get(&pid)
                .is_some_and(Process::is_program);
        if let Some(call) = stage
            .calls
            .get_mut(usize::try_from(number - 1).unwrap_or(usize::MAX))
        {
            call.refused = if is_alive || refused.is_some() {
                refused
            } else {
                None
            };
        }
        theatre.pass(&mut stage);
        if !is_alive {
            return Err(killed(name));
        }
        match result {
            Ok(Some(value)) => Ok(value),
            // Its time is over: the caller of `blocking` sees EAGAIN and knows what it means there.
            Ok(None) => Err(Failure::new(name, TIME_OVER)),
            Err(Refusal(errno, text)) => Err(Failure {
                call: name,
                errno,
                text,
            }),
        }
    }
}

/// Never leaves the simulator.
const TIME_OVER: Errno = Errno(-1);

fn deadlocks(world: &World, pid: i32) -> u32 {
    world
        .processes
        .get(&pid)
        .map_or(0, |process| process.deadlocked)
}

fn killed(call: &'static str) -> Failure {
    Failure {
        call,
        errno: Errno::ESRCH,
        text: "killed".into(),
    }
}

impl World {
    /// A process as execve of a set-user-ID jailrun leaves it.
    fn process_start(&mut self, start: &Start) -> i32 {
        self.next_pid += 1;
        let pid = self.next_pid;
        self.order = self.stops_when_idle.then_some(pid);
        let process = Process {
            pid,
            parent: 1,
            reaper: 1,
            is_reaper: false,
            credentials: Credentials {
                uid: Ids {
                    real: start.real_uid,
                    effective: 0,
                    saved: 0,
                },
                gid: Ids::all(start.gid),
                groups: start.groups.clone(),
            },
            fds: BTreeMap::new(),
            cwd: self.place_at(&start.cwd).unwrap_or(ROOT),
            root: ROOT,
            jail: None,
            umask: 0o022,
            session: 1,
            login: String::new(),
            login_class: "staff".into(),
            nice: 0,
            fib: 0,
            signals_blocked: false,
            signals_ignored: BTreeSet::from([signal::PIPE]),
            signals_pending: BTreeSet::new(),
            limits: BTreeMap::new(),
            trace: None,
            procctls: BTreeSet::new(),
            in_capability_mode: false,
            program: None,
            began_ms: 0,
            behaviour: Behaviour::UntilSignal,
            acts_at: None,
            dies_at: None,
            state: State::Ready,
            deadlocked: 0,
        };
        self.processes.insert(pid, process);
        for (number, kind) in (0..).zip(&start.fds) {
            let description = match kind {
                StartFd::Closed => continue,
                StartFd::Pipe => Some(Description::Pipe),
                StartFd::Terminal => Some(Description::Terminal),
                StartFd::Socket => Some(Description::end(false, None)),
                StartFd::Null => self.opened("/dev/null"),
                StartFd::Directory(path) => self.opened(path),
            };
            let id = self.fresh();
            self.descriptions
                .insert(id, description.unwrap_or(Description::Pipe));
            let descriptor = Descriptor {
                description: id,
                cloexec: false,
                rights: None,
            };
            if let Some(process) = self.processes.get_mut(&pid) {
                process.fds.insert(number, descriptor);
            }
        }
        pid
    }

    fn opened(&self, path: &str) -> Option<Description> {
        let place = self.place_at(path)?;
        let (directory, name) = path.rsplit_once('/')?;
        let parent = self.place_at(if directory.is_empty() { "/" } else { directory })?;
        Some(Description::Vnode {
            place,
            parent,
            name: name.into(),
            offset: 0,
            readable: true,
            writable: true,
            appends: false,
        })
    }
}
