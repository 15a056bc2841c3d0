//! `logs`.

use super::Invocation;
use super::error::CliError;
use super::error::Kind;
use crate::engine::request::{LogsRequest, Moment};
use crate::monitor::Stream;

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

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let engine = invocation.engine()?;
    let mut closed = Ok(());
    // a part of a long line gets no time of its own
    let mut at_line_start = [true; 2];
    let shown = engine.logs(&request, |line| {
        let mut bytes = Vec::with_capacity(line.text.len() + 36);
        let start = &mut at_line_start[usize::from(line.stream == Stream::Stderr)];
        if request.timestamps && *start {
            bytes.extend_from_slice(line.time.as_bytes());
            bytes.push(b' ');
        }
        *start = line.text.ends_with(b"\n");
        bytes.extend_from_slice(&line.text);
        closed = match line.stream {
            Stream::Stdout => invocation.ui.bytes(&bytes),
            Stream::Stderr => invocation.ui.error_bytes(&bytes),
        };
        closed.is_ok()
    });
    shown.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    closed.map(|()| 0)
}
