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
mod fixture;
#[cfg(target_os = "freebsd")]
mod jails;
#[cfg(target_os = "freebsd")]
mod openings;
#[cfg(target_os = "freebsd")]
mod shipped;
#[cfg(target_os = "freebsd")]
mod unconfined;
#[cfg(target_os = "freebsd")]
mod why;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn attests_need_freebsd() {
    println!("SKIP real_attest: needs root on FreeBSD");
}
