//! `[[listen]]`: what the service finds, and that nobody who connects is refused while it starts again.

use crate::fixture::{Fixture, sh, until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

const OFF: &str = "[capsicum]\nmode = \"off\"\n";
const ENFORCE: &str = "[capsicum]\nmode = \"enforce\"\n";

#[test]
fn every_kind_of_socket_is_there_in_order_and_told_by_name() {
    let more = format!(
        "[jail]\nip4.addr = [\"lo0|127.0.0.91/32\"]\n\
         [[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.91:80\"\n\
         [[listen]]\nname = \"b\"\nproto = \"tcp6\"\naddr = \"[::1]:7717\"\nv6only = false\n\
         [[listen]]\nname = \"c\"\nproto = \"udp\"\naddr = \"127.0.0.91:53\"\nreuseport = true\n\
         [[listen]]\nname = \"d\"\nproto = \"udp6\"\naddr = \"[::1]:7717\"\n\
         [[listen]]\nname = \"e\"\nproto = \"unix\"\naddr = \"/var/run/jrtest-e.sock\"\nmode = \"0660\"\n\
         [[listen]]\nname = \"f\"\nproto = \"unix-dgram\"\naddr = \"/var/run/jrtest-f.sock\"\n\
         [[listen]]\nname = \"g\"\nproto = \"unix-seqpacket\"\naddr = \"/var/run/jrtest-g.sock\"\n{OFF}"
    );
    let fixture = Fixture::new("sockets", "sockets", &more);
    // Number, family, type, and whether it takes connections.
    let expected = [
        "3 2 1 true",
        "4 28 1 true",
        "5 2 2 false",
        "6 28 2 false",
        "7 1 1 true",
        "8 1 2 false",
        "9 1 5 true",
        "LISTEN_FDNAMES a:b:c:d:e:f:g",
        "LISTEN_FDS 7",
        "LISTEN_PID true",
        "no more: EBADF",
    ];
    let mut told = fixture.told();
    // Variables come in no order.
    told[7..10].sort();
    assert_eq!(told, expected);
    fixture.nothing_is_left();
}

fn ask(address: &str, word: &[u8]) -> Result<String, String> {
    let mut peer = TcpStream::connect(address).map_err(|error| error.to_string())?;
    peer.set_read_timeout(Some(Duration::from_secs(15)))
        .unwrap();
    peer.write_all(word).map_err(|error| error.to_string())?;
    let mut said = String::new();
    peer.read_to_string(&mut said)
        .map_err(|error| error.to_string())?;
    Ok(said)
}

/// In both modes: the service ends again and again, at a privileged port of an address that its own profile
/// adds, and every single connection is made and answered.
#[test]
fn no_connection_is_refused_while_the_service_is_started_again() {
    for mode in [OFF, ENFORCE] {
        let more = format!(
            "[jail]\nip4.addr = [\"lo0|127.0.0.92/32\"]\n\
             [[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.92:80\"\n\
             [supervise]\nrestart = \"always\"\nrestart_delay = 1\nrestart_count = 100\n{mode}"
        );
        let fixture = Fixture::new("restart", "serve", &more);
        let running = fixture.command(&[]).stdout(Stdio::null()).spawn().unwrap();
        until("the service", || ask("127.0.0.92:80", b"o").is_ok());
        let mut servers = std::collections::BTreeSet::new();
        let end = Instant::now() + Duration::from_secs(20);
        let mut asked = 0;
        while Instant::now() < end {
            let word = if asked % 8 == 7 { b"x" } else { b"o" };
            let said = ask("127.0.0.92:80", word);
            servers.insert(said.unwrap_or_else(|error| panic!("{asked}: {error}")));
            asked += 1;
        }
        assert!(servers.len() >= 4 && asked >= 20, "{servers:?}, {asked}");
        sh(&format!("kill {}", running.id()));
        assert!(running.wait_with_output().is_ok());
        assert!(ask("127.0.0.92:80", b"o").is_err());
        fixture.nothing_is_left();
    }
}

#[test]
fn a_sockets_file_has_its_mode_and_owner_and_goes_with_the_supervisor() {
    let path = "/var/run/jrtest-m.sock";
    let more = format!(
        "[[listen]]\nname = \"m\"\nproto = \"unix\"\naddr = \"{path}\"\nmode = \"0620\"\nowner = \"daemon\"\n{OFF}"
    );
    let fixture = Fixture::new("file", "sleep", &more);
    // One that nobody has open any more is replaced.
    drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    let mut running = fixture.command(&[]).stdout(Stdio::null()).spawn().unwrap();
    until("the socket", || {
        std::fs::metadata(path).is_ok_and(|file| file.uid() == 1)
    });
    let file = std::fs::metadata(path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o620);
    // One that somebody has open is not, and the service that has it isn't disturbed.
    let text = sh(
        "sed 's/^program.*/program = \"\\/bin\\/sleep\"/; s/^args.*/args = [\"1\"]/' \
         /usr/local/etc/jailrun/profiles/jrtest-file.toml \
         > /usr/local/etc/jailrun/profiles/jrtest-other.toml; /usr/local/bin/jrtest-jailrun jrtest-other",
    );
    assert!(text.contains("Address already in use"), "{text}");
    sh("rm /usr/local/etc/jailrun/profiles/jrtest-other.toml");
    // Killed, it leaves the file; the next start of anything by root takes it away.
    running.kill().unwrap();
    running.wait().unwrap();
    until("the jail's end", || {
        // "is dying" while init(8) hasn't heard of the zombie in it yet.
        let found = sh(&format!("jls -j {} jid", fixture.jail()));
        found.contains("not found") || found.contains("is dying")
    });
    assert!(std::fs::metadata(path).is_ok());
    assert!(
        fixture
            .command(&["/usr/bin/true"])
            .status()
            .unwrap()
            .success()
    );
    assert!(std::fs::metadata(path).is_err());
    fixture.nothing_is_left();
}
