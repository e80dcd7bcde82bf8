//! Values by type: strings with their %i, lists, integers, words. Pure.
//! Each records what is wrong and then gives nothing, so that reading goes on to the next error.

use super::super::diagnostic::{nearest, quoted};
use super::super::schema::{self, Key, Support};
use super::{Place, Reader, Value};
use std::ops::{Range, RangeInclusive};
use toml::de::{DeTable, DeValue};

/// What "%i" in a value is.
#[derive(Clone, Copy)]
pub(super) enum Percent {
    /// The instance's name.
    Instance,
    /// An error: the value decides whom or what to trust.
    Refused,
    /// Two characters.
    Plain,
}

impl<'a> Reader<'a> {
    pub(super) fn place(&self, value: &Value<'_>) -> Place<'a> {
        Place {
            source: self.source,
            span: value.span(),
        }
    }

    pub(super) fn wrong_type(&mut self, name: &str, wanted: &str, value: &Value<'_>) {
        let found = value.get_ref().type_str();
        self.error(
            value.span(),
            format!("wrong type for \"{name}\": {wanted} wanted, {found} found"),
        );
    }

    /// A key of the schema that no code reads would be a promise not kept; the tests look for it.
    pub(super) fn unhandled(&mut self, key: &'static Key, value: &Value<'_>) {
        self.error(
            value.span(),
            format!("\"{}\" is not supported yet", key.name),
        );
    }

    /// A string with its %i put in. No value may hold a NUL: the kernel would read half of it.
    pub(super) fn text(
        &mut self,
        name: &str,
        value: &Value<'_>,
        percent: Percent,
    ) -> Option<String> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(name, "string", value);
            return None;
        };
        let text = text.to_string();
        self.put_in(name, &text, value.span(), percent)
    }

    /// `text` is a value or a key, at `span`.
    pub(super) fn put_in(
        &mut self,
        name: &str,
        text: &str,
        span: Range<usize>,
        percent: Percent,
    ) -> Option<String> {
        if text.contains('\0') {
            self.error(span, format!("\"{name}\" has a NUL character"));
            return None;
        }
        match (percent, self.instance) {
            _ if !text.contains("%i") => Some(text.to_string()),
            (Percent::Plain, _) => Some(text.to_string()),
            (Percent::Instance, Some(instance)) => Some(text.replace("%i", instance)),
            (Percent::Instance, None) => {
                self.error(span, "%i needs an instance (NAME@X)".to_owned());
                None
            }
            (Percent::Refused, _) => {
                self.error(span, format!("%i may not stand in \"{name}\""));
                None
            }
        }
    }

    /// A string of its own kind: what `check` makes of it.
    pub(super) fn one<T>(
        &mut self,
        key: &'static Key,
        value: &Value<'_>,
        percent: Percent,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key.name, value, percent)?;
        self.or_error(value, check(&text))
    }

    pub(super) fn list<T>(
        &mut self,
        key: &'static Key,
        value: &Value<'_>,
        percent: Percent,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let items = self.items(key, value);
        items
            .into_iter()
            .filter_map(|item| self.one(key, item, percent, &check))
            .collect()
    }

    pub(super) fn items<'v, 't>(
        &mut self,
        key: &'static Key,
        value: &'v Value<'t>,
    ) -> Vec<&'v Value<'t>> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => {
                self.wrong_type(key.name, key.kind, value);
                Vec::new()
            }
        }
    }

    pub(super) fn integer<T: TryFrom<i64>>(
        &mut self,
        key: &'static Key,
        value: &Value<'_>,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(key.name, "integer", value);
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let converted = number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok());
        if converted.is_none() {
            let (least, most) = range.into_inner();
            self.error(
                value.span(),
                format!("\"{}\" must be {least} to {most}", key.name),
            );
        }
        converted
    }

    /// An integer, or a string with a suffix: both go through `check`, so that they mean the same.
    pub(super) fn amount(
        &mut self,
        key: &'static Key,
        value: &Value<'_>,
        check: impl Fn(&str) -> Result<u64, String>,
    ) -> Option<u64> {
        match value.get_ref() {
            DeValue::String(_) => self.one(key, value, Percent::Refused, check),
            DeValue::Integer(integer) => {
                match u64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => self.or_error(value, check(&number.to_string())),
                    Err(_) => {
                        self.error(
                            value.span(),
                            format!("\"{}\" must be 0 or more, and below 2^63", key.name),
                        );
                        None
                    }
                }
            }
            _ => {
                self.wrong_type(key.name, key.kind, value);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &'static Key, value: &Value<'_>) -> Option<bool> {
        if value.get_ref().as_bool().is_none() {
            self.wrong_type(key.name, key.kind, value);
        }
        value.get_ref().as_bool()
    }

    pub(super) fn word<T: Clone>(
        &mut self,
        key: &'static Key,
        value: &Value<'_>,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(key.name, value, Percent::Refused)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(meaning.clone());
        }
        let known: Vec<String> = words.iter().map(|(word, _)| quoted(word)).collect();
        self.error(
            value.span(),
            format!(
                "\"{}\" is {}, not {}",
                key.name,
                known.join(" or "),
                quoted(&text)
            ),
        );
        None
    }

    /// The entries of a table inside a list whose keys are known and supported; errors for others.
    pub(super) fn known_entries<'v, 't>(
        &mut self,
        section: &'static str,
        table: &'v DeTable<'t>,
    ) -> Vec<(&'static Key, &'v Value<'t>)> {
        let mut entries = Vec::new();
        for (name, value) in table {
            match schema::key(section, name.get_ref()) {
                None => self.unknown(section, name.get_ref(), name.span()),
                Some(key) if key.support == Support::Now => entries.push((key, value)),
                Some(key) => self.error(
                    name.span(),
                    format!("\"{}\" is not supported yet", key.name),
                ),
            }
        }
        entries
    }

    /// Where `name` stands in a table of the list `list`, or an error that it doesn't.
    pub(super) fn required(
        &mut self,
        name: &str,
        list: &str,
        table: &DeTable<'_>,
        item: &Value<'_>,
    ) -> Option<Place<'a>> {
        if let Some(value) = table.get(name) {
            return Some(self.place(value));
        }
        self.error(item.span(), format!("a table in {list} needs \"{name}\""));
        None
    }

    pub(super) fn unknown(&mut self, section: &'static str, name: &str, span: Range<usize>) {
        let known = schema::KEYS
            .iter()
            .filter(|key| key.support == Support::Now);
        let here = known
            .clone()
            .filter(|key| key.section == section)
            .map(|key| key.name);
        let tables = schema::SECTIONS
            .iter()
            .copied()
            .filter(|_| section.is_empty());
        let mut message = format!("unknown key {} in {}", quoted(name), schema::title(section));
        if let Some(near) = nearest(name, here.chain(tables)) {
            message.push_str(&format!("; did you mean \"{near}\"?"));
        } else if let Some(elsewhere) = known.clone().find(|key| key.name == name) {
            message.push_str(&format!(
                "; it belongs in {}",
                schema::title(elsewhere.section)
            ));
        }
        self.error(span, message);
    }

    fn or_error<T>(&mut self, value: &Value<'_>, checked: Result<T, String>) -> Option<T> {
        checked
            .map_err(|message| self.error(value.span(), message))
            .ok()
    }
}

/// A scalar over the one below it. A value with an error changes nothing.
pub(super) fn replace<T>(value: Option<T>, place: &mut T) {
    if let Some(value) = value {
        *place = value;
    }
}

pub(super) fn fill<T>(value: Option<T>, place: &mut Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

/// Included first: the file being read comes after those below it.
pub(super) fn append<T>(values: Vec<T>, place: &mut Vec<T>) {
    place.extend(values);
}
