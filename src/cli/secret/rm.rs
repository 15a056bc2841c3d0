//! `secret rm`.

use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::container::SecretError;
use crate::engine::EngineError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(
        value_name = "SECRET",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    names: Vec<String>,
    /// Remove all secrets
    #[arg(short, long)]
    all: bool,
    /// A secret that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let names = match args.all {
        false => args.names,
        true => {
            let all = engine.list_secrets(&Default::default());
            let all = all.map_err(|error| CliError::failed(&error))?;
            all.into_iter().map(|secret| secret.name).collect()
        }
    };
    invocation.each(&names, |name| match engine.remove_secret(name) {
        Ok(_) => Ok(Some(name.to_owned())),
        Err(EngineError::Secret(SecretError::NotFound { .. })) if args.ignore => Ok(None),
        Err(error) => Err(error),
    })
}
