//! The store without the home namespace: whose ids a process sees, and whether a layer is one that the user alone can read and write,
//! because root of that namespace is the user. Never maps any other id.

use std::io;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::whiteouts::is_whiteout;
use crate::sys::fs;

/// What the owners of files are called where this process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// As images call them: it lives in the home namespace.
    #[default]
    Home,
    /// It lives outside, as this user, who is 0:0 inside. All others have no name from here.
    Outside { uid: u32, gid: u32 },
}

impl Ids {
    /// Those of the calling process, which is in no namespace of bryo's. `None` for root, who has rights that others do not.
    pub fn outside() -> Option<Ids> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        (!uid.is_root()).then_some(Ids::Outside {
            uid: uid.as_raw(),
            gid: gid.as_raw(),
        })
    }

    pub(super) fn is_outside(self) -> bool {
        self != Ids::Home
    }

    /// The owner of a file as an image calls it. A refusal for what can't be called so from here.
    pub(super) fn owner(self, stat: &Stat) -> Result<(u32, u32), Errno> {
        let seen = (stat.st_uid, stat.st_gid);
        match self {
            Ids::Home => Ok(seen),
            Ids::Outside { uid, gid } if seen == (uid, gid) => Ok((0, 0)),
            Ids::Outside { .. } => Err(Errno::PERM),
        }
    }
}

/// More is not looked at twice.
const ENTRIES: usize = 256;

/// Whether a container's own layer has no more than `most` bytes in few files, all of them such as the user owns, reads and makes.
/// Attributes are seen when it is packed.
pub fn is_little(upper: &Path, ids: Ids, most: u64) -> io::Result<bool> {
    let mut waiting = vec![fs::open_directory(upper)?];
    let (mut entries, mut bytes) = (0, 0);
    while let Some(directory) = waiting.pop() {
        let listed = fs::list_kinds(&directory)?;
        entries += listed.len();
        if entries > ENTRIES {
            return Ok(false);
        }
        for (name, _) in listed {
            let Some(stat) = fs::stat_at(&directory, &name)? else {
                return Ok(false);
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            let needed = match kind {
                FileType::Directory => 0o500,
                FileType::RegularFile => 0o400,
                _ => 0,
            };
            if ids.owner(&stat).is_err() || stat.st_mode & needed != needed {
                return Ok(false);
            }
            match kind {
                FileType::Directory => {
                    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                    let flags = flags | OFlags::CLOEXEC;
                    let below = rustix::fs::openat(&directory, &name[..], flags, Mode::empty());
                    waiting.push(below?);
                }
                FileType::RegularFile => bytes += u64::try_from(stat.st_size).unwrap_or(0),
                FileType::Symlink | FileType::Fifo => {}
                FileType::CharacterDevice if is_whiteout(&stat) => {}
                _ => return Ok(false),
            }
        }
        if bytes > most {
            return Ok(false);
        }
    }
    Ok(true)
}
