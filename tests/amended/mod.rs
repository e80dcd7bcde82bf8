//! A profile with one more line, as an administrator would write it who was told which.

/// The text with a line in its table: beside what the key has, or in its place.
pub fn amended(profile: &str, table: &str, line: &str, is_more: bool) -> String {
    let header = match table {
        "" => String::new(),
        table => format!("[{table}]\n"),
    };
    if table == "[listen]" || !profile.contains(&header) {
        return format!("{profile}{header}{line}\n");
    }
    let start = profile.find(&header).unwrap() + header.len();
    let (before, rest) = profile.split_at(start);
    let end = rest.find("\n[").map_or(rest.len(), |end| end + 1);
    let (section, after) = rest.split_at(end);
    let key = line.split(" = ").next().unwrap();
    let known = section
        .lines()
        .find(|known| known.split(" = ").next() == Some(key));
    let section = match known {
        None => format!("{line}\n{section}"),
        Some(known) if is_more => {
            let (_, item) = line.split_once(" = [").unwrap();
            let list = known.strip_suffix(']').unwrap();
            section.replace(known, &format!("{list}, {item}"))
        }
        Some(known) => section.replace(known, line),
    };
    format!("{before}{section}{after}")
}

/// Table, line, and whether it comes beside others, of what was printed.
pub fn proposed(said: &str) -> Option<(String, String, bool)> {
    let mut lines: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let table = match lines.first()? {
        header if header.starts_with('[') => {
            let header = lines.remove(0);
            header[1..header.len() - 1].to_string()
        }
        _ => String::new(),
    };
    let is_more = said.ends_with("beside what that key has already\n");
    Some((table, lines.join("\n"), is_more))
}
