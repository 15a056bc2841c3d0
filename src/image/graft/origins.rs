//! What the files of a layer are copies of, kept beside it; and an earlier layer, whose files the next one takes by hard links where
//! it would have the very same ones. Only regular files; what is not known for certain is copied.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timestamps};
use zstd::stream::{read::Decoder, write::Encoder};

use crate::image::digest::Digest;
use crate::image::layer::{LayerDir, ORIGINS, TempLayer};
use crate::image::prefixed::{put, put_number, take, take_array};
use crate::image::store::Store;
use crate::sys::fault;
use crate::sys::fs::{self, Stamp};

/// The first bytes: another form of this has another number.
const MAGIC: &[u8; 8] = b"bryoorg1";
const LEVEL: i32 = 1;
/// No path that is written down is longer; no list is longer than this.
const PATH_MAX: usize = 1 << 20;
const BYTES_MAX: u64 = 1 << 30;

/// So many files that are no links are listed, so that they can be synced each by itself.
pub(super) const NEW_MAX: usize = 64;
/// Instead of their number.
const MANY: u32 = u32::MAX;

/// Less than this is copied as fast as it is linked.
const FILES_MIN: usize = 64;
const SIZE_MIN: u64 = 1 << 20;

/// Of the layer being written.
pub(super) struct Origins {
    began: i128,
    files: HashMap<Vec<u8>, Stamp>,
    size: u64,
}

impl Origins {
    pub fn new() -> Origins {
        Origins {
            began: fs::now(),
            files: HashMap::new(),
            size: 0,
        }
    }

    /// The file at `path` becomes a copy of what looks so.
    pub fn note(&mut self, path: &[u8], source: &Stat) {
        let stamp = Stamp::of(source);
        // Another one may be read than was looked at.
        if stamp.is_settled(self.began) {
            self.size += source.st_size as u64;
            self.files.insert(path.to_vec(), stamp);
        }
    }

    /// Something else is put there.
    pub fn forget(&mut self, path: &[u8]) {
        self.files.remove(path);
    }

    /// Writes them down if it is worth it; `new` are the files that no layer had before.
    pub fn save(&self, layer: &TempLayer, new: Option<&[Vec<u8>]>) -> io::Result<()> {
        if self.files.len() < FILES_MIN && self.size < SIZE_MIN {
            return Ok(());
        }
        let mut bytes = MAGIC.to_vec();
        let count = new.map_or(MANY, |new| new.len() as u32);
        put_number(&mut bytes, count);
        for path in new.unwrap_or_default() {
            put(&mut bytes, path);
        }
        for (path, stamp) in &self.files {
            put(&mut bytes, path);
            stamp.put(&mut bytes);
        }
        let mut out = Encoder::new(layer.create_origins()?, LEVEL)?;
        out.write_all(&bytes)?;
        out.finish()?.flush()
    }
}

/// The files of a layer that is being made which no layer had before; None: all of them, as far as is known.
pub fn new_files(layer: &TempLayer) -> Option<HashSet<Vec<u8>>> {
    let file = std::fs::File::open(layer.origins()).ok()?;
    read_new(&mut Decoder::new(file).ok()?).ok()?
}

fn read_new(list: &mut impl Read) -> io::Result<Option<HashSet<Vec<u8>>>> {
    let mut magic = [0; MAGIC.len()];
    list.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(io::Error::other("it is of another form"));
    }
    let count = read_number(list)?;
    if count == MANY {
        return Ok(None);
    }
    let mut new = HashSet::new();
    for _ in 0..count {
        let length = read_number(list)? as usize;
        let mut path = vec![0; length.min(PATH_MAX)];
        list.read_exact(&mut path)?;
        new.insert(path);
    }
    Ok(Some(new))
}

fn read_number(list: &mut impl Read) -> io::Result<u32> {
    let mut number = [0; 4];
    list.read_exact(&mut number)?;
    Ok(u32::from_le_bytes(number))
}

