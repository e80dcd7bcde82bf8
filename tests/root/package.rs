//! Which directories of a package its script gets, by what pkg(8) answers and by what the host has.

use super::*;
use jailrun::ctl::plan::{listing, simulated};
use jailrun::kernel::Ids;
use jailrun::pkg::{MOST, PKG};
use jailrun::request::Request;
use jailrun::run::run;
use jailrun::sim::{Behaviour, Report};

const SCRIPT: &str = "program = \"/bin/sh\"\nuser = \"root\"\n[jail]\nallow = [\"suser\"]\n\
    [root]\nclosure = \"off\"\nro = [\"/bin\", \"/lib\"]\nroot_writes = true\npackage = \"%i\"\n";

/// The packages web and other, and where what they have is.
fn host(lines: &str) -> World {
    let mut world = World::freebsd();
    world.package(
        "web",
        "1.2_3,1",
        &["/var/db/web", "/usr/local/share/web/empty"],
        &[
            "/usr/local/sbin/web",
            "/usr/local/etc/web/web.conf.sample",
            "/usr/local/share/web/a b.html",
            "/usr/local/share/web/sub/deep/x",
            "/usr/local/share/man/man8/web.8.gz",
        ],
    );
    world.package("other", "2", &[], &["/usr/local/share/other/x"]);
    for path in [
        "/var/db/web",
        "/usr/local/etc/web",
        "/usr/local/share/web/sub/deep",
        "/usr/local/share/man/man8",
    ] {
        world.dir(path, 0o755, 0, 0);
    }
    installed(&mut world, lines);
    world
}

fn installed(world: &mut World, lines: &str) {
    let places = "/usr/local/etc/jailrun/profiles";
    world.dir(places, 0o755, 0, 0);
    let text = format!("{lines}{END}");
    world.file(&format!("{places}/hook.toml"), 0o644, 0, 0, text.as_bytes());
}

fn asked(instance: Option<&str>) -> Request {
    Request {
        profile: "hook".to_string(),
        instance: instance.map(str::to_string),
        ..Request::default()
    }
}

/// What the script of the package web may write, and the lines about what it may not.
fn planned(world: &World) -> Result<(Vec<String>, Vec<String>), String> {
    let prepared = simulated(world.clone(), &asked(Some("web"))).map_err(|e| e.to_string())?;
    let writes = prepared.plan.writes().iter().map(|(path, _)| path.clone());
    let listing = listing(&prepared);
    let lines = listing.lines().map(str::trim);
    let left_out = lines.filter_map(|line| line.strip_prefix("left out of the package web: "));
    Ok((writes.collect(), left_out.map(str::to_string).collect()))
}

fn refused(world: &World) -> String {
    planned(world).unwrap_err()
}

const OWN: [&str; 3] = ["/usr/local/etc/web", "/usr/local/share/web", "/var/db/web"];
const SHARED: [&str; 2] = [
    "/usr/local/sbin is no directory of one package's",
    "/usr/local/share/man is no directory of one package's",
];

#[test]
fn a_package_has_the_directories_that_it_lists_or_has_files_in_and_shares_with_nobody() {
    let (writes, left_out) = planned(&host(SCRIPT)).unwrap();
    assert_eq!(writes, OWN);
    assert_eq!(left_out, SHARED);
}

#[test]
fn nothing_above_what_a_package_lists_is_granted_nor_what_another_has_anything_in() {
    for (change, writes, why) in [
        // A file of another's, however deep, and a directory of another's without any.
        (
            (|world: &mut World| {
                world.package("more", "1", &[], &["/usr/local/share/web/sub/deep/y/z"]);
            }) as fn(&mut World),
            &[OWN[0], OWN[2]][..],
            &[
                "/usr/local/share/web is more-1's too",
                "/usr/local/share/web/sub/deep is more-1's too",
            ][..],
        ),
        (
            |world| {
                world.package("more", "1", &["/var/db/web/plugins"], &[]);
            },
            &OWN[..2],
            &["/var/db/web is more-1's too"],
        ),
        (
            |world| {
                world.package("more", "1", &["/var/db/web"], &[]);
            },
            &OWN[..2],
            &["/var/db/web is more-1's too"],
        ),
        // Beside it, and above it.
        (
            |world| {
                world.package(
                    "more",
                    "1",
                    &["/var/db", "/var/db/web2"],
                    &["/var/db/web-x/y"],
                );
            },
            &OWN,
            &[],
        ),
        // Its own in another's stays its own.
        (
            |world| {
                world.packages.clear();
                let files = &["/usr/local/share/web/x", "/usr/local/share/web/sub/deep/x"];
                world.package("web", "1", &[], &files[1..]);
                world.package("more", "1", &[], &files[..1]);
            },
            &["/usr/local/share/web/sub/deep"],
            &[],
        ),
    ] {
        let mut world = host(SCRIPT);
        change(&mut world);
        let (found, left_out) = planned(&world).unwrap();
        assert_eq!(found, writes);
        for line in why {
            assert!(left_out.iter().any(|found| found == line), "{left_out:?}");
        }
    }
}

