//! The package by pkg(8) itself: made from port/pkg-plist and the port's scripts, installed, upgraded with
//! its services running, and deleted. On a host that has pkg; samples only where the ports tree says what
//! `@sample` is.

use crate::fixture::{Host, INETD};
use crate::installed::{here, sh, stage, until};
use std::path::Path;

const PKG: &str = "/usr/local/sbin/pkg";
const SAMPLE: &str = "/usr/ports/Keywords/sample.ucl";
const MADE: &str = "/tmp/jrtest-pkg";
const SCRIPT: &str = "/usr/local/etc/rc.d/jrtest_svc";
/// What the hook's script writes, and pkg doesn't list.
const LEFT: &str = "/var/db/jrtest_hook /var/db/jrtest_nobody /usr/local/etc/jrtest_hook /usr/local/etc/jrtest_new \
                    /usr/local/share/jrtest_hook";
const PROFILE: &str = "/usr/local/etc/jailrun/profiles/jrtest_svc.toml";

/// A host on which pkg installed jailrun. What pkg made goes with it, before the host is compared.
struct Packaged {
    host: Option<Host>,
    directories: String,
}

impl Packaged {
    fn with_inetd() -> Option<Packaged> {
        if !Path::new(PKG).exists() {
            println!("SKIP real_wrap pkg: needs pkg(8) at {PKG}");
            return None;
        }
        let directories = sh("find -x /usr/local -type d");
        let install = || {
            make("1");
            make("2");
            sh(&format!("pkg add {MADE}/jailrun-1.pkg"));
        };
        let host = Some(Host::installed_by(install, &INETD, None)?);
        Some(Packaged { host, directories })
    }

    fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    /// pkg removes directories that are empty, also those that were so before.
    fn restore_directories(&self) {
        sh(&format!("mkdir -p {}", self.directories.replace('\n', " ")));
    }

    fn leaves_nothing(mut self) {
        sh(&format!("rm -rf {MADE}"));
        self.restore_directories();
        self.host.take().unwrap().leaves_nothing();
    }
}

impl Drop for Packaged {
    fn drop(&mut self) {
        if self.host.is_some() {
            sh(&format!(
                "rm -rf {MADE} {PROFILE}; jail -r jrtest; for name in jrtest_svc jrtest_hook jrtest_other jailrun; do \
                 pkg delete -qyf $name; done; rm -rf {LEFT}; true"
            ));
            self.restore_directories();
        }
    }
}

/// A package from what is staged, with its scripts by their names.
fn package(name: &str, version: &str, list: &str, scripts: &[(&str, &str)]) {
    let fields = format!(
        "name: {name}\nversion: \"{version}\"\norigin: sysutils/{name}\ncomment: a test\n\
         maintainer: ports@FreeBSD.org\nwww: \"https://www.FreeBSD.org\"\nprefix: /usr/local\n\
         desc: a test\n"
    );
    sh(&format!("rm -rf {MADE}/meta; mkdir -p {MADE}/meta"));
    std::fs::write(format!("{MADE}/meta/+MANIFEST"), fields).unwrap();
    std::fs::write(format!("{MADE}/plist"), list).unwrap();
    for (script, text) in scripts {
        std::fs::write(format!("{MADE}/meta/{script}"), text).unwrap();
    }
    sh(&format!(
        "cd {MADE} && pkg create -f tar -m meta -p plist -r stage -o . && rm -r stage meta plist"
    ));
}

/// As the ports tree does it.
fn make(version: &str) {
    sh(&format!("mkdir -p {MADE}/stage"));
    stage(&format!("{MADE}/stage"));
    sh(&format!("gzip {MADE}/stage/usr/local/share/man/man?/*"));
    let mut list = std::fs::read_to_string(here("port/pkg-plist")).unwrap();
    if !Path::new(SAMPLE).exists() {
        println!("SKIP real_wrap pkg's samples: need {SAMPLE}");
        list = list.replace("@sample ", "");
    }
    let script = std::fs::read_to_string(here("port/files/pkg-deinstall.in")).unwrap();
    let script = script.replace("%%PREFIX%%", "/usr/local");
    package("jailrun", version, &list, &[("+DEINSTALL", &script)]);
}

