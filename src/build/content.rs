//! What files are, as one digest: of their names, kinds, modes and content, not of their times. A cache of what was read before
//! spares the reading of what is as it was. Runs in the home namespace, with threads.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};

use blake3::Hasher;
use rustix::fs::{FileType, Stat};
use sha2::{Digest as _, Sha256};

use crate::image::prefixed::{put, put_number, take, take_array, take_number};
use crate::image::{Choice, Choose, Digest, Merged, Shown, join_path};
use crate::sys::fs::{self, Stamp};
use crate::sys::{disk, xattr};

/// Deeper trees are refused by who copies them too.
const MAX_DEPTH: usize = 400;

const MAGIC: &[u8; 8] = b"bryofil3";

/// Of one instruction so many results are known, and so many instructions of one tree.
const MOST_RESULTS: usize = 3;
const MOST_COPIES: usize = 256;

type Hash = [u8; 32];

/// By path.
type Files = HashMap<Vec<u8>, (Stamp, Hash)>;

/// By what an instruction says, whatever the files are: the keys of the steps that it was, the last one first.
type Copies = HashMap<Digest, Vec<Digest>>;

/// The digests of one tree's files, kept from one build to the next in the cache directory, and which steps have copied them.
pub struct FileCache {
    path: PathBuf,
    known: Files,
    fresh: Files,
    copies: Copies,
    began: i128,
    changed: bool,
}

impl FileCache {
    /// The cache of the tree at `tree`; one that is damaged is empty.
    pub fn open(directory: &Path, tree: &Path) -> FileCache {
        let name = Digest::of(tree.as_os_str().as_encoded_bytes());
        let path = directory.join(name.hex());
        let bytes = std::fs::read(&path).ok();
        let (copies, known) = bytes.and_then(|bytes| decode(&bytes)).unwrap_or_default();
        FileCache {
            known,
            fresh: HashMap::new(),
            copies,
            began: fs::now(),
            changed: false,
            path,
        }
    }

    /// Nothing of the tree was ever read.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The steps that an instruction was before, the last one first.
    pub fn steps_of(&self, instruction: &Digest) -> &[Digest] {
        self.copies.get(instruction).map_or(&[], Vec::as_slice)
    }

    /// What it is now.
    pub fn note_step(&mut self, instruction: Digest, step: &Digest) {
        if self.steps_of(&instruction).first() == Some(step) {
            return;
        }
        if self.copies.len() >= MOST_COPIES {
            self.copies.clear();
        }
        let steps = self.copies.entry(instruction).or_default();
        steps.retain(|known| known != step);
        steps.insert(0, step.clone());
        steps.truncate(MOST_RESULTS);
        self.changed = true;
    }

    fn recall(&mut self, path: &[u8], stamp: Stamp) -> Option<Hash> {
        let (known, hash) = *self.known.get(path)?;
        if known != stamp {
            return None;
        }
        self.fresh.insert(path.to_vec(), (stamp, hash));
        Some(hash)
    }

    fn remember(&mut self, path: Vec<u8>, stamp: Stamp, hash: Hash) {
        self.changed = true;
        if stamp.is_settled(self.began) {
            self.fresh.insert(path, (stamp, hash));
        }
    }

    /// Keeps what was found; a cache that can't be written costs time, no more.
    pub fn save(self) {
        if !self.changed {
            return;
        }
        // What another build has read of the same tree, and this one did not look at, stays.
        let mut all = self.known;
        all.extend(self.fresh);
        let temporary = self.path.with_extension(std::process::id().to_string());
        let saved = self
            .path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| disk::write(&temporary, encode(&self.copies, &all)))
            .and_then(|()| disk::rename(&temporary, &self.path));
        if let Err(error) = saved {
            tracing::debug!(%error, "the digests of files were not kept");
        }
    }
}

fn encode(copies: &Copies, files: &Files) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put_number(&mut bytes, copies.len() as u32);
    for (instruction, steps) in copies {
        put(&mut bytes, instruction.as_str().as_bytes());
        put_number(&mut bytes, steps.len() as u32);
        for step in steps {
            put(&mut bytes, step.as_str().as_bytes());
        }
    }
    for (path, (stamp, hash)) in files {
        put(&mut bytes, path);
        stamp.put(&mut bytes);
        bytes.extend_from_slice(hash);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<(Copies, Files)> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut copies = HashMap::new();
    for _ in 0..take_number(&mut rest)? {
        let instruction = take_digest(&mut rest)?;
        let count = take_number(&mut rest)?;
        let steps = (0..count).map(|_| take_digest(&mut rest));
        copies.insert(instruction, steps.collect::<Option<Vec<_>>>()?);
    }
    let mut files = HashMap::new();
    while !rest.is_empty() {
        let path = take(&mut rest)?.to_vec();
        let stamp = Stamp::parse(take_array(&mut rest)?);
        files.insert(path, (stamp, *take_array(&mut rest)?));
    }
    Some((copies, files))
}