#[test]
fn a_directory_that_root_alone_could_not_have_made_is_left_out_and_said() {
    for (change, why) in [
        (
            (|world: &mut World| {
                world.dir("/var/db/web", 0o755, 80, 80);
            }) as fn(&mut World),
            "/var/db/web is not owned by root",
        ),
        (
            |world| {
                world.dir("/var/db/web", 0o775, 0, 80);
            },
            "/var/db/web is writable by others than root",
        ),
        (
            |world| world.at("/var/db/web").unwrap().extended_acl = true,
            "/var/db/web has an ACL",
        ),
        (
            |world| {
                world.remove("/var/db/web");
            },
            "/var/db/web: No such file or directory",
        ),
        (
            |world| {
                world.symlink("/var/db/web", "/etc");
            },
            "/var/db/web is a symbolic link",
        ),
        (
            |world| {
                world.file("/var/db/web", 0o644, 0, 0, b"x");
            },
            "/var/db/web: Not a directory",
        ),
    ] {
        let mut world = host(SCRIPT);
        change(&mut world);
        let (writes, left_out) = planned(&world).unwrap();
        assert_eq!(writes, OWN[..2], "{why}");
        assert!(left_out.iter().any(|line| line == why), "{left_out:?}");
    }
    // What leads there counts as much.
    let mut world = host(SCRIPT);
    world.dir("/var/db", 0o777, 0, 0);
    let (writes, left_out) = planned(&world).unwrap();
    assert_eq!(writes, OWN[..2]);
    let why = "/var/db is writable by others than root";
    assert!(left_out.iter().any(|line| line == why), "{left_out:?}");
}

