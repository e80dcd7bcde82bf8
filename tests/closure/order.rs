//! What rtld(1) loads, in its own order, and nothing else.

use super::*;

#[test]
fn a_program_gets_its_linker_and_what_is_needed_in_turn_and_nothing_else() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/p",
        Elf::program(&["libx.so.1", "libc.so.7"]),
    );
    library(
        &mut world,
        "/usr/lib/libx.so.1",
        &["liby.so.1", "libc.so.7"],
    );
    library(&mut world, "/lib/liby.so.1", &["libx.so.1"]);
    library(&mut world, "/lib/libz.so.1", &[]);

    let closure = ask(&world, &["/bin/p"], &[]).unwrap();

    assert_eq!(
        shown(&closure),
        [
            "/bin/p",
            "/lib/libc.so.7",
            "/lib/libsys.so.7",
            "/lib/liby.so.1",
            LINKER,
            "/usr/lib/libx.so.1"
        ]
    );
    let reasons = closure.graph.reasons();
    let chain: Vec<String> = reasons["/lib/liby.so.1"]
        .iter()
        .map(|edge| edge.words())
        .collect();
    assert_eq!(chain, ["needed by libx.so.1", "needed by p", "a program"]);
    assert_eq!(closure.linkers.len(), 1);
}

#[test]
fn a_static_program_needs_only_itself() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/static",
        Elf {
            is_static: true,
            ..Elf::default()
        },
    );
    elf(&mut world, "/bin/static-pie", Elf::default());
    assert_eq!(files(&world, "/bin/static"), ["/bin/static"]);
    assert_eq!(files(&world, "/bin/static-pie"), ["/bin/static-pie"]);
    // rtld itself, run as a program.
    assert_eq!(files(&world, LINKER), [LINKER]);
}

/// Where `libx.so.1` is found by /bin/p when it is everywhere that comes later, too.
fn chosen(program: Elf<'_>, asks: &str, hint: &[&str], places: &[&str]) -> String {
    let mut world = host();
    elf(&mut world, "/bin/p", program);
    if asks == "liba.so.1" {
        elf(
            &mut world,
            "/lib/liba.so.1",
            Elf {
                runpath: None,
                ..Elf::library("liba.so.1", &["libx.so.1"])
            },
        );
    }
    hints(&mut world, hint);
    for place in places {
        library(&mut world, &format!("{place}/libx.so.1"), &[]);
    }
    let files = files(&world, "/bin/p");
    let found: Vec<&String> = files
        .iter()
        .filter(|file| file.ends_with("libx.so.1"))
        .collect();
    assert_eq!(found.len(), 1);
    found[0].trim_end_matches("/libx.so.1").to_string()
}

#[test]
fn directories_are_searched_in_rtlds_order() {
    let all = ["/r", "/n", "/h", "/lib", "/usr/lib"];
    let needs: &[&str] = &["libx.so.1"];
    let by_way: &[&str] = &["liba.so.1"];
    let rpath = Elf {
        rpath: Some("/r"),
        ..Elf::program(needs)
    };
    let runpath = Elf {
        runpath: Some("/n"),
        ..Elf::program(needs)
    };
    let both = Elf {
        rpath: Some("/r"),
        ..runpath.clone()
    };
    let nodeflib = Elf {
        flags_1: 0x800,
        ..Elf::program(needs)
    };
    let h: &[&str] = &["/h"];
    for (what, program, asks, hint, places, wanted) in [
        ("rpath first", rpath.clone(), "libx.so.1", h, &all[..], "/r"),
        (
            "rpath is dead beside a runpath",
            both,
            "libx.so.1",
            h,
            &all[..],
            "/n",
        ),
        ("runpath", runpath.clone(), "libx.so.1", h, &all[..], "/n"),
        (
            "hints before the standard",
            Elf::program(needs),
            "libx.so.1",
            h,
            &all[..],
            "/h",
        ),
        (
            "/lib before /usr/lib",
            Elf::program(needs),
            "libx.so.1",
            &[],
            &all[..],
            "/lib",
        ),
        (
            "/usr/lib last",
            Elf::program(needs),
            "libx.so.1",
            &[],
            &all[4..],
            "/usr/lib",
        ),
        (
            "empty parts count for nothing",
            Elf {
                rpath: Some(":;r:/r"),
                ..Elf::program(needs)
            },
            "libx.so.1",
            h,
            &all[..],
            "/r",
        ),
        // The program's rpath serves its libraries; its runpath doesn't.
        (
            "rpath is inherited",
            Elf {
                rpath: Some("/r"),
                ..Elf::program(by_way)
            },
            "liba.so.1",
            h,
            &all[..],
            "/r",
        ),
        (
            "runpath is not",
            Elf {
                runpath: Some("/n"),
                ..Elf::program(by_way)
            },
            "liba.so.1",
            h,
            &all[..],
            "/h",
        ),
        // -z nodefaultlib: hints, without the standard directories in them.
        (
            "nodeflib",
            nodeflib.clone(),
            "libx.so.1",
            &["/lib", "/usr/lib", "/h"],
            &all[2..],
            "/h",
        ),
    ] {
        assert_eq!(chosen(program, asks, hint, places), wanted, "{what}");
    }
}

