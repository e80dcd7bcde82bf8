//! FreeBSD's side: what is exported, and what it needs to know.
//!
//! The functions that C declares with `...` (open, openat, fcntl) are defined here with all their
//! arguments, since stable Rust defines none with `...`. On amd64 and arm64 (AAPCS64 as FreeBSD has it)
//! an integer or pointer after `...` is passed in the same register as if it had been declared; an
//! argument that the caller left out is whatever that register held, and is used only where libc's
//! function would have looked at it too.

/// Defines a function under libc's public name, and mostly under the `_name` by which libc calls it itself.
macro_rules! export {
    ($(fn [$($name:ident)+] $arguments:tt -> $result:ty $body:block)*) => {
        $(export!(@each [$($name)+] $arguments $result $body);)*
    };
    (@each [$($name:ident)+] $arguments:tt $result:ty $body:block) => {$(
        /// libc's function of this name.
        ///
        /// # Safety
        /// As libc's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name $arguments -> $result $body
    )+};
}

mod beneath;
mod children;
mod cwd;
mod descriptors;
mod directories;
mod exec;
mod files;
mod log;
mod look;
mod names;
mod pairs;
mod places;
mod raw;
mod refusal;
mod signals;
mod sleep;
mod sockets;
mod spawn;
mod state;

use core::ffi::{c_char, c_int};

/// rtld calls it before the program's own constructors, with main's arguments.
#[used]
#[unsafe(link_section = ".init_array")]
static START: unsafe extern "C" fn(c_int, *const *const c_char, *const *const c_char) = start;

unsafe extern "C" fn start(count: c_int, argv: *const *const c_char, _: *const *const c_char) {
    if state::get().is_some_and(state::State::is_confined) {
        exec::name_process(count, argv);
    }
}
