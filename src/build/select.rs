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

/// A path that the beginning of a pattern matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    path: Vec<Vec<u8>>,
    pivot: usize,
}

impl Match {
    fn and(&self, name: Vec<u8>) -> Match {
        let mut longer = self.clone();
        longer.path.push(name);
        longer
    }
}

/// What one source names in `tree`, in the order of names. A pattern may name nothing, a plain path must not. `deep`: `**` is any
/// number of directories, as with `--parents`; else it is as one star.
pub fn select(tree: &Merged, source: &str, deep: bool) -> Result<Vec<Selected>, SelectError> {
    let failed = |error| SelectError::Read {
        pattern: source.to_owned(),
        source: error,
    };
    let parts = cleaned(source.as_bytes());
    let pivot = source.split_once("/./");
    let pivot = pivot.map_or(0, |(before, _)| cleaned(before.as_bytes()).len());
    let mut matches = vec![Match::default()];
    for (number, part) in parts.iter().enumerate() {
        if number == pivot {
            matches
                .iter_mut()
                .for_each(|one| one.pivot = one.path.len());
        }
        if deep && part == b"**" && number + 1 < parts.len() {
            let mut all = Vec::new();
            for one in matches {
                add_directories(tree, one, &mut all).map_err(failed)?;
            }
            // What several of them reach is named once.
            all.sort();
            all.dedup();
            matches = all;
            continue;
        }
        let mut longer = Vec::new();
        for one in matches {
            if !glob::has_wildcards(part) {
                longer.push(one.and(unescaped(part)));
                continue;
            }
            let Some(directory) = tree.directory(&one.path.join(&b'/')).map_err(failed)? else {
                continue;
            };
            for name in directory.list().map_err(failed)? {
                let matches = glob::matches(part, &name).map_err(|error| SelectError::Pattern {
                    pattern: source.to_owned(),
                    source: error,
                })?;
                if matches {
                    longer.push(one.and(name));
                }
            }
        }
        matches = longer;
    }
    if pivot == parts.len() {
        matches
            .iter_mut()
            .for_each(|one| one.pivot = one.path.len());
    }
    let mut all = Vec::new();
    for one in matches {
        // A part after the pattern may be in some of the directories only.
        all.extend(selected(tree, one).map_err(failed)?);
    }
    let is_plain = !parts.iter().any(|part| glob::has_wildcards(part));
    match is_plain && all.is_empty() {
        true => Err(SelectError::NotFound {
            pattern: source.to_owned(),
        }),
        false => Ok(all),
    }
}

/// A directory and all below it; links lead to none.
fn add_directories(tree: &Merged, top: Match, all: &mut Vec<Match>) -> io::Result<()> {
    let Some(directory) = tree.directory(&top.path.join(&b'/'))? else {
        return Ok(());
    };
    let mut waiting = vec![(top, directory)];
    while let Some((here, directory)) = waiting.pop() {
        for name in directory.list()? {
            if let Some(Shown::Directory { directory, .. }) = directory.look(&name)? {
                waiting.push((here.and(name), directory));
            }
        }
        all.push(here);
    }
    Ok(())
}

fn selected(tree: &Merged, found: Match) -> io::Result<Option<Selected>> {
    let Match {
        path: matched,
        pivot,
    } = found;
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
        pivot,
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
