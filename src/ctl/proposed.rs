//! The line of a profile that would grant something, as it is printed below what is said of it.

use super::json::Json;
use crate::why::Line;

pub fn shown(line: Option<&Line>) -> String {
    let Some(line) = line else {
        return String::new();
    };
    let mut text = String::new();
    if !line.table.is_empty() {
        text.push_str(&format!("\n    [{}]", line.table));
    }
    for part in line.text.lines() {
        text.push_str(&format!("\n    {part}"));
    }
    if line.is_more {
        text.push_str("\nbeside what that key has already");
    }
    text
}

pub fn json(line: Option<&Line>) -> [(&'static str, Json); 3] {
    let (table, text, is_more) = match line {
        Some(line) => (
            Json::text(line.table),
            Json::text(&line.text),
            Json::Bool(line.is_more),
        ),
        None => (Json::Null, Json::Null, Json::Null),
    };
    [("table", table), ("line", text), ("beside", is_more)]
}
