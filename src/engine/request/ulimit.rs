//! `--ulimit name=soft[:hard]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A resource limit of `setrlimit(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

const NAMES: [(&str, Resource); 15] = [
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

impl Resource {
    /// docker's name, `nofile`.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, resource)| *resource == self)
            .map_or("", |(name, _)| name)
    }

    /// The OCI runtime specification's name, `RLIMIT_NOFILE`.
    pub fn oci_name(self) -> String {
        format!("RLIMIT_{}", self.name().to_ascii_uppercase())
    }
}

/// None is unlimited (`-1`).
pub type Limit = Option<u64>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub resource: Resource,
    pub soft: Limit,
    pub hard: Limit,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UlimitError {
    #[error("invalid ulimit argument: {text}")]
    Form { text: String },
    #[error("invalid ulimit type: {name}")]
    Resource { name: String },
    #[error("too many limit value arguments - {text}, can only have up to two, `soft[:hard]`")]
    TooMany { text: String },
    #[error("ulimit {text}: {value:?} is no number")]
    Number { text: String, value: String },
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    Order { soft: String, hard: String },
}

impl FromStr for Ulimit {
    type Err = UlimitError;

    fn from_str(text: &str) -> Result<Ulimit, UlimitError> {
        let (name, limits) = text.split_once('=').ok_or_else(|| UlimitError::Form {
            text: text.to_owned(),
        })?;
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let (_, resource) = known.ok_or_else(|| UlimitError::Resource {
            name: name.to_owned(),
        })?;
        let number = |value: &str| {
            limit(value).ok_or_else(|| UlimitError::Number {
                text: text.to_owned(),
                value: value.to_owned(),
            })
        };
        let (soft, hard) = match limits.split(':').collect::<Vec<_>>()[..] {
            [both] => (number(both)?, number(both)?),
            [soft, hard] => (number(soft)?, number(hard)?),
            _ => {
                return Err(UlimitError::TooMany {
                    text: limits.to_owned(),
                });
            }
        };
        let ulimit = Ulimit {
            resource: *resource,
            soft,
            hard,
        };
        let ordered = match (soft, hard) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(soft), Some(hard)) => soft <= hard,
        };
        if ordered {
            return Ok(ulimit);
        }
        Err(UlimitError::Order {
            soft: shown(soft),
            hard: shown(hard),
        })
    }
}

fn limit(value: &str) -> Option<Limit> {
    match value.parse::<i64>().ok()? {
        -1 => Some(None),
        number => u64::try_from(number).ok().map(Some),
    }
}

fn shown(limit: Limit) -> String {
    limit.map_or_else(|| "-1".to_owned(), |number| number.to_string())
}

/// `nofile=1024:2048`, as it reads back.
impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}={}:{}",
            self.resource.name(),
            shown(self.soft),
            shown(self.hard)
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn one_value_stands_for_both() {
        let parsed: Ulimit = "nofile=1024".parse().unwrap();
        assert_eq!(parsed.to_string(), "nofile=1024:1024");
        assert_eq!(parsed.resource.oci_name(), "RLIMIT_NOFILE");
        let unlimited: Ulimit = "core=-1".parse().unwrap();
        assert_eq!((unlimited.soft, unlimited.hard), (None, None));
        assert!("nproc=0:-1".parse::<Ulimit>().is_ok());
    }

    #[test]
    fn errors_are_docker_s() {
        let error = |text: &str| text.parse::<Ulimit>().unwrap_err().to_string();
        assert_eq!(error("nofile"), "invalid ulimit argument: nofile");
        assert_eq!(error("as=1"), "invalid ulimit type: as");
        assert!(error("core=1:2:3").starts_with("too many limit value arguments - 1:2:3"));
        assert_eq!(
            error("core=2:1"),
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
        );
        assert!(error("core=-1:1").contains("-1 > 1"));
        assert!(error("core=x").contains("no number"));
        assert!(error("core=-2").contains("no number"));
    }
}
