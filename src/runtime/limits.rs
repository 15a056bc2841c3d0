//! What limits are to the kernel: files of a cgroup and what is written into them (cgroup-v2.rst, "Controllers"). Never what a
//! flag means, and never where the cgroup is.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One limit: the files of which the first that the kernel has is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Who asked for it, as in `--memory`.
    pub flag: Cow<'static, str>,
    /// Files and values, the best one first; all of one controller.
    pub choices: Vec<(Cow<'static, str>, String)>,
    /// Nothing is lost where the kernel has no such file: there is nothing that it could limit.
    pub may_lack: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error("{flag}: the {controller} controller is not delegated to containers at {directory}")]
    NoController {
        flag: Cow<'static, str>,
        controller: String,
        directory: PathBuf,
    },
    #[error("{flag}: this kernel has no {file}")]
    NoFile {
        flag: Cow<'static, str>,
        file: Cow<'static, str>,
    },
    #[error("{flag}: write {value:?} to {file}: {source}")]
    Write {
        flag: Cow<'static, str>,
        file: Cow<'static, str>,
        value: String,
        source: io::Error,
    },
}

impl Setting {
    pub fn new(flag: &'static str, file: &'static str, value: impl ToString) -> Setting {
        Setting {
            flag: flag.into(),
            choices: vec![(file.into(), value.to_string())],
            may_lack: false,
        }
    }

    /// `memory` of `memory.max`.
    pub fn controller(&self) -> &str {
        let file = self.choices.first().map_or("", |(file, _)| file.as_ref());
        file.split('.').next().unwrap_or(file)
    }

    /// Whether `controllers`, as `cgroup.controllers` has them, include what this needs; `directory` is for the words.
    pub fn check(&self, controllers: &str, directory: &Path) -> Result<(), LimitError> {
        let wanted = self.controller();
        match controllers.split_whitespace().any(|have| have == wanted) {
            true => Ok(()),
            false => Err(LimitError::NoController {
                flag: self.flag.clone(),
                controller: wanted.to_owned(),
                directory: directory.to_owned(),
            }),
        }
    }

    /// Whether it only takes away a limit that was there.
    pub fn lifts(&self) -> bool {
        let lifted = |(file, value): &(Cow<'_, str>, String)| match file.as_ref() {
            "io.max" => value.ends_with("=max"),
            "cpu.max" => value == "max 100000",
            _ => value == "max",
        };
        self.choices.iter().all(lifted)
    }

    fn apply(&self, directory: &Path) -> Result<(), LimitError> {
        let there = |(file, _): &&(Cow<'_, str>, String)| directory.join(file.as_ref()).exists();
        match (self.choices.iter().find(there), self.choices.first()) {
            (Some((file, value)), _) => {
                let written = std::fs::write(directory.join(file.as_ref()), value);
                written.map_err(|source| LimitError::Write {
                    flag: self.flag.clone(),
                    file: file.clone(),
                    value: value.clone(),
                    source,
                })
            }
            (None, Some((file, _))) if !self.may_lack => Err(LimitError::NoFile {
                flag: self.flag.clone(),
                file: file.clone(),
            }),
            (None, _) => Ok(()),
        }
    }
}

/// Sets the limits of the cgroup at `directory`, in order; the first that fails ends it.
pub fn apply(directory: &Path, settings: &[Setting]) -> Result<(), LimitError> {
    settings
        .iter()
        .try_for_each(|setting| setting.apply(directory))
}
