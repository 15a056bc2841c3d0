//! The text of a Dockerfile and places in it. Never interprets the text.

/// Where something stands: lines and columns from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    pub line: usize,
    pub column: usize,
    /// The last line it occupies, a heredoc's terminator included.
    pub last_line: usize,
}

/// A Dockerfile as it was read; bytes that are no UTF-8 are what `sys::text` makes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What messages call it: `Dockerfile`, `docker/app.Dockerfile`, `-`.
    pub name: String,
    /// Its lines without their ends.
    pub lines: Vec<String>,
}

impl Source {
    pub fn new(name: &str, text: &str) -> Source {
        let mut lines: Vec<String> = text
            .split('\n')
            .map(|line| line.trim_end_matches('\r').to_owned())
            .collect();
        if lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        Source {
            name: name.to_owned(),
            lines,
        }
    }

    /// A line from 1; what is beyond the end is empty.
    pub fn line(&self, number: usize) -> &str {
        let line = number
            .checked_sub(1)
            .and_then(|index| self.lines.get(index));
        line.map(String::as_str).unwrap_or_default()
    }
}
