//! The devfs ruleset that shows a profile's devices and nothing else.

use super::Purpose;
use crate::error::Error;
use crate::kernel::{DevfsAct, DevfsRule, Errno, Failure, Kernel};
use crate::launch::{instance, lock};
use crate::plan::STATE;

/// Where our rulesets are: one for each distinct list of nodes.
const RULESETS: std::ops::Range<u16> = 0x4a00..0x4b00;

/// Finds or makes the ruleset that hides everything and shows these nodes. It is read back: a ruleset
/// without rules shows every device of the host.
pub fn ruleset<K: Kernel>(
    kernel: &mut K,
    devices: &[String],
    purpose: Purpose,
) -> Result<u16, Error> {
    let step = |failure| Error::step("make a devfs ruleset", failure);
    if purpose == Purpose::Look {
        return match ruleset_locked(kernel, devices, purpose) {
            // Only root may ask. It would be the first, where no other is made for other devices.
            Err(failure) if failure.errno == Errno::EPERM => Ok(RULESETS.start),
            other => other.map_err(step),
        };
    }
    let held = lock::wait(kernel, &devfs_lock()).map_err(step)?;
    let outcome = ruleset_locked(kernel, devices, purpose);
    kernel.close(held).map_err(step)?;
    outcome.map_err(step)
}

fn devfs_lock() -> String {
    format!("{STATE}/.devfs")
}

/// Removes our rulesets that no mount uses. A launch that has just chosen one holds no mount yet, but
/// it reads its ruleset back under the same lock only once: so nothing is removed while anybody runs.
pub fn forget_rulesets<K: Kernel>(kernel: &mut K) -> Result<(), Failure> {
    let labels = match instance::labels(kernel) {
        Err(failure) if failure.errno == Errno::ENOENT => return Ok(()),
        other => other?,
    };
    if !labels.is_empty() {
        return Ok(());
    }
    let held = lock::wait(kernel, &devfs_lock())?;
    let outcome = forget_locked(kernel);
    outcome.and(kernel.close(held))
}

fn forget_locked<K: Kernel>(kernel: &mut K) -> Result<(), Failure> {
    for number in RULESETS {
        let found = rules(kernel, number)?;
        if found.is_empty() {
            return Ok(());
        }
        // Last first: without its first rule, which hides everything, a ruleset would show it.
        for rule in found.iter().rev() {
            kernel.devfs_rdel(number, rule.number)?;
        }
    }
    Ok(())
}

fn ruleset_locked<K: Kernel>(
    kernel: &mut K,
    devices: &[String],
    purpose: Purpose,
) -> Result<u16, Failure> {
    let mut names: Vec<&String> = devices.iter().collect();
    names.sort();
    names.dedup();
    for number in RULESETS {
        let mut wanted = vec![rule(number, 1, None, DevfsAct::Hide)];
        for (index, name) in (2u16..).zip(&names) {
            // A node in a directory needs the directory shown.
            wanted.push(rule(number, index, Some((*name).clone()), DevfsAct::Unhide));
        }
        let found = rules(kernel, number)?;
        if found.is_empty() && purpose == Purpose::Look {
            return Ok(number);
        }
        if found.is_empty() {
            for rule in &wanted {
                kernel.devfs_radd(rule)?;
            }
            if rules(kernel, number)? == wanted {
                return Ok(number);
            }
        } else if found == wanted {
            return Ok(number);
        }
    }
    Err(Failure {
        call: "ioctl",
        errno: Errno::ENOSPC,
        text: "all our rulesets are taken".to_string(),
    })
}

fn rule(ruleset: u16, number: u16, pattern: Option<String>, act: DevfsAct) -> DevfsRule {
    DevfsRule {
        ruleset,
        number,
        pattern,
        act,
    }
}

fn rules<K: Kernel>(kernel: &mut K, ruleset: u16) -> Result<Vec<DevfsRule>, Failure> {
    let mut all = Vec::new();
    let mut after = 0;
    while let Some(rule) = kernel.devfs_rgetnext(ruleset, after)? {
        after = rule.number;
        all.push(rule);
        if all.len() > 4096 {
            return Err(Failure::new("ioctl", Errno::E2BIG));
        }
    }
    Ok(all)
}
