//! What a container's log is asked to be: the driver, docker's options for it, and the attributes they give to each line.
//! Values only: never writes or reads a log.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::config::ContainerConfig;
use crate::config::{LogDriverDefault, LogFiles, LogSize, parse_bool};

/// Where the output goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogDriver {
    /// Docker's lines of JSON.
    #[default]
    JsonFile,
    /// Kubernetes' lines of text.
    K8sFile,
    Journald,
    None,
    /// Straight to the standard streams of whoever starts the container.
    Passthrough,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LogDriverError {
    #[error(
        "logging driver {name:?} is not supported by bryo (json-file, k8s-file, journald, none and passthrough are)"
    )]
    Unsupported { name: String },
    #[error("logger: no log driver named '{name}' is registered")]
    Unknown { name: String },
}

/// What docker and podman have and bryo has not.
const UNSUPPORTED: [&str; 10] = [
    "local",
    "syslog",
    "gelf",
    "fluentd",
    "awslogs",
    "splunk",
    "etwlogs",
    "gcplogs",
    "logentries",
    "passthrough-tty",
];

impl FromStr for LogDriver {
    type Err = LogDriverError;

    fn from_str(text: &str) -> Result<LogDriver, LogDriverError> {
        let mut all = LogDriver::ALL.into_iter();
        let name = text.to_owned();
        match all.find(|driver| driver.name() == text) {
            Some(driver) => Ok(driver),
            None if UNSUPPORTED.contains(&text) => Err(LogDriverError::Unsupported { name }),
            None => Err(LogDriverError::Unknown { name }),
        }
    }
}

impl LogDriver {
    pub const ALL: [LogDriver; 5] = [
        LogDriver::JsonFile,
        LogDriver::K8sFile,
        LogDriver::Journald,
        LogDriver::None,
        LogDriver::Passthrough,
    ];

    pub fn name(self) -> &'static str {
        match self {
            LogDriver::JsonFile => "json-file",
            LogDriver::K8sFile => "k8s-file",
            LogDriver::Journald => "journald",
            LogDriver::None => "none",
            LogDriver::Passthrough => "passthrough",
        }
    }

    /// Whether it writes files of the container's own.
    pub fn has_file(self) -> bool {
        matches!(self, LogDriver::JsonFile | LogDriver::K8sFile)
    }
}

impl fmt::Display for LogDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TryFrom<String> for LogDriver {
    type Error = LogDriverError;

    fn try_from(text: String) -> Result<LogDriver, LogDriverError> {
        text.parse()
    }
}

impl From<LogDriver> for String {
    fn from(driver: LogDriver) -> String {
        driver.name().to_owned()
    }
}

impl From<LogDriverDefault> for LogDriver {
    fn from(driver: LogDriverDefault) -> LogDriver {
        match driver {
            LogDriverDefault::JsonFile => LogDriver::JsonFile,
            LogDriverDefault::K8sFile => LogDriver::K8sFile,
            LogDriverDefault::Journald => LogDriver::Journald,
            LogDriverDefault::None => LogDriver::None,
        }
    }
}

/// The log's part of `settings.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSettings {
    pub driver: LogDriver,
    /// As they were given, for `inspect`; [`LogSettings::options`] reads them.
    pub options: BTreeMap<String, String>,
}

/// What the options mean.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Bytes of one file; None: no limit.
    pub max_size: Option<u64>,
    /// Files, the one being written included.
    pub max_file: u32,
    /// Old files are compressed.
    pub compress: bool,
    pub path: Option<PathBuf>,
    tag: Option<Tag>,
    labels: Names,
    env: Names,
}

#[derive(Debug, thiserror::Error)]
pub enum LogOptionError {
    #[error("unknown log opt '{name}' for {driver} log driver")]
    Unknown { name: String, driver: LogDriver },
    #[error("log opt '{name}={value}' is not supported by bryo")]
    Unsupported { name: String, value: String },
    #[error("compress cannot be true when max-file is less than 2 or max-size is not set")]
    NothingToCompress,
    #[error("invalid log opt {name}={value}: {reason}")]
    Value {
        name: String,
        value: String,
        reason: String,
    },
}

impl LogSettings {
    /// Reads the options, and refuses what its driver does not have.
    pub fn options(&self) -> Result<LogOptions, LogOptionError> {
        let mut options = LogOptions {
            // Docker has no limit unless it is told one; 3 x 10 MiB is what a laptop's disk survives.
            max_size: Some(10 << 20),
            max_file: 3,
            compress: false,
            path: None,
            tag: None,
            labels: Names::default(),
            env: Names::default(),
        };
        for (name, value) in &self.options {
            self.read_option(&mut options, name, value)?;
        }
        match options.compress && (options.max_file < 2 || options.max_size.is_none()) {
            true => Err(LogOptionError::NothingToCompress),
            false => Ok(options),
        }
    }

