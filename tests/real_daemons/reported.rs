//! From a plain profile to capability mode by the report alone: the daemon runs by it with mode = "report",
//! and then by what it said, word for word, with mode = "enforce".

use crate::amended::{amended, proposed};
use crate::capsicum::{NGINX_LOGS, is_confined, nginx_conf};
use crate::fixture::{
    ADMINISTRATORS, Daemon, Own, ask, ctl, edited, has_library, logs, said, sh, until,
};
use std::collections::BTreeSet;

/// What is told of one kind of refusal.
struct Told {
    fate: String,
    /// Call and object.
    what: String,
    why: String,
    /// Table, line, and whether it comes beside others.
    line: Option<(String, String, bool)>,
}

/// What `check --capsicum` says of an instance: of each refusal, and in its last lines; and its status.
fn report(instance: &str) -> (Vec<Told>, String, Option<i32>) {
    let output = ctl(&["check", "--capsicum", instance]);
    let text = format!("{}\n", said(&output));
    let begin = format!("{instance}: ");
    let mut all = Vec::new();
    let mut last = String::new();
    for entry in text.split(&format!("\n{begin}")) {
        let entry = format!("{}\n", entry.trim_start_matches(&begin).trim_end());
        let words: Vec<&str> = entry.splitn(3, ": ").collect();
        match (words.as_slice(), entry.contains(" time")) {
            ([fate, what, why], true) => all.push(Told {
                fate: (*fate).to_string(),
                what: (*what).to_string(),
                why: (*why).to_string(),
                line: proposed(&entry),
            }),
            _ => last.push_str(&entry),
        }
    }
    (all, last, output.status.code())
}

/// Why, of what begins so.
fn why<'a>(all: &'a [Told], fate: &str, what: &str) -> &'a Told {
    let mut found = all
        .iter()
        .filter(|told| told.fate == fate && told.what.starts_with(what));
    found.next().unwrap_or_else(|| {
        let all: Vec<String> = all
            .iter()
            .map(|told| format!("{}: {}: {}", told.fate, told.what, told.why))
            .collect();
        panic!("{fate}: {what} isn't told in\n{}", all.join(""))
    })
}

/// The test's profile as it is after each line was written into it that is proposed, each once.
fn followed(profile: &str, all: &[Told]) -> String {
    let mut written = BTreeSet::new();
    let lines = all.iter().filter_map(|told| told.line.clone());
    lines.fold(
        profile.to_string(),
        |text, (table, line, is_more)| match written.insert((table.clone(), line.clone())) {
            true => amended(&text, &table, &line, is_more),
            false => text,
        },
    )
}

fn enforced(profile: &str) -> String {
    let report = "mode = \"report\"\n";
    assert!(profile.contains(report), "{profile}");
    profile.replace(report, "mode = \"enforce\"\npreopen = true\n")
}

const REDIS: &str = "args = [\"--port\", \"16382\", \"--daemonize\", \"yes\", \"--dir\", \"/var/db/redis/jrtest-r\", \
                     \"--logfile\", \"\", \"--appendonly\", \"yes\", \"--save\", \"3600 1\"]\n\
                     [capsicum]\nmode = \"report\"\n";

fn redis(words: &str) -> String {
    ask("127.0.0.1:16382", format!("{words}\r\n").as_bytes(), "\r\n")
}

fn redis_serves(kept: &str) {
    until("its data", || redis("PING") == "+PONG\r\n");
    assert_eq!(redis("GET text"), kept);
    assert_eq!(redis("SET text value"), "+OK\r\n");
    assert!(redis("BGSAVE").starts_with("+Background saving"));
    until("the snapshot", || {
        let words = b"INFO persistence\r\nQUIT\r\n";
        let told = ask("127.0.0.1:16382", words, "\0");
        told.contains("rdb_bgsave_in_progress:0") && told.contains("rdb_last_bgsave_status:ok")
    });
}

#[test]
fn redis_serves_in_capability_mode_by_what_its_report_says_and_its_replication_remains() {
    let program = "/usr/local/bin/redis-server";
    let has_redis = std::path::Path::new(program).exists();
    if !has_library("redis reported") {
        return;
    }
    if has_redis {
        sh("rm -rf /var/db/redis/jrtest-r; install -d -o redis -g redis /var/db/redis/jrtest-r");
    }
    let Some(server) = Daemon::start("redis", program, Own::Including(REDIS), "") else {
        return;
    };
    redis_serves("$-1\r\n");
    let (all, last, status) = report("jrtest-redis");
    let bind = why(&all, "listen", "bind 127.0.0.1:16382 (1 time)");
    let table = "name = \"tcp-16382\"\nproto = \"tcp\"\naddr = \"127.0.0.1:16382\"";
    let line = ("[listen]".to_string(), table.to_string(), false);
    assert_eq!(bind.line, Some(line));
    let data = why(&all, "preopen", "chdir /var/db/redis/jrtest-r (");
    assert_eq!(data.why.trim(), "by the descriptor on /var/db/redis");
    why(&all, "preopen", "rename temp-");
    assert_eq!(status, Some(0), "{last}");
    assert!(
        last.ends_with(
            "nothing remains: try it with mode = \"enforce\" and preopen = true in [capsicum]\n"
        ),
        "{last}"
    );
    let show = said(&ctl(&["show", "jrtest-redis"]));
    let sum = last.lines().next().unwrap();
    assert!(
        sum.contains("1 vanish with a [[listen]]") && show.contains(sum),
        "{show} {last}"
    );
    // What it does from now on connects, which nothing is there against.
    assert_eq!(redis("REPLICAOF 127.0.0.1 16999"), "+OK\r\n");
    until("a connection", || report("jrtest-redis").2 == Some(1));
    let (more, last, _) = report("jrtest-redis");
    let connect = why(&more, "remains", "connect 127.0.0.1:16999 (");
    assert!(connect.why.contains("needs a broker"), "{}", connect.why);
    assert!(last.starts_with("1 remain, "), "{last}");
    assert_eq!(redis("REPLICAOF NO ONE"), "+OK\r\n");
    server.stops_and_leaves_nothing();

    let profile = enforced(&followed(REDIS, &all));
    let own = Own::Including(&profile);
    let server = Daemon::start("redis", program, own, "").unwrap();
    is_confined(&server);
    redis_serves("$5\r\nvalue\r\n");
    // It was said that this remains.
    assert_eq!(redis("REPLICAOF 127.0.0.1 16999"), "+OK\r\n");
    let told = ask("127.0.0.1:16382", b"INFO replication\r\nQUIT\r\n", "\0");
    assert!(told.contains("master_link_status:down"), "{told}");
    server.stops_and_leaves_nothing();
    sh("rm -r /var/db/redis/jrtest-r");
}

