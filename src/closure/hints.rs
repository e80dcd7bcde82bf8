//! The hints file of ldconfig(8): a list of directories, behind a header of 128 bytes
//! (include/elf-hints.h). Pure.

const MAGIC: u32 = 0x746e_6845;
const HEADER: usize = 128;

/// The directories, separated as in a path variable; `None` for a file that rtld would ignore.
pub fn parse(file: &[u8]) -> Option<String> {
    let header = file.get(..HEADER)?;
    let word =
        |index: usize| -> Option<[u8; 4]> { header.get(index * 4..index * 4 + 4)?.try_into().ok() };
    // Both byte orders are read, whichever the machine has.
    let is_little = word(0)? == MAGIC.to_le_bytes();
    let number = |index| {
        let bytes = word(index)?;
        Some(match is_little {
            true => u32::from_le_bytes(bytes),
            false => u32::from_be_bytes(bytes),
        })
    };
    let (magic, version) = (number(0)?, number(1)?);
    let (strings, list, length) = (number(2)?, number(4)?, number(5)?);
    if magic != MAGIC || version != 1 {
        return None;
    }
    let from = usize::try_from(strings.checked_add(list)?).ok()?;
    let to = from.checked_add(usize::try_from(length).ok()?)?;
    if file.get(to) != Some(&0) {
        return None;
    }
    let list = file.get(from..to)?;
    // rtld reads it as a C string.
    let list = list.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(list).ok().map(str::to_string)
}

/// A hints file with these directories.
pub fn build(directories: &[String]) -> Vec<u8> {
    let list = directories.join(":");
    let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
    let mut words = [0u32; HEADER / 4];
    // Magic, version, offset and size of the strings, offset of the list in them, its length.
    let header = [MAGIC, 1, HEADER as u32, length.saturating_add(1), 0, length];
    for (word, value) in words.iter_mut().zip(header) {
        *word = value;
    }
    let mut file: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    file.extend(list.bytes());
    file.push(0);
    file
}

/// The parts of a list of directories, as rtld takes it apart.
pub fn directories(list: &str) -> impl Iterator<Item = &str> {
    list.split([':', ';']).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let some = ["/usr/local/lib".to_string(), "/usr/local/lib/x".to_string()];
        let file = build(&some);
        assert_eq!(parse(&file).unwrap(), "/usr/local/lib:/usr/local/lib/x");
        assert_eq!(parse(&build(&[])).unwrap(), "");
    }

    #[test]
    fn a_damaged_file_holds_no_directories() {
        let file = build(&["/a".to_string()]);
        for cut in 0..file.len() {
            assert_eq!(parse(&file[..cut]), None, "cut at {cut}");
        }
        // Version, place of the strings, of the list, its length.
        for (word, value) in [(1, 2u32), (2, u32::MAX), (4, 99), (5, 3), (5, u32::MAX)] {
            let mut wrong = file.clone();
            wrong[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
            assert_eq!(parse(&wrong), None, "word {word} is {value}");
        }
    }

    #[test]
    fn the_other_byte_order_is_read_too() {
        let mut file = build(&["/a".to_string()]);
        for word in file[..HEADER].chunks_mut(4) {
            word.reverse();
        }
        assert_eq!(parse(&file).unwrap(), "/a");
    }
}
