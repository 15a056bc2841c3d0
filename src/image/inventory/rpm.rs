//! The databases of rpm: SQLite's file format and rpm's own `ndb`, as far as reading all headers needs them. Every offset in them is
//! somebody else's word. Pure.

use std::collections::HashSet;

use super::{Package, purl};

/// Of one header, and how deep a tree of pages may be.
const HEADER_MAX: usize = 64 << 20;
const DEPTH_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite,
    Ndb,
    /// Berkeley DB, which rpm itself no longer reads.
    Old,
}

pub(super) fn kind(path: &str) -> Option<Database> {
    let name = ["var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"]
        .iter()
        .find_map(|directory| path.strip_prefix(directory))?;
    match name {
        "rpmdb.sqlite" => Some(Database::Sqlite),
        "Packages.db" => Some(Database::Ndb),
        "Packages" => Some(Database::Old),
        _ => None,
    }
}

impl Database {
    /// None: it is not what its name says.
    pub fn read(self, bytes: &[u8], system: &str, release: &str) -> Option<Vec<Package>> {
        let headers = match self {
            Database::Sqlite => sqlite_headers(bytes)?,
            Database::Ndb => ndb_headers(bytes)?,
            Database::Old => return None,
        };
        let packages = headers
            .iter()
            .filter_map(|header| package(header, system, release));
        Some(packages.collect())
    }
}

fn big(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(four)).ok()
}

fn little(bytes: &[u8], at: usize) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

fn two(bytes: &[u8], at: usize) -> Option<usize> {
    let pair: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
    Some(usize::from(u16::from_be_bytes(pair)))
}

/// rpm's lib/header.c: counts, an index of sixteen bytes each, the values.
fn package(header: &[u8], system: &str, release: &str) -> Option<Package> {
    let (count, length) = (big(header, 0)?, big(header, 4)?);
    let index = 8usize;
    let values = index.checked_add(count.checked_mul(16)?)?;
    let values = header.get(values..values.checked_add(length)?)?;
    let entry = |wanted: usize, kinds: &[usize]| {
        (0..count).find_map(|number| {
            let at = index + number * 16;
            let found = big(header, at)? == wanted && kinds.contains(&big(header, at + 4)?);
            found.then(|| big(header, at + 8)).flatten()
        })
    };
    let text = |tag| {
        let value = values.get(entry(tag, &[6, 8, 9])?..)?;
        let end = value.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&value[..end]).into_owned())
    };
    let name = text(1000).filter(|name| name != "gpg-pubkey")?;
    let version = format!("{}-{}", text(1001)?, text(1002)?);
    let epoch = entry(1003, &[4])
        .and_then(|at| big(values, at))
        .filter(|epoch| *epoch > 0);
    let epoch = epoch.map(|epoch| epoch.to_string()).unwrap_or_default();
    let architecture = text(1022).unwrap_or_default();
    let distribution = match release.is_empty() {
        true => system.to_owned(),
        false => format!("{system}-{release}"),
    };
    let vendor = if system.is_empty() { "rpm" } else { system };
    let qualifiers = [
        ("arch", architecture.as_str()),
        ("distro", distribution.as_str()),
        ("epoch", epoch.as_str()),
    ];
    Some(Package {
        purl: purl("rpm", &format!("{vendor}/{name}"), &version, &qualifiers),
        name,
        version,
        license: text(1014).unwrap_or_default(),
        supplier: text(1011).unwrap_or_default(),
        found_in: String::new(),
    })
}

/// rpm's lib/backend/ndb/rpmpkg.c: slots of sixteen bytes behind a header of two, each naming a blob by blocks of sixteen bytes.
fn ndb_headers(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    if bytes.get(..4)? != b"RpmP" {
        return None;
    }
    let end = little(bytes, 12)?.checked_mul(4096)?.min(bytes.len());
    let mut headers = Vec::new();
    let mut at = 32;
    while at + 16 <= end {
        let is_used = bytes.get(at..at + 4) == Some(b"Slot") && little(bytes, at + 4)? != 0;
        let block = little(bytes, at + 8)?;
        at += 16;
        if !is_used || block == 0 {
            continue;
        }
        let blob = block.checked_mul(16)?;
        if bytes.get(blob..blob.checked_add(4)?)? != b"BlbS" {
            return None;
        }
        let length = little(bytes, blob + 12)?;
        headers.push(
            bytes
                .get(blob + 16..(blob + 16).checked_add(length)?)?
                .to_vec(),
        );
    }
    Some(headers)
}

