//! Every profile that is shipped.

use crate::fixture::{PROFILES, alone, ctl, holes, sh, verdicts, world};
use std::path::PathBuf;

/// What the shipped profiles need on a host, where it isn't there: stands for a package.
const NEEDS: &str = "mkdir -p /usr/local/www/jailrun /var/spool/jailrun-fetch; \
    chown nobody /var/spool/jailrun-fetch; \
    test -e /usr/local/bin/miniserve || install /bin/sleep /usr/local/bin/miniserve; \
    test -e /etc/resolv.conf || touch /etc/resolv.conf; \
    pw usershow www >/dev/null 2>&1 || pw useradd www -u 80 -d /nonexistent";

#[test]
fn every_shipped_profile_is_refused_everything_but_what_it_lists() {
    let _alone = alone();
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    let top: PathBuf = there.map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let Ok(shipped) = std::fs::read_dir(top.join("profiles")) else {
        println!("SKIP every_shipped_profile: the checkout isn't on this host");
        return;
    };
    sh(NEEDS);
    let mut names = Vec::new();
    for entry in shipped {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(format!("{PROFILES}/{name}.toml"), &text).unwrap();
        if text.lines().any(|line| line.starts_with("program")) {
            names.push(name);
        }
    }
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let before = world();
        let report = ctl(&["attest", "--throwaway", &name]);
        assert_eq!(holes(&report), Default::default(), "{name}: {report:?}");
        assert_eq!(report.status.code(), Some(0), "{name}: {report:?}");
        let text = String::from_utf8_lossy(&report.stdout).into_owned();
        assert!(!text.contains("take it out there"), "{name}: {text}");
        assert_eq!(world(), before, "{name}");
        // What this kernel can't show is never called refused.
        let wx = ("write-and-execute".to_string(), "not attested".to_string());
        assert!(verdicts(&report).contains(&wx), "{name}");
    }
}
