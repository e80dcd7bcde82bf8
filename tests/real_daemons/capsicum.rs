//! The shipped profiles in capability mode. Each daemon's processes are asked for it, serve, and end.

use crate::fixture::{Daemon, ETC, Own, ask, filter, logs, said, sh, until};
use std::path::Path;

/// Every process of the jail is in capability mode, as the kernel says.
pub fn is_confined(daemon: &Daemon) {
    let flags = sh(&format!("procstat -hs $(pgrep -j {} .)", daemon.jail()));
    let confined = |line: &str| line.split_whitespace().any(|word| word == "C");
    assert!(!flags.is_empty() && flags.lines().all(confined), "{flags}");
}

#[test]
fn redis_passes_a_session_and_keeps_its_data_in_capability_mode() {
    let own = Own::Edited(&[
        ("127.0.0.1:6379", "127.0.0.1:16380"),
        (
            "\n[[listen]]",
            "pidfile = \"/var/run/jrtest-redis-capsicum.pid\"\n\
             args = [\"--port\", \"16380\", \"--dir\", \"/var/db/redis/jrtest\", \"--logfile\", \"\", \
             \"--appendonly\", \"yes\", \"--save\", \"3600 1\"]\n\n[[listen]]",
        ),
    ]);
    let redis = |words: &str| ask("127.0.0.1:16380", format!("{words}\r\n").as_bytes(), "\r\n");
    let info = |wanted: &str| {
        let words = "INFO persistence\r\nQUIT\r\n";
        ask("127.0.0.1:16380", words.as_bytes(), "\0").contains(wanted)
    };
    let big = "x".repeat(1 << 20);
    if Path::new("/usr/local/bin/redis-server").exists() {
        sh("rm -rf /var/db/redis/jrtest; install -d -o redis -g redis /var/db/redis/jrtest");
    }
    for round in 1..=2 {
        let program = "/usr/local/bin/redis-server";
        let Some(server) = Daemon::start("redis-capsicum", program, own, "") else {
            return;
        };
        let kept = if round == 1 { "$-1\r\n" } else { "$5\r\n" };
        // The socket waits from the launch on; redis answers as soon as it has read its data.
        until("its data", || redis("PING") == "+PONG\r\n");
        let text = redis("GET text");
        assert!(text.starts_with(kept), "{round}: {text}");
        assert_eq!(redis("SET text value"), "+OK\r\n");
        assert_eq!(redis("INCR count"), format!(":{round}\r\n"));
        assert_eq!(redis("RPUSH list a b c"), format!(":{}\r\n", round * 3));
        assert_eq!(redis("EVAL \"return #ARGV[1]\" 0 four"), ":4\r\n");
        let many = ask(
            "127.0.0.1:16380",
            b"MULTI\r\nINCR twice\r\nINCR twice\r\nEXEC\r\nQUIT\r\n",
            "\0",
        );
        assert!(
            many.contains(&format!("*2\r\n:{}\r\n:{}\r\n", round * 2 - 1, round * 2)),
            "{many}"
        );
        let set = format!(
            "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n{big}\r\n",
            big.len()
        );
        assert_eq!(ask("127.0.0.1:16380", set.as_bytes(), "\r\n"), "+OK\r\n");
        assert_eq!(redis("STRLEN big"), format!(":{}\r\n", big.len()));
        // What fails says so: no file of the host's is there to be written, and nobody is connected to.
        assert!(redis("CONFIG REWRITE").starts_with("-ERR Rewriting config file"));
        assert_eq!(
            redis("CONFIG SET dir /etc"),
            "-ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config\r\n"
        );
        assert!(redis("BGSAVE").starts_with("+Background saving"));
        until("the snapshot", || {
            info("rdb_bgsave_in_progress:0") && info("rdb_last_bgsave_status:ok")
        });
        assert!(redis("BGREWRITEAOF").starts_with("+Background append"));
        until("the rewritten file", || {
            info("aof_rewrite_in_progress:0") && info("aof_last_bgrewrite_status:ok")
        });
        is_confined(&server);
        let processes = server.processes();
        assert!(processes.starts_with("redis redis-server"), "{processes}");
        server.stops_and_leaves_nothing();
    }
    sh(
        "test -s /var/db/redis/jrtest/dump.rdb && ls /var/db/redis/jrtest/appendonlydir && rm -r /var/db/redis/jrtest",
    );
}

/// On an address and with a configuration of the tests'.
pub const NGINX: &[(&str, &str)] = &[
    ("addr = \"0.0.0.0:80\"", "addr = \"127.0.0.1:18082\""),
    ("/var/run/nginx.pid", "/var/run/jrtest-nginx-capsicum.pid"),
    ("\"/usr/local/etc/nginx\"", "\"/usr/local/etc/jrtest\""),
    (
        "user = \"www\"",
        "args = [\"-c\", \"/usr/local/etc/jrtest/nginx-capsicum.conf\"]\nuser = \"www\"",
    ),
    // So that root may count its system calls.
    (
        "wxmap = \"disable\"",
        "wxmap = \"disable\"\ntrace = \"enable\"",
    ),
];

