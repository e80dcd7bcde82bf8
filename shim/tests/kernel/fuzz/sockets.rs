//! Local sockets by name.

use super::{CLOSED, Fuzz, Op, function, op};
use libc::{AF_UNIX, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM, sockaddr, sockaddr_un, socklen_t};
use std::ffi::c_int;
use std::mem::offset_of;

type Call = unsafe extern "C" fn(c_int, *const sockaddr, socklen_t) -> c_int;

pub const OPS: &[Op] = &[
    op(&["bind", "_bind"], 8, bind),
    op(&["connect", "_connect"], 8, connect),
];

const MOST: usize = 4;

/// A thread closes none: who still listens would be up to what other threads' children have of it.
const MOST_OF_A_THREAD: usize = 40;

impl Fuzz {
    fn no_socket(&mut self) -> c_int {
        let directory = self.held.first().map_or(CLOSED, |held| held.fd);
        self.random.of(&[-1, 1, CLOSED, directory])
    }

    /// Whether it was made for one call.
    fn is_new_socket(&self, socket: c_int) -> bool {
        let is_held = self.held.iter().any(|held| held.fd == socket);
        socket > 2 && socket != CLOSED && !is_held && !self.listeners.contains(&socket)
    }

    /// An address with this name; the length may count a NUL, or leave half of the name out.
    fn address(&mut self) -> Option<(sockaddr_un, socklen_t, String)> {
        let path = self.path();
        let mut address: sockaddr_un = unsafe { std::mem::zeroed() };
        let text = path.text();
        if path.pointer().is_null() || text.len() >= address.sun_path.len() {
            return None;
        }
        for (to, from) in address.sun_path.iter_mut().zip(text.bytes()) {
            *to = from.cast_signed();
        }
        address.sun_family = AF_UNIX as u8;
        let start = offset_of!(sockaddr_un, sun_path);
        let length = match self.random.next(5) {
            0 => start + text.len() + 1,
            1 => size_of::<sockaddr_un>(),
            // See `excuses`.
            2 if !text.starts_with("/lib") => start + text.len() / 2,
            _ => start + text.len(),
        };
        address.sun_len = length as u8;
        Some((address, length as socklen_t, format!("{path} {length}")))
    }
}

fn bind(fuzz: &mut Fuzz, name: &'static str) {
    let Some((address, length, what)) = fuzz.address() else {
        return;
    };
    let kind = fuzz.random.of(&[SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM]);
    let socket = match fuzz.random.next(8) {
        // What is bound, and what is no socket.
        0 if !fuzz.listeners.is_empty() => fuzz.listeners[0],
        1 => fuzz.no_socket(),
        _ if fuzz.is_thread && fuzz.listeners.len() >= MOST_OF_A_THREAD => fuzz.listeners[0],
        _ => unsafe { libc::socket(AF_UNIX, kind | SOCK_NONBLOCK, 0) },
    };
    let call: Call = function(name);
    let result = fuzz.call(name, &what, || {
        unsafe { call(socket, (&raw const address).cast(), length) }.into()
    });
    if result == 0 {
        unsafe { libc::listen(socket, 8) };
        fuzz.listeners.push(socket);
        fuzz.bound.push((address, length, what));
    } else if fuzz.is_new_socket(socket) {
        unsafe { libc::close(socket) };
    }
    if fuzz.bound.len() > MOST {
        fuzz.bound.remove(0);
    }
    if !fuzz.is_thread && fuzz.listeners.len() > MOST {
        let oldest = fuzz.listeners.remove(0);
        unsafe { libc::close(oldest) };
    }
}

fn connect(fuzz: &mut Fuzz, name: &'static str) {
    let Some(any) = fuzz.address() else {
        return;
    };
    // By chance alone it is hardly ever one where somebody listens.
    let (address, length, what) = match fuzz.random.next(2) {
        0 => fuzz.bound.last().cloned().unwrap_or(any),
        _ => any,
    };
    let kind = fuzz.random.of(&[SOCK_STREAM, SOCK_STREAM, SOCK_DGRAM]);
    let socket = match fuzz.random.next(8) {
        0 => fuzz.no_socket(),
        _ => unsafe { libc::socket(AF_UNIX, kind | SOCK_NONBLOCK, 0) },
    };
    let call: Call = function(name);
    fuzz.call(name, &what, || {
        unsafe { call(socket, (&raw const address).cast(), length) }.into()
    });
    if fuzz.is_new_socket(socket) {
        unsafe { libc::close(socket) };
    }
}
