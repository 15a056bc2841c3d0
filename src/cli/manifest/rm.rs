//! `manifest rm`.

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "MANIFEST_LIST")]
    lists: Vec<String>,
}

/// As docker: every list that there is goes, and the others are named.
pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let mut missing = false;
    for text in &args.lists {
        let removed = engine.remove_manifest_list(&named(text)?);
        if let Err(error) = removed.map_err(failed) {
            invocation.ui.error(&error);
            missing = true;
        }
    }
    match missing {
        true => Err(CliError::said(Kind::Failed)),
        false => Ok(0),
    }
}