pub const NGINX_LOGS: [&str; 2] = [
    "/var/log/nginx/jrtest-error.log",
    "/var/log/nginx/jrtest.log",
];

pub fn nginx_conf(port: u16, page: &str, more: &str) -> String {
    format!(
        "{more}events {{}}\nerror_log /var/log/nginx/jrtest-error.log;\nhttp {{ sendfile on; \
         access_log /var/log/nginx/jrtest.log;\nserver {{ listen {port}; keepalive_requests 100000;\n\
         location = /page {{ return 200 '{page}'; }}\nlocation / {{ root /usr/local/www/jrtest-capsicum; }}\n\
         location /host/ {{ alias /; }} }} }}\n"
    )
}

pub fn worker(jail: &str) -> String {
    let of = if jail.is_empty() {
        "-j none".to_string()
    } else {
        format!("-j {jail}")
    };
    sh(&format!("pgrep {of} -f 'nginx: worker' || true"))
}

#[test]
fn nginx_serves_logs_reloads_and_survives_its_workers_death_in_capability_mode() {
    let www = "/usr/local/www/jrtest-capsicum";
    sh(&format!(
        "mkdir -p {www}; echo from-a-file >{www}/index.html; head -c 3000000 /dev/random >{www}/large"
    ));
    let program = "/usr/local/sbin/nginx";
    if Path::new(program).exists() {
        logs("www", &NGINX_LOGS);
    }
    let conf = nginx_conf(18082, "before", "");
    let Some(nginx) = Daemon::start("nginx-capsicum", program, Own::Edited(NGINX), &conf) else {
        return;
    };
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        ask("127.0.0.1:18082", request.as_bytes(), "\0")
    };
    assert!(get("/").ends_with("from-a-file\n"), "{}", get("/"));
    let same = format!("fetch -qo - http://127.0.0.1:18082/large | cmp - {www}/large");
    assert_eq!(sh(&same), "");
    for path in [
        "etc/rc.conf",
        "bin/sh",
        "root/.profile",
        "etc/master.passwd",
    ] {
        assert!(
            get(&format!("/host/{path}")).contains("404 Not Found"),
            "{path}"
        );
    }
    is_confined(&nginx);
    // Configuration, and the log after newsyslog(8) has moved it.
    std::fs::write(
        format!("{ETC}/nginx-capsicum.conf"),
        nginx_conf(18082, "after", ""),
    )
    .unwrap();
    nginx.signal("HUP");
    until("the new configuration", || get("/page").ends_with("after"));
    let turn =
        "/var/log/nginx/jrtest.log www:www 640 7 * @T00 C /var/run/jrtest-nginx-capsicum.pid 30";
    sh(&format!(
        "echo '{turn}' >/tmp/jrtest-turn; newsyslog -F -f /tmp/jrtest-turn; rm /tmp/jrtest-turn"
    ));
    until("the new log", || {
        get("/turned");
        sh("grep -c 'GET /turned' /var/log/nginx/jrtest.log || true") != "0"
    });
    assert_ne!(sh("grep -c 'GET /page' /var/log/nginx/jrtest.log.0"), "0");
    let first = worker(&nginx.jail());
    sh(&format!("kill -9 {first}"));
    until("another worker", || {
        !["", &first].contains(&worker(&nginx.jail()).as_str())
    });
    assert!(get("/").ends_with("from-a-file\n"));
    is_confined(&nginx);
    nginx.stops_and_leaves_nothing();
    sh(&format!("rm -r {www} /var/log/nginx/jrtest*"));
}

#[test]
fn memcached_serves_in_capability_mode() {
    let own = Own::Edited(&[
        ("127.0.0.1:11211", "127.0.0.1:21212"),
        (
            "\n[[listen]]",
            "pidfile = \"/var/run/jrtest-memcached-capsicum.pid\"\nargs = [\"-p\", \"21212\"]\n\n[[listen]]",
        ),
    ]);
    let program = "/usr/local/bin/memcached";
    let Some(memcached) = Daemon::start("memcached-capsicum", program, own, "") else {
        return;
    };
    let say = |words: &str, answer: &str| ask("127.0.0.1:21212", words.as_bytes(), answer);
    assert_eq!(say("set jrtest 0 0 5\r\nvalue\r\n", "\r\n"), "STORED\r\n");
    assert_eq!(
        say("get jrtest\r\n", "END\r\n"),
        "VALUE jrtest 0 5\r\nvalue\r\nEND\r\n"
    );
    is_confined(&memcached);
    memcached.stops_and_leaves_nothing();
}

