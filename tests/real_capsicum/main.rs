//! Sockets that a service finds open, and capability mode, on a real FreeBSD as root. The program inside is
//! this very file: run as a service, it does what the variable PROBE says, and tells what came of it.
//! Elsewhere it says so. `JAILRUN_BIN` names the program where cargo's own path isn't this host's.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]
#![cfg_attr(
    target_os = "freebsd",
    allow(unsafe_code, reason = "system calls by number")
)]

#[cfg(target_os = "freebsd")]
mod capmode;
#[cfg(target_os = "freebsd")]
mod fixed;
#[cfg(target_os = "freebsd")]
mod fixture;
#[cfg(target_os = "freebsd")]
#[path = "../hosted/mod.rs"]
mod hosted;
#[cfg(target_os = "freebsd")]
mod listen;
#[cfg(target_os = "freebsd")]
mod probe;
#[cfg(target_os = "freebsd")]
mod raw;
#[cfg(target_os = "freebsd")]
mod shim;
#[cfg(target_os = "freebsd")]
mod sweep;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn capability_mode_needs_freebsd() {
    println!("SKIP real_capsicum: needs root on FreeBSD");
}
