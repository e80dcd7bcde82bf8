//! Looks after profiles and instances. Everything it does is in the library.
#![allow(clippy::exit)]

fn main() {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    std::process::exit(jailrun::ctl::main(
        std::env::args_os().skip(1),
        &mut out,
        &mut err,
    ));
}