    fn read_option(
        &self,
        options: &mut LogOptions,
        name: &str,
        value: &str,
    ) -> Result<(), LogOptionError> {
        let invalid = |reason: String| LogOptionError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
            reason,
        };
        let list = || {
            value
                .split(',')
                .map(|word| word.trim().to_owned())
                .collect()
        };
        let regex = || Regex::new(value).map_err(|error| invalid(last_line(&error)));
        let has_lines = self.driver.has_file() || self.driver == LogDriver::Journald;
        match name {
            "max-size" if self.driver.has_file() => {
                let size: LogSize = value.parse().map_err(|e| invalid(format!("{e}")))?;
                options.max_size = size.bytes;
            }
            "max-file" if self.driver.has_file() => {
                let files: LogFiles = value.parse().map_err(|e| invalid(format!("{e}")))?;
                options.max_file = files.0;
            }
            "path" if self.driver.has_file() => {
                let path = PathBuf::from(value);
                if !path.is_absolute() || path.file_name().is_none() {
                    return Err(invalid("not the absolute path of a file".to_owned()));
                }
                options.path = Some(path);
            }
            "compress" if self.driver.has_file() => {
                let compress = parse_bool(value);
                options.compress =
                    compress.ok_or_else(|| invalid("neither true nor false".to_owned()))?;
            }
            "mode" => match value {
                "blocking" => {}
                _ => return Err(self.unsupported(name, value)),
            },
            "max-buffer-size" => return Err(self.unsupported(name, value)),
            "tag" if has_lines => options.tag = Some(value.parse().map_err(invalid)?),
            "labels" if has_lines => options.labels.exact = list(),
            "labels-regex" if has_lines => options.labels.pattern = Some(regex()?),
            "env" if has_lines => options.env.exact = list(),
            "env-regex" if has_lines => options.env.pattern = Some(regex()?),
            _ => {
                return Err(LogOptionError::Unknown {
                    name: name.to_owned(),
                    driver: self.driver,
                });
            }
        }
        Ok(())
    }

    fn unsupported(&self, name: &str, value: &str) -> LogOptionError {
        LogOptionError::Unsupported {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    /// The file being written, for a container in `directory`; rotated ones are `log.1` and so on, the newest first.
    pub fn file(&self, directory: &Path) -> PathBuf {
        match self.options.get("path") {
            Some(path) => PathBuf::from(path),
            None => directory.join("log"),
        }
    }
}

/// A regular expression's error is a drawing; its last line says what is wrong.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Names of labels or variables: those listed, and those that fit a pattern.
#[derive(Clone, Debug, Default)]
struct Names {
    exact: Vec<String>,
    pattern: Option<Regex>,
}

impl Names {
    fn has(&self, name: &str) -> bool {
        let listed = self.exact.iter().any(|known| known == name);
        listed || self.pattern.as_ref().is_some_and(|p| p.is_match(name))
    }
}

/// `{{.Name}}/{{.ID}}`: text with fields of the container.
#[derive(Clone, Debug)]
struct Tag(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Id,
    FullId,
    Name,
    ImageId,
    ImageFullId,
    ImageName,
    Command,
    DaemonName,
}

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Tag, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after
                .split_once("}}")
                .ok_or("an action that begins with {{ has no }}")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Field(match inside.trim() {
                ".ID" => Field::Id,
                ".FullID" => Field::FullId,
                ".Name" => Field::Name,
                ".ImageID" => Field::ImageId,
                ".ImageFullID" => Field::ImageFullId,
                ".ImageName" => Field::ImageName,
                ".Command" => Field::Command,
                ".DaemonName" => Field::DaemonName,
                other => {
                    return Err(format!(
                        "{other:?} is none of .ID .FullID .Name .ImageID .ImageFullID .ImageName .Command .DaemonName"
                    ));
                }
            }));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Tag(pieces))
    }
}

/// The container whose lines are to carry attributes.
#[derive(Clone, Copy, Debug)]
pub struct LogSource<'a> {
    pub config: &'a ContainerConfig,
    /// As it is now.
    pub name: &'a str,
}

