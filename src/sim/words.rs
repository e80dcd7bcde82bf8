//! Arguments of calls, for the list of calls: as a reader would write them, in FreeBSD's words.

use crate::kernel::{
    Alias, At, CpusOf, DevfsAct, DevfsRule, Fd, Filesystem, Force, Fsid, Ids, JailId,
    JailParameters, Limit, Lock, Nmount, Open, Pid, Procctl, Rights, Rlimit, Severity,
    SocketAddress, SocketKind, SocketOption, Termios, Unlink, Watch, WindowSize, signal,
};

pub(super) trait Words {
    fn words(&self) -> String;

    /// A file's mode, which is a plain number here.
    fn octal(&self) -> String {
        self.words()
    }
}

impl<T: Words + ?Sized> Words for &T {
    fn words(&self) -> String {
        (**self).words()
    }
}

impl Words for u32 {
    fn words(&self) -> String {
        self.to_string()
    }

    fn octal(&self) -> String {
        format!("{self:04o}")
    }
}

macro_rules! as_displayed {
    ($($kind:ty),*) => { $(impl Words for $kind {
        fn words(&self) -> String { self.to_string() }
    })* };
}

as_displayed!(u16, u64, i32, bool);

macro_rules! as_debugged {
    ($($kind:ty),*) => { $(impl Words for $kind {
        fn words(&self) -> String { format!("{self:?}") }
    })* };
}

as_debugged!(
    str,
    [u32],
    [u64],
    [String],
    CpusOf,
    Rlimit,
    Severity,
    Termios,
    WindowSize,
    SocketKind,
    SocketOption
);

impl Words for SocketAddress {
    fn words(&self) -> String {
        self.to_string()
    }
}

impl Words for Rights {
    fn words(&self) -> String {
        self.names().join(" ")
    }
}

impl Words for [u8] {
    fn words(&self) -> String {
        match std::str::from_utf8(self) {
            Ok(text) if !text.contains('\0') => format!("{text:?}"),
            _ => format!("{} bytes", self.len()),
        }
    }
}

impl Words for Fd {
    fn words(&self) -> String {
        self.0.to_string()
    }
}

impl Words for Pid {
    fn words(&self) -> String {
        self.0.to_string()
    }
}

impl Words for Option<Pid> {
    fn words(&self) -> String {
        self.map_or_else(|| "any".to_string(), |pid| pid.words())
    }
}

impl Words for JailId {
    fn words(&self) -> String {
        self.0.to_string()
    }
}

impl Words for At {
    fn words(&self) -> String {
        match self {
            At::Cwd => "AT_FDCWD".to_string(),
            At::Dir(fd) => fd.words(),
        }
    }
}

impl Words for Open {
    fn words(&self) -> String {
        match self {
            Open::ReadWriteCreate(mode) => format!("ReadWriteCreate {mode:04o}"),
            Open::CreateNew(mode) => format!("CreateNew {mode:04o}"),
            other => format!("{other:?}"),
        }
    }
}

impl Words for Unlink {
    fn words(&self) -> String {
        match self {
            Unlink::File => "0".to_string(),
            Unlink::Directory => "AT_REMOVEDIR".to_string(),
        }
    }
}

impl Words for Lock {
    fn words(&self) -> String {
        match self {
            Lock::Shared => "LOCK_SH".to_string(),
            Lock::Exclusive => "LOCK_EX".to_string(),
        }
    }
}

impl Words for Force {
    fn words(&self) -> String {
        match self {
            Force::No => "0".to_string(),
            Force::Yes => "MNT_FORCE".to_string(),
        }
    }
}

impl Words for Fsid {
    fn words(&self) -> String {
        format!("FSID:{}:{}", self.0, self.1)
    }
}

impl Words for Nmount {
    fn words(&self) -> String {
        let what = match &self.filesystem {
            Filesystem::Nullfs { source, .. } => format!("nullfs of {source}"),
            Filesystem::Tmpfs { size, mode, .. } => format!("tmpfs of {size} bytes, {mode:04o}"),
            Filesystem::Devfs { ruleset } => format!("devfs by ruleset {ruleset}"),
        };
        let update = if self.update { ", update" } else { "" };
        let flags: String = self
            .flags
            .words()
            .iter()
            .map(|w| format!(", {w}"))
            .collect();
        format!("{what} on {}{update}{flags}", self.target)
    }
}

impl Words for DevfsRule {
    fn words(&self) -> String {
        let act = match self.act {
            DevfsAct::Hide => "hide",
            DevfsAct::Unhide => "unhide",
            DevfsAct::Other => "other",
        };
        let which = self.pattern.as_deref().unwrap_or("*");
        format!("{} {} path {which} {act}", self.ruleset, self.number)
    }
}

/// As jail(8) takes them.
impl Words for JailParameters {
    fn words(&self) -> String {
        let each = self.iter().map(|(name, value)| value.assigned_to(name));
        each.collect::<Vec<_>>().join(" ")
    }
}

impl Words for Alias {
    fn words(&self) -> String {
        format!("{} {}/{}", self.interface, self.address, self.prefix)
    }
}

impl Words for Ids {
    fn words(&self) -> String {
        format!("{}, {}, {}", self.real, self.effective, self.saved)
    }
}

impl Words for Limit {
    fn words(&self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl Words for Procctl {
    fn words(&self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl Words for Watch {
    fn words(&self) -> String {
        match self {
            Watch::Signal(number) => format!("SIG{}", signal::name(*number)),
            other => format!("{other:?}"),
        }
    }
}