#[test]
fn a_librarys_own_paths_are_its_own() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/p",
        Elf {
            rpath: Some("/r"),
            ..Elf::program(&["liba.so.1", "libb.so.1"])
        },
    );
    elf(
        &mut world,
        "/r/liba.so.1",
        Elf {
            runpath: Some("/n"),
            ..Elf::library("liba.so.1", &["libx.so.1"])
        },
    );
    library(&mut world, "/r/libb.so.1", &["liby.so.1"]);
    for place in ["/r", "/n"] {
        library(&mut world, &format!("{place}/libx.so.1"), &[]);
    }
    library(&mut world, "/n/liby.so.1", &[]);
    // A runpath shuts the program's rpath out, and serves nobody else.
    let refused = refusal(&world, "/bin/p");
    assert_eq!(
        refused,
        "/r/libb.so.1 needs \"liby.so.1\", which is in none of /r /lib /usr/lib"
    );
    library(&mut world, "/r/liby.so.1", &[]);
    let files = files(&world, "/bin/p");
    assert!(
        files.contains(&"/n/libx.so.1".to_string()) && !files.contains(&"/r/libx.so.1".to_string())
    );
}

#[test]
fn nodeflib_never_looks_in_standard_directories() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/p",
        Elf {
            flags_1: 0x800,
            ..Elf::program(&["libx.so.1"])
        },
    );
    hints(&mut world, &["/lib", "/usr/lib", "/h"]);
    library(&mut world, "/lib/libx.so.1", &[]);
    assert_eq!(
        refusal(&world, "/bin/p"),
        "/bin/p needs \"libx.so.1\", which is in none of /h"
    );
}

#[test]
fn tokens_stand_for_what_rtld_puts_in() {
    for (list, place) in [
        ("$ORIGIN/../l", "/usr/local/l"),
        ("${ORIGIN}/l", "/usr/local/real/l"),
        ("/x/$OSNAME-${OSREL}", "/x/FreeBSD-15.1-RELEASE"),
        ("/x/$PLATFORM/$LIB", "/x/amd64/lib"),
    ] {
        let mut world = host();
        elf(
            &mut world,
            "/usr/local/real/p",
            Elf {
                runpath: Some(list),
                ..Elf::program(&["libx.so.1"])
            },
        );
        // The origin is where the program really is.
        world.symlink("/usr/local/bin/p", "../real/p");
        library(&mut world, &format!("{place}/libx.so.1"), &[]);
        let wanted = format!("{place}/libx.so.1");
        assert!(
            files(&world, "/usr/local/bin/p").contains(&wanted),
            "{list}"
        );
    }
}

#[test]
fn a_library_is_known_by_what_it_was_asked_for_by_its_soname_and_by_its_inode() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/p",
        Elf {
            rpath: Some("/r"),
            ..Elf::program(&["libx.so", "liby.so.1", "libx.so.1"])
        },
    );
    // Its soname is another name: who asks for that gets the one that is loaded, not /lib's.
    elf(&mut world, "/r/libx.so", Elf::library("libx.so.1", &[]));
    library(&mut world, "/lib/libx.so.1", &[]);
    // The same file under a third name, by a link: the link must be there, and no second file.
    world.symlink("/r/liby.so.1", "libx.so");
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", LINKER, "/r/libx.so", "/r/liby.so.1 -> libx.so"]
    );
}

