//! Records of closures: a launch that finds one reads no ELF file, and none is ever believed that says
//! what isn't so.

use super::*;
use jailrun::host::cache::directory;
use jailrun::sim::Report;
use jailrun::sim::image::Elf;

const LINES: &str = "program = \"/usr/local/bin/program\"\nuser = \"www\"\n[root]\nlibraries = [\"/usr/lib/nss_*.so\"]\n";

/// A host whose files are older than a moment.
fn host() -> World {
    let mut world = World::freebsd();
    let program = Elf {
        runpath: Some("/opt/lib"),
        ..Elf::program(&["libx.so.1", "libc.so.7"])
    };
    world.file("/usr/local/bin/program", 0o555, 0, 0, &program.bytes());
    let library = Elf::library("libx.so.1", &[]).bytes();
    world.file("/usr/local/lib/libx.so.1.0", 0o444, 0, 0, &library);
    world.symlink("/usr/local/lib/libx.so.1", "libx.so.1.0");
    let list = ["/lib", "/usr/lib", "/usr/local/lib"].map(str::to_string);
    world.file(
        "/var/run/ld-elf.so.hints",
        0o444,
        0,
        0,
        &jailrun::closure::hints::build(&list),
    );
    world.file(
        "/etc/libmap.conf",
        0o644,
        0,
        0,
        b"includedir /usr/local/etc/libmap.d\n",
    );
    world
        .dir("/usr/local/etc/libmap.d", 0o755, 0, 0)
        .dir("/var/run/jailrun", 0o755, 0, 0);
    world.clock_ms += 10_000;
    world
}

/// What a survey finds, and what it did.
fn survey_as(world: &World, lines: &str, uid: u32) -> (Vec<String>, Report) {
    let caller = Caller {
        uid,
        gid: uid,
        name: "alice".to_string(),
        groups: Vec::new(),
    };
    let lines = format!("{lines}{END}[access]\nusers = [\"alice\"]\n");
    let main = Source {
        name: "www.toml".to_string(),
        text: lines,
    };
    let profile = Profile::from_sources(&main, &[], None).unwrap();
    let permit = authorize(profile, caller, Wish::default(), &[]).unwrap();
    let answer = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&answer);
    let report = Sim::run(
        world.clone(),
        &Start::root(),
        Faults::none(),
        move |kernel| match survey(kernel, &permit, BTreeMap::new(), Rulesets::Make) {
            Ok(host) => {
                let closure = host.closure.unwrap();
                let mut words: Vec<String> = closure.files.keys().cloned().collect();
                words.extend(closure.links.iter().map(|link| format!("{link:?}")));
                words.extend(closure.graph.edges().iter().map(|edge| format!("{edge:?}")));
                words.extend(closure.linkers.iter().map(|linker| format!("{linker:?}")));
                *told.lock().unwrap() = words;
                0
            }
            Err(error) => {
                *told.lock().unwrap() = vec![error.to_string()];
                1
            }
        },
    );
    let words = answer.lock().unwrap().clone();
    (words, report)
}

/// Whether a program or library was read.
fn reads(report: &Report) -> bool {
    report.calls.iter().any(|call| call.name == "pread")
}

fn warm() -> (World, Vec<String>) {
    let (words, report) = survey_as(&host(), LINES, 0);
    assert!(reads(&report) && words.len() > 10, "{words:?}");
    let mut world = report.world;
    world.clock_ms += 10_000;
    (world, words)
}

#[test]
fn a_second_launch_reads_no_elf_file_and_finds_the_same() {
    let (world, words) = warm();
    let (again, report) = survey_as(&world, LINES, 0);
    assert_eq!(again, words);
    assert!(!reads(&report));
    // What was looked at, once each, and the way to the record.
    assert!(report.calls.len() < 90, "{} calls", report.calls.len());
    // Who isn't root profits, too.
    assert!(!reads(&survey_as(&world, LINES, 1001).1));
}

#[test]
fn only_roots_launches_write_records() {
    let (_, report) = survey_as(&host(), LINES, 1001);
    assert!(report.world.place_at(&directory()).is_none());
    let (world, _) = warm();
    let place = world.place_at(&directory()).unwrap();
    let inode = &world.inodes[&place.inode];
    assert_eq!((inode.mode, inode.uid, inode.children.len()), (0o700, 0, 1));
}

#[test]
fn without_a_place_for_records_none_is_kept_and_nothing_is_said() {
    let mut world = host();
    world.remove("/var/run/jailrun");
    let (_, report) = survey_as(&world, LINES, 0);
    assert!(report.world.place_at("/var/run/jailrun").is_none());
    assert_eq!(report.world.stderr, Vec::<String>::new());
}

