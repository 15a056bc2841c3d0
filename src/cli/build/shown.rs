//! Which way a build's progress is shown, and the build under it.

use super::logs::Logs;
use super::plain::Plain;
use super::raw::RawJson;
use super::tree::Tree;
use crate::build::{BuildError, BuildRequest, Built, build};
use crate::cli::error::{CliError, Kind};
use crate::cli::ui::Ui;
use crate::engine::Engine;

/// How progress looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    Plain,
    Tree,
    RawJson,
}

impl Shown {
    pub fn choose(word: &str, quiet: bool, is_terminal: bool) -> Result<Shown, CliError> {
        Ok(match word {
            "auto" | "plain" | "tty" | "rawjson" if quiet => Shown::Nothing,
            "quiet" => Shown::Nothing,
            "auto" if is_terminal => Shown::Tree,
            "auto" | "plain" => Shown::Plain,
            "tty" if is_terminal => Shown::Tree,
            "tty" => {
                let message = "--progress tty: standard error is no terminal";
                return Err(CliError::new(Kind::Failed, message));
            }
            "rawjson" => Shown::RawJson,
            other => {
                return Err(CliError::usage(format!(
                    "invalid progress mode {other:?}: auto, plain, tty, quiet and rawjson are known"
                )));
            }
        })
    }

    pub fn build(
        self,
        engine: &Engine,
        request: &BuildRequest,
        logs: &Logs,
        ui: &Ui,
    ) -> Result<Built, BuildError> {
        match self {
            Shown::Tree => {
                let tree = Tree::new(ui, logs);
                let built = build(engine, request, &tree);
                tree.finish();
                built
            }
            Shown::RawJson => build(engine, request, &RawJson::new(ui, logs)),
            Shown::Plain => build(engine, request, &Plain::new(ui, logs, false)),
            Shown::Nothing => build(engine, request, &Plain::new(ui, logs, true)),
        }
    }
}
