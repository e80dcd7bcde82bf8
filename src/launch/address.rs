//! Addresses that launches share: an alias is held under a lock for interface and address; the last
//! holder removes it, and only if one of us added it.

use crate::kernel::{Alias, Errno, Failure, Fd, Kernel, Lock};
use crate::launch::lock;
use crate::launch::steps::Undo;
use crate::plan::STATE;

/// The lock file that stands for an address. Whoever uses the address holds it shared; it says "ours"
/// when one of us added it.
fn lock_path(alias: &Alias) -> String {
    format!("{STATE}/.address-{}-{}", alias.interface, alias.address)
}

const OURS: &[u8] = b"ours\n";

pub fn take<K: Kernel>(kernel: &mut K, alias: &Alias, done: &mut Vec<Undo>) -> Result<(), Failure> {
    let path = lock_path(alias);
    let fd = match lock::take(kernel, &path, Lock::Exclusive) {
        Ok(fd) => fd,
        Err(failure) if failure.errno == Errno::EAGAIN => {
            // Others of us hold the address; it was added or found by the first of them.
            let fd = lock::take(kernel, &path, Lock::Shared)?;
            done.push(Undo::ReleaseAddress {
                alias: alias.clone(),
                lock: fd,
            });
            return present(kernel, alias)?
                .then_some(())
                .ok_or_else(|| Failure {
                    call: "getifaddrs",
                    errno: Errno::EADDRNOTAVAIL,
                    text: "the address has gone".to_string(),
                });
        }
        Err(failure) => return Err(failure),
    };
    done.push(Undo::ReleaseAddress {
        alias: alias.clone(),
        lock: fd,
    });
    if !present(kernel, alias)? {
        // The word is written before the effect: it is what a later cleanup goes by.
        kernel.write(fd, OURS)?;
        kernel.add_address(alias)?;
    }
    kernel.flock(fd, Lock::Shared)
}

fn present<K: Kernel>(kernel: &mut K, alias: &Alias) -> Result<bool, Failure> {
    let addresses = kernel.getifaddrs()?;
    Ok(addresses
        .iter()
        .any(|known| known.interface == alias.interface && known.address == alias.address))
}

/// The last holder removes the address, and only if one of us added it.
pub fn release<K: Kernel>(kernel: &mut K, alias: &Alias, fd: Fd) -> Result<(), Failure> {
    match kernel.flock(fd, Lock::Exclusive) {
        Err(failure) if failure.errno == Errno::EAGAIN => kernel.close(fd),
        Err(failure) => {
            // The descriptor goes all the same; the failure is what is told.
            let _ = kernel.close(fd);
            Err(failure)
        }
        Ok(()) => match delete_ours(kernel, alias, fd) {
            Ok(()) => lock::remove(kernel, fd, &lock_path(alias)),
            Err(failure) => {
                // The file stays, and says that the address is ours.
                let _ = kernel.close(fd);
                Err(failure)
            }
        },
    }
}

fn delete_ours<K: Kernel>(kernel: &mut K, alias: &Alias, fd: Fd) -> Result<(), Failure> {
    if kernel.fstat(fd)?.size == 0 {
        return Ok(());
    }
    match kernel.delete_address(alias) {
        // It went with its interface, or by somebody else's hand.
        Err(_) if !present(kernel, alias)? => Ok(()),
        other => other,
    }
}

/// Removes addresses whose users died. Names are `.address-IF-ADDRESS`.
pub fn sweep<K: Kernel>(kernel: &mut K, name: &str) -> Result<(), Failure> {
    let parsed = name.strip_prefix(".address-").and_then(|rest| {
        let (interface, address) = rest.split_once('-')?;
        let address: std::net::IpAddr = address.parse().ok()?;
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Some(Alias {
            interface: interface.to_string(),
            address,
            prefix,
        })
    });
    let Some(alias) = parsed else { return Ok(()) };
    match lock::take(kernel, &lock_path(&alias), Lock::Exclusive) {
        Ok(fd) => release(kernel, &alias, fd),
        Err(failure) if failure.errno == Errno::EAGAIN => Ok(()),
        Err(failure) => Err(failure),
    }
}
