//! jailrun: one root-owned profile, one command, a throwaway jail, and nothing left behind.
//!
//! ```text
//! argv -> Request -----------------------------------------------------------------+
//! file -> trust::read -> Profile (checked) -> Permit (caller may) -> Plan (pure) <-+   nothing changed yet
//!                                                                     |
//!   front: the caller's terminal and signals, without root            |
//!     |  pipe                                                         |
//!   supervisor --- journal <- intent, done <- launch: step, step <----+               as root
//!     |                         |     `- fork > Outside > Inside > Unprivileged > Confined > exec
//!     |                         `- a step fails: undo, last first
//!     |- the jail is empty: undo, last first -> nothing left, or the next launch
//!     `- it was killed: the kernel ends jail and processes; cleanup follows its journal
//! ```
//!
//! Read [`run::run`], then [`supervise`], [`launch`], and [`launch::child`]. Everything below them
//! speaks to the system through [`kernel::Kernel`] alone, so that a whole launch also runs in [`sim`].

pub mod attest;
pub mod closure;
pub mod command;
pub mod ctl;
pub mod enter;
pub mod error;
pub mod exit;
pub mod front;
pub mod host;
pub mod instances;
pub mod kernel;
pub mod launch;
pub mod link;
pub mod login_conf;
pub mod package;
pub mod permit;
pub mod pkg;
pub mod plan;
pub mod profile;
pub mod record;
pub mod report;
pub mod request;
pub mod run;
pub mod sim;
pub mod stale;
pub mod start;
pub mod supervise;
pub mod trust;
pub mod why;
pub mod wrap;
