//! Laws of the repository that would be forgotten if they were only written down.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// The checkout: where cargo, or the runner on another host, says that it is.
fn top() -> Option<PathBuf> {
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    let top = there.map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    if top.join("src").exists() {
        return Some(top);
    }
    println!("SKIP tidy: the checkout isn't on this host");
    None
}

fn sources(below: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(below.parent().unwrap()).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                found.push((name.display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

/// Before its own tests begin.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

const MOST_LINES: usize = 500;
const MOST_LINES_OF_A_FUNCTION: usize = 70;

/// What is longer, with the most that it may have. It leaves this list when it is short enough.
const LONGER: [(&str, usize); 6] = [
    // Tables: a line or two for each system call, so that these grow with the calls.
    ("src/kernel/mod.rs", 800),
    ("src/kernel/freebsd/mod.rs", 620),
    // These may get shorter only.
    ("src/sim/lookup.rs::lookup", 77),
    ("src/sim/jails.rs::jail_create", 74),
    ("src/sim/host.rs::freebsd", 80),
    ("src/sim/mod.rs::blocking", 92),
];

/// Functions with a body, by name, with the lines from their head to their end.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let head = line.trim_start();
        let indent = &line[..line.len() - head.len()];
        let words = head.split("fn ").next().unwrap_or_default();
        let is_head = head.contains("fn ")
            && words.split_whitespace().all(|word| {
                ["pub", "const", "unsafe", "extern", "\"C\""].contains(&word)
                    || word.starts_with("pub(")
            });
        if !is_head {
            continue;
        }
        // A head without a body ends in a semicolon, at the head's own depth.
        let end = lines[first..].iter().position(|line| {
            let is_as_deep = line.starts_with(indent) && !line[indent.len()..].starts_with(' ');
            is_as_deep && (line.ends_with('}') || line.ends_with(';'))
        });
        let name = head.split("fn ").nth(1).unwrap_or_default();
        let name = name.split(['(', '<']).next().unwrap_or_default();
        found.push((name.to_string(), end.unwrap_or(0) + 1));
    }
    found
}

#[test]
fn files_have_500_lines_at_most_and_functions_70() {
    let Some(top) = top() else { return };
    let (mut wrong, mut seen) = (Vec::new(), Vec::new());
    let shim = sources(&top.join("shim/src"));
    let shim = shim
        .into_iter()
        .map(|(name, text)| (format!("shim/{name}"), text));
    for (name, text) in sources(&top.join("src")).into_iter().chain(shim) {
        let whole = (name.clone(), text.lines().count(), MOST_LINES);
        let parts = functions(&text).into_iter().map(|(function, lines)| {
            (
                format!("{name}::{function}"),
                lines,
                MOST_LINES_OF_A_FUNCTION,
            )
        });
        for (what, lines, most) in std::iter::once(whole).chain(parts) {
            let known = LONGER.iter().find(|(longer, _)| *longer == what);
            if lines > most {
                seen.push(what.clone());
            }
            if lines > known.map_or(most, |(_, most)| *most) {
                wrong.push(format!("{what}: {lines} lines"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (longer, _) in LONGER {
        assert!(
            seen.iter().any(|what| what == longer),
            "{longer} is short enough: strike it off"
        );
    }
}

#[test]
fn the_length_of_a_function_is_seen() {
    let text = "impl X {\n    pub fn a(\n        b: u8,\n    ) -> u8 {\n        b\n    }\n    fn c();\n}\nfn d() {}\n";
    let expected = [("a", 5), ("c", 1), ("d", 1)].map(|(name, lines)| (name.to_string(), lines));
    assert_eq!(functions(text), expected);
}

#[test]
fn unsafe_stands_only_in_the_kernel_module() {
    let Some(top) = top() else { return };
    let mut seen = 0;
    for (name, text) in sources(&top.join("src")) {
        let uses = text.lines().any(|line| {
            let line = line.trim_start();
            !line.starts_with("//") && (line.contains("unsafe {") || line.contains("unsafe extern"))
        });
        seen += u32::from(uses);
        assert!(!uses || name.starts_with("src/kernel/freebsd/"), "{name}");
    }
    assert!(seen > 3, "this sees nothing");
}

#[test]
fn what_is_pure_names_no_kernel_and_no_system() {
    let Some(top) = top() else { return };
    const PURE: [&str; 4] = ["src/profile/", "src/plan/", "src/permit.rs", "src/exit.rs"];
    for (name, text) in sources(&top.join("src")) {
        if !PURE.iter().any(|place| name.starts_with(place)) {
            continue;
        }
        for word in [
            "std::fs",
            "std::env",
            "std::process",
            "std::thread",
            "std::net::Tcp",
            "std::net::Udp",
            "K: Kernel",
            "dyn Kernel",
            "kernel::Kernel",
        ] {
            assert!(!code(&text).contains(word), "{name}: {word}");
        }
    }
}

#[test]
fn nothing_is_left_to_do_and_no_line_is_wider_than_a_hundred_and_thirty() {
    let Some(top) = top() else { return };
    for (name, text) in sources(&top.join("src"))
        .into_iter()
        .chain(sources(&top.join("tests")))
    {
        if name.ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            for word in [
                "TODO",
                "FIXME",
                "XXX",
                "todo!",
                "unimplemented!",
                "#[ignore]",
            ] {
                assert!(!line.contains(word), "{name}:{}: {word}", number + 1);
            }
            let is_prose = line.contains('"') || name.starts_with("tests");
            assert!(
                line.chars().count() <= 130 || is_prose,
                "{name}:{}: too wide",
                number + 1
            );
        }
    }
}

#[test]
fn every_attack_of_the_table_has_its_test() {
    let Some(top) = top() else { return };
    let mut tests = sources(&top.join("tests"));
    tests.extend(sources(&top.join("shim/tests")));
    let table = fs::read_to_string(top.join("tests/ATTACKS.md")).unwrap();
    let mut rows = 0;
    for row in table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("::"))
    {
        let test = row.rsplit('`').nth(1).unwrap();
        let (place, name) = test.split_once("::").unwrap();
        let there = tests.iter().any(|(file, text)| {
            let name = name.rsplit("::").next().unwrap();
            file.starts_with(&format!("tests/{place}")) && text.contains(&format!("fn {name}()"))
        });
        assert!(there, "{test}");
        rows += 1;
    }
    assert!(rows > 25, "only {rows} rows");
}

/// In Cargo.lock, ours aside.
const MOST_CRATES: usize = 26;

/// Inside the set-user-ID path each is attack surface; a new one is argued for in its commit.
#[test]
fn the_crates_are_the_ones_that_were_argued_for() {
    let Some(top) = top() else { return };
    let manifest = fs::read_to_string(top.join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]\n").nth(1).unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .collect();
    assert_eq!(
        names,
        ["clap", "clap_complete", "elf", "libc", "nix", "toml"]
    );
    // And all that they bring along, for every system together.
    let lock = fs::read_to_string(top.join("Cargo.lock")).unwrap();
    let others = lock.matches("\nsource = ").count();
    assert!(others <= MOST_CRATES, "{others} crates");
}

#[test]
fn what_needs_a_freebsd_host_is_sent_there() {
    let Some(top) = top() else { return };
    let makefile = fs::read_to_string(top.join("Makefile")).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(top.join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // It takes two runs with a reboot between them.
        if name.starts_with("real") && name != "real_reboot" {
            seen += 1;
            assert!(makefile.contains(&format!("--test {name} ")), "{name}");
        }
    }
    assert!(seen > 4, "{seen}");
}