#[test]
fn lighttpd_serves_files_and_logs_in_capability_mode() {
    let config = "server.document-root = \"/usr/local/www/jrtest-lighttpd-c\"\nserver.port = 18084\n\
                  server.modules = (\"mod_alias\", \"mod_accesslog\")\nindex-file.names = (\"index.html\")\n\
                  alias.url = (\"/host/\" => \"/\")\naccesslog.filename = \"/var/log/lighttpd/jrtest-a.log\"\n\
                  server.errorlog = \"/var/log/lighttpd/jrtest-e.log\"\n";
    let own = Own::Edited(&[
        (
            "/usr/local/etc/lighttpd/lighttpd.conf",
            "/usr/local/etc/jrtest/lighttpd-capsicum.conf",
        ),
        ("\"/usr/local/etc/lighttpd\"", "\"/usr/local/etc/jrtest\""),
        (
            "/var/run/lighttpd.pid",
            "/var/run/jrtest-lighttpd-capsicum.pid",
        ),
        ("addr = \"0.0.0.0:80\"", "addr = \"127.0.0.1:18084\""),
    ]);
    let www = "/usr/local/www/jrtest-lighttpd-c";
    sh(&format!("mkdir -p {www}; echo a-file >{www}/index.html"));
    let program = "/usr/local/sbin/lighttpd";
    if Path::new(program).exists() {
        let names = [
            "/var/log/lighttpd/jrtest-a.log",
            "/var/log/lighttpd/jrtest-e.log",
        ];
        logs("www", &names);
    }
    let Some(lighttpd) = Daemon::start("lighttpd-capsicum", program, own, config) else {
        return;
    };
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        ask("127.0.0.1:18084", request.as_bytes(), "\0")
    };
    assert!(get("/").ends_with("a-file\n"), "{}", get("/"));
    assert!(get("/host/etc/rc.conf").contains("404 Not Found"));
    is_confined(&lighttpd);
    lighttpd.stops_and_leaves_nothing();
    assert_ne!(sh("grep -c 'GET / ' /var/log/lighttpd/jrtest-a.log"), "0");
    sh(&format!("rm -r {www} /var/log/lighttpd/jrtest-*.log"));
}

#[test]
fn mosquitto_passes_messages_on_and_keeps_them_in_capability_mode() {
    let config = "listener 11884 127.0.0.1\nallow_anonymous true\npersistence true\n\
                  persistence_location /var/db/mosquitto/\npersistence_file jrtest-c.db\n";
    let own = Own::Edited(&[
        (
            "/usr/local/etc/mosquitto/mosquitto.conf",
            "/usr/local/etc/jrtest/mosquitto-capsicum.conf",
        ),
        ("\"/usr/local/etc/mosquitto\"", "\"/usr/local/etc/jrtest\""),
        (
            "/var/run/mosquitto.pid",
            "/var/run/jrtest-mosquitto-capsicum.pid",
        ),
        ("addr = \"127.0.0.1:1883\"", "addr = \"127.0.0.1:11884\""),
    ]);
    let program = "/usr/local/sbin/mosquitto";
    let connect = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06jrtest";
    let publish = [connect, &b"\x31\x08\x00\x01tvalue\xe0\x00"[..]].concat();
    let subscribe = [connect, &b"\x82\x06\x00\x01\x00\x01t\x00"[..]].concat();
    for (request, answer) in [(publish, "\0\0"), (subscribe, "tvalue")] {
        let Some(mosquitto) = Daemon::start("mosquitto-capsicum", program, own, config) else {
            return;
        };
        let told = ask("127.0.0.1:11884", &request, answer);
        assert!(
            told.starts_with(" \u{2}\0\0") && told.ends_with(answer),
            "{told:?}"
        );
        is_confined(&mosquitto);
        mosquitto.stops_and_leaves_nothing();
    }
    sh("rm /var/db/mosquitto/jrtest-c.db");
}

