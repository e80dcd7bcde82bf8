//! jail_set(2), jail_get(2) and what follows from them, and rctl(4)'s rules for jails.
//! Only non-deprecated roads of 15.0: jails are named by descriptor wherever the kernel takes one.

use std::ffi::c_int;
use std::net::IpAddr;

use super::wire::{Options, c_string, checked};
use crate::kernel::{Errno, Fd, JailId, JailParameters, JailValue, Outcome, OwnedJail};

// sys/sys/jail.h of 15.0; the libc crate knows no later flag than JAIL_DYING.
const JAIL_USE_DESC: c_int = 0x10;
const JAIL_GET_DESC: c_int = 0x40;
const JAIL_OWN_DESC: c_int = 0x80;

// sys/sys/syscall.h. By number: a binary linked to the symbols of 15.0 wouldn't start on 14 to say why.
const SYS_RCTL_ADD_RULE: c_int = 528;
const SYS_RCTL_REMOVE_RULE: c_int = 529;
const SYS_RCTL_GET_RACCT: c_int = 525;
const SYS_JAIL_ATTACH_JD: c_int = 597;
const SYS_JAIL_REMOVE_JD: c_int = 598;

pub fn create(parameters: &JailParameters) -> Outcome<OwnedJail> {
    let mut options = options(parameters)?;
    options.int("desc", -1)?;
    let id = set(&mut options, libc::JAIL_CREATE | JAIL_OWN_DESC)?;
    let descriptor = Fd(options.int_value("desc")?);
    // The kernel makes jail descriptors without close-on-exec, and this one could attach anybody.
    super::files::set_close_on_exec(descriptor, true)?;
    Ok(OwnedJail {
        id: JailId(id),
        descriptor,
    })
}

pub fn update(jail: Fd, parameters: &JailParameters) -> Outcome<()> {
    let mut options = options(parameters)?;
    options.int("desc", jail.0)?;
    set(&mut options, libc::JAIL_UPDATE | JAIL_USE_DESC).map(drop)
}

pub fn get_int(jail: Fd, name: &str) -> Outcome<i32> {
    let mut options = Options::new("jail_get");
    options.int("desc", jail.0)?;
    options.int(name, 0)?;
    get(&mut options, JAIL_USE_DESC)?;
    options.int_value(name)
}

pub fn find(name: &str) -> Outcome<Option<JailId>> {
    let mut options = Options::new("jail_get");
    options.text("name", name)?;
    match get(&mut options, 0) {
        Ok(id) => Ok(Some(JailId(id))),
        Err(failure) if failure.errno == Errno::ENOENT => Ok(None),
        Err(failure) => Err(failure),
    }
}

pub fn open(name: &str) -> Outcome<Option<(JailId, Fd)>> {
    let mut options = Options::new("jail_get");
    options.text("name", name)?;
    options.int("desc", -1)?;
    let id = match get(&mut options, JAIL_GET_DESC) {
        Ok(id) => JailId(id),
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let descriptor = Fd(options.int_value("desc")?);
    super::files::set_close_on_exec(descriptor, true)?;
    Ok(Some((id, descriptor)))
}

pub fn attach_jd(descriptor: Fd) -> Outcome<()> {
    // SAFETY: jail_attach_jd(2) takes one int, the descriptor, and touches no memory of ours.
    checked(
        "jail_attach_jd",
        unsafe { libc::syscall(SYS_JAIL_ATTACH_JD, descriptor.0) } as c_int,
    )
    .map(drop)
}

pub fn attach(id: JailId) -> Outcome<()> {
    // SAFETY: jail_attach(2) takes an integer and touches no memory of ours.
    checked("jail_attach", unsafe { libc::jail_attach(id.0) }).map(drop)
}

pub fn remove(jail: Fd) -> Outcome<()> {
    // SAFETY: jail_remove_jd(2) takes one int, the descriptor, and touches no memory of ours.
    checked(
        "jail_remove_jd",
        unsafe { libc::syscall(SYS_JAIL_REMOVE_JD, jail.0) } as c_int,
    )
    .map(drop)
}

pub fn rctl_add_rule(rule: &str) -> Outcome<()> {
    rctl("rctl_add_rule", SYS_RCTL_ADD_RULE, rule)
}

pub fn rctl_remove_rule(filter: &str) -> Outcome<()> {
    rctl("rctl_remove_rule", SYS_RCTL_REMOVE_RULE, filter)
}

fn rctl(call: &'static str, number: c_int, rule: &str) -> Outcome<()> {
    let rule = c_string(call, rule)?;
    let length = rule.as_bytes_with_nul().len();
    let nothing = std::ptr::null_mut::<u8>();
    // SAFETY: both calls take (const void *in, size_t inlen, void *out, size_t outlen); `rule` outlives
    // the call and holds `length` bytes, and an `outlen` of 0 lets the kernel write nothing.
    let result = unsafe { libc::syscall(number, rule.as_ptr(), length, nothing, 0_usize) };
    checked(call, result as c_int).map(drop)
}

pub fn rctl_get_racct(subject: &str) -> Outcome<String> {
    const CALL: &str = "rctl_get_racct";
    let subject = c_string(CALL, subject)?;
    let length = subject.as_bytes_with_nul().len();
    let mut found = vec![0_u8; 4096];
    let (room, size) = (found.as_mut_ptr(), found.len());
    // SAFETY: (const void *in, size_t inlen, void *out, size_t outlen): `subject` holds `length` bytes
    // and `room` is writable for `size` bytes; both outlive the call.
    let result = unsafe { libc::syscall(SYS_RCTL_GET_RACCT, subject.as_ptr(), length, room, size) };
    checked(CALL, result as c_int)?;
    Ok(super::wire::text_of(&found))
}

fn options(parameters: &JailParameters) -> Outcome<Options> {
    let mut options = Options::new("jail_set");
    for (name, value) in parameters {
        match value {
            JailValue::Flag => options.flag(name)?,
            JailValue::Int(number) => options.int(name, *number)?,
            JailValue::Long(number) => options.bytes(name, number.to_ne_bytes().to_vec())?,
            JailValue::Text(text) => options.text(name, text)?,
            JailValue::Addresses(addresses) => options.bytes(name, packed(name, addresses))?,
        }
    }
    Ok(options)
}

/// The addresses of the family that the parameter is for ("ip4.addr", "ip6.addr"), one after another in
/// network order. None at all is legal, and means a jail without addresses.
fn packed(name: &str, addresses: &[IpAddr]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(address) if !name.starts_with("ip6") => bytes.extend(address.octets()),
            IpAddr::V6(address) if name.starts_with("ip6") => bytes.extend(address.octets()),
            _ => {}
        }
    }
    bytes
}

fn set(options: &mut Options, flags: c_int) -> Outcome<c_int> {
    options.submit(|vectors, count| {
        // SAFETY: `vectors` holds `count` iovecs into buffers of `options`, which outlive the call.
        // jail_set(2) writes to "desc" and "errmsg" alone, within their lengths.
        unsafe { libc::jail_set(vectors, count, flags) }
    })
}

fn get(options: &mut Options, flags: c_int) -> Outcome<c_int> {
    options.submit(|vectors, count| {
        // SAFETY: `vectors` holds `count` iovecs into buffers of `options`, owned and writable, which
        // outlive the call. jail_get(2) writes no more to each than its iov_len.
        unsafe { libc::jail_get(vectors, count, flags) }
    })
}
