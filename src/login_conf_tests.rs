//! Laws of reading login.conf(5).

use super::*;

const TEXT: &str = "# default:\\\n:openfiles=1:\n\
    default:\\\n\t:cputime=1h30m:\\\n\t:openfiles=100:\\\n\t:memorylocked=64K:\\\n\t:umask=022:\\\n\t:priority=0:\n\
    \n\
    daemon|Daemons:\\\n\t:mail@:\\\n\t:memorylocked=128M:\\\n\t:priority=-5:\\\n\t:tc=default:\n\
    split:openfiles-cur=10:openfiles-max#0x20:maxproc=017:kqueues=inf:tc=daemon:\n\
    off:openfiles@:tc=default:\n\
    loop:tc=loop:\nlost:tc=nowhere:\n\
    pinned:cpumask=0-1,3:umask=inherit:\nfree:cpumask=Default:\n";

fn class(text: &str, name: &str) -> Result<LoginClass, String> {
    LoginClass::of(name, &record(text.as_bytes(), name)?)
}

fn limit(class: &LoginClass, limit: Limit) -> Option<(Option<u64>, Option<u64>)> {
    let mut all = class.limits.iter();
    let found = all.find(|known| known.limit == limit)?;
    Some((found.soft, found.hard))
}

#[test]
fn a_class_is_its_own_words_first_then_those_that_it_includes() {
    let daemon = class(TEXT, "daemon").unwrap_or_default();
    assert_eq!(
        limit(&daemon, Limit::Memorylocked),
        Some((Some(128 << 20), Some(128 << 20)))
    );
    assert_eq!(
        limit(&daemon, Limit::Openfiles),
        Some((Some(100), Some(100)))
    );
    assert_eq!(
        limit(&daemon, Limit::Cputime),
        Some((Some(5400), Some(5400)))
    );
    assert_eq!((daemon.umask, daemon.nice), (Some(0o022), Some(-5)));
    assert_eq!(
        class(TEXT, "Daemons").map(|class| class.limits),
        Ok(daemon.limits)
    );
}

#[test]
fn soft_and_hard_limits_come_apart_and_what_is_taken_away_stays_away() {
    let split = class(TEXT, "split").unwrap_or_default();
    assert_eq!(limit(&split, Limit::Openfiles), Some((Some(10), Some(32))));
    assert_eq!(limit(&split, Limit::Maxproc), Some((Some(15), Some(15))));
    assert_eq!(
        limit(&split, Limit::Kqueues),
        Some((Some(UNLIMITED), Some(UNLIMITED)))
    );
    assert_eq!(
        limit(&class(TEXT, "off").unwrap_or_default(), Limit::Openfiles),
        None
    );
    assert_eq!(
        class(TEXT, "pinned").map(|class| (class.cpus, class.umask)),
        Ok((Some(vec![0, 1, 3]), None))
    );
    assert_eq!(class(TEXT, "free").map(|class| class.cpus), Ok(None));
}

#[test]
fn the_record_is_byte_for_byte_what_getcap_makes_of_it() {
    assert_eq!(
        record(b"a:x=1:tc=b:y=2:\nb|c:z=3:\n", "a"),
        Ok(b"a:x=1:z=3:y=2:".to_vec())
    );
    assert_eq!(record(b"a:tc=b\nb:z=3\n", "a"), Ok(b"a:z=3:".to_vec()));
    assert_eq!(
        record(b"a:tc@:tc=b:\nb:z=3:\n", "a"),
        Ok(b"a:tc@:tc=b:".to_vec())
    );
    assert_eq!(
        record(b"a:tc=b:tc=b:\nb:z=3:\n", "a"),
        Ok(b"a:z=3:z=3:".to_vec())
    );
    assert_eq!(record(b"a:tc=b:\nb\n", "a"), Ok(b"a::".to_vec()));
}

#[test]
fn what_login_would_pass_over_is_refused() {
    for (text, name, words) in [
        (TEXT, "www", "has no class \"www\""),
        (TEXT, "loop", "includes \"loop\" in itself (tc)"),
        (TEXT, "lost", "includes \"nowhere\" (tc), which isn't there"),
        ("a:openfiles=many:\n", "a", "openfiles is \"many\""),
        ("a:openfiles=5 :\n", "a", "openfiles is \"5 \""),
        ("a:openfiles=-5:\n", "a", "openfiles is \"-5\""),
        ("a:openfiles=:\n", "a", "openfiles is \"\""),
        ("a:openfiles=^A:\n", "a", "openfiles is \"^A\""),
        (
            "a:openfiles=99999999999999999999:\n",
            "a",
            "openfiles is \"99999999999999999999\"",
        ),
        ("a:datasize=8388608t:\n", "a", "datasize is \"8388608t\""),
        ("a:datasize=5m3x:\n", "a", "datasize is \"5m3x\""),
        (
            "a:datasize#5:\n",
            "a",
            "datasize is given with \"#\": use \"=\"",
        ),
        ("a:cputime=5k:\n", "a", "cputime is \"5k\""),
        (
            "a:umask=01000:\n",
            "a",
            "umask is not a umask, at most 0777",
        ),
        ("a:umask=-1:\n", "a", "umask is not a umask, at most 0777"),
        ("a:umask=rwx:\n", "a", "umask is \"rwx\""),
        (
            "a:priority=21:\n",
            "a",
            "priority is not -20 to 20; idle and real-time ones are not supported",
        ),
        (
            "a:cpumask=3-1:\n",
            "a",
            "cpumask: \"3-1\" is not a list of CPUs like \"0-3,7\", each below 1024",
        ),
        ("a:openfiles=5:", "a", "has no newline at its end"),
        ("a:openfiles=5:\0\n", "a", "has a NUL character"),
        ("a:openfiles=5:\n", "", "has no class \"\""),
    ] {
        assert_eq!(class(text, name), Err(words.to_owned()), "{text:?}");
    }
}

/// Two includes a record, each in the next one: 2^30 of them, or a record of gigabytes.
#[test]
fn includes_that_multiply_are_bounded() {
    let mut text = String::new();
    for number in 0..30 {
        let next = number + 1;
        text.push_str(&format!("r{number}:tc=r{next}:tc=r{next}:\n"));
    }
    text.push_str("r30:openfiles=3:\n");
    assert_eq!(
        record(text.as_bytes(), "r0"),
        Err("includes more than 256 records (tc)".to_owned())
    );
    let long = format!("a:tc=b:tc=b:tc=b:\nb:x={}:\n", "y".repeat(30_000));
    assert_eq!(
        record(long.as_bytes(), "a"),
        Err("has a class of more than 64 KiB".to_owned())
    );
    let file = vec![b'\n'; FILE_BYTES + 1];
    assert_eq!(record(&file, "a"), Err("is longer than 256 KiB".to_owned()));
}
