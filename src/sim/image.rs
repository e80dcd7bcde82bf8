//! ELF files for simulated hosts: whole enough to be read for what they need, with no code in them.

/// What a file says. The default is a 64-bit library for amd64 that needs nothing.
#[derive(Clone, Debug, Default)]
pub struct Elf<'a> {
    pub is_32: bool,
    /// ELF's number; 0 is that of amd64, or of i386 for 32 bits.
    pub machine: u16,
    pub interpreter: Option<&'a str>,
    pub soname: Option<&'a str>,
    pub needed: &'a [&'a str],
    pub rpath: Option<&'a str>,
    pub runpath: Option<&'a str>,
    pub filters: &'a [&'a str],
    pub auxiliaries: &'a [&'a str],
    pub flags_1: u64,
    pub is_static: bool,
}

/// How far from its offset the segment with the data is loaded: addresses aren't offsets. The one with
/// the headers is at 0, or rtld couldn't load two such files.
const SHIFT: u64 = 0x1_0000;

// sys/sys/elf_common.h.
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

impl Elf<'_> {
    /// A program with the usual interpreter.
    pub fn program<'a>(needed: &'a [&'a str]) -> Elf<'a> {
        Elf {
            interpreter: Some("/libexec/ld-elf.so.1"),
            needed,
            ..Elf::default()
        }
    }

    pub fn library<'a>(soname: &'a str, needed: &'a [&'a str]) -> Elf<'a> {
        Elf {
            soname: Some(soname),
            needed,
            ..Elf::default()
        }
    }

    fn word(&self) -> usize {
        if self.is_32 { 4 } else { 8 }
    }

    /// Numbers of the file's own width, little end first.
    fn words(&self, numbers: &[u64]) -> Vec<u8> {
        let width = self.word();
        let bytes = numbers.iter().map(|number| number.to_le_bytes());
        bytes
            .flat_map(|bytes| bytes.into_iter().take(width))
            .collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let (header, segment) = if self.is_32 { (52, 32) } else { (64, 56) };
        let count = 2 + u64::from(self.interpreter.is_some()) + u64::from(!self.is_static);
        let interpreter = self.interpreter.map_or_else(Vec::new, terminated);
        let interpreter_at = header + segment * count;
        let dynamic_at = (interpreter_at + interpreter.len() as u64).next_multiple_of(8);
        let (dynamic, strings) = self.dynamic(dynamic_at);
        let dynamic_length = dynamic.len() as u64;
        let size = dynamic_at + dynamic_length + strings.len() as u64;

        let mut bytes = self.header(header, segment, count);
        bytes.extend(self.segment(PT_LOAD, 0, interpreter_at));
        bytes.extend(self.segment(PT_LOAD, interpreter_at, size - interpreter_at));
        if !interpreter.is_empty() {
            let length = interpreter.len() as u64;
            bytes.extend(self.segment(PT_INTERP, interpreter_at, length));
        }
        if !self.is_static {
            bytes.extend(self.segment(PT_DYNAMIC, dynamic_at, dynamic_length));
        }
        bytes.extend(interpreter);
        bytes.resize(usize::try_from(dynamic_at).unwrap_or(0), 0);
        bytes.extend(dynamic);
        bytes.extend(strings);
        bytes
    }

    fn header(&self, length: u64, segment: u64, count: u64) -> Vec<u8> {
        let machine = match (self.machine, self.is_32) {
            (0, false) => 62,
            (0, true) => 3,
            (machine, _) => machine,
        };
        let class = if self.is_32 { 1 } else { 2 };
        // ELFOSABI_FREEBSD is 9, ET_DYN 3.
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, 1, 1, 9];
        bytes.resize(16, 0);
        bytes.extend(3u16.to_le_bytes());
        bytes.extend(machine.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(self.words(&[0, length, 0]));
        bytes.extend(0u32.to_le_bytes());
        for short in [length, segment, count, 0, 0, 0] {
            bytes.extend(short.to_le_bytes().into_iter().take(2));
        }
        bytes
    }

    fn segment(&self, kind: u64, offset: u64, length: u64) -> Vec<u8> {
        let address = if offset == 0 { 0 } else { SHIFT + offset };
        // rtld maps whole pages.
        let align = if kind == PT_LOAD { 4096 } else { 8 };
        let kind = kind.to_le_bytes().into_iter().take(4);
        let mut bytes: Vec<u8> = kind.collect();
        if self.is_32 {
            bytes.extend(self.words(&[offset, address, address, length, length, 4, align]));
        } else {
            bytes.extend(4u32.to_le_bytes());
            bytes.extend(self.words(&[offset, address, address, length, length, align]));
        }
        bytes
    }

    /// The dynamic section, and the strings that lie right behind it.
    fn dynamic(&self, at: u64) -> (Vec<u8>, Vec<u8>) {
        if self.is_static {
            return (Vec::new(), Vec::new());
        }
        let mut named: Vec<(u64, &str)> = Vec::new();
        named.extend(self.needed.iter().map(|name| (DT_NEEDED, *name)));
        named.extend(self.soname.map(|name| (DT_SONAME, name)));
        named.extend(self.rpath.map(|list| (DT_RPATH, list)));
        named.extend(self.runpath.map(|list| (DT_RUNPATH, list)));
        named.extend(self.filters.iter().map(|name| (DT_FILTER, *name)));
        named.extend(self.auxiliaries.iter().map(|name| (DT_AUXILIARY, *name)));
        let mut strings = vec![0];
        let mut entries = Vec::new();
        for (tag, name) in named {
            entries.extend([tag, strings.len() as u64]);
            strings.extend(terminated(name));
        }
        // Three more pairs, and the one that ends the table.
        let length = (entries.len() + 8) * self.word();
        entries.extend([DT_STRTAB, SHIFT + at + length as u64]);
        entries.extend([DT_STRSZ, strings.len() as u64]);
        entries.extend([DT_FLAGS_1, self.flags_1, 0, 0]);
        (self.words(&entries), strings)
    }
}

fn terminated(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}
