//! `attach`.

use std::io::IsTerminal;

use super::Invocation;
use super::attachment::{Attachment, chosen_keys};
use super::error::{CliError, Kind};
use crate::config::DetachKeys;
use crate::engine::request::AttachRequest;
use crate::engine::{Engine, EngineError};
use crate::monitor::Attach;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Do not attach standard input
    #[arg(long)]
    no_stdin: bool,
    /// Forward signals to the program
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let detach_keys = args.detach_keys.as_deref();
    let detach_keys = detach_keys.map(chosen_keys).transpose()?;
    let engine = invocation.engine()?;
    let way = Way {
        stdin: !args.no_stdin,
        signal_proxy: args.sig_proxy,
        detach_keys,
    };
    attach(&engine, &args.name, way)
}

/// How a terminal takes part.
pub(super) struct Way {
    /// Where the container's is open.
    pub stdin: bool,
    pub signal_proxy: bool,
    pub detach_keys: Option<DetachKeys>,
}

/// Takes part in the streams of a container until it ends or is left.
pub(super) fn attach(engine: &Engine, name: &str, way: Way) -> Result<u8, CliError> {
    let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
    let container = engine.container(name, false).map_err(failed)?;
    let process = &container.config.process;
    let stdin = way.stdin && process.open_stdin;
    if stdin && process.tty && !std::io::stdin().is_terminal() {
        return Err(Attachment::no_terminal());
    }
    let attachment = Attachment {
        stdin,
        stdout: true,
        stderr: true,
        tty: process.tty,
        signal_proxy: way.signal_proxy,
        detach_keys: way.detach_keys,
    };
    let request = AttachRequest {
        attach: Attach {
            stdin,
            stdout: true,
            stderr: true,
        },
    };
    let session = engine.attach(&container.record, &request);
    attachment.follow(session.map_err(failed)?, engine, Kind::Engine)
}
