//! Programs of all kinds, and what they open later.

use super::*;

#[test]
fn a_32_bit_program_has_a_linker_and_directories_of_its_own() {
    let mut world = host();
    let narrow = |elf: Elf<'static>| Elf { is_32: true, ..elf };
    elf(
        &mut world,
        "/bin/p",
        narrow(Elf {
            runpath: Some("/x/$LIB"),
            ..Elf::program(&["libx.so.1", "liby.so.1", "libz.so.1"])
        }),
    );
    elf(&mut world, "/libexec/ld-elf32.so.1", narrow(Elf::default()));
    elf(&mut world, "/usr/lib32/libx.so.1", narrow(Elf::default()));
    elf(&mut world, "/x/lib32/liby.so.1", narrow(Elf::default()));
    elf(&mut world, "/h/libz.so.1", narrow(Elf::default()));
    let file = jailrun::closure::hints::build(&["/h".to_string()]);
    world.file("/var/run/ld-elf32.so.hints", 0o444, 0, 0, &file);
    library(&mut world, "/lib/libx.so.1", &[]);
    assert_eq!(
        files(&world, "/bin/p"),
        [
            "/bin/p",
            "/h/libz.so.1",
            "/libexec/ld-elf32.so.1",
            "/usr/lib32/libx.so.1",
            "/x/lib32/liby.so.1"
        ]
    );
}

#[test]
fn a_script_brings_its_interpreter_and_env_what_it_is_asked_for() {
    let mut world = host();
    elf(&mut world, "/bin/sh", Elf::program(&["libc.so.7"]));
    elf(&mut world, "/usr/bin/env", Elf::program(&["libc.so.7"]));
    elf(
        &mut world,
        "/usr/local/bin/python",
        Elf::program(&["libc.so.7", "libm.so.5"]),
    );
    library(&mut world, "/lib/libm.so.5", &[]);
    let base = |more: &[&'static str]| {
        let mut all = vec![
            "/lib/libc.so.7",
            "/lib/libsys.so.7",
            LINKER,
            "/usr/local/bin/s",
        ];
        all.extend(more);
        all.sort_unstable();
        all
    };
    for (line, more) in [
        ("#!/bin/sh\n", &["/bin/sh"][..]),
        ("#! \t/bin/sh -e  \nexit", &["/bin/sh"]),
        (
            "#!/usr/bin/env python\n",
            &["/usr/bin/env", "/usr/local/bin/python", "/lib/libm.so.5"],
        ),
        (
            "#!/usr/bin/env -S A=b python -u\n",
            &["/usr/bin/env", "/usr/local/bin/python", "/lib/libm.so.5"],
        ),
        ("#!/usr/bin/env /bin/sh\n", &["/usr/bin/env", "/bin/sh"]),
    ] {
        world.file("/usr/local/bin/s", 0o755, 0, 0, line.as_bytes());
        assert_eq!(files(&world, "/usr/local/bin/s"), base(more), "{line}");
    }
}

#[test]
fn several_programs_are_each_searched_for_by_themselves() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/p",
        Elf {
            rpath: Some("/r"),
            ..Elf::program(&["libx.so.1"])
        },
    );
    elf(&mut world, "/bin/q", Elf::program(&["libx.so.1"]));
    library(&mut world, "/r/libx.so.1", &[]);
    library(&mut world, "/lib/libx.so.1", &[]);
    let closure = ask(&world, &["/bin/p", "/bin/q", "/bin/p"], &[]).unwrap();
    assert_eq!(
        shown(&closure),
        ["/bin/p", "/bin/q", "/lib/libx.so.1", LINKER, "/r/libx.so.1"]
    );
}

#[test]
fn patterns_bring_in_libraries_that_are_opened_later() {
    let mut world = host();
    elf(
        &mut world,
        "/bin/p",
        Elf {
            rpath: Some("/r"),
            ..Elf::program(&["libc.so.7"])
        },
    );
    library(&mut world, "/usr/lib/nss_a.so.1", &["libx.so.1"]);
    library(&mut world, "/usr/lib/nss_b.so.2", &["libc.so.7"]);
    library(&mut world, "/usr/lib/other.so.1", &[]);
    // dlopen(3) searches the program's rpath too.
    library(&mut world, "/r/libx.so.1", &[]);
    library(&mut world, "/lib/libx.so.1", &[]);
    let closure = ask(
        &world,
        &["/bin/p"],
        &["/usr/lib/nss_*.so*", "/lib/none_*.so"],
    )
    .unwrap();
    assert_eq!(
        shown(&closure),
        [
            "/bin/p",
            "/lib/libc.so.7",
            "/lib/libsys.so.7",
            LINKER,
            "/r/libx.so.1",
            "/usr/lib/nss_a.so.1",
            "/usr/lib/nss_b.so.2"
        ]
    );
    let why = |file: &str| {
        closure.graph.reasons()[file]
            .iter()
            .map(|edge| edge.words())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        why("/r/libx.so.1"),
        [
            "needed by nss_a.so.1",
            "matches /usr/lib/nss_*.so* in libraries"
        ]
    );
    world.file("/usr/lib/nss_c.so", 0o644, 0, 0, b"GROUP ( libc.so )");
    elf(
        &mut world,
        "/bin/static",
        Elf {
            is_static: true,
            ..Elf::default()
        },
    );
    for (program, pattern, wanted) in [
        (
            "/bin/p",
            "/usr/lib/none.so",
            "/usr/lib/none.so: No such file or directory",
        ),
        (
            "/bin/p",
            "/usr/lib/nss_*",
            "/usr/lib/nss_c.so is not a library: narrow /usr/lib/nss_* in libraries",
        ),
        (
            "/bin/p",
            "/usr/lib/nss_c.so",
            "/usr/lib/nss_c.so is not a library",
        ),
        (
            "/bin/static",
            "/usr/lib/nss_a.so.1",
            "/usr/lib/nss_a.so.1 is in libraries, and no program here can open it",
        ),
    ] {
        assert_eq!(
            ask(&world, &[program], &[pattern]).unwrap_err().to_string(),
            wanted
        );
    }
}
