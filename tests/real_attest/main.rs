//! Attests on a real kernel, as root on FreeBSD: that every hole is seen where it is open, alone, and that
//! none is in what we ship. Elsewhere it says so.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]

#[cfg(target_os = "freebsd")]
#[path = "../amended/mod.rs"]
mod amended;
#[cfg(target_os = "freebsd")]
mod enforced;
#[cfg(target_os = "freebsd")]
mod fixture;
#[cfg(target_os = "freebsd")]
mod handmade;
#[cfg(target_os = "freebsd")]
mod hidden;
#[cfg(target_os = "freebsd")]
#[path = "../hosted/mod.rs"]
mod hosted;
#[cfg(target_os = "freebsd")]
mod jails;
#[cfg(target_os = "freebsd")]
mod killed;
mod openings;
#[cfg(target_os = "freebsd")]
mod reports;
#[cfg(target_os = "freebsd")]
mod shipped;
#[cfg(target_os = "freebsd")]
mod silenced;
#[cfg(target_os = "freebsd")]
mod unconfined;
#[cfg(target_os = "freebsd")]
mod why;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn attests_need_freebsd() {
    println!("SKIP real_attest: needs root on FreeBSD");
}

/// An attempt that has never seen a hole proves nothing.
#[test]
fn every_attempt_has_a_test_that_opens_it_or_says_why_nothing_does() {
    let all = jailrun::attest::table::ATTEMPTS;
    for attempt in all {
        let is_opened = openings::OPENED.contains(&attempt.name);
        match attempt.never {
            None => assert!(is_opened, "{} is opened by no test", attempt.name),
            Some(why) => {
                println!("{} is opened by nothing: {why}", attempt.name);
                assert!(!is_opened, "{} is opened, and can't be", attempt.name);
            }
        }
    }
    for name in openings::OPENED {
        assert!(all.iter().any(|attempt| attempt.name == *name), "{name}");
    }
}
