//! Only what root alone could have put there counts.

use super::*;

#[test]
fn directories_of_others_are_passed_over_and_their_files_never_used() {
    let mut world = host();
    let list = "/tmp/l:/open:/theirs:/acl:/by-link";
    elf(
        &mut world,
        "/bin/p",
        Elf {
            rpath: Some(list),
            ..Elf::program(&["libx.so.1"])
        },
    );
    world
        .dir("/tmp/l", 0o755, 0, 0)
        .dir("/open", 0o775, 0, 0)
        .dir("/theirs", 0o755, 1001, 1001);
    world.dir("/acl", 0o755, 0, 0).symlink("/by-link", "/tmp/l");
    world.at("/acl").unwrap().extended_acl = true;
    for place in ["/tmp/l", "/open", "/theirs", "/acl"] {
        library(&mut world, &format!("{place}/libx.so.1"), &[]);
    }
    assert_eq!(
        refusal(&world, "/bin/p"),
        "/bin/p needs \"libx.so.1\", which is in none of /tmp/l /open /theirs /acl /by-link /lib /usr/lib; \
         /tmp is writable by others than root; /open is writable by others than root; \
         /theirs is not owned by root; /acl has an ACL; /tmp is writable by others than root"
    );
    library(&mut world, "/lib/libx.so.1", &[]);
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", "/lib/libx.so.1", LINKER]
    );
}

#[test]
fn a_file_or_link_that_others_could_have_changed_is_refused() {
    let mut world = host();
    elf(&mut world, "/bin/p", Elf::program(&["libx.so.1"]));
    let bytes = Elf::library("libx.so.1", &[]).bytes();
    for (mode, uid, words) in [
        (0o575, 0, "/lib/libx.so.1 is writable by others than root"),
        (0o557, 0, "/lib/libx.so.1 is writable by others than root"),
        (0o555, 80, "/lib/libx.so.1 is not owned by root"),
    ] {
        world.file("/lib/libx.so.1", mode, uid, 0, &bytes);
        assert_eq!(refusal(&world, "/bin/p"), words);
    }
    world.symlink("/lib/libx.so.1", "/usr/lib/liby.so.1");
    library(&mut world, "/usr/lib/liby.so.1", &[]);
    world.at("/lib/libx.so.1").unwrap().uid = 80;
    assert_eq!(
        refusal(&world, "/bin/p"),
        "/lib/libx.so.1 is a symbolic link that root doesn't own"
    );
    world.symlink("/lib/libx.so.1", "/tmp/libx.so.1");
    library(&mut world, "/tmp/libx.so.1", &[]);
    library(&mut world, "/usr/lib/libx.so.1", &[]);
    // Led out of root's directories it is as good as absent.
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", LINKER, "/usr/lib/libx.so.1"]
    );
    world.symlink("/lib/libx.so.1", "libx.so.1");
    assert_eq!(
        files(&world, "/bin/p"),
        ["/bin/p", LINKER, "/usr/lib/libx.so.1"]
    );
}

#[test]
fn configuration_that_others_can_write_is_refused() {
    let mut world = host();
    elf(&mut world, "/bin/p", Elf::program(&["libc.so.7"]));
    for path in ["/etc/libmap.conf", "/var/run/ld-elf.so.hints"] {
        world.file(path, 0o666, 0, 0, b"");
        let words = format!("{path} is writable by others than root");
        assert_eq!(refusal(&world, "/bin/p"), words);
        world.remove(path);
    }
    world.file("/etc/libmap.conf", 0o644, 0, 0, b"include /tmp/x\n");
    world.file("/tmp/x", 0o644, 0, 0, b"libc.so.7 libx.so.1\n");
    assert_eq!(
        refusal(&world, "/bin/p"),
        "/tmp is writable by others than root"
    );
}
