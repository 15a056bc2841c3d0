//! Image references as docker reads them (distribution's `reference` grammar, normalised to a registry and repository).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestError};

/// `registry/repository[:tag][@digest]`, always with its registry; `debian` becomes `docker.io/library/debian:latest`.
/// With a digest and no tag the tag stays absent. Every part has been checked against the grammar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    #[error(
        "invalid reference format: {text:?} is empty or too long (at most 255 characters before the tag)"
    )]
    Length { text: String },
    #[error("invalid reference format: repository name ({repository}) must be lowercase")]
    Uppercase { repository: String },
    #[error("invalid reference format: {text:?}: {part:?} is no valid repository name")]
    Repository { text: String, part: String },
    #[error("invalid reference format: {text:?}: {part:?} is no valid tag")]
    Tag { text: String, part: String },
    #[error("invalid reference format: {text:?}: {part:?} is no valid registry host")]
    Registry { text: String, part: String },
    #[error("invalid reference format: {text:?}: {source}")]
    Digest { text: String, source: DigestError },
    #[error(
        "invalid reference format: {text:?} is 64 hex digits, which name an image id, not a repository"
    )]
    LooksLikeId { text: String },
}

pub const DOCKER_HUB: &str = "docker.io";

impl Reference {
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository below the registry, `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `docker.io/library/debian`: the reference without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The repository as docker's tables show it: without `docker.io/` and `library/`, unless what is left would name another registry.
    pub fn familiar_name(&self) -> String {
        if self.registry != DOCKER_HUB || split_registry(&self.repository).1 != self.repository {
            return self.name();
        }
        match self.repository.strip_prefix("library/") {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// `debian:latest`, `debian@sha256:…`: as docker's messages show it.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// The same repository with another tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        check_tag(&self.to_string(), tag)?;
        Ok(Reference {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository at a digest, without a tag.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Reference, ReferenceError> {
        if text.len() == 64
            && text
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        {
            return Err(ReferenceError::LooksLikeId {
                text: text.to_owned(),
            });
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let parsed = digest.parse().map_err(|source| ReferenceError::Digest {
                    text: text.to_owned(),
                    source,
                })?;
                (rest, Some(parsed))
            }
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, path) = split_registry(name);
        let repository = if registry == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if name.is_empty() || registry.len() + repository.len() > 255 {
            return Err(ReferenceError::Length {
                text: text.chars().take(80).collect(),
            });
        }
        check_registry(text, registry)?;
        check_repository(text, path)?;
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }
}

/// The first part is a registry only if it looks like a host: it has a dot or a port, or is `localhost`.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (
                if host == "index.docker.io" {
                    DOCKER_HUB
                } else {
                    host
                },
                path,
            )
        }
        _ => (DOCKER_HUB, name),
    }
}

fn check_registry(text: &str, registry: &str) -> Result<(), ReferenceError> {
    let bad = || ReferenceError::Registry {
        text: text.to_owned(),
        part: registry.to_owned(),
    };
    let (host, port) = match registry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((v6, rest)) => {
            v6.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            ("v6", rest.strip_prefix(':'))
        }
        None => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let port_ok =
        port.is_none_or(|p| p.bytes().all(|b| b.is_ascii_digit()) && p.parse::<u16>().is_ok());
    if host.split('.').all(label) && port_ok {
        Ok(())
    } else {
        Err(bad())
    }
}

fn check_repository(text: &str, path: &str) -> Result<(), ReferenceError> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase {
            repository: path.to_owned(),
        });
    }
    for part in path.split('/') {
        if !is_path_component(part) {
            return Err(ReferenceError::Repository {
                text: text.to_owned(),
                part: part.to_owned(),
            });
        }
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let bytes = part.as_bytes();
    if !bytes.first().copied().is_some_and(alnum) || !bytes.last().copied().is_some_and(alnum) {
        return false;
    }
    let separators: Vec<&str> = part
        .split(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase())
        .collect();
    separators.iter().all(|s| {
        s.is_empty() || *s == "." || *s == "_" || *s == "__" || s.bytes().all(|b| b == b'-')
    })
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn check_tag(text: &str, tag: &str) -> Result<(), ReferenceError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first_ok = tag.bytes().next().is_some_and(word);
    if first_ok && tag.len() <= 128 && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-') {
        return Ok(());
    }
    Err(ReferenceError::Tag {
        text: text.to_owned(),
        part: tag.to_owned(),
    })
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Reference, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<Reference>()
            .map(|r| r.to_string())
            .unwrap_or_else(|e| format!("error: {e}"))
    }

    #[test]
    fn short_names_become_full_ones() {
        assert_eq!(full("debian"), "docker.io/library/debian:latest");
        assert_eq!(full("user/repo:1"), "docker.io/user/repo:1");
        assert_eq!(
            full("index.docker.io/debian"),
            "docker.io/library/debian:latest"
        );
        assert_eq!(full("localhost:5000/a/b"), "localhost:5000/a/b:latest");
        assert_eq!(full("localhost/a"), "localhost/a:latest");
        assert_eq!(
            full("quay.io/x/y_z/a--b:T_1.2-3"),
            "quay.io/x/y_z/a--b:T_1.2-3"
        );
        assert_eq!(full("[::1]:5000/a"), "[::1]:5000/a:latest");
        let digest = Digest::of(b"x");
        assert_eq!(
            full(&format!("a@{digest}")),
            format!("docker.io/library/a@{digest}")
        );
        assert_eq!(
            full(&format!("a:b@{digest}")),
            format!("docker.io/library/a:b@{digest}")
        );
    }

    #[test]
    fn familiar_names_read_back_as_the_same_reference() {
        for text in [
            "debian",
            "user/repo:1",
            "localhost:5000/a/b",
            "docker.io/library/x:y",
            // Shown without its registry it would be one of another's.
            "docker.io/example.com/x:1",
            "docker.io/localhost/x",
        ] {
            let reference: Reference = text.parse().expect("valid");
            assert_eq!(
                reference.familiar().parse::<Reference>().expect("valid"),
                reference
            );
        }
    }

    proptest::proptest! {
        /// Whatever parses is written so that it parses to the same, and no part of it can leave a directory.
        #[test]
        fn what_parses_reads_back(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(reference) = text.parse::<Reference>() {
                proptest::prop_assert_eq!(full(&reference.to_string()), reference.to_string());
                let parts = reference.repository().split('/').all(|part| !matches!(part, "" | "." | ".."));
                proptest::prop_assert!(parts);
            }
        }
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        let id = "a".repeat(64);
        for bad in [
            "",
            ":",
            "a:",
            "Debian",
            "a//b",
            "/a",
            "a/",
            "a/../b",
            "../x",
            ".",
            "a b",
            "a\0",
            "a:-x",
            "a@sha256:12",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "host.x:99999/a",
            "ho_st.x/a",
            &id,
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was accepted");
        }
    }
}
