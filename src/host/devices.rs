//! The devfs ruleset that shows a profile's devices and nothing else.

use crate::error::Error;
use crate::kernel::{DevfsAct, DevfsRule, Errno, Failure, Kernel, Lock};
use crate::launch::lock;
use crate::plan::STATE;

/// Where our rulesets are: one for each distinct list of nodes.
const RULESETS: std::ops::Range<u16> = 0x4a00..0x4b00;

/// Finds or makes the ruleset that hides everything and shows these nodes. It is read back: a ruleset
/// without rules shows every device of the host.
pub fn ruleset<K: Kernel>(kernel: &mut K, devices: &[String]) -> Result<u16, Error> {
    let step = |failure| Error::step("make a devfs ruleset", failure);
    let held = wait_for(kernel, &format!("{STATE}/.devfs")).map_err(step)?;
    let outcome = ruleset_locked(kernel, devices);
    kernel.close(held).map_err(step)?;
    outcome.map_err(step)
}

fn wait_for<K: Kernel>(kernel: &mut K, path: &str) -> Result<crate::kernel::Fd, Failure> {
    for _ in 0..500 {
        match lock::take(kernel, path, Lock::Exclusive) {
            Err(failure) if failure.errno == Errno::EAGAIN => kernel.sleep_ms(10),
            other => return other,
        }
    }
    Err(Failure::new("flock", Errno::EAGAIN))
}

fn ruleset_locked<K: Kernel>(kernel: &mut K, devices: &[String]) -> Result<u16, Failure> {
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
