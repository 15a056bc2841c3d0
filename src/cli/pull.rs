//! `pull`.

use super::Invocation;
use super::container_flags::CONTENT_TRUST_NOTICE;
use super::error::CliError;
use super::error::Kind;
use super::progress::Bars;
use crate::image::{Reference, ReferenceError};
use crate::registry::{Progress, Silent};

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
    let reference: Reference = args
        .name
        .parse()
        .map_err(|error: ReferenceError| CliError::failed(&error))?;
    let engine = invocation.engine()?;
    let full = reference.to_string();
    if !args.quiet && full != args.name {
        let name = &args.name;
        invocation.ui.note(&format!("{name} stands for {full}"));
    }
    let bars = Bars::new(&invocation.ui);
    let progress: &dyn Progress = if args.quiet { &Silent } else { &bars };
    let outcome = engine.pull(&reference, args.platform, progress);
    let outcome = outcome.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for warning in &outcome.warnings {
        invocation.ui.warning(warning);
    }
    if !args.quiet {
        for line in outcome.summary(&reference) {
            invocation.ui.line(&line)?;
        }
    }
    invocation.ui.line(&reference.to_string())?;
    Ok(0)
}
