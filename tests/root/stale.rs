//! What running instances hold and the host has replaced, as jailrunctl(8) tells of it.

use super::*;
use jailrun::ctl::stale::report;
use jailrun::kernel::{At, Fd, JailValue, Kernel, Lock, Open, Unlink};
use jailrun::pkg::PKG;
use jailrun::sim::Behaviour;

/// Status, standard output, standard error.
type Said = (i32, String, String);

/// An instance as its journal tells of it: what it is, and whether somebody runs it.
struct Instance {
    label: &'static str,
    head: &'static str,
    is_held: bool,
}

const WWW: Instance = Instance {
    label: "www",
    head: "instance www www service 0 1 1 0",
    is_held: true,
};

/// Writes a journal that holds three files, and takes its lock.
fn hold(kernel: &mut Sim, instance: &Instance) -> Fd {
    write_journal(kernel, instance, &["same", "new", "gone"])
}

fn write_journal(kernel: &mut Sim, instance: &Instance, names: &[&str]) -> Fd {
    let mut journal = format!("jailrun journal 1\nboot b\n{}\n", instance.head);
    for name in names {
        let path = format!("/srv/{name}");
        let inode = kernel.lstatat(At::Cwd, &path).unwrap().inode;
        journal.push_str(&format!("holds {inode} {path}\n"));
    }
    journal.push_str("begun\nstate running 5 6 7\n");
    let path = format!("/var/run/jailrun/{}/journal", instance.label);
    let how = Open::ReadWriteCreate(0o600);
    let fd = kernel.openat(At::Cwd, &path, how).unwrap();
    kernel.write(fd, journal.as_bytes()).unwrap();
    if instance.is_held {
        kernel.flock(fd, Lock::Exclusive).unwrap();
    }
    fd
}

