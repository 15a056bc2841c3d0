//! The text of a Dockerfile and places in it. Never interprets the text.

use super::error::{DockerfileError, Fault};

/// Where something stands: lines and columns from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    pub line: usize,
    pub column: usize,
    /// The last line it occupies, a heredoc's terminator included.
    pub last_line: usize,
}

impl Location {
    /// A place in one line.
    pub fn at(line: usize, column: usize) -> Location {
        Location {
            line,
            column,
            last_line: line,
        }
    }
}

/// A Dockerfile as it was read; bytes that are no UTF-8 are what `sys::text` makes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What messages call it: `Dockerfile`, `docker/app.Dockerfile`, `-`.
    pub name: String,
    text: String,
    /// Where each line begins.
    starts: Vec<usize>,
}

impl Source {
    pub fn new(name: &str, text: &str) -> Source {
        let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        let starts = std::iter::once(0)
            .chain(ends)
            .filter(|start| *start < text.len());
        Source {
            name: name.to_owned(),
            starts: starts.collect(),
            text: text.to_owned(),
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.starts.len()
    }

    /// A line from 1, without its end; what is beyond the last is empty.
    pub fn line(&self, number: usize) -> &str {
        self.raw_line(number).trim_end_matches(['\r', '\n'])
    }

    /// A line from 1 as it is, its end included.
    pub fn raw_line(&self, number: usize) -> &str {
        let Some(start) = number
            .checked_sub(1)
            .and_then(|index| self.starts.get(index))
        else {
            return "";
        };
        let end = self.starts.get(number).copied();
        &self.text[*start..end.unwrap_or(self.text.len())]
    }

    /// An error at a place of this text.
    pub fn error(&self, location: Location, fault: Fault) -> DockerfileError {
        DockerfileError {
            file: self.name.clone(),
            line: location.line,
            column: location.column,
            text: self.line(location.line).to_owned(),
            fault: Box::new(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one_whatever_their_ends() {
        let source = Source::new("-", "a\r\n\nb");
        assert_eq!(source.lines(), 3);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|number| source.line(number)),
            ["", "a", "", "b", ""]
        );
        assert_eq!(source.raw_line(1), "a\r\n");
        assert_eq!(Source::new("-", "").lines(), 0);
        assert_eq!(Source::new("-", "a\n").lines(), 1);
    }
}
