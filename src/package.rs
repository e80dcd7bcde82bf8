//! The directories that are a package's own, for its script to write as root. pkg(8) says what the package
//! lists; of that a directory is granted which lies where packages have directories of their own, which no
//! other package has anything in, and which root alone could have made. Nothing above what is listed is
//! granted, and nothing at all where pkg(8) can't be asked or says what can't be understood.

use crate::error::Error;
use crate::kernel::{Ending, Kernel, Open};
use crate::permit::Caller;
use crate::pkg::{self, Answer};
use crate::plan::is_below;
use crate::profile::parse::package::{PLACES, is_a_packages};
use crate::profile::{Package, Profile, Writable, values};
use crate::trust::{self, Owner};
use std::collections::{BTreeMap, BTreeSet};

/// About so many pkg(8) is asked, one by one.
const MOST: usize = 64;

/// Adds the directories of the package that the profile names, if it names one, to its `rw`.
pub fn grant<K: Kernel>(
    kernel: &mut K,
    profile: &mut Profile,
    caller: &Caller,
) -> Result<(), Error> {
    let Some(Package { name, .. }) = profile.root.package.clone() else {
        return Ok(());
    };
    if !caller.is_root() {
        return Err(Error::Refused(
            "directories of packages are for root".to_string(),
        ));
    }
    let Own {
        directories,
        mut left_out,
    } = own(&name, &mut |words| pkg::ask(kernel, words))?;
    let mut granted = Vec::new();
    let mut is_granted_already = false;
    for path in directories {
        if is_in_rw(profile, &path) {
            is_granted_already = true;
        } else if is_named(profile, &path) {
            let why = "is something else in the profile".to_string();
            left_out.insert(path, why);
        } else {
            match trust::open(kernel, &path, Open::Directory, Owner::Root) {
                Err(distrust) => drop(left_out.insert(path, distrust.to_string())),
                Ok(trusted) => {
                    let closed = kernel.close(trusted.fd);
                    closed.map_err(|failure| Error::step(format!("look at {path}"), failure))?;
                    granted.push(path);
                }
            }
        }
    }
    if granted.is_empty() && !is_granted_already {
        return Err(Error::Profile(none(&name, &left_out)));
    }
    let writables = granted.into_iter().map(|path| Writable {
        path,
        ..Writable::default()
    });
    profile.root.rw.extend(writables);
    profile.root.package = Some(Package { name, left_out });
    Ok(())
}

fn is_in_rw(profile: &Profile, path: &str) -> bool {
    let mut rw = profile.root.rw.iter();
    rw.any(|rw| rw.path == path || is_below(path, &rw.path))
}

/// The profile wants something else there, and means it.
fn is_named(profile: &Profile, path: &str) -> bool {
    let root = &profile.root;
    let named = root.ro.iter().chain(&root.mask).chain(root.files.keys());
    let mut named = named.chain(root.tmpfs.iter().map(|tmpfs| &tmpfs.path));
    named.any(|named| named == path)
}

fn none(name: &str, left_out: &BTreeMap<String, String>) -> String {
    let shown: Vec<String> = left_out
        .iter()
        .take(3)
        .map(|(path, why)| reason(path, why))
        .collect();
    let more = if left_out.len() > 3 { ", ..." } else { "" };
    let why = match shown.is_empty() {
        true => String::new(),
        false => format!(" ({}{more})", shown.join(", ")),
    };
    format!("the package {name} has no directory that its script may write{why}")
}

/// A path with why it isn't granted, in one phrase: some reasons begin with the component that they mean.
pub fn reason(path: &str, why: &str) -> String {
    match why.starts_with('/') {
        true => why.to_string(),
        false => format!("{path} {why}"),
    }
}

/// What a package has for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// None of them in another.
    pub directories: Vec<String>,
    pub left_out: BTreeMap<String, String>,
}

type Ask<'a> = &'a mut dyn FnMut(&[&str]) -> Result<Answer, Error>;

/// By what pkg(8) answers alone: on the host there may be something else, or nothing.
pub fn own(name: &str, ask: Ask<'_>) -> Result<Own, Error> {
    let full = installed(name, ask)?;
    let others = directories_of_others(&full, ask)?;
    let mut own = Own::default();
    let mut asked = 0;
    // One that is in another comes after it.
    for directory in listed(name, ask)? {
        let is_inside = |above: &String| is_below(&directory, above);
        if own.directories.iter().any(is_inside) {
            continue;
        }
        if !is_a_packages(&directory) {
            let why = "is no directory of one package's".to_string();
            own.left_out.insert(summary(&directory), why);
            continue;
        }
        asked += 1;
        if asked > MOST {
            return Err(Error::Profile(format!(
                "the package {name} has more than {MOST} directories: say which ones its script writes in \
                 rw, and package = \"\""
            )));
        }
        match objection(&full, &directory, &others, ask)? {
            Some(why) => drop(own.left_out.insert(directory, why)),
            None => own.directories.push(directory),
        }
    }
    Ok(own)
}

