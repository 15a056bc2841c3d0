//! Accounts that the image does not have: written into the container's own layer, before anything is mounted over it. An account
//! of the image is never changed.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::user::{UserError, names, resolve};
use crate::sys::fs::{Links, open_in_root};

/// One line of passwd(5), and the group that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEntry {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    /// The person's name.
    pub comment: String,
    pub home: String,
    pub shell: String,
}

/// Who is to have an account in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    pub entries: Vec<AccountEntry>,
    /// Also the program's user, if it is a number without a name: the text of `--user`, and the home it gets.
    pub program: Option<(String, String)>,
}

/// Adds what is missing in the image's files below `root`; an image without /etc gets nothing.
pub fn add(root: BorrowedFd<'_>, accounts: &Accounts) -> io::Result<()> {
    let known = names(root);
    let mut entries = accounts.entries.clone();
    if let Some((user, home)) = &accounts.program {
        entries.extend(of_program(root, user, home).map_err(io::Error::other)?);
    }
    let (mut passwd, mut group) = (String::new(), String::new());
    let mut added: Vec<u32> = Vec::new();
    for entry in entries {
        let is_known = known.users.contains_key(&entry.uid)
            || known.users.values().any(|name| *name == entry.name);
        if is_known || added.contains(&entry.uid) {
            continue;
        }
        added.push(entry.uid);
        if !known.groups.contains_key(&entry.gid) {
            group += &format!("{}:x:{}:\n", entry.name, entry.gid);
        }
        passwd += &entry.line();
    }
    append(root, "etc/passwd", &passwd)?;
    append(root, "etc/group", &group)
}

fn of_program(
    root: BorrowedFd<'_>,
    user: &str,
    home: &str,
) -> Result<Option<AccountEntry>, UserError> {
    let account = resolve(root, user)?;
    let is_number = user
        .split(':')
        .next()
        .is_some_and(|name| name.parse::<u32>().is_ok());
    Ok(is_number.then(|| AccountEntry {
        name: account.uid.to_string(),
        uid: account.uid,
        gid: account.gid,
        comment: "container user".to_owned(),
        home: home.to_owned(),
        shell: "/bin/sh".to_owned(),
    }))
}

impl AccountEntry {
    fn line(&self) -> String {
        // What separates fields and lines is in none of them.
        let clean = |text: &str| text.replace([':', '\n', '\r', '\0'], " ");
        format!(
            "{}:*:{}:{}:{}:{}:{}\n",
            clean(&self.name),
            self.uid,
            self.gid,
            clean(&self.comment),
            clean(&self.home),
            clean(&self.shell)
        )
    }
}

fn append(root: BorrowedFd<'_>, path: &str, lines: &str) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let open = |flags| {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CREATE;
        let mode = Mode::from_raw_mode(0o644);
        open_in_root(root, path.as_bytes(), flags, mode, Links::InRoot)
    };
    let file = match open(OFlags::RDWR | OFlags::APPEND) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other(format!(
            "/{path} in the image is no regular file"
        )));
    }
    let mut last = [b'\n'];
    if stat.st_size > 0 {
        rustix::io::pread(&file, &mut last, stat.st_size as u64 - 1)?;
    }
    let separator = if last == [b'\n'] { "" } else { "\n" };
    File::from(file).write_all(format!("{separator}{lines}").as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;

    fn entry(name: &str, uid: u32) -> AccountEntry {
        AccountEntry {
            name: name.to_owned(),
            uid,
            gid: uid,
            comment: "Some: One".to_owned(),
            home: "/home/some".to_owned(),
            shell: "/bin/sh".to_owned(),
        }
    }

    fn added(tag: &str, passwd: &str, accounts: &Accounts) -> (String, String) {
        let name = format!("bryo-{tag}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), passwd).unwrap();
        let opened = File::open(&root).unwrap();
        add(opened.as_fd(), accounts).unwrap();
        // The second time everything is there.
        add(opened.as_fd(), accounts).unwrap();
        let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
        let files = (read("etc/passwd"), read("etc/group"));
        fs::remove_dir_all(root).unwrap();
        files
    }

    #[test]
    fn who_is_missing_is_added_once() {
        let accounts = Accounts {
            entries: vec![entry("one", 1000), entry("root", 5), entry("other", 0)],
            program: Some(("77:78".to_owned(), "/srv".to_owned())),
        };
        let (passwd, group) = added("accounts", "root:x:0:0::/root:/bin/sh", &accounts);
        assert_eq!(
            passwd,
            "root:x:0:0::/root:/bin/sh\none:*:1000:1000:Some  One:/home/some:/bin/sh\n\
             77:*:77:78:container user:/srv:/bin/sh\n"
        );
        assert_eq!(group, "one:x:1000:\n77:x:78:\n");
    }

    #[test]
    fn program_that_runs_as_somebody_known_needs_nobody() {
        for user in ["", "root", "0"] {
            let accounts = Accounts {
                entries: Vec::new(),
                program: Some((user.to_owned(), "/".to_owned())),
            };
            let before = "root:x:0:0::/root:/bin/sh\n";
            let after = added(&format!("known{user}"), before, &accounts);
            assert_eq!(after, (before.to_owned(), String::new()));
        }
    }
}
