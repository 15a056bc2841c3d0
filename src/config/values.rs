//! The types of the settings' values and how they are written. Never reads a file.

use std::path::PathBuf;
use std::str::FromStr;

use super::size;

/// A boolean that is written out, as docker takes it wherever there is one (Go's `strconv.ParseBool`).
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A value that one string says.
pub(super) trait Setting: Sized {
    /// The values it can have, for messages and documentation.
    const VALUES: &'static str;
    fn parse(text: &str) -> Option<Self>;
    /// The string that `parse` reads back.
    fn text(&self) -> String;
}

macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident, $values:literal { $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $variant_doc])+ $variant),+ }

        impl Setting for $name {
            const VALUES: &'static str = $values;

            fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }

            fn text(&self) -> String {
                match self { $($name::$variant => $text),+ }.to_owned()
            }
        }
    };
}

choice! {
    /// What stacks an image's layers.
    StorageDriver, "auto, overlay, fuse-overlayfs or copy" {
        /// The kernel's where it works, else `fuse-overlayfs`, else a copy.
        Auto = "auto",
        /// The kernel's or failure.
        Overlay = "overlay",
        /// Always the program.
        FuseOverlayfs = "fuse-overlayfs",
        /// Nothing: each container gets a copy of its image.
        Copy = "copy",
    }
}

choice! {
    /// The network of a container that names none.
    NetworkDefault, "bridge, pasta, none or host" {
        /// The network that all containers share which name none.
        Bridge = "bridge",
        /// A network namespace with pasta as its way out.
        Pasta = "pasta",
        /// A network namespace without a way out.
        None = "none",
        /// The host's own.
        Host = "host",
    }
}

choice! {
    /// What a name without a registry stands for.
    ShortNames, "docker or containers" {
        /// An image of Docker Hub.
        Docker = "docker",
        /// What the aliases and search lists of containers' `registries.conf` say.
        Containers = "containers",
    }
}

choice! {
    /// Whether layers are kept as they came, besides being unpacked.
    KeepBlobs, "never or always" {
        /// They are fetched or compressed again where they are needed.
        Never = "never",
        /// So that every push and save has the digests of the pull.
        Always = "always",
    }
}

choice! {
    /// Where a container's output is kept that names no place.
    LogDriverDefault, "json-file, k8s-file, journald or none" {
        /// Docker's format in files of the container.
        JsonFile = "json-file",
        /// Kubernetes' format in files of the container.
        K8sFile = "k8s-file",
        /// The host's journal.
        Journald = "journald",
        /// Nowhere.
        None = "none",
    }
}

/// How large one file of a log grows: docker's decimal units (`10m` is 10,000,000), or binary ones (`10MiB`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// None: without a limit.
    pub bytes: Option<u64>,
    text: String,
}

impl std::fmt::Display for LogSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Setting for LogSize {
    const VALUES: &'static str = "a size such as 10m or 10MiB, or -1 for no limit";

    fn parse(text: &str) -> Option<LogSize> {
        let bytes = match text {
            "-1" => None,
            _ => Some(size::stored(text)?),
        };
        Some(LogSize {
            bytes,
            text: text.to_owned(),
        })
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

/// How much may be stored: binary units (`20GiB`) or decimal ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageMax {
    /// None: as much as the disk takes.
    pub bytes: Option<u64>,
    text: String,
}

impl Setting for StorageMax {
    const VALUES: &'static str = "a size such as 20GiB, or none";