/// Another package, with a service.
fn make_service(version: &str) {
    let files = format!("{MADE}/stage/usr/local");
    sh(&format!(
        "mkdir -p {files}/etc/rc.d {files}/sbin; echo '# PROVIDE: jrtest_svc' >{MADE}/stage{SCRIPT}; \
         chmod 755 {MADE}/stage{SCRIPT}; cp /bin/sleep {files}/sbin/jrtest_svc"
    ));
    package(
        "jrtest_svc",
        version,
        "etc/rc.d/jrtest_svc\nsbin/jrtest_svc\n",
        &[],
    );
}

/// What jailrun's trigger says in a transaction.
fn told(transaction: &str) -> Vec<String> {
    let said = sh(&format!("{transaction} 2>&1"));
    let lines = said.lines().filter(|line| line.starts_with("jailrun"));
    lines.map(str::to_string).collect()
}

const OFFER: &str = "jailrun has a profile for the service jrtest_svc. To see what it grants: jailrunctl plan jrtest_svc";

#[test]
fn a_package_made_by_the_list_has_its_modes_and_samples_and_is_what_pkg_installed() {
    let Some(packaged) = Packaged::with_inetd() else {
        return;
    };
    let stat = sh("stat -f '%Sp %Su %Sg' /usr/local/bin/jailrun /usr/local/sbin/jailrunctl");
    assert_eq!(stat, "-r-sr-xr-x root wheel\n-r-xr-xr-x root wheel");
    assert_eq!(
        sh("cd /usr/local && find -x . -perm +6000"),
        "./bin/jailrun"
    );
    sh("pkg check -qs jailrun");
    // What was changed would be seen.
    let seen = "chmod 755 /usr/local/bin/jailrun; echo >>/usr/local/share/jailrun/offer; \
                ! pkg check -qs jailrun";
    let seen = sh(&format!("{seen} 2>&1"));
    assert!(seen.contains("/usr/local/share/jailrun/offer"), "{seen}");
    sh(&format!(
        "pkg add -qf {MADE}/jailrun-1.pkg && pkg check -qs jailrun"
    ));
    assert_eq!(sh("stat -f %Mp%Lp /usr/local/bin/jailrun"), "4555");
    let samples = Path::new(SAMPLE).exists();
    for place in ["newsyslog.conf.d", "syslog.d"] {
        let sample = format!("/usr/local/etc/{place}/jailrun.conf");
        assert_eq!(Path::new(&sample).exists(), samples, "{sample}");
    }
    if samples {
        sh("echo '# ours' >>/usr/local/etc/syslog.d/jailrun.conf");
    }
    sh("pkg delete -qy jailrun");
    let left = sh("find /usr/local -name '*jailrun*'");
    let ours = if samples {
        "/usr/local/etc/syslog.d/jailrun.conf"
    } else {
        ""
    };
    assert_eq!(left, ours);
    sh("rm -f /usr/local/etc/syslog.d/jailrun.conf");
    packaged.leaves_nothing();
}

#[test]
fn the_trigger_offers_what_came_and_tells_what_is_stale_and_edits_nothing() {
    let Some(packaged) = Packaged::with_inetd() else {
        return;
    };
    let service = "include = [\"base\"]\nprogram = \"/usr/local/sbin/jrtest_svc\"\n\
                   args = [\"1000\"]\nuser = \"nobody\"\n";
    std::fs::write(PROFILE, service).unwrap();
    make_service("1");
    make_service("2");
    let configured =
        || sh("find /etc /usr/local/etc/rc.conf.d -type f -exec md5 {} + 2>/dev/null | sort");
    let before = configured();
    assert_eq!(told(&format!("pkg add {MADE}/jrtest_svc-1.pkg")), [OFFER]);
    sh("jailrun -d jrtest_svc");
    let stale = told(&format!("pkg add -f {MADE}/jrtest_svc-2.pkg"));
    let words = "jailrun: jrtest_svc: /usr/local/sbin/jrtest_svc replaced, of jrtest_svc-2; \
                 run: service jailrun onerestart jrtest_svc";
    assert_eq!(stale, [OFFER, words]);
    sh("jailrunctl stop jrtest_svc; pkg delete -qy jrtest_svc");
    // A jail has its own services, and so has an image; neither is told of this host's.
    let jailed = told(&format!(
        "jail -c name=jrtest path=/ command={PKG} add {MADE}/jrtest_svc-1.pkg"
    ));
    assert_eq!(jailed, [""; 0]);
    assert!(Path::new(SCRIPT).exists());
    sh("pkg delete -qy jrtest_svc");
    let root = format!("{MADE}/root");
    for name in ["jailrun", "jrtest_svc"] {
        // There is no system in it, whose libraries pkg would find.
        let add = format!("mkdir -p {root}; pkg -r {root} -o ALLOW_BASE_SHLIBS=yes add -M");
        assert_eq!(
            told(&format!("{add} {MADE}/{name}-1.pkg")),
            [""; 0],
            "{name}"
        );
    }
    assert!(Path::new(&format!("{root}{SCRIPT}")).exists());
    packaged.host().wrap();
    sh(&format!("pkg -r {root} delete -qy jailrun"));
    assert!(!Path::new(&format!("{root}/usr/local/bin/jailrun")).exists());
    assert!(Path::new(&packaged.host().link()).is_symlink());
    sh("jailrunctl unwrap inetd");
    assert_eq!(configured(), before);
    std::fs::remove_file(PROFILE).unwrap();
    sh("pkg delete -qy jailrun");
    packaged.leaves_nothing();
}

