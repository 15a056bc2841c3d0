//! `start`.

use super::Session;
use super::container_flags::value;
use super::error::CliError;
use crate::engine::request::StartRequest;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// Show the output and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Attach standard input
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

impl Args {
    fn request(self) -> Result<StartRequest, CliError> {
        let detach_keys = self.detach_keys.as_deref();
        let attach = self.attach || self.interactive;
        if attach && self.names.len() > 1 {
            return Err(CliError::usage(
                "you cannot start and attach multiple containers at once",
            ));
        }
        Ok(StartRequest {
            names: self.names,
            attach,
            interactive: self.interactive,
            detach_keys: detach_keys
                .map(|keys| value("--detach-keys", keys))
                .transpose()?,
            sig_proxy: true,
        })
    }
}

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _request = args.request()?;
    Err(CliError::not_yet("start"))
}
