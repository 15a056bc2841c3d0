//! Git repositories as build contexts and sources of `ADD` name them. Pure.

/// `https://host/path.git#REF:SUBDIRECTORY`, `git@host:path#REF`, `ssh://…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// What git is given.
    pub remote: String,
    pub reference: Option<String>,
    pub subdirectory: Option<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitSourceError {
    #[error("{text:?}: repositories are cloned by https and ssh only")]
    Protocol { text: String },
    #[error("{text:?}: what looks like a flag is no reference and no subdirectory")]
    Flag { text: String },
}

impl GitSource {
    /// None: it is no repository's name, as docker tells them.
    pub fn parse(text: &str) -> Result<Option<GitSource>, GitSourceError> {
        let (place, fragment) = text.split_once('#').unwrap_or((text, ""));
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
        let (reference, subdirectory) = (some(reference), some(subdirectory));
        let parts = [Some(&remote), reference.as_ref(), subdirectory.as_ref()];
        if parts
            .into_iter()
            .flatten()
            .any(|part| part.starts_with('-'))
        {
            let text = text.to_owned();
            return Err(GitSourceError::Flag { text });
        }
        Ok(Some(GitSource {
            remote,
            reference,
            subdirectory,
        }))
    }
}

#[cfg(test)]
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
        ] {
            assert_eq!(GitSource::parse(text), Ok(None), "{text}");
        }
        for text in [
            "http://h/a.git",
            "git://h/a",
            "file:///a.git",
            "https://h/a.git#-x",
            "git@h:a#a:--x",
        ] {
            assert!(GitSource::parse(text).is_err(), "{text}");
        }
    }
}
