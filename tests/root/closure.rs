//! What programs need, in the root.

use super::*;
use jailrun::closure::hints;
use jailrun::sim::image::Elf;

const PROGRAM: &str = "program = \"/usr/local/bin/program\"\nuser = \"www\"\n";

/// /usr/local/lib is in the hints, and holds a library that the program needs.
fn local() -> World {
    let mut world = World::freebsd();
    let program = Elf::program(&["libx.so.1", "libc.so.7"]).bytes();
    world.file("/usr/local/bin/program", 0o555, 0, 0, &program);
    let library = Elf::library("libx.so.1", &["libc.so.7"]).bytes();
    world.file("/usr/local/lib/libx.so.1", 0o444, 0, 0, &library);
    let directories = ["/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib/perl5"];
    let file = hints::build(&directories.map(str::to_string));
    world.file("/var/run/ld-elf.so.hints", 0o444, 0, 0, &file);
    world
}

#[test]
fn each_file_of_the_closure_is_a_read_only_mount_and_nothing_else_is_there() {
    let world = World::freebsd();
    assert_eq!(
        steps(&world, PROGRAM),
        [
            "make the directory /lib (mode 0755)",
            "make the mount point /lib/libc.so.7",
            "mount /lib/libc.so.7 at /lib/libc.so.7 (nullfs, read-only, nosuid)",
            "make the mount point /lib/libsys.so.7",
            "mount /lib/libsys.so.7 at /lib/libsys.so.7 (nullfs, read-only, nosuid)",
            "make the directory /libexec (mode 0755)",
            "make the mount point /libexec/ld-elf.so.1",
            "mount /libexec/ld-elf.so.1 at /libexec/ld-elf.so.1 (nullfs, read-only, nosuid)",
            "make the directory /usr (mode 0755)",
            "make the directory /usr/local (mode 0755)",
            "make the directory /usr/local/bin (mode 0755)",
            "make the mount point /usr/local/bin/program",
            "mount /usr/local/bin/program at /usr/local/bin/program (nullfs, read-only, nosuid)",
        ]
    );
}

#[test]
fn what_is_in_a_granted_directory_is_not_mounted_again() {
    let world = World::freebsd();
    let lines =
        format!("{PROGRAM}[root]\nro = [\"/lib\", \"/libexec/ld-elf.so.1\", \"/usr/local\"]");
    assert_eq!(
        steps(&world, &lines),
        [
            "make the directory /lib (mode 0755)",
            "mount /lib at /lib (nullfs, read-only, nosuid)",
            "make the directory /libexec (mode 0755)",
            "make the mount point /libexec/ld-elf.so.1",
            "mount /libexec/ld-elf.so.1 at /libexec/ld-elf.so.1 (nullfs, read-only, nosuid)",
            "make the directory /usr (mode 0755)",
            "make the directory /usr/local (mode 0755)",
            "mount /usr/local at /usr/local (nullfs, read-only, nosuid)",
        ]
    );
}

#[test]
fn libraries_elsewhere_bring_a_hints_file_of_the_directories_that_are_there() {
    let world = local();
    let file = made_file(&world, PROGRAM, "/var/run/ld-elf.so.hints");
    let list = hints::parse(&file.content);
    assert_eq!(list.as_deref(), Some("/lib:/usr/local/lib"));
    assert_eq!((file.mode, file.uid, file.gid), (0o444, 0, 0));
    // The standard directories need none.
    let plain = format!(
        "{}[root]\nprograms = [\"/usr/bin/id\"]",
        PROGRAM.replace("/usr/local/bin/program", "/bin/sh")
    );
    assert!(
        !steps(&world, &plain)
            .iter()
            .any(|step| step.contains("hints"))
    );
    // The host's own is seen where its directory is granted, and nothing is made there.
    let granted = format!("{PROGRAM}[root]\nro = [\"/var/run\"]");
    assert!(
        !steps(&world, &granted)
            .iter()
            .any(|step| step.contains("hints"))
    );
    // In a tmpfs over its place it is made after the mount.
    let covered = format!("{PROGRAM}[root]\ntmpfs = [{{ path = \"/var/run\", size = \"1m\" }}]");
    let steps = steps(&world, &covered);
    let at = |word: &str| steps.iter().position(|step| step.contains(word)).unwrap();
    assert!(at("tmpfs of 1048576 bytes at /var/run") < at("/var/run/ld-elf.so.hints"));
}

#[test]
fn hints_behind_a_link_are_kept() {
    let mut world = local();
    let library = Elf::library("libx.so.1", &[]).bytes();
    world.dir("/data/local/lib", 0o755, 0, 0).file(
        "/data/local/lib/libx.so.1",
        0o444,
        0,
        0,
        &library,
    );
    world.dir("/data/local/bin", 0o755, 0, 0);
    let program = Elf::program(&["libx.so.1"]).bytes();
    world.file("/data/local/bin/program", 0o555, 0, 0, &program);
    world
        .remove("/usr/local")
        .symlink("/usr/local", "../data/local");
    let file = made_file(&world, PROGRAM, "/var/run/ld-elf.so.hints");
    assert!(
        hints::parse(&file.content)
            .unwrap()
            .contains("/usr/local/lib")
    );
    let steps = steps(&world, PROGRAM);
    assert!(steps.contains(&"make the link /usr/local to ../data/local".to_string()));
    assert!(steps.contains(
        &"mount /data/local/lib/libx.so.1 at /data/local/lib/libx.so.1 (nullfs, read-only, nosuid)".to_string()
    ));
}

