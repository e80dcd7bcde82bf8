//! From the tree to steps: directories and mount points where they have to be made, then what comes on
//! them, parents first. A mount inside another one follows it, since paths are in order.

use super::super::{Made, Source, Step};
use super::{Tree, What};
use crate::kernel::{Filesystem, MountFlags, Nmount};
use std::collections::BTreeSet;

/// Where the file is, for a moment, that masks show. It loses its name before anything runs.
const MASK: &str = "/.mask";

impl Tree {
    pub fn steps(&self, root: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut made = BTreeSet::new();
        let mask = format!("{root}{MASK}");
        let is_masked = |what: &What| matches!(what, What::Mask { is_file: true });
        let masks_files = self.nodes.values().any(|node| is_masked(&node.what));
        if masks_files {
            let nothing = Made {
                mode: 0,
                ..Made::readable(Vec::new())
            };
            steps.push(Step::File {
                path: mask.clone(),
                made: nothing,
            });
        }
        for (path, node) in &self.nodes {
            let target = format!("{root}{path}");
            self.make_way(root, path, &node.what, &mut made, &mut steps);
            steps.push(step(&node.what, target, &mask));
        }
        if masks_files {
            steps.push(Step::Unlink { path: mask });
        }
        steps
    }

    /// Parents, and the mount point itself. Inside what is granted all of them are there.
    fn make_way(
        &self,
        root: &str,
        path: &str,
        what: &What,
        made: &mut BTreeSet<String>,
        steps: &mut Vec<Step>,
    ) {
        let (from, is_ours) = match self.cover(path) {
            None => (0, true),
            Some((above, outer)) => (above.len(), matches!(outer.what, What::New { .. })),
        };
        if !is_ours {
            return;
        }
        let is_directory = match what {
            What::Granted { is_file, .. } => !is_file,
            What::New { .. } => true,
            What::Link(_) | What::File(_) | What::Socket | What::Mask { .. } => false,
        };
        let slashes = path.match_indices('/').map(|(end, _)| end);
        let parents = slashes.filter(|end| *end > from);
        let own = is_directory.then_some(path.len());
        for end in parents.chain(own) {
            let directory = path.get(..end).unwrap_or_default();
            if made.insert(directory.to_string()) {
                steps.push(Step::Directory {
                    path: format!("{root}{directory}"),
                    mode: 0o755,
                });
            }
        }
        if matches!(what, What::Granted { is_file: true, .. }) {
            steps.push(Step::MountPoint {
                path: format!("{root}{path}"),
            });
        }
    }
}

fn step(what: &What, target: String, mask: &str) -> Step {
    let mount = |filesystem, flags, target, source| Step::Mount {
        mount: Nmount {
            filesystem,
            target,
            flags,
            update: false,
        },
        source,
    };
    match what {
        What::Granted {
            filesystem,
            flags,
            source,
            ..
        } => mount(filesystem.clone(), *flags, target, Some(*source)),
        What::New { filesystem, flags } => mount(filesystem.clone(), *flags, target, None),
        What::Link(text) => Step::Link {
            path: target,
            text: text.clone(),
        },
        What::Socket => Step::Socket { path: target },
        What::File(made) => Step::File {
            path: target,
            made: made.clone(),
        },
        What::Mask { is_file } => mount(nothing(*is_file, mask), MASKED, target, None::<Source>),
    }
}

const MASKED: MountFlags = MountFlags {
    read_only: true,
    nosuid: true,
    noexec: true,
    nosymfollow: false,
};

/// Empty, and readable by nobody but a superuser with power, which no jail has unless it asks for one.
fn nothing(is_file: bool, mask: &str) -> Filesystem {
    match is_file {
        true => Filesystem::Nullfs {
            source: mask.to_string(),
            sockets: false,
        },
        false => Filesystem::Tmpfs {
            size: 4096,
            inodes: 8,
            mode: 0,
            uid: 0,
            gid: 0,
        },
    }
}
