//! What a trace of ktrace(2) is read as, and what is said of it, whatever a service writes into it.
#![allow(clippy::unwrap_used)]

mod advice;
mod made;

use jailrun::report::fold::{self, Object};
use jailrun::report::record::{self, Trace};
use jailrun::report::sum::{Fate, sum};
use made::*;

#[test]
fn a_name_is_told_by_its_own_record_and_what_came_before_the_program_is_not() {
    let report = of(&[
        name(FIRST, "/ours"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        execve(),
        name(FIRST, "/usr/bin/program"),
        name(FIRST, "/etc/x.conf"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        name(FIRST, "/etc/x.conf"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        name(FIRST, "../../secret"),
        by_name(FIRST, OPENAT, "../../secret"),
    ]);
    assert_eq!(
        told(&report),
        [
            ("openat", "../../secret", 1, Fate::Preopen),
            ("openat", "/etc/x.conf", 2, Fate::Preopen),
        ]
    );
}

#[test]
fn threads_and_processes_that_take_turns_are_told_apart() {
    let report = of(&[
        by_call(201, 128),
        by_call(202, 12),
        name(201, "/var/db/x/a"),
        name(202, "/etc"),
        name(201, "/var/db/x/b"),
        by_call(202, BIND),
        name(201, "/etc/a"),
        sockaddr(202, &inet(80, [10, 0, 0, 80])),
        by_name(201, OPENAT, "AT_FDCWD"),
    ]);
    assert_eq!(
        told(&report),
        [
            ("bind", "10.0.0.80:80", 1, Fate::Preopen),
            ("chdir", "/etc", 1, Fate::Preopen),
            ("openat", "/etc/a", 1, Fate::Preopen),
            ("rename", "/var/db/x/a /var/db/x/b", 1, Fate::Preopen),
        ]
    );
}

#[test]
fn each_refusal_has_its_fate_and_the_line_that_grants_it() {
    let report = of(&[
        execve(),
        by_call(FIRST, BIND),
        sockaddr(FIRST, &inet(8080, [127, 0, 0, 1])),
        by_call(FIRST, BIND),
        sockaddr(FIRST, &inet(0, [127, 0, 0, 1])),
        by_call(FIRST, CONNECT),
        sockaddr(FIRST, &inet(53, [10, 0, 0, 1])),
        by_call(FIRST, CONNECT),
        sockaddr(FIRST, &unix("/var/run/log")),
        by_call(FIRST, CONNECT),
        sockaddr(FIRST, &unix("/var/run/other/s")),
        by_call(FIRST, CONNECT),
        sockaddr(FIRST, &unix("/opt/s")),
        name(FIRST, "/opt/x"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        by_name(FIRST, 539, "AT_FDCWD"),
        refused(FIRST, 3, 37, &15i32.to_ne_bytes()),
        refused(FIRST, 4, 97, &1i32.to_ne_bytes()),
        refused(FIRST, 5, 133, &inet(514, [10, 0, 0, 2])),
        refused(FIRST, 0, 3, &[0; 32]),
        refused(FIRST, 7, 488, &[]),
        refused(FIRST, 99, 3, &[]),
        by_call(FIRST, 231),
        by_call(FIRST, 596),
        by_call(FIRST, 600),
    ]);
    assert_eq!(
        told(&report),
        [
            ("bind", "127.0.0.1:0", 1, Fate::Remains),
            ("connect", "10.0.0.1:53", 1, Fate::Remains),
            ("connectat", "", 1, Fate::Remains),
            ("cpuset_setaffinity", "", 1, Fate::Remains),
            ("sendto", "10.0.0.2:514", 1, Fate::Remains),
            ("shmget", "", 1, Fate::Remains),
            ("socket", "protocol 1", 1, Fate::Remains),
            ("system call 3", "kind 99", 1, Fate::Remains),
            ("system call 600", "", 1, Fate::Remains),
            ("connect", "unix:/opt/s", 1, Fate::Grant),
            ("openat", "/opt/x", 1, Fate::Grant),
            ("bind", "127.0.0.1:8080", 1, Fate::Listen),
            ("kill", "signal 15", 1, Fate::KillChildren),
            ("connect", "unix:/var/run/log", 1, Fate::Preopen),
            ("setgroups", "", 1, Fate::Preopen),
            ("connect", "unix:/var/run/other/s", 1, Fate::Same),
            ("system call 3", "", 1, Fate::Same),
        ]
    );
    let lines = [
        (
            "127.0.0.1:8080",
            Some("[[listen]] name = \"tcp-8080\"\nproto = \"tcp\"\naddr = \"127.0.0.1:8080\""),
        ),
        ("unix:/opt/s", Some("[root] Read = [\"/opt/s\"]")),
        ("unix:/var/run/other/s", None),
        ("/opt/x", Some("[root] Read = [\"/opt/x\"]")),
        ("signal 15", Some("[capsicum] kill_children = true")),
        ("10.0.0.1:53", None),
    ];
    for (object, expected) in lines {
        assert_eq!(line(&report, object).as_deref(), expected, "{object}");
    }
    assert_eq!(
        report.line(),
        "9 remain, 2 want a path that isn't inside, 1 vanish with a [[listen]], 1 vanish with kill_children = true, \
         2 vanish with preopen = true, 2 make no difference"
    );
}

#[test]
fn a_program_that_loads_no_library_keeps_all_that_the_library_would_do() {
    let bytes = [
        execve(),
        name(FIRST, "/etc/x"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        by_call(FIRST, 532),
        by_call(FIRST, BIND),
        sockaddr(FIRST, &inet(8080, [127, 0, 0, 1])),
    ]
    .concat();
    let given = Given {
        without_shim: Some("it is static".to_string()),
        ..Given::default()
    };
    let report = sum(&record::read(&bytes), 0, FIRST, &given);
    assert_eq!(report.kinds(Fate::Remains), 3);
    assert!(
        report
            .entries
            .iter()
            .all(|entry| entry.why == "it is static")
    );
}

#[test]
fn a_profile_that_enforce_refuses_remains_whatever_its_service_does() {
    let given = Given {
        against: vec!["a UDP server can't answer"],
        ..Given::default()
    };
    let report = sum(&record::read(&execve()), 0, FIRST, &given);
    assert!(report.remains() && report.entries.is_empty());
    assert_eq!(
        report.line(),
        "nothing that capability mode refuses, but the profile would be refused"
    );
    assert!(!of(&[execve()]).remains());
}

#[test]
fn names_that_the_service_chose_reach_no_terminal_and_no_line_as_they_are() {
    let hostile = "/opt/\u{1b}[2J\"\n\u{202e}x";
    let report = of(&[
        execve(),
        name(FIRST, hostile),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        record(NAMEI, FIRST, b"/opt/\xff\xfe"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        by_call(FIRST, CONNECT),
        sockaddr(FIRST, &unix("/opt/\u{7}/s")),
    ]);
    assert_eq!(report.entries.len(), 3);
    for entry in &report.entries {
        let shown = format!("{} {} {}", entry.object, entry.why, entry.call);
        assert!(
            shown.chars().all(|letter| !letter.is_control()),
            "{shown:?}"
        );
        assert!(!shown.contains('\u{202e}'), "{shown:?}");
        assert!(
            entry
                .line
                .as_ref()
                .is_none_or(|line| !line.text.contains(['\u{1b}', '\u{7}', '\n'])),
            "{entry:?}"
        );
    }
    assert_eq!(line(&report, &hostile.escape_debug().to_string()), None);
}

#[test]
fn a_trace_that_is_cut_at_any_byte_says_less_and_nothing_else() {
    let records = [
        execve(),
        name(FIRST, "/etc/x"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        by_call(FIRST, BIND),
        sockaddr(FIRST, &inet(80, [10, 0, 0, 80])),
    ]
    .concat();
    let whole = record::read(&records);
    assert_eq!((whole.events.len(), whole.is_damaged), (5, false));
    for end in 0..records.len() {
        let cut = record::read(&records[..end]);
        assert!(
            whole.events.starts_with(&cut.events) && !cut.is_damaged,
            "{end}"
        );
    }
}

#[test]
fn lengths_and_kinds_that_the_kernel_does_not_write_end_the_reading() {
    let good = name(1, "/etc/x");
    let bad_lengths = [-1i32, i32::MIN, i32::MAX, (1 << 14) + 1];
    for length in bad_lengths {
        let mut bytes = good.clone();
        let mut bad = good.clone();
        bad[..4].copy_from_slice(&length.to_ne_bytes());
        bytes.extend(bad);
        let trace = record::read(&bytes);
        assert_eq!(
            (trace.events.len(), trace.is_damaged),
            (1, true),
            "{length}"
        );
    }
    let mut old = good.clone();
    old[4..6].copy_from_slice(&NAMEI.to_ne_bytes());
    assert!(record::read(&old).is_damaged, "a header of an older kernel");
    let gap = record(NAMEI | DROP, 1, b"/etc/x");
    assert!(record::read(&gap).has_gaps && !record::read(&good).has_gaps);
    // Bodies that are too short for what they say that they are.
    for kind in [NAMEI, STRUCT, CAPFAIL] {
        for length in 0..64usize {
            let mut body = b"sockaddr\0\x10\x02".to_vec();
            body.resize(64, 0);
            let body = &body[..length];
            let trace = record::read(&record(kind, 1, body));
            assert!(trace.events.len() <= 1 && !trace.is_damaged);
        }
    }
}

#[test]
fn any_bytes_are_a_report_of_no_more_entries_than_there_are_records() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good = [
        execve(),
        name(FIRST, "/etc/x"),
        by_name(FIRST, OPENAT, "AT_FDCWD"),
        by_call(FIRST, 128),
        sockaddr(FIRST, &unix("/a")),
        refused(FIRST, 5, 133, &inet(514, [10, 0, 0, 2])),
    ]
    .concat();
    let mut damaged = 0;
    for _ in 0..2000 {
        let mut bytes = good.repeat(2);
        for _ in 0..next() % 40 {
            let at = (next() % bytes.len() as u64) as usize;
            bytes[at] = next() as u8;
        }
        let trace: Trace = record::read(&bytes);
        damaged += u32::from(trace.is_damaged);
        let report = sum(&trace, bytes.len() as u64, FIRST, &SHIMMED);
        assert!(report.entries.len() <= 12);
        assert!(!report.line().chars().any(char::is_control));
        let counted: u64 = fold::fold(&trace, FIRST).values().sum();
        assert_eq!(
            counted,
            report.entries.iter().map(|entry| entry.count).sum::<u64>()
        );
    }
    assert!(damaged > 0, "the bytes were changed");
}

#[test]
fn a_file_without_room_for_the_longest_record_is_called_full() {
    let most = jailrun::report::MOST as u64;
    let at = |size| sum(&Trace::default(), size, FIRST, &SHIMMED);
    assert!(!at(most - 1104).is_full && at(most - 1103).is_full);
    assert_eq!(
        at(most).line(),
        "nothing that capability mode refuses, full: nothing later is in it"
    );
    assert_eq!(at(0).line(), "nothing that capability mode refuses");
    let events = record::read(&refused(7, 0, 3, &[0; 32]));
    assert!(fold::fold(&events, FIRST).contains_key(&(3, Object::Rights)));
}
