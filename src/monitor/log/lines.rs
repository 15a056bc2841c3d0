//! Cuts a stream of output into lines, and lines that are too long into docker's parts of 16 KiB. Never looks into a line.

use memchr::memchr;

/// Docker's size of a part, the newline included.
pub(super) const PART: usize = 16 * 1024;

/// The line of one stream that has begun and not ended.
#[derive(Default)]
pub(super) struct OpenLine(Vec<u8>);

impl OpenLine {
    /// Gives every line that ends in `bytes`, and every part that is full, without the newline and whether there was one.
    pub fn split(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8], bool)) {
        let OpenLine(open) = self;
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PART - open.len();
            let within = &rest[..rest.len().min(room)];
            match memchr(b'\n', within) {
                Some(at) if open.is_empty() => {
                    each(&rest[..at], true);
                    rest = &rest[at + 1..];
                }
                Some(at) => {
                    open.extend_from_slice(&rest[..at]);
                    each(open, true);
                    open.clear();
                    rest = &rest[at + 1..];
                }
                None if within.len() < room => {
                    open.extend_from_slice(rest);
                    return;
                }
                None if open.is_empty() => {
                    let cut = whole_characters(within);
                    each(&within[..cut], false);
                    rest = &rest[cut..];
                }
                None => {
                    open.extend_from_slice(within);
                    rest = &rest[room..];
                    let cut = whole_characters(open);
                    each(&open[..cut], false);
                    open.drain(..cut);
                }
            }
        }
    }

    /// What waits for its end, which will not come.
    pub fn end(&mut self) -> Option<Vec<u8>> {
        let text = std::mem::take(&mut self.0);
        (!text.is_empty()).then_some(text)
    }
}

/// The length of `text` without a character of UTF-8 that is cut at its end.
fn whole_characters(text: &[u8]) -> usize {
    let end = text.len();
    for back in 1..=end.min(3) {
        let length = match text[end - back] {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        return if length > back { end - back } else { end };
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<(usize, bool)> {
        let mut open = OpenLine::default();
        let mut found = Vec::new();
        for piece in pieces {
            open.split(piece, |text, ends| found.push((text.len(), ends)));
        }
        found.extend(open.end().map(|text| (text.len(), false)));
        found
    }

    #[test]
    fn lines_end_where_they_end_and_parts_where_they_are_full() {
        assert_eq!(
            split(&[b"a", b"b\nc\n\n"]),
            [(2, true), (1, true), (0, true)]
        );
        assert_eq!(split(&[b"open"]), [(4, false)]);
        let long = vec![b'x'; PART];
        assert_eq!(split(&[&long]), [(PART, false)]);
        assert_eq!(split(&[&long, b"\n"]), [(PART, false), (0, true)]);
        assert_eq!(split(&[&long[1..], b"\n"]), [(PART - 1, true)]);
        assert_eq!(split(&[b"y", &long, b"z\n"]), [(PART, false), (2, true)]);
    }

    #[test]
    fn a_part_does_not_end_inside_a_character() {
        let text = ["x".repeat(PART - 1), "é".to_owned(), "y".to_owned()].concat();
        assert_eq!(split(&[text.as_bytes()]), [(PART - 1, false), (3, false)]);
        let text = ["x".repeat(PART - 3), "😀y".to_owned()].concat();
        let (begin, end) = text.as_bytes().split_at(7);
        assert_eq!(split(&[begin, end]), [(PART - 3, false), (5, false)]);
        // What is no UTF-8 is cut where the part is full.
        assert_eq!(split(&[&vec![0x80; PART + 1]]), [(PART, false), (1, false)]);
    }
}
