//! Who the program runs as: `user[:group]` looked up in the image's own passwd and group files, as docker does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Mode, OFlags};

use crate::sys::fs::{Links, open_in_root};

/// Larger account files are refused: they come from the image, and an honest one is a few kilobytes (CVE-2026-47262).
const ACCOUNT_FILE_MAX: u64 = 4 << 20;

/// Longer names than this (useradd's own limit) are shown as numbers.
const NAME_MAX: usize = 32;

/// Ids as the kernel takes them, and the home directory that belongs to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, the primary one first (CVE-2022-36109).
    pub groups: Vec<u32>,
    pub home: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UserError {
    #[error("unable to find user {name}: no matching entries in passwd file")]
    NoUser { name: String },
    #[error("unable to find group {name}: no matching entries in group file")]
    NoGroup { name: String },
    #[error("uid or gid {text} is out of range (0 to 2147483647)")]
    Range { text: String },
    #[error("{path} in the image is no regular file")]
    NotRegular { path: &'static str },
    #[error("{path} in the image is larger than {ACCOUNT_FILE_MAX} bytes")]
    TooLarge { path: &'static str },
    #[error("read {path} in the image: {message}")]
    Read { path: &'static str, message: String },
}

/// Resolves `wanted` (empty: root) in the account files below `root`.
pub fn resolve(root: BorrowedFd<'_>, wanted: &str) -> Result<Account, UserError> {
    let passwd = read_account_file(root, "/etc/passwd")?;
    let group = read_account_file(root, "/etc/group")?;
    resolve_in(&passwd, &group, wanted)
}

/// What the account files of an image call its ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountNames {
    pub users: BTreeMap<u32, String>,
    pub groups: BTreeMap<u32, String>,
}

/// All names below `root`, of an id that has several the first. A file that cannot be read has none.
pub fn names(root: BorrowedFd<'_>) -> AccountNames {
    let passwd = read_account_file(root, "/etc/passwd").unwrap_or_default();
    let group = read_account_file(root, "/etc/group").unwrap_or_default();
    let mut names = AccountNames::default();
    for entry in passwd.lines().filter_map(PasswdEntry::parse) {
        add_name(&mut names.users, entry.uid, entry.name);
    }
    for entry in group.lines().filter_map(GroupEntry::parse) {
        add_name(&mut names.groups, entry.gid, entry.name);
    }
    names
}

/// Names are an image's own words: one that could move a cursor is none.
fn add_name(names: &mut BTreeMap<u32, String>, id: u32, name: &str) {
    if name.len() <= NAME_MAX && !name.contains(char::is_control) {
        names.entry(id).or_insert_with(|| name.to_owned());
    }
}

/// The account with more groups: names of the image's own file, or numbers.
pub fn add_groups(
    root: BorrowedFd<'_>,
    mut account: Account,
    names: &[String],
) -> Result<Account, UserError> {
    if names.is_empty() {
        return Ok(account);
    }
    let file = read_account_file(root, "/etc/group")?;
    for name in names {
        let gid = group_id(&file, name)?;
        if !account.groups.contains(&gid) {
            account.groups.push(gid);
        }
    }
    Ok(account)
}

/// Opened without blocking, so that a FIFO cannot hold us, and read only if it is a regular file of bounded size.
fn read_account_file(root: BorrowedFd<'_>, path: &'static str) -> Result<String, UserError> {
    let failed = |error: std::io::Error| UserError::Read {
        path,
        message: error.to_string(),
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    // What it is, is asked before it is opened: opening a device may have effects.
    let seen = match open_in_root(
        root,
        path.as_bytes(),
        OFlags::PATH,
        Mode::empty(),
        Links::InRoot,
    ) {
        Ok(fd) => rustix::fs::fstat(&fd).map_err(|e| failed(e.into()))?,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
            return Ok(String::new());
        }
        Err(error) => return Err(failed(error)),
    };
    if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile {
        return Err(UserError::NotRegular { path });
    }
    let file =
        open_in_root(root, path.as_bytes(), flags, Mode::empty(), Links::InRoot).map_err(failed)?;
    let stat = rustix::fs::fstat(&file).map_err(|e| failed(e.into()))?;
    if (stat.st_dev, stat.st_ino) != (seen.st_dev, seen.st_ino) {
        return Err(UserError::NotRegular { path });
    }
    if stat.st_size as u64 > ACCOUNT_FILE_MAX {
        return Err(UserError::TooLarge { path });
    }
    let mut bytes = Vec::new();
    File::from(file)
        .take(ACCOUNT_FILE_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same in the text of account files.
pub fn resolve_in(passwd: &str, group: &str, wanted: &str) -> Result<Account, UserError> {
    let (user, wanted_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = passwd
        .lines()
        .filter_map(PasswdEntry::parse)
        .find(|entry| entry.name == user);
    let number = parse_id(user)?;
    let entry = entry.or_else(|| {
        let uid = number?;
        passwd
            .lines()
            .filter_map(PasswdEntry::parse)
            .find(|entry| entry.uid == uid)
    });
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        (None, None) => {
            return Err(UserError::NoUser {
                name: user.to_owned(),
            });
        }
    };
    let mut gid = entry.as_ref().map_or(0, |entry| entry.gid);
    let mut groups = Vec::new();
    match wanted_group {
        Some(name) => gid = group_id(group, name)?,
        None => {
            if let Some(entry) = &entry {
                groups = groups_of(group, entry.name);
            }
        }
    }
    groups.retain(|other| *other != gid);
    groups.insert(0, gid);
    let home = entry
        .map(|entry| entry.home)
        .filter(|home| !home.is_empty());
    Ok(Account {
        uid,
        gid,
        groups,
        home: home.unwrap_or("/").to_owned(),
    })
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> PasswdEntry<'a> {
    /// passwd(5); a line that is no entry is passed over, as getpwent does.
    fn parse(line: &'a str) -> Option<PasswdEntry<'a>> {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let mut rest = fields.skip(1);
        let uid = entry_id(rest.next()?)?;
        let gid = entry_id(rest.next()?)?;
        Some(PasswdEntry {
            name,
            uid,
            gid,
            home: rest.nth(1).unwrap_or(""),
        })
    }
}

/// A number, if the text is nothing but digits; ids above 2^31-1 wrap in some programs (CVE-2024-40635), so they and
/// signs are refused (CVE-2026-30892).
fn parse_id(text: &str) -> Result<Option<u32>, UserError> {
    let range = || UserError::Range {
        text: text.to_owned(),
    };
    if text.starts_with(['-', '+']) {
        return Err(range());
    }
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let id: u32 = text.parse().map_err(|_| range())?;
    if id > i32::MAX as u32 {
        Err(range())
    } else {
        Ok(Some(id))
    }
}

/// An id of the image's own files. 4294967295 would mean "as it is", which is root, to setresuid(2).
fn entry_id(text: &str) -> Option<u32> {
    parse_id(text).ok().flatten()
}

fn group_id(file: &str, wanted: &str) -> Result<u32, UserError> {
    let named = file
        .lines()
        .filter_map(GroupEntry::parse)
        .find(|entry| entry.name == wanted);
    match (named, parse_id(wanted)?) {
        (Some(entry), _) => Ok(entry.gid),
        (None, Some(gid)) => Ok(gid),
        (None, None) => Err(UserError::NoGroup {
            name: wanted.to_owned(),
        }),
    }
}

fn groups_of(file: &str, user: &str) -> Vec<u32> {
    let entries = file.lines().filter_map(GroupEntry::parse);
    entries
        .filter(|entry| entry.members.split(',').any(|member| member == user))
        .map(|entry| entry.gid)
        .collect()
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> GroupEntry<'a> {
    /// group(5)
    fn parse(line: &'a str) -> Option<GroupEntry<'a>> {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = entry_id(fields.nth(1)?)?;
        Some(GroupEntry {
            name,
            gid,
            members: fields.next().unwrap_or(""),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:33:34::/srv:/bin/sh\n7:x:1007:7::/seven:/bin/sh\nbad\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:app,root\nweb:x:34:\naudio:x:29:app\n";

    fn ids(wanted: &str) -> Result<(u32, u32, Vec<u32>), UserError> {
        resolve_in(PASSWD, GROUP, wanted).map(|account| (account.uid, account.gid, account.groups))
    }

    #[test]
    fn names_and_numbers_resolve_as_in_docker() {
        assert_eq!(ids(""), Ok((0, 0, vec![0, 4])));
        assert_eq!(ids("app"), Ok((33, 34, vec![34, 4, 29])));
        assert_eq!(ids("33"), Ok((33, 34, vec![34, 4, 29])));
        assert_eq!(ids("app:web"), Ok((33, 34, vec![34])));
        assert_eq!(ids("app:0"), Ok((33, 0, vec![0])));
        assert_eq!(ids("4711"), Ok((4711, 0, vec![0])));
        assert_eq!(ids("1:"), Ok((1, 0, vec![0])));
        assert_eq!(ids("01"), Ok((1, 0, vec![0])));
        assert_eq!(
            ids("7"),
            Ok((1007, 7, vec![7])),
            "a name of digits wins over the number"
        );
        assert_eq!(
            resolve_in(PASSWD, GROUP, "app").map(|a| a.home),
            Ok("/srv".to_owned())
        );
        assert_eq!(resolve_in("", "", "").map(|a| a.home), Ok("/".to_owned()));
    }

    #[test]
    fn ids_in_the_images_files_that_would_mean_root_name_nobody() {
        for id in ["4294967295", "2147483648", "-1", "+0", " 0", ""] {
            let passwd = format!("root:x:0:0::/:\napp:x:{id}:5::/:\nweb:x:5:{id}::/:\n");
            let group = format!("app:x:{id}:\nmany:x:{id}:root\n");
            for wanted in ["app", "web", "0:app"] {
                let found = resolve_in(&passwd, &group, wanted);
                assert!(found.is_err(), "{wanted} with {id:?}: {found:?}");
            }
            let root = resolve_in(&passwd, &group, "root").map(|account| account.groups);
            assert_eq!(root, Ok(vec![0]));
        }
    }

    #[test]
    fn what_would_wrap_to_root_is_refused() {
        for bad in [
            "2147483648:1",
            "4294967295",
            "4294967296",
            "-1",
            "+1",
            "1:4294967295",
            "nobody",
            "app:nogroup",
        ] {
            assert!(ids(bad).is_err(), "{bad} was accepted");
        }
    }
}
