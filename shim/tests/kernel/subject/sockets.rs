//! Local sockets by name, and a server as they are written.

use super::{c, errno, say, stat_of};
use std::ffi::c_int;
use std::ptr::null_mut;

unsafe extern "C" {
    fn closefrom(low: c_int);
}

pub fn local_address(path: &str) -> (libc::sockaddr_un, u32) {
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u8;
    for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
        *to = from.cast_signed();
    }
    (address, (2 + path.len()) as u32)
}

pub fn sockets(place: &str) {
    say("chdir", unsafe { libc::chdir(c(place).as_ptr()) });
    for (name, path) in [
        ("absolute", format!("{place}/s1")),
        ("relative", "s2".to_string()),
        ("none", "none/s".into()),
    ] {
        let (address, length) = local_address(&path);
        let address = (&raw const address).cast::<libc::sockaddr>();
        let server = say("socket", unsafe {
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
        }) as c_int;
        let client = say("socket", unsafe {
            libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)
        }) as c_int;
        say(&format!("connect {name}"), unsafe {
            libc::connect(client, address, length)
        });
        say(&format!("bind {name}"), unsafe {
            libc::bind(server, address, length)
        });
        say("bind twice", unsafe {
            let other = libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0);
            let result = libc::bind(other, address, length);
            let errno = errno();
            libc::close(other);
            if result < 0 { -i64::from(errno) } else { 0 }
        });
        say("connect", unsafe { libc::connect(client, address, length) });
        say("listen", unsafe { libc::listen(server, 5) });
        say("connect", unsafe { libc::connect(client, address, length) });
        let accepted = say("accept", unsafe {
            libc::fcntl(server, libc::F_SETFL, libc::O_NONBLOCK);
            libc::accept(server, null_mut(), null_mut())
        }) as c_int;
        say(
            "send",
            unsafe { libc::send(client, b"hello".as_ptr().cast(), 5, 0) } as i64,
        );
        let mut got = [0_u8; 8];
        say(
            "recv",
            unsafe { libc::recv(accepted, got.as_mut_ptr().cast(), 8, 0) } as i64,
        );
        stat_of(&path);
        for fd in [server, client, accepted] {
            unsafe { libc::close(fd) };
        }
        say("unlink", unsafe { libc::unlink(c(&path).as_ptr()) });
    }
}

/// As syslog(3) does, and as what has another descriptor there.
pub fn to_the_log() {
    let (address, length) = local_address("/var/run/log");
    let of = |kind| unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    let file = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY) };
    for (what, fd) in [
        ("messages", of(libc::SOCK_DGRAM)),
        ("a stream", of(libc::SOCK_STREAM)),
        ("a file", file),
        ("none", 700),
    ] {
        let address = (&raw const address).cast();
        say(&format!("connect {what}"), unsafe {
            libc::connect(fd, address, length)
        });
        let mut there: libc::stat = unsafe { std::mem::zeroed() };
        let is_socket = unsafe { libc::fstat(fd, &raw mut there) } == 0
            && there.st_mode & libc::S_IFMT == libc::S_IFSOCK;
        println!("{what} is a socket: {is_socket}");
    }
}

/// A server as they are written: it closes what it doesn't know, binds, and answers twice.
pub fn serve() {
    let address: std::net::SocketAddrV4 =
        std::env::var("SUBJECT_ADDRESS").unwrap().parse().unwrap();
    unsafe {
        closefrom(3);
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        let mut name: libc::sockaddr_in = std::mem::zeroed();
        name.sin_family = libc::AF_INET as u8;
        name.sin_port = address.port().to_be();
        name.sin_addr.s_addr = u32::from(*address.ip()).to_be();
        libc::fcntl(socket, libc::F_SETFD, libc::FD_CLOEXEC);
        libc::fcntl(socket, libc::F_SETFL, libc::O_NONBLOCK);
        say("bind", libc::bind(socket, (&raw const name).cast(), 16));
        say("listen", libc::listen(socket, 5));
        say("flags", libc::fcntl(socket, libc::F_GETFD, 0));
        say(
            "nonblocking",
            libc::fcntl(socket, libc::F_GETFL, 0) & libc::O_NONBLOCK,
        );
        name.sin_port = (address.port() + 1).to_be();
        let other = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        say(
            "bind elsewhere",
            libc::bind(other, (&raw const name).cast(), 16),
        );
        name.sin_port = (address.port() + 2).to_be();
        let other = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        say(
            "bind what is taken",
            libc::bind(other, (&raw const name).cast(), 16),
        );
        println!("ready");
        for _ in 0..2 {
            let mut end = libc::pollfd {
                fd: socket,
                events: libc::POLLIN,
                revents: 0,
            };
            libc::poll(&raw mut end, 1, 10_000);
            let client = libc::accept(socket, null_mut(), null_mut());
            libc::write(client, b"hello\n".as_ptr().cast(), 6);
            libc::close(client);
        }
    }
}
