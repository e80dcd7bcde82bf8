//! One file's tables, key by key, put over what the files below it said. Pure.
//! A key reaches `assign` only when the schema knows it and supports it; types and values are
//! checked there, and a value with an error is left out.

use super::super::diagnostic::quoted;
use super::super::schema::{self, Support};
use super::super::values;
use super::super::{Address, Network, Ready, Restart};
use super::typed::{Percent, append, fill, replace};
use super::{Reader, Standing, Value};
use crate::kernel::{JAIL_SYS_DISABLE, JAIL_SYS_INHERIT, JAIL_SYS_NEW};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

const ENABLE_DISABLE: &[(&str, bool)] = &[("enable", true), ("disable", false)];
const DISABLE_ENABLE: &[(&str, bool)] = &[("disable", true), ("enable", false)];
const RESTART: &[(&str, Restart)] = &[
    ("never", Restart::Never),
    ("on-failure", Restart::OnFailure),
    ("always", Restart::Always),
];
const READY: &[(&str, Ready)] = &[("exec", Ready::Exec), ("ports", Ready::Ports)];
const SYSV: &[(&str, i32)] = &[
    ("disable", JAIL_SYS_DISABLE),
    ("new", JAIL_SYS_NEW),
    ("inherit", JAIL_SYS_INHERIT),
];

