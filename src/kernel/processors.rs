//! CPUs, as cpuset_getaffinity(2) knows them.

use super::JailId;

/// Whose CPUs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpusOf {
    /// CPU_WHICH_CPUSET, 1: the set that those of all jails of the host lie in, and that an
    /// administrator narrows by "cpuset -l LIST -s 1".
    Host,
    /// CPU_WHICH_JAIL: the jail's own root set, which nobody inside can change.
    Jail(JailId),
}