#[test]
fn a_script_that_could_write_nothing_of_its_package_is_not_started() {
    let mut world = host(SCRIPT);
    world.packages.clear();
    world.package("web", "1", &[], &["/usr/local/sbin/web", "/etc/rc.d/web"]);
    let words = "the package web has no directory that its script may write (/etc/rc.d is no directory of one \
                 package's, /usr/local/sbin is no directory of one package's)";
    assert_eq!(refused(&world), words);
    world.packages.clear();
    world.package("web", "1", &[], &[]);
    let words = "the package web has no directory that its script may write";
    assert_eq!(refused(&world), words);
    world.packages.clear();
    let many: Vec<String> = (0..65)
        .map(|number| format!("/var/db/web{number}/x"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    world.package("web", "1", &[], &many);
    let words = "the package web has more than 64 directories: say which ones its script writes in rw, and \
                 package = \"\"";
    assert_eq!(refused(&world), words);
}

#[test]
fn what_the_profile_says_of_a_directory_holds() {
    let more = |lines: &str| host(&format!("{SCRIPT}{lines}\n"));
    let (writes, left_out) = planned(&more("rw = [\"/var/db/web\"]")).unwrap();
    assert_eq!(writes, [OWN[2], OWN[0], OWN[1]]);
    assert_eq!(left_out, SHARED);
    let mut world = more("rw = [\"/var/db/web\"]");
    world.packages.clear();
    world.package("web", "1", &["/var/db/web/sub"], &[]);
    assert_eq!(planned(&world).unwrap().0, [OWN[2]]);
    let mut world = more("");
    let lines = SCRIPT.replace(
        "\"/lib\"",
        "\"/lib\", \"/var/db/web\", \"/usr/local/share\"",
    );
    installed(&mut world, &lines);
    let (writes, left_out) = planned(&world).unwrap();
    assert_eq!(writes, OWN[..2]);
    let why = "/var/db/web is something else in the profile";
    assert!(left_out.iter().any(|line| line == why), "{left_out:?}");
    // None at all, where the profile says so: pkg isn't asked.
    let lines = SCRIPT.replace("\"%i\"", "\"\"\nrw = [\"/var/db/web\"]");
    let mut world = host(&lines);
    world.behaviour(PKG, Behaviour::Exit(70));
    assert_eq!(planned(&world).unwrap(), (vec![OWN[2].to_string()], vec![]));
}

/// Answers of pkg(8) to one question, for the package web.
#[test]
fn what_pkg_says_otherwise_than_it_should_grants_nothing() {
    let all = ["query", "-a", "%n-%v %D"];
    let (version, directories, files) = (
        ["query", "%n %v", "web"],
        ["query", "%D", "web"],
        ["query", "%Fp", "web"],
    );
    let which = ["which", "-qg", "/var/db/web/*"];
    for (words, said, status, why) in [
        (version, &b""[..], 1, "the package web is not installed"),
        (version, b"", 0, "the package web is not installed"),
        (version, b"web 1\n", 1, "pkg query %n %v web: status 1"),
        (version, b"", 3, "pkg query %n %v web: status 3"),
        (
            version,
            b"Web 1\n",
            0,
            "pkg query %n %v web: it answers \"Web 1\"",
        ),
        (
            version,
            b"web\n",
            0,
            "pkg query %n %v web: it answers \"web\"",
        ),
        (
            version,
            b"web \n",
            0,
            "pkg query %n %v web: it answers \"web \"",
        ),
        (
            version,
            b"web 1 2\n",
            0,
            "pkg query %n %v web: it answers \"web 1 2\"",
        ),
        (
            version,
            b"web-1 2\n",
            0,
            "pkg query %n %v web: it answers \"web-1 2\"",
        ),
        (
            version,
            b"web 1\nweb 2\n",
            0,
            "pkg query %n %v web: it knows several",
        ),
        (
            version,
            b"web 1",
            0,
            "pkg query %n %v web: its answer ends within a line",
        ),
        (
            version,
            b"web 1\x1b\n",
            0,
            "pkg query %n %v web: it answers \"web 1\\u{1b}\"",
        ),
        (directories, b"", 1, "pkg query %D web: status 1"),
        (
            directories,
            b"/var/db/web\n",
            1,
            "pkg query %D web: status 1",
        ),
        (
            directories,
            b"var/db/web\n",
            0,
            "pkg query %D web: \"var/db/web\" is no path",
        ),
        (directories, b"/\n", 0, "pkg query %D web: \"/\" is no path"),
        (directories, b"\n", 0, "pkg query %D web: \"\" is no path"),
        (
            directories,
            b"/var/db/web/../x\n",
            0,
            "pkg query %D web: \"/var/db/web/../x\" is no path",
        ),
        (
            directories,
            b"/var/db/web//x\n",
            0,
            "pkg query %D web: \"/var/db/web//x\" is no path",
        ),
        (
            directories,
            b"/var/db/\xff\n",
            0,
            "pkg query %D web: its answer is not UTF-8",
        ),
        (
            directories,
            b"/var/db/web\0\n",
            0,
            "pkg query %D web: it answers \"/var/db/web\\0\"",
        ),
        (files, b"", 2, "pkg query %Fp web: status 2"),
        (
            files,
            b"/var/db/web/./x\n",
            0,
            "pkg query %Fp web: \"/var/db/web/./x\" is no path",
        ),
        (all, b"", 1, "pkg query -a %n-%v %D: status 1"),
        (
            all,
            b"other-1\n",
            0,
            "pkg query -a %n-%v %D: it answers \"other-1\"",
        ),
        (
            all,
            b"other-1 x\n",
            0,
            "pkg query -a %n-%v %D: \"x\" is no path",
        ),
        (which, b"", 70, "pkg which -qg /var/db/web/*: status 70"),
    ] {
        let mut world = host(SCRIPT);
        world.says(&[&[PKG], &words[..]].concat(), said, status);
        let why = why.replacen(
            "pkg ",
            "/usr/local/sbin/pkg ",
            usize::from(why.starts_with("pkg ")),
        );
        assert_eq!(refused(&world), why, "{words:?} {said:?}");
    }
}

#[test]
fn a_pkg_that_is_absent_or_somebodys_or_dies_or_never_ends_or_never_stops_talking_grants_nothing() {
    let world = host(SCRIPT);
    let version = "/usr/local/sbin/pkg query %n %v web: ";
    for (change, why) in [
        (
            (|world: &mut World| {
                world.remove(PKG);
            }) as fn(&mut World),
            "/usr/local/sbin/pkg: No such file or directory".to_string(),
        ),
        (
            |world| {
                world.file(PKG, 0o775, 0, 0, b"x");
            },
            "/usr/local/sbin/pkg is writable by others than root".to_string(),
        ),
        (
            |world| {
                world.file(PKG, 0o755, 1001, 0, b"x");
            },
            "/usr/local/sbin/pkg is not owned by root".to_string(),
        ),
        (
            |world| {
                world.dir("/usr/local/sbin", 0o777, 0, 0);
            },
            "/usr/local/sbin is writable by others than root".to_string(),
        ),
        (
            |world| {
                world.file(PKG, 0o644, 0, 0, b"x");
            },
            format!("{version}status 71"),
        ),
        (
            |world| {
                world.behaviour(PKG, Behaviour::UntilSignal);
            },
            format!("{version}no answer in 30 s"),
        ),
        (
            |world| {
                world.behaviour(PKG, Behaviour::IgnoreTerm);
            },
            format!("{version}no answer in 30 s"),
        ),
        (
            |world| {
                let long = vec![b'x'; MOST + 1];
                world.says(&[PKG, "query", "%n %v", "web"], &long, 0);
                world.behaviour(PKG, Behaviour::UntilSignal);
            },
            format!("{version}an answer of more than {MOST} bytes"),
        ),
    ] {
        let mut world = world.clone();
        change(&mut world);
        let report = launch(&world, Start::root(), Some("web"));
        let said = format!("jailrun: hook: {why}");
        assert_eq!(report.world.stderr, [said]);
        assert_eq!(report.ending, Ending::Exited(78));
        assert!(report.stuck.is_empty());
        // Nothing of it runs any more, and nothing was made.
        let running = |pid: &i32| report.world.processes.contains_key(pid);
        let executed = report.world.executed.iter().map(|executed| executed.pid);
        assert!(!executed.clone().any(|pid| running(&pid)), "{why}");
        assert!(report.calls.iter().all(|call| call.name != "nmount"));
    }
}

fn launch(world: &World, start: Start, instance: Option<&'static str>) -> Report {
    Sim::run(world.clone(), &start, Faults::none(), move |kernel| {
        run(kernel, &asked(instance), &BTreeMap::new()).code()
    })
}

#[test]
fn pkg_is_run_as_root_with_nothing_of_ours_before_anything_is_changed_and_for_root_alone() {
    let world = host(SCRIPT);
    let report = launch(&world, Start::root(), Some("web"));
    assert_eq!(
        report.ending,
        Ending::Exited(0),
        "{:?}",
        report.world.stderr
    );
    let (last, asked) = report.world.executed.split_last().unwrap();
    assert_eq!(last.program, "/bin/sh");
    assert!(asked.len() > 4);
    for pkg in asked {
        assert_eq!(
            (pkg.program.as_str(), pkg.arguments[0].as_str()),
            (PKG, PKG)
        );
        assert_eq!((pkg.uid, pkg.jail), (Ids::all(0), None));
        assert_eq!((pkg.cwd.as_str(), pkg.environment.len()), ("/", 0));
        assert!(!pkg.signals_blocked && pkg.signals_ignored.is_empty());
        let fds: Vec<(i32, &str)> = pkg
            .fds
            .iter()
            .map(|(number, what)| (*number, what.as_str()))
            .collect();
        assert_eq!(fds, [(0, "/dev/null"), (1, "pipe"), (2, "/dev/null")]);
    }
    let first = |name: &str| report.calls.iter().position(|call| call.name == name);
    let executions = report.calls.iter().filter(|call| call.name == "execve");
    let last_asked = executions
        .map(|call| call.number)
        .nth(asked.len() - 1)
        .unwrap();
    assert!(first("nmount").unwrap() as u64 > last_asked);
    assert!(first("mkdirat").unwrap() as u64 > last_asked);

    let report = launch(&world, Start::user(1001, 1001), Some("web"));
    assert_eq!(report.world.stderr, ["jailrun: hook: not permitted"]);
    assert_eq!(report.ending, Ending::Exited(77));
    assert!(report.world.executed.is_empty());
    let report = launch(&world, Start::root(), None);
    assert_eq!(report.ending, Ending::Exited(78));
    assert!(report.world.stderr[0].contains("%i needs an instance (NAME@X)"));
    assert!(report.world.executed.is_empty());
}
