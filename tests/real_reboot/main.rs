//! A real reboot under wrapped services, by two runs of this test with the reboot between them:
//!
//!     JAILRUN_TEST_REBOOT=1 cargo test --test real_reboot -- --nocapture     # prepares, and says so
//!     shutdown -r now
//!     JAILRUN_TEST_REBOOT=1 cargo test --test real_reboot -- --nocapture     # looks, and takes all away
//!
//! The first installs jailrun, wraps services of the base system (and nginx and redis where they are
//! installed) by one command each, switches them on and starts them. The second finds another kern.boot_id:
//! all have to run in their jails as rc(8) started them, do each verb of service(8), and have been stopped in
//! order before the reboot; and unwrapping has to leave the file system as it was. What the first run
//! changed is in /var/db/jrtest-reboot until the second has taken it back.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used, clippy::panic))]

#[cfg(target_os = "freebsd")]
#[path = "../real_wrap/installed.rs"]
mod installed;
#[cfg(target_os = "freebsd")]
mod laws;
#[cfg(target_os = "freebsd")]
mod prepared;
#[cfg(target_os = "freebsd")]
mod services;

#[cfg(not(target_os = "freebsd"))]
#[test]
fn a_reboot_needs_freebsd() {
    println!("SKIP real_reboot: needs root on FreeBSD without jailrun, and a reboot");
}