#[test]
fn base_programs_are_filters_in_capability_mode() {
    let text = "hello\n".repeat(10_000);
    let packed = filter("gzip", &[], &[], text.as_bytes());
    assert!(
        packed.status.success() && packed.stdout.starts_with(b"\x1f\x8b"),
        "{}",
        said(&packed)
    );
    let unpacked = filter("gzip", &[], &["/usr/bin/gzip", "-d"], &packed.stdout);
    assert_eq!(String::from_utf8_lossy(&unpacked.stdout), text);
    let broken = filter("gzip", &[], &["/usr/bin/gzip", "-d"], b"not packed");
    assert!(!broken.status.success());
    for (name, words, input, output) in [
        ("bc", &[][..], "2^64; s(0)\n", "18446744073709551616\n0"),
        (
            "openssl",
            &[],
            "hello\n",
            "SHA2-256(stdin)= 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ),
        (
            "openssl",
            &["/usr/bin/openssl", "enc", "-base64"],
            "hello\n",
            "aGVsbG8K",
        ),
    ] {
        let output_is = filter(name, &[], words, input.as_bytes());
        assert_eq!(said(&output_is), output, "{name}");
    }
    let key = [
        "/usr/bin/openssl",
        "enc",
        "-aes-256-cbc",
        "-pbkdf2",
        "-pass",
        "pass:x",
    ];
    let secret = filter("openssl", &[], &key, b"hello\n");
    let words: Vec<&str> = key.iter().copied().chain(["-d"]).collect();
    assert_eq!(
        filter("openssl", &[], &words, &secret.stdout).stdout,
        b"hello\n"
    );
}

#[test]
fn tar_lists_and_extracts_into_its_directory_and_nowhere_else() {
    let into = "/var/spool/jrtest-tar/files";
    let edits = [("/var/spool/jailrun-tar", "/var/spool/jrtest-tar")];
    sh(&format!(
        "rm -rf {into} /tmp/jrtest-t; mkdir -p /var/spool/jrtest-tar; install -d -o nobody -m 0750 {into}; \
         mkdir -p /tmp/jrtest-t/d; \
         cd /tmp/jrtest-t; echo a >a; echo b >d/b; ln -s a l; ln a h; tar -cf ../jrtest-t.tar .; \
         tar -cPf ../jrtest-e.tar -s '|^a$|../jrtest-escaped|' -s '|^h$|/tmp/jrtest-escaped|' a d/b h"
    ));
    let archive = std::fs::read("/tmp/jrtest-t.tar").unwrap();
    let listed = said(&filter("tar", &edits, &[], &archive));
    for name in ["./d/b", "./l -> a", "./h"] {
        assert!(listed.contains(name), "{listed}");
    }
    let extract = ["/usr/bin/tar", "-xPf", "-", "-C", into];
    let done = filter("tar", &edits, &extract, &archive);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(
        sh(&format!(
            "cd {into}; cat a d/b l h; readlink l; stat -f %l a"
        )),
        "a\nb\na\na\na\n2"
    );
    // An archive that was made to reach out of it.
    let hostile = std::fs::read("/tmp/jrtest-e.tar").unwrap();
    let refused = filter("tar", &edits, &extract, &hostile);
    assert!(!refused.status.success(), "{}", said(&refused));
    // By tar, and by no launcher.
    assert!(said(&refused).contains("tar: "), "{}", said(&refused));
    assert_eq!(
        sh("ls -d /var/spool/jrtest-escaped /tmp/jrtest-escaped 2>/dev/null || echo none"),
        "none"
    );
    sh("rm -r /var/spool/jrtest-tar /tmp/jrtest-t /tmp/jrtest-t.tar /tmp/jrtest-e.tar");
}

/// The archive opens the directory that it is unpacked in, which is nobody's, and has a set-user-ID program in it.
#[test]
fn what_an_archive_leaves_in_tars_directory_is_out_of_others_reach() {
    let shipped = include_str!("../../profiles/tar.toml");
    let (real, spool) = ("/var/spool/jailrun-tar", "/var/spool/jrtest-tar");
    let install: Vec<String> = shipped
        .lines()
        .filter_map(|line| line.strip_prefix("#     install"))
        .map(|rest| format!("install{}", rest.replace(real, spool)))
        .collect();
    let from = "/tmp/jrtest-u";
    for is_closed in [true, false] {
        sh(&format!(
            "rm -rf {spool} {from}; mkdir -m 755 {from}; install -o nobody -m 4755 /usr/bin/id {from}/id; \
             tar -C {from} -cf {from}.tar .; {}",
            install.join("; ")
        ));
        if !is_closed {
            sh(&format!("chmod 755 {spool}"));
        }
        let archive = std::fs::read(format!("{from}.tar")).unwrap();
        let extract = ["/usr/bin/tar", "-xpf", "-"];
        let done = filter("tar", &[(real, spool)], &extract, &archive);
        assert!(done.status.success(), "{}", said(&done));
        assert_eq!(
            sh(&format!("stat -f '%Su %p' {spool}/files {spool}/files/id")),
            "nobody 40755\nnobody 104755"
        );
        // It is in nobody's way afterwards.
        let listed = filter("tar", &[(real, spool)], &[], &archive);
        assert!(listed.status.success(), "{}", said(&listed));
        let user = sh(&format!(
            "su -m operator -c '{spool}/files/id -un' 2>&1 || true"
        ));
        let is_out_of_reach = user.contains("Permission denied");
        assert_eq!(is_out_of_reach, is_closed, "{user}");
        assert!(is_closed || user == "nobody", "{user}");
    }
    sh(&format!("rm -r {spool} {from} {from}.tar"));
}
