//! Reads what a program or library says it needs, and nothing else of it. The file may hold anything:
//! every offset is checked against the file, every count has a limit, and what is read is a few pages,
//! however large the file is. Addresses are turned into offsets by the segments, as the kernel and
//! rtld(1) do it, so that a file can't show us one table and them another.

use super::strings::{Strings, bytes, text};
use crate::kernel::{Failure, Outcome};
use elf::abi;
use elf::dynamic::DynamicTable;
use elf::endian::LittleEndian;
use elf::file::{Class, ELF32_EHDR_TAILSIZE, ELF64_EHDR_TAILSIZE, FileHeader, parse_ident};
use elf::parse::ParseAt;
use elf::segment::{ProgramHeader, SegmentTable};
use std::rc::Rc;

/// The page that the kernel looks for headers in (sys/kern/imgact_elf.c).
const PAGE: usize = 4096;
/// MAXPATHLEN, without the NUL.
const NAME: usize = 1023;
/// Entries of a dynamic section; real ones have dozens.
const ENTRIES: usize = 4096;
/// Strings of one file.
const STRINGS: usize = 512;

/// A file that is read here and there.
pub trait ReadAt {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Outcome<usize>;
}

/// Why a file can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// To be said after the file's name.
    Nonsense(&'static str),
    Failed(Failure),
}

impl From<Failure> for Damage {
    fn from(failure: Failure) -> Damage {
        Damage::Failed(failure)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    Elf(Rc<Object>),
    /// The first page of a file that begins with "#!".
    Script(Rc<[u8]>),
    /// Neither; execve(2) would say ENOEXEC.
    Other,
}

/// What an ELF file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub is_64: bool,
    pub machine: u16,
    pub osabi: u8,
    pub is_dynamic: bool,
    /// DF_1_PIE: a program, which rtld refuses to load as a library.
    pub is_pie: bool,
    /// PT_INTERP.
    pub interpreter: Option<String>,
    pub soname: Option<String>,
    pub needed: Vec<String>,
    pub rpath: Option<String>,
    pub runpath: Option<String>,
    /// DT_FILTER, then DT_AUXILIARY, as rtld loads them.
    pub filters: Vec<String>,
    pub auxiliaries: Vec<String>,
    /// DF_1_NODEFLIB.
    pub no_default_libraries: bool,
}

/// Reads a file of `size` bytes.
pub fn read<R: ReadAt>(file: &mut R, size: u64) -> Result<Image, Damage> {
    let head = bytes(file, 0, PAGE.min(usize::try_from(size).unwrap_or(PAGE)))?;
    if head.starts_with(b"#!") {
        return Ok(Image::Script(head.into()));
    }
    if !head.starts_with(&abi::ELFMAGIC) {
        return Ok(Image::Other);
    }
    object(file, size, &head).map(|object| Image::Elf(Rc::new(object)))
}

fn object<R: ReadAt>(file: &mut R, size: u64, head: &[u8]) -> Result<Object, Damage> {
    let header = header(head)?;
    let segments = segments(&header, head)?;
    let load = Load::of(&segments, size)?;
    let mut object = Object {
        is_64: header.class == Class::ELF64,
        machine: header.e_machine,
        osabi: header.osabi,
        is_dynamic: false,
        is_pie: false,
        interpreter: interpreter(file, size, &segments)?,
        soname: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        filters: Vec::new(),
        auxiliaries: Vec::new(),
        no_default_libraries: false,
    };
    let mut dynamic = segments
        .iter()
        .filter(|segment| segment.p_type == abi::PT_DYNAMIC);
    if let Some(segment) = dynamic.next() {
        if dynamic.next().is_some() {
            return Err(Damage::Nonsense("has two dynamic sections"));
        }
        object.is_dynamic = true;
        let table = dynamic_table(file, &load, segment, header.class)?;
        digest(file, &load, &table, &mut object)?;
    }
    Ok(object)
}

fn header(head: &[u8]) -> Result<FileHeader<LittleEndian>, Damage> {
    let cut = Damage::Nonsense("is cut short");
    // The crate reads these sixteen bytes without asking whether they are there.
    let (ident, rest) = head.split_at_checked(abi::EI_NIDENT).ok_or(cut.clone())?;
    let foreign = |_| Damage::Nonsense("is an ELF file of a kind that this system doesn't run");
    let ident = parse_ident::<LittleEndian>(ident).map_err(foreign)?;
    let tail = match ident.1 {
        Class::ELF32 => ELF32_EHDR_TAILSIZE,
        Class::ELF64 => ELF64_EHDR_TAILSIZE,
    };
    let rest = rest.get(..tail).ok_or(cut.clone())?;
    let header = FileHeader::parse_tail(ident, rest).map_err(|_| cut)?;
    match header.e_type {
        abi::ET_EXEC | abi::ET_DYN => Ok(header),
        _ => Err(Damage::Nonsense("is neither a program nor a library")),
    }
}

fn segments(header: &FileHeader<LittleEndian>, head: &[u8]) -> Result<Vec<ProgramHeader>, Damage> {
    let each = ProgramHeader::size_for(header.class);
    if usize::from(header.e_phentsize) != each {
        return Err(Damage::Nonsense("has program headers of a wrong size"));
    }
    let from = usize::try_from(header.e_phoff).unwrap_or(usize::MAX);
    let to = from.saturating_add(each * usize::from(header.e_phnum));
    let table = head.get(from..to).ok_or(Damage::Nonsense(
        "has its program headers outside of the first page",
    ))?;
    Ok(SegmentTable::new(header.endianness, header.class, table)
        .iter()
        .collect())
}

