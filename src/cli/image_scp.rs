//! `image scp`: an image to another host's bryo, or from it, over ssh.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::{Carry, Place};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// An image here, or HOST::IMAGE
    #[arg(value_name = "SOURCE")]
    source: String,
    /// HOST:: to load it there; without, here
    #[arg(value_name = "DESTINATION")]
    destination: Option<String>,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (from, image) = place_of(&args.source);
    let (to, name) = match &args.destination {
        Some(text) => place_of(text),
        None => (Place::Here, ""),
    };
    if image.is_empty() {
        return Err(CliError::usage("the source names no image"));
    }
    if !name.is_empty() {
        let words = format!("{name:?}: an image keeps its names, the destination is a HOST::");
        return Err(CliError::usage(words));
    }
    let carry = Carry {
        image: image.to_owned(),
        from,
        to,
        quiet: args.quiet,
    };
    let carried = invocation.engine()?.carry(&carry);
    let names = carried.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for name in names.iter().filter(|_| !args.quiet) {
        invocation.ui.line(&format!("Loaded image: {name}"))?;
    }
    Ok(0)
}

/// `HOST::IMAGE`, or an image here.
fn place_of(text: &str) -> (Place, &str) {
    match text.split_once("::") {
        Some((host, image)) => (Place::Host(host.to_owned()), image),
        None => (Place::Here, text),
    }
}
