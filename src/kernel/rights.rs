//! What a descriptor may be used for (rights(4)): bits by the names and numbers of sys/sys/capsicum.h.
//! Sets are made of single rights here, and never from the header's "all", which grows with releases.

/// A set of capability rights. The kernel keeps them in two words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights([u64; 2]);

macro_rules! rights {
    ($($name:ident = $word:literal, $index:literal, $bits:literal;)*) => {
        impl Rights {
            $(pub const $name: Rights = Rights::of($index, $bits);)*

            /// Every single right and its word.
            const WORDS: &'static [(&'static str, Rights)] = &[$(($word, Rights::$name)),*];
        }
    };
}

rights! {
    READ = "read", 0, 0x1;
    WRITE = "write", 0, 0x2;
    SEEK_TELL = "seek_tell", 0, 0x4;
    SEEK_SET = "seek", 0, 0x8;
    MMAP_ANY = "mmap", 0, 0x10;
    MMAP_EXEC = "mmap_x", 0, 0x20;
    CREATE = "create", 0, 0x40;
    FEXECVE = "fexecve", 0, 0x80;
    FSYNC = "fsync", 0, 0x100;
    FTRUNCATE = "ftruncate", 0, 0x200;
    LOOKUP = "lookup", 0, 0x400;
    FCHFLAGS = "fchflags", 0, 0x1000;
    FCHMOD = "fchmod", 0, 0x2000;
    FCHOWN = "fchown", 0, 0x4000;
    FCNTL = "fcntl", 0, 0x8000;
    FLOCK = "flock", 0, 0x1_0000;
    FPATHCONF = "fpathconf", 0, 0x2_0000;
    FSTAT = "fstat", 0, 0x8_0000;
    FSTATFS = "fstatfs", 0, 0x10_0000;
    FUTIMES = "futimes", 0, 0x20_0000;
    LINK_TARGET = "linkat_target", 0, 0x40_0000;
    MKDIR = "mkdirat", 0, 0x80_0000;
    MKFIFO = "mkfifoat", 0, 0x100_0000;
    RENAME_SOURCE = "renameat_source", 0, 0x400_0000;
    SYMLINK = "symlinkat", 0, 0x800_0000;
    UNLINK = "unlinkat", 0, 0x1000_0000;
    ACCEPT = "accept", 0, 0x2000_0000;
    GETPEERNAME = "getpeername", 0, 0x1_0000_0000;
    GETSOCKNAME = "getsockname", 0, 0x2_0000_0000;
    GETSOCKOPT = "getsockopt", 0, 0x4_0000_0000;
    LISTEN = "listen", 0, 0x8_0000_0000;
    SETSOCKOPT = "setsockopt", 0, 0x20_0000_0000;
    SHUTDOWN = "shutdown", 0, 0x40_0000_0000;
    BIND_AT = "bindat", 0, 0x80_0000_0000;
    CONNECT_AT = "connectat", 0, 0x100_0000_0000;
    LINK_SOURCE = "linkat_source", 0, 0x200_0000_0000;
    RENAME_TARGET = "renameat_target", 0, 0x400_0000_0000;
    EVENT = "event", 1, 0x20;
    IOCTL = "ioctl", 1, 0x80;
}

impl Rights {
    pub const NONE: Rights = Rights([0, 0]);

    const fn of(index: usize, bits: u64) -> Rights {
        match index {
            0 => Rights([bits, 0]),
            _ => Rights([0, bits]),
        }
    }

    pub const fn all_of(sets: &[Rights]) -> Rights {
        let (mut bits, mut index) = ([0, 0], 0);
        while index < sets.len() {
            bits[0] |= sets[index].0[0];
            bits[1] |= sets[index].0[1];
            index += 1;
        }
        Rights(bits)
    }

    pub fn holds(self, other: Rights) -> bool {
        self.0[0] & other.0[0] == other.0[0] && self.0[1] & other.0[1] == other.0[1]
    }

    /// The two words, without the marks that the kernel tells them apart by.
    pub fn bits(self) -> [u64; 2] {
        self.0
    }

    pub fn names(self) -> Vec<&'static str> {
        let held = Rights::WORDS.iter().filter(|(_, one)| self.holds(*one));
        held.map(|(word, _)| *word).collect()
    }
}

/// CAP_FCNTL_GETFL and CAP_FCNTL_SETFL: O_NONBLOCK and its like, and no owner of signals.
pub const FLAGS_ONLY: u32 = 1 << 3 | 1 << 4;

/// An ioctl(2) command that stays allowed, and its name.
pub type Ioctl = (&'static str, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rights_share_a_bit_and_each_has_its_word() {
        let mut seen = Rights::NONE;
        for (word, one) in Rights::WORDS {
            let bits = one.bits()[0].count_ones() + one.bits()[1].count_ones();
            assert_eq!(bits, 1, "{word}");
            assert!(!seen.holds(*one), "{word}");
            seen = Rights::all_of(&[seen, *one]);
        }
        assert_eq!(seen.names().len(), Rights::WORDS.len());
    }
}
