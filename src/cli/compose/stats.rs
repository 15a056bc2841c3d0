//! `compose stats`: what a project's containers use.

use super::found::{self, Which};
use super::{Globals, Invocation};
use crate::cli::error::CliError;
use crate::cli::stats::{self, Look};
use crate::compose::labels::OneOff;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Service (default: all)
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// Show those that do not run, too
    #[arg(short, long)]
    all: bool,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show one measurement and end
    #[arg(long)]
    no_stream: bool,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let look = Look {
        format: args.format.as_deref(),
        goes_on: !args.no_stream,
        whole: args.no_trunc,
    };
    let which = Which {
        oneoff: OneOff::Include,
        all: args.all,
        services: args.service.as_slice(),
    };
    stats::show(&engine, &look, invocation, || {
        found::containers(&engine, &name, which)
    })
}