/// A layer that the same instruction came to before.
pub struct Former {
    root: Arc<OwnedFd>,
    files: HashMap<Vec<u8>, Stamp>,
}

impl Store {
    /// None: it is not there, or nothing is known of its files. Under a [`Store::lease`] one that is there stays.
    pub fn former_layer(&self, diff_id: &Digest) -> Option<Former> {
        let layer = LayerDir::base(diff_id);
        let list = std::fs::File::open(self.layer_home(&layer).join(ORIGINS)).ok()?;
        let mut list = Decoder::new(list).ok()?.take(BYTES_MAX);
        let mut bytes = Vec::new();
        read_new(&mut list).ok()?;
        list.read_to_end(&mut bytes).ok()?;
        Some(Former {
            files: parse(&bytes)?,
            root: Arc::new(fs::open_directory(&self.layer_path(&layer)).ok()?),
        })
    }
}

fn parse(bytes: &[u8]) -> Option<HashMap<Vec<u8>, Stamp>> {
    let mut rest = bytes;
    // Paths are rarely shorter, so that the table need not grow often.
    let mut files = HashMap::with_capacity(bytes.len() / (Stamp::LENGTH + 24));
    while !rest.is_empty() {
        let path = take(&mut rest)?;
        files.insert(path.to_vec(), Stamp::parse(take_array(&mut rest)?));
    }
    Some(files)
}

impl Former {
    pub(super) fn root(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.root)
    }

    /// Whether the file at `path` was copied from one that has not changed since: its content and attributes are those that a copy
    /// would have now.
    pub(super) fn has_copy(&self, path: &[u8], source: &Stat) -> bool {
        self.files.get(path) == Some(&Stamp::of(source))
    }
}

/// What a copy is given beside content and attributes.
pub(super) struct Given {
    pub size: u64,
    pub owner: (u32, u32),
    pub mode: Mode,
    pub times: Timestamps,
}

/// Gives the file `name` of `from`, a directory of an earlier layer, the same name in `to`, if it was given the same; `false` if it was not, or
/// cannot have another name.
pub(super) fn link(from: &OwnedFd, to: &OwnedFd, name: &[u8], given: &Given) -> bool {
    let Ok(Some(there)) = fs::stat_at(from, name) else {
        return false;
    };
    if !was_given(&there, given) || has_many_names(&there) {
        return false;
    }
    fault::at("link")
        .and_then(|()| rustix::fs::linkat(from, name, to, name, AtFlags::empty()))
        .is_ok()
}

/// File systems know an end (ext4: 65,000), and the variants of a layer need names too: such a file is copied, which begins anew.
fn has_many_names(file: &Stat) -> bool {
    file.st_nlink >= 1000
}

fn was_given(file: &Stat, given: &Given) -> bool {
    let modified = &given.times.last_modification;
    FileType::from_raw_mode(file.st_mode) == FileType::RegularFile
        && file.st_size as u64 == given.size
        && (file.st_uid, file.st_gid) == given.owner
        && Mode::from_raw_mode(file.st_mode) == given.mode
        && file.st_mtime == modified.tv_sec
        && i64::try_from(file.st_mtime_nsec) == Ok(modified.tv_nsec)
}

