//! Instructions with a command: `RUN`, `CMD`, `ENTRYPOINT`, `SHELL`, `HEALTHCHECK`. Never runs it.

use std::time::Duration;

use super::super::ast::{Command, Device, Healthcheck, MountText, Run, RunNetwork, RunSecurity};
use super::super::error::Fault;
use super::super::flags::{Flags, Wrong, closest};
use super::super::words;
use super::Statement;
use crate::engine::request::parse_go_duration;

impl Statement<'_, '_> {
    /// The arguments, if they are a JSON array; of anything but strings it is an error, and what is no JSON is other text.
    pub(super) fn json(&self) -> Result<Option<Vec<String>>, Wrong> {
        json(self.rest).map_err(|fault| Wrong::at(self.here(), fault))
    }

    pub(super) fn command(&self) -> Result<Command, Wrong> {
        Ok(match self.json()? {
            Some(arguments) => Command::Exec(arguments),
            None => Command::Shell(self.rest.to_owned()),
        })
    }

    pub(super) fn shell(&self) -> Result<Vec<String>, Wrong> {
        let keyword = self.keyword.to_owned();
        match self.json()? {
            Some(arguments) if arguments.is_empty() => Err(self.requires("at least one argument")),
            Some(arguments) => Ok(arguments),
            None => Err(Wrong::at(self.here(), Fault::NotJson { keyword })),
        }
    }

    pub(super) fn run(self, flags: &mut Flags) -> Result<Run, Wrong> {
        let command = self.command()?;
        if matches!(&command, Command::Shell(text) if text.is_empty())
            || command == Command::Exec(Vec::new())
        {
            return Err(self.requires("at least one argument"));
        }
        let networks = [
            ("default", RunNetwork::Default),
            ("none", RunNetwork::None),
            ("host", RunNetwork::Host),
        ];
        let securities = [
            ("sandbox", RunSecurity::Sandbox),
            ("insecure", RunSecurity::Insecure),
        ];
        Ok(Run {
            command,
            mounts: flags
                .list("mount")
                .iter()
                .map(MountText::parse)
                .collect::<Result<_, _>>()?,
            network: flags.one_of("network", &networks)?.unwrap_or_default(),
            security: flags.one_of("security", &securities)?.unwrap_or_default(),
            devices: flags
                .list("device")
                .iter()
                .map(Device::parse)
                .collect::<Result<_, _>>()?,
            heredocs: self.heredocs,
        })
    }

    pub(super) fn healthcheck(&self, flags: &mut Flags) -> Result<Healthcheck, Wrong> {
        let (kind, rest) = words::first(self.rest);
        let (at, rest) = rest.unwrap_or((0, ""));
        match kind.to_ascii_uppercase().as_str() {
            "" => Err(self.requires("at least one argument: CMD or NONE")),
            "NONE" if !rest.is_empty() => {
                let what = "arguments";
                Err(Wrong::at(
                    self.word_at(at, "").location,
                    Fault::HealthcheckNone { what },
                ))
            }
            "NONE" if !flags.is_empty() => {
                let what = "flags";
                let location = flags.first().unwrap_or(self.start());
                Err(Wrong::at(location, Fault::HealthcheckNone { what }))
            }
            "NONE" => Ok(Healthcheck::None),
            "CMD" => {
                let location = self.word_at(at, "").location;
                let command = match json(rest).map_err(|fault| Wrong::at(location, fault))? {
                    Some(arguments) => Command::Exec(arguments),
                    None => Command::Shell(rest.to_owned()),
                };
                if rest.is_empty() || command == Command::Exec(Vec::new()) {
                    return Err(self.requires("a command after CMD"));
                }
                Ok(Healthcheck::Check {
                    command,
                    interval: duration(flags, "interval")?,
                    timeout: duration(flags, "timeout")?,
                    start_period: duration(flags, "start-period")?,
                    start_interval: duration(flags, "start-interval")?,
                    retries: retries(flags)?,
                })
            }
            other => Err(Wrong::at(
                self.here(),
                Fault::HealthcheckType {
                    word: kind.to_owned(),
                    nearest: closest(other, ["CMD", "NONE"]),
                },
            )),
        }
    }
}

fn json(text: &str) -> Result<Option<Vec<String>>, Fault> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(Fault::JsonNotStrings),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// docker's least is a millisecond; 0 is the default.
fn duration(flags: &mut Flags, name: &str) -> Result<Option<Duration>, Wrong> {
    let Some(word) = flags.text(name) else {
        return Ok(None);
    };
    let flag = name.to_owned();
    let nanoseconds = match parse_go_duration(&word.text) {
        Some(0) => return Ok(None),
        Some(nanoseconds) => nanoseconds,
        None => {
            let expected = "a duration, as in 1m30s";
            let value = word.text;
            return Err(Wrong::at(
                word.location,
                Fault::FlagValue {
                    flag,
                    value,
                    expected,
                },
            ));
        }
    };
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds >= 1_000_000 => Ok(Some(Duration::from_nanos(nanoseconds))),
        _ => {
            let value = word.text;
            Err(Wrong::at(word.location, Fault::TooShort { flag, value }))
        }
    }
}

fn retries(flags: &mut Flags) -> Result<Option<u32>, Wrong> {
    let Some(word) = flags.text("retries") else {
        return Ok(None);
    };
    match word.text.parse::<u32>() {
        Ok(retries) if retries <= i32::MAX as u32 => {
            Ok(Some(retries).filter(|retries| *retries > 0))
        }
        _ => Err(Wrong::at(
            word.location,
            Fault::FlagValue {
                flag: "retries".into(),
                value: word.text,
                expected: "a number of at least 0",
            },
        )),
    }
}
