//! Measures a launch with its teardown against the least that it can cost, and against jail(8) with the
//! same mounts, in turn, in one run: `make bench`, or as root on FreeBSD
//!
//!   bench [ROUNDS [JAILS]]     all figures, as Markdown; JAILS jails are up in the second half (1000)
//!   bench floor                one launch with the system calls alone
//!   bench daemons [PAIRS]      nginx and redis in capability mode beside bare, in turn (20); needs them, and
//!                              the shim installed or beside the programs (`make bench-daemons`)
//!
//! JAILRUN_BIN names the program, and JAILRUNCTL_BIN the other, where they don't lie beside this one's
//! folder. What is made for it is called jailrun-bench, and gone when it ends.
#![cfg_attr(
    target_os = "freebsd",
    expect(clippy::disallowed_methods, reason = "it measures programs")
)]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit)]

#[cfg(target_os = "freebsd")]
mod daemons;
#[cfg(target_os = "freebsd")]
mod figures;
#[cfg(target_os = "freebsd")]
mod floor;
#[cfg(target_os = "freebsd")]
mod stage;

#[cfg(not(target_os = "freebsd"))]
fn main() {
    eprintln!("bench: runs on FreeBSD only");
    std::process::exit(69);
}

#[cfg(target_os = "freebsd")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    match (&words[..], &numbers[..]) {
        (["floor"], _) => std::process::exit(floor::launch(&mut floor::kernel())),
        (["daemons"], _) => daemons::report(20),
        (["daemons", _], [pairs]) if *pairs > 0 => daemons::report(*pairs),
        ([], _) => report(31, 1000),
        ([_], [rounds]) if *rounds > 0 => report(*rounds, 1000),
        ([_, _], [rounds, jails]) if *rounds > 0 => report(*rounds, *jails),
        _ => {
            eprintln!("usage: bench [ROUNDS [JAILS]] | bench floor | bench daemons [PAIRS]");
            std::process::exit(64);
        }
    }
}

#[cfg(target_os = "freebsd")]
fn report(rounds: usize, jails: usize) {
    use figures::{Row, beside};

    let stage = stage::Stage::new();
    println!("{}", figures::about(rounds));
    println!("{}", figures::HEAD);
    println!("{}", Row::measure(&stage, rounds, "nothing else"));
    {
        let _load = stage::Load::new(jails);
        let label = format!("{jails} jails, a mount each");
        println!("{}", Row::measure(&stage, rounds.min(11), &label));
    }
    println!("\n{}", figures::calls(&stage));
    println!("\n{}", figures::memory(&stage));
    for (name, variable) in [("jailrun", "JAILRUN_BIN"), ("jailrunctl", "JAILRUNCTL_BIN")] {
        println!("{}", figures::size(name, &beside(name, variable)));
    }
}
