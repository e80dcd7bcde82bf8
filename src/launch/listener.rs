//! Sockets that the service finds open: bound by root on the host, and held through all starts. The file
//! of one that has a path is made where only root could have made it, so that a file there which is a
//! socket that nobody has open is one of ours, or of an earlier program at the same address.

use crate::kernel::{
    At, Errno, Failure, Fd, FileKind, Kernel, Open, SocketAddress, SocketKind, Unlink,
};
use crate::launch::steps::{Undo, unlike};
use crate::plan::socket::Socket;
use crate::trust::{self, Distrust, Owner};

/// What the supervisor's own umask is (start.rs).
const OWN_UMASK: u32 = 0o022;

pub fn open<K: Kernel>(
    kernel: &mut K,
    socket: &Socket,
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    if let Some(path) = socket.address.path() {
        check_place(kernel, path)?;
        patiently(kernel, |kernel| remove_dead(kernel, path))?;
    }
    let fd = kernel.socket(socket.kind)?;
    let place = done.len();
    done.push(Undo::CloseListener {
        fd,
        address: socket.address.clone(),
        file: None,
    });
    for option in &socket.options {
        kernel.setsockopt(fd, *option)?;
    }
    match socket.address.path() {
        None => patiently(kernel, |kernel| kernel.bind(fd, &socket.address))?,
        Some(path) => {
            let made = bind_file(kernel, fd, socket)?;
            if let Some(undo) = done.get_mut(place) {
                *undo = Undo::CloseListener {
                    fd,
                    address: socket.address.clone(),
                    file: Some(made),
                };
            }
            if let Some(owner) = socket.owner {
                kernel.lchown(path, owner)?;
            }
        }
    }
    // Whoever connects to one with a path hears who called listen(2): that is the service's user, in its child.
    match socket.kind.listens() && !socket.kind.is_unix() {
        true => kernel.listen(fd, socket.backlog),
        false => Ok(()),
    }
}

/// Who held an address a moment ago may still be on his way out: a supervisor that was killed, and all
/// that it left.
const TRIES: u32 = 60;
const PAUSE_MS: u64 = 5;

fn patiently<K: Kernel>(
    kernel: &mut K,
    mut act: impl FnMut(&mut K) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for _ in 1..TRIES {
        match act(kernel) {
            Err(failure) if failure.errno == Errno::EADDRINUSE => kernel.sleep_ms(PAUSE_MS),
            other => return other,
        }
    }
    act(kernel)
}

/// With its mode from the first moment: whoever may write it may connect.
fn bind_file<K: Kernel>(kernel: &mut K, fd: Fd, socket: &Socket) -> Result<(u64, u64), Failure> {
    kernel.umask(0o777 & !socket.mode);
    let bound = kernel.bind(fd, &socket.address);
    kernel.umask(OWN_UMASK);
    bound?;
    let path = socket.address.path().unwrap_or_default();
    match kernel.lstatat(At::Cwd, path) {
        Ok(made) => Ok((made.device, made.inode)),
        Err(failure) => {
            // Nobody could tell any more whose it is; it was made a moment ago, and by us.
            kernel.unlinkat(At::Cwd, path, Unlink::File)?;
            Err(failure)
        }
    }
}

/// Somebody else could exchange a file in a directory that he may write.
fn check_place<K: Kernel>(kernel: &mut K, path: &str) -> Result<(), Failure> {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let directory = if directory.is_empty() { "/" } else { directory };
    match trust::open(kernel, directory, Open::Directory, Owner::Root) {
        Ok(trusted) => kernel.close(trusted.fd),
        Err(Distrust::Failed { failure, .. }) => Err(failure),
        Err(distrust) => Err(unlike("openat", &distrust.to_string())),
    }
}

/// EADDRINUSE for one that somebody has open.
fn remove_dead<K: Kernel>(kernel: &mut K, path: &str) -> Result<(), Failure> {
    match is_dead(kernel, path)? {
        Some(true) => kernel.unlinkat(At::Cwd, path, Unlink::File),
        Some(false) => Err(Failure::new("bind", Errno::EADDRINUSE)),
        None => Ok(()),
    }
}

/// `None`: no socket is there. A message socket asks, since that disturbs nobody: connected to one of
/// another kind it is refused, and to one of its own it sends nothing.
fn is_dead<K: Kernel>(kernel: &mut K, path: &str) -> Result<Option<bool>, Failure> {
    match kernel.lstatat(At::Cwd, path) {
        Ok(stat) if stat.kind == FileKind::Socket => {}
        Ok(_) => return Ok(None),
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(None),
        Err(failure) => return Err(failure),
    }
    let fd = kernel.socket(SocketKind::UnixDatagram)?;
    let asked = kernel.connect(fd, &SocketAddress::Unix(path.to_string()));
    let closed = kernel.close(fd);
    let is_dead = match asked {
        Ok(()) => false,
        Err(failure) if failure.errno == Errno::ECONNREFUSED => true,
        Err(failure) if failure.errno == Errno::EPROTOTYPE => false,
        Err(failure) => return Err(failure),
    };
    closed.map(|()| Some(is_dead))
}

/// Takes the name away if it is still that of our file, and then the socket.
pub fn close<K: Kernel>(
    kernel: &mut K,
    fd: Fd,
    path: Option<&str>,
    file: Option<(u64, u64)>,
) -> Result<(), Failure> {
    let removed = match (path, file) {
        (Some(path), Some(made)) => match kernel.lstatat(At::Cwd, path) {
            Ok(found) if (found.device, found.inode) == made => {
                kernel.unlinkat(At::Cwd, path, Unlink::File)
            }
            Ok(_) => Ok(()),
            Err(failure) if failure.errno == Errno::ENOENT => Ok(()),
            Err(failure) => Err(failure),
        },
        _ => Ok(()),
    };
    let closed = kernel.close(fd);
    removed.and(closed)
}

/// Removes what a supervisor that is dead would have removed: the journal names what it meant to bind.
pub fn sweep<K: Kernel>(kernel: &mut K, path: &str) -> Result<(), Failure> {
    match patiently(kernel, |kernel| remove_dead(kernel, path)) {
        // It is somebody else's by now.
        Err(failure) if failure.errno == Errno::EADDRINUSE => Ok(()),
        other => other,
    }
}
