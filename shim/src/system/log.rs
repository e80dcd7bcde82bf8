//! syslog(3): libc connects to the system log's socket, and gets the launcher's. Nothing else is changed;
//! without the launcher's the socket in the jail is connected to, if there is one.

use super::state;
use core::ffi::c_int;

/// _PATH_LOG, _PATH_LOG_PRIV and what is linked to them.
const SOCKETS: [&[u8]; 3] = [b"/var/run/log", b"/var/run/logpriv", b"/dev/log"];

pub fn socket_for(path: &[u8]) -> Option<c_int> {
    let log = state::confined()?.handoff().log?;
    SOCKETS.contains(&path).then_some(log)
}