#[test]
fn an_upgrade_by_pkg_keeps_services_wrapped_and_running_and_a_deletion_unwraps_them() {
    let Some(packaged) = Packaged::with_inetd() else {
        return;
    };
    let host = packaged.host();
    host.wrap();
    host.does("start");
    let supervisor = host.supervisor();
    let old = sh("stat -f %i /usr/local/bin/jailrun");
    sh(&format!(
        "cd {MADE} && mkdir repos && pkg repo . >/dev/null && \
         echo 'jrtest: {{ url: \"file://{MADE}\" }}' >repos/jrtest.conf"
    ));
    let version = || sh("pkg query %v jailrun");
    for (transaction, then) in [
        (format!("pkg add -qf {MADE}/jailrun-1.pkg"), "1"),
        (
            format!("pkg -o REPOS_DIR={MADE}/repos upgrade -qy -r jrtest jailrun"),
            "2",
        ),
    ] {
        sh(&transaction);
        assert_eq!(version(), then);
        assert_ne!(sh("stat -f %i /usr/local/bin/jailrun"), old);
        assert_eq!(host.supervisor(), supervisor, "{transaction}");
        host.does("status");
        assert!(host.inside().contains("inetd") && host.outside().is_empty());
    }
    host.does("reload");
    host.does("restart");
    assert_ne!(host.supervisor(), supervisor);
    assert!(host.inside().contains("inetd") && host.outside().is_empty());
    let supervisor = host.supervisor();
    let said = sh("pkg delete -y jailrun 2>&1");
    let running = format!("kill {supervisor} stops it");
    assert!(
        said.contains("inetd: is not wrapped any more") && said.contains(&running),
        "{said}"
    );
    assert!(!Path::new(&host.link()).is_symlink());
    // Its jail stands until its end, also without the program that made it.
    assert!(host.inside().contains("inetd"), "{}", host.inside());
    sh(&format!("kill {supervisor}"));
    until("its end", || sh("jls name").is_empty());
    packaged.leaves_nothing();
}

#[test]
fn a_deletion_that_pkg_calls_an_upgrade_leaves_a_service_that_doesnt_start_and_says_so() {
    let Some(packaged) = Packaged::with_inetd() else {
        return;
    };
    let host = packaged.host();
    host.wrap();
    // As it is for whatever is deleted after an upgrade in the same transaction.
    let said = sh("env PKG_UPGRADE=true pkg delete -y jailrun 2>&1");
    let words = "jailrun: inetd is still wrapped, and won't start until jailrun is installed again or \
                 /usr/local/etc/rc.conf.d/inetd loses jailrun's block";
    assert!(said.contains(words), "{said}");
    let start = host.verb("start");
    assert_ne!(start.status, 0, "{}", start.text);
    assert_eq!(host.outside(), "");
    sh(&format!("pkg add -q {MADE}/jailrun-1.pkg"));
    host.does("start");
    assert!(host.inside().contains("inetd") && host.outside().is_empty());
    host.does("stop");
    sh("pkg delete -y jailrun");
    packaged.leaves_nothing();
}

