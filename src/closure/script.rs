//! The first line of a script, as the kernel and env(1) read it. Pure.

use super::image::Damage;

/// MAXINTERP: longest path of an interpreter, with its NUL.
const PATH: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub interpreter: String,
    /// All that follows on the line: one argument, whatever is in it.
    pub argument: Option<String>,
}

/// Reads a file's first page, which begins with "#!" (sys/kern/imgact_shell.c).
pub fn parse(head: &[u8]) -> Result<Script, Damage> {
    let is_end = |byte: &u8| matches!(byte, b'\n' | 0);
    let line = head.get(2..).unwrap_or_default();
    let end = line.iter().position(is_end).ok_or(Damage::Nonsense(
        "has a first line that doesn't end in its first page",
    ))?;
    let line = std::str::from_utf8(line.get(..end).unwrap_or_default())
        .ok()
        .filter(|line| !line.chars().any(|c| c.is_control() && c != '\t'))
        .ok_or(Damage::Nonsense("has a first line that isn't text"))?
        .trim_matches(BLANKS);
    let (interpreter, argument) = line.split_once(BLANKS).unwrap_or((line, ""));
    if interpreter.is_empty() || interpreter.len() >= PATH {
        return Err(Damage::Nonsense(
            "has no proper interpreter in its first line",
        ));
    }
    if !interpreter.starts_with('/') {
        return Err(Damage::Nonsense(
            "has an interpreter whose path isn't absolute",
        ));
    }
    let argument = argument.trim_start_matches(BLANKS);
    Ok(Script {
        interpreter: interpreter.to_string(),
        argument: (!argument.is_empty()).then(|| argument.to_string()),
    })
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The program that env(1) is asked for. It gets the rest of the line in one piece, and takes it apart
/// only after -S.
pub fn asked_of_env(argument: Option<&str>) -> Result<String, Damage> {
    let unclear = Damage::Nonsense(
        "has a first line for env(1) that isn't understood: name its interpreter in programs",
    );
    let argument = argument.ok_or(unclear.clone())?;
    let words: Vec<&str> = match argument.strip_prefix("-S") {
        Some(line) if line.contains(['\'', '"', '\\', '$', '#']) => return Err(unclear),
        Some(line) => line.split(BLANKS).filter(|word| !word.is_empty()).collect(),
        None => vec![argument],
    };
    words
        .into_iter()
        .find(|word| !word.contains('=') && *word != "-i" && *word != "-v")
        .filter(|word| !word.starts_with('-') && !word.contains(BLANKS))
        .filter(|word| word.starts_with('/') || !word.contains('/'))
        .map(str::to_string)
        .ok_or(unclear)
}
