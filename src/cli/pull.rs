//! `pull`.

use std::path::PathBuf;

use super::Invocation;
use super::container_flags::CONTENT_TRUST_NOTICE;
use super::error::CliError;
use super::error::Kind;
use super::progress::Bars;
use super::registry_flags::RegistryFlags;
use crate::engine::Engine;
use crate::image::Reference;
use crate::registry::Access;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Image to pull: NAME[:TAG|@DIGEST]
    #[arg(value_name = "NAME")]
    name: String,
    /// Pull all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Platform to choose from an index (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
    /// Pull the images of every platform
    #[arg(long, conflicts_with_all = ["platform", "all_tags"])]
    all_platforms: bool,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    /// Take the image only if cosign has signed it with this key: a public key in PEM
    #[arg(long, value_name = "KEY")]
    verify_signature: Option<PathBuf>,
    /// Skip image verification (without meaning since docker removed content trust)
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    disable_content_trust: Option<Option<String>>,
    #[command(flatten)]
    registry: RegistryFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if args.disable_content_trust.is_some() {
        invocation.ui.note(CONTENT_TRUST_NOTICE);
    }
    let access = Access {
        signed_by: args.verify_signature.clone(),
        ..args.registry.access(invocation)?
    };
    let engine = invocation.engine()?.with_access(access);
    let failed = |error| CliError::engine(Kind::Failed, &error);
    let mut candidates = engine.stands_for(&args.name).map_err(failed)?;
    let reference = candidates.remove(0);
    if args.all_tags {
        return all_tags(&args, &reference, &engine, invocation);
    }
    let full = reference.to_string();
    if !args.quiet && full != args.name {
        let name = &args.name;
        invocation.ui.note(&format!("{name} stands for {full}"));
    }
    let reference = pull(&args, reference, candidates, &engine, invocation)?;
    invocation.ui.line(&reference.to_string())?;
    Ok(0)
}

fn pull(
    args: &Args,
    reference: Reference,
    others: Vec<Reference>,
    engine: &Engine,
    invocation: &Invocation,
) -> Result<Reference, CliError> {
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(args.quiet);
    let pulled = match args.all_platforms {
        true => engine
            .pull_all_platforms(&reference, progress)
            .map(|outcome| (reference, outcome)),
        false => engine.pull_any(reference, others, &args.platform, progress),
    };
    let (reference, outcome) = pulled.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for warning in &outcome.warnings {
        invocation.ui.warning(warning);
    }
    if !args.quiet {
        for line in outcome.summary(&reference) {
            invocation.ui.line(&line)?;
        }
    }
    Ok(reference)
}

/// One tag after the other; the layers they share are fetched once.
fn all_tags(
    args: &Args,
    reference: &Reference,
    engine: &Engine,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    let name = args.name.rsplit('/').next().unwrap_or(&args.name);
    if name.contains([':', '@']) {
        return Err(CliError::new(
            Kind::Failed,
            "tag can't be used with --all-tags/-a",
        ));
    }
    let bars = Bars::new(&invocation.ui);
    let progress = bars.unless(args.quiet);
    let tags = engine.remote_tags(reference, progress);
    for tag in tags.map_err(|error| CliError::engine(Kind::Failed, &error))? {
        if !args.quiet {
            let words = format!(
                "{}: Pulling from {}",
                tag.tag().unwrap_or(""),
                tag.repository()
            );
            invocation.ui.line(&words)?;
        }
        pull(args, tag, Vec::new(), engine, invocation)?;
    }
    invocation.ui.line(&reference.name())?;
    Ok(0)
}
