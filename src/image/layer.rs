//! A layer in the store: its directory's name, its record, and the locked temporary directory it is made in.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ahead::Ahead;
use super::digest::Digest;
use super::store::StoreError;
use crate::sys::{disk, fault, fs, lock};

/// The name of a layer's directory: 64 hex digits of the DiffID, for a settled variant followed by `.` and 8 more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerDir(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not the name of a layer's directory")]
pub struct LayerDirError {
    text: String,
}

impl LayerDir {
    /// The directory of the layer as it was unpacked.
    pub fn base(diff_id: &Digest) -> LayerDir {
        LayerDir(diff_id.hex().to_owned())
    }

    /// The directory of the layer settled by changes that hash to `changes`.
    pub fn variant(diff_id: &Digest, changes: &Digest) -> LayerDir {
        LayerDir(format!("{}.{}", diff_id.hex(), &changes.hex()[..8]))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The DiffID this directory holds.
    pub fn diff_id(&self) -> Digest {
        let text = format!("sha256:{}", &self.0[..64]);
        text.parse().expect("checked when parsed")
    }
}

impl FromStr for LayerDir {
    type Err = LayerDirError;

    fn from_str(text: &str) -> Result<LayerDir, LayerDirError> {
        let hex = |part: &str, length: usize| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let good = match text.split_once('.') {
            None => hex(text, 64),
            Some((base, variant)) => hex(base, 64) && hex(variant, 8),
        };
        if good {
            Ok(LayerDir(text.to_owned()))
        } else {
            Err(LayerDirError {
                text: text.to_owned(),
            })
        }
    }
}

impl TryFrom<String> for LayerDir {
    type Error = LayerDirError;

    fn try_from(text: String) -> Result<LayerDir, LayerDirError> {
        text.parse()
    }
}

impl From<LayerDir> for String {
    fn from(directory: LayerDir) -> String {
        directory.0
    }
}

impl fmt::Display for LayerDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path inside a layer: bytes, relative to its root, without `.`, `..` or empty parts; empty = the root itself.
/// In JSON a string where it is UTF-8, else an array of bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "PathForm", into = "PathForm")]
pub struct LayerPath(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathForm {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<PathForm> for LayerPath {
    fn from(form: PathForm) -> LayerPath {
        match form {
            PathForm::Text(text) => LayerPath(text.into_bytes()),
            PathForm::Bytes(bytes) => LayerPath(bytes),
        }
    }
}

impl From<LayerPath> for PathForm {
    fn from(path: LayerPath) -> PathForm {
        match String::from_utf8(path.0) {
            Ok(text) => PathForm::Text(text),
            Err(error) => PathForm::Bytes(error.into_bytes()),
        }
    }
}

impl LayerPath {
    /// The path of the directory that holds this one; `None` for the root.
    pub fn parent(&self) -> Option<LayerPath> {
        if self.0.is_empty() {
            return None;
        }
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        Some(LayerPath(self.0[..end].to_vec()))
    }

    /// The last part; empty for the root.
    pub fn name(&self) -> &[u8] {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => &self.0[slash + 1..],
            None => &self.0,
        }
    }
}

impl LayerPath {
    /// The path of something in this directory.
    pub fn join(&self, name: &[u8]) -> LayerPath {
        LayerPath(join_path(&self.0, name))
    }
}

/// The path of something in a directory; either may be empty.
pub fn join_path(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory.is_empty(), name.is_empty()) {
        (true, _) => name.to_vec(),
        (_, true) => directory.to_vec(),
        _ => [directory, b"/", name].concat(),
    }
}

impl fmt::Display for LayerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

/// Something that a later entry of the same archive took the place of. It is kept beside `fs/`, as `replaced/N` where N is
/// its place in the record's list, because the tar can't be given back without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    pub path: LayerPath,
    /// How many files with content the archive had before the entry that replaced it.
    pub after: u64,
}

/// A form in which a registry or an archive had the layer: its bytes were read and had both digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct KnownBlob {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
    /// It begins as what is compressed here by the usual methods: doing that again is likely to make the very bytes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_made_here: bool,
}

