//! `pull`.

use super::Invocation;
use super::container_flags::CONTENT_TRUST_NOTICE;
use super::error::CliError;
use crate::engine::request::PullRequest;

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
        .map_err(|error: crate::image::ReferenceError| CliError::failed(&error))?;
    let _request = PullRequest {
        reference,
        platform: args.platform,
    };
    Err(CliError::not_yet("pull"))
}
