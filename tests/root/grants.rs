//! What a profile lists: directories, files that are made, masks, sockets, file systems in directories.

use super::*;
use jailrun::kernel::{FileKind, Filesystem};
use jailrun::sim::Mount;

const USER: &str = "program = \"/bin/sh\"\nuser = \"www\"\n[root]\nclosure = \"off\"\n";

fn with(lines: &str) -> String {
    format!("{USER}{lines}")
}

#[test]
fn a_grant_through_links_of_roots_is_there_with_its_links() {
    let mut world = World::freebsd();
    world
        .dir("/data/www/site", 0o755, 0, 0)
        .symlink("/srv", "data")
        .symlink("/data/pub", "/srv/www");
    assert_eq!(
        steps(&world, &with("ro = [\"/srv/pub/site\"]")),
        [
            "make the directory /data (mode 0755)",
            "make the link /data/pub to /srv/www",
            "make the directory /data/www (mode 0755)",
            "make the directory /data/www/site (mode 0755)",
            "mount /data/www/site at /data/www/site (nullfs, read-only, nosuid)",
            "make the link /srv to data",
        ]
    );
    assert_eq!(
        refusal(
            &world,
            &with("ro = [\"/srv/pub/site\", \"/data/www/site\"]")
        ),
        "/data/www/site is given twice, once by way of a link"
    );
    assert_eq!(
        refusal(
            &world,
            &with("ro = [\"/srv/pub/site\"]\ntmpfs = [{ path = \"/srv/x\", size = \"1m\" }]")
        ),
        "/srv/x can't be there: /srv is a link to data"
    );
    world.at("/srv").unwrap().uid = 80;
    assert_eq!(
        refusal(&world, &with("ro = [\"/srv/pub/site\"]")),
        "/srv is a symbolic link that root doesn't own"
    );
}

#[test]
fn a_packages_script_gets_directories_of_roots_alone_and_none_by_a_link() {
    let lines = "program = \"/bin/sh\"\nuser = \"root\"\n[jail]\nallow = [\"suser\"]\n[root]\nclosure = \"off\"\n\
                 root_writes = true\nrw = [\"/var/db/own\"]\n";
    let mut world = World::freebsd();
    world.dir("/var/db/own", 0o755, 0, 0);
    assert!(
        steps(&world, lines)
            .iter()
            .any(|step| { step == "mount /var/db/own at /var/db/own (nullfs, nosuid)" })
    );
    world.at("/var/db/own").unwrap().uid = 80;
    let words = "/var/db/own is writable by others than root and the service's user; chown and chmod it, or say untrusted = true in rw";
    assert_eq!(refusal(&world, lines), words);
    world.remove("/var/db/own").dir("/etc/other", 0o755, 0, 0);
    world.symlink("/var/db/own", "/etc/other");
    let words = "/var/db/own is /etc/other by a link: root_writes takes no links";
    assert_eq!(refusal(&world, lines), words);
}

#[test]
fn a_writable_directory_must_have_the_owner_and_mode_that_are_asked_for() {
    let mut world = World::freebsd();
    world.dir("/var/log/www", 0o750, 80, 80);
    let rw = |more: &str| with(&format!("rw = [{{ path = \"/var/log/www\"{more} }}]"));
    assert_eq!(
        steps(
            &world,
            &rw(", owner = \"www\", mode = \"0750\", noexec = true, nosymfollow = true")
        )
        .last()
        .unwrap(),
        "mount /var/log/www at /var/log/www (nullfs, nosuid, noexec, nosymfollow)"
    );
    for (more, words) in [
        (
            ", owner = \"root\"",
            "/var/log/www is not owned by root; run: install -d -o root -m 0755 /var/log/www",
        ),
        (
            ", mode = \"0700\"",
            "/var/log/www has the mode 0750, not 0700; run: install -d -o www -m 0700 /var/log/www",
        ),
        (
            ", owner = \"root\", mode = \"0750\"",
            "/var/log/www is not owned by root; run: install -d -o root -g 80 -m 0750 /var/log/www",
        ),
        (", owner = \"nosuch\"", "no user nosuch on this host"),
    ] {
        assert_eq!(refusal(&world, &rw(more)), words);
    }
    world.remove("/var/log/www");
    assert_eq!(
        refusal(&world, &rw(", owner = \"www\", mode = \"0750\"")),
        "/var/log/www: No such file or directory; run: install -d -o www -m 0750 /var/log/www"
    );
    assert_eq!(
        refusal(&world, &rw("")),
        "/var/log/www: No such file or directory; run: install -d -o www -m 0750 /var/log/www"
    );
}

