//! `volume export`.

use std::path::PathBuf;

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "VOLUME")]
    name: String,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let output = args.output.filter(|path| path.as_os_str() != "-");
    if output.is_none() && invocation.ui.stdout_is_terminal {
        return Err(
            CliError::usage("refusing to write an archive to a terminal")
                .hint(format!("bryo volume export -o {0}.tar {0}", args.name)),
        );
    }
    let exported = invocation.engine()?.export_volume(&args.name, output);
    exported.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
