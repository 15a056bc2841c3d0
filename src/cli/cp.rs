//! `cp`.

use std::path::Path;

use super::Invocation;
use super::container_flags::any_bytes;
use super::error::{CliError, Kind};
use super::units;
use crate::engine::EngineError;
use crate::engine::request::{CopyRequest, CopyWay};
use crate::sys::text;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// CONTAINER:PATH, a path of the host, or `-` for a tar archive on standard input
    #[arg(value_name = "SOURCE", value_parser = any_bytes())]
    source: String,
    /// CONTAINER:PATH, a path of the host, or `-` for a tar archive on standard output
    #[arg(value_name = "DESTINATION", value_parser = any_bytes())]
    destination: String,
    /// Keep the owners of files
    #[arg(short, long)]
    archive: bool,
    /// Copy what the symlink SOURCE stands for
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Do not say how much was copied
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let way = CopyWay::parse(&args.source, &args.destination);
    let way = way.map_err(|error| CliError::failed(&error))?;
    let streams_out = matches!(way, CopyWay::Out { to: None, .. });
    if streams_out && invocation.ui.stdout_is_terminal {
        return Err(CliError::new(
            Kind::Failed,
            "cowardly refusing to write an archive to a terminal",
        )
        .hint(format!("bryo cp {} - > archive.tar", args.source)));
    }
    let request = CopyRequest {
        way,
        archive: args.archive,
        follow_link: args.follow_link,
    };
    let copied = invocation.engine()?.copy(&request);
    let copied = copied.map_err(|error| failed(&error))?;
    for warning in &copied.warnings {
        invocation.ui.warning(warning);
    }
    // Docker's scripts are not told.
    let quiet = args.quiet || !invocation.ui.stdout_is_terminal;
    if !quiet && !streams_out {
        invocation.ui.note(&format!(
            "Successfully copied {} to {}",
            units::size(copied.bytes),
            shown(&request.way)
        ));
    }
    Ok(0)
}

fn shown(way: &CopyWay) -> String {
    match way {
        CopyWay::In {
            container, path, ..
        } => format!("{container}:{}", text::shown(path)),
        CopyWay::Out { to, .. } => {
            let to = to.as_deref().unwrap_or(Path::new("-"));
            let here = std::env::current_dir().unwrap_or_default();
            here.join(to).display().to_string()
        }
    }
}

/// A reader that closed standard output ended the copy by a signal.
pub(super) fn failed(error: &EngineError) -> CliError {
    match error {
        EngineError::RoleDied { code: 141, .. } => CliError::said(Kind::OutputClosed),
        error => CliError::engine(Kind::Failed, error),
    }
}
