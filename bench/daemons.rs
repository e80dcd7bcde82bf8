//! Stock daemons in capability mode by their shipped profiles, beside the same ones bare. Both are up, and
//! bursts of requests go to the one and to the other in turn.

use crate::figures::{beside, median};
use crate::floor;
use crate::stage::run;
use jailrun::kernel::Kernel;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Requests in a burst, one after the other on one connection.
const REQUESTS: usize = 1000;
const FILE: usize = 4096;
const PROFILE: &str = "jailrun-bench-daemon";
const PIDFILE: &str = "/var/run/jailrun-bench.pid";
const WWW: &str = "/usr/local/www/jailrun-bench";
const ETC: &str = "/usr/local/etc/jailrun-bench";
const DATA: &str = "/var/db/redis/jailrun-bench";

/// Where it serves in capability mode, and where bare.
const NGINX: [u16; 2] = [18181, 18182];
const REDIS: [u16; 2] = [18183, 18184];

/// Those that ours include too, where no installation has brought them.
const SHIPPED: [(&str, &str); 3] = [
    ("base", include_str!("../profiles/base.toml")),
    ("users", include_str!("../profiles/users.toml")),
    ("redis", include_str!("../profiles/redis.toml")),
];

type Stream = BufReader<TcpStream>;

/// What it measures, as Markdown, for the daemons that are installed.
pub fn report(pairs: usize) {
    let installed = Installed::new();
    println!(
        "{REQUESTS} requests a burst, one connection, {pairs} pairs, medians in ms with least and most; \
         clock {}\n",
        floor::kernel()
            .sysctl_text("kern.timecounter.hardware")
            .unwrap()
    );
    println!("| daemon | request | bare | enforce | enforce / bare | faster in |");
    println!("|---|---|---|---|---|---|");
    if let Some(pair) = installed.start("nginx", "/usr/local/sbin/nginx", nginx) {
        pair.measure(pairs, "a file of 4 KiB", NGINX, |stream| {
            get(stream, "/file", FILE)
        });
        pair.measure(pairs, "an answer without a file", NGINX, |stream| {
            get(stream, "/answer", 2)
        });
    }
    if let Some(pair) = installed.start("redis", "/usr/local/bin/redis-server", redis) {
        pair.measure(pairs, "SET, into the append-only file", REDIS, |stream| {
            say(stream, "SET bench 0123456789\r\n", "+OK\r\n");
        });
        pair.measure(pairs, "GET", REDIS, |stream| {
            say(stream, "GET bench\r\n", "$10\r\n");
            let mut value = String::new();
            stream.read_line(&mut value).unwrap();
            assert_eq!(value, "0123456789\r\n");
        });
    }
}

/// A profile's text by which the daemon serves in capability mode, and the command by which it serves bare.
type Prepare = fn() -> (String, Command);

fn nginx() -> (String, Command) {
    fs::create_dir_all(WWW).unwrap();
    fs::write(format!("{WWW}/file"), "x".repeat(FILE)).unwrap();
    // Bare it is www from the start, and confined it writes its own pid into the jail.
    for (port, pid) in NGINX
        .iter()
        .zip(["/var/run/nginx.pid", "/tmp/jailrun-bench-nginx.pid"])
    {
        // In a directory of root's, where neither can make its logs.
        for log in ["error", &port.to_string()] {
            let log = format!("/var/log/nginx/jailrun-bench.{log}");
            let owner = ["-o", "www", "-g", "www", "-m", "640"];
            run(
                "/usr/bin/install",
                &[&owner[..], &["/dev/null", &log]].concat(),
            );
        }
        let text = format!(
            "pid {pid}; events {{}} error_log /var/log/nginx/jailrun-bench.error;\n\
             http {{ access_log /var/log/nginx/jailrun-bench.{port};\nserver {{ listen {port}; \
             keepalive_requests 1000000; root {WWW}; location = /answer {{ return 200 ok; }} }} }}\n"
        );
        fs::write(format!("{ETC}/{port}.conf"), text).unwrap();
    }
    let profile = edited(
        include_str!("../profiles/nginx-capsicum.toml"),
        &[
            ("\"0.0.0.0:80\"", "\"127.0.0.1:18181\""),
            ("/var/run/nginx.pid", PIDFILE),
            ("\"/usr/local/etc/nginx\"", &format!("\"{ETC}\"")),
            (
                "user = \"www\"",
                &format!(
                    "args = [\"-c\", \"{ETC}/{}.conf\"]\nuser = \"www\"",
                    NGINX[0]
                ),
            ),
        ],
    );
    let mut bare = Command::new("/usr/local/sbin/nginx");
    bare.args([
        "-g",
        "daemon off;",
        "-c",
        &format!("{ETC}/{}.conf", NGINX[1]),
    ]);
    (profile, of_user(bare, "www"))
}

/// Both write their data below a directory of redis' that goes at the end.
fn redis() -> (String, Command) {
    let words = |port: u16| {
        let data = format!("{DATA}/{port}");
        run(
            "/usr/bin/install",
            &["-d", "-o", "redis", "-g", "redis", DATA, &data],
        );
        [
            "--port",
            &port.to_string(),
            "--dir",
            &data,
            "--appendonly",
            "yes",
            "--save",
            "",
            "--logfile",
            "",
            "--daemonize",
            "no",
        ]
        .map(str::to_string)
    };
    let args = words(REDIS[0]).map(|word| format!("{word:?}")).join(", ");
    let profile = edited(
        include_str!("../profiles/redis-capsicum.toml"),
        &[
            ("\"127.0.0.1:6379\"", "\"127.0.0.1:18183\""),
            (
                "\n[[listen]]",
                &format!("pidfile = \"{PIDFILE}\"\nforking = false\nargs = [{args}]\n\n[[listen]]"),
            ),
        ],
    );
    let mut bare = Command::new("/usr/local/bin/redis-server");
    bare.args(words(REDIS[1]));
    (profile, of_user(bare, "redis"))
}