/// The directory `name` of an earlier layer's `directory`, if there is one.
pub(super) fn enter(directory: Option<&Arc<OwnedFd>>, name: &[u8]) -> Option<Arc<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory?, name, flags, Mode::empty());
    opened.ok().map(Arc::new)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::image::layer::LayerReport;
    use crate::image::seal;
    use crate::image::unpack::tests::Scratch;
    use crate::sys::copy::{times, times_at};

    /// Two directories, the first one with a file, and what that is.
    fn directories(scratch: &Scratch) -> (OwnedFd, OwnedFd, Given) {
        let opened = ["from", "to"].map(|name| {
            let path = scratch.path.join(name);
            std::fs::create_dir(&path).unwrap();
            fs::open_directory(&path).unwrap()
        });
        std::fs::write(scratch.path.join("from/file"), "content").unwrap();
        let [from, to] = opened;
        let stat = fs::stat_at(&from, b"file").unwrap().unwrap();
        let given = Given {
            size: 7,
            owner: (stat.st_uid, stat.st_gid),
            mode: Mode::from_raw_mode(stat.st_mode),
            times: times(&stat),
        };
        (from, to, given)
    }

    #[test]
    fn a_file_that_was_given_the_same_gets_another_name() {
        let scratch = Scratch::new();
        let (from, to, given) = directories(&scratch);
        let (uid, gid) = given.owner;
        let others = [
            Given {
                size: 8,
                ..copied(&given)
            },
            Given {
                owner: (uid + 1, gid),
                ..copied(&given)
            },
            Given {
                owner: (uid, gid + 1),
                ..copied(&given)
            },
            Given {
                mode: given.mode | Mode::SUID,
                ..copied(&given)
            },
            Given {
                times: times_at(given.times.last_modification.tv_sec),
                ..copied(&given)
            },
        ];
        for other in &others {
            assert!(!link(&from, &to, b"file", other));
        }
        assert!(!link(&from, &to, b"none", &given));
        assert!(fs::list_directory(&to).unwrap().is_empty());
        assert!(link(&from, &to, b"file", &given));
        let inode = |path: &str| scratch.path.join(path).metadata().unwrap().ino();
        assert_eq!(inode("from/file"), inode("to/file"));
        // What cannot be linked is to be copied, whatever the reason.
        assert!(!link(&from, &to, b"file", &given));
    }

    fn copied(given: &Given) -> Given {
        Given {
            times: given.times.clone(),
            ..*given
        }
    }

    #[test]
    fn a_file_of_many_names_gets_no_further_one() {
        let scratch = Scratch::new();
        let (from, to, given) = directories(&scratch);
        let path = scratch.path.join("from");
        for number in 1..1000 {
            let name = path.join(number.to_string());
            std::fs::hard_link(path.join("file"), name).unwrap();
        }
        assert!(!link(&from, &to, b"file", &given));
        std::fs::remove_file(path.join("1")).unwrap();
        assert!(link(&from, &to, b"file", &given));
    }

    #[test]
    fn what_is_written_down_is_read_again_and_damage_is_nothing() {
        let scratch = Scratch::new();
        let (from, _, _) = directories(&scratch);
        let stat = fs::stat_at(&from, b"file").unwrap().unwrap();
        let mut origins = Origins::new();
        let path = |number: usize| format!("many/{number}").into_bytes();
        origins.note(&path(0), &stat);
        assert!(origins.files.is_empty(), "it was changed just now");
        origins.began += 3_000_000_000;
        (0..FILES_MIN).for_each(|number| origins.note(&path(number), &stat));
        let layer = scratch.store.begin_layer().unwrap();
        assert!(new_files(&layer).is_none());
        origins.save(&layer, Some(&[path(1)])).unwrap();
        assert_eq!(new_files(&layer), Some(HashSet::from([path(1)])));
        let report: LayerReport = seal(&layer, None).unwrap();
        let list = layer.origins();
        let whole = std::fs::read(&list).unwrap();
        scratch.store.commit_layer(layer, &report).unwrap();
        let former = scratch.store.former_layer(&report.diff_id).unwrap();
        assert_eq!(former.files.len(), FILES_MIN);
        assert!(former.has_copy(&path(2), &stat));
        assert!(!former.has_copy(b"many", &stat));
        let mut changed = stat;
        changed.st_ctime += 1;
        assert!(!former.has_copy(&path(2), &changed));
        let home = scratch.store.layer_home(&LayerDir::base(&report.diff_id));
        for damaged in [&whole[..whole.len() / 2], b"", b"bryoorg1"] {
            std::fs::write(home.join(ORIGINS), damaged).unwrap();
            assert!(scratch.store.former_layer(&report.diff_id).is_none());
        }
    }
}