/// <https://www.sqlite.org/fileformat2.html>
struct Sqlite<'a> {
    bytes: &'a [u8],
    page: usize,
    usable: usize,
    /// No page is gone through twice.
    seen: HashSet<usize>,
}

/// All values of the second column of the table `Packages`.
fn sqlite_headers(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    if bytes.get(..16)? != b"SQLite format 3\0" {
        return None;
    }
    let page = match two(bytes, 16)? {
        1 => 65536,
        size => size,
    };
    let usable = page.checked_sub(usize::from(*bytes.get(20)?))?;
    if usable < 480 {
        return None;
    }
    let mut file = Sqlite {
        bytes,
        page,
        usable,
        seen: HashSet::new(),
    };
    let mut schema = Vec::new();
    file.rows(1, 0, &mut schema)?;
    let root = schema.iter().find_map(|row| {
        let values = record(row)?;
        let is_ours = values.first()? == b"table" && values.get(1)? == b"Packages";
        let root = values.get(3).filter(|_| is_ours)?;
        Some(
            root.iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    })?;
    let mut rows = Vec::new();
    file.rows(root, 0, &mut rows)?;
    let blobs = rows
        .iter()
        .filter_map(|row| Some(record(row)?.get(1)?.to_vec()));
    Some(blobs.collect())
}

/// Seven bits of each byte, eight of the ninth.
fn varint(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value: u64 = 0;
    for number in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if number == 8 {
            return usize::try_from(value << 8 | u64::from(byte)).ok();
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    usize::try_from(value).ok()
}

/// The values of a row, as the bytes they are.
fn record(row: &[u8]) -> Option<Vec<&[u8]>> {
    let mut at = 0;
    let head = varint(row, &mut at)?;
    let mut value = head;
    let mut values = Vec::new();
    while at < head {
        let length = match varint(row, &mut at)? {
            0 | 8 | 9 => 0,
            kind @ 1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            kind => kind.checked_sub(12)? / 2,
        };
        values.push(row.get(value..value.checked_add(length)?)?);
        value += length;
    }
    Some(values)
}

impl<'a> Sqlite<'a> {
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page)?;
        self.bytes.get(start..start.checked_add(self.page)?)
    }

    /// The rows of a table, from one of its pages down.
    fn rows(&mut self, number: usize, depth: usize, rows: &mut Vec<Vec<u8>>) -> Option<()> {
        if depth > DEPTH_MAX || !self.seen.insert(number) {
            return None;
        }
        let page = self.page(number)?;
        let head = if number == 1 { 100 } else { 0 };
        let kind = *page.get(head)?;
        let count = two(page, head + 3)?;
        let pointers = match kind {
            0x0d => head + 8,
            0x05 => head + 12,
            _ => return None,
        };
        for cell in 0..count {
            let at = two(page, pointers + cell * 2)?;
            match kind {
                0x0d => rows.push(self.payload(page, at)?),
                _ => self.rows(big(page, at)?, depth + 1, rows)?,
            }
        }
        if kind == 0x05 {
            self.rows(big(page, head + 8)?, depth + 1, rows)?;
        }
        Some(())
    }

    /// What does not fit into its page goes on in others, each naming the next.
    fn payload(&self, page: &[u8], mut at: usize) -> Option<Vec<u8>> {
        let length = varint(page, &mut at)?;
        varint(page, &mut at)?;
        if length > HEADER_MAX {
            return None;
        }
        let most = self.usable - 35;
        let inline = match length <= most {
            true => length,
            false => {
                let least = (self.usable - 12) * 32 / 255 - 23;
                let fitting = least + (length - least) % (self.usable - 4);
                if fitting <= most { fitting } else { least }
            }
        };
        let mut payload = page.get(at..at.checked_add(inline)?)?.to_vec();
        let mut next = match length > inline {
            true => big(page, at + inline)?,
            false => 0,
        };
        while payload.len() < length {
            let page = self.page(next)?;
            let part = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + part)?);
            next = big(page, 0)?;
        }
        Some(payload)
    }
}
