//! What there is against a refusal by its path or address.

use crate::made::{BIND, FIRST, OPENAT, by_call, by_name, execve, inet, line, name, of, sockaddr};
use jailrun::report::sum::Fate;

/// Each call and path that something else becomes of than of an open(2), and what.
const PATHS: &[(u16, &str, Fate, &str)] = &[
    // What the host hasn't either is looked for on every host, and no line would start.
    (
        OPENAT,
        "/usr/share/nls/C/libc.cat",
        Fate::Same,
        "isn't inside, in any mode; nor on the host",
    ),
    (
        OPENAT,
        "/opt/x",
        Fate::Grant,
        "isn't inside, in any mode: if the service needs it, grant it",
    ),
    (136, "/opt/x", Fate::Grant, "Write = [\"/opt/x\"]"),
    (502, "/opt/x", Fate::Grant, "Write = [\"/opt/x\"]"),
    (59, "/opt/x", Fate::Grant, "Execute = [\"/opt/x\"]"),
    (
        136,
        "/etc/new",
        Fate::Same,
        "is read-only inside, in any mode",
    ),
    (
        10,
        "/var/db/x/old",
        Fate::Preopen,
        "by the descriptor on /var/db/x",
    ),
    (
        5,
        "/etc/libmap.conf",
        Fate::Same,
        "the run-time linker looks for libraries there; in capability mode it has descriptors on them",
    ),
    (
        5,
        "/dev/hpet0",
        Fate::Same,
        "the C library reads the clock there; in capability mode it asks the kernel for the time",
    ),
];

#[test]
fn a_path_is_told_by_what_the_call_would_do_with_it_and_by_what_the_host_has() {
    for (call, path, fate, words) in PATHS {
        let report = of(&[name(1, path), by_name(1, *call, "AT_FDCWD")]);
        let entry = report.entries.first().unwrap();
        let told = format!("{} {:?}", entry.why, line(&report, path));
        assert_eq!((entry.object.as_str(), entry.fate), (*path, *fate));
        assert!(told.replace('\\', "").contains(words), "{path}: {told}");
    }
}

#[test]
fn each_socket_that_is_bound_has_a_table_with_a_name_of_its_own() {
    let addresses = [[127, 0, 0, 1], [127, 0, 0, 2]];
    let mut records = vec![execve()];
    for (ip, port) in addresses.into_iter().zip([8081, 8081]) {
        records.extend([by_call(FIRST, BIND), sockaddr(FIRST, &inet(port, ip))]);
    }
    let report = of(&records);
    let lines = report.entries.iter().map(|entry| {
        let text = &entry.line.as_ref().unwrap().text;
        text.lines().next().unwrap().to_string()
    });
    // The profile has a tcp-8081 already.
    assert!(lines.eq(["name = \"tcp-8081-2\"", "name = \"tcp-8081-3\""]));
}
