//! What the library exports, as its file says, against what is called at random.

/// Exported, and called by no generator by its own name: with the reason.
pub const EXEMPT: &[(&str, &str)] = &[
    (
        "rfork_thread",
        "posix_spawn(3) calls it, with a stack and a function of libc's own",
    ),
    (
        "clock_nanosleep",
        "it takes no path, and time: a test of its own sleeps",
    ),
];

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    let mut word = [0; 8];
    word[..size].copy_from_slice(&bytes[at..at + size]);
    u64::from_le_bytes(word) as usize
}

/// The functions that an ELF file defines for others.
pub fn functions(file: &[u8]) -> Vec<String> {
    const SHT_DYNSYM: usize = 11;
    const STT_FUNC: u8 = 2;
    assert!(file.starts_with(b"\x7fELF\x02\x01"), "a file of 64 bits");
    let (table, size, count) = (
        number(file, 40, 8),
        number(file, 58, 2),
        number(file, 60, 2),
    );
    let section = |index: usize| table + index * size;
    let place = |at: usize| (number(file, at + 24, 8), number(file, at + 32, 8));
    let mut sections = (0..count).map(section);
    let symbols = sections.rfind(|at| number(file, at + 4, 4) == SHT_DYNSYM);
    let symbols = symbols.expect("a table of symbols");
    let (start, length) = place(symbols);
    let (names, _) = place(section(number(file, symbols + 40, 4)));
    let mut found = Vec::new();
    for at in (start..start + length).step_by(24) {
        let is_defined = number(file, at + 6, 2) != 0;
        if is_defined && file[at + 4] & 0xf == STT_FUNC {
            let name = &file[names + number(file, at, 4)..];
            let end = name.iter().position(|byte| *byte == 0).unwrap();
            found.push(String::from_utf8_lossy(&name[..end]).into_owned());
        }
    }
    found.sort();
    found
}
