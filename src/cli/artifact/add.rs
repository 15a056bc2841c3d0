//! podman's `artifact add`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::engine::AddArtifactRequest;
use crate::image::Existing;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "ARTIFACT")]
    name: String,
    #[arg(required = true, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Set an annotation of the files (KEY=VALUE)
    #[arg(long, value_name = "ANNOTATION")]
    annotation: Vec<String>,
    /// Add to an artifact that there is
    #[arg(short, long, conflicts_with_all = ["replace", "artifact_type"])]
    append: bool,
    /// Replace an artifact of this name
    #[arg(long)]
    replace: bool,
    /// Media type of the files, instead of what their first bytes say
    #[arg(long, value_name = "TYPE")]
    file_type: Option<String>,
    /// Type of the artifact
    #[arg(long = "type", value_name = "TYPE")]
    artifact_type: Option<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let mut annotations = BTreeMap::new();
    for text in &args.annotation {
        let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(CliError::usage(format!(
                "invalid argument {text:?} for \"--annotation\" flag: must be formatted as key=value"
            )));
        };
        annotations.insert(key.to_owned(), value.to_owned());
    }
    let request = AddArtifactRequest {
        name: named(&args.name)?,
        files: args.files,
        existing: match (args.append, args.replace) {
            (true, _) => Existing::Append,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        },
        artifact_type: args.artifact_type,
        media_type: args.file_type,
        annotations,
    };
    let added = invocation.engine()?.add_artifact(&request);
    invocation.ui.line(added.map_err(failed)?.hex())?;
    Ok(0)
}
