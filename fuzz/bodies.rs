//! What a fuzzer runs, and tests/fuzz.rs on fixed seeds: each takes any bytes, and panics at what must not
//! be. That nothing else panics, overflows or runs for long is most of it.

use jailrun::closure::image::{self, ReadAt};
use jailrun::kernel::Outcome;
use jailrun::launch::journal::{self, Unreadable};
use jailrun::login_conf::{self, LoginClass};
use jailrun::profile::Profile;
use jailrun::profile::parse::{Source, includes};
use jailrun::profile::values::is_name;
use jailrun::request::{self, Asked};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// A command line, its words ended by NULs.
pub fn argv(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == 0);
    match request::parse(words.map(|word| OsStr::from_bytes(word).to_owned())) {
        Asked::Run(request) => {
            assert!(is_name(&request.profile));
            assert!(request.instance.as_deref().is_none_or(is_name));
            assert!(!request.detach || request.command.is_none());
            assert!(request.status_fd.is_none_or(|fd| (3..1024).contains(&fd.0)));
        }
        Asked::Wrong(why) => assert!(!why.is_empty() && !why.contains('\n'), "{why:?}"),
        Asked::Tell(text) => assert!(!text.is_empty()),
    }
}

/// The text of a profile, for an instance and for none.
pub fn profile(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let source = Source {
        name: "x.toml".to_string(),
        text: text.to_string(),
    };
    let _ = includes(&source);
    for instance in [None, Some("blue")] {
        let read = || Profile::from_sources(&source, &[], instance);
        match (read(), read()) {
            (Ok(profile), Ok(again)) => assert_eq!(profile, again),
            (Err(errors), Err(again)) => {
                let errors = errors.to_string();
                assert!(errors.starts_with("x.toml") && errors == again.to_string());
            }
            _ => panic!("read twice, it is two things"),
        }
    }
}

/// The journal of a launch.
pub fn journal(bytes: &[u8]) {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let read = journal::parse(bytes);
    if let Ok(story) = &read {
        assert!(!story.head.boot.is_empty() && !story.head.label.is_empty());
        // A line without an end counts for nothing.
        let lines = bytes.get(..=whole.unwrap_or(0)).unwrap_or_default();
        assert_eq!(journal::parse(lines).as_ref(), Ok(story));
    }
    if bytes.is_empty() {
        assert_eq!(read, Err(Unreadable::Empty));
    }
}

struct File<'a>(&'a [u8]);

impl ReadAt for File<'_> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.0.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A program or a library.
pub fn elf(bytes: &[u8]) {
    let read = || image::read(&mut File(bytes), bytes.len() as u64);
    let image = read();
    assert_eq!(image, read());
    if let Ok(image::Image::Elf(object)) = image {
        let names = object
            .needed
            .iter()
            .chain(&object.filters)
            .chain(&object.auxiliaries);
        for name in names.chain(&object.interpreter).chain(&object.soname) {
            assert!(name.len() < 1024 && !name.contains('\0'));
        }
    }
}

/// The text of login.conf(5), and every class that it names.
pub fn login_conf(bytes: &[u8]) {
    let names = bytes.split(|byte| b"\n|:=".contains(byte)).take(40);
    for name in names.filter_map(|name| std::str::from_utf8(name).ok()) {
        match login_conf::record(bytes, name) {
            Ok(record) => {
                assert!(record.len() <= 64 * 1024 && !record.contains(&0));
                let class = LoginClass::of(name, &record);
                if let Ok(class) = class {
                    assert!(class.umask.is_none_or(|mask| mask <= 0o777));
                    assert!(class.nice.is_none_or(|nice| (-20..=20).contains(&nice)));
                    assert!(class.cpus.is_none_or(|cpus| !cpus.is_empty()));
                }
            }
            Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "{why:?}"),
        }
    }
}