const NGINX: &str = "args = [\"-c\", \"/usr/local/etc/jrtest/nginx.conf\"]\n\
                     [root]\nro = [\"/usr/local/etc/jrtest\"]\n[capsicum]\nmode = \"report\"\n";
const WWW: &str = "/usr/local/www/jrtest-capsicum";
/// What nobody thought of.
const MORE: &str = "/usr/local/jrtest-more";

fn get(path: &str) -> String {
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    ask("127.0.0.1:18085", request.as_bytes(), "\0")
}

fn nginx_serves(nginx: &Daemon) {
    assert!(get("/").ends_with("from-a-file\n"), "{}", get("/"));
    let conf = "/usr/local/etc/jrtest/nginx.conf";
    let text = std::fs::read_to_string(conf).unwrap();
    std::fs::write(conf, text.replace("before", "after")).unwrap();
    nginx.signal("HUP");
    until("the new configuration", || get("/page").ends_with("after"));
    assert_ne!(sh("grep -c 'GET /page' /var/log/nginx/jrtest.log"), "0");
}

#[test]
fn nginx_serves_in_capability_mode_by_what_its_report_says_and_its_proxy_remains() {
    let program = "/usr/local/sbin/nginx";
    if !has_library("nginx reported") {
        return;
    }
    sh(&format!(
        "mkdir -p {WWW} {MORE}; echo from-a-file >{WWW}/index.html; echo from-elsewhere >{MORE}/file"
    ));
    logs("www", &NGINX_LOGS);
    let conf = nginx_conf(18085, "before", "").replace(
        "location /host/",
        &format!(
            "location /more/ {{ alias {MORE}/; }} location /proxy/ {{ proxy_pass http://127.0.0.1:18999; }}\n\
             location /host/"
        ),
    );
    let Some(nginx) = Daemon::start("nginx", program, Own::Including(NGINX), &conf) else {
        return;
    };
    nginx_serves(&nginx);
    assert!(get("/more/file").contains("404 Not Found"));
    assert!(get("/more/absent").contains("404 Not Found"));
    let (all, last, status) = report("jrtest-nginx");
    why(&all, "listen", "bind 0.0.0.0:18085 (");
    let granted = why(&all, "grant", &format!("openat {MORE}/file (1 time)"));
    let line = ("root".to_string(), format!("ro = [\"{MORE}/file\"]"), true);
    assert_eq!(granted.line, Some(line));
    let absent = why(&all, "same", &format!("openat {MORE}/absent ("));
    assert!(absent.why.contains("nor on the host"), "{}", absent.why);
    for (path, above) in [
        (format!("{WWW}/index.html"), "/, to read and execute"),
        ("/var/log/nginx/jrtest.log".to_string(), "/var/log/nginx"),
        ("/dev/null".to_string(), "/dev"),
    ] {
        let told = why(&all, "preopen", &format!("openat {path} ("));
        assert_eq!(told.why.trim(), format!("by the descriptor on {above}"));
    }
    let told = why(&all, "preopen", "mkdir /var/tmp/nginx/proxy_temp (");
    assert_eq!(told.why.trim(), "by the descriptor on /var/tmp/nginx");
    // The shipped profile looks names up, for upstreams that have some.
    assert!(
        status == Some(1)
            && last.contains("leave /etc/resolv.conf out")
            && !last.contains("nothing remains"),
        "{last}"
    );
    assert!(get("/proxy/").contains("502 Bad Gateway"));
    let (more, ..) = report("jrtest-nginx");
    let connect = why(&more, "remains", "connect 127.0.0.1:18999 (1 time)");
    assert!(connect.why.contains("needs a broker"), "{}", connect.why);
    nginx.stops_and_leaves_nothing();

    // A shipped profile is changed by a copy of the same name.
    let copy = format!("{ADMINISTRATORS}/nginx.toml");
    std::fs::write(&copy, edited("nginx", &[("\"dns\", ", "")])).unwrap();
    let profile = enforced(&followed(NGINX, &all));
    let own = Own::Including(&profile);
    let nginx = Daemon::start("nginx", program, own, &conf).unwrap();
    is_confined(&nginx);
    nginx_serves(&nginx);
    // The one path that was asked for, and not what is beside it on the host.
    sh(&format!("echo secret >{MORE}/absent"));
    assert!(get("/more/file").ends_with("from-elsewhere\n"));
    assert!(get("/more/absent").contains("404 Not Found"));
    assert!(get("/proxy/").contains("50"), "{}", get("/proxy/"));
    is_confined(&nginx);
    nginx.stops_and_leaves_nothing();
    sh(&format!("rm -r {copy} {WWW} {MORE} /var/log/nginx/jrtest*"));
}
