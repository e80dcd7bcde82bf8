//! rc.d scripts of a real FreeBSD through jailrun, with its own rc.subr(8): installed as the port would do
//! it, wrapped with one command, every verb of service(8) with and without jailrun, and then everything
//! taken away again. Only on a host of which jailrun isn't a part yet, since /usr/local/bin/jailrun is the
//! name that links lead to.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]

#[cfg(target_os = "freebsd")]
mod fixture;
#[cfg(target_os = "freebsd")]
mod installed;
#[cfg(target_os = "freebsd")]
mod instances;
#[cfg(target_os = "freebsd")]
mod lives;
#[cfg(target_os = "freebsd")]
mod package;
#[cfg(target_os = "freebsd")]
mod pkg;
#[cfg(target_os = "freebsd")]
mod rpcbind;
#[cfg(target_os = "freebsd")]
mod verbs;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn wrapping_needs_freebsd() {
    println!("SKIP real_wrap: needs root on FreeBSD without jailrun");
}