fn take_digest(rest: &mut &[u8]) -> Option<Digest> {
    std::str::from_utf8(take(rest)?).ok()?.parse().ok()
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Content {
    pub digest: Digest,
    /// The newest time of a file, in seconds.
    pub newest: i64,
}

/// One line of what the digest is of.
struct Line {
    path: Vec<u8>,
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    link: Vec<u8>,
    hash: Hash,
}

/// Adds trees and files one after the other.
pub struct Summary<'a> {
    lines: Vec<Line>,
    cache: &'a mut FileCache,
    with_owners: bool,
    newest: i64,
    /// To be read: the line, its path in the cache, and what it was.
    waiting: Vec<(usize, Vec<u8>, Stamp, OwnedFd)>,
}

/// Open files that wait to be read.
const BATCH: usize = 128;

impl<'a> Summary<'a> {
    pub fn new(cache: &'a mut FileCache, with_owners: bool) -> Summary<'a> {
        Summary {
            lines: Vec::new(),
            cache,
            with_owners,
            newest: 0,
            waiting: Vec::new(),
        }
    }

    /// What `name` in `directory` is, with all in it that is chosen; `path` is where it is in the tree, `shown_as` its name
    /// in the digest.
    pub fn add(
        &mut self,
        directory: &Merged,
        name: &[u8],
        path: &[u8],
        shown_as: &[u8],
        choose: Choose<'_>,
    ) -> io::Result<()> {
        match directory.look(name)? {
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
            Some(Shown::Directory { stat, directory }) => {
                self.line(shown_as, b'd', &stat, Vec::new());
                self.tree(&directory, path, b"", choose)
            }
            Some(Shown::Other { stat, part }) => {
                self.leaf(directory, part, name, &stat, path, shown_as)
            }
        }
    }

    /// What is in a directory.
    pub fn tree(
        &mut self,
        directory: &Merged,
        path: &[u8],
        relative: &[u8],
        choose: Choose<'_>,
    ) -> io::Result<()> {
        if relative.iter().filter(|byte| **byte == b'/').count() > MAX_DEPTH {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        for name in directory.list()? {
            let below = join_path(relative, &name);
            let Some(shown) = directory.look(&name)? else {
                continue;
            };
            let is_directory = matches!(shown, Shown::Directory { .. });
            let choice = choose(&below, is_directory);
            if choice == Choice::Leave || (choice == Choice::LookInside && !is_directory) {
                continue;
            }
            let path = join_path(path, &name);
            match shown {
                Shown::Directory { stat, directory } => {
                    if choice == Choice::Take {
                        self.line(&below, b'd', &stat, Vec::new());
                    }
                    self.tree(&directory, &path, &below, choose)?;
                }
                Shown::Other { stat, part } => {
                    self.leaf(directory, part, &name, &stat, &path, &below)?;
                }
            }
        }
        Ok(())
    }

    /// Bytes that are in no file.
    pub fn add_bytes(&mut self, name: &[u8], bytes: &[u8]) {
        self.lines.push(Line {
            path: name.to_vec(),
            kind: b'f',
            mode: 0o644,
            owner: (0, 0),
            link: Vec::new(),
            hash: blake3::hash(bytes).into(),
        });
    }

    fn line(&mut self, path: &[u8], kind: u8, stat: &Stat, link: Vec<u8>) -> usize {
        let owner = match self.with_owners {
            true => (stat.st_uid, stat.st_gid),
            false => (0, 0),
        };
        if kind != b'd' {
            self.newest = self.newest.max(stat.st_mtime);
        }
        self.lines.push(Line {
            path: path.to_vec(),
            kind,
            mode: stat.st_mode & 0o7777,
            owner,
            link,
            hash: [0; 32],
        });
        self.lines.len() - 1
    }

    fn leaf(
        &mut self,
        directory: &Merged,
        part: usize,
        name: &[u8],
        stat: &Stat,
        path: &[u8],
        shown_as: &[u8],
    ) -> io::Result<()> {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let line = self.line(shown_as, b'f', stat, Vec::new());
                let stamp = Stamp::of(stat);
                if let Some(hash) = self.cache.recall(path, stamp) {
                    self.lines[line].hash = hash;
                    return Ok(());
                }
                let file = directory.open_file(part, name)?;
                self.waiting.push((line, path.to_vec(), stamp, file));
                match self.waiting.len() >= BATCH {
                    true => self.read_waiting(),
                    false => Ok(()),
                }
            }
            FileType::Symlink => {
                let link = directory.read_link(part, name)?;
                self.line(shown_as, b'l', stat, link);
                Ok(())
            }
            FileType::Fifo => {
                self.line(shown_as, b'p', stat, Vec::new());
                Ok(())
            }
            // Devices and sockets are not copied.
            _ => Ok(()),
        }
    }

