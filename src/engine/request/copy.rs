//! `cp`: the two ends of a copy, as docker reads its arguments. Pure.

use std::path::PathBuf;

use crate::sys::text;

/// One argument of `cp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// `CONTAINER:PATH`
    Container { name: String, path: String },
    /// A path of the host.
    Host(PathBuf),
    /// `-`: a tar stream.
    Stream,
}

/// Which way a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyWay {
    Out {
        container: String,
        path: String,
        /// None: the archive goes to standard output.
        to: Option<PathBuf>,
    },
    In {
        /// None: the archive comes from standard input.
        from: Option<PathBuf>,
        container: String,
        path: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRequest {
    pub way: CopyWay,
    /// Keep owners.
    pub archive: bool,
    /// Copy what a symlink named as the source stands for.
    pub follow_link: bool,
}

/// docker's words for arguments that name no copy.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    #[error("source can not be empty")]
    NoSource,
    #[error("destination can not be empty")]
    NoDestination,
    #[error("copying between containers is not supported")]
    TwoContainers,
    #[error("must specify at least one container source")]
    NoContainer,
}

impl CopyEnd {
    fn parse(text: &str) -> CopyEnd {
        if text == "-" {
            return CopyEnd::Stream;
        }
        match text.split_once(':') {
            // Absolute and explicitly relative names are the host's, whatever they hold.
            Some((name, path)) if !text.starts_with('/') && !name.starts_with('.') => {
                CopyEnd::Container {
                    name: name.to_owned(),
                    path: path.to_owned(),
                }
            }
            _ => CopyEnd::Host(text::os(text).into()),
        }
    }
}

impl CopyWay {
    /// Both arguments of `cp`.
    pub fn parse(source: &str, destination: &str) -> Result<CopyWay, CopyError> {
        if source.is_empty() {
            return Err(CopyError::NoSource);
        }
        if destination.is_empty() {
            return Err(CopyError::NoDestination);
        }
        let host = |end| match end {
            CopyEnd::Host(path) => Some(path),
            _ => None,
        };
        match (CopyEnd::parse(source), CopyEnd::parse(destination)) {
            (CopyEnd::Container { .. }, CopyEnd::Container { .. }) => Err(CopyError::TwoContainers),
            (
                CopyEnd::Container {
                    name: container,
                    path,
                },
                to,
            ) => Ok(CopyWay::Out {
                container,
                path,
                to: host(to),
            }),
            (
                from,
                CopyEnd::Container {
                    name: container,
                    path,
                },
            ) => Ok(CopyWay::In {
                from: host(from),
                container,
                path,
            }),
            _ => Err(CopyError::NoContainer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_docker_reads_them() {
        let way = |source, destination| CopyWay::parse(source, destination);
        let out = |path: &str, to: Option<&str>| {
            Ok(CopyWay::Out {
                container: "c".to_owned(),
                path: path.to_owned(),
                to: to.map(PathBuf::from),
            })
        };
        assert_eq!(way("c:/x", "y"), out("/x", Some("y")));
        assert_eq!(way("c:/x", "-"), out("/x", None));
        assert_eq!(way("c:", "./a:b"), out("", Some("./a:b")));
        assert_eq!(way("c:/x:y", "/a:b"), out("/x:y", Some("/a:b")));
        assert_eq!(
            way("-", "c:/x"),
            Ok(CopyWay::In {
                from: None,
                container: "c".to_owned(),
                path: "/x".to_owned()
            })
        );
        assert_eq!(way("a:/x", "b:/x"), Err(CopyError::TwoContainers));
        assert_eq!(way("x", "y"), Err(CopyError::NoContainer));
        assert_eq!(way("-", "-"), Err(CopyError::NoContainer));
        assert_eq!(way("", "c:/x"), Err(CopyError::NoSource));
        assert_eq!(way("x", ""), Err(CopyError::NoDestination));
    }
}
