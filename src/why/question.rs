//! What somebody wants to know of a running instance, from the words that he typed. Pure.

use crate::kernel::Protocol;
use std::net::{IpAddr, SocketAddr};

/// PATH_MAX, with its NUL.
const PATH_BYTES: usize = 1023;

/// What is to be done with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Of a directory, to list it; of a socket, to connect to it.
    Read,
    /// Of a directory, or of what isn't there, to make files.
    Write,
    Execute,
}

/// What is to be done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Bind,
    Connect,
}

/// What the options of the command line say, as far as they say anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub wish: Option<Wish>,
    pub act: Option<Act>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    Path {
        path: String,
        wish: Wish,
    },
    /// `None`: bind where the host has the address, else connect.
    Address {
        protocol: Protocol,
        address: SocketAddr,
        act: Option<Act>,
    },
    /// Without "allow.".
    Allow(String),
}

impl Question {
    /// Whoever asks may have taken the words from somewhere: nothing of them is printed as it is.
    pub fn read(word: &str, told: Told) -> Result<Question, String> {
        let shown = word.escape_debug();
        let question = if word.starts_with('/') {
            Question::Path {
                path: path(word)?,
                wish: told.wish.unwrap_or(Wish::Read),
            }
        } else if let Some(rest) = word.strip_prefix("tcp:") {
            Question::Address {
                protocol: Protocol::Tcp,
                address: address(rest)?,
                act: told.act,
            }
        } else if let Some(rest) = word.strip_prefix("udp:") {
            Question::Address {
                protocol: Protocol::Udp,
                address: address(rest)?,
                act: told.act,
            }
        } else if let Some(rest) = word.strip_prefix("allow.") {
            Question::Allow(flag(rest)?)
        } else {
            return Err(format!(
                "\"{shown}\" is no absolute path, tcp:ADDR:PORT, udp:ADDR:PORT or allow.FLAG"
            ));
        };
        match (&question, told.wish, told.act) {
            (Question::Path { .. }, _, None) | (Question::Allow(_), None, None) => Ok(question),
            (Question::Address { .. }, None, _) => Ok(question),
            (Question::Path { .. }, ..) => Err("--bind and --connect are for addresses".into()),
            (Question::Allow(_), ..) => Err("a parameter is asked for without options".into()),
            (Question::Address { .. }, ..) => Err("--write and --exec are for paths".into()),
        }
    }
}

fn path(word: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("the path \"{}\" {why}", word.escape_debug()));
    if word.chars().any(char::is_control) {
        return wrong("has a control character");
    }
    if word.len() > PATH_BYTES {
        return wrong("is longer than 1023 bytes");
    }
    Ok(word.to_string())
}

fn address(word: &str) -> Result<SocketAddr, String> {
    let shown = word.escape_debug();
    let address: SocketAddr = word.parse().map_err(|_| {
        format!("\"{shown}\" is no address and port, as in 10.0.0.80:80 or [::1]:80")
    })?;
    match (address.port(), address.ip()) {
        (0, _) => Err(format!("\"{shown}\": port 0 is no port")),
        (_, IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => {
            Err(format!("\"{shown}\": write an IPv4 address as one"))
        }
        _ => Ok(address),
    }
}

fn flag(word: &str) -> Result<String, String> {
    let is_word = |letter: char| letter.is_ascii_lowercase() || "_.0123456789".contains(letter);
    match !word.is_empty() && word.len() <= 64 && word.chars().all(is_word) {
        true => Ok(word.to_string()),
        false => Err(format!(
            "\"allow.{}\" is no parameter of a jail",
            word.escape_debug()
        )),
    }
}
