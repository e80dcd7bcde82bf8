//! Laws of the profile reader. Fixtures are in tests/profiles: what is in good/ reads, what is in bad/
//! gives exactly the errors beside it (UPDATE_GOLDEN=1 rewrites those). Files called inc_* are there to
//! be included. A first line "# instance: X" is the instance that a fixture is read for.

// A helper outside #[test] that can't go on ends the test that called it.
#![allow(clippy::unwrap_used, clippy::panic)]

use jailrun::ctl::plan::{listing, simulated};
use jailrun::kernel::Limit;
use jailrun::profile::Profile;
use jailrun::profile::diagnostic::Diagnostics;
use jailrun::profile::parse::{SHIPPED, Source, includes};
use jailrun::profile::schema::{self, KEYS, Key, Support};
use jailrun::profile::values::is_name;
use jailrun::profile::{Network, values};
use jailrun::request::Request;
use jailrun::run::profile_places;
use jailrun::sim::World;
use jailrun::sim::image::Elf;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FRAME: &str = "[root]\n[capsicum]\nmode = \"off\"\n";

/// The checkout: where cargo, or the runner on another host, says that it is.
fn here(below: &str) -> PathBuf {
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    there
        .map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .join(below)
}

fn source(path: &Path) -> Source {
    Source {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(path).unwrap(),
    }
}

/// Reads a file and, from its directory, all that it includes.
fn read(path: &Path) -> Result<Profile, Diagnostics> {
    read_for(path, None)
}

/// For an instance, or for the one that its first line names.
fn read_for(path: &Path, instance: Option<&str>) -> Result<Profile, Diagnostics> {
    let main = source(path);
    let mut included: Vec<(String, Source)> = Vec::new();
    let mut wanted = includes(&main);
    while let Some(name) = wanted.pop() {
        let file = path.with_file_name(format!("{name}.toml"));
        let is_new = included.iter().all(|(known, _)| *known != name);
        if is_name(&name) && is_new && file.exists() {
            let next = source(&file);
            wanted.extend(includes(&next));
            included.push((name, next));
        }
    }
    let first = main.text.lines().next();
    let named = first.and_then(|line| line.strip_prefix("# instance: "));
    Profile::from_sources(&main, &included, instance.or(named))
}

fn read_text(text: &str) -> Result<Profile, Diagnostics> {
    let main = Source {
        name: "x.toml".to_owned(),
        text: text.to_owned(),
    };
    Profile::from_sources(&main, &[], None)
}

fn fixtures(below: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(here(below))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_main = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "toml")
            && !path
                .file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with("inc_")
    };
    let mut files: Vec<PathBuf> = entries.filter(is_main).collect();
    files.sort();
    files
}

#[test]
fn every_shipped_profile_reads() {
    let files = fixtures("profiles");
    assert!(files.len() >= 8);
    for file in files {
        let shipped = source(&file);
        // What is made to be included leaves to the profile what every profile has to say.
        let is_part =
            shipped.text.contains("Made to be included") && !shipped.text.contains("[capsicum]");
        let outcome = match is_part {
            // The script of a package is that of some package.
            false => read_for(&file, shipped.text.contains("%i").then_some("x")),
            true => {
                let name = file.file_stem().unwrap().to_string_lossy().into_owned();
                let main = Source {
                    name: "main.toml".to_owned(),
                    text: format!("include = [\"{name}\"]\n{FRAME}"),
                };
                Profile::from_sources(&main, &[(name, shipped)], None)
            }
        };
        if let Err(errors) = outcome {
            panic!("{errors}");
        }
    }
}

#[test]
fn an_unknown_include_names_a_shipped_profile_that_was_meant() {
    let files = fixtures("profiles");
    let names = files
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap());
    assert_eq!(names.collect::<BTreeSet<_>>(), SHIPPED.into());
    for (written, near) in [
        ("bass", "; did you mean \"base\"?"),
        ("user", "; did you mean \"users\"?"),
        ("timezones", "; did you mean \"timezone\"?"),
        ("elsewhere", ""),
    ] {
        let main = Source {
            name: "main.toml".to_owned(),
            text: format!("include = [\"{written}\"]\n{FRAME}"),
        };
        let errors = Profile::from_sources(&main, &[], None).unwrap_err();
        let words = format!("include \"{written}\": there is no such profile{near}");
        assert_eq!(errors.0[0].message, words);
    }
}

