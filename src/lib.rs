//! jailrun: one root-owned profile, one command, a throwaway jail, and nothing left behind.
//!
//! [`kernel`] is the seam to the system, [`sim`] a simulated one, [`profile`] what a service may have.

pub mod kernel;
pub mod profile;
pub mod sim;
