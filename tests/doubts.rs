//! What `jailrunctl check` asks a host besides a plan: each doubt with its words, in the simulated kernel.
#![allow(clippy::unwrap_used)]

use jailrun::ctl::doubts::{self, Doubts, Looked};
use jailrun::ctl::plan::prepare;
use jailrun::request::Request;
use jailrun::sim::image::Elf;
use jailrun::sim::{Faults, Sim, Start, World};

const TOOL: &str = "/usr/local/bin/tool";

fn host(profile: &str) -> World {
    let mut world = World::freebsd();
    let place = "/usr/local/etc/jailrun/profiles";
    world.dir(place, 0o755, 0, 0);
    let text =
        format!("program = \"{TOOL}\"\nuser = \"www\"\n{profile}[capsicum]\nmode = \"off\"\n");
    world.file(&format!("{place}/x.toml"), 0o644, 0, 0, text.as_bytes());
    world.dir("/srv", 0o755, 0, 0);
    world.dir("/srv/site", 0o755, 0, 0);
    world.dir("/srv/site/sub", 0o755, 0, 0);
    let library = Elf::library("libc.so.7", &[]).bytes();
    let linker = Elf::library("ld-elf.so.1", &[]).bytes();
    for (path, bytes) in [
        (TOOL, Elf::program(&["libc.so.7"]).bytes()),
        ("/lib/libc.so.7", library),
        ("/libexec/ld-elf.so.1", linker),
    ] {
        let above = path.rsplit_once('/').unwrap().0;
        world.dir(above, 0o755, 0, 0);
        world.file(path, 0o555, 0, 0, &bytes);
    }
    world
}

fn doubts(profile: &str) -> Doubts {
    doubts_on(host(profile))
}

fn doubts_on(world: World) -> Doubts {
    let mut found = None;
    Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        let asked = Request {
            profile: "x".to_string(),
            ..Request::default()
        };
        let prepared = prepare(kernel, &asked).unwrap();
        found = Some(doubts::of(kernel, &prepared).unwrap());
        0
    });
    found.unwrap()
}

/// Profile, why it would fail, and what is noted.
const CASES: &[(&str, Option<&str>, &[&str])] = &[
    ("", None, &[]),
    ("[jail]\nip4.addr = [\"lo0|127.0.0.80/32\"]\n", None, &[]),
    (
        "[jail]\nip4.addr = [\"lo9|127.0.0.80/32\"]\n",
        Some("this host has no interface lo9"),
        &[],
    ),
    (
        "[access]\nusers = [\"www\", \"nosuch\", \"4711\"]\ngroups = [\"wheel\", \"none\", \"4711\"]\n",
        None,
        &[
            "[access]: this host has no user \"nosuch\"",
            "[access]: this host has no group \"none\"",
        ],
    ),
    (
        "chdir = \"/srv/nowhere\"\n[root]\nro = [\"/srv/site\"]\n",
        Some("chdir /srv/nowhere isn't inside: grant it in [root], or leave chdir out"),
        &[],
    ),
    (
        "chdir = \"/srv/site/nowhere\"\n[root]\nro = [\"/srv/site\"]\n",
        Some("chdir /srv/site/nowhere isn't inside: grant it in [root], or leave chdir out"),
        &[],
    ),
    (
        "chdir = \"/tmp/sub\"\n[root]\ntmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n",
        Some("chdir /tmp/sub isn't inside: grant it in [root], or leave chdir out"),
        &[],
    ),
    (
        "chdir = \"/tmp\"\n[root]\ntmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n",
        None,
        &[],
    ),
    (
        "chdir = \"/srv\"\n[root]\nro = [\"/srv/site\"]\n",
        None,
        &[],
    ),
    (
        "chdir = \"/srv/site/sub\"\n[root]\nro = [\"/srv/site\"]\n",
        None,
        &[],
    ),
    (
        "[root]\nclosure = \"off\"\nro = [\"/lib\"]\n",
        Some("/usr/local/bin/tool isn't inside: closure = \"off\" brings nothing in"),
        &[],
    ),
    (
        "[root]\nclosure = \"off\"\nro = [\"/usr/local/bin/tool\", \"/lib\"]\n",
        Some(
            "/libexec/ld-elf.so.1, which /usr/local/bin/tool needs, isn't inside: closure = \"off\" brings \
             nothing in",
        ),
        &[],
    ),
    (
        "[root]\nclosure = \"off\"\nro = [\"/usr/local/bin\", \"/libexec\"]\n",
        None,
        &[
            "libc.so.7, which /usr/local/bin/tool needs, isn't at /lib/libc.so.7: closure = \"off\" brings nothing in",
        ],
    ),
    (
        "[root]\nclosure = \"off\"\nro = [\"/usr/local/bin\", \"/libexec\", \"/lib\"]\n",
        None,
        &[],
    ),
];

