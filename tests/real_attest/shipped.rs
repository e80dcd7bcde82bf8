//! Every profile that is shipped.

use crate::fixture::{PROFILES, alone, ctl, sh, verdicts, world};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// They name no program: they are made to be included in profiles that do, and are attested in those.
const PARTS: &[&str] = &["base", "dns", "syslog", "timezone", "tls", "users"];

/// Accounts and directories that the shipped profiles need on a host, where they aren't there, as their
/// packages make them.
const NEEDS: &str = "
    user() { pw usershow $1 >/dev/null 2>&1 || pw useradd $1 -u $2 -d /nonexistent -s /usr/sbin/nologin; }
    user www 80; user redis 535; user mosquitto 885
    place() { test -d $3 || install -d -o $1 -g $2 -m 750 $3; }
    for spool in /var/spool/jailrun-fetch /var/spool/jailrun-tar; do
        place root wheel $spool; place nobody nobody $spool/files
    done
    place root www /var/log/nginx; place root www /var/log/lighttpd
    place redis redis /var/db/redis; place root redis /var/log/redis; place mosquitto mosquitto /var/db/mosquitto
    test -d /var/db/jrattest || install -d -m 755 /var/db/jrattest
    mkdir -p /usr/local/www/jailrun /usr/local/etc/nginx /usr/local/etc/lighttpd \\
        /usr/local/etc/mosquitto /tftpboot /var/cron/tabs
    for file in /etc/resolv.conf /etc/hosts.allow /usr/local/etc/redis.conf; do
        test -e $file || touch $file
    done";

/// What a profile's own line says, or that of one which it includes.
fn program(shipped: &BTreeMap<String, String>, name: &str) -> Option<String> {
    let text = shipped
        .get(name)
        .unwrap_or_else(|| panic!("{name} isn't shipped"));
    let quoted = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        let words = line.split('"').skip(1).step_by(2);
        Some(words.map(str::to_string).collect::<Vec<_>>())
    };
    match quoted("program = ") {
        Some(own) => own.into_iter().next(),
        None => {
            let included = quoted("include = ").unwrap_or_default();
            included.iter().find_map(|name| program(shipped, name))
        }
    }
}

/// The program itself, or one of the base system's in its place: no attempt gets as far as to run it.
fn stand_in(program: &str) {
    if !Path::new(program).exists() {
        let directory = Path::new(program).parent().unwrap().display();
        sh(&format!(
            "mkdir -p {directory}; install /bin/sleep {program}"
        ));
        println!("{program} stands for its package's");
    }
}

#[test]
fn every_shipped_profile_is_refused_everything_but_what_it_lists() {
    let _alone = alone();
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    let top: PathBuf = there.map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let Ok(shipped) = std::fs::read_dir(top.join("profiles")) else {
        println!("SKIP every_shipped_profile: the checkout isn't on this host");
        return;
    };
    println!("{}", sh(NEEDS));
    let mut texts = BTreeMap::new();
    for entry in shipped {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        // The script of a package that pkg(8) isn't asked for here: what it may write is named.
        let text = text.replace("package = \"%i\"", "rw = [\"/var/db/jrattest\"]");
        std::fs::write(format!("{PROFILES}/{name}.toml"), &text).unwrap();
        texts.insert(name, text);
    }
    let mut names = Vec::new();
    let mut parts = Vec::new();
    for name in texts.keys() {
        match program(&texts, name) {
            Some(program) => {
                stand_in(&program);
                names.push(name);
            }
            None => {
                // `base` alone says a mode, so that it is whole but for a program.
                let refused = ctl(&["attest", "--throwaway", name]);
                let text = String::from_utf8_lossy(&refused.stderr).into_owned();
                let words = match name.as_str() {
                    "base" => "base: the profile has no program: there is nothing to attest",
                    _ => ":1:1: mode of [capsicum] must be written",
                };
                assert_eq!(refused.status.code(), Some(78), "{text}");
                assert!(text.contains(words), "{name}: {text}");
                println!("not attested: {}", text.lines().next().unwrap());
                parts.push(name.as_str());
            }
        }
    }
    assert_eq!(parts, PARTS);
    assert!(names.len() >= 21, "{names:?}");
    // All of them are told before any is judged.
    let mut wrong = Vec::new();
    for name in names {
        let before = world();
        let report = ctl(&["attest", "--throwaway", name]);
        let text = String::from_utf8_lossy(&report.stdout).into_owned();
        println!("{}", text.lines().last().unwrap_or_default());
        // What a profile in capability mode has from the one that it includes may be refused besides.
        let includes = sh(&format!(
            "grep -c '^include' {PROFILES}/{name}.toml || true"
        )) != "0";
        let inherits = includes && name.ends_with("-capsicum");
        let is_needless = text.contains("take it out there") && !inherits;
        // What this kernel can't show is never called refused.
        let wx = ("write-and-execute".to_string(), "not attested".to_string());
        let is_told = verdicts(&report).contains(&wx);
        if report.status.code() != Some(0) || is_needless || !is_told || world() != before {
            let said = [report.stdout, report.stderr].concat();
            wrong.push(format!("{name}:\n{}", String::from_utf8_lossy(&said)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