/// PT_LOAD segments: which address lies where in the file.
struct Load(Vec<(u64, u64, u64)>);

impl Load {
    fn of(segments: &[ProgramHeader], size: u64) -> Result<Load, Damage> {
        let loads = segments
            .iter()
            .filter(|segment| segment.p_type == abi::PT_LOAD);
        loads
            .map(|segment| {
                let end = segment.p_offset.checked_add(segment.p_filesz);
                match end.is_some_and(|end| end <= size) {
                    true => Ok((segment.p_vaddr, segment.p_filesz, segment.p_offset)),
                    false => Err(Damage::Nonsense("has a segment outside of the file")),
                }
            })
            .collect::<Result<_, _>>()
            .map(Load)
    }

    /// The offset of an address, and how many bytes of its segment follow there. Where segments overlap,
    /// the last one was mapped over the others.
    fn offset(&self, address: u64) -> Option<(u64, u64)> {
        self.0.iter().rev().find_map(|(start, length, offset)| {
            let inside = address
                .checked_sub(*start)
                .filter(|inside| inside < length)?;
            Some((offset + inside, length - inside))
        })
    }
}

fn interpreter<R: ReadAt>(
    file: &mut R,
    size: u64,
    segments: &[ProgramHeader],
) -> Result<Option<String>, Damage> {
    let mut found = segments
        .iter()
        .filter(|segment| segment.p_type == abi::PT_INTERP);
    let Some(segment) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(Damage::Nonsense("names two interpreters"));
    }
    let wrong = Damage::Nonsense("has no proper name of an interpreter");
    let length = usize::try_from(segment.p_filesz).unwrap_or(usize::MAX);
    let end = segment.p_offset.checked_add(segment.p_filesz);
    if !(2..=NAME + 1).contains(&length) || end.is_none_or(|end| end > size) {
        return Err(wrong);
    }
    let name = bytes(file, segment.p_offset, length)?;
    match name.strip_suffix(&[0]) {
        Some(name) => text(name).map(Some).ok_or(wrong),
        None => Err(wrong),
    }
}

fn dynamic_table<R: ReadAt>(
    file: &mut R,
    load: &Load,
    segment: &ProgramHeader,
    class: Class,
) -> Result<Vec<(i64, u64)>, Damage> {
    let (offset, room) = load
        .offset(segment.p_vaddr)
        .ok_or(Damage::Nonsense("has its dynamic section in no segment"))?;
    let each = elf::dynamic::Dyn::size_for(class);
    let length = usize::try_from(segment.p_filesz.min(room)).unwrap_or(usize::MAX);
    let table = bytes(file, offset, length.min(each * ENTRIES))?;
    let mut entries = Vec::new();
    for entry in DynamicTable::new(LittleEndian, class, &table).iter() {
        if entry.d_tag == abi::DT_NULL {
            return Ok(entries);
        }
        entries.push((entry.d_tag, entry.d_val()));
    }
    Err(Damage::Nonsense("has a dynamic section without an end"))
}

fn digest<R: ReadAt>(
    file: &mut R,
    load: &Load,
    table: &[(i64, u64)],
    object: &mut Object,
) -> Result<(), Damage> {
    let last = |wanted: i64| table.iter().rev().find(|(tag, _)| *tag == wanted);
    let is_string = |tag: i64| {
        matches!(
            tag,
            abi::DT_NEEDED
                | abi::DT_SONAME
                | abi::DT_RPATH
                | abi::DT_RUNPATH
                | DT_FILTER
                | DT_AUXILIARY
        )
    };
    let wanted: Vec<(i64, u64)> = table
        .iter()
        .copied()
        .filter(|(tag, _)| is_string(*tag))
        .collect();
    if wanted.len() > STRINGS {
        return Err(Damage::Nonsense("needs too many libraries"));
    }
    // rtld ors the flags of all entries.
    for (_, flags) in table.iter().filter(|(tag, _)| *tag == abi::DT_FLAGS_1) {
        object.no_default_libraries |= flags & DF_1_NODEFLIB != 0;
        object.is_pie |= flags & DF_1_PIE != 0;
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let nowhere = Damage::Nonsense("has its strings in no segment");
    let (_, address) = last(abi::DT_STRTAB).ok_or(nowhere.clone())?;
    let (offset, room) = load.offset(*address).ok_or(nowhere)?;
    let length = last(abi::DT_STRSZ).map_or(room, |(_, size)| room.min(*size));
    let mut strings = Strings::read(file, offset, length, &wanted)?;
    for (tag, at) in wanted {
        let name = strings.at(file, at)?;
        match tag {
            abi::DT_NEEDED => object.needed.push(name),
            DT_FILTER => object.filters.push(name),
            DT_AUXILIARY => object.auxiliaries.push(name),
            // The last of each counts.
            abi::DT_SONAME => object.soname = Some(name),
            abi::DT_RPATH => object.rpath = Some(name),
            _ => object.runpath = Some(name),
        }
    }
    Ok(())
}

// sys/sys/elf_common.h; the crate has none of them.
const DT_AUXILIARY: i64 = 0x7fff_fffd;
const DT_FILTER: i64 = 0x7fff_ffff;
const DF_1_NODEFLIB: u64 = 0x800;
const DF_1_PIE: u64 = 0x0800_0000;
