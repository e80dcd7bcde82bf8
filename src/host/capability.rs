//! How a program comes to run in capability mode, or why it can't: what is refused here would start,
//! and then fail at its first open(2) or be killed.

use crate::closure::graph::{Edge, How};
use crate::closure::{Closure, UNSAID, script};
use crate::error::Error;
use crate::kernel::{Errno, Kernel, Open};
use crate::permit::Permit;
use crate::plan::capability::Capable;
use crate::profile::{CLOSURE_OFF, Mode};
use crate::run::PREFIX;
use crate::trust::{self, Distrust, Owner};
use std::collections::BTreeMap;

/// The shim, below the prefix that both programs were built for.
fn shim_path() -> String {
    format!("{PREFIX}/lib/jailrun/libjailrun_preopen.so")
}

/// Where the shim is, if this start of the profile loads it.
pub fn shim<K: Kernel>(kernel: &mut K, permit: &Permit) -> Result<Option<String>, Error> {
    let profile = permit.profile();
    let capsicum = profile.capsicum;
    // Without capability mode it only hands sockets out, and a one-off command has none. Beside the service it
    // has to be told that they are taken.
    let is_told = permit.is_beside() && !profile.listen.is_empty();
    let has_none = permit.is_one_off() && !is_told;
    if !capsicum.preopen || (capsicum.mode != Mode::Enforce && has_none) {
        return Ok(None);
    }
    let path = shim_path();
    match trust::open(kernel, &path, Open::Read, Owner::Root) {
        Ok(trusted) => {
            // It was only looked at.
            let _ = kernel.close(trusted.fd);
            Ok(Some(path))
        }
        Err(distrust) if distrust.is_absent() => Err(Error::Profile(format!(
            "preopen = true needs {path}, which isn't installed"
        ))),
        Err(distrust) => Err(Error::Profile(distrust.to_string())),
    }
}

/// What the closure says when nothing in it can load the shim.
pub fn is_useless(shim: &str, words: &str) -> bool {
    words == format!("{shim} is in libraries, and no program here can open it")
}

pub const STATIC_AND_SHIM: &str =
    "preopen = true: a static program loads no library, and makes its own system calls";

/// `None`: the profile doesn't ask for capability mode.
pub fn look<K: Kernel>(
    kernel: &mut K,
    permit: &Permit,
    closure: Option<&Closure>,
    shim: Option<&String>,
) -> Result<Option<Capable>, Error> {
    if permit.profile().capsicum.mode != Mode::Enforce {
        return Ok(None);
    }
    let asked = permit.command().and_then(<[String]>::first);
    let asked = asked.or(permit.profile().program.as_ref());
    let (Some(asked), Some(closure)) = (asked, closure) else {
        // Without a program there is no plan, and without a closure the text was refused.
        return Ok(None);
    };
    capable(kernel, asked, closure, shim)
        .map(Some)
        .map_err(
            |words| match permit.command().is_some() && !permit.is_roots() {
                true => Error::Profile(UNSAID.to_string()),
                false => Error::Profile(words),
            },
        )
}

/// Why the program couldn't run in capability mode with the shim; `None` where it could, as far as its files
/// tell.
pub fn wanting<K: Kernel>(
    kernel: &mut K,
    permit: &Permit,
    closure: Option<&Closure>,
) -> Option<String> {
    let asked = permit.command().and_then(<[String]>::first);
    let asked = asked.or(permit.profile().program.as_ref());
    match (asked, closure) {
        (Some(asked), Some(closure)) => capable(kernel, asked, closure, Some(&shim_path())).err(),
        _ => Some(CLOSURE_OFF.to_string()),
    }
}

