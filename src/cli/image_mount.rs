//! `image mount`: a command where an image's root is mounted, for as long as it runs.

use super::Invocation;
use super::error::CliError;
use super::unshare::code;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Command and its arguments, run in the image's root directory; without, the user's shell
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    code(
        invocation
            .engine()?
            .look_into_image(&args.image, &args.words),
    )
}
