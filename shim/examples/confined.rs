//! Runs a program in capability mode with the library, as jailrun does but without a jail: to try a program
//! out, and to trace one.
//!
//!     confined [-m bare|confined|alone|off] [-s LIBRARY] [-w DIRECTORY]... [-l tcp:ADDRESS:PORT]...
//!         [-d DIRECTORY] [-e NAME=VALUE]... PROGRAM [ARGUMENT]...
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks
)]

#[cfg(target_os = "freebsd")]
#[path = "../tests/kernel/launcher.rs"]
#[allow(dead_code)]
mod launcher;

#[cfg(target_os = "freebsd")]
fn main() {
    use launcher::{Launch, Mode};
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut launch = Launch::new(
        Mode::Confined,
        "/usr/local/lib/jailrun/libjailrun_preopen.so",
    );
    let mut at = 0;
    while arguments.get(at).is_some_and(|word| word.starts_with('-')) {
        let (option, value) = (arguments[at].clone(), arguments[at + 1].as_str());
        at += 2;
        match option.as_str() {
            "-m" => {
                launch.mode = match value {
                    "bare" => Mode::Bare,
                    "alone" => Mode::Alone,
                    "off" => Mode::Off,
                    _ => Mode::Confined,
                }
            }
            "-s" => launch.shim = value.to_string(),
            "-d" => launch.cwd = value.to_string(),
            "-w" => launch = launch.writable(value),
            "-l" => launch = launch.listen(value),
            "-e" => {
                let (name, value) = value.split_once('=').unwrap();
                launch = launch.set(name, value);
            }
            _ => panic!("{option}"),
        }
    }
    let words: Vec<&str> = arguments[at..].iter().map(String::as_str).collect();
    let status = launcher::wait(launch.spawn(&words, None));
    println!("confined: status {status}");
}

#[cfg(not(target_os = "freebsd"))]
fn main() {
    eprintln!("confined: capability mode is FreeBSD's");
    std::process::exit(69);
}
