//! podman's `artifact inspect`.

use serde::Serialize;
use serde_json::json;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::failed;
use crate::cli::Invocation;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "ARTIFACT")]
    name: String,
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let found = invocation.engine()?.artifact(&args.name);
    let (artifact, manifest) = found.map_err(failed)?;
    let object = json!({
        "Manifest": manifest,
        "Name": artifact.name.to_string(),
        "Digest": artifact.manifest.as_str(),
    });
    if let Some(format) = args.format.as_deref().filter(|text| *text != "json") {
        invocation.formatted(format, &object)?;
        return Ok(0);
    }
    // podman's indentation.
    let mut bytes = Vec::new();
    let layout = PrettyFormatter::with_indent(b"     ");
    let written = object.serialize(&mut Serializer::with_formatter(&mut bytes, layout));
    written.expect("plain data always serialises");
    invocation.ui.line(&String::from_utf8_lossy(&bytes))?;
    Ok(0)
}
