//! How much of a thread's stack the library takes.

use super::make_file;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;

unsafe extern "C" {
    fn pthread_attr_setstack(
        attributes: *mut libc::pthread_attr_t,
        stack: *mut c_void,
        size: usize,
    ) -> c_int;
}

const SIZE: usize = 256 * 1024;
const PAINT: u8 = 0xa5;

/// What a thread may have left, of the smallest stacks that are usual, for the library and libc below it.
const MOST: usize = 40 * 1024;

/// What takes most: two names, by way of links, that are refused.
extern "C" fn call(_: *mut c_void) -> *mut c_void {
    let mut path = [0 as libc::c_char; 1024];
    for (old, new) in [
        (c"/ro/into/f", c"/ro/into/g"),
        (c"/ro/into/g", c"/ro/abs/none/new"),
        (c"/ro/abs/deep", c"/ro/into/new"),
    ] {
        unsafe {
            libc::rename(old.as_ptr(), new.as_ptr());
            libc::link(old.as_ptr(), new.as_ptr());
            libc::open(new.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600);
            libc::realpath(old.as_ptr(), path.as_mut_ptr());
            libc::unlink(c"/ro/abs/none/x".as_ptr());
            libc::faccessat(libc::AT_FDCWD, c"g1/t0".as_ptr(), 0, 0x2000);
        }
    }
    null_mut()
}

pub fn used() {
    make_file("/g1/nest/t0/f");
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_ANON | libc::MAP_PRIVATE;
    let used = unsafe {
        let stack = libc::mmap(null_mut(), SIZE, prot, kind, -1, 0);
        assert_ne!(stack, libc::MAP_FAILED);
        std::ptr::write_bytes(stack.cast::<u8>(), PAINT, SIZE);
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        libc::pthread_attr_init(&raw mut attributes);
        assert_eq!(pthread_attr_setstack(&raw mut attributes, stack, SIZE), 0);
        let mut thread: libc::pthread_t = std::mem::zeroed();
        let made = libc::pthread_create(&raw mut thread, &raw const attributes, call, null_mut());
        assert_eq!(made, 0);
        assert_eq!(libc::pthread_join(thread, null_mut()), 0);
        let painted = std::slice::from_raw_parts(stack.cast::<u8>(), SIZE);
        SIZE - painted.iter().take_while(|byte| **byte == PAINT).count()
    };
    println!("enough: {}", used <= MOST);
}
