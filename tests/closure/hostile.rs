//! Files that say anything: each gets one clear error, none costs much.

use super::*;

/// A program with a few bytes changed.
fn patched(elf: Elf<'_>, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = elf.bytes();
    for (at, patch) in patches {
        bytes[*at..*at + patch.len()].copy_from_slice(patch);
    }
    bytes
}

/// Where things are in a program of [`Elf::program`] with 64 bits: four program headers from 64 on.
const LOAD: usize = 64;
const INTERP: usize = 64 + 2 * 56;
const DYNAMIC: usize = 64 + 3 * 56;
/// In a program header.
const TYPE: usize = 0;
const OFFSET: usize = 8;
const ADDRESS: usize = 16;
const FILE_SIZE: usize = 32;

#[test]
fn each_hostile_file_gets_one_clear_error() {
    let program = || Elf::program(&["libc.so.7"]);
    let whole = program().bytes();
    let table = 64 + 4 * 56 + 24;
    assert_eq!(
        &whole[table..table + 8],
        &1u64.to_le_bytes(),
        "DT_NEEDED comes first"
    );
    let huge = u64::MAX.to_le_bytes();
    let long = "x".repeat(9000);
    let many: Vec<&str> = vec!["libc.so.7"; 600];
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "is neither a program nor a script"),
        (
            "text",
            b"hello".to_vec(),
            "is neither a program nor a script",
        ),
        ("magic only", whole[..4].to_vec(), "is cut short"),
        ("ident only", whole[..16].to_vec(), "is cut short"),
        (
            "no program headers",
            whole[..64].to_vec(),
            "has its program headers outside of the first page",
        ),
        (
            "cut in the strings",
            whole[..whole.len() - 4].to_vec(),
            "has a segment outside of the file",
        ),
        (
            "class 7",
            patched(program(), &[(4, &[7])]),
            "is an ELF file of a kind that this system doesn't run",
        ),
        (
            "big-endian",
            patched(program(), &[(5, &[2])]),
            "is an ELF file of a kind that this system doesn't run",
        ),
        (
            "a core dump",
            patched(program(), &[(16, &[4, 0])]),
            "is neither a program nor a library",
        ),
        (
            "Linux",
            patched(program(), &[(7, &[3])]),
            "is a program for Linux",
        ),
        (
            "another machine",
            patched(program(), &[(18, &[183, 0])]),
            "is a program for another machine",
        ),
        (
            "wide program headers",
            patched(program(), &[(54, &[57, 0])]),
            "has program headers of a wrong size",
        ),
        (
            "65535 program headers",
            patched(program(), &[(56, &[255, 255])]),
            "has its program headers outside of the first page",
        ),
        (
            "program headers far away",
            patched(program(), &[(32, &huge)]),
            "has its program headers outside of the first page",
        ),
        (
            "segment that wraps around",
            patched(program(), &[(LOAD + OFFSET, &huge)]),
            "has a segment outside of the file",
        ),
        (
            "endless segment",
            patched(program(), &[(LOAD + FILE_SIZE, &huge)]),
            "has a segment outside of the file",
        ),
        (
            "interpreter outside",
            patched(program(), &[(INTERP + OFFSET, &huge)]),
            "has no proper name of an interpreter",
        ),
        (
            "endless interpreter",
            patched(program(), &[(INTERP + FILE_SIZE, &huge)]),
            "has no proper name of an interpreter",
        ),
        (
            "unterminated interpreter",
            patched(program(), &[(INTERP + FILE_SIZE, &5u64.to_le_bytes())]),
            "has no proper name of an interpreter",
        ),
        (
            "two interpreters",
            patched(program(), &[(DYNAMIC + TYPE, &[3])]),
            "names two interpreters",
        ),
        (
            "two dynamic sections",
            patched(program(), &[(INTERP + TYPE, &[2])]),
            "has two dynamic sections",
        ),
        (
            "dynamic section at no address",
            patched(program(), &[(DYNAMIC + ADDRESS, &huge)]),
            "has its dynamic section in no segment",
        ),
        (
            "dynamic section cut",
            patched(program(), &[(DYNAMIC + FILE_SIZE, &16u64.to_le_bytes())]),
            "has a dynamic section without an end",
        ),
        (
            "name outside of the strings",
            patched(program(), &[(table + 8, &huge)]),
            "has a name outside of its string table",
        ),
        (
            "strings at no address",
            patched(program(), &[(table + 24, &huge)]),
            "has its strings in no segment",
        ),
        (
            "strings without an end",
            patched(program(), &[(table + 40, &2u64.to_le_bytes())]),
            "has a name without an end",
        ),
        (
            "a name with a newline",
            Elf::program(&["lib\nc.so"]).bytes(),
            "has a name that isn't text",
        ),
        (
            "a name of 9000 bytes",
            Elf::program(&[&long]).bytes(),
            "has a name without an end",
        ),
        (
            "600 libraries",
            Elf::program(&many).bytes(),
            "needs too many libraries",
        ),
        (
            "no linker of ours",
            Elf {
                interpreter: Some("/lib64/ld-linux-x86-64.so.2"),
                ..program()
            }
            .bytes(),
            "has \"/lib64/ld-linux-x86-64.so.2\" for its run-time linker",
        ),
        (
            "a library",
            Elf::library("l", &["libc.so.7"]).bytes(),
            "is a library, not a program",
        ),
        (
            "a relative name",
            Elf::program(&["lib/x.so"]).bytes(),
            "needs \"lib/x.so\", which isn't absolute",
        ),
        (
            "an absent path",
            Elf::program(&["/no/x.so"]).bytes(),
            "needs \"/no/x.so\", which is in none of /no",
        ),
        (
            "an endless first line",
            b"#!/bin/sh".to_vec(),
            "has a first line that doesn't end in its first page",
        ),
        (
            "no interpreter",
            b"#! \t\n".to_vec(),
            "has no proper interpreter in its first line",
        ),
        (
            "a relative interpreter",
            b"#!sh\n".to_vec(),
            "has an interpreter whose path isn't absolute",
        ),
        (
            "a first line of bytes",
            b"#!/bin/\xff\n".to_vec(),
            "has a first line that isn't text",
        ),
        (
            "env with an option",
            b"#!/usr/bin/env -P /x sh\n".to_vec(),
            "has a first line for env(1) that isn't understood: name its interpreter in programs",
        ),
        (
            "env with two words",
            b"#!/usr/bin/env sh -e\n".to_vec(),
            "has a first line for env(1) that isn't understood: name its interpreter in programs",
        ),
        (
            "env for nobody",
            b"#!/usr/bin/env nobody\n".to_vec(),
            "asks env for \"nobody\", which isn't in /sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
        ),
    ];
    for (what, bytes, words) in cases {
        let mut world = host();
        elf(&mut world, "/usr/bin/env", program());
        world.file("/bin/p", 0o755, 0, 0, &bytes);
        assert_eq!(
            refusal(&world, "/bin/p"),
            format!("/bin/p {words}"),
            "{what}"
        );
    }
}

