//! Which files the sources of `COPY` and `ADD` name: patterns, links, what `.dockerignore` leaves out. Only reads.

use std::io;

use super::dockerfile::glob::{self, BadPattern};
use crate::image::{Merged, Resolved, Shown, parts_of};

#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    #[error("{pattern:?}: not found")]
    NotFound { pattern: String },
    #[error("{pattern:?}: not found: .dockerignore leaves it out")]
    Ignored { pattern: String },
    #[error("{pattern:?}: {source}")]
    Pattern { pattern: String, source: BadPattern },
    #[error("{pattern:?}: {source}")]
    Read { pattern: String, source: io::Error },
}

/// One thing that a source names.
#[derive(Debug)]
pub struct Selected {
    pub named: Named,
    /// As it was matched, for `--parents`.
    pub matched: Vec<Vec<u8>>,
    /// So many of these lie before the `/./` of the source.
    pub pivot: usize,
    pub what: What,
}

/// What a selected thing is called, and where it is.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The last part of the path that was matched, whatever a link there leads to.
    pub name: Vec<u8>,
    /// In its tree, where it really is.
    pub path: Vec<u8>,
    /// It is no part of the context.
    pub is_fetched: bool,
    /// Seconds: nothing in it is newer.
    pub latest: Option<i64>,
}

#[derive(Debug)]
pub enum What {
    Directory(Merged),
    /// In this directory, under this name.
    Other(Merged, Vec<u8>),
}

/// What one source names in `tree`, in the order of names. A pattern may name nothing, a plain path must not.
pub fn select(tree: &Merged, source: &str) -> Result<Vec<Selected>, SelectError> {
    let failed = |error| SelectError::Read {
        pattern: source.to_owned(),
        source: error,
    };
    let parts = cleaned(source.as_bytes());
    if !parts.iter().any(|part| glob::has_wildcards(part)) {
        let matched: Vec<Vec<u8>> = parts.iter().map(|part| unescaped(part)).collect();
        let found = selected(tree, matched).map_err(failed)?;
        let missing = || SelectError::NotFound {
            pattern: source.to_owned(),
        };
        return found.map(|found| vec![found]).ok_or_else(missing);
    }
    let mut matches: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    for part in &parts {
        let mut longer = Vec::new();
        for path in matches {
            if !glob::has_wildcards(part) {
                longer.push([path, vec![unescaped(part)]].concat());
                continue;
            }
            let Some(directory) = tree.directory(&path.join(&b'/')).map_err(failed)? else {
                continue;
            };
            for name in directory.list().map_err(failed)? {
                let matches = glob::matches(part, &name).map_err(|error| SelectError::Pattern {
                    pattern: source.to_owned(),
                    source: error,
                })?;
                if matches {
                    longer.push([path.clone(), vec![name]].concat());
                }
            }
        }
        matches = longer;
    }
    let mut all = Vec::new();
    for path in matches {
        // A part after the pattern may be in some of the directories only.
        all.extend(selected(tree, path).map_err(failed)?);
    }
    Ok(all)
}

fn selected(tree: &Merged, matched: Vec<Vec<u8>>) -> io::Result<Option<Selected>> {
    let found = match tree.resolve(&matched.join(&b'/'), true) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => return Ok(None),
        found => found?,
    };
    let Resolved { path, shown } = found;
    let what = match shown {
        None => return Ok(None),
        Some((directory, None)) => What::Directory(directory),
        Some((_, Some(Shown::Directory { directory, .. }))) => What::Directory(directory),
        Some((parent, Some(Shown::Other { .. }))) => {
            What::Other(parent, path.last().cloned().unwrap_or_default())
        }
    };
    Ok(Some(Selected {
        named: Named {
            name: matched.last().cloned().unwrap_or_default(),
            path: path.join(&b'/'),
            ..Named::default()
        },
        pivot: 0,
        matched,
        what,
    }))
}

/// A part without wildcards, as the name that it matches.
fn unescaped(part: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut bytes = part.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => name.extend(bytes.next()),
            byte => name.push(*byte),
        }
    }
    name
}

/// From the root, without `.` and `..`: nothing lies outside.
fn cleaned(source: &[u8]) -> Vec<Vec<u8>> {
    let mut cleaned = Vec::new();
    for part in parts_of(source) {
        match part == b".." {
            true => drop(cleaned.pop()),
            false => cleaned.push(part),
        }
    }
    cleaned
}