#[test]
fn what_a_launch_would_meet_on_this_host_is_told_before() {
    for (profile, refusal, notes) in CASES {
        let found = doubts(profile);
        assert_eq!(found.refusal.as_deref(), *refusal, "{profile}");
        assert_eq!(found.notes, *notes, "{profile}");
    }
}

/// What the host says to the profile, in the words of `check`; "refused: ..." where something is wrong.
fn looked(world: World) -> String {
    let mut said = String::new();
    Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        let asked = Request {
            profile: "x".to_string(),
            ..Request::default()
        };
        said = match doubts::look(kernel, &asked) {
            Looked::Good(..) => "good".to_string(),
            Looked::Lacking(lack, _) => lack.to_string(),
            Looked::Refused(error) => format!("refused: {error}"),
        };
        0
    });
    said
}

#[test]
fn a_program_that_is_absent_is_told_from_one_that_is_refused() {
    let mut absent = host("");
    absent.remove(TOOL);
    assert_eq!(looked(absent), format!("not installed here: {TOOL}"));
    let mut open = host("");
    open.file(TOOL, 0o777, 0, 0, b"x");
    let words = format!("refused: {TOOL} is writable by others than root");
    assert_eq!(looked(open), words);
}

/// Of each kind that a profile can want, with the commands that make it.
const UNMADE: &[(&str, &str)] = &[
    // What a shell is given is one word.
    (
        "ro = [\"/srv/a b\"]\nrw = [\"/var/db/it's;x\"]",
        "/srv/a b, /var/db/it's;x: No such file or directory; run: install -d -o www -m 0750 '/var/db/it'\\''s;x'; \
         where a directory is meant: install -d '/srv/a b'",
    ),
    (
        "ro = [\"/srv/nowhere\"]",
        "/srv/nowhere: No such file or directory; where a directory is meant: install -d /srv/nowhere",
    ),
    (
        "rw = [\"/var/db/x\"]",
        "/var/db/x: No such file or directory; run: install -d -o www -m 0750 /var/db/x",
    ),
    (
        "rw = [{ path = \"/var/db/x\", owner = \"root\", mode = \"0750\" }]",
        "/var/db/x: No such file or directory; run: install -d -o root -g 80 -m 0750 /var/db/x",
    ),
    // What is the service's own is shut off by a directory of root's above it, where that is new too.
    (
        "rw = [{ path = \"/var/db/a/x\", mode = \"0700\" }]",
        "/var/db/a: No such file or directory; run: install -d -o root -g wheel -m 0750 /var/db/a && \
         install -d -o www -m 0700 /var/db/a/x",
    ),
    (
        "rw = [{ path = \"/var/db/a/x\", owner = \"root\" }]",
        "/var/db/a: No such file or directory; run: install -d -o root -m 0755 /var/db/a/x",
    ),
    (
        "sockets = [\"/var/run/database\"]",
        "/var/run/database: No such file or directory",
    ),
    (
        "ro = [\"/srv/site\"]\ntmpfs = [{ path = \"/srv/site/cache\", size = \"1m\" }]",
        "/srv/site/cache: No such file or directory; run: install -d /srv/site/cache",
    ),
    // What would be hidden in it isn't there either, and that is no mistake of the profile's.
    (
        "ro = [\"/srv/a\", \"/srv/b\"]\nrw = [\"/var/db/x\"]\nmask = [\"/srv/a/keys\"]",
        "/srv/a, /srv/b, /var/db/x: No such file or directory; run: install -d -o www -m 0750 /var/db/x; \
         where a directory is meant: install -d /srv/a /srv/b",
    ),
];

#[test]
fn directories_that_nobody_made_yet_are_told_together_with_what_makes_them() {
    for (grants, words) in UNMADE {
        let mut world = host(&format!("[root]\n{grants}\n"));
        world.dir("/var/db", 0o755, 0, 0);
        assert_eq!(
            looked(world),
            format!("not set up here: {words}"),
            "{grants}"
        );
    }
}

