//! Words in, words out: flags, tables, `--format`, progress, hints and exit codes. Never syscalls or file formats.

mod artifact;
mod attach;
mod attachment;
mod commands;
mod container_flags;
pub mod error;
mod limit_flags;
mod preserved;
mod progress;
mod published;
mod refusal;
mod registry_flags;
mod status;
pub mod table;
pub mod template;
pub mod ui;
pub mod units;

mod bake;
mod boot;
mod build;
mod builder;
mod commit;
mod complete;
mod compose;
mod confirm;
mod container_cleanup;
mod container_clone;
mod container_exists;
mod container_prune;
mod cp;
mod create;
mod diff;
mod doctor;
mod early;
mod events;
mod exec;
mod export;
mod filters;
mod generate;
mod history;
mod image_exists;
mod image_mount;
mod image_prune;
mod image_scp;
mod image_tree;
mod images;
mod images_tree;
mod import;
mod info;
mod info_host;
mod inspect;
mod kill;
mod load;
mod login;
mod logout;
mod logs;
mod manifest;
mod mount;
mod network;
mod pause;
mod port;
mod ps;
mod pull;
mod push;
mod rename;
mod restart;
mod rm;
mod rmi;
mod run;
mod save;
mod search;
mod secret;
mod start;
mod stats;
mod stop;
mod system_check;
mod system_df;
mod system_migrate;
mod system_prune;
mod system_reset;
mod tag;
mod top;
mod trace;
mod unpause;
mod unshare;
mod update;
mod version;
mod volume;
mod wait;

use std::cell::Cell;
use std::ffi::OsString;

use clap::Parser;
use serde_json::Value;

use commands::{Cli, Command, GlobalFlags};
use early::Early;
use error::CliError;
use refusal::Answer;
use table::{Columns, Layout, Row};
use template::{Scope, Template, TemplateError};
use ui::Ui;

use crate::config::Config;
use crate::engine::{Engine, EngineError};
use crate::image::{Image, is_builtin};
use crate::paths::Paths;
use crate::runtime::isolation::Isolation;

/// What `--log-level` takes: docker's, and the one below them.
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// What every verb gets: one command line being answered.
struct Invocation {
    ui: Ui,
    global: GlobalFlags,
    /// Of a `run`, until it takes it.
    early: Cell<Option<Early>>,
}

impl Invocation {
    fn new(global: GlobalFlags, early: Option<Early>) -> Invocation {
        Invocation {
            ui: Ui::from_environment(),
            global,
            early: Cell::new(early),
        }
    }

    /// Opened by the verbs that need it: `version` works without a home directory and with a broken configuration.
    fn engine(&self) -> Result<Engine, CliError> {
        self.engine_with(false)
    }

    /// A verb's own `--debug` is as good as the one before it.
    fn engine_with(&self, debug: bool) -> Result<Engine, CliError> {
        let paths = Paths::from_environment().map_err(|error| CliError::failed(&error))?;
        let config = self.settings(&paths, debug)?;
        let log_file = config.log_file.as_deref();
        trace::start(&config.log_level, log_file).map_err(|error| CliError::failed(&error))?;
        let ui = Ui::from_environment();
        Ok(Engine::new(paths, config)
            .with_docker_directory(self.global.config.clone())
            .with_warnings(move |text| ui.warning(text)))
    }

    /// Files, environment, flags: each over the one before.
    fn settings(&self, paths: &Paths, debug: bool) -> Result<Config, CliError> {
        let config = Config::load(paths, |name| std::env::var_os(name));
        let mut config = config.map_err(|error| CliError::usage(error::chain(&error)))?;
        let level = match (&self.global.log_level, self.global.debug || debug) {
            (Some(level), _) => Some(("--log-level", level.as_str())),
            (None, true) => Some(("--debug", "debug")),
            (None, false) => None,
        };
        if let Some((flag, value)) = level {
            // The configuration may name modules too, where a level misspelt would be one that is never heard of.
            if !LEVELS.contains(&value) {
                return Err(CliError::new(
                    error::Kind::Failed,
                    format!("unable to parse logging level: {value}"),
                ));
            }
            let set = config.set_flag("log-level", flag, value);
            set.map_err(|error| CliError::usage(error::chain(&error)))?;
        }
        Ok(config)
    }

