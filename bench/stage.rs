//! What is there while it is measured: the profile, the jail.conf(5) with its fstab(5) for jail(8), a devfs
//! ruleset, and other jails as load. All of it goes with these values.

use crate::floor::{RULESET, directories, files, kernel, mount, nullfs};
use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::{At, DevfsAct, DevfsRule, Force, Fsid, JailValue, Kernel, OwnedJail, Unlink};
use std::fs;
use std::process::{Command, Output, Stdio};

pub const PROFILE: &str = "jailrun-bench";
/// The same for a program that stays.
pub const SLEEPER: &str = "jailrun-bench-sleep";
/// Below it is the root that jail(8) is given, and the mounts of the load.
const SCRATCH: &str = "/var/run/jailrun-bench";

fn place() -> String {
    format!("{}/etc/jailrun/profiles", jailrun::run::PREFIX)
}

pub struct Stage {
    conf: String,
}

impl Stage {
    pub fn new() -> Stage {
        sweep();
        let stage = Stage {
            conf: format!("{SCRATCH}/jail.conf"),
        };
        fs::create_dir_all(place()).unwrap();
        for (name, program) in [(PROFILE, "/usr/bin/true"), (SLEEPER, "/bin/sleep")] {
            fs::write(format!("{}/{name}.toml", place()), profile(program)).unwrap();
        }
        let root = format!("{SCRATCH}/root");
        for directory in directories() {
            fs::create_dir_all(format!("{root}{directory}")).unwrap();
        }
        let mut fstab = String::new();
        for file in files() {
            fs::write(format!("{root}{file}"), "").unwrap();
            fstab.push_str(&format!("{file} {root}{file} nullfs ro,nosuid 0 0\n"));
        }
        fstab.push_str(&format!("tmpfs {root}/tmp tmpfs rw,nosuid,size=4m 0 0\n"));
        fs::write(format!("{SCRATCH}/fstab"), fstab).unwrap();
        // `command` is executed as it stands: exec.start would need a shell in the root.
        let jail = format!(
            "{PROFILE}8 {{ path = {root}; mount.fstab = {SCRATCH}/fstab; mount.devfs; \
             devfs_ruleset = {RULESET}; command = /usr/bin/true; exec.jail_user = nobody; \
             exec.system_jail_user; persist; }}\n"
        );
        fs::write(&stage.conf, jail).unwrap();
        rules();
        stage
    }

    pub fn jail8(&self, verb: &str) {
        run(
            "/usr/sbin/jail",
            &["-q", "-f", &self.conf, verb, "jailrun-bench8"],
        );
    }
}

/// What a run left that was killed, or that a failed measurement ended.
fn sweep() {
    let mut kernel = kernel();
    for mounted in kernel.getfsstat().unwrap().iter().rev() {
        if mounted.on.starts_with(SCRATCH) {
            kernel.unmount(mounted.fsid, Force::Yes).unwrap();
        }
    }
    let _ = fs::remove_dir_all(SCRATCH);
}

/// A profile of the same files. The program is one of them, or one more.
fn profile(program: &str) -> String {
    let mut all = files();
    if !all.contains(&program) {
        all.push(program);
    }
    let quoted: Vec<String> = all.iter().map(|file| format!("\"{file}\"")).collect();
    format!(
        "program = \"{program}\"\nargs = [\"60\"]\nuser = \"nobody\"\n[root]\nclosure = \"off\"\nro = [{}]\n\
         devices = [\"null\", \"zero\"]\ntmpfs = [{{ path = \"/tmp\", size = \"4m\" }}]\n\
         [capsicum]\nmode = \"off\"\n",
        quoted.join(", ")
    )
}

/// Nothing but null and zero. It may be there from an earlier run, with the same rules.
fn rules() {
    for (number, pattern) in [(1, None), (2, Some("null")), (3, Some("zero"))] {
        let act = match pattern {
            None => DevfsAct::Hide,
            Some(_) => DevfsAct::Unhide,
        };
        let _ = kernel().devfs_radd(&DevfsRule {
            ruleset: RULESET,
            number,
            pattern: pattern.map(str::to_string),
            act,
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for name in [PROFILE, SLEEPER] {
            let _ = fs::remove_file(format!("{}/{name}.toml", place()));
        }
        let _ = fs::remove_dir_all(SCRATCH);
    }
}

/// A program that must succeed, with nothing to read and nobody to talk to.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    output
}

/// Jails with a mount each, as many services would be. The jails are owned by descriptor: they end with
/// this process in any case.
pub struct Load {
    jails: Vec<OwnedJail>,
    mounts: Vec<(Fsid, String)>,
}

impl Load {
    pub fn new(number: usize) -> Load {
        let mut kernel = kernel();
        let (mut jails, mut mounts) = (Vec::new(), Vec::new());
        for number in 0..number {
            let target = format!("{SCRATCH}/up-{number}");
            kernel.mkdirat(At::Cwd, &target, 0o755).unwrap();
            let fsid = mount(&mut kernel, nullfs("/bin"), &target, true);
            let name = format!("{PROFILE}-up-{number}");
            let parameters = vec![
                ("name".to_string(), JailValue::Text(name)),
                ("path".to_string(), JailValue::Text(target.clone())),
                ("persist".to_string(), JailValue::Flag),
            ];
            jails.push(kernel.jail_create(&parameters).unwrap());
            mounts.push((fsid, target));
        }
        Load { jails, mounts }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let mut kernel: FreeBsd = kernel();
        for jail in &self.jails {
            let _ = kernel.close(jail.descriptor);
        }
        for (fsid, target) in self.mounts.iter().rev() {
            for _ in 0..1000 {
                if kernel.unmount(*fsid, Force::No).is_ok() {
                    break;
                }
                kernel.sleep_ms(1);
            }
            let _ = kernel.unlinkat(At::Cwd, target, Unlink::Directory);
        }
    }
}
