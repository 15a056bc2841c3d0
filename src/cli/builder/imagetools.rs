//! `buildx imagetools`: what a registry has under a name, and indexes of what registries have. Asks only registries.

mod create;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::template::as_struct;
use crate::engine::remote::{RemoteImage, RemoteParts, RemotePlatform};
use crate::image::{Reference, ReferenceError};

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
    /// Go template of Name, Manifest, Image, Provenance and SBOM
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Builder to use: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Write a line per step of the engine
    #[arg(short = 'D', long)]
    debug: bool,
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
    if args.raw && args.format.is_some() {
        return Err(CliError::usage("format and raw cannot be used together"));
    }
    let engine = invocation.engine_with(args.debug)?;
    tracing::debug!(builder = ?args.builder, "there is one builder");
    let format = args.format.as_deref().unwrap_or_default();
    let asks = |field: &str| format.contains(field);
    let parts = RemoteParts {
        images: asks(".Image") || asks(". ") || asks(".}") || format == "json",
        statements: asks(".Provenance") || asks(".SBOM"),
    };
    let remote = engine.remote_image(&name, parts);
    let remote = remote.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    match &args.format {
        _ if args.raw => invocation.ui.line(remote.json.trim_end())?,
        None => invocation.ui.result(&described(&name, &remote)?)?,
        Some(format) => {
            let format = if format == "json" {
                "{{json .}}"
            } else {
                format
            };
            invocation.formatted(format, &told(&name, &remote, parts)?)?;
        }
    }
    Ok(0)
}

fn parsed(name: &Reference, remote: &RemoteImage) -> Result<Value, CliError> {
    serde_json::from_str(&remote.json)
        .map_err(|error| CliError::new(Kind::Failed, format!("{name}: no JSON: {error}")))
}

/// What a template is given, with buildx's names for it.
fn told(name: &Reference, remote: &RemoteImage, parts: RemoteParts) -> Result<Value, CliError> {
    let document = parsed(name, remote)?;
    let mut manifest = json!({
        "mediaType": remote.media_type,
        "digest": remote.digest.as_str(),
        "size": remote.json.len(),
    });
    if remote.is_index {
        for key in ["schemaVersion", "manifests", "annotations"] {
            if let Some(value) = document.get(key) {
                manifest[key] = value.clone();
            }
        }
        for member in manifest["manifests"].as_array_mut().into_iter().flatten() {
            as_struct(&mut member["platform"]);
            as_struct(member);
        }
    }
    as_struct(&mut manifest);
    let mut root = json!({ "name": name.to_string(), "manifest": manifest });
    let by_platform = |of: &dyn Fn(&RemotePlatform) -> Value| match &remote.images[..] {
        [only] if !remote.is_index => of(only),
        all => Value::Object(
            all.iter()
                .map(|one| (one.platform.clone(), of(one)))
                .collect(),
        ),
    };
    root["image"] = by_platform(&|one| configured(one.config.clone()));
    let statements = |kind: &'static str, key: &'static str| {
        by_platform(&|one| {
            let is_one = |said: &&Value| {
                said["predicateType"]
                    .as_str()
                    .is_some_and(|it| it.starts_with(kind))
            };
            match one.statements.iter().find(is_one) {
                Some(said) => json!({ key: said["predicate"] }),
                None => json!({}),
            }
        })
    };
    // As buildx has it, only where they are asked for.
    if parts.statements {
        root["provenance"] = statements("https://slsa.dev/provenance/", "SLSA");
        root["SBOM"] = statements("https://spdx.dev/", "SPDX");
    }
    as_struct(&mut root);
    Ok(root)
}

/// A configuration, whose fields are found by the names of Go's types.
fn configured(mut config: Value) -> Value {
    for row in config["history"].as_array_mut().into_iter().flatten() {
        as_struct(row);
    }
    for key in ["config", "rootfs"] {
        if config.get(key).is_some() {
            as_struct(&mut config[key]);
        }
    }
    as_struct(&mut config);
    config
}

fn described(name: &Reference, remote: &RemoteImage) -> Result<String, CliError> {
    let document = parsed(name, remote)?;
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let mut shown = format!(
        "Name:      {name}\nMediaType: {}\nDigest:    {}\n",
        remote.media_type, remote.digest
    );
    let Some(members) = document["manifests"].as_array() else {
        return Ok(shown);
    };
    shown.push_str("\nManifests:\n");
    for member in members {
        let platform = &member["platform"];
        let words = ["os", "architecture", "variant"].map(|key| text(platform, key));
        let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let annotations = member["annotations"].as_object();
        // As wide as the longest of the words that stand there.
        let width = if annotations.is_some() { 12 } else { 10 };
        for (word, value) in [
            ("Name:", format!("{name}@{}", text(member, "digest"))),
            ("MediaType:", text(member, "mediaType")),
            ("Platform:", words.join("/")),
        ] {
            shown.push_str(&format!("  {word:width$} {value}\n"));
        }
        if let Some(annotations) = annotations {
            shown.push_str("  Annotations:\n");
            let widest = annotations
                .keys()
                .map(String::len)
                .max()
                .unwrap_or_default()
                + 1;
            for (key, value) in annotations {
                let (key, value) = (format!("{key}:"), value.as_str().unwrap_or_default());
                shown.push_str(&format!("    {key:widest$} {value}\n"));
            }
        }
        shown.push('\n');
    }
    Ok(shown)
}