#[test]
fn what_is_no_program_is_refused_before_it_is_read() {
    let mut world = host();
    world
        .dir("/bin/d", 0o755, 0, 0)
        .file("/bin/x", 0o644, 0, 0, b"");
    world.put(
        "/bin/fifo",
        jailrun::kernel::FileKind::Fifo,
        0o755,
        0,
        0,
        &[],
    );
    world
        .file("/tmp/p", 0o755, 0, 0, b"")
        .file("/bin/w", 0o775, 0, 0, b"");
    world
        .file("/bin/loop", 0o755, 0, 0, b"#!/bin/loop\n")
        .symlink("/bin/l", "/bin/l");
    for (program, words) in [
        ("/bin/none", "/bin/none: No such file or directory"),
        ("/bin/l", "/bin/l: No such file or directory"),
        ("/bin/d", "/bin/d is not a regular file"),
        ("/bin/fifo", "/bin/fifo is not a regular file"),
        ("/bin/x", "/bin/x is not executable"),
        ("/bin/w", "/bin/w is writable by others than root"),
        ("/tmp/p", "/tmp is writable by others than root"),
        (
            "/bin/loop",
            "/bin/loop is a script, and can't be the interpreter of one",
        ),
    ] {
        assert_eq!(refusal(&world, program), words);
    }
}

/// To open a device is an act, and whoever holds the other end of a fifo sees it.
#[test]
fn nothing_but_regular_files_is_ever_opened_for_reading() {
    use jailrun::kernel::{FileKind, Open};
    let mut world = host();
    let odd = [
        ("/bin/fifo", FileKind::Fifo),
        ("/bin/tape", FileKind::CharacterDevice),
        ("/bin/disk", FileKind::BlockDevice),
        ("/bin/socket", FileKind::Socket),
        ("/etc/libmap.conf", FileKind::Fifo),
    ];
    for (path, kind) in odd {
        world.put(path, kind, 0o755, 0, 0, b"null");
    }
    world.symlink("/bin/link", "tape");
    elf(&mut world, "/bin/p", Elf::program(&["libc.so.7"]));
    for program in [
        "/bin/fifo",
        "/bin/tape",
        "/bin/disk",
        "/bin/socket",
        "/bin/link",
        "/bin/p",
    ] {
        let wanted = wanted(&[program], &[]);
        let report = Sim::run(
            world.clone(),
            &Start::root(),
            Faults::none(),
            move |kernel| {
                let said = find(&mut Walker::new(kernel), &wanted)
                    .unwrap_err()
                    .to_string();
                assert!(said.ends_with(" is not a regular file"), "{said}");
                0
            },
        );
        assert_eq!(report.ending, Ending::Exited(0), "{program}");
        let read = format!("{:?}", Open::Read);
        let reads = report.calls.iter().filter(|call| call.name == "openat");
        let reads: Vec<&str> = reads
            .map(|call| call.detail.as_str())
            .filter(|detail| detail.contains(&read))
            .collect();
        // The dynamic program itself is read, and then its map isn't.
        assert!(
            reads
                .iter()
                .all(|detail| detail.contains("\"p\"") || detail.contains("ld-elf")),
            "{reads:?}"
        );
    }
}

