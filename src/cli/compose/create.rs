//! `compose create`.

use super::Globals;
use super::images::images;
use super::project::choose;
use super::up::{MakeFlags, make};
use crate::cli::Invocation;
use crate::cli::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    make: MakeFlags,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load(&args.make.services, invocation)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let chosen = choose(&project, &args.make.services, true)?;
    let mut wish = args.make.wish(&project, chosen)?;
    let words = args.make.image_words(false);
    wish.images = images(&executor, &wish.chosen, &words, (&progress, invocation))?;
    make(&executor, &wish, invocation)?;
    Ok(0)
}
