//! Bytes and names out of a file that may hold anything.

use super::image::{Damage, ReadAt};

/// Longest list of directories, and so longest string of all.
const LONGEST: u64 = 8192;
/// Strings that lie closer together are read at once.
const SPAN: u64 = 64 << 10;

/// As many bytes as there are, `length` at most.
pub fn bytes<R: ReadAt>(file: &mut R, offset: u64, length: usize) -> Result<Vec<u8>, Damage> {
    let mut buffer = vec![0; length];
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset.saturating_add(filled as u64))? {
            0 => break,
            count => filled += count,
        }
    }
    buffer.truncate(filled);
    Ok(buffer)
}

/// A string table, of which only the part with wanted strings is read.
pub struct Strings {
    offset: u64,
    length: u64,
    /// Where in the table `part` begins.
    from: u64,
    part: Vec<u8>,
}

impl Strings {
    pub fn read<R: ReadAt>(
        file: &mut R,
        offset: u64,
        length: u64,
        wanted: &[(i64, u64)],
    ) -> Result<Strings, Damage> {
        let places = || wanted.iter().map(|(_, at)| *at);
        let (least, most) = (places().min().unwrap_or(0), places().max().unwrap_or(0));
        if most >= length {
            return Err(Damage::Nonsense("has a name outside of its string table"));
        }
        let mut strings = Strings {
            offset,
            length,
            from: least,
            part: Vec::new(),
        };
        if most - least <= SPAN {
            strings.fetch(file, least, most - least + 256)?;
        }
        Ok(strings)
    }

    fn fetch<R: ReadAt>(&mut self, file: &mut R, from: u64, length: u64) -> Result<(), Damage> {
        let length = length.min(self.length - from);
        let length = usize::try_from(length).unwrap_or(0);
        self.part = bytes(file, self.offset + from, length)?;
        self.from = from;
        Ok(())
    }

    pub fn at<R: ReadAt>(&mut self, file: &mut R, at: u64) -> Result<String, Damage> {
        let mut name = self.inside(at);
        if name.is_none() {
            self.fetch(file, at, LONGEST + 1)?;
            name = self.inside(at);
        }
        let name = name.ok_or(Damage::Nonsense("has a name without an end"))?;
        text(name).ok_or(Damage::Nonsense("has a name that isn't text"))
    }

    /// The whole string, if it is in the part that was read.
    fn inside(&self, at: u64) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.from)?).ok()?;
        let rest = self.part.get(from..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest.get(..end)
    }
}

/// Names go into paths and messages: UTF-8, without control characters.
pub fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_string())
}
