//! Programs: executed by path, by descriptor, and as libc starts them for others.

use super::paths::Name;
use super::{Fuzz, Op, Words, function, process_op, slow};
use std::ffi::{CString, c_char, c_int};
use std::ptr::{null, null_mut};

type Strings = *const *const c_char;
type Execve = unsafe extern "C" fn(*const c_char, Strings, Strings) -> c_int;
type Fexecve = unsafe extern "C" fn(c_int, Strings, Strings) -> c_int;

pub const OPS: &[Op] = &[
    slow(process_op(&["execve", "_execve"], 2, execve)),
    slow(process_op(&["fexecve", "_fexecve"], 2, fexecve)),
    // Made of them, and of rfork_thread, by libc.
    slow(process_op(&["posix_spawn", "posix_spawnp"], 2, spawn)),
    slow(process_op(&["system"], 1, system)),
    slow(process_op(&["dlopen"], 2, dlopen)),
];

unsafe extern "C" {
    fn posix_spawn_file_actions_addchdir_np(
        actions: *mut libc::posix_spawn_file_actions_t,
        path: *const c_char,
    ) -> c_int;
}

impl Fuzz {
    /// Mostly one that there is. Scripts are made as they are asked for.
    fn program(&mut self) -> Name {
        let script = match self.random.next(9) {
            0 => return Name::new("/bin/echo"),
            1 => return Name::new("/ro/../bin/./echo"),
            2 => return Name::new("/ro/echo"),
            3..=5 => {
                let path = self.path();
                let may = |access| unsafe { libc::eaccess(path.pointer(), access) } == 0;
                // See `excuses`.
                let is_only_executed = may(libc::X_OK) && !may(libc::R_OK);
                return if is_only_executed {
                    Name::new("/none")
                } else {
                    path
                };
            }
            6 => "#!/bin/sh\necho script $0 $1; pwd\n",
            7 => "#! /ro/echo  with one argument \n",
            _ => "#!/none\n",
        };
        let path = Name::new(&format!("/g1/{}/script", self.top));
        let mode: c_int = self.random.of(&[0o755, 0o755, 0o711, 0o600]);
        unsafe {
            libc::unlink(path.pointer());
            let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
            let fd = libc::open(path.pointer(), flags, mode);
            libc::write(fd, script.as_ptr().cast(), script.len());
            libc::close(fd);
        }
        path
    }

    fn words(&mut self) -> Vec<&'static str> {
        let words = ["zero", "one", "", "a b", "-x"];
        let count = self.random.next(4);
        (0..=count).map(|_| self.random.of(&words)).collect()
    }

    /// In a child, which says itself what failed.
    fn in_child(&mut self, name: &'static str, act: impl FnOnce(&mut Self)) {
        self.flush();
        let child = unsafe { libc::fork() };
        if child == 0 {
            self.counts.clear();
            act(self);
            self.sum_up();
            self.flush();
            unsafe { libc::_exit(99) };
        }
        let mut status = 0;
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        self.tell(&format!("{} {status:x}", waited == child));
        // One that works says nothing of itself.
        self.counts.entry(name).or_default()[0] += u64::from(status != 99 << 8);
    }
}

fn execve(fuzz: &mut Fuzz, name: &'static str) {
    let (path, words) = (fuzz.program(), fuzz.words());
    let (argv, envp) = (Words::new(&words), Words::new(&["X=1", "PATH=/bin"]));
    let is_bare = fuzz.random.once_in(15);
    let none = [null()];
    let argv = if is_bare { none.as_ptr() } else { argv.start() };
    let call: Execve = function(name);
    fuzz.in_child(name, |fuzz| {
        let what = format!("{path} {words:?} {is_bare}");
        fuzz.call(name, &what, || {
            unsafe { call(path.pointer(), argv, envp.start()) }.into()
        });
    });
}

