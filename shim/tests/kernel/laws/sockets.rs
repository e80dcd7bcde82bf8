//! Local sockets by names that are short, in a directory whose own isn't.

use super::super::subject::say;
use super::super::subject::sockets::local_address;
use super::{c, go, make_directory, make_link};
use libc::{AF_UNIX, SOCK_DGRAM, SOCK_STREAM};
use std::ffi::c_int;

fn socket(kind: c_int) -> c_int {
    let socket = unsafe { libc::socket(AF_UNIX, kind, 0) };
    assert!(socket >= 0);
    socket
}

fn bind(socket: c_int, path: &str) {
    let (address, length) = local_address(path);
    say(&format!("bind {path}"), unsafe {
        libc::bind(socket, (&raw const address).cast(), length)
    });
}

fn connect(what: &str, socket: c_int, path: &str) {
    let (address, length) = local_address(path);
    say(&format!("connect {what} {path}"), unsafe {
        libc::connect(socket, (&raw const address).cast(), length)
    });
}

pub fn deep() {
    let names = ["d".repeat(60), "e".repeat(60)];
    let deep = format!("/g1/t0/{}/{}", names[0], names[1]);
    make_directory(&format!("/g1/t0/{}", names[0]));
    make_directory(&deep);
    go(&deep);
    let listener = socket(SOCK_STREAM);
    bind(listener, "b");
    unsafe { libc::listen(listener, 8) };
    bind(listener, "again");
    bind(listener, "none/again");
    bind(socket(SOCK_STREAM), "b");
    let renamed = socket(SOCK_STREAM);
    bind(renamed, "../beside");
    unsafe { libc::listen(renamed, 8) };
    bind(socket(SOCK_STREAM), "./././here");
    make_link("b", "relative");
    make_link(&format!("{deep}/b"), "absolute");
    let long = format!("/g1/t0/{}", "l".repeat(200));
    make_link(&long, "long");
    connect("new", socket(SOCK_STREAM), "long");
    say("rename", unsafe {
        libc::rename(c"../beside".as_ptr(), c(&long).as_ptr())
    });
    connect("renamed", socket(SOCK_STREAM), "long");
    let connected = socket(SOCK_STREAM);
    connect("new", connected, "b");
    connect("again", connected, "none/b");
    for name in [
        "relative", "absolute", "none", "none/b", "b/", "b/c", ".", "..", "/",
    ] {
        connect("new", socket(SOCK_STREAM), name);
    }
    connect("a listener", listener, "none/b");
    connect("none", -1, "none/b");
    connect("a file", 1, "none/b");
    let receiver = socket(SOCK_DGRAM);
    bind(receiver, "datagrams");
    let sender = socket(SOCK_DGRAM);
    connect("datagram", sender, "datagrams");
    say(
        "send",
        unsafe { libc::send(sender, c"x".as_ptr().cast(), 1, 0) } as i64,
    );
    connect("datagram", sender, "none/d");
    say(
        "send",
        unsafe { libc::send(sender, c"x".as_ptr().cast(), 1, 0) } as i64,
    );
}

/// The kernel takes no longer one, though it would fit into what a length can say.
pub fn longer() {
    go("/g1/t0");
    let mut address = [b'x'; 150];
    (address[0], address[1]) = (150, AF_UNIX as u8);
    let socket = socket(SOCK_STREAM);
    for length in [106, 107, 150] {
        say(&format!("bind {length}"), unsafe {
            libc::bind(socket, address.as_ptr().cast(), length)
        });
        say(&format!("connect {length}"), unsafe {
            libc::connect(socket, address.as_ptr().cast(), length)
        });
    }
}
