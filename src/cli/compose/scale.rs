//! `compose scale`.

use super::Globals;
use super::images::{ImageWords, images};
use super::project::{choose, failed, scales};
use super::up::make;
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::compose::execute::{Orders, Wish};
use crate::compose::plan::Recreate;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Service and how many containers it is to have
    #[arg(required = true, value_name = "SERVICE=REPLICAS")]
    scales: Vec<String>,
    /// Leave the services alone that these need
    #[arg(long)]
    no_deps: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let names = args.scales.iter();
    let names = names.filter_map(|text| text.split_once('=').map(|(name, _)| name.to_owned()));
    let names: Vec<String> = names.collect();
    let project = globals.load(&names, invocation)?;
    let scale = scales(&project, &args.scales)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let chosen = choose(&project, &names, !args.no_deps)?;
    let words = ImageWords::default();
    let wish = Wish {
        images: images(&executor, &chosen, &words, (&progress, invocation))?,
        named: names.into_iter().collect(),
        chosen,
        scale,
        // What is there stays as it is.
        recreate: Recreate::Never,
        recreate_needed: Recreate::Never,
        ..Wish::default()
    };
    let orders = Orders {
        members: make(&executor, &wish, invocation)?,
        chosen: wish.chosen,
        ..Orders::default()
    };
    executor.start(&orders).map_err(failed)?;
    Ok(0)
}
