//! Sparse files: GNU's old header (`S`), and what GNU tar says of them in PAX records (formats 0.0, 0.1 and 1.0). From words to a
//! checked list of extents; pure. Never guesses: a list that programs could read differently is refused.

use super::header::BLOCK;

/// A run of a file's bytes that the archive has; what lies between is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
}

/// More are refused: each is remembered, and replayed, one by one.
pub(super) const MOST: usize = 1 << 16;

/// What PAX records say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Offsets and lengths in turn.
    pub(super) map: Vec<u64>,
}

impl Words {
    /// One record; `name` is what follows `GNU.sparse.`.
    pub(super) fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        decimal: impl Fn(&[u8]) -> Result<Option<u64>, &'static str>,
    ) -> Result<(), &'static str> {
        let number = || decimal(value)?.ok_or("a sparse file's number that is missing");
        match name {
            b"major" => self.major = Some(number()?),
            b"minor" => self.minor = Some(number()?),
            b"name" if value.is_empty() || value.contains(&0) => {
                return Err("a sparse file without a name");
            }
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"numblocks" => {
                number()?;
            }
            b"offset" if self.map.len().is_multiple_of(2) => self.map.push(number()?),
            b"numbytes" if !self.map.len().is_multiple_of(2) => self.map.push(number()?),
            b"map" if self.map.is_empty() => {
                for part in value.split(|byte| *byte == b',') {
                    let number = decimal(part)?.ok_or("a sparse file's map with a gap")?;
                    self.map.push(number);
                }
            }
            _ => return Err("a sparse file in a form that nobody knows"),
        }
        match self.map.len() > 2 * MOST {
            true => Err("a sparse file of too many parts"),
            false => Ok(()),
        }
    }

    /// Whether the map is at the beginning of the content.
    pub(super) fn is_in_content(&self) -> Result<bool, &'static str> {
        match (self.major, self.minor) {
            (None, None) | (Some(0), Some(0 | 1)) => Ok(false),
            (Some(1), Some(0)) => Ok(true),
            _ => Err("it is in a form that nobody knows"),
        }
    }
}

/// Pairs of numbers as extents of a file of `size` bytes: ascending, apart, and as many bytes together as are stored. Empty ones
/// only mark the end.
pub(super) fn extents(pairs: &[u64], size: u64, stored: u64) -> Result<Vec<Extent>, &'static str> {
    if !pairs.len().is_multiple_of(2) || pairs.len() > 2 * MOST {
        return Err("its map is no list of pairs, or too long");
    }
    let (mut end, mut sum) = (0u64, 0u64);
    let mut found = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let extent = Extent {
            offset: pair[0],
            length: pair[1],
        };
        if extent.offset < end {
            return Err("its parts overlap, or are out of order");
        }
        end = extent
            .offset
            .checked_add(extent.length)
            .filter(|end| *end <= size)
            .ok_or("a part lies beyond its end")?;
        // It does not exceed `end`.
        sum += extent.length;
        if extent.length > 0 {
            found.push(extent);
        }
    }
    match sum == stored {
        true => Ok(found),
        false => Err("its parts are not as long as what is stored of it"),
    }
}

/// The parts of one block of GNU's old header, where `count` of them are, and whether another block follows.
pub(super) fn old_parts(
    block: &[u8; BLOCK],
    first: usize,
    count: usize,
    number: impl Fn(&[u8]) -> Option<u64>,
    into: &mut Vec<u64>,
) -> Option<bool> {
    let flag = first + count * 24;
    for at in (first..flag).step_by(24) {
        let (offset, length) = (&block[at..at + 12], &block[at + 12..at + 24]);
        // An entry that was not needed.
        if offset[0] == 0 {
            break;
        }
        into.extend([number(offset)?, number(length)?]);
    }
    Some(block[flag] != 0)
}

/// One number of the map that a file's content begins with, and how many bytes it took; `None` while its end is not there.
pub(super) fn line(bytes: &[u8]) -> Option<Result<(u64, usize), &'static str>> {
    let bad = "its map is no list of numbers";
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return (bytes.len() > 20).then_some(Err(bad));
    };
    let digits = &bytes[..end];
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number);
    let number = text.and_then(|text| text.parse().ok());
    Some(number.map(|number| (number, end + 1)).ok_or(bad))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_checked() {
        let pair = |offset, length| Extent { offset, length };
        assert_eq!(
            extents(&[0, 2, 8, 4], 20, 6).unwrap(),
            [pair(0, 2), pair(8, 4)]
        );
        assert_eq!(extents(&[0, 2, 20, 0], 20, 2).unwrap(), [pair(0, 2)]);
        assert_eq!(extents(&[], 20, 0).unwrap(), []);
        for (pairs, size, stored) in [
            (&[0u64, 2, 1, 2][..], 20, 4),
            (&[8, 2, 0, 2], 20, 4),
            (&[0, 21], 20, 21),
            (&[u64::MAX, 2], 20, 2),
            (&[0, 2, 4], 20, 2),
            (&[0, 2], 20, 3),
        ] {
            assert!(extents(pairs, size, stored).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn lines_are_numbers() {
        assert_eq!(line(b"17\n4"), Some(Ok((17, 3))));
        assert_eq!(line(b"17"), None);
        for bad in [
            &b"\n"[..],
            b"x\n",
            b"-1\n",
            b"99999999999999999999999\n",
            &[b'1'; 30],
        ] {
            assert!(matches!(line(bad), Some(Err(_))), "{bad:?}");
        }
    }
}