#[test]
fn links_stay_links_each_of_a_chain() {
    let mut world = host();
    world
        .dir("/data/lib", 0o755, 0, 0)
        .dir("/data/bin", 0o755, 0, 0);
    elf(&mut world, "/data/bin/p-2", Elf::program(&["libx.so"]));
    world
        .symlink("/data/bin/p", "p-2")
        .symlink("/usr/local/bin/p", "/data/bin/p");
    library(&mut world, "/data/lib/libx.so.1.2", &[]);
    world.remove("/usr/local/lib");
    world.symlink("/usr/local/lib", "../../data/lib");
    world
        .symlink("/data/lib/libx.so", "libx.so.1")
        .symlink("/data/lib/libx.so.1", "./libx.so.1.2");
    hints(&mut world, &["/usr/local/lib"]);
    assert_eq!(
        files(&world, "/usr/local/bin/p"),
        [
            "/data/bin/p-2",
            "/data/lib/libx.so.1.2",
            LINKER,
            "/data/bin/p -> p-2",
            "/data/lib/libx.so -> libx.so.1",
            "/data/lib/libx.so.1 -> ./libx.so.1.2",
            "/usr/local/bin/p -> /data/bin/p",
            "/usr/local/lib -> ../../data/lib",
        ]
    );
}

#[test]
fn filters_bring_in_what_they_refer_to_if_it_is_there() {
    let mut world = host();
    elf(&mut world, "/bin/p", Elf::program(&["libf.so.1"]));
    elf(
        &mut world,
        "/lib/libf.so.1",
        Elf {
            filters: &["libg.so.1"],
            auxiliaries: &["libh.so.1", "libi.so.1"],
            ..Elf::library("libf.so.1", &[])
        },
    );
    library(&mut world, "/lib/libg.so.1", &["libc.so.7"]);
    // What a filtee needs is missing: rtld does without the filtee, and so do we.
    library(&mut world, "/lib/libi.so.1", &["libj.so.1", "libnone.so.1"]);
    library(&mut world, "/lib/libj.so.1", &[]);
    assert_eq!(
        files(&world, "/bin/p"),
        [
            "/bin/p",
            "/lib/libc.so.7",
            "/lib/libf.so.1",
            "/lib/libg.so.1",
            "/lib/libsys.so.7",
            LINKER
        ]
    );
}

#[test]
fn libmap_conf_counts_with_its_includes_and_selectors() {
    let mut world = host();
    elf(&mut world, "/bin/p", Elf::program(&["libx.so.1"]));
    elf(&mut world, "/bin/q", Elf::program(&["libx.so.1"]));
    for name in ["x", "y", "z"] {
        library(&mut world, &format!("/lib/lib{name}.so.1"), &[]);
    }
    library(&mut world, "/opt/libx.so.1", &[]);
    world.dir("/usr/local/etc/libmap.d", 0o755, 0, 0);
    let text = "includedir /usr/local/etc/libmap.d\ninclude /etc/more\ninclude /etc/absent\n";
    world.file("/etc/libmap.conf", 0o644, 0, 0, text.as_bytes());
    world.file(
        "/etc/more",
        0o644,
        0,
        0,
        b"include /etc/libmap.conf\n[q]\nlibx.so.1 libz.so.1\n",
    );
    world.file(
        "/usr/local/etc/libmap.d/a.conf",
        0o644,
        0,
        0,
        b"libx.so.1 liby.so.1\n",
    );
    world.file(
        "/usr/local/etc/libmap.d/b",
        0o644,
        0,
        0,
        b"libx.so.1 libnone.so.1\n",
    );
    // rtld passes links by.
    world.symlink("/usr/local/etc/libmap.d/c.conf", "b");
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", "/lib/liby.so.1", LINKER]
    );
    assert_eq!(
        files(&world, "/bin/q"),
        ["/bin/q", "/lib/libz.so.1", LINKER]
    );
    let closure = ask(&world, &["/bin/p"], &[]).unwrap();
    assert_eq!(
        closure.linkers[0].libmap.flattened(),
        "[$DEFAULT$]\nlibx.so.1 liby.so.1\n[q]\nlibx.so.1 libz.so.1\n"
    );
    // Directories are mapped too.
    world.file("/etc/libmap.conf", 0o644, 0, 0, b"/lib /opt\n");
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", LINKER, "/opt/libx.so.1"]
    );
    // And to paths.
    world.file(
        "/etc/libmap.conf",
        0o644,
        0,
        0,
        b"libx.so.1 /opt/libx.so.1\n",
    );
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", LINKER, "/opt/libx.so.1"]
    );
}
