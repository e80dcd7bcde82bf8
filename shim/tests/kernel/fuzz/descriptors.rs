//! Numbers of descriptors: copied, closed one by one and all at once. The launcher's are never met.

use super::{CLOSED, Fuzz, Op, function, op, process_op};
use std::ffi::{c_int, c_long};

pub const OPS: &[Op] = &[
    op(&["close", "_close"], 12, close),
    process_op(&["closefrom"], 1, closefrom),
    process_op(&["close_range", "_close_range"], 2, close_range),
    process_op(&["dup2", "_dup2"], 8, dup2),
    op(&["fcntl", "_fcntl"], 16, fcntl),
    op(&["dup", "_dup"], 6, dup),
];

impl Fuzz {
    /// One that is open or isn't.
    fn any_fd(&mut self) -> c_int {
        match self.random.next(8) {
            0 => -1,
            1 => CLOSED,
            2 => 1,
            _ if self.held.is_empty() => CLOSED,
            _ => {
                let index = self.random.next(self.held.len());
                self.held[index].fd
            }
        }
    }

    fn shown(&self, fd: c_int) -> c_int {
        if self.is_thread { fd.signum() } else { fd }
    }

    /// Another descriptor of the same.
    fn copied(&mut self, from: c_int, to: c_int) {
        if to < 0 || to == from {
            return;
        }
        let path = self.held.iter().find(|held| held.fd == from);
        let path = path.map(|held| held.path.clone());
        self.held.retain(|held| held.fd != to);
        self.hold(to, path);
    }
}

fn close(fuzz: &mut Fuzz, name: &'static str) {
    let fd = fuzz.any_fd();
    if fd == 1 {
        return;
    }
    let call: unsafe extern "C" fn(c_int) -> c_int = function(name);
    let shown = fuzz.shown(fd).to_string();
    fuzz.call(name, &shown, || unsafe { call(fd) }.into());
    fuzz.held.retain(|held| held.fd != fd);
}

impl Fuzz {
    fn forget_descriptors(&mut self) {
        self.held.clear();
        self.listeners.clear();
        self.notify = -1;
    }
}

fn closefrom(fuzz: &mut Fuzz, name: &'static str) {
    let low = fuzz.random.of(&[3, 3, 4]);
    if low == 4 {
        unsafe { libc::close(3) };
    }
    let call: unsafe extern "C" fn(c_int) = function(name);
    fuzz.call(name, &low.to_string(), || {
        unsafe { call(low) };
        0
    });
    fuzz.forget_descriptors();
}

fn close_range(fuzz: &mut Fuzz, name: &'static str) {
    const CLOEXEC: c_int = 1 << 2;
    let ends = [
        (3, u32::MAX),
        (3, 899),
        (3, 2000),
        (3, 400),
        (9, 3),
        (890, 950),
    ];
    let ((low, high), flags) = (fuzz.random.of(&ends), fuzz.random.of(&[0, 0, CLOEXEC, 1]));
    let call: unsafe extern "C" fn(u32, u32, c_int) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{low} {high} {flags}"), || {
        unsafe { call(low, high, flags) }.into()
    });
    if result == 0 && flags == 0 && low == 3 {
        // Copies lie higher.
        unsafe { libc::close_range(3, 890, 0) };
        fuzz.forget_descriptors();
    }
}

fn dup2(fuzz: &mut Fuzz, name: &'static str) {
    // Where nothing is, or what the process has, but not its output.
    let from = fuzz.any_fd();
    let to = fuzz.random.of(&[300, 301, 310, 850, -1, 12, 14]);
    if fuzz.listeners.contains(&to) || fuzz.notify == to {
        return;
    }
    let call: unsafe extern "C" fn(c_int, c_int) -> c_int = function(name);
    let result = fuzz.call(name, &format!("{from} {to}"), || {
        unsafe { call(from, to) }.into()
    });
    fuzz.copied(from, result as c_int);
}

fn fcntl(fuzz: &mut Fuzz, name: &'static str) {
    let from = fuzz.any_fd();
    let (least, one) = (fuzz.random.of(&[0, 3, 20, 320, 700]), 1);
    let (command, argument): (c_int, c_long) = fuzz.random.of(&[
        (libc::F_DUPFD, least),
        (libc::F_DUPFD, least),
        (libc::F_DUPFD_CLOEXEC, least),
        (libc::F_DUPFD, -1),
        (libc::F_GETFD, 0),
        (libc::F_SETFD, one),
        (libc::F_GETFL, 0),
        (libc::F_SETFL, c_long::from(libc::O_NONBLOCK)),
        (999, 0),
    ]);
    // Its output stays as it is.
    if from == 1 && matches!(command, libc::F_SETFL | libc::F_SETFD) {
        return;
    }
    let call: unsafe extern "C" fn(c_int, c_int, ...) -> c_int = function(name);
    let what = format!("{} {command} {argument}", fuzz.shown(from));
    let result = fuzz.call_for_fd(name, &what, || {
        unsafe { call(from, command, argument) }.into()
    });
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        fuzz.copied(from, result);
    }
}

fn dup(fuzz: &mut Fuzz, name: &'static str) {
    let from = fuzz.any_fd();
    let call: unsafe extern "C" fn(c_int) -> c_int = function(name);
    let what = fuzz.shown(from).to_string();
    let to = fuzz.call_for_fd(name, &what, || unsafe { call(from) }.into());
    fuzz.copied(from, to);
}
