//! `run`.

use super::Session;
use super::container_flags::{ContainerFlags, value};
use super::error::CliError;
use crate::engine::request::RunRequest;

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct Args {
    #[command(flatten)]
    container: ContainerFlags,
    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Forward signals to the program
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
}

impl Args {
    fn request(self, session: &Session) -> Result<RunRequest, CliError> {
        let detach_keys = self.detach_keys.as_deref();
        let request = RunRequest {
            create: self.container.request(&session.ui)?,
            detach: self.detach,
            sig_proxy: self.sig_proxy,
            detach_keys: detach_keys
                .map(|keys| value("--detach-keys", keys))
                .transpose()?,
        };
        if request.detach && request.create.attach.is_some() {
            return Err(CliError::usage(
                "conflicting options: cannot specify both --attach and --detach",
            ));
        }
        Ok(request)
    }
}

pub fn run(args: Args, session: &Session) -> Result<u8, CliError> {
    let _request = args.request(session)?;
    Err(CliError::not_yet("run"))
}
