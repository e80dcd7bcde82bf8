//! Reads profile text into a [`Profile`]: TOML, includes, the merge, and what must hold over all
//! files together. Pure: the caller opened the files and says which instance is meant.
//! Nothing is ignored. What isn't understood is an error, and all errors come back at once.

mod jail;
mod listen;
pub mod package;
mod root;
mod sections;
mod typed;

use super::diagnostic::{Diagnostic, Diagnostics, line_of, nearest, quoted};
use super::{
    Access, Capsicum, Closure, Jail, Mode, Network, Output, Proccontrol, Profile, Rctl, Ready,
    Restart, Root, Supervise, Test, values,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest text of one file.
/// What can be included on every host: our own profiles. Others are on some, and looking for them is not for here.
pub const SHIPPED: [&str; 27] = [
    "base",
    "bc",
    "cron",
    "dns",
    "fetch",
    "gzip",
    "inetd",
    "lighttpd",
    "lighttpd-capsicum",
    "memcached",
    "memcached-capsicum",
    "mosquitto",
    "mosquitto-capsicum",
    "nginx",
    "nginx-capsicum",
    "openssl",
    "pkg-script",
    "redis",
    "redis-capsicum",
    "rpcbind",
    "shell",
    "syslog",
    "tar",
    "timezone",
    "tls",
    "users",
    "www",
];

const FILE_BYTES: usize = 64 * 1024;
const MOUNTS: usize = 256;

/// One file's text and the path that messages call it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

type Value<'a> = Spanned<DeValue<'a>>;

/// The names that `source` includes, for the caller to open. Best effort: errors are found by
/// [`Profile::from_sources`], which sees the same text.
pub fn includes(source: &Source) -> Vec<String> {
    include_spans(source)
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

/// The text that a file itself says by a key at its top, whatever it includes. Best effort, like [`includes`].
pub fn own(source: &Source, key: &str) -> Option<String> {
    if source.text.len() > FILE_BYTES {
        return None;
    }
    let (table, _) = DeTable::parse_recoverable(&source.text);
    let value = table.get_ref().get(key)?;
    value.get_ref().as_str().map(str::to_owned)
}

impl Profile {
    /// The profile that `main` and what it includes say together, or everything that is wrong.
    pub fn from_sources(
        main: &Source,
        included: &[(String, Source)],
        instance: Option<&str>,
    ) -> Result<Profile, Diagnostics> {
        let mut reader = Reader::new(main, instance);
        if let Some(instance) = instance
            && let Err(message) = values::name(instance)
        {
            reader.error(0..0, format!("instance {message}"));
        }
        for source in reader.below(main, included) {
            reader.read(source, Standing::Included);
        }
        reader.read(main, Standing::Main);
        if reader.syntax_is_sound {
            reader.check_the_whole();
        }
        match reader.found.is_empty() {
            true => Ok(reader.profile),
            false => Err(Diagnostics::sorted(reader.found)),
        }
    }
}

use super::ROOT;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Main,
    Included,
}

/// Where a value stands.
#[derive(Clone)]
struct Place<'a> {
    source: &'a Source,
    span: Range<usize>,
}