/// What unpacking found out; written as `layer.json` beside `fs/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LayerReport {
    pub diff_id: Digest,
    /// Bytes of regular files, as docker counts a layer's size.
    pub size: u64,
    /// Bytes of the uncompressed tar.
    #[serde(default)]
    pub tar_size: u64,
    /// CRC-32 of it; layers of older stores have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar_crc: Option<u32>,
    pub entries: u64,
    /// Directories that the archive uses without listing them: owner and mode come from the layers below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub implicit_dirs: Vec<LayerPath>,
    /// Where 0:0 devices stand for something deleted from the layers below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub whiteouts: Vec<LayerPath>,
    /// The root itself is opaque: nothing below this layer is seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opaque_root: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// The compressed forms of the layer that were seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<KnownBlob>,
    /// What the archive has and the file system could not take: said once per kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A directory below `layers/` that its maker holds locked; unlocked ones are rubbish. Removed when dropped unless it
/// was committed.
#[derive(Debug)]
pub struct TempLayer {
    pub(super) directory: PathBuf,
    lock: OwnedFd,
    root: OwnedFd,
    ahead: Arc<Ahead>,
    pub(super) committed: bool,
}

/// Beside `fs/`: see [`super::tar::SplitWriter`].
pub(super) const SPLIT: &str = "split.zst";
/// Beside `fs/` of a copy: see [`super::graft::Former`].
pub(super) const ORIGINS: &str = "origins.zst";
/// The directory of what was [`Replaced`].
pub(super) const REPLACED: &str = "replaced";
/// Beside `fs/` while it is written by a mount.
pub const WORK: &str = "work";
pub(super) const TEMPORARY: &str = ".tmp-";
pub(super) const DEAD: &str = ".dead-";

impl TempLayer {
    /// Of its root, where nothing says another one.
    pub(super) const ROOT_MODE: u32 = 0o755;

    /// Makes `layers/.tmp-…` with an empty `fs/`, locked before anyone can take it for rubbish.
    /// `ahead`: what writes its files, with those of others.
    pub(super) fn make(layers: &Path, ahead: &Arc<Ahead>) -> std::io::Result<TempLayer> {
        let (directory, lock) = make_locked(layers)?;
        let root = directory.join("fs");
        disk::create_dir(&root)?;
        // Its own mode, whatever the umask: what an archive without an entry for its root gets.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(TempLayer::ROOT_MODE);
        std::fs::set_permissions(&root, mode)?;
        Ok(TempLayer {
            root: fs::open_directory(&root)?,
            directory,
            lock,
            ahead: Arc::clone(ahead),
            committed: false,
        })
    }

    /// One that another process holds, which decides about it.
    pub(super) fn borrowed(directory: PathBuf, ahead: &Arc<Ahead>) -> std::io::Result<TempLayer> {
        Ok(TempLayer {
            root: fs::open_directory(&directory.join("fs"))?,
            lock: fs::open_directory(&directory)?,
            directory,
            ahead: Arc::clone(ahead),
            committed: true,
        })
    }

    /// The name of its directory below `layers/`.
    pub fn name(&self) -> &str {
        let name = self.directory.file_name().and_then(std::ffi::OsStr::to_str);
        name.expect("it was made of ASCII")
    }

    /// Where overlayfs works while the layer is the upper directory of a mount; made here, for its owner.
    pub fn make_work(&self) -> std::io::Result<()> {
        disk::create_dir(self.directory.join(WORK))
    }

    pub fn work(&self) -> PathBuf {
        self.directory.join(WORK)
    }

    /// An empty directory to mount on; goes with the layer.
    pub fn make_place(&self) -> std::io::Result<PathBuf> {
        let place = self.directory.join("place");
        disk::create_dir(&place)?;
        Ok(place)
    }

    /// What a mount left of it. Runs in the home namespace.
    pub fn remove_work(&self) -> std::io::Result<()> {
        match fs::remove_path(&self.directory.join(WORK)) {
            Err(failed) if failed.source.kind() != std::io::ErrorKind::NotFound => {
                Err(failed.source)
            }
            _ => Ok(()),
        }
    }

    /// The files of another one instead of its own. Its directory stays the one that it is: whoever made it has it open.
    pub(super) fn take_over(&self, other: &TempLayer) -> Result<(), StoreError> {
        let (from, to) = (other.root(), self.root());
        let replace = || {
            for (name, _) in fs::list_directory(to)? {
                fs::remove_tree(to, &name).map_err(|failed| failed.source)?;
            }
            for (name, _) in fs::list_directory(from)? {
                fault::at("replace")?;
                rustix::fs::renameat(from, &name, to, &name)?;
            }
            Ok(())
        };
        replace().map_err(StoreError::io("replace", &self.path()))
    }

