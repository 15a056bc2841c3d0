//! Git repositories as build contexts and sources of `ADD` name them. Pure.

use crate::config::parse_bool;

/// `https://host/path.git#REF:SUBDIRECTORY`, `https://host/path.git?branch=B&subdir=D`, `git@host:path#REF`, `ssh://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// What git is given.
    pub remote: String,
    pub reference: Option<String>,
    pub subdirectory: Option<String>,
    /// How the name of the commit has to begin.
    pub checksum: Option<String>,
    /// False unless it is said.
    pub keep_git_directory: Option<bool>,
    pub submodules: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitSourceError {
    #[error("{text:?}: repositories are cloned by https and ssh only")]
    Protocol { text: String },
    #[error("{text:?}: what looks like a flag is no reference and no subdirectory")]
    Flag { text: String },
    #[error("{text:?}: unexpected query {name:?}")]
    Query { text: String, name: String },
    #[error("{text:?}: query {name:?} has no usable value")]
    Value { text: String, name: String },
    #[error("{text:?}: {name} conflicts: {one:?} and {other:?}")]
    Conflict {
        text: String,
        name: &'static str,
        one: String,
        other: String,
    },
    #[error("{text:?}: a checksum of a repository is the beginning of a commit's name")]
    Checksum { text: String },
}

impl GitSource {
    /// None: it is no repository's name, as docker tells them.
    pub fn parse(text: &str) -> Result<Option<GitSource>, GitSourceError> {
        let (whole, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (place, query) = whole.split_once('?').unwrap_or((whole, ""));
        let lower = place.to_ascii_lowercase();
        let is_web = lower.starts_with("http://") || lower.starts_with("https://");
        let is_other = ["git://", "ssh://", "git+ssh://", "file://"]
            .iter()
            .any(|scheme| lower.starts_with(scheme));
        let is_scp = !place.contains("://")
            && place.split_once('@').is_some_and(|(user, rest)| {
                !user.is_empty() && !user.contains(['/', ':']) && rest.contains(':')
            });
        let is_short = lower.starts_with("github.com/");
        if !(is_web && lower.ends_with(".git") || is_other || is_scp || is_short) {
            return Ok(None);
        }
        let is_allowed =
            lower.starts_with("https://") || lower.starts_with("ssh://") || is_scp || is_short;
        if !is_allowed {
            let text = text.to_owned();
            return Err(GitSourceError::Protocol { text });
        }
        let remote = match is_short {
            true => format!("https://{place}"),
            false => place.to_owned(),
        };
        let (reference, subdirectory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let mut source = GitSource {
            remote,
            reference: some(reference),
            subdirectory: some(subdirectory),
            checksum: None,
            keep_git_directory: None,
            submodules: true,
        };
        source.read_query(text, query)?;
        let parts = [
            Some(&source.remote),
            source.reference.as_ref(),
            source.subdirectory.as_ref(),
        ];
        if parts
            .into_iter()
            .flatten()
            .any(|part| part.starts_with('-'))
        {
            let text = text.to_owned();
            return Err(GitSourceError::Flag { text });
        }
        Ok(Some(source))
    }

    /// With the flags of an `ADD`, which may not contradict it.
    pub fn with(
        mut self,
        checksum: Option<&str>,
        keep_git_directory: Option<bool>,
    ) -> Result<GitSource, GitSourceError> {
        let text = self.remote.clone();
        if let Some(checksum) = checksum {
            let checksum = commit_name(&text, checksum)?;
            settle(&mut self.checksum, checksum, &text, "checksum")?;
        }
        if let Some(keeps) = keep_git_directory {
            settle(&mut self.keep_git_directory, keeps, &text, "keep-git-dir")?;
        }
        Ok(self)
    }

    fn read_query(&mut self, text: &str, query: &str) -> Result<(), GitSourceError> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let no_value = || GitSourceError::Value {
                text: text.to_owned(),
                name: name.to_owned(),
            };
            let value = decoded(value).ok_or_else(no_value)?;
            let is_bool = matches!(name, "keep-git-dir" | "submodules");
            let switched = match value.as_str() {
                "" => Some(true),
                text => parse_bool(text),
            };
            if value.is_empty() && !is_bool || is_bool && switched.is_none() {
                return Err(no_value());
            }
            match name {
                "ref" => settle(&mut self.reference, value, text, "ref")?,
                "tag" => settle(&mut self.reference, below("refs/tags/", value), text, "ref")?,
                "branch" => {
                    settle(
                        &mut self.reference,
                        below("refs/heads/", value),
                        text,
                        "ref",
                    )?;
                }
                "subdir" => settle(&mut self.subdirectory, value, text, "subdir")?,
                "checksum" | "commit" => {
                    let value = commit_name(text, &value)?;
                    settle(&mut self.checksum, value, text, "checksum")?;
                }
                "keep-git-dir" => self.keep_git_directory = switched,
                "submodules" => self.submodules = switched.unwrap_or(true),
                _ => {
                    let (text, name) = (text.to_owned(), name.to_owned());
                    return Err(GitSourceError::Query { text, name });
                }
            }
        }
        if self.reference.is_none() {
            self.reference.clone_from(&self.checksum);
        }
        Ok(())
    }
}

