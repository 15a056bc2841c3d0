//! `buildx imagetools`: what a registry has under a name, and indexes of what registries have. Asks only registries.

mod create;

use clap::Subcommand;
use serde_json::Value;

use super::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::engine::manifests::ManifestView;
use crate::image::{Digest, Reference, ReferenceError};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what a registry has under a name
    Inspect(InspectArgs),
    /// Make an index of what registries have
    Create(create::Args),
}

#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    #[arg(value_name = "NAME")]
    name: String,
    /// The manifest or index itself
    #[arg(long)]
    raw: bool,
}

pub fn run(verb: Verb, invocation: &Invocation) -> Result<u8, CliError> {
    match verb {
        Verb::Inspect(args) => inspect(&args, invocation),
        Verb::Create(args) => create::run(&args, invocation),
    }
}

fn inspect(args: &InspectArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let name: Reference = args
        .name
        .parse()
        .map_err(|error: ReferenceError| CliError::failed(&error))?;
    let view = invocation
        .engine()?
        .inspect_manifest(None, &name, false)
        .map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let json = match view {
        ManifestView::One(member) => member.manifest,
        ManifestView::List { json, .. } => json,
    };
    match args.raw {
        true => invocation.ui.line(json.trim_end())?,
        false => invocation.ui.result(&described(&name, &json)?)?,
    }
    Ok(0)
}

fn described(name: &Reference, json: &str) -> Result<String, CliError> {
    let document: Value = serde_json::from_str(json)
        .map_err(|error| CliError::new(Kind::Failed, format!("{name}: no JSON: {error}")))?;
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut shown = format!(
        "Name:      {name}\nMediaType: {}\nDigest:    {}\n",
        text(&document, "mediaType"),
        Digest::of(json.as_bytes())
    );
    let Some(members) = document["manifests"].as_array() else {
        return Ok(shown);
    };
    shown.push_str("\nManifests:\n");
    for member in members {
        let platform = &member["platform"];
        let words = ["os", "architecture", "variant"].map(|key| text(platform, key));
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        shown.push_str(&format!(
            "  Name:      {name}@{}\n  MediaType: {}\n  Platform:  {}\n\n",
            text(member, "digest"),
            text(member, "mediaType"),
            words.join("/")
        ));
    }
    Ok(shown)
}