#[test]
fn a_mount_point_in_a_granted_tree_must_be_there_where_root_alone_writes() {
    let mut world = World::freebsd();
    world
        .dir("/srv/www/up", 0o755, 80, 80)
        .dir("/srv/own", 0o755, 80, 80)
        .dir("/srv/own/sub", 0o755, 80, 80);
    let nested = with("ro = [\"/srv/www\"]\nrw = [\"/srv/www/up\"]");
    assert_eq!(
        steps(&world, &nested),
        [
            "make the directory /srv (mode 0755)",
            "make the directory /srv/www (mode 0755)",
            "mount /srv/www at /srv/www (nullfs, read-only, nosuid)",
            "mount /srv/www/up at /srv/www/up (nullfs, nosuid)",
        ]
    );
    let tmpfs = |grant: &str, path: &str| {
        with(&format!(
            "{grant}\ntmpfs = [{{ path = \"{path}\", size = \"1m\" }}]"
        ))
    };
    assert!(
        steps(&world, &tmpfs("ro = [\"/srv/www\"]", "/srv/www/up"))
            .last()
            .unwrap()
            .contains("tmpfs of")
    );
    for (lines, words) in [
        (
            tmpfs("ro = [\"/srv/www\"]", "/srv/www/none"),
            "/srv/www/none: No such file or directory; run: install -d /srv/www/none",
        ),
        // The service could put a link in the place of sub, and have the host's /etc covered.
        (
            tmpfs("rw = [\"/srv/own\"]", "/srv/own/sub"),
            "/srv/own is not owned by root",
        ),
        (
            with("rw = [\"/srv/own\", \"/srv/own/sub\"]"),
            "/srv/own is not owned by root",
        ),
        (
            with("rw = [\"/srv/own\"]\nmask = [\"/srv/own/sub\"]"),
            "/srv/own is not owned by root",
        ),
    ] {
        assert_eq!(refusal(&world, &lines), words);
    }
}

#[test]
fn files_are_made_with_what_they_are_to_hold() {
    let mut world = World::freebsd();
    world.file("/etc/resolv.conf", 0o640, 0, 5, b"nameserver 192.0.2.1\n");
    world.symlink("/etc/localtime", "/usr/share/zoneinfo/UTC");
    let files = with(
        "[root.files]\n\"/etc/resolv.conf\" = \"host\"\n\"/etc/localtime\" = \"host\"\n\"/etc/motd\" = \"hello\\n\"\n\
         \"/etc/passwd\" = \"synthetic\"\n\"/etc/group\" = \"synthetic\"\n\"/etc/spwd.db\" = \"synthetic\"\n",
    );
    let file = |path: &str| made(&world, &files, path);
    assert_eq!(
        file("/etc/resolv.conf"),
        ("nameserver 192.0.2.1\n".to_string(), 0o640, 0)
    );
    assert_eq!(file("/etc/localtime").0, "text\n");
    assert_eq!(file("/etc/motd"), ("hello\n".to_string(), 0o444, 0));
    let passwd = "www:*:80:80:www:/nonexistent:/usr/sbin/nologin\n";
    assert_eq!(file("/etc/passwd"), (passwd.to_string(), 0o444, 0));
    assert_eq!(file("/etc/group").0, "www:*:80:\n");
    assert_eq!(file("/etc/spwd.db").1, 0o600);
    assert!(
        steps(&world, &files)
            .iter()
            .any(|step| step == "make the file /etc/motd (6 bytes, mode 0444, owner 0:0)")
    );
}

#[test]
fn made_up_accounts_are_those_of_the_service_and_of_owners_in_the_profile() {
    let mut world = World::freebsd();
    world.dir("/home/alice/x", 0o755, 1001, 1001);
    let lines = "program = \"/bin/sh\"\nuser = \"alice\"\ngroup = \"staff\"\ngroups = [\"operator\", \"www\"]\n[root]\nclosure = \"off\"\n\
        tmpfs = [{ path = \"/home/alice\", size = \"1m\", owner = \"bob\" }]\n\
        files = { \"/etc/passwd\" = \"synthetic\", \"/etc/group\" = \"synthetic\", \"/etc/pwd.db\" = \"synthetic\" }";
    assert_eq!(
        made(&world, lines, "/etc/passwd").0,
        "alice:*:1001:20:alice:/home/alice:/usr/sbin/nologin\nbob:*:1002:1002:bob:/nonexistent:/usr/sbin/nologin\n"
    );
    // www has two names on this host, operator's gid is 5.
    assert_eq!(
        made(&world, lines, "/etc/group").0,
        "staff:*:20:\nbob:*:1002:\noperator:*:5:alice\nwww:*:80:alice\n"
    );
    assert!(made(&world, lines, "/etc/pwd.db").0.contains("alice\0*\0"));
}

