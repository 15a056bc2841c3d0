//! What a container has changed in its copied root, as the upper directory that an overlay would have: files by hard links, whiteouts,
//! and the directories on the way. First everything is compared, then it is written.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, Stat};

use super::super::layer::LayerPath;
use super::super::merged::{Merged, Shown};
use super::super::whiteouts::{self, MARKER};
use super::{
    CopiedError, CopiedRoot, KEPT, Made, beside, changed_at, check_depth, inside, is_kept,
    open_directory,
};
use crate::sys::copy::copy_attributes;
use crate::sys::{fault, fs, xattr};

/// What becomes of a name.
enum Change {
    /// It is there, changed or new.
    Present,
    Deleted,
    Directory(Vec<(Vec<u8>, Change)>),
}

type Changes = Vec<(Vec<u8>, Change)>;

impl CopiedRoot<'_> {
    /// Writes it into an empty directory of the same file system, which gets the attributes of the root. What it holds are the container's
    /// own files: they are to be read, or the copy goes.
    pub fn write_changes(&self, target: BorrowedFd<'_>) -> Result<(), CopiedError> {
        let copy = fs::open_directory(self.place).map_err(beside("open", self.place))?;
        let below = Merged::of_layers(self.below);
        let below = below.map_err(beside("open the layers below", self.place))?;
        let comparison = Comparison {
            made: self.made()?,
            lent: self.lent,
            has_markers: whiteouts::are_files(target),
        };
        let top = LayerPath(Vec::new());
        let changes = comparison.directory(&copy, &below, &top, 0)?;
        write(changes, copy.as_fd(), target, &top)
    }
}

struct Comparison<'a> {
    made: Made,
    lent: &'a [PathBuf],
    has_markers: bool,
}

impl Comparison<'_> {
    fn directory(
        &self,
        copy: &OwnedFd,
        below: &Merged,
        path: &LayerPath,
        depth: usize,
    ) -> Result<Changes, CopiedError> {
        check_depth(path, depth)?;
        let mut changes = Changes::new();
        let mut names = Vec::new();
        for (name, _) in fs::list_directory(copy).map_err(inside("list", path))? {
            // In a layer it would delete another file, and a container's layer is packed without it.
            if self.has_markers && name.starts_with(MARKER) {
                continue;
            }
            let child = path.join(&name);
            let changed = match self.is_lent(&child) {
                true => None,
                false => self.entry(copy, below, &child, depth)?,
            };
            changes.extend(changed.map(|change| (name.clone(), change)));
            names.push(name);
        }
        names.sort_unstable();
        for name in below
            .list()
            .map_err(inside("list the layers below", path))?
        {
            if names.binary_search(&name).is_err() && !self.is_lent(&path.join(&name)) {
                changes.push((name, Change::Deleted));
            }
        }
        Ok(changes)
    }

    fn is_lent(&self, path: &LayerPath) -> bool {
        let mut lent = self.lent.iter();
        lent.any(|lent| lent.as_os_str().as_encoded_bytes() == path.0)
    }

    fn entry(
        &self,
        copy: &OwnedFd,
        below: &Merged,
        path: &LayerPath,
        depth: usize,
    ) -> Result<Option<Change>, CopiedError> {
        let name = path.name();
        let Some(stat) = fs::stat_at(copy, name).map_err(inside("look at", path))? else {
            return Ok(None);
        };
        let before = below.look(name).map_err(inside("look below", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let is_same = match before {
                Some(Shown::Other { stat: was, part }) => self
                    .is_same((copy, &stat), (below, part, &was), name)
                    .map_err(inside("compare", path))?,
                _ => false,
            };
            return Ok((!is_same).then_some(Change::Present));
        }
        let Some(fd) = open_still(copy.as_fd(), name).map_err(inside("open", path))? else {
            return Ok(None);
        };
        let nothing = Merged::default();
        let (is_same, directory) = match &before {
            Some(Shown::Directory {
                stat: was,
                directory,
            }) => {
                let top = directory.top();
                let is_same = self.is_same_directory((&fd, &stat), (top, was));
                (is_same.map_err(inside("compare", path))?, directory)
            }
            _ => (false, &nothing),
        };
        let changes = self.directory(&fd, directory, path, depth + 1)?;
        Ok((!is_same || !changes.is_empty()).then_some(Change::Directory(changes)))
    }

    /// Whether nothing of it was written since the copy was made.
    fn is_as_copied(&self, stat: &Stat) -> bool {
        (self.made.began..=self.made.ended).contains(&changed_at(stat))
    }

    /// Whether it is the image's, without a look into it.
    fn is_untouched(&self, stat: &Stat) -> bool {
        self.made.is_of_image && self.is_as_copied(stat)
    }

    fn is_same_directory(
        &self,
        (fd, stat): (&OwnedFd, &Stat),
        (below, was): (Option<BorrowedFd<'_>>, &Stat),
    ) -> io::Result<bool> {
        if !is_alike(stat, was) {
            return Ok(false);
        }
        match below {
            Some(below) if !self.is_untouched(stat) => have_same_xattrs(fd.as_fd(), below),
            _ => Ok(true),
        }
    }

    fn is_same(
        &self,
        (copy, stat): (&OwnedFd, &Stat),
        (below, part, was): (&Merged, usize, &Stat),
        name: &[u8],
    ) -> io::Result<bool> {
        if !is_alike(stat, was) || (stat.st_size, stat.st_rdev) != (was.st_size, was.st_rdev) {
            return Ok(false);
        }
        if self.is_untouched(stat) {
            return Ok(true);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(copy, name, Vec::new())?;
                Ok(link.as_bytes() == below.read_link(part, name)?)
            }
            // It may have got another name, which has to be a link to this one in the layer too.
            FileType::RegularFile if stat.st_nlink > 1 && !self.is_as_copied(stat) => Ok(false),
            FileType::RegularFile => {
                let (file, old) = (open_file(copy, name)?, below.open_file(part, name)?);
                Ok(have_same_xattrs(file.as_fd(), old.as_fd())?
                    && have_same_content(file.into(), old.into())?)
            }
            _ => Ok(true),
        }
    }
}

