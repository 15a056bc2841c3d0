//! Whether the headers of an entry mean the same to every reader, Go's among them, which the readers of zstd:chunked are. Pure.

use super::header::{BLOCK, Header};
use super::pax;
use super::reader::kind;
use super::{Entry, EntryKind};

/// What such a header has beyond an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// All bits, those of the file's type too where they are written down.
    pub mode: u64,
    /// Of every kind of entry.
    pub device: (u32, u32),
}

impl Plain {
    /// `raw` is all of the entry's headers; `None`: there is something that other programs read differently, or that has no place in
    /// an [`Entry`] and one in theirs (the time of access).
    pub fn of(mut raw: &[u8], entry: &Entry) -> Option<Plain> {
        loop {
            let block = raw.first_chunk::<BLOCK>()?;
            raw = &raw[BLOCK..];
            let header = Header::parse(block)?;
            if !matches!(header.kind(), b'x' | b'L' | b'K') {
                return Some(header)
                    .filter(|_| raw.is_empty())
                    .and_then(|header| plain(block, &header, entry));
            }
            let length = usize::try_from(header.size()?).ok()?;
            let content = raw.get(..length)?;
            if header.kind() == b'x' && pax::has_times(content) {
                return None;
            }
            raw = raw.get(length.next_multiple_of(BLOCK)..)?;
        }
    }
}

fn plain(block: &[u8; BLOCK], header: &Header<'_>, entry: &Entry) -> Option<Plain> {
    let is_directory = entry.path.ends_with(b"/");
    let flag = header.kind();
    if !matches!(flag, 0 | b'0'..=b'6') || flag == b'0' && is_directory {
        return None;
    }
    let kind = kind(flag, &entry.path, "").ok()?;
    let is_file = kind == EntryKind::File;
    // GNU's old form has times of access and change here; star's has its own prefix.
    let is_gnu = &block[257..265] == b"ustar  \0";
    let has_times = is_gnu && (block[345] != 0 || block[357] != 0);
    let is_star = &block[508..512] == b"tar\0";
    let is_same = kind == entry.kind && (is_file || header.size() == Some(0));
    (is_same && !has_times && !is_star).then_some(())?;
    Some(Plain {
        mode: header.whole_mode()?,
        device: header.device()?,
    })
}
