//! libjailrun_preopen.so: preloaded into programs that run in capability mode without knowing it.
//!
//! In capability mode the kernel takes no path, only a name below a descriptor. The launcher opens what a
//! profile grants and says in the environment which descriptor is what; this library stands before libc,
//! and turns what the program asks for by path into what it may ask for by descriptor.
//!
//! It grants nothing: it holds no descriptor that the program couldn't use without it. What it doesn't
//! know it passes on as it is. So it needn't be trusted by anybody, only to be right for its program:
//!
//! * nothing allocates, but where libc's own function would (`realpath`, `getcwd` with no buffer);
//! * nothing waits for a lock that an interrupted or forked thread could hold;
//! * no buffer is shared between threads, or with a child that shares its parent's memory (vfork).
//!
//! In release builds, which don't unwind, there is no standard library in it: its start-up code, its
//! panics and its threads would be in every program. Debug builds and tests unwind, and so have it.
//!
//! On other systems only what is pure is built, for its tests.
#![cfg_attr(all(panic = "abort", not(test)), no_std)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod handoff;
pub mod paths;
pub mod text;

#[cfg(all(target_os = "freebsd", not(test)))]
mod system;

/// Nothing panics here by intent; where something did after all, the program ends.
#[cfg(all(panic = "abort", not(test)))]
#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: abort(3) takes nothing and doesn't return.
    unsafe { libc::abort() }
}

// core is compiled with tables for unwinding, which name this function. Hidden: a Rust library of the
// program's must not find this one.
#[cfg(all(panic = "abort", not(test)))]
core::arch::global_asm!(
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    "rust_eh_personality:",
    ".long 0",
);