/// Why a directory isn't the package's alone.
fn objection(
    full: &str,
    directory: &str,
    others: &[(String, String)],
    ask: Ask<'_>,
) -> Result<Option<String>, Error> {
    let is_theirs = |(_, path): &&(String, String)| path == directory || is_below(path, directory);
    if let Some((other, _)) = others.iter().find(is_theirs) {
        return Ok(Some(format!("is {other}'s too")));
    }
    if let Err(why) = values::path_below_root(directory) {
        return Ok(Some(why));
    }
    // Of these pkg(8) would make a pattern.
    if directory.contains(['*', '?', '[', ']', '\\']) {
        return Ok(Some("can't be asked about".to_string()));
    }
    let pattern = format!("{directory}/*");
    let owners = lines(&["which", "-qg", &pattern], ask)?.unwrap_or_default();
    let other = owners.into_iter().find(|owner| owner != full);
    Ok(other.map(|other| format!("is {other}'s too")))
}

/// NAME-VERSION, as packages are told apart. pkg(8) also takes a name with its version, or in capitals.
fn installed(name: &str, ask: Ask<'_>) -> Result<String, Error> {
    let words = ["query", "%n %v", name];
    let lines = lines(&words, ask)?;
    let found: Vec<&str> = lines.iter().flatten().map(String::as_str).collect();
    match found.as_slice() {
        [] => Err(Error::Profile(format!(
            "the package {name} is not installed"
        ))),
        [line] => match line.split_once(' ') {
            Some((known, version)) if known == name && is_version(version) => {
                Ok(format!("{name}-{version}"))
            }
            _ => Err(pkg::wrong(&words, &format!("it answers {line:?}"))),
        },
        _ => Err(pkg::wrong(&words, "it knows several")),
    }
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && !text.contains(' ')
}

/// What the package's list names as a directory, or has a file in.
fn listed(name: &str, ask: Ask<'_>) -> Result<BTreeSet<String>, Error> {
    let mut listed = BTreeSet::new();
    for (what, is_file) in [("%D", false), ("%Fp", true)] {
        let words = ["query", what, name];
        let found = lines(&words, ask)?.ok_or_else(|| pkg::wrong(&words, "status 1"))?;
        for line in found {
            let path = path(&words, &line)?;
            match path.rsplit_once('/').filter(|_| is_file) {
                None => drop(listed.insert(path.to_string())),
                Some(("", _)) => {}
                Some((directory, _)) => drop(listed.insert(directory.to_string())),
            }
        }
    }
    Ok(listed)
}

/// Explicit directories of all others, each after its package: no file may lie in them yet.
fn directories_of_others(full: &str, ask: Ask<'_>) -> Result<Vec<(String, String)>, Error> {
    let words = ["query", "-a", "%n-%v %D"];
    let mut others = Vec::new();
    for line in lines(&words, ask)?.ok_or_else(|| pkg::wrong(&words, "status 1"))? {
        let (package, directory) = line
            .split_once(' ')
            .ok_or_else(|| pkg::wrong(&words, &format!("it answers {line:?}")))?;
        // A package without any has a line too.
        if package != full && !directory.is_empty() {
            others.push((package.to_string(), path(&words, directory)?.to_string()));
        }
    }
    Ok(others)
}

/// The lines of an answer, all of them whole; `None` where nothing was found.
fn lines(words: &[&str], ask: Ask<'_>) -> Result<Option<Vec<String>>, Error> {
    let answer = ask(words)?;
    match answer.ending {
        Ending::Exited(0) => {}
        Ending::Exited(1) if answer.said.is_empty() => return Ok(None),
        _ => return Err(answer.refused(words)),
    }
    let text =
        String::from_utf8(answer.said).map_err(|_| pkg::wrong(words, "its answer is not UTF-8"))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(pkg::wrong(words, "its answer ends within a line"));
    }
    let lines: Vec<String> = text.split_terminator('\n').map(str::to_string).collect();
    match lines.iter().find(|line| line.chars().any(char::is_control)) {
        None => Ok(Some(lines)),
        Some(line) => Err(pkg::wrong(words, &format!("it answers {line:?}"))),
    }
}

/// An absolute path in which nothing leads up. A directory may end in a slash.
fn path<'t>(words: &[&str], text: &'t str) -> Result<&'t str, Error> {
    let trimmed = text.strip_suffix('/').unwrap_or(text);
    let is_whole = trimmed
        .strip_prefix('/')
        .is_some_and(|rest| !rest.split('/').any(|part| matches!(part, "" | "." | "..")));
    match is_whole {
        true => Ok(trimmed),
        false => Err(pkg::wrong(words, &format!("{text:?} is no path"))),
    }
}

/// What stands for many of its kind: /usr/local/share/man, not each directory in it.
fn summary(directory: &str) -> String {
    let depth = match PLACES.iter().find(|place| is_below(directory, place)) {
        Some(place) => place.matches('/').count() + 1,
        None => 3,
    };
    let end = directory.match_indices('/').nth(depth).map(|(end, _)| end);
    end.and_then(|end| directory.get(..end))
        .unwrap_or(directory)
        .to_string()
}