/// Of `nobody`, whom several are: a set-user-ID program of its making would be one for whoever gets there. The
/// directory's own mode closes nothing, since nobody can change it.
#[test]
fn what_a_shipped_profile_writes_as_nobody_is_closed_to_others() {
    let host = fs::read_to_string(here("share/host.toml")).unwrap();
    let mut seen = 0;
    for file in fixtures("profiles") {
        let Ok(profile) = read(&file) else { continue };
        if profile.user != "nobody" {
            continue;
        }
        for rw in &profile.root.rw {
            let (above, _) = rw.path.rsplit_once('/').unwrap();
            let is_closed = host.contains(&format!("path = \"{above}\"\nmode = \"750\"\n\n"));
            let is_owned = rw.owner.as_deref() == Some("nobody");
            assert!(
                is_closed && is_owned && !rw.untrusted,
                "{file:?}: {}",
                rw.path
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn the_shipped_parts_can_be_used_together() {
    let parts = ["base", "dns", "tls", "timezone", "users"];
    let included: Vec<(String, Source)> = parts
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                source(&here(&format!("profiles/{name}.toml"))),
            )
        })
        .collect();
    let main = Source {
        name: "main.toml".to_owned(),
        text: format!("include = {parts:?}\n"),
    };
    let profile = Profile::from_sources(&main, &included, None).unwrap();
    assert_eq!(profile.root.files.len(), 7);
    assert_eq!(profile.root.sockets, []);
}

#[test]
fn every_good_fixture_reads() {
    let files = fixtures("tests/profiles/good");
    assert!(files.len() >= 4);
    for file in files {
        if let Err(errors) = read(&file) {
            panic!("{errors}");
        }
    }
}

#[test]
fn every_bad_fixture_gives_exactly_its_errors() {
    let files = fixtures("tests/profiles/bad");
    assert!(files.len() >= 25);
    let mut differing = Vec::new();
    for file in files {
        let Err(errors) = read(&file) else {
            panic!("{} reads", file.display())
        };
        let (shown, golden) = (format!("{errors}\n"), file.with_extension("errors"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &shown).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != shown {
            differing.push(format!("{}:\n{shown}", golden.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// A profile in which `key` has its example value, and one that differs in nothing else.
fn with_and_without(key: &Key) -> (String, String) {
    let line = |value: &str| format!("{} = {value}\n", key.name);
    let in_list = |others: &str| {
        let list = &key.section["root.".len()..];
        let table = |inside: String| {
            FRAME.replace(
                "[capsicum]",
                &format!("{list} = [{{ {inside} }}]\n[capsicum]"),
            )
        };
        let setting = format!("{} = {}", key.name, key.example);
        (
            table(format!(
                "{setting}{}",
                others.replace(&format!(", {}", default_of(key.name)), "")
            )),
            table(others[2..].to_owned()),
        )
    };
    if key.name == "ready" {
        let ports = format!("{FRAME}[test]\nexpect_open = [\"tcp:10.0.0.80:80\"]\n");
        return (format!("{ports}[supervise]\n{}", line(key.example)), ports);
    }
    if key.name == "root_writes" {
        let frame = format!("user = \"root\"\n{FRAME}[jail]\nallow = [\"suser\"]\n");
        let with = frame.replace("[capsicum]", &format!("{}[capsicum]", line(key.example)));
        return (with, frame);
    }
    if key.name == "package" {
        let frame = FRAME.replace("[capsicum]", "root_writes = true\n[capsicum]");
        let frame = format!("user = \"root\"\n{frame}[jail]\nallow = [\"suser\"]\n");
        return (
            frame.replace("[capsicum]", &format!("{}[capsicum]", line(key.example))),
            frame,
        );
    }
    match key.section {
        "" => (format!("{}{FRAME}", line(key.example)), FRAME.to_owned()),
        "root" => (
            FRAME.replace("[capsicum]", &format!("{}[capsicum]", line(key.example))),
            FRAME.to_owned(),
        ),
        "root.rw" => in_list(", path = \"/a\""),
        "root.tmpfs" => in_list(", path = \"/a\", size = \"1m\""),
        "listen" => {
            let others = listen_for(key.name);
            let without = format!("{FRAME}[[listen]]\n{others}");
            let kept = others.lines().filter(|line| !line.starts_with(key.name));
            let kept: String = kept.map(|line| format!("{line}\n")).collect();
            (
                format!("{FRAME}[[listen]]\n{kept}{}", line(key.example)),
                without,
            )
        }
        "capsicum" => {
            let with = |more: &str| FRAME.replace("mode = \"off\"\n", more);
            let (mode, preopen) = ("mode = \"enforce\"\n", "preopen = true\n");
            match key.name {
                "mode" => (with(mode), FRAME.to_owned()),
                "preopen" => (with(&format!("{mode}{preopen}")), with(mode)),
                _ => (
                    with(&format!("{mode}{preopen}{}", line(key.example))),
                    with(&format!("{mode}{preopen}")),
                ),
            }
        }
        section => (
            format!("{FRAME}[{section}]\n{}", line(key.example)),
            FRAME.to_owned(),
        ),
    }
}

/// A table of `[[listen]]` that may have the key.
fn listen_for(key: &str) -> &'static str {
    match key {
        "v6only" => "name = \"a\"\nproto = \"tcp6\"\naddr = \"[::1]:80\"\n",
        "mode" | "owner" => "name = \"a\"\nproto = \"unix\"\naddr = \"/var/run/a.sock\"\n",
        _ => "name = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.1:80\"\n",
    }
}

fn default_of(name: &str) -> &'static str {
    match name {
        "path" => "path = \"/a\"",
        "size" => "size = \"1m\"",
        _ => "-",
    }
}

#[test]
fn every_key_changes_the_profile() {
    let lower = Source {
        name: "base.toml".to_owned(),
        text: "nice = 3\n".to_owned(),
    };
    for key in KEYS
        .iter()
        .filter(|key| key.support == Support::Now && !key.example.is_empty())
    {
        let (with, without) = with_and_without(key);
        let main = Source {
            name: "x.toml".to_owned(),
            text: with,
        };
        let changed = Profile::from_sources(&main, &[("base".to_owned(), lower.clone())], None);
        let changed = changed.unwrap_or_else(|errors| panic!("{errors}"));
        assert_ne!(
            changed,
            read_text(&without).unwrap(),
            "{} of {}",
            key.name,
            key.section
        );
    }
}

/// Who may run a profile, and what it is called, is nothing that a launch does: `access_decides_who_may_what`
/// holds the one, golden files of jailrunctl the other.
fn is_no_part_of_a_launch(key: &Key) -> bool {
    key.section == "access" || key.name == "attest_open" || key.name == "description"
}

/// What `jailrunctl plan` prints for it on a host that has all that the examples name, or why there is no
/// plan.
fn planned(key: &Key, profile: &str) -> String {
    let mut world = World::freebsd();
    for (path, mode, owner) in [
        ("/a", 0o755, 0),
        ("/a/b", 0o755, 0),
        ("/var/db/x", 0o750, 65534),
        ("/var/db/y", 0o750, 65534),
        ("/var/run/x", 0o755, 0),
        ("/var/db/z", 0o755, 0),
    ] {
        world.dir(path, mode, owner, 0);
    }
    world.interface("lo1", None).group("video", 44);
    world.package("nginx", "1", &["/var/db/z"], &[]);
    let classes = b"daemon:memorylocked=128M:umask=027:\n";
    world.file("/etc/login.conf", 0o644, 0, 0, classes);
    let program = Elf::program(&["libc.so.7"]).bytes();
    world.file("/usr/bin/openssl", 0o755, 0, 0, &program);
    let library = Elf::library("nss_x.so.1", &[]).bytes();
    world.file("/usr/lib/nss_x.so.1", 0o444, 0, 0, &library);
    let shim = Elf::library("libjailrun_preopen.so", &["libc.so.7"]).bytes();
    world.file(
        "/usr/local/lib/jailrun/libjailrun_preopen.so",
        0o444,
        0,
        0,
        &shim,
    );
    // These say what may be there, or be missing; so there it is.
    match key.name {
        "untrusted" => drop(world.dir("/a", 0o777, 0, 0)),
        "required" => drop(world.sysctl_set("kern.racct.enable", "0")),
        _ => {}
    }
    let [admin, packages] = profile_places();
    world.dir(&admin, 0o755, 0, 0).dir(&packages, 0o755, 0, 0);
    world.file(&format!("{admin}/x.toml"), 0o644, 0, 0, profile.as_bytes());
    world.file(&format!("{packages}/base.toml"), 0o644, 0, 0, b"nice = 3\n");
    let asked = Request {
        profile: "x".to_owned(),
        ..Request::default()
    };
    match simulated(world, &asked) {
        Ok(prepared) => listing(&prepared),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_key_changes_the_plan() {
    let mut exempt = BTreeSet::new();
    for key in KEYS
        .iter()
        .filter(|key| key.support == Support::Now && !key.example.is_empty())
    {
        let (with, without) = with_and_without(key);
        // Some program; one that may be executed only with all that it needs.
        let with_program = |text: String| match text.starts_with("program") {
            true => text,
            false => format!("program = \"/bin/sh\"\n{text}"),
        };
        let with_grants = |text: String| match key.name {
            "root_writes" => text.replacen("[root]", "[root]\nrw = [\"/var/db/z\"]", 1),
            "mask" => text.replacen("[root]", "[root]\nro = [\"/a\"]", 1),
            "required" => format!("{text}maxproc = 1\n"),
            "syslog_facility" | "syslog_tag" => format!("{text}output = \"syslog\"\n"),
            "expect_open" => format!("{text}[supervise]\nready = \"ports\"\n"),
            "restart_delay" | "restart_count" => format!("{text}restart = \"always\"\n"),
            _ => text,
        };
        let section = |text: String| match text.contains(&format!("[{}]", key.section)) {
            false if key.name == "required" || key.section == "supervise" => {
                format!("{text}[{}]\n", key.section)
            }
            _ => text,
        };
        let [with, without] = [with, without].map(|text| with_grants(section(with_program(text))));
        let (with, without) = (planned(key, &with), planned(key, &without));
        let is_plan = |text: &str| text.contains("create the jail");
        assert!(
            is_plan(&with) || is_plan(&without),
            "{}: {with}\n{without}",
            key.name
        );
        if with == without {
            exempt.insert((key.section, key.name));
        }
    }
    let named: BTreeSet<(&str, &str)> = KEYS
        .iter()
        .filter(|key| is_no_part_of_a_launch(key))
        .map(|key| (key.section, key.name))
        .collect();
    assert_eq!(exempt, named);
}

#[test]
fn a_key_with_one_supported_value_takes_no_other() {
    let only: Vec<&str> = KEYS
        .iter()
        .filter(|key| key.support == Support::Now && key.example.is_empty())
        .map(|key| key.name)
        .collect();
    assert_eq!(only, ["children.max"]);
    assert!(read_text(&format!("{FRAME}[jail]\nchildren.max = 1\n")).is_err());
}

#[test]
fn a_key_that_is_not_supported_yet_is_refused_as_that() {
    for key in KEYS
        .iter()
        .filter(|key| key.support == Support::NotYet && !key.section.contains('.'))
    {
        let text = match key.section {
            "" => format!("{} = 1\n{FRAME}", key.name),
            "root" => FRAME.replace("[capsicum]", &format!("{} = 1\n[capsicum]", key.name)),
            "capsicum" => format!("{FRAME}{} = 1\n", key.name),
            section => format!("{FRAME}[{section}]\n{} = 1\n", key.name),
        };
        let errors = read_text(&text).unwrap_err();
        let messages: Vec<&str> = errors
            .0
            .iter()
            .map(|error| error.message.as_str())
            .collect();
        assert_eq!(messages, [format!("\"{}\" is not supported yet", key.name)]);
    }
}

#[test]
fn a_key_that_no_profile_gives_is_refused_with_what_to_write_instead() {
    let never = KEYS.iter().filter(|key| key.support == Support::Never);
    let mut seen = 0;
    for key in never {
        let text = format!("{FRAME}[{}]\n{} = 1\n", key.section, key.name);
        let errors = read_text(&text).unwrap_err();
        let message = format!("\"{}\" is not for profiles: {}", key.name, key.meaning);
        assert_eq!(errors.0[0].message, message);
        assert!(errors.0.len() == 1 && !key.meaning.is_empty());
        seen += 1;
    }
    assert!(seen > 30);
}

#[test]
fn no_key_is_in_the_schema_twice() {
    let distinct: BTreeSet<(&str, &str)> = KEYS.iter().map(|key| (key.section, key.name)).collect();
    assert_eq!(distinct.len(), KEYS.len());
    assert!(schema::key("", "program").is_some());
}

#[test]
fn lists_append_scalars_replace_and_tables_merge_by_key() {
    let profile = read(&here("tests/profiles/good/merged.toml")).unwrap();

    assert_eq!(profile.args, ["lower", "upper", "main"]);
    assert_eq!(profile.nice, Some(3));
    assert_eq!(profile.env.get("A").map(String::as_str), Some("lower"));
    assert_eq!(profile.env.get("B").map(String::as_str), Some("main"));
    assert_eq!(profile.limits, [(Limit::Openfiles, 20)]);
    assert_eq!(profile.jail.ip4, Network::Inherit);
    assert!(matches!(&profile.jail.ip6, Network::Addresses(all) if all.len() == 1));
}

#[test]
fn a_description_is_handed_on_by_a_profile_that_names_a_program_and_by_no_part() {
    let text = |name: &str, text: &str| Source {
        name: name.to_string(),
        text: text.to_string(),
    };
    let part = text(
        "part",
        "description = \"a part\"\n[capsicum]\nmode = \"off\"\n",
    );
    let server = text(
        "server",
        "description = \"a server\"\nprogram = \"/bin/sh\"\n",
    );
    for (main, description) in [
        ("include = [\"part\"]\nprogram = \"/bin/sh\"", ""),
        ("include = [\"server\", \"part\"]", "a server"),
        (
            "include = [\"part\", \"server\"]\ndescription = \"mine\"",
            "mine",
        ),
    ] {
        let included = [&part, &server].map(|source| (source.name.clone(), source.clone()));
        let profile = Profile::from_sources(&text("main", main), &included, None).unwrap();
        assert_eq!(profile.description, description, "{main}");
    }
}

#[test]
fn an_instance_is_put_into_paths_and_names_and_nothing_else() {
    let profile = read(&here("tests/profiles/good/instance.toml")).unwrap();

    assert_eq!(profile.chdir, "/var/db/blue");
    assert_eq!(profile.root.rw[0].path, "/var/db/blue");
    assert_eq!(profile.jail.hostname.as_deref(), Some("www-blue"));
    assert_eq!(profile.args, ["%i", "%%"]);
    assert_eq!(profile.description, "%i");
}

#[test]
fn an_empty_profile_grants_nothing() {
    let profile = read_text(FRAME).unwrap();

    assert_eq!(
        (profile.user.as_str(), profile.umask, profile.chdir.as_str()),
        ("nobody", None, "/")
    );
    assert_eq!(
        (&profile.jail.ip4, &profile.jail.ip6),
        (&Network::Disable, &Network::Disable)
    );
    assert!(
        profile.root.ro.is_empty() && profile.root.rw.is_empty() && profile.root.devices.is_empty()
    );
    assert!(
        profile.access.users.is_empty() && !profile.access.any_command && profile.access.max == 4
    );
    assert!(
        profile.proccontrol.no_new_privs && profile.proccontrol.no_trace && profile.rctl.required
    );
}

#[test]
fn sizes_are_powers_of_1024() {
    assert_eq!(values::size("16m"), Ok(16 << 20));
    assert_eq!(values::size("1T"), Ok(1 << 40));
    assert_eq!(values::limit("unlimited"), Ok(jailrun::kernel::UNLIMITED));
}

/// Cuts every fixture short at every byte: no text makes the reader panic.
#[test]
fn no_prefix_of_a_fixture_panics_the_reader() {
    let small = fixtures("tests/profiles/bad")
        .into_iter()
        .map(|file| source(&file))
        .filter(|s| s.text.len() < 1500);
    let mut read_some = 0;
    for whole in small {
        for end in (0..whole.text.len()).filter(|end| whole.text.is_char_boundary(*end)) {
            let cut = Source {
                name: whole.name.clone(),
                text: whole.text[..end].to_owned(),
            };
            if let Err(errors) = Profile::from_sources(&cut, &[], Some("blue")) {
                assert!(!errors.to_string().is_empty());
            }
            read_some += 1;
        }
    }
    assert!(read_some > 1000);
}

#[test]
fn a_service_is_root_only_where_it_writes_nothing_and_serves_nobody() {
    let text = |user: &str, allow: &str, root: &str, access: &str| {
        format!(
            "program = \"/bin/sh\"\nuser = \"{user}\"\n[root]\nclosure = \"off\"\n{root}\n[jail]\nallow = [{allow}]\n\
             [access]\n{access}\n[capsicum]\nmode = \"off\"\n"
        )
    };
    let local = |more: &str| {
        format!("[[listen]]\nname = \"a\"\nproto = \"unix\"\naddr = \"/var/run/x.sock\"\n{more}\n")
    };
    for user in ["root", "toor", "0"] {
        assert!(read_text(&text(user, "\"suser\"", "sockets = [\"syslog\"]", "")).is_ok());
        for (allow, root, access) in [
            ("", "", ""),
            ("\"reserved_ports\"", "", ""),
            ("\"suser\"", "rw = [\"/var/db/x\"]", ""),
            ("\"suser\"", "sockets = [\"/var/run/x\"]", ""),
            ("\"suser\"", "", "users = [\"alice\"]"),
            ("\"suser\"", "", "groups = [\"staff\"]"),
        ] {
            let found = read_text(&text(user, allow, root, access)).unwrap_err();
            let words = found.to_string();
            assert!(
                words.contains("the service may be root only with"),
                "{words}"
            );
        }
        // Whoever connects can hand a directory of the host in.
        let frame = text(user, "\"suser\"", "", "");
        for (more, is_accepted) in [
            ("", true),
            ("mode = \"0600\"\nowner = \"root\"", true),
            ("mode = \"0755\"", true),
            ("mode = \"0660\"", false),
            ("mode = \"0602\"", false),
            ("owner = \"www\"", false),
        ] {
            let found = read_text(&format!("{frame}{}", local(more)));
            match found {
                Ok(_) => assert!(is_accepted, "{more}"),
                Err(found) => {
                    let words = found.to_string();
                    assert!(
                        !is_accepted && words.contains("with no [[listen]] socket that others may"),
                        "{more}: {words}"
                    );
                }
            }
        }
    }
    let open = local("mode = \"0666\"");
    assert!(read_text(&format!("{}{open}", text("www", "", "", ""))).is_ok());
    assert!(read_text(&text("www", "", "rw = [\"/var/db/x\"]", "")).is_ok());
}

#[test]
fn root_writes_only_directories_of_one_package_without_network_sockets_or_others() {
    let text = |root: &str, more: &str| {
        format!(
            "program = \"/bin/sh\"\nuser = \"root\"\n[root]\nclosure = \"off\"\nroot_writes = true\n{root}\n\
             [capsicum]\nmode = \"off\"\n[jail]\nallow = [\"suser\"]\n{more}\n"
        )
    };
    let own = "rw = [\"/var/db/x\", \"/usr/local/etc/x/sub\"]";
    assert!(read_text(&text(own, "")).is_ok());
    let places = "is no directory of one package's, below /usr/local/etc, /usr/local/libdata, \
                  /usr/local/share, /usr/local/www, /var/cache, /var/db, /var/log, /var/spool";
    let [rc, above] =
        ["/usr/local/etc/rc.d", "/var/db"].map(|path| format!("root_writes: {path:?} {places}"));
    let untrusted = "rw = [{ path = \"/var/db/x\", untrusted = true }]";
    let socket = "\n[[listen]]\nname = \"a\"\nproto = \"tcp\"\naddr = \"127.0.0.1:80\"";
    let no_network = "root_writes needs no network: ip4 and ip6 disabled, and no [[listen]]";
    let root_only = "the service may be root only with";
    for (root, more, words) in [
        ("rw = [\"/usr/local/etc/rc.d\"]", "", rc.as_str()),
        (
            "rw = [\"/usr/local/etc/libmap.d\"]",
            "",
            "root_writes: \"/usr/local/etc/libmap.d\" is no directory of one package's",
        ),
        ("rw = [\"/var/db\"]", "", above.as_str()),
        (
            untrusted,
            "",
            "root_writes: \"/var/db/x\" can be neither untrusted nor shared",
        ),
        (own, "ip4 = \"inherit\"", no_network),
        (own, "ip6.addr = [\"::1\"]", no_network),
        (own, socket, no_network),
        ("sockets = [\"syslog\"]", "", "root_writes needs no sockets"),
        (own, "[access]\nusers = [\"alice\"]", root_only),
    ] {
        let found = read_text(&text(root, more)).unwrap_err().to_string();
        assert!(found.contains(words), "{root} {more}: {found}");
    }
    let other = text(own, "").replace("user = \"root\"", "user = \"www\"");
    let found = read_text(&other).unwrap_err().to_string();
    let words = "root_writes needs user = \"root\": it means nothing for another";
    assert!(found.contains(words), "{found}");
}

#[test]
fn the_package_whose_directories_a_script_writes_is_named_by_the_profile_that_is_launched() {
    let read = |package: &str, more: &str, instance: Option<&str>| {
        let lower = format!(
            "program = \"/bin/sh\"\nuser = \"root\"\n[root]\nclosure = \"off\"\nroot_writes = true\n\
             package = \"{package}\"\n[capsicum]\nmode = \"off\"\n[jail]\nallow = [\"suser\"]\n"
        );
        let source = |name: &str, text: String| Source {
            name: format!("{name}.toml"),
            text,
        };
        let main = source("main", format!("include = [\"lower\"]\n[root]\n{more}\n"));
        let included = [("lower".to_owned(), source("lower", lower))];
        let read = Profile::from_sources(&main, &included, instance);
        let read = read.map_err(|errors| errors.to_string());
        read.map(|profile| profile.root.package.map(|package| package.name))
    };
    let named = |name: &str| Ok(Some(name.to_owned()));
    assert_eq!(read("%i", "", Some("web")), named("web"));
    assert_eq!(read("py311-%i", "", Some("web")), named("py311-web"));
    // What is included is for any package, and needs no instance where one is named.
    assert_eq!(read("%i", "package = \"gtk+3.0\"", None), named("gtk+3.0"));
    assert_eq!(read("%i", "package = \"\"", None), Ok(None));
    for (package, more, words) in [
        ("%i", "", "lower.toml:6:11: %i needs an instance (NAME@X)"),
        ("-a", "", "\"-a\" is not the name of a package"),
        ("web*", "", "\"web*\" is not the name of a package"),
        ("../web", "", "\"../web\" is not the name of a package"),
        (
            "x",
            "package = \"web 1\"",
            "main.toml:3:11: \"web 1\" is not the name of a package",
        ),
        (
            "x",
            "root_writes = false",
            "package needs root_writes = true",
        ),
    ] {
        let found = read(package, more, None).unwrap_err();
        assert!(found.contains(words), "{package} {more}: {found}");
    }
    let long = "x".repeat(129);
    let words = "is not the name of a package";
    assert!(read(&long, "", None).unwrap_err().contains(words));
    assert!(read(&long[1..], "", None).is_ok());
}
