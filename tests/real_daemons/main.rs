//! The shipped profiles of daemons, with the daemons themselves, as root on FreeBSD: each is started by
//! its profile, serves, reads its configuration again, stops, and leaves nothing. One that isn't installed is skipped. Each
//! runs by a profile of the test's own that includes the shipped one, so that no daemon, port or
//! configuration of the host's is touched. `JAILRUN_BIN` names the program where cargo's own path isn't
//! this host's.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]

#[cfg(target_os = "freebsd")]
#[path = "../amended/mod.rs"]
mod amended;
#[cfg(target_os = "freebsd")]
mod calls;
#[cfg(target_os = "freebsd")]
mod capsicum;
#[cfg(target_os = "freebsd")]
mod daemons;
#[cfg(target_os = "freebsd")]
mod fixture;
#[cfg(target_os = "freebsd")]
#[path = "../hosted/mod.rs"]
mod hosted;
#[cfg(target_os = "freebsd")]
mod logs;
#[cfg(target_os = "freebsd")]
mod reported;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn daemons_need_freebsd() {
    println!("SKIP real_daemons: needs root on FreeBSD, and the daemons");
}
