//! rtld's order, asked of rtld: files that say what they need, and hold no code, in directories of their
//! own. `ldd -a` runs none of them; it has rtld load them and print where they were.

use crate::closures::{by_rtld, closure};
use crate::fixture::{alone, sh};
use jailrun::closure::graph::How;
use jailrun::sim::image::Elf;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

const BASE: &str = "/usr/local/jrtest";

/// Puts a file below the base.
fn put(path: &str, elf: &Elf<'_>) {
    let path = format!("{BASE}/{path}");
    std::fs::create_dir_all(path.rsplit_once('/').unwrap().0).unwrap();
    std::fs::write(&path, elf.bytes()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The same library in several directories.
fn libraries(name: &str, directories: &[&str], elf: &Elf<'_>) {
    for directory in directories {
        put(&format!("{directory}/{name}"), elf);
    }
}

/// Compares, and gives the places below the base.
fn places(what: &str) -> Vec<String> {
    let program = format!("{BASE}/bin/p");
    let real = |path: &String| {
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        path.to_string_lossy().into_owned()
    };
    let said: BTreeSet<String> = by_rtld(&program).iter().map(real).collect();
    let found = closure(&program).unwrap_or_else(|words| panic!("{what}: {words}"));
    let edges = found.graph.edges().iter();
    let needed = edges.filter(|edge| matches!(edge.how, How::Needed(_)));
    let found: BTreeSet<String> = needed.map(|edge| edge.to.clone()).collect();
    assert_eq!(found, said, "{what}: here, and by rtld");
    let below = found
        .iter()
        .filter_map(|path| path.strip_prefix(&format!("{BASE}/")));
    below.map(str::to_string).collect()
}

fn under(list: &str) -> String {
    let directories: Vec<String> = list
        .split(' ')
        .map(|part| format!("{BASE}/{part}"))
        .collect();
    directories.join(":")
}

fn fresh() {
    sh(&format!("rm -rf {BASE}; mkdir -p {BASE}/bin"));
}

#[test]
fn paths_in_files_are_searched_as_rtld_does() {
    let _alone = alone();
    let (r, n, h) = (under("r"), under("n"), under("h"));
    let x = Elf::library("libjx.so.1", &[]);
    let needs: &[&str] = &["libjx.so.1"];
    let by_way: &[&str] = &["libja.so.1"];
    let origin = "$ORIGIN/../r:${ORIGIN}/../n".to_string();
    let tokens = format!("{BASE}/$OSNAME/$PLATFORM/$LIB:{r}");
    let odd = format!(":;{r}::{n}");
    let base = Elf::program(needs);
    let cases: Vec<(&str, Elf<'_>, &str)> = vec![
        (
            "rpath",
            Elf {
                rpath: Some(&r),
                ..base.clone()
            },
            "r/libjx.so.1",
        ),
        (
            "runpath",
            Elf {
                runpath: Some(&n),
                ..base.clone()
            },
            "n/libjx.so.1",
        ),
        (
            "both",
            Elf {
                rpath: Some(&r),
                runpath: Some(&n),
                ..base.clone()
            },
            "n/libjx.so.1",
        ),
        ("hints", base.clone(), "h/libjx.so.1"),
        (
            "nodeflib",
            Elf {
                flags_1: 0x800,
                ..base.clone()
            },
            "h/libjx.so.1",
        ),
        (
            "origin",
            Elf {
                rpath: Some(&origin),
                ..base.clone()
            },
            "r/libjx.so.1",
        ),
        (
            "tokens",
            Elf {
                runpath: Some(&tokens),
                ..base.clone()
            },
            "FreeBSD/amd64/lib/libjx.so.1",
        ),
        (
            "odd",
            Elf {
                rpath: Some(&odd),
                ..base.clone()
            },
            "r/libjx.so.1",
        ),
        (
            "inherited",
            Elf {
                rpath: Some(&r),
                ..Elf::program(by_way)
            },
            "r/libjx.so.1",
        ),
        (
            "not inherited",
            Elf {
                runpath: Some(&r),
                ..Elf::program(by_way)
            },
            "h/libjx.so.1",
        ),
    ];
    fresh();
    sh(&format!("mkdir -p {h}; ldconfig -m {h}"));
    for (what, program, place) in &cases {
        sh(&format!("rm -rf {BASE}/*/*"));
        put("bin/p", program);
        libraries("libjx.so.1", &["r", "n", "h", "FreeBSD/amd64/lib"], &x);
        libraries(
            "libja.so.1",
            &["r", "h"],
            &Elf::library("libja.so.1", needs),
        );
        assert!(places(what).contains(&(*place).to_string()), "{what}");
    }
    // A runpath of a library's own shuts the program's rpath out.
    sh(&format!("rm -rf {BASE}/*/*"));
    put(
        "bin/p",
        &Elf {
            rpath: Some(&r),
            ..Elf::program(by_way)
        },
    );
    let own = Elf {
        runpath: Some(&n),
        ..Elf::library("libja.so.1", needs)
    };
    put("r/libja.so.1", &own);
    libraries("libjx.so.1", &["r", "n"], &x);
    assert_eq!(places("own runpath"), ["n/libjx.so.1", "r/libja.so.1"]);
    fresh();
    sh(&format!(
        "rm -rf {BASE}; service ldconfig start > /dev/null 2>&1 || true"
    ));
}

#[test]
fn names_sonames_and_links_are_known_as_rtld_knows_them() {
    let _alone = alone();
    let r = under("r");
    fresh();
    put(
        "bin/p",
        &Elf {
            rpath: Some(&r),
            ..Elf::program(&["libjx.so", "libjz.so.1", "libjx.so.1", "libjy.so"])
        },
    );
    put("r/libjx.so", &Elf::library("libjx.so.1", &[]));
    put("r/libjx.so.1", &Elf::library("libjx.so.1", &["libjw.so.1"]));
    put("r/libjw.so.1", &Elf::library("libjw.so.1", &[]));
    // Needs by a path, and by a name that a link has.
    let absolute = format!("{BASE}/other/libjq.so");
    put(
        "r/libjz.so.1",
        &Elf::library("libjz.so.1", &[&absolute, "libjx.so.1"]),
    );
    put("other/libjq.so", &Elf::library("libjq.so", &["libjy.so"]));
    put("real/liby", &Elf::library("liby", &[]));
    sh(&format!("ln -s ../real/liby {BASE}/r/libjy.so"));
    assert_eq!(
        places("names"),
        ["other/libjq.so", "r/libjx.so", "r/libjz.so.1", "real/liby"]
    );
    sh(&format!("rm -rf {BASE}"));
}

#[test]
fn libmap_conf_means_what_it_means_to_rtld() {
    let _alone = alone();
    let (r, n) = (under("r"), under("n"));
    fresh();
    put(
        "bin/p",
        &Elf {
            rpath: Some(&r),
            ..Elf::program(&["libjx.so.1", "libja.so.1"])
        },
    );
    libraries("libjx.so.1", &["r", "n"], &Elf::library("libjx.so.1", &[]));
    libraries("libjy.so.1", &["r", "n"], &Elf::library("libjy.so.1", &[]));
    libraries(
        "libja.so.1",
        &["r", "n"],
        &Elf::library("libja.so.1", &["libjx.so.1"]),
    );
    let kept = "/etc/libmap.conf.jrtest";
    sh(&format!("cp -p /etc/libmap.conf {kept}"));
    for (text, expected) in [
        (
            "libjx.so.1 libjy.so.1",
            &["r/libja.so.1", "r/libjy.so.1"][..],
        ),
        (
            "[p]\nlibjx.so.1 libjy.so.1",
            &["r/libja.so.1", "r/libjy.so.1"],
        ),
        (
            "[libja.so.1]\nlibjx.so.1 libjy.so.1",
            &["r/libja.so.1", "r/libjx.so.1"],
        ),
        (
            "[other]\nlibjx.so.1 libjy.so.1",
            &["r/libja.so.1", "r/libjx.so.1"],
        ),
        (
            "[@BASE/bin/]\nlibjx.so.1 libjy.so.1 # so",
            &["r/libja.so.1", "r/libjy.so.1"],
        ),
        (
            "[@BASE/bin/p]\nlibjx.so.1 @BASE/n/libjy.so.1",
            &["n/libjy.so.1", "r/libja.so.1"],
        ),
        ("@BASE/r @BASE/n", &["n/libja.so.1", "n/libjx.so.1"]),
        (
            "include @BASE/more\nlibjx.so.1 libjx.so.1",
            &["r/libja.so.1", "r/libjx.so.1"],
        ),
        (
            "libjx.so.1 libjx.so.1\nincludedir @BASE/d",
            &["r/libja.so.1", "r/libjy.so.1"],
        ),
    ] {
        let text = text.replace("@BASE", BASE);
        std::fs::create_dir_all(format!("{BASE}/d")).unwrap();
        for more in ["more", "d/x.conf"] {
            std::fs::write(format!("{BASE}/{more}"), "libjx.so.1 libjy.so.1\n").unwrap();
        }
        std::fs::write("/etc/libmap.conf", format!("{text}\n")).unwrap();
        assert_eq!(places(&text), expected, "{text}");
    }
    sh(&format!("mv {kept} /etc/libmap.conf; rm -rf {BASE} {n}"));
}