#[test]
fn an_upgrade_in_two_steps_leaves_the_service_running_and_the_new_version_looks_after_it() {
    let Some(packaged) = Packaged::with_inetd() else {
        return;
    };
    let host = packaged.host();
    host.wrap();
    host.does("start");
    let supervisor = host.supervisor();
    // As pkg has it where the new version can't be laid over the old one: both scripts are told of an upgrade.
    let said = sh("env PKG_UPGRADE=true pkg delete -y jailrun 2>&1");
    assert!(said.contains("jailrun: inetd is still wrapped"), "{said}");
    assert!(!Path::new("/usr/local/bin/jailrun").exists());
    assert!(host.inside().contains("inetd"), "{}", host.inside());
    sh(&format!("pkg add -q {MADE}/jailrun-2.pkg"));
    assert_eq!(host.supervisor(), supervisor);
    for verb in ["status", "reload"] {
        host.does(verb);
        assert_eq!(host.supervisor(), supervisor, "{verb}");
    }
    host.does("restart");
    let restarted = host.supervisor();
    assert_ne!(restarted, supervisor);
    assert!(host.inside().contains("inetd") && host.outside().is_empty());
    // A deletion by hand unwraps it; what still runs is the next installation's to stop and to wrap.
    sh("pkg delete -qy jailrun");
    assert!(host.inside().contains("inetd"), "{}", host.inside());
    sh(&format!("pkg add -q {MADE}/jailrun-1.pkg"));
    assert_eq!(host.verb("status").status, 1);
    assert!(sh("jailrunctl list").contains("inetd"));
    sh("jailrunctl stop inetd && ! jls -q name | grep inetd");
    host.wrap();
    host.does("start");
    assert!(host.inside().contains("inetd") && host.outside().is_empty());
    host.does("stop");
    sh("pkg delete -y jailrun");
    packaged.leaves_nothing();
}

/// What a package's script tries, and where it writes down what came of it.
const TRIES: &str = r#"
    log=/var/db/jrtest_hook/log
    exec >>$log 2>/dev/null
    echo "as $(id -u) in $(sysctl -n security.jail.jailed)"
    for directory in /usr/local/etc/jrtest_hook /usr/local/etc/jrtest_new /usr/local/share/jrtest_hook/sub \
        /usr/local/etc /usr/local/share /usr/local/share/jrtest_shared /usr/local/share/jrtest_other \
        /usr/local/etc/rc.d /usr/local/sbin /var/db /var/db/pkg /var/db/jrtest_nobody /etc /bin \
        /var/db/jrtest_hook/..; do
        (echo text >$directory/jrtest_wrote) && echo "wrote $directory"
    done
    nc -z -w 2 127.0.0.1 13 && echo "reached the network"
    mkdir -p /var/db/jrtest_hook/made && chown www:www /var/db/jrtest_hook/made && echo "made a directory"
"#;

/// A package that has some of everything, and another that has a file in a directory of its.
fn make_hook(version: &str, more: &str) {
    let files = format!("{MADE}/stage/usr/local");
    let staged = |name: &str, paths: &str| {
        sh(&format!(
            "for path in {paths}; do mkdir -p $(dirname {files}/$path); echo {name} >{files}/$path; done; \
             mkdir -p {MADE}/stage/var/db/jrtest_hook {MADE}/stage/var/db/jrtest_nobody"
        ));
        paths.replace(' ', "\n")
    };
    let own = "etc/jrtest_hook/conf.sample share/jrtest_hook/sub/x share/jrtest_shared/hook sbin/jrtest_hook";
    let list = staged("jrtest_hook", &format!("{own}{more}"));
    let list =
        format!("{list}\n@dir /var/db/jrtest_hook\n@dir(nobody,,750) /var/db/jrtest_nobody\n");
    let script = format!(
        "echo \"== $2\"\n/usr/local/bin/jailrun pkg-script@jrtest_hook /bin/sh -c '{TRIES}'\necho \"ended $?\"\n"
    );
    let scripts = [
        ("+INSTALL", script.as_str()),
        ("+DEINSTALL", script.as_str()),
    ];
    package("jrtest_hook", version, &list, &scripts);
    let list = staged(
        "jrtest_other",
        "share/jrtest_shared/other share/jrtest_other/x",
    );
    package("jrtest_other", version, &format!("{list}\n"), &[]);
}

