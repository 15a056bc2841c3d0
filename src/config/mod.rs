//! The settings: `/etc/bryo/config.toml`, then the user's file, then the environment, then flags; and where each value comes
//! from. Never acts on a setting.
//!
//! A key is one documented field of [`Config`]; the macro below makes the struct, the reader, the list for `info` and the
//! table of `docs/config.md` from the same lines.

mod error;
mod file;
mod policy;
mod size;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

pub use error::{ConfigError, Fault, distance, nearest};
pub use policy::{Policy, PolicyRule};
pub use size::{Size, SizeError};
pub use values::{
    DetachKeys, KeepBlobs, LogDriverDefault, LogFiles, LogFilter, LogSize, NetworkDefault,
    RegistryHost, ShortNames, StorageDriver, StorageMax, UnknownDetachKeys, UnknownValue,
    parse_bool,
};

use crate::paths::Paths;
use values::Setting;

/// The host's settings for every user.
pub const SYSTEM_FILE: &str = "/etc/bryo/config.toml";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Default,
    File { path: PathBuf, line: usize },
    Environment { variable: &'static str },
    Flag { flag: &'static str },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File { path, line } => write!(f, "{}:{line}", path.display()),
            Source::Environment { variable } => f.write_str(variable),
            Source::Flag { flag } => f.write_str(flag),
        }
    }
}

/// A setting as `info` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    pub source: Source,
}

/// A setting as the documentation shows it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub values: &'static str,
    pub default: &'static str,
    pub variable: &'static str,
    pub lines: &'static [&'static str],
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident : $type:ty = $name:literal, $variable:literal, $default:literal;)+) => {
        /// The settings in force.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
            /// What to ask instead of a registry named in a reference, and how: `[registries."docker.io"]`.
            pub registries: BTreeMap<String, RegistryHost>,
            /// Which images are let in: `[policy."docker.io/library"]`.
            pub policy: Policy,
            sources: BTreeMap<String, Source>,
        }

        /// Every key that has a single value, in the order of the documentation.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name,
            values: <$type as Setting>::VALUES,
            default: $default,
            variable: $variable,
            lines: &[$($doc),+],
        }),+];

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $($field: <$type as Setting>::parse($default).expect("the default is one of its values"),)+
                    registries: BTreeMap::new(),
                    policy: Policy::default(),
                    sources: BTreeMap::new(),
                }
            }
        }

        impl Config {
            /// Sets a key that exists; `Err` tells the values it can have.
            fn set(&mut self, key: &str, text: &str, source: Source) -> Result<(), &'static str> {
                match key {
                    $($name => self.$field = <$type as Setting>::parse(text).ok_or(<$type as Setting>::VALUES)?,)+
                    _ => unreachable!("callers name a key of KEYS"),
                }
                self.sources.insert(key.to_owned(), source);
                Ok(())
            }

            fn text_of(&self, key: &str) -> String {
                match key {
                    $($name => self.$field.text(),)+
                    _ => unreachable!("callers name a key of KEYS"),
                }
            }
        }
    };
}

