//! The keys of `[root]`. Pure.
//! Every path that something is mounted on or made at is noted with its place, so that two of them can
//! be told apart, or not, when all files are read.

use super::super::diagnostic::quoted;
use super::super::schema::Key;
use super::super::{Closure, RESOLVER, Socket, Tmpfs, Writable, values};
use super::typed::{Percent, append, fill, replace};
use super::{Reader, Value};
use toml::de::DeValue;

impl Reader<'_> {
    pub(super) fn assign_root(&mut self, key: &'static Key, value: &Value<'_>) {
        use Percent::{Instance, Refused};
        match key.name {
            "closure" => {
                let words = [("auto", Closure::Auto), ("off", Closure::Off)];
                replace(
                    self.word(key, value, &words),
                    &mut self.profile.root.closure,
                );
            }
            "programs" => {
                let more = self.list(key, value, Refused, values::path_below_root);
                self.note_closure(value, &more);
                append(more, &mut self.profile.root.programs);
            }
            "libraries" => {
                let more = self.list(key, value, Refused, values::path_below_root);
                self.note_closure(value, &more);
                append(more, &mut self.profile.root.libraries);
            }
            "ro" => {
                for item in self.items(key, value) {
                    let path = self.one(key, item, Instance, values::path_below_root);
                    if let Some(path) = self.mounted(path, item) {
                        self.profile.root.ro.push(path);
                    }
                }
            }
            "rw" => self
                .items(key, value)
                .into_iter()
                .for_each(|item| self.writable(key, item)),
            "tmpfs" => self
                .items(key, value)
                .into_iter()
                .for_each(|item| self.tmpfs(key, item)),
            "files" => self.files(key, value),
            "mask" => {
                for item in self.items(key, value) {
                    let path = self.one(key, item, Instance, values::path_below_root);
                    if let Some(path) = self.mounted(path, item) {
                        self.profile.root.mask.push(path);
                    }
                }
            }
            "sockets" => self
                .items(key, value)
                .into_iter()
                .for_each(|item| self.socket(key, item)),
            "devices" => {
                append(
                    self.list(key, value, Refused, values::device),
                    &mut self.profile.root.devices,
                );
            }
            "root_writes" => {
                replace(self.boolean(key, value), &mut self.profile.root.root_writes);
                self.root_writes = Some(self.place(value));
            }
            "package" => self.assign_package(key, value),
            _ => self.unhandled(key, value),
        }
    }

    /// Where something is mounted or made.
    fn mounted(&mut self, path: Option<String>, value: &Value<'_>) -> Option<String> {
        let path = path?;
        self.mounts.push((path.clone(), self.place(value)));
        Some(path)
    }

    /// Programs and libraries mean something only while what they need is worked out.
    fn note_closure(&mut self, value: &Value<'_>, more: &[String]) {
        if !more.is_empty() {
            self.needs_closure = Some(self.place(value));
        }
    }

    fn writable(&mut self, list: &'static Key, item: &Value<'_>) {
        let mut rw = Writable::default();
        let place = match item.get_ref() {
            DeValue::String(_) => {
                replace(
                    self.one(list, item, Percent::Instance, values::path_below_root),
                    &mut rw.path,
                );
                Some(self.place(item))
            }
            DeValue::Table(table) => {
                for (key, value) in self.known_entries("root.rw", table) {
                    self.assign_writable(key, value, &mut rw);
                }
                self.required("path", "rw", table, item)
            }
            _ => return self.wrong_type("rw", "table or string", item),
        };
        if let Some(place) = place.filter(|_| !rw.path.is_empty()) {
            self.mounts.push((rw.path.clone(), place));
            self.profile.root.rw.push(rw);
        }
    }

    fn assign_writable(&mut self, key: &'static Key, value: &Value<'_>, rw: &mut Writable) {
        use Percent::{Instance, Refused};
        match key.name {
            "path" => replace(
                self.one(key, value, Instance, values::path_below_root),
                &mut rw.path,
            ),
            "noexec" => replace(self.boolean(key, value), &mut rw.noexec),
            "nosymfollow" => replace(self.boolean(key, value), &mut rw.nosymfollow),
            "untrusted" => replace(self.boolean(key, value), &mut rw.untrusted),
            "shared" => replace(self.boolean(key, value), &mut rw.shared),
            "owner" => fill(
                self.one(key, value, Refused, values::account),
                &mut rw.owner,
            ),
            "mode" => fill(self.one(key, value, Refused, values::mode), &mut rw.mode),
            _ => self.unhandled(key, value),
        }
    }

    fn tmpfs(&mut self, list: &'static Key, item: &Value<'_>) {
        let DeValue::Table(table) = item.get_ref() else {
            return self.wrong_type(list.name, "table", item);
        };
        let mut tmpfs = Tmpfs {
            path: String::new(),
            size: 0,
            mode: 0o755,
            owner: None,
            noexec: false,
            nosymfollow: false,
        };
        for (key, value) in self.known_entries("root.tmpfs", table) {
            self.assign_tmpfs(key, value, &mut tmpfs);
        }
        let place = self.required("path", "tmpfs", table, item);
        if self.required("size", "tmpfs", table, item).is_some()
            && let Some(place) = place.filter(|_| !tmpfs.path.is_empty())
        {
            self.mounts.push((tmpfs.path.clone(), place));
            self.profile.root.tmpfs.push(tmpfs);
        }
    }

    fn assign_tmpfs(&mut self, key: &'static Key, value: &Value<'_>, tmpfs: &mut Tmpfs) {
        use Percent::{Instance, Refused};
        match key.name {
            "path" => replace(
                self.one(key, value, Instance, values::path_below_root),
                &mut tmpfs.path,
            ),
            "size" => replace(
                self.amount(key, value, values::size_above_zero),
                &mut tmpfs.size,
            ),
            "mode" => replace(self.one(key, value, Refused, values::mode), &mut tmpfs.mode),
            "owner" => fill(
                self.one(key, value, Refused, values::account),
                &mut tmpfs.owner,
            ),
            "noexec" => replace(self.boolean(key, value), &mut tmpfs.noexec),
            "nosymfollow" => replace(self.boolean(key, value), &mut tmpfs.nosymfollow),
            _ => self.unhandled(key, value),
        }
    }

    /// A file's content replaces the one that an included profile gives it.
    fn files(&mut self, key: &'static Key, value: &Value<'_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.wrong_type(key.name, key.kind, value);
        };
        for (name, value) in table {
            let path = self.put_in(key.name, name.get_ref(), name.span(), Percent::Instance);
            let path = path.and_then(|path| {
                let checked = values::path_below_root(&path);
                checked
                    .map_err(|message| self.error(name.span(), message))
                    .ok()
            });
            let text = self.text(key.name, value, Percent::Plain);
            let (Some(path), Some(text)) = (path, text) else {
                continue;
            };
            match values::content(&path, &text) {
                Err(message) => self.error(value.span(), message),
                Ok(content) => {
                    let place = self.place(value);
                    if path == RESOLVER {
                        self.resolver = Some(place.clone());
                    }
                    if self
                        .profile
                        .root
                        .files
                        .insert(path.clone(), content)
                        .is_none()
                    {
                        self.mounts.push((path, place));
                    }
                }
            }
        }
    }

    fn socket(&mut self, key: &'static Key, item: &Value<'_>) {
        let Some(text) = self.text(key.name, item, Percent::Instance) else {
            return;
        };
        if text == "syslog" {
            if !self.profile.root.sockets.contains(&Socket::Syslog) {
                self.profile.root.sockets.push(Socket::Syslog);
            }
            return;
        }
        if !text.starts_with('/') {
            let message = format!("{} is neither \"syslog\" nor a directory", quoted(&text));
            return self.error(item.span(), message);
        }
        let path = self.one(key, item, Percent::Instance, values::path_below_root);
        if let Some(path) = self.mounted(path, item) {
            self.profile.root.sockets.push(Socket::Directory(path));
        }
    }
}
