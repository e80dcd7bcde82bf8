//! jailrun: one root-owned profile, one command, a throwaway jail, and nothing left behind.
//!
//! ```text
//! argv -> Request -----------------------------------------------------------------+
//! file -> trust::read -> Profile (checked) -> Permit (caller may) -> Plan (pure) <-+   nothing changed yet
//!                                                                     |
//!           launch: step, step, step <--------------------------------+               as root
//!              |      `- fork > Outside > Inside > Unprivileged > Confined > exec
//!              |- a step fails: undo, last first
//!              |- the service ended: undo, last first -> nothing left
//!              `- jailrun was killed: the kernel ends jail and processes; the next launch sweeps the rest
//! ```
//!
//! Read [`run::run`], then [`launch`], then [`launch::child`]. Everything below them speaks to the
//! system through [`kernel::Kernel`] alone, so that a whole launch also runs in [`sim`].

pub mod closure;
pub mod error;
pub mod host;
pub mod kernel;
pub mod launch;
pub mod permit;
pub mod plan;
pub mod profile;
pub mod run;
pub mod sim;
pub mod stale;
pub mod trust;
