//! Accounts that are made up: the service's own, and no others. Pure.
//! What libc reads is pwd.db, or spwd.db where it is root and can; the text files are for everybody else
//! (lib/libc/gen/getpwent.c, usr.sbin/pwd_mkdb/pwd_mkdb.c).

use super::db::{self, Pairs};

/// A user as it will be inside. Nobody can log in as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

/// A group, with the names of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

const SHELL: &str = "/usr/sbin/nologin";

/// passwd(5), without passwords.
pub fn passwd(accounts: &[Account]) -> String {
    let line = |account: &Account| {
        let Account {
            name,
            uid,
            gid,
            home,
        } = account;
        format!("{name}:*:{uid}:{gid}:{name}:{home}:{SHELL}\n")
    };
    accounts.iter().map(line).collect()
}

/// group(5).
pub fn group(groups: &[Group]) -> String {
    let line = |group: &Group| {
        let members = group.members.join(",");
        format!("{}:*:{}:{members}\n", group.name, group.gid)
    };
    groups.iter().map(line).collect()
}

/// pwd.db and spwd.db, which are the same where there are no passwords. `None`: a name is too long.
pub fn pwd_db(accounts: &[Account]) -> Option<Vec<u8>> {
    // Version 4: numbers in network order. The tag of a key holds it in its upper half.
    let mut pairs: Pairs = vec![(b"\xffVERSION".to_vec(), vec![4])];
    for (number, account) in (1u32..).zip(accounts) {
        let entry = entry(account);
        let keys = [
            tagged(0x41, account.name.as_bytes()),
            tagged(0x42, &number.to_be_bytes()),
            tagged(0x43, &account.uid.to_be_bytes()),
        ];
        pairs.extend(keys.map(|key| (key, entry.clone())));
    }
    db::build(&pairs)
}

fn tagged(tag: u8, rest: &[u8]) -> Vec<u8> {
    [&[tag], rest].concat()
}

/// All fields but the class and the times of change and expiry are set: _PWF_NAME and its kin.
const FIELDS: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100;

fn entry(account: &Account) -> Vec<u8> {
    let text = |text: &str| [text.as_bytes(), &[0]].concat();
    [
        text(&account.name),
        text("*"),
        account.uid.to_be_bytes().to_vec(),
        account.gid.to_be_bytes().to_vec(),
        // When the password has to be changed: never.
        0u32.to_be_bytes().to_vec(),
        // Login class.
        text(""),
        text(&account.name),
        text(&account.home),
        text(SHELL),
        // When the account expires: never.
        0u32.to_be_bytes().to_vec(),
        FIELDS.to_be_bytes().to_vec(),
    ]
    .concat()
}
