//! `diff`.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::image::{ChangeKind, LayerPath};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let changes = invocation.engine()?.changes(&args.container);
    let changes = changes.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    show(changes, invocation)
}

/// docker's lines.
pub(super) fn show(
    changes: Vec<(LayerPath, ChangeKind)>,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    let mut shown = Vec::new();
    for (path, kind) in changes {
        shown.extend_from_slice(match kind {
            ChangeKind::Modified => b"C /",
            ChangeKind::Added => b"A /",
            ChangeKind::Deleted => b"D /",
        });
        // Names are bytes and arrive as they are.
        shown.extend_from_slice(&path.0);
        shown.push(b'\n');
    }
    invocation.ui.bytes(&shown)?;
    Ok(0)
}
