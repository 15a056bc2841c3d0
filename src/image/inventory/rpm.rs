//! The databases of rpm: SQLite's file format and rpm's own `ndb`, as far as reading all headers needs them. Every offset in them is
//! somebody else's word. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use super::found::{FIELD_MAX, Found, Told};

/// Of one header, and how deep a tree of pages may be.
const HEADER_MAX: usize = 64 << 20;
const DEPTH_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub fn read(
        self,
        bytes: &[u8],
        system: &str,
        release: &str,
        found: &mut Found<'_>,
    ) -> Option<()> {
        let visit = &mut |header: &[u8]| {
            // What has no name is no package: keys that signatures are checked with, for one.
            let _ = package(header, system, release, found);
        };
        match self {
            Database::Sqlite => sqlite_headers(bytes, visit),
            Database::Ndb => ndb_headers(bytes, visit),
            Database::Old => None,
        }
    }
}

/// Takes a header, or a row.
type Visit<'a> = &'a mut dyn FnMut(&[u8]);

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
fn package(header: &[u8], system: &str, release: &str, found: &mut Found<'_>) -> Option<()> {
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
        // Too long is enough to know.
        let end = end.min(FIELD_MAX + 1);
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
    let qualifiers = [
        ("arch", architecture.as_str()),
        ("distro", distribution.as_str()),
        ("epoch", epoch.as_str()),
    ];
    found.add(Told {
        kind: "rpm",
        namespace: if system.is_empty() { "rpm" } else { system },
        name: &name,
        version: &version,
        qualifiers: &qualifiers,
        license: &text(1014).unwrap_or_default(),
        supplier: &text(1011).unwrap_or_default(),
    });
    Some(())
}

/// rpm's lib/backend/ndb/rpmpkg.c: slots of sixteen bytes behind a header of two, each naming a blob by blocks of sixteen bytes.
/// No blob has two slots, and all of them fit into the file.
fn ndb_headers(bytes: &[u8], visit: Visit<'_>) -> Option<()> {
    if bytes.get(..4)? != b"RpmP" {
        return None;
    }
    let end = little(bytes, 12)?.checked_mul(4096)?.min(bytes.len());
    let (mut seen, mut left) = (HashSet::new(), bytes.len());
    let mut at = 32;
    while at + 16 <= end {
        let is_used = bytes.get(at..at + 4) == Some(b"Slot") && little(bytes, at + 4)? != 0;
        let block = little(bytes, at + 8)?;
        at += 16;
        if !is_used || block == 0 {
            continue;
        }
        let blob = block.checked_mul(16)?;
        if !seen.insert(block) || bytes.get(blob..blob.checked_add(4)?)? != b"BlbS" {
            return None;
        }
        let length = little(bytes, blob + 12)?;
        left = left.checked_sub(length)?;
        visit(bytes.get(blob + 16..(blob + 16).checked_add(length)?)?);
    }
    Some(())
}

/// <https://www.sqlite.org/fileformat2.html>
struct Sqlite<'a> {
    bytes: &'a [u8],
    page: usize,
    usable: usize,
    /// No page is gone through twice, be it of a tree or what a row goes on in.
    seen: HashSet<usize>,
    /// Of the bytes of rows: all of them fit into the file.
    left: usize,
}

/// All values of the second column of the table `Packages`.
fn sqlite_headers(bytes: &[u8], visit: Visit<'_>) -> Option<()> {
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
        left: bytes.len(),
    };
    let mut root = None;
    file.rows(1, 0, &mut |row| {
        root = root.or_else(|| root_of_packages(row))
    })?;
    file.rows(root?, 0, &mut |row| {
        if let Some([_, header]) = record(row) {
            visit(header);
        }
    })
}

/// Where the table begins, if this row of the schema says that.
fn root_of_packages(row: &[u8]) -> Option<usize> {
    let [kind, name, _, root] = record(row)?;
    let is_ours = kind == b"table" && name == b"Packages" && root.len() <= 8;
    is_ours.then(|| {
        let bytes = root.iter();
        bytes.fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    })
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

/// The first values of a row, as the bytes they are.
fn record<const N: usize>(row: &[u8]) -> Option<[&[u8]; N]> {
    let mut at = 0;
    let head = varint(row, &mut at)?;
    let mut value = head;
    let mut values = [&row[..0]; N];
    for known in &mut values {
        if at >= head {
            return None;
        }
        let length = match varint(row, &mut at)? {
            0 | 8 | 9 => 0,
            kind @ 1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            kind => kind.checked_sub(12)? / 2,
        };
        let end = value.checked_add(length)?;
        *known = row.get(value..end)?;
        value = end;
    }
    Some(values)
}

impl<'a> Sqlite<'a> {
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page)?;
        self.bytes.get(start..start.checked_add(self.page)?)
    }

    /// The rows of a table, from one of its pages down.
    fn rows(&mut self, number: usize, depth: usize, visit: Visit<'_>) -> Option<()> {
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
                0x0d => visit(&self.payload(page, at)?),
                _ => self.rows(big(page, at)?, depth + 1, visit)?,
            }
        }
        if kind == 0x05 {
            self.rows(big(page, head + 8)?, depth + 1, visit)?;
        }
        Some(())
    }

    /// What does not fit into its page goes on in others, each naming the next.
    fn payload(&mut self, page: &'a [u8], mut at: usize) -> Option<Cow<'a, [u8]>> {
        let length = varint(page, &mut at)?;
        varint(page, &mut at)?;
        if length > HEADER_MAX {
            return None;
        }
        self.left = self.left.checked_sub(length)?;
        let most = self.usable - 35;
        let inline = match length <= most {
            true => length,
            false => {
                let least = (self.usable - 12) * 32 / 255 - 23;
                let fitting = least + (length - least) % (self.usable - 4);
                if fitting <= most { fitting } else { least }
            }
        };
        let here = page.get(at..at.checked_add(inline)?)?;
        if length == inline {
            return Some(Cow::Borrowed(here));
        }
        let mut payload = here.to_vec();
        let mut next = big(page, at + inline)?;
        while payload.len() < length {
            let page = self.page(next)?;
            if !self.seen.insert(next) {
                return None;
            }
            let part = (length - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + part)?);
            next = big(page, 0)?;
        }
        Some(Cow::Owned(payload))
    }
}
