//! `system migrate`.

use super::Invocation;
use super::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {}

pub fn run(Args {}: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let migrated = invocation.engine()?.migrate();
    let migrated = migrated.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for name in &migrated.stopped {
        invocation.ui.line(name)?;
    }
    if migrated.is_kept {
        let note = "a build is at work: what begins before its end still has the ids of before";
        invocation.ui.note(note);
    }
    Ok(0)
}
