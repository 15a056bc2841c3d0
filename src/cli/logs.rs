//! `logs`.

use super::Session;
use super::error::CliError;
use crate::engine::request::{LogsRequest, Moment};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// Go on while the container writes
    #[arg(short, long)]
    follow: bool,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// Show only so many lines from the end
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,
    /// Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show what came before a moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Args {
    fn request(self) -> Result<LogsRequest, CliError> {
        let now = jiff::Timestamp::now();
        let moment = |what, text: Option<&String>| {
            text.map(|text| Moment::parse(what, text, now))
                .transpose()
                .map_err(|error| CliError::usage(error.to_string()))
        };
        Ok(LogsRequest {
            follow: self.follow,
            timestamps: self.timestamps,
            // docker takes a negative number, and whatever is no number, for all lines
            tail: self.tail.parse().ok(),
            since: moment("since", self.since.as_ref())?,
            until: moment("until", self.until.as_ref())?,
            name: self.name,
        })
    }
}

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _request = args.request()?;
    Err(CliError::not_yet("logs"))
}
