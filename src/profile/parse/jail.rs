//! Parameters of jail_set(2) that go to the kernel as they are, and that a kernel may lack. Pure.

use super::super::diagnostic::quoted;
use super::super::schema;
use super::super::values;
use super::typed::Percent;
use super::{Reader, Value};
use crate::kernel::JailValue;
use std::collections::BTreeMap;
use toml::de::DeValue;

/// security.jail.meta_maxbufsize, as kernels have it, with the NUL.
const ENV_BYTES: usize = 4096;

impl Reader<'_> {
    pub(super) fn assign_parameter(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        let same = |value| (key.name.to_owned(), value);
        let parameter = match key.name {
            "host.domainname" | "host.hostuuid" | "osrelease" => self
                .one(key, value, Percent::Instance, values::hostname)
                .map(|text| same(JailValue::Text(text))),
            "host.hostid" => {
                let id = self.integer(key, value, 0..=i64::from(u32::MAX));
                id.map(|id| same(JailValue::Long(id)))
            }
            "osreldate" => {
                let date = self.integer(key, value, 1..=i64::from(i32::MAX));
                date.map(|date| same(JailValue::Int(date)))
            }
            "ip4.saddrsel" | "ip6.saddrsel" => self.boolean(key, value).map(|is_on| {
                let (family, word) = (&key.name[..3], if is_on { "" } else { "no" });
                (format!("{family}.{word}saddrsel"), JailValue::Flag)
            }),
            "env" => return self.jail_env(key, value),
            _ => return self.unhandled(key, value),
        };
        if let Some(parameter) = parameter {
            self.profile.jail.more.insert(key.name, parameter);
        }
    }

    /// By key over what the files below said, in one text of a line each.
    fn jail_env(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(key.name, key.kind, value);
        };
        let before = self.profile.jail.more.get(key.name);
        let before = match before {
            Some((_, JailValue::Text(text))) => text.clone(),
            _ => String::new(),
        };
        let lines = before.lines().filter_map(|line| line.split_once('='));
        let mut all: BTreeMap<String, String> = lines
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect();
        for (name, value) in table {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.get_ref().is_empty() || !name.get_ref().bytes().all(is_plain) {
                let words = format!("{} is not a name in env", quoted(name.get_ref()));
                self.error(name.span(), words);
            } else if let Some(text) = self.one(key, value, Percent::Instance, values::line) {
                all.insert(name.get_ref().to_string(), text);
            }
        }
        let lines: Vec<String> = all
            .iter()
            .map(|(name, text)| format!("{name}={text}"))
            .collect();
        let text = lines.join("\n");
        if text.len() >= ENV_BYTES {
            return self.error(
                value.span(),
                format!("env is longer than {} bytes", ENV_BYTES - 1),
            );
        }
        if !text.is_empty() {
            let parameter = (key.name.to_owned(), JailValue::Text(text));
            self.profile.jail.more.insert(key.name, parameter);
        }
    }
}
