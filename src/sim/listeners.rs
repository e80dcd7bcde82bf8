//! Who listens on which address: programs, by a table of the world's.

use super::world::World;
use crate::kernel::{Listener, Pid};

impl World {
    /// Programs that `listens` names hold their sockets once their time has come; those of "" are init's.
    pub(super) fn listeners(&self) -> Vec<Listener> {
        let programs = self.processes.values().filter(|p| p.is_program());
        let programs = programs.filter_map(|process| {
            let (program, _) = process.program.as_ref()?;
            Some((process.pid, program.as_str(), process.began_ms))
        });
        let mut found = Vec::new();
        for (pid, program, began_ms) in programs.chain([(1, "", 0)]) {
            for (protocol, address, delay_ms) in self.listens.get(program).into_iter().flatten() {
                if began_ms + delay_ms <= self.clock_ms {
                    found.push(Listener {
                        protocol: *protocol,
                        address: *address,
                        holders: vec![Pid(pid)],
                    });
                }
            }
        }
        found
    }
}
