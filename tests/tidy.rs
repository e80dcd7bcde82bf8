//! Laws of the repository that would be forgotten if they were only written down.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn top() -> Option<PathBuf> {
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
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

#[test]
fn no_file_is_longer_than_six_hundred_lines_of_code_and_no_function_than_a_hundred() {
    let Some(top) = top() else { return };
    let mut found = Vec::new();
    for (name, text) in sources(&top.join("src")) {
        let text = code(&text);
        let is_table = name.ends_with("kernel/mod.rs") || name.ends_with("freebsd/mod.rs");
        if text.lines().count() > 600 && !is_table {
            found.push(format!("{name}: {} lines", text.lines().count()));
        }
        let mut begin = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_head =
                line.trim_start().starts_with("pub fn ") || line.trim_start().starts_with("fn ");
            if is_head && !line.ends_with(';') && !line.ends_with('}') {
                begin = Some((number, indent));
            }
            let Some((first, depth)) = begin else {
                continue;
            };
            if line.trim() == "}" && indent == depth {
                if number - first > 100 {
                    found.push(format!("{name}:{}: {} lines", first + 1, number - first));
                }
                begin = None;
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
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
            "K: Kernel",
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
    let tests = sources(&top.join("tests"));
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
    assert_eq!(names, ["clap", "elf", "libc", "nix", "toml"]);
}