    /// What the user should know before a container runs here; the embedded image needs nothing of it.
    fn warn_of_host(&self, engine: &Engine, image: &Image) {
        if is_builtin(&image.config) && engine.isolation() == Isolation::Namespaces {
            return;
        }
        for finding in engine.host_warnings() {
            self.ui.warning(&finding.message());
            for cure in &finding.cure {
                self.ui.hint(cure);
            }
        }
    }

    /// Does the same to every name and prints what it gives; failures are said one by one and the others go on.
    fn each<T: std::fmt::Display>(
        &self,
        names: &[String],
        mut verb: impl FnMut(&str) -> Result<Option<T>, EngineError>,
    ) -> Result<u8, CliError> {
        let mut failed = false;
        for name in names {
            match verb(name) {
                Ok(Some(text)) => self.ui.line(&text.to_string())?,
                Ok(None) => {}
                Err(error @ EngineError::Interrupted { .. }) => {
                    return Err(CliError::engine(error::Kind::Failed, &error));
                }
                Err(error) => {
                    self.ui
                        .error(&CliError::engine(error::Kind::Failed, &error));
                    failed = true;
                }
            }
        }
        match failed {
            true => Err(CliError::said(error::Kind::Failed)),
            false => Ok(0),
        }
    }

    /// docker's words for a format that cannot be read or does not fit.
    fn template(error: &TemplateError) -> CliError {
        CliError::new(
            error::Kind::Failed,
            format!("template parsing error: {error}"),
        )
    }

    /// Rows as a table, or as `--format` and `-q` want them.
    fn listed(
        &self,
        columns: &Columns,
        format: Option<&str>,
        quiet: bool,
        rows: &[Row],
    ) -> Result<u8, CliError> {
        let shown = columns.render(&Layout::new(format, quiet), rows);
        self.ui
            .result(&shown.map_err(|error| Invocation::template(&error))?)?;
        Ok(0)
    }

    /// One object in the format asked for: `json` or a template.
    fn formatted(&self, format: &str, object: &Value) -> Result<(), CliError> {
        if format == "json" {
            return self.ui.line(&object.to_string());
        }
        let scope = Scope {
            root: object,
            labels: None,
        };
        let shown = Template::parse(format).and_then(|template| template.render(&scope));
        self.ui
            .line(&shown.map_err(|error| Invocation::template(&error))?)
    }
}

/// Runs one command line and gives its exit code (docker's: 125 engine, 126 not executable, 127 not found).
pub fn main(words: Vec<OsString>) -> u8 {
    let ui = Ui::from_environment();
    let ended = match words.get(1).and_then(|word| word.to_str()) {
        // answered before anything is set up: scripts ask for it often
        Some("--version" | "-v") if words.len() == 2 => ui.line(&version::line()).map(|()| 0),
        _ => {
            let early = Early::begin(&words);
            run_words(words, &ui, early)
        }
    };
    ended.unwrap_or_else(|error| {
        ui.error(&error);
        error.kind.exit_code()
    })
}

fn run_words(words: Vec<OsString>, ui: &Ui, early: Option<Early>) -> Result<u8, CliError> {
    if let Some(command) = Command::alone(&words) {
        return command.run(&Invocation::new(GlobalFlags::default(), early));
    }
    let parsed = match Cli::try_parse_from(&words) {
        Ok(parsed) => parsed,
        Err(error) => match refusal::answer(&error, words)? {
            Answer::Show(text) => return ui.result(&text).map(|()| 0),
            Answer::Again(words) => return run_words(words, ui, early),
        },
    };
    let invocation = Invocation::new(parsed.global, early);
    parsed.command.run(&invocation)
}
