//! `rename`.

use super::Invocation;
use super::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    old: String,
    #[arg(value_name = "NEW_NAME")]
    new: String,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if args.old.is_empty() || args.new.is_empty() {
        let words = "neither old nor new names may be empty";
        return Err(CliError::new(Kind::Failed, words));
    }
    let engine = invocation.engine()?;
    let renamed = engine.rename(&args.old, &args.new);
    renamed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