/// Beside one that nobody made: what is there is judged all the same, and a link or a file in the place of a
/// directory is there.
#[test]
fn what_is_there_and_not_trusted_is_refused_whatever_else_is_not_there_yet() {
    let nowhere = "ro = [\"/srv/nowhere\"";
    for (grants, words) in [
        (
            format!("{nowhere}, \"/srv/open\"]"),
            "/srv/open is writable by others than root",
        ),
        (
            format!("{nowhere}, \"/srv/open/sub\"]"),
            "/srv/open is writable by others than root",
        ),
        (
            format!("{nowhere}]\nrw = [\"/srv/open\"]"),
            "/srv/open is writable by others than root and the service's user; chown and chmod it, or say \
             untrusted = true in rw",
        ),
        (
            format!("{nowhere}]\nrw = [{{ path = \"/srv/site\", owner = \"www\" }}]"),
            "/srv/site is not owned by www; run: install -d -o www -m 0750 /srv/site",
        ),
        (
            format!("{nowhere}]\nsockets = [\"/srv/file\"]"),
            "/srv/file is not a directory",
        ),
        (
            format!("{nowhere}, \"/srv/site\"]\nmask = [\"/srv/site/keys\"]"),
            "/srv/site/keys: No such file or directory",
        ),
        (
            format!("{nowhere}, \"/srv/file/sub\"]"),
            "/srv/file: Not a directory",
        ),
        (
            format!("{nowhere}, \"/srv/dangling\"]"),
            "/srv/gone: No such file or directory",
        ),
        (
            format!("{nowhere}]\n[root.files]\n\"/srv/open/copy\" = \"host\""),
            "files: /srv/open is writable by others than root",
        ),
        (
            format!("{nowhere}, \"/srv/theirs\"]"),
            "/srv/theirs is a symbolic link that root doesn't own",
        ),
    ] {
        let mut world = host(&format!("[root]\n{grants}\n"));
        world
            .dir("/srv/open", 0o777, 0, 0)
            .file("/srv/file", 0o644, 0, 0, b"")
            .symlink("/srv/dangling", "gone")
            .symlink("/srv/theirs", "nowhere");
        world.at("/srv/theirs").unwrap().uid = 80;
        assert_eq!(looked(world), format!("refused: {words}"), "{grants}");
    }
}

const LINKS: &str = "nothing to do, as long as no program of root's on the host (newsyslog, chown -R) works there by \
                     name: the service can put links to any file there";

#[test]
fn directories_of_the_services_own_below_one_of_roots_are_named() {
    let noted = |make: &dyn Fn(&mut World)| {
        let mut world = host("[root]\nrw = [\"/srv/data\"]\n");
        world
            .dir("/srv/data", 0o755, 0, 0)
            .dir("/srv/data/roots", 0o775, 0, 25)
            .file("/srv/data/log", 0o640, 80, 80, b"x")
            .dir("/etc/www", 0o755, 80, 80)
            .symlink("/srv/data/link", "/etc/www");
        make(&mut world);
        doubts_on(world).notes
    };
    assert_eq!(noted(&|_| {}), [""; 0]);
    let own = noted(&|world| {
        world.dir("/srv/data/roots/own\u{1b}", 0o700, 80, 0);
    });
    assert_eq!(own, [format!("/srv/data/roots/own\\u{{1b}}: {LINKS}")]);
    let groups = noted(&|world| {
        world.dir("/srv/data/group", 0o770, 0, 80);
    });
    assert_eq!(groups, [format!("/srv/data/group: {LINKS}")]);
    let several = noted(&|world| {
        for name in ["a", "b", "c", "d", "e"] {
            world.dir(&format!("/srv/data/{name}"), 0o700, 80, 0);
        }
    });
    assert_eq!(several.len(), 1);
    assert!(
        several[0].ends_with(&format!(", and others: {LINKS}")),
        "{several:?}"
    );
    // One that is the service's is named already, and not looked through.
    let above = noted(&|world| {
        world
            .dir("/srv/data", 0o700, 80, 0)
            .dir("/srv/data/own", 0o700, 80, 0);
    });
    assert_eq!(above, [""; 0]);
}

#[test]
fn what_was_not_looked_through_is_told() {
    let noted = |make: &dyn Fn(&mut World)| {
        let mut world = host("[root]\nrw = [\"/srv/data\"]\n");
        world.dir("/srv/data", 0o755, 0, 0);
        make(&mut world);
        doubts_on(world).notes
    };
    let many = noted(&|world| {
        for number in 0..10_001 {
            world.file(&format!("/srv/data/{number:05}"), 0o644, 0, 0, b"x");
        }
    });
    let words = "/srv/data: whether the service can put links anywhere below isn't known";
    assert_eq!(
        many,
        [format!(
            "{words} (/srv/data/10000: there are too many names)"
        )]
    );
    let deep = noted(&|world| {
        world.dir(&format!("/srv/data{}", "/d".repeat(34)), 0o755, 0, 0);
    });
    let path = format!("/srv/data{}", "/d".repeat(33));
    assert_eq!(deep, [format!("{words} ({path}: it is too deep)")]);
}