#[test]
fn whoever_chose_the_command_learns_nothing_of_what_is_in_files() {
    let mut world = host();
    for bytes in [
        Elf::program(&["libsecret.so"]).bytes(),
        b"#!/usr/bin/secret\n".to_vec(),
        b"#!/bin/d\n".to_vec(),
        Elf {
            interpreter: Some("/secret"),
            ..Elf::program(&[])
        }
        .bytes(),
        Elf::program(&["/secret/x.so"]).bytes(),
        Elf {
            rpath: Some("/etc"),
            ..Elf::program(&["secret"])
        }
        .bytes(),
    ] {
        world
            .dir("/bin/d", 0o755, 0, 0)
            .file("/etc/secret", 0o666, 0, 0, b"");
        world.file("/bin/p", 0o711, 0, 0, &bytes);
        let refusal = ask(&world, &["/bin/p"], &[]).unwrap_err();
        assert_eq!(
            refusal.discreet(),
            "what the command needs can't be worked out",
            "{refusal}"
        );
    }
    let absent = ask(&world, &["/bin/none"], &[]).unwrap_err();
    assert_eq!(absent.discreet(), "/bin/none: No such file or directory");
}

#[test]
fn a_library_that_rtld_would_refuse_is_refused() {
    for (bytes, words) in [
        (
            Elf {
                is_32: true,
                ..Elf::default()
            }
            .bytes(),
            "/lib/libx.so.1 is a library for another machine",
        ),
        (
            Elf {
                flags_1: 0x0800_0000,
                ..Elf::default()
            }
            .bytes(),
            "/lib/libx.so.1 is a program, which can't be loaded as a library",
        ),
        (
            b"GROUP ( libx.so )".to_vec(),
            "/lib/libx.so.1 is not a library",
        ),
        (Vec::new(), "/lib/libx.so.1 is not a library"),
    ] {
        let mut world = host();
        elf(&mut world, "/bin/p", Elf::program(&["libx.so.1"]));
        world.file("/lib/libx.so.1", 0o444, 0, 0, &bytes);
        // rtld takes the first file of that name, whatever it is.
        library(&mut world, "/usr/lib/libx.so.1", &[]);
        assert_eq!(refusal(&world, "/bin/p"), words);
    }
}

#[test]
fn circles_end_and_bombs_are_bounded() {
    let mut world = host();
    library(&mut world, "/lib/liba.so.1", &["libb.so.1", "liba.so.1"]);
    library(&mut world, "/lib/libb.so.1", &["liba.so.1"]);
    elf(
        &mut world,
        "/bin/p",
        Elf {
            filters: &["liba.so.1"],
            auxiliaries: &["libb.so.1"],
            ..Elf::program(&["libb.so.1"])
        },
    );
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", "/lib/liba.so.1", "/lib/libb.so.1", LINKER]
    );

    // A chain of more libraries than any process has.
    elf(&mut world, "/bin/chain", Elf::program(&["lib0"]));
    for number in 0..1030 {
        let next = format!("lib{}", number + 1);
        library(&mut world, &format!("/lib/lib{number}"), &[&next]);
    }
    assert_eq!(
        refusal(&world, "/bin/chain"),
        "more than 1024 files are needed"
    );

    // Names that are nowhere, in very many directories: as filters they needn't be anywhere.
    let list: Vec<String> = (0..300).map(|number| format!("/r{number}")).collect();
    let list = list.join(":");
    let names: Vec<String> = (0..400).map(|number| format!("n{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    elf(
        &mut world,
        "/bin/many",
        Elf {
            runpath: Some(&list),
            auxiliaries: &names,
            ..Elf::program(&[])
        },
    );
    assert_eq!(
        refusal(&world, "/bin/many"),
        "more than 65536 files are looked for"
    );
}

#[test]
fn a_thousand_mutated_files_do_no_harm() {
    let seeds = [
        Elf::program(&["libc.so.7", "libsys.so.7"]).bytes(),
        Elf {
            rpath: Some("$ORIGIN/x:/lib"),
            runpath: Some("/r"),
            filters: &["libc.so.7"],
            auxiliaries: &["libsys.so.7"],
            ..Elf::program(&["libc.so.7"])
        }
        .bytes(),
        Elf {
            is_32: true,
            ..Elf::program(&["libc.so.7"])
        }
        .bytes(),
        b"#!/usr/bin/env -S a=b sh -e\n".to_vec(),
    ];
    // xorshift64: fixed seeds, so that a failure repeats.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for round in 0..1000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)],
            }
        }
        jailrun::sim::fuzz::elf(&bytes);
    }
}
