//! A program without a run-time linker or a library. It's made here, of system calls alone: not every system
//! has /rescue, and none has to have a compiler.

use crate::fixture::{Fixture, sh, until};
use crate::raw;
use std::io::Write;
use std::process::Stdio;

const PROGRAM: &str = "/usr/local/libexec/jrtest-static";
const BASE: u64 = 0x40_0000;
/// Where its strings are, and what they may be used for besides.
const TEXT: u64 = BASE + 0x1000;
const STATUS: i64 = 7;

const ENFORCED: &str = "[root]\nro = [\"/etc/services\"]\nprograms = [\"/usr/bin/true\"]\ndevices = [\"null\"]\n\
    tmpfs = [{ path = \"/tmp\", size = \"1m\", mode = \"1777\" }]\n[capsicum]\nmode = \"enforce\"\n";

#[derive(Clone, Copy)]
enum Word {
    Is(i64),
    Text(&'static str),
    /// Memory that is the program's own.
    Room,
}
use Word::{Is, Room, Text};

struct Attempt {
    what: &'static str,
    number: i64,
    words: Vec<Word>,
    comes_to: &'static str,
}

fn attempt(what: &'static str, number: i64, words: &[Word], comes_to: &'static str) -> Attempt {
    Attempt {
        what,
        number,
        words: words.to_vec(),
        comes_to,
    }
}

/// Instructions of amd64. What each call returned is kept at rbx, 16 bytes each: rax, and the carry flag,
/// which says that it failed.
#[derive(Default)]
struct Program {
    code: Vec<u8>,
    texts: Vec<u8>,
}

impl Program {
    /// At its start rdi points to the number of its arguments, and those follow: r12 keeps that. The room is
    /// below the stack.
    fn new() -> Program {
        let mut program = Program::default();
        program.code.extend([0x49, 0x89, 0xfc]); // mov r12, rdi
        program.code.extend([0x48, 0x89, 0xe3]); // mov rbx, rsp
        program.code.extend([0x48, 0x81, 0xeb]); // sub rbx, 8192
        program.code.extend(8192u32.to_le_bytes());
        program
    }

    fn word(&mut self, register: usize, word: Word) {
        let number = match word {
            Is(number) => number as u64,
            Text(text) => {
                let at = TEXT + self.texts.len() as u64;
                self.texts.extend(text.bytes());
                self.texts.push(0);
                at
            }
            Room => {
                // lea register, [rbx + 4096]
                let lea: [&[u8]; 3] = [
                    &[0x48, 0x8d, 0xbb],
                    &[0x48, 0x8d, 0xb3],
                    &[0x48, 0x8d, 0x93],
                ];
                self.code.extend(lea[register]);
                self.code.extend(4096u32.to_le_bytes());
                return;
            }
        };
        // mov register, number: rdi, rsi, rdx, r10, r8
        let mov: [&[u8]; 5] = [
            &[0x48, 0xbf],
            &[0x48, 0xbe],
            &[0x48, 0xba],
            &[0x49, 0xba],
            &[0x49, 0xb8],
        ];
        self.code.extend(mov[register]);
        self.code.extend(number.to_le_bytes());
    }

    fn call(&mut self, number: i64, words: &[Word]) {
        for (register, word) in words.iter().enumerate() {
            self.word(register, *word);
        }
        self.syscall(number);
    }

    fn syscall(&mut self, number: i64) {
        self.code.extend([0x48, 0xb8]); // mov rax, number
        self.code.extend(number.to_le_bytes());
        self.code.extend([0x0f, 0x05]); // syscall
    }

    fn keep(&mut self, index: usize) {
        let at = index as u32 * 16;
        self.code.extend([0x48, 0x89, 0x83]); // mov [rbx + at], rax
        self.code.extend(at.to_le_bytes());
        self.code.extend([0x0f, 0x92, 0x83]); // setc [rbx + at + 8]
        self.code.extend((at + 8).to_le_bytes());
    }

    /// write(1, what this instruction puts into rsi, count)
    fn tell(&mut self, what: &[u8], count: i64) {
        self.call(4, &[Is(1), Is(0), Is(count)]);
        let patched = self.code.len() - 12 - 10 - 10;
        // The address is put into rsi last, over the number that call() put there.
        self.code.splice(patched..patched + 10, padded(what));
    }

    /// An ELF file with one segment, whose brand is FreeBSD's.
    fn file(&self) -> Vec<u8> {
        const HEADERS: u64 = 64 + 56;
        assert!(self.code.len() as u64 + HEADERS < TEXT - BASE);
        let size = TEXT - BASE + self.texts.len() as u64;
        let mut file = b"\x7fELF\x02\x01\x01\x09\0\0\0\0\0\0\0\0".to_vec();
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]); // ET_EXEC, EM_X86_64, EV_CURRENT
        for word in [BASE + HEADERS, 64, 0] {
            file.extend(word.to_le_bytes()); // entry, program headers, no section headers
        }
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        file.extend([1, 0, 0, 0, 5, 0, 0, 0]); // PT_LOAD, to be read and executed
        for word in [0, BASE, BASE, size, size, 0x1000] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&self.code);
        file.resize((TEXT - BASE) as usize, 0);
        file.extend(&self.texts);
        file
    }
}

/// An instruction, and nop to ten bytes.
fn padded(instruction: &[u8]) -> Vec<u8> {
    let mut padded = instruction.to_vec();
    padded.resize(10, 0x90);
    padded
}

