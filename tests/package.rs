//! The package: what `make install` installs is what port/pkg-plist lists, and its scripts do nothing
//! where there is nothing to do. What they would run are stand-ins, which write down how they were called.
#![expect(clippy::disallowed_methods, reason = "a test runs programs")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The checkout: where cargo, or the runner on another host, says that it is.
fn here(below: &str) -> PathBuf {
    let there = std::env::var_os("CARGO_MANIFEST_DIR");
    there
        .map_or(env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
        .join(below)
}

/// A directory of the test's own.
struct Stage(PathBuf);

impl Stage {
    fn new(name: &str) -> Stage {
        let place = std::env::temp_dir().join(format!("jailrun-{}-{name}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        Stage(place)
    }

    fn path(&self, below: &str) -> String {
        self.0.join(below).display().to_string()
    }

    fn file(&self, below: &str, text: &str) -> String {
        let path = self.0.join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// What the stand-ins wrote down since the last time.
    fn calls(&self) -> String {
        let log = self.0.join("log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        text
    }

    fn jailrunctl(&self, status: u8) {
        let log = self.path("log");
        let text = format!("#!/bin/sh\necho \"jailrunctl $*\" >>{log}\nexit {status}\n");
        self.file("sbin/jailrunctl", &text);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Status and both outputs.
fn ended(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let status = output.status.code().unwrap_or(-1);
    (status, String::from_utf8_lossy(&text).into_owned())
}

fn files(top: &Path, below: &Path, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            files(top, &path, found);
        } else {
            let name = path.strip_prefix(top).unwrap().display().to_string();
            found.insert(name, about.permissions().mode() & 0o7777);
        }
    }
}

#[test]
fn the_list_of_the_package_is_what_make_installs_with_the_modes_that_it_names() {
    let stage = Stage::new("plist");
    for program in ["jailrun", "jailrunctl", "libjailrun_preopen.so"] {
        stage.file(&format!("built/{program}"), "#!/bin/sh\necho \"$*\"\n");
    }
    let mut make = Command::new("make");
    make.arg("-C").arg(here("")).arg("install-files").args([
        format!("BUILT={}", stage.path("built")),
        format!("DESTDIR={}", stage.path("root")),
        format!("STAGE={}", stage.path("stage")),
        "PREFIX=/opt/jr".to_string(),
    ]);
    if Command::new("make").arg("--version").output().is_err() {
        println!("SKIP package: needs make");
        return;
    }
    let (status, text) = ended(&mut make);
    assert_eq!(status, 0, "{text}");
    let top = stage.0.join("root/opt/jr");
    let mut installed = BTreeMap::new();
    files(&top, &top, &mut installed);

    let plist = fs::read_to_string(here("port/pkg-plist")).unwrap();
    let mut listed = Vec::new();
    for line in plist.lines().filter(|line| !line.starts_with("@dir ")) {
        let (keyword, path) = line.split_once(' ').unwrap_or(("", line));
        // The ports tree compresses manual pages after they are installed.
        let path = path.strip_suffix(".gz").unwrap_or(path);
        let mode = installed.get(path).copied();
        match keyword.strip_prefix("@(root,wheel,") {
            Some(rest) => {
                let wanted = u32::from_str_radix(rest.trim_end_matches(')'), 8).unwrap();
                assert_eq!(mode, Some(wanted), "{path}");
            }
            None => assert!(["", "@sample"].contains(&keyword), "{line}"),
        }
        listed.push(path.to_string());
    }
    listed.sort();
    assert_eq!(listed, installed.keys().cloned().collect::<Vec<_>>());
    for line in plist.lines().filter_map(|line| line.strip_prefix("@dir ")) {
        assert!(top.join(line).is_dir(), "{line}");
    }
    let setuid = installed.values().filter(|mode| **mode & 0o6000 != 0);
    assert_eq!(setuid.count(), 1);

    for (shell, path) in [
        ("bash", "bash-completion/completions/jailrunctl"),
        ("fish", "fish/vendor_completions.d/jailrunctl.fish"),
        ("zsh", "zsh/site-functions/_jailrunctl"),
    ] {
        let text = fs::read_to_string(top.join("share").join(path)).unwrap();
        assert_eq!(text, format!("completions {shell}\n"));
    }

    // What is installed names the prefix that it is installed to, and no other.
    for name in ["share/jailrun/offer", "share/pkg/triggers/jailrun.ucl"] {
        let text = fs::read_to_string(top.join(name)).unwrap();
        assert!(text.contains("\"/opt/jr"), "{name}");
        assert!(!text.contains("/usr/local"), "{name}: {text}");
    }
}

#[test]
fn nothing_is_installed_where_something_was_not_built_and_what_builds_it_is_told() {
    let stage = Stage::new("unbuilt");
    if Command::new("make").arg("--version").output().is_err() {
        println!("SKIP package: needs make");
        return;
    }
    for program in ["jailrun", "jailrunctl"] {
        stage.file(&format!("built/{program}"), "#!/bin/sh\n");
    }
    let built = stage.path("built");
    let mut make = Command::new("make");
    make.arg("-C").arg(here("")).arg("install-files").args([
        format!("BUILT={built}"),
        format!("DESTDIR={}", stage.path("root")),
        format!("STAGE={}", stage.path("stage")),
    ]);
    let (status, text) = ended(&mut make);
    assert_ne!(status, 0, "{text}");
    let words = format!(
        "{built}/libjailrun_preopen.so isn't there: make builds it; make freebsd does on another system, and \
         BUILT=DIRECTORY names where it is then"
    );
    assert!(text.lines().any(|line| line == words), "{text}");
    assert!(!stage.0.join("root").exists() && !stage.0.join("stage").exists());
}

/// What `install-files` needs, the library included. Linker and libraries are taken for brought in.
#[test]
fn a_build_from_another_system_is_of_everything_unless_packages_are_named() {
    let stage = Stage::new("cross");
    let script = fs::read_to_string(here("tools/cross")).unwrap();
    let version = script
        .lines()
        .find_map(|line| line.strip_prefix("ZIG="))
        .unwrap();
    let cargo = stage.file("bin/cargo", "#!/bin/sh\necho \"$*\"\n");
    stage.file("bin/rustc", "#!/bin/sh\necho /\n");
    stage.file(&format!("target/cross/zig-{version}/ziglang/zig"), "");
    stage.file("target/cross/freebsd-14.0/cc", "");
    let path = std::env::var("PATH").unwrap();
    for (words, called) in [
        ("", "build --target T --workspace --release --locked"),
        ("build", "build --target T --workspace"),
        (
            "build --release --bin jailrun",
            "build --target T --workspace --release --bin jailrun",
        ),
        ("build --workspace", "build --target T --workspace"),
        (
            "build -p jailrun-preopen",
            "build --target T -p jailrun-preopen",
        ),
        (
            "build --package=jailrun",
            "build --target T --package=jailrun",
        ),
        ("test --test real", "test --target T --test real"),
    ] {
        let mut cross = Command::new("/bin/sh");
        cross
            .arg(here("tools/cross"))
            .args(words.split_whitespace())
            .env_remove("FREEBSD")
            .env("CARGO", &cargo)
            .env("CARGO_TARGET_DIR", stage.path("target"))
            .env("PATH", format!("{}:{path}", stage.path("bin")));
        let called = called.replace(" T", " x86_64-unknown-freebsd");
        assert_eq!(ended(&mut cross), (0, format!("{called}\n")), "{words}");
    }
}

#[test]
fn only_the_packages_own_deletion_on_its_own_host_unwraps_and_a_failure_is_said_and_stops_nothing()
{
    let stage = Stage::new("deinstall");
    let script = fs::read_to_string(here("port/files/pkg-deinstall.in")).unwrap();
    let script = stage.file("deinstall", &script.replace("%%PREFIX%%", "/nowhere"));
    let run = |phase: &str, variables: &[(&str, &str)]| {
        let mut command = Command::new("sh");
        command.args([&script, "jailrun-1.0", phase]);
        command
            .env("PKG_PREFIX", &stage.0)
            .envs(variables.iter().copied());
        ended(&mut command)
    };
    let nothing = (0, String::new());
    // Somebody may have removed the program already.
    assert_eq!(run("DEINSTALL", &[]), nothing);
    stage.jailrunctl(0);
    for (phase, variables, calls) in [
        ("DEINSTALL", &[][..], "jailrunctl unwrap --all\n"),
        (
            "DEINSTALL",
            &[("PKG_ROOTDIR", "/")],
            "jailrunctl unwrap --all\n",
        ),
        ("DEINSTALL", &[("PKG_UPGRADE", "true")], ""),
        ("DEINSTALL", &[("PKG_ROOTDIR", "/mnt")], ""),
        ("POST-DEINSTALL", &[], ""),
    ] {
        assert_eq!(run(phase, variables), nothing, "{phase} {variables:?}");
        assert_eq!(stage.calls(), calls, "{phase} {variables:?}");
    }
    stage.jailrunctl(71);
    let (status, text) = run("DEINSTALL", &[]);
    assert_eq!(status, 0);
    assert!(text.contains("remove jailrun's block"), "{text}");
    // A deletion that looked like an upgrade is seen when the program is gone, and nowhere else.
    let links = stage.0.join("libexec/jailrun");
    fs::create_dir_all(&links).unwrap();
    std::os::unix::fs::symlink(stage.path("sbin/jailrunctl"), links.join("there")).unwrap();
    std::os::unix::fs::symlink(stage.path("bin/jailrun"), links.join("web@nginx")).unwrap();
    assert_eq!(run("POST-DEINSTALL", &[("PKG_ROOTDIR", "/mnt")]), nothing);
    let told = format!(
        "jailrun: nginx is still wrapped, and won't start until jailrun is installed again or \
         {} loses jailrun's block\n",
        stage.path("etc/rc.conf.d/nginx")
    );
    assert_eq!(run("POST-DEINSTALL", &[("PKG_UPGRADE", "true")]), (0, told));
}

/// share/offer for a prefix of the stage's, on a host that is a jail or isn't.
fn offer(stage: &Stage, jailed: &str) -> (i32, String) {
    let sysctl = stage.file("sysctl", &format!("#!/bin/sh\necho {jailed}\n"));
    let script = fs::read_to_string(here("share/offer")).unwrap();
    let script = script
        .replace(
            "prefix=\"/usr/local\"",
            &format!("prefix=\"{}\"", stage.path("")),
        )
        .replace("/sbin/sysctl", &sysctl);
    ended(Command::new("sh").arg(stage.file("offer", &script)))
}

#[test]
fn an_offer_names_new_services_that_have_a_profile_and_are_not_wrapped_and_changes_nothing() {
    let stage = Stage::new("offer");
    for script in ["both", "administrators", "wrapped", "old", "unknown"] {
        stage.file(&format!("etc/rc.d/{script}"), "");
    }
    for profile in [
        "share/jailrun/profiles/both",
        "etc/jailrun/profiles/both",
        "etc/jailrun/profiles/administrators",
        "share/jailrun/profiles/wrapped",
        "share/jailrun/profiles/absent",
    ] {
        stage.file(&format!("{profile}.toml"), "");
    }
    fs::create_dir_all(stage.0.join("libexec/jailrun")).unwrap();
    std::os::unix::fs::symlink("../../bin/jailrun", stage.0.join("libexec/jailrun/wrapped"))
        .unwrap();
    // Without jailrunctl the package isn't whole, and says nothing.
    assert_eq!(offer(&stage, "0"), (0, String::new()));
    let log = stage.path("log");
    let stale = "#!/bin/sh\necho \"jailrunctl $*\" >>LOG\necho www: /lib/x was replaced\nexit 1\n";
    stage.file("sbin/jailrunctl", &stale.replace("LOG", &log));
    // In a jail jailrun runs nothing. One that can't be asked is taken for one.
    for jailed in ["1", ""] {
        assert_eq!(offer(&stage, jailed), (0, String::new()));
        assert_eq!(stage.calls(), "");
    }
    let mut before = BTreeMap::new();
    files(&stage.0, &stage.0, &mut before);
    let offered = |name: &str| {
        format!(
            "jailrun has a profile for the service {name}. To see what it grants: jailrunctl plan {name}\n"
        )
    };
    let expected =
        offered("administrators") + &offered("both") + "jailrun: www: /lib/x was replaced\n";
    assert_eq!(offer(&stage, "0"), (0, expected));
    assert_eq!(stage.calls(), "jailrunctl stale\n");
    let mut after = BTreeMap::new();
    files(&stage.0, &stage.0, &mut after);
    assert_eq!(before, after);
}

/// pkg's side of a trigger: `stat` looks at the root that pkg works on, `exec` runs on the host.
const PKG: &str = r#"
pkg = {}
function pkg.stat(path)
    local file = io.open(ROOT .. path)
    if file == nil then return nil, path .. ": No such file or directory", 2 end
    file:close()
    return { type = "regular" }
end
function pkg.exec(words)
    local line = ""
    for _, word in ipairs(words) do
        word = word:gsub("/run/", HOST .. "/run/"):gsub("/share/", HOST .. "/share/")
        line = line .. " '" .. word .. "'"
    end
    os.execute(line)
end
"#;

#[test]
fn a_trigger_offers_on_its_own_root_and_does_nothing_under_another() {
    let lua = ["/usr/libexec/flua", "/usr/bin/lua", "/usr/local/bin/lua54"];
    let Some(lua) = lua.into_iter().find(|path| Path::new(path).exists()) else {
        println!("SKIP package: needs lua");
        return;
    };
    let stage = Stage::new("trigger");
    let text = fs::read_to_string(here("share/pkg/triggers/jailrun.ucl")).unwrap();
    let (_, script) = text.split_once("script: <<EOS\n").unwrap();
    let (script, _) = script.split_once("\nEOS\n").unwrap();
    let script = script
        .replace("/usr/local/share/jailrun/", "/share/")
        .replace("/var/run/", "/run/");
    let log = stage.path("log");
    for root in ["host", "image", "empty"] {
        fs::create_dir_all(stage.0.join(root).join("run")).unwrap();
        if root != "empty" {
            stage.file(
                &format!("{root}/share/offer"),
                &format!("echo $0 >>{log}\n"),
            );
        }
    }
    for (root, offers) in [("host", 1), ("image", 0), ("empty", 0)] {
        let [root, host] = [root, "host"].map(|name| stage.path(name));
        let text = format!("ROOT = {root:?}\nHOST = {host:?}\n{PKG}{script}\n");
        let program = stage.file("trigger.lua", &text);
        let ended = ended(Command::new(lua).arg(program));
        assert_eq!(ended, (0, String::new()), "{root}");
        assert_eq!(stage.calls().lines().count(), offers, "{root}");
        // The mark is gone again.
        assert_eq!(fs::read_dir(stage.0.join("host/run")).unwrap().count(), 0);
    }
}
