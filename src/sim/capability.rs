//! Capability mode: which calls are left, rights of descriptors, and execution by descriptor.

use super::world::{Description, Executed, Place, Res, World};
use crate::closure::image::{self, Image};
use crate::kernel::{Ending, Errno, Failure, Fd, Outcome, Rights, signal};

/// What sys/kern/syscalls.master marks CAPENABLED, of the calls that there are here. openat(2) and its
/// kin are told apart by their start, which is AT_FDCWD wherever an absolute path is given.
const ENABLED: [&str; 40] = [
    "getresuid",
    "getresgid",
    "getgroups",
    "getpid",
    "getrlimit",
    "monotonic_ms",
    "realtime",
    "close",
    "fstat",
    "read",
    "pread",
    "write",
    "write_briefly",
    "fchown",
    "fchmod",
    "ftruncate",
    "readdir",
    "flock",
    "umask",
    "isatty",
    "dup2",
    "dup_from",
    "closefrom",
    "cap_rights_limit",
    "cap_fcntls_limit",
    "cap_ioctls_limit",
    "cap_enter",
    "fexecve",
    "setsid",
    "sleep_ms",
    "listen",
    "raise_default",
    "fork",
    "waitpid",
    "setresuid",
    "setresgid",
    "pipe",
    "socketpair",
    "socket",
    "set_nonblocking",
];

/// EPERM instead: none of the variables that are asked for here is for everybody (CTLFLAG_CAPRD).
const VARIABLES: [&str; 5] = [
    "sysctl_int",
    "sysctl_text",
    "process_info",
    "saved_uid",
    "boot_id",
];

impl World {
    /// ECAPMODE for what capability mode refuses.
    pub(super) fn allowed<T>(
        &mut self,
        pid: i32,
        name: &str,
        act: impl FnOnce(&mut World, i32) -> Res<T>,
    ) -> Res<T> {
        let caller = self.processes.get(&pid);
        match caller.is_some_and(|p| p.in_capability_mode) {
            true if VARIABLES.contains(&name) => Err(Errno::EPERM.into()),
            true if !ENABLED.contains(&name) => Err(Errno::ECAPMODE.into()),
            _ => act(self, pid),
        }
    }

    pub(super) fn need_right(&self, pid: i32, fd: Fd, right: Rights) -> Res<()> {
        match self.descriptor(pid, fd)?.rights {
            Some(held) if !held.holds(right) => Err(Errno::ENOTCAPABLE.into()),
            _ => Ok(()),
        }
    }

    /// They only ever shrink.
    pub(super) fn cap_rights_limit(&mut self, pid: i32, fd: Fd, rights: Rights) -> Res<()> {
        self.need_right(pid, fd, rights)?;
        if let Some(held) = self.process_mut(pid)?.fds.get_mut(&fd.0) {
            held.rights = Some(rights);
        }
        Ok(())
    }

    /// Of rtld with "-f": the program is the one that it will run.
    pub(super) fn fexecve(
        &mut self,
        pid: i32,
        fd: Fd,
        arguments: &[String],
        environment: &[String],
    ) -> Res<Executed> {
        self.need_right(pid, fd, Rights::FEXECVE)?;
        let (place, path) = self.file_of(pid, fd)?;
        self.may_execute(pid, place)?;
        let head = self.image_of(place)?;
        let is_confined = self.process(pid)?.in_capability_mode;
        match head {
            Image::Elf(object) if object.interpreter.is_some() && is_confined => {
                // Too late for an error: the old image is gone.
                self.end(pid, Ending::Signalled(signal::ABRT));
                return Err(Errno::ECAPMODE.into());
            }
            Image::Script(_) if is_confined => return Err(Errno::ECAPMODE.into()),
            _ => {}
        }
        let (place, path) = match arguments {
            [_, option, number, ..] if option == "-f" => {
                let program = Fd(number.parse().map_err(|_| Errno::EINVAL)?);
                self.need_right(pid, program, Rights::READ)?;
                let found = self.file_of(pid, program)?;
                // rtld closes it when it has mapped the program.
                self.close(pid, program)?;
                found
            }
            _ => (place, path),
        };
        let program = path
            .rsplit_once("/root/")
            .map_or(path.clone(), |(_, inside)| format!("/{inside}"));
        self.become_program(pid, &program, (place, path), arguments, environment)
    }

    fn file_of(&self, pid: i32, fd: Fd) -> Res<(Place, String)> {
        match self.description(pid, fd)? {
            Description::Vnode {
                place,
                parent,
                name,
                ..
            } => {
                let directory = self.path_of(*parent);
                Ok((
                    *place,
                    format!("{}/{name}", directory.trim_end_matches('/')),
                ))
            }
            _ => Err(Errno::EACCES.into()),
        }
    }

    fn image_of(&self, place: Place) -> Res<Image> {
        let data = self.inode(place.inode)?.data.clone();
        let size = data.len() as u64;
        let read = image::read(&mut Bytes(&data), size);
        Ok(read.unwrap_or(Image::Other))
    }
}

struct Bytes<'a>(&'a [u8]);

impl image::ReadAt for Bytes<'_> {
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Outcome<usize> {
        let from = usize::try_from(offset).map_err(|_| Failure::new("pread", Errno::EINVAL))?;
        let rest = self.0.get(from..).unwrap_or_default();
        for (to, byte) in buffer.iter_mut().zip(rest) {
            *to = *byte;
        }
        Ok(rest.len().min(buffer.len()))
    }
}