#[test]
fn nothing_is_made_in_a_directory_of_the_host() {
    let world = World::freebsd();
    let text = with("ro = [\"/etc\"]\nfiles = { \"/etc/motd\" = \"x\\n\" }");
    assert_eq!(
        refusal(&world, &text),
        "files: /etc/motd would be made in /etc, a directory of the host"
    );
    // A copy of what is seen there already isn't made at all.
    let copy = with("ro = [\"/etc\"]\nfiles = { \"/etc/hosts\" = \"host\" }");
    assert!(
        !steps(&world, &copy)
            .iter()
            .any(|step| step.contains("hosts"))
    );
    for (path, words) in [
        ("/etc/none", "files: /etc/none: No such file or directory"),
        ("/etc/ssl", "files: /etc/ssl is not a regular file"),
        ("/tmp/x", "files: /tmp is writable by others than root"),
    ] {
        assert_eq!(
            refusal(
                &world,
                &with(&format!("files = {{ \"{path}\" = \"host\" }}"))
            ),
            words
        );
    }
}

#[test]
fn masks_lie_over_what_is_granted_and_over_nothing_else() {
    let mut world = World::freebsd();
    world.dir("/usr/local/etc/nginx/old", 0o755, 0, 0).file(
        "/usr/local/etc/nginx/key",
        0o600,
        0,
        0,
        b"",
    );
    let lines = with(
        "ro = [\"/usr/local/etc\"]\nmask = [\"/usr/local/etc/nginx/key\", \"/usr/local/etc/nginx/old\"]",
    );
    let all = steps(&world, &lines);
    assert_eq!(
        all[0],
        "make the file /.mask (0 bytes, mode 0000, owner 0:0)"
    );
    assert_eq!(
        all[all.len() - 3..],
        [
            "mount /.mask at /usr/local/etc/nginx/key (nullfs, read-only, nosuid, noexec)",
            "mount a tmpfs of 4096 bytes at /usr/local/etc/nginx/old (tmpfs, mode 0000, owner 0:0, read-only, nosuid, noexec)",
            "take the name /.mask away",
        ]
    );
    for (lines, words) in [
        (with("mask = [\"/usr/local/etc\"]"), "mask: /usr/local/etc is in nothing that is granted, and so isn't there"),
        (with("ro = [\"/usr/local/etc\"]\nmask = [\"/usr/local/etc/none\"]"), "/usr/local/etc/none: No such file or directory"),
        ("program = \"/bin/sh\"\nuser = \"www\"\n[root]\nro = [\"/lib\"]\nmask = [\"/lib/libc.so.7\"]".to_string(),
            "mask: /lib/libc.so.7 would hide /lib/libc.so.7, which a program needs"),
        (with("ro = [\"/usr/local\", \"/usr/local/etc/nginx\"]\nmask = [\"/usr/local/etc\"]"),
            "/usr/local/etc/nginx can't be there: /usr/local/etc is masked"),
    ] {
        assert_eq!(refusal(&world, &lines), words);
    }
}

