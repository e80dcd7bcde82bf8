//! What is done before the first start and undone after the last: addresses that sockets are bound to,
//! and the sockets. While the service is started again, whoever connects waits, and is not refused.

use crate::error::Error;
use crate::kernel::{Fd, Kernel};
use crate::launch;
use crate::launch::journal::Journal;
use crate::launch::steps::{self, Site, Undo};
use crate::plan::Plan;

#[derive(Debug, Default)]
pub struct Kept {
    done: Vec<Undo>,
}

impl Kept {
    /// All of it, or nothing but for the leftovers that come with the error.
    pub fn take<K: Kernel>(
        kernel: &mut K,
        plan: &Plan,
        journal: &mut Journal,
    ) -> Result<Kept, (Error, Vec<String>)> {
        let mut done = Vec::new();
        let mut site = Site::new(journal, plan.label());
        for step in plan.kept() {
            if let Err(error) = steps::perform(kernel, &mut site, step, &mut done) {
                let leftovers = launch::unwind(kernel, &done);
                return Err((error, leftovers));
            }
        }
        Ok(Kept { done })
    }

    /// In the profile's order.
    pub fn sockets(&self) -> Vec<Fd> {
        let sockets = self.done.iter().filter_map(|undo| match undo {
            Undo::CloseSocket { fd, .. } => Some(*fd),
            _ => None,
        });
        sockets.collect()
    }

    /// Gives back what couldn't be undone.
    pub fn release<K: Kernel>(self, kernel: &mut K) -> Vec<String> {
        launch::unwind(kernel, &self.done)
    }
}
