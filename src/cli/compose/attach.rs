//! `compose attach`: taking part in the streams of a service's container.

use super::found;
use super::{Globals, Invocation};
use crate::cli::attach::{self, Way};
use crate::cli::container_flags::value;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
    /// Do not attach standard input
    #[arg(long)]
    no_stdin: bool,
    /// Forward signals to the program
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let detach_keys = args.detach_keys.as_deref();
    let detach_keys = detach_keys
        .map(|keys| value("--detach-keys", keys))
        .transpose()?;
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let container = found::running_one(&engine, &name, &args.service, args.index)?;
    if globals.dry_run {
        return Ok(0);
    }
    let way = Way {
        stdin: !args.no_stdin,
        signal_proxy: args.sig_proxy,
        detach_keys,
    };
    attach::attach(&engine, container.record.id.as_str(), way)
}
