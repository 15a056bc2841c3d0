//! `container cleanup`, podman's: what a killed monitor could not take away itself.

use super::Invocation;
use super::error::CliError;
use super::error::Kind;
use crate::engine::request::PsRequest;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(
        required_unless_present = "all",
        conflicts_with = "all",
        value_name = "CONTAINER"
    )]
    names: Vec<String>,
    /// Clean up all that do not run
    #[arg(short, long)]
    all: bool,
    /// Remove them, too
    #[arg(long)]
    rm: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let failed = |error| CliError::engine(Kind::Failed, &error);
    let names = match args.all {
        false => args.names,
        true => {
            let all = PsRequest {
                all: true,
                ..PsRequest::default()
            };
            let listed = engine.list(&all).map_err(failed)?;
            let ended = listed.iter().filter(|one| !one.status.is_running());
            ended.map(|one| one.record.id.to_string()).collect()
        }
    };
    let ended = invocation.each(&names, |name| {
        let record = engine.find(name)?;
        engine.clean_up(&record)?;
        if args.rm {
            engine.remove(&record, false)?;
        }
        Ok(Some(name.to_owned()))
    });
    engine.empty_trash().map_err(failed)?;
    ended
}
