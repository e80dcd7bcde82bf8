//! The parts that are shipped to be included: each brings what it says, and brings it by itself.

use super::*;
use jailrun::ctl::plan::simulated;
use jailrun::request::Request;
use std::path::PathBuf;

/// What is made in the root of a profile that includes one of the parts, on a host that has all of it.
fn brings(part: &str) -> Vec<String> {
    let shipped = std::env::var_os("CARGO_MANIFEST_DIR");
    let shipped = shipped.map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let mut world = World::freebsd();
    for path in ["/usr/share/zoneinfo", "/usr/share/certs", "/etc/ssl"] {
        world.dir(path, 0o755, 0, 0);
    }
    for name in [
        "services",
        "protocols",
        "nsswitch.conf",
        "resolv.conf",
        "hosts",
    ] {
        world.file(&format!("/etc/{name}"), 0o644, 0, 0, b"host's\n");
    }
    world.file("/usr/share/zoneinfo/UTC", 0o444, 0, 0, b"TZif");
    world.remove("/etc/localtime");
    world.symlink("/etc/localtime", "/usr/share/zoneinfo/UTC");
    let [admin, packages] = jailrun::run::profile_places();
    world.dir(&admin, 0o755, 0, 0).dir(&packages, 0o755, 0, 0);
    let text = std::fs::read(shipped.join(format!("profiles/{part}.toml"))).unwrap();
    world.file(&format!("{packages}/{part}.toml"), 0o644, 0, 0, &text);
    let main = format!(
        "include = [\"{part}\"]\nprogram = \"/bin/sh\"\nuser = \"www\"\n\
         [root]\nclosure = \"off\"\nro = [\"/bin/sh\"]{END}"
    );
    world.file(&format!("{admin}/www.toml"), 0o644, 0, 0, main.as_bytes());
    let asked = Request {
        profile: "www".to_string(),
        ..Request::default()
    };
    let prepared = simulated(world, &asked).unwrap_or_else(|error| panic!("{error}"));
    let words = prepared.plan.steps().iter().map(Step::to_string);
    words
        .filter(|step| !step.contains("directory") && !step.contains("/bin/sh"))
        .filter_map(|step| {
            let (act, path) = step.split_once("/var/run/jailrun/www/jail/root/")?;
            Some(format!("{act}/{path}").replace("make the ", ""))
        })
        .collect()
}

#[test]
fn each_shipped_part_brings_what_it_says_and_nothing_else() {
    let mount = |path: &str| format!("mount {path} at {path} (nullfs, read-only, nosuid)");
    let copy = |path: &str| format!("file {path} (7 bytes, mode 0644, owner 0:0)");
    let point = |path: &str| format!("mount point {path}");
    for (part, expected) in [
        (
            "dns",
            vec![
                copy("/etc/hosts"),
                copy("/etc/nsswitch.conf"),
                point("/etc/protocols"),
                mount("/etc/protocols"),
                copy("/etc/resolv.conf"),
                point("/etc/services"),
                mount("/etc/services"),
            ],
        ),
        (
            "syslog",
            vec!["bind the socket /var/run/log (mode 0666)".to_string()],
        ),
        // The zone itself, by whatever link the host comes to it.
        (
            "timezone",
            vec![
                "file /etc/localtime (4 bytes, mode 0444, owner 0:0)".to_string(),
                mount("/usr/share/zoneinfo"),
            ],
        ),
        ("tls", vec![mount("/etc/ssl"), mount("/usr/share/certs")]),
        (
            "users",
            vec![
                "file /etc/group (".to_string(),
                "file /etc/passwd (".to_string(),
                "file /etc/pwd.db (".to_string(),
            ],
        ),
    ] {
        let found = brings(part);
        assert_eq!(found.len(), expected.len(), "{part}: {found:#?}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                found.starts_with(expected),
                "{part}: {found}, not {expected}"
            );
        }
    }
}
