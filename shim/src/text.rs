//! Strings and lists of bounded length that live on the stack or in static memory: nothing here
//! allocates, since the functions of this library are called before main, in signal handlers, and between
//! fork and exec of programs with threads.

use libc::{ENAMETOOLONG, c_char};

/// The kernel's, the final NUL included.
pub const PATH_MAX: usize = 1024;

/// A working directory and a relative name, each of which may be as long as the kernel takes them.
const CAPACITY: usize = 2 * PATH_MAX;

/// A path that is being put together, always followed by a NUL.
pub struct Text {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Text {
    pub const fn new() -> Self {
        let bytes = [0; CAPACITY];
        Self { bytes, length: 0 }
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// From `offset` on, as the kernel takes it.
    pub fn from(&self, offset: usize) -> *const c_char {
        let rest = self.bytes.get(offset.min(self.length)..);
        rest.unwrap_or_default().as_ptr().cast()
    }

    pub fn clear(&mut self) {
        self.cut(0);
    }

    pub fn cut(&mut self, length: usize) {
        self.length = length.min(self.length);
        if let Some(end) = self.bytes.get_mut(self.length) {
            *end = 0;
        }
    }

    pub fn push(&mut self, more: &[u8]) -> Result<(), i32> {
        let end = self.length + more.len();
        // One byte stays for the NUL.
        if end >= CAPACITY {
            return Err(ENAMETOOLONG);
        }
        let place = self.bytes.get_mut(self.length..end).ok_or(ENAMETOOLONG)?;
        place.copy_from_slice(more);
        self.length = end;
        self.cut(end);
        Ok(())
    }

    /// The last component, and the slash before it.
    pub fn pop(&mut self) {
        let slash = self.bytes().iter().rposition(|byte| *byte == b'/');
        self.cut(slash.unwrap_or(0));
    }

    pub fn number(&mut self, number: usize) -> Result<(), i32> {
        let (mut digits, mut first, mut left) = ([0_u8; 20], 20, number);
        loop {
            first -= 1;
            if let Some(digit) = digits.get_mut(first) {
                *digit = b'0' + (left % 10) as u8;
            }
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default())
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}

/// A list of at most `N`.
#[derive(Clone, Copy)]
pub struct Few<T: Copy, const N: usize> {
    items: [Option<T>; N],
    length: usize,
}

impl<T: Copy, const N: usize> Few<T, N> {
    pub const fn new() -> Self {
        let items = [None; N];
        Self { items, length: 0 }
    }

    /// False: it is full.
    pub fn push(&mut self, item: T) -> bool {
        let Some(place) = self.items.get_mut(self.length) else {
            return false;
        };
        *place = Some(item);
        self.length += 1;
        true
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().take(self.length).flatten()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().take(self.length).flatten()
    }
}

impl<T: Copy, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_in_nul_and_refuses_what_is_too_long() {
        let mut text = Text::new();
        text.push(b"/usr/local").unwrap();
        text.pop();
        assert_eq!(text.bytes(), b"/usr");
        text.cut(0);
        text.number(40960).unwrap();
        text.number(0).unwrap();
        assert_eq!(text.bytes(), b"409600");
        text.clear();
        text.push(&[b'a'; CAPACITY - 1]).unwrap();
        assert_eq!(text.push(b"a"), Err(ENAMETOOLONG));
        assert_eq!(text.bytes().len(), CAPACITY - 1);
    }

    #[test]
    fn a_list_that_is_full_says_so() {
        let mut few: Few<u8, 2> = Few::new();
        assert!(few.push(1) && few.push(2) && !few.push(3));
        assert_eq!(few.iter().copied().collect::<Vec<_>>(), [1, 2]);
    }
}
