//! Jails of jail(8)'s, for what no profile opens: closed in every way, and then opened in one.

use crate::fixture::{sh, world};
use crate::unconfined::{Outside, child, mount};
use jailrun::attest::ladder::climb;
use jailrun::attest::table::ATTEMPTS;
use jailrun::attest::verdict::judge;
use jailrun::attest::{Shared, Target};
use jailrun::kernel::freebsd::FreeBsd;
use jailrun::kernel::{Filesystem, Procctl};
use jailrun::plan::{ChildPlan, STATE};
use jailrun::supervise::watch::Ears;
use std::collections::{BTreeMap, BTreeSet};

const NAME: &str = "jrtest-handmade";
const ROOT: &str = "/var/db/jrtest-handmade";
/// Where set-user-ID programs are, on the host.
const PROGRAMS: &str = "/var/db/jrtest-programs";
const NOBODY: u32 = 65534;

#[derive(Clone, Copy)]
pub struct Handmade {
    /// What the service runs; /work is its own to write.
    pub program: &'static str,
    /// Something in the root has the name that jailrun's own directory has on the host.
    pub shows_state: bool,
    /// /work is said to be for reading only.
    pub says_read_only: bool,
    /// A granted directory without nosuid, and no word of new privileges.
    pub sets_user_id: bool,
    pub is_root: bool,
    /// Of jail(8).
    pub parameters: &'static str,
}

pub const PLAIN: Handmade = Handmade {
    program: "/bin/sh",
    shows_state: false,
    says_read_only: false,
    sets_user_id: false,
    is_root: false,
    parameters: "enforce_statfs=2",
};

impl Handmade {
    /// Everything that is open in it, of all attempts.
    pub fn holes(self) -> BTreeSet<String> {
        let before = world();
        assert_eq!(sh(&self.make()), "");
        let kernel = &mut FreeBsd;
        let outside = Outside::new(kernel);
        let target = Shared::new(self.target(outside.target()));
        let mut ears = Ears::open(kernel, None).unwrap();
        let mut holes = BTreeSet::new();
        for attempt in ATTEMPTS {
            let seen = climb(kernel, &mut ears, attempt, &target).unwrap();
            let found = judge(attempt, seen, &BTreeMap::new());
            if found.verdict.is_hole() {
                println!("{found:?}");
                holes.insert(attempt.name.to_string());
            }
        }
        ears.close(kernel);
        outside.release(kernel);
        assert_eq!(sh(UNMAKE), "");
        assert_eq!(world(), before);
        holes
    }

    fn make(self) -> String {
        let state = match self.shows_state {
            true => format!("mkdir -p {ROOT}{STATE}"),
            false => "true".to_string(),
        };
        let parameters = self.parameters;
        format!(
            "set -e; mkdir -p {ROOT}/work {ROOT}/programs {PROGRAMS}; {state}
             install -m 4555 /usr/bin/id {PROGRAMS}
             for d in bin lib libexec dev; do mkdir -p {ROOT}/$d; done
             for d in bin lib libexec; do mount -t nullfs -o ro,nosuid /$d {ROOT}/$d; done
             mount -t tmpfs -o noexec,nosuid,mode=1777 tmpfs {ROOT}/work
             install /bin/sh {ROOT}/work/sh; chown nobody {ROOT}/work/sh
             mount -t nullfs -o ro {PROGRAMS} {ROOT}/programs
             jail -c name={NAME} path={ROOT} persist ip4=disable ip6=disable {parameters} >/dev/null"
        )
    }

    fn target(self, outside: Target) -> Target {
        let mut procctl = vec![Procctl::NoTrace, Procctl::NoWxMap];
        let mut mounts = vec![mount("/bin", true), mount("/work", self.says_read_only)];
        match self.sets_user_id {
            true => mounts.push(mount("/programs", true)),
            false => procctl.push(Procctl::NoNewPrivs),
        }
        // What was granted is looked through for set-user-ID programs, and scratch space isn't.
        for mount in mounts.iter_mut().filter(|mount| mount.target == "/work") {
            mount.filesystem = Filesystem::Tmpfs {
                size: 0,
                inodes: 0,
                mode: 0o1777,
                uid: 0,
                gid: 0,
            };
        }
        let (user, id) = match self.is_root {
            true => ("root", 0),
            false => ("nobody", NOBODY),
        };
        Target {
            child: ChildPlan {
                user: user.to_string(),
                uid: id,
                gid: id,
                program: self.program.to_string(),
                procctl,
                ..child()
            },
            jail: Some(NAME.to_string()),
            mounts,
            is_throwaway: false,
            ..outside
        }
    }
}

const UNMAKE: &str = "jail -r jrtest-handmade; for d in programs work libexec lib bin; do \
    umount /var/db/jrtest-handmade/$d; done; rm -r /var/db/jrtest-handmade /var/db/jrtest-programs";
