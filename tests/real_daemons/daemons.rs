//! One test a daemon. What it answers was put there by the test, or is its protocol's own.

use crate::fixture::{Daemon, ETC, Own, ask, logs, sh, until};
use std::path::Path;

#[test]
fn nginx_serves_files_reloads_stops_and_leaves_nothing() {
    let config = |page: &str| {
        format!(
            "events {{}}\nerror_log /var/log/nginx/jrtest-d.error;\nhttp {{ access_log /var/log/nginx/jrtest-d.log;\n\
             server {{ listen 127.0.0.1:18080;\n\
             location = /page {{ return 200 '{page}'; }}\n\
             location / {{ root /usr/local/www/jrtest; }}\n\
             location /host/ {{ alias /; }} }} }}\n"
        )
    };
    let more = format!("args = [\"-c\", \"{ETC}/nginx.conf\"]\n[root]\nro = [\"{ETC}\"]\n");
    let mkdir =
        "mkdir -p /usr/local/www/jrtest; echo from-a-file >/usr/local/www/jrtest/index.html";
    sh(mkdir);
    let program = "/usr/local/sbin/nginx";
    if Path::new(program).exists() {
        logs(
            "www",
            &[
                "/var/log/nginx/jrtest-d.error",
                "/var/log/nginx/jrtest-d.log",
            ],
        );
    }
    let Some(nginx) = Daemon::start("nginx", program, Own::Including(&more), &config("before"))
    else {
        return;
    };
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        ask("127.0.0.1:18080", request.as_bytes(), "\0")
    };
    assert!(get("/").ends_with("from-a-file\n"), "{}", get("/"));
    assert!(get("/page").ends_with("before"));
    // It was told to give away all that it can read. What the profile doesn't name isn't there.
    for path in ["etc/rc.conf", "etc/rc", "bin/sh", "root/.profile"] {
        assert!(
            get(&format!("/host/{path}")).contains("404 Not Found"),
            "{path}"
        );
    }
    let processes = nginx.processes();
    assert!(processes.contains("nginx: worker"), "{processes}");
    assert!(
        processes.lines().all(|line| line.starts_with("www ")),
        "{processes}"
    );
    std::fs::write(format!("{ETC}/nginx.conf"), config("after")).unwrap();
    nginx.signal("HUP");
    until("the new configuration", || get("/page").ends_with("after"));
    nginx.stops_and_leaves_nothing();
    sh("rm -r /usr/local/www/jrtest /var/log/nginx/jrtest-d.*");
}

#[test]
fn redis_keeps_its_data_can_not_change_its_configuration_and_leaves_nothing() {
    // After the shipped profile's own argument: the port's configuration, whatever it says.
    let more = "args = [\"--port\", \"16379\", \"--daemonize\", \"yes\", \"--dir\", \"/var/db/redis\", \
                \"--dbfilename\", \"jrtest.rdb\", \"--logfile\", \"\", \"--save\", \"3600 1\"]\n";
    let program = "/usr/local/bin/redis-server";
    let redis = |words: &str| ask("127.0.0.1:16379", format!("{words}\r\n").as_bytes(), "\r\n");
    for expected in ["$-1\r\n", "$5\r\n"] {
        let Some(server) = Daemon::start("redis", program, Own::Including(more), "") else {
            return;
        };
        assert!(redis("GET jrtest").starts_with(expected));
        assert_eq!(redis("SET jrtest value"), "+OK\r\n");
        let rewritten = redis("CONFIG REWRITE");
        assert!(
            rewritten.starts_with("-ERR Rewriting config file"),
            "{rewritten}"
        );
        let processes = server.processes();
        assert!(
            processes.lines().all(|line| line.starts_with("redis ")),
            "{processes}"
        );
        // It saves on TERM, which the supervisor passes on.
        server.stops_and_leaves_nothing();
    }
    sh("rm /var/db/redis/jrtest.rdb");
}

