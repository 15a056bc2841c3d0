//! The program: what is started, with which variables, streams and end. Reads environment files; looks nothing else up.

use std::path::PathBuf;

use super::{read, value};
use crate::cli::error::CliError;
use crate::container::RestartPolicy;
use crate::engine::request::{CreateRequest, Variable, parse_env_file, parse_variable};

#[derive(clap::Args, Debug)]
pub struct ProcessFlags {
    /// Set a variable (KEY=VALUE), or hand on the host's (KEY)
    #[arg(short, long, value_name = "VARIABLE", allow_hyphen_values = true)]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Program to start instead of the image's entrypoint
    #[arg(long, value_name = "PROGRAM", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Start an init that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Attach only these streams: stdin, stdout, stderr
    #[arg(short, long, value_name = "STREAM")]
    attach: Vec<String>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    stop_timeout: Option<String>,
    /// Start it again when it ends: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: String,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
}

impl ProcessFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        request.env = environment(&self.env_file, &self.env)?;
        request.workdir = self.workdir;
        request.entrypoint = self.entrypoint.map(|program| match program.as_str() {
            "" => Vec::new(),
            _ => vec![program],
        });
        request.init = self.init;
        request.tty = self.tty;
        request.interactive = self.interactive;
        request.auto_remove = self.rm;
        request.restart = restart_policy(&self.restart)?;
        if self.rm && request.restart != RestartPolicy::No {
            return Err(CliError::usage(
                "conflicting options: cannot specify both --restart and --rm",
            ));
        }
        request.attach = match self.attach.as_slice() {
            [] => None,
            streams => Some(
                streams
                    .iter()
                    .map(|stream| value("-a, --attach", stream))
                    .collect::<Result<_, _>>()?,
            ),
        };
        let stop_signal = self.stop_signal.as_deref();
        request.stop_signal = stop_signal.map(|s| value("--stop-signal", s)).transpose()?;
        let stop_timeout = self.stop_timeout.as_deref();
        request.stop_timeout = stop_timeout
            .map(|text| value("--stop-timeout", text))
            .transpose()?;
        Ok(())
    }
}

/// docker's words for what is none.
pub fn restart_policy(text: &str) -> Result<RestartPolicy, CliError> {
    let parsed = text.parse::<RestartPolicy>();
    parsed.map_err(|error| CliError::usage(error.to_string()))
}

fn host(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

pub fn environment(files: &[PathBuf], flags: &[String]) -> Result<Vec<Variable>, CliError> {
    let mut variables = Vec::new();
    for path in files {
        let bytes = read("--env-file", path)?;
        let parsed = parse_env_file(&bytes, host).map_err(|error| {
            CliError::usage(format!("invalid env file ({}): {error}", path.display()))
        })?;
        variables.extend(parsed);
    }
    for text in flags {
        let parsed = parse_variable(text, host);
        variables.push(parsed.map_err(|error| CliError::argument("-e, --env", text, &error))?);
    }
    Ok(variables)
}
