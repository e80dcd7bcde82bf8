//! A root for programs, the same in each run: little of the system, read-only, and three file systems
//! that may be written to, new for each run. Programs run in it by chroot(2), as they run in a jail.

use super::launcher::{Ended, Launch, Mode};
use super::{Place, run};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

/// Of the system, as it is.
const SYSTEM: [&str; 4] = ["lib", "libexec", "usr/lib", "bin"];
const WRITABLE: [&str; 3] = ["g1", "g2", "g1/nest"];
/// Names can be made there, too.
const DEV: &str = "dev";

/// Who isn't the superuser.
pub const USER: u32 = 1001;

pub struct World {
    place: Place,
    library: String,
    mounted: Vec<String>,
}

/// Whatever is there, if anything is.
fn unmount(place: &str) {
    let words = ["-f", place];
    let mut unmount = std::process::Command::new("/sbin/umount");
    let _ = unmount
        .args(words)
        .stderr(std::process::Stdio::null())
        .status();
}

fn mount(kind: &str, what: &str, place: &str) {
    let how = if kind == "nullfs" { "ro" } else { "rw" };
    let words = ["/sbin/mount", "-t", kind, "-o", how, what, place];
    assert!(run(&words), "{kind} {what} {place}");
}

impl World {
    pub fn new(name: &str, library: &str) -> Self {
        let place = Place::new(name);
        let root = place.0.clone();
        let mut world = Self {
            place,
            library: library.to_string(),
            mounted: Vec::new(),
        };
        for folder in [
            "usr/local/lib",
            "etc",
            "dev",
            "g1",
            "g2",
            "ro/dir/deep",
            "ro/closed",
        ] {
            fs::create_dir_all(format!("{root}/{folder}")).unwrap();
        }
        for folder in SYSTEM {
            let to = format!("{root}/{folder}");
            fs::create_dir_all(&to).unwrap();
            mount("nullfs", &format!("/{folder}"), &to);
            world.mounted.push(to);
        }
        for (file, text) in [
            ("etc/passwd", "root:*:0:0::/:/bin/sh\n"),
            ("ro/file", "a file\n"),
            ("ro/dir/deep/file", "deep\n"),
            ("ro/secret", "secret\n"),
            ("ro/closed/file", "closed\n"),
        ] {
            fs::write(format!("{root}/{file}"), text).unwrap();
        }
        for (closed, mode) in [("ro/secret", 0o600), ("ro/closed", 0o700)] {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(format!("{root}/{closed}"), mode).unwrap();
        }
        for (link, target) in [
            ("ro/link", "file"),
            ("ro/abs", "/ro/dir"),
            ("ro/up", "../g1/t0"),
            ("ro/loop", "loop"),
            ("ro/into", "/g1/nest/t0"),
            ("ro/dangling", "/g2/t0/new"),
            ("ro/echo", "/bin/echo"),
            ("ro/libz.so", "../lib/libz.so.6"),
            ("ro/dir/loop", "/ro/dir/other"),
            ("ro/dir/other", "loop"),
        ] {
            symlink(target, format!("{root}/{link}")).unwrap();
        }
        fs::copy(std::env::current_exe().unwrap(), format!("{root}/subject")).unwrap();
        assert!(run(&["/sbin/mount", "-u", "-o", "ro", &root]));
        world
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.place.0)
    }

    fn unmount_writable(&self) {
        for tree in WRITABLE.iter().rev().chain([&DEV]) {
            unmount(&self.path(tree));
        }
    }

    /// The writable trees, empty but for the directories of each thread.
    fn renew(&self) {
        self.unmount_writable();
        mount("devfs", "devfs", &self.path(DEV));
        for tree in WRITABLE {
            mount("tmpfs", "tmpfs", &self.path(tree));
            for thread in 0..super::fuzz::THREADS {
                let own = self.path(&format!("{tree}/t{thread}"));
                fs::create_dir(&own).unwrap();
                chown(&own, Some(USER), Some(USER)).unwrap();
            }
            if tree == "g1" {
                fs::create_dir(self.path("g1/nest")).unwrap();
            }
        }
    }

    /// Runs this executable as the subject, in trees that are new, and gives what it said and left.
    pub fn run(&self, mode: Mode, change: impl Fn(Launch) -> Launch) -> (Ended, String) {
        self.renew();
        let launch = Launch::new(mode, &self.library).root(&self.place.0);
        let launch = WRITABLE
            .iter()
            .fold(launch, |launch, tree| launch.writable(&format!("/{tree}")));
        let launch = change(launch.writable("/dev"));
        let ended = launch.run(&["/subject"]);
        let mut left = String::new();
        for tree in ["g1", "g2"] {
            describe(Path::new(&self.path(tree)), tree, &mut left);
        }
        (ended, left)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.unmount_writable();
        for place in self.mounted.iter().rev() {
            unmount(place);
        }
    }
}

/// What is there, seen by nobody's library: kinds, modes, owners, links, texts, and times that were set.
fn describe(path: &Path, name: &str, into: &mut String) {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return;
    };
    let kind = meta.mode() & 0o170_000;
    let text = match kind {
        0o100_000 => String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
        0o120_000 => fs::read_link(path).unwrap().display().to_string(),
        _ => String::new(),
    };
    let time = if meta.mtime() < 1_000_000 {
        meta.mtime()
    } else {
        -1
    };
    let (owner, group, links) = (meta.uid(), meta.gid(), meta.nlink());
    let mode = meta.mode();
    writeln!(
        into,
        "{name} {mode:o} {owner}:{group} {links} {time} {text:?}"
    )
    .unwrap();
    if kind == 0o040_000 {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for entry in names {
            let name = format!("{name}/{}", entry.to_string_lossy());
            describe(&path.join(&entry), &name, into);
        }
    }
}
