//! `exec`.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::Invocation;
use super::attachment::{Attachment, chosen_keys};
use super::container_flags::{any_bytes, environment};
use super::error::{CliError, Kind};
use super::preserved::PreservedFlags;
use crate::config::DetachKeys;
use crate::container::Record;
use crate::engine::request::ExecRequest;
use crate::engine::{Engine, EngineError};
use crate::monitor::{Attach, StartFailure};
use crate::runtime::enter::ProgramChoice;
use crate::runtime::preserved::Preserved;
use crate::sys::terminal;

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo exec [OPTIONS] CONTAINER COMMAND [ARG...]")]
pub struct Args {
    /// Container, then the program and its arguments (everything after CONTAINER belongs to them)
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_names = ["CONTAINER", "COMMAND"], value_parser = any_bytes())]
    words: Vec<String>,
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the program running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set a variable (KEY=VALUE), or hand on the host's (KEY)
    #[arg(short, long, value_name = "VARIABLE", allow_hyphen_values = true, value_parser = any_bytes())]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    preserved: PreservedFlags,
    /// Give the program all capabilities that a container can have
    #[arg(long)]
    privileged: bool,
    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,
    /// User and group, names or numbers (USER[:GROUP])
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR", value_parser = any_bytes())]
    workdir: Option<String>,
}

impl Args {
    /// The container's name and what to execute in it.
    fn request(&self) -> Result<(String, ExecRequest), CliError> {
        let mut words = self.words.iter().cloned();
        let name = words.next().unwrap_or_default();
        // What is in a file docker's client reads after the command line, and ends in the ordinary way.
        let in_files = environment(&self.env_file, &[]);
        let mut changes = in_files.map_err(|error| CliError {
            kind: Kind::Failed,
            ..error
        })?;
        changes.extend(environment(&[], &self.env)?);
        // a variable that is to be handed on but is not set brings nothing in
        let env = changes
            .into_iter()
            .filter_map(|one| Some(format!("{}={}", one.name, one.value?)));
        let program = ProgramChoice {
            args: words.collect(),
            env: env.collect(),
            cwd: self.workdir.clone(),
            user: self.user.clone(),
            terminal: self.tty,
            privileged: self.privileged,
        };
        let attach = Attach {
            stdin: self.interactive && !self.detach,
            stdout: !self.detach,
            stderr: !self.detach,
        };
        let size = terminal::size(std::io::stdout().as_fd());
        let request = ExecRequest {
            program,
            attach,
            terminal_size: size.filter(|_| self.tty && !self.detach),
        };
        Ok((name, request))
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (name, request) = args.request()?;
    if request.attach.stdin && args.tty && !std::io::stdin().is_terminal() {
        return Err(Attachment::no_terminal());
    }
    let detach_keys = args.detach_keys.as_deref().map(chosen_keys).transpose()?;
    let preserved = args.preserved.descriptors()?;
    let engine = invocation.engine()?;
    let record = engine.find(&name).map_err(|error| failed(&error))?;
    execute(&engine, &record, &request, detach_keys, &preserved)
}

/// Executes the program, and stays with it where the client takes part in its streams.
pub(super) fn execute(
    engine: &Engine,
    record: &Record,
    request: &ExecRequest,
    detach_keys: Option<DetachKeys>,
    preserved: &Preserved,
) -> Result<u8, CliError> {
    let session = engine.exec(record, request, preserved);
    let session = session.map_err(|error| failed(&error))?;
    if request.attach == Attach::default() {
        return Ok(0);
    }
    let attachment = Attachment {
        stdin: request.attach.stdin,
        stdout: request.attach.stdout,
        stderr: request.attach.stderr,
        tty: request.program.terminal,
        // docker's exec leaves the program to itself when it is ended
        signal_proxy: false,
        detach_keys,
    };
    attachment.follow(session, engine, Kind::Engine)
}

/// A program that could not be executed has docker's codes for that; anything else is an ordinary failure.
fn failed(error: &EngineError) -> CliError {
    let kind = match error {
        // Docker's code for a user or a directory that is not there.
        EngineError::Start(StartFailure::Setup(_)) if error.exit_code() == 125 => {
            Kind::NotExecutable
        }
        EngineError::Start(_) => Kind::Engine,
        _ => Kind::Failed,
    };
    CliError::engine(kind, error)
}