    /// What a mount left in its work directory, where that can be removed from here: nothing but empty directories.
    pub fn remove_empty_work(&self) {
        let work = self.directory.join(WORK);
        let _ = std::fs::remove_dir(work.join("work"));
        let _ = std::fs::remove_dir(work);
    }

    /// Whether nothing was written into it, as far as can be seen from here.
    pub fn is_empty(&self) -> bool {
        let is_opaque = |name: &Vec<u8>| name.starts_with(b"user.overlay.opaque");
        fs::list_directory(self.root()).is_ok_and(|entries| entries.is_empty())
            && crate::sys::xattr::list(self.root()).is_ok_and(|names| !names.iter().any(is_opaque))
    }

    /// Somebody else has given it its name, or removed it.
    pub fn leave(mut self) {
        self.committed = true;
    }

    /// The layer's root directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The path of the layer's root directory.
    pub fn path(&self) -> PathBuf {
        self.directory.join("fs")
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    pub(super) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// The file for what the layer's tar is beside the content of its files.
    pub(super) fn create_split(&self) -> std::io::Result<Box<dyn std::io::Write + Send>> {
        fault::at("make split")?;
        Ok(Box::new(self.create(SPLIT)?))
    }

    /// The file for what its files are copies of.
    pub(super) fn create_origins(&self) -> std::io::Result<std::fs::File> {
        fault::at("make origins")?;
        self.create(ORIGINS)
    }

    pub(super) fn origins(&self) -> PathBuf {
        self.directory.join(ORIGINS)
    }

    fn create(&self, name: &str) -> std::io::Result<std::fs::File> {
        let mut options = std::fs::File::options();
        let new = options.write(true).create_new(true);
        new.open(self.directory.join(name))
    }
}

impl Drop for TempLayer {
    fn drop(&mut self) {
        if !self.committed {
            // What cannot be removed now is unlocked rubbish, which the next sweep finds and reports.
            let _ = fs::remove_path(&self.directory);
        }
    }
}

/// A fresh temporary directory below `parent`, locked for as long as the descriptor lives.
pub(super) fn make_locked(parent: &Path) -> std::io::Result<(PathBuf, OwnedFd)> {
    loop {
        let directory = parent.join(format!("{TEMPORARY}{}", fs::random_name()));
        match disk::create_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            other => other?,
        }
        let Ok(lock) = fs::open_directory(&directory) else {
            continue;
        };
        // A sweep may have taken it for rubbish between mkdir and the lock: then it is gone, and we begin anew.
        if lock::try_hold_alone(&lock)? && directory.is_dir() {
            return Ok((directory, lock));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_layer_directories_parse() {
        let hex = Digest::of(b"x").hex().to_owned();
        assert!(hex.parse::<LayerDir>().is_ok());
        let variant = LayerDir::variant(&Digest::of(b"x"), &Digest::of(b"y"));
        assert_eq!(variant.as_str().parse::<LayerDir>().as_ref(), Ok(&variant));
        assert_eq!(variant.diff_id(), Digest::of(b"x"));
        for bad in [
            "",
            "..",
            &hex[1..],
            &format!("{hex}."),
            &format!("{hex}.1234567g"),
        ] {
            assert!(bad.parse::<LayerDir>().is_err());
        }
    }

    #[test]
    fn paths_of_any_bytes_survive_json() {
        for path in [&b"usr/lib"[..], b"", b"a\xff/b"] {
            let path = LayerPath(path.to_vec());
            let json = serde_json::to_string(&path).expect("serialises");
            assert_eq!(
                serde_json::from_str::<LayerPath>(&json).expect("parses"),
                path
            );
        }
        assert_eq!(
            LayerPath(b"a/b".to_vec()).parent(),
            Some(LayerPath(b"a".to_vec()))
        );
        assert_eq!(
            LayerPath(b"a".to_vec()).parent(),
            Some(LayerPath(Vec::new()))
        );
        assert_eq!(LayerPath(b"a/b".to_vec()).name(), b"b");
    }
}
