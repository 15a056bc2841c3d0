//! `secret ls`.

use jiff::Timestamp;

use crate::cli::error::{CliError, Kind};
use crate::cli::filters::filtered;
use crate::cli::table::{Columns, Row};
use crate::cli::{Invocation, units};
use crate::container::Secret;
use crate::engine::request::SecretFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only what fits: id, name, label
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let filters = filtered("-f, --filter", &args.filter, SecretFilters::add)?;
    let listed = invocation.engine()?.list_secrets(&filters);
    let secrets = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let now = Timestamp::now();
    let rows: Vec<Row> = secrets.iter().map(|secret| row(secret, now)).collect();
    let columns = Columns {
        headings: &[
            ("ID", "ID"),
            ("Name", "NAME"),
            ("Driver", "DRIVER"),
            ("CreatedAt", "CREATED"),
            ("UpdatedAt", "UPDATED"),
            ("Labels", "LABELS"),
        ],
        shown: vec!["ID", "Name", "Driver", "CreatedAt", "UpdatedAt"],
        quiet: "ID",
    };
    invocation.listed(&columns, args.format.as_deref(), args.quiet, &rows)
}

fn row(secret: &Secret, now: Timestamp) -> Row {
    let ago = |text: &str| units::ago(text.parse().unwrap_or(now), now);
    let mut row = Row::default();
    row.set("ID", secret.id.as_str());
    row.set("Name", secret.name.as_str());
    row.set("Driver", "file");
    row.set("CreatedAt", ago(&secret.created));
    row.set("UpdatedAt", ago(&secret.updated));
    let labels = &secret.labels;
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    row.set("Labels", pairs.join(","));
    row.labels = labels
        .iter()
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    row
}