    fn parse(text: &str) -> Option<StorageMax> {
        let bytes = match text {
            "none" => None,
            _ => Some(size::stored(text)?),
        };
        Some(StorageMax {
            bytes,
            text: text.to_owned(),
        })
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

/// How many files a log has at most, the one being written included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogFiles(pub u32);

impl Setting for LogFiles {
    const VALUES: &'static str = "a number from 1";

    fn parse(text: &str) -> Option<LogFiles> {
        text.parse().ok().filter(|files| *files > 0).map(LogFiles)
    }

    fn text(&self) -> String {
        self.0.to_string()
    }
}

/// A value that is none of those its setting can have.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?} is not {expected}")]
pub struct UnknownValue {
    text: String,
    expected: &'static str,
}

macro_rules! from_text {
    ($($type:ty),+) => {$(
        impl FromStr for $type {
            type Err = UnknownValue;

            fn from_str(text: &str) -> Result<$type, UnknownValue> {
                <$type as Setting>::parse(text).ok_or_else(|| UnknownValue {
                    text: text.to_owned(),
                    expected: <$type as Setting>::VALUES,
                })
            }
        }
    )+};
}

from_text!(LogSize, LogFiles);

/// What to trace, as `cli::trace` understands it; kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

/// The folders of the program's source.
const MODULES: [&str; 12] = [
    "build",
    "cli",
    "compose",
    "config",
    "container",
    "engine",
    "image",
    "monitor",
    "net",
    "registry",
    "runtime",
    "sys",
];

impl LogFilter {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing is traced, so nothing has to be set up.
    pub fn is_off(&self) -> bool {
        self.0.eq_ignore_ascii_case("off")
    }
}

impl Setting for LogFilter {
    const VALUES: &'static str =
        "off, error, warn, info, debug, trace, a module, or a list such as net=trace,monitor=debug";

    fn parse(text: &str) -> Option<LogFilter> {
        let is_level = |word: &str| {
            let word = word.to_ascii_lowercase();
            ["off", "error", "warn", "info", "debug", "trace", "fatal"].contains(&word.as_str())
        };
        // A word that is neither would be a level misspelt, and nothing would be heard.
        let is_module = |word: &str| {
            let word = word.strip_prefix("bryo::").unwrap_or(word);
            let first = word.split("::").next().unwrap_or_default();
            (first == "bryo" || MODULES.contains(&first))
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
        };
        let is_part = |part: &str| match part.trim().split_once('=') {
            Some((module, level)) => is_module(module) && is_level(level),
            None => is_module(part.trim()) || is_level(part.trim()),
        };
        text.split(',')
            .all(is_part)
            .then(|| LogFilter(text.to_owned()))
    }

    fn text(&self) -> String {
        self.0.clone()
    }
}

impl Setting for Option<PathBuf> {
    const VALUES: &'static str = "a path, or nothing";

    fn parse(text: &str) -> Option<Option<PathBuf>> {
        Some((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn text(&self) -> String {
        self.as_ref()
            .map(|path| path.display().to_string())
            .unwrap_or_default()
    }
}

/// The bytes that a terminal sends for the detach keys; empty: there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetachKeys {
    bytes: Vec<u8>,
    text: String,
}

impl DetachKeys {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid detach keys {text:?}: expected {}", <DetachKeys as Setting>::VALUES)]
pub struct UnknownDetachKeys {
    text: String,
}

/// Docker's notation: `a`, `ctrl-p,ctrl-q`, `ctrl-@`; nothing means no keys.
impl FromStr for DetachKeys {
    type Err = UnknownDetachKeys;

    fn from_str(text: &str) -> Result<DetachKeys, UnknownDetachKeys> {
        <DetachKeys as Setting>::parse(text).ok_or_else(|| UnknownDetachKeys {
            text: text.to_owned(),
        })
    }
}

impl Setting for DetachKeys {
    const VALUES: &'static str =
        "letters and ctrl-KEY separated by commas, KEY one of a-z @ [ \\ ] ^ _";

    fn parse(text: &str) -> Option<DetachKeys> {
        let key = |word: &str| match (word.strip_prefix("ctrl-"), word.as_bytes()) {
            (None, [byte]) if byte.is_ascii_graphic() => Some(*byte),
            (Some(rest), _) => match rest.as_bytes() {
                [letter @ (b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'['..=b'_')] => Some(letter & 0x1f),
                _ => None,
            },
            _ => None,
        };
        let words = text.split(',').filter(|_| !text.is_empty());
        Some(DetachKeys {
            bytes: words.map(key).collect::<Option<_>>()?,
            text: text.to_owned(),
        })
    }

    fn text(&self) -> String {
        self.text.clone()
    }
}

/// What the configuration says of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryHost {
    /// The host, with an optional port, that is asked instead of the one in the reference.
    pub location: Option<String>,
    /// Plain HTTP is spoken to it, on whatever host it is. It never means that a certificate goes unchecked.
    pub insecure: Option<bool>,
    /// Hosts that are asked first, in this order.
    pub mirrors: Option<Vec<String>>,
    /// Nothing is fetched from it and nothing sent to it.
    pub blocked: Option<bool>,
}

impl RegistryHost {
    pub(super) const LOCATION: &'static str = "location";
    pub(super) const INSECURE: &'static str = "insecure";
    pub(super) const MIRRORS: &'static str = "mirrors";
    pub(super) const BLOCKED: &'static str = "blocked";
    pub(super) const LOCATION_VALUES: &'static str = "host or host:port, without https://";

    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let location = self.location.iter().map(|l| (Self::LOCATION, l.clone()));
        let insecure = self
            .insecure
            .iter()
            .map(|i| (Self::INSECURE, i.to_string()));
        let mirrors = self.mirrors.iter().map(|m| (Self::MIRRORS, m.join(", ")));
        let blocked = self.blocked.iter();
        let blocked = blocked.map(|b| (Self::BLOCKED, b.to_string()));
        location
            .chain(insecure)
            .chain(mirrors)
            .chain(blocked)
            .collect()
    }

    pub(super) fn is_location(text: &str) -> bool {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host_fine = match bare {
            Some(ipv6) => ipv6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b'_')
            }
        };
        host_fine && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
    }
}
