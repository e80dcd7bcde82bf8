//! The launcher. Everything it does is in the library; here the operating system is chosen.
#![allow(clippy::exit)]

const HELP: &str = "\
usage: jailrun PROFILE[@INSTANCE] [COMMAND [ARG ...]]

Runs the program of a profile, or COMMAND in its place, in a jail of its own, and takes everything
back when it ends. Profiles: /usr/local/etc/jailrun/profiles/NAME.toml, see jailrun.toml(5).
Only root may run it in this version.
";

fn main() {
    let words: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(|word| word.into_string())
        .collect();
    let Ok(words) = words else {
        eprintln!("jailrun: an argument is not UTF-8");
        std::process::exit(64);
    };
    if words
        .first()
        .is_some_and(|word| word == "--help" || word == "-h")
    {
        print!("{HELP}");
        return;
    }
    if words.first().is_some_and(|word| word == "--version") {
        println!("jailrun {}", env!("CARGO_PKG_VERSION"));
        return;
    }
    std::process::exit(run(&words));
}

#[cfg(target_os = "freebsd")]
fn run(words: &[String]) -> i32 {
    use jailrun::kernel::{Ending, Kernel, freebsd::FreeBsd};

    let mut kernel = FreeBsd;
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let outcome = jailrun::run::Request::parse(words)
        .and_then(|request| jailrun::run::run(&mut kernel, &request, &environment));
    let profile = words.first().map_or("", String::as_str);
    match outcome {
        Ok(ended) => {
            for leftover in &ended.leftovers {
                kernel.complain(&format!("jailrun: {profile}: left behind: {leftover}"));
            }
            match ended.ending {
                _ if !ended.leftovers.is_empty() => 71,
                Ending::Exited(status) => status,
                Ending::Signalled(number) => {
                    kernel.raise_default(number);
                    128 + number
                }
            }
        }
        Err(error) => {
            kernel.complain(&format!("jailrun: {}: {error}", profile.escape_debug()));
            error.exit_status()
        }
    }
}

#[cfg(not(target_os = "freebsd"))]
fn run(_: &[String]) -> i32 {
    eprintln!("jailrun: runs on FreeBSD only");
    69
}
