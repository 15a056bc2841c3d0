//! `export`.

use std::path::PathBuf;

use super::Invocation;
use super::cp::failed;
use super::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Write to a file, `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let to = args.output.filter(|path| path.as_os_str() != "-");
    if to.is_none() && invocation.ui.stdout_is_terminal {
        return Err(CliError::new(
            Kind::Failed,
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        )
        .hint(format!("bryo export -o root.tar {}", args.container)));
    }
    let exported = invocation.engine()?.export(&args.container, to.as_deref());
    let exported = exported.map_err(|error| failed(&error))?;
    for warning in &exported.warnings {
        invocation.ui.warning(warning);
    }
    Ok(0)
}
