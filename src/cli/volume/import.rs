//! `volume import`.

use std::path::PathBuf;

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::engine::request::Input;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "VOLUME")]
    name: String,
    /// Archive (tar, plain or compressed), `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let input = match args.file.as_os_str().to_str() {
        Some("-") => Input::Stdin,
        _ => Input::File(args.file),
    };
    let imported = invocation.engine()?.import_volume(&args.name, &input);
    for warning in imported.map_err(|error| CliError::engine(Kind::Failed, &error))? {
        invocation.ui.warning(&warning);
    }
    Ok(0)
}