#[test]
fn memcached_serves_one_address_and_leaves_nothing() {
    let more = "args = [\"-p\", \"21211\", \"-U\", \"0\"]\n";
    let program = "/usr/local/bin/memcached";
    let Some(memcached) = Daemon::start("memcached", program, Own::Including(more), "") else {
        return;
    };
    let say = |words: &str, answer: &str| ask("127.0.0.1:21211", words.as_bytes(), answer);
    assert_eq!(say("set jrtest 0 0 5\r\nvalue\r\n", "\r\n"), "STORED\r\n");
    let answer = "VALUE jrtest 0 5\r\nvalue\r\nEND\r\n";
    assert_eq!(say("get jrtest\r\n", "END\r\n"), answer);
    // It binds every address that it has, and that is one.
    let sockets = sh("sockstat -4l -p 21211 | awk 'NR > 1 {print $6}'");
    assert_eq!(sockets, "127.0.0.1:21211");
    let processes = memcached.processes();
    assert!(
        processes.lines().all(|line| line.starts_with("nobody ")),
        "{processes}"
    );
    memcached.stops_and_leaves_nothing();
}

#[test]
fn lighttpd_serves_files_with_the_modules_it_loads_stops_and_leaves_nothing() {
    let config = "server.document-root = \"/usr/local/www/jrtest-lighttpd\"\nserver.port = 18081\n\
                  server.bind = \"127.0.0.1\"\nserver.modules = (\"mod_alias\", \"mod_dirlisting\")\n\
                  index-file.names = (\"index.html\")\nalias.url = (\"/host/\" => \"/\")\n\
                  server.errorlog = \"/var/log/lighttpd/jrtest.log\"\n";
    // It takes one `-f`.
    let own = Own::Edited(&[
        (
            "/usr/local/etc/lighttpd/lighttpd.conf",
            "/usr/local/etc/jrtest/lighttpd.conf",
        ),
        ("\"/usr/local/etc/lighttpd\"", "\"/usr/local/etc/jrtest\""),
        ("/var/run/lighttpd.pid", "/var/run/jrtest-lighttpd.pid"),
    ]);
    sh(
        "mkdir -p /usr/local/www/jrtest-lighttpd; echo a-file >/usr/local/www/jrtest-lighttpd/index.html",
    );
    let program = "/usr/local/sbin/lighttpd";
    if Path::new(program).exists() {
        logs("www", &["/var/log/lighttpd/jrtest.log"]);
    }
    let Some(lighttpd) = Daemon::start("lighttpd", program, own, config) else {
        return;
    };
    let get = |path: &str| {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        ask("127.0.0.1:18081", request.as_bytes(), "\0")
    };
    assert!(get("/").ends_with("a-file\n"), "{}", get("/"));
    assert!(get("/host/etc/rc.conf").contains("404 Not Found"));
    let processes = lighttpd.processes();
    assert!(
        processes.lines().all(|line| line.starts_with("www ")),
        "{processes}"
    );
    lighttpd.stops_and_leaves_nothing();
    sh("rm -r /usr/local/www/jrtest-lighttpd /var/log/lighttpd/jrtest.log");
}

#[test]
fn mosquitto_takes_a_message_keeps_it_over_a_restart_and_leaves_nothing() {
    let config = "listener 11883 127.0.0.1\nallow_anonymous true\npersistence true\n\
                  persistence_location /var/db/mosquitto/\npersistence_file jrtest.db\n\
                  pid_file /var/run/mosquitto.pid\n";
    // `-c` again: the last one counts.
    let more = format!("args = [\"-c\", \"{ETC}/mosquitto.conf\"]\n[root]\nro = [\"{ETC}\"]\n");
    let program = "/usr/local/sbin/mosquitto";
    let connect = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06jrtest";
    // A retained message for the topic "t", and a subscription to it. Each ends with a disconnection or is cut off.
    let publish = [connect, &b"\x31\x08\x00\x01tvalue\xe0\x00"[..]].concat();
    let subscribe = [connect, &b"\x82\x06\x00\x01\x00\x01t\x00"[..]].concat();
    for (request, answer) in [(publish, "\0\0"), (subscribe, "tvalue")] {
        let Some(mosquitto) = Daemon::start("mosquitto", program, Own::Including(&more), config)
        else {
            return;
        };
        let told = ask("127.0.0.1:11883", &request, answer);
        // It lets the client in (CONNACK 0), and tells the second what the first had said.
        assert!(told.starts_with(" \u{2}\0\0"), "{told:?}");
        assert!(told.ends_with(answer), "{told:?}");
        let processes = mosquitto.processes();
        assert!(
            processes.lines().all(|line| line.starts_with("mosquitto ")),
            "{processes}"
        );
        mosquitto.stops_and_leaves_nothing();
    }
    sh("rm /var/db/mosquitto/jrtest.db");
}