impl LogSource<'_> {
    fn field(&self, field: Field) -> String {
        let config = self.config;
        match field {
            Field::Id => config.id.short().to_owned(),
            Field::FullId => config.id.to_string(),
            Field::Name => self.name.to_owned(),
            Field::ImageId => {
                let bare = config.image_id.strip_prefix("sha256:");
                let bare = bare.unwrap_or(&config.image_id);
                bare.get(..12).unwrap_or(bare).to_owned()
            }
            Field::ImageFullId => config.image_id.clone(),
            Field::ImageName => config.image.clone(),
            Field::Command => config.arguments().join(" "),
            Field::DaemonName => "bryo".to_owned(),
        }
    }
}

/// What `--log-opt tag`, `labels` and `env` make of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogAttributes {
    pub tag: Option<String>,
    /// Labels and variables.
    pub extra: BTreeMap<String, String>,
}

impl LogOptions {
    pub fn attributes(&self, source: LogSource<'_>) -> LogAttributes {
        let tag = self.tag.as_ref().map(|Tag(pieces)| {
            let text = |piece: &Piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Field(field) => source.field(*field),
            };
            pieces.iter().map(text).collect::<String>()
        });
        let labels = source.config.labels.iter();
        let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
        let variables = source.config.process.env.iter();
        let variables = variables.filter_map(|text| text.split_once('='));
        let wanted = labels
            .filter(|(name, _)| self.labels.has(name))
            .chain(variables.filter(|(name, _)| self.env.has(name)));
        LogAttributes {
            tag: tag.filter(|tag| !tag.is_empty()),
            extra: wanted.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(driver: LogDriver, options: &[(&str, &str)]) -> LogSettings {
        let owned = options
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        LogSettings {
            driver,
            options: owned.collect(),
        }
    }

    fn config() -> ContainerConfig {
        ContainerConfig {
            domainname: String::new(),
            id: "0123456789abcdef".repeat(4).parse().unwrap(),
            name: "web".to_owned(),
            created: String::new(),
            image: "busybox".to_owned(),
            image_id: format!("sha256:{}", "ab".repeat(32)),
            layers: Vec::new(),
            hostname: String::new(),
            labels: [("team", "a"), ("tier", "b"), ("x", "c")]
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into(),
            process: crate::container::ProcessConfig {
                env: vec!["OS=linux".to_owned(), "PATH=/bin".to_owned()],
                command: vec!["sh".to_owned(), "-c".to_owned()],
                ..Default::default()
            },
            host: Default::default(),
        }
    }

    #[test]
    fn options_are_those_of_their_driver() {
        let refused = |driver, options: &[(&str, &str)]| {
            settings(driver, options).options().unwrap_err().to_string()
        };
        assert_eq!(
            refused(LogDriver::JsonFile, &[("colour", "red")]),
            "unknown log opt 'colour' for json-file log driver"
        );
        assert_eq!(
            refused(LogDriver::Journald, &[("max-size", "1m")]),
            "unknown log opt 'max-size' for journald log driver"
        );
        assert_eq!(
            refused(LogDriver::JsonFile, &[("compress", "t"), ("max-file", "1")]),
            "compress cannot be true when max-file is less than 2 or max-size is not set"
        );
        for wrong in [
            ("max-size", "0"),
            ("max-file", "0"),
            ("path", "relative"),
            ("tag", "{{.Nmae}}"),
            ("tag", "{{.Name"),
            ("env-regex", "("),
        ] {
            assert!(
                settings(LogDriver::JsonFile, &[wrong]).options().is_err(),
                "{wrong:?}"
            );
        }
        let read = settings(LogDriver::K8sFile, &[("max-size", "1k"), ("max-file", "5")]);
        let read = read.options().unwrap();
        assert_eq!((read.max_size, read.max_file), (Some(1000), 5));
        let read = settings(LogDriver::JsonFile, &[]).options().unwrap();
        assert_eq!((read.max_size, read.max_file), (Some(10 << 20), 3));
    }

    #[test]
    fn attributes_come_from_tag_labels_and_variables() {
        let options = settings(
            LogDriver::JsonFile,
            &[
                ("tag", "{{.Name}}/{{ .ID }}-{{.ImageID}}"),
                ("labels", "team,absent"),
                ("labels-regex", "^ti"),
                ("env", "OS"),
            ],
        );
        let config = config();
        let source = LogSource {
            config: &config,
            name: "renamed",
        };
        let attributes = options.options().unwrap().attributes(source);
        assert_eq!(
            attributes.tag.as_deref(),
            Some("renamed/0123456789ab-abababababab")
        );
        let extra: Vec<_> = attributes
            .extra
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(extra, ["OS=linux", "team=a", "tier=b"]);
    }
}
