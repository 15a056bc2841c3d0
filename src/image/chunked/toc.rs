//! The documents at the end of a zstd:chunked layer: the table of contents (CRFS' form with containers' additions), tar-split's lines,
//! and the footer that says where both are. Bounded memory: both are compressed while they are written. Knows no tar.

use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::write::EncoderWriter;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zstd::stream::write::Encoder;

use crate::image::blocks::ZSTD_LEVEL;
use crate::image::digest::Digest;
use crate::image::tar::{Entry, EntryKind, Plain};

/// What a manifest says of such a layer, in annotations of its descriptor: where the documents are, and the digest of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Toc {
    checksum: Digest,
    position: String,
    tar_split: String,
}

const CHECKSUM: &str = "io.github.containers.zstd-chunked.manifest-checksum";
const POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
const TAR_SPLIT: &str = "io.github.containers.zstd-chunked.tarsplit-position";
/// Of any of them.
const PREFIX: &str = "io.github.containers.zstd-chunked.";

impl Toc {
    /// What annotations say, if all of it is there.
    pub fn of(annotations: &BTreeMap<String, String>) -> Option<Toc> {
        Some(Toc {
            checksum: annotations.get(CHECKSUM)?.parse().ok()?,
            position: annotations.get(POSITION)?.clone(),
            tar_split: annotations.get(TAR_SPLIT)?.clone(),
        })
    }

    pub fn annotations(&self) -> [(&'static str, &str); 3] {
        [
            (CHECKSUM, self.checksum.as_str()),
            (POSITION, &self.position),
            (TAR_SPLIT, &self.tar_split),
        ]
    }

    /// Whether an annotation speaks of such a table: it is true of one blob only.
    pub fn is_of_one(annotation: &str) -> bool {
        annotation.starts_with(PREFIX)
    }
}

/// A part of a file.
pub(super) struct Content {
    /// Where in the layer its frame begins.
    pub at: u64,
    /// Uncompressed.
    pub length: u64,
    pub digest: [u8; 32],
}

/// One line of the table, field by field as containers/storage has them.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    link_name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    end_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    chunk_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<Digest>,
}

/// A piece of the tar as tar-split has it: 1 is a file, 2 what is none.
#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    size: u64,
    payload: Option<String>,
    position: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// containers/storage reads no longer table.
const MOST: u64 = 150 << 20;
/// 256 KiB, some hundred lines: the level of the layer could ask for hundreds of megabytes.
const WINDOW_LOG: u32 = 18;

/// A document that is compressed while it is written.
struct Document {
    out: Encoder<'static, Vec<u8>>,
    length: u64,
}

impl Document {
    fn new() -> io::Result<Document> {
        let mut out = Encoder::new(Vec::new(), ZSTD_LEVEL)?;
        out.window_log(WINDOW_LOG)?;
        Ok(Document { out, length: 0 })
    }

    fn finish(self) -> io::Result<(Vec<u8>, u64)> {
        Ok((self.out.finish()?, self.length))
    }
}

