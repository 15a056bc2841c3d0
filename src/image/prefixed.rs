//! Texts with their lengths before them (4 bytes, little endian), as lists of files that bryo keeps for itself have them. What is
//! cut short is told by `None`. Never touches a file.

/// Adds a text.
pub fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    put_number(bytes, text.len() as u32);
    bytes.extend_from_slice(text);
}

pub fn put_number(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// Takes the next text.
pub fn take<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = take_number(rest)?;
    let (text, left) = rest.split_at_checked(length as usize)?;
    *rest = left;
    Some(text)
}

pub fn take_number(rest: &mut &[u8]) -> Option<u32> {
    take_array(rest).map(|bytes| u32::from_le_bytes(*bytes))
}

/// So many bytes without a length.
pub fn take_array<'b, const N: usize>(rest: &mut &'b [u8]) -> Option<&'b [u8; N]> {
    let (bytes, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_taken_and_what_is_cut_short_is_not() {
        let mut bytes = Vec::new();
        put(&mut bytes, b"path");
        put(&mut bytes, b"");
        bytes.extend_from_slice(b"end");
        let mut rest = &bytes[..];
        assert_eq!(take(&mut rest), Some(&b"path"[..]));
        assert_eq!(take(&mut rest), Some(&b""[..]));
        assert_eq!(take_array::<4>(&mut rest), None);
        assert_eq!(take_array(&mut rest), Some(b"end"));
        assert_eq!(take_number(&mut rest), None);
        for length in 0..8 {
            assert_eq!(take(&mut &bytes[..length]), None, "{length}");
        }
    }
}
