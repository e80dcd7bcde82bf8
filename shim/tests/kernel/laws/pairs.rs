//! Calls with two names: the first is looked up, and judged, before the second.

use super::super::subject::say;
use super::{c, make_directory, make_file, make_link};
use std::ptr::null;

pub fn judged() {
    make_file("/g1/t0/f");
    make_directory("/g1/t0/d");
    make_link("/g2/t0", "/g1/t0/abs");
    let long = format!("/g1/t0/{}", "x".repeat(1100));
    let component = format!("/g1/t0/{}", "x".repeat(300));
    let olds = [
        "/g1/t0/f",
        "/g1/t0/d",
        "/g1/t0/none",
        "/g1/t0/f/x",
        "/g1/t0/abs/none",
        "/ro/file",
        "/ro/dir",
        "/ro/none",
    ];
    let news = [
        "/g1/t0/f",
        "/g1/t0/new",
        "/g1/t0/none/new",
        "/g1/t0/f/new",
        "/g1/t0/abs/new",
        "/g1/nest/t0/new",
        "/ro/file",
        "/ro/new",
        "/ro/none/new",
        &long,
        &component,
    ];
    for old in olds {
        let first = c(old);
        for new in news {
            let second = c(new);
            let shown = &new[..new.len().min(20)];
            let linked = unsafe { libc::link(first.as_ptr(), second.as_ptr()) };
            if say(&format!("link {old} {shown}"), linked) == 0 {
                unsafe { libc::unlink(second.as_ptr()) };
            }
            // What may only be read keeps its names by the rules of another test.
            if !old.starts_with("/ro") && !new.starts_with("/ro") {
                let renamed = unsafe { libc::rename(first.as_ptr(), second.as_ptr()) };
                if say(&format!("rename {old} {shown}"), renamed) == 0 {
                    unsafe { libc::rename(second.as_ptr(), first.as_ptr()) };
                }
            }
        }
        say(&format!("link {old} to nothing"), unsafe {
            libc::link(first.as_ptr(), null())
        });
        say(&format!("rename {old} to nothing"), unsafe {
            libc::rename(first.as_ptr(), null())
        });
    }
}
