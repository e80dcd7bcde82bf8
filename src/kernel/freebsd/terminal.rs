//! Terminals and pseudo-terminals: tty(4), pts(4), termios(4).

use std::ffi::c_int;
use std::mem::MaybeUninit;

use super::wire::{checked, last, text_of};
use crate::kernel::{Errno, Failure, Fd, Outcome, Pid, Termios, WindowSize};

pub fn posix_openpt() -> Outcome<Fd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: an integer only.
    checked("posix_openpt", unsafe { libc::posix_openpt(flags) }).map(Fd)
}

pub fn ptsname(master: Fd) -> Outcome<String> {
    let mut name = [0_u8; 64];
    // SAFETY: `name` is writable for its whole length, which the call is told.
    let refused = unsafe { libc::ptsname_r(master.0, name.as_mut_ptr().cast(), name.len()) };
    match refused {
        0 => Ok(text_of(&name)),
        -1 => Err(last("ptsname_r")),
        errno => Err(Failure::new("ptsname_r", Errno(errno))),
    }
}

pub fn tcgetattr(terminal: Fd) -> Outcome<Termios> {
    let mut found = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: `found` is room for one struct termios.
    let result = unsafe { libc::tcgetattr(terminal.0, found.as_mut_ptr()) };
    checked("tcgetattr", result)?;
    // SAFETY: struct termios is plain integers, zeroed before the kernel filled it.
    Ok(ours(&unsafe { found.assume_init() }))
}

pub fn tcsetattr(terminal: Fd, attributes: &Termios) -> Outcome<()> {
    let wanted = theirs(attributes);
    // SAFETY: `wanted` is a live struct termios, which the kernel reads.
    let result = unsafe { libc::tcsetattr(terminal.0, libc::TCSADRAIN, &raw const wanted) };
    checked("tcsetattr", result).map(drop)
}

pub fn cfmakeraw(attributes: &Termios) -> Termios {
    let mut changed = theirs(attributes);
    // SAFETY: `changed` is a live struct termios; the call only changes it.
    unsafe { libc::cfmakeraw(&raw mut changed) };
    ours(&changed)
}

fn ours(found: &libc::termios) -> Termios {
    Termios {
        input: found.c_iflag,
        output: found.c_oflag,
        control: found.c_cflag,
        local: found.c_lflag,
        characters: found.c_cc,
        speeds: (found.c_ispeed, found.c_ospeed),
    }
}

fn theirs(attributes: &Termios) -> libc::termios {
    libc::termios {
        c_iflag: attributes.input,
        c_oflag: attributes.output,
        c_cflag: attributes.control,
        c_lflag: attributes.local,
        c_cc: attributes.characters,
        c_ispeed: attributes.speeds.0,
        c_ospeed: attributes.speeds.1,
    }
}

pub fn tcgetwinsize(terminal: Fd) -> Outcome<WindowSize> {
    let mut found = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: TIOCGWINSZ writes one struct winsize.
    let result = unsafe { libc::ioctl(terminal.0, libc::TIOCGWINSZ, &raw mut found) };
    checked("TIOCGWINSZ", result)?;
    Ok(WindowSize {
        rows: found.ws_row,
        columns: found.ws_col,
        x_pixels: found.ws_xpixel,
        y_pixels: found.ws_ypixel,
    })
}

pub fn tcsetwinsize(terminal: Fd, size: WindowSize) -> Outcome<()> {
    let wanted = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: size.x_pixels,
        ws_ypixel: size.y_pixels,
    };
    // SAFETY: TIOCSWINSZ reads one struct winsize.
    let result = unsafe { libc::ioctl(terminal.0, libc::TIOCSWINSZ, &raw const wanted) };
    checked("TIOCSWINSZ", result).map(drop)
}

pub fn tcgetpgrp(terminal: Fd) -> Outcome<Pid> {
    // SAFETY: an integer only.
    checked("tcgetpgrp", unsafe { libc::tcgetpgrp(terminal.0) }).map(Pid)
}

pub fn getpgrp() -> Pid {
    // SAFETY: no arguments, and it can't fail.
    Pid(unsafe { libc::getpgrp() })
}

pub fn setpgid() -> Outcome<()> {
    // SAFETY: integers only; zeroes are us and our own pid.
    checked("setpgid", unsafe { libc::setpgid(0, 0) }).map(drop)
}

pub fn tcsetpgrp(terminal: Fd) -> Outcome<()> {
    // SAFETY: integers only.
    checked("tcsetpgrp", unsafe {
        libc::tcsetpgrp(terminal.0, getpgrp().0)
    })
    .map(drop)
}

pub fn tiocsctty(terminal: Fd) -> Outcome<()> {
    let nothing: c_int = 0;
    // SAFETY: TIOCSCTTY takes no argument.
    let result = unsafe { libc::ioctl(terminal.0, libc::TIOCSCTTY, nothing) };
    checked("TIOCSCTTY", result).map(drop)
}
