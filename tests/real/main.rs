//! Real jails, as root on FreeBSD: the built program is run, and the world is compared before and after.
//! Elsewhere it says so. `JAILRUN_BIN` names the program where cargo's own path isn't this host's.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]

#[cfg(target_os = "freebsd")]
mod callers;
#[cfg(target_os = "freebsd")]
mod confinement;
#[cfg(target_os = "freebsd")]
mod ctl;
#[cfg(target_os = "freebsd")]
mod daemon8;
#[cfg(target_os = "freebsd")]
mod fixture;
#[cfg(target_os = "freebsd")]
#[path = "../hosted/mod.rs"]
mod hosted;
#[cfg(target_os = "freebsd")]
mod leaks;
#[cfg(target_os = "freebsd")]
mod limits;
#[cfg(target_os = "freebsd")]
mod named;
#[cfg(target_os = "freebsd")]
mod ready;
#[cfg(target_os = "freebsd")]
mod report;
#[cfg(target_os = "freebsd")]
mod sockets;
#[cfg(target_os = "freebsd")]
mod supervision;
#[cfg(target_os = "freebsd")]
mod terminals;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn real_jails_need_freebsd() {
    println!("SKIP real: needs root on FreeBSD");
}
