//! Executing programs by path. In capability mode the kernel executes descriptors only, and of those no
//! dynamic programs: the run-time linker is executed, and told to load the descriptor.

use super::look::{self, AT_EMPTY_PATH, Want};
use super::{cwd, files, raw, state};
use crate::handoff::{CWD, NAMES};
use crate::paths::Last;
use crate::text::Text;
use core::ffi::{c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use libc::{
    AT_FDCWD, E2BIG, EACCES, EBADF, EFAULT, ENOENT, ENOEXEC, F_GETFD, F_SETFD, S_IFMT, S_IFREG,
};

const ECAPMODE: c_int = 94;

/// Pointers to arguments or variables. What doesn't fit is mapped; where a child of vfork(2) does that,
/// its parent keeps the pages.
struct List {
    few: [*const c_char; Self::FEW],
    many: *mut *const c_char,
    length: usize,
    room: usize,
}

impl List {
    const FEW: usize = 512;

    fn new(room: usize) -> Result<Self, c_int> {
        let mut many = null_mut();
        if room > Self::FEW {
            let size = room.checked_mul(size_of::<*const c_char>()).ok_or(E2BIG)?;
            let (prot, flags) = (
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_ANON | libc::MAP_PRIVATE,
            );
            // SAFETY: a new mapping, at an address of the kernel's choice.
            let mapped = unsafe { libc::mmap(null_mut(), size, prot, flags, -1, 0) };
            if mapped == libc::MAP_FAILED {
                return Err(E2BIG);
            }
            many = mapped.cast();
        }
        let few = [null(); Self::FEW];
        Ok(Self {
            few,
            many,
            length: 0,
            room: room.max(Self::FEW),
        })
    }

    fn push(&mut self, item: *const c_char) -> Result<(), c_int> {
        if self.length >= self.room {
            return Err(E2BIG);
        }
        if self.many.is_null() {
            *self.few.get_mut(self.length).ok_or(E2BIG)? = item;
        } else {
            // SAFETY: `many` has room for `room` pointers.
            unsafe { self.many.wrapping_add(self.length).write(item) };
        }
        self.length += 1;
        Ok(())
    }

    fn start(&self) -> *const *const c_char {
        if self.many.is_null() {
            self.few.as_ptr()
        } else {
            self.many
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.many.is_null() {
            let size = self.room * size_of::<*const c_char>();
            // SAFETY: mapped by new(), of this size, and nobody else has it.
            unsafe { libc::munmap(self.many.cast(), size) };
        }
    }
}

/// The strings of a list that ends in null.
fn strings(list: *const *const c_char) -> impl Iterator<Item = *const c_char> {
    let mut index = 0;
    core::iter::from_fn(move || {
        if list.is_null() {
            return None;
        }
        // SAFETY: execve(2)'s lists end in null, and this stops there.
        let item = unsafe { list.wrapping_add(index).read() };
        index += 1;
        (!item.is_null()).then_some(item)
    })
}

/// The program's variables, but what the launcher handed over as we have it: a program may execute
/// another with an environment of its own making.
fn environment(
    state: &state::State,
    envp: *const *const c_char,
    directory: &Text,
) -> Result<List, c_int> {
    let mut list = List::new(strings(envp).count() + NAMES.len() + 1)?;
    for entry in strings(envp) {
        let text = raw::text(entry).unwrap_or_default();
        if !NAMES.iter().any(|name| state::is_named(text, name)) {
            list.push(entry)?;
        }
    }
    for entry in state.inherited() {
        list.push(entry)?;
    }
    list.push(directory.from(0))?;
    list.push(null())?;
    Ok(list)
}

const HEAD: usize = 1024;

enum Kind {
    /// Where the interpreter and its argument, if any, lie in the head.
    Script((usize, usize), Option<(usize, usize)>),
    Dynamic,
    Static,
}

fn read_at(fd: c_int, into: &mut [u8], offset: i64) -> Option<usize> {
    // SAFETY: pread(2) writes at most as many bytes as there are.
    let count = unsafe { libc::pread(fd, into.as_mut_ptr().cast::<c_void>(), into.len(), offset) };
    usize::try_from(count).ok()
}

fn kind(fd: c_int, head: &mut [u8; HEAD]) -> Result<Kind, c_int> {
    let length =
        read_at(fd, head.get_mut(..HEAD - 1).unwrap_or_default(), 0).ok_or_else(raw::errno)?;
    let head = head.get(..length).unwrap_or_default();
    if head.starts_with(b"#!") {
        return script(head);
    }
    if !head.starts_with(b"\x7fELF") {
        return Err(ENOEXEC);
    }
    let half = |at: usize| {
        let bytes = head.get(at..at + 2)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    };
    let table = head
        .get(32..40)
        .and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    let (Some(table), Some(size), Some(count)) = (table, half(54), half(56)) else {
        return Err(ENOEXEC);
    };
    for index in 0..u64::from(count) {
        const PT_INTERP: u32 = 3;
        let mut entry = [0; 4];
        let at = table.saturating_add(index * u64::from(size));
        let at = i64::try_from(at).map_err(|_| ENOEXEC)?;
        if read_at(fd, &mut entry, at) == Some(4) && u32::from_le_bytes(entry) == PT_INTERP {
            return Ok(Kind::Dynamic);
        }
    }
    Ok(Kind::Static)
}

/// As the kernel reads it: the interpreter up to white space, the rest of the line as one argument.
fn script(head: &[u8]) -> Result<Kind, c_int> {
    let is_space = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let end = head
        .iter()
        .position(|byte| *byte == b'\n' || *byte == 0)
        .ok_or(ENOEXEC)?;
    let line = head.get(..end).unwrap_or_default();
    let skip = |from: usize| {
        let rest = line.get(from..).unwrap_or_default();
        from + rest.iter().take_while(|byte| is_space(byte)).count()
    };
    let start = skip(2);
    let rest = line.get(start..).unwrap_or_default();
    let stop = start + rest.iter().take_while(|byte| !is_space(byte)).count();
    if start == stop {
        return Err(ENOEXEC);
    }
    let argument = skip(stop);
    let rest = line.get(argument..).unwrap_or_default();
    let trimmed = rest
        .iter()
        .rposition(|byte| !is_space(byte))
        .map(|last| argument + last + 1);
    Ok(Kind::Script(
        (start, stop),
        trimmed.map(|end| (argument, end)),
    ))
}

/// Whether something is a program that somebody may execute.
fn is_fit(status: &libc::stat) -> Result<(), c_int> {
    if status.st_mode & S_IFMT != S_IFREG || status.st_mode & 0o111 == 0 {
        Err(EACCES)
    } else if status.st_size == 0 {
        Err(ENOEXEC)
    } else {
        Ok(())
    }
}

/// Opened, and executable by this process.
fn program(path: *const c_char) -> Result<c_int, c_int> {
    let fd = files::open_for_reading(path);
    if fd < 0 {
        let errno = raw::errno();
        // What is there is looked at before it is opened.
        let there = core::cell::Cell::new(None);
        look::at(
            AT_FDCWD,
            path,
            Last::Follow,
            Want::Read,
            &|fd, name| match raw::status(fd, name, 0) {
                Ok(status) => {
                    there.set(Some(status));
                    0
                }
                Err(errno) => raw::fail(errno).into(),
            },
        );
        let unfit = there.get().map_or(Ok(()), |status| is_fit(&status));
        return Err(unfit.err().unwrap_or(errno));
    }
    let mut fit = raw::status_of(fd).and_then(|status| is_fit(&status));
    if fit.is_ok() && !files::is_allowed(path, libc::X_OK) {
        fit = Err(EACCES);
    }
    if let Err(errno) = fit {
        raw::close(fd);
        return Err(errno);
    }
    Ok(fd)
}

/// What the kernel asks of a program that is open, before it reads it: rtld could load it all the same.
fn may_be_executed(fd: c_int) -> Result<(), c_int> {
    is_fit(&raw::status_of(fd)?)?;
    let flags = libc::AT_EACCESS | AT_EMPTY_PATH;
    match raw::faccessat(fd, c"".as_ptr(), libc::X_OK, flags) {
        0 => Ok(()),
        _ => Err(raw::errno()),
    }
}

/// The kernel executes nothing without a name, which rtld would take from the program's first argument.
fn has_arguments(argv: *const *const c_char) -> Result<(), c_int> {
    if argv.is_null() {
        return Err(EFAULT);
    }
    strings(argv).next().map(|_| ()).ok_or(libc::EINVAL)
}

/// How many arguments of ours come before the program's own.
const MORE: usize = 8;

fn execute(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int {
    let Some(state) = state::confined() else {
        return behind(path, argv, envp);
    };
    let result = program(path).map(|fd| {
        let errno = through(state, fd, path, argv, envp);
        raw::close(fd);
        errno
    });
    raw::fail(result.unwrap_or_else(|errno| errno))
}

/// Executes a program that is open. Comes back with an error only.
fn through(
    state: &state::State,
    fd: c_int,
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> c_int {
    let mut head = [0; HEAD];
    let result = match kind(fd, &mut head) {
        Ok(Kind::Script(interpreter, argument)) => {
            interpret(state, (&mut head, interpreter, argument), path, argv, envp)
        }
        Ok(Kind::Dynamic) => load(state, fd, &[], argv, 0, envp),
        Ok(Kind::Static) => direct(state, fd, argv, envp),
        Err(errno) => Err(errno),
    };
    result.err().unwrap_or(EFAULT)
}

type Line<'a> = (&'a mut [u8; HEAD], (usize, usize), Option<(usize, usize)>);

fn interpret(
    state: &state::State,
    (head, interpreter, argument): Line<'_>,
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> Result<(), c_int> {
    for end in [Some(interpreter.1), argument.map(|argument| argument.1)] {
        if let Some(end) = end.and_then(|end| head.get_mut(end)) {
            *end = 0;
        }
    }
    let at = |(start, _): (usize, usize)| head.as_ptr().wrapping_add(start).cast::<c_char>();
    let fd = program(at(interpreter))?;
    let mut second = [0; HEAD];
    let kind = kind(fd, &mut second);
    let first: [*const c_char; 3] = match argument {
        Some(argument) => [at(interpreter), at(argument), path],
        None => [at(interpreter), path, null()],
    };
    let first = first
        .get(..if argument.is_some() { 3 } else { 2 })
        .unwrap_or_default();
    let result = match kind {
        Ok(Kind::Dynamic) => load(state, fd, first, argv, 1, envp),
        Ok(Kind::Static) => {
            let mut arguments = List::new(strings(argv).count() + MORE)?;
            fill(&mut arguments, first, argv, 1)?;
            direct(state, fd, arguments.start(), envp)
        }
        // An interpreter that is a script has none.
        Ok(Kind::Script(..)) => Err(ENOEXEC),
        Err(errno) => Err(errno),
    };
    raw::close(fd);
    result
}

fn fill(
    list: &mut List,
    first: &[*const c_char],
    argv: *const *const c_char,
    skip: usize,
) -> Result<(), c_int> {
    for argument in first {
        list.push(*argument)?;
    }
    for argument in strings(argv).skip(skip) {
        list.push(argument)?;
    }
    list.push(null())
}

fn working_directory() -> Result<Text, c_int> {
    let mut text = Text::new();
    text.push(CWD.as_bytes())?;
    text.push(b"=")?;
    let start = text.bytes().len();
    cwd::get(&mut text)?;
    if text.bytes().len() == start {
        text.push(b"/")?;
    }
    Ok(text)
}

/// Through the run-time linker, which closes the program's descriptor when it has mapped it.
fn load(
    state: &state::State,
    fd: c_int,
    first: &[*const c_char],
    argv: *const *const c_char,
    skip: usize,
    envp: *const *const c_char,
) -> Result<(), c_int> {
    let rtld = state.handoff().rtld.ok_or(ECAPMODE)?;
    let mut number = Text::new();
    number.number(fd.unsigned_abs() as usize)?;
    let mut arguments = List::new(strings(argv).count() + MORE)?;
    for argument in [
        c"ld-elf.so.1".as_ptr(),
        c"-f".as_ptr(),
        number.from(0),
        c"--".as_ptr(),
    ] {
        arguments.push(argument)?;
    }
    fill(&mut arguments, first, argv, skip)?;
    let directory = working_directory()?;
    let variables = environment(state, envp, &directory)?;
    let flags = raw::fcntl(fd, F_GETFD, 0);
    raw::fcntl(fd, F_SETFD, 0);
    raw::fexecve(rtld, arguments.start(), variables.start());
    let errno = raw::errno();
    // It may be the program's own, which goes on, and executes something else.
    raw::fcntl(fd, F_SETFD, flags.max(0));
    Err(errno)
}

/// A static program. Nothing stands between it and the kernel.
fn direct(
    state: &state::State,
    fd: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
) -> Result<(), c_int> {
    let directory = working_directory()?;
    let variables = environment(state, envp, &directory)?;
    raw::fexecve(fd, argv, variables.start());
    Err(raw::errno())
}

type Execve =
    unsafe extern "C" fn(*const c_char, *const *const c_char, *const *const c_char) -> c_int;

static EXECVE: raw::Behind = raw::Behind::new(c"execve");

fn behind(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int {
    // SAFETY: libc's execve(2) has this type.
    let behind = unsafe { EXECVE.function::<Execve>() };
    // SAFETY: what the program gave, unchanged.
    behind.map_or(-1, |execve| unsafe { execve(path, argv, envp) })
}

export! {
    fn [execve _execve] (path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int {
        if path.is_null() {
            // To the kernel it is fexecve(2), of no descriptor.
            return raw::fail(EBADF);
        }
        if let Err(errno) = has_arguments(argv) {
            return raw::fail(errno);
        }
        execute(path, argv, envp)
    }
    fn [fexecve _fexecve] (fd: c_int, argv: *const *const c_char, envp: *const *const c_char) -> c_int {
        let Some(state) = state::confined() else {
            return raw::fexecve(fd, argv, envp) as c_int;
        };
        if let Err(errno) = has_arguments(argv) {
            return raw::fail(errno);
        }
        if let Err(errno) = may_be_executed(fd) {
            return raw::fail(errno);
        }
        let mut head = [0; HEAD];
        match kind(fd, &mut head) {
            Ok(Kind::Dynamic) => raw::fail(load(state, fd, &[], argv, 0, envp).err().unwrap_or(EFAULT)),
            Ok(Kind::Static) => raw::fail(direct(state, fd, argv, envp).err().unwrap_or(EFAULT)),
            // Its interpreter would open it by path, of which a descriptor has none.
            Ok(Kind::Script(..)) => raw::fail(ENOENT),
            Err(errno) => raw::fail(errno),
        }
    }
}

/// ps(1) and rc.subr(8) go by the arguments that the kernel shows, which are the run-time linker's.
pub fn name_process(count: c_int, argv: *const *const c_char) {
    let (mut all, mut length) = ([0_u8; 1024], 0);
    for argument in strings(argv).take(usize::try_from(count).unwrap_or_default()) {
        let argument = raw::text(argument).unwrap_or_default();
        // Each with its NUL. What doesn't fit isn't shown.
        let Some(place) = all.get_mut(length..length + argument.len() + 1) else {
            break;
        };
        let (place, _) = place.split_at_mut(argument.len());
        place.copy_from_slice(argument);
        length += argument.len() + 1;
    }
    let errno = raw::errno();
    raw::set_arguments(all.get(..length).unwrap_or_default());
    raw::set_errno(errno);
}
