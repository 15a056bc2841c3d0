//! `manifest inspect`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{failed, named};
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::registry_flags::RegistryFlags;
use crate::engine::manifests::ManifestView;
use crate::image::{Member, media_type};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// List of this machine, and then a manifest of it; or one of either, here or at a registry
    #[arg(value_name = "[MANIFEST_LIST] MANIFEST", required = true, num_args = 1..=2)]
    names: Vec<String>,
    /// Show where each manifest is and what its platform is
    #[arg(short, long)]
    verbose: bool,
    /// Speak to a registry without TLS, or with a certificate that nobody vouches for
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (list, manifest) = match args.names.as_slice() {
        [list, manifest] => (Some(named(list)?), named(manifest)?),
        [manifest] => (None, named(manifest)?),
        _ => return Err(CliError::usage("a list and a manifest, or one of them")),
    };
    let access = args.registry.access_of(args.insecure, invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let view = engine.inspect_manifest(list.as_ref(), &manifest, args.verbose);
    let text = match (view.map_err(failed)?, args.verbose) {
        (ManifestView::One(member), false) => indented(&parsed(&member.manifest)?, b"\t"),
        (ManifestView::One(member), true) => indented(&verbose(&member)?, b"\t"),
        (ManifestView::List { json, .. }, false) => indented(&parsed(&json)?, b"   "),
        (ManifestView::List { members, .. }, true) => {
            let all: Result<Vec<Value>, CliError> = members.iter().map(verbose).collect();
            indented(&Value::Array(all?), b"\t")
        }
    };
    invocation.ui.line(&text)?;
    Ok(0)
}

fn parsed(text: &str) -> Result<Value, CliError> {
    let value = serde_json::from_str(text);
    value.map_err(|error| CliError::new(Kind::Failed, format!("the manifest is no JSON: {error}")))
}

/// docker's own object for a manifest.
fn verbose(member: &Member) -> Result<Value, CliError> {
    let mut value = json!({
        "Ref": member.reference.to_string(),
        "Descriptor": {
            "mediaType": member.media_type,
            "digest": member.digest(),
            "size": member.manifest.len(),
            "platform": member.platform,
        },
        "Raw": STANDARD.encode(&member.manifest),
    });
    let key = match member.media_type.as_str() {
        media_type::OCI_MANIFEST => "OCIManifest",
        _ => "SchemaV2Manifest",
    };
    value[key] = parsed(&member.manifest)?;
    Ok(value)
}

fn indented(value: &Value, indent: &[u8]) -> String {
    let mut bytes = Vec::new();
    let layout = serde_json::ser::PrettyFormatter::with_indent(indent);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, layout);
    let written = value.serialize(&mut serializer);
    written.expect("plain data always serialises");
    String::from_utf8(bytes).expect("JSON is text")
}
