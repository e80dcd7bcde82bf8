//! JSON to print, and nothing else: what `--json` gives back has a handful of shapes.

use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Json>),
    /// In the order given.
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub fn text(text: impl Into<String>) -> Json {
        Json::Text(text.into())
    }

    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Json {
        Json::List(texts.into_iter().map(Json::text).collect())
    }

    pub fn number(number: impl TryInto<i64>) -> Json {
        number.try_into().map_or(Json::Null, Json::Number)
    }

    pub fn maybe(value: Option<impl TryInto<i64>>) -> Json {
        value.map_or(Json::Null, Json::number)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(number) => write!(f, "{number}"),
            Json::Text(text) => quoted(f, text),
            Json::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(entries) => {
                f.write_str("{")?;
                for (index, (name, value)) in entries.iter().enumerate() {
                    write!(
                        f,
                        "{}\"{name}\": {value}",
                        if index > 0 { ", " } else { "" }
                    )?;
                }
                f.write_str("}")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            _ if letter.is_control() => write!(f, "\\u{:04x}", u32::from(letter))?,
            _ => write!(f, "{letter}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn what_is_printed_is_json() {
        let value = Json::Object(vec![
            ("a", Json::text("q\"b\\s\nt\tü")),
            (
                "b",
                Json::List(vec![Json::Null, Json::Bool(true), Json::number(-3)]),
            ),
        ]);
        assert_eq!(
            value.to_string(),
            "{\"a\": \"q\\\"b\\\\s\\nt\\u0009ü\", \"b\": [null, true, -3]}"
        );
    }
}