fn fexecve(fuzz: &mut Fuzz, name: &'static str) {
    let path = fuzz.program();
    let words = fuzz.words();
    let (argv, envp) = (Words::new(&words), Words::new(&["X=1"]));
    let fd = unsafe { libc::open(path.pointer(), libc::O_RDONLY | libc::O_NONBLOCK) };
    let mut head = [0_u8; 2];
    unsafe { libc::pread(fd, head.as_mut_ptr().cast(), 2, 0) };
    // A script by descriptor is said to be impossible.
    let is_script = &head == b"#!";
    let call: Fexecve = function(name);
    if !is_script {
        fuzz.in_child(name, |fuzz| {
            let what = format!("{path} {words:?}");
            fuzz.call(name, &what, || {
                unsafe { call(fd, argv.start(), envp.start()) }.into()
            });
        });
    }
    unsafe { libc::close(fd) };
}

fn spawn(fuzz: &mut Fuzz, name: &'static str) {
    type Call = unsafe extern "C" fn(
        *mut c_int,
        *const c_char,
        *const libc::posix_spawn_file_actions_t,
        *const libc::posix_spawnattr_t,
        Strings,
        Strings,
    ) -> c_int;
    let path = fuzz.program();
    if path.pointer().is_null() || (name == "posix_spawnp" && !path.text().contains('/')) {
        return;
    }
    let (directory, words) = (fuzz.path(), fuzz.words());
    let (argv, envp) = (Words::new(&words), Words::new(&["X=1"]));
    let output = CString::new(format!("/g2/{}/spawned", fuzz.top)).unwrap();
    let is_moved = fuzz.random.once_in(3) && !directory.text().is_empty();
    let mut actions: libc::posix_spawn_file_actions_t = null_mut();
    unsafe {
        libc::posix_spawn_file_actions_init(&raw mut actions);
        if is_moved {
            posix_spawn_file_actions_addchdir_np(&raw mut actions, directory.pointer());
        }
        let flags = libc::O_WRONLY | libc::O_CREAT;
        libc::posix_spawn_file_actions_addopen(&raw mut actions, 7, output.as_ptr(), flags, 0o600);
    }
    fuzz.flush();
    let call: Call = function(name);
    let (mut child, what) = (0, format!("{path} {is_moved} {directory} {words:?}"));
    let result = fuzz.record(
        name,
        &what,
        || {
            unsafe {
                call(
                    &raw mut child,
                    path.pointer(),
                    &raw const actions,
                    null(),
                    argv.start(),
                    envp.start(),
                )
            }
            .into()
        },
        |result| result,
    );
    unsafe { libc::posix_spawn_file_actions_destroy(&raw mut actions) };
    if result == 0 {
        // What it says comes before what is said of it.
        let mut status = 0;
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        fuzz.tell(&format!("{} {status:x}", waited == child));
    }
}

fn system(fuzz: &mut Fuzz, name: &'static str) {
    let commands = [
        c"pwd; exit 3",
        c"cd /ro/into && pwd -P; echo $0",
        c"none",
        c"ls -d /g1 . | sort; cat /ro/abs/deep/file",
        c"echo text >/ro/x; echo $?; echo text >/g2/x && cat /g2/x",
    ];
    let command = fuzz.random.of(&commands);
    fuzz.flush();
    let call: unsafe extern "C" fn(*const c_char) -> c_int = function(name);
    fuzz.call(name, &format!("{command:?}"), || {
        unsafe { call(command.as_ptr()) }.into()
    });
}

fn dlopen(fuzz: &mut Fuzz, name: &'static str) {
    let path = match fuzz.random.next(8) {
        0..=2 => fuzz.path(),
        3 => Name::new("/lib/libm.so.5"),
        4 => Name::new("libz.so.6"),
        5 => Name::new("/ro/libz.so"),
        6 => Name::new("none.so"),
        _ => Name::new("/ro/../lib/./libmd.so.6"),
    };
    let call: unsafe extern "C" fn(*const c_char, c_int) -> super::Anything = function(name);
    // What isn't found is told by another function: errno is nobody's.
    if super::opening::kind(&path) == libc::S_IFIFO {
        return;
    }
    let mut handle = null_mut();
    fuzz.call(name, &path.to_string(), || {
        handle = unsafe { call(path.pointer(), libc::RTLD_NOW) };
        super::set_errno(super::UNTOUCHED);
        if handle.is_null() { -1 } else { 0 }
    });
    if !handle.is_null() {
        unsafe { libc::dlclose(handle) };
    }
}