#[test]
fn what_is_too_young_to_be_relied_on_is_not_kept() {
    let mut world = host();
    let now = world.at("/lib/libc.so.7").unwrap().data.clone();
    world.file("/lib/libc.so.7", 0o444, 0, 0, &now);
    let (_, report) = survey_as(&world, LINES, 0);
    assert!(report.world.place_at(&directory()).is_none());
}

type Change = (&'static str, fn(&mut World));

/// Each of these changes what rtld would find, or what may be trusted.
const CHANGES: &[Change] = &[
    ("a library appears earlier", |world| {
        let bytes = Elf::library("libx.so.1", &[]).bytes();
        world.file("/usr/lib/libx.so.1", 0o444, 0, 0, &bytes);
    }),
    ("a directory of the runpath appears", |world| {
        let bytes = Elf::library("libx.so.1", &[]).bytes();
        world
            .dir("/opt/lib", 0o755, 0, 0)
            .file("/opt/lib/libx.so.1", 0o444, 0, 0, &bytes);
    }),
    ("the program is replaced", |world| {
        let bytes = Elf::program(&["libc.so.7"]).bytes();
        world
            .remove("/usr/local/bin/program")
            .file("/usr/local/bin/program", 0o555, 0, 0, &bytes);
    }),
    ("a library is changed in its place", |world| {
        let bytes = Elf::library("libc.so.7", &["libm.so.5"]).bytes();
        world.file("/lib/libc.so.7", 0o444, 0, 0, &bytes);
    }),
    ("a link leads elsewhere", |world| {
        let bytes = Elf::library("libx.so.1", &[]).bytes();
        world.file("/usr/local/lib/libx.so.1.1", 0o444, 0, 0, &bytes);
        world
            .remove("/usr/local/lib/libx.so.1")
            .symlink("/usr/local/lib/libx.so.1", "libx.so.1.1");
    }),
    ("a library is gone", |world| {
        world.remove("/usr/local/lib/libx.so.1.0");
    }),
    ("libmap.conf is changed", |world| {
        world.file("/etc/libmap.conf", 0o644, 0, 0, b"libx.so.1 libm.so.5\n");
    }),
    ("libmap.d gets a file", |world| {
        world.file(
            "/usr/local/etc/libmap.d/x.conf",
            0o644,
            0,
            0,
            b"libx.so.1 libm.so.5\n",
        );
    }),
    ("the hints are changed", |world| {
        let list = ["/opt/lib".to_string()];
        world.file(
            "/var/run/ld-elf.so.hints",
            0o444,
            0,
            0,
            &jailrun::closure::hints::build(&list),
        );
    }),
    ("a pattern stands for more", |world| {
        let bytes = Elf::library("nss_x.so", &[]).bytes();
        world.file("/usr/lib/nss_x.so", 0o444, 0, 0, &bytes);
    }),
    ("a library becomes writable by others", |world| {
        let bytes = world.at("/lib/libc.so.7").unwrap().data.clone();
        world.file("/lib/libc.so.7", 0o446, 0, 0, &bytes);
    }),
    ("a directory becomes somebody's", |world| {
        let now = world.clock_ms;
        let inode = world.at("/usr/local/lib").unwrap();
        inode.uid = 1001;
        inode.ctime = (1_800_000_000 + i64::try_from(now / 1000).unwrap(), 0);
    }),
    ("a directory on the way becomes writable", |world| {
        let now = world.clock_ms;
        let inode = world.at("/usr/local").unwrap();
        inode.mode = 0o777;
        inode.ctime = (1_800_000_000 + i64::try_from(now / 1000).unwrap(), 0);
    }),
    ("a directory is another one of the same name", |world| {
        let bytes = Elf::library("libc.so.7", &["libm.so.5"]).bytes();
        world
            .remove("/lib")
            .dir("/lib", 0o755, 0, 0)
            .file("/lib/libc.so.7", 0o444, 0, 0, &bytes);
    }),
];

#[test]
fn whatever_changes_is_noticed() {
    for (what, change) in CHANGES {
        let (mut world, before) = warm();
        change(&mut world);
        let (words, _) = survey_as(&world, LINES, 0);
        let mut cold = world.clone();
        cold.remove(&directory());
        let (expected, _) = survey_as(&cold, LINES, 0);
        assert_eq!(words, expected, "{what}");
        assert_ne!(words, before, "{what}: the change changes nothing");
    }
}

#[test]
fn names_that_come_and_go_beside_the_way_change_nothing() {
    let (mut world, words) = warm();
    world
        .file("/var/run/x.pid", 0o644, 0, 0, b"1")
        .file("/etc/motd", 0o644, 0, 0, b"");
    world
        .file("/usr/local/bin/other", 0o555, 0, 0, b"")
        .dir("/x", 0o755, 0, 0);
    let (again, report) = survey_as(&world, LINES, 0);
    assert_eq!(again, words);
    assert!(!reads(&report));
}

/// The record, as text, and where it is.
fn record(world: &World) -> (String, String) {
    let place = world.place_at(&directory()).unwrap();
    let inode = &world.inodes[&place.inode];
    let (name, id) = inode.children.iter().next().unwrap();
    let text = String::from_utf8(world.inodes[id].data.clone()).unwrap();
    (format!("{}/{name}", directory()), text)
}

#[test]
fn a_record_that_is_damaged_or_wrong_is_never_believed() {
    let (world, words) = warm();
    let (path, text) = record(&world);
    let program = "needs\t/usr/local/bin/program\n";
    let mut wrong: Vec<String> = vec![
        String::new(),
        text.replace("jailrun closure 1", "jailrun closure 2"),
        text.replace("/usr/local/bin/program", "/usr/local/bin/other"),
        // A file that was never seen, or not as a file.
        text.replace(program, &format!("{program}needs\t/etc/master.passwd\n")),
        text.replace(program, &format!("{program}needs\t/opt/lib\n")),
        // One whose directories were never seen.
        text.replace(program, "file\t/srv/x\t1\t1\t1\t1\t1\n"),
        text.replace("searched\t/lib\t", "searched\t/lib\\00\t"),
        text.replace("searched\t", "passed\t")
            .replace("end\n", "more\n"),
        text.replace("native", "foreign"),
        format!("{text}{text}"),
        text.replace('\t', " "),
    ];
    let step = text.len() / 150;
    let cuts = (0..text.len()).step_by(step.max(1));
    wrong.extend(cuts.map(|cut| text.chars().take(cut).collect::<String>()));
    for content in wrong {
        assert_ne!(content, text);
        let mut damaged = world.clone();
        damaged.file(&path, 0o600, 0, 0, content.as_bytes());
        let (again, report) = survey_as(&damaged, LINES, 0);
        assert_eq!(again, words);
        assert!(reads(&report), "believed: {content}");
        // And put right.
        assert_eq!(record(&report.world).1, text);
    }
}

#[test]
fn a_record_that_others_could_have_written_is_not_read() {
    for (mode, uid) in [(0o622, 0), (0o600, 80)] {
        let (mut world, words) = warm();
        let (path, _) = record(&world);
        let inode = world.at(&path).unwrap();
        (inode.mode, inode.uid) = (mode, uid);
        let (again, report) = survey_as(&world, LINES, 0);
        assert_eq!(again, words);
        assert!(reads(&report));
    }
}

#[test]
fn records_are_kept_by_question_and_thrown_away_when_there_are_many() {
    let (mut world, _) = warm();
    let other = LINES.replace("nss_*", "ns_*");
    assert!(reads(&survey_as(&world, &other, 0).1));
    for number in 0..300 {
        let path = format!("{}/{number}", directory());
        world.file(&path, 0o600, 0, 0, b"");
    }
    let (_, report) = survey_as(&world, &other, 0);
    let place = report.world.place_at(&directory()).unwrap();
    assert_eq!(report.world.inodes[&place.inode].children.len(), 1);
}

#[test]
fn whatever_fails_while_a_record_is_read_or_kept_costs_time_only() {
    let (world, words) = warm();
    let mut cold = world.clone();
    cold.remove(&directory());
    for world in [world, cold] {
        let calls = survey_as(&world, LINES, 0).1.calls;
        let touches = |call: &&jailrun::sim::Call| call.detail.contains(".closures");
        let at: Vec<u64> = calls
            .iter()
            .filter(touches)
            .map(|call| call.number)
            .collect();
        assert!(!at.is_empty());
        for call in at {
            let caller = Caller {
                uid: 0,
                gid: 0,
                name: "root".to_string(),
                groups: Vec::new(),
            };
            let permit = authorize(profile(LINES), caller, Wish::default(), &[]).unwrap();
            let faults = Faults::none().fail(call, jailrun::kernel::Errno::EIO);
            let report = Sim::run(world.clone(), &Start::root(), faults, move |kernel| {
                i32::from(survey(kernel, &permit, BTreeMap::new(), Rulesets::Make).is_err())
            });
            assert_eq!(report.ending, Ending::Exited(0), "call {call}");
            assert_eq!(survey_as(&report.world, LINES, 0).0, words);
        }
    }
}