/// What the script's log has since the last time.
fn logged() -> Vec<String> {
    let log = "/var/db/jrtest_hook/log";
    let text = sh(&format!(
        "cat {log} && rm -r {log} /var/db/jrtest_hook/made"
    ));
    text.lines().map(str::to_string).collect()
}

/// The phases in which jailrun ran the script, and those in which it refused.
fn phases(said: &str) -> Vec<(String, &str)> {
    let mut phases = Vec::new();
    for phase in said.split("== ").skip(1) {
        let name = phase.lines().next().unwrap_or_default().to_string();
        let is_absent =
            phase.contains("jailrun: pkg-script: the package jrtest_hook is not installed\n");
        let how = match phase {
            _ if phase.contains("ended 0\n") && !is_absent => "ran",
            _ if phase.contains("ended 78\n") && is_absent => "not installed",
            _ => "?",
        };
        phases.push((name, how));
    }
    phases
}

#[test]
fn a_packages_script_writes_what_pkg_lists_for_it_alone_and_nothing_above_or_of_another() {
    let Some(packaged) = Packaged::with_inetd() else {
        return;
    };
    let host = packaged.host();
    host.does("start");
    // So that the script would reach somebody.
    sh("nc -z -w 5 127.0.0.1 13");
    make_hook("1", "");
    make_hook("2", " etc/jrtest_new/x");
    sh(&format!("pkg add -q {MADE}/jrtest_other-1.pkg"));
    let said = sh(&format!("pkg add {MADE}/jrtest_hook-1.pkg 2>&1"));
    let is = |phase: &str, how: &'static str| (phase.to_string(), how);
    assert_eq!(
        phases(&said),
        [
            is("PRE-INSTALL", "not installed"),
            is("POST-INSTALL", "ran")
        ],
        "{said}"
    );
    let wrote = |directory: &str| format!("wrote {directory}");
    let [etc, new, share] = ["etc/jrtest_hook", "etc/jrtest_new", "share/jrtest_hook/sub"]
        .map(|below| wrote(&format!("/usr/local/{below}")));
    let [first, last] = ["as 0 in 1", "made a directory"].map(str::to_string);
    // In its own directory "..", too, is of its own root.
    let expected = [&first, &etc, &share, &last];
    assert_eq!(logged().iter().collect::<Vec<_>>(), expected);
    let plan = sh("jailrunctl plan --instance jrtest_hook pkg-script");
    for line in [
        "it may write /usr/local/share/jrtest_hook/sub, alone",
        "left out of the package jrtest_hook: /usr/local/sbin is no directory of one package's",
        "left out of the package jrtest_hook: /usr/local/share/jrtest_shared is jrtest_other-1's too",
        "left out of the package jrtest_hook: /var/db/jrtest_nobody is not owned by root",
    ] {
        assert!(
            plan.lines().any(|known| known.trim() == line),
            "{line}: {plan}"
        );
    }
    // What the new version lists, pkg knows when its script runs.
    sh(&format!(
        "cd {MADE} && mkdir repos && pkg repo . >/dev/null && \
         echo 'jrtest: {{ url: \"file://{MADE}\" }}' >repos/jrtest.conf"
    ));
    let said = sh(&format!(
        "pkg -o REPOS_DIR={MADE}/repos upgrade -y -r jrtest jrtest_hook 2>&1"
    ));
    assert_eq!(sh("pkg query %v jrtest_hook"), "2", "{said}");
    let ran = phases(&said);
    assert_eq!(ran.last(), Some(&is("POST-INSTALL", "ran")), "{said}");
    let log = logged();
    assert!(
        log.ends_with(&[first.clone(), etc.clone(), new, share, last]),
        "{log:?}"
    );
    assert!(!log.iter().any(|line| line.contains("shared")), "{log:?}");
    // Its files are gone at last, and what pkg doesn't list is there.
    let said = sh("pkg delete -y jrtest_hook 2>&1");
    assert_eq!(
        phases(&said),
        [is("DEINSTALL", "ran"), is("POST-DEINSTALL", "ran")],
        "{said}"
    );
    host.does("stop");
    sh(&format!(
        "pkg delete -qy jrtest_other; rm -rf {LEFT}; pkg delete -qy jailrun"
    ));
    packaged.leaves_nothing();
}
