//! The program: what is started, with which variables, streams and end. Reads environment files; looks nothing else up.

use std::path::PathBuf;

use super::{any_bytes, read, value};
use crate::cli::error::{CliError, Kind};
use crate::container::{RestartPolicy, RestartPolicyError};
use crate::engine::request::{
    CreateRequest, EnvironmentSources, Signal, Variable, parse_env_file, parse_variable,
};
use crate::sys::text;

#[derive(clap::Args, Debug)]
pub struct ProcessFlags {
    /// Set a variable (KEY=VALUE), or hand on the host's (KEY)
    #[arg(short, long, value_name = "VARIABLE", allow_hyphen_values = true, value_parser = any_bytes())]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Begin with the variables of the host
    #[arg(long)]
    env_host: bool,
    /// Set a variable from another (KEY=${OTHER}more)
    #[arg(long, value_name = "VARIABLE")]
    env_merge: Vec<String>,
    /// Leave a variable of the image out
    #[arg(long, value_name = "NAME")]
    unsetenv: Vec<String>,
    /// Leave every variable of the image out
    #[arg(long)]
    unsetenv_all: bool,
    /// umask of the program, octal
    #[arg(long, value_name = "MODE")]
    umask: Option<String>,
    /// Time zone of the container (an area and city, or `local` for the host's)
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// How soon the kernel ends it when memory is short (-1000 to 1000)
    #[arg(long, value_name = "SCORE", allow_hyphen_values = true)]
    oom_score_adj: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR", value_parser = any_bytes())]
    workdir: Option<String>,
    /// Program to start instead of the image's entrypoint
    #[arg(long, value_name = "PROGRAM", allow_hyphen_values = true, value_parser = any_bytes())]
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
        request.environment = EnvironmentSources {
            host: self.env_host,
            unset: self.unsetenv,
            unset_all: self.unsetenv_all,
            merge: merged(&self.env_merge)?,
        };
        request.umask = self.umask.as_deref().map(umask).transpose()?;
        request.timezone = self.tz;
        let score = self.oom_score_adj.as_deref();
        request.oom_score_adj = score.map(oom_score_adj).transpose()?;
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
        let stop_signal = self.stop_signal.as_deref().filter(|text| !text.is_empty());
        request.stop_signal = stop_signal.map(checked_signal).transpose()?;
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
    parsed.map_err(|error| match error {
        RestartPolicyError::NoNumber => CliError::usage(error.to_string()),
        _ => CliError::failed(&error),
    })
}

/// A signal as it was written: that is how docker shows it.
fn checked_signal(text: &str) -> Result<String, CliError> {
    let parsed = text.parse::<Signal>();
    parsed.map_err(|error| CliError::failed(&error))?;
    Ok(text.to_owned())
}

fn host(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| text::from_os(&value))
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

/// `NAME=VALUE`; what the value refers to is known when the image is.
fn merged(flags: &[String]) -> Result<Vec<Variable>, CliError> {
    let parse = |text: &String| match parse_variable(text, |_| None) {
        Ok(variable) if variable.value.is_some() => Ok(variable),
        Ok(_) => Err(CliError::usage(format!(
            "invalid argument {text:?} for \"--env-merge\" flag: it is KEY=VALUE"
        ))),
        Err(error) => Err(CliError::argument("--env-merge", text, &error)),
    };
    flags.iter().map(parse).collect()
}

fn umask(text: &str) -> Result<u32, CliError> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits);
    mode.filter(|mode| *mode <= 0o777)
        .ok_or_else(|| CliError::usage(format!("invalid umask {text:?}: not octal, 0 to 0777")))
}

fn oom_score_adj(text: &str) -> Result<i32, CliError> {
    let score = text.parse().ok().filter(|n| (-1000..=1000).contains(n));
    // docker's words
    score.ok_or_else(|| {
        let message = format!("invalid value {text}, range for oom score adj is [-1000, 1000]");
        CliError::new(Kind::Failed, message)
    })
}