    /// Reads what waits, on all processors.
    fn read_waiting(&mut self) -> io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.min(waiting.len()).max(1);
        let work = Mutex::new(waiting.into_iter());
        let (results, found) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (work, results) = (&work, results.clone());
                scope.spawn(move || {
                    let mut buffer = vec![0; 256 * 1024];
                    loop {
                        let next = work.lock().expect("no reader panics").next();
                        let Some((line, path, stamp, file)) = next else {
                            return;
                        };
                        let hash = hash_file(file, &mut buffer);
                        // Whoever waits for it has all of them, or has stopped.
                        let _ = results.send((line, path, stamp, hash));
                    }
                });
            }
        });
        drop(results);
        for (line, path, stamp, hash) in found {
            let hash = hash?;
            self.lines[line].hash = hash;
            self.cache.remember(path, stamp, hash);
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<Content> {
        self.read_waiting()?;
        let mut hasher = Sha256::new();
        for line in &self.lines {
            hasher.update((line.path.len() as u32).to_le_bytes());
            hasher.update(&line.path);
            hasher.update([line.kind]);
            hasher.update(line.mode.to_le_bytes());
            hasher.update(line.owner.0.to_le_bytes());
            hasher.update(line.owner.1.to_le_bytes());
            hasher.update((line.link.len() as u32).to_le_bytes());
            hasher.update(&line.link);
            hasher.update(line.hash);
        }
        Ok(Content {
            digest: Digest::from_hash(hasher.finalize().as_slice()),
            newest: self.newest,
        })
    }
}

/// Content, and the attributes that are copied with it. Nobody but the cache ever sees this: it need not be what registries use.
fn hash_file(file: OwnedFd, buffer: &mut [u8]) -> io::Result<Hash> {
    let mut hasher = Hasher::new();
    let mut file = File::from(file);
    loop {
        match file.read(buffer) {
            Ok(0) => break,
            Ok(length) => {
                hasher.update(&buffer[..length]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let content = hasher.finalize();
    let mut attributes = Vec::new();
    for name in xattr::list(file.as_fd())? {
        if name.starts_with(b"user.") || name == b"security.capability" {
            let value = xattr::get(file.as_fd(), &name)?.unwrap_or_default();
            put(&mut attributes, &name);
            put(&mut attributes, &value);
        }
    }
    if attributes.is_empty() {
        return Ok(content.into());
    }
    let mut all = Hasher::new();
    all.update(content.as_bytes()).update(&attributes);
    Ok(all.finalize().into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::fs;

    fn digest(tree: &Path, cache: &Path) -> Digest {
        let mut cache = FileCache::open(cache, tree);
        let mut summary = Summary::new(&mut cache, false);
        let merged = Merged::plain(tree).unwrap();
        summary
            .tree(&merged, b"", b"", &|_, _| Choice::Take)
            .unwrap();
        let digest = summary.finish().unwrap().digest;
        cache.save();
        digest
    }

    #[test]
    fn only_what_files_are_counts_and_a_damaged_cache_is_none() {
        let top = std::env::temp_dir().join(format!("bryo-content-{}", std::process::id()));
        let (tree, cache) = (top.join("tree"), top.join("cache"));
        fs::create_dir_all(tree.join("a")).unwrap();
        fs::write(tree.join("a/file"), "one").unwrap();
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let touch = || {
            let file = File::options()
                .write(true)
                .open(tree.join("a/file"))
                .unwrap();
            file.set_modified(old).unwrap();
        };
        let first = digest(&tree, &cache);
        touch();
        assert_eq!(digest(&tree, &cache), first);
        fs::write(tree.join("a/file"), "two").unwrap();
        touch();
        let second = digest(&tree, &cache);
        assert_ne!(second, first, "the same size and time, another content");
        for entry in fs::read_dir(&cache).unwrap().flatten() {
            fs::write(entry.path(), b"bryofil3garbage").unwrap();
        }
        assert_eq!(digest(&tree, &cache), second);
        fs::rename(tree.join("a/file"), tree.join("a/other")).unwrap();
        assert_ne!(digest(&tree, &cache), second);
        crate::sys::fs::remove_path(&top).unwrap();
    }
}