#[test]
fn sockets_are_reached_only_where_they_are_asked_for() {
    let mut world = World::freebsd();
    world
        .dir("/var/run/db", 0o755, 88, 88)
        .put("/var/run/x", FileKind::Socket, 0o777, 0, 0, &[]);
    let (_, steps) = look(
        &world,
        &with("ro = [\"/bin\"]\nsockets = [\"/var/run/db\"]"),
        0,
        None,
    )
    .unwrap();
    let sockets: Vec<(String, bool)> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Mount { mount, .. } => match &mount.filesystem {
                Filesystem::Nullfs { source, sockets } => Some((source.clone(), *sockets)),
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert_eq!(
        sockets,
        [
            ("/bin".to_string(), false),
            ("/var/run/db".to_string(), true)
        ]
    );
    assert!(steps.iter().any(|step| {
        step.to_string()
            .ends_with("/var/run/db (nullfs, sockets, read-only, nosuid, noexec, nosymfollow)")
    }));
    for (lines, words) in [
        (
            "sockets = [\"/var/run/x\"]",
            "/var/run/x is neither a file nor a directory",
        ),
        (
            "sockets = [\"/etc/hosts\"]",
            "/etc/hosts is not a directory",
        ),
    ] {
        assert_eq!(refusal(&world, &with(lines)), words);
    }
}

#[test]
fn jailruns_own_directories_are_not_granted() {
    let mut world = World::freebsd();
    world
        .dir("/var/run/jailrun/other/root", 0o755, 0, 0)
        .symlink("/link", "var/run/jailrun/other");
    for path in ["/var/run/jailrun", "/var/run/jailrun/other/root", "/link"] {
        assert_eq!(
            refusal(&world, &with(&format!("ro = [\"{path}\"]"))),
            format!("{path} is jailrun's own")
        );
    }
}

/// A file system on a directory of the world.
pub fn mount(world: &mut World, path: &str, kind: &str) {
    world.dir(path, 0o755, 0, 0);
    world.mount_devfs(path);
    let last = world.mounts.last_mut().unwrap();
    if kind != "devfs" {
        // Anything with a root of its own: what matters here is the table.
        *last = Mount {
            kind: kind.to_string(),
            root: last.covered.unwrap().inode,
            filesystem: None,
            ..last.clone()
        };
    }
}

#[test]
fn file_systems_in_a_granted_directory_are_granted_too_or_said() {
    let mut world = World::freebsd();
    mount(&mut world, "/srv/a/zfs", "zfs");
    mount(&mut world, "/srv/a/zfs/deep", "ufs");
    mount(&mut world, "/var/run/jailrun/x/root", "tmpfs");
    assert_eq!(
        steps(&world, &with("ro = [\"/srv/a\"]")),
        [
            "make the directory /srv (mode 0755)",
            "make the directory /srv/a (mode 0755)",
            "mount /srv/a at /srv/a (nullfs, read-only, nosuid)",
            "mount /srv/a/zfs at /srv/a/zfs (nullfs, read-only, nosuid)",
            "mount /srv/a/zfs/deep at /srv/a/zfs/deep (nullfs, read-only, nosuid)",
        ]
    );
    // With the flags of what they are in; but not what is covered, nor what is granted by itself.
    let rw = "rw = [{ path = \"/srv/a\", noexec = true }]\nro = [\"/srv/a/zfs/deep\"]";
    assert_eq!(
        steps(&world, &with(rw))[3..],
        [
            "mount /srv/a/zfs at /srv/a/zfs (nullfs, nosuid, noexec)",
            "mount /srv/a/zfs/deep at /srv/a/zfs/deep (nullfs, read-only, nosuid)",
        ]
    );
    let masked = "ro = [\"/srv/a\"]\nmask = [\"/srv/a/zfs\"]";
    assert!(
        !steps(&world, &with(masked))
            .iter()
            .any(|step| step.contains("deep"))
    );
    // Roots of other instances are never shown.
    assert!(
        !steps(&world, &with("ro = [\"/var/run\"]"))
            .iter()
            .any(|step| step.contains("jailrun/x"))
    );

    mount(&mut world, "/srv/b/dev", "devfs");
    mount(&mut world, "/srv/c/theirs", "zfs");
    world.at("/srv/c/theirs").unwrap().uid = 1001;
    for (path, words) in [
        (
            "/srv/b",
            "/srv/b/dev is a file system of its own in /srv/b, which ro grants, and a devfs can't be granted; \
            write mask = [\"/srv/b/dev\"]",
        ),
        (
            "/srv/c",
            "/srv/c/theirs is a file system of its own in /srv/c, which ro grants, and /srv/c/theirs is not owned by root; \
            write mask = [\"/srv/c/theirs\"]",
        ),
        (
            "/dev",
            "/dev is in a devfs, which can't be granted; devices are listed in devices",
        ),
        (
            "/dev/fd",
            "/dev/fd is in a devfs, which can't be granted; devices are listed in devices",
        ),
    ] {
        assert_eq!(refusal(&world, &with(&format!("ro = [\"{path}\"]"))), words);
    }
    assert_eq!(
        refusal(&world, &with("rw = [\"/srv/c\"]")),
        "/srv/c/theirs is a file system of its own in /srv/c, which rw grants, and others than root and the service's user \
         can write it; grant the directories beside it instead"
    );
}

#[test]
fn the_table_of_mounts_is_read_only_where_a_directory_is_granted() {
    let world = World::freebsd();
    let asks = |lines: &str| {
        let permit = authorize(
            profile(lines),
            Caller {
                uid: 0,
                gid: 0,
                name: "root".to_string(),
                groups: Vec::new(),
            },
            Wish::default(),
            &[],
        )
        .unwrap();
        let report = Sim::run(
            world.clone(),
            &Start::root(),
            Faults::none(),
            move |kernel| {
                i32::from(survey(kernel, &permit, BTreeMap::new(), Purpose::Launch).is_err())
            },
        );
        assert_eq!(report.ending, Ending::Exited(0));
        report
            .calls
            .iter()
            .filter(|call| call.name == "getfsstat")
            .count()
    };
    assert_eq!(
        asks("program = \"/bin/sh\"\nuser = \"www\"\n[root]\nro = [\"/etc/hosts\"]"),
        0
    );
    assert_eq!(asks(&with("ro = [\"/etc\", \"/bin\"]")), 1);
}
