//! `buildx imagetools create`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::engine::assemble::{AssembleRequest, Wanted};
use crate::image::{Digest, MemberPlatform, Platform, Reference};

/// Of a file with a descriptor.
const FILE_MAX: u64 = 4 << 20;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Images and indexes in registries: NAME, NAME@DIGEST, or a digest alone
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Name for the index
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Add to what the name stands for
    #[arg(long)]
    append: bool,
    /// Annotation: [index:|manifest-descriptor[PLATFORM]:]NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
    /// Show it and push nothing
    #[arg(long)]
    dry_run: bool,
    /// Take a source from a file with its descriptor
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Take only what is for these platforms
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,
    /// Make an index also of one single image
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", require_equals = true)]
    prefer_index: bool,
    /// How progress looks: auto, plain, tty, quiet
    #[arg(long, value_name = "KIND", default_value = "auto")]
    progress: String,
    /// Builder to use: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Write a line per step of the engine
    #[arg(short = 'D', long)]
    debug: bool,
}

impl Args {
    fn tags(&self) -> Result<Vec<Reference>, CliError> {
        let tags = self.tag.iter().map(|text| value("--tag", text));
        tags.collect()
    }

    /// What is there already comes first, then files, then names.
    fn sources(&self, tags: &[Reference]) -> Result<Vec<Wanted>, CliError> {
        let mut sources = Vec::new();
        if self.append {
            sources.extend(tags.iter().take(1).cloned().map(Wanted::of));
        }
        for path in &self.file {
            let shown = path.display();
            let failed = |error: &dyn std::fmt::Display| {
                CliError::new(Kind::Failed, format!("read {shown}: {error}"))
            };
            let bytes = crate::sys::fs::read_bounded(path, FILE_MAX);
            let bytes = bytes.map_err(|error| failed(&error))?;
            let text = String::from_utf8(bytes).map_err(|error| failed(&error))?;
            sources.push(named(text.trim(), tags)?);
        }
        for text in &self.sources {
            sources.push(named(text, tags)?);
        }
        match sources.is_empty() {
            true => Err(CliError::usage("no sources specified")),
            false => Ok(sources),
        }
    }

    fn request(&self, tags: &[Reference]) -> Result<AssembleRequest, CliError> {
        let platforms = self.platform.iter().map(|text| value("--platform", text));
        let mut request = AssembleRequest {
            sources: self.sources(tags)?,
            platforms: platforms.collect::<Result<_, _>>()?,
            prefer_index: self.prefer_index,
            annotations: BTreeMap::new(),
            of_entries: Vec::new(),
        };
        for text in &self.annotation {
            let (key, content) = text
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| {
                    CliError::usage(format!("invalid annotation {text:?}: expected NAME=VALUE"))
                })?;
            let (kind, key) = key.split_once(':').unwrap_or(("index", key));
            let (kind, platform) = match kind.split_once('[') {
                Some((kind, platform)) => {
                    let platform = platform.trim_end_matches(']');
                    (kind, Some(value::<Platform>("--annotation", platform)?))
                }
                None => (kind, None),
            };
            match (kind, platform) {
                ("index", None) => {
                    request
                        .annotations
                        .insert(key.to_owned(), content.to_owned());
                }
                ("manifest-descriptor", platform) => {
                    let entry = (platform, key.to_owned(), content.to_owned());
                    request.of_entries.push(entry);
                }
                (kind, _) => {
                    return Err(CliError::usage(format!(
                        "annotation type {kind:?} cannot be made here: index and manifest-descriptor can"
                    )));
                }
            }
        }
        Ok(request)
    }
}

/// What of a descriptor (OCI image specification, `descriptor.md`) says something here.
#[derive(Deserialize)]
struct Descriptor {
    digest: Digest,
    #[serde(default)]
    platform: Option<MemberPlatform>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A name, a digest in the repository of the first tag, or a descriptor with such a digest.
fn named(text: &str, tags: &[Reference]) -> Result<Wanted, CliError> {
    let of_tag = |digest: Digest| match tags.first() {
        Some(tag) => Ok(tag.with_digest(digest)),
        None => Err(CliError::usage(format!(
            "a digest alone needs a repository, which --tag names: {digest}"
        ))),
    };
    if text.starts_with('{') {
        let parsed = serde_json::from_str::<Descriptor>(text);
        let said =
            parsed.map_err(|error| CliError::usage(format!("invalid descriptor: {error}")))?;
        return Ok(Wanted {
            reference: of_tag(said.digest)?,
            platform: said.platform,
            annotations: said.annotations,
        });
    }
    match text.parse::<Digest>() {
        Ok(digest) => of_tag(digest).map(Wanted::of),
        Err(_) => value("SOURCE", text).map(Wanted::of),
    }
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let tags = args.tags()?;
    if tags.is_empty() && !args.dry_run {
        return Err(CliError::usage(
            "can't push without a name: use --tag NAME, or --dry-run",
        ));
    }
    if args.append && tags.is_empty() {
        return Err(CliError::usage(
            "--append needs the name that it adds to: use --tag NAME",
        ));
    }
    let quiet = match args.progress.as_str() {
        "auto" | "plain" | "tty" => false,
        "quiet" => true,
        other => {
            let message =
                format!("invalid progress mode {other:?}: auto, plain, tty and quiet are known");
            return Err(CliError::usage(message));
        }
    };
    let request = args.request(&tags)?;
    let engine = invocation.engine_with(args.debug)?;
    tracing::debug!(builder = ?args.builder, "there is one builder");
    let failed = |error| CliError::engine(Kind::Failed, &error);
    let name = tags.first().unwrap_or(&request.sources[0].reference);
    let assembled = engine.assemble(name, &request).map_err(failed)?;
    if args.dry_run {
        invocation.ui.line(assembled.json.trim_end())?;
        return Ok(0);
    }
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(quiet);
    for tag in &tags {
        let digest = engine
            .push_assembled(&assembled, tag, progress)
            .map_err(failed)?;
        if !quiet {
            invocation.ui.note(&format!("pushed {tag}@{digest}"));
        }
    }
    Ok(0)
}