/// Files are read in the order of the merge, each over what the ones before it said.
struct Reader<'a> {
    main: &'a Source,
    /// The file being read.
    source: &'a Source,
    standing: Standing,
    instance: Option<&'a str>,
    /// Whether the file being read tells what the profile is: it names the program, or is the profile's own.
    tells_what_it_is: bool,
    profile: Profile,
    found: Vec<Diagnostic>,
    syntax_is_sound: bool,
    /// Nothing is found missing that a profile which couldn't be included may say.
    includes_are_read: bool,
    /// Lines of this file whose syntax is broken: what was recovered from them is a guess.
    broken_lines: BTreeSet<usize>,
    /// Where programs or libraries are listed.
    needs_closure: Option<Place<'a>>,
    /// Where `ready` was last given.
    ready: Option<Place<'a>>,
    /// Where mode, preopen and kill_children of `capsicum` were last given.
    capsicum: BTreeMap<&'static str, Place<'a>>,
    /// Of each of `[[listen]]`, in order.
    listens: Vec<Place<'a>>,
    /// Where /etc/resolv.conf is made.
    resolver: Option<Place<'a>>,
    /// Where root is allowed to write.
    root_writes: Option<Place<'a>>,
    /// The name of a package as it is written, and where.
    package: Option<(String, Place<'a>)>,
    user_place: Option<Place<'a>>,
    mounts: Vec<(String, Place<'a>)>,
    /// Where each address was last given.
    addresses: BTreeMap<IpAddr, Place<'a>>,
}

impl<'a> Reader<'a> {
    fn new(main: &'a Source, instance: Option<&'a str>) -> Reader<'a> {
        Reader {
            main,
            source: main,
            standing: Standing::Main,
            instance,
            tells_what_it_is: true,
            profile: defaults(),
            found: Vec::new(),
            syntax_is_sound: true,
            includes_are_read: true,
            broken_lines: BTreeSet::new(),
            needs_closure: None,
            ready: None,
            capsicum: BTreeMap::new(),
            listens: Vec::new(),
            resolver: None,
            root_writes: None,
            package: None,
            user_place: None,
            mounts: Vec::new(),
            addresses: BTreeMap::new(),
        }
    }

    /// What lies below `main` in the merge, lowest first, each file once.
    fn below(&mut self, main: &'a Source, included: &'a [(String, Source)]) -> Vec<&'a Source> {
        let mut order = Vec::new();
        self.collect(main, included, &mut BTreeSet::new(), &mut order);
        self.source = main;
        order
    }

    /// Depth first. As deep as there are files, since none is entered twice.
    fn collect(
        &mut self,
        source: &'a Source,
        included: &'a [(String, Source)],
        seen: &mut BTreeSet<String>,
        order: &mut Vec<&'a Source>,
    ) {
        for (name, span) in include_spans(source) {
            if !values::is_name(&name) {
                continue;
            }
            let Some((_, next)) = included.iter().find(|(known, _)| *known == name) else {
                self.includes_are_read = false;
                self.source = source;
                let near = match nearest(&name, SHIPPED.iter().copied()) {
                    Some(near) => format!("; did you mean {}?", quoted(near)),
                    None => String::new(),
                };
                let words = format!("include {}: there is no such profile", quoted(&name));
                self.error(span, words + &near);
                continue;
            };
            if source == self.main && next == self.main {
                // It would be read as if it weren't there, and what was meant is another file of that name.
                self.includes_are_read = false;
                self.source = source;
                let why = format!(
                    "include {}: that is this profile itself; give this one another name",
                    quoted(&name)
                );
                self.error(span, why);
                continue;
            }
            if next != self.main && seen.insert(name) {
                self.collect(next, included, seen, order);
                order.push(next);
            }
        }
    }

    fn read(&mut self, source: &'a Source, standing: Standing) {
        (self.source, self.standing) = (source, standing);
        self.broken_lines.clear();
        if source.text.len() > FILE_BYTES {
            self.syntax_is_sound = false;
            self.error(0..0, "the file is longer than 64 KiB".to_owned());
            return;
        }
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let mut broken = BTreeSet::new();
        for error in errors {
            self.syntax_is_sound = false;
            let span = error.span().unwrap_or(0..0);
            broken.insert(line_of(&source.text, span.start));
            self.error(span, error.message().trim_end().replace('\n', ", "));
        }
        self.broken_lines = broken;
        let names_program = table.get_ref().get("program").is_some();
        self.tells_what_it_is = names_program || standing == Standing::Main;
        self.table("", table.get_ref());
    }

    /// An error in the file being read.
    fn error(&mut self, span: Range<usize>, message: String) {
        if !self
            .broken_lines
            .contains(&line_of(&self.source.text, span.start))
        {
            self.found.push(Diagnostic::at(
                &self.source.name,
                &self.source.text,
                span,
                message,
            ));
        }
    }

    fn error_at(&mut self, place: &Place<'a>, message: String) {
        let Place { source, span } = place;
        self.found.push(Diagnostic::at(
            &source.name,
            &source.text,
            span.clone(),
            message,
        ));
    }

    /// A value of this file must be the last word, or be said by another file: seen only at the end.
    fn check_the_whole(&mut self) {
        let main = Place {
            source: self.main,
            span: 0..0,
        };
        if self.profile.root.closure == Closure::Off
            && let Some(place) = self.needs_closure.clone()
        {
            let message =
                "programs and libraries need closure = \"auto\"; list files in ro instead";
            self.error_at(&place, message.to_owned());
        }
        if self.includes_are_read && !self.capsicum.contains_key("mode") {
            let message = "mode of [capsicum] must be written: include = [\"base\"] says \"off\"";
            self.error_at(&main, message.to_owned());
        }
        if self.profile.supervise.ready == Ready::Ports && self.profile.test.expect_open.is_empty()
        {
            let place = self.ready.clone().unwrap_or(main.clone());
            let message = "ready = \"ports\" needs expect_open in [test], with the ports";
            self.error_at(&place, message.to_owned());
        }
        self.check_listens();
        self.check_capsicum();
        let user = self.user_place.clone().unwrap_or_else(|| main.clone());
        if values::is_root(&self.profile.user) && !self.profile.may_be_root() {
            self.error_at(&user, ROOT.to_owned());
        }
        self.check_package();
        self.check_root_writes();
        self.check_mounts();
        self.check_addresses(&main);
    }

    fn check_mounts(&mut self) {
        let mut seen: BTreeMap<String, Place<'a>> = BTreeMap::new();
        let has_devices = !self.profile.root.devices.is_empty();
        for (index, (path, place)) in std::mem::take(&mut self.mounts).into_iter().enumerate() {
            if has_devices && (path == "/dev" || path.starts_with("/dev/")) {
                self.error_at(&place, format!("{} would cover the devices", quoted(&path)));
            }
            if index == MOUNTS {
                self.error_at(&place, format!("more than {MOUNTS} paths in [root]"));
            }
            if let Some(first) = seen.get(&path) {
                let by = elsewhere(first, &place);
                self.error_at(&place, format!("{} is given twice{by}", quoted(&path)));
            }
            seen.entry(path).or_insert(place);
        }
    }

    /// The kernel refuses a jail with an address twice, after half of the launch was done.
    fn check_addresses(&mut self, main: &Place<'a>) {
        let mut seen = BTreeSet::new();
        for network in [self.profile.jail.ip4.clone(), self.profile.jail.ip6.clone()] {
            let Network::Addresses(addresses) = network else {
                continue;
            };
            for address in addresses {
                if !seen.insert(address.address) {
                    let place = self.addresses.get(&address.address).unwrap_or(main).clone();
                    self.error_at(
                        &place,
                        format!("address {} is given twice", address.address),
                    );
                }
            }
        }
    }
}

