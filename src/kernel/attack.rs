//! System calls that a service which was taken over would make, and a launch never does: for
//! `jailrunctl attest` and `why` alone. One method per call, as in [`Kernel`]; what an attempt amounts to is
//! decided in `crate::attest`. jailrun(8) itself calls none of them, so they aren't in it.

use super::{At, Fd, Kernel, Outcome, Pid};
use std::net::{Ipv4Addr, SocketAddr};

/// What socket(2) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// SOCK_STREAM of the family that an address is of.
    Tcp4,
    Tcp6,
    /// SOCK_RAW, ICMP.
    Raw4,
    Raw6,
    /// PF_ROUTE, SOCK_RAW.
    Route,
}

/// What memory is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// PROT_READ | PROT_WRITE, never touched.
    Data,
    /// PROT_READ | PROT_WRITE | PROT_EXEC.
    WritableCode,
}

/// What access(2) is asked for; several at once are all needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    /// Of a directory: to look things up in it.
    Execute,
    ReadAndSearch,
    WriteAndSearch,
}

pub trait Attack: Kernel {
    /// Why this kernel can't show what the attempt of this name would: it would be no measurement.
    fn cannot_show(&self, attempt: &str) -> Option<&'static str>;

    /// socket(2), bind(2), listen(2) and connect(2) as an intruder calls them; a launch has its own.
    fn make_socket(&mut self, socket: Socket) -> Outcome<Fd>;
    fn bind_to(&mut self, socket: Fd, address: SocketAddr) -> Outcome<()>;
    fn listen_on(&mut self, socket: Fd) -> Outcome<()>;
    fn connect_to(&mut self, socket: Fd, address: SocketAddr) -> Outcome<()>;
    fn getsockname(&mut self, socket: Fd) -> Outcome<SocketAddr>;
    /// RTM_DELETE of the route to one host, written to a routing socket: ESRCH where there is none.
    fn route_delete(&mut self, socket: Fd, destination: Ipv4Addr) -> Outcome<()>;

    /// mknod(2) of a character device with a number that no driver has.
    fn mknod(&mut self, path: &str) -> Outcome<()>;
    /// faccessat(2) with AT_EACCESS. Knows nothing of noexec, and opens nothing: a fifo or a device
    /// notices nothing of it.
    fn access(&mut self, path: &str, access: Access) -> Outcome<()>;
    fn linkat(&mut self, from: At, name: &str, to: At, new: &str) -> Outcome<()>;
    fn chroot(&mut self, path: &str) -> Outcome<()>;
    fn fchdir(&mut self, directory: Fd) -> Outcome<()>;
    fn kldload(&mut self, module: &str) -> Outcome<()>;
    /// sysctlbyname(3) with a new value.
    fn sysctl_set_int(&mut self, name: &str, value: i32) -> Outcome<()>;

    /// mmap(2), anonymous and private. Stays mapped.
    fn mmap(&mut self, bytes: u64, memory: Memory) -> Outcome<()>;
    /// mlock(2) of one page of ours.
    fn mlock(&mut self) -> Outcome<()>;
    /// shmget(2): the id of a new segment of one page, for everybody.
    fn shmget(&mut self, key: i32) -> Outcome<i32>;
    /// shmat(2), for reading. Stays attached.
    fn shm_attach(&mut self, segment: i32) -> Outcome<()>;
    /// shmctl(2), IPC_STAT.
    fn shm_stat(&mut self, segment: i32) -> Outcome<()>;
    /// shmctl(2), IPC_RMID.
    fn shm_remove(&mut self, segment: i32) -> Outcome<()>;

    /// PT_TRACE_ME: our parent may trace us, and our next execve stops before its first instruction.
    fn ptrace_me(&mut self) -> Outcome<()>;
    /// PT_READ_D of a word at address 0: EFAULT or EINVAL only from a kernel that would let us.
    fn ptrace_read(&mut self, pid: Pid) -> Outcome<()>;
    /// ki_svuid of kern.proc.pid, of a zombie too. `None`: no such process.
    fn saved_uid(&mut self, pid: Pid) -> Outcome<Option<u32>>;

    /// One descriptor over a local socket (SCM_RIGHTS), with one byte.
    fn send_descriptor(&mut self, socket: Fd, descriptor: Fd) -> Outcome<()>;
    fn receive_descriptor(&mut self, socket: Fd) -> Outcome<Fd>;
}