#[test]
fn a_host_that_maps_libraries_has_its_map_inside() {
    let mut world = local();
    let other = Elf::library("liby.so.1", &[]).bytes();
    world.file("/usr/lib/liby.so.1", 0o444, 0, 0, &other);
    world.file(
        "/etc/libmap.conf",
        0o644,
        0,
        0,
        b"include /etc/libmap.more\n",
    );
    world.file("/etc/libmap.more", 0o644, 0, 0, b"libx.so.1 liby.so.1\n");
    let (text, mode, _) = made(&world, PROGRAM, "/etc/libmap.conf");
    assert_eq!(
        (text.as_str(), mode),
        ("[$DEFAULT$]\nlibx.so.1 liby.so.1\n", 0o444)
    );
    assert!(
        !steps(&world, PROGRAM)
            .iter()
            .any(|step| step.contains("libx.so.1"))
    );
    // The profile's own word counts for more.
    let own = format!("{PROGRAM}[root.files]\n\"/etc/libmap.conf\" = \"# nothing\\n\"");
    assert_eq!(made(&world, &own, "/etc/libmap.conf").0, "# nothing\n");
}

#[test]
fn a_command_and_programs_get_what_they_need() {
    let mut world = local();
    world.file("/usr/local/bin/tool", 0o555, 0, 0, b"#!/bin/sh\n");
    let lines = "user = \"www\"\n[root]\nprograms = [\"/usr/bin/id\"]";
    let (host, _) = look(&world, lines, 0, Some("/usr/local/bin/tool")).unwrap();
    let closure = host.closure.unwrap();
    for file in [
        "/usr/local/bin/tool",
        "/bin/sh",
        "/usr/bin/id",
        "/lib/libc.so.7",
    ] {
        assert!(closure.files.contains_key(file), "{file}");
    }
    let relative = look(&world, lines, 0, Some("tool")).err().unwrap();
    assert_eq!(relative, "\"tool\": a command is an absolute path");
}

#[test]
fn the_modules_that_nsswitch_conf_names_are_there_if_the_host_has_them() {
    let mut world = local();
    let module = Elf::library("nss_x.so.1", &["libx.so.1"]).bytes();
    world.file("/usr/local/lib/nss_x.so.1", 0o444, 0, 0, &module);
    world.file("/etc/nsswitch.conf", 0o644, 0, 0, b"passwd: files x y\n");
    let program = PROGRAM.replace("/usr/local/bin/program", "/bin/sh");
    let has_module = |lines: &str| {
        let lines = format!("{program}{lines}");
        steps(&world, &lines)
            .iter()
            .any(|step| step.starts_with("mount /usr/local/lib/nss_x.so.1"))
    };
    assert!(!has_module(""));
    assert!(has_module(
        "[root.files]\n\"/etc/nsswitch.conf\" = \"host\""
    ));
    assert!(has_module("[root]\nro = [\"/etc\"]"));
    assert!(!has_module(
        "[root.files]\n\"/etc/nsswitch.conf\" = \"passwd: files\\n\""
    ));
}

#[test]
fn closure_off_leaves_all_to_the_profile() {
    let world = World::freebsd();
    let lines = format!("{PROGRAM}[root]\nclosure = \"off\"\nro = [\"/usr/local/bin/program\"]");
    let steps = steps(&world, &lines);
    let mounts: Vec<&String> = steps
        .iter()
        .filter(|step| step.starts_with("mount"))
        .collect();
    assert_eq!(
        mounts,
        ["mount /usr/local/bin/program at /usr/local/bin/program (nullfs, read-only, nosuid)"]
    );
}

#[test]
fn what_the_service_cannot_read_or_execute_is_refused_before_anything_is_made() {
    let user = "can't be read by the service's user www";
    for (path, mode, gid, words) in [
        ("/usr/local/lib/libx.so.1", 0o400, 0, Some(user)),
        ("/usr/local/lib/libx.so.1", 0o440, 80, None),
        ("/lib/libc.so.7", 0o111, 0, Some(user)),
        (
            "/usr/local/bin/program",
            0o744,
            0,
            Some("can't be executed by the service's user www"),
        ),
        ("/usr/local/bin/program", 0o711, 0, None),
    ] {
        let mut world = local();
        let inode = world.at(path).unwrap();
        (inode.mode, inode.gid) = (mode, gid);
        let outcome = look(&world, PROGRAM, 0, None);
        let wanted = words.map(|words| format!("{path} {words}"));
        assert_eq!(outcome.err(), wanted, "{path} {mode:o}");
    }
}

#[test]
fn a_stranger_learns_nothing_of_what_is_in_a_command() {
    let mut world = local();
    world.at("/usr/local/lib/libx.so.1").unwrap().mode = 0o400;
    let lines = "user = \"www\"\n[access]\nusers = [\"alice\"]\nany_command = true";
    let unsaid = "what the command needs can't be worked out";
    let program = "/usr/local/bin/program";
    assert_eq!(
        look(&world, lines, 1001, Some(program)).err().unwrap(),
        unsaid
    );
    world.remove("/usr/local/lib/libx.so.1");
    assert_eq!(
        look(&world, lines, 1001, Some(program)).err().unwrap(),
        unsaid
    );
    let said = look(&world, lines, 0, Some(program)).err().unwrap();
    assert!(
        said.starts_with("/usr/local/bin/program needs \"libx.so.1\""),
        "{said}"
    );
    let absent = look(&world, lines, 1001, Some("/bin/none")).err().unwrap();
    assert_eq!(absent, "/bin/none: No such file or directory");
}
