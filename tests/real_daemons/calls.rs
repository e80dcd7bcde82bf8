//! The system calls that nginx and redis make for their requests, counted by ktrace(1): in capability mode and bare.

use crate::capsicum::{NGINX, NGINX_LOGS, nginx_conf, worker};
use crate::fixture::{Daemon, Own, ask, logs, sh, until};
use std::collections::BTreeMap;
use std::io::{Read, Write};

const PROGRAM: &str = "/usr/local/sbin/nginx";
const WWW: &str = "/usr/local/www/jrtest-capsicum";
const REDIS: &str = "/usr/local/bin/redis-server";
const DATA: &str = "/var/db/redis/jrtest";
const REQUESTS: usize = 200;
/// So many that what it does once a second is nothing beside them.
const REDIS_REQUESTS: usize = 2000;

type Calls = BTreeMap<String, usize>;

/// The host's clock, for as long as this lives.
struct Clock {
    before: String,
}

impl Clock {
    fn set(name: &str) -> Clock {
        let before = sh("sysctl -n kern.timecounter.hardware");
        sh(&format!("sysctl kern.timecounter.hardware={name}"));
        Clock { before }
    }

    /// "TSC-low(-100) HPET(950)": those whose names begin with one of these.
    fn choice(starts: &[&str]) -> Vec<String> {
        let choice = sh("sysctl -n kern.timecounter.choice");
        let names = choice.split_whitespace().map(|word| {
            let (name, _quality) = word.split_once('(').unwrap();
            name.to_string()
        });
        names
            .filter(|name| starts.iter().any(|start| name.starts_with(start)))
            .collect()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        sh(&format!("sysctl kern.timecounter.hardware={}", self.before));
    }
}

/// Requests to a worker that waits for nothing else, two on each connection.
fn ask_for(port: u16) {
    let request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = request.replace("Host", "Connection: close\r\nHost");
    for _ in 0..REQUESTS / 2 {
        let both = format!("{request}{last}");
        let told = ask(&format!("127.0.0.1:{port}"), both.as_bytes(), "\0");
        assert_eq!(told.matches("from-a-file").count(), 2, "{told}");
    }
}

/// How often the worker of this jail makes each system call for the requests.
fn counted(jail: &str, port: u16) -> Calls {
    let mut calls = calls_of(&worker(jail), || ask_for(port));
    // The C library's allocator gives memory back as time goes by, not by request.
    for name in ["mmap", "munmap", "madvise"] {
        let number = calls.remove(name).unwrap_or(0);
        assert!(number < REQUESTS / 20, "{name}: {number}");
    }
    calls
}

/// How often this process makes each system call for what it is asked.
fn calls_of(pid: &str, ask_for: impl Fn()) -> Calls {
    let trace = "/tmp/jrtest-ktrace";
    let waits = || sh(&format!("ps -o wchan= -p {pid}"));
    let rests = || {
        until("the daemon's rest", || {
            ["kqread", "select"].contains(&waits().as_str())
        })
    };
    // What it does once only is done before.
    ask_for();
    rests();
    sh(&format!("ktrace -t c -f {trace} -p {pid}"));
    ask_for();
    rests();
    sh("ktrace -C");
    let text = sh(&format!(
        "kdump -f {trace} | awk '$3 == \"CALL\" {{print $4}}'; rm {trace}"
    ));
    let mut calls = Calls::new();
    for line in text.lines() {
        let name = line.split('(').next().unwrap();
        *calls.entry(name.to_string()).or_default() += 1;
    }
    calls
}

/// nginx as the port would start it, without any jail.
struct Bare;

impl Bare {
    fn start() -> Bare {
        let conf = nginx_conf(18083, "", "user www;\npid /var/run/jrtest-bare.pid;\n");
        std::fs::write("/tmp/jrtest-bare.conf", conf).unwrap();
        sh(&format!("{PROGRAM} -c /tmp/jrtest-bare.conf"));
        Bare
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        sh("kill $(cat /var/run/jrtest-bare.pid); rm /tmp/jrtest-bare.conf");
        until("the bare one's end", || worker("").is_empty());
    }
}

fn confined(changes: &[(&str, &str)]) -> Option<Daemon> {
    sh(&format!(
        "mkdir -p {WWW}; echo from-a-file >{WWW}/index.html"
    ));
    if std::path::Path::new(PROGRAM).exists() {
        logs("www", &NGINX_LOGS);
    }
    let changes = [NGINX, changes].concat();
    let conf = nginx_conf(18082, "", "");
    Daemon::start("nginx-capsicum", PROGRAM, Own::Edited(&changes), &conf)
}

fn clean() {
    sh(&format!("rm -r {WWW} /var/log/nginx/jrtest*"));
}

/// Under a clock that libsys reads by an instruction, and under one that only the kernel reads.
#[test]
fn nginx_makes_the_same_system_calls_in_capability_mode_and_bare() {
    let clocks = Clock::choice(&["TSC", "ACPI"]);
    assert!(!clocks.is_empty());
    let Some(nginx) = confined(&[]) else {
        return;
    };
    let bare = Bare::start();
    for clock in clocks {
        let _clock = Clock::set(&clock);
        let (confined, bare) = (counted(&nginx.jail(), 18082), counted("", 18083));
        println!("{clock}, {REQUESTS} requests: {confined:?}");
        assert!(bare.values().sum::<usize>() > 4 * REQUESTS, "{bare:?}");
        assert_eq!(confined, bare, "{clock}");
    }
    drop(bare);
    nginx.stops_and_leaves_nothing();
    clean();
}

