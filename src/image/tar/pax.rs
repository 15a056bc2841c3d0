//! PAX extended headers (POSIX.1-2001): `length key=value\n` records. Pure.

use super::sparse::Words;

/// What a PAX header says of one entry, or (global) of all that follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse file.
    pub(super) sparse: Option<Words>,
}

const XATTR: &[u8] = b"SCHILY.xattr.";

impl Pax {
    /// Parses the content of a header; the reason why it is malformed. A later record replaces an earlier one, an empty
    /// value takes it back.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Pax, &'static str> {
        let mut pax = Pax::default();
        while !bytes.is_empty() {
            let (record, rest) = split_record(bytes)?;
            bytes = rest;
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or("a record without =")?;
            pax.set(&record[..equals], &record[equals + 1..])?;
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = decimal(value)?,
            b"uid" => self.uid = decimal(value)?,
            b"gid" => self.gid = decimal(value)?,
            b"mtime" => self.mtime = time(value)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"GNU.sparse.") {
                    let words = self.sparse.get_or_insert_default();
                    words.set(name, value, decimal)?;
                } else if let Some(attribute) = key.strip_prefix(XATTR) {
                    self.set_xattr(attribute, value)?;
                }
            }
        }
        Ok(())
    }

    fn set_xattr(&mut self, attribute: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if attribute.is_empty() || attribute.contains(&0) {
            return Err("an extended attribute without a valid name");
        }
        self.xattrs.retain(|(known, _)| known != attribute);
        self.xattrs.push((attribute.to_vec(), value.to_vec()));
        Ok(())
    }

    /// What this header says, and where it says nothing what the global one says. A global header may not give all
    /// entries one path or size: that is an attack or a mistake.
    pub(super) fn over(self, global: &Pax) -> Pax {
        let mut xattrs = global.xattrs.clone();
        xattrs.retain(|(key, _)| self.xattrs.iter().all(|(own, _)| own != key));
        xattrs.extend(self.xattrs);
        Pax {
            uid: self.uid.or(global.uid),
            gid: self.gid.or(global.gid),
            mtime: self.mtime.or(global.mtime),
            xattrs,
            ..self
        }
    }

    pub(super) fn is_fit_for_all(&self) -> bool {
        self.path.is_none() && self.link.is_none() && self.size.is_none() && self.sparse.is_none()
    }
}

/// Whether a header has other times than the one of the last change of content.
pub(super) fn has_times(mut bytes: &[u8]) -> bool {
    while let Ok((record, rest)) = split_record(bytes) {
        if record.starts_with(b"atime=") || record.starts_with(b"ctime=") {
            return true;
        }
        bytes = rest;
    }
    false
}

/// The first record without its length and newline, and what follows it.
fn split_record(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ');
    let space = space.ok_or("a record without a length")?;
    let length = decimal(&bytes[..space])?.ok_or("a record without a length")?;
    let length = usize::try_from(length).map_err(|_| "a record that is too long")?;
    if length <= space + 1 || length > bytes.len() {
        return Err("a record longer than the header");
    }
    let (record, rest) = bytes.split_at(length);
    match record.split_last() {
        Some((b'\n', record)) if record.len() > space => Ok((&record[space + 1..], rest)),
        _ => Err("a record that does not end in a newline"),
    }
}

fn name(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) {
        return Err("a path with a NUL byte");
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn decimal(value: &[u8]) -> Result<Option<u64>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    let number = text.and_then(|text| text.parse::<u64>().ok());
    match number.filter(|number| *number < 1 << 62) {
        Some(number) => Ok(Some(number)),
        None => Err("an invalid number"),
    }
}

/// `seconds[.fraction]`, possibly negative; the fraction counts up from the next lower second.
fn time(value: &[u8]) -> Result<Option<(i64, u32)>, &'static str> {
    if value.is_empty() {
        return Ok(None);
    }
    let bad = "an invalid time";
    let text = std::str::from_utf8(value).map_err(|_| bad)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad);
    }
    let negative = whole.starts_with('-');
    let seconds: i64 = whole.parse().map_err(|_| bad)?;
    let nine: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = nine.parse().map_err(|_| bad)?;
    if seconds.unsigned_abs() > 1 << 60 {
        return Err(bad);
    }
    Ok(Some(match nanoseconds {
        0 => (seconds, 0),
        _ if negative => (seconds - 1, 1_000_000_000 - nanoseconds),
        _ => (seconds, nanoseconds),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_and_later_ones_win() {
        let pax =
            Pax::parse(b"9 path=a\n9 path=b\n12 size=100\n20 mtime=-1.25000000\n").unwrap_err();
        assert_eq!(pax, "a record that does not end in a newline");
        let pax = Pax::parse(b"9 path=a\n9 path=b\n12 size=100\n15 mtime=-1.25\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"b"[..]));
        assert_eq!(pax.size, Some(100));
        assert_eq!(pax.mtime, Some((-2, 750_000_000)));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"path=a\n"[..],
            b"9 path=a",
            b"90 path=a\n",
            b"2 \n",
            b"0 a=b\n",
            b"-9 path=a\n",
            b"11 size=-1\n",
            b"10 size=x\n",
            b"10 path=a\0\n",
            b"99999999999999999999 a=b\n",
        ] {
            assert!(
                Pax::parse(bad).is_err(),
                "{:?}",
                String::from_utf8_lossy(bad)
            );
        }
    }
}
