//! What a program that was executed has: everything that tests and rehearsals look at.

use super::world::{Description, Executed, Res, World};
use crate::kernel::FileKind;

impl World {
    pub(super) fn record(
        &self,
        pid: i32,
        program: &str,
        host_path: String,
        arguments: &[String],
        environment: &[String],
    ) -> Res<Executed> {
        let process = self.process(pid)?;
        let jail = process.jail.and_then(|id| self.jails.get(&id));
        let fds = process
            .fds
            .iter()
            .map(|(number, fd)| (*number, self.describe(fd.description)))
            .collect();
        Ok(Executed {
            pid,
            program: program.to_string(),
            host_path,
            arguments: arguments.to_vec(),
            environment: environment.to_vec(),
            uid: process.credentials.uid,
            gid: process.credentials.gid,
            groups: process.credentials.groups.clone(),
            jail: process.jail,
            jail_name: jail.map(|jail| jail.name.clone()).unwrap_or_default(),
            suser: jail.is_none_or(|jail| jail.allow.contains("suser")),
            fds,
            cwd: self.path_of(process.cwd),
            umask: process.umask,
            session: process.session,
            login: process.login.clone(),
            login_class: process.login_class.clone(),
            nice: process.nice,
            fib: process.fib,
            cpus: jail.map_or_else(|| self.cpus(), |jail| jail.cpus.clone()),
            limits: process.limits.clone(),
            procctls: process.procctls.clone(),
            trace: process.trace.clone(),
            signals_blocked: process.signals_blocked,
            signals_ignored: process.signals_ignored.clone(),
            in_capability_mode: process.in_capability_mode,
        })
    }

    fn describe(&self, description: u64) -> String {
        match self.descriptions.get(&description) {
            Some(Description::Vnode {
                place,
                parent,
                name,
                ..
            }) => match self.inodes.get(&place.inode) {
                Some(inode) if inode.kind == FileKind::Directory => {
                    format!("directory {}", self.path_of(*place))
                }
                _ => format!("{}/{}", self.path_of(*parent).trim_end_matches('/'), name),
            },
            Some(Description::Socket { is_pipe: false, .. }) => "socket".into(),
            Some(Description::Bound {
                address, listener, ..
            }) => match (address, listener) {
                (Some(address), Some(uid)) if address.path().is_some() => {
                    format!("socket at {address} of uid {uid}")
                }
                (Some(address), _) => format!("socket at {address}"),
                (None, _) => "socket".into(),
            },
            Some(Description::Kqueue { .. }) => "kqueue".into(),
            Some(Description::Jail { .. }) => "jail".into(),
            Some(Description::Pipe | Description::Socket { .. }) => "pipe".into(),
            Some(Description::Terminal) => "terminal".into(),
            Some(Description::Pty { .. }) => "pseudo-terminal".into(),
            None => "?".into(),
        }
    }
}
