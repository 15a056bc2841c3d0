//! The 512-byte header block: field positions, numbers, checksum (POSIX.1-1988 ustar, GNU extensions). Pure.

use super::sparse::old_parts;

pub(super) const BLOCK: usize = 512;

/// One header block whose checksum was right.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// `None` if the checksum is wrong. Some old tars summed signed bytes; GNU tar takes both.
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Option<Header<'a>> {
        let stored = number(&block[148..156])?;
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (position, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&position) {
                b' '
            } else {
                *byte
            };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        (i128::from(unsigned) == stored || i128::from(signed) == stored).then_some(Header(block))
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The name, with ustar's prefix. GNU archives use the prefix's place for other things and have another magic.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[0..100]);
        let prefix = text(&self.0[345..500]);
        if &self.0[257..263] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> Option<u32> {
        small(&self.0[100..108]).map(|mode| (mode & 0o7777) as u32)
    }

    /// With whatever bits it has beyond permissions.
    pub(super) fn whole_mode(&self) -> Option<u64> {
        small(&self.0[100..108])
    }

    pub(super) fn uid(&self) -> Option<u64> {
        small(&self.0[108..116])
    }

    pub(super) fn gid(&self) -> Option<u64> {
        small(&self.0[116..124])
    }

    /// Empty is no number here: a program that took it for 0 would lose its place.
    pub(super) fn size(&self) -> Option<u64> {
        large(&self.0[124..136])
    }

    pub(super) fn mtime(&self) -> Option<i64> {
        if blank(&self.0[136..148]) {
            return Some(0);
        }
        i64::try_from(number(&self.0[136..148])?).ok()
    }

    /// Of a sparse file in GNU's old form: its whole size, its parts, and whether more of them follow in another block.
    pub(super) fn sparse(&self) -> Option<(u64, Vec<u64>, bool)> {
        let mut parts = Vec::new();
        let more = old_parts(self.0, 386, 4, large, &mut parts)?;
        Some((large(&self.0[483..495])?, parts, more))
    }

    pub(super) fn device(&self) -> Option<(u32, u32)> {
        // Old archives without magic have other bytes here.
        if &self.0[257..262] != b"ustar" {
            return Some((0, 0));
        }
        let part = |field| small(field).and_then(|number| u32::try_from(number).ok());
        Some((part(&self.0[329..337])?, part(&self.0[337..345])?))
    }
}

/// Parts of a sparse file that did not fit into its header; whether more follow.
pub(super) fn more_parts(block: &[u8; BLOCK], into: &mut Vec<u64>) -> Option<bool> {
    old_parts(block, 0, 21, large, into)
}

/// A number that is not left empty, of a size that adding up does no harm to.
fn large(field: &[u8]) -> Option<u64> {
    let size = number(field)?;
    u64::try_from(size).ok().filter(|size| *size < 1 << 62)
}

fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

fn blank(field: &[u8]) -> bool {
    field.iter().all(|byte| *byte == b' ' || *byte == 0)
}

/// A number that may be left empty.
fn small(field: &[u8]) -> Option<u64> {
    if blank(field) {
        return Some(0);
    }
    u64::try_from(number(field)?).ok()
}

/// Octal digits between blanks, or GNU's base 256 (first byte 0x80, or 0xff for negative numbers).
fn number(field: &[u8]) -> Option<i128> {
    match field[0] {
        0x80 | 0xff => {
            let (negative, digits) = (field[0] == 0xff, &field[1..]);
            let start = if negative { -1i128 } else { 0 };
            Some(
                digits
                    .iter()
                    .fold(start, |value, byte| (value << 8) | i128::from(*byte)),
            )
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i128> {
    let start = field.iter().position(|byte| *byte != b' ')?;
    let digits = &field[start..];
    let end = digits
        .iter()
        .position(|byte| *byte == b' ' || *byte == 0)
        .unwrap_or(digits.len());
    if end == 0 || !blank(&digits[end..]) {
        return None;
    }
    let digit = |value: i128, byte: &u8| match byte {
        b'0'..=b'7' => Some((value << 3) | i128::from(byte - b'0')),
        _ => None,
    };
    digits[..end].iter().try_fold(0, digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_their_forms() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"00000000017"), Some(15));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        for bad in [
            &b"0000648\0"[..],
            b"64x\0",
            b"        ",
            b"\0\0\0",
            b"6 4\0",
            b"-1\0",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
