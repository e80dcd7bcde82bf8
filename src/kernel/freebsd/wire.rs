//! What every call needs: failures from errno, C strings, and the name-value protocol that nmount(2)
//! and jail_set(2) share. Marshalling only; nothing here knows what a jail or a mount is for.

use std::ffi::{CString, c_int};

use crate::kernel::{Errno, Failure, Outcome};

/// The failure of the call that was made last.
pub fn last(call: &'static str) -> Failure {
    Failure::new(
        call,
        Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    )
}

/// The result of a call that says -1 when it was refused.
pub fn checked(call: &'static str, result: c_int) -> Outcome<c_int> {
    if result == -1 {
        Err(last(call))
    } else {
        Ok(result)
    }
}

/// The same for calls that count bytes.
pub fn counted(call: &'static str, result: isize) -> Outcome<usize> {
    usize::try_from(result).map_err(|_| last(call))
}

/// EINVAL for a NUL inside: the kernel would see a shorter string than the one that was judged.
pub fn c_string(call: &'static str, text: &str) -> Outcome<CString> {
    CString::new(text).map_err(|_| Failure::new(call, Errno::EINVAL))
}

/// The text before the first NUL. What isn't UTF-8 comes out with replacement characters, and so names
/// nothing that exists.
pub fn text_of(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Two digits a byte: of two values no two texts are the same, whatever bytes they have.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ERRMSG: &str = "errmsg";
/// As libjail's JAIL_ERRMSGLEN.
const ERRMSG_LENGTH: usize = 1024;

/// Options of one nmount(2), jail_set(2) or jail_get(2), in the order given.
pub struct Options {
    call: &'static str,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Options {
    pub fn new(call: &'static str) -> Options {
        Options {
            call,
            pairs: Vec::new(),
        }
    }

    /// A boolean: present by name, with no value at all.
    pub fn flag(&mut self, name: &str) -> Outcome<()> {
        self.bytes(name, Vec::new())
    }

    pub fn int(&mut self, name: &str, value: i32) -> Outcome<()> {
        self.bytes(name, value.to_ne_bytes().to_vec())
    }

    /// The length of a string counts its NUL, or the kernel says EINVAL.
    pub fn text(&mut self, name: &str, value: &str) -> Outcome<()> {
        let value = c_string(self.call, value)?.into_bytes_with_nul();
        self.bytes(name, value)
    }

    pub fn bytes(&mut self, name: &str, value: Vec<u8>) -> Outcome<()> {
        let name = c_string(self.call, name)?.into_bytes_with_nul();
        self.pairs.push((name, value));
        Ok(())
    }

    /// Makes the call with an "errmsg" at the end, whose words a failure carries.
    pub fn submit(&mut self, call: impl FnOnce(*mut libc::iovec, u32) -> c_int) -> Outcome<c_int> {
        self.bytes(ERRMSG, vec![0; ERRMSG_LENGTH])?;
        let mut vectors = Vec::with_capacity(self.pairs.len() * 2);
        for (name, value) in &mut self.pairs {
            vectors.push(vector(name));
            vectors.push(vector(value));
        }
        let count = u32::try_from(vectors.len()).unwrap_or(u32::MAX);
        let mut outcome = checked(self.call, call(vectors.as_mut_ptr(), count));
        if let Err(failure) = &mut outcome {
            failure.text = self.value(ERRMSG).map(text_of).unwrap_or_default();
        }
        outcome
    }

    /// The bytes of an option, as the kernel may have left them.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let named = |pair: &&(Vec<u8>, Vec<u8>)| pair.0.strip_suffix(&[0]) == Some(name.as_bytes());
        self.pairs
            .iter()
            .rev()
            .find(named)
            .map(|pair| pair.1.as_slice())
    }

    pub fn int_value(&self, name: &str) -> Outcome<i32> {
        match self.value(name).map(<[u8; 4]>::try_from) {
            Some(Ok(bytes)) => Ok(i32::from_ne_bytes(bytes)),
            _ => Err(Failure::new(self.call, Errno::EINVAL)),
        }
    }
}

fn vector(bytes: &mut Vec<u8>) -> libc::iovec {
    let base = if bytes.is_empty() {
        std::ptr::null_mut()
    } else {
        bytes.as_mut_ptr().cast()
    };
    libc::iovec {
        iov_base: base,
        iov_len: bytes.len(),
    }
}
