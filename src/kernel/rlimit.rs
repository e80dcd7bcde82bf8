//! setrlimit(2)'s pair.

/// What a process has of a limit, and up to where it may raise that itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rlimit {
    pub soft: u64,
    pub hard: u64,
}

impl Rlimit {
    pub fn both(value: u64) -> Rlimit {
        Rlimit {
            soft: value,
            hard: value,
        }
    }
}
