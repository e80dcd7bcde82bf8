//! The profile's class of login.conf(5): the host's file, trusted as a profile is.

use crate::error::Error;
use crate::kernel::Kernel;
use crate::login_conf::{FILE_BYTES, LoginClass, record};
use crate::profile::Profile;
use crate::trust::walk::Walker;

const FILE: &str = "/etc/login.conf";
/// What cap_mkdb(1) makes of it, with slack in its pages.
const DATABASE: &str = "/etc/login.conf.db";
const DATABASE_BYTES: usize = 4 << 20;

pub fn look<K: Kernel>(
    walker: &mut Walker<'_, K>,
    profile: &Profile,
) -> Result<Option<LoginClass>, Error> {
    let Some(name) = &profile.login_class else {
        return Ok(None);
    };
    let refused = |words: String| Error::Profile(format!("login_class: {words}"));
    let mut read = |path: &str, most| {
        let content = walker.read(path, most);
        content.map_err(|distrust| refused(distrust.to_string()))
    };
    let text = read(FILE, FILE_BYTES)?.ok_or_else(|| refused(format!("there is no {FILE}")))?;
    let database = read(DATABASE, DATABASE_BYTES)?;
    let in_file = |words: String| refused(format!("{FILE} {words}"));
    let record = record(&text, name).map_err(in_file)?;
    // login_getclass(3) asks the database alone where there is one. Both must say the same of the class.
    if database.is_some_and(|database| !holds(&database, &record)) {
        return Err(refused(format!(
            "{DATABASE} says something else of {name} than {FILE}: run \"cap_mkdb {FILE}\""
        )));
    }
    let class = LoginClass::of(name, &record);
    let class = class.map_err(|words| refused(format!("{FILE}: class {name}: {words}")))?;
    Ok(Some(class))
}

/// Records are in it whole, each behind the sign of one that needs no other (RECOK of cap_mkdb(1)) and
/// before a NUL, whatever page they are on. One that is longer than a page is in pieces, and not found.
fn holds(database: &[u8], record: &[u8]) -> bool {
    let stored = [b"\0", record, b"\0"].concat();
    // Records begin with a name, so that few places begin as this one does.
    database
        .windows(stored.len())
        .any(|window| window == stored)
}
