//! What a closure costs on real files: a program with twenty libraries in a tree of its own, worked out,
//! and asked for again. Prints figures; `cargo test --release --test closure -- --ignored --nocapture`.

use super::*;
use jailrun::closure::record;
use jailrun::kernel::{At, Errno, Failure, Fd, FileKind, Open, Outcome, Stat};
use jailrun::trust::Files;
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A directory as if it were "/", and whoever owns its files as if he were root.
struct Tree {
    root: PathBuf,
    open: BTreeMap<i32, (PathBuf, File)>,
    next: i32,
}

fn failed(call: &'static str, error: &std::io::Error) -> Failure {
    let errno = match error.raw_os_error() {
        Some(libc::ELOOP) => Errno::EMLINK,
        number => Errno(number.unwrap_or(0)),
    };
    Failure::new(call, errno)
}

fn stat_of(found: &Metadata) -> Stat {
    let kind = found.file_type();
    Stat {
        kind: match kind {
            kind if kind.is_symlink() => FileKind::Symlink,
            kind if kind.is_dir() => FileKind::Directory,
            _ => FileKind::Regular,
        },
        device: found.dev(),
        inode: found.ino(),
        mode: found.mode() & 0o7755,
        links: found.nlink(),
        uid: 0,
        gid: 0,
        size: found.size(),
        ctime: (found.ctime(), found.ctime_nsec()),
    }
}

impl Tree {
    fn path(&self, at: At, path: &str) -> PathBuf {
        match at {
            At::Cwd => self.root.join(path.trim_start_matches('/')),
            At::Dir(fd) => self.open[&fd.0].0.join(path),
        }
    }
}

impl Files for Tree {
    fn openat(&mut self, at: At, path: &str, how: Open) -> Outcome<Fd> {
        let more = if how == Open::Directory {
            libc::O_DIRECTORY
        } else {
            0
        };
        let path = self.path(at, path);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | more)
            .open(&path)
            .map_err(|error| failed("openat", &error))?;
        self.next += 1;
        self.open.insert(self.next, (path, file));
        Ok(Fd(self.next))
    }

    fn close(&mut self, fd: Fd) -> Outcome<()> {
        self.open.remove(&fd.0);
        Ok(())
    }

    fn fstat(&mut self, fd: Fd) -> Outcome<Stat> {
        let found = self.open[&fd.0].1.metadata();
        found
            .map(|found| stat_of(&found))
            .map_err(|error| failed("fstat", &error))
    }

    fn lstatat(&mut self, at: At, path: &str) -> Outcome<Stat> {
        let found = self.path(at, path).symlink_metadata();
        found
            .map(|found| stat_of(&found))
            .map_err(|error| failed("lstat", &error))
    }

    fn acl_is_trivial(&mut self, _: Fd) -> Outcome<bool> {
        Ok(true)
    }

    fn readlinkat(&mut self, at: At, path: &str) -> Outcome<String> {
        let text = std::fs::read_link(self.path(at, path));
        let text = text.map_err(|error| failed("readlink", &error))?;
        Ok(text.to_string_lossy().into_owned())
    }

    fn read(&mut self, fd: Fd, buffer: &mut [u8]) -> Outcome<usize> {
        use std::io::Read;
        let file = &mut self.open.get_mut(&fd.0).unwrap().1;
        file.read(buffer).map_err(|error| failed("read", &error))
    }

    fn pread(&mut self, fd: Fd, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        let file = &self.open[&fd.0].1;
        file.read_at(buffer, offset)
            .map_err(|error| failed("pread", &error))
    }

    fn readdir(&mut self, directory: Fd) -> Outcome<Vec<String>> {
        let entries = std::fs::read_dir(&self.open[&directory.0].0);
        let entries = entries.map_err(|error| failed("readdir", &error))?;
        Ok(entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect())
    }
}

/// Twenty libraries below /usr/local/lib that need each other, each as large as a real one, and the three
/// that everything has.
fn fill(root: &Path) {
    let put = |path: &str, elf: Elf<'_>, size: usize| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut bytes = elf.bytes();
        bytes.resize(bytes.len().max(size), 0);
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    put(
        "libexec/ld-elf.so.1",
        Elf::library("ld-elf.so.1", &[]),
        150 << 10,
    );
    put(
        "lib/libsys.so.7",
        Elf::library("libsys.so.7", &[]),
        40 << 10,
    );
    put(
        "lib/libc.so.7",
        Elf::library("libc.so.7", &["libsys.so.7"]),
        2 << 20,
    );
    let names: Vec<String> = (0..20)
        .map(|number| format!("liblocal{number}.so.1"))
        .collect();
    for (number, name) in names.iter().enumerate() {
        let mut needed: Vec<&str> = names
            .iter()
            .skip(number + 1)
            .step_by(3)
            .map(String::as_str)
            .collect();
        needed.push("libc.so.7");
        let path = format!("usr/local/lib/{name}.0");
        put(&path, Elf::library(name, &needed), 500 << 10);
        std::os::unix::fs::symlink(
            format!("{name}.0"),
            root.join(format!("usr/local/lib/{name}")),
        )
        .unwrap();
    }
    let needed: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    put("usr/local/sbin/server", Elf::program(&needed), 1 << 20);
    let list = ["/lib", "/usr/lib", "/usr/lib/compat", "/usr/local/lib"].map(str::to_string);
    std::fs::create_dir_all(root.join("var/run/jailrun/.closures")).unwrap();
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(
        root.join("var/run/ld-elf.so.hints"),
        jailrun::closure::hints::build(&list),
    )
    .unwrap();
    std::fs::write(
        root.join("etc/libmap.conf"),
        "includedir /usr/local/etc/libmap.d\n",
    )
    .unwrap();
}

fn median(mut act: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..201)
        .map(|_| {
            let start = Instant::now();
            act();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[100]
}

#[test]
#[ignore = "prints figures; needs an idle machine and --release to mean anything"]
fn a_program_with_twenty_libraries_cold_and_warm() {
    let root = std::env::temp_dir().join(format!("jailrun-figures-{}", std::process::id()));
    fill(&root);
    let mut tree = Tree {
        root: root.clone(),
        open: BTreeMap::new(),
        next: 0,
    };
    let wanted = wanted(&["/usr/local/sbin/server"], &[]);
    let work_out = |tree: &mut Tree| {
        let mut walker = Walker::new(tree);
        let closure = find(&mut walker, &wanted).unwrap();
        (closure, walker.seen().unwrap().clone())
    };
    let (closure, seen) = work_out(&mut tree);
    assert_eq!(closure.files.len(), 24);
    let question = record::question(&wanted);
    let later = (i64::MAX, 0);
    let text = record::write(&question, &closure, &seen, later).unwrap();
    std::fs::write(root.join("var/run/jailrun/.closures/x"), &text).unwrap();

    let cold = median(|| drop(work_out(&mut tree)));
    let warm = median(|| {
        let text =
            jailrun::trust::read(&mut tree, "/var/run/jailrun/.closures/x", 1 << 20).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            record::read(&mut tree, &question, &text).as_ref(),
            Some(&closure)
        );
    });
    assert!(tree.open.is_empty());
    std::fs::remove_dir_all(&root).unwrap();
    println!(
        "closure of 20 libraries: cold {cold:?}, warm {warm:?} ({} things seen, record of {} bytes)",
        seen.len(),
        text.len()
    );
    if !cfg!(debug_assertions) {
        assert!(cold < Duration::from_millis(5) && warm < Duration::from_micros(300));
    }
}