/// None: what was a directory has changed in this moment, as a running program may do it.
fn open_still(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<OwnedFd>> {
    match open_directory(parent, name) {
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
            ) =>
        {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// By kind, mode, owner and time.
fn is_alike(a: &Stat, b: &Stat) -> bool {
    let all = |stat: &Stat| {
        let owner = (stat.st_uid, stat.st_gid);
        (stat.st_mode, owner, stat.st_mtime, stat.st_mtime_nsec)
    };
    all(a) == all(b)
}

fn open_file(directory: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    Merged::open_plain(directory.try_clone()?).open_file(0, name)
}

fn have_same_xattrs(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> io::Result<bool> {
    let all = |fd: BorrowedFd<'_>| {
        let mut names = xattr::list(fd)?;
        names.retain(|name| is_kept(name) && !name.starts_with(b"security.selinux"));
        names.sort();
        let pairs = names.into_iter().map(|name| {
            let value = xattr::get(fd, &name)?;
            Ok((name, value))
        });
        pairs.collect::<io::Result<Vec<_>>>()
    };
    Ok(all(a)? == all(b)?)
}

fn have_same_content(mut a: File, mut b: File) -> io::Result<bool> {
    let (mut of_a, mut of_b) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let length = a.read(&mut of_a)?;
        if length == 0 {
            return Ok(b.read(&mut of_b)? == 0);
        }
        match b.read_exact(&mut of_b[..length]) {
            Ok(()) if of_a[..length] == of_b[..length] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

fn write(
    changes: Changes,
    copy: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
    path: &LayerPath,
) -> Result<(), CopiedError> {
    for (name, change) in changes {
        let child = path.join(&name);
        match change {
            Change::Deleted => {
                let made = target.try_clone_to_owned().and_then(|target| {
                    fault::at("make whiteout")?;
                    Ok(whiteouts::make(&target, &name)?)
                });
                made.map_err(inside("write down the deletion of", &child))?;
            }
            Change::Present => {
                let flags = AtFlags::empty();
                let linked = fault::at("link")
                    .and_then(|()| rustix::fs::linkat(copy, &name, target, &name, flags));
                match linked {
                    // Changed in this moment.
                    Err(rustix::io::Errno::NOENT) => {}
                    linked => linked.map_err(inside("link", &child))?,
                }
            }
            Change::Directory(changes) => {
                let made = fault::at("make directory")
                    .and_then(|()| rustix::fs::mkdirat(target, &name, Mode::RWXU));
                made.map_err(inside("make", &child))?;
                let below = open_directory(target, &name).map_err(inside("open", &child))?;
                if let Some(copy) = open_still(copy, &name).map_err(inside("open", &child))? {
                    write(changes, copy.as_fd(), below.as_fd(), &child)?;
                }
            }
        }
    }
    copy_attributes(copy, target, KEPT).map_err(inside("set the attributes of", path))
}
