use super::*;
use libc::{ENAMETOOLONG, ENOTDIR};
use std::collections::BTreeMap;

const TREES: [Tree; 4] = [
    Tree { fd: 10, path: b"" },
    Tree {
        fd: 11,
        path: b"/var/db",
    },
    Tree {
        fd: 12,
        path: b"/var/db/redis",
    },
    Tree {
        fd: 13,
        path: b"/tmp",
    },
];

fn found(path: &str, last: Last) -> (i32, String) {
    let (fd, offset) = tree(TREES.iter(), path.as_bytes(), last).unwrap();
    (fd, path[offset..].to_string())
}

#[test]
fn the_longest_path_wins_and_only_whole_components_count() {
    for (path, fd, rest) in [
        ("/etc/passwd", 10, "etc/passwd"),
        ("/", 10, ""),
        ("/var/db", 11, ""),
        ("/var/db/", 11, ""),
        ("/var/dbx", 10, "var/dbx"),
        ("/var/db/redis/a", 12, "a"),
        ("//var/.//db///redis//a/", 12, "a/"),
        ("/var/db/redisx/a", 11, "redisx/a"),
        ("/tmp/.", 13, "."),
        // Not ours to judge: the kernel refuses it, and then it is walked.
        ("/tmp/../etc", 13, "../etc"),
    ] {
        assert_eq!(found(path, Last::Follow), (fd, rest.to_string()), "{path}");
    }
}

#[test]
fn a_trees_own_directory_is_a_name_in_the_tree_above_for_what_takes_the_name() {
    assert_eq!(found("/tmp", Last::Name), (10, "tmp".to_string()));
    assert_eq!(found("/tmp/", Last::Name), (10, "tmp/".to_string()));
    assert_eq!(
        found("/var/db/redis", Last::Name),
        (11, "redis".to_string())
    );
    assert_eq!(found("/", Last::Name), (10, String::new()));
}

#[test]
fn without_a_tree_for_the_root_other_names_have_none() {
    assert!(tree(TREES[1..].iter(), b"/etc", Last::Follow).is_none());
}

/// Names and what they are: a link's text, or "dir" or "file".
struct World(BTreeMap<&'static str, &'static str>);

impl World {
    fn kind(&self, path: &Text) -> Result<&'static str, i32> {
        let path = std::str::from_utf8(path.bytes()).unwrap();
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !parent.is_empty() && self.0.get(parent).is_some_and(|kind| *kind == "file") {
            return Err(ENOTDIR);
        }
        if path.is_empty() {
            return Ok("dir");
        }
        self.0.get(path).copied().ok_or(ENOENT)
    }
}

impl Links for World {
    fn read(&self, path: &Text, into: &mut [u8; PATH_MAX]) -> Result<usize, i32> {
        match self.kind(path)? {
            "dir" | "file" => Err(EINVAL),
            link => {
                into[..link.len()].copy_from_slice(link.as_bytes());
                Ok(link.len())
            }
        }
    }
    fn search(&self, path: &Text) -> Result<(), i32> {
        if self.kind(path)? == "dir" {
            Ok(())
        } else {
            Err(ENOTDIR)
        }
    }
}

fn world() -> World {
    World(BTreeMap::from([
        ("/a", "dir"),
        ("/a/b", "dir"),
        ("/a/b/file", "file"),
        ("/a/relative", "b/file"),
        ("/a/absolute", "/a/b"),
        ("/a/up", "../a/b"),
        ("/a/far", "../../../../a/absolute/file"),
        ("/a/loop", "loop"),
        ("/a/dangling", "/a/b/new"),
        ("/a/root", "/"),
        ("/a/here", "b/."),
    ]))
}

#[test]
fn links_dots_and_slashes_are_walked_as_the_kernel_walks_them() {
    for (path, last, expected) in [
        ("/", Last::Follow, Ok("/")),
        ("/..", Last::Follow, Ok("/")),
        ("/a/./b//file", Last::Follow, Ok("/a/b/file")),
        ("/a/relative", Last::Follow, Ok("/a/b/file")),
        ("/a/relative", Last::Itself, Ok("/a/relative")),
        ("/a/absolute/file", Last::Itself, Ok("/a/b/file")),
        ("/a/absolute/", Last::Itself, Ok("/a/b/")),
        ("/a/absolute/..", Last::Follow, Ok("/a/")),
        ("/a/up/file", Last::Follow, Ok("/a/b/file")),
        ("/a/far", Last::Follow, Ok("/a/b/file")),
        ("/a/root", Last::Follow, Ok("/")),
        ("/a/dangling", Last::Follow, Ok("/a/b/new")),
        ("/a/new", Last::Follow, Ok("/a/new")),
        ("/a/new/", Last::Follow, Ok("/a/new/")),
        ("/a/none/new", Last::Follow, Err(ENOENT)),
        ("/a/none/..", Last::Follow, Err(ENOENT)),
        ("/a/loop", Last::Follow, Err(ELOOP)),
        ("/a/loop", Last::Itself, Ok("/a/loop")),
        ("/a/b/file/..", Last::Follow, Err(ENOTDIR)),
        ("/a/b/file/x", Last::Follow, Err(ENOTDIR)),
    ] {
        let mut out = Text::new();
        let result = walk(&world(), path.as_bytes(), last, &mut out);
        let result = result.map(|_| std::str::from_utf8(out.bytes()).unwrap());
        assert_eq!(result, expected, "{path}");
    }
}

#[test]
fn what_a_name_ends_in_is_told_with_its_links_followed() {
    for (path, last, expected) in [
        ("/", Last::Name, End::Root),
        ("/a/root/", Last::Name, End::Root),
        ("/a/root", Last::Name, End::Name),
        ("/a/root", Last::Follow, End::Root),
        ("/a/root/a", Last::Follow, End::Name),
        ("/..", Last::Name, End::Dots),
        ("/a/.", Last::Name, End::Dots),
        ("/a/here", Last::Name, End::Name),
        ("/a/here/", Last::Name, End::Dots),
        ("/a/absolute/", Last::Name, End::Name),
    ] {
        let mut out = Text::new();
        let result = walk(&world(), path.as_bytes(), last, &mut out);
        assert_eq!(result, Ok(expected), "{path}");
    }
}

#[test]
fn a_relative_name_continues_the_working_directory() {
    let mut text = Text::new();
    for (directory, path, expected) in [
        ("/var/db", "x", "/var/db/x"),
        ("/var/db", "/x", "/x"),
        ("", "x/..", "/x/.."),
    ] {
        absolute(directory.as_bytes(), path.as_bytes(), &mut text).unwrap();
        assert_eq!(text.bytes(), expected.as_bytes());
    }
    let long = vec![b'a'; 3000];
    assert_eq!(absolute(b"", &long, &mut text), Err(ENAMETOOLONG));
}

#[test]
fn a_names_last_component_keeps_its_slashes() {
    for (name, directory, own) in [
        ("a", "", "a"),
        ("a/", "", "a/"),
        ("a/b", "a/", "b"),
        ("a//b//", "a//", "b//"),
        ("/a", "/", "a"),
        ("/", "", "/"),
        ("", "", ""),
    ] {
        let (above, last) = parent(name.as_bytes());
        assert_eq!(
            (above, last),
            (directory.as_bytes(), own.as_bytes()),
            "{name}"
        );
    }
}
