//! Real jails, as root on FreeBSD: the built program is run, and the world is compared before and after.
//! Elsewhere it says so. `JAILRUN_BIN` names the program where cargo's own path isn't this host's.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "a test runs programs")
)]
#![cfg_attr(target_os = "freebsd", allow(clippy::unwrap_used))]

#[cfg(not(target_os = "freebsd"))]
#[test]
fn real_jails_need_freebsd() {
    println!("SKIP real: needs root on FreeBSD");
}

#[cfg(target_os = "freebsd")]
mod freebsd {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output, Stdio};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    const PROFILES: &str = "/usr/local/etc/jailrun/profiles";

    /// One test at a time: each compares the whole system.
    static WORLD: Mutex<()> = Mutex::new(());

    struct Fixture {
        name: String,
        before: String,
        _alone: MutexGuard<'static, ()>,
    }

    impl Fixture {
        fn new(name: &str, more: &str) -> Fixture {
            let alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
            std::fs::create_dir_all(PROFILES).unwrap();
            let name = format!("jrtest-{name}");
            let text = format!(
                "program = \"/bin/sh\"\nuser = \"nobody\"\n[root]\nclosure = \"off\"\n\
                 ro = [\"/bin\", \"/usr/bin\", \"/lib\", \"/libexec\", \"/usr/lib\", \"/etc/pwd.db\"]\n\
                 devices = [\"null\"]\ntmpfs = [{{ path = \"/tmp\", size = \"4m\", mode = \"1777\" }}]\n\
                 [capsicum]\nmode = \"off\"\n{more}"
            );
            std::fs::write(format!("{PROFILES}/{name}.toml"), text).unwrap();
            // The first launch of all makes the state directory, which stays.
            let fixture = Fixture {
                name,
                before: String::new(),
                _alone: alone,
            };
            fixture.run("true");
            Fixture {
                before: world(),
                ..fixture
            }
        }

        fn command(&self) -> Command {
            let program = std::env::var_os("JAILRUN_BIN")
                .unwrap_or_else(|| env!("CARGO_BIN_EXE_jailrun").into());
            let mut command = Command::new(program);
            command.arg(&self.name).stdin(Stdio::null());
            command
        }

        fn run(&self, script: &str) -> Output {
            self.command()
                .args(["/bin/sh", "-c", script])
                .output()
                .unwrap()
        }

        fn says(&self, script: &str) -> String {
            String::from_utf8(self.run(script).stdout)
                .unwrap()
                .trim()
                .to_string()
        }

        fn nothing_is_left(self) {
            assert_eq!(self.before, world());
            std::fs::remove_file(format!("{PROFILES}/{}.toml", self.name)).unwrap();
        }
    }

    /// Everything that a launch could leave.
    fn world() -> String {
        let script = "mount -p; jls; ifconfig; ls -A /var/run/jailrun; \
                      ps -ax -o jid= -o state= -o command= | awk '$1 != 0 && $2 !~ /^Z/ {$1 = $1; print}'";
        let output = Command::new("/bin/sh")
            .args(["-c", script])
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_service_is_the_profiles_user_in_a_read_only_root() {
        let fixture = Fixture::new("user", "");
        assert_eq!(fixture.says("id -u; id -g; id -G"), "65534\n65534\n65534");
        assert_eq!(
            fixture.says("touch /x 2>/dev/null || echo refused"),
            "refused"
        );
        assert_eq!(
            fixture.says("touch /bin/x 2>/dev/null || echo refused"),
            "refused"
        );
        assert_eq!(fixture.says("touch /tmp/x && echo written"), "written");
        assert_eq!(fixture.says("echo /dev/*"), "/dev/null");
        assert_eq!(
            fixture.says("echo /*"),
            "/bin /dev /etc /lib /libexec /tmp /usr"
        );
        fixture.nothing_is_left();
    }

    #[test]
    fn the_superuser_has_no_power_inside() {
        let fixture = Fixture::new("nosuser", "");
        let mut running = fixture
            .command()
            .args(["/bin/sh", "-c", "sleep 3"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        let jail = format!("jailrun-{}-{}", fixture.name, running.id());
        let output = Command::new("/usr/sbin/jls")
            .args(["-j", &jail, "allow.suser"])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "false");
        running.wait().unwrap();
        fixture.nothing_is_left();
    }

    #[test]
    fn exit_status_and_signal_pass_through() {
        let fixture = Fixture::new("status", "");
        assert_eq!(fixture.run("exit 42").status.code(), Some(42));
        assert_eq!(fixture.run("kill -9 $$").status.signal(), Some(9));
        assert_eq!(
            fixture
                .command()
                .arg("/bin/absent")
                .output()
                .unwrap()
                .status
                .code(),
            Some(127)
        );
        assert_eq!(
            fixture
                .command()
                .arg("/etc/pwd.db")
                .output()
                .unwrap()
                .status
                .code(),
            Some(126)
        );
        fixture.nothing_is_left();
    }

    #[test]
    fn an_address_is_there_for_the_service_and_gone_after() {
        let more = "[jail]\nip4.addr = [\"lo0|127.0.0.80/32\"]\nip6 = \"disable\"\n";
        let fixture = Fixture::new("address", more);
        let mut running = fixture
            .command()
            .args(["/bin/sh", "-c", "sleep 3"])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        assert!(world().contains("127.0.0.80"));
        running.wait().unwrap();
        fixture.nothing_is_left();
    }

    #[test]
    fn an_instance_runs_once() {
        let fixture = Fixture::new("busy", "");
        let mut first = fixture.command().stdin(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        let second = fixture.command().output().unwrap();
        assert_eq!(second.status.code(), Some(75));
        drop(first.stdin.take());
        first.wait().unwrap();
        fixture.nothing_is_left();
    }

    #[test]
    fn a_term_ends_the_service_and_its_jail() {
        let fixture = Fixture::new("term", "");
        let script = "sleep 100 & sleep 100";
        let mut running = fixture
            .command()
            .args(["/bin/sh", "-c", script])
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1000));
        let pid = running.id().to_string();
        Command::new("/bin/kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap();
        assert_eq!(running.wait().unwrap().signal(), Some(15));
        fixture.nothing_is_left();
    }

    #[test]
    fn a_profile_that_others_can_write_is_refused() {
        let fixture = Fixture::new("trust", "");
        let file = format!("{PROFILES}/{}.toml", fixture.name);
        for (command, undo) in [("chmod g+w", "chmod g-w"), ("chown nobody", "chown root")] {
            Command::new("/bin/sh")
                .args(["-c", &format!("{command} {file}")])
                .status()
                .unwrap();
            let output = fixture.run("echo ran");
            assert_eq!(output.status.code(), Some(78));
            assert_eq!(output.stdout, b"");
            Command::new("/bin/sh")
                .args(["-c", &format!("{undo} {file}")])
                .status()
                .unwrap();
        }
        fixture.nothing_is_left();
    }

    #[test]
    fn a_directory_as_standard_input_is_refused() {
        let fixture = Fixture::new("stdin", "");
        let directory = std::fs::File::open("/").unwrap();
        let output = fixture.command().stdin(directory).output().unwrap();
        assert_eq!(output.status.code(), Some(64));
        fixture.nothing_is_left();
    }

    #[test]
    fn nothing_is_left_after_200_launches_of_which_50_were_killed() {
        let more = "[jail]\nip4.addr = [\"lo0|127.0.0.81/32\"]\n";
        let fixture = Fixture::new("killed", more);
        for round in 0..200u64 {
            if round % 4 != 0 {
                assert_eq!(
                    fixture.run("exit 3").status.code(),
                    Some(3),
                    "round {round}"
                );
                continue;
            }
            let mut running = fixture
                .command()
                .args(["/bin/sh", "-c", "sleep 1"])
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis((round * 37) % 160));
            running.kill().unwrap();
            running.wait().unwrap();
        }
        fixture.nothing_is_left();
    }
}