fn capable<K: Kernel>(
    kernel: &mut K,
    asked: &str,
    closure: &Closure,
    shim: Option<&String>,
) -> Result<Capable, String> {
    let edges = closure.graph.edges();
    let mut programs = edges.iter().filter(|edge| edge.how == How::Program);
    // The first that was asked for is the one that is executed.
    let main = &programs.next().ok_or(UNSAID)?.to;
    let head = head(kernel, main).map_err(|distrust| distrust.to_string())?;
    refuse_what_cannot(asked, main, closure, &head)?;
    let below = |from: &str, how: &How| -> Option<String> {
        let is_it = |edge: &&Edge| edge.from.as_deref() == Some(from) && edge.how == *how;
        Some(edges.iter().find(is_it)?.to.clone())
    };
    let (image, interpreter) = match below(main, &How::Script) {
        None => (main.clone(), Vec::new()),
        Some(image) => {
            let line = script::parse(&head).map_err(|_| UNSAID)?;
            let words = std::iter::once(line.interpreter).chain(line.argument);
            (image, words.collect())
        }
    };
    if !interpreter.is_empty() && shim.is_none() {
        return Err(format!(
            "{asked} is a script: in capability mode its interpreter opens it only with preopen = true"
        ));
    }
    let linker = below(&image, &How::Interpreter);
    if linker.is_none() && shim.is_some() {
        return Err(format!("{asked}: {STATIC_AND_SHIM}"));
    }
    Ok(Capable {
        image,
        libraries: match linker {
            Some(_) => libraries(closure)?,
            None => Vec::new(),
        },
        linker,
        shim: shim.cloned(),
        interpreter,
    })
}

fn refuse_what_cannot(
    asked: &str,
    main: &str,
    closure: &Closure,
    head: &[u8],
) -> Result<(), String> {
    let mode = closure.files.get(main).map_or(0, |stat| stat.mode);
    if mode & 0o6000 != 0 {
        return Err(format!(
            "{asked} is set-user-ID or set-group-ID, which capability mode doesn't honour"
        ));
    }
    if is_go(head) {
        return Err(format!(
            "{asked} is a Go program: it makes its own system calls, and in capability mode it opens \
             no path and makes no socket; mode = \"off\" confines it by the jail alone"
        ));
    }
    Ok(())
}

/// Enough for the note that Go's linker puts behind the program headers, and for a script's first line.
const HEAD: usize = 8192;

fn head<K: Kernel>(kernel: &mut K, path: &str) -> Result<Vec<u8>, Distrust> {
    let failed = |failure| Distrust::Failed {
        component: path.to_string(),
        failure,
    };
    let trusted = trust::open(kernel, path, Open::Read, Owner::Root)?;
    let mut head = vec![0; HEAD];
    let mut have = 0;
    let read = loop {
        let room = head.get_mut(have..).unwrap_or_default();
        match kernel.pread(trusted.fd, room, have as u64) {
            Ok(0) => break Ok(()),
            Ok(count) => have += count,
            Err(failure) if failure.errno == Errno::EINTR => {}
            Err(failure) => break Err(failed(failure)),
        }
    };
    // It was only read.
    let _ = kernel.close(trusted.fd);
    head.truncate(have);
    read.map(|()| head)
}

/// The note ".note.go.buildid": a name of four bytes, "Go", and type 4.
fn is_go(head: &[u8]) -> bool {
    head.windows(16).any(|note| {
        note.starts_with(&[4, 0, 0, 0]) && note.ends_with(&[4, 0, 0, 0, b'G', b'o', 0, 0])
    })
}

/// The directories that libraries are in, by the names that programs ask for them by. In capability mode
/// rtld knows no RPATH: it takes the first that has the name.
fn libraries(closure: &Closure) -> Result<Vec<String>, String> {
    let mut directories: Vec<String> = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for edge in closure.graph.edges() {
        let name = match &edge.how {
            How::Needed(name) | How::Filter(name) | How::Auxiliary(name) | How::Module(name) => {
                name
            }
            How::Library(_) => last(&edge.to),
            _ => continue,
        };
        let name = last(name);
        match seen.insert(name.to_string(), edge.to.clone()) {
            Some(other) if other != edge.to => {
                return Err(format!(
                    "both {other} and {} are called {name}: in capability mode a program finds only one",
                    edge.to
                ));
            }
            Some(_) => continue,
            None => {}
        }
        let directory = place_of(closure, name, &edge.to);
        if !directories.contains(&directory) {
            directories.push(directory);
        }
    }
    Ok(directories)
}

/// Where a name is found: where a link of that name is, or the file itself.
fn place_of(closure: &Closure, name: &str, file: &str) -> String {
    let link = match last(file) == name {
        true => None,
        false => closure.links.keys().find(|link| last(link) == name),
    };
    let path = link.map_or(file, String::as_str);
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    if directory.is_empty() { "/" } else { directory }.to_string()
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::is_go;

    #[test]
    fn gos_note_is_found_and_other_notes_are_not() {
        let go = b"\x7fELF....\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0abc";
        assert!(is_go(go));
        let gnu = b"\x7fELF....\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0abc";
        assert!(!is_go(gnu) && !is_go(b"") && !is_go(b"#!/bin/sh\n"));
    }
}
