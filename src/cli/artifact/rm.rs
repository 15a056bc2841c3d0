//! podman's `artifact rm`.

use super::failed;
use crate::cli::Invocation;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required_unless_present = "all", value_name = "ARTIFACT")]
    names: Vec<String>,
    /// Remove all artifacts
    #[arg(short, long, conflicts_with = "names")]
    all: bool,
    /// An artifact that does not exist is no error
    #[arg(short, long)]
    ignore: bool,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let names = match args.all {
        true => {
            let all = engine.list_artifacts().map_err(failed)?;
            all.iter().map(|one| one.name.to_string()).collect()
        }
        false => args.names.clone(),
    };
    invocation.each(&names, |name| match engine.artifact_of(name)? {
        Some(artifact) => {
            engine.remove_artifact(&artifact)?;
            Ok(Some(artifact.manifest.hex().to_owned()))
        }
        None if args.ignore => Ok(None),
        None => engine.artifact(name).map(|_| None),
    })
}
