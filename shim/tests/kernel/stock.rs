//! Programs of the base system, as they come: the same output and status with the library in capability
//! mode as without either, and without the library in capability mode none of it.

use super::launcher::{Launch, Mode};
use super::{Place, alone, library};

/// Command lines for sh, each run in a fresh directory that may be written to.
const COMMANDS: [&str; 19] = [
    "wc -l /etc/services /etc/passwd none",
    "cd /usr/share && grep -c root /etc/passwd; grep -rl zoneinfo /etc/periodic /usr/share/misc | sort | head -5",
    "find /etc -name 'r*' -type f | sort | head -20; find . -depth; find /etc/none",
    "awk -F: '$3 < 10 { print $1, $6 | \"sort\" }' /etc/passwd",
    "sort -r /etc/group | head -3; sort /etc/services | uniq | tail -1 | cut -c1-20",
    "for i in 1 2 3; do echo $i; done | while read n; do echo $((n * 2)); done | tr 2 x; wait",
    "(sleep 0.1; echo late >late) & wait; cat late; echo $(cat late)$(ls); test -d /etc && [ ! -e none ]",
    "mkdir -p a/b/c && echo text >a/b/c/file && ln -s $PWD/a/b link && cp -R a copy && ls -lR . | grep -c file; mv copy moved; \
     rm -r moved; cat link/c/file; cd link/c && pwd && pwd -P; rm /etc/passwd 2>/dev/null; ls -d /etc/passwd",
    "mkdir d; echo contents >d/one; ln -s one d/two; tar -cf t.tar d; tar -tf t.tar; rm -r d; tar -xf t.tar; cat d/two",
    "tar -C /etc -cf - services group | tar -xvf - 2>&1; cmp services /etc/services",
    "gzip -c /etc/services >s.gz; gzip -l s.gz | wc -l; gunzip -c s.gz | cmp - /etc/services; cp /etc/group g; gzip g; ls",
    "echo hello >f; openssl dgst -sha256 f; openssl enc -aes-128-cbc -pass pass:x -pbkdf2 -nosalt -in f | openssl base64",
    "echo '2^100; scale=5; 4*a(1)' | bc -l",
    "date -r 86400 +%F; TZ=Europe/Berlin date -r 86400 +%H; env -i X=1 /usr/bin/env | grep ^X; id -un root; printf '%s\\n' a b",
    "sed -i '' s/x/y/ /dev/null; echo axb >f; sed -i .old s/x/y/ f; cat f f.old; ed -s f <<X\ns/y/z/\nw\nX\ncat f",
    "mktemp -d $PWD/tXXXX >name; test -d \"$(cat name)\"; install -m 600 /etc/group g; stat -f %Lp g; touch -d 2020-01-01T00:00:00Z g; stat -f %m g",
    "dd if=/dev/zero of=z bs=1k count=3 2>/dev/null; wc -c z; truncate -s 10 z; stat -f %z z; xargs -n 1 echo </etc/shells | tail -1; du -s /etc/none",
    "mkfifo p; cat /etc/group >p & wc -l <p; wait; cat <<X | tee out\n$0\nX\ncat out",
    "ls -la /etc/ /usr | grep -v ^total | wc -l; ls -l /etc/localtime none; diff /etc/group /etc/passwd | head -3; cksum /etc/services; m4 /dev/null; xz -c /etc/group | xz -dc | cmp - /etc/group",
];

#[test]
fn stock_programs_do_the_same() {
    let Some(library) = library() else { return };
    let _alone = alone();
    let run = |mode, command: &str| {
        let place = Place::new("stock");
        let launch = Launch::new(mode, &library)
            .writable(&place.0)
            .writable("/dev")
            .writable("/tmp")
            .cwd(&place.0);
        let ended = launch.run(&["/bin/sh", "-c", command]);
        // sort(1) asks how much memory there is, says that it isn't told, and goes on.
        let errors: String = ended
            .errors
            .lines()
            .filter(|line| !line.starts_with("sysconf pages"))
            .collect();
        (ended.output, errors, ended.status)
    };
    let mut different = String::new();
    for command in COMMANDS {
        let (bare, confined) = (run(Mode::Bare, command), run(Mode::Confined, command));
        if bare != confined {
            different.push_str(&format!(
                "{command}\nwithout: {bare:?}\nwith: {confined:?}\n\n"
            ));
        }
    }
    assert!(different.is_empty(), "{different}");
    let without = run(Mode::Alone, COMMANDS[0]);
    assert!(
        without.1.contains("Not permitted in capability mode") || without.1.contains("not found"),
        "{without:?}"
    );
}
