//! Whose namespaces a container lives in, in docker's and podman's words. Looks nothing up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Every choice. The default is docker's: all of them are the container's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    pub user: UserMode,
    pub pid: Sharing,
    pub ipc: IpcMode,
    pub uts: Sharing,
    /// Its own or the host's.
    pub cgroup: Sharing,
    /// `--uidmap`, `--gidmap`; or the range that `--userns auto` got.
    pub uid_map: Vec<MapLine>,
    pub gid_map: Vec<MapLine>,
}

impl Namespaces {
    /// Processes of the container may outlive its init: it has no pid namespace of its own that would end with it.
    pub fn shares_pids(&self) -> bool {
        self.pid != Sharing::Private
    }
}

/// Its own, the host's, or another container's (by name until the container is made, then by full id).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sharing {
    #[default]
    Private,
    Host,
    Container(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum IpcMode {
    /// Its own, which no other container may join.
    #[default]
    Private,
    /// Its own, for others to join.
    Shareable,
    /// Its own, without `/dev/shm`.
    None,
    Host,
    Container(String),
}

/// The user namespace, in podman's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UserMode {
    /// Its own below the home namespace, with the same ids; or as `uid_map` says.
    #[default]
    Nested,
    /// The home namespace itself.
    Host,
    /// The user's id is itself, or the one given.
    KeepId {
        uid: Option<u32>,
        gid: Option<u32>,
    },
    /// The user's id is not mapped.
    NoMap,
    /// A range that no other container has.
    Auto {
        size: Option<u32>,
    },
    Container(String),
}

/// `--uidmap CONTAINER:HOME[:SIZE]`: `size` ids from `inside` on are those from `outside` on in the home namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MapLine {
    pub inside: u32,
    pub outside: u32,
    pub size: u32,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NamespaceError {
    #[error("unknown mode {text:?}")]
    Mode { text: String },
    #[error("unknown option {option:?} of {mode}")]
    Option { mode: &'static str, option: String },
    #[error("an id map is CONTAINER:HOME:SIZE, three numbers, not {text:?}")]
    Map { text: String },
}

fn unknown<T>(text: &str) -> Result<T, NamespaceError> {
    Err(NamespaceError::Mode {
        text: text.to_owned(),
    })
}

/// The name in `container:NAME`.
fn container(text: &str) -> Option<String> {
    let name = text.strip_prefix("container:")?;
    (!name.is_empty()).then(|| name.to_owned())
}

impl FromStr for Sharing {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<Sharing, NamespaceError> {
        match text {
            "" | "private" => Ok(Sharing::Private),
            "host" => Ok(Sharing::Host),
            _ => container(text).map_or_else(|| unknown(text), |name| Ok(Sharing::Container(name))),
        }
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sharing::Private => Ok(()),
            Sharing::Host => f.write_str("host"),
            Sharing::Container(name) => write!(f, "container:{name}"),
        }
    }
}

impl FromStr for IpcMode {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<IpcMode, NamespaceError> {
        match text {
            "" | "private" => Ok(IpcMode::Private),
            "shareable" => Ok(IpcMode::Shareable),
            "none" => Ok(IpcMode::None),
            "host" => Ok(IpcMode::Host),
            _ => container(text).map_or_else(|| unknown(text), |name| Ok(IpcMode::Container(name))),
        }
    }
}

impl fmt::Display for IpcMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IpcMode::Private => f.write_str("private"),
            IpcMode::Shareable => f.write_str("shareable"),
            IpcMode::None => f.write_str("none"),
            IpcMode::Host => f.write_str("host"),
            IpcMode::Container(name) => write!(f, "container:{name}"),
        }
    }
}

impl FromStr for UserMode {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<UserMode, NamespaceError> {
        if let Some(name) = container(text) {
            return Ok(UserMode::Container(name));
        }
        let (mode, options) = text.split_once(':').unwrap_or((text, ""));
        let options: Vec<&str> = options.split(',').filter(|o| !o.is_empty()).collect();
        match (mode, options.as_slice()) {
            ("" | "private", []) => Ok(UserMode::Nested),
            ("host", []) => Ok(UserMode::Host),
            ("nomap", []) => Ok(UserMode::NoMap),
            ("keep-id", options) => {
                let [uid, gid] = numbers("keep-id", ["uid", "gid"], options)?;
                Ok(UserMode::KeepId { uid, gid })
            }
            ("auto", options) => {
                let [size] = numbers("auto", ["size"], options)?;
                Ok(UserMode::Auto { size })
            }
            _ => unknown(text),
        }
    }
}

