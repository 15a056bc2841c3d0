//! `pull`.

use super::Invocation;
use super::container_flags::CONTENT_TRUST_NOTICE;
use super::error::CliError;
use super::error::Kind;
use super::progress::Bars;
use crate::engine::pull::{PullOutcome, PullRequest};
use crate::engine::{self, Engine, EngineError, RoleFailure};
use crate::image::{Reference, ReferenceError};
use crate::registry::{Progress, Silent};
use crate::runtime::home::is_single_id;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Image to pull: NAME[:TAG|@DIGEST]
    #[arg(value_name = "NAME")]
    name: String,
    /// Platform to choose from an index (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    /// Skip image verification (without meaning since docker removed content trust)
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    disable_content_trust: Option<Option<String>>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if args.disable_content_trust.is_some() {
        invocation.ui.note(CONTENT_TRUST_NOTICE);
    }
    let reference = args
        .name
        .parse()
        .map_err(|error: ReferenceError| CliError::failed(&error))?;
    let engine = invocation.engine()?;
    let outcome = pull(
        invocation,
        &engine,
        &args.name,
        &reference,
        args.platform,
        args.quiet,
    )?;
    if !args.quiet {
        let status = match outcome.up_to_date {
            true => "Image is up to date for",
            false => "Downloaded newer image for",
        };
        invocation
            .ui
            .note(&format!("Status: {status} {}", reference.familiar()));
    }
    invocation.ui.line(&reference.to_string())?;
    Ok(0)
}

/// Downloads an image, as `pull` and the pull policies of `run` and `create` do.
pub fn pull(
    invocation: &Invocation,
    engine: &Engine,
    typed: &str,
    reference: &Reference,
    platform: Option<String>,
    quiet: bool,
) -> Result<PullOutcome, CliError> {
    let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
    let registries = invocation.registries(engine)?;
    let full = reference.to_string();
    if !quiet && full != typed {
        invocation.ui.note(&format!("{typed} stands for {full}"));
    }
    let store = engine.images().map_err(failed)?;
    let outcome: PullOutcome = engine
        .in_home("transfer", || {
            let request = PullRequest {
                reference: reference.clone(),
                platform,
                single_id: is_single_id(),
            };
            let bars = Bars::new(&invocation.ui);
            let progress: &dyn Progress = if quiet { &Silent } else { &bars };
            engine::pull::pull(&store, &request, &registries, progress)
                .map_err(|error| RoleFailure::of(&error, error.hints()))
        })
        .map_err(failed)?;
    for warning in &outcome.warnings {
        invocation.ui.warning(warning);
    }
    Ok(outcome)
}