settings! {
    /// What is written to stderr about each step: a level, or a module of bryo, as in `net` or `net=trace,monitor=debug`.
    log_level: LogFilter = "log-level", "BRYO_LOG", "off";
    /// Where those lines go instead of stderr.
    log_file: Option<PathBuf> = "log-file", "BRYO_LOG_FILE", "";
    /// Keys that leave an attached container running: letters and `ctrl-KEY`, separated by commas.
    detach_keys: DetachKeys = "detach-keys", "BRYO_DETACH_KEYS", "ctrl-p,ctrl-q";
    /// Where the output of a container is kept that is not told with `--log-driver`.
    log_driver: LogDriverDefault = "log.driver", "BRYO_LOG_DRIVER", "json-file";
    /// How large one file of a log grows, without `--log-opt max-size`.
    log_max_size: LogSize = "log.max-size", "BRYO_LOG_MAX_SIZE", "10MiB";
    /// How many files a log has at most, without `--log-opt max-file`.
    log_max_file: LogFiles = "log.max-file", "BRYO_LOG_MAX_FILE", "3";
    /// The network of a container that names none. `bridge` is one that all of them share.
    network_default: NetworkDefault = "network.default", "BRYO_NETWORK", "bridge";
    /// What a name without a registry stands for: an image of Docker Hub, or what `registries.conf` says (aliases, registries to search).
    short_names: ShortNames = "short-names", "BRYO_SHORT_NAMES", "docker";
    /// What stacks the layers: the kernel's overlay, `fuse-overlayfs`, nothing (each container gets a copy of its image), or the first of these that works.
    storage_driver: StorageDriver = "storage.driver", "BRYO_STORAGE_DRIVER", "auto";
    /// How much the layers of images may take: before more is added, images that no container uses are removed, least recently used first.
    storage_max: StorageMax = "storage.max", "BRYO_STORAGE_MAX", "none";
    /// Whether a pull keeps the compressed layers too, so that `push` and `save` give them back with the same digests wherever they came from.
    keep_blobs: KeepBlobs = "storage.keep-blobs", "BRYO_KEEP_BLOBS", "never";
}

impl Config {
    /// Reads both files, where they exist, and the environment. Flags come on top with [`Config::set_flag`].
    pub fn load(
        paths: &Paths,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Config, ConfigError> {
        let user = paths.config.join("config.toml");
        Config::from_files([Path::new(SYSTEM_FILE), &user], environment)
    }

    /// As `load`, with the files named; a later one overrides an earlier.
    pub fn from_files<'a>(
        files: impl IntoIterator<Item = &'a Path>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        for path in files {
            match std::fs::read_to_string(path) {
                Ok(text) => config.read_text(path, &text)?,
                Err(error) if is_absent(&error) => {}
                Err(source) => {
                    return Err(ConfigError::Read {
                        path: path.to_owned(),
                        source,
                    });
                }
            }
        }
        for key in KEYS {
            let Some(value) = environment(key.variable).filter(|value| !value.is_empty()) else {
                continue;
            };
            let source = Source::Environment {
                variable: key.variable,
            };
            let value = value.to_string_lossy();
            config
                .set(key.name, &value, source)
                .map_err(|expected| ConfigError::Environment {
                    variable: key.variable,
                    value: value.into_owned(),
                    expected,
                })?;
        }
        Ok(config)
    }

    /// What a flag says about a key of [`KEYS`], e.g. `("log-level", "--log-level", "debug")`.
    pub fn set_flag(
        &mut self,
        key: &'static str,
        flag: &'static str,
        value: &str,
    ) -> Result<(), ConfigError> {
        self.set(key, value, Source::Flag { flag })
            .map_err(|expected| ConfigError::Flag {
                flag,
                value: value.to_owned(),
                expected,
            })
    }

    /// Where a key's value comes from.
    pub fn source(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }

    /// Every value in force, for `info`.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |key: String, value: String| Entry {
            source: self.source(&key).clone(),
            key,
            value,
        };
        let mut entries: Vec<Entry> = KEYS
            .iter()
            .map(|key| entry(key.name.to_owned(), self.text_of(key.name)))
            .collect();
        for (host, registry) in &self.registries {
            for (name, value) in registry.entries() {
                entries.push(entry(file::registry_key(host, name), value));
            }
        }
        for (scope, rule) in self.policy.rules() {
            let key = file::policy_key(scope, "type");
            entries.push(entry(key, rule.word().to_owned()));
        }
        entries
    }

    /// What stands in the configuration for a registry's name, if anything does.
    pub fn registry(&self, host: &str) -> Option<&RegistryHost> {
        self.registries.get(host)
    }
}

/// A directory on the way that is a file, or may not be entered, holds no settings for this user either.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