/// The values of `name=NUMBER` options; the last of a name counts.
fn numbers<const N: usize>(
    mode: &'static str,
    names: [&str; N],
    options: &[&str],
) -> Result<[Option<u32>; N], NamespaceError> {
    let mut values = [None; N];
    for option in options {
        let wrong = || NamespaceError::Option {
            mode,
            option: (*option).to_owned(),
        };
        let (name, value) = option.split_once('=').ok_or_else(wrong)?;
        let at = names.iter().position(|known| *known == name);
        let number = value.parse::<u32>().ok().filter(|n| *n <= i32::MAX as u32);
        values[at.ok_or_else(wrong)?] = Some(number.ok_or_else(wrong)?);
    }
    Ok(values)
}

impl fmt::Display for UserMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, mode: &str, options: &[(&str, Option<u32>)]| {
            let given = options
                .iter()
                .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")));
            let given: Vec<String> = given.collect();
            match given.as_slice() {
                [] => f.write_str(mode),
                given => write!(f, "{mode}:{}", given.join(",")),
            }
        };
        match self {
            UserMode::Nested => Ok(()),
            UserMode::Host => f.write_str("host"),
            UserMode::NoMap => f.write_str("nomap"),
            UserMode::KeepId { uid, gid } => with(f, "keep-id", &[("uid", *uid), ("gid", *gid)]),
            UserMode::Auto { size } => with(f, "auto", &[("size", *size)]),
            UserMode::Container(name) => write!(f, "container:{name}"),
        }
    }
}

impl FromStr for MapLine {
    type Err = NamespaceError;

    fn from_str(text: &str) -> Result<MapLine, NamespaceError> {
        let wrong = || NamespaceError::Map {
            text: text.to_owned(),
        };
        let fields = text.split(':').map(|field| match field {
            plain if plain.bytes().all(|byte| byte.is_ascii_digit()) => plain.parse().ok(),
            _ => None,
        });
        let fields: Option<Vec<u32>> = fields.collect();
        let (inside, outside, size) = match fields.ok_or_else(wrong)?[..] {
            [inside, outside] => (inside, outside, 1),
            [inside, outside, size] if size > 0 => (inside, outside, size),
            _ => return Err(wrong()),
        };
        let ends = [inside, outside].map(|first| first.checked_add(size));
        if ends.contains(&None) {
            return Err(wrong());
        }
        Ok(MapLine {
            inside,
            outside,
            size,
        })
    }
}

impl fmt::Display for MapLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.size)
    }
}

/// In records these are the words that were typed.
macro_rules! as_text {
    ($($kind:ty),+) => {$(
        impl TryFrom<String> for $kind {
            type Error = NamespaceError;

            fn try_from(text: String) -> Result<$kind, NamespaceError> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> String {
                value.to_string()
            }
        }
    )+};
}

as_text!(Sharing, IpcMode, UserMode, MapLine);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_written() {
        for text in [
            "",
            "host",
            "nomap",
            "keep-id",
            "keep-id:uid=5",
            "keep-id:uid=5,gid=7",
            "auto",
            "auto:size=4096",
            "container:web",
        ] {
            let mode: Result<UserMode, _> = text.parse();
            assert_eq!(mode.map(|mode| mode.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "keep-id:size=5",
            "keep-id:uid=-1",
            "container:",
            "ns:/x",
            "nomap:uid=1",
        ] {
            assert!(text.parse::<UserMode>().is_err(), "{text}");
        }
        for text in ["container:", "hosts", "none"] {
            assert!(text.parse::<Sharing>().is_err(), "{text}");
        }
        assert_eq!("none".parse(), Ok(IpcMode::None));
    }

    #[test]
    fn a_map_is_three_numbers_that_do_not_overflow() {
        let line = "0:1:1000".parse::<MapLine>().map(|line| line.to_string());
        assert_eq!(line, Ok("0:1:1000".to_owned()));
        let one = "5:6".parse::<MapLine>().map(|line| line.size);
        assert_eq!(one, Ok(1));
        for text in [
            "",
            "0",
            "0:1:0",
            "0:1:x",
            "+0:1:1",
            "@1:2:3",
            "0:4294967295:2",
            "::",
        ] {
            assert!(text.parse::<MapLine>().is_err(), "{text}");
        }
    }
}