/// HPET is read through a page of /dev/hpet0. libsys (__vdso_init_hpet) opens that by its path, unless it
/// finds itself in capability mode: then it doesn't try, and each look at the clock is a system call,
/// whatever was granted. A jail makes no difference beside showing the device or not.
#[test]
fn only_a_clock_that_is_a_device_costs_a_system_call_more_in_capability_mode() {
    if Clock::choice(&["HPET"]).is_empty() || !std::path::Path::new("/dev/hpet0").exists() {
        println!("SKIP only_a_clock_that_is_a_device: needs HPET");
        return;
    }
    let enforce = "mode = \"enforce\"";
    for (mode, devices, is_read_by_itself) in [
        ("mode = \"off\"", "devices = [\"hpet0\"]", true),
        ("mode = \"off\"", "devices = []", false),
        (enforce, "devices = [\"hpet0\"]", false),
        (enforce, "devices = []", false),
    ] {
        let root = format!("[root]\n{devices}");
        let Some(nginx) = confined(&[(enforce, mode), ("[root]", &root)]) else {
            return;
        };
        let clock = Clock::set("HPET");
        let bare = Bare::start();
        let (mut confined, mut bare_ones) = (counted(&nginx.jail(), 18082), counted("", 18083));
        drop(bare);
        drop(clock);
        nginx.stops_and_leaves_nothing();
        let mut clocks = |name| {
            let of = |calls: &mut Calls| calls.remove(name).unwrap_or(0);
            (of(&mut confined), of(&mut bare_ones))
        };
        let (time, monotonic) = (clocks("gettimeofday"), clocks("clock_gettime"));
        println!("{mode} {devices}: gettimeofday {time:?}, clock_gettime {monotonic:?}");
        assert_eq!((time.1, monotonic.1), (0, 0));
        assert_eq!((time.0 + monotonic.0) == 0, is_read_by_itself);
        // Beside the clock it's the same.
        assert_eq!(confined, bare_ones, "{mode} {devices}");
    }
    clean();
}

/// One after the other on one connection, so that the server waits between them.
fn ask_redis(port: u16) {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    for _ in 0..REDIS_REQUESTS / 2 {
        for (request, answer) in [("SET one 1\r\n", "+OK\r\n"), ("GET one\r\n", "$1\r\n1\r\n")] {
            stream.write_all(request.as_bytes()).unwrap();
            let mut told = vec![0; answer.len()];
            stream.read_exact(&mut told).unwrap();
            assert_eq!(told, answer.as_bytes());
        }
    }
}

/// Calls for a request, of the server and not of its own clock: once a second it looks after itself.
fn of_redis(pid: &str, port: u16) -> Calls {
    let mut calls = calls_of(pid, || ask_redis(port));
    calls.retain(|_, number| {
        *number = (*number + REDIS_REQUESTS / 4) / (REDIS_REQUESTS / 2);
        *number > 0
    });
    calls
}

#[test]
fn redis_makes_the_same_system_calls_in_capability_mode_and_bare() {
    if !std::path::Path::new(REDIS).exists() {
        println!("SKIP redis_makes_the_same_system_calls: needs {REDIS}");
        return;
    }
    let words = |port| {
        let data = format!("{DATA}/{port}");
        sh(&format!("install -d -o redis -g redis {DATA} {data}"));
        [
            "--port",
            port,
            "--dir",
            &data,
            "--logfile",
            "",
            "--appendonly",
            "yes",
            "--save",
            "",
            "--hz",
            "1",
            "--dynamic-hz",
            "no",
        ]
        .map(str::to_string)
    };
    let args = words("16381").map(|word| format!("{word:?}")).join(", ");
    let own = format!(
        "pidfile = \"/var/run/jrtest-redis-capsicum.pid\"\nargs = [{args}]\n[proccontrol]\ntrace = \"enable\"\n\n[[listen]]"
    );
    let edits = [
        ("127.0.0.1:6379", "127.0.0.1:16381"),
        ("\n[[listen]]", &own),
    ];
    let Some(confined) = Daemon::start("redis-capsicum", REDIS, Own::Edited(&edits), "") else {
        return;
    };
    let mut bare = std::process::Command::new(REDIS)
        .args(words("16382"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for port in ["16381", "16382"] {
        until("its data", || {
            ask(&format!("127.0.0.1:{port}"), b"PING\r\n", "\r\n") == "+PONG\r\n"
        });
    }
    let inside = sh(&format!("pgrep -j {} .", confined.jail()));
    for clock in Clock::choice(&["TSC", "ACPI"]) {
        let _clock = Clock::set(&clock);
        let (confined, bare) = (
            of_redis(&inside, 16381),
            of_redis(&bare.id().to_string(), 16382),
        );
        println!("{clock}, for a SET and a GET: {confined:?}");
        assert!(
            ["read", "write", "kevent"]
                .iter()
                .all(|name| bare.contains_key(*name)),
            "{bare:?}"
        );
        assert_eq!(confined, bare, "{clock}");
    }
    sh(&format!("kill {}", bare.id()));
    bare.wait().unwrap();
    confined.stops_and_leaves_nothing();
    sh(&format!("rm -r {DATA}"));
}
