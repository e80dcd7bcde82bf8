//! What a wrapped rpcbind is for: servers of the host register with it, and hosts ask it.

use crate::fixture::{Host, RPCBIND};
use crate::installed::{library, sh, until};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};

const SOCKET: &str = "/var/run/rpcbind.sock";
const QUOTAD: &str = "/usr/libexec/rpc.rquotad";
/// Its number in rpc(5).
const NUMBER: &str = "100011";

/// What rpcinfo(8) says, and its status.
fn rpcinfo(words: &str) -> String {
    sh(&format!("rpcinfo {words} 2>&1; echo $?"))
}

fn as_a_user(words: &str) -> String {
    sh(&format!("su -m nobody -c 'rpcinfo {words} 2>&1'; echo $?"))
}

#[test]
fn a_server_of_the_host_registers_with_the_wrapped_rpcbind_and_only_root_has_its_socket() {
    if library().is_none() || !Path::new(QUOTAD).exists() {
        println!("SKIP real_wrap rpcbind: needs {QUOTAD} and the library of capability mode");
        return;
    }
    let Some(host) = Host::with(&RPCBIND) else {
        return;
    };
    host.wrap();
    host.does("start");
    let socket = || Path::new(SOCKET).symlink_metadata().unwrap();
    assert!(socket().file_type().is_socket());
    assert_eq!((socket().mode() & 0o7777, socket().uid()), (0o600, 0));
    // Whom rpcinfo(8) asks without an address is the socket; with one, the network.
    for words in ["-p", "", "-s", "-p 127.0.0.1"] {
        let said = rpcinfo(words);
        let is_good = said.contains("100000") && said.ends_with("\n0");
        assert!(is_good, "{words}: {said}");
    }
    let said = as_a_user("-p 127.0.0.1");
    assert!(said.ends_with("\n0"), "{said}");
    let refused = as_a_user("-p");
    assert!(refused.ends_with("\n1"), "{refused}");
    // A server outside of the jail registers, is found by other hosts' way, and takes itself back.
    let mut quotad = Command::new(QUOTAD)
        .arg("-d")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // Both of its versions, the second of which it leaves there when it ends.
    let versions = || {
        let list = rpcinfo("-p 127.0.0.1");
        let own = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        own.filter(|words| words.first() == Some(&NUMBER)).count()
    };
    until("the registration", || versions() == 2);
    let said = rpcinfo("-s");
    let owned = said
        .lines()
        .any(|line| line.contains(NUMBER) && line.contains("superuser"));
    assert!(owned, "{said}");
    sh(&format!("kill {}", quotad.id()));
    quotad.wait().unwrap();
    // What root registered is root's to take back, and that is told by the socket alone.
    let taken = as_a_user(&format!("-d {NUMBER} 2"));
    assert!(versions() > 0 && !taken.ends_with("\n0"), "{taken}");
    let taken = rpcinfo(&format!("-d {NUMBER} 2"));
    assert!(versions() == 0 && taken == "0", "{taken}");
    // A restart has a socket of its own, and a stop leaves none.
    let which = || (socket().ino(), socket().ctime(), socket().ctime_nsec());
    let before = which();
    host.does("restart");
    assert_ne!(which(), before);
    assert!(rpcinfo("-p").ends_with("\n0"));
    host.does("stop");
    host.is_stopped();
    assert!(!Path::new(SOCKET).exists());
    host.unwrap();
    host.leaves_nothing();
}
