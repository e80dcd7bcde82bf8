//! What is wrong with a profile's text and where: file, line, column, the line itself, a caret.
//! Pure. Everything quoted from a file is escaped and cut here, since whoever reads the message may
//! sit at a terminal that obeys control characters.

use std::fmt;
use std::ops::Range;

/// How many diagnostics are shown; the others are counted.
const SHOWN: usize = 100;
/// Characters shown of a source line.
const LINE_WIDTH: usize = 200;
/// Characters shown of a value or key inside a message.
const QUOTE_WIDTH: usize = 80;

/// One error. Line and column count from 1, column and width in characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub source_line: String,
    pub width: usize,
}

impl Diagnostic {
    /// The error at the bytes `span` of `text`. A span over several lines is cut to its first.
    pub fn at(file: &str, text: &str, span: Range<usize>, message: String) -> Diagnostic {
        let start = floor_boundary(text, span.start);
        let end = floor_boundary(text, span.end.max(start));
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |length| start + length);
        Diagnostic {
            file: file.to_owned(),
            line: line_of(text, start),
            column: text[line_start..start].chars().count() + 1,
            message,
            source_line: text[line_start..line_end].trim_end_matches('\r').to_owned(),
            width: text[start..end.min(line_end).max(start)]
                .chars()
                .count()
                .max(1),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, message) = (escaped(&self.file), escaped(&self.message));
        writeln!(f, "{file}:{}:{}: {message}", self.line, self.column)?;
        let number = self.line.to_string();
        let shown: Vec<String> = self
            .source_line
            .chars()
            .take(LINE_WIDTH)
            .map(escaped_char)
            .collect();
        write!(f, "{number} | {}", shown.concat())?;
        // A caret beyond the cut would point at nothing.
        if self.column > shown.len() + 1 {
            return Ok(());
        }
        let widths: Vec<usize> = shown.iter().map(|text| text.chars().count()).collect();
        let indent: usize = widths.iter().take(self.column - 1).sum();
        let carets: usize = widths.iter().skip(self.column - 1).take(self.width).sum();
        let margin = " ".repeat(number.len());
        write!(
            f,
            "\n{margin} | {}{}",
            " ".repeat(indent),
            "^".repeat(carets.max(1))
        )
    }
}

/// All errors of all files of one profile, by file, line and column. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    pub fn sorted(mut found: Vec<Diagnostic>) -> Diagnostics {
        found.sort_by(|a, b| {
            (&a.file, a.line, a.column, &a.message).cmp(&(&b.file, b.line, b.column, &b.message))
        });
        found.dedup();
        Diagnostics(found)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Diagnostics {}

/// The number, from 1, of the line that holds byte `offset`.
pub fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// A piece of a file inside a message: in quotes, escaped, cut.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTE_WIDTH).map(escaped_char).collect();
    if text.chars().nth(QUOTE_WIDTH).is_some() {
        shown.push_str("...");
    }
    format!("\"{shown}\"")
}

/// The nearest of `known` to `word`: a slip of the finger away, or what `word` spells out
/// ("readonly" for "ro").
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let slips = (word.chars().count() / 3).clamp(1, 3);
    known
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= slips || spells_out(word, candidate))
        .min()
        .map(|(_, candidate)| candidate)
}

fn spells_out(word: &str, short: &str) -> bool {
    let mut letters = word.chars();
    word.len() <= 64
        && word.chars().next() == short.chars().next()
        && short
            .chars()
            .all(|wanted| letters.any(|letter| letter == wanted))
}

/// Levenshtein's, over the first 64 characters: no key is longer, and the file's author chooses `a`.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn escaped(text: &str) -> String {
    text.chars().map(escaped_char).collect()
}

/// Control characters, and those that turn or hide the text around them.
fn escaped_char(c: char) -> String {
    let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    match c {
        '\t' => "\\t".to_owned(),
        _ if c.is_control() || hides => c.escape_unicode().to_string(),
        _ => c.to_string(),
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