impl Write for Document {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both documents while the tar passes by.
pub(super) struct Contents {
    table: Document,
    has_lines: bool,
    split: Document,
    pieces: u64,
}

impl Contents {
    pub fn new() -> io::Result<Contents> {
        let mut table = Document::new()?;
        table.write_all(br#"{"version":1,"entries":["#)?;
        Ok(Contents {
            table,
            has_lines: false,
            split: Document::new()?,
            pieces: 0,
        })
    }

    /// Bytes of the tar that are no content: the header of one entry after the padding of the last one, or the end.
    pub fn segment(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.split.write_all(br#"{"type":2,"payload":""#)?;
        let mut base64 = EncoderWriter::new(&mut self.split, &BASE64);
        base64.write_all(bytes)?;
        base64.finish()?;
        drop(base64);
        writeln!(self.split, r#"","position":{}}}"#, self.pieces)?;
        self.pieces += 1;
        Ok(())
    }

    /// The entry whose header came last, with or without content.
    pub fn file(&mut self, path: &[u8], size: u64, crc: Option<[u8; 8]>) -> io::Result<()> {
        let file = File {
            kind: 1,
            name: std::str::from_utf8(path).ok(),
            size,
            payload: crc.map(|crc| BASE64.encode(crc)),
            position: self.pieces,
        };
        serde_json::to_writer(&mut self.split, &file)?;
        self.split.write_all(b"\n")?;
        self.pieces += 1;
        Ok(())
    }

    /// Its line in the table, and those of its parts; `end` is where the last of these ends. `false`: it can't be said there,
    /// or the table would be too long.
    pub fn entry(
        &mut self,
        entry: &Entry,
        plain: &Plain,
        digest: Option<[u8; 32]>,
        parts: &[Content],
        end: u64,
    ) -> io::Result<bool> {
        let line = line(entry, plain).filter(|_| self.table.length < MOST);
        let Some(mut line) = line else {
            return Ok(false);
        };
        if let Some(first) = parts.first() {
            line.digest = digest.map(|digest| Digest::from_hash(&digest));
            line.offset = first.at;
            line.end_offset = end;
        }
        if parts.len() < 2 {
            self.line(&line)?;
            return Ok(true);
        }
        let mut offset = 0;
        for part in parts {
            line.offset = part.at;
            line.chunk_size = part.length;
            line.chunk_offset = offset;
            line.chunk_digest = Some(Digest::from_hash(&part.digest));
            self.line(&line)?;
            offset += part.length;
            line = Line {
                kind: "chunk",
                name: line.name,
                ..Line::default()
            };
        }
        Ok(true)
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        if std::mem::replace(&mut self.has_lines, true) {
            self.table.write_all(b",")?;
        }
        Ok(serde_json::to_writer(&mut self.table, line)?)
    }

    /// The frames that end a layer of `written` bytes.
    pub fn finish(mut self, written: u64) -> io::Result<(Vec<u8>, Toc)> {
        let (split, split_length) = self.split.finish()?;
        let split_digest = Digest::of(&split);
        write!(self.table, r#"],"tarSplitDigest":"{split_digest}"}}"#)?;
        let (table, table_length) = self.table.finish()?;
        let table_at = written + SKIPPABLE;
        let split_at = table_at + table.len() as u64 + SKIPPABLE;
        let numbers = [
            table_at,
            table.len() as u64,
            table_length,
            KIND,
            split_at,
            split.len() as u64,
            split_length,
        ];
        let mut footer: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        footer.extend_from_slice(b"GNUlInUx");
        let mut frames = Vec::new();
        for frame in [&table, &split, &footer] {
            let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
            frames.extend_from_slice(&[0x50, 0x2a, 0x4d, 0x18]);
            frames.extend_from_slice(&length.to_le_bytes());
            frames.extend_from_slice(frame);
        }
        let toc = Toc {
            checksum: Digest::from_hash(&Sha256::digest(&table)),
            position: format!("{table_at}:{}:{table_length}:{KIND}", table.len()),
            tar_split: format!("{split_at}:{}:{split_length}", split.len()),
        };
        Ok((frames, toc))
    }
}

/// Magic number and length of a frame that readers skip (RFC 8878, section 3.1.2).
const SKIPPABLE: u64 = 8;
/// The table is of CRFS' form.
const KIND: u64 = 1;

/// `None`: it has something that JSON, or Go's time, has no word for.
fn line<'a>(entry: &'a Entry, plain: &Plain) -> Option<Line<'a>> {
    let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).ok();
    let mut xattrs = BTreeMap::new();
    for (name, value) in &entry.xattrs {
        // Go takes an empty value for none.
        let value = Some(value).filter(|value| !value.is_empty())?;
        xattrs.insert(text(name)?, BASE64.encode(value));
    }
    let id = |id: u64| (id < 1 << 31).then_some(id);
    Some(Line {
        kind: match entry.kind {
            EntryKind::File => "reg",
            EntryKind::HardLink => "hardlink",
            EntryKind::Symlink => "symlink",
            EntryKind::CharDevice => "char",
            EntryKind::BlockDevice => "block",
            EntryKind::Directory => "dir",
            EntryKind::Fifo => "fifo",
        },
        name: text(&entry.path)?,
        link_name: text(&entry.link)?,
        mode: plain.mode,
        size: entry.size,
        uid: id(entry.uid)?,
        gid: id(entry.gid)?,
        modtime: match entry.mtime {
            (0, 0) => None,
            (seconds, nanoseconds) => Some(time(seconds, nanoseconds)?),
        },
        dev_major: u64::from(plain.device.0),
        dev_minor: u64::from(plain.device.1),
        xattrs,
        ..Line::default()
    })
}

/// RFC 3339, of years with four digits.
fn time(seconds: i64, nanoseconds: u32) -> Option<String> {
    let nanoseconds = i32::try_from(nanoseconds).ok()?;
    let text = jiff::Timestamp::new(seconds, nanoseconds).ok()?.to_string();
    (text.as_bytes().get(4) == Some(&b'-')).then_some(text)
}

/// A path as those see it for whom `a/./b/../c` is `a/c`.
pub(super) fn cleaned(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}