fn edited(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_string(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

fn of_user(mut command: Command, user: &str) -> Command {
    let number = |flag| {
        let told = run("/usr/bin/id", &[flag, user]).stdout;
        String::from_utf8_lossy(&told)
            .trim()
            .parse::<u32>()
            .unwrap()
    };
    command.uid(number("-u")).gid(number("-g"));
    command
}

/// The files and the directory that are there for the measurement, and go with this.
struct Installed {
    files: Vec<String>,
}

/// The library of capability mode in its place: an installed one stays, else the one that was built.
fn library() -> Option<String> {
    let place = format!("{}/lib/jailrun/libjailrun_preopen.so", jailrun::run::PREFIX);
    if Path::new(&place).exists() {
        return None;
    }
    let built = beside("libjailrun_preopen.so", "JAILRUN_PREOPEN");
    assert!(
        Path::new(&built).exists(),
        "{place} isn't installed, and {built} isn't built: make bench-daemons builds it"
    );
    let directory = Path::new(&place).parent();
    fs::create_dir_all(directory.unwrap()).unwrap();
    let words = ["-o", "root", "-g", "wheel", "-m", "444", &built, &place];
    run("/usr/bin/install", &words);
    Some(place)
}

impl Installed {
    fn new() -> Installed {
        let mut files: Vec<String> = library().into_iter().collect();
        let place = format!("{}/share/jailrun/profiles", jailrun::run::PREFIX);
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(ETC).unwrap();
        for (name, text) in SHIPPED {
            let path = format!("{place}/{name}.toml");
            if !Path::new(&path).exists() {
                fs::write(&path, text).unwrap();
                files.push(path);
            }
        }
        Installed { files }
    }

    fn start(&self, name: &'static str, program: &str, prepare: Prepare) -> Option<Pair> {
        if !Path::new(program).exists() {
            println!("| {name} | {program} is not there | | | | |");
            return None;
        }
        let (text, mut bare) = prepare();
        let own = format!("{}/etc/jailrun/profiles", jailrun::run::PREFIX);
        fs::create_dir_all(&own).unwrap();
        let profile = format!("{own}/{PROFILE}.toml");
        fs::write(&profile, text).unwrap();
        let mut confined = Command::new(beside("jailrun", "JAILRUN_BIN"));
        confined.arg(PROFILE);
        let [confined, bare] = [&mut confined, &mut bare].map(|command| {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().unwrap()
        });
        Some(Pair {
            name,
            profile,
            confined,
            bare,
        })
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        for path in &self.files {
            let _ = fs::remove_file(path);
        }
        for directory in [WWW, ETC, DATA] {
            let _ = fs::remove_dir_all(directory);
        }
        run("/bin/sh", &["-c", "rm -f /var/log/nginx/jailrun-bench.*"]);
    }
}

/// A daemon that serves twice.
struct Pair {
    name: &'static str,
    profile: String,
    confined: Child,
    bare: Child,
}

impl Pair {
    /// Each of the pairs begins with the other one. The first isn't counted: it fills the caches.
    fn measure(&self, pairs: usize, what: &str, ports: [u16; 2], ask: impl Fn(&mut Stream)) {
        let mut streams = ports.map(connect);
        let mut times = [Vec::new(), Vec::new()];
        let mut faster = 0;
        for pair in 0..=pairs {
            let mut both = [0.0; 2];
            for turn in 0..2 {
                let which = (pair + turn) % 2;
                let began = Instant::now();
                for _ in 0..REQUESTS {
                    ask(&mut streams[which]);
                }
                both[which] = began.elapsed().as_secs_f64() * 1000.0;
            }
            if pair > 0 {
                faster += usize::from(both[0] < both[1]);
                times[0].push(both[0]);
                times[1].push(both[1]);
            }
        }
        times.iter_mut().for_each(|all| all.sort_by(f64::total_cmp));
        let [enforce, bare] = times;
        let cell = |all: &[f64]| {
            format!(
                "{:.0} ({:.0}-{:.0})",
                median(all),
                all[0],
                all[all.len() - 1]
            )
        };
        println!(
            "| {} | {what} | {} | {} | {:.3} | {faster} of {pairs} |",
            self.name,
            cell(&bare),
            cell(&enforce),
            median(&enforce) / median(&bare)
        );
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in [&mut self.confined, &mut self.bare] {
            run("/bin/kill", &[&child.id().to_string()]);
            child.wait().unwrap();
        }
        fs::remove_file(&self.profile).unwrap();
    }
}

fn connect(port: u16) -> Stream {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                return BufReader::new(stream);
            }
            Err(error) => assert!(Instant::now() < end, "port {port}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn get(stream: &mut Stream, path: &str, size: usize) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    while line != "\r\n" {
        line.clear();
        assert_ne!(stream.read_line(&mut line).unwrap(), 0);
    }
    stream.read_exact(&mut vec![0; size]).unwrap();
}

fn say(stream: &mut Stream, request: &str, answer: &str) {
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert_eq!(line, answer);
}
