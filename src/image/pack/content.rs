//! Files with their contents, read now or some hundred ahead.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::ahead::{Found, Item, Wanted};
use super::{LAYER_FILE, PackError, Packer, Xattrs, attributes, open};
use crate::image::tar::{Entry, EntryKind, TarSink};

impl<W: TarSink> Packer<'_, W> {
    pub(super) fn file(&mut self, fd: &OwnedFd, path: &[u8]) -> Result<(), PackError> {
        let stat = rustix::fs::fstat(fd).map_err(PackError::io("look at", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let Some(mut entry) = self.first_name(&stat, path)? else {
            return Ok(());
        };
        let xattrs = attributes(fd).map_err(PackError::io("read the attributes of", path))?;
        entry.xattrs = self.kept(&xattrs, path)?;
        self.put(&entry)?;
        self.content(fd, entry.size, path)
    }

    /// A file's entry; None: it has another name in the archive, and the link to that is written.
    fn first_name(&mut self, stat: &Stat, path: &[u8]) -> Result<Option<Entry>, PackError> {
        let mut entry = self.described(stat, path, EntryKind::File)?;
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                entry.kind = EntryKind::HardLink;
                entry.link.clone_from(first);
                return self.put(&entry).map(|()| None);
            }
            self.links.insert(key, path.to_vec());
        }
        entry.size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Some(entry))
    }

    /// The file is read soon, and what comes behind it waits.
    pub(super) fn defer(&mut self, wanted: Wanted) -> Result<(), PackError> {
        if let Some(queue) = &mut self.queue {
            queue.add(wanted);
        }
        self.catch_up(false)
    }

    /// Writes what waits, at the end all of it.
    pub(super) fn catch_up(&mut self, is_end: bool) -> Result<(), PackError> {
        while let Some(item) = self.queue.as_mut().and_then(|queue| queue.take(is_end)) {
            match item {
                Item::Entry(entry) => self.put(&entry)?,
                Item::File(wanted, found) => match found? {
                    Found::Nothing => {}
                    Found::Small {
                        stat,
                        xattrs,
                        bytes,
                    } => self.small(&stat, &xattrs, &bytes, &wanted.path)?,
                    Found::Large => {
                        let Wanted {
                            directory,
                            name,
                            path,
                        } = &wanted;
                        if let Some(fd) = open(directory.as_fd(), name, LAYER_FILE, path)? {
                            self.file(&fd, path)?;
                        }
                    }
                },
            }
        }
        Ok(())
    }

    /// A file that was read already.
    fn small(
        &mut self,
        stat: &Stat,
        xattrs: &Xattrs,
        bytes: &[u8],
        path: &[u8],
    ) -> Result<(), PackError> {
        let Some(mut entry) = self.first_name(stat, path)? else {
            return Ok(());
        };
        entry.xattrs = self.kept(xattrs, path)?;
        self.put(&entry)?;
        let written = self.stream.content(bytes);
        written.map_err(|source| PackError::Write { source })?;
        self.end_content(entry.size - bytes.len() as u64, path)
    }

    /// Exactly `size` bytes, whatever the file has become: the header is written already.
    fn content(&mut self, fd: &OwnedFd, size: u64, path: &[u8]) -> Result<(), PackError> {
        let mut left = size;
        while left > 0 {
            let wanted = left.min(self.buffer.len() as u64) as usize;
            let read = match rustix::io::read(fd, &mut self.buffer[..wanted]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(PackError::io("read", path)(errno)),
            };
            let written = self.stream.content(&self.buffer[..read]);
            written.map_err(|source| PackError::Write { source })?;
            left -= read as u64;
        }
        self.end_content(left, path)
    }

    /// `left` bytes of a file's content are missing.
    fn end_content(&mut self, mut left: u64, path: &[u8]) -> Result<(), PackError> {
        let failed = |source| PackError::Write { source };
        if left > 0 {
            self.warn(
                "a file that shrank while it was read, filled with zeroes",
                path,
            );
        }
        while left > 0 {
            let count = left.min(self.buffer.len() as u64) as usize;
            self.stream.content(&vec![0; count]).map_err(failed)?;
            left -= count as u64;
        }
        self.stream.pad().map_err(failed)
    }
}
