//! `history` and `image history`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::{CliError, Kind};
use super::table::{Columns, Row};
use super::{Invocation, units};
use crate::engine::images::HistoryRow;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "IMAGE")]
    image: String,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Sizes and dates for people (default true)
    #[arg(short = 'H', long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true",
        hide_default_value = true, value_name = "BOOL", action = clap::ArgAction::Set)]
    human: bool,
    /// Show whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Of this platform (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
}

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let engine = invocation.engine()?;
    let history = engine.image_history(&args.image, args.platform.as_deref());
    let history = history.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let (now, zone) = (Timestamp::now(), units::local_zone());
    let rows: Vec<Row> = history
        .iter()
        .map(|step| row(step, &args, now, &zone))
        .collect();
    let created = match args.human {
        true => "CreatedSince",
        false => "CreatedAt",
    };
    let columns = Columns {
        headings: HEADINGS,
        shown: vec!["ID", created, "CreatedBy", "Size", "Comment"],
        quiet: "ID",
    };
    invocation.listed(&columns, args.format.as_deref(), args.quiet, &rows)
}

fn row(step: &HistoryRow, args: &Args, now: Timestamp, zone: &TimeZone) -> Row {
    let mut row = Row::default();
    let id = step.id.as_ref().map(|id| match args.no_trunc {
        true => id.as_str(),
        false => id.short(),
    });
    row.set("ID", id.unwrap_or("<missing>"));
    let created =
        |words: &dyn Fn(Timestamp) -> String| step.created.map_or("N/A".to_owned(), words);
    row.set("CreatedSince", created(&|then| units::ago(then, now)));
    row.set(
        "CreatedAt",
        created(&|then| units::created_at_iso(then, zone)),
    );
    let command = step.created_by.replace('\t', " ");
    row.set(
        "CreatedBy",
        match args.no_trunc {
            true => command,
            false => units::shortened(&command, 45),
        },
    );
    row.set(
        "Size",
        match args.human {
            true => units::size(step.size),
            false => step.size.to_string(),
        },
    );
    row.set("Comment", step.comment.as_str());
    row
}
