//! The launcher. Everything it does is in the library; here the operating system is chosen.
#![allow(clippy::exit)]

use jailrun::link::parse;
use jailrun::request::Asked;

fn main() {
    match parse(std::env::args_os()) {
        Asked::Run(request) => std::process::exit(run(&request)),
        Asked::Tell(text) => print!("{text}"),
        Asked::Wrong(why) => {
            eprintln!("jailrun: {why}");
            std::process::exit(64);
        }
    }
}

#[cfg(target_os = "freebsd")]
fn run(request: &jailrun::request::Request) -> i32 {
    use jailrun::exit::Exit;
    use jailrun::kernel::{Kernel, freebsd::FreeBsd};

    let mut kernel = FreeBsd;
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let exit = jailrun::run::run(&mut kernel, request, &environment);
    if let Exit::Signal(number) = exit {
        kernel.raise_default(number);
    }
    exit.code()
}

#[cfg(not(target_os = "freebsd"))]
fn run(_: &jailrun::request::Request) -> i32 {
    eprintln!("jailrun: runs on FreeBSD only");
    69
}