/// One file is replaced and one removed, and then it is asked.
fn told(mut world: World, instances: &'static [Instance], is_json: bool) -> Said {
    for name in ["same", "new", "gone"] {
        world.file(&format!("/srv/{name}"), 0o644, 0, 0, b"");
    }
    for instance in instances {
        world.dir(&format!("/var/run/jailrun/{}", instance.label), 0o700, 0, 0);
    }
    let answer = Arc::new(Mutex::new(None));
    let told = Arc::clone(&answer);
    let ended = Sim::run(world, &Start::root(), Faults::none(), move |kernel| {
        let held: Vec<Fd> = instances.iter().map(|one| hold(kernel, one)).collect();
        for name in ["new", "gone"] {
            let path = format!("/srv/{name}");
            kernel.unlinkat(At::Cwd, &path, Unlink::File).unwrap();
        }
        let new = kernel.openat(At::Cwd, "/srv/new", Open::CreateNew(0o644));
        kernel.close(new.unwrap()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = report(kernel, is_json, &mut out, &mut err).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        *told.lock().unwrap() = Some((status, text(out), text(err)));
        held.into_iter().for_each(|fd| kernel.close(fd).unwrap());
        0
    });
    assert_eq!(ended.ending, Ending::Exited(0));
    let open = |call: &&jailrun::sim::Call| {
        ["openat", "pipe", "kqueue"].contains(&call.name)
            && call.refused.is_none()
            && call.pid == ended.pid
    };
    let opened: usize = ended
        .calls
        .iter()
        .filter(open)
        .map(|call| if call.name == "pipe" { 2 } else { 1 })
        .sum();
    let closed = ended.calls.iter();
    let closed = closed.filter(|call| call.name == "close" && call.pid == ended.pid);
    assert_eq!(opened, closed.count(), "descriptors are left open");
    answer.lock().unwrap().take().unwrap()
}

fn with_pkg(status: i32) -> World {
    let mut world = World::freebsd();
    world.file(PKG, 0o755, 0, 0, b"\x7fELF");
    world.behaviour(PKG, Behaviour::Exit(status));
    world
}

#[test]
fn files_that_a_running_instance_holds_and_the_host_has_replaced_are_stale() {
    assert_eq!(
        told(with_pkg(1), &[WWW], false),
        (
            1,
            "www: /srv/new replaced, of no package; run: service jailrun onerestart www\n\
             www: /srv/gone gone, of no package; run: service jailrun onerestart www\n"
                .to_string(),
            String::new()
        )
    );
}

#[test]
fn nothing_that_nobody_runs_is_stale() {
    const LEFT: Instance = Instance {
        is_held: false,
        ..WWW
    };
    let nothing = |is_json| told(with_pkg(1), &[LEFT], is_json);
    assert_eq!(nothing(false), (0, String::new(), String::new()));
    assert_eq!(nothing(true), (0, "[]\n".to_string(), String::new()));
}

#[test]
fn what_nobody_can_know_is_no_good_news() {
    let mut world = with_pkg(1);
    world.dir("/var/run/jailrun/www", 0o700, 0, 0);
    let ended = Sim::run(world, &Start::root(), Faults::none(), |kernel| {
        let parameters = vec![
            ("name".to_string(), JailValue::Text("jailrun-www".into())),
            (
                "path".to_string(),
                JailValue::Text("/var/run/jailrun/www".into()),
            ),
            ("persist".to_string(), JailValue::Flag),
        ];
        let jail = kernel.jail_create(&parameters).unwrap();
        for (journal, status) in [(false, 1), (true, 0)] {
            let held = journal.then(|| write_journal(kernel, &WWW, &[]));
            let (mut out, mut err) = (Vec::new(), Vec::new());
            assert_eq!(report(kernel, false, &mut out, &mut err).unwrap(), status);
            let said = "jailrunctl: stale: www: its journal is lost, and what it holds isn't known: start it \
                        anew\n";
            assert_eq!(out, b"");
            assert_eq!(
                String::from_utf8(err).unwrap(),
                if journal { "" } else { said }
            );
            held.into_iter().for_each(|fd| kernel.close(fd).unwrap());
        }
        kernel.close(jail.descriptor).unwrap();
        0
    });
    assert_eq!(ended.ending, Ending::Exited(0));
}

#[test]
fn without_pkg_it_is_said_that_packages_are_not_known() {
    for (world, why) in [
        (
            World::freebsd(),
            "/usr/local/sbin/pkg: No such file or directory",
        ),
        (
            with_pkg(75),
            "/usr/local/sbin/pkg which -q /srv/new: status 75",
        ),
    ] {
        let (status, out, err) = told(world, &[WWW], true);
        assert_eq!(status, 1);
        assert!(
            out.starts_with(
                "[{\"instance\": \"www\", \"profile\": \"www\", \"path\": \"/srv/new\", \
                 \"state\": \"replaced\", \"package\": null, \
                 \"restart\": \"service jailrun onerestart www\"}, "
            ),
            "{out}"
        );
        // Asked once, and not for each file.
        assert_eq!(
            err,
            format!("jailrunctl: stale: packages aren't known: {why}\n")
        );
    }
}

/// Whoever could put a pkg there would be root.
#[test]
fn a_pkg_that_others_can_write_is_not_run() {
    let mut world = with_pkg(1);
    world.file(PKG, 0o777, 0, 0, b"\x7fELF");
    let (_, _, err) = told(world, &[WWW], false);
    assert_eq!(
        err,
        "jailrunctl: stale: packages aren't known: /usr/local/sbin/pkg is writable by others than root\n"
    );
}

#[test]
fn it_is_said_who_has_to_be_restarted() {
    const ALL: [Instance; 4] = [
        Instance {
            label: "web-nginx",
            head: "instance web-nginx web service 0 1 1 0",
            is_held: true,
        },
        Instance {
            label: "web-blue",
            head: "instance web-blue web service 0 1 1 0",
            is_held: true,
        },
        Instance {
            label: "web+9",
            head: "instance web+9 web one-off 1001 1 1 0",
            is_held: true,
        },
        Instance {
            label: "web-own",
            head: "instance web-own web service 1001 1 1 0",
            is_held: true,
        },
    ];
    let mut world = with_pkg(1);
    world.symlink("/usr/local/libexec/jailrun/web@nginx", "../../bin/jailrun");
    let (_, out, _) = told(world, &ALL, false);
    for line in [
        "web-nginx: /srv/new replaced, of no package; run: service nginx restart",
        "web-blue: /srv/new replaced, of no package; run: service jailrun onerestart web@blue",
        "web+9: /srv/new replaced, of no package; uid 1001 runs it",
        "web-own: /srv/new replaced, of no package; uid 1001 runs it",
    ] {
        assert!(out.lines().any(|said| said == line), "{line}\n{out}");
    }
}
