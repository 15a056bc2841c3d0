//! What can be wrong with the settings, with the place and the nearest right word. Prints nothing.

use std::path::PathBuf;

/// Messages begin with `file:line:col`, so that editors jump there.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read {path}: {source}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}:{line}:{column}: {fault}")]
    File {
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// The text of that line, for a caret below it.
        text: String,
        fault: Box<Fault>,
    },
    #[error("{variable}: wrong value \"{value}\", expected {expected}")]
    Environment {
        variable: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("{flag}: wrong value \"{value}\", expected {expected}")]
    Flag {
        flag: &'static str,
        value: String,
        expected: &'static str,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{message}")]
    Syntax { message: String },
    #[error("unknown key \"{key}\", did you mean \"{nearest}\"?")]
    UnknownKey { key: String, nearest: String },
    #[error("{key} must be {expected}, not {found}")]
    WrongType {
        key: String,
        expected: &'static str,
        found: &'static str,
    },
    #[error("{key}: wrong value \"{value}\", expected {expected}")]
    WrongValue {
        key: String,
        value: String,
        expected: &'static str,
    },
}

/// The candidate that needs the fewest typing corrections (the first of several).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> &'a str {
    candidates
        .into_iter()
        .min_by_key(|candidate| distance(&word.to_lowercase(), &candidate.to_lowercase()))
        .unwrap_or_default()
}

/// Levenshtein's distance, one row at a time.
pub fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_needs_fewest_corrections() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(nearest("driwer", ["log-level", "driver"]), "driver");
        assert_eq!(nearest("DRIVER", ["log-level", "driver"]), "driver");
        assert_eq!(nearest("x", []), "");
    }
}
