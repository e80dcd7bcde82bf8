//! Programs of the base system, as they come.
