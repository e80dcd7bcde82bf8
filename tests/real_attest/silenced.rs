//! A service that does all it may to those who attest its jail: they run as its user.

use crate::fixture::{CLOSED, INSTALLED, Parts, alone, ctl, remove, sh, verdicts, write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What the report says while the service signals all that it may, and how long that took.
fn attested(name: &str, runs: &'static str) -> (std::process::Output, u64) {
    let jail = "allow = [\"mlock\"]";
    write(
        name,
        Parts {
            runs,
            jail,
            ..CLOSED
        },
        "",
    );
    let mut start = Command::new(INSTALLED);
    start.args(["-d", name]).stdin(Stdio::null());
    assert!(start.output().unwrap().status.success());
    let begun = Instant::now();
    // However much of the score it lets through.
    let report = ctl(&["attest", "--threshold", "1", name]);
    let took = begun.elapsed().as_secs();
    assert!(ctl(&["stop", name]).status.success());
    remove(name);
    assert_eq!(sh("pgrep -f jrtest-silence[d] || true"), "");
    (report, took)
}

#[test]
fn a_service_that_ends_or_stops_what_attests_its_jail_fails_the_report() {
    let _alone = alone();
    let runs = "program = \"/bin/sh\"\nargs = [\"-c\", \"while :; do kill -9 -1; done 2>&-\"]";
    let (report, _) = attested("jrtest-silenced-k", runs);
    assert_eq!(report.status.code(), Some(1), "{report:?}");
    let silenced = |report: &std::process::Output| {
        let all = verdicts(report).into_iter();
        all.filter(|(_, verdict)| verdict == "SILENCED").count()
    };
    let ended = silenced(&report);
    println!("{ended} attempts were ended");
    assert!(ended > 0, "{report:?}");
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(
        text.contains("signal 9 ended it before it said a word"),
        "{text}"
    );
    // One minute, and not one for each.
    let runs = "program = \"/bin/sh\"\nargs = [\"-c\", \"while :; do kill -STOP -1; done 2>&-\"]";
    let (report, took) = attested("jrtest-silenced-s", runs);
    assert_eq!(report.status.code(), Some(1), "{report:?}");
    assert_eq!(silenced(&report), 1, "{report:?}");
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    assert!(text.contains("it came to no end within a minute"), "{text}");
    assert!(text.contains("not tried, since "), "{text}");
    assert!((60..120).contains(&took), "{took} s");
}
