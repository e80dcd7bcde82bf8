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

/// Held for a moment by whoever takes or releases an address. Without it two last holders who release at
/// once would each see the other and leave the address to him; and who comes while a last holder looks
/// whether he is the last would find the lock of the address taken.
fn turn<K: Kernel>(kernel: &mut K) -> Result<Fd, Failure> {
    lock::wait(kernel, &format!("{STATE}/.addresses"))
}

pub fn take<K: Kernel>(kernel: &mut K, alias: &Alias, done: &mut Vec<Undo>) -> Result<(), Failure> {
    let turn = turn(kernel)?;
    let taken = take_in_turn(kernel, alias, done);
    taken.and(kernel.close(turn))
}

fn take_in_turn<K: Kernel>(
    kernel: &mut K,
    alias: &Alias,
    done: &mut Vec<Undo>,
) -> Result<(), Failure> {
    let path = lock_path(alias);
    let (fd, is_first) = match lock::take(kernel, &path, Lock::Exclusive) {
        Ok(fd) => (fd, true),
        // Others of us hold the address; it was added or found by the first of them.
        Err(failure) if failure.errno == Errno::EAGAIN => {
            (lock::take(kernel, &path, Lock::Shared)?, false)
        }
        Err(failure) => return Err(failure),
    };
    done.push(Undo::ReleaseAddress {
        alias: alias.clone(),
        lock: fd,
    });
    match (present(kernel, alias)?, is_first) {
        (true, _) => {}
        (false, true) => {
            // The word is written before the effect: it is what a later cleanup goes by.
            kernel.write(fd, OURS)?;
            kernel.add_address(alias)?;
        }
        (false, false) => {
            return Err(Failure {
                call: "getifaddrs",
                errno: Errno::EADDRNOTAVAIL,
                text: "the address has gone".to_string(),
            });
        }
    }
    match is_first {
        true => kernel.flock(fd, Lock::Shared),
        false => Ok(()),
    }
}

fn present<K: Kernel>(kernel: &mut K, alias: &Alias) -> Result<bool, Failure> {
    let addresses = kernel.getifaddrs()?;
    Ok(addresses
        .iter()
        .any(|known| known.interface == alias.interface && known.address == alias.address))
}

/// The last holder removes the address, and only if one of us added it.
pub fn release<K: Kernel>(kernel: &mut K, alias: &Alias, fd: Fd) -> Result<(), Failure> {
    match turn(kernel) {
        Ok(turn) => {
            let released = release_in_turn(kernel, alias, fd);
            released.and(kernel.close(turn))
        }
        Err(failure) => {
            // The file stays, and says whether the address is ours.
            let _ = kernel.close(fd);
            Err(failure)
        }
    }
}

fn release_in_turn<K: Kernel>(kernel: &mut K, alias: &Alias, fd: Fd) -> Result<(), Failure> {
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
    let turn = turn(kernel)?;
    let swept = match lock::take(kernel, &lock_path(&alias), Lock::Exclusive) {
        Ok(fd) => release_in_turn(kernel, &alias, fd),
        Err(failure) if failure.errno == Errno::EAGAIN => Ok(()),
        Err(failure) => Err(failure),
    };
    swept.and(kernel.close(turn))
}