/// What is said twice is said alike.
fn settle<T: PartialEq + std::fmt::Debug>(
    place: &mut Option<T>,
    value: T,
    text: &str,
    name: &'static str,
) -> Result<(), GitSourceError> {
    match place.replace(value) {
        Some(before) if Some(&before) != place.as_ref() => Err(GitSourceError::Conflict {
            text: text.to_owned(),
            name,
            one: format!("{before:?}").replace('"', ""),
            other: format!("{:?}", place.as_ref().expect("it was put there")).replace('"', ""),
        }),
        _ => Ok(()),
    }
}

fn below(prefix: &str, name: String) -> String {
    match name.starts_with(prefix) {
        true => name,
        false => format!("{prefix}{name}"),
    }
}

fn commit_name(text: &str, name: &str) -> Result<String, GitSourceError> {
    let is_name =
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_name {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(GitSourceError::Checksum {
            text: text.to_owned(),
        }),
    }
}

/// `%2F` and the like; None where it is none of them, or no text.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                u8::from_str_radix(digits, 16).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_files_and_archives() {
        let parts = |text| {
            let source = GitSource::parse(text).ok().flatten();
            source.map(|source| (source.remote, source.reference, source.subdirectory))
        };
        let some = |text: &str| Some(text.to_owned());
        for (text, remote, reference, subdirectory) in [
            ("https://h/a.git", "https://h/a.git", None, None),
            (
                "https://h/a.git#v1:sub/dir",
                "https://h/a.git",
                some("v1"),
                some("sub/dir"),
            ),
            (
                "https://h/a.git?tag=v1&subdir=sub%2Fdir",
                "https://h/a.git",
                some("refs/tags/v1"),
                some("sub/dir"),
            ),
            (
                "ssh://git@h/a?branch=b",
                "ssh://git@h/a",
                some("refs/heads/b"),
                None,
            ),
            (
                "https://h/a.git?ref=v1#v1:d",
                "https://h/a.git",
                some("v1"),
                some("d"),
            ),
            (
                "https://h/a.git?commit=ABCDEF0",
                "https://h/a.git",
                some("abcdef0"),
                None,
            ),
            ("git@h:a/b#:sub", "git@h:a/b", None, some("sub")),
            ("ssh://git@h/a#main", "ssh://git@h/a", some("main"), None),
            ("github.com/a/b", "https://github.com/a/b", None, None),
        ] {
            assert_eq!(
                parts(text),
                Some((remote.to_owned(), reference, subdirectory)),
                "{text}"
            );
        }
        for text in [
            "https://h/a.tar.gz",
            "dir",
            "./a.git",
            "a@b/c",
            "http://h/x",
            "https://h/x?y=.git",
        ] {
            assert_eq!(GitSource::parse(text), Ok(None), "{text}");
        }
        for text in [
            "http://h/a.git",
            "git://h/a",
            "file:///a.git",
            "https://h/a.git#-x",
            "git@h:a#a:--x",
            "https://h/a.git?ref=-x",
            "https://h/a.git?ref=a#b",
            "https://h/a.git?tag=a&branch=b",
            "https://h/a.git?subdir=",
            "https://h/a.git?submodules=maybe",
            "https://h/a.git?checksum=xyz",
            "https://h/a.git?depth=1",
            "https://h/a.git?ref=%zz",
        ] {
            assert!(GitSource::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_go_with_what_the_name_says() {
        let source = |text| GitSource::parse(text).unwrap().unwrap();
        let plain = source("https://h/a.git?keep-git-dir=false&submodules=0");
        assert_eq!(
            (plain.keep_git_directory, plain.submodules),
            (Some(false), false)
        );
        assert!(plain.clone().with(None, Some(true)).is_err());
        assert_eq!(plain.clone().with(None, Some(false)), Ok(plain.clone()));
        let checked = plain.with(Some("ABC"), None).unwrap();
        assert_eq!(
            (checked.checksum.as_deref(), checked.reference.as_deref()),
            (Some("abc"), None)
        );
        assert!(checked.clone().with(Some("abd"), None).is_err());
        assert!(checked.with(Some("sha256:abc"), None).is_err());
    }
}
