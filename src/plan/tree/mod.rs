//! What exists inside, by path, and why. Pure.
//!
//! Everything lies at the path that it has on the host. What is inside a granted directory is there
//! already; what is outside of all is made in the skeleton, or in a tmpfs(5) of the profile's. Nothing is
//! ever made in a directory of the host.

mod add;
mod steps;

use super::{Host, Made, Source};
use crate::error::Error;
use crate::kernel::{Filesystem, MountFlags, Nmount};
use crate::profile::Profile;
use std::collections::BTreeMap;

/// Everything inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub what: What,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file or directory of the host.
    Granted {
        filesystem: Filesystem,
        flags: MountFlags,
        source: Source,
        is_file: bool,
    },
    /// A tmpfs or devfs.
    New {
        filesystem: Filesystem,
        flags: MountFlags,
    },
    Link(String),
    File(Made),
    /// A socket of ours.
    Socket,
    /// Something of the host's that is hidden.
    Mask {
        is_file: bool,
    },
}

/// Why something is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A key of `[root]` names it.
    Key(&'static str),
    /// A program needs it, or is it.
    Closure,
    /// A link of the host's, on the way to this.
    LeadsTo(String),
    /// It is mounted in a granted directory.
    In(String),
    /// rtld finds libraries by it.
    Linker,
}

/// What is mounted over the finished root: empty, read-only, and in the way of every path into it.
pub fn cloak(root: &str) -> Nmount {
    Nmount {
        filesystem: Filesystem::Tmpfs {
            size: 64 << 10,
            inodes: 16,
            mode: 0o555,
            uid: 0,
            gid: 0,
        },
        target: root.to_string(),
        flags: MountFlags {
            read_only: true,
            nosuid: true,
            noexec: true,
            nosymfollow: true,
        },
        update: false,
    }
}

impl Tree {
    pub fn of(profile: &Profile, host: &Host) -> Result<Tree, Error> {
        let mut tree = Tree {
            nodes: BTreeMap::new(),
        };
        tree.add_grants(profile, host)?;
        tree.add_submounts(profile, host)?;
        tree.add_new(profile, host)?;
        if let Some(closure) = &host.closure {
            tree.add_closure(closure)?;
            tree.add_linkers(closure)?;
        }
        tree.add_files(host, profile)?;
        tree.add_log(profile)?;
        tree.add_masks(profile, host)?;
        tree.check()?;
        Ok(tree)
    }

    /// Everything by its path, parents first.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// What covers the place of a path: the deepest mount above it.
    fn cover<'t>(&'t self, path: &'t str) -> Option<(&'t str, &'t Node)> {
        self.above(path)
            .filter(|(_, node)| !matches!(node.what, What::Link(_) | What::File(_) | What::Socket))
            .last()
    }

    /// The nodes above a path, outermost first.
    fn above<'t>(&'t self, path: &'t str) -> impl Iterator<Item = (&'t str, &'t Node)> {
        let ends = path.match_indices('/').map(|(end, _)| end).skip(1);
        ends.filter_map(|end| {
            let above = path.get(..end)?;
            Some((above, self.nodes.get(above)?))
        })
    }

    /// Whether what the host has at a path is there already, in something that is granted.
    pub fn shows(&self, path: &str) -> bool {
        let is_granted = |node: &Node| matches!(node.what, What::Granted { .. });
        self.nodes.get(path).is_some_and(is_granted)
            || self.cover(path).is_some_and(|(_, node)| is_granted(node))
    }

    fn insert(&mut self, path: &str, what: What, why: Why) -> Result<(), Error> {
        let refused = |words: String| Err(Error::Profile(words));
        if self.nodes.contains_key(path) {
            return refused(format!("{path} is given twice, once by way of a link"));
        }
        self.nodes.insert(path.to_string(), Node { what, why });
        Ok(())
    }

    /// A link of the host's, where the host's own isn't seen.
    fn insert_link(&mut self, path: &str, text: &str, to: &str) -> Result<(), Error> {
        let link = What::Link(text.to_string());
        let is_known = self.nodes.get(path).is_some_and(|node| node.what == link);
        if is_known || self.shows(path) {
            return Ok(());
        }
        self.insert(path, link, Why::LeadsTo(to.to_string()))
    }

    /// Nothing lies below what isn't a directory, nor below what hides it.
    fn check(&self) -> Result<(), Error> {
        for (path, node) in &self.nodes {
            for (above, outer) in self.above(path) {
                let what = match &outer.what {
                    What::Link(text) => format!("is a link to {text}"),
                    What::File(_) => "is a file".to_string(),
                    What::Socket => "is a socket".to_string(),
                    What::Granted { is_file: true, .. } => "is a file".to_string(),
                    What::Mask { .. } => "is masked".to_string(),
                    What::New {
                        filesystem: Filesystem::Devfs { .. },
                        ..
                    } => "holds the devices".to_string(),
                    What::Granted { .. } | What::New { .. } => continue,
                };
                return Err(Error::Profile(format!(
                    "{path} can't be there: {above} {what}"
                )));
            }
            self.check_cover(path, node)?;
        }
        Ok(())
    }

    /// Nothing is made in a directory of the host, and a mask hides only what is granted.
    fn check_cover(&self, path: &str, node: &Node) -> Result<(), Error> {
        let cover = self.cover(path);
        let granted = cover.filter(|(_, outer)| matches!(outer.what, What::Granted { .. }));
        match (&node.what, granted) {
            (What::Mask { .. }, None) => Err(Error::Profile(format!(
                "mask: {path} is in nothing that is granted, and so isn't there"
            ))),
            (What::File(_), Some((above, _))) => Err(Error::Profile(format!(
                "files: {path} would be made in {above}, a directory of the host"
            ))),
            (What::Socket, Some((above, _))) => Err(Error::Profile(format!(
                "sockets: {path} would be made in {above}, a directory of the host"
            ))),
            _ => Ok(()),
        }
    }

    /// The root of the jail itself: directories, mount points, links and small files.
    pub fn skeleton(&self, root: &str, sealed: bool) -> Nmount {
        let made = self.nodes.values().map(|node| match &node.what {
            What::File(made) => made.content.len().next_multiple_of(PAGE) as u64,
            _ => 0,
        });
        Nmount {
            filesystem: Filesystem::Tmpfs {
                size: (4 << 20) + made.sum::<u64>(),
                inodes: 4096 + 4 * self.nodes.len() as u64,
                mode: 0o755,
                uid: 0,
                gid: 0,
            },
            target: root.to_string(),
            flags: MountFlags {
                read_only: sealed,
                nosuid: true,
                noexec: true,
                nosymfollow: false,
            },
            update: sealed,
        }
    }
}

const PAGE: usize = 4096;
