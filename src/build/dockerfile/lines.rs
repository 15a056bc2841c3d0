//! Physical lines joined to logical ones: comments, continuations, and where each character came from. Never reads words.

use std::cell::Cell;

use super::source::{Location, Source};

/// One instruction's text.
#[derive(Debug)]
pub struct Logical<'a> {
    source: &'a Source,
    pub text: String,
    pieces: Vec<Piece>,
    pub first: usize,
    pub last: usize,
    /// The comment lines directly above, without `#`.
    pub comments: Vec<String>,
    /// An empty line inside of a continuation, which docker deprecates.
    pub empty_continuation: Option<usize>,
    /// The last answer of `characters`: columns are asked for in ascending order, and lines may be long.
    counted: Cell<(usize, usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where it begins in the logical line.
    offset: usize,
    line: usize,
    /// Where it begins in its physical line, in bytes.
    begin: usize,
    ascii: bool,
}

impl Logical<'_> {
    /// The place of a byte of the text.
    pub fn place(&self, offset: usize) -> Location {
        let index = self
            .pieces
            .partition_point(|piece| piece.offset <= offset)
            .saturating_sub(1);
        let Some(piece) = self.pieces.get(index) else {
            return Location::at(self.first, 1);
        };
        let bytes = piece.begin + (offset - piece.offset);
        let column = match piece.ascii {
            true => bytes,
            false => self.characters(piece.line, bytes),
        };
        Location::at(piece.line, column + 1)
    }

    fn characters(&self, line: usize, bytes: usize) -> usize {
        let text = self.source.line(line);
        let (counted_line, from, before) = self.counted.get();
        let (from, before) = match counted_line == line && from <= bytes {
            true => (from, before),
            false => (0, 0),
        };
        let count = before + text.get(from..bytes).map_or(0, |part| part.chars().count());
        self.counted.set((line, bytes, count));
        count
    }
}

/// Goes through a file.
pub struct Lines<'a> {
    source: &'a Source,
    /// The line that comes next, from 1.
    next: usize,
    pub escape: char,
}

impl<'a> Lines<'a> {
    /// From the first line, the parser directives included: they are comments here.
    pub fn new(source: &'a Source, escape: char) -> Lines<'a> {
        Lines {
            source,
            next: 1,
            escape,
        }
    }

    /// A physical line as it is, for the body of a heredoc.
    pub fn raw(&mut self) -> Option<(usize, &'a str)> {
        (self.next <= self.source.lines()).then(|| {
            self.next += 1;
            (self.next - 1, self.source.raw_line(self.next - 1))
        })
    }

    /// The next instruction.
    pub fn logical(&mut self) -> Option<Logical<'a>> {
        let mut comments: Vec<String> = Vec::new();
        loop {
            let (number, raw) = self.raw()?;
            let line = self.source.line(number);
            let content = match number {
                1 => line.trim_start_matches('\u{feff}').trim_start(),
                _ => line.trim_start(),
            };
            if let Some(comment) = content.strip_prefix('#') {
                match comment.trim() {
                    "" => comments.clear(),
                    comment => comments.push(comment.to_owned()),
                }
                continue;
            }
            if content.is_empty() {
                comments.clear();
                continue;
            }
            debug_assert!(raw.starts_with(line));
            let mut logical = Logical {
                source: self.source,
                text: String::new(),
                pieces: Vec::new(),
                first: number,
                last: number,
                comments,
                empty_continuation: None,
                counted: Cell::new((0, 0, 0)),
            };
            self.join(&mut logical, content);
            return Some(logical);
        }
    }

    fn join(&mut self, logical: &mut Logical, content: &str) {
        let mut goes_on = self.append(logical, logical.first, content);
        while goes_on {
            let Some((number, _)) = self.raw() else {
                break;
            };
            logical.last = number;
            let line = self.source.line(number);
            let content = line.trim_start();
            if content.starts_with('#') {
                continue;
            }
            if content.is_empty() {
                logical.empty_continuation = Some(number);
                continue;
            }
            // Blanks at the beginning of a continuation are content.
            goes_on = self.append(logical, number, line);
        }
    }

    /// Adds a line without its continuation character; tells whether it had one.
    fn append(&self, logical: &mut Logical, number: usize, content: &str) -> bool {
        let line = self.source.line(number);
        logical.pieces.push(Piece {
            offset: logical.text.len(),
            line: number,
            begin: line.len() - content.len(),
            ascii: line.is_ascii(),
        });
        let body = content.trim_end_matches([' ', '\t']);
        // A doubled escape at the end is a character of the instruction.
        match body.strip_suffix(self.escape) {
            Some(before) if !before.ends_with(self.escape) => {
                logical.text.push_str(before);
                true
            }
            _ => {
                logical.text.push_str(content);
                false
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let source = Source::new("-", text);
        let mut lines = Lines::new(&source, '\\');
        std::iter::from_fn(|| lines.logical().map(|line| line.text)).collect()
    }

    #[test]
    fn continuations_join_whatever_stands_between_them() {
        assert_eq!(
            texts("a \\\n# no\n\n  # neither\n  b\\  \nc\n\nd\\\\\ne"),
            ["a   bc", "d\\\\", "e"]
        );
        assert_eq!(texts("a \\\r\n  b\r\n"), ["a   b"]);
        assert_eq!(texts("a \\"), ["a "]);
        assert_eq!(texts("\\\na"), ["a"]);
        assert_eq!(texts("\u{feff}a\n  # x\n"), ["a"]);
        assert_eq!(texts("#a \\\nb"), ["b"]);
    }

    #[test]
    fn every_character_knows_where_it_stood() {
        let source = Source::new("-", "\n  RUN ä \\\n# x\n b ü c");
        let line = Lines::new(&source, '\\').logical().unwrap();
        assert_eq!(line.text, "RUN ä  b ü c");
        let place = |part| {
            let place = line.place(line.text.find(part).unwrap());
            (place.line, place.column)
        };
        assert_eq!(place("RUN"), (2, 3));
        assert_eq!(place("ä"), (2, 7));
        assert_eq!(place("b"), (4, 2));
        assert_eq!(place("c"), (4, 6));
        assert_eq!(place("ü"), (4, 4));
        assert_eq!(
            (line.first, line.last, line.empty_continuation),
            (2, 4, None)
        );
    }

    #[test]
    fn comments_above_belong_to_the_instruction_below() {
        let source = Source::new("-", "# a\n#\n# b\n# c\nX\n# d\n\nY");
        let mut lines = Lines::new(&source, '\\');
        assert_eq!(lines.logical().unwrap().comments, ["b", "c"]);
        assert!(lines.logical().unwrap().comments.is_empty());
    }
}
