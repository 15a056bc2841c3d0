//! `network inspect`.

use crate::cli::inspect;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "NETWORK")]
    names: Vec<String>,
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
}

impl From<Args> for inspect::Args {
    fn from(args: Args) -> inspect::Args {
        inspect::Args::of_kind("network", args.names, args.format)
    }
}
