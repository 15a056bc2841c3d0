//! A bounded, streaming tar reader (ustar, GNU long names, PAX) and a small writer. What GNU tar would list differently
//! is refused, so that no entry can hide. Never touches the file system.

mod header;
mod limits;
mod pax;
mod plain;
mod reader;
mod sparse;
mod split;
mod stream;
mod write;

use std::io;

pub use limits::Limits;
pub use plain::Plain;
pub use reader::TarReader;
pub use sparse::Extent;
pub use split::{Piece, SplitReader, SplitWriter};
pub use stream::{TarSink, TarStream};
pub use write::TarWriter;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    /// A hard link; its target is a path of the same archive.
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// One entry with everything that long-name and PAX records say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As the archive has it: not normalised, not checked for `..`.
    pub path: Vec<u8>,
    /// The target of a symlink or hard link, else empty.
    pub link: Vec<u8>,
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds and nanoseconds since 1970.
    pub mtime: (i64, u32),
    /// Bytes of content that follow, of a sparse file its whole size; 0 for all but files.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why an archive can't be read; offsets are bytes of the uncompressed tar.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("{source}")]
    Read { source: io::Error },
    #[error("write down what the archive is without its files: {source}")]
    Split { source: io::Error },
    #[error("the archive ends in the middle of an entry, at byte {offset}")]
    Truncated { offset: u64 },
    #[error(
        "the header at byte {offset} has a wrong checksum: not a tar archive, or a damaged one"
    )]
    Checksum { offset: u64 },
    #[error("the header at byte {offset} has an invalid {field}")]
    Number { offset: u64, field: &'static str },
    #[error("{path}: entries of type {kind:?} are not supported")]
    Kind { path: String, kind: char },
    #[error("{path}: sparse files are not supported; make the archive without --sparse")]
    Sparse { path: String },
    #[error("{path}: a sparse file that programs read differently: {reason}")]
    SparseMap { path: String, reason: &'static str },
    #[error(
        "{path}: an entry that is no file has {size} bytes of content, which programs read differently"
    )]
    Content { path: String, size: u64 },
    #[error("the extended header at byte {offset} is malformed: {reason}")]
    Pax { offset: u64, reason: &'static str },
    #[error("a second {what} for one entry, at byte {offset}, which programs read differently")]
    Twice { offset: u64, what: &'static str },
    #[error(
        "a single zero block at byte {offset} is followed by more, which programs read differently"
    )]
    LoneZeroBlock { offset: u64 },
    #[error("the archive has more than {limit} entries")]
    TooManyEntries { limit: u64 },
    #[error("the archive is larger than the {limit} bytes allowed for it")]
    TooLarge { limit: u64 },
    #[error("a path of {length} bytes at byte {offset}; {limit} are allowed")]
    PathLength {
        offset: u64,
        length: u64,
        limit: u64,
    },
}

#[cfg(test)]
mod tests;