/// Root, and a tree to write, as the plan numbers them.
fn attempts(root: i64, tmp: i64) -> Vec<Attempt> {
    let services = Text("etc/services");
    let (absolute, up) = (Text("/etc/services"), Text("../etc/services"));
    vec![
        attempt("mode", raw::CAP_GETMODE, &[Room], "ok"),
        attempt("open", raw::OPEN, &[absolute, Is(0), Is(0)], "ECAPMODE"),
        attempt(
            "open by AT_FDCWD",
            raw::OPENAT,
            &[Is(raw::AT_FDCWD), services, Is(0), Is(0)],
            "ECAPMODE",
        ),
        attempt(
            "granted",
            raw::OPENAT,
            &[Is(root), services, Is(0), Is(0)],
            "ok",
        ),
        attempt(
            "to be written",
            raw::OPENAT,
            &[Is(root), services, Is(1), Is(0)],
            "ENOTCAPABLE",
        ),
        attempt(
            "absolute",
            raw::OPENAT,
            &[Is(root), absolute, Is(0), Is(0)],
            "ENOTCAPABLE",
        ),
        attempt(
            "above",
            raw::OPENAT,
            &[Is(root), up, Is(0), Is(0)],
            "ENOTCAPABLE",
        ),
        attempt(
            "not granted",
            raw::OPENAT,
            &[Is(root), Text("etc/master.passwd"), Is(0), Is(0)],
            "ENOENT",
        ),
        attempt(
            "made in a tree",
            raw::OPENAT,
            &[Is(tmp), Text("new"), Is(0x201), Is(0o600)],
            "ok",
        ),
        attempt("chdir", raw::CHDIR, &[Text("/tmp")], "ECAPMODE"),
        attempt(
            "execve",
            raw::EXECVE,
            &[Text("/usr/bin/true"), Is(0), Is(0)],
            "ECAPMODE",
        ),
        attempt("kill", raw::KILL, &[Is(1), Is(0)], "ECAPMODE"),
        attempt("socket", raw::SOCKET, &[Is(1), Is(1), Is(0)], "ok"),
        attempt("bind", raw::BIND, &[Is(2), Room, Is(16)], "ECAPMODE"),
    ]
}

/// What it tells: its first argument, 64 bytes, and what each attempt came to. Then it reads, and ends.
fn install(attempts: &[Attempt]) {
    let mut program = Program::new();
    for (index, attempt) in attempts.iter().enumerate() {
        program.call(attempt.number, &attempt.words);
        program.keep(index);
    }
    program.tell(&[0x49, 0x8b, 0x74, 0x24, 0x08], 64); // mov rsi, [r12 + 8]
    program.tell(&[0x48, 0x89, 0xde], attempts.len() as i64 * 16); // mov rsi, rbx
    program.tell(&[0x48, 0x8d, 0xb3, 0, 0x10, 0, 0], 4); // lea rsi, [rbx + 4096]
    program.call(3, &[Is(0), Room, Is(1)]);
    program.call(1, &[Is(STATUS)]);
    let made = "/tmp/jrtest-static";
    std::fs::write(made, program.file()).unwrap();
    // Nobody but root may read it, and everybody may execute it.
    assert_eq!(
        sh(&format!("install -m 511 {made} {PROGRAM}; rm {made}")),
        ""
    );
}

fn number(planned: &[(i32, String)], path: &str) -> i64 {
    let found = planned.iter().find(|(_, planned)| planned == path);
    i64::from(found.unwrap().0)
}

#[test]
fn a_static_program_is_in_capability_mode_under_its_name_and_ends_with_its_status() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("SKIP a_static_program: needs amd64");
        return;
    }
    install(&attempts(0, 0));
    let fixture = Fixture::new("static", "sleep", ENFORCED);
    fixture.instead(&[PROGRAM, "an argument"]);
    let planned = fixture.planned();
    let attempts = attempts(number(&planned, "/"), number(&planned, "/tmp"));
    install(&attempts);
    let mut running = fixture
        .command(&[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let seen = || sh(&format!("ps -J {} -o args=", fixture.jail()));
    until("the program", || seen().starts_with(PROGRAM));
    // Beside the arguments ps(1) shows the file's name, which the kernel has forgotten where the file is a
    // mount of its own (vn_commname() asks the cache of names).
    let words = seen();
    let words = words.trim_end_matches(" ((fexecv))");
    assert_eq!(words, format!("{PROGRAM} an argument"));
    let pid = sh(&format!("pgrep -j {} .", fixture.jail()));
    let flags = sh(&format!("procstat -hs {pid}"));
    println!("{flags}");
    assert!(flags.split_whitespace().any(|word| word == "C"), "{flags}");
    running.stdin.take().unwrap().write_all(b"x").unwrap();
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(STATUS as i32), "{output:?}");
    let (name, rest) = output.stdout.split_at(64);
    let name = name.split(|byte| *byte == 0).next().unwrap();
    assert_eq!(String::from_utf8_lossy(name), PROGRAM);
    let (told, mode) = rest.split_at(attempts.len() * 16);
    assert_eq!(mode, 1i32.to_le_bytes());
    for (attempt, told) in attempts.iter().zip(told.chunks(16)) {
        let value = i64::from_le_bytes(told[..8].try_into().unwrap());
        let result = match told[8] {
            0 => Ok(value),
            _ => Err(value as i32),
        };
        assert_eq!(raw::word(result), attempt.comes_to, "{}", attempt.what);
    }
    fixture.nothing_is_left();
    std::fs::remove_file(PROGRAM).unwrap();
}