/// Names in the top-level `include`, with their places.
fn include_spans(source: &Source) -> Vec<(String, Range<usize>)> {
    if source.text.len() > FILE_BYTES {
        return Vec::new();
    }
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    // What was recovered from broken syntax is a guess.
    if !errors.is_empty() {
        return Vec::new();
    }
    let list = table
        .get_ref()
        .get("include")
        .and_then(|value| value.get_ref().as_array());
    let names = list.into_iter().flat_map(|list| list.iter());
    names
        .filter_map(|value| Some((value.get_ref().as_str()?.to_owned(), value.span())))
        .collect()
}

/// Where the other one is, if not in the file that the error is shown in.
fn elsewhere(first: &Place<'_>, second: &Place<'_>) -> String {
    if first.source == second.source {
        return String::new();
    }
    let line = line_of(&first.source.text, first.span.start);
    format!(", also by {}:{line}", first.source.name)
}

/// What an empty profile would say. jailrun.toml(5) and the schema have the same words.
fn defaults() -> Profile {
    Profile {
        description: String::new(),
        program: None,
        args: Vec::new(),
        user: "nobody".to_owned(),
        group: None,
        groups: Vec::new(),
        login_class: None,
        umask: None,
        chdir: "/".to_owned(),
        nice: None,
        fib: None,
        env: BTreeMap::new(),
        env_keep: Vec::new(),
        pidfile: None,
        forking: false,
        access: Access {
            max: 4,
            ..Access::default()
        },
        root: Root::default(),
        jail: Jail {
            enforce_statfs: 2,
            ..Jail::default()
        },
        listen: Vec::new(),
        limits: Vec::new(),
        rctl: Rctl {
            rules: Vec::new(),
            required: true,
        },
        proccontrol: Proccontrol {
            no_new_privs: true,
            no_trace: true,
            aslr: true,
            protmax: false,
            no_wxmap: false,
        },
        capsicum: Capsicum {
            mode: Mode::Off,
            preopen: false,
            kill_children: false,
        },
        supervise: Supervise {
            restart: Restart::Never,
            restart_delay: 1,
            restart_count: 5,
            ready: Ready::Exec,
            stop_signal: 15,
            stop_timeout: 10,
            output: Output::Inherit,
            syslog_facility: values::LOG_DAEMON,
            syslog_tag: None,
        },
        test: Test::default(),
    }
}
