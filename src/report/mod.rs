//! `mode = "report"`: what a service did that capability mode would have refused, as the kernel recorded it, and
//! what there is against each. The launch has the kernel begin, and jailrunctl reads.

pub mod calls;
pub mod fold;
pub mod live;
pub mod record;
pub mod sum;

/// What a report's file may grow to: then the kernel ends it.
pub const MOST: usize = 4 << 20;