impl Reader<'_> {
    pub(super) fn table(&mut self, section: &'static str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match schema::SECTIONS
                .iter()
                .find(|known| section.is_empty() && **known == name)
            {
                Some(known) => self.section(known, key.span(), value),
                None => self.entry(section, "", name, key.span(), value),
            }
        }
    }

    fn section(&mut self, section: &'static str, span: Range<usize>, value: &Value<'_>) {
        if section == "access" && self.standing == Standing::Included {
            return self.error(
                span,
                "[access] counts only in the profile itself, not in an included one".to_owned(),
            );
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(section, table),
            other => self.error(
                span,
                format!("[{section}] must be a table, not {}", other.type_str()),
            ),
        }
    }

    /// `above` is "" or the dotted tables, with a dot at the end, that TOML made of "ip4.addr".
    fn entry(
        &mut self,
        section: &'static str,
        above: &str,
        name: &str,
        span: Range<usize>,
        value: &Value<'_>,
    ) {
        let full = format!("{above}{name}");
        if name.contains('.') && schema::key(section, &full).is_some() {
            return self.error(span, format!("write {full} without quotes"));
        }
        if let DeValue::Table(inner) = value.get_ref()
            && schema::is_prefix(section, &full)
        {
            let above = format!("{full}.");
            for (key, value) in inner {
                self.entry(section, &above, key.get_ref(), key.span(), value);
            }
            return;
        }
        match schema::key(section, &full) {
            None => self.unknown(section, &full, span),
            Some(key) if key.support == Support::NotYet => {
                self.error(span, format!("{} is not supported yet", quoted(&full)));
            }
            Some(key) if key.support == Support::Never => {
                let message = format!("{} is not for profiles: {}", quoted(&full), key.meaning);
                self.error(span, message);
            }
            Some(key) => self.assign(key, value),
        }
    }

    fn assign(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        match key.section {
            "" => self.assign_top(key, value),
            "access" => self.assign_access(key, value),
            "root" => self.assign_root(key, value),
            "jail" => self.assign_jail(key, value),
            "limits" => self.assign_limit(key, value),
            "rctl" => self.assign_rctl(key, value),
            "proccontrol" => self.assign_proccontrol(key, value),
            _ => self.assign_rest(key, value),
        }
    }

    fn assign_top(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        use Percent::{Instance, Plain, Refused};
        match key.name {
            "description" => {
                let line = self.one(key, value, Plain, values::line);
                // A part says what the part is.
                replace(
                    line.filter(|_| self.tells_what_it_is),
                    &mut self.profile.description,
                );
            }
            // Followed before any file was read; only the names are checked here.
            "include" => drop(self.list(key, value, Refused, values::name)),
            "program" => fill(
                self.one(key, value, Refused, values::path_below_root),
                &mut self.profile.program,
            ),
            "args" => append(
                self.list(key, value, Plain, values::text),
                &mut self.profile.args,
            ),
            "user" => {
                self.user_place = Some(self.place(value));
                replace(
                    self.one(key, value, Refused, values::account),
                    &mut self.profile.user,
                );
            }
            "group" => fill(
                self.one(key, value, Refused, values::account),
                &mut self.profile.group,
            ),
            "groups" => append(
                self.list(key, value, Refused, values::account),
                &mut self.profile.groups,
            ),
            "login_class" => fill(
                self.one(key, value, Refused, values::login_class),
                &mut self.profile.login_class,
            ),
            "umask" => fill(
                self.one(key, value, Refused, values::umask),
                &mut self.profile.umask,
            ),
            "chdir" => replace(
                self.one(key, value, Instance, values::path),
                &mut self.profile.chdir,
            ),
            "nice" => fill(self.integer(key, value, -20..=20), &mut self.profile.nice),
            "fib" => fill(self.integer(key, value, 0..=65535), &mut self.profile.fib),
            "env" => self.environment(key, value),
            "pidfile" => fill(
                self.one(key, value, Instance, values::path_below_root),
                &mut self.profile.pidfile,
            ),
            "listen" => self
                .items(key, value)
                .into_iter()
                .for_each(|item| self.listen(key, item)),
            "forking" => replace(self.boolean(key, value), &mut self.profile.forking),
            "env_keep" => append(
                self.list(key, value, Refused, values::variable),
                &mut self.profile.env_keep,
            ),
            _ => self.unhandled(key, value),
        }
    }

    fn environment(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(key.name, key.kind, value);
        };
        for (name, value) in table {
            match values::variable(name.get_ref()) {
                Err(message) => self.error(name.span(), message),
                Ok(name) => {
                    if let Some(text) = self.text(key.name, value, Percent::Plain) {
                        self.profile.env.insert(name, text);
                    }
                }
            }
        }
    }

    fn attest_open(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(key.name, key.kind, value);
        };
        for (name, value) in table {
            match values::attempt(name.get_ref()) {
                Err(message) => self.error(name.span(), message),
                Ok(name) => {
                    if let Some(reason) = self.one(key, value, Percent::Plain, values::reason) {
                        self.profile.test.attest_open.insert(name, reason);
                    }
                }
            }
        }
    }

    fn assign_access(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        use Percent::Refused;
        match key.name {
            "users" => append(
                self.list(key, value, Refused, values::account),
                &mut self.profile.access.users,
            ),
            "groups" => append(
                self.list(key, value, Refused, values::account),
                &mut self.profile.access.groups,
            ),
            "any_command" => replace(
                self.boolean(key, value),
                &mut self.profile.access.any_command,
            ),
            "max" => replace(
                self.integer(key, value, 1..=65535),
                &mut self.profile.access.max,
            ),
            "instances" => append(
                self.list(key, value, Refused, values::name),
                &mut self.profile.access.instances,
            ),
            _ => self.unhandled(key, value),
        }
    }

    fn assign_jail(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        let inherit = [("disable", Network::Disable), ("inherit", Network::Inherit)];
        match key.name {
            "ip4.addr" => {
                let more = self.addresses(key, value, values::ip4_address);
                values::with_addresses(&mut self.profile.jail.ip4, more);
            }
            "ip6.addr" => {
                let more = self.addresses(key, value, values::ip6_address);
                values::with_addresses(&mut self.profile.jail.ip6, more);
            }
            "ip4" => replace(self.word(key, value, &inherit), &mut self.profile.jail.ip4),
            "ip6" => replace(self.word(key, value, &inherit), &mut self.profile.jail.ip6),
            "host.hostname" => {
                fill(
                    self.one(key, value, Percent::Instance, values::hostname),
                    &mut self.profile.jail.hostname,
                );
            }
            "allow" => append(
                self.list(key, value, Percent::Refused, values::allow),
                &mut self.profile.jail.allow,
            ),
            "securelevel" => fill(
                self.integer(key, value, -1..=3),
                &mut self.profile.jail.securelevel,
            ),
            "enforce_statfs" => replace(
                self.integer(key, value, 0..=2),
                &mut self.profile.jail.enforce_statfs,
            ),
            "children.max" => match self.integer::<i32>(key, value, 0..=999_999) {
                None | Some(0) => {}
                Some(_) => self.error(
                    value.span(),
                    "\"children.max\" above 0 is not supported yet".to_owned(),
                ),
            },
            "sysvmsg" => replace(self.word(key, value, SYSV), &mut self.profile.jail.sysv[0]),
            "sysvsem" => replace(self.word(key, value, SYSV), &mut self.profile.jail.sysv[1]),
            "sysvshm" => replace(self.word(key, value, SYSV), &mut self.profile.jail.sysv[2]),
            "cpuset" => fill(
                self.one(key, value, Percent::Refused, values::cpus::list),
                &mut self.profile.jail.cpuset,
            ),
            _ => self.assign_parameter(key, value),
        }
    }

    fn addresses(
        &mut self,
        key: &'static schema::Key,
        value: &Value<'_>,
        check: fn(&str) -> Result<Address, String>,
    ) -> Vec<Address> {
        let mut addresses = Vec::new();
        for item in self.items(key, value) {
            if let Some(address) = self.one(key, item, Percent::Instance, check) {
                self.addresses.insert(address.address, self.place(item));
                addresses.push(address);
            }
        }
        addresses
    }

    fn assign_limit(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        let Some((_, limit)) = values::LIMITS.iter().find(|(word, _)| *word == key.name) else {
            return self.unhandled(key, value);
        };
        if let Some(amount) = self.amount(key, value, values::limit) {
            self.profile.limits.retain(|(known, _)| known != limit);
            self.profile.limits.push((*limit, amount));
        }
    }

    fn assign_rctl(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        if key.name == "required" {
            return replace(self.boolean(key, value), &mut self.profile.rctl.required);
        }
        let amount = match key.name {
            // Seconds: "1m" would be read as a million.
            "cputime" | "wallclock" => self.integer(key, value, 1..=1_000_000_000),
            _ => self.amount(key, value, values::size),
        };
        if let Some(amount) = amount {
            self.profile
                .rctl
                .rules
                .retain(|(known, _)| known != key.name);
            self.profile.rctl.rules.push((key.name.to_owned(), amount));
        }
    }

    fn assign_proccontrol(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        match key.name {
            "nonewprivs" => {
                replace(
                    self.word(key, value, ENABLE_DISABLE),
                    &mut self.profile.proccontrol.no_new_privs,
                );
            }
            "trace" => replace(
                self.word(key, value, DISABLE_ENABLE),
                &mut self.profile.proccontrol.no_trace,
            ),
            "aslr" => replace(
                self.word(key, value, ENABLE_DISABLE),
                &mut self.profile.proccontrol.aslr,
            ),
            "protmax" => replace(
                self.word(key, value, ENABLE_DISABLE),
                &mut self.profile.proccontrol.protmax,
            ),
            "wxmap" => replace(
                self.word(key, value, DISABLE_ENABLE),
                &mut self.profile.proccontrol.no_wxmap,
            ),
            _ => self.unhandled(key, value),
        }
    }

    fn assign_rest(&mut self, key: &'static schema::Key, value: &Value<'_>) {
        match (key.section, key.name) {
            ("test", "attest_open") => self.attest_open(key, value),
            ("capsicum", _) => self.assign_capsicum(key, value),
            ("supervise", "restart") => replace(
                self.word(key, value, RESTART),
                &mut self.profile.supervise.restart,
            ),
            ("supervise", "restart_delay") => replace(
                self.integer(key, value, 0..=86400),
                &mut self.profile.supervise.restart_delay,
            ),
            ("supervise", "restart_count") => replace(
                self.integer(key, value, 0..=1_000_000),
                &mut self.profile.supervise.restart_count,
            ),
            ("supervise", "syslog_facility") => replace(
                self.one(key, value, Percent::Refused, values::facility),
                &mut self.profile.supervise.syslog_facility,
            ),
            ("supervise", "syslog_tag") => fill(
                self.one(key, value, Percent::Instance, values::tag),
                &mut self.profile.supervise.syslog_tag,
            ),
            ("supervise", "ready") => {
                self.ready = Some(self.place(value));
                replace(
                    self.word(key, value, READY),
                    &mut self.profile.supervise.ready,
                );
            }
            ("test", "expect_open") => append(
                self.list(key, value, Percent::Instance, values::port),
                &mut self.profile.test.expect_open,
            ),
            ("supervise", "output") => replace(
                self.one(key, value, Percent::Instance, values::output),
                &mut self.profile.supervise.output,
            ),
            ("supervise", "stop_signal") => {
                let signal = self.one(key, value, Percent::Refused, values::signal);
                replace(signal, &mut self.profile.supervise.stop_signal);
            }
            ("supervise", "stop_timeout") => {
                replace(
                    self.integer(key, value, 0..=86400),
                    &mut self.profile.supervise.stop_timeout,
                );
            }
            _ => self.unhandled(key, value),
        }
    }
}
